"""A customer's visit, played over the chat socket and written down: an order, a refund and its consent, a time in the workshop."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import aiohttp

ANSWER_S = 30.0
CONSENT = "consent:"
YES = ":yes"

Frame = dict[str, Any]  # docs/protocol.schema.json
Write = Callable[[str], None]


class Stuck(Exception):
    """The visit cannot go on."""


class Visit:
    """One open chat. Raises Stuck where nothing comes, or an error does."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._seen: set[str] = set()

    async def say(self, text: str) -> None:
        await self._socket.send_json({"type": "message", "id": str(uuid4()), "text": text})

    async def press(self, message: str, button: str) -> None:
        await self._socket.send_json({"type": "press", "message": message, "button": button})

    async def heard(self) -> Frame:
        """The next message that is not the visitor's own."""
        try:
            async with asyncio.timeout(ANSWER_S):
                return await self._next()
        except TimeoutError:
            raise Stuck(f"Nothing came within {ANSWER_S:.0f} seconds.") from None

    async def _next(self) -> Frame:
        while True:
            frame = _frame(await self._socket.receive())
            if frame["type"] == "error":
                raise Stuck(f"{frame['code']}: {frame['detail']}")
            if frame["type"] == "message" and frame["id"] not in self._seen:
                self._seen.add(frame["id"])
                await self._socket.send_json({"type": "received", "seq": frame["seq"]})
                if frame["author"] != "user":
                    return frame


@asynccontextmanager
async def visiting(frontdesk: str, identity: str) -> AsyncIterator[Visit]:
    """A chat with the Frontdesk at this address, as whoever the host page has signed in."""
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{frontdesk}/ws", origin=frontdesk) as socket:
        await socket.send_json({"type": "hello", "version": 1, "identity": identity})
        if (welcome := _frame(await socket.receive()))["type"] != "welcome":
            raise Stuck(str(welcome.get("detail", welcome)))
        yield Visit(socket)


async def play(visit: Visit, write: Write) -> None:
    """The whole visit."""
    await ask(visit, write, "Where is my order 1003?")
    await agree(visit, write, "Please refund order 1001")
    await agree(visit, write, "Book a time in the workshop on Tuesday")


async def ask(visit: Visit, write: Write, text: str) -> Frame:
    """Says something and gives the answer."""
    write(f"\n  you   > {text}")
    await visit.say(text)
    return _written(write, await visit.heard())


async def agree(visit: Visit, write: Write, text: str) -> Frame:
    """Says something, presses yes where it is asked, and gives what is said after that."""
    frame = await ask(visit, write, text)
    while not (yes := _yes(frame)):
        frame = _written(write, await visit.heard())
    write("  you   > (press: Yes)")
    await visit.press(frame["id"], yes)
    return _written(write, await visit.heard())


async def ledger(shop: str, token: str) -> list[Frame]:
    """Everything that really happened in the shop."""
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(headers=headers) as session, session.get(f"{shop}/ledger") as answer:
        entries: list[Frame] = (await answer.json())["entries"]
        return entries


def entered(entry: Frame) -> str:
    """One line of the ledger for people."""
    return f"  {entry['kind']:8} {entry['customer']}  {json.dumps(entry['detail'])}  key {entry['key'] or '(none)'}"


def _frame(received: aiohttp.WSMessage) -> Frame:
    if received.type is not aiohttp.WSMsgType.TEXT:
        raise Stuck("Frontdesk has closed the chat.")
    frame: Frame = json.loads(received.data)
    return frame


def _yes(frame: Frame) -> str:
    ids = [each["id"] for each in frame.get("buttons", ())]
    return next((each for each in ids if each.startswith(CONSENT) and each.endswith(YES)), "")


def _written(write: Write, frame: Frame) -> Frame:
    for number, line in enumerate(frame["text"].splitlines() or [""]):
        write(f"  {'' if number else 'shop':5} {' ' if number else '>'} {line}".rstrip())
    if frame.get("buttons"):
        write("          " + "  ".join(f"[ {each['label']} ]" for each in frame["buttons"]))
    return frame
