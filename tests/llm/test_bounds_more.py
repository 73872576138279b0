"""What holds at the edges of those bounds."""

import asyncio
import json
import random
import socket
import threading
import tracemalloc
from contextlib import aclosing
from typing import Any

import pytest
from aiohttp import web
from pydantic import SecretStr

from bot.config.schema import Model
from bot.errors import Fault
from bot.llm import content
from bot.llm.anthropic import LINGER_S, AnthropicModel
from bot.llm.clients import Clients
from bot.llm.content import COPIES, room_for
from bot.llm.faults import from_answer
from bot.llm.openai import OpenAIModel
from bot.llm.reach import reach
from bot.llm.room import Room
from bot.llm.stream import MOST_ANSWER_BYTES, MOST_EVENT_BYTES, Events
from bot.model import Attachment, BlobId
from bot.net.perimeter import Perimeter
from bot.ports import Reasoning, ToolCall
from tests.clock import ManualClock, settle
from tests.llm.calling import anthropic, asking, blobs, called, failure, text_of, user
from tests.models.anthropic_server import AnthropicServer
from tests.models.openai_server import OpenAIServer
from tests.models.wire import Call, Received, Reply

BOTH = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
PROVIDERS = pytest.mark.parametrize("provider", ["anthropic", "openai"])


async def test_a_call_that_is_cancelled_while_room_is_made_for_it_ends_as_cancelled() -> None:
    room = Room(100)
    has_begun, may_end = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        async with room.hold(60):
            has_begun.set()
            await may_end.wait()

    first, second = asyncio.ensure_future(hold()), asyncio.ensure_future(hold())
    await settle()
    may_end.set()
    first.cancel()
    second.cancel()
    ends = await asyncio.gather(first, second, return_exceptions=True)
    assert [type(end) for end in ends] == [asyncio.CancelledError] * 2
    async with asyncio.timeout(1), room.hold(100):
        pass


def test_room_is_taken_for_the_files_that_are_sent_and_no_others() -> None:
    """The same file five times is sent once, and leaves a place for an older one."""
    small, large = (Attachment(BlobId(str(size)), "a.png", "image/png", size) for size in (10, 1_000))
    messages = [user("", large), *(user("", small) for _ in range(5))]
    assert room_for(messages, lambda _: True) == 1_010 * COPIES


