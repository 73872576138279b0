"""Users as people in the running daemon: commands, codes that end, and what grows old. `app` owns it."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bot.config import Config
from bot.config.schema import ChannelRetention
from bot.model import ConversationId
from bot.people.control import UserCommands
from bot.people.erasure import Erasure, Scrubbed
from bot.people.giving import Copies
from bot.people.graves import Graves
from bot.people.retention import Days, Retention
from bot.staff import Core
from bot.store import people

LOCAL = "offline"  # the provider that is no provider: nothing leaves this machine


class People:
    """Everything here changes rows through the store, and tells running turns of it."""

    def __init__(
        self, config: Config, core: Core, store: Scrubbed, data: Path, graves: Graves, touch: Callable[[str], None]
    ) -> None:
        self._core = core
        self._touch = touch
        outside = {name: each.provider for name, each in config.models.items() if each.provider != LOCAL}
        erasure = Erasure(store, core.clock, data, core.conversations, core.delivery, graves, touch, outside)
        self.commands = UserCommands(core.store, core.clock, erasure, self._changed)
        self.copies = Copies(core.store, core.clock, data, core.channels)
        self._retention = Retention(core.store, core.clock, *_days_of(config))

    async def answer(self, account: str, command: str, arguments: Mapping[str, Any]) -> object:
        """A command of the command line that begins with `user`. Raises NotDone or StoreUnavailable."""
        return await self.commands.answer(account, command, arguments)

    async def keep_house(self) -> None:
        """A round of housekeeping. Raises StoreUnavailable or Overloaded."""
        for message in await self._core.store.run(people.drop_codes_over, self._core.clock.now_ms()):
            rows = await self._core.store.read(people.CONVERSATION_OF_MESSAGE, {"id": message})
            self._changed([ConversationId(row[0]) for row in rows])
        await self.copies.keep_house()
        await self._retention.round()

    def take(self, config: Config) -> None:
        """Another config, from now on."""
        self._retention.take(*_days_of(config))

    def _changed(self, conversations: Sequence[ConversationId]) -> None:
        for conversation in conversations:
            self._core.conversations.changed(conversation)
            self._touch(conversation)


def _days_of(config: Config) -> tuple[Days, dict[str, Days]]:
    general = config.retention
    days = Days(general.messages_days, general.traces_days, general.files_days, general.cases_days)
    return days, {name: _merged(days, own) for name, own in general.channels.items()}


def _merged(days: Days, own: ChannelRetention) -> Days:
    return Days(
        days.messages if own.messages_days is None else own.messages_days,
        days.traces if own.traces_days is None else own.traces_days,
        days.files if own.files_days is None else own.files_days,
        days.cases if own.cases_days is None else own.cases_days,
    )
