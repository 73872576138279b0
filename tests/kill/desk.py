"""The daemon with every channel, under the knife: the real adapters with their SDKs, in hurried time.

Crash points and planted bugs stand at the ports only. Run by `tests.kill.rounds`; speaks as `tests.kill.daemon` does.
"""

import asyncio
import importlib
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import bot.app
import bot.delivery
import bot.host
from adapters.web import Settings
from bot.config import find_settings, load
from bot.delivery import Part
from bot.host import House
from bot.model import Accepted, Address, Bookmark, DeliveryReported, DraftPosted, Event, Message, OutboxState
from bot.ports import Adapter, Fetched, Receipt
from bot.store import records
from tests.kill.chats import right
from tests.kill.daemon import (
    EARLY_ACK,
    DoomedStore,
    DoomedWeb,
    EchoModel,
    FaultyDoor,
    name_of,
    serve,
    serve_orders,
)
from tests.kill.doubts import (
    AGAIN,
    BURIED,
    CUT,
    DRAFT_FOUND,
    FOUND,
    HELD,
    IN_PLACE,
    KILLED,
    ONE,
    SENDING,
    TOLD,
    UNKNOWN,
    Notes,
)
from tests.kill.hurry import HurriedClock, HurriedLoop, real
from tests.kill.points import Doom, Plan

T = TypeVar("T")
PLATFORMS = ("slack", "discord", "whatsapp")
WARM = (
    *("adapters.slack.connection", "adapters.discord.live", "adapters.whatsapp.api"),
    *("adapters.slack.adapter", "adapters.discord.adapter", "adapters.whatsapp.adapter"),
    *("slack_bolt.async_app", "slack_sdk.socket_mode.aiohttp", "discord.http", "discord.gateway", "twilio.rest"),
    *("twilio.rest.api.v2010.account.message", "bot.knowledge"),
)
PACE_S = 0.4  # of the model, between two pieces
# Here an answer is killed often and is innocent. What is tried in vain, or is old, has its own tests:
TRIES, MAX_AGE_S = 100, 24 * 3600.0
ACKNOWLEDGED_S, LATE_S = 0.004, 0.03  # on the wall

NO_KEY, NO_FIND, UNANNOUNCED = "no key", "no find", "unannounced draft"
CHANNEL_FAULTS = (NO_KEY, NO_FIND, UNANNOUNCED)


class WatchedStore(DoomedStore):
    """Notes besides what becomes of uncertain sends. A planted bug: a draft has no row before it is shown."""

    notes: Notes

    async def run(self, unit: Callable[..., T], *args: object) -> T:
        name = name_of(unit, args)
        if self.fault == UNANNOUNCED and name == "announce":
            return True  # type: ignore[return-value]  # as the unit does
        if name == "interrupted":
            for message, part, channel, tried_ms in await self.read(SENDING):
                self.notes.note(KILLED, channel, message, part, tried_ms)
        changed = await self._changed_by(name, args)
        if changed is not None:
            self.notes.note(*changed)
        return await super().run(unit, *args)

    async def _changed_by(self, name: str, args: tuple[Any, ...]) -> tuple[str, str, str, int] | None:
        """What is to be noted of the row that this unit changes, if it is in doubt, or is coming into doubt."""
        if name == "execute" and args[0] in (records.MARK_FROM, records.DRAFT_FOUND):
            values = args[1]
            channel, state, role, external = await self._one(values["message"], values["part"])
            if args[0] == records.DRAFT_FOUND:
                return DRAFT_FOUND, channel, values["message"], values["part"]
            if state != values["was"]:
                return None
            if values["state"] == UNKNOWN:
                return CUT, channel, values["message"], values["part"]
            if state == UNKNOWN:
                return IN_PLACE if role == "final" and external else AGAIN, channel, values["message"], values["part"]
        elif name in ("sent", "hold", "bury"):
            part = args[0] if name == "sent" else args[1]
            if isinstance(part, Part) and part.state is not OutboxState.PLANNED:
                channel = (await self._one(part.message.id, part.part))[0]
                what = {"sent": FOUND, "hold": HELD, "bury": BURIED}[name]
                return what, channel, part.message.id, part.part
        elif name in ("posted", "reported"):
            event = args[0]
            if isinstance(event, DraftPosted | DeliveryReported):
                number = event.part if isinstance(event, DeliveryReported) else 0
                return TOLD, event.at.channel, event.message, number
        return None

    async def _one(self, message: str, part: int) -> tuple[str, str, str, str]:
        rows = await self.read(ONE, {"message": message, "part": part})
        return rows[0] if rows else ("", "", "", "")


