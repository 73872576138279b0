"""A small server that speaks the console's protocol by script: it serves the real files under the real policy, keeps a ledger of what pages
ask for, and answers with what its test has put in. The protocol is written down in `bot/console/frames.py`."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import unquote

from aiohttp import web

from bot.console.asking import DATA
from bot.console.pages import Pages
from bot.operators.roles import RIGHTS, Role

Json = dict[str, Any]  # as it travels; tests look at single fields
COOKIE = "frontdesk_console"
NOW_MS = 1_790_000_000_000
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c63f8cfc0f01f00050001ff89993d1d0000000049454e44ae426082"
)


def row(conversation: str, **fields: Any) -> Json:
    """A case that waits on the web channel, with everything a row has."""
    base: Json = {
        "conversation": conversation,
        "case": f"case-{conversation}",
        "handoff": f"handoff-{conversation}",
        "channel": "web",
        "account": "main",
        "user": {"name": "Ana Berg", "identity": "ana@example.com"},
        "stage": "queued",
        "owner": "queue",
        "operator": None,
        "offered_to": "",
        "line": "Where is my order?",
        "line_author": "user",
        "at_ms": NOW_MS - 60_000,
        "waiting_since_ms": NOW_MS - 60_000,
        "deadline": None,
        "window_end_ms": None,
        "priority": 0,
        "tags": [],
        "team": "",
        "reason": "",
        "origin": "asked",
        "lookers": [],
        "is_open": True,
        "is_blocked": False,
    }
    return {**base, **fields}


def entry(seq: int, author: str, text: str, **fields: Any) -> Json:
    """A message, with everything an entry has."""
    base: Json = {
        "seq": seq,
        "id": f"m{seq}",
        "author": author,
        "name": "",
        "text": text,
        "at_ms": NOW_MS - 600_000 + seq * 1000,
        "visibility": "public",
        "case": "case",
        "attachments": [],
        "citations": [],
        "buttons": [],
        "feedback": "",
        "turn": "",
        "delivery": "",
        "is_edited": False,
        "is_deleted": False,
        "card": None,
    }
    return {**base, **fields}


def shelved(file: str, size_bytes: int, **fields: Any) -> Json:
    """An uploaded document, with everything that a document has."""
    base: Json = {
        "name": f"uploads/{file}",
        "shown": file,
        "file": file,
        "source": "uploads",
        "title": "",
        "passages": 1,
        "is_searchable": True,
        "size_bytes": size_bytes,
        "modified_ms": NOW_MS - 60_000,
    }
    return {**base, **fields}


def context(**fields: Any) -> Json:
    base: Json = {
        "user": {
            "name": "Ana Berg",
            "identity": "ana@example.com",
            "channel": "web",
            "verified": "email",
            "language": "en",
        },
        "brief": {},
        "cases": [],
        "tags": [],
        "watchers": [],
        "consents": [],
        "queue": [],
        "timers": [],
        "suggestion": None,
        "memory": {"is_private": True, "facts": [], "episodes": [], "accounts": []},
    }
    return {**base, **fields}


@dataclass
class Talk:
    """One conversation, as the server has it."""

    row: Json
    entries: list[Json] = field(default_factory=list)
    context: Json = field(default_factory=context)
    before: list[Json] = field(default_factory=list)  # what comes with "Earlier messages"


@dataclass
class Screen:
    """One open page."""

    socket: web.WebSocketResponse
    operator: str
    transport: asyncio.BaseTransport | None
    open: set[str] = field(default_factory=set)

    def cut(self) -> None:
        """As a lost network does."""
        if isinstance(self.transport, asyncio.Transport):
            self.transport.abort()


Refusing = Callable[[Json], tuple[int, str, str] | None]


@dataclass
class Server:
    """`people`: role by name. `refuse`: (status, code, detail) for a command that is not to be done."""

    people: dict[str, str] = field(default_factory=lambda: {"ben.miller": "admin", "carla": "agent", "vera": "viewer"})
    talks: dict[str, Talk] = field(default_factory=dict)
    canned: list[Json] = field(default_factory=list)
    turns: dict[str, Json] = field(default_factory=dict)
    passages: dict[str, Json] = field(default_factory=dict)
    persons: dict[str, Json] = field(default_factory=dict)
    receipt: Json = field(default_factory=dict)
    knowledge: Json = field(default_factory=dict)
    answers: dict[str, Json] = field(default_factory=dict)  # what a question finds
    gaps: dict[str, Json] = field(default_factory=dict)  # by id, in order
    recalls: list[Json] = field(default_factory=list)
    picture: bytes = PNG
    page_rows: int = 500
    refuse: Refusing = lambda asked: None
    is_up: bool = True
    ledger: list[Json] = field(default_factory=list)
    frames: list[Json] = field(default_factory=list)
    screens: list[Screen] = field(default_factory=list)
    keys: dict[str, Json] = field(default_factory=dict)
    signed_out: set[str] = field(default_factory=set)
    url: str = ""
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    _runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=2**24)
        for route in Pages().routes():
            app.router.add_route(route.method, route.path, route.handler)
        app.router.add_get("/console/ws", self._socket)
        app.router.add_get("/console/api/{path:.+}", self._read)
        app.router.add_post("/console/api/{path:.+}", self._change)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        for screen in self.screens:
            screen.cut()
        if self._runner is not None:
            await self._runner.cleanup()

    # --- what tests use ----------------------------------------------------------------------------------------------

    def put(self, conversation: str, *entries: Json, around: Json | None = None, **fields: Any) -> Talk:
        """A conversation that is there from the beginning."""
        self.talks[conversation] = Talk(row(conversation, **fields), list(entries), around or context())
        return self.talks[conversation]

    async def change(self, conversation: str, **fields: Any) -> None:
        """The row is different (or new) and every page hears of it."""
        talk = self.talks.get(conversation) or self.put(conversation)
        talk.row = {**talk.row, **fields}
        await self.tell(type="rows", rows=[talk.row], gone=[])

    async def say(self, conversation: str, new: Json, **fields: Any) -> None:
        """A new or changed entry, told to those who have the conversation open."""
        talk = self.talks[conversation]
        talk.entries = [each for each in talk.entries if each["id"] != new["id"]] + [new]
        for screen in list(self.screens):
            if conversation in screen.open:
                await self._entries(screen, conversation, [new], **fields)

    async def tell(self, **frame: Any) -> None:
        for screen in list(self.screens):
            if not screen.socket.closed:
                await screen.socket.send_str(json.dumps(frame))

    async def until(self, holds: Callable[[], bool], timeout_s: float = 10) -> None:
        """Waits until `holds()`, looking again at whatever a page asks for."""
        async with asyncio.timeout(timeout_s), self._changed:
            await self._changed.wait_for(holds)

    async def asked(self, path: str, number: int = 1) -> Json:
        """The body of the `number`th POST to that path, waiting for it."""
        await self.until(lambda: len(self.posts(path)) >= number)
        return self.posts(path)[number - 1]

    def posts(self, path: str) -> list[Json]:
        return [each["body"] for each in self.ledger if each["path"] == path]

    async def framed(self, type_: str) -> Json:
        """The newest frame of that type that a page sent, waiting for one."""
        await self.until(lambda: any(frame["type"] == type_ for frame in self.frames))
        return next(frame for frame in reversed(self.frames) if frame["type"] == type_)

    # --- the server --------------------------------------------------------------------------------------------------

    async def _note(self, path: str, body: Any) -> None:
        async with self._changed:
            self.ledger.append({"path": path, "body": body})
            self._changed.notify_all()

    async def _read(self, request: web.Request) -> web.Response:
        path, name = request.match_info["path"], self._who(request)
        if not self.is_up:
            return web.Response(status=503)
        if not name:
            return _told({"code": "signed_out", "detail": "Sign in first."}, 401)
        first, _, rest = path.partition("/")
        match first:
            case "me":
                return _told(self._me(name))
            case "inbox":
                return _told(self._inbox(name, request.query))
            case "conversations":
                return self._conversation(rest)
            case "turns" | "users" | "passages" | "gaps" if rest and rest in (kept := self._kept(first)):
                return _told(kept[rest])
            case "knowledge":
                return _told(self._known(rest, request.query.get("q", "")))
            case "gaps" if not rest:
                return _told({"gaps": list(self.gaps.values()), "recalls": self.recalls})
            case "files":
                return web.Response(body=self.picture, content_type="image/png", headers=DATA)
        return _told({"code": "no_report", "detail": "That is not kept any more."}, 404)

    def _kept(self, kind: str) -> dict[str, Json]:
        return {"turns": self.turns, "users": self.persons, "passages": self.passages, "gaps": self.gaps}[kind]

    def _known(self, rest: str, question: str) -> Json:
        return self.answers.get(question, {"words": [], "found": []}) if rest == "why" else self.knowledge

    def _conversation(self, rest: str) -> web.Response:
        id_, _, what = rest.partition("/")
        talk = self.talks.get(id_)
        if talk is None:
            return _told({"code": "no_conversation", "detail": "This conversation is not there (any more)."}, 404)
        if what == "entries":
            return _told({"entries": talk.before, "more_before": False})
        more = bool(talk.before)
        return _told({"row": talk.row, "entries": talk.entries, "more_before": more, "context": talk.context})

    async def _change(self, request: web.Request) -> web.Response:
        path = request.match_info["path"]
        if path == "upload":
            return await self._upload(request)
        if path == "knowledge/upload":
            return await self._shelve(request)
        body = await request.json()
        await self._note(path, body)
        if path in ("sign-in", "accept-invite", "confirm"):
            return self._enter(path, body)
        name = self._who(request)
        if not name or request.headers.get("X-CSRF") != f"csrf-{name}":
            return _told({"code": "signed_out", "detail": "Sign in first."}, 401)
        if path == "command":
            return self._command(body)
        if path == "prove" and body != {"password": "correct horse", "code": "123456"}:
            return _told({"code": "not_signed_in", "detail": "The password or the code is wrong."}, 401)
        if path.endswith("/erase"):
            return self._erase(body)
        if path == "knowledge/delete":
            held = [each for each in self.knowledge["documents"] if each["file"] != body["name"]]
            self.knowledge["documents"] = held
        answer = _told({"ok": True})
        if path == "sign-out":
            answer.del_cookie(COOKIE, path="/console")
        return answer

    def _enter(self, path: str, body: Json) -> web.Response:
        if path == "accept-invite":
            return _told(
                {"otpauth": "otpauth://totp/Frontdesk:carla?secret=JBSWY3DPEHPK3PXP", "secret": "JBSWY3DPEHPK3PXP"}
            )
        if path == "confirm":
            return _told({"ok": True, "name": "carla"})
        if body["name"] not in self.people or body["password"] != "correct horse" or body["code"] != "123456":
            return _told({"code": "not_allowed", "detail": "Name, password or code is wrong."}, 403)
        answer = _told({"operator": self._me(body["name"])["operator"], "csrf": f"csrf-{body['name']}"})
        answer.set_cookie(COOKIE, body["name"], httponly=True, samesite="Strict", path="/console")
        self.signed_out.discard(body["name"])
        return answer

    def _command(self, body: Json) -> web.Response:
        refused = self.refuse(body)
        if refused is not None:
            status, code, detail = refused
            return _told({"code": code, "detail": detail}, status)
        told = self.keys.setdefault(body["key"], {"text": "Done.", "warning": "", "message": "", "suggestion": ""})
        return _told(told)

    def _erase(self, body: Json) -> web.Response:
        refused = self.refuse(body)
        if refused is not None:
            return _told({"code": refused[1], "detail": refused[2]}, refused[0])
        return _told(self.receipt)

    async def _shelve(self, request: web.Request) -> web.Response:
        data, headers = await request.read(), request.headers
        name = unquote(headers["X-Name"])
        said = {"audience": unquote(headers["X-Audience"]), "language": headers["X-Language"]}
        await self._note("knowledge/upload", {"name": name, "size_bytes": len(data), **said})
        documents = self.knowledge["documents"]
        if data.startswith(b"%PDF"):
            return _told({"code": "unreadable", "detail": f"{name} was not taken: it is damaged."}, 400)
        if headers["X-Replace"] != "1" and any(each["file"] == name for each in documents):
            return _told({"code": "exists", "detail": f"There is a document {name} already."}, 409)
        documents[:] = [each for each in documents if each["file"] != name] + [shelved(name, len(data))]
        return _told({"name": name, "shown": name})

    async def _upload(self, request: web.Request) -> web.Response:
        data = await request.read()
        name = unquote(request.headers["X-Name"])
        await self._note("upload", {"name": name, "size_bytes": len(data)})
        return _told({"blob": f"b-{len(data)}", "name": name, "media_type": "image/png", "size_bytes": len(data)})

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        name = self._who(request)
        if not self.is_up or not name:
            return web.Response(status=401 if self.is_up else 503)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        screen = Screen(socket, name, request.transport)
        async with self._changed:
            self.screens.append(screen)
            self._changed.notify_all()
        async for message in socket:
            frame = json.loads(message.data)
            async with self._changed:
                self.frames.append(frame)
                self._changed.notify_all()
            if frame["type"] == "open":
                screen.open.add(frame["conversation"])
            elif frame["type"] == "shut":
                screen.open.discard(frame["conversation"])
        self.screens.remove(screen)
        return socket

    async def _entries(self, screen: Screen, conversation: str, entries: list[Json], **fields: Any) -> None:
        frame = {
            "type": "entries",
            "conversation": conversation,
            "entries": entries,
            "lookers": [],
            "is_user_typing": False,
        }
        await screen.socket.send_str(json.dumps({**frame, **fields}))

    async def look(self, conversation: str, **fields: Any) -> None:
        """Tells who looks and types, without an entry."""
        for screen in list(self.screens):
            if conversation in screen.open:
                await self._entries(screen, conversation, [], **fields)

    def _who(self, request: web.Request) -> str:
        name = request.cookies.get(COOKIE, "")
        return name if name in self.people and name not in self.signed_out else ""

    def _me(self, name: str) -> Json:
        role = self.people[name]
        people = [
            {"id": f"op-{each}", "name": each, "presence": "online", "load": 1, "capacity": 4} for each in self.people
        ]
        return {
            "operator": {
                "id": f"op-{name}",
                "name": name,
                "role": role,
                "presence": "online",
                "rights": sorted(RIGHTS[Role(role)]),
            },
            "csrf": f"csrf-{name}",
            "operators": people,
            "teams": ["billing"],
            "canned": self.canned,
            "hours": {"is_open": True, "next_opening_ms": None},
            "now_ms": NOW_MS,
        }

    def _inbox(self, name: str, query: Any) -> Json:  # a multidict of aiohttp
        which, text, before = query.get("filter", "all"), query.get("q", "").lower(), int(query.get("before", 0) or 0)
        rows = [
            talk.row
            for talk in self.talks.values()
            if _belongs(talk.row, which, f"op-{name}") and text in json.dumps(talk.row).lower()
        ]
        rows = rows[before : before + self.page_rows + 1]
        more = len(rows) > self.page_rows
        return {"rows": rows[: self.page_rows], "more": more, "next": str(before + self.page_rows) if more else ""}


def _belongs(of: Json, which: str, me: str) -> bool:
    if which == "mine":
        return bool(of["operator"] and of["operator"]["id"] == me and of["is_open"])
    if which == "waiting":
        return of["stage"] in ("requested", "off hours", "queued", "offered")
    return bool(of["is_open"]) == (which == "all")


def _told(value: object, status: int = 200) -> web.Response:
    return web.json_response(value, status=status, headers=DATA)
