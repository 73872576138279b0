"""Our messages on Discord: one request for one part, a key that the platform remembers, and the look for what may have arrived."""

import json
import logging
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final

from discord.http import Route

from adapters.discord import cards
from adapters.discord.calls import (
    THREAD_ARCHIVED,
    UNKNOWN_CHANNEL,
    UNKNOWN_MESSAGE,
    CallFailure,
    Rejected,
    Uncertain,
    nothing_sent,
    patiently,
    send_error,
)
from adapters.discord.components import messages_of, rows
from adapters.discord.echoes import Echoes
from adapters.discord.payloads import Said, id_at
from adapters.discord.replies import NO_EMBEDS, NO_PINGS
from adapters.discord.rooms import Place, Rooms
from adapters.discord.text import content_of
from adapters.discord.wire import Wire
from bot.errors import Refused, SendUncertain
from bot.model import Address, Message, MessageId
from bot.ports import Host, Receipt

log = logging.getLogger(__name__)

_SHUT: Final = frozenset({THREAD_ARCHIVED, UNKNOWN_CHANNEL})

_NONCE_CHARS: Final = 25
"""Discord's documentation, "Create Message": at most 25 characters."""

WITHDRAWN: Final = "_This answer was withdrawn._"
_BEFORE_MS: Final = 60_000  # how far the clocks may differ when a message is looked for
_PAGE: Final = 100
_PAGES: Final = 5
_FILES: Final = 10
_WHOLE: Final = "message.txt"
_TELLING_CHARS: Final = 24  # a draft is known by its text alone only from this length on


def key_of(message: MessageId, part: int, instead_of: str = "") -> str:
    """The nonce of one part, the same at every try. `instead_of`: it is posted in the place of a message that was deleted, whose own key
    Discord would still refuse."""
    whole = f"{message}\x1f{part}\x1f{instead_of}"
    return blake2b(whole.encode(), digest_size=16).hexdigest()[:_NONCE_CHARS]


