"""The Anthropic provider: the real SDK against a server that is as strict as the API."""

import json
import logging
from typing import Any

import pytest
from pydantic import SecretStr

from bot.config.schema import Model
from bot.errors import Fault
from bot.llm.anthropic import AnthropicModel
from bot.llm.anthropic_request import MOST_IMAGE_BYTES
from bot.llm.clients import Clients
from bot.model import Attachment, Author, BlobId
from bot.net.perimeter import Perimeter
from bot.ports import ChatMessage, Finished, Headroom, Reasoning, TextDelta, ToolCall, ToolResult, Usage
from tests.clock import ManualClock
from tests.llm.calling import SEARCH, agent, anthropic, asking, blobs, called, failure, only, outcome, text_of, user
from tests.models.anthropic_server import SIGNATURE, AnthropicServer
from tests.models.wire import Call, Counts, Reply

BOTH = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
CALLS = (Call("search_knowledge", '{"query": "Wäsche"}', "toolu_a"), Call("request_human", "", "toolu_b"))


@BOTH
async def test_an_answer_is_its_text_its_usage_and_one_end(stream: bool) -> None:
    async with AnthropicServer() as server, anthropic(server, stream=stream) as model:
        server.replies.append(Reply("Twenty euros. 🙂", chunks=4, counts=Counts(70, 9, 1200, 300)))
        chunks = await called(model)
    assert text_of(chunks) == "Twenty euros. 🙂"
    assert only(chunks, Usage)[-1] == Usage(70, 9, 1200, 300)
    assert only(chunks, Finished) == [chunks[-1]] == [Finished("stop")]
    assert server.ledger[0].body["max_tokens"] == 2048
    assert len(only(chunks, TextDelta)) == (4 if stream else 1)


async def test_text_is_passed_on_before_the_answer_is_whole() -> None:
    """What has come is shown while the server is still writing."""
    async with AnthropicServer() as server, anthropic(server) as model:
        server.replies.append(Reply("One. Two. Three.", chunks=3, silent_after=4))
        stream = model.stream(asking())
        async for chunk in stream:
            if isinstance(chunk, TextDelta):
                break
        assert server.ledger[0].is_whole is False
        await stream.aclose()


@BOTH
async def test_calls_come_whole_in_their_order_with_their_arguments_as_written(stream: bool) -> None:
    async with AnthropicServer() as server, anthropic(server, stream=stream) as model:
        server.replies.append(Reply("Let me look.", calls=CALLS, chunks=5))
        chunks = await called(model)
    assert chunks[-3:] == [
        ToolCall("toolu_a", "search_knowledge", '{"query": "Wäsche"}'),
        ToolCall("toolu_b", "request_human", "{}"),
        Finished("tools"),
    ]
    assert text_of(chunks) == "Let me look."


