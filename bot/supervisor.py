"""Keeps one adapter running: a failure of one channel never stops the others."""

import logging
import random

from bot.ports import Adapter, Clock, Health

log = logging.getLogger(__name__)

FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 60.0
GOOD_RUN_S = 120.0  # an adapter that ran this long begins again with the first wait


async def supervise(adapter: Adapter, clock: Clock, health: Health) -> None:
    """Runs the adapter until cancelled; after a failure, again with backoff and jitter. `health` says what is wrong meanwhile."""
    wait_s = FIRST_WAIT_S
    while True:
        started = clock.monotonic()
        health.channels[adapter.name] = "up"
        try:
            await adapter.run()
            reason = "stopped by itself"
        except Exception as error:
            log.exception("channel %s failed", adapter.name)
            reason = type(error).__name__
        if clock.monotonic() - started > GOOD_RUN_S:
            wait_s = FIRST_WAIT_S
        health.channels[adapter.name] = f"down ({reason}); next try in {wait_s:.0f} s"
        await clock.sleep(wait_s * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret
        wait_s = min(wait_s * 2, LONGEST_WAIT_S)
