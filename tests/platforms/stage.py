"""Frontdesk for real, with one platform, a model and a page beside it: `frontdesk serve` as a process of its own, on real files.

The model speaks chat completions over a socket and answers by rules (`Brain`), so that a check can tell by words which answer is which.
"""

import asyncio
import itertools
import json
import os
import re
import sqlite3
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import aiohttp
from aiohttp import web

from tests.e2e.house import ROOT, free_port
from tests.models.openai_server import OpenAIServer
from tests.models.wire import Call, Received, Reply
from tests.platforms.kit import Platform, Seen
from tests.platforms.web.driver import WebPlatform
from tests.warm import Forked

PATIENCE_S: Final = 20.0
SLOW_S: Final = 90.0  # for what takes the platform's own waiting times
READY_S: Final = 40.0
LOOK_S: Final = 0.02  # between two looks at what is waited for
QUIET_MS: Final = 150  # long enough for the events of a burst to come together, out of order
KNOWN: Final = "47 days"
TITLE: Final = "Returning a bicycle"
DOCUMENT: Final = f"# {TITLE}\n\nA bicycle that was bought from us may be returned within {KNOWN}, with its receipt.\n"
KEY: Final = "sk-of-the-stage-0123456789"
LONG_WORDS: Final = 2_400  # about 15,000 characters: several parts everywhere
BLOCK_EVERY, BLOCK_WORDS, LINE_WORDS = 400, 48, 6  # where code blocks stand in the long answer, and how long they are

OPEN: Final = """
    SELECT (SELECT COUNT(*) FROM inbox WHERE handled_ms IS NULL AND dead_ms IS NULL)
         + (SELECT COUNT(*) FROM outbox WHERE state IN ('planned', 'sending', 'unknown'))
         + (SELECT COUNT(*) FROM conversations c WHERE c.channel = 'web' AND c.delivered_seq <
             (SELECT MAX(m.seq) FROM messages m WHERE m.conversation_id = c.id AND m.author <> 'user' AND m.visibility = 'public'))"""

_MARK: Final = re.compile(r"\bq(\d+)x\b")
_WITHIN: Final = re.compile(r"within (\d+ days)")
_SEARCH: Final = Call("search_knowledge", json.dumps({"query": "return a bicycle within days"}))
_SMALL_TALK: Final = (
    "Bicycles have two wheels. Most of them have a bell. Some of them have a basket in front. A few have none. "
)


def opening(mark: str) -> str:
    """The word that every answer to this question begins with."""
    return f"a{mark[1:]}"


def closing(mark: str) -> str:
    """The word that it ends with: an answer that holds both is whole."""
    return f"z{mark[1:]}"


def long_words() -> list[str]:
    """The words of the long answer, each of them once."""
    return [f"w{number:04d}" for number in range(LONG_WORDS)]


def long_blocks() -> list[list[str]]:
    """Those of them that stand in code blocks, by block."""
    words = long_words()
    return [words[at : at + BLOCK_WORDS] for at in range(BLOCK_EVERY, LONG_WORDS - BLOCK_WORDS, BLOCK_EVERY)]


def long_text() -> str:
    """Paragraphs and code blocks."""
    words, pieces, at = long_words(), [], 0
    for block in long_blocks():
        begin = words.index(block[0])
        pieces += [_paragraphs(words[at:begin]), _code(block)]
        at = begin + len(block)
    return "\n\n".join([*pieces, _paragraphs(words[at:])])


def _paragraphs(words: Sequence[str]) -> str:
    return "\n\n".join(" ".join(words[at : at + 60]) + "." for at in range(0, len(words), 60))


def _code(words: Sequence[str]) -> str:
    lines = (" ".join(words[at : at + LINE_WORDS]) for at in range(0, len(words), LINE_WORDS))
    return "```\n" + "\n".join(lines) + "\n```"