@BOTH
@pytest.mark.parametrize(
    ("finish", "reason"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("pause_turn", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("refusal", "refusal"),
    ],
)
async def test_the_end_says_why(stream: bool, finish: str, reason: str) -> None:
    async with AnthropicServer() as server, anthropic(server, stream=stream) as model:
        server.replies.append(Reply(finish=finish))
        assert (await called(model))[-1] == Finished(reason)


@BOTH
async def test_a_call_that_the_cap_on_tokens_cut_is_not_made(stream: bool) -> None:
    async with AnthropicServer() as server, anthropic(server, stream=stream) as model:
        server.replies.append(Reply(calls=(Call("request_human", "{}"),), finish="max_tokens"))
        chunks = await called(model)
    assert only(chunks, ToolCall) == []
    assert chunks[-1] == Finished("length")


async def test_a_server_that_streams_although_it_was_not_asked_to_is_understood_and_the_other_way_round() -> None:
    async with AnthropicServer() as server, anthropic(server) as model, anthropic(server, stream=False) as plain:
        await called(model)
        whole = server.whole(Reply("All at once."), server.ledger[0])
        server.replies.append(Reply(raw=json.dumps(whole).encode()))
        assert text_of(await called(model)) == "All at once."
        frames = b"".join(server.frames(Reply("Bit by bit."), server.ledger[0]))
        server.replies.append(Reply(raw=frames, content_type="text/event-stream"))
        assert text_of(await called(plain)) == "Bit by bit."


# --- thoughts ----------------------------------------------------------------------------------------------------------


@BOTH
async def test_thoughts_go_back_with_their_call_word_for_word(stream: bool) -> None:
    """What the API signed comes back unchanged, first in the message that it came in."""
    async with AnthropicServer() as server, anthropic(server, stream=stream) as model:
        server.replies.append(Reply("Looking.", reasoning="They want a price.", calls=CALLS[:1], chunks=4))
        chunks = await called(model)
        (reasoning,) = [chunk for chunk in chunks if isinstance(chunk, Reasoning)]
        (call,) = [chunk for chunk in chunks if isinstance(chunk, ToolCall)]
        assert chunks.index(reasoning) < chunks.index(call)
        asked = ChatMessage(Author.AGENT, "Looking.", calls=(call,), reasoning=(reasoning,))
        given = ChatMessage(Author.SYSTEM, results=(ToolResult(call.id, "20 euros"),))
        await called(model, asking(user("How much?"), asked, given))
    content = server.ledger[1].body["messages"][1]["content"]
    assert content[0] == {"type": "thinking", "thinking": "They want a price.", "signature": SIGNATURE}
    assert [block["type"] for block in content] == ["thinking", "text", "tool_use"]


async def test_hidden_thoughts_go_back_too() -> None:
    block = {"type": "redacted_thinking", "data": "b3BhcXVl"}
    async with AnthropicServer() as server, anthropic(server) as model:
        server.replies.append(Reply(calls=CALLS[:1]))
        await called(model)
        whole = server.whole(Reply(calls=CALLS[:1]), server.ledger[0])
        whole["content"].insert(0, block)
        server.replies.append(Reply(raw=json.dumps(whole).encode()))
        (reasoning,) = [chunk for chunk in await called(model) if isinstance(chunk, Reasoning)]
    assert json.loads(reasoning.data) == [block]


async def test_the_thoughts_of_another_model_are_not_sent() -> None:
    async with AnthropicServer() as server, anthropic(server) as model:
        foreign = Reasoning("gpt", json.dumps([{"type": "thinking", "thinking": "x", "signature": "y"}]))
        asked = ChatMessage(Author.AGENT, calls=(ToolCall("a", "search_knowledge", "{}"),), reasoning=(foreign,))
        given = ChatMessage(Author.SYSTEM, results=(ToolResult("a", "20 euros"),))
        await called(model, asking(user("How much?"), asked, given))
    assert [block["type"] for block in server.ledger[0].body["messages"][1]["content"]] == ["tool_use"]


async def test_thoughts_that_the_server_no_longer_accepts_are_left_out(caplog: pytest.LogCaptureFixture) -> None:
    """A signature that has become worthless costs one more request, not the answer."""
    stale = Reasoning("claude", json.dumps([{"type": "thinking", "thinking": "x", "signature": "stale"}]))
    asked = ChatMessage(Author.AGENT, calls=(ToolCall("a", "search_knowledge", "{}"),), reasoning=(stale,))
    given = ChatMessage(Author.SYSTEM, results=(ToolResult("a", "20 euros"),))
    thinking = {"thinking": {"type": "adaptive"}}
    async with AnthropicServer() as server, anthropic(server, parameters=thinking) as model:
        with caplog.at_level(logging.WARNING):
            assert text_of(await called(model, asking(user("How much?"), asked, given)))
    assert [received.status for received in server.ledger] == [400, 200]
    assert "thinking" not in server.ledger[1].body
    assert "earlier thoughts" in caplog.text


# --- what is sent ------------------------------------------------------------------------------------------------------


async def test_who_wrote_what_reaches_the_model() -> None:
    """Users on their side; the agent and people of the house on the other, these by name; notes of the system are marked."""
    async with AnthropicServer() as server, anthropic(server) as model:
        messages = (
            user("Hello?"),
            user("Anybody?"),
            agent("Hi!"),
            ChatMessage(Author.OPERATOR, "I am Ann."),
            ChatMessage(Author.SYSTEM, "The order was sent."),
            user("Thanks."),
        )
        await called(model, asking(*messages))
    said = [(message["role"], _texts(message)) for message in server.ledger[0].body["messages"]]
    assert said == [
        ("user", ["Hello?", "Anybody?"]),
        ("assistant", ["Hi!", "[A human colleague wrote:] I am Ann."]),
        ("user", ["[Note of the system:] The order was sent.", "Thanks."]),
    ]


async def test_a_failed_call_is_told_as_failed() -> None:
    async with AnthropicServer() as server, anthropic(server) as model:
        asked = ChatMessage(Author.AGENT, calls=(ToolCall("a", "search_knowledge", '{"query": "x"}'),))
        given = ChatMessage(Author.SYSTEM, results=(ToolResult("a", "no index", is_error=True),))
        await called(model, asking(user("Hi"), asked, given))
    _, call, result = server.ledger[0].body["messages"]
    assert call["content"][0]["input"] == {"query": "x"}
    assert result["content"][0]["is_error"] is True
    assert result["content"][0]["content"] == "no index"


async def test_what_stays_the_same_is_marked_for_the_cache() -> None:
    """Instructions with the tools before them, the last message, and the user's before: so each call reads what the one before wrote."""
    async with AnthropicServer() as server, anthropic(server) as model:
        await called(model, asking(user("One?"), agent("1."), user("Two?")))
        await called(model, asking(user("One?"), agent("1."), user("Two?"), agent("2."), user("Three?")))
    first, second = (received.body for received in server.ledger)
    assert [_is_marked(message) for message in first["messages"]] == [True, False, True]
    assert [_is_marked(message) for message in second["messages"]] == [False, False, True, False, True]
    assert first["system"] == second["system"] == [{**_text("Be helpful."), "cache_control": {"type": "ephemeral"}}]
    assert [_texts(message) for message in second["messages"]][:3] == [_texts(message) for message in first["messages"]]


async def test_without_instructions_the_tools_are_marked() -> None:
    async with AnthropicServer() as server, anthropic(server) as model:
        request = asking()
        await called(model, type(request)("", request.messages, request.tools))
    body = server.ledger[0].body
    assert "system" not in body
    assert body["tools"][-1]["cache_control"] == {"type": "ephemeral"}


async def test_tools_that_are_off_stay_declared_and_may_not_be_called() -> None:
    async with AnthropicServer() as server, anthropic(server) as model:
        asked = ChatMessage(Author.AGENT, calls=(ToolCall("a", "search_knowledge", "{}"),))
        given = ChatMessage(Author.SYSTEM, results=(ToolResult("a", "20 euros"),))
        await called(model, asking(user("Hi"), asked, given, has_tools_off=True))
        await called(model, asking(user("Hi"), asked, given, tools=()))
        await called(model, asking(user("Hi"), tools=()))
    off, none, never = (received.body for received in server.ledger)
    assert off["tools"][0]["description"] == "Searches."
    assert off["tool_choice"] == none["tool_choice"] == {"type": "none"}
    assert none["tools"][0]["name"] == "search_knowledge"
    assert "tools" not in never


async def test_a_model_without_tools_is_offered_none() -> None:
    async with AnthropicServer() as server, anthropic(server, tools=False) as model:
        await called(model)
    assert "tools" not in server.ledger[0].body


async def test_parameters_of_the_config_are_passed_on_and_win() -> None:
    async with (
        AnthropicServer() as server,
        anthropic(server, parameters={"temperature": 0.2, "max_tokens": 99}) as model,
    ):
        await called(model)
    assert server.ledger[0].body["temperature"] == 0.2
    assert server.ledger[0].body["max_tokens"] == 99


# --- JSON --------------------------------------------------------------------------------------------------------------

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"is_ok": {"type": "boolean"}, "why": {"type": "object", "properties": {"text": {"type": "string"}}}},
    "required": ["is_ok"],
}


