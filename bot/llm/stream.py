"""Reading a server's stream: how long to wait for its next piece, and the events in the pieces."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

from bot.alarm import Alarm
from bot.errors import Fault, ModelError
from bot.ports import Clock

if TYPE_CHECKING:
    import httpx2

T = TypeVar("T")

MOST_ANSWER_BYTES = 16_777_216
LATE_S = 0.001  # beyond its time, in all: what is there already is taken
MOST_EVENT_BYTES = 4_194_304  # the largest single event that is read


class Patience:
    """How long a call may be silent: `first_s` seconds to the first token, `idle_s` between tokens.

    A sign of life that is no token (a ping) is worth another `idle_s`, but never more than `first_s + idle_s` seconds of waiting pass
    without a token: a server that pings for ever does not hold a turn. Only time spent waiting counts, never what the reader of the
    stream takes for itself. It ends with its `with`."""

    def __init__(self, clock: Clock, first_s: float, idle_s: float) -> None:
        self._clock = clock
        self._alarm = Alarm(clock)
        self._idle_s = idle_s
        self._most_s = first_s + idle_s
        self._left_s = first_s
        self._left_at_most_s = self._most_s

    def progress(self) -> None:
        """A token has come."""
        self._left_s = self._idle_s
        self._left_at_most_s = self._most_s

    def sign(self) -> None:
        """The server lives."""
        self._left_s = min(max(self._left_s, self._idle_s), self._left_at_most_s)

    def last(self, seconds: float) -> None:
        """Nothing of the answer is missing: for what may follow there are so many seconds, and no more."""
        self._left_s = self._left_at_most_s = self._most_s = seconds
        self._idle_s = 0.0

    async def wait(self, coming: Awaitable[T]) -> T:
        """What comes; raises ModelError(SILENT) when it takes too long."""
        began = self._clock.monotonic()
        self._alarm.set(began + max(self._left_s, min(LATE_S, self._left_s + LATE_S)))
        try:
            with self._alarm:
                return await coming
        except TimeoutError:
            if asyncio.iscoroutine(coming):
                coming.close()  # which may not have begun
            raise ModelError(f"the server was silent for {self._left_s:g} s", Fault.SILENT) from None
        finally:
            waited = self._clock.monotonic() - began
            self._left_s -= waited
            self._left_at_most_s -= waited

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._alarm.put_off()


class Events:
    """Takes the bytes of an event stream apart, however they are cut into pieces. An event that its blank line does not end is none.

    Format: https://html.spec.whatwg.org/multipage/server-sent-events.html"""

    def __init__(self) -> None:
        self._rest = b""
        self._size = 0  # of the lines in it
        self._name = b""
        self._data: list[bytes] = []

    def feed(self, piece: bytes) -> list[tuple[bytes, bytes]]:
        """Name (b"" where none was given) and data of each event that is now whole. Raises ModelError(MALFORMED) for an endless one."""
        lines = (self._rest + piece).splitlines(keepends=True)
        self._rest = lines.pop() if lines and not lines[-1].endswith(b"\n") else b""
        found = []
        for line in lines:
            self._size += len(line)
            if line in (b"\n", b"\r\n", b"\r"):
                if self._data:
                    found.append((self._name, b"\n".join(self._data)))
                self._name, self._data, self._size = b"", [], 0
            elif line.startswith(b"data:"):
                self._data.append(line[5:].strip())
            elif line.startswith(b"event:"):
                self._name = line[6:].strip()
            if self._size > MOST_EVENT_BYTES:
                break
        if self._size + len(self._rest) > MOST_EVENT_BYTES:
            raise ModelError("the server sent an event without end", Fault.MALFORMED)
        return found


def unpacked(response: "httpx2.Response") -> AsyncGenerator[bytes, None]:
    """The body of an answer as it comes. One that is not packed does not go through what unpacks."""
    if "content-encoding" in response.headers:
        return response.aiter_bytes()
    return cast(Any, response.stream).__aiter__()  # type: ignore[no-any-return]  # httpx2 does not say that it is a generator


async def whole(response: "httpx2.Response") -> bytes:
    """The body of an answer that is not streamed. Raises ModelError(MALFORMED) for an endless one."""
    pieces, size = [], 0
    async for piece in unpacked(response):
        pieces.append(piece)
        size += len(piece)
        if size > MOST_ANSWER_BYTES:
            raise ModelError("the server sent an answer without end", Fault.MALFORMED)
    return b"".join(pieces)
