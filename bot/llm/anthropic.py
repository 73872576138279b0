"""Models behind the Messages API of Anthropic, or of a server that speaks it.

Promise: one call of `stream` is one try. The call is repeated only to leave out what the server has just said it does not take: a JSON schema
(then remembered), files it cannot open, thoughts that are not whole.
"""

import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING

from bot.config.schema import Model
from bot.errors import Fault, ModelError
from bot.llm import faults
from bot.llm.anthropic_answer import Answer
from bot.llm.anthropic_request import Form, body, is_readable
from bot.llm.clients import Clients
from bot.llm.content import ReadBlob, encoded, load, room_for, with_files
from bot.llm.stream import Events, Patience, unpacked, whole
from bot.model import Attachment
from bot.ports import ChatRequest, Chunk, Clock, Headroom

if TYPE_CHECKING:
    import anthropic
    import httpx2


LINGER_S = 0.25  # how long HTTP's own end is waited for after the answer's, so that the connection can be used again

_log = logging.getLogger(__name__)


class AnthropicModel:
    """Implements `bot.ports.ChatModel`. An answer that is not streamed must be whole within the time for a first token."""

    provider = "anthropic"

    def __init__(self, name: str, settings: Model, clients: Clients, read_blob: ReadBlob, clock: Clock) -> None:
        self.name = name
        self._settings = settings
        self._key = settings.key
        self._reads = settings.kinds
        self._clients = clients
        self._read_blob = read_blob
        self._clock = clock
        self._sdk: anthropic.AsyncAnthropic | None = None
        self._url = ""
        self._takes_schema = True

    def stream(self, request: ChatRequest) -> AsyncGenerator[Chunk, None]:
        answer = Answer(self.name)
        return faults.only_model_errors(self._portions(request, answer), answer, self._clock, self._key, request)

    async def _portions(self, request: ChatRequest, answer: Answer) -> AsyncGenerator[Iterable[Chunk], None]:
        with Patience(self._clock, self._settings.first_token_s, self._settings.idle_s) as patience:
            try:
                response = await self._open(request, patience)
            except Exception as error:
                yield self._headroom(getattr(error, "response", None))
                raise
            answer.has_begun = True
            try:
                yield self._headroom(response)
                async with aclosing(self._read(response, answer, patience)) as portions:
                    async for portion in portions:
                        yield portion
            finally:
                await response.aclose()

    def _is_readable(self, attachment: Attachment) -> bool:
        return is_readable(attachment, self._reads)

    def _headroom(self, response: "httpx2.Response | None") -> Iterable[Headroom]:
        headroom = response and faults.anthropic_headroom(response.headers, self._clock.now_ms())
        return (headroom,) if headroom else ()

    async def _open(self, request: ChatRequest, patience: Patience) -> "httpx2.Response":
        """The response, its body still to be read, and the files that were sent let go of. Asks again, each time with less, while the
        server names what it does not take."""
        theirs = with_files(request.messages)
        async with self._clients.room.hold(room_for(theirs, self._is_readable)):
            files = await load(theirs, self._is_readable, self._read_blob)
            form = Form(files, has_schema=self._takes_schema and request.schema is not None)
            while True:
                try:
                    return await patience.wait(self._ask(request, form))
                except Exception as error:
                    less = form.without(_refused(error))
                    if less is None:
                        raise
                    if form.has_schema and not less.has_schema:
                        self._takes_schema = False
                    _log.warning("The model %s refused %s; asking again without it.", self.name, form.beyond(less))
                    form = less

    async def _ask(self, request: ChatRequest, form: Form) -> "httpx2.Response":
        settings = self._settings
        if self._sdk is None:
            self._sdk = await self._clients.anthropic(settings.base_url, self._key)
        from bot.llm.transport import place, posted

        self._url = self._url or place(self._sdk, "v1/messages")
        asked = body(request, settings, self.name, form)
        sent = {"model": settings.model, "max_tokens": settings.output_tokens, "stream": settings.stream, **asked}
        return await posted(self._sdk, self._url, await encoded(sent, has_files=bool(form.files)))

    async def _read(
        self, response: "httpx2.Response", answer: Answer, patience: Patience
    ) -> AsyncGenerator[Iterable[Chunk], None]:
        kind = response.headers.get("content-type", "")
        if "event-stream" not in kind:
            yield _taken_whole(await patience.wait(whole(response)), kind, answer)
            return
        events = Events()
        async with aclosing(unpacked(response)) as pieces:
            while (piece := await patience.wait(anext(pieces, None))) is not None:
                tokens = answer.tokens
                yield _taken(events.feed(piece), answer)
                if answer.is_over:
                    await _linger(pieces, patience)
                    break
                if answer.tokens > tokens:
                    patience.progress()
                else:
                    patience.sign()
        if not answer.is_finished:
            raise ModelError("the stream ended before the answer was whole", Fault.UNREACHABLE)


def _taken(events: Iterable[tuple[bytes, bytes]], answer: Answer) -> Iterator[Chunk]:
    for name, data in events:
        if name != b"ping":
            yield from answer.take(json.loads(data))


def _taken_whole(text: bytes, kind: str, answer: Answer) -> Iterable[Chunk]:
    if "json" not in kind:
        raise ModelError(
            f"the server answered with {kind or 'no content type'} in place of JSON. Is base_url right?",
            Fault.MALFORMED,
        )
    return answer.take_whole(json.loads(text))


async def _linger(pieces: AsyncIterator[bytes], patience: Patience) -> None:
    """For the end of HTTP, so that the connection can be used again; whatever else comes is none of the answer's."""
    patience.last(LINGER_S)
    with suppress(ModelError):
        while await patience.wait(anext(pieces, None)) is not None:
            pass


def _refused(error: Exception) -> str:
    """What a 400 names, in small letters; "" for every other failure."""
    if getattr(error, "status_code", None) not in (400, 413, 422):
        return ""
    return faults.words(error).lower()
