"""What a model sees of a conversation. Pure: the same rows give the same request.

Promise: the text never exceeds the budget, the newest is kept, and what the user has just written is never dropped (only cut when it
alone is larger than the budget).
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from bot.model import Author, Message, Visibility
from bot.ports import ChatMessage

CUT = " […]"
SAYS = ": "
NAME_CHARS = 60
LEAST_RESULT_CHARS = 200  # a result that would be cut to less is left out
ASKED_SHARE = 3  # a third of the budget is the user's whatever tools gave
LEAST_CHARS = 500


class Past:
    """The messages of a case that earlier turns have handled, as a model reads them: neither notes nor what was deleted. Kept in this
    form from turn to turn, so that a long history costs nothing to show again."""

    __slots__ = ("_chars", "_entries", "names")

    def __init__(self, messages: Iterable[Message] = ()) -> None:
        self._entries: list[ChatMessage] = []
        self._chars = 0
        self.names: set[str] = set()  # of the people who spoke
        self.extend(messages)

    def extend(self, messages: Iterable[Message]) -> None:
        for message in messages:
            if is_visible_to_model(message):
                text = words(message)
                name = speaker(message)
                self._entries.append(ChatMessage(message.author, text, message.attachments, name=name))
                self._chars += len(text) + len(name)
                self.names.add(name)

    def keep_newest(self, most: int) -> None:
        surplus = len(self._entries) - most
        if surplus > 0:
            self._chars -= sum(map(_length, self._entries[:surplus]))
            del self._entries[:surplus]

    def within(self, budget_chars: int) -> Sequence[ChatMessage]:
        """The newest entries that fit, oldest first."""
        if self._chars <= budget_chars:
            return self._entries
        left, first = budget_chars, len(self._entries)
        while first and left >= _length(self._entries[first - 1]):
            first -= 1
            left -= _length(self._entries[first])
        return self._entries[first:]

    def __len__(self) -> int:
        return len(self._entries)


def is_visible_to_model(message: Message) -> bool:
    return message.visibility is Visibility.PUBLIC and not message.is_deleted


def speaker(message: Message) -> str:
    """The name of the person who wrote it; "" for everyone else."""
    return message.name[:NAME_CHARS] if message.author is Author.USER else ""


def words(message: Message) -> str:
    """What was written and what was said in voice messages, as text."""
    if not message.attachments:
        return message.text
    spoken = (each.transcript for each in message.attachments)
    return "\n\n".join(filter(None, (message.text, *spoken)))


def build(
    past: Past, unhandled: Sequence[Message], budget_chars: int, exchange: Sequence[ChatMessage] = ()
) -> tuple[ChatMessage, ...]:
    """The past as far back as the budget reaches, then every unhandled message, then the calls and results of this turn so far. What the
    user has written comes first when there is too little room, then the newest results."""
    visible = [message for message in unhandled if is_visible_to_model(message)]
    entries = _within(past, visible, budget_chars, exchange)
    if not past.names and not any(message.name for message in visible):
        return entries
    names = past.names.union(map(speaker, visible)) - {""}
    return tuple(map(_named, entries)) if len(names) > 1 else entries


def _within(
    past: Past, visible: Sequence[Message], budget_chars: int, exchange: Sequence[ChatMessage]
) -> tuple[ChatMessage, ...]:
    if not exchange:
        asked = _fitted(visible, budget_chars)
        return (*past.within(budget_chars - _chars(asked)), *asked)
    fixed = sum(map(_fixed_chars, exchange))
    asked = _fitted(visible, max(budget_chars // ASKED_SHARE, budget_chars - fixed - sum(map(_result_chars, exchange))))
    left = budget_chars - fixed - _chars(asked)
    fitted = _with_room(exchange, left)
    return (*past.within(left - sum(map(_result_chars, fitted))), *asked, *fitted)


def _with_room(exchange: Sequence[ChatMessage], budget_chars: int) -> list[ChatMessage]:
    """The same with the results that fit: the newest whole, one cut, those before it left out."""
    fitted, left = [], max(0, budget_chars)
    for entry in reversed(exchange):
        results = []
        for result in reversed(entry.results):
            if len(result.text) > left:
                result = replace(
                    result, text=result.text[: left - len(CUT)] + CUT if left > LEAST_RESULT_CHARS else CUT
                )
            left = max(0, left - len(result.text))
            results.append(result)
        fitted.append(replace(entry, results=tuple(reversed(results))) if results else entry)
    return fitted[::-1]


def _named(entry: ChatMessage) -> ChatMessage:
    """With who says it, since several people do."""
    return replace(entry, text=f"{entry.name}{SAYS}{entry.text}") if entry.name else entry


def _length(entry: ChatMessage) -> int:
    return len(entry.text) + len(entry.name)


def _chars(entries: Sequence[ChatMessage]) -> int:
    return sum(map(_length, entries))


def _result_chars(entry: ChatMessage) -> int:
    return sum(len(result.text) for result in entry.results)


def _fixed_chars(entry: ChatMessage) -> int:
    calls = sum(len(call.name) + len(call.arguments) for call in entry.calls)
    return len(entry.text) + calls + sum(len(each.data) for each in entry.reasoning)


def _fitted(messages: Sequence[Message], budget_chars: int) -> list[ChatMessage]:
    """The newest are kept whole; older ones are cut or dropped when they do not all fit."""
    entries: list[ChatMessage] = []
    left = budget_chars
    for message in reversed(messages):
        text, name = words(message), speaker(message)
        left -= len(name)
        if len(text) > left:
            text = text[: max(0, left - len(CUT))] + CUT if left > len(CUT) else ""
        left -= len(text)
        if text or message.attachments:
            entries.append(ChatMessage(Author.USER, text, message.attachments, name=name))
    return entries[::-1]
