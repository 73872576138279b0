"""A workspace in which operators work in a channel of their own: Eva and Ole are in it, Anna is a user who is not."""

from typing import Any

from bot.model import Address, Author, Button, Message, MessageReceived
from tests.platforms.slack.server import Site, SlackServer
from tests.platforms.slack.world import Person, Post, View
from tests.slack.rig import Rig
from tests.store.database import until

BUTTONS = (
    Button("desk:take", "Take"),
    Button("desk:peek", "Peek"),
    Button("desk:reply", "Reply"),
    Button("desk:return", "Return"),
    Button("desk:resolve", "Resolve"),
    Button("desk:snooze", "Snooze"),
    Button("desk:transfer", "Transfer"),
)
CARD = "Anna · web\n\nReason: asked for a person\nThe parcel is **late**.\n\nwaiting · nobody · 2 min"


class Desk(Rig):
    """A Rig with an operators' channel."""

    def __init__(self, server: SlackServer, site: Site, mode: str = "socket", **settings: Any) -> None:
        space = site.space
        self.eva, self.ole = space.add_person("Eva"), space.add_person("Ole")
        self.desk = space.add_channel("desk", self.eva, self.ole, is_private=True)
        super().__init__(server, site, mode, operators_channel=self.desk.id, **settings)

    def at(self, thread: str = "") -> Address:
        return Address("slack", "", self.desk.id, thread)

    def card(self, text: str = CARD, **more: Any) -> Message:
        return self.message(text, **({"author": Author.SYSTEM, "buttons": BUTTONS} | more))

    async def posted(self) -> Post:
        """A card that stands in the room."""
        receipt = await self.adapter.send(self.at(), self.card())
        return self.space.posts[self.desk.id][receipt.external_id]

    async def view_of(self, person: Person) -> View:
        """The form that is open before somebody."""

        def found() -> list[View]:
            return [view for view in self.space.views.values() if view.person == person.id and view.is_open]

        await until(lambda: bool(found()))
        return found()[-1]

    def lines(self) -> list[MessageReceived]:
        return self.house.of(MessageReceived)