class HastyDoor(FaultyDoor):
    """The planted bug of an early acknowledgement, with all that goes with it: the place in the platform's stream is kept, too."""

    async def receive(self, event: Event, bookmark: Bookmark | None = None) -> Accepted:
        if self.fault == EARLY_ACK and bookmark is not None:
            await self.keep(bookmark)
        return await super().receive(event, bookmark)


def doomed(adapter: Any, doom: Doom, fault: str) -> Adapter:
    """A platform's real adapter, which may end the process at its port. Any: its methods are replaced."""
    send, find, open_file = adapter.send, adapter.find, adapter.open_file

    async def sending(to: Address, message: Message) -> Receipt:
        receipt: Receipt = await send(to, message)
        doom.at(f"sent to {adapter.name}")
        return receipt

    async def finding(to: Address, message: Message, attempted_at_ms: int) -> Receipt | None:
        doom.at("before find")
        if fault == NO_FIND:
            return None
        found: Receipt | None = await find(to, message, attempted_at_ms)
        doom.at("after find")
        return found

    @asynccontextmanager
    async def opening(source: str) -> AsyncIterator[Fetched]:
        doom.at("file asked for")
        async with open_file(source) as fetched:
            yield replace(fetched, data=_doomed_data(fetched.data, doom))

    adapter.send, adapter.find, adapter.open_file = sending, finding, opening
    adapter.limits = replace(adapter.limits, max_age_s=MAX_AGE_S)
    built: Adapter = adapter
    return built


async def _doomed_data(data: AsyncIterator[bytes], doom: Doom) -> AsyncIterator[bytes]:
    async for piece in data:
        half = len(piece) // 2
        yield piece[:half]
        doom.at("file half read")
        yield piece[half:]
    doom.at("file read")


def plant(fault: str) -> None:
    """A bug inside an adapter: its posts carry no key by which they are known again."""
    if fault == NO_KEY:
        for name in ("adapters.slack.blocks", "adapters.discord.posts"):
            setattr(importlib.import_module(name), "key_of", lambda *_: uuid.uuid4().hex[:25])  # noqa: B010


def live(order: dict[str, str], report: int) -> None:
    """One life: until the plan, a signal, or a fault of its own ends it."""
    doom = Doom(Plan(order["point"], int(order["count"])))
    clock = HurriedClock(int(order["begun_ms"]), float(order["begun_s"]))
    WatchedStore.doom = DoomedWeb.doom = doom
    WatchedStore.fault = FaultyDoor.fault = order["fault"]
    WatchedStore.acknowledged_s, FaultyDoor.late_s = real(ACKNOWLEDGED_S), real(LATE_S)
    WatchedStore.notes = Notes(order["doubts"], clock)
    plant(order["fault"])
    setattr(bot.delivery, "TRIES", TRIES)  # noqa: B010
    setattr(bot.delivery, "WAITS_S", (*bot.delivery.WAITS_S, *[bot.delivery.WAITS_S[-1]] * TRIES))  # noqa: B010
    setattr(bot.app, "SqliteStore", WatchedStore)  # noqa: B010 - mypy forbids the assignment
    setattr(bot.app, "SystemClock", lambda: clock)  # noqa: B010
    setattr(bot.host, "Door", HastyDoor)  # noqa: B010
    config = load(Path(order["config"]), {}, adapters=find_settings)

    def adapters(house: House) -> list[Adapter]:
        web = config.channels["web"]
        assert isinstance(web, Settings)
        built: list[Adapter] = [DoomedWeb(web, house.door("web", ""))]
        for name in PLATFORMS:
            module = importlib.import_module(f"adapters.{name}")
            for account, settings in module.accounts(config.channels[name]).items():
                adapter = module.create(settings, house.door(name, account), account)
                built.append(doomed(adapter, doom, order["fault"]))
        return built

    models = {"offline": EchoModel(doom, PACE_S, right)}
    app = bot.app.App(config, models=models, adapters=adapters)
    with asyncio.Runner(loop_factory=HurriedLoop) as runner:
        runner.run(serve(app, report))


if __name__ == "__main__":
    serve_orders(live, WARM)
