"""The frames of the chat socket: what a client may send, and how the server writes its own.

The hot path (`message`, `received`, `ack`, `delta`) goes through here once per frame, so checks are plain Python on small
dicts and frames are put together from escaped parts. Everything else is the same, only rarer.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from json import JSONDecoder, JSONEncoder
from json.encoder import encode_basestring as _quoted
from typing import Any

from bot.errors import Overloaded, Refused, StoreUnavailable
from bot.model import Attachment, Author, CaseId, Citation, Message, MessageId, Passage, Seq, Transcript

VERSION = 1
LARGEST_INTEGER = 2**53 - 1  # the largest that JavaScript holds exactly

Frame = dict[str, Any]  # parsed JSON is untyped; `parse` checks every field before anyone reads it
Check = Callable[[object], bool]

_decode = JSONDecoder().raw_decode  # `decode` looks for space around the value, which takes longer than the rest
_encode = JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_SPACE = " \t\r\n"
_is_id = re.compile(r"[A-Za-z0-9_.:-]{1,64}").fullmatch
_UNENCODABLE = re.compile("[\x00\ud800-\udfff]")
_AUTHORS = {author: author.value for author in Author}


class BadFrame(Refused):
    """The frame is not one of the protocol's. `id` is the client's id for it, where it gave one."""

    def __init__(self, detail: str, id: str = "") -> None:  # noqa: A002  the protocol's name for it
        super().__init__("bad_frame", detail)
        self.id = id


# --- from the client -----------------------------------------------------------------------------------------------


def _is_client_id(value: object) -> bool:
    return type(value) is str and _is_id(value) is not None


def _is_text(value: object) -> bool:
    return type(value) is str


def _is_reference(value: object) -> bool:
    return type(value) is str and 0 < len(value) <= 200


def _is_references(value: object) -> bool:
    return type(value) is list and len(value) <= 100 and all(map(_is_reference, value))


def _is_credential(value: object) -> bool:
    return type(value) is str and 0 < len(value) <= 8192


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value <= LARGEST_INTEGER


def _is_verdict(value: object) -> bool:
    return value in ("up", "down")


FROM_CLIENT: Mapping[str, Mapping[str, tuple[Check, bool]]] = {  # field: (check, is required)
    "hello": {
        "version": (_is_count, True),
        "token": (_is_credential, False),
        "identity": (_is_credential, False),
        "after": (_is_count, False),
    },
    "message": {"id": (_is_client_id, True), "text": (_is_text, True), "attachments": (_is_references, False)},
    "press": {"message": (_is_reference, True), "button": (_is_reference, True)},
    "feedback": {"message": (_is_reference, False), "case": (_is_reference, False), "value": (_is_verdict, True)},
    "typing": {},
    "received": {"seq": (_is_count, True)},
    "passage": {"id": (_is_reference, True)},
    "end": {},
}


def parse(text: str) -> Frame:
    """The client's frame, every field of the right type and no other present. Raises BadFrame."""
    text = text.strip(_SPACE)
    try:
        frame, end = _decode(text)
        if end != len(text):
            raise ValueError("something follows the value")
    except (ValueError, RecursionError):
        raise BadFrame("This is not JSON.") from None
    if type(frame) is not dict:
        raise BadFrame("A frame is a JSON object.")
    _check(frame)
    if "\\u" in text:  # only an escape can bring what UTF-8 cannot hold
        return {name: _clean(value) for name, value in frame.items()}
    return frame


def _check(frame: Frame) -> None:
    kind = frame.get("type")
    if kind == "message" and len(frame) == 3 and _is_client_id(frame.get("id")) and type(frame.get("text")) is str:
        return
    if kind == "received" and len(frame) == 2 and _is_count(frame.get("seq")):
        return
    fields = FROM_CLIENT.get(kind) if type(kind) is str else None
    if fields is None:
        raise BadFrame("There is no frame of this type.", _id_of(frame))
    for name in frame:
        if name != "type" and name not in fields:
            raise BadFrame(f"A {kind} frame has a field that it does not know.", _id_of(frame))
    for name, (is_right, is_required) in fields.items():
        if (is_required or name in frame) and not is_right(frame.get(name)):
            raise BadFrame(f"The field {name} of a {kind} frame is missing or wrong.", _id_of(frame))
    if kind == "feedback" and ("message" in frame) == ("case" in frame):
        raise BadFrame("A feedback frame names either a message or a case.")


def _id_of(frame: Frame) -> str:
    name = frame.get("id")
    return name if type(name) is str and _is_id(name) else ""


def _clean(value: Any) -> Any:  # a checked field: a string, a number or a list of strings
    """The value with what cannot be stored (NUL, halves of surrogate pairs) shown as a replacement character."""
    if type(value) is str:
        return _UNENCODABLE.sub("\ufffd", value)
    if type(value) is list:
        return [_clean(item) for item in value]
    return value


# --- from the server: JSON text, or the bytes of a whole web socket frame ------------------------------------------


