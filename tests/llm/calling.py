"""Calls a model as the house does, against a server of the tests."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from pydantic import SecretStr

from bot.config.schema import Model
from bot.errors import ModelError
from bot.llm.anthropic import AnthropicModel
from bot.llm.clients import Clients
from bot.model import Attachment, Author, BlobId
from bot.net.perimeter import Perimeter
from bot.ports import ChatMessage, ChatModel, ChatRequest, Chunk, Clock, TextDelta, ToolSpec
from tests.clock import ManualClock
from tests.models.anthropic_server import AnthropicServer

SEARCH = ToolSpec("search_knowledge", "Searches.", {"type": "object", "properties": {"query": {"type": "string"}}})


def user(text: str, *attachments: Attachment) -> ChatMessage:
    return ChatMessage(Author.USER, text, attachments)


def agent(text: str) -> ChatMessage:
    return ChatMessage(Author.AGENT, text)


def asking(*messages: ChatMessage, tools: Sequence[ToolSpec] = (SEARCH,), **rest: Any) -> ChatRequest:
    return ChatRequest("Be helpful.", messages or (user("Hello?"),), tuple(tools), **rest)


def blobs(**kept: bytes) -> Callable[[BlobId], Awaitable[bytes]]:
    """Reads files by their id; one that is not there raises as a missing file does."""

    async def read(blob: BlobId) -> bytes:
        if blob not in kept:
            raise FileNotFoundError(blob)
        return kept[blob]

    return read


@asynccontextmanager
async def anthropic(
    server: AnthropicServer, clock: Clock | None = None, files: dict[str, bytes] | None = None, **settings: Any
) -> AsyncIterator[AnthropicModel]:
    """A model that speaks to the server, with connections of its own."""
    clients = Clients(Perimeter([]))
    config = Model(
        provider="anthropic",
        **{"model": "claude-test", "base_url": server.url, "api_key": SecretStr(server.key), **settings},
    )
    try:
        yield AnthropicModel("claude", config, clients, blobs(**(files or {})), clock or ManualClock())
    finally:
        await clients.close()


async def called(model: ChatModel, request: ChatRequest | None = None) -> list[Chunk]:
    return [chunk async for chunk in model.stream(request or asking())]


async def outcome(model: ChatModel, request: ChatRequest | None = None) -> list[Chunk] | ModelError:
    """What a call gives, or the one error that it may end with; any other is the test's failure."""
    try:
        return await called(model, request)
    except ModelError as error:
        return error


async def failure(model: ChatModel, request: ChatRequest | None = None) -> ModelError:
    given = await outcome(model, request)
    assert isinstance(given, ModelError), given
    return given


def text_of(chunks: Sequence[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks if isinstance(chunk, TextDelta))


def only(chunks: Sequence[Chunk], *kinds: type) -> list[Chunk]:
    return [chunk for chunk in chunks if isinstance(chunk, kinds)]
