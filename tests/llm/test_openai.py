"""What OpenAIModel makes of answers."""

import json

import pytest

from bot.llm.openai_answer import Visible
from bot.model import Author
from bot.ports import ChatMessage, Finished, Headroom, Reasoning, TextDelta, ToolCall, ToolResult, Usage
from tests.llm.openai_asking import SEARCH, ask, calls, end, first, opened, sent, text, user
from tests.models.openai_server import Dialect, OpenAIServer
from tests.models.wire import Call, Counts, Reply

TWO = (Call("search_knowledge", '{"query": "price"}'), Call("search_knowledge", '{"query": "trial"}'))
SAID = ['{"query": "price"}', '{"query": "trial"}']
STREAMS = pytest.mark.parametrize("stream", [True, False], ids=["streamed", "in one piece"])


async def test_text_comes_as_it_is_written() -> None:
    async with OpenAIServer() as server, opened(server) as model:
        server.replies.append(Reply("One two three four.", chunks=4))
        said = await ask(model)
    assert len([chunk for chunk in said if isinstance(chunk, TextDelta)]) == 4
    assert (text(said), end(said)) == ("One two three four.", "stop")


async def test_an_answer_that_is_not_streamed_says_the_same() -> None:
    async with OpenAIServer() as server, opened(server, stream=False) as model:
        server.replies.append(Reply("One two."))
        said = await ask(model)
    assert said == [TextDelta("One two."), Usage(25, 15), Finished("stop")]
    assert "stream" not in server.ledger[0].body


@STREAMS
async def test_cached_tokens_are_counted_apart(stream: bool) -> None:
    async with OpenAIServer() as server, opened(server, stream=stream) as model:
        server.replies.append(Reply(counts=Counts(input=10, output=7, cache_read=90)))
        said = await ask(model)
    assert [chunk for chunk in said if isinstance(chunk, Usage)] == [Usage(10, 7, 90)]


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": 100, "completion_tokens": 7, "prompt_cache_hit_tokens": 90},
        {"prompt_tokens": 100, "completion_tokens": 7, "cached_tokens": 90},
        {"prompt_tokens": 100, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 90}},
        {"prompt_tokens": 100, "completion_tokens": 7, "prompt_tokens_details": None, "cached_tokens": 90},
    ],
)
async def test_cached_tokens_are_found_wherever_a_server_names_them(usage: dict[str, object]) -> None:
    choice = {"message": {"content": "Hi."}, "finish_reason": "stop"}
    async with OpenAIServer() as server, opened(server, stream=False) as model:
        server.replies.append(Reply(raw=json.dumps({"choices": [choice], "usage": usage}).encode()))
        said = await ask(model)
    assert Usage(10, 7, 90) in said


