"""Text to vectors: the embeddings endpoint of OpenAI, and of every server that has one like it (vLLM, Ollama, LocalAI, TEI).

One request for each batch, which is never sent again from here. https://platform.openai.com/docs/api-reference/embeddings
"""

import json
import math
import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bot.config.schema import Model
from bot.errors import Fault, FrontdeskError, ModelError
from bot.llm import faults
from bot.llm.clients import Clients
from bot.llm.stream import Patience, whole
from bot.ports import Clock

if TYPE_CHECKING:
    import httpx2
    from openai import AsyncOpenAI

MOST_BATCH = 16
MOST_CHARS = (
    6_000  # of a text: some 8,000 tokens in any language, the most that OpenAI's models take; what follows is cut
)


class EndpointEmbedder:
    """An embeddings endpoint: https://platform.openai.com/docs/api-reference/embeddings. One request for each batch, never sent again from
    here; each answer must be whole within `first_token_s`."""

    def __init__(self, name: str, settings: Model, clients: Clients, clock: Clock) -> None:
        self.model = f"{name}/{settings.model}"
        self._settings = settings
        self._key = settings.key
        self._clients = clients
        self._clock = clock
        self._sdk: AsyncOpenAI | None = None

    async def embed(self, texts: Sequence[str]) -> list[bytes]:
        """As the port says. Raises ModelError."""
        vectors: list[bytes] = []
        for start in range(0, len(texts), MOST_BATCH):
            vectors += await self._embed(texts[start : start + MOST_BATCH])
        return vectors

    def take(self, settings: Model) -> None:
        """A new key or address holds from the next request on. Another model waits for a restart: its vectors are none to compare with."""
        if settings.model == self._settings.model:
            self._settings, self._key, self._sdk = settings, settings.key, None

    async def close(self) -> None:
        """Nothing: the connections are the clients'."""

    async def _embed(self, texts: Sequence[str]) -> list[bytes]:
        try:
            with Patience(self._clock, self._settings.first_token_s, self._settings.idle_s) as patience:
                response = await patience.wait(self._post(texts))
                try:
                    answer = await patience.wait(whole(response))
                finally:
                    await response.aclose()
            return _vectors(json.loads(answer), len(texts))
        except FrontdeskError:
            raise
        except Exception as error:
            raise faults.from_exception(error, self._clock.now_ms(), (self._key,)) from error

    async def _post(self, texts: Sequence[str]) -> "httpx2.Response":
        if self._sdk is None:
            self._sdk = await self._clients.openai(self._settings.url, self._key)
        import httpx2

        from bot.llm.transport import released

        inputs = [
            text[:MOST_CHARS].encode(errors="ignore").decode() or " " for text in texts
        ]  # an empty input is refused
        body = {**self._settings.parameters, "model": self._settings.model, "input": inputs, "encoding_format": "float"}
        response = await self._sdk.post("/embeddings", cast_to=httpx2.Response, body=body, stream=True, stream_cls=None)
        return released(response)


def _vectors(answer: object, wanted: int) -> list[bytes]:
    """What the endpoint sent, by `index`, at length 1. Raises ModelError when it is not one vector of one length for each text."""
    data = answer.get("data") if isinstance(answer, dict) else None
    rows = {row.get("index"): row.get("embedding") for row in data or () if isinstance(row, dict)}
    found = [rows.get(place) for place in range(wanted)]
    if not all(isinstance(one, list) and one and all(map(_is_number, one)) for one in found):
        raise ModelError("the server sent no embedding for each text", Fault.MALFORMED)
    vectors = [_unit([float(number) for number in one or ()]) for one in found]
    if len({len(vector) for vector in vectors}) > 1:
        raise ModelError("the server sent embeddings of different lengths", Fault.MALFORMED)
    return vectors


def _is_number(said: object) -> bool:
    return type(said) in (int, float) and math.isfinite(float(str(said)))


def _unit(numbers: Sequence[float]) -> bytes:
    length = math.hypot(*numbers) or 1.0
    return struct.pack(f"<{len(numbers)}f", *(number / length for number in numbers))
