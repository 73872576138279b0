"""The routes of what the agents know. What answers them reads documents, and is loaded by the first who asks: a start does not wait for it."""

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from aiohttp import web

from bot.console.asking import Answer, Asked, of_operator
from bot.console.room import Room
from bot.operators.roles import Right
from bot.ports import Route
from bot.store.sessions import Signed

if TYPE_CHECKING:
    from bot.console.documents import Documents


class Knowledge:
    """`knowledge` and what is below it."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._real: Documents | None = None

    def routes(self) -> Sequence[Route]:
        manage = Right.MANAGE_KNOWLEDGE
        return [
            Route("GET", "/console/api/knowledge", self._late(lambda real: real.listed)),
            Route("GET", "/console/api/knowledge/why", self._late(lambda real: real.why)),
            Route("GET", "/console/api/knowledge/files/{name}", self._late(lambda real: real.given, manage)),
            Route("POST", "/console/api/knowledge/upload", self._late(lambda real: real.taken, manage)),
            Route("POST", "/console/api/knowledge/delete", self._late(lambda real: real.deleted, manage)),
        ]

    async def close(self) -> None:
        """Ends the child that reads. Safe to repeat."""
        if self._real is not None:
            await self._real.close()

    def _late(self, choose: "Callable[[Documents], Asked]", right: Right = Right.SEE) -> Answer:
        async def answer(signed: Signed, request: web.Request) -> web.StreamResponse:
            if self._real is None:
                made = await asyncio.to_thread(_load)
                self._real = self._real or made(self._room)
            return await choose(self._real)(signed, request)

        return of_operator(self._room, answer, right)


def _load() -> "type[Documents]":
    from bot.console.documents import Documents

    return Documents
