"""Whether a model's server can be reached, without a call that costs anything."""

import asyncio
from typing import TYPE_CHECKING

from bot.config.schema import Model
from bot.errors import Fault
from bot.llm import faults
from bot.ports import Clock

if TYPE_CHECKING:
    from bot.llm.clients import Clients

REACH_S = 5.0
_ANSWERED = (
    Fault.NOT_FOUND,
    Fault.REJECTED,
    Fault.RATE_LIMITED,
)  # the server has spoken, whatever it makes of the question


async def reach(settings: Model, clients: "Clients", clock: Clock) -> tuple[str, float]:
    """ "yes", or what stands in the way, and the milliseconds it took. Asks for the list of models."""
    key = settings.key
    started = clock.monotonic()
    try:
        async with clock.timeout(REACH_S):
            if settings.provider == "anthropic":
                await (await clients.anthropic(settings.base_url, key)).models.with_raw_response.list()
            else:
                await (await clients.openai(settings.base_url, key)).models.with_raw_response.list()
    except asyncio.CancelledError:
        raise
    except TimeoutError:
        said = f"no answer within {REACH_S:g} s"
    except Exception as error:  # noqa: BLE001 - an SDK raises anything, and what it raises is the finding
        found = faults.from_exception(error, clock.now_ms(), [key])
        has_status = isinstance(getattr(error, "status_code", None), int)
        said = "yes" if has_status and found.fault in _ANSWERED else str(found)
    else:
        said = "yes"
    return said, (clock.monotonic() - started) * 1000
