"""Models behind chat completions: OpenAI's own, and every server that speaks as it does (vLLM, Ollama, llama.cpp, DeepSeek, Kimi, GLM, Qwen,
MiniMax, Gemini's compatible endpoint).

Promise: one call of `stream` is one try. A request is sent again only to leave out, or to say differently, what the server has just said
that it does not take; that is remembered, and nothing is sent twice in the same form.

Requests go through the SDK's client, whose `post` takes a finished body and gives the bare response: the typed way in costs 0.12 ms for each
message of the history, and the typed stream builds objects for pieces of which only a few words are wanted.
"""

import json
import logging
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from bot.config.schema import Model
from bot.errors import Fault, ModelError
from bot.llm import content, faults
from bot.llm.clients import Clients
from bot.llm.openai_answer import Answer
from bot.llm.openai_dialect import Quirk, Quirks, learnt
from bot.llm.openai_request import body, query
from bot.llm.stream import Events, Patience, unpacked, whole
from bot.model import Attachment
from bot.ports import ChatRequest, Chunk, Clock, Headroom
from bot.tools.names import SEARCH_KNOWLEDGE

if TYPE_CHECKING:
    import httpx2
    from openai import AsyncOpenAI

TAIL_S = 2.0  # how long usage and the end of HTTP are waited for, once the answer itself is at its end

_log = logging.getLogger(__name__)


class OpenAIModel:
    """Implements `bot.ports.ChatModel`. An answer that is not streamed must be whole within the time for a first token."""

    provider = "openai"

    def __init__(self, name: str, settings: Model, clients: Clients, read_blob: content.ReadBlob, clock: Clock) -> None:
        self.name = name
        self._settings = settings
        self._key = settings.key
        self._is_openai = settings.is_at_provider
        self._reads = settings.kinds
        self._clients = clients
        self._read_blob = read_blob
        self._clock = clock
        self._sdk: AsyncOpenAI | None = None
        self._url = ""
        self._quirks: Quirks = frozenset() if settings.tools else frozenset({Quirk.NO_TOOLS})

    def stream(self, request: ChatRequest) -> AsyncGenerator[Chunk, None]:
        can_call = bool(request.tools) and not request.has_tools_off
        answer = Answer(self.name, can_call=can_call, is_json=request.schema is not None)
        return faults.only_model_errors(self._portions(request, answer), answer, self._clock, self._key, request)

    async def _portions(self, request: ChatRequest, answer: Answer) -> AsyncGenerator[Iterable[Chunk], None]:
        with Patience(self._clock, self._settings.first_token_s, self._settings.idle_s) as patience:
            try:
                response = await self._open(request, patience)
            except Exception as error:
                yield _headroom(getattr(error, "response", None))
                raise
            if response is None:
                answer.take(_search(query(request)))
                return
            answer.has_begun = True
            try:
                yield _headroom(response)
                async with aclosing(self._read(response, answer, patience)) as portions:
                    async for portion in portions:
                        yield portion
            finally:
                await response.aclose()

    async def _open(self, request: ChatRequest, patience: Patience) -> "httpx2.Response | None":
        """The response, its body still to be read, and the files that were sent let go of; None when what the user asks is to be looked up
        first."""
        theirs = content.with_files(request.messages)
        async with self._clients.room.hold(content.room_for(theirs, self._is_readable)):
            loaded = await content.load(theirs, self._is_readable, self._read_blob)
            return await self._ask(request, loaded, patience)

    async def _ask(self, request: ChatRequest, loaded: content.Loaded, patience: Patience) -> "httpx2.Response | None":
        """Asks again, each time in another form, while the server names what it does not take."""
        quirks = self._quirks
        asked = self._body(request, loaded, quirks)
        while Quirk.NO_TOOLS not in quirks or not query(request):
            try:
                response = await patience.wait(self._post(asked, has_files=bool(loaded)))
            except Exception as error:
                quirk = learnt(getattr(error, "status_code", 0), getattr(error, "body", None), asked, quirks)
                if quirk is None:
                    raise
                quirks |= {quirk}
                refused, asked = asked, self._body(request, loaded, quirks)
                if asked == refused:
                    raise
            else:
                self._remember(quirks)
                return response
        self._remember(quirks)
        return None

    def _remember(self, quirks: Quirks) -> None:
        """What has helped. The files of one request say nothing of the next."""
        for quirk in sorted(quirks - self._quirks, key=lambda each: each.name):
            _log.warning("The model %s %s.", self.name, quirk.value)
        self._quirks |= quirks - {Quirk.NO_FILES}

    def _body(self, request: ChatRequest, loaded: content.Loaded, quirks: Quirks) -> dict[str, Any]:
        files = {} if Quirk.NO_FILES in quirks else loaded
        return body(self.name, self._settings, request, files, quirks, is_openai=self._is_openai)

    async def _post(self, asked: dict[str, Any], *, has_files: bool) -> "httpx2.Response":
        if self._sdk is None:
            self._sdk = await self._clients.openai(self._settings.url, self._key)
        from bot.llm.transport import place, posted

        self._url = self._url or place(self._sdk, "chat/completions")
        return await posted(self._sdk, self._url, await content.encoded(asked, has_files=has_files))

    async def _read(
        self, response: "httpx2.Response", answer: Answer, patience: Patience
    ) -> AsyncGenerator[Iterable[Chunk], None]:
        kind = response.headers.get("content-type", "")
        if "event-stream" not in kind:
            yield _taken(_events(await patience.wait(whole(response)), kind), answer)
            return
        events = Events()
        async with aclosing(unpacked(response)) as pieces:
            while (piece := await patience.wait(anext(pieces, None))) is not None:
                size, was_finished = answer.size, answer.is_finished
                yield _taken(events.feed(piece), answer)
                if answer.is_finished and not was_finished:
                    patience.last(TAIL_S)
                elif answer.size > size:
                    patience.progress()
                elif not was_finished:
                    patience.sign()

    def _is_readable(self, attachment: Attachment) -> bool:
        return content.kind(attachment.media_type) in self._reads


