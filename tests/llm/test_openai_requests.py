"""What OpenAIModel sends, and what it does about servers that do not take it."""

import asyncio
import base64
import json
import logging
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.config.schema import Model
from bot.errors import Fault
from bot.llm.openai_request import BEGINNING, CONTINUE, TOLD, body
from bot.model import Author
from bot.ports import ChatMessage, ChatRequest, Finished, Reasoning, ToolCall, ToolResult
from tests.llm.conversations import conversations
from tests.llm.openai_asking import (
    BLOBS,
    PERSON,
    SEARCH,
    agent,
    ask,
    calls,
    end,
    exchange,
    fault,
    file,
    opened,
    request,
    sent,
    text,
    user,
)
from tests.models.openai_server import OWN, SIMPLE, Dialect, OpenAIServer
from tests.models.wire import Received, Reply, Script

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"mood": {"type": "string"}},
    "required": ["mood"],
    "additionalProperties": False,
}
LOOSE: dict[str, Any] = {"type": "object", "properties": {"mood": {"type": "string"}}}
MIXED = Dialect(refuses=frozenset(), reads=frozenset({"image_url", "file", "input_audio"}))


async def test_the_request_on_the_wire_is_the_whole_one() -> None:
    async with OpenAIServer() as server, opened(server, parameters={"temperature": 0.5}, output_tokens=99) as model:
        await ask(model, user("Hello"), agent("Hi."), user("Price?"), tools=(SEARCH,))
        asked = server.ledger[0]
    function = {"name": SEARCH.name, "description": SEARCH.description, "parameters": dict(SEARCH.parameters)}
    assert asked.body == {
        "model": "m-1",
        "temperature": 0.5,
        "max_tokens": 99,
        "stream": True,
        "stream_options": {"include_usage": True},
        "tools": [{"type": "function", "function": function}],
        "messages": [
            {"role": "system", "content": "You are helpful."},
            {"role": "user", "content": "Hello"},
            {"role": "assistant", "content": "Hi."},
            {"role": "user", "content": "Price?"},
        ],
    }
    assert asked.headers["Authorization"] == "Bearer sk-test-0123456789abcdef"


async def test_no_key_of_the_environment_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_ADMIN_KEY", "sk-admin-of-somebody")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-somebody")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-of-somebody")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "project-of-somebody")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Gateway: of-somebody")
    async with OpenAIServer() as server, opened(server, key="") as model:
        await ask(model)
        assert "of-somebody" not in str(dict(server.ledger[0].headers))


async def test_texts_of_one_side_are_one_message_that_says_who_wrote_what() -> None:
    messages = [
        user("One"),
        user("  "),
        ChatMessage(Author.SYSTEM, "The chat was picked up again."),
        user("two"),
        agent("Three."),
        ChatMessage(Author.OPERATOR, "Four."),
    ]
    async with OpenAIServer() as server, opened(server) as model:
        await ask(model, *messages)
        assert sent(server) == [
            {"role": "user", "content": "One\n\n[Note of the system:] The chat was picked up again.\n\ntwo"},
            {"role": "assistant", "content": "Three.\n\n[A human colleague wrote:] Four."},
            {"role": "user", "content": CONTINUE},
        ]


async def test_the_user_begins() -> None:
    async with OpenAIServer() as server, opened(server) as model:
        await ask(model, agent("Can I help?"), user("Yes"), instructions="")
        assert server.ledger[0].body["messages"] == [
            {"role": "user", "content": BEGINNING},
            {"role": "assistant", "content": "Can I help?"},
            {"role": "user", "content": "Yes"},
        ]


async def test_calls_and_results_go_back_in_pairs() -> None:
    asked, result = exchange()
    failed = ChatMessage(Author.SYSTEM, results=(ToolResult("call_a", "no index", is_error=True),))
    async with OpenAIServer() as server, opened(server) as model:
        await ask(model, user("Price?"), asked, result, tools=(SEARCH,))
        await ask(model, user("Price?"), asked, failed, tools=(SEARCH,))
        function = {"name": "search_knowledge", "arguments": '{"query": "price"}'}
        assert sent(server, 0)[1:] == [
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [{"id": "call_a", "type": "function", "function": function}],
            },
            {"role": "tool", "tool_call_id": "call_a", "content": "Prices: 5 [1]"},
        ]
        assert sent(server)[2]["content"] == "Error: no index"