@pytest.mark.parametrize("count", ["many", -5, 1.5, None, 10**30, [], True])
async def test_a_count_that_is_none_harms_nothing(count: object) -> None:
    body = {
        "choices": [{"message": {"content": "Hi."}, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": count,
            "completion_tokens": count,
            "prompt_tokens_details": {"cached_tokens": count},
        },
    }
    async with OpenAIServer() as server, opened(server, stream=False) as model:
        server.replies.append(Reply(raw=json.dumps(body).encode()))
        said = await ask(model)
    assert text(said) == "Hi."
    assert all(0 <= chunk.input_tokens <= 10**9 for chunk in said if isinstance(chunk, Usage))


async def test_headroom_comes_first() -> None:
    headers = {
        "x-ratelimit-limit-tokens": "9000",
        "x-ratelimit-remaining-tokens": "100",
        "x-ratelimit-reset-tokens": "6m0s",
    }
    async with OpenAIServer() as server, opened(server) as model:
        server.replies.append(Reply(headers=headers))
        said = await ask(model)
    assert said[0] == Headroom(tokens_limit=9000, tokens_left=100, tokens_reset_s=360.0)


@STREAMS
async def test_a_call_comes_whole_after_the_text(stream: bool) -> None:
    async with OpenAIServer() as server, opened(server, stream=stream) as model:
        server.replies.append(Reply("Let me look.", calls=(Call("search_knowledge", '{"query": "ä"}', id="call_9"),)))
        said = await ask(model, tools=(SEARCH,))
    assert calls(said) == [ToolCall("call_9", "search_knowledge", '{"query": "ä"}')]
    assert (text(said), end(said)) == ("Let me look.", "tools")
    assert [tool["function"]["name"] for tool in server.ledger[0].body["tools"]] == ["search_knowledge"]


@STREAMS
@pytest.mark.parametrize("how", ["pieces", "whole"])
@pytest.mark.parametrize("indexes", ["all", "zero", "none"])
@pytest.mark.parametrize("has_ids", [True, False], ids=["with ids", "without ids"])
async def test_several_calls_are_told_apart_however_a_server_writes_them(
    stream: bool, how: str, indexes: str, has_ids: bool
) -> None:
    dialect = Dialect(refuses=frozenset(), calls=how, indexes=indexes, has_ids=has_ids)
    async with OpenAIServer(dialect=dialect) as server, opened(server, stream=stream) as model:
        server.replies.append(Reply("", calls=TWO))
        said = await ask(model, tools=(SEARCH,))
    assert [call.arguments for call in calls(said)] == SAID
    assert len({call.id for call in calls(said)}) == 2
    assert all(call.id for call in calls(said))
    assert end(said) == "tools"


async def test_calls_under_one_id_get_an_id_each() -> None:
    twice = tuple(Call(call.name, call.arguments, id="same") for call in TWO)
    async with OpenAIServer() as server, opened(server, stream=False) as model:
        server.replies.append(Reply("", calls=twice))
        said = await ask(model, tools=(SEARCH,))
    assert len({call.id for call in calls(said)}) == 2


async def test_calls_without_arguments_are_calls() -> None:
    plain = (Call("request_human", ""), Call("request_human", ""))
    async with OpenAIServer(dialect=Dialect(refuses=frozenset(), indexes="none")) as server:
        for stream in (True, False):
            async with opened(server, stream=stream) as model:
                server.replies.append(Reply("", calls=plain))
                assert [call.arguments for call in calls(await ask(model, tools=(SEARCH,)))] == ["{}", "{}"]


async def test_calls_count_even_where_the_server_says_stop() -> None:
    async with OpenAIServer() as server, opened(server) as model:
        server.replies.append(Reply("", calls=TWO[:1], finish="stop"))
        said = await ask(model, tools=(SEARCH,))
    assert [call.arguments for call in calls(said)] == SAID[:1]
    assert end(said) == "tools"


@pytest.mark.parametrize("finish", ["length", "content_filter"])
async def test_a_call_that_was_cut_off_is_no_call(finish: str) -> None:
    async with OpenAIServer() as server, opened(server) as model:
        server.replies.append(Reply("", calls=(Call("search_knowledge", '{"query": "pri'),), finish=finish))
        said = await ask(model, tools=(SEARCH,))
    assert calls(said) == []
    assert end(said) == ("length" if finish == "length" else "refusal")


async def test_a_model_that_may_call_nothing_calls_nothing() -> None:
    async with OpenAIServer() as server, opened(server) as model:
        server.replies.append(Reply("Fine.", calls=TWO))
        said = await ask(model, tools=(SEARCH,), has_tools_off=True)
    assert (calls(said), text(said), end(said)) == ([], "Fine.", "stop")
    assert server.ledger[0].body["tool_choice"] == "none"


@pytest.mark.parametrize(
    ("finish", "reason"),
    [("stop", "stop"), ("length", "length"), ("content_filter", "refusal"), ("function_call", "stop"), ("eos", "stop")],
)
async def test_servers_reasons_become_ours(finish: str, reason: str) -> None:
    async with OpenAIServer() as server, opened(server) as model:
        server.replies.append(Reply(finish=finish))
        assert end(await ask(model)) == reason


@STREAMS
async def test_a_refusal_is_shown_and_named(stream: bool) -> None:
    part = {"content": None, "refusal": "I will not."}
    body = {"choices": [{"delta" if stream else "message": part, "finish_reason": "stop"}]}
    raw = json.dumps(body).encode()
    async with OpenAIServer() as server, opened(server, stream=stream) as model:
        kind = "text/event-stream" if stream else "application/json"
        server.replies.append(Reply(raw=b"data: " + raw + b"\n\n" if stream else raw, content_type=kind))
        said = await ask(model)
    assert (text(said), end(said)) == ("I will not.", "refusal")


async def test_no_usage_and_no_done_are_no_fault() -> None:
    dialect = Dialect(refuses=frozenset(), has_usage=False, has_done=False)
    async with OpenAIServer(dialect=dialect) as server, opened(server) as model:
        said = await ask(model)
    assert end(said) == "stop"
    assert not [chunk for chunk in said if isinstance(chunk, Usage)]


async def test_a_stream_under_another_name_is_read() -> None:
    async with OpenAIServer() as server, opened(server) as model:
        server.replies.append(Reply("Hello.", content_type="text/plain"))
        assert text(await ask(model)) == "Hello."


async def test_a_whole_answer_in_place_of_a_stream_is_read() -> None:
    body = {"choices": [{"message": {"content": "Hello."}, "finish_reason": "stop"}]}
    async with OpenAIServer() as server, opened(server) as model:
        server.replies.append(Reply(raw=json.dumps(body).encode()))
        assert text(await ask(model)) == "Hello."


async def test_halves_of_a_character_are_joined() -> None:
    pieces = [({"content": "a\ud83d"}, None), ({"content": "\ude00b\ud83d"}, None), ({}, "stop")]
    events = [{"choices": [{"delta": delta, "finish_reason": reason}]} for delta, reason in pieces]
    raw = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)
    async with OpenAIServer() as server, opened(server) as model:
        server.replies.append(Reply(raw=raw, content_type="text/event-stream"))
        assert text(await ask(model)) == "a\N{GRINNING FACE}b\N{REPLACEMENT CHARACTER}"


