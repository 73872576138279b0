"""What a model sees of a conversation. Pure: the same rows give the same request.

Promise: the text never exceeds the budget, the newest is kept, and what the user has just written is never dropped (only cut when it
alone is larger than the budget).
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from bot.model import Author, Message, Visibility
from bot.ports import ChatMessage, ToolResult

CUT = " […]"
LEAST_RESULT_CHARS = 500
RESULTS_SHARE = 0.6  # of the budget may go to what tools gave in this turn


class Past:
    """The messages of a case that earlier turns have handled, as a model reads them: neither notes nor what was deleted. Kept in this
    form from turn to turn, so that a long history costs nothing to show again."""

    __slots__ = ("_chars", "_entries")

    def __init__(self, messages: Iterable[Message] = ()) -> None:
        self._entries: list[ChatMessage] = []
        self._chars = 0
        self.extend(messages)

    def extend(self, messages: Iterable[Message]) -> None:
        for message in messages:
            if is_visible_to_model(message):
                self._entries.append(ChatMessage(message.author, message.text, message.attachments))
                self._chars += len(message.text)

    def keep_newest(self, most: int) -> None:
        surplus = len(self._entries) - most
        if surplus > 0:
            self._chars -= sum(len(entry.text) for entry in self._entries[:surplus])
            del self._entries[:surplus]

    def within(self, budget_chars: int) -> Sequence[ChatMessage]:
        """The newest entries that fit, oldest first."""
        if self._chars <= budget_chars:
            return self._entries
        left, first = budget_chars, len(self._entries)
        while first and left >= len(self._entries[first - 1].text):
            first -= 1
            left -= len(self._entries[first].text)
        return self._entries[first:]

    def __len__(self) -> int:
        return len(self._entries)


def is_visible_to_model(message: Message) -> bool:
    return message.visibility is Visibility.PUBLIC and not message.is_deleted


def build(past: Past, unhandled: Sequence[Message], budget_chars: int) -> tuple[ChatMessage, ...]:
    """The past as far back as the budget reaches, then every unhandled message."""
    asked = _fitted([message for message in unhandled if is_visible_to_model(message)], budget_chars)
    return (*past.within(budget_chars - sum(len(entry.text) for entry in asked)), *asked)


def fit_results(exchange: Sequence[ChatMessage], budget_chars: int) -> tuple[ChatMessage, ...]:
    """The calls and results of this turn, with long results cut so that the question still has room."""
    results = [len(result.text) for entry in exchange for result in entry.results]
    share = int(budget_chars * RESULTS_SHARE)
    if sum(results) <= share:
        return tuple(exchange)
    most = max(LEAST_RESULT_CHARS, share // len(results))
    return tuple(
        replace(entry, results=tuple(_cut(result, most) for result in entry.results)) if entry.results else entry
        for entry in exchange
    )


def _cut(result: ToolResult, most: int) -> ToolResult:
    return result if len(result.text) <= most else replace(result, text=result.text[: most - len(CUT)] + CUT)


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
