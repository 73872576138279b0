"""What both providers make of a conversation before it takes their own shape: who speaks, calls paired with results, files as data or as notes."""

import asyncio
import base64
import json
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from bot.errors import FrontdeskError
from bot.model import Attachment, Author, BlobId, changeable, value
from bot.ports import ChatMessage, ToolCall, ToolResult
from bot.text import pattern

_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode  # most of it was read from JSON
ReadBlob = Callable[[BlobId], Awaitable[bytes]]

MOST_FILES = 5  # the newest files of a request that are sent as data
MOST_DATA_BYTES = 24_000_000  # of all of them: the providers refuse requests above 32 MB, and base64 adds a third
COPIES = 4  # of a file's bytes at once: base64 is a third larger, and stands in three places
MOST_TEXT_BYTES = 65_536  # of a text file
_BIG_BYTES = 65_536  # from here on a file is encoded in a thread
_USER, _AGENT, _OPERATOR = (
    Author.USER,
    Author.AGENT,
    Author.OPERATOR,
)  # looking a member up costs more than all the rest
_UNFIT_NAME = pattern(r"[^A-Za-z0-9_-]")
_KINDS = {
    "image/png": "images",
    "image/jpeg": "images",
    "image/gif": "images",
    "image/webp": "images",
    "application/pdf": "pdf",
    "audio/wav": "audio",
    "audio/x-wav": "audio",
    "audio/mpeg": "audio",
    "audio/mp3": "audio",
    "application/json": "text",
}


def kind(media_type: str) -> str:
    """What a model must be able to read for a file of this type: "text", "images", "pdf", "audio", or "" for what none reads."""
    return _KINDS.get(media_type, "text" if media_type.startswith("text/") else "")


def is_assistant(author: Author) -> bool:
    return author is _AGENT or author is _OPERATOR


def spoken(message: ChatMessage) -> str:
    """A message's text as the model reads it: what neither the user nor the model itself wrote says so. "" when there is none."""
    text, author = message.text.strip(), message.author
    if not text or author is _USER or author is _AGENT:
        return text
    return f"[A human colleague wrote:] {text}" if author is _OPERATOR else f"[Note of the system:] {text}"


def result_text(result: ToolResult) -> str:
    """Never empty: some servers refuse an empty result."""
    return result.text.strip() or ("It failed without saying why." if result.is_error else "It gave nothing.")


def whole_characters(text: str) -> str:
    """Text that can be stored and sent: halves of a character that belong together are joined, the others become U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


class Characters:
    """Text that comes in pieces, in whole characters: some servers cut one in two, and its halves come in two pieces."""

    def __init__(self) -> None:
        self._half = ""

    def feed(self, text: str) -> str:
        if text.isascii() and not self._half:
            return text
        text = self._half + text
        is_half = bool(text) and "\ud800" <= text[-1] <= "\udbff"
        self._half = text[-1] if is_half else ""
        return whole_characters(text[:-1] if is_half else text)

    def rest(self) -> str:
        half, self._half = self._half, ""
        return whole_characters(half)


def with_files(messages: Sequence[ChatMessage]) -> list[ChatMessage]:
    """Those whose files a model may be sent."""
    return [message for message in messages if message.attachments and not is_assistant(message.author)]


def room_for(messages: Sequence[ChatMessage], is_readable: Callable[[Attachment], bool]) -> int:
    """Bytes that the files of a call take while it runs: in base64, in the request's JSON, and on their way out.
    `messages`: those `with_files`."""
    return COPIES * sum(each.size_bytes for each in _newest(messages, is_readable)) if messages else 0


async def encoded(body: Mapping[str, Any], *, has_files: bool) -> bytes:
    """A request as JSON. Handed to an SDK as bytes, it is neither copied nor transformed message by message, which at 200 messages costs
    the loop 0.2 ms (anthropic) or 25 ms (openai). One with files is encoded in a thread."""
    return await asyncio.to_thread(_json, body) if has_files else _json(body)


def _json(body: Mapping[str, Any]) -> bytes:
    return _encode(body).encode()


# --- calls and results -------------------------------------------------------------------------------------------------


def paired(messages: Sequence[ChatMessage], id_form: re.Pattern[str] | None = None) -> list[ChatMessage]:
    """The same conversation in the order that every server demands: a message with calls is the agent's and followed at once by one that
    holds a result for each of them, in their order, and nothing else. A result without its call becomes a note, a call without a result
    gets one that says so. Ids that occur twice, are empty or do not match `id_form` are replaced, in calls and results alike."""
    if not any(message.calls or message.results for message in messages):
        return list(messages)
    pairing = _Pairing(id_form)
    for message in messages:
        pairing.take(message)
    pairing.settle()
    return pairing.done


@changeable
class _Open:
    """A call as it is sent, the id that its result goes by, and the result once it is there."""

    id: str
    sent: ToolCall
    result: ToolResult | None = None


class _Pairing:
    def __init__(self, id_form: re.Pattern[str] | None) -> None:
        self.done: list[ChatMessage] = []
        self._form = id_form
        self._open: list[_Open] = []
        self._used: set[str] = set()

    def take(self, message: ChatMessage) -> None:
        orphans = [result for result in message.results if not self._answer(result)]
        rest = replace(message, results=()) if message.results else message
        has_words = bool(rest.text.strip() or rest.attachments)
        if rest.calls or has_words or orphans:
            self.settle()
        self.done.extend(ChatMessage(Author.SYSTEM, f"A tool said: {result_text(result)}") for result in orphans)
        if rest.calls:
            self._ask(rest)
        elif has_words:
            self.done.append(rest)

    def settle(self) -> None:
        """Closes the calls that are open."""
        if self._open:
            self.done.append(ChatMessage(Author.SYSTEM, results=tuple(_given(each) for each in self._open)))
            self._open = []

    def _answer(self, result: ToolResult) -> bool:
        call = next((each for each in self._open if each.id == result.call and each.result is None), None)
        if call is not None:
            call.result = result
        return call is not None

    def _ask(self, message: ChatMessage) -> None:
        for call in message.calls:
            sent = replace(call, id=self._fit(call.id), name=_UNFIT_NAME.sub("_", call.name)[:64] or "tool")
            self._open.append(_Open(call.id, sent))
        self.done.append(replace(message, author=Author.AGENT, calls=tuple(each.sent for each in self._open)))

    def _fit(self, given: str) -> str:
        fit = given
        if not given or given in self._used or (self._form is not None and not self._form.fullmatch(given)):
            stem = _UNFIT_NAME.sub("_", given)[:24] or "call"
            fit = next(new for n in range(len(self._used) + 1) if (new := f"{stem}_{n}") not in self._used)
        self._used.add(fit)
        return fit


def _given(call: _Open) -> ToolResult:
    if call.result is None:
        return ToolResult(call.sent.id, "There is no result: the call was given up.", is_error=True)
    return replace(call.result, call=call.sent.id)


# --- files -------------------------------------------------------------------------------------------------------------


@value
class Data:
    """A file's content as it is sent: base64, or the words of a text file."""

    text: str


