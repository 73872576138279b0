"""Who wants to know that something has changed: consoles, operators' rooms, `frontdesk handoff watch`.

Only ids of conversations pass through, in batches, and only after the commit: whoever hears one reads what it needs from the store. Nothing
is kept for those who are not there; they read everything when they come.
"""

import asyncio
from collections.abc import Awaitable, Callable, Container, Iterator
from contextlib import contextmanager

MOST = 10_000  # ids that wait for one listener; beyond that it is told to read everything


class Listener:
    """One who listens. `overflowed`: too much has changed since the last batch; read everything."""

    def __init__(self, is_of_handoffs: bool = False, also: Container[str] = ()) -> None:
        self.is_of_handoffs = is_of_handoffs
        self.also = also
        self.overflowed = False
        self._changed: dict[str, None] = {}
        self._has_some = asyncio.Event()

    def put(self, conversation: str) -> None:
        if len(self._changed) >= MOST:
            self.overflowed = True
            self._changed.clear()
        if not self._changed:
            self._has_some.set()
        self._changed[conversation] = None

    async def batch(self) -> list[str]:
        """Waits until something has changed, then gives all of it, each once. `overflowed` is for the caller to reset."""
        await self._has_some.wait()
        self._has_some.clear()
        changed, self._changed = self._changed, {}
        return list(changed)


class Feed:
    """Tells every listener which conversations have changed. Never waits."""

    def __init__(self) -> None:
        self._listeners: tuple[Listener, ...] = ()

    def touch(self, conversation: str, *, is_handoff: bool = False) -> None:
        """Something was committed of this conversation, or is going on in it (typing). `is_handoff`: it has to do with a handoff."""
        for listener in self._listeners:
            if is_handoff or not listener.is_of_handoffs or conversation in listener.also:
                listener.put(conversation)

    @contextmanager
    def listening(self, *, is_of_handoffs: bool = False, also: Container[str] = ()) -> Iterator[Listener]:
        """`is_of_handoffs`: nothing but what has to do with them, and everything of the conversations that are in `also` at the time."""
        listener = Listener(is_of_handoffs, also)
        self._listeners += (listener,)
        try:
            yield listener
        finally:
            self._listeners = tuple(each for each in self._listeners if each is not listener)

    async def follow(
        self,
        take_up: Callable[[], Awaitable[None]],
        look: Callable[[list[str]], Awaitable[None]],
        *,
        also: Container[str] = (),
    ) -> None:
        """Keeps one in step with handoffs (and `also`), until cancelled. `take_up` reads everything: at first, and whenever more has
        changed than is kept here; `look` takes each batch."""
        with self.listening(is_of_handoffs=True, also=also) as listener:
            await take_up()
            while True:
                changed = await listener.batch()
                if listener.overflowed:
                    listener.overflowed = False
                    await take_up()
                await look(changed)
