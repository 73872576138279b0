"""Faults on demand: what networks and servers do to a request, done to the next ones of a path."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Kind = Literal["drop_reply", "refuse", "slow", "500_after", "cut"]


class Order(BaseModel):
    """`POST /faults`: the next `count` requests with this path (and method, "" for any).

    refuse: 503, and nothing is done. All others do it first: drop_reply closes without a word, slow waits `seconds` before the answer,
    500_after answers 500, cut breaks off in the middle of the answer."""

    model_config = ConfigDict(extra="forbid", strict=True)

    path: str
    kind: Kind
    count: int = Field(default=1, ge=1, le=1000)
    method: str = ""
    seconds: float = Field(default=30, gt=0, le=600)


@dataclass(slots=True)
class _Left:
    order: Order
    count: int


class Faults:
    """What has been ordered and not yet happened. `stop` ends every wait."""

    def __init__(self) -> None:
        self._left: list[_Left] = []
        self._stopping = asyncio.Event()

    def add(self, order: Order) -> None:
        self._left.append(_Left(order, order.count))

    def stop(self) -> None:
        self._stopping.set()

    async def pass_through(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        fault = self._next(request)
        if fault is None:
            return await handler(request)
        if fault.kind == "refuse":
            return web.json_response({"code": "busy", "detail": "The shop is busy. Nothing was done."}, status=503)
        return await self._spoil(fault, request, await handler(request))

    def _next(self, request: web.Request) -> Order | None:
        for left in self._left:
            if left.count and left.order.path == request.path and left.order.method in ("", request.method):
                left.count -= 1
                return left.order
        return None

    async def _spoil(self, fault: Order, request: web.Request, answer: web.StreamResponse) -> web.StreamResponse:
        match fault.kind:
            case "slow":
                await self._wait(fault.seconds)
                return answer
            case "500_after":
                return web.json_response({"code": "broken", "detail": "Something went wrong."}, status=500)
            case "cut":
                await _send_half(request, answer)
        if request.transport is not None:
            request.transport.abort()
        return answer

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return


async def _send_half(request: web.Request, answer: web.StreamResponse) -> None:
    body = answer.body if isinstance(answer, web.Response) else b""
    whole = body if isinstance(body, bytes) else b""
    half = web.StreamResponse(status=answer.status, headers={"Content-Type": "application/json"})
    half.content_length = len(whole)
    await half.prepare(request)
    await half.write(whole[: len(whole) // 2])
