"""Whatever the conversation, the request is one that the API takes."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bot.config.schema import Model
from bot.llm.anthropic_request import Form, body, is_readable
from bot.llm.content import is_assistant, load
from bot.ports import ChatMessage, ChatRequest, ToolSpec
from tests.llm.calling import SEARCH, anthropic, blobs, called
from tests.llm.conversations import conversations
from tests.models.anthropic_server import AnthropicServer

SETTINGS = Model(provider="anthropic", model="m")
FILES = blobs(kept=b"\x89PNG and more", text=b"words")
READS = frozenset({"text", "images", "pdf"})
OTHER = ToolSpec("request_human", "Asks for a person.", {"type": "object"})
TOOLS: list[tuple[ToolSpec, ...]] = [(), (SEARCH,), (SEARCH, OTHER)]
SCHEMAS: list[dict[str, Any] | None] = [None, {"type": "object", "properties": {"a": {"type": "array", "items": {}}}}]


@given(
    conversations(),
    st.sampled_from(TOOLS),
    st.sampled_from(["", "Be helpful."]),
    st.booleans(),
    st.sampled_from(SCHEMAS),
    st.tuples(st.booleans(), st.booleans()),
)
async def test_any_conversation_is_an_acceptable_request(
    messages: list[ChatMessage],
    tools: tuple[ToolSpec, ...],
    instructions: str,
    has_tools_off: bool,
    schema: dict[str, Any] | None,
    form: tuple[bool, bool],
) -> None:
    request = ChatRequest(instructions, tuple(messages), tools, schema=schema, has_tools_off=has_tools_off)
    theirs = [message for message in messages if not is_assistant(message.author)]
    files = await load(theirs, lambda each: is_readable(each, READS), FILES)
    sent = body(request, SETTINGS, "claude", Form(files, has_schema=form[0], has_thoughts=form[1]))
    sent |= {"model": "m", "max_tokens": 10}
    assert AnthropicServer().refusal(sent, {"anthropic-version": "1"}) == ""


@given(conversations(), conversations())
def test_what_was_sent_before_is_sent_again_as_it_was(past: list[ChatMessage], more: list[ChatMessage]) -> None:
    """A conversation that has grown begins with the same messages, so that they are read from the cache. Only the last of them may
    have grown, where the same side went on."""
    tools = (SEARCH,)
    form = Form({}, has_schema=False)
    first = body(ChatRequest("", tuple(past), tools), SETTINGS, "claude", form)["messages"]
    second = body(ChatRequest("", (*past, *more), tools), SETTINGS, "claude", form)["messages"]
    same = [_bare(message) for message in first[:-2]]
    assert [_bare(message) for message in second[: len(same)]] == same


def _bare(message: dict[str, Any]) -> list[Any]:
    content = message["content"]
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    return [{key: value for key, value in block.items() if key != "cache_control"} for block in blocks]


async def test_odd_conversations_get_through_the_sdk_as_well() -> None:
    """What no encoder takes (half a surrogate pair in a call's arguments) does not stop the conversation for good."""
    from bot.model import Author
    from bot.ports import ToolCall, ToolResult

    call = ChatMessage(Author.AGENT, calls=(ToolCall("ä", "bad name", '{"a": "\\ud83d"}'),))
    result = ChatMessage(Author.SYSTEM, results=(ToolResult("ä", ""),))
    async with AnthropicServer() as server, anthropic(server) as model:
        await called(model, ChatRequest("", (call, result, call)))
    assert server.ledger[0].refusal == ""