async def test_calls_can_be_stored_whatever_a_server_writes() -> None:
    function = {"name": "search\ud83d", "arguments": '{"query": "\ud83d\ude00"}'}
    message = {"content": None, "tool_calls": [{"id": "a", "function": function}], "reasoning": "\ude00"}
    body = {"choices": [{"message": message, "finish_reason": "tool_calls"}]}
    async with OpenAIServer() as server, opened(server, stream=False) as model:
        server.replies.append(Reply(raw=json.dumps(body).encode()))
        thought, call, _ = await ask(model, tools=(SEARCH,))
    assert call == ToolCall("a", "search\N{REPLACEMENT CHARACTER}", '{"query": "\N{GRINNING FACE}"}')
    assert isinstance(thought, Reasoning)
    assert json.loads(thought.data) == {"reasoning": "\N{REPLACEMENT CHARACTER}"}


async def test_connections_are_used_again() -> None:
    async with OpenAIServer() as server, opened(server) as model:
        for _ in range(5):
            await ask(model)
    assert len(server.peers) == 1


async def test_an_abandoned_call_ends_at_the_server() -> None:
    async with OpenAIServer() as server, opened(server) as model:
        server.replies.append(Reply("One two three.", chunks=3, silent_after=2))
        assert await first(model) == TextDelta("One t")
        assert text(await ask(model)) == "Hello, how can I help?"
    assert len(server.peers) == 2


async def test_each_key_is_sent_by_its_own_model() -> None:
    async with OpenAIServer() as server, opened(server, key="old") as old, opened(server, key="new") as new:
        for model in (old, new, old):
            await ask(model)
    assert [asked.headers["Authorization"] for asked in server.ledger] == ["Bearer old", "Bearer new", "Bearer old"]


# --- reasoning ---------------------------------------------------------------------------------------------------------


