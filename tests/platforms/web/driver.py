"""The web channel as the suite for all adapters drives it: two visitors, each with a page that is open all the time.

A page does what the widget does: keeps what is not acknowledged and sends it again, keeps one message per id, drops its drafts when the
connection is lost, and comes back with its token. It holds every frame against the schema of the protocol."""

import asyncio
import itertools
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import aiohttp
from jsonschema import Draft202012Validator

from tests.platforms.kit import Seen

SCHEMA: Final = json.loads((Path(__file__).parents[3] / "docs" / "protocol.schema.json").read_text(encoding="utf-8"))
BACK_S: Final = 0.05  # after so long a page that has lost its connection comes back
TOO_LARGE: Final = 1009  # RFC 6455, 7.4.1
UNSENDABLE: Final = "This message is too long to be sent."
_AGAIN: Final = ("busy", "too_fast")
_SERVER: Final = Draft202012Validator({"$ref": "#/$defs/server", "$defs": SCHEMA["$defs"]})

Frame = dict[str, Any]  # JSON as it came


@dataclass(slots=True)
class Line:
    """One row of a page. `place`: its `seq`, or where it comes while it has none."""

    seen: Seen
    place: float
    seq: int = 0
    labels: dict[str, str] = field(default_factory=dict)  # label -> button


