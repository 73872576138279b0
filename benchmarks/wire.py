"""The load's side of a web socket: as little work as the protocol allows, so that one core can load a server on the other.

Client frames carry a mask of zeros, which RFC 6455 permits and which leaves the payload as it is.
"""

import asyncio
from collections.abc import Callable

HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def frame(payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes((0x81, 0x80 | size, 0, 0, 0, 0)) + payload
    return bytes((0x81, 0x80 | 126)) + size.to_bytes(2, "big") + b"\0\0\0\0" + payload


class Socket(asyncio.Protocol):
    """Calls `on_text(socket, payload)` for every text frame."""

    def __init__(self, host: bytes, on_text: "Callable[[Socket, bytes], None]") -> None:
        self._host = host
        self._on_text = on_text
        self._buffer = b""
        self._is_open = False
        self.number = 0
        self.count = 0
        self.sent_at = 0.0
        self.transport: asyncio.Transport | None = None
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.is_lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(HANDSHAKE % self._host)

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost = True
        if not self.opened.done():
            self.opened.set_exception(exc or ConnectionError("closed"))

    def send(self, payload: bytes, before: bytes = b"") -> None:
        assert self.transport is not None
        self.transport.write(frame(before) + frame(payload) if before else frame(payload))

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data if self._buffer else data
        if not self._is_open:
            head, mark, rest = buffer.partition(b"\r\n\r\n")
            if not mark:
                self._buffer = buffer
                return
            if b" 101 " not in head[:20]:
                self.opened.set_exception(ConnectionError(head[:200].decode("latin-1")))
                return
            self._is_open = True
            buffer = rest
            self.opened.set_result(None)
        at, end = 0, len(buffer)
        while end - at >= 2:
            size, start = buffer[at + 1], at + 2
            if size == 126:
                if end - at < 4:
                    break
                size, start = int.from_bytes(buffer[at + 2 : at + 4], "big"), at + 4
            elif size == 127:
                if end - at < 10:
                    break
                size, start = int.from_bytes(buffer[at + 2 : at + 10], "big"), at + 10
            if end - start < size:
                break
            at, code = start + size, buffer[at] & 0x0F
            if code == 1:
                self._on_text(self, buffer[start:at])
            elif code == 9 and self.transport is not None:
                self.transport.write(b"\x8a\x80\0\0\0\0")
        self._buffer = buffer[at:]


async def connect(port: int, on_text: Callable[[Socket, bytes], None]) -> Socket:
    loop = asyncio.get_running_loop()
    _, socket = await loop.create_connection(lambda: Socket(b"127.0.0.1:%d" % port, on_text), "127.0.0.1", port)
    await asyncio.wait_for(socket.opened, 30)
    return socket
