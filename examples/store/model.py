"""The scripted model as a server: `POST /v1/chat/completions` as OpenAI's, streamed or in one piece.

Format: https://platform.openai.com/docs/api-reference/chat
"""

import itertools
import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from pydantic import BaseModel, ValidationError

from examples.store.script import Call, Say, decide

BODY_BYTES = 10_000_000


class Asked(BaseModel):
    """What is read of a request."""

    messages: list[dict[str, Any]]
    stream: bool = False


@asynccontextmanager
async def serving(port: int) -> AsyncIterator[str]:
    """The model on a port of this machine (0: any) for as long as the context lasts; gives its base URL."""
    app = web.Application(client_max_size=BODY_BYTES)
    numbers = itertools.count(1)

    async def complete(request: web.Request) -> web.StreamResponse:
        try:
            asked = Asked.model_validate_json(await request.read())
        except ValidationError:
            return web.json_response({"error": {"message": "no request", "type": "invalid_request_error"}}, status=400)
        step = decide(asked.messages)
        return await _stream(request, step, next(numbers)) if asked.stream else _whole(step, next(numbers))

    app.router.add_post("/v1/chat/completions", complete)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    finally:
        await runner.cleanup()


def _whole(step: Say | Call, number: int) -> web.Response:
    message: dict[str, Any] = {"role": "assistant", "content": ""}
    for delta in _deltas(step, number):
        message["content"] += delta.get("content", "")
        message.update({name: value for name, value in delta.items() if name == "tool_calls"})
    choice = {"index": 0, "message": message, "finish_reason": _reason(step)}
    return web.json_response(_head(number, "chat.completion") | {"choices": [choice], "usage": _usage()})


async def _stream(request: web.Request, step: Say | Call, number: int) -> web.StreamResponse:
    answer = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
    await answer.prepare(request)
    head = _head(number, "chat.completion.chunk")
    for delta in _deltas(step, number):
        await _send(answer, head | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
    await _send(answer, head | {"choices": [{"index": 0, "delta": {}, "finish_reason": _reason(step)}]})
    await _send(answer, head | {"choices": [], "usage": _usage()})
    await answer.write(b"data: [DONE]\n\n")
    return answer


async def _send(answer: web.StreamResponse, piece: dict[str, Any]) -> None:
    await answer.write(b"data: " + json.dumps(piece).encode() + b"\n\n")


def _deltas(step: Say | Call, number: int) -> Iterator[dict[str, Any]]:
    if isinstance(step, Say):
        for word in re.findall(r"\s*\S+\s*$|\s*\S+", step.text):
            yield {"content": word}
        return
    function = {"name": step.name, "arguments": json.dumps(step.arguments)}
    yield {"tool_calls": [{"index": 0, "id": f"call_{number}", "type": "function", "function": function}]}


def _reason(step: Say | Call) -> str:
    return "stop" if isinstance(step, Say) else "tool_calls"


def _head(number: int, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{number}", "object": kind, "created": 0, "model": "script"}


def _usage() -> dict[str, int]:
    return {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
