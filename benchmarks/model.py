"""A local model server for measurements: both providers' protocols, the same answer to everybody, as little work as possible.

`python -m benchmarks.model [--chunks N] [--wait-s S] [--pace-s S]` prints its port and serves until it is ended: `/v1/messages` as Anthropic
does, `/v1/chat/completions` as OpenAI does, streaming where the request asks for it. Without a pace an answer leaves in one write.
"""

import argparse
import asyncio
import json

from aiohttp import web

WORD = "word "
SERVED = 32 * 1024 * 1024  # the largest request


def sse(event: dict[str, object], name: str = "") -> bytes:
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(event, separators=(',', ':'))}\n\n".encode()


def anthropic_stream(chunks: int) -> list[bytes]:
    message: dict[str, object] = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "local",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 20, "output_tokens": 1},
    }
    opening = sse({"type": "message_start", "message": message}, "message_start") + sse(
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        "content_block_start",
    )
    delta = sse(
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": WORD}},
        "content_block_delta",
    )
    closing = (
        sse({"type": "content_block_stop", "index": 0}, "content_block_stop")
        + sse(
            {
                "type": "message_delta",
                "delta": {"stop_reason": "end_turn", "stop_sequence": None},
                "usage": {"output_tokens": chunks},
            },
            "message_delta",
        )
        + sse({"type": "message_stop"}, "message_stop")
    )
    return [opening, *[delta] * chunks, closing]


def anthropic_body(chunks: int) -> bytes:
    return json.dumps(
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "local",
            "content": [{"type": "text", "text": WORD * chunks}],
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "usage": {"input_tokens": 20, "output_tokens": chunks},
        }
    ).encode()


def openai_stream(chunks: int) -> list[bytes]:
    def chunk(delta: dict[str, str], finish: str | None = None) -> dict[str, object]:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "local", "choices": [choice]}

    usage = {"prompt_tokens": 20, "completion_tokens": chunks, "total_tokens": 20 + chunks}
    closing = sse(chunk({}, "stop")) + sse({**chunk({}), "choices": [], "usage": usage}) + b"data: [DONE]\n\n"
    return [sse(chunk({"role": "assistant", "content": ""})), *[sse(chunk({"content": WORD}))] * chunks, closing]


def openai_body(chunks: int) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": WORD * chunks}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 20, "completion_tokens": chunks, "total_tokens": 20 + chunks}
    return json.dumps(
        {"id": "c1", "object": "chat.completion", "created": 1, "model": "local", "choices": [choice], "usage": usage}
    ).encode()


class Answers:
    """What it says, made once."""

    def __init__(self, chunks: int, wait_s: float, pace_s: float) -> None:
        self._wait_s = wait_s
        self._pace_s = pace_s
        self._streams = {"messages": anthropic_stream(chunks), "completions": openai_stream(chunks)}
        self._bodies = {"messages": anthropic_body(chunks), "completions": openai_body(chunks)}

    async def answer(self, request: web.Request) -> web.StreamResponse:
        kind = request.path.rsplit("/", 1)[1]
        body = await request.read()
        if self._wait_s:
            await asyncio.sleep(self._wait_s)
        if b'"stream":true' not in body and b'"stream": true' not in body:
            return web.Response(body=self._bodies[kind], content_type="application/json")
        pieces = self._streams[kind]
        if not self._pace_s:
            return web.Response(body=b"".join(pieces), content_type="text/event-stream")
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for piece in pieces:
            await response.write(piece)
            await asyncio.sleep(self._pace_s)
        return response


async def serve(answers: Answers, port: int) -> None:
    app = web.Application(client_max_size=SERVED)
    app.router.add_post("/v1/messages", answers.answer)
    app.router.add_post("/v1/chat/completions", answers.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=4096).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunks", type=int, default=20)
    parser.add_argument("--wait-s", type=float, default=0.0)
    parser.add_argument("--pace-s", type=float, default=0.0)
    parser.add_argument("--port", type=int, default=0)
    given = parser.parse_args()
    asyncio.run(serve(Answers(given.chunks, given.wait_s, given.pace_s), given.port))
