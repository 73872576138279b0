"""Asks the offline answerer a question as the agent's loop does: model, search, model."""

import json
from collections.abc import Sequence

from bot.llm.offline import SEARCH, OfflineModel
from bot.model import Author, Found
from bot.ports import ChatMessage, ChatRequest, Chunk, Finished, Knowledge, TextDelta, ToolCall, ToolResult, ToolSpec

TOOL = ToolSpec(SEARCH, "Searches.", {"type": "object"})


def user(text: str) -> ChatMessage:
    return ChatMessage(Author.USER, text)


def agent(text: str) -> ChatMessage:
    return ChatMessage(Author.AGENT, text)


async def chunks(*messages: ChatMessage, tools: Sequence[ToolSpec] = (TOOL,)) -> list[Chunk]:
    """All that the model says to these messages."""
    request = ChatRequest("Be helpful.", messages, tuple(tools))
    return [chunk async for chunk in OfflineModel().stream(request)]


async def query_of(*messages: ChatMessage) -> str:
    """What the model looks up for these messages; it must look something up."""
    call, finished = await chunks(*messages)
    assert isinstance(call, ToolCall)
    assert finished == Finished("tools")
    return str(json.loads(call.arguments)["query"])


async def say(*messages: ChatMessage, tools: Sequence[ToolSpec] = (TOOL,)) -> tuple[str, Finished]:
    """The text of an answer that needs no lookup, and its end."""
    return spoken(await chunks(*messages, tools=tools))


async def answer(found: Sequence[Found], *messages: ChatMessage, first_number: int = 1) -> tuple[str, Finished]:
    """The answer when the lookup gave these passages."""
    call = ToolCall("call_1", SEARCH, "{}")
    result = ToolResult("call_1", "", found=tuple(found), first_number=first_number)
    asked = ChatMessage(Author.AGENT, calls=(call,))
    return spoken(await chunks(*messages, asked, ChatMessage(Author.SYSTEM, results=(result,))))


async def ask(knowledge: Knowledge, *messages: ChatMessage) -> tuple[str, Finished]:
    """The answer to a question, with a real lookup."""
    return await answer(await knowledge.search(await query_of(*messages)), *messages)


def spoken(said: Sequence[Chunk]) -> tuple[str, Finished]:
    *deltas, finished = said
    assert isinstance(finished, Finished)
    return "".join(delta.text for delta in deltas if isinstance(delta, TextDelta)), finished
