"""Discord for the suite of all adapters: the chat is the person's direct messages with the bot."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from tests.platforms.discord import faults, limits
from tests.platforms.discord.files import File
from tests.platforms.discord.people import buttons_of
from tests.platforms.discord.server import DiscordServer
from tests.platforms.discord.things import Channel, Message, User, text_of
from tests.platforms.kit import Seen

UP, DOWN = "👍", "👎"
TYPED_S = 0.002  # nobody writes two messages in one millisecond


class DiscordPlatform:
    """A driver of `tests.platforms.kit.Platform`. A verdict is given by a button with a thumb on it where the bot's message has one, else
    by a reaction with a thumb; such buttons are not among `Seen.buttons`. `server` is there for what only Discord has."""

    name = "discord"
    can_edit = True
    can_stream = True

    def __init__(self) -> None:
        self.server = DiscordServer()
        self.server.gateway.max_concurrency = 16  # the bot is started anew more often than once in 5 seconds
        self.server.throttle.limits |= {faults.POST: (5, 1.0), faults.EDIT: (5, 1.0), faults.LIST: (5, 1.0)}
        self.person: User = self.server.person("Ann")
        self.other: User = self.server.person("Ben")

    async def start(self) -> None:
        await self.server.start()

    async def stop(self) -> None:
        await self.server.stop()

    def config(self) -> Mapping[str, Any]:
        return {
            "enabled": True,
            "token": self.server.token,
            "api_url": self.server.api_url,
            "gateway_url": self.server.gateway_url,
            "cdn_url": self.server.world.files.address,
        }

    def attach(self, public_port: int) -> None:
        """The bot connects by itself: nothing is sent there."""

    async def wait_ready(self) -> None:
        await self.server.gateway.wait_live()

    # --- what people do ---------------------------------------------------------------------------------------------

    async def say(self, text: str, *, file: bytes | None = None, file_name: str = "", by_other: bool = False) -> str:
        files: tuple[File, ...] = ()
        if file is not None:
            files = (self.server.world.files.upload(file_name or "file", file),)
        return str(self.server.say(self._who(by_other), text, files=files).id)

    async def edit(self, id_: str, text: str) -> None:
        self.server.edit(self._message(id_), text)

    async def delete(self, id_: str) -> None:
        self.server.delete(self._message(id_))

    async def press(self, seen: Seen, label: str) -> None:
        message = self._message(seen.id)
        self.server.press(self._owner(message), message, label)

    async def rate(self, seen: Seen, value: str) -> None:
        message = self._message(seen.id)
        thumb = UP if value == "up" else DOWN
        label = next((label for label in buttons_of(message) if thumb in label), None)
        if label is not None:
            self.server.press(self._owner(message), message, label)
        else:
            self.server.react(self._owner(message), message, thumb)

    async def repeat(self, id_: str) -> None:
        self.server.repeat(self._message(id_))

    async def say_out_of_order(self, texts: Sequence[str]) -> Sequence[str]:
        said = []
        for text in texts:
            said.append(self.server.say(self.person, text, is_told=False))
            await asyncio.sleep(TYPED_S)
        for message in reversed(said):
            self.server.repeat(message)
        return [str(message.id) for message in said]

    # --- what is seen -----------------------------------------------------------------------------------------------

    def seen(self, *, by_other: bool = False) -> Sequence[Seen]:
        who = self._who(by_other)
        return [self._seen(message) for message in self.server.chat(self.server.world.direct(who), who)]

    def _seen(self, message: Message) -> Seen:
        is_ours = message.author is self.server.world.bot
        text = "…" if message.flags & limits.LOADING else text_of(message)
        labels = tuple(label for label in buttons_of(message) if UP not in label and DOWN not in label)
        names = tuple(file.name for file in message.files)
        return Seen(str(message.id), is_ours, text, labels, names, is_edited=bool(message.edited_ms))

    def was_shown(self) -> Sequence[str]:
        return self.server.shown(self.server.world.direct(self.person))

    def violations(self) -> Sequence[str]:
        return list(self.server.violations)

    # --- faults -----------------------------------------------------------------------------------------------------

    def lose_answers(self, count: int) -> None:
        self.server.lose_answers(count)

    def limit_rate(self, count: int, seconds: float) -> None:
        self.server.limit_rate(count, seconds)

    def refuse_token(self, is_refused: bool) -> None:
        self.server.refuse_token(is_refused=is_refused)

    async def cut(self) -> None:
        """What is said meanwhile is replayed when the bot resumes its session."""
        await self.server.gateway.cut()

    # --- finding things ---------------------------------------------------------------------------------------------

    def _who(self, by_other: bool) -> User:
        return self.other if by_other else self.person

    def _chats(self) -> list[Channel]:
        return [self.server.world.direct(user) for user in (self.person, self.other)]

    def _message(self, id_: str) -> Message:
        return next(chat.everything[int(id_)] for chat in self._chats() if int(id_) in chat.everything)

    def _owner(self, message: Message) -> User:
        return message.channel.recipients[0]
