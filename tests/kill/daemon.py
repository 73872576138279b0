"""The daemon under the knife: a warmed process that forks one real `App` for every order it reads from standard input.

Crash points and planted bugs stand at the ports only (store, channels, model, knowledge); nothing in the program knows of them. Run by
`tests.kill.cycles`; says `pid N`, `ready` and `exit STATUS` on standard output. With `--models` the models' SDKs are warm, too.
"""

import asyncio
import gc
import importlib
import json
import os
import signal
import sys
import threading
import traceback
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import bot.app
import bot.assembly
import bot.host
from adapters.web import Settings
from adapters.web.adapter import WebAdapter
from bot.accepting import Stored, bookmarked
from bot.agent.journal import Step
from bot.config import find_settings, load
from bot.host import Door, House
from bot.late import LateKnowledge
from bot.model import (
    Accepted,
    Address,
    Bookmark,
    Event,
    Found,
    Message,
    MessageId,
    MessageReceived,
    Passage,
    PassageId,
    Seq,
)
from bot.ports import Adapter, ChatRequest, Chunk, Cursor, Finished, Knowledge, Receipt, TextDelta, ToolCall
from bot.store import records
from bot.store.sqlite import SqliteStore
from tests.kill.brain import KEY
from tests.kill.channel import LedgerChannel
from tests.kill.judge import Right, answer_to
from tests.kill.points import Doom, Plan

T = TypeVar("T")
Life = Callable[[dict[str, str], int], None]  # one life of the daemon: its order, and where it says that it is ready
PIECES = 5
ACKNOWLEDGED_S = 0.004  # after the commit: the acknowledgement has left, and the quiet time is not over

EARLY_ACK, NO_DEDUPE, NO_OUTBOX = "early ack", "no dedupe", "no outbox"
NO_JOURNAL, NO_OUTCOME, NO_THOUGHT, OTHER_DRAFT = "no journal", "no outcome", "no thought", "other draft"
FAULTS = (EARLY_ACK, NO_DEDUPE, NO_OUTBOX)
MODEL_FAULTS = (NO_JOURNAL, NO_OUTCOME, NO_THOUGHT, OTHER_DRAFT)
MODELS = {"openai": ("bot.llm.openai", "OpenAIModel"), "anthropic": ("bot.llm.anthropic", "AnthropicModel")}
WARM = (
    *("bot.llm.clients", "bot.llm.transport", "bot.knowledge.library", *(module for module, _ in MODELS.values())),
    *("openai.resources.chat", "anthropic.resources.messages"),
)


class DoomedStore(SqliteStore):
    """The real store, which ends the process before, inside or after a unit of work."""

    doom = Doom(Plan(""))
    fault = ""
    acknowledged_s = ACKNOWLEDGED_S

    async def run(self, unit: Callable[..., T], *args: object) -> T:
        name = name_of(unit, args)
        if self.fault == NO_OUTBOX and name in ("begin", "sent", "interrupted"):
            return await self._run_without_states(unit, *args)
        if (self.fault, name) in ((NO_JOURNAL, "intend"), (NO_OUTCOME, "settle")):
            return None  # type: ignore[return-value]  # as the unit does
        if self.fault == NO_THOUGHT and name == "intend":
            args = tuple(replace(each, reasoning=()) if isinstance(each, Step) else each for each in args)
        self.doom.at(f"before {name}")
        if self.doom.point == f"inside {name}":
            result: T = await super().run(self._inside, name, unit, *args)
        else:
            result = await super().run(unit, *args)
        self.doom.at(f"after {name}")
        if name == "sent" and getattr(args[0], "part", 0) >= 1:
            self.doom.at("between parts")
        if isinstance(result, Stored) and result.inbound is not None and self.doom.point == "acknowledged":
            asyncio.get_running_loop().call_later(self.acknowledged_s, self.doom.at, "acknowledged")
        return result

    def _inside(self, cursor: Cursor, name: str, unit: Callable[..., T], *args: object) -> T:
        result = unit(cursor, *args)
        self.doom.at(f"inside {name}")
        return result

    async def _run_without_states(self, unit: Callable[..., T], *args: object) -> T:
        """A planted bug: nothing is on disk before a request leaves, so a crash sends it again."""
        if unit.__name__ != "sent":
            return bot.delivery.May.GO  # type: ignore[return-value]  # what `begin` returns; nobody reads the other's
        part, now_ms = args[0], args[2]

        def begin_and_end(cursor: Cursor) -> T:
            cursor.execute(records.MARK_SENDING, {**part.key, "now": now_ms})  # type: ignore[attr-defined,dict-item]
            return unit(cursor, *args)

        return await super().run(begin_and_end)


