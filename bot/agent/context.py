"""What a model sees of a conversation. Pure: the same rows give the same request.

Promise: the text never exceeds the budget, the newest is kept, and what the user has just written is never dropped (only cut when it
alone is larger than the budget).
"""

from collections.abc import Sequence

from bot.model import Author, Message, Visibility
from bot.ports import ChatMessage

CUT = " […]"


def visible_to_model(messages: Sequence[Message]) -> list[Message]:
    """Neither notes nor what was deleted."""
    return [m for m in messages if m.visibility is Visibility.PUBLIC and not m.is_deleted]


def build(history: Sequence[Message], unhandled: Sequence[Message], budget_chars: int) -> tuple[ChatMessage, ...]:
    """History as far back as the budget reaches, then every unhandled message."""
    asked = _fitted(visible_to_model(unhandled), budget_chars)
    left = budget_chars - sum(len(entry.text) for entry in asked)
    kept: list[ChatMessage] = []
    for message in reversed(visible_to_model(history)):
        left -= len(message.text)
        if left < 0:
            break
        kept.append(_entry(message))
    return (*reversed(kept), *asked)


def _fitted(messages: Sequence[Message], budget_chars: int) -> list[ChatMessage]:
    """The newest are kept whole; older ones are cut or dropped when they do not all fit."""
    entries: list[ChatMessage] = []
    left = budget_chars
    for message in reversed(messages):
        text = message.text
        if len(text) > left:
            text = text[: max(0, left - len(CUT))] + CUT if left > len(CUT) else ""
        left -= len(text)
        if text or message.attachments:
            entries.append(ChatMessage(Author.USER, text, message.attachments))
    return entries[::-1]


def _entry(message: Message) -> ChatMessage:
    return ChatMessage(message.author, message.text, message.attachments)
