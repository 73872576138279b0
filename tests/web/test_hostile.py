"""What strangers do to a socket: floods, broken frames, reading nothing, and looking for secrets."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from adapters.web.adapter import _HEARTBEAT_S
from bot.model import Author, Message, MessageId, Seq
from bot.net.listeners import ListenerLimits
from bot.ports import HostLimits
from tests.clock import ManualClock, settle
from tests.web.desk import Desk, running

HELLO = b'{"type":"hello","version":1}'
UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def masked(data: bytes, first_byte: int = 0x81) -> bytes:
    """A client's frame, masked with zeros."""
    size = len(data)
    if size < 126:
        head = bytes((first_byte, 0x80 | size))
    elif size < 65_536:
        head = bytes((first_byte, 0x80 | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((first_byte, 0x80 | 127)) + size.to_bytes(8, "big")
    return head + bytes(4) + data


class Raw:
    """A socket that may say anything."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def frame(self) -> tuple[int, bytes]:
        """The next frame: its first byte and its payload."""
        first, size = await self.reader.readexactly(2)
        if size > 125:
            size = int.from_bytes(await self.reader.readexactly(2 if size == 126 else 8), "big")
        return first, await self.reader.readexactly(size)

    async def close_code(self) -> int:
        async with asyncio.timeout(10):
            while True:
                first, data = await self.frame()
                if first == 0x88:
                    return int.from_bytes(data[:2], "big")


@asynccontextmanager
async def raw(desk: Desk, *, is_greeted: bool = True, receive_bytes: int = 0) -> AsyncIterator[Raw]:
    plain = socket.socket()
    plain.setblocking(False)
    if receive_bytes:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    await asyncio.get_running_loop().sock_connect(plain, ("127.0.0.1", desk.listeners.public_port))
    reader, writer = await asyncio.open_connection(sock=plain, limit=2**20)
    writer.write(UPGRADE)
    await reader.readuntil(b"\r\n\r\n")
    stranger = Raw(reader, writer)
    if is_greeted:
        writer.write(masked(HELLO))
        assert (await stranger.frame())[0] == 0x81
    try:
        yield stranger
    finally:
        writer.transport.abort()


BROKEN = [
    ("a frame above frame_bytes", b"\x81\xff" + (131_073).to_bytes(8, "big") + bytes(4), 1009),
    ("a frame of 2**63 bytes", b"\x81\xff" + (2**63 - 1).to_bytes(8, "big") + bytes(4), 1009),
    ("fragments that add up", masked(bytes(100_000), 0x01) + masked(bytes(40_000), 0x00), 1009),
    ("invalid UTF-8", masked(b"\xff\xfe"), 1007),
    ("half a surrogate pair", masked(b'{"type":"\xed\xa0\x80"}'), 1007),
    ("a reserved opcode", masked(b"", 0x83), 1002),
    ("a reserved control opcode", masked(b"", 0x8B), 1002),
    ("reserved bits", masked(b"{}", 0xF1), 1002),
    ("a compressed frame that nobody agreed on", masked(b"{}", 0xC1), 1002),
    ("a continuation of nothing", masked(b"{}", 0x80), 1002),
    ("a fragmented ping", masked(b"", 0x09), 1002),
    ("a long ping", masked(bytes(126), 0x89), 1002),
    ("a close frame of one byte", masked(b"\x03", 0x88), 1002),
    ("a close code that does not exist", masked((999).to_bytes(2, "big"), 0x88), 1002),
]


@pytest.mark.parametrize(("what", "data", "code"), BROKEN, ids=[what for what, _, _ in BROKEN])
@pytest.mark.parametrize("is_greeted", [True, False])
async def test_f71_broken_frames_are_answered_by_code(
    what: str, data: bytes, code: int, is_greeted: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Each with the code of the protocol, before hello and after, and none with a line in the log."""
    caplog.set_level(logging.INFO)
    async with running() as desk, raw(desk, is_greeted=is_greeted) as stranger:
        stranger.writer.write(data)
        assert await stranger.close_code() == code
    assert caplog.records == []


async def test_the_largest_frame_is_taken() -> None:
    """frame_bytes is what fits, to the byte."""
    async with running(HostLimits(frame_bytes=300)) as desk, raw(desk) as stranger:
        stranger.writer.write(masked(b" " * (300 - len(HELLO)) + HELLO))
        assert b"bad_frame" in (await stranger.frame())[1]  # said already, but read
        stranger.writer.write(masked(b" " * (301 - len(HELLO)) + HELLO))
        assert await stranger.close_code() == 1009


@pytest.mark.parametrize("first_byte", [0x89, 0x8A, 0x81, 0x82])
@pytest.mark.parametrize("is_greeted", [True, False])
async def test_f72_a_flood_ends_in_1008(first_byte: int, is_greeted: bool) -> None:
    """Pings, pongs and frames count alike, before hello too."""
    limits = HostLimits(frames_per_minute=8)
    async with running(limits, ManualClock()) as desk, raw(desk, is_greeted=is_greeted) as stranger:
        stranger.writer.write(masked(b"x", first_byte) * 9)
        assert await stranger.close_code() == 1008


async def test_frames_at_a_human_pace_are_no_flood() -> None:
    """The count starts anew after a minute."""
    clock = ManualClock()
    async with running(HostLimits(frames_per_minute=8), clock) as desk:
        page = await desk.visitor()
        for number in range(30):
            await page.say("x", f"a{number}")
            await clock.advance(10)


async def test_pings_are_answered() -> None:
    """With what they carried."""
    async with running() as desk, raw(desk) as stranger:
        stranger.writer.write(masked(b"are you there?", 0x89))
        assert await stranger.frame() == (0x8A, b"are you there?")


async def test_f69_a_slow_reader_is_cut_off_and_delays_nobody() -> None:
    """A page that reads nothing is closed once too much waits for it; the other page of the same visitor has every message."""
    async with running() as desk:
        page = await desk.visitor()
        token = page.welcome["token"].encode()
        async with raw(desk, is_greeted=False, receive_bytes=4096) as stranger:
            stranger.writer.write(masked(b'{"type":"hello","version":1,"token":"' + token + b'"}'))
            await stranger.frame()
            stranger.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a read transport, which asyncio does not say
            text = "x" * 60_000
            async with asyncio.timeout(20):
                for seq in range(1, 201):
                    await desk.adapter.send(page.at, Message(MessageId(f"r{seq}"), Seq(seq), Author.AGENT, text, 5))
                    assert (await page.next("message"))["seq"] == seq
            visitor = desk.adapter._room.presence.get(page.at.chat)
            assert visitor is not None
            assert len(visitor.sessions) == 1
        again = await desk.visitor(token=page.welcome["token"])
        await again.ws.close()


async def test_a_long_history_is_no_slow_reader() -> None:
    """A page that comes back to megabytes gets all of them, at its own pace."""
    async with running(HostLimits(history_messages=20)) as desk:
        page = await desk.visitor()
        for _ in range(101):
            desk.host.append(page.at, Author.AGENT, "x" * 30_000)
        again = await desk.visitor(token=page.welcome["token"], after=1)
        assert len(again.welcome["history"]) == 20
        assert [(await again.next("message"))["seq"] for _ in range(80)] == list(range(22, 102))


async def test_a_dead_client_is_noticed() -> None:
    """Who answers no ping is dropped within two rounds; who answers stays."""
    clock = ManualClock()
    async with running(clock=clock) as desk:
        page = await desk.visitor()
        async with raw(desk) as stranger, asyncio.TaskGroup() as group:
            answering = group.create_task(page.ws.receive())
            for _ in range(3 * _HEARTBEAT_S):
                await clock.advance(1)
                await settle()
            assert (await stranger.frame())[0] == 0x89
            assert await stranger.reader.read() == b""
            await desk.adapter.typing(page.at)
            assert "typing" in (await answering).data


async def test_f69_one_address_cannot_take_every_socket() -> None:
    """The cap of connections by address holds for open sockets."""
    async with running(listener_limits=ListenerLimits(connections_per_address=3)) as desk:
        pages = [await desk.visitor() for _ in range(3)]
        reader, writer = await asyncio.open_connection("127.0.0.1", desk.listeners.public_port)
        assert b"503" in await reader.read()
        assert [(await page.say("still here"))["seq"] for page in pages] == [1, 1, 1]
        writer.close()
        await writer.wait_closed()


async def test_secrets_stay_out_of_urls_and_logs(caplog: pytest.LogCaptureFixture) -> None:
    """Neither a token nor an identity nor a text is ever logged, whatever goes wrong, and no answer puts one into a URL."""
    caplog.set_level(logging.DEBUG)
    logging.getLogger("asyncio").setLevel(logging.INFO)
    async with running(identity_secret="canary-secret-" + "x" * 32) as desk:
        page = await desk.visitor()
        token = page.welcome["token"]
        await page.say("canary-text")
        desk.host.failure = RuntimeError("the house is broken")
        await page.send("message", id="a2", text="canary-text")
        await page.close_code()
        for fields in ({"token": "canary-token"}, {"identity": "canary-identity"}):
            other = await desk.page()
            await other.send("hello", version=1, **fields)
            await other.close_code()
        headers = {"Authorization": "Bearer " + token}
        async with desk.http.get("/upload/canary-blob", headers=headers) as answer:
            assert token not in str(answer.headers) + await answer.text()
    logged = "\n".join(str(vars(record)) for record in caplog.records)
    assert "the house is broken" in logged  # in the log, and nowhere else
    assert token not in logged
    assert "canary" not in logged


async def test_nothing_of_a_failure_reaches_the_page() -> None:
    """An unexpected failure ends the socket, without a word of what it was."""
    async with running() as desk, raw(desk) as stranger:
        desk.host.failure = RuntimeError("canary")
        stranger.writer.write(masked(b'{"type":"message","id":"a1","text":"x"}'))
        assert b"canary" not in await stranger.reader.read()
