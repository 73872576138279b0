"""What OpenAIModel makes of failures: a ModelError that says which, and nothing else, whatever happens and wherever."""

import asyncio
import json
import logging

import pytest

from bot.errors import Fault, ModelError
from bot.llm.openai import OpenAIModel
from bot.ports import Chunk, Headroom, TextDelta, ToolCall, Usage
from tests.clock import ManualClock
from tests.llm.openai_asking import SEARCH, after, ask, calls, fault, fault_of, opened, request, text, user
from tests.models.openai_server import OpenAIServer
from tests.models.wire import Call, Reply

STREAMS = pytest.mark.parametrize("stream", [True, False], ids=["streamed", "in one piece"])
CALL = Call("search_knowledge", '{"query": "a"}', id="call_1")


async def heard(model: OpenAIModel, said: list[Chunk] | None = None) -> tuple[list[Chunk], Fault | None]:
    """All that a model with a tool says, and the fault that it ends with."""
    said = [] if said is None else said

    async def listen() -> None:
        async for chunk in model.stream(request(tools=(SEARCH,))):
            said.append(chunk)

    return said, await fault_of(listen())


def without_usage(said: list[Chunk]) -> list[Chunk]:
    return [chunk for chunk in said if not isinstance(chunk, Usage)]


@pytest.mark.parametrize(
    ("status", "error", "wanted"),
    [
        (400, "invalid_request_error", Fault.REJECTED),
        (401, "invalid_api_key", Fault.KEY),
        (402, "insufficient_balance", Fault.BALANCE),
        (403, "permission_error", Fault.KEY),
        (404, "model_not_found", Fault.NOT_FOUND),
        (429, "rate_limit_exceeded", Fault.RATE_LIMITED),
        (429, "insufficient_quota", Fault.BALANCE),
        (500, "server_error", Fault.OVERLOADED),
        (503, "server_error", Fault.OVERLOADED),
        (529, "overloaded", Fault.OVERLOADED),
    ],
)
async def test_a_refusal_is_tried_once_and_named(status: int, error: str, wanted: Fault) -> None:
    async with OpenAIServer() as server, opened(server) as model:
        server.replies.append(Reply(status=status, error=error))
        assert (await fault(model)).fault is wanted
        assert len(server.ledger) == 1
        assert text(await ask(model)) == "Hello, how can I help?"


async def test_the_pause_that_a_server_wishes_is_passed_on() -> None:
    async with OpenAIServer() as server, opened(server) as model:
        server.replies.append(Reply(status=429, headers={"Retry-After": "7"}))
        server.replies.append(Reply(status=429))
        assert (await fault(model)).retry_after_s == 7.0
        assert (await fault(model)).retry_after_s is None


async def test_a_refusal_says_what_is_left_too() -> None:
    async with OpenAIServer() as server, opened(server) as model:
        server.replies.append(Reply(status=429, headers={"x-ratelimit-remaining-requests": "0"}))
        assert await heard(model) == ([Headroom(requests_left=0)], Fault.RATE_LIMITED)


async def test_a_context_that_is_too_long_is_no_reason_to_leave_anything_out() -> None:
    said = (
        "'max_tokens' or 'max_completion_tokens' is too large: 2048. This model's maximum context length is 4096 tokens and your request "
        "has 4000 input tokens."
    )
    async with OpenAIServer() as server, opened(server) as model:
        server.replies.append(Reply(status=400, error="BadRequestError", message=said))
        assert (await fault(model, tools=(SEARCH,))).fault is Fault.TOO_LONG
    assert len(server.ledger) == 1


async def test_the_detail_holds_neither_the_key_nor_what_people_wrote() -> None:
    said = "cannot read 'My secret diary of 1987' with key sk-test-0123456789abcdef"
    async with OpenAIServer() as server, opened(server) as model:
        server.replies.append(Reply(status=400, message=said))
        error = await fault(model, user("My secret diary of 1987"))
    assert "cannot read" in str(error)
    assert "diary" not in str(error)
    assert "0123456789" not in str(error)


@STREAMS
@pytest.mark.parametrize(
    ("error", "wanted"),
    [
        ({"message": "Something broke", "type": "server_error"}, Fault.OVERLOADED),
        ({"message": "Slow down", "code": 429}, Fault.RATE_LIMITED),
        ({"message": "Slow down", "code": "429"}, Fault.RATE_LIMITED),
        ({"message": "No", "code": "insufficient_quota"}, Fault.BALANCE),
        ("Something broke", Fault.OVERLOADED),
    ],
)
async def test_f35_an_error_inside_a_success_is_a_fault(stream: bool, error: object, wanted: Fault) -> None:
    body = json.dumps({"error": error}).encode()
    raw = b'data: {"choices":[{"delta":{"content":"Hel"}}]}\n\ndata: ' + body + b"\n\n" if stream else body
    kind = "text/event-stream" if stream else "application/json"
    async with OpenAIServer() as server, opened(server, stream=stream) as model:
        server.replies.append(Reply(raw=raw, content_type=kind))
        assert (await fault(model)).fault is wanted


