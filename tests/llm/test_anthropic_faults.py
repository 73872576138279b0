"""Whatever goes wrong on the wire: a ModelError that says what, or the whole answer; never half a call, and no connection left behind."""

import asyncio
import gc
import gzip
import json
import os
from collections.abc import Sequence

import pytest

from bot.errors import Fault, ModelError
from bot.llm.anthropic import AnthropicModel
from bot.ports import Chunk, Finished, TextDelta, ToolCall
from tests.clock import ManualClock
from tests.llm.calling import anthropic, asking, called, failure, only, outcome, text_of, user
from tests.models.anthropic_server import AnthropicServer
from tests.models.wire import Call, Received, Reply

BOTH = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
ANSWER = Reply("Look: ä", chunks=2, reasoning="Hm.", calls=(Call("search_knowledge", '{"query": "a"}', "toolu_1"),))
ASKED = Received({"model": "m"}, {})


@BOTH
@pytest.mark.parametrize(
    ("status", "kind", "headers", "fault", "wait_s"),
    [
        (429, "rate_limit_error", {}, Fault.RATE_LIMITED, None),
        (429, "rate_limit_error", {"retry-after": "12"}, Fault.RATE_LIMITED, 12.0),
        (500, "api_error", {}, Fault.OVERLOADED, None),
        (529, "overloaded_error", {"retry-after": "2"}, Fault.OVERLOADED, 2.0),
        (401, "authentication_error", {}, Fault.KEY, None),
        (403, "permission_error", {}, Fault.KEY, None),
        (402, "billing_error", {}, Fault.BALANCE, None),
        (404, "not_found_error", {}, Fault.NOT_FOUND, None),
        (413, "request_too_large", {}, Fault.TOO_LONG, None),
        (400, "invalid_request_error", {}, Fault.REJECTED, None),
    ],
)
async def test_a_refusal_is_named_and_tried_once(
    stream: bool, status: int, kind: str, headers: dict[str, str], fault: Fault, wait_s: float | None
) -> None:
    async with AnthropicServer() as server, anthropic(server, stream=stream) as model:
        server.replies.append(Reply(status=status, error=kind, headers=headers))
        error = await failure(model)
    assert (error.fault, error.retry_after_s) == (fault, wait_s)
    assert str(status) in str(error)
    assert len(server.ledger) == 1


async def test_a_prompt_that_is_too_long_is_told_from_other_mistakes() -> None:
    async with AnthropicServer() as server, anthropic(server) as model:
        message = "prompt is too long: 208310 tokens > 200000 maximum"
        server.replies.append(Reply(status=400, error="invalid_request_error", message=message))
        assert (await failure(model)).fault is Fault.TOO_LONG


async def test_what_people_wrote_and_the_key_stay_out_of_the_error() -> None:
    async with AnthropicServer() as server, anthropic(server) as model:
        message = f"cannot parse 'My card is 4111 1111 1111 1111' for key {server.key}"
        server.replies.append(Reply(status=400, error="invalid_request_error", message=message))
        error = await failure(model, asking(user("Hello. My card is 4111 1111 1111 1111, please help.")))
    assert "4111" not in str(error)
    assert server.key not in str(error)
    assert "cannot parse" in str(error)


@BOTH
@pytest.mark.parametrize(
    ("kind", "fault"), [("overloaded_error", Fault.OVERLOADED), ("rate_limit_error", Fault.RATE_LIMITED)]
)
async def test_f35_an_error_inside_a_success_is_an_error(stream: bool, kind: str, fault: Fault) -> None:
    async with AnthropicServer() as server, anthropic(server, stream=stream) as model:
        for at in range(8):
            server.replies.append(Reply(text="Looking.", calls=ANSWER.calls, error_event=at, error=kind))
            error = await failure(model)
            assert error.fault is fault
            assert "the server says no" in str(error)


