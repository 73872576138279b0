"""The routes of gaps and recalls: what people ask and the documents do not answer, and who was told what stands no longer."""

from collections.abc import Sequence
from typing import Final

from aiohttp import web

from bot.console.asking import fields, of_operator, told
from bot.console.room import Room
from bot.errors import DataError, Refused
from bot.gaps.gaps import Gaps
from bot.operators.roles import Right
from bot.ports import Route
from bot.store.sessions import Signed

TITLE_CHARS: Final = 300


class GapPages:
    """Everybody who sees conversations sees gaps; what changes them takes the right to manage knowledge."""

    def __init__(self, room: Room, gaps: Gaps) -> None:
        self._room = room
        self._gaps = gaps

    def routes(self) -> Sequence[Route]:
        room, manage = self._room, Right.MANAGE_KNOWLEDGE
        return [
            Route("GET", "/console/api/gaps", of_operator(room, self._list)),
            Route("GET", "/console/api/gaps/{id}", of_operator(room, self._one)),
            Route("POST", "/console/api/gaps/draft", of_operator(room, self._draft, manage)),
            Route("POST", "/console/api/gaps/accept", of_operator(room, self._accept, manage)),
            Route("POST", "/console/api/gaps/close", of_operator(room, self._close, manage)),
            Route("POST", "/console/api/gaps/recalled", of_operator(room, self._recalled, Right.DECIDE_UNKNOWN)),
        ]

    async def _list(self, signed: Signed, request: web.Request) -> web.StreamResponse:
        is_all = request.query.get("all", "") == "1"
        return told({"gaps": await self._gaps.listed(is_all=is_all), "recalls": await self._gaps.recalls()})

    async def _one(self, signed: Signed, request: web.Request) -> web.StreamResponse:
        return told(await self._gaps.shown(request.match_info["id"]))

    async def _draft(self, signed: Signed, request: web.Request) -> web.StreamResponse:
        asked = await fields(request, "id")
        return told(await self._gaps.drafting.draft(asked["id"], signed.operator.id))

    async def _accept(self, signed: Signed, request: web.Request) -> web.StreamResponse:
        asked = await fields(request, "id", "title", "text")
        try:
            done = await self._gaps.drafting.accept(
                asked["id"], signed.operator.id, asked["title"][:TITLE_CHARS], asked["text"]
            )
        except DataError as error:
            raise Refused("not_written", "The document could not be written: the disk does not take it.") from error
        return told(done)

    async def _close(self, signed: Signed, request: web.Request) -> web.StreamResponse:
        asked = await fields(request, "id")
        return told(await self._gaps.drafting.close(asked["id"], signed.operator.id))

    async def _recalled(self, signed: Signed, request: web.Request) -> web.StreamResponse:
        asked = await fields(request, "entry")
        await self._gaps.settle(asked["entry"], signed.operator.name)
        return told({"ok": True})