@pytest.mark.parametrize(
    "raw",
    [
        b'{"object":"error","message":"out of memory","code":500}',
        b'[{"error":{"code":503,"message":"The model is overloaded.","status":"UNAVAILABLE"}}]',
    ],
)
async def test_errors_of_other_shapes_are_faults_too(raw: bytes) -> None:
    async with OpenAIServer() as server, opened(server, stream=False) as model:
        server.replies.append(Reply(raw=raw))
        assert (await fault(model)).fault is Fault.OVERLOADED


async def test_an_event_by_the_name_of_error_is_one() -> None:
    async with OpenAIServer() as server, opened(server) as model:
        raw = b'event: error\ndata: {"message": "slow down", "code": 429}\n\n'
        server.replies.append(Reply(raw=raw, content_type="text/event-stream"))
        assert (await fault(model)).fault is Fault.RATE_LIMITED


@pytest.mark.parametrize("finish", ["error", "abort", "network_error", "insufficient_system_resource"])
async def test_an_answer_that_the_server_broke_off_is_a_fault(finish: str) -> None:
    async with OpenAIServer() as server, opened(server) as model:
        server.replies.append(Reply("Hel", finish=finish))
        assert (await fault(model)).fault is Fault.OVERLOADED


# --- cuts --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_clean", [False, True], ids=["broken", "ended"])
async def test_f36_a_stream_cut_at_any_byte_fails_or_is_whole(is_clean: bool) -> None:
    reply = Reply("Hi.", chunks=1, calls=(CALL,))
    async with OpenAIServer() as server, opened(server) as model:
        server.replies.append(reply)
        whole = await ask(model, tools=(SEARCH,))
        frames = server.frames(reply, server.ledger[0])
        reasoned = sum(map(len, frames[:-2]))  # up to and including the reason for its end
        for cut in range(sum(map(len, frames))):
            server.ledger.clear()  # answers are numbered after it
            server.replies.append(Reply("Hi.", chunks=1, calls=(CALL,), cut_after=cut, is_cut_cleanly=is_clean))
            said, error = await heard(model)
            if cut < reasoned:
                assert error is Fault.UNREACHABLE
                assert calls(said) == []
            else:
                assert error is None
                assert without_usage(said) == without_usage(whole)
        assert text(await ask(model)) == "Hello, how can I help?"
        assert server.open == 0


async def test_f36_an_answer_in_one_piece_cut_at_any_byte_fails() -> None:
    reply = Reply("Hi.", calls=(CALL,))
    async with OpenAIServer() as server, opened(server, stream=False) as model:
        server.replies.append(reply)
        await ask(model, tools=(SEARCH,))
        size = len(json.dumps(server.whole(reply, server.ledger[0])))
        for cut in range(size):
            server.replies.append(Reply("Hi.", calls=(CALL,), cut_after=cut))
            assert (await fault(model, tools=(SEARCH,))).fault is Fault.UNREACHABLE


async def test_a_server_that_is_not_there_is_unreachable() -> None:
    server = OpenAIServer()
    await server.start()
    await server.close()
    async with opened(server) as model:
        assert (await fault(model)).fault is Fault.UNREACHABLE


# --- silence -----------------------------------------------------------------------------------------------------------


@STREAMS
@pytest.mark.parametrize("reply", [Reply(is_mute=True), Reply(silent_after=0)], ids=["mute", "headers alone"])
async def test_f37_silence_before_the_first_token_ends_in_time(stream: bool, reply: Reply) -> None:
    clock = ManualClock()
    async with OpenAIServer() as server, opened(server, clock, stream=stream, first_token_s=20, idle_s=5) as model:
        server.replies.append(reply)
        error, seconds = await after(clock, ask(model))
    assert isinstance(error, ModelError)
    assert error.fault is Fault.SILENT
    assert 20 <= seconds < 21


async def test_f37_silence_in_the_middle_ends_in_time_and_nothing_is_called() -> None:
    clock = ManualClock()
    said: list[Chunk] = []
    async with OpenAIServer() as server, opened(server, clock, first_token_s=20, idle_s=5) as model:
        server.replies.append(Reply("Hi.", chunks=1, calls=(CALL,), silent_after=4))
        task = asyncio.ensure_future(heard(model, said))
        await server.silence()
        while not said:
            await asyncio.wait([task], timeout=0.001)
        _, seconds = await after(clock, task)
    assert task.result() == ([TextDelta("Hi.")], Fault.SILENT)
    assert 5 <= seconds < 6