async def test_a_schema_is_asked_for_in_the_api_s_own_way() -> None:
    async with (
        AnthropicServer() as server,
        anthropic(server, parameters={"output_config": {"effort": "low"}}) as model,
    ):
        await called(model, asking(schema=SCHEMA))
    config = server.ledger[0].body["output_config"]
    assert config["effort"] == "low"
    assert config["format"]["type"] == "json_schema"
    assert config["format"]["schema"]["additionalProperties"] is False
    assert config["format"]["schema"]["properties"]["why"]["additionalProperties"] is False
    assert "additionalProperties" not in SCHEMA


async def test_a_server_that_knows_no_schemas_is_asked_in_words_from_then_on(caplog: pytest.LogCaptureFixture) -> None:
    async with AnthropicServer() as server, anthropic(server) as model:
        server.unknown = frozenset({"output_config"})
        server.script = lambda _: Reply('{"is_ok": true}')
        with caplog.at_level(logging.WARNING):
            assert text_of(await called(model, asking(schema=SCHEMA))) == '{"is_ok": true}'
            await called(model, asking(schema=SCHEMA))
    assert [received.status for received in server.ledger] == [400, 200, 200]
    assert '"is_ok"' in server.ledger[1].body["system"][-1]["text"]
    assert "cache_control" not in server.ledger[1].body["system"][-1]
    assert caplog.text.count("a JSON schema") == 1