async def test_arguments_that_are_no_object_do_not_break_a_template() -> None:
    asked, result = exchange(query='{"query": "pri')
    async with OpenAIServer() as server, opened(server) as model:
        assert end(await ask(model, user("Price?"), asked, result, tools=(SEARCH,))) == "stop"
        assert sent(server)[1]["tool_calls"][0]["function"]["arguments"] == "{}"


async def test_growing_conversations_keep_their_beginning() -> None:
    asked, result = exchange()
    async with OpenAIServer() as server, opened(server) as model:
        await ask(model, user("Price?"), tools=(SEARCH,))
        await ask(model, user("Price?"), asked, result, tools=(SEARCH,))
        await ask(model, user("Price?"), asked, result, agent("5 [1]"), user("Thanks"), tools=(SEARCH,))
        bodies = [asked.body for asked in server.ledger]
    for shorter, longer in pairwise(bodies):
        assert longer["messages"][: len(shorter["messages"])] == shorter["messages"]
        assert longer["tools"] == shorter["tools"]


@pytest.mark.parametrize(("base_url", "field"), [("", "max_completion_tokens"), ("http://127.0.0.1/v1", "max_tokens")])
def test_openai_is_told_the_limit_by_its_new_name(base_url: str, field: str) -> None:
    made = Model(provider="openai", model="m", base_url=base_url, output_tokens=50)
    sent = body("small", made, request(), {}, frozenset(), is_openai=not base_url)
    assert {key: value for key, value in sent.items() if key.startswith("max")} == {field: 50}


def test_a_limit_among_the_parameters_stands_alone() -> None:
    made = Model(provider="openai", model="m", parameters={"max_completion_tokens": 7})
    sent = body("small", made, request(), {}, frozenset(), is_openai=False)
    assert sent["max_completion_tokens"] == 7
    assert "max_tokens" not in sent


@pytest.mark.parametrize(
    "data",
    ["{", "[]", "null", '{"calls": 5}', '{"calls": [null, 5, {}]}', '{"think": 5, "reasoning": []}', "[" * 50_000],
)
async def test_reasoning_that_is_none_breaks_nothing(data: str) -> None:
    asked, result = exchange()
    thinking = replace(asked, reasoning=(Reasoning("small", data),))
    async with OpenAIServer() as server, opened(server) as model:
        assert end(await ask(model, user("Price?"), thinking, result, tools=(SEARCH,))) == "stop"
        assert set(sent(server)[1]) == {"role", "content", "tool_calls"}


# --- files -------------------------------------------------------------------------------------------------------------

FILES = (file("png", "image/png"), file("pdf", "application/pdf", "paper.pdf"), file("txt", "text/plain"))
SOUNDS = (file("wav", "audio/wav"), file("mpeg", "audio/mpeg"))


def data(name: str) -> str:
    return base64.b64encode(BLOBS[name]).decode()


async def test_files_are_sent_as_the_model_reads_them() -> None:
    async with OpenAIServer() as server, opened(server, reads=("text", "images", "pdf", "audio")) as model:
        assert end(await ask(model, user("Look", *FILES, *SOUNDS))) == "stop"
        (message,) = sent(server)
    assert message["content"] == [
        {"type": "text", "text": 'Look\n\n[The file "txt":]\nGrüße\n[End of the file "txt".]'},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data('png')}"}},
        {
            "type": "file",
            "file": {"filename": "paper.pdf", "file_data": f"data:application/pdf;base64,{data('pdf')}"},
        },
        {"type": "input_audio", "input_audio": {"data": data("wav"), "format": "wav"}},
        {"type": "input_audio", "input_audio": {"data": data("mpeg"), "format": "mp3"}},
    ]