def name_of(unit: Callable[..., object], args: tuple[object, ...]) -> str:
    """What a unit of work is called, also where it is handed over with a bookmark."""
    return unit.__name__ if unit is not bookmarked else args[3].__name__  # type: ignore[attr-defined]  # the unit within


class DoomedWeb(WebAdapter):
    """The real web channel, which may end the process once a page was told. A planted bug: a draft that no answer replaces."""

    doom = Doom(Plan(""))
    fault = ""

    async def draft(self, to: Address, message: MessageId, text: str) -> None:
        await super().draft(to, MessageId(f"{message}?") if self.fault == OTHER_DRAFT else message, text)

    async def send(self, to: Address, message: Message) -> Receipt:
        receipt = await super().send(to, message)
        self.doom.at("page told")
        return receipt


class FaultyDoor(Door):
    """A planted bug before intake: events are acknowledged before their commit, or not recognised again."""

    fault = ""
    late_s = 0.02  # how much later than its acknowledgement an event is stored

    async def receive(self, event: Event, bookmark: Bookmark | None = None) -> Accepted:
        if not isinstance(event, MessageReceived) or not self.fault:
            return await super().receive(event, bookmark)
        if self.fault == NO_DEDUPE:
            return await super().receive(replace(event, external_id=f"{event.external_id}:{uuid.uuid4().hex[:8]}"))
        if self.fault == EARLY_ACK:
            asyncio.get_running_loop().call_later(self.late_s, self._receive_later, event)
            return Accepted(MessageId("acknowledged too early"), Seq(1))
        return await super().receive(event)

    def _receive_later(self, event: Event) -> None:
        task = asyncio.get_running_loop().create_task(super().receive(event))
        _late.add(task)
        task.add_done_callback(_late.discard)


_late: set[asyncio.Task[Accepted]] = set()


class EchoModel:
    """Answers with what it was asked, in pieces, at a small pace."""

    name = "offline"

    def __init__(self, doom: Doom, pace_s: float, right: Right = answer_to) -> None:
        self._doom = doom
        self._pace_s = pace_s
        self._right = right

    async def stream(self, request: ChatRequest) -> AsyncIterator[Chunk]:
        asked: list[str] = []
        for entry in reversed(request.messages):
            if entry.author.value != "user":
                break
            asked.insert(0, entry.text)
        text = self._right(asked)
        size = len(text) // PIECES + 1
        await asyncio.sleep(self._pace_s)
        self._doom.at("model called")
        for at in range(0, len(text), size):
            if at > size:
                self._doom.at("half streamed")
            yield TextDelta(text[at : at + size])
            await asyncio.sleep(self._pace_s)
        yield Finished()


@dataclass(frozen=True, slots=True)
class DoomedView:
    """The knowledge as an agent sees it, which notes each search in a file that outlives the process, and may end there."""

    view: Knowledge
    note: Callable[[str], object]
    doom: Doom

    async def search(self, query: str, limit: int = 5, within: Sequence[Path] = ()) -> Sequence[Found]:
        self.note(query)
        self.doom.at("tool called")
        return await self.view.search(query, limit, within)

    async def passage(self, passage: PassageId) -> Passage | None:
        return await self.view.passage(passage)


class DoomedKnowledge(LateKnowledge):
    """The real knowledge, of which agents see a doomed view."""

    doom = Doom(Plan(""))
    note: Callable[[str], object]

    def seen_by(self, audiences: Collection[str], language: str, opens: Sequence[Path] = ()) -> Knowledge:
        return DoomedView(super().seen_by(audiences, language, opens), type(self).note, self.doom)