@BOTH
@pytest.mark.parametrize("is_clean", [False, True], ids=["broken off", "ended early"])
async def test_f36_cut_at_any_byte_an_answer_is_whole_or_an_error(stream: bool, is_clean: bool) -> None:
    """No prefix of an answer passes for the answer, gives a call, raises anything but ModelError, or keeps its connection."""
    async with AnthropicServer() as server, anthropic(server, stream=stream) as model:
        whole = await _given(server, model, ANSWER)
        assert isinstance(whole, list)
        assert len(only(whole, ToolCall)) == 1
        size = sum(map(len, server.frames(ANSWER, ASKED))) if stream else len(_plain(server))
        before = _sockets()
        wholes = 0
        for at in range(size):
            server.replies.append(_cut(at, is_clean))
            seen: list[Chunk] = []
            given = await _watched(model, seen)
            if given is None:
                wholes += 1
                assert only(seen, ToolCall, Finished) == only(whole, ToolCall, Finished)
                assert text_of(seen) == text_of(whole)
            else:
                assert given.fault in (Fault.UNREACHABLE, Fault.MALFORMED)
                assert only(seen, ToolCall, Finished) == []
                assert text_of(whole).startswith(text_of(seen))
        assert wholes < size / 10
        assert await _given(server, model, ANSWER) == whole
        await _until_closed(before + 2)


def _cut(at: int, is_clean: bool) -> Reply:
    return Reply(
        ANSWER.text,
        chunks=ANSWER.chunks,
        reasoning=ANSWER.reasoning,
        calls=ANSWER.calls,
        cut_after=at,
        is_cut_cleanly=is_clean,
    )


def _plain(server: AnthropicServer) -> bytes:
    return json.dumps(server.whole(ANSWER, ASKED), ensure_ascii=False).encode()


async def _watched(model: AnthropicModel, seen: list[Chunk]) -> ModelError | None:
    try:
        async for chunk in model.stream(asking()):
            seen.append(chunk)  # noqa: PERF401 - what came before an error counts
    except ModelError as error:
        return error
    return None


async def _given(server: AnthropicServer, model: AnthropicModel, reply: Reply) -> Sequence[Chunk] | ModelError:
    server.replies.append(reply)
    return await outcome(model)


def _sockets() -> int:
    links = []
    for number in os.listdir("/proc/self/fd"):
        try:
            links.append(os.readlink(f"/proc/self/fd/{number}"))
        except FileNotFoundError:
            continue
    return sum(link.startswith("socket:") for link in links)


async def _until_closed(most: int) -> None:
    """Both ends are in this process: a connection that somebody keeps is two sockets."""
    gc.collect()
    for _ in range(2000):
        if _sockets() <= most:
            return
        await asyncio.sleep(0)
    raise AssertionError(f"{_sockets()} sockets are open, {most} should be")


async def test_broken_json_in_any_event_is_an_error() -> None:
    async with AnthropicServer() as server, anthropic(server) as model:
        names = [name for name, _ in server.events(ANSWER, ASKED)]
        for at, name in enumerate(names):
            server.replies.append(Reply(ANSWER.text, reasoning="Hm.", chunks=2, calls=ANSWER.calls, broken_event=at))
            given = await outcome(model)
            if name in ("ping", "message_stop"):
                assert isinstance(given, list), "nothing that counts was broken"
                assert only(given, ToolCall)
            else:
                assert isinstance(given, ModelError), name
                assert given.fault is Fault.MALFORMED


@BOTH
@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'"text"',
        b'{"type": "message"}',
        b'{"type": "message", "content": [{}], "stop_reason": "end_turn"}',
        b'{"type": "message", "content": [{"type": "text", "text": "Hi"}]}',
        b"\xff\xfe{}",
        b"[" * 100_000,
        b"<html>Login</html>",
    ],
)
@pytest.mark.parametrize("kind", ["application/json", "text/html", "text/event-stream", "application/octet-stream"])
async def test_what_is_no_answer_is_an_error(stream: bool, raw: bytes, kind: str) -> None:
    async with AnthropicServer() as server, anthropic(server, stream=stream) as model:
        for body in (raw, b"data: " + raw + b"\n\n"):
            server.replies.append(Reply(raw=body, content_type=kind))
            assert (await failure(model)).fault in (Fault.MALFORMED, Fault.UNREACHABLE)


@BOTH
async def test_a_compressed_answer_is_unpacked_and_a_broken_one_an_error(stream: bool) -> None:
    async with AnthropicServer() as server, anthropic(server, stream=stream) as model:
        frames = b"".join(server.frames(Reply("Packed."), ASKED))
        packed, headers = gzip.compress(frames), {"Content-Encoding": "gzip"}
        server.replies.append(Reply(raw=packed, headers=headers, content_type="text/event-stream"))
        assert text_of(await called(model)) == "Packed."
        server.replies.append(Reply(raw=b"\0" + packed, headers=headers, content_type="text/event-stream"))
        assert (await failure(model)).fault is Fault.MALFORMED


