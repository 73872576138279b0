"""A server of Discord with the operators' channel, a channel for everybody, and two operators."""

from typing import Any

from bot.model import Address, Author, Button, Message, MessageId, Seq, Visibility
from tests.discord.conftest import Open
from tests.discord.house import Desk, FakeHost, until
from tests.platforms.discord.server import DiscordServer
from tests.platforms.discord.things import Channel, Guild
from tests.platforms.discord.things import Message as SeenMessage

CARD = """**Ann** on web wants a person
**waiting for somebody** · team parcels
The user asked: “Where is it?”. @everyone <@1> was told last week.
Contact: ann@x.test
Case 0192ab3f"""


def buttons(*names: str) -> tuple[Button, ...]:
    return tuple(Button(f"desk:{name}", name.capitalize()) for name in names)


BUTTONS = buttons("take", "peek", "reply", "return", "resolve", "snooze", "transfer")
HELD = buttons("reply", "return", "resolve")
ENDED = buttons("reopen", "peek")


class Office:
    """`at` is the operators' channel; `of` the thread of a card in it."""

    def __init__(self, server: DiscordServer) -> None:
        self.server = server
        self.kim = server.person("Kim")
        self.lee = server.person("Lee")
        self.guild: Guild = server.add_guild("Shop", self.kim, self.lee)
        self.room = server.add_room(self.guild, "operators")
        self.help = server.add_room(self.guild, "help")
        self.at = Address("discord", "", str(self.room.id))

    def of(self, card: SeenMessage) -> Address:
        return Address("discord", "", str(self.room.id), str(card.id))

    async def open(self, opened: Open, host: FakeHost | None = None, **settings: Any) -> Desk:
        """The account at work, once the commands are set."""
        desk = await opened(host, operators_channel=str(self.room.id), **settings)
        await until(lambda: self.server.rest.commands.get(self.guild.id) and self.server.rest.commands.get(0))
        return desk

    async def card(self, desk: Desk, id_: str = "c1") -> SeenMessage:
        receipt = await desk.adapter.send(self.at, card(id_))
        return self.room.everything[int(receipt.external_id)]

    async def thread(self, desk: Desk, on: SeenMessage) -> Channel:
        """The thread of a card, which its first message begins."""
        await desk.adapter.send(self.of(on), message(Author.SYSTEM, "It is queued.", f"first-{on.id}"))
        assert on.thread is not None
        return on.thread


def card(id_: str = "c1", text: str = CARD, **fields: Any) -> Message:
    return Message(MessageId(id_), Seq(1), Author.SYSTEM, text, 0, **{"buttons": BUTTONS, **fields})


def message(author: Author, text: str, id_: str, **fields: Any) -> Message:
    return Message(MessageId(id_), Seq(1), author, text, 0, **fields)


def note(text: str, id_: str, name: str = "Kim") -> Message:
    return message(Author.OPERATOR, text, id_, name=name, visibility=Visibility.NOTE)
