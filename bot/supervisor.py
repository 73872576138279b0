"""Keeps the adapters running: a failure of one account never stops another.

A run that fails is made anew, with backoff and jitter. A ChannelFault ends it until its settings change, for trying again would not help. One
that has heard nothing for too long is ended, made anew, and told to the operators: a connection may be dead without saying so.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

from bot.channels import key_of
from bot.errors import ChannelFault
from bot.ports import Adapter, ChannelState, Clock, Listens, Vitals

log = logging.getLogger(__name__)

FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 60.0
GOOD_RUN_S = 120.0  # an adapter that ran this long begins again with the first wait
LOOK_S = 5.0  # between two looks at when something was last heard

Alarm = Callable[[str, str, str], Awaitable[None]]  # kind, subject, detail: an incident for operators


class Supervisor:
    """Runs one adapter after another in the place of one account."""

    def __init__(self, adapter: Adapter, clock: Clock, vitals: Vitals, alarm: Alarm) -> None:
        self.adapter = adapter
        self.key = key_of(adapter.name, adapter.account)
        self._clock = clock
        self._vitals = vitals
        self._alarm = alarm
        self._changed = asyncio.Event()
        self._running: asyncio.Task[None] | None = None
        self._is_off = False

    def replace(self, adapter: Adapter | None) -> None:
        """Another adapter takes the place, with other settings: the one that runs is ended. None: it is switched off."""
        self._is_off = adapter is None
        self.adapter = adapter or self.adapter
        self._changed.set()
        if self._running is not None:
            self._running.cancel()

    async def run(self) -> None:
        """Until cancelled."""
        wait_s = FIRST_WAIT_S
        while True:
            self._changed.clear()
            if self._is_off:
                self._become(ChannelState.STOPPED, "it is switched off in the config")
                await self._changed.wait()
                continue
            started = self._clock.monotonic()
            self._become(ChannelState.CONNECTING)
            reason = await self._run_once()
            if self._clock.monotonic() - started > GOOD_RUN_S:
                wait_s = FIRST_WAIT_S
            if self._changed.is_set():
                wait_s = FIRST_WAIT_S
                continue
            if isinstance(reason, ChannelFault):
                await self._stop(reason)
                wait_s = FIRST_WAIT_S
                continue
            self._vitals.failed(str(reason))
            self._become(ChannelState.DOWN, f"{reason}; next try in {wait_s:.0f} s")
            await self._pause(wait_s * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret
            wait_s = min(wait_s * 2, LONGEST_WAIT_S)

    async def _run_once(self) -> object:
        """Why the run ended: a ChannelFault, or words. Raises only when it is cancelled from outside."""
        adapter = self.adapter
        running = self._running = asyncio.create_task(adapter.run(), name=f"{self.key} run")
        watching = asyncio.create_task(self._watch(adapter, running), name=f"{self.key} watch")
        try:
            await asyncio.wait([running])
        finally:
            self._running = None
            watching.cancel()
            running.cancel()
            await asyncio.gather(running, watching, return_exceptions=True)
        if running.cancelled():
            return "nothing was heard for too long" if not self._changed.is_set() else "its settings have changed"
        error = running.exception()
        if error is None:
            return "stopped by itself"
        if isinstance(error, ChannelFault):
            return error
        if isinstance(error, OSError):  # the network: what it says is enough
            log.warning("channel %s failed: %s", self.key, error)
            return str(error)
        log.error("channel %s failed", self.key, exc_info=error)
        return type(error).__name__

    async def _watch(self, adapter: Adapter, running: "asyncio.Task[None]") -> None:
        """Ends a run that hears nothing."""
        able: object = adapter
        if not isinstance(able, Listens):
            return
        while True:
            await self._clock.sleep(min(LOOK_S, able.silence_s))
            silent_s = self._clock.monotonic() - able.heard_at()
            if silent_s > able.silence_s:
                detail = f"nothing was heard of the platform for {silent_s:.0f} s; the connection is made anew"
                log.error("channel %s: %s", self.key, detail)
                await self._alarm("channel silent", self.key, detail)
                running.cancel()
                return

    async def _stop(self, fault: ChannelFault) -> None:
        """Nothing more until the settings change."""
        log.error("channel %s is stopped: %s", self.key, fault)
        self._vitals.failed(str(fault))
        self._become(ChannelState.STOPPED, str(fault))
        await self._alarm("channel stopped", self.key, str(fault))
        await self._changed.wait()

    async def _pause(self, seconds: float) -> None:
        pause = asyncio.ensure_future(self._clock.sleep(seconds))
        change = asyncio.ensure_future(self._changed.wait())
        try:
            await asyncio.wait([pause, change], return_when=asyncio.FIRST_COMPLETED)
        finally:
            pause.cancel()
            change.cancel()

    def _become(self, state: ChannelState, detail: str = "") -> None:
        self._vitals.become(state, self._clock.now_ms(), detail)