class Posts:
    """Posts, edits, deletes and finds. Raises SendError from `send` and `find`, CallFailure elsewhere."""

    def __init__(self, host: Host, wire: Wire, rooms: Rooms, echoes: Echoes, *, has_feedback: bool) -> None:
        self._host = host
        self._wire = wire
        self._rooms = rooms
        self._echoes = echoes
        self._has_feedback = has_feedback

    async def send(self, to: Address, message: Message, shown: str) -> Receipt:
        """`shown`: the draft that the part takes the place of."""
        body = self._whole(to, message)
        files = await self._files(to, message)
        if not body["content"] and not files and not body["components"]:
            return Receipt()  # white space between two parts
        try:
            place = await self._rooms.place(to)
        except CallFailure as failure:
            raise nothing_sent(failure) from failure
        try:
            return Receipt(await self._put_open(to, place, message, shown, body, files))
        except CallFailure as failure:
            raise send_error(failure) from failure

    def _whole(self, to: Address, message: Message) -> Mapping[str, Any]:
        """The body of one part, as people read it or, in their channel, operators."""
        if not self._is_desk(to):
            return _body(content_of(message), rows(message, has_feedback=self._has_feedback))
        shown = cards.shown(message, to)
        body = _body(shown.content, rows(message, has_feedback=False, for_operators=True))
        if shown.called:
            body = {**body, "allowed_mentions": {**NO_PINGS, "users": shown.called}}
        if not cards.is_card(message, to):
            return body
        return {**body, "embeds": [shown.embed] if shown.embed else [], "flags": 0}

    def _is_desk(self, to: Address) -> bool:
        return bool(self._rooms.operators) and to.chat == self._rooms.operators

    async def _put_open(
        self,
        to: Address,
        place: Place,
        message: Message,
        shown: str,
        body: Mapping[str, Any],
        files: "Sequence[_File]",
    ) -> str:
        """In a thread that is archived, or gone, once more."""
        try:
            return await self._put(place, message, shown, body, files)
        except Rejected as rejected:
            if not to.thread or rejected.code not in _SHUT:
                raise
        return await self._put(await self._rooms.reopened(to), message, shown, body, files)

    async def _put(
        self, place: Place, message: Message, shown: str, body: Mapping[str, Any], files: "Sequence[_File]"
    ) -> str:
        if shown:
            try:
                await self._edit(place.channel, shown, body, files)
            except Rejected as rejected:
                is_gone = rejected.code == UNKNOWN_MESSAGE
                if rejected.status == 401 or rejected.code in _SHUT or ("embeds" in body and not is_gone):
                    raise  # a card that cannot be changed now gets no twin
                return await self._post_instead(place, message, shown, body, files)
            return shown
        key = key_of(message.id, message.part)
        try:
            return await self._post(place, key, body, files)
        except Rejected as rejected:
            if rejected.code != UNKNOWN_MESSAGE:
                raise
        return await self._post(place, key_of(message.id, message.part, key), body, files)

    async def _post_instead(
        self, place: Place, message: Message, shown: str, body: Mapping[str, Any], files: "Sequence[_File]"
    ) -> str:
        """The draft is gone, or cannot be changed."""
        posted = await self._post(place, key_of(message.id, message.part, shown), body, files)
        try:
            await self._wire.delete_message(place.channel, shown)
        except CallFailure as failure:
            log.debug("a draft that was replaced is gone, or stays: %s", failure)
        return posted

    async def _post(self, place: Place, key: str, body: Mapping[str, Any], files: "Sequence[_File]") -> str:
        """Posts, and makes sure that it reads so: a key that is known already brings back what was posted under it."""
        whole = {**body, "nonce": key, "enforce_nonce": True}
        if place.answers:
            whole["message_reference"] = {"message_id": place.answers, "fail_if_not_exists": False}
        route = Route("POST", "/channels/{channel_id}/messages", channel_id=place.channel)
        posted = said(await self._ask(route, whole, files))
        self._echoes.told(key, posted.id)
        if not _is_as(posted, body, files):
            await self._edit(place.channel, posted.id, body, files)
        return posted.id

    async def _edit(self, channel: str, id_: str, body: Mapping[str, Any], files: "Sequence[_File]" = ()) -> None:
        route = Route("PATCH", "/channels/{channel_id}/messages/{message_id}", channel_id=channel, message_id=id_)
        await self._ask(route, dict(body), files)

    async def _ask(self, route: Route, body: dict[str, Any], files: "Sequence[_File]") -> object:
        if not files:
            return await self._wire.request(route, json=body)
        body["attachments"] = [{"id": number, "filename": name} for number, (name, _) in enumerate(files)]
        form: list[dict[str, Any]] = [
            {"name": "payload_json", "value": json.dumps(body), "content_type": "application/json"}
        ]
        for number, (name, data) in enumerate(files):
            kind = "application/octet-stream"
            form.append({"name": f"files[{number}]", "value": data, "filename": name, "content_type": kind})
        return await self._wire.request(route, form=form)

    async def _files(self, to: Address, message: Message) -> "Sequence[_File]":
        files: list[_File] = []
        if self._is_desk(to) and (whole := cards.shown(message, to).whole):
            files.append((_WHOLE, whole.encode("utf-8", "replace")))
        for attachment in message.attachments[: _FILES - len(files)]:
            try:
                blob, data = await self._host.open_attachment(message.id, attachment.blob)
            except Refused:  # it has been erased meanwhile
                continue
            files.append((blob.name or "file", b"".join([chunk async for chunk in data])))
        return files

    # --- drafts, notices ---------------------------------------------------------------------------------------------

    async def show(self, to: Address, message: MessageId, content: str, shown: str) -> str:
        """Shows a draft, first or anew, and returns its id."""
        place = await self._rooms.place(to)
        if shown:
            await self._edit(place.channel, shown, _body(content))
            return shown
        return await self._post(place, key_of(message, 0), _body(content), ())

    async def remove(self, to: Address, message: MessageId, shown: str) -> None:
        """Takes a draft away; one whose post was never answered is known by its key. Safe to repeat."""
        id_ = shown or self._echoes.id_of(key_of(message, 0))
        if not id_:
            return
        place = await self._rooms.place(to)
        try:
            await patiently(self._host.clock, lambda: self._wire.delete_message(place.channel, id_))
        except Rejected as rejected:
            if rejected.code == UNKNOWN_MESSAGE:
                return
            await self._edit(place.channel, id_, _body(WITHDRAWN))

    async def tell(self, place: Place, about: str, content: str) -> None:
        """Says something short that the house does not keep, once for each message that it is about."""
        await self._post(place, key_of(MessageId(about), 0, "notice"), _body(content), ())

    # --- what may have arrived ---------------------------------------------------------------------------------------

    async def find(self, to: Address, message: Message, attempted_at_ms: int) -> Receipt | None:
        body = self._whole(to, message)
        try:
            place = await self._rooms.place(to)
            found = await self._found(to, place.channel, message, body["content"], attempted_at_ms)
            if found is None:
                return None
            files = await self._files(to, message)
            if message.text and not _is_as(found, body, files):  # its draft arrived, and the answer has not
                await self._edit(place.channel, found.id, body, files)
            return Receipt(found.id)
        except Rejected as rejected:
            if rejected.code in (UNKNOWN_CHANNEL, UNKNOWN_MESSAGE):
                return None
            raise SendUncertain(str(rejected)) from rejected
        except CallFailure as failure:
            raise SendUncertain(str(failure)) from failure

    async def _found(
        self, to: Address, channel: str, message: Message, content: str, attempted_at_ms: int
    ) -> Said | None:
        keys = _keys(message)
        for id_ in filter(None, [message.replaces, *map(self._echoes.id_of, keys)]):
            try:
                return said(await self._wire.get_message(channel, id_))
            except Rejected as rejected:
                if rejected.is_absent and self._echoes.is_ours(id_):
                    return Said(id=id_)  # its echo is proof enough
                if rejected.code != UNKNOWN_MESSAGE:
                    raise
        since_ms = attempted_at_ms - _BEFORE_MS
        after = id_at(since_ms)
        for _ in range(_PAGES):
            page = [said(raw) for raw in await self._wire.logs_from(channel, _PAGE, after=after)]
            ours = [
                one
                for one in page
                if one.author is not None and one.author.id == self._rooms.me and not 0 < one.sent_ms < since_ms
            ]
            match = await self._unclaimed(to, [one for one in ours if self._is_match(one, keys, content, message)])
            if match is not None or len(page) < _PAGE:
                return match
            after = max((one.id for one in page), key=int)
        raise Uncertain("there is more in the channel than can be looked through")

    async def _unclaimed(self, to: Address, matching: Sequence[Said]) -> Said | None:
        """The newest that is not a part which was sent before: two may read alike."""
        for one in matching:
            if not await self._host.has_receipt(to, one.id):
                return one
        return None

    def _is_match(self, one: Said, keys: Sequence[str], content: str, message: Message) -> bool:
        key = str(one.nonce) or self._echoes.key_of(one.id)
        if key:
            return key in keys
        named = messages_of(one.components)
        if named:
            return message.id in named
        text = (one.content or "").strip()
        is_draft = message.part == 0 and len(text) >= _TELLING_CHARS and content.startswith(text)
        return bool(text) and (text == content or is_draft)