def test_many_whole_events_in_one_piece_are_none_without_end() -> None:
    event = b"data: " + b"x" * 1_000 + b"\n\n"
    assert len(Events().feed(event * (MOST_EVENT_BYTES // 1_000 + 10))) == MOST_EVENT_BYTES // 1_000 + 10


@PROVIDERS
async def test_an_error_without_end_is_not_read_to_its_end(provider: str) -> None:
    async with _server(provider) as server:
        server.replies.append(Reply(status=500, raw=b"x" * (MOST_ANSWER_BYTES + 1), content_type="text/plain"))
        clients = Clients(Perimeter([]))
        error = await failure(_model(provider, _url(server), clients))
        await clients.close()
    assert error.fault is Fault.MALFORMED


async def test_a_character_whose_halves_come_in_two_pieces_is_one() -> None:
    async with AnthropicServer() as server, anthropic(server) as model:
        server.replies.append(_escaped(server, Reply("\ud83d\ude00", chunks=2), stream=True))
        server.replies.append(_escaped(server, Reply("\ud83d\ude00 and \ud83d", chunks=9), stream=True))
        assert text_of(await called(model)) == "\N{GRINNING FACE}"
        assert text_of(await called(model)) == "\N{GRINNING FACE} and \N{REPLACEMENT CHARACTER}"


@BOTH
async def test_half_a_character_in_a_call_or_a_thought_can_be_stored(stream: bool) -> None:
    call = Call("search_knowledge", '{"query": "\ud83d\ude00 \ud83d"}', "toolu_a")
    reply = Reply("", calls=(call,), reasoning="a \ud83d\ude00 \ud83d", chunks=99)
    async with AnthropicServer() as server, anthropic(server, stream=stream) as model:
        server.replies.append(_escaped(server, reply, stream=stream))
        chunks = await called(model)
    (made,) = [chunk for chunk in chunks if isinstance(chunk, ToolCall)]
    (thought,) = [chunk for chunk in chunks if isinstance(chunk, Reasoning)]
    assert json.loads(made.arguments.encode()) == {"query": "\N{GRINNING FACE} \N{REPLACEMENT CHARACTER}"}
    assert json.loads(thought.data.encode())[0]["thinking"] == "a \N{GRINNING FACE} \N{REPLACEMENT CHARACTER}"


def test_what_an_error_repeats_of_a_long_request_is_found() -> None:
    """Wherever in the request it stands; other words stay."""
    dice = random.Random(1)
    words = " ".join("".join(dice.choices("etaoinshrdlu", k=dice.randint(2, 9))) for _ in range(10_000))
    message = " ".join(f"some other{n} thing" for n in range(20)) + words[30_000:30_060]
    detail = str(from_answer(400, {"error": {"message": message}}, {}, 0, [words]))
    assert words[30_005:30_050] not in detail
    assert "some other0 thing" in detail


@PROVIDERS
async def test_the_files_of_a_call_are_let_go_of_once_its_answer_begins(provider: str) -> None:
    """And with them the room that they took."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        left = int(next(line.split()[1] for line in head.splitlines() if line.lower().startswith(b"content-length")))
        while left:
            left -= len(await reader.read(min(left, 65_536)))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + FIRST[provider])
        await ended.wait()
        writer.close()
        await writer.wait_closed()

    ended = asyncio.Event()
    large = b"\xff" * 3_000_000
    file = Attachment(BlobId("a"), "a.png", "image/png", len(large))
    clients = Clients(Perimeter([]))
    await clients.warm([provider])
    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        model = _model(provider, url, clients, a=large)
        tracemalloc.start()
        try:
            async with aclosing(model.stream(asking(user("Look.", file)))) as chunks:
                await anext(chunks)
                kept, peak = tracemalloc.get_traced_memory()
                async with asyncio.timeout(1), clients.room.hold(10**12):
                    pass
        finally:
            tracemalloc.stop()
            ended.set()
            await clients.close()
    assert peak > 3_000_000
    assert kept < 2_000_000


@PROVIDERS
async def test_a_request_with_files_is_not_encoded_on_the_loop(provider: str, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = set[bool]()
    plain = content._encode

    def watched(value: object) -> str:
        threads.add(threading.current_thread() is threading.main_thread())
        return plain(value)

    monkeypatch.setattr(content, "_encode", watched)
    clients = Clients(Perimeter([]))
    async with _server(provider) as server:
        model = _model(provider, _url(server), clients, a=b"picture")
        await called(model, asking(user("Look.", Attachment(BlobId("a"), "a.png", "image/png", 7))))
        await clients.close()
    assert threads == {False}


async def test_an_error_within_an_answer_repeats_nothing_of_the_request() -> None:
    clients = Clients(Perimeter([]))
    async with OpenAIServer() as server:
        message = "cannot read: my secret is the number 12345"
        server.replies.append(Reply(error_event=1, error="server_error", message=message))
        error = await failure(_model("openai", _url(server), clients), asking(user("my secret is the number 12345")))
        await clients.close()
    assert "12345" not in str(error)


def _escaped(server: AnthropicServer, reply: Reply, *, stream: bool) -> Reply:
    """The same reply in JSON that is ASCII alone, in which a server may write half a character."""
    asked = Received({"model": "m"}, {})
    if not stream:
        return Reply(raw=json.dumps(server.whole(reply, asked)).encode())
    frames = [f"event: {name}\ndata: {json.dumps(event)}\n\n" for name, event in server.events(reply, asked)]
    return Reply(raw="".join(frames).encode(), content_type="text/event-stream")


async def test_pings_after_its_end_do_not_keep_an_answer_open() -> None:
    clock = ManualClock()
    async with AnthropicServer() as server, anthropic(server, clock) as model:
        server.replies.append(Reply(silent_after=99))
        asked = asyncio.ensure_future(called(model))
        await server.silence()
        for _ in range(20):
            if asked.done():
                break
            await server.say(server.ping)
            await asyncio.wait([asked], timeout=0.01)
            await clock.advance(LINGER_S * 0.4)
        assert asked.done()
        assert text_of(await asked) == "Hello, how can I help?"


async def test_what_stands_in_the_way_of_a_server_does_not_show_the_key() -> None:
    key = "0123456789abcdefghij"

    async def refuse(request: web.Request) -> web.Response:
        return web.json_response({"error": {"message": f"no such key: {key}"}}, status=401)

    app = web.Application()
    app.router.add_get("/models", refuse)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    clients = Clients(Perimeter([]))
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    settings = Model(provider="openai", model="m", base_url=url, api_key=SecretStr(key))
    said, _ = await reach(settings, clients, ManualClock())
    await clients.close()
    await runner.cleanup()
    assert said.startswith("401")
    assert key not in said


async def test_a_host_in_other_letters_is_compared_as_it_is_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def getaddrinfo(*_: object, **__: object) -> object:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    for allowed, fault in (("xn--mnchen-3ya.example", Fault.UNREACHABLE), ("munchen.example", Fault.REJECTED)):
        clients = Clients(Perimeter([allowed]))
        assert (
            await failure(_model("anthropic", "https://m\N{LATIN SMALL LETTER U WITH DIAERESIS}nchen.example", clients))
        ).fault is fault
        await clients.close()


FIRST = {
    "anthropic": b'data: {"type":"message_start","message":{"usage":{"input_tokens":1}}}\n\n',
    "openai": b'data: {"choices":[{"delta":{"content":"Well"}}]}\n\n',
}


def _server(provider: str) -> AnthropicServer | OpenAIServer:
    return AnthropicServer() if provider == "anthropic" else OpenAIServer()


def _url(server: AnthropicServer | OpenAIServer) -> str:
    return server.base_url if isinstance(server, OpenAIServer) else server.url


def _model(provider: str, url: str, clients: Clients, **files: bytes) -> AnthropicModel | OpenAIModel:
    named: dict[str, Any] = {"provider": provider, "model": "m", "base_url": url, "reads": ("images",)}
    settings = Model(**named, api_key=SecretStr("sk-test-0123456789abcdef"))
    kind = AnthropicModel if provider == "anthropic" else OpenAIModel
    return kind("m", settings, clients, blobs(**files), ManualClock())
