"""An MCP server of the handshake kind over HTTP, written by hand, so that a test decides what each POST is answered with."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

TOOL = {
    "name": "refund",
    "description": "Gives money back.",
    "inputSchema": {"type": "object", "properties": {"order": {"type": "string"}}, "required": ["order"]},
}


class Plain:
    """`status` and `body` answer calls in the place of a result; `is_cut`: the connection is closed instead."""

    def __init__(self) -> None:
        self.status = 200
        self.body: object = None
        self.is_cut = False
        self.is_silent = False
        self.session = 1
        self.calls: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.asked = asyncio.Event()
        self.url = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if request.method != "POST":
            return web.Response(status=405)
        self.headers.append(dict(request.headers))
        message = await request.json()
        method = message["method"]
        if method == "tools/call":
            return await self._call(request, message)
        if method == "initialize":
            result = {
                "protocolVersion": "2025-06-18",
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "plain", "version": "1"},
            }
            return self._result(message, result, {"Mcp-Session-Id": str(self.session)})
        if request.headers.get("Mcp-Session-Id") != str(self.session) and method != "server/discover":
            return web.json_response({"error": "no such session"}, status=404)
        if method == "tools/list":
            return self._result(message, {"tools": [TOOL]})
        if "id" not in message:
            return web.Response(status=202)
        return web.json_response({"jsonrpc": "2.0", "id": message["id"], "error": {"code": -32601, "message": "no"}})

    async def _call(self, request: web.Request, message: dict[str, Any]) -> web.StreamResponse:
        if request.headers.get("Mcp-Session-Id") != str(self.session):
            return web.json_response({"error": "no such session"}, status=404)
        self.calls.append(message["params"])
        self.asked.set()
        if self.is_silent:
            await asyncio.Event().wait()
        if self.is_cut:
            assert request.transport is not None
            request.transport.abort()
        if self.status != 200:
            return web.json_response(self.body, status=self.status)
        return self._result(message, self.body or {"content": [{"type": "text", "text": "done"}]})

    def _result(self, message: dict[str, Any], result: object, headers: dict[str, str] | None = None) -> web.Response:
        return web.json_response({"jsonrpc": "2.0", "id": message["id"], "result": result}, headers=headers)


@asynccontextmanager
async def plain() -> AsyncIterator[Plain]:
    served = Plain()
    app = web.Application()
    app.router.add_route("*", "/mcp", served.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    served.url = f"http://127.0.0.1:{runner.addresses[0][1]}/mcp"
    try:
        yield served
    finally:
        await runner.cleanup()
