"""What a client's frames mean to the house: each becomes one event (or one question), and its answer a frame."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Final

from adapters.web import frames
from adapters.web.frames import BadFrame, Frame
from adapters.web.presence import Visitor
from adapters.web.room import Room, opened
from bot.errors import Overloaded, Refused, StoreUnavailable
from bot.ids import time_of_id
from bot.model import (
    Accepted,
    Attachment,
    Author,
    BlobId,
    ButtonPressed,
    CaseEnded,
    CaseId,
    Delivered,
    FeedbackGiven,
    Message,
    MessageId,
    MessageReceived,
    PassageId,
    TypingSeen,
)

if TYPE_CHECKING:
    from adapters.web.socket import Session

_DAY_MS: Final = 24 * 3600 * 1000


async def _take_message(session: "Session", visitor: Visitor, frame: Frame) -> None:
    """Stores what the person says, acknowledges it only then, and shows it on the person's other pages."""
    id_: str = frame["id"]
    refusal = _refusal(session.room, visitor, frame)
    if refusal:
        session.send(refusal)
        return
    try:
        accepted = await session.room.host.receive(_message(session.room, visitor, frame))
    except Refused as refused:
        session.send(frames.error(refused.code, refused.detail, id_))
        return
    except (Overloaded, StoreUnavailable) as failure:
        session.send(frames.busy(failure, id_))
        return
    session.confirm(frames.ack(id_, accepted.message, accepted.seq))
    if len(visitor.sessions) > 1 and not accepted.is_duplicate:
        await _echo(session, visitor, frame, accepted)


def _refusal(room: Room, visitor: Visitor, frame: Frame) -> bytes:
    """The error that answers a message which cannot be taken; nothing for one that can. Raises BadFrame."""
    limits, text, files = room.limits, frame["text"], frame.get("attachments", ())
    if len(text) > limits.message_chars:
        detail = f"Your message is too long: {limits.message_chars} characters at most."
        return frames.error("too_long", detail, frame["id"])
    if not files and not text.strip():
        return frames.error("empty", "Your message is empty.", frame["id"])
    if len(files) > limits.uploads_per_message:
        raise BadFrame(f"A message carries at most {limits.uploads_per_message} files.", frame["id"])
    wait_s = visitor.messages.take(limits.messages_per_minute, room.host.clock.monotonic())
    if wait_s:
        detail = "You are writing faster than we can read. Please wait a moment."
        return frames.error("too_fast", detail, frame["id"], round(wait_s + 0.05, 1))
    return b""


def _message(room: Room, visitor: Visitor, frame: Frame) -> MessageReceived:
    id_: str = frame["id"]
    sent_at_ms = time_of_id(id_)
    is_plausible = sent_at_ms and -_DAY_MS < room.host.clock.now_ms() - sent_at_ms < 30 * _DAY_MS
    return MessageReceived(
        visitor.identity,
        visitor.at,
        f"{visitor.at.chat}:{id_}",
        frame["text"],
        tuple(frame.get("attachments", ())),
        sent_at_ms if is_plausible else 0,
    )


async def _echo(session: "Session", visitor: Visitor, frame: Frame, accepted: Accepted) -> None:
    files = [await _attachment(session.room, visitor, BlobId(blob)) for blob in frame.get("attachments", ())]
    now_ms = session.room.host.clock.now_ms()
    message = Message(accepted.message, accepted.seq, Author.USER, frame["text"], now_ms, attachments=tuple(files))
    echo = frames.message(message)
    for other in visitor.sessions:
        if other is not session:
            other.deliver(accepted.seq, echo)


async def _attachment(room: Room, visitor: Visitor, blob: BlobId) -> Attachment:
    async with opened(room.host, blob, visitor.identity) as (file, _):
        return Attachment(file.id, file.name, file.media_type, file.size_bytes)


def _take_received(session: "Session", visitor: Visitor, frame: Frame) -> Awaitable[object]:
    return session.room.host.receive(Delivered(visitor.at, frame["seq"]))


def _take_typing(session: "Session", visitor: Visitor, frame: Frame) -> Awaitable[object]:
    return session.room.host.receive(TypingSeen(visitor.at))


def _take_press(session: "Session", visitor: Visitor, frame: Frame) -> Awaitable[object]:
    message, button = frame["message"], frame["button"]
    external_id = f"press:{message}:{button}"
    return session.room.host.receive(ButtonPressed(visitor.identity, visitor.at, external_id, message, button))


def _take_feedback(session: "Session", visitor: Visitor, frame: Frame) -> Awaitable[object]:
    message = MessageId(frame["message"]) if "message" in frame else None
    case = CaseId(frame["case"]) if "case" in frame else None
    return session.room.host.receive(FeedbackGiven(visitor.identity, visitor.at, frame["value"], message, case))


async def _take_passage(session: "Session", visitor: Visitor, frame: Frame) -> None:
    session.send(frames.passage(await session.room.host.passage(PassageId(frame["id"]))))


def _take_end(session: "Session", visitor: Visitor, frame: Frame) -> Awaitable[object]:
    return session.room.host.receive(CaseEnded(visitor.identity, visitor.at))


async def _take_hello(session: "Session", visitor: Visitor, frame: Frame) -> None:
    raise BadFrame("Hello was said already.")


TAKERS: Final[Mapping[str, Callable[["Session", Visitor, Frame], Awaitable[object]]]] = {
    "hello": _take_hello,
    "message": _take_message,
    "press": _take_press,
    "feedback": _take_feedback,
    "typing": _take_typing,
    "received": _take_received,
    "passage": _take_passage,
    "end": _take_end,
}
"""By the frame's type. Each may raise Refused (BadFrame too), Overloaded or StoreUnavailable: the session answers for it."""