# --- files -------------------------------------------------------------------------------------------------------------

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))


def attached(blob: str, media_type: str, name: str = "", size: int = 500) -> Attachment:
    return Attachment(BlobId(blob), name or f"{blob}.bin", media_type, size)


async def test_images_documents_and_texts_are_read() -> None:
    files = {"a": PNG, "b": b"%PDF-1.7 and more", "c": "Grüße,\nAnn".encode()}
    shown = (
        attached("a", "image/png"),
        attached("b", "application/pdf", "bill.pdf"),
        attached("c", "text/plain", "note.txt"),
    )
    async with AnthropicServer() as server, anthropic(server, files=files) as model:
        await called(model, asking(user("Look.", *shown)))
    image, document, text, words = server.ledger[0].body["messages"][0]["content"]
    assert image["source"]["media_type"] == "image/png"
    assert image["source"]["data"].startswith("iVBOR")
    assert (document["type"], document["title"]) == ("document", "bill.pdf")
    assert "Grüße,\nAnn" in text["text"]
    assert "note.txt" in text["text"]
    assert words["text"] == "Look."


@pytest.mark.parametrize(
    "file",
    [
        attached("a", "image/heic", "cat.heic"),
        attached("a", "application/msword", "cat.doc"),
        attached("a", "audio/wav", "cat.wav"),
        attached("a", "image/png", "cat.png", MOST_IMAGE_BYTES + 1),
        attached("a", "image/png", "cat.png", 0),
        attached("gone", "image/png", "cat.png"),
    ],
    ids=["type", "office", "audio", "size", "empty", "gone"],
)
async def test_a_file_that_cannot_be_read_is_named_in_words(file: Attachment) -> None:
    """The model can say that it did not see the file, rather than not know that there was one."""
    async with AnthropicServer() as server, anthropic(server, files={"a": PNG}) as model:
        await called(model, asking(user("", file)))
    (note,) = _texts(server.ledger[0].body["messages"][0])
    assert file.name in note
    assert file.media_type in note


async def test_a_model_that_reads_text_alone_is_shown_no_image() -> None:
    async with AnthropicServer() as server, anthropic(server, files={"a": PNG}, reads=("text",)) as model:
        await called(model, asking(user("Look.", attached("a", "image/png", "cat.png"))))
    assert "cat.png" in _texts(server.ledger[0].body["messages"][0])[0]


async def test_the_newest_five_files_are_sent() -> None:
    files = {f"f{n}": PNG + bytes([n]) for n in range(8)}
    messages = [user(f"File {n}.", attached(f"f{n}", "image/png", f"number-{n}.png")) for n in range(8)]
    async with AnthropicServer() as server, anthropic(server, files=files) as model:
        await called(model, asking(*messages))
    content = server.ledger[0].body["messages"][0]["content"]
    assert sum(block["type"] == "image" for block in content) == 5
    assert [n for n in range(8) if f"number-{n}.png" in str(content)] == [0, 1, 2]