Stream = Callable[[Any, ChatRequest], AsyncGenerator[Chunk, None]]  # the first is the model, of either provider


def doomed(stream: Stream, doom: Doom) -> Stream:
    """A real model's `stream`, which may end the process on its way."""

    async def pass_on(model: Any, request: ChatRequest) -> AsyncGenerator[Chunk, None]:
        if request.messages[-1].results:
            doom.at("result told")
        pieces = 0
        async with aclosing(stream(model, request)) as chunks:
            async for chunk in chunks:
                match chunk:
                    case TextDelta():
                        pieces += 1
                        if pieces > 1:
                            doom.at("half streamed")
                    case ToolCall():
                        doom.at("call whole")
                yield chunk

    return pass_on


def doom_models(order: dict[str, str], doom: Doom) -> None:
    """Puts the points into the model's path of this process."""
    for module, name in MODELS.values():
        kind = getattr(importlib.import_module(module), name)
        kind.stream = doomed(kind.stream, doom)
    runs = os.open(order["runs"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    DoomedKnowledge.doom = doom
    DoomedKnowledge.note = lambda query: os.write(runs, f"{order['life']} {query}\n".encode())
    setattr(bot.assembly, "LateKnowledge", DoomedKnowledge)  # noqa: B010


def live(order: dict[str, str], report: int) -> None:
    """One life: until the plan, a signal, or a fault of its own ends it."""
    doom = Doom(Plan(order["point"], int(order["count"])))
    DoomedStore.doom = DoomedWeb.doom = doom
    DoomedStore.fault = DoomedWeb.fault = FaultyDoor.fault = order["fault"]
    setattr(bot.app, "SqliteStore", DoomedStore)  # noqa: B010 - mypy forbids the assignment
    setattr(bot.host, "Door", FaultyDoor)  # noqa: B010
    has_brain = "runs" in order
    if has_brain:
        doom_models(order, doom)
    environment = {"FRONTDESK_MODELS_BRAIN_API_KEY": f"{KEY}{order['life']}"} if has_brain else {}
    config = load(Path(order["config"]), environment, adapters=find_settings)

    def adapters(house: House) -> list[Adapter]:
        web = config.channels["web"]
        assert isinstance(web, Settings)
        ledger = LedgerChannel(house.door("ledger", ""), int(order["ledger"]), doom)
        return [DoomedWeb(web, house.door("web", "")), ledger]

    models = {} if has_brain else {"offline": EchoModel(doom, float(order["pace"]))}
    asyncio.run(serve(bot.app.App(config, models=models, adapters=adapters), report))


async def serve(app: bot.app.App, report: int) -> None:
    async def announce() -> None:
        await app.ready.wait()
        os.write(report, b"ready\n")

    def tell() -> None:
        for task in asyncio.all_tasks():
            task.print_stack(file=sys.stderr)

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, tell)
    loop.add_reader(sys.stdin.fileno(), os._exit, 71)  # readable while this lives: whoever gives the orders is gone
    async with asyncio.TaskGroup() as tasks:
        announcing = tasks.create_task(announce())
        await app.run()
        announcing.cancel()


def main() -> None:
    serve_orders(live, WARM if "--models" in sys.argv else ())


def serve_orders(life: Life, warm: Sequence[str]) -> None:
    """Forks a daemon for each line. No thread and no loop exists here, so that a fork copies all there is."""
    for module in warm:
        importlib.import_module(module)
    if warm:
        gc.freeze()  # what the daemons share is not copied for each by its collector
    assert threading.active_count() == 1
    report = os.dup(1)
    os.dup2(2, 1)
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if not child:
            os._exit(_live(life, order, report))
        os.write(report, f"pid {child}\n".encode())
        ended = os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)  # a zombie keeps its number from being used again
        assert ended is not None
        status = ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status
        os.write(report, f"exit {status}\n".encode())
        if sys.stdin.readline() != "bury\n":
            return
        os.waitpid(child, 0)


def _live(life: Life, order: dict[str, str], report: int) -> int:
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    try:
        life(order, report)
    except BaseException:  # noqa: BLE001 - the end of the process: what went wrong goes to the log
        traceback.print_exc()
        return 70
    return 0


if __name__ == "__main__":
    main()