class Brain(OpenAIServer):
    """A model that answers by what stands in the newest words of the person:

    "return": looks it up and cites; "nobody knows": looks it up and finds nothing to cite, so that a person is offered; "everything": the
    long answer; "repeat after me": those words again; anything else: small talk. Every answer begins and ends with words of its own for
    each question that it covers. Of an answer to a question that is `held`, only the first half comes before it is let go."""

    def __init__(self) -> None:
        super().__init__(script=self._reply_to)
        self._held: dict[str, asyncio.Event] = {}

    def hold(self, mark: str) -> None:
        self._held[mark] = asyncio.Event()

    def let_go(self) -> None:
        for event in self._held.values():
            event.set()
        self._held.clear()

    def asked(self, mark: str) -> list[Received]:
        """The requests in which this question is the newest, or among them."""
        return [each for each in self.ledger if mark in _newest(each)]

    def marks_asked(self, received: Received) -> list[str]:
        """Which questions one request is about, in the order in which the model reads them."""
        return [f"q{number}x" for number in _MARK.findall(_newest(received))]

    def _reply_to(self, asked: Received) -> Reply:
        said, looked_up = _newest(asked), _looked_up(asked)
        marks = dict.fromkeys(f"q{number}x" for number in _MARK.findall(said))
        if ("return" in said or "nobody knows" in said) and not looked_up:
            return Reply("", calls=(_SEARCH,))
        body = _SMALL_TALK
        if "return" in said:
            found = _WITHIN.search(looked_up)
            body = f"{_SMALL_TALK}You have {found[1] if found else 'no time'} to bring it back [1]. "
        elif "everything" in said:
            body = f"\n\n{long_text()}\n\n"
        elif "repeat after me" in said:
            body = said.partition("repeat after me")[2][:1_200] + "\n\n"
        begin, end = " ".join(map(opening, marks)), " ".join(map(closing, marks))
        return Reply(f"{begin}: {body}{end}.", chunks=8)

    async def _stream(self, request: web.Request, reply: Reply, asked: Received) -> web.StreamResponse:
        held = next((self._held[mark] for mark in self.marks_asked(asked) if mark in self._held), None)
        if held is None or reply.calls:
            return await super()._stream(request, reply, asked)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        frames = self.frames(reply, asked)
        await response.write(b"".join(frames[: len(frames) // 2]))
        await held.wait()
        if request.transport is not None and not request.transport.is_closing():
            await response.write(b"".join(frames[len(frames) // 2 :]))
            await response.write_eof()
        return response


def _newest(asked: Received) -> str:
    """What the person has said since the last answer."""
    texts: list[str] = []
    for message in reversed(asked.body["messages"]):
        if message["role"] == "tool" or message.get("tool_calls"):
            continue
        if message["role"] != "user":
            break
        texts.append(_text(message["content"]))
    return "\n".join(reversed(texts))


def _text(content: Any) -> str:  # JSON as it came
    return content if isinstance(content, str) else "\n".join(part.get("text", "") for part in content)


def _looked_up(asked: Received) -> str:
    """The results of the calls that were made for the newest words."""
    results = itertools.takewhile(
        lambda message: message["role"] == "tool" or message.get("tool_calls"), reversed(asked.body["messages"])
    )
    return "\n".join(_text(message["content"]) for message in results if message["role"] == "tool")


class Stage:
    """One data folder and all around it. `page` is a visitor of the web channel, which runs beside every other; on the web it is the
    platform itself. `plant` names a defect of `tests.platforms.plants` that the daemon is to have."""

    def __init__(self, folder: Path, platform: Platform, *, plant: str = "") -> None:
        self.folder = folder
        self.platform = platform
        self.page = platform if isinstance(platform, WebPlatform) else WebPlatform()
        self.brain = Brain()
        self.port, self.admin = free_port(), free_port()
        self.patience_s, self.slow_s = PATIENCE_S, SLOW_S
        self._plant = plant
        self._told = 0  # violations
        self._numbers = itertools.count(1)
        self._process: Forked | None = None

    # --- life ------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Everything is up, and the bot would receive what is said."""
        await self.platform.start()
        if self.page is not self.platform:
            await self.page.start()
        await self.brain.start()
        self._write()
        await self.launch()

    async def stop(self) -> None:
        self.brain.let_go()
        await self.kill()
        await self.platform.stop()
        if self.page is not self.platform:
            await self.page.stop()
        await self.brain.close()

    async def launch(self, *, is_well: bool = True) -> None:
        """Starts the daemon, where none runs. `is_well` False: returns before the platform is connected."""
        if self._process is not None and self._process.returncode is None:
            return
        words = ["serve", "--config", str(self.folder / "config.toml")]
        environ = {name: value for name, value in os.environ.items() if not name.startswith("FRONTDESK_")}
        self._process = Forked(
            *("tests.platforms.plants", [self._plant, *words]) if self._plant else ("bot", words),
            log=self.folder / "log",
            environ=environ | {"FRONTDESK_KNOWLEDGE_FUSION": "0"},  # words are enough for one document
        )
        line = await asyncio.to_thread(self._process.line, READY_S)
        assert "is ready" in line, self.log()
        self.platform.attach(self.port)
        self.page.attach(self.port)
        await asyncio.wait_for(self.page.wait_ready(), READY_S)
        if is_well:
            await self.until_up()

    async def until_up(self) -> None:
        """The platform's channel is up, and the bot would receive what is said."""
        await self.until(self.channel_state, lambda state: state.startswith("up"), READY_S)
        await asyncio.wait_for(self.platform.wait_ready(), READY_S)

    async def kill(self) -> None:
        """SIGKILL: nothing is finished, nothing is told."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            process.kill()
        await asyncio.to_thread(process.wait)

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    def log(self) -> str:
        return (self.folder / "log").read_text(encoding="utf-8", errors="replace")

    def _write(self) -> None:
        (self.folder / "docs").mkdir()
        (self.folder / "docs" / "returns.md").write_text(DOCUMENT, encoding="utf-8")
        channel = {"quiet_ms": QUIET_MS} | dict(self.platform.config()) | {"quiet_ms": QUIET_MS}
        config: dict[str, Any] = {
            "data": {"path": str(self.folder / "data")},
            "server": {"port": self.port},
            "admin": {"port": self.admin},
            "log": {"level": "info"},
            "knowledge": {"paths": ["docs"], "poll_s": 300, "mode": "search"},  # the model looks things up
            "limits": {"messages_per_minute": 6_000, "frames_per_minute": 60_000, "burst_s": 2.0, "drain_s": 2.0},
            "roles": {"answer": ["brain", "offline"]},
            "models": {
                "brain": {
                    "provider": "openai",
                    "model": "brain-1",
                    "base_url": self.brain.base_url,
                    "api_key": KEY,
                    "reads": ["text", "images"],
                }
            },
            "channels": {"web": {"enabled": True, "quiet_ms": QUIET_MS}} | {self.platform.name: channel},
        }
        path = self.folder / "config.toml"
        path.write_text("\n".join(_toml(config)), encoding="utf-8")
        path.chmod(0o600)

    # --- what people do, and what they see -------------------------------------------------------------------------

    def mark(self) -> str:
        """A word for one question, by which its answer is known."""
        return f"q{next(self._numbers)}x"

    async def ask(self, words: str, *, by_other: bool = False) -> str:
        """The person says it, marked. Returns the mark."""
        mark = self.mark()
        await self.platform.say(f"{mark} {words}", by_other=by_other)
        return mark

    def ours(self, word: str, *, by_other: bool = False) -> list[Seen]:
        """The bot's messages in which this word stands now."""
        pattern = re.compile(rf"\b{word}\b")
        return [each for each in self.platform.seen(by_other=by_other) if each.is_ours and pattern.search(each.text)]

    async def answer(self, mark: str, *, by_other: bool = False, is_slow: bool = False) -> Seen:
        """The message that the answer to this question ends with, once it stands there. Fails when it stands there more than once, or has
        only one of its ends."""
        within_s = self.slow_s if is_slow else self.patience_s
        await self.until(
            lambda: self.ours(closing(mark), by_other=by_other), within_s=within_s, what=f"answer to {mark}"
        )
        await self.settled()
        self.check_once(mark, by_other=by_other)
        return self.ours(closing(mark), by_other=by_other)[0]

    def check_once(self, mark: str, *, by_other: bool = False) -> None:
        """The answer stands there once and whole."""
        for word in (opening(mark), closing(mark)):
            found = self.ours(word, by_other=by_other)
            count = sum(len(re.findall(rf"\b{word}\b", each.text)) for each in found)
            assert count == 1, f"{word} stands there {count} times: {self._chat(by_other)}"

    async def settled(self) -> None:
        """Everything that came in is handled, and everything that goes out has arrived."""
        await self.until(lambda: self.rows(OPEN)[0][0], (0).__eq__, READY_S, "nothing is open any more")

    def _chat(self, by_other: bool) -> str:
        return "\n".join(
            f"{'us' if each.is_ours else 'them'} {each.id}: {each.text[:300]!r}"
            for each in self.platform.seen(by_other=by_other)[-8:]
        )

    def new_violations(self) -> list[str]:
        """Those of which nobody has been told yet."""
        found = list(self.platform.violations())
        told, self._told = self._told, len(found)
        return found[told:]

    # --- the house -------------------------------------------------------------------------------------------------

    @property
    def database(self) -> Path:
        return self.folder / "data" / "frontdesk.db"

    def rows(self, sql: str, **values: object) -> list[tuple[Any, ...]]:
        """What stands in the database; the columns are the statement's."""
        connection = sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=10)
        try:
            return connection.execute(sql, values).fetchall()
        finally:
            connection.close()

    async def readiness(self) -> dict[str, Any]:
        """The body of /readyz, and its status as "status"."""
        body, status = await self.get("/readyz")
        return dict(json.loads(body)) | {"status": status}

    async def channel_state(self) -> str:
        return str((await self.readiness())["channels"].get(self.platform.name, ""))

    async def get(self, path: str, *, is_private: bool = False) -> tuple[str, int]:
        """A page of one of the listeners, and its status."""
        url = f"http://127.0.0.1:{self.admin if is_private else self.port}{path}"
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            return await response.text(), response.status

    async def command(self, *words: str) -> str:
        """What a `frontdesk` command prints."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bot", *words, "--config", str(self.folder / "config.toml")),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=ROOT,
        )
        output, _ = await process.communicate()
        return output.decode()

    async def until(
        self,
        look: Callable[[], Any],  # a value, or something to await that gives one
        is_right: Callable[[Any], bool] = bool,
        within_s: float = 0.0,
        what: str = "",
    ) -> Any:
        """The first value that is right. Fails when there is none in time (0: `patience_s`), or the daemon has ended."""
        loop = asyncio.get_running_loop()
        within_s = within_s or self.patience_s
        deadline = loop.time() + within_s
        while True:
            value = look()
            if asyncio.iscoroutine(value):
                value = await value
            if is_right(value):
                return value
            assert self.is_running, f"the daemon has ended: {self.log()[-3000:]}"
            assert loop.time() < deadline, (
                f"not within {within_s:g} s: {what}; last: {str(value)[:500]}\n{self._chat(False)}\n{self.log()[-3000:]}"
            )
            await asyncio.sleep(LOOK_S)


def _toml(table: Mapping[str, Any], path: str = "") -> list[str]:
    """A table as TOML. Texts, numbers, booleans and lists of them are written in JSON's way, which is TOML's too."""
    lines = [f"[{path}]"] if path else []
    lines += [
        f"{json.dumps(key)} = {json.dumps(value)}" for key, value in table.items() if not isinstance(value, Mapping)
    ]
    for key, value in table.items():
        if isinstance(value, Mapping):
            lines += _toml(value, f"{path}.{key}" if path else key)
    return lines