async def test_a_server_that_only_says_it_lives_does_not_hold_a_turn() -> None:
    clock = ManualClock()
    async with OpenAIServer() as server, opened(server, clock, first_token_s=20, idle_s=5) as model:
        server.replies.append(Reply(silent_after=1))
        task = asyncio.ensure_future(fault_of(ask(model)))
        await server.silence()
        began = clock.monotonic()
        while not task.done():
            await server.say(server.ping)
            await asyncio.wait([task], timeout=0.002)
            await clock.advance(1)
        assert task.result() is Fault.SILENT
        assert clock.monotonic() - began <= 27


async def test_an_answer_that_is_whole_does_not_wait_for_the_end_of_http() -> None:
    clock = ManualClock()
    async with OpenAIServer() as server, opened(server, clock) as model:
        server.replies.append(Reply("Hi.", chunks=1, calls=(CALL,), silent_after=6))
        said, seconds = await after(clock, ask(model, tools=(SEARCH,)))
    assert isinstance(said, list)
    assert [chunk.id for chunk in said if isinstance(chunk, ToolCall)] == ["call_1"]
    assert seconds < 3


# --- nonsense ----------------------------------------------------------------------------------------------------------


async def test_broken_json_in_any_event_fails_unless_the_answer_was_whole() -> None:
    reply = Reply("Hi.", chunks=1, calls=(CALL,))
    async with OpenAIServer() as server, opened(server) as model:
        server.replies.append(reply)
        await ask(model, tools=(SEARCH,))
        frames = server.frames(reply, server.ledger[0])
        for place in range(len(frames) - 1):
            server.replies.append(Reply("Hi.", chunks=1, calls=(CALL,), broken_event=place))
            wanted = Fault.MALFORMED if place < len(frames) - 2 else None
            assert await fault_of(ask(model, tools=(SEARCH,))) is wanted


NONSENSE = [
    b"",
    b"not json",
    b"{",
    b'"text"',
    b"5",
    b"null",
    b"[]",
    b"[1]",
    b"\xff\xfe\x00",
    b'{"choices"' + b"[" * 100_000,
    b"[" * 100_000,
    b'{"choices": null}',
    b'{"choices": []}',
    b'{"choices": [null]}',
    b'{"choices": [{"message": null, "finish_reason": null}]}',
    b'{"choices": [{"message": {"content": 5}, "finish_reason": 7}]}',
    b'{"choices": "ab", "usage": "much"}',
]


@STREAMS
@pytest.mark.parametrize("raw", NONSENSE, ids=range(len(NONSENSE)))
async def test_nonsense_is_a_fault_and_never_an_answer(stream: bool, raw: bytes) -> None:
    async with OpenAIServer() as server, opened(server, stream=stream) as model:
        kind = "text/event-stream" if stream else "application/json"
        server.replies.append(Reply(raw=b"data: " + raw + b"\n\n" if stream else raw, content_type=kind))
        error = await fault(model)
        assert error.fault in (Fault.MALFORMED, Fault.UNREACHABLE)
        assert len(str(error)) <= 300


@pytest.mark.parametrize(
    "pieces", [5, "x", None, [], [5], [{}], [{"function": 5}], [{"function": {"name": 5, "arguments": 5}, "id": 5}]]
)
async def test_what_is_no_call_is_left_out(pieces: object) -> None:
    body = {"choices": [{"message": {"content": "Hi.", "tool_calls": pieces}, "finish_reason": "stop"}]}
    async with OpenAIServer() as server, opened(server, stream=False) as model:
        server.replies.append(Reply(raw=json.dumps(body).encode()))
        said = await ask(model, tools=(SEARCH,))
    assert (text(said), calls(said)) == ("Hi.", [])


async def test_a_page_in_place_of_an_answer_says_where_to_look() -> None:
    async with OpenAIServer() as server, opened(server) as model:
        server.replies.append(Reply(raw=b"<html><body>Sign in</body></html>", content_type="text/html"))
        error = await fault(model)
    assert error.fault is Fault.MALFORMED
    assert "base_url" in str(error)


async def test_an_answer_without_a_body_is_malformed() -> None:
    """The server was reached, and has begun to answer."""
    async with OpenAIServer() as server, opened(server, stream=False) as model:
        server.replies.append(Reply(raw=b"", content_type="application/json"))
        error = await fault(model)
    assert error.fault is Fault.MALFORMED
    assert error.has_begun


async def test_no_log_holds_what_people_wrote(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with OpenAIServer() as server, opened(server) as model:
        server.replies.append(Reply(status=400, message="tools are not supported"))
        await ask(model, user("My secret diary of 1987"), tools=(SEARCH,))
    assert "cannot call tools" in caplog.text
    assert "diary" not in caplog.text
