"""The line under a thread that says what the agent is doing.

Slack takes it away when the app replies, and after two minutes: https://docs.slack.dev/reference/methods/assistant.threads.setStatus
"""

import asyncio
import logging
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from adapters.slack.faults import CallFailed
from bot.model import Address
from bot.ports import Clock

if TYPE_CHECKING:
    from adapters.slack.api import Api

log = logging.getLogger(__name__)

TYPING: Final = "is thinking…"
_STATUS_CHARS: Final = 50
_REFUSED_S: Final = 600.0  # how long a channel that refuses a status is left alone
_EVERY_S: Final = 2.0
_MOST: Final = 1_000


class Statuses:
    """One account's statuses. Best effort, and never in the way of an answer."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._api: Api | None = None
        self._tasks: asyncio.TaskGroup | None = None
        self._shown: OrderedDict[Address, tuple[float, str]] = OrderedDict()
        self._running: dict[Address, asyncio.Task[None]] = {}
        self._refused: dict[str, float] = {}

    def begin(self, api: "Api", tasks: asyncio.TaskGroup) -> None:
        self._api, self._tasks = api, tasks

    def end(self) -> None:
        self._api = self._tasks = None
        self._running.clear()

    def show(self, to: Address, text: str) -> None:
        """Never waits. Nothing where there is no thread, while one is being set, and for what is shown already."""
        now = self._clock.monotonic()
        since, shown = self._shown.get(to, (0.0, ""))
        is_new = shown != text or now - since >= 60.0
        if not to.thread or not is_new or to in self._running or self._refused.get(to.chat, 0.0) > now:
            return
        if self._tasks is None or (shown and now - since < _EVERY_S):
            return
        self._shown[to] = (now, text)
        if len(self._shown) > _MOST:
            self._shown.popitem(last=False)
        self._running[to] = self._tasks.create_task(self._set(to, text))

    async def settle(self, to: Address) -> None:
        """Before an answer: a status that is on its way would stay under it."""
        self._shown.pop(to, None)
        running = self._running.get(to)
        if running is not None:
            await asyncio.wait({running}, timeout=2)

    async def clear(self, to: Address) -> None:
        """Where no answer comes."""
        is_shown = to in self._shown
        await self.settle(to)
        if is_shown:
            await self._set(to, "")

    async def _set(self, to: Address, text: str) -> None:
        try:
            if self._api is not None:
                await self._api.call(
                    "assistant_threads_setStatus", channel_id=to.chat, thread_ts=to.thread, status=text
                )
        except CallFailed as failed:
            log.debug("no status: %s", failed)
            self._refused[to.chat] = self._clock.monotonic() + (failed.retry_after_s or _REFUSED_S)
            if len(self._refused) > _MOST:
                self._refused.clear()
        finally:
            self._running.pop(to, None)


def worded(title: str) -> str:
    """A step's title as Slack shows it, behind the app's name: "is searching the documents…"."""
    text = " ".join(title.split()).rstrip(".… ")
    text = text[:1].lower() + text[1:]
    return f"{text if text.startswith('is ') else 'is ' + text}"[: _STATUS_CHARS - 1] + "…" if text else TYPING