async def test_a_model_elsewhere_is_told_of_files_in_words() -> None:
    async with OpenAIServer() as server, opened(server) as model:
        await ask(model, user("Look", file("png", "image/png", "a.png"), file("zip", "application/zip", "b.zip")))
        (message,) = sent(server)
    assert isinstance(message["content"], str)
    assert '"a.png" (image/png' in message["content"]
    assert '"b.zip" (application/zip' in message["content"]


async def test_only_the_newest_five_files_are_sent() -> None:
    messages = [user(f"Number {n}", file(f"png{n}", "image/png", f"{n}.png")) for n in range(8)]
    async with OpenAIServer() as server, opened(server, reads=("images",)) as model:
        await ask(model, *messages)
        (message,) = sent(server)
    said = json.dumps(message)
    assert said.count("image_url") == 10
    assert [n for n in range(8) if f"{n}.png" in said] == [0, 1, 2]


async def test_a_file_that_is_gone_and_a_file_of_ours_are_told_in_words() -> None:
    ours = ChatMessage(Author.OPERATOR, "See this", (file("png", "image/png", "ours.png"),))
    async with OpenAIServer() as server, opened(server, reads=("images",)) as model:
        await ask(model, user("Look", file("lost", "image/png", "lost.png")), ours, user("And?"))
        first, second, _ = sent(server)
    assert "lost.png" in first["content"]
    assert "ours.png" in second["content"]


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (400, "You uploaded an unsupported image."),
        (413, "Request Entity Too Large"),
        (422, "messages.0.content: expected a string"),
        (500, "image input is not supported"),
    ],
)
async def test_a_request_whose_files_are_refused_is_sent_again_without_them(status: int, message: str) -> None:
    def script(asked: Received) -> Reply:
        has_files = "image_url" in json.dumps(asked.body)
        return Reply(status=status, message=message) if has_files else Reply()

    async with OpenAIServer(script) as server, opened(server, reads=("text", "images")) as model:
        assert end(await ask(model, user("Look", FILES[0]), tools=(SEARCH,))) == "stop"
        assert "cannot be read here" in sent(server)[0]["content"]
        await ask(model, user("Look", FILES[0]))
        assert [asked.status for asked in server.ledger] == [status, 200, status, 200]
        assert "tools" in server.ledger[1].body


# --- servers that take less --------------------------------------------------------------------------------------------


def refusing(field: str, reply: Reply) -> Script:
    return lambda asked: reply if field in json.dumps(asked.body) else Reply()


@pytest.mark.parametrize("status", [400, 422])
async def test_a_limit_by_the_wrong_name_is_said_again_and_remembered(status: int) -> None:
    async with OpenAIServer(dialect=OWN) as server, opened(server) as model:
        for _ in range(2):
            assert end(await ask(model)) == "stop"
        assert [asked.status for asked in server.ledger] == [400, 200, 200]
    detail = {
        "detail": [{"type": "extra_forbidden", "loc": ["body", "max_tokens"], "msg": "Extra inputs are not permitted"}]
    }
    script = refusing('"max_tokens"', Reply(status=status, raw=json.dumps(detail).encode()))
    async with OpenAIServer(script, dialect=MIXED) as server, opened(server) as model:
        assert end(await ask(model)) == "stop"
        assert server.ledger[-1].body["max_completion_tokens"] == 2048


async def test_a_server_that_knows_no_limit_at_all_is_not_asked_for_ever() -> None:
    dialect = Dialect(refuses=frozenset({"max_tokens", "max_completion_tokens"}))
    async with OpenAIServer(dialect=dialect) as server, opened(server) as model:
        assert (await fault(model)).fault is Fault.REJECTED
        assert len(server.ledger) == 2


async def test_a_limit_of_the_operators_own_is_not_taken_away() -> None:
    async with OpenAIServer(dialect=OWN) as server, opened(server, parameters={"max_tokens": 50}) as model:
        assert (await fault(model)).fault is Fault.REJECTED
        assert len(server.ledger) == 1


async def test_stream_options_are_left_out_once_refused() -> None:
    dialect = Dialect(refuses=frozenset({"stream_options", "max_completion_tokens"}))
    async with OpenAIServer(dialect=dialect) as server, opened(server) as model:
        for _ in range(2):
            assert end(await ask(model)) == "stop"
        assert [asked.status for asked in server.ledger] == [400, 200, 200]