Loaded = Mapping[Attachment, Data]
_NOTHING: Loaded = {}


async def load(
    messages: Sequence[ChatMessage], is_readable: Callable[[Attachment], bool], read_blob: ReadBlob
) -> Loaded:
    """The newest files that the model can read, at most MOST_FILES and MOST_DATA_BYTES; a file that cannot be read is left out."""
    if not messages:
        return _NOTHING
    loaded: dict[Attachment, Data] = {}
    for attachment in _newest(messages, is_readable):
        try:
            data = await read_blob(attachment.blob)
        except (FrontdeskError, OSError):
            continue
        loaded[attachment] = Data(await _encoded(attachment, data))
    return loaded


def parts(message: ChatMessage, loaded: Loaded) -> list[tuple[Attachment, Data]]:
    """A message's files that are sent as data."""
    return [(each, loaded[each]) for each in message.attachments if each in loaded]


def notes(message: ChatMessage, loaded: Loaded) -> str:
    """A line for each file that is not; "" when there is none."""
    return "\n".join(note(each) for each in message.attachments if each not in loaded)


def note(attachment: Attachment) -> str:
    """Tells the model of a file that it is not shown."""
    if attachment.transcript:
        return f'[The voice message "{attachment.name}" is written out here by a machine; single words may be wrong.]'
    if attachment.problem:
        return f'[The file "{attachment.name}" could not be read: {attachment.problem} Say so if you have not yet.]'
    if not attachment.blob:
        return f'[The file "{attachment.name}" has not arrived here yet.]'
    size = max(1, round(attachment.size_bytes / 1000))
    return f'[The file "{attachment.name}" ({attachment.media_type}, {size} kB) was sent here; its content cannot be read here.]'


def text_file(attachment: Attachment, data: Data) -> str:
    """A text file as part of a message's text."""
    return f'[The file "{attachment.name}":]\n{data.text}\n[End of the file "{attachment.name}".]'


def _newest(messages: Sequence[ChatMessage], is_readable: Callable[[Attachment], bool]) -> Iterable[Attachment]:
    left, seen = MOST_DATA_BYTES, set[Attachment]()
    for message in reversed(messages):
        for attachment in reversed(message.attachments):
            if len(seen) == MOST_FILES:
                return
            if not attachment.blob or attachment.transcript or attachment.problem or attachment in seen:
                continue
            if attachment.size_bytes > left or not is_readable(attachment):
                continue
            seen.add(attachment)
            left -= attachment.size_bytes
            yield attachment


async def _encoded(attachment: Attachment, data: bytes) -> str:
    if kind(attachment.media_type) == "text":
        text = data[:MOST_TEXT_BYTES].decode("utf-8", "replace")
        return text if len(data) <= MOST_TEXT_BYTES else f"{text}\n[The rest of the file is left out.]"
    if len(data) < _BIG_BYTES:
        return _base64(data)
    return await asyncio.to_thread(_base64, data)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
