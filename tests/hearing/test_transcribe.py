"""What a transcription server says, through the real SDK, and what becomes of it when the server does not."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pydantic import SecretStr

from bot.config.schema import Model
from bot.errors import Fault, ModelError, Refused
from bot.llm.clients import Clients
from bot.llm.transcribe import MOST_CHARS, Transcriber, Transcript, is_heard
from bot.net.perimeter import Perimeter
from bot.ports import Usage
from tests.clock import ManualClock
from tests.llm.openai_asking import after
from tests.models.openai_server import OpenAIServer
from tests.models.wire import Counts, Reply

OGG = b"OggS\x00\x02" + b"speech" * 60
KEY = "sk-test-0123456789abcdef"


@asynccontextmanager
async def opened(
    server: OpenAIServer, clock: ManualClock | None = None, *, allow: list[str] | None = None, **settings: Any
) -> AsyncIterator[Transcriber]:
    clients = Clients(Perimeter(allow))
    wanted = {"provider": "openai", "model": "whisper-1", "base_url": server.base_url, "api_key": SecretStr(KEY)}
    try:
        yield Transcriber("ears", Model(**{**wanted, **settings}), clients, clock or ManualClock())
    finally:
        await clients.close()


async def hear(ears: Transcriber, media_type: str = "audio/ogg", data: bytes = OGG) -> Transcript:
    async def read() -> bytes:
        return data

    return await ears.transcribe(read, len(data), media_type)


async def failure(ears: Transcriber) -> ModelError:
    with pytest.raises(ModelError) as caught:
        await hear(ears)
    return caught.value


async def test_what_is_said_comes_back_as_text() -> None:
    async with OpenAIServer() as server, opened(server) as ears:
        server.replies.append(Reply(" When do you open? ", counts=Counts(input=40, output=6)))
        assert await hear(ears) == Transcript("When do you open?", Usage(40, 6))
    (asked,) = server.ledger
    assert asked.refusal == ""
    assert asked.body["file"] == {"name": "voice.ogg", "type": "audio/ogg", "data": OGG}
    assert (asked.body["model"], asked.body["response_format"]) == ("whisper-1", "json")
    assert asked.headers["Authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    ("media_type", "name"),
    [
        ("audio/mpeg", "voice.mp3"),
        ("audio/mp4", "voice.m4a"),
        ("audio/x-m4a", "voice.m4a"),
        ("audio/x-wav", "voice.wav"),
        ("audio/x-flac", "voice.flac"),
        ("video/webm", "voice.webm"),
        ("video/mp4", "voice.mp4"),
    ],
)
async def test_servers_know_a_sound_by_the_ending_of_its_name(media_type: str, name: str) -> None:
    assert is_heard(media_type)
    async with OpenAIServer() as server, opened(server) as ears:
        await hear(ears, media_type)
    assert server.ledger[0].body["file"]["name"] == name
    assert server.ledger[0].refusal == ""


async def test_further_parameters_go_with_it() -> None:
    async with OpenAIServer() as server, opened(server, parameters={"language": "de"}) as ears:
        await hear(ears)
    assert server.ledger[0].body["language"] == "de"


async def test_seconds_are_told_where_no_tokens_are_counted() -> None:
    async with OpenAIServer() as server, opened(server) as ears:
        server.replies.append(Reply("Hi.", counts=Counts(input=0)))
        assert await hear(ears) == Transcript("Hi.", Usage(), 12.0)


@pytest.mark.parametrize(
    "usage",
    [None, [], "much", {"input_tokens": "many", "seconds": "long"}, {"input_tokens": -4, "seconds": float("inf")}],
)
async def test_a_usage_that_is_none_harms_nothing(usage: object) -> None:
    async with OpenAIServer() as server, opened(server) as ears:
        server.replies.append(Reply(raw=json.dumps({"text": "Hi.", "usage": usage}).encode()))
        assert await hear(ears) == Transcript("Hi.", Usage())


async def test_what_is_said_is_clean_and_has_an_end() -> None:
    async with OpenAIServer() as server, opened(server) as ears:
        server.replies.append(Reply("\x00a" + "é" * 2 * MOST_CHARS))
        text = (await hear(ears)).text
    assert len(text) == MOST_CHARS
    assert "\x00" not in text


@pytest.mark.parametrize(
    ("reply", "fault"),
    [
        (Reply(status=429, headers={"retry-after": "7"}), Fault.RATE_LIMITED),
        (Reply(status=503), Fault.OVERLOADED),
        (Reply(status=401), Fault.KEY),
        (Reply(status=404), Fault.NOT_FOUND),
        (Reply(status=413), Fault.TOO_LONG),
        (Reply(status=400, message="Invalid file format."), Fault.REJECTED),
        (Reply(raw=b"Hello"), Fault.MALFORMED),
        (Reply(raw=b"[]"), Fault.MALFORMED),
        (Reply(raw=b'{"text": null}'), Fault.MALFORMED),
        (Reply(raw=b'{"text": ["a"]}'), Fault.MALFORMED),
        (Reply(raw=b'{"error": {"code": "insufficient_quota", "message": "no"}}'), Fault.BALANCE),
        (Reply(cut_after=5), Fault.UNREACHABLE),
    ],
)
async def test_every_failure_has_its_name(reply: Reply, fault: Fault) -> None:
    async with OpenAIServer() as server, opened(server) as ears:
        server.replies.append(reply)
        error = await failure(ears)
    assert error.fault is fault
    assert error.retry_after_s == (7.0 if fault is Fault.RATE_LIMITED else None)
    assert KEY not in str(error)
    assert len(server.ledger) == 1, "it is asked once, and never again from here"


@pytest.mark.parametrize("reply", [Reply(is_mute=True), Reply(silent_after=0)], ids=["at once", "in the answer"])
async def test_a_silent_server_is_left_in_time(reply: Reply) -> None:
    clock = ManualClock()
    async with OpenAIServer() as server, opened(server, clock, first_token_s=20) as ears:
        await ears._clients.warm(["openai"])
        server.replies.append(reply)
        asking = asyncio.ensure_future(hear(ears))
        await server.silence()
        error, seconds = await after(clock, asking)
    assert isinstance(error, ModelError)
    assert error.fault is Fault.SILENT
    assert 19 <= seconds <= 22


async def test_outside_the_perimeter_nobody_is_asked() -> None:
    async with OpenAIServer() as server, opened(server, allow=[], base_url="http://192.0.2.1:9") as ears:
        assert (await failure(ears)).fault is Fault.REJECTED


async def test_a_file_that_is_gone_is_no_fault_of_the_model() -> None:
    async def read() -> bytes:
        raise Refused("no_blob", "That file is not there (any more).")

    async with OpenAIServer() as server, opened(server) as ears:
        with pytest.raises(Refused):
            await ears.transcribe(read, 10, "audio/ogg")
    assert server.ledger == []
