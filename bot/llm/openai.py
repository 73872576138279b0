"""Models behind chat completions: OpenAI's own, and every server that speaks as it does (vLLM, Ollama, llama.cpp, DeepSeek, Kimi, GLM, Qwen,
MiniMax, Gemini's compatible endpoint).

Promise: one call of `stream` is one try. A request is sent again only to leave out, or to say differently, what the server has just said
that it does not take; that is remembered, and nothing is sent twice in the same form.

Requests go through the SDK's client, whose `post` takes a finished body and gives the bare response: the typed way in costs 0.12 ms for each
message of the history, and the typed stream builds objects for pieces of which only a few words are wanted.
"""

import json
import logging
from collections.abc import AsyncGenerator, Iterator, Sequence
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
from bot.llm.stream import Events, Patience, whole
from bot.model import Attachment
from bot.ports import ChatMessage, ChatRequest, Chunk, Clock
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
        self._quirks: Quirks = frozenset() if settings.tools else frozenset({Quirk.NO_TOOLS})

    def stream(self, request: ChatRequest) -> AsyncGenerator[Chunk, None]:
        can_call = bool(request.tools) and not request.has_tools_off
        answer = Answer(self.name, can_call=can_call, is_json=request.schema is not None)
        return faults.only_model_errors(self._chunks(request, answer), answer, self._clock, self._key, request)

    async def _chunks(self, request: ChatRequest, answer: Answer) -> AsyncGenerator[Chunk, None]:
        patience = Patience(self._clock, self._settings.first_token_s, self._settings.idle_s)
        try:
            theirs = content.with_files(request.messages)
            async with self._clients.room.hold(content.room_for(theirs, self._is_readable)):
                response = await self._open(request, theirs, patience)
        except Exception as error:
            headroom = faults.openai_headroom(getattr(getattr(error, "response", None), "headers", {}))
            if headroom is not None:
                yield headroom
            raise
        if response is None:
            answer.take(_search(query(request)))
            return
        answer.has_begun = True
        try:
            headroom = faults.openai_headroom(response.headers)
            if headroom is not None:
                yield headroom
            async with aclosing(self._pieces(response, answer, patience)) as pieces:
                async for piece in pieces:
                    for chunk in answer.take(piece):
                        yield chunk
        finally:
            await response.aclose()

    async def _open(
        self, request: ChatRequest, theirs: Sequence[ChatMessage], patience: Patience
    ) -> "httpx2.Response | None":
        """The response, its body still to be read; None when what the user asks is to be looked up first. Asks again, each time in another
        form, while the server names what it does not take. The files of `theirs` are let go of at its end."""
        loaded = await content.load(theirs, self._is_readable, self._read_blob)
        quirks = self._quirks
        asked = self._body(request, loaded, quirks)
        while Quirk.NO_TOOLS not in quirks or not query(request):
            try:
                response = await patience.wait(self._post(asked, bool(loaded)))
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

    async def _post(self, asked: dict[str, Any], has_files: bool) -> "httpx2.Response":
        if self._sdk is None:
            self._sdk = await self._clients.openai(self._settings.url, self._key)
        import httpx2

        from bot.llm.transport import released

        response = await self._sdk.post(
            "/chat/completions",
            cast_to=httpx2.Response,
            content=await content.encoded(asked, has_files=has_files),
            stream=True,
            stream_cls=None,
        )
        return released(response)

    async def _pieces(
        self, response: "httpx2.Response", answer: Answer, patience: Patience
    ) -> AsyncGenerator[dict[str, Any], None]:
        kind = response.headers.get("content-type", "")
        if "event-stream" not in kind:
            for name, data in _events(await patience.wait(whole(response)), kind):
                yield self._piece(name, data)
            return
        events = Events()
        async with aclosing(response.aiter_bytes()) as pieces:
            while (piece := await patience.wait(anext(pieces, None))) is not None:
                size, was_finished = answer.size, answer.is_finished
                for name, data in events.feed(piece):
                    if data and data != b"[DONE]":
                        yield self._piece(name, data)
                if answer.is_finished and not was_finished:
                    patience = Patience(self._clock, TAIL_S, 0.0)
                elif answer.size > size:
                    patience.progress()
                elif not was_finished:
                    patience.sign()

    def _piece(self, name: bytes, data: bytes) -> dict[str, Any]:
        """An event's JSON. Raises ErrorInAnswer for an error that comes in the place of an answer."""
        piece = json.loads(data)
        if isinstance(piece, list) and piece:
            piece = piece[0]  # Gemini's errors
        if not isinstance(piece, dict):
            raise ModelError("the server sent JSON that is no answer", Fault.MALFORMED)
        if name == b"error" or piece.get("error") or piece.get("object") == "error":
            raise faults.ErrorInAnswer(piece)
        return piece

    def _is_readable(self, attachment: Attachment) -> bool:
        return content.kind(attachment.media_type) in self._reads


def _events(whole: bytes, kind: str) -> Iterator[tuple[bytes, bytes]]:
    """An answer in one piece as the one event of a stream; some servers stream whatever they are asked for, or call a stream something
    else."""
    start = whole.lstrip()[:6]
    if start.startswith((b"data:", b"event:", b":")):
        for name, data in Events().feed(whole + b"\n\n"):
            if data and data != b"[DONE]":
                yield name, data
    elif "json" in kind or start.startswith((b"{", b"[")):
        yield b"", whole
    else:
        raise ModelError(
            f"the server answered with {kind or 'no content type'} in place of JSON. Is base_url right?",
            Fault.MALFORMED,
        )


def _search(words: str) -> dict[str, Any]:
    """The piece with which a model would have asked for these words."""
    function = {"name": SEARCH_KNOWLEDGE, "arguments": json.dumps({"query": words}, ensure_ascii=False)}
    call = {"id": f"call_{uuid4().hex[:24]}", "function": function}
    return {"choices": [{"delta": {"tool_calls": [call]}, "finish_reason": "tool_calls"}]}
