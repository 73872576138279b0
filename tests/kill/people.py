"""Visitors on real web sockets and users of the ledger: each sends, repeats what was not acknowledged, and keeps a diary."""

import asyncio
import json
import random
import re
import uuid
from typing import Any

import aiohttp

from tests.kill.judge import Diary, Seen

AT_ONCE = 3  # messages that one person has unacknowledged, at most
AHEAD = 5  # ... or unanswered

_CITED = re.compile(r"\[(\d+)\]")


class House:
    """What people know of the daemon: where it is, and whether it is up."""

    pause_s = (0.002, 0.04)  # of a person, between two messages
    again_s = 0.005  # between two tries to reach it

    def __init__(self, port: int, session: aiohttp.ClientSession, chance: random.Random) -> None:
        self.port = port
        self.session = session
        self.chance = chance
        self.up = asyncio.Event()
        self.talking = asyncio.Event()


class Person:
    """What both kinds share: one diary, and words of their own."""

    def __init__(self, name: str, house: House) -> None:
        self.name = name
        self.diary = Diary()
        self._house = house

    async def live(self) -> None:
        """Until cancelled."""
        raise NotImplementedError

    def _next_message(self) -> str:
        id_ = str(uuid.UUID(int=self._house.chance.getrandbits(128), version=4))
        self.diary.sent[id_] = f"{self.name}-{len(self.diary.sent)}"
        return id_

    def _unacknowledged(self) -> list[str]:
        return [id_ for id_ in self.diary.sent if id_ not in self.diary.acknowledged]

    def is_settled(self) -> bool:
        return not self._unacknowledged() and self.diary.promised() <= self.diary.answered()

    async def _pause(self) -> None:
        await asyncio.sleep(self._house.chance.uniform(*self._house.pause_s))
        await self._house.talking.wait()