async def test_several_refusals_are_answered_within_one_try() -> None:
    dialect = Dialect(
        refuses=frozenset({"stream_options", "max_tokens", "tools"}), formats=frozenset(), takes_reasoning=False
    )
    async with OpenAIServer(dialect=dialect) as server, opened(server) as model:
        said = await ask(model, user("How are you?"), schema=SCHEMA, tools=(PERSON,))
        assert end(said) == "stop"
        assert [asked.status for asked in server.ledger] == [400, 400, 400, 400, 400, 400, 200]
        await ask(model, user("How are you?"), schema=SCHEMA, tools=(PERSON,))
        assert len(server.ledger) == 8


async def test_calls_at_once_learn_the_same_lesson() -> None:
    async with OpenAIServer(dialect=OWN) as server, opened(server) as model:
        said = await asyncio.gather(*(ask(model) for _ in range(5)))
    assert [end(each) for each in said] == ["stop"] * 5


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (400, '{"error": {"message": "registry.ollama.ai/library/x does not support tools", "type": "api_error"}}'),
        (
            400,
            '{"object": "error", "message": "\\"auto\\" tool choice requires --enable-auto-tool-choice", "code": 400}',
        ),
        (500, '{"error": {"code": 500, "message": "tools param requires --jinja flag", "type": "server_error"}}'),
        (500, '{"code": 500, "message": "Unsupported param: tools", "type": "server_error"}'),
        (404, '{"error": {"message": "No endpoints found that support tool use.", "code": 404}}'),
        (400, '{"error": {"message": "Function calling is not enabled for this model"}}'),
        (
            422,
            '{"detail": [{"type": "extra_forbidden", "loc": ["body", "tools"], "msg": "Extra inputs are not permitted"}]}',
        ),
    ],
)
async def test_a_server_without_tools_is_searched_for(
    status: int, answer: str, caplog: pytest.LogCaptureFixture
) -> None:
    script = refusing('"tools"', Reply(status=status, raw=answer.encode()))
    asked, result = exchange()
    async with OpenAIServer(script) as server, opened(server) as model:
        with caplog.at_level(logging.WARNING):
            said = await ask(model, user("Hello"), agent("Hi."), user("What does it"), user("cost?"), tools=(SEARCH,))
        assert [json.loads(call.arguments) for call in calls(said)] == [{"query": "What does it\ncost?"}]
        assert end(said) == "tools"
        assert "The model small cannot call tools" in caplog.text
        again = await ask(model, user("What does it cost?"), tools=(SEARCH,))
        assert end(again) == "tools"
        assert len(server.ledger) == 1
        said = await ask(model, user("What does it cost?"), asked, result, tools=(SEARCH,))
        assert end(said) == "stop"
        assert sent(server) == [{"role": "user", "content": "What does it cost?\n\n[Looked up] Prices: 5 [1]"}]
        assert TOLD in server.ledger[-1].body["messages"][0]["content"]


async def test_a_model_that_shall_have_no_tools_is_searched_for_at_once() -> None:
    async with OpenAIServer() as server, opened(server, tools=False) as model:
        call, finished = await ask(model, user("What does it cost?"), tools=(SEARCH,))
        assert isinstance(call, ToolCall)
        assert (call.name, json.loads(call.arguments)) == ("search_knowledge", {"query": "What does it cost?"})
        assert finished == Finished("tools")
        assert server.ledger == []


async def test_a_very_long_question_is_looked_up_by_its_beginning() -> None:
    async with OpenAIServer() as server, opened(server, tools=False) as model:
        (call,) = calls(await ask(model, user("why? " * 3_000), tools=(SEARCH,)))
    assert json.loads(call.arguments) == {"query": "why? " * 400}


