"""What is stored of a person, on the console: seen, corrected, given to them, erased. By the same functions as the commands `user ...`."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, Final

from aiohttp import web

from bot.console.admission import address_of, token_of
from bot.console.archive import packed
from bot.console.asking import fields, named, of_operator, told
from bot.console.room import Room
from bot.errors import Refused
from bot.memory.correcting import correct
from bot.operators.roles import Right
from bot.people.exporting import look
from bot.ports import Route
from bot.store.folder import BLOBS, DATABASE
from bot.store.sessions import Signed

EXPORT_S: Final = 3600.0
SHOWN_CHARS: Final = 6  # of a user's id, to be typed before it is erased
PASSWORD_CHARS: Final = 1_000


class Persons:
    """`users/ID`, what is done with it, and the proof that an erasure asks for."""

    def __init__(self, room: Room) -> None:
        self._room = room

    def routes(self) -> Sequence[Route]:
        room = self._room
        return [
            Route("POST", "/console/api/prove", of_operator(room, self._prove)),
            Route("POST", "/console/api/facts/forget", of_operator(room, self._forget, Right.CORRECT_MEMORY)),
            Route("GET", "/console/api/users/{id}", of_operator(room, self._show, Right.EXPORT)),
            Route("GET", "/console/api/users/{id}/export", of_operator(room, self._export, Right.EXPORT)),
            Route("POST", "/console/api/users/{id}/erase", of_operator(room, self._erase, Right.ERASE)),
        ]

    async def _prove(self, signed: Signed, request: web.Request) -> web.StreamResponse:
        """Password and code anew. It counts for a short while."""
        asked = await fields(request, "password", "code")
        password = asked["password"][:PASSWORD_CHARS]
        await self._room.signing.elevate(token_of(request), password, asked["code"].strip(), address_of(request))
        return told({"ok": True})

    async def _forget(self, signed: Signed, request: web.Request) -> web.StreamResponse:
        asked = await fields(request, "conversation", "fact")
        room, who = self._room, signed.operator.id
        now = room.clock.now_ms()
        for conversation in await room.store.run(correct, who, asked["conversation"], asked["fact"], now):
            room.touch(conversation)
        return told({"ok": True})

    async def _show(self, signed: Signed, request: web.Request) -> web.StreamResponse:
        found = await self._act(signed, "show", request)
        return told({**found, "confirm": confirmation(found["user"])})

    async def _export(self, signed: Signed, request: web.Request) -> web.StreamResponse:
        room = self._room
        user = (await self._act(signed, "export", request))["user"]
        export = await asyncio.to_thread(look, room.data / DATABASE, user, room.clock.now_ms())
        response = web.StreamResponse(headers=named(f"frontdesk-user-{user[:8]}.zip"))
        response.content_type = "application/zip"
        async with room.clock.timeout(EXPORT_S):
            await response.prepare(request)
            async for piece in _in_thread(packed(export, room.data / BLOBS)):
                await response.write(piece)
            await response.write_eof()
        return response

    async def _erase(self, signed: Signed, request: web.Request) -> web.StreamResponse:
        if not signed.is_elevated:
            raise Refused("prove", "Write your password and a new code first: this cannot be undone.")
        asked = await fields(request, "reason", "typed")
        user = (await self._act(signed, "show", request))["user"]
        if asked["typed"].strip().lower() != confirmation(user):
            raise Refused("bad_request", f"Write {confirmation(user)} to say that you mean this person.")
        return told(await self._act(signed, "erase", request, reason=asked["reason"]))

    async def _act(self, signed: Signed, command: str, request: web.Request, **arguments: str) -> dict[str, Any]:
        wanted = {"user": request.match_info["id"], **arguments}
        found = await self._room.persons.act(signed.operator.id, f"user {command}", wanted)
        if not isinstance(found, dict):
            raise TypeError(f"user {command} tells {type(found).__name__}")
        return found


def confirmation(user: str) -> str:
    """What is typed by whoever means to erase this user."""
    return f"erase {user[:SHOWN_CHARS].lower()}"


async def _in_thread(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    while piece := await asyncio.to_thread(next, pieces, b""):
        yield piece