class Visitor(Person):
    """Speaks the protocol of docs/protocol.md. With `is_counting_own`, a seq from an acknowledgement counts as held, too."""

    def __init__(self, name: str, house: House, *, is_counting_own: bool = False) -> None:
        super().__init__(name, house)
        self._is_counting_own = is_counting_own
        self._token = ""
        self._ws: aiohttp.ClientWebSocketResponse | None = None
        self._held = 0  # the highest seq
        self._last = 0  # the last seq on this socket
        self._drafts: dict[str, str] = {}
        self._known: dict[str, Seen] = {}

    async def live(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._talk())
            while True:
                await self._house.up.wait()
                try:
                    await self._visit()
                except (aiohttp.ClientError, OSError):
                    self._ws = None
                await asyncio.sleep(self._house.again_s)

    async def _talk(self) -> None:
        while True:
            await self._pause()
            unanswered = len(self.diary.promised() - self.diary.answered())
            if self._ws is not None and len(self._unacknowledged()) < AT_ONCE and unanswered < AHEAD:
                await self._say(self._ws, self._next_message())

    async def _say(self, ws: aiohttp.ClientWebSocketResponse, id_: str) -> None:
        try:
            await ws.send_json({"type": "message", "id": id_, "text": self.diary.sent[id_]})
        except (aiohttp.ClientError, OSError):
            self._ws = None  # said again after the next welcome

    async def _visit(self) -> None:
        async with self._house.session.ws_connect(f"http://127.0.0.1:{self._house.port}/ws") as ws:
            hello: dict[str, Any] = {"type": "hello", "version": 1}
            if self._token:
                hello |= {"token": self._token, "after": self._held}
            await ws.send_json(hello)
            try:
                async for message in ws:
                    await self._read(ws, json.loads(message.data))
            finally:
                self._ws = None

    async def _read(self, ws: aiohttp.ClientWebSocketResponse, frame: dict[str, Any]) -> None:
        match frame["type"]:
            case "welcome":
                await self._welcomed(ws, frame)
            case "ack":
                self._acknowledged(frame)
            case "delta":
                self._draft(frame["message"], frame["text"])
            case "withdraw":
                self._drafts.pop(frame["message"], None)
            case "message":
                self._take(frame)
                await ws.send_json({"type": "received", "seq": self._held})
            case "error" if frame["code"] == "busy":
                await ws.close()  # said again after the next welcome
            case "typing":
                pass
            case _:
                self.diary.complain("other", f"{self.name} was told {frame}")

    async def _welcomed(self, ws: aiohttp.ClientWebSocketResponse, frame: dict[str, Any]) -> None:
        self._token = frame["token"]
        self._drafts.clear()
        self._last = self._held  # what hello said
        for message in frame["history"]:
            self._take(message)
        if frame["history"]:
            await ws.send_json({"type": "received", "seq": self._held})
        for id_ in self._unacknowledged():
            await self._say(ws, id_)
        self._ws = ws

    def _acknowledged(self, frame: dict[str, Any]) -> None:
        id_, given = frame["id"], (frame["message"], frame["seq"])
        if id_ not in self.diary.sent:
            self.diary.complain("other", f"{self.name} got an acknowledgement of nothing: {frame}")
        elif self.diary.acknowledged.setdefault(id_, given) != given:
            self.diary.complain("doubled", f"{self.diary.sent[id_]} was stored twice: {given}")
        elif self._is_counting_own:
            self._held = max(self._held, frame["seq"])

    def _draft(self, message: str, text: str) -> None:
        if message in self._known:
            self.diary.complain("other", f"{self.name} was shown a draft of an answer that is there: {message}")
        self._drafts[message] = self._drafts.get(message, "") + text

    def _take(self, frame: dict[str, Any]) -> None:
        """A message that is known is only a repetition, which every client drops by its id."""
        seen = Seen(frame["seq"], frame["id"], frame["text"])
        draft = self._drafts.pop(frame["id"], "")
        known = self._known.setdefault(seen.message, seen)
        if known is not seen:
            if known != seen:
                self.diary.complain("doubled", f"{self.name} got two texts under one id: {known} {seen}")
            return
        if seen.seq <= self._last:
            self.diary.complain("disordered", f"{self.name} got seq {seen.seq} after {self._last}")
        self._last = seen.seq
        self._held = max(self._held, seen.seq)
        if frame["author"] == "user":
            return
        if draft not in seen.text:
            self.diary.complain("other", f"{self.name}'s draft {draft!r} is not part of {seen.text!r}")
        if self._drafts:
            self.diary.complain("other", f"{self.name} was left with drafts when an answer came: {self._drafts}")
        cited = {citation["number"] for citation in frame.get("citations", ())}
        if cited != {int(number) for number in _CITED.findall(seen.text)}:
            self.diary.complain("other", f"{self.name} was given the citations {cited} with {seen.text!r}")
        self.diary.seen.append(seen)

    def is_settled(self) -> bool:
        return super().is_settled() and not self._drafts


class LedgerUser(Person):
    """Writes through the ledger's requests; reads what was posted there when all is over."""

    async def live(self) -> None:
        """Until cancelled. One message at a time, repeated until it is acknowledged."""
        while True:
            if not self._unacknowledged():
                await self._pause()
                self._next_message()
            id_ = self._unacknowledged()[0]
            await self._house.up.wait()
            if await self._post({"id": id_, "user": self.name, "text": self.diary.sent[id_]}):
                self.diary.acknowledged[id_] = ("", 0)
            else:
                await asyncio.sleep(self._house.again_s)

    async def _post(self, event: dict[str, str]) -> bool:
        url = f"http://127.0.0.1:{self._house.port}/ledger/events"
        try:
            async with self._house.session.post(url, json=event) as response:
                return response.status == 200
        except (aiohttp.ClientError, OSError):
            return False

    def is_settled(self) -> bool:
        return not self._unacknowledged()
