"""An answer while it is being written, where the channel can show it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from bot.channels import Channel
from bot.errors import SendError
from bot.model import Address, MessageId
from bot.ports import Progress

log = logging.getLogger(__name__)

Announce = Callable[[MessageId], Awaitable[bool]]


class Draft:
    """Where the receiver does not dedupe, a draft has a durable row before it is shown, and only the run that made the row shows anything:
    what stands there is replaced by the answer, or taken away, by delivery alone."""

    __slots__ = (
        "_announce",
        "_channel",
        "_drafts",
        "_has_sign",
        "_id",
        "_is_deduped",
        "_is_ended",
        "_is_mute",
        "_is_shown",
        "_task",
        "_to",
        "started",
    )

    def __init__(
        self, channel: Channel | None, to: Address, message: MessageId, started: float, announce: Announce
    ) -> None:
        self.started = started
        self._channel = channel
        self._drafts = channel.drafts if channel is not None else None
        self._is_deduped = channel is not None and channel.limits.is_deduped
        self._to = to
        self._id = message
        self._announce = announce
        self._task = asyncio.current_task()
        self._is_shown = False
        self._is_mute = self._drafts is None
        self._has_sign = False
        self._is_ended = False

    async def show(self, text: str) -> None:
        self._has_sign = True
        if self._drafts is not None and await self._is_showing():
            await self._best_effort(self._drafts.draft(self._to, self._id, text))

    async def step(self, progress: Progress) -> None:
        if self._channel is None or self._channel.progress is None:
            return
        if self._drafts is None or await self._is_showing():
            await self._best_effort(self._channel.progress.progress(self._to, self._id, progress))

    async def _is_showing(self) -> bool:
        if not self._is_mute and not self._is_shown:
            self._is_shown = self._is_deduped or await self._announce(self._id)
            self._is_mute = not self._is_shown
        return not self._is_mute

    async def _best_effort(self, shown: Awaitable[None]) -> None:
        """The adapter's boundary: a draft that cannot be shown costs nothing but itself."""
        try:
            await shown
        except Exception:
            log.exception("channel %s failed to show a draft", self._to.channel)
            self._is_mute = True

    async def sign(self) -> None:
        """Once: somebody is at work here."""
        if self._channel is not None and self._channel.typing is not None and not self._has_sign:
            self._has_sign = True
            try:
                await self._channel.typing.typing(self._to)
            except (SendError, OSError):  # a sign that is not seen is nothing lost
                return
            except Exception:  # the adapter's boundary
                log.exception("channel %s failed to show a typing sign", self._to.channel)

    async def withdraw(self) -> None:
        if not self._is_deduped:
            self._is_mute = True
        elif self._is_shown and self._drafts is not None:
            self._is_shown = False
            await self._drafts.withdraw(self._to, self._id)

    async def void(self) -> None:
        await self.withdraw()

    def end(self) -> None:
        """It has taken too long."""
        if self._task is not None and not self._is_ended:
            self._is_ended = True
            self._task.cancel()

    def was_ended(self) -> bool:
        """By `end`, and by nothing else."""
        return self._is_ended and self._task is not None and self._task.uncancel() == 0
