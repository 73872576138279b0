"""The Discord channel as the house sees it. The SDK, and all that needs it, loads with the first run."""

import asyncio
import importlib
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from adapters.discord import Account, text
from adapters.discord.calls import Limited, Rejected, Uncertain, Unreached
from adapters.discord.drafts import Drafts
from adapters.discord.echoes import Echoes
from bot.errors import ChannelFault, FetchError, Refused, SendRefused, SendUncertain
from bot.model import Address, Message, MessageId, Visibility
from bot.ports import Fetched, Host, Limits, Receipt, Route

if TYPE_CHECKING:
    from adapters.discord.live import Live

_FILE_BYTES: Final = 10 * 1024 * 1024
"""Discord's documentation, "Uploading Files": 10 MiB where a server has no more."""

_SILENCE_BEATS: Final = 2.0
_GRACE_S: Final = 30.0
_LOG_IN_S: Final = 180.0
_AWAY_S: Final = 2.0
_TYPING_S: Final = 8.0
"""Discord shows typing for 10 seconds (its documentation, "Trigger Typing Indicator")."""


class DiscordAdapter:
    """Adapter, Drafts, Typing, Splits, Reconciles, OpensFiles, Listens and HasRoom over one bot."""

    name = "discord"

    def __init__(self, settings: Account, host: Host, account: str) -> None:
        self.account = account
        self.limits = Limits(text_chars=text.LIMIT, attachment_bytes=_FILE_BYTES)
        self._settings = settings
        self._host = host
        self._live: Live | None = None
        self._echoes = Echoes()
        self._drafts = Drafts(host)
        self._typed: dict[Address, float] = {}
        self._left: list[tuple[Address, MessageId, str]] = []  # drafts to take away once the bot is connected again
        self._started_at = host.clock.monotonic()

    @property
    def room(self) -> Address | None:
        """Where operators work."""
        chat = self._settings.operators_channel
        return Address("discord", self.account, chat) if chat else None

    def routes(self) -> Sequence[Route]:
        return ()

    async def run(self) -> None:
        self._started_at = self._host.clock.monotonic()
        module = await asyncio.to_thread(importlib.import_module, "adapters.discord.live")
        refused = asyncio.Event()
        live: Live = await module.logged_in(self._settings, self._host, self.account, self._echoes, refused)
        self._live = live
        left, self._left = self._left, []
        try:
            await live.run(refused, [live.remove(*one) for one in left])
        except BaseExceptionGroup as group:
            raise _first_fault(group) from group
        finally:
            self._live = None
            self._typed.clear()
            await live.wire.close()

    # --- Listens ---------------------------------------------------------------------------------------------------

    @property
    def silence_s(self) -> float:
        gateway = self._live.gateway if self._live else None
        return gateway.beat_s * _SILENCE_BEATS + _GRACE_S if gateway else _LOG_IN_S

    def heard_at(self) -> float:
        gateway = self._live.gateway if self._live else None
        return max(gateway.heard_at if gateway else 0.0, self._started_at)

    # --- what the house says ---------------------------------------------------------------------------------------

    def split(self, text_: str) -> Sequence[str]:
        return text.parts(text_)

    async def send(self, to: Address, message: Message) -> Receipt:
        if message.visibility is not Visibility.PUBLIC and (self.room is None or to.chat != self.room.chat):
            raise SendRefused("a note is for operators only", is_retryable=False)
        shown = message.replaces
        if not message.part:
            shown = await self._drafts.settle(message.id) or shown
        if self._live is None:
            raise SendRefused("the bot is not connected", is_retryable=True, retry_after_s=_AWAY_S)
        receipt = await self._live.posts.send(to, message, shown)
        if not message.part:
            self._drafts.forget(message.id)
        return receipt

    async def find(self, to: Address, message: Message, attempted_at_ms: int) -> Receipt | None:
        if self._live is None:
            raise SendUncertain("the bot is not connected")
        return await self._live.posts.find(to, message, attempted_at_ms)

    async def draft(self, to: Address, message: MessageId, text: str) -> None:
        live = self._live
        self._drafts.add(to, message, text, live.posts if live else None, live.spawn if live else None)

    async def withdraw(self, to: Address, message: MessageId, shown_as: str = "") -> None:
        shown = await self._drafts.settle(message) or shown_as
        self._drafts.forget(message)
        live = self._live
        if live is None or live.spawn(live.remove(to, message, shown)) is None:
            self._left.append((to, message, shown))

    async def typing(self, to: Address) -> None:
        live, now = self._live, self._host.clock.monotonic()
        if live is None or now - self._typed.get(to, -_TYPING_S) < _TYPING_S:
            return
        self._typed = {at: since for at, since in self._typed.items() if now - since < _TYPING_S} | {to: now}
        live.spawn(live.type(to))

    # --- files -----------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def open_file(self, source: str) -> AsyncIterator[Fetched]:
        """A file's address is signed for a day only, so a fresh one is asked for each time."""
        if self._live is None:
            raise FetchError("the bot is not connected", is_retryable=True)
        try:
            url = await self._live.file_url(source)
        except (Limited, Unreached, Uncertain) as failure:
            raise FetchError(str(failure), is_retryable=True) from failure
        except Rejected as rejected:
            raise Refused("no_file", "This file is not there any more. Please send it again.") from rejected
        trusted = (self._settings.api_url, self._settings.cdn_url)
        async with self._host.fetch(url, trusted=trusted) as fetched:
            yield fetched


def _first_fault(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The fault that a person has to mend, or else the first failure."""
    failures = list(_leaves(group))
    return next((one for one in failures if isinstance(one, ChannelFault)), failures[0])


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for one in group.exceptions:
        if isinstance(one, BaseExceptionGroup):
            yield from _leaves(one)
        else:
            yield one
