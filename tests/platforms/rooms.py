"""Operators' rooms as operators use them: a channel of Slack or Discord with Eva and Ole in it, who press, type, fill in forms and attach files.

A room is made before Frontdesk starts, since the config names it."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

from tests.platforms.discord.driver import DiscordPlatform
from tests.platforms.discord.interactions import Interaction
from tests.platforms.discord.people import buttons_of
from tests.platforms.discord.things import Message, text_of
from tests.platforms.slack import blockkit
from tests.platforms.slack.driver import SlackPlatform
from tests.platforms.slack.world import Post, View

T = TypeVar("T")
EVA, OLE = "eva", "ole"
FORM_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Line:
    """A card, or what stands in its thread. `is_ours`: Frontdesk wrote it."""

    id: str
    text: str
    is_ours: bool = True
    buttons: tuple[str, ...] = ()
    files: tuple[str, ...] = ()


class Room(Protocol):
    """What operators do returns once the platform has it. Operators are named as in the config."""

    def settings(self) -> dict[str, Any]:
        """What `[channels.NAME]` has to say of it."""
        ...

    def link(self, who: str, code: str) -> None:
        """Types the code that makes this account an operator's."""
        ...

    def said(self) -> Sequence[Line]:
        """What stands in the room itself, oldest first, as it stands now."""
        ...

    def thread(self, card: Line) -> Sequence[Line]:
        """What stands below a card, oldest first."""
        ...

    async def press(self, who: str, card: Line, label: str) -> None: ...

    async def fill(self, who: str, card: Line, label: str, text: str) -> None:
        """Presses, and sends off the form that opens with this text in it."""
        ...

    def write(self, who: str, card: Line, text: str, *, file: bytes | None = None, file_name: str = "") -> None:
        """A line in the thread of a card, or a file with it."""
        ...


def cards(room: Room) -> list[Line]:
    """The room's cards, oldest first."""
    return [line for line in room.said() if line.is_ours and line.buttons]


class SlackRoom:
    """A private channel of the workspace."""

    def __init__(self, platform: SlackPlatform) -> None:
        self._site = platform.site
        space = self._site.space
        self._people = {EVA: space.add_person("Eva"), OLE: space.add_person("Ole")}
        self._room = space.add_channel("desk", *self._people.values(), is_private=True)

    def settings(self) -> dict[str, Any]:
        return {"operators_channel": self._room.id}

    def link(self, who: str, code: str) -> None:
        self._site.people.say(self._people[who], self._room, f"!link {code}")

    def said(self) -> Sequence[Line]:
        return [self._line(each) for each in self._posts() if each.thread_ts in ("", each.ts)]

    def thread(self, card: Line) -> Sequence[Line]:
        return [self._line(each) for each in self._posts() if each.thread_ts == card.id != each.ts]

    def _posts(self) -> list[Post]:
        return list(self._site.space.all_posts(self._room.id))

    def _line(self, post: Post) -> Line:
        labels = tuple(blockkit.labels_of(post.all_blocks()))
        files = tuple(file.name for file in post.files)
        return Line(post.ts, post.text_shown(), post.user == self._site.space.bot.id, labels, files)

    def _post(self, card: Line) -> Post:
        return self._site.space.posts[self._room.id][card.id]

    async def press(self, who: str, card: Line, label: str) -> None:
        await self._site.people.press(self._people[who], self._post(card), label)

    async def fill(self, who: str, card: Line, label: str, text: str) -> None:
        before = set(self._site.space.views)
        await self.press(who, card, label)
        view = await _soon(lambda: self._view(who, before), f"the form of {label}")
        await self._site.people.submit(view, {"text": {"text": {"type": "plain_text_input", "value": text}}})

    def _view(self, who: str, before: set[str]) -> View | None:
        person = self._people[who].id
        views = self._site.space.views.items()
        return next((each for id_, each in views if id_ not in before and each.person == person), None)

    def write(self, who: str, card: Line, text: str, *, file: bytes | None = None, file_name: str = "") -> None:
        people, person = self._site.people, self._people[who]
        sent = people.add_file(person, file_name, file) if file is not None else None
        people.say(person, self._room, text, thread=card.id, file=sent)


class DiscordRoom:
    """A channel of a server."""

    def __init__(self, platform: DiscordPlatform) -> None:
        self._server = platform.server
        self._people = {EVA: self._server.person("Eva"), OLE: self._server.person("Ole")}
        self._room = self._server.add_room(self._server.add_guild("Shop", *self._people.values()), "desk")

    def settings(self) -> dict[str, Any]:
        return {"operators_channel": str(self._room.id)}

    def link(self, who: str, code: str) -> None:
        self._server.say(self._people[who], f"!link {code}", self._room)

    def said(self) -> Sequence[Line]:
        return [self._line(each) for each in self._room.messages]

    def thread(self, card: Line) -> Sequence[Line]:
        thread = self._message(card).thread
        return [] if thread is None else [self._line(each) for each in thread.messages]

    def _line(self, message: Message) -> Line:
        framed = "\n".join(_words(embed) for embed in message.embeds)
        files = tuple(file.name for file in message.files)
        is_ours = message.author is self._server.world.bot
        return Line(
            str(message.id), f"{text_of(message)}\n{framed}".strip(), is_ours, tuple(buttons_of(message)), files
        )

    def _message(self, card: Line) -> Message:
        return self._room.everything[int(card.id)]

    async def press(self, who: str, card: Line, label: str) -> None:
        await self._pressed(who, card, label)

    async def _pressed(self, who: str, card: Line, label: str) -> Interaction:
        return await self._server.press(self._people[who], self._message(card), label).wait()

    async def fill(self, who: str, card: Line, label: str, text: str) -> None:
        opened = await self._pressed(who, card, label)
        await self._server.interactions.submit(opened, text=text).wait()

    def write(self, who: str, card: Line, text: str, *, file: bytes | None = None, file_name: str = "") -> None:
        thread = self._message(card).thread
        assert thread is not None, "the card has no thread yet"
        files = (self._server.world.files.upload(file_name, file),) if file is not None else ()
        self._server.say(self._people[who], text, thread, files=files)


def _words(embed: dict[str, Any]) -> str:  # JSON
    fields = [f"{each['name']}: {each['value']}" for each in embed.get("fields", ())]
    return "\n".join([str(embed.get("description", "")), *fields])


async def _soon(look: Callable[[], T | None], what: str) -> T:
    """What is there soon; the platform tells nobody of it."""
    deadline = asyncio.get_running_loop().time() + FORM_S
    while (found := look()) is None:
        assert asyncio.get_running_loop().time() < deadline, f"never came: {what}"
        await asyncio.sleep(0.01)
    return found