class Page:
    """One visitor's page. `losses`: so many of the next messages arrive, and the connection is lost before their receipt has left."""

    def __init__(self, violate: "list[str]") -> None:
        self.lines: dict[str, Line] = {}
        self.shown: list[str] = []
        self.losses = 0
        self.is_open = asyncio.Event()
        self.token = ""
        self.url = ""
        self._violations = violate
        self._waiting: dict[str, Frame] = {}
        self._said: dict[str, Frame] = {}
        self._drafts: dict[str, str] = {}
        self._after = 0
        self._later = itertools.count(1)
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._url_known = asyncio.Event()

    # --- the connection --------------------------------------------------------------------------------------------

    def lead(self, url: str) -> None:
        self.url = url
        self._url_known.set()

    async def live(self, session: aiohttp.ClientSession) -> None:
        """Until cancelled."""
        await self._url_known.wait()
        while True:
            with suppress(aiohttp.ClientError, ConnectionError, TimeoutError):
                async with session.ws_connect(f"{self.url}/ws", max_msg_size=0) as socket:
                    await self._talk(socket)
            self.is_open.clear()
            self._socket = None
            self._drafts.clear()
            await asyncio.sleep(BACK_S)

    async def _talk(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        hello: Frame = {"type": "hello", "version": 1}
        if self.token:
            hello |= {"token": self.token, "after": self._after}
        await socket.send_json(hello)
        async for message in socket:
            if message.type is aiohttp.WSMsgType.TEXT:
                await self._take(socket, json.loads(message.data))
        if socket.close_code == TOO_LARGE:
            self._drop_largest()

    async def cut(self) -> None:
        if self._socket is not None:
            self.is_open.clear()
            await self._socket.close()

    def _drop_largest(self) -> None:
        id_ = max(self._waiting, key=lambda each: len(self._waiting[each]["text"]), default="")
        if id_:
            del self._waiting[id_]
            self._tell(UNSENDABLE)

    # --- what comes ------------------------------------------------------------------------------------------------

    async def _take(self, socket: aiohttp.ClientWebSocketResponse, frame: Frame) -> None:
        for error in _SERVER.iter_errors(frame):
            self._violations.append(f"a frame that is not as documented: {error.message[:200]}")
        match frame["type"]:
            case "welcome":
                await self._welcome(socket, frame)
            case "ack":
                self._acknowledge(frame)
            case "delta":
                self._drafts[frame["message"]] = self._drafts.get(frame["message"], "") + frame["text"]
                self.shown.append(self._drafts[frame["message"]])
            case "withdraw":
                self._drafts.pop(frame["message"], None)
            case "message":
                await self._message(socket, frame)
            case "error":
                await self._refused(socket, frame)

    async def _welcome(self, socket: aiohttp.ClientWebSocketResponse, frame: Frame) -> None:
        self.token = frame["token"]
        for each in frame["history"]:
            self._keep(each)
        await self._receipt(socket)
        for waiting in list(self._waiting.values()):
            await socket.send_json(waiting)
        self.is_open.set()

    def _acknowledge(self, frame: Frame) -> None:
        self._waiting.pop(frame["id"], None)
        line = self.lines.get(frame["id"])
        if line is None:
            return
        if line.seq not in (0, frame["seq"]):
            self._violations.append(f"{frame['id']} was acknowledged as {line.seq} and then as {frame['seq']}")
        line.seq, line.place = frame["seq"], frame["seq"]

    async def _message(self, socket: aiohttp.ClientWebSocketResponse, frame: Frame) -> None:
        before = self._after
        self._keep(frame)
        if frame["author"] != "user" and self.losses:
            self.losses -= 1
            self._after = before  # it comes again
            await socket.close()
        else:
            await self._receipt(socket)

    async def _receipt(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        if self._after:
            await socket.send_json({"type": "received", "seq": self._after})

    def _keep(self, frame: Frame) -> None:
        self._drafts.pop(frame["id"], None)
        self._after = max(self._after, frame["seq"])
        if frame["author"] == "user":
            return
        seen = Seen(
            frame["id"],
            is_ours=True,
            text=_shown(frame),
            buttons=tuple(button["label"] for button in frame.get("buttons", ())),
        )
        known = self.lines.get(frame["id"])
        if known is not None and known.seen != seen:
            self._violations.append(f"the message {frame['id']} has changed")
        labels = {button["label"]: button["id"] for button in frame.get("buttons", ())}
        self.lines[frame["id"]] = Line(seen, frame["seq"], frame["seq"], labels)
        self.shown.append(seen.text)

    async def _refused(self, socket: aiohttp.ClientWebSocketResponse, frame: Frame) -> None:
        waiting = self._waiting.get(frame.get("id", ""))
        if waiting is not None and frame["code"] in _AGAIN:
            await asyncio.sleep(frame.get("retry_after_s", 0))
            await socket.send_json(waiting)
            return
        self._waiting.pop(frame.get("id", ""), None)
        self._tell(frame["detail"])

    def _tell(self, text: str) -> None:
        """The page says it itself."""
        number = next(self._later)
        self.lines[f"page-{number}"] = Line(Seen(f"page-{number}", is_ours=True, text=text), 1e9 + number)

    # --- what the visitor does -------------------------------------------------------------------------------------

    def write(self, id_: str, text: str, files: Sequence[str] = ()) -> None:
        """In its place, and not sent yet."""
        frame: Frame = {"type": "message", "id": id_, "text": text}
        if files:
            frame["attachments"] = list(files)
        self._said[id_] = self._waiting[id_] = frame
        self.lines[id_] = Line(Seen(id_, is_ours=False, text=text), 1e9 + next(self._later))

    async def send(self, id_: str) -> None:
        """Now, where the page is open; otherwise as soon as it is."""
        await self._send(self._said[id_])

    async def press(self, id_: str, label: str) -> None:
        await self._send({"type": "press", "message": id_, "button": self.lines[id_].labels[label]})

    async def rate(self, id_: str, value: str) -> None:
        await self._send({"type": "feedback", "message": id_, "value": value})

    async def _send(self, frame: Frame) -> None:
        if frame["type"] != "message":
            await self.is_open.wait()
        if self._socket is not None and self.is_open.is_set():
            with suppress(ConnectionError):
                await self._socket.send_json(frame)

    def seen(self) -> list[Seen]:
        return [line.seen for line in sorted(self.lines.values(), key=lambda line: line.place)] + [
            Seen(id_, is_ours=True, text=text) for id_, text in self._drafts.items()
        ]


def _shown(frame: Frame) -> str:
    """The text, and what the widget lists below it."""
    cited = [f"[{each['number']}] {each['title']}" for each in frame.get("citations", ())]
    return "\n".join([frame["text"], *cited])


class WebPlatform:
    """The driver. A visitor cannot change what they have written, the server may always write, and the bot has no credentials: these
    parts of the script are left out."""

    name = "web"
    can_edit = False
    can_stream = True

    def __init__(self) -> None:
        self._violations: list[str] = []
        self._pages = (Page(self._violations), Page(self._violations))
        self._ids = itertools.count(1)
        self._tasks: list[asyncio.Task[None]] = []
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        self._session = aiohttp.ClientSession()
        self._tasks = [asyncio.create_task(page.live(self._session)) for page in self._pages]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    def config(self) -> Mapping[str, Any]:
        return {"enabled": True}

    def attach(self, public_port: int) -> None:
        for page in self._pages:
            page.lead(f"http://127.0.0.1:{public_port}")

    async def wait_ready(self) -> None:
        for page in self._pages:
            await page.is_open.wait()

    # --- what people do --------------------------------------------------------------------------------------------

    async def say(self, text: str, *, file: bytes | None = None, file_name: str = "", by_other: bool = False) -> str:
        page, id_ = self._page(by_other), self._id()
        files = [await self._upload(page, file, file_name)] if file is not None else []
        page.write(id_, text, files)
        await page.send(id_)
        return id_

    async def _upload(self, page: Page, data: bytes, name: str) -> str:
        assert self._session is not None
        headers = {"Authorization": f"Bearer {page.token}", "X-File-Name": quote(name)}
        async with self._session.post(f"{page.url}/upload", data=data, headers=headers) as answer:
            body = await answer.json()
        assert answer.status == 200, body
        return str(body["id"])

    async def edit(self, id_: str, text: str) -> None:
        raise NotImplementedError("the widget lets nobody edit")

    async def delete(self, id_: str) -> None:
        raise NotImplementedError("the widget lets nobody delete")

    async def press(self, seen: Seen, label: str) -> None:
        await self._page_of(seen.id).press(seen.id, label)

    async def rate(self, seen: Seen, value: str) -> None:
        await self._page_of(seen.id).rate(seen.id, value)

    async def repeat(self, id_: str) -> None:
        await self._page_of(id_).send(id_)

    async def say_out_of_order(self, texts: Sequence[str]) -> Sequence[str]:
        page, ids = self._page(), [self._id() for _ in texts]
        for id_, text in zip(ids, texts, strict=True):
            page.write(id_, text)
        for id_ in reversed(ids):
            await page.send(id_)
        return ids

    # --- what is seen ----------------------------------------------------------------------------------------------

    def seen(self, *, by_other: bool = False) -> Sequence[Seen]:
        return self._page(by_other).seen()

    def was_shown(self) -> Sequence[str]:
        return self._page().shown

    def violations(self) -> Sequence[str]:
        return list(self._violations)

    # --- faults ----------------------------------------------------------------------------------------------------

    def lose_answers(self, count: int) -> None:
        self._page().losses = count

    def limit_rate(self, count: int, seconds: float) -> None:
        raise NotImplementedError("the server may always write to its own page")

    def refuse_token(self, is_refused: bool) -> None:
        raise NotImplementedError("the web channel needs no credentials")

    async def cut(self) -> None:
        for page in self._pages:
            await page.cut()

    def _page(self, by_other: bool = False) -> Page:
        return self._pages[by_other]

    def _page_of(self, id_: str) -> Page:
        return next(page for page in self._pages if id_ in page.lines)

    def _id(self) -> str:
        return f"said-{next(self._ids)}"
