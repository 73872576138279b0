"""Asks an OpenAIModel over a real connection."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterable
from contextlib import aclosing, asynccontextmanager
from typing import Any, TypeVar

from pydantic import SecretStr

from bot.config.schema import Model
from bot.errors import Fault, ModelError, Refused
from bot.llm.clients import Clients
from bot.llm.openai import OpenAIModel
from bot.model import Attachment, Author, BlobId
from bot.net.perimeter import Perimeter
from bot.ports import ChatMessage, ChatRequest, Chunk, Finished, TextDelta, ToolCall, ToolResult, ToolSpec
from tests.clock import ManualClock
from tests.models.openai_server import OpenAIServer

T = TypeVar("T")

SEARCH = ToolSpec(
    "search_knowledge",
    "Searches the knowledge base.",
    {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]},
)
PERSON = ToolSpec("request_human", "Puts the wish for a person on record.", {"type": "object", "properties": {}})
BLOBS = {
    "png": b"\x89PNG picture",
    "pdf": b"%PDF-1.7 paper",
    "wav": b"RIFF sound",
    "mpeg": b"ID3 sound",
    "txt": "Grüße".encode(),
    "kept": b"kept",
    "text": b"text",
}


async def read_blob(blob: BlobId) -> bytes:
    """A blob is named after what it holds; any number may stand behind."""
    data = BLOBS.get(blob.rstrip("0123456789"))
    if data is None:
        raise Refused("no_blob", "There is no such file.")
    return data


@asynccontextmanager
async def opened(
    server: OpenAIServer,
    clock: ManualClock | None = None,
    *,
    name: str = "small",
    key: str = "sk-test-0123456789abcdef",
    **settings: Any,
) -> AsyncIterator[OpenAIModel]:
    """A model at this server, with clients of its own."""
    clients = Clients(Perimeter(None))
    wanted = Model(provider="openai", model="m-1", base_url=server.base_url, api_key=SecretStr(key), **settings)
    try:
        yield OpenAIModel(name, wanted, clients, read_blob, clock or ManualClock())
    finally:
        await clients.close()


def user(text: str, *attachments: Attachment) -> ChatMessage:
    return ChatMessage(Author.USER, text, attachments)


def agent(text: str) -> ChatMessage:
    return ChatMessage(Author.AGENT, text)


def file(blob: str, media_type: str, name: str = "") -> Attachment:
    return Attachment(BlobId(blob), name or blob, media_type, 1_000)


def exchange(text: str = "Prices: 5 [1]", *, query: str = '{"query": "price"}') -> tuple[ChatMessage, ChatMessage]:
    """A search that the agent made, and what it gave."""
    call = ToolCall("call_a", "search_knowledge", query)
    return ChatMessage(Author.AGENT, calls=(call,)), ChatMessage(Author.SYSTEM, results=(ToolResult("call_a", text),))


def request(*messages: ChatMessage, **fields: Any) -> ChatRequest:
    return ChatRequest(fields.pop("instructions", "You are helpful."), messages or (user("Hello"),), **fields)


async def ask(model: OpenAIModel, *messages: ChatMessage, **fields: Any) -> list[Chunk]:
    """All that the model says."""
    return [chunk async for chunk in model.stream(request(*messages, **fields))]


async def fault(model: OpenAIModel, *messages: ChatMessage, **fields: Any) -> ModelError:
    """How the model fails; it must."""
    try:
        said = await ask(model, *messages, **fields)
    except ModelError as error:
        return error
    raise AssertionError(f"it answered {said}")


async def fault_of(coming: Awaitable[object]) -> Fault | None:
    try:
        await coming
    except ModelError as error:
        return error.fault
    return None


async def after(clock: ManualClock, asking: Awaitable[T]) -> tuple[T | ModelError, float]:
    """What comes of it when time passes and nothing else happens, and how many seconds that took."""
    began = clock.monotonic()
    task = asyncio.ensure_future(asking)
    while not task.done():
        await clock.advance(0.25)
        await asyncio.wait([task], timeout=0.001)
    try:
        return task.result(), clock.monotonic() - began
    except ModelError as error:
        return error, clock.monotonic() - began


async def first(model: OpenAIModel, *messages: ChatMessage) -> Chunk:
    """The first chunk; the rest is abandoned."""
    async with aclosing(model.stream(request(*messages))) as chunks:
        return await anext(chunks)


def text(chunks: Iterable[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks if isinstance(chunk, TextDelta))


def calls(chunks: Iterable[Chunk]) -> list[ToolCall]:
    return [chunk for chunk in chunks if isinstance(chunk, ToolCall)]


def end(chunks: list[Chunk]) -> str:
    """Why it ended; that must be the last thing said, and said once."""
    assert [chunk for chunk in chunks if isinstance(chunk, Finished)] == chunks[-1:]
    assert isinstance(chunks[-1], Finished)
    return chunks[-1].reason


def sent(server: OpenAIServer, place: int = -1) -> list[dict[str, Any]]:
    """The messages of a request, without the system's."""
    messages: list[dict[str, Any]] = server.ledger[place].body["messages"]
    return [message for message in messages if message["role"] != "system"]