@STREAMS
@pytest.mark.parametrize("field", ["reasoning_content", "reasoning", "think"])
async def test_reasoning_goes_back_as_it_came_and_no_user_sees_it(stream: bool, field: str) -> None:
    dialect = Dialect(refuses=frozenset(), reasoning=field)
    async with OpenAIServer(dialect=dialect) as server, opened(server, stream=stream) as model:
        server.replies.append(Reply("Let me look.", reasoning="They want prices.", calls=TWO[:1], chunks=4))
        *said, call, _ = await ask(model, tools=(SEARCH,))
        thought = said[-1]
        assert isinstance(thought, Reasoning)
        assert isinstance(call, ToolCall)
        assert text(said) == "Let me look."
        asked = ChatMessage(Author.AGENT, text(said), calls=(call,), reasoning=(thought,))
        result = ChatMessage(Author.SYSTEM, results=(ToolResult(call.id, "5 euros [1]"),))
        assert end(await ask(model, user("Price?"), asked, result, tools=(SEARCH,))) == "stop"
        back = sent(server)[1]
    if field == "think":
        assert back["content"] == "<think>\nThey want prices.\n</think>\n\nLet me look."
    else:
        assert (back["content"], back[field]) == ("Let me look.", "They want prices.")


async def test_reasoning_of_another_model_is_not_sent() -> None:
    call = ToolCall("call_1", "search_knowledge", "{}")
    for name, is_sent in (("large", False), ("small", True)):
        thought = Reasoning(name, '{"reasoning_content": "Hm."}')
        asked = ChatMessage(Author.AGENT, calls=(call,), reasoning=(thought,))
        result = ChatMessage(Author.SYSTEM, results=(ToolResult("call_1", "5"),))
        async with OpenAIServer() as server, opened(server) as model:
            await ask(model, user("Price?"), asked, result, tools=(SEARCH,))
            assert ("reasoning_content" in sent(server)[1]) is is_sent


async def test_an_answer_without_calls_gives_no_reasoning_back() -> None:
    async with OpenAIServer() as server, opened(server) as model:
        server.replies.append(Reply("Hello.", reasoning="A greeting."))
        said = await ask(model)
    assert text(said) == "Hello."
    assert not [chunk for chunk in said if isinstance(chunk, Reasoning)]


async def test_what_a_server_signs_its_calls_with_goes_back_with_them() -> None:
    signed = {"google": {"thought_signature": "c2lnbmVk"}}
    pieces = [
        {"id": "a", "function": {"name": "search_knowledge", "arguments": '{"query": "x"}'}, "extra_content": signed},
        {"id": "b", "function": {"name": "search_knowledge", "arguments": '{"query": "y"}'}},
    ]
    body = {"choices": [{"message": {"content": None, "tool_calls": pieces}, "finish_reason": "tool_calls"}]}
    async with OpenAIServer() as server, opened(server, stream=False) as model:
        server.replies.append(Reply(raw=json.dumps(body).encode()))
        thought, one, two, _ = await ask(model, tools=(SEARCH,))
        assert isinstance(thought, Reasoning)
        assert isinstance(one, ToolCall)
        assert isinstance(two, ToolCall)
        asked = ChatMessage(Author.AGENT, calls=(one, two), reasoning=(thought,))
        results = ChatMessage(Author.SYSTEM, results=(ToolResult("a", "1"), ToolResult("b", "2")))
        await ask(model, user("x and y?"), asked, results, tools=(SEARCH,))
        back = sent(server)[1]["tool_calls"]
    assert back[0]["extra_content"] == signed
    assert "extra_content" not in back[1]


THOUGHT = "  <think>\nHm, 1 < 2.\n</think>\n\nThe answer is </think> 2."


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_thoughts_in_tags_are_taken_out_wherever_the_text_is_cut(size: int) -> None:
    for start in range(len(THOUGHT)):
        visible = Visible()
        pieces = [THOUGHT[:start], *(THOUGHT[at : at + size] for at in range(start, len(THOUGHT), size))]
        assert "".join([*map(visible.feed, pieces), visible.rest()]) == "The answer is </think> 2."
        assert visible.thought == "\nHm, 1 < 2.\n"


@pytest.mark.parametrize(
    "plain", ["<thinking aloud", "<thi", "a <think>b</think> c", " <", "", "\n\nHello", "<b>bold</b>"]
)
def test_text_that_only_looks_like_thoughts_stays_text(plain: str) -> None:
    visible = Visible()
    assert "".join([*map(visible.feed, plain), visible.rest()]) == plain
    assert visible.thought == ""


def test_thoughts_without_an_end_are_never_shown() -> None:
    visible = Visible()
    assert "".join([*map(visible.feed, "<think>Hm </thin"), visible.rest()]) == ""
    assert visible.thought == "Hm </thin"
