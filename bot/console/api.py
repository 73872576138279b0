"""What the page reads and asks for: the inbox, a conversation, a turn; commands and presence."""

from collections.abc import Sequence
from typing import Any, Final

from aiohttp import web

from bot.commands import reports
from bot.console.asking import fields, of_operator, require, told
from bot.console.entering import me
from bot.console.presence import Presences
from bot.console.reading import note_reading
from bot.console.room import Room, uploader
from bot.errors import Refused
from bot.handoff import hours
from bot.handoff.commands import Command, Kind, parse, plain
from bot.handoff.control import ONLY_IN_ROOMS
from bot.handoff.orders import RIGHTS
from bot.handoff.views_rows import PAGE, PAGE_MOST, Json, Wanted
from bot.model import Attachment, BlobId, ConversationId, PassageId
from bot.operators.operator import Operator, Presence
from bot.operators.roles import Right
from bot.ports import Route
from bot.store import records
from bot.store.sessions import Signed
from bot.text import clean

KEY_CHARS: Final = 100
FILES_MOST: Final = 10
SEARCH_CHARS: Final = 200
_PRESENCES: Final = {Kind.ONLINE: Presence.ONLINE, Kind.AWAY: Presence.AWAY}
DROP: Final = "drop"  # `!suggest drop`, with a suggestion: it is not wanted