@pytest.mark.parametrize(
    ("messages", "fields"),
    [
        ((user("Price?"),), {"tools": (PERSON,)}),
        ((user("Price?"),), {"tools": ()}),
        ((user("Price?"),), {"tools": (SEARCH,), "has_tools_off": True}),
        ((user("", file("png", "image/png")),), {"tools": (SEARCH,)}),
        ((agent("Hello"),), {"tools": (SEARCH,)}),
    ],
)
async def test_where_there_is_nothing_to_look_up_the_server_answers(
    messages: tuple[ChatMessage, ...], fields: dict[str, Any]
) -> None:
    async with OpenAIServer() as server, opened(server, tools=False) as model:
        assert end(await ask(model, *messages, **fields)) == "stop"
        assert "tools" not in server.ledger[0].body


@pytest.mark.parametrize(
    ("status", "message", "wanted"),
    [
        (400, "Invalid schema: oneOf is not supported. (tools[0].function.parameters)", Fault.REJECTED),
        (400, "('body', 'seed'): Extra inputs are not permitted, 'input': {'tools': [5]}", Fault.REJECTED),
        (400, "An assistant message with 'tool_calls' must be followed by tool messages.", Fault.REJECTED),
        (400, "The model produced invalid content.", Fault.REJECTED),
        (400, "Unsupported parameter: 'temperature' is not supported with this model.", Fault.REJECTED),
        (401, "This key does not support tools.", Fault.KEY),
        (429, "tools are not available for now, slow down", Fault.RATE_LIMITED),
        (500, "Failed to parse tool call arguments as JSON: unexpected end of input", Fault.OVERLOADED),
    ],
)
async def test_another_refusal_takes_no_tools_away(status: int, message: str, wanted: Fault) -> None:
    async with OpenAIServer() as server, opened(server) as model:
        server.replies.append(Reply(status=status, message=message))
        assert (await fault(model, tools=(SEARCH,))).fault is wanted
        assert len(server.ledger) == 1
        await ask(model, tools=(SEARCH,))
        assert "tools" in server.ledger[-1].body


async def test_what_did_not_help_is_not_remembered() -> None:
    async with OpenAIServer() as server, opened(server) as model:
        server.replies.append(Reply(status=400, message="tools are not supported"))
        server.replies.append(Reply(status=400, message="and the rest neither"))
        assert (await fault(model, tools=(PERSON,))).fault is Fault.REJECTED
        await ask(model, tools=(PERSON,))
        assert ["tools" in asked.body for asked in server.ledger] == [True, False, True]


async def test_tool_choice_that_is_refused_goes_with_the_tools_of_that_request_alone() -> None:
    asked, result = exchange()
    dialect = Dialect(refuses=frozenset({"tool_choice", "max_completion_tokens"}))
    async with OpenAIServer(dialect=dialect) as server, opened(server) as model:
        said = await ask(model, user("Price?"), asked, result, tools=(SEARCH,), has_tools_off=True)
        assert end(said) == "stop"
        assert "tools" not in server.ledger[-1].body
        assert sent(server)[2]["role"] == "tool"
        await ask(model, tools=(SEARCH,))
        assert "tools" in server.ledger[-1].body


async def test_reasoning_that_is_refused_is_left_out() -> None:
    dialect = Dialect(refuses=frozenset({"max_completion_tokens"}), takes_reasoning=False)
    call = ToolCall("call_1", "search_knowledge", "{}")
    thought = Reasoning("small", '{"reasoning_content": "Hm."}')
    past = (
        ChatMessage(Author.AGENT, calls=(call,), reasoning=(thought,)),
        ChatMessage(Author.SYSTEM, results=(ToolResult("call_1", "5"),)),
    )

    def script(asked: Received) -> Reply:
        return Reply()

    async with OpenAIServer(script, dialect=dialect) as server, opened(server) as model:
        server.refusal = worded(server.refusal)  # type: ignore[method-assign]  # in the words of another server
        assert end(await ask(model, user("Price?"), *past, tools=(SEARCH,))) == "stop"
        assert [asked.status for asked in server.ledger] == [400, 200]


def worded(refusal: Callable[..., str]) -> Callable[..., str]:
    return lambda asked, headers: "property 'reasoning_content' is unsupported" if refusal(asked, headers) else ""