def _headroom(response: "httpx2.Response | None") -> Iterable[Headroom]:
    headroom = response and faults.openai_headroom(response.headers)
    return (headroom,) if headroom else ()


def _taken(events: Iterable[tuple[bytes, bytes]], answer: Answer) -> Iterator[Chunk]:
    for name, data in events:
        if data and data != b"[DONE]":
            yield from answer.take(_piece(name, data))


def _piece(name: bytes, data: bytes) -> dict[str, Any]:
    """An event's JSON. Raises ErrorInAnswer for an error that comes in the place of an answer."""
    piece = json.loads(data)
    if isinstance(piece, list) and piece:
        piece = piece[0]  # Gemini's errors
    if not isinstance(piece, dict):
        raise ModelError("the server sent JSON that is no answer", Fault.MALFORMED)
    if name == b"error" or piece.get("error") or piece.get("object") == "error":
        raise faults.ErrorInAnswer(piece)
    return piece


def _events(whole: bytes, kind: str) -> list[tuple[bytes, bytes]]:
    """An answer in one piece as the one event of a stream; some servers stream whatever they are asked for, or call a stream something
    else."""
    start = whole.lstrip()[:6]
    if start.startswith((b"data:", b"event:", b":")):
        return Events().feed(whole + b"\n\n")
    if "json" in kind or start.startswith((b"{", b"[")):
        if not start:
            raise ModelError("the server sent an answer without a body", Fault.MALFORMED)
        return [(b"", whole)]
    raise ModelError(
        f"the server answered with {kind or 'no content type'} in place of JSON. Is base_url right?",
        Fault.MALFORMED,
    )


def _search(words: str) -> dict[str, Any]:
    """The piece with which a model would have asked for these words."""
    function = {"name": SEARCH_KNOWLEDGE, "arguments": json.dumps({"query": words}, ensure_ascii=False)}
    call = {"id": f"call_{uuid4().hex[:24]}", "function": function}
    return {"choices": [{"delta": {"tool_calls": [call]}, "finish_reason": "tool_calls"}]}
