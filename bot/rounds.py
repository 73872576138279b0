"""What is done every so often."""

import logging
from collections.abc import Awaitable, Callable

from bot.errors import FrontdeskError
from bot.ports import Clock

log = logging.getLogger(__name__)


async def every(clock: Clock, seconds: float, do: Callable[[], Awaitable[object]], name: str) -> None:
    """Until cancelled, with a pause before each round. What a round could not do stays for the next one; the log says why, under `name`."""
    while True:
        await clock.sleep(seconds)
        try:
            await do()
        except FrontdeskError as error:
            log.warning("%s: %s", name, error)