def framed(text: str) -> bytes:
    """`text` as one unmasked web socket text frame (RFC 6455, 5.2)."""
    data = text.encode("utf-8", "replace")
    size = len(data)
    if size < 126:
        return bytes((0x81, size)) + data
    if size < 65_536:
        return b"\x81\x7e" + size.to_bytes(2, "big") + data
    return b"\x81\x7f" + size.to_bytes(8, "big") + data


PING = b"\x89\x00"
TYPING = framed('{"type":"typing"}')


def typing_as(name: str) -> bytes:
    """A person is typing."""
    return framed(_encode({"type": "typing", "name": name})) if name else TYPING


def pong(data: bytes) -> bytes:
    """The answer to a ping, whose data is at most 125 bytes long."""
    return bytes((0x8A, len(data))) + data


def closing(code: int) -> bytes:
    """A web socket close frame."""
    return b"\x88\x02" + code.to_bytes(2, "big")


def ack(id: str, message: MessageId, seq: Seq) -> bytes:  # noqa: A002
    """`id` needs no escaping: `parse` let only plain characters through."""
    return framed(f'{{"type":"ack","id":"{id}","message":{_quoted(message)},"seq":{seq}}}')


def delta(message: MessageId, text: str) -> bytes:
    return framed(f'{{"type":"delta","message":{_quoted(message)},"text":{_quoted(text)}}}')


def message(message: Message) -> bytes:
    return framed('{"type":"message",' + message_fields(message)[1:])


def message_fields(message: Message) -> str:
    """The fields of a `message` frame as a JSON object."""
    text = "" if message.is_deleted else message.text
    fields = (
        f'{{"id":{_quoted(message.id)},"seq":{message.seq},"author":"{_AUTHORS[message.author]}",'
        f'"text":{_quoted(text)},"at_ms":{message.at_ms}'
    )
    if message.name:
        fields += f',"name":{_quoted(message.name)}'
    if message.attachments:
        fields += f',"attachments":{_encode(list(map(_attachment, message.attachments)))}'
    if message.citations:
        fields += f',"citations":{_encode(list(map(_citation, message.citations)))}'
    if message.buttons:
        fields += f',"buttons":{_encode([{"id": button.id, "label": button.label} for button in message.buttons])}'
    if message.feedback:
        fields += f',"feedback":{_quoted(message.feedback)}'
    return fields + "}"


def _attachment(file: Attachment) -> Frame:
    return {"id": file.blob, "name": file.name, "media_type": file.media_type, "size_bytes": file.size_bytes}


def _citation(citation: Citation) -> Frame:
    return {"number": citation.number, "id": citation.passage, "title": citation.title, "url": citation.url}


def withdraw(message: MessageId) -> bytes:
    return framed(_encode({"type": "withdraw", "message": message}))


def owner(owner: str, name: str = "") -> bytes:
    frame = {"type": "owner", "owner": owner_word(owner)}
    return framed(_encode(frame | {"name": name} if name else frame))


def owner_word(owner: str) -> str:
    """What a visitor is told of who answers: never which account it is."""
    return owner if owner in ("agent", "queue") else "operator"


def queue(position: int, wait_s: int | None) -> bytes:
    return framed(_encode({"type": "queue", "position": position, "wait_s": wait_s}))


def passage(passage: Passage) -> bytes:
    fields = {"id": passage.id, "title": passage.title, "text": passage.text, "url": passage.url}
    return framed(_encode({"type": "passage", **fields}))


def case_ended(case: CaseId) -> bytes:
    return framed(_encode({"type": "case", "id": case, "state": "ended"}))


def error(code: str, detail: str, id: str = "", retry_after_s: float | None = None) -> bytes:  # noqa: A002
    frame: Frame = {"type": "error", "code": code, "detail": detail}
    if id:
        frame["id"] = id
    if retry_after_s is not None:
        frame["retry_after_s"] = retry_after_s
    return framed(_encode(frame))


def busy(failure: Overloaded | StoreUnavailable, id: str = "") -> bytes:  # noqa: A002
    retry_after_s = failure.retry_after_s if isinstance(failure, Overloaded) else 1.0
    return error("busy", "There is a lot going on right now. Please try again in a moment.", id, retry_after_s)


def welcome(token: str, transcript: Transcript, messages: Sequence[Message]) -> bytes:
    conversation = transcript.conversation
    fields = [
        f'"type":"welcome","version":{VERSION},"token":{_quoted(token)}',
        f'"conversation":{_quoted(conversation.id if conversation else "")}',
        f'"owner":"{owner_word(conversation.owner) if conversation else "agent"}"',
        f'"history":[{",".join(map(message_fields, messages))}]',
    ]
    if transcript.owner_name:
        fields.append(f'"owner_name":{_quoted(transcript.owner_name)}')
    if conversation and conversation.case:
        fields.append(f'"case":{_quoted(conversation.case)}')
    if transcript.has_earlier:
        fields.append('"has_earlier":true')
    return framed("{" + ",".join(fields) + "}")