async def test_a_page_in_place_of_an_answer_points_at_the_address() -> None:
    async with AnthropicServer() as server, anthropic(server) as model:
        server.replies.append(Reply(raw=b"<html>Login</html>", content_type="text/html"))
        error = await failure(model)
    assert error.fault is Fault.MALFORMED
    assert "base_url" in str(error)


async def test_a_server_that_is_not_there_is_unreachable() -> None:
    async with AnthropicServer() as server:
        pass
    async with anthropic(server) as model:
        assert (await failure(model)).fault is Fault.UNREACHABLE


@BOTH
async def test_a_redirect_is_not_followed(stream: bool) -> None:
    """A key and a conversation go where the config says, and nowhere else."""
    async with AnthropicServer() as other, AnthropicServer() as server, anthropic(server, stream=stream) as model:
        server.replies.append(Reply(status=307, headers={"Location": f"{other.url}/v1/messages"}))
        error = await failure(model)
    assert error.fault is Fault.REJECTED
    assert "base_url" in str(error)
    assert other.ledger == []


# --- silence -----------------------------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("reply", [Reply(is_mute=True), Reply(silent_after=0)], ids=["no headers", "headers alone"])
async def test_f37_silence_from_the_start_ends_after_the_time_for_a_first_token(stream: bool, reply: Reply) -> None:
    clock = ManualClock()
    async with AnthropicServer() as server, anthropic(server, clock, stream=stream, first_token_s=20) as model:
        server.replies.append(reply)
        call = asyncio.ensure_future(failure(model))
        await server.silence()
        await clock.advance(19.9)
        assert not call.done()
        await clock.advance(0.2)
        assert (await call).fault is Fault.SILENT


async def test_f37_silence_in_the_middle_ends_after_the_time_between_tokens() -> None:
    clock = ManualClock()
    async with AnthropicServer() as server, anthropic(server, clock, first_token_s=20, idle_s=5) as model:
        server.replies.append(Reply("One. Two.", chunks=2, silent_after=4))
        stream = model.stream(asking())
        async for chunk in stream:
            if isinstance(chunk, TextDelta):
                break
        rest = asyncio.ensure_future(_rest(stream))
        await clock.advance(4.9)
        assert not rest.done()
        await clock.advance(0.2)
        assert rest.done()
        with pytest.raises(ModelError) as caught:
            await rest
    assert caught.value.fault is Fault.SILENT


async def _rest(stream: object) -> None:
    async for _ in stream:  # type: ignore[attr-defined]  # a stream that has begun
        pass


async def test_a_server_that_only_pings_does_not_hold_a_turn() -> None:
    clock = ManualClock()
    async with AnthropicServer() as server, anthropic(server, clock, first_token_s=20, idle_s=15) as model:
        server.replies.append(Reply(silent_after=2))
        call = asyncio.ensure_future(failure(model))
        await server.silence()
        for _ in range(7):
            await server.say(server.ping)
            await clock.advance(5.1)
        assert call.done()
        assert (await call).fault is Fault.SILENT


async def test_the_end_of_the_answer_is_not_held_back_by_a_connection_that_stays_open() -> None:
    clock = ManualClock()
    async with AnthropicServer() as server, anthropic(server, clock) as model:
        frames = len(server.frames(Reply(), ASKED))
        server.script = lambda _: Reply(silent_after=frames)
        call = asyncio.ensure_future(called(model))
        await server.silence()
        for _ in range(10):
            await clock.advance(0.3)
        assert call.done()
        assert call.result()[-1] == Finished("stop")


@BOTH
async def test_an_abandoned_call_leaves_no_connection(stream: bool) -> None:
    """Cancelled while it waits, at whatever stage: the server sees the connection go."""
    async with AnthropicServer() as server, anthropic(server, stream=stream) as model:
        for reply in (Reply(is_mute=True), Reply(silent_after=0), Reply(silent_after=3)):
            before = _sockets()
            server.replies.append(reply)
            call = asyncio.ensure_future(called(model))
            await server.silence()
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            await _until_closed(before)