async def test_a_server_that_wants_reasoning_everywhere_gets_it() -> None:
    dialect = Dialect(refuses=frozenset({"max_completion_tokens"}), wants_reasoning=True)
    async with OpenAIServer(dialect=dialect) as server, opened(server) as model:
        for _ in range(2):
            assert end(await ask(model, user("Hello"), agent("Hi."), user("Price?"))) == "stop"
        assert [asked.status for asked in server.ledger] == [400, 200, 200]
        assert sent(server)[1]["reasoning_content"] == " "


# --- JSON answers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("formats", "kinds"),
    [
        ({"strict", "json_schema", "json_object"}, ["json_schema"]),
        ({"json_schema"}, ["json_schema", "json_schema"]),
        ({"json_object"}, ["json_schema", "json_schema", "json_object"]),
        (set(), ["json_schema", "json_schema", "json_object", None]),
    ],
)
async def test_a_schema_is_asked_for_as_well_as_the_server_can(formats: set[str], kinds: list[str | None]) -> None:
    dialect = Dialect(refuses=frozenset(), formats=frozenset(formats))
    async with OpenAIServer(lambda _: Reply('{"mood": "good"}'), dialect=dialect) as server, opened(server) as model:
        assert text(await ask(model, schema=SCHEMA)) == '{"mood": "good"}'
        assert [asked.body.get("response_format", {}).get("type") for asked in server.ledger] == kinds
        in_words = json.dumps(SCHEMA) in server.ledger[-1].body["messages"][0]["content"]
        assert in_words is (kinds[-1] != "json_schema")
        count = len(server.ledger)
        await ask(model, schema=SCHEMA)
        assert len(server.ledger) == count + 1


@pytest.mark.parametrize(("wanted", "is_strict"), [(SCHEMA, True), (LOOSE, False), ({**SCHEMA, "required": []}, False)])
async def test_only_a_schema_that_can_be_strict_is(wanted: dict[str, Any], is_strict: bool) -> None:
    async with OpenAIServer() as server, opened(server) as model:
        await ask(model, schema=wanted)
        assert server.ledger[0].body["response_format"]["json_schema"]["strict"] is is_strict


async def test_a_schema_that_is_no_object_is_asked_for_in_words() -> None:
    async with OpenAIServer() as server, opened(server) as model:
        await ask(model, schema={"type": "array"})
        assert "response_format" not in server.ledger[0].body
        assert '{"type": "array"}' in server.ledger[0].body["messages"][0]["content"]


@pytest.mark.parametrize(
    "said", ['{"a": 1}', '```json\n{"a": 1}\n```', '\n```\n{"a": 1}```\n', '<think>x</think>{"a": 1}']
)
async def test_a_json_answer_comes_in_one_piece_without_a_fence(said: str) -> None:
    async with OpenAIServer(lambda _: Reply(said, chunks=5)) as server, opened(server) as model:
        answer = await ask(model, schema=LOOSE)
    assert text(answer) == '{"a": 1}'
    assert end(answer) == "stop"


# --- any conversation --------------------------------------------------------------------------------------------------

_REQUESTS = st.builds(
    ChatRequest,
    st.sampled_from(["", "Be helpful."]),
    conversations().map(tuple),
    st.sampled_from([(), (SEARCH,), (PERSON,), (SEARCH, PERSON)]),
    schema=st.sampled_from([None, SCHEMA, LOOSE]),
    has_tools_off=st.booleans(),
)


@given(
    asked=_REQUESTS, can_call=st.booleans(), reads=st.sampled_from([(), ("text",), ("text", "images", "pdf", "audio")])
)
@settings(max_examples=200, deadline=None)
def test_any_conversation_makes_a_request_that_the_strictest_server_takes(
    asked: ChatRequest, can_call: bool, reads: tuple[str, ...]
) -> None:
    async def asking() -> None:
        dialect = SIMPLE if can_call else Dialect(refuses=SIMPLE.refuses | {"tools"}, takes_reasoning=False)
        async with OpenAIServer(dialect=dialect) as server:
            async with opened(server, name="gpt", tools=can_call, reads=reads) as model:
                said = [chunk async for chunk in model.stream(asked)]
            assert [one.refusal for one in server.ledger] in ([""], [])
            assert end(said) == ("stop" if server.ledger else "tools")

    asyncio.run(asking())