class Api:
    """Everything of it is for operators who are signed in."""

    def __init__(self, room: Room, presences: Presences) -> None:
        self._room = room
        self._presences = presences

    def routes(self) -> Sequence[Route]:
        reads = {
            "me": self._me,
            "inbox": self._inbox,
            "conversations/{id}": self._conversation,
            "conversations/{id}/entries": self._entries,
            "turns/{id}": self._turn,
            "passages/{id:.+}": self._passage,
        }
        changes = {"command": self._command, "presence": self._presence}
        return [
            *(Route("GET", f"/console/api/{path}", of_operator(self._room, asked)) for path, asked in reads.items()),
            *(Route("POST", f"/console/api/{path}", of_operator(self._room, asked)) for path, asked in changes.items()),
        ]

    # --- reading -----------------------------------------------------------------------------------------------------

    async def _me(self, signed: Signed, request: web.Request) -> web.StreamResponse:
        room, settings = self._room, self._room.settings()
        loads, now = await room.views.loads(), room.clock.now_ms()
        people = [each for each in await room.operators.all() if not each.is_disabled]
        return told(
            {
                "operator": me(signed.operator),
                "csrf": signed.csrf,
                "operators": [_colleague(each, loads.get(each.id, 0)) for each in people],
                "teams": sorted({team for each in people for team in each.teams}),
                "canned": list(settings.canned),
                "hours": {
                    "is_open": hours.is_open(settings.hours, now),
                    "next_opening_ms": hours.next_opening(settings.hours, now),
                },
                "now_ms": now,
            }
        )

    async def _inbox(self, signed: Signed, request: web.Request) -> web.StreamResponse:
        asked = request.query
        wanted = Wanted(
            asked.get("filter", "all"),
            clean(asked.get("q", "")[:SEARCH_CHARS]),
            signed.operator.id,
            asked.get("before", ""),
            _number(asked.get("limit", ""), PAGE, PAGE_MOST),
        )
        return told(await self._room.views.inbox(wanted))

    async def _conversation(self, signed: Signed, request: web.Request) -> web.StreamResponse:
        found = await self._room.views.conversation(request.match_info["id"])
        await self._note(signed, request)
        return told(found)

    async def _entries(self, signed: Signed, request: web.Request) -> web.StreamResponse:
        before = _number(request.query.get("before", ""), 0, 2**53)
        stream = await self._room.views.entries(request.match_info["id"], before)
        await self._note(signed, request)
        return told({"entries": stream.entries, "more_before": stream.has_earlier})

    async def _note(self, signed: Signed, request: web.Request) -> None:
        await note_reading(self._room.store, self._room.clock, signed.operator.id, request.match_info["id"])

    async def _turn(self, signed: Signed, request: web.Request) -> web.StreamResponse:
        return told(await reports.trace(self._room.store.read, request.match_info["id"]))

    async def _passage(self, signed: Signed, request: web.Request) -> web.StreamResponse:
        found = await self._room.passage(PassageId(request.match_info["id"]))
        if found is None:
            raise Refused("no_passage", "This passage is no longer part of the documents.")
        return told({"id": found.id, "title": found.title, "text": found.text, "url": found.url})

    # --- asking ------------------------------------------------------------------------------------------------------

    async def _command(self, signed: Signed, request: web.Request) -> web.StreamResponse:
        asked = await fields(request, "conversation", "line", "key")
        if not 0 < len(asked["key"]) <= KEY_CHARS:
            raise Refused("bad_request", f"The key of a command has 1 to {KEY_CHARS} letters.")
        command = parse(asked["line"], has_files=bool(asked.get("attachments"))) or plain(
            asked["line"].strip(), is_reply=False
        )
        check(signed.operator, command)
        if command.kind is Kind.LINK:
            raise Refused("bad_request", ONLY_IN_ROOMS)
        if command.is_of_case and not await self._room.views.is_there(asked["conversation"]):
            raise Refused("no_conversation", "This conversation is not there (any more).")
        if command.kind in _PRESENCES:
            await self._presences.choose(signed.operator, _PRESENCES[command.kind])
            return _done(f"You are {_PRESENCES[command.kind]}.")
        suggestion = str(asked.get("suggestion") or "")
        if suggestion and (command.kind, command.text) == (Kind.SUGGEST, DROP):
            return await self._drop(signed.operator, asked["conversation"], suggestion)
        done = await self._room.desk.act(
            signed.operator,
            ConversationId(asked["conversation"]),
            command,
            key=f"console:{signed.operator.id}:{asked['key']}",
            attachments=await self._attachments(signed.operator, asked.get("attachments", [])),
            suggestion=suggestion,
        )
        return _done(done.text, done.warning, done.message, done.suggestion)

    async def _drop(self, operator: Operator, conversation: str, suggestion: str) -> web.StreamResponse:
        await self._room.desk.drop(operator, suggestion)
        self._room.touch(conversation)
        return _done("The proposal is dropped.", suggestion=suggestion)

    async def _presence(self, signed: Signed, request: web.Request) -> web.StreamResponse:
        asked = await fields(request, "presence")
        if asked["presence"] not in list(Presence):
            raise Refused("bad_request", f"A presence is one of: {', '.join(Presence)}.")
        operator = await self._presences.choose(signed.operator, Presence(asked["presence"]))
        return told({"operator": me(operator)})

    async def _attachments(self, operator: Operator, blobs: Any) -> list[Attachment]:  # untyped JSON
        if not isinstance(blobs, list) or len(blobs) > FILES_MOST or not all(isinstance(each, str) for each in blobs):
            raise Refused("bad_request", f"At most {FILES_MOST} files go with one message.")
        found = []
        for each in blobs:
            key = records.blob_key(BlobId(clean(each)), uploader(operator))
            rows = await self._room.store.read(records.BLOB_OF_OWNER, key)
            if not rows:
                raise Refused("no_blob", "A file of this message is not there (any more). Add it again.")
            blob = records.blob_of(rows[0])
            found.append(Attachment(blob.id, blob.name, blob.media_type, blob.size_bytes))
        return found


def check(operator: Operator, command: Command) -> None:
    """Denied by default; what carries the command out looks again. Raises Refused("not_allowed")."""
    require(operator, RIGHTS.get(command.kind, Right.TAKE))


def _done(text: str, warning: str = "", message: str = "", suggestion: str = "") -> web.Response:
    return told({"text": text, "warning": warning, "message": message, "suggestion": suggestion})


def _colleague(operator: Operator, load: int) -> Json:
    return {
        "id": operator.id,
        "name": operator.name,
        "role": operator.role,
        "presence": operator.presence.value,
        "teams": list(operator.teams),
        "skills": list(operator.skills),
        "languages": list(operator.languages),
        "load": load,
        "capacity": operator.capacity,
    }


def _number(text: str, otherwise: int, most: int) -> int:
    """A whole number of a query, at least 1. Raises Refused."""
    if not text:
        return otherwise
    if not text.isascii() or not text.isdecimal() or len(text) > 16 or not 0 < int(text) <= most:
        raise Refused("bad_request", f"{text[:20]!r} is no number from 1 to {most}.")
    return int(text)