_File = tuple[str, bytes]


def _keys(message: Message) -> Sequence[str]:
    own = key_of(message.id, message.part)
    instead = [message.replaces] if message.replaces else []
    return [own, *(key_of(message.id, message.part, old) for old in [own, *instead])]


def _body(content: str, components: Sequence[object] = ()) -> Mapping[str, Any]:
    """What every post and every edit says: nobody is pinged, no link unfolds."""
    return {
        "content": content,
        "components": list(components),
        "allowed_mentions": NO_PINGS,
        "flags": NO_EMBEDS,
    }


def _is_as(posted: Said, body: Mapping[str, Any], files: Sequence[_File]) -> bool:
    """Whether a message reads as it was meant, as far as is told: a known key brings back what was posted under it first."""
    told = posted.model_fields_set
    is_text = "content" not in told or (posted.content or "").strip() == body["content"]
    has_rows = "components" not in told or bool(posted.components) == bool(body["components"])
    is_framed = (
        "embeds" not in told or "embeds" not in body or cards.reads_as(posted.embeds, next(iter(body["embeds"]), None))
    )
    return is_text and has_rows and is_framed and ("attachments" not in told or len(posted.attachments) == len(files))


def said(raw: object) -> Said:
    """A message from an answer. Raises Uncertain for what is none."""
    try:
        return Said.model_validate(raw)
    except ValueError as error:
        raise Uncertain("Discord's answer is no message") from error