async def test_a_large_file_is_sent_whole() -> None:
    large = bytes(range(256)) * 12_000
    async with AnthropicServer() as server, anthropic(server, files={"a": large}) as model:
        await called(model, asking(user("Look.", attached("a", "image/jpeg", size=len(large)))))
    assert len(server.ledger[0].body["messages"][0]["content"][0]["source"]["data"]) == len(large) // 3 * 4


async def test_a_file_that_the_server_cannot_open_does_not_cost_the_answer() -> None:
    """It is named in words instead, so that a broken picture does not end the conversation."""
    async with AnthropicServer() as server, anthropic(server, files={"a": PNG}) as model:
        message = "messages.0.content.0.image.source.base64: Could not process image"
        server.replies.append(Reply(status=400, error="invalid_request_error", message=message))
        assert text_of(await called(model, asking(user("Look.", attached("a", "image/png", "cat.png")))))
    assert "cat.png" in _texts(server.ledger[1].body["messages"][0])[0]


# --- limits, keys ------------------------------------------------------------------------------------------------------


async def test_the_headroom_comes_first_and_with_a_refusal_too() -> None:
    headers = {
        "anthropic-ratelimit-requests-limit": "50",
        "anthropic-ratelimit-requests-remaining": "0",
        "anthropic-ratelimit-requests-reset": "2023-11-14T22:13:35Z",
    }
    async with AnthropicServer() as server, anthropic(server, clock=ManualClock(1_700_000_000_000)) as model:
        server.replies.append(Reply(headers=headers))
        server.replies.append(Reply(status=429, error="rate_limit_error", headers={**headers, "retry-after": "7"}))
        chunks = await called(model)
        assert chunks[0] == Headroom(requests_limit=50, requests_left=0, requests_reset_s=15.0)
        stream = model.stream(asking())
        assert await anext(stream) == chunks[0]
        error = await failure(model_rest := _Rest(stream))
    assert model_rest.name == "rest"
    assert (error.fault, error.retry_after_s) == (Fault.RATE_LIMITED, 7.0)


class _Rest:
    """What is left of a stream, as a model."""

    name = "rest"

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def stream(self, _: object) -> Any:
        return self._stream


async def test_a_new_key_is_used_at_once_over_the_same_connection() -> None:
    async with AnthropicServer() as server:
        clients = Clients(Perimeter([]))
        for key in ("old-key", "new-key", ""):
            settings = Model(
                provider="anthropic", model="m", base_url=server.url, api_key=SecretStr(key) if key else None
            )
            await called(AnthropicModel("claude", settings, clients, blobs(), ManualClock()))
        await clients.close()
    assert [received.headers["Authorization"] for received in server.ledger] == [
        "Bearer old-key",
        "Bearer new-key",
        "Bearer none",
    ]
    assert len(server.peers) == 1


async def test_the_environment_has_no_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key, an address or a proxy that lies about in the environment is not used: a key must not travel to a foreign host."""
    for name, value in (
        ("ANTHROPIC_API_KEY", "stray"),
        ("ANTHROPIC_AUTH_TOKEN", "stray"),
        ("ANTHROPIC_CUSTOM_HEADERS", "X-Gateway: stray"),
        ("ANTHROPIC_BASE_URL", "http://127.0.0.1:1"),
        ("HTTP_PROXY", "http://127.0.0.1:1"),
        ("ALL_PROXY", "http://127.0.0.1:1"),
    ):
        monkeypatch.setenv(name, value)
    async with AnthropicServer() as server, anthropic(server, api_key=None) as model:
        await called(model)
    assert "stray" not in str(dict(server.ledger[0].headers))


async def test_a_long_history_is_one_acceptable_request() -> None:
    messages = [user(f"Question {n}?") if n % 2 == 0 else agent(f"Answer {n}.") for n in range(201)]
    async with AnthropicServer() as server, anthropic(server) as model:
        assert not isinstance(await outcome(model, asking(*messages, tools=(SEARCH,))), Exception)
    assert len(server.ledger[0].body["messages"]) == 201


def _texts(message: dict[str, Any]) -> list[str]:
    content = message["content"]
    return [content] if isinstance(content, str) else [block["text"] for block in content if block["type"] == "text"]


def _text(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}


def _is_marked(message: dict[str, Any]) -> bool:
    return isinstance(message["content"], list) and "cache_control" in message["content"][-1]
