"""A stage with people behind the agent: two operators in a room, and a customer before it."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from tests.models.wire import Received, Reply
from tests.platforms.kit import Platform, Seen
from tests.platforms.rooms import EVA, OLE, Line, Room, cards
from tests.platforms.stage import Brain, Stage, closing, opening
from tests.platforms.visitor import Chromium, Customer, Somebody, Visitor

ANNOUNCED: Final = "I am passing you on to a colleague"
ASKS: Final = "I want to talk to a person, please."
_PEOPLE: Final = '\n[[operators.people]]\nname = "{name}"\nrole = "{role}"\n'
_CODE: Final = re.compile(r"within 10 minutes: (\S+)")


class Watched(Brain):
    """A brain that knows whose streams nobody reads any more."""

    def __init__(self) -> None:
        super().__init__()
        self._streams: dict[str, web.Request] = {}

    async def _stream(self, request: web.Request, reply: Reply, asked: Received) -> web.StreamResponse:
        for mark in self.marks_asked(asked):
            self._streams[mark] = request
        return await super()._stream(request, reply, asked)

    def is_dropped(self, mark: str) -> bool:
        """The connection on which this answer came has been closed by the one who asked."""
        transport = self._streams[mark].transport
        return transport is None or transport.is_closing()

    def texts(self, word: str) -> list[str]:
        """The messages with this word in them, of the newest request that has any."""
        for asked in reversed(self.ledger):
            found = [json.dumps(each, ensure_ascii=False) for each in asked.body["messages"]]
            found = [text for text in found if word in text]
            if found:
                return found
        return []


class Reception(Stage):
    """`customer` is the platform's person or, with `is_in_browser`, a visitor of the web channel in Chromium, while operators work on the
    platform."""

    brain: Watched
    customer: Customer

    def __init__(
        self, folder: Path, platform: Platform, room: Room | None = None, *, is_in_browser: bool = False
    ) -> None:
        super().__init__(folder, platform)
        self.brain = Watched()
        self.room = room
        self.chromium = Chromium()
        self._is_in_browser = is_in_browser

    async def start(self) -> None:
        await super().start()
        if self.room is not None:
            for who in (EVA, OLE):
                await self._link(who)
        if self._is_in_browser:
            page = await self.chromium.page(f"http://127.0.0.1:{self.port}/")
            self.customer = Visitor(page)
        else:
            self.customer = Somebody(self.platform)

    async def stop(self) -> None:
        await self.chromium.close()
        await super().stop()

    async def _link(self, who: str) -> None:
        assert self.room is not None
        printed = await self.command("operator", "link", who)
        found = _CODE.search(printed)
        assert found is not None, printed
        self.room.link(who, found[1])
        await self.until(lambda: self._is_told(f"Linked: you are {who}."), what=f"{who} is linked")

    def _is_told(self, text: str) -> bool:
        assert self.room is not None
        return any(text in line.text for line in self.room.said())

    def _write(self) -> None:
        super()._write()
        path = self.folder / "config.toml"
        text = path.read_text(encoding="utf-8")
        if self.room is not None:
            head = f"[channels.{self.platform.name}]\n"
            lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in self.room.settings().items())
            assert head in text
            text = text.replace(head, head + lines)
        text += "".join(_PEOPLE.format(name=name, role="agent") for name in (EVA, OLE))
        path.write_text(text, encoding="utf-8")

    async def again(self) -> None:
        """SIGKILL, and a new start. The customer is there when it returns: what they saw before the kill says nothing of that."""
        await self.kill()
        await self.launch()
        await self.customer.back()

    @property
    def visitor(self) -> Visitor:
        """The customer, where they are in a browser."""
        assert isinstance(self.customer, Visitor)
        return self.customer

    def _chat(self, by_other: bool) -> str:
        lines = (
            []
            if self.room is None
            else [*self.room.said(), *(line for card in cards(self.room)[-1:] for line in self.room.thread(card))]
        )
        told = [f"room {line.id}: {line.text[:300]!r} {line.buttons}" for line in lines[-12:]]
        return "\n".join([super()._chat(by_other), *told])

    # --- the customer ------------------------------------------------------------------------------------------------

    async def says(self, words: str, **more: Any) -> str:
        """The customer says it, marked. Returns the mark."""
        mark = self.mark()
        await self.customer.say(f"{mark} {words}", **more)
        return mark

    async def found(self, word: str) -> list[Seen]:
        """Ours, with this word in it, in the customer's chat."""
        return [each for each in await self.customer.seen() if each.is_ours and word in each.text]

    async def sees(self, word: str, count: int = 1, *, within_s: float = 0.0) -> Seen:
        """Once it stands there as often as that. Returns the last of them."""
        found: list[Seen] = await self.until(
            lambda: self.found(word), lambda found: len(found) == count, within_s, f"{count} times {word!r}"
        )
        return found[-1]

    async def answered(self, mark: str) -> None:
        """By the agent, once and whole."""
        await self.sees(closing(mark))
        await self.settled()
        for word in (opening(mark), closing(mark)):
            assert len(await self.found(word)) == 1, word

    async def quiet(self) -> None:
        """Nothing is open, and nothing more comes: what could still come would come at once."""
        await self.settled()
        await asyncio.sleep(0.3)
        await self.settled()

    async def asks_for_person(self) -> Line:
        """Asks; is told so exactly once more than before; the card of the case waits in the room."""
        before = len(await self.found(ANNOUNCED))
        await self.customer.say(ASKS)
        await self.sees(ANNOUNCED, before + 1)
        card = await self.card("Take")
        await self.settled()
        assert len(await self.found(ANNOUNCED)) == before + 1
        return card

    # --- the room ----------------------------------------------------------------------------------------------------

    async def card(self, label: str) -> Line:
        """The newest card, once it has this button."""
        assert self.room is not None
        room = self.room
        found: list[Line] = await self.until(
            lambda: [each for each in cards(room)[-1:] if label in each.buttons], what=f"a card with {label}"
        )
        return found[0]

    def lines(self, card: Line, word: str) -> list[Line]:
        """What stands in the card's thread with this word, by Frontdesk."""
        assert self.room is not None
        return [each for each in self.room.thread(card) if each.is_ours and word in each.text]

    async def shows(self, card: Line, word: str, count: int = 1, *, within_s: float = 0.0) -> Line:
        """Once it stands in the thread as often as that. Returns the last of them."""
        what = f"{count} times {word!r} in the thread"
        found: list[Line] = await self.until(
            lambda: self.lines(card, word), lambda found: len(found) == count, within_s, what
        )
        return found[-1]

    async def taken(self, card: Line, by: str = EVA, *, within_s: float = 0.0) -> Line:
        """By the button. Returns the card as it is then."""
        assert self.room is not None
        before = len(self.lines(card, "The conversation is yours."))
        await self.room.press(by, card, "Take")
        await self.shows(card, "The conversation is yours.", before + 1, within_s=within_s)
        return await self.card("Snooze")

    async def ended(self, by: str = EVA) -> None:
        """The operator resolves the newest case with a summary, and the user is told so once."""
        assert self.room is not None
        before = len(await self.found("has closed this conversation."))
        await self.room.fill(by, await self.card("Snooze"), "Resolve", "all is well")
        await self.sees("has closed this conversation.", before + 1)

    # --- the house ---------------------------------------------------------------------------------------------------

    async def files(self, name: str) -> list[Seen]:
        """Ours with this file."""
        return [
            each for each in await self.customer.seen() if each.is_ours and any(name in file for file in each.files)
        ]

    async def open_cases(self, *, is_all: bool = False) -> list[dict[str, Any]]:
        """What `frontdesk handoff list` tells of cases that are open."""
        printed = await self.command("handoff", "list", "--json", *(["--all"] if is_all else []))
        return [row for row in json.loads(printed) if row["is_open"]]

    def cases(self) -> int:
        """Of the customer, open and ended."""
        return int(self.rows("SELECT COUNT(*) FROM cases")[0][0])

    def verdict(self) -> str:
        """On the case that ended last."""
        return str(
            self.rows("SELECT feedback FROM cases WHERE ended_ms IS NOT NULL ORDER BY ended_ms DESC LIMIT 1")[0][0]
        )
