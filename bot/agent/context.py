"""What a model sees of a conversation. Pure: the same rows give the same request.

Promise: the text never exceeds the budget, the newest is kept, and what the user has just written is never dropped (only cut when it
alone is larger than the budget). What asks for consent, what our side has promised and what stands for older messages goes on being shown
when the messages around it no longer fit.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from bot.model import Author, Message, Visibility, value
from bot.ports import ChatMessage
from bot.text import has_one_of, pattern

CUT = " […]"
SAYS = ": "
NAME_CHARS = 60
LEAST_RESULT_CHARS = 200  # a result that would be cut to less is left out
ASKED_SHARE = 3  # a third of the budget is the user's whatever tools gave
LEAST_CHARS = 500
PINNED_SHARE = 4  # a quarter of the budget is for what stays though it is old
PINNED_MOST = 20
RECALLED_SHARE = 2  # what is remembered of earlier cases takes at most half of what the user has left
_CONSENT = "consent:"  # as the buttons begin that give it
_PROMISE = pattern(
    r"\b(?:(?:I|we)(?:['’]ll| will| shall| am going to| are going to| promise)|you(?:['’]ll| will) (?:get|receive|hear|have)|will be (?:sent|refunded|"
    r"shipped|delivered|credited|called)|(?:ich|wir) (?:werden?|melde[n]? (?:mich|uns)|verspreche[n]?)|(?:werden|wird) .{0,60}(?:erstattet|geliefert|geschickt|"
    r"gutgeschrieben)|Sie (?:erhalten|bekommen|hören))\b",
    re.IGNORECASE,
)
_WORDS_OF_PROMISES = (  # one of these stands in each
    *("'ll", "’ll", "will", "shall", "going to", "promise"),
    *("werde", "wird", "melde", "verspreche", "sie "),
)


@value
class Recalled:
    """What is remembered of the one who asks, as a model is shown it, with the ids of the facts and earlier cases in it. Empty: nothing."""

    text: str = ""
    facts: tuple[str, ...] = ()
    episodes: tuple[str, ...] = ()


NOTHING = Recalled()


@value
class Block:
    """What stands where the messages from `first` to `last` stood; where `last` is before `first`, besides them."""

    first: int
    last: int
    text: str


class Past:
    """The messages of a case that earlier turns have handled, as a model reads them: neither notes nor what was deleted, and a closed block in
    place of what is over. Kept in this form from turn to turn, so that a long history costs nothing to show again."""

    __slots__ = ("_chars", "_entries", "_gone", "_pinned", "names")

    def __init__(self, messages: Iterable[Message] = (), blocks: Sequence[Block] = ()) -> None:
        self._entries: list[ChatMessage] = []
        self._chars = 0
        self._gone = 0  # entries that were dropped: an entry's place counts them too
        self._pinned: list[tuple[int, ChatMessage]] = []  # with their places, the oldest first
        self.names: set[str] = set()  # of the people who spoke
        left = sorted(blocks, key=lambda block: block.first)
        for message in messages:
            while left and left[0].first <= message.seq:
                self._put(left.pop(0))
            if not any(block.first <= message.seq <= block.last for block in blocks):
                self.add(message)
        for block in left:
            self._put(block)

    def _put(self, block: Block) -> None:
        self._append(ChatMessage(Author.SYSTEM, block.text), is_pinned=True)

    def _append(self, entry: ChatMessage, *, is_pinned: bool) -> None:
        if is_pinned:
            self._pinned.append((self._gone + len(self._entries), entry))
            del self._pinned[:-PINNED_MOST]
        self._entries.append(entry)
        self._chars += _length(entry)

    def add(self, message: Message) -> None:
        """The newest."""
        if is_visible_to_model(message):
            entry = ChatMessage(message.author, words(message), message.attachments, name=speaker(message))
            self._append(entry, is_pinned=is_binding(message))
            if entry.name:
                self.names.add(entry.name)

    def keep_newest(self, most: int) -> None:
        surplus = len(self._entries) - most
        if surplus > 0:
            self._chars -= sum(map(_length, self._entries[:surplus]))
            del self._entries[:surplus]
            self._gone += surplus

    def within(self, budget_chars: int) -> Sequence[ChatMessage]:
        """The newest entries that fit, oldest first; before them, of what is pinned and older, as much as fits into its share."""
        if self._chars <= budget_chars and not self._has_older(0):
            return self._entries
        first = self._first(budget_chars)
        if not self._has_older(first):
            return self._entries[first:]
        share = min(budget_chars // PINNED_SHARE, sum(_length(entry) for _, entry in self._pinned))
        first = self._first(budget_chars - share)
        return [*self._older(first, share), *self._entries[first:]]

    def _first(self, budget_chars: int) -> int:
        left, first = budget_chars, len(self._entries)
        while first and left >= _length(self._entries[first - 1]):
            first -= 1
            left -= _length(self._entries[first])
        return first

    def _has_older(self, first: int) -> bool:
        return bool(self._pinned) and self._pinned[0][0] < self._gone + first

    def _older(self, first: int, share: int) -> list[ChatMessage]:
        """What is pinned and stands before the place `first`, the newest of it where not all fits."""
        older = [entry for place, entry in self._pinned if place < self._gone + first]
        kept: list[ChatMessage] = []
        for entry in reversed(older):
            if _length(entry) <= share:
                kept.append(entry)
                share -= _length(entry)
        return kept[::-1]

    @property
    def chars(self) -> int:
        """Of everything in it."""
        return self._chars

    def __len__(self) -> int:
        return len(self._entries)


def is_visible_to_model(message: Message) -> bool:
    return message.visibility is Visibility.PUBLIC and not message.is_deleted


def is_binding(message: Message) -> bool:
    """Whether it asks for consent, or our side promises something in it."""
    if message.author in (Author.AGENT, Author.OPERATOR):
        return is_promise(message.text)
    return bool(message.buttons) and any(button.id.startswith(_CONSENT) for button in message.buttons)


def is_promise(text: str) -> bool:
    """Whether something is promised in it, in English or German. An offer or a question is none."""
    plain = text.lower()
    if not text.isascii():  # İ, ı and ſ are i and s where case does not count
        plain = plain.replace("i\u0307", "i").replace("ı", "i").replace("ſ", "s")
    return has_one_of(_WORDS_OF_PROMISES, plain) and _PROMISE.search(text) is not None


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
    past: Past,
    unhandled: Sequence[Message],
    budget_chars: int,
    exchange: Sequence[ChatMessage] = (),
    recalled: str = "",
) -> tuple[ChatMessage, ...]:
    """The past as far back as the budget reaches, then what is remembered of earlier cases, then every unhandled message, then the calls and
    results of this turn so far. What the user has written comes first when there is too little room, then the newest results."""
    visible = [message for message in unhandled if is_visible_to_model(message)]
    entries = _within(past, visible, budget_chars, exchange, recalled)
    names = {*past.names, *filter(None, map(speaker, visible))}
    return tuple(map(_named, entries)) if len(names) > 1 else entries


def _within(
    past: Past, visible: Sequence[Message], budget_chars: int, exchange: Sequence[ChatMessage], recalled: str
) -> tuple[ChatMessage, ...]:
    if not exchange:
        asked, left = _fitted(visible, budget_chars)
        return (*_shown(past, recalled, left), *asked)
    fixed = sum(map(_fixed_chars, exchange))
    room = max(budget_chars // ASKED_SHARE, budget_chars - fixed - sum(map(_result_chars, exchange)))
    asked, unused = _fitted(visible, room)
    left = budget_chars - fixed - (room - unused)
    fitted = _with_room(exchange, left)
    left -= sum(map(_result_chars, fitted))
    return (*_shown(past, recalled, left), *asked, *fitted)


def _shown(past: Past, recalled: str, left: int) -> Sequence[ChatMessage]:
    """The past; after it what is remembered, where it leaves enough room for the case itself."""
    if not 0 < len(recalled) <= left // RECALLED_SHARE:
        return past.within(left)
    return (*past.within(left - len(recalled)), ChatMessage(Author.SYSTEM, recalled))


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


def _result_chars(entry: ChatMessage) -> int:
    return sum(len(result.text) for result in entry.results)


def _fixed_chars(entry: ChatMessage) -> int:
    calls = sum(len(call.name) + len(call.arguments) for call in entry.calls)
    return len(entry.text) + calls + sum(len(each.data) for each in entry.reasoning)


def _fitted(messages: Sequence[Message], budget_chars: int) -> tuple[list[ChatMessage], int]:
    """The newest are kept whole; older ones are cut or dropped when they do not all fit. With how many characters are left."""
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
    return entries[::-1], budget_chars - sum(map(_length, entries))  # a name counts with its message alone
