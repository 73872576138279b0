"""Speech to text: the transcription endpoint of OpenAI, and of every server that has one like it (Groq, vLLM, Speaches, LocalAI).

Promise: one call of `transcribe` is one request, which is never sent again from here. https://platform.openai.com/docs/api-reference/audio
"""

import json
import math
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from bot.config.schema import Model
from bot.errors import Fault, FrontdeskError, ModelError
from bot.llm import faults
from bot.llm.clients import Clients
from bot.llm.stream import Patience, whole
from bot.model import value
from bot.ports import Clock, Usage
from bot.text import clean

if TYPE_CHECKING:
    import httpx2
    from openai import AsyncOpenAI

MOST_CHARS = 16_000  # of a transcript: about 15 minutes of quick speech; what follows is cut
CUT = " […]"
COPIES = 3  # of a file's bytes at once: as it was read, in the form, and on its way out
MOST_TOKENS = 1_000_000_000

# How a file is called, since servers go by its ending: https://platform.openai.com/docs/guides/speech-to-text
_ENDINGS = {
    "audio/ogg": "ogg",
    "audio/mpeg": "mp3",
    "audio/mp4": "m4a",
    "audio/m4a": "m4a",
    "audio/x-m4a": "m4a",
    "audio/aac": "aac",
    "audio/amr": "amr",
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/flac": "flac",
    "audio/x-flac": "flac",
    "audio/webm": "webm",
    "video/webm": "webm",
    "video/mp4": "mp4",
}

Read = Callable[[], Awaitable[bytes]]


@value
class Transcript:
    """What was said; "" when the server heard nothing. `seconds`: how long it is, where the server counts that and no tokens."""

    text: str
    usage: Usage
    seconds: float = 0.0


def is_heard(media_type: str) -> bool:
    """Whether a file of this type can be sent to be written down."""
    return media_type in _ENDINGS


class Transcriber:
    """One model that writes down what is said."""

    def __init__(self, name: str, settings: Model, clients: Clients, clock: Clock) -> None:
        self.name = name
        self._settings = settings
        self._key = settings.key
        self._clients = clients
        self._clock = clock
        self._sdk: AsyncOpenAI | None = None

    async def transcribe(self, read: Read, size_bytes: int, media_type: str) -> Transcript:
        """What is said in a file, which is read once there is room for it. The answer must be whole within `first_token_s`. Raises
        ModelError, and what `read` raises of ours."""
        patience = Patience(self._clock, self._settings.first_token_s, self._settings.idle_s)
        try:
            async with self._clients.room.hold(COPIES * size_bytes):
                data = await read()
                with patience:
                    response = await patience.wait(self._post(data, media_type))
                    try:
                        answer = await patience.wait(whole(response))
                    finally:
                        await response.aclose()
            return _transcript(json.loads(answer))
        except FrontdeskError:
            raise
        except Exception as error:
            raise faults.from_exception(error, self._clock.now_ms(), (self._key,)) from error

    async def _post(self, data: bytes, media_type: str) -> "httpx2.Response":
        if self._sdk is None:
            self._sdk = await self._clients.openai(self._settings.url, self._key)
        import httpx2

        from bot.llm.transport import released

        response = await self._sdk.post(
            "/audio/transcriptions",
            cast_to=httpx2.Response,
            body={**self._settings.parameters, "model": self._settings.model, "response_format": "json"},
            files={"file": (f"voice.{_ENDINGS.get(media_type, 'ogg')}", data, media_type)},
            options={"headers": {"Content-Type": "multipart/form-data"}},
            stream=True,
            stream_cls=None,
        )
        return released(response)


def _transcript(answer: object) -> Transcript:
    if not isinstance(answer, dict):
        raise ModelError("the server sent JSON that is no transcript", Fault.MALFORMED)
    if answer.get("error"):
        raise faults.ErrorInAnswer(answer)
    if not isinstance(answer.get("text"), str):
        raise ModelError("the server sent JSON without a text", Fault.MALFORMED)
    text = clean(answer["text"]).strip()
    if len(text) > MOST_CHARS:
        text = text[: MOST_CHARS - len(CUT)] + CUT
    said = answer.get("usage")
    usage: Mapping[str, Any] = said if isinstance(said, dict) else {}
    seconds = usage.get("seconds", answer.get("duration"))
    return Transcript(text, Usage(_count(usage, "input_tokens"), _count(usage, "output_tokens")), _seconds(seconds))


def _count(usage: Mapping[str, Any], name: str) -> int:
    said = usage.get(name)
    return min(MOST_TOKENS, max(0, said)) if type(said) is int else 0


def _seconds(said: object) -> float:
    return max(0.0, float(said)) if isinstance(said, int | float) and math.isfinite(said) else 0.0
