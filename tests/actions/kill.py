"""`python -m tests.actions.kill --cycles 5000`: the process is killed at every step of an action, and nothing happens twice or is forgotten.

The shop, its ledger, the people and the operators live here and survive. Each episode has a database of its own; after its last kill the
core runs undisturbed until everybody has been told what became of everything, and then the ledger, the database and the chats are compared.
"""

import argparse
import asyncio
import json
import random
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bot.store.folder import DATABASE
from bot.tools.consent import WAITS_OPERATOR
from tests.actions.kill_child import CONSENTS, EFFECTS, FAULTS
from tests.kill.cycles import Butcher, butcher
from tests.kill.points import Doom, Plan

PEOPLE = 6
LIFE_S = 0.2  # when the point is not reached
SETTLE_S = 20.0
PER_EPISODE = 100
AMOUNT = 5
UNITS = {
    "accept": "wish",
    "action propose": "proposal",
    "press": "press",
    "consent": "operator's decision",
    "intend": "step of the turn",
    "action begin": "begin",
    "action settle": "settle",
    "settle": "outcome of the turn's step",
    "finish": "turn's commit",
    "begin": "sending",
    "sent": "receipt",
    "unknown": "operator's finding",
    "take_up": "recovery",
}
IN_THE_CORE = {
    **{
        f"{when} {unit}": f"{when} the {label}"
        for unit, label in UNITS.items()
        for when in ("before", "inside", "after")
    },
    "request written": "call written, nothing read",
    "reply read": "reply read, outcome not kept",
    "looked up": "looked up, outcome not kept",
    "posted": "message posted, receipt not kept",
    "starting": "restart, before the database is open",
}
AT_THE_FAR_END = {
    "shop asked": "call at the shop, not booked",
    "shop booked": "booked, reply lost",
    "shop looks": "look-up at the shop",
    "card shown": "card shown, not acknowledged",
    "told": "outcome told, not acknowledged",
}
OUTSIDE = {"outside": "SIGKILL at any moment", "outside, starting": "SIGKILL during a restart"}
LABELS = IN_THE_CORE | AT_THE_FAR_END | OUTSIDE


@dataclass(frozen=True, slots=True)
class Booking:
    """One effect that has really happened."""

    key: str
    name: str
    order: str
    amount: int


@dataclass(slots=True)
class Report:
    """Of one or more episodes. `findings` are sentences, each with its kind before the colon."""

    cycles: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)
    actions: Counter[str] = field(default_factory=Counter)  # by effect, consent and final state
    bookings: int = 0
    calls: int = 0
    in_queue: int = 0

    def take(self, other: "Report") -> None:
        self.cycles += other.cycles
        self.findings += other.findings
        self.actions += other.actions
        self.bookings += other.bookings
        self.calls += other.calls
        self.in_queue += other.in_queue

    def count(self, kind: str) -> int:
        return sum(each.startswith(f"{kind}: ") for each in self.findings)


class FarDoom(Doom):
    """Ends the process from here."""

    def __init__(self, plan: Plan, end: Callable[[], None] = lambda: None) -> None:
        super().__init__(plan, self._over)
        self._kill = end
        self._is_over = False

    def _over(self) -> None:
        self._is_over = True
        self._kill()

    def is_passed(self, point: str) -> bool:
        """False when that was the end."""
        self.at(point)
        return not self._is_over


class Shop:
    """Pays for orders, and books each payment in a ledger. `trouble` is the share of calls that go wrong in one of its ways."""

    def __init__(self, chance: random.Random, trouble: float) -> None:
        self.ledger: list[Booking] = []
        self.calls: list[Booking] = []  # what arrived, booked or not
        self.trouble = trouble
        self._chance = chance

    def answer(self, said: dict[str, Any], doom: FarDoom) -> dict[str, Any] | None:  # JSON
        """None: the process was killed meanwhile."""
        if said["op"] == "look up":
            if not doom.is_passed("shop looks"):
                return None
            if self._is_in_trouble():
                return {"lost": True}
            return {"paid": 1} if any(each.key == said["key"] for each in self.ledger) else {"none": True}
        return self._call(
            Booking(said["key"], said["name"], said["arguments"]["order"], said["arguments"]["amount"]), doom
        )

    def _call(self, call: Booking, doom: FarDoom) -> dict[str, Any] | None:
        if self._is_in_trouble():
            fault = self._chance.choice(("unsent", "refused", "lost"))
            self.calls += [call] if fault == "lost" else []
            return {fault: "not now"}
        self.calls.append(call)
        if not doom.is_passed("shop asked"):
            return None
        is_known = call.name.startswith("keyed") and any(each.key == call.key for each in self.ledger)
        if not is_known:
            self.ledger.append(call)
        if not doom.is_passed("shop booked"):
            return None
        return {"lost": True} if self._is_in_trouble() else {"paid": 1}

    def _is_in_trouble(self) -> bool:
        return self._chance.random() < self.trouble


@dataclass(frozen=True, slots=True)
class Post:
    """One message as a person has it."""

    chat: str
    message: str
    text: str
    buttons: tuple[str, ...]


class Street:
    """Where the core, the shop and the people meet: one connection for each life of the core."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.posts: list[Post] = []
        self.doom = FarDoom(Plan(""))
        self.inboxes: dict[str, asyncio.Queue[Post]] = defaultdict(asyncio.Queue)
        self.ready = asyncio.Event()
        self._acks: dict[str, tuple[dict[str, Any], asyncio.Future[str]]] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._server: asyncio.Server | None = None
        self.is_quiet = asyncio.Event()  # nobody is connected, and everything that was written is read
        self.is_quiet.set()

    async def open(self) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    async def tell(self, event: dict[str, Any]) -> str:
        """Until it is acknowledged, by whichever life. Returns the code of a refusal, or ""."""
        done: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._acks[event["id"]] = event, done
        if self.ready.is_set():
            self._write({"event": event})
        return await done

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self.is_quiet.clear()
        try:
            with suppress(OSError):
                while (line := await reader.readline()).endswith(b"\n"):
                    self._take(json.loads(line))
        finally:
            self.ready.clear()
            writer.close()
            self.is_quiet.set()

    def _write(self, said: dict[str, Any]) -> None:
        assert self._writer is not None
        if not self._writer.is_closing():
            self._writer.write(json.dumps(said).encode() + b"\n")

    def _take(self, said: dict[str, Any]) -> None:
        match said["op"]:
            case "ready":
                self.ready.set()
                for event, _ in self._acks.values():
                    self._write({"event": event})
            case "ack":
                _, done = self._acks.pop(said["id"], ({}, None))
                if done is not None and not done.done():
                    done.set_result(said["refused"])
            case _:
                reply = self._reply(said)
                if reply is not None:
                    self._write({"number": said["number"], "reply": reply})

    def _reply(self, said: dict[str, Any]) -> object:
        match said["op"]:
            case "post":
                return self._post(Post(said["chat"], said["message"], said["text"], tuple(said["buttons"])))
            case "find":
                return said["message"] if any(each.message == said["message"] for each in self.posts) else ""
            case _:
                return self.shop.answer(said, self.doom)

    def _post(self, post: Post) -> str | None:
        self.posts.append(post)
        self.inboxes[post.chat].put_nowait(post)
        return post.message if self.doom.is_passed("card shown" if post.buttons else "told") else None


@dataclass(slots=True)
class Wish:
    """One thing that a person wants. `pressed`: the yes has left; `findings`: how often somebody found out what became of it."""

    name: str
    order: str
    is_yes: bool
    is_operator_yes: bool
    is_resolved: bool
    is_pressed: bool = False
    is_agreed: bool = False  # by operators, as far as they were asked
    told: list[str] = field(default_factory=list)


class Person:
    """Wants one thing after the other, presses, and waits to be told; now and then, and at the end, wants again what was done."""

    def __init__(self, name: str, street: Street, chance: random.Random) -> None:
        self.name, self._street, self._chance = name, street, chance
        self.wishes: list[Wish] = []
        self.is_talking = True
        self.is_idle = False
        self._number = 0

    async def live(self) -> None:
        while self.is_talking:
            done = self._done()
            if done and self._chance.random() < 0.15:
                await self._want(self._chance.choice(done))
            else:
                await self._want(self._new())
        for wish in self._done()[-1:]:
            await self._want(wish)
        self.is_idle = True

    def _done(self) -> list[Wish]:
        return [each for each in self.wishes if each.told[-1:] == ["done"]]

    def _new(self) -> Wish:
        chance = self._chance
        name = f"{chance.choice(EFFECTS)}_{chance.choice(CONSENTS)}"
        self._number += 1
        order = f"{self.name.removeprefix('p')}{self._number:04}"
        wish = Wish(name, order, chance.random() < 0.9, chance.random() < 0.9, chance.random() < 0.5)
        self.wishes.append(wish)
        return wish

    async def _want(self, wish: Wish) -> None:
        await self._tell("say", text=f"Please {wish.name} for order {wish.order}, amount {AMOUNT}")
        while True:
            post = await self._street.inboxes[self.name].get()
            if post.buttons:
                wish.is_pressed = wish.is_pressed or wish.is_yes
                await self._tell("press", message=post.message, button=post.buttons[0 if wish.is_yes else 1])
            elif post.text == WAITS_OPERATOR:
                wish.is_agreed = wish.is_agreed or wish.is_operator_yes
                await self._tell("consent", order=wish.order, yes=wish.is_operator_yes)
            else:
                wish.told.append(post.text.rpartition(": ")[2])
                if wish.told[-1] != "unclear" or not wish.is_resolved:
                    return
                booked = any(each.order == wish.order for each in self._street.shop.ledger)
                await self._tell("resolve", order=wish.order, outcome="happened" if booked else "did-not")

    async def _tell(self, kind: str, **said: Any) -> None:
        self._number += 1
        await self._street.tell({"kind": kind, "id": f"{self.name}-{self._number}", "chat": self.name, **said})


class Episode:
    """One database, from its first start to the judgement."""

    def __init__(self, folder: Path, one: Butcher, seed: int, *, fault: str = "", points: tuple[str, ...] = ()) -> None:
        self._folder, self._one, self._fault = folder, one, fault
        self._chance = random.Random(seed)
        self._points = points or tuple(LABELS)
        self._left: list[str] = []
        self._shop = Shop(random.Random(seed + 1), 0.08)
        self._street = Street(self._shop)
        self._people = [Person(f"p{n}", self._street, random.Random(seed * 100 + n)) for n in range(1, PEOPLE + 1)]
        self._port = 0
        self.report = Report()

    async def run(self, cycles: int) -> Report:
        self._folder.mkdir(parents=True)
        self._port = await self._street.open()
        try:
            async with asyncio.TaskGroup() as tasks:
                living = [tasks.create_task(person.live()) for person in self._people]
                for _ in range(cycles):
                    self.report.cycles[await self._cycle(self._plan())] += 1
                await self._settle()
                for task in living:
                    task.cancel()
        finally:
            await self._street.close()
        self._judge()
        return self.report

    def _plan(self) -> Plan:
        if not self._left:
            self._left = list(self._points)
            self._chance.shuffle(self._left)
        return Plan(self._left.pop(), self._chance.choice((1, 1, 1, 2)))

    # --- one cycle -------------------------------------------------------------------------------------------------

    async def _start(self, plan: Plan) -> None:
        self._street.doom = FarDoom(plan, lambda: self._one.kill(signal.SIGKILL))
        order = {"point": plan.point, "count": str(plan.count), "port": str(self._port), "fault": self._fault}
        paths = {"data": str(self._folder / "data"), "log": str(self._folder / "core.log")}
        await self._one.start({**order, **paths})

    async def _cycle(self, plan: Plan) -> str:
        """Returns the point that ended it."""
        await self._start(plan)
        match plan.point:
            case "outside, starting":
                await asyncio.sleep(self._chance.uniform(0.0, 0.04))
                return await self._kill(plan.point)
            case "outside":
                await self._street.ready.wait()
                await asyncio.sleep(self._chance.uniform(0.0, 0.1))
                return await self._kill(plan.point)
        try:
            async with asyncio.timeout(LIFE_S):
                status = await self._one.wait()
        except TimeoutError:
            return await self._kill("outside")
        return await self._ended(status, plan.point)

    async def _kill(self, point: str) -> str:
        self._street.doom = FarDoom(Plan(""))
        self._one.kill(signal.SIGKILL)
        return await self._ended(await self._one.wait(), point)

    async def _ended(self, status: int, point: str) -> str:
        """What the dead process had written is read before the next one starts."""
        if status != -signal.SIGKILL:
            self.report.findings.append(f"other: the core ended by itself with {status}; see {self._folder}/core.log")
        await self._street.is_quiet.wait()
        return point

    async def _settle(self) -> None:
        """An undisturbed run, until everybody is idle or patience ends."""
        self._shop.trouble = 0.0
        for person in self._people:
            person.is_talking = False
        await self._start(Plan(""))
        try:
            async with asyncio.timeout(SETTLE_S if not self._fault else 2.0):
                while not all(person.is_idle for person in self._people):  # noqa: ASYNC110 - in two processes
                    await asyncio.sleep(0.01)
        except TimeoutError:
            waiting = [person.wishes[-1] for person in self._people if not person.is_idle]
            self.report.findings.append(f"lost: nobody was told in time of {waiting}")
        await asyncio.sleep(0.05)  # the last receipts, and whatever should not come any more
        await self._kill("")

    # --- the judgement -----------------------------------------------------------------------------------------------

    def _judge(self) -> None:
        shop, report = self._shop, self.report
        with closing(sqlite3.connect(f"file:{self._folder / 'data' / DATABASE}?mode=ro", uri=True)) as connection:
            rows = [Row(*each) for each in connection.execute(_ACTIONS)]
        report.bookings, report.calls = len(shop.ledger), len(shop.calls)
        report.in_queue = sum(row.is_in_queue for row in rows)
        report.actions.update(f"{row.name}: {row.state}" for row in rows)
        wishes = {wish.order: wish for person in self._people for wish in person.wishes}
        report.findings += [
            *_of_bookings(shop, rows, wishes),
            *(finding for row in rows for finding in _of_row(row, shop)),
            *_of_posts(self._street.posts, rows, wishes),
        ]


@dataclass(frozen=True, slots=True)
class Row:
    """One action as the database has it."""

    id: str
    name: str
    key: str
    order: str
    state: str
    agreed: int  # consents that were given
    asked: int  # consents
    is_in_queue: int


_ACTIONS = """
    SELECT id, name, key, json_extract(arguments, '$.order'), state,
        (SELECT count(*) FROM consents WHERE action_id = a.id AND state = 'given'),
        (SELECT count(*) FROM consents WHERE action_id = a.id),
        (SELECT count(*) FROM queue WHERE kind = 'unknown' AND subject = a.id)
    FROM actions a WHERE effect <> 'read' ORDER BY created_ms, id"""


def _of_bookings(shop: Shop, rows: list[Row], wishes: dict[str, Wish]) -> Iterator[str]:
    keys = {row.key: row for row in rows}
    for order, count in Counter(each.order for each in shop.ledger).items():
        if count > 1:
            yield f"doubled: order {order} was paid {count} times, by {wishes[order].name}"
        wish = wishes[order]
        consent = wish.name.rpartition("_")[2]
        if consent in ("user", "both") and not wish.is_pressed:
            yield f"not agreed: order {order} was paid by {wish.name}, and the person never said yes"
        if consent in ("operator", "both") and not wish.is_agreed:
            yield f"not agreed: order {order} was paid by {wish.name}, and no operator said yes"
    for call in shop.calls:
        if call.amount != AMOUNT:
            yield f"not agreed: {call.amount} for order {call.order}, and {AMOUNT} was agreed to"
        if call.key not in keys or keys[call.key].order != call.order:
            yield f"key: order {call.order} was called with {call.key}, which is in no entry of it"
    for (key, name, order), count in Counter((each.key, each.name, each.order) for each in shop.calls).items():
        if count > 1 and name.startswith("naked"):
            yield f"again: {name} for order {order} was called {count} times with {key}"


def _of_row(row: Row, shop: Shop) -> Iterator[str]:
    booked = sum(each.order == row.order and each.key == row.key for each in shop.ledger)
    what = f"{row.name} for order {row.order} ({row.id})"
    match row.state:
        case "succeeded" if not booked:
            yield f"lost: {what} is said to have happened, and has not"
        case "refused" | "void" if booked:
            yield f"lost: {what} is said not to have happened, and has"
        case "proposed" | "approved" | "intended":
            yield f"lost: {what} is left as {row.state}"
        case "unknown" if not row.is_in_queue:
            yield f"lost: nobody knows of {what}, and no operator is shown it"
        case "void" if row.asked and row.agreed == row.asked:
            yield f"lost: {what} was agreed to, and is void"


def _of_posts(posts: list[Post], rows: list[Row], wishes: dict[str, Wish]) -> Iterator[str]:
    """Each outcome is told once, and a message is posted once."""
    for (chat, message), count in Counter((post.chat, post.message) for post in posts).items():
        if count > 1:
            yield f"told: {message} stands {count} times in the chat of {chat}"
    told: Counter[tuple[str, str]] = Counter()
    for post in posts:
        if not post.buttons and post.text.startswith("order "):
            order, _, word = post.text.removeprefix("order ").partition(": ")
            told[order, word] += 1
    ended = Counter(row.order for row in rows if row.state in ("succeeded", "refused", "void"))
    unclear = Counter(row.order for row in rows if row.is_in_queue)
    for order in wishes:
        if (count := told[order, "done"] + told[order, "no"]) != ended[order]:
            yield f"told: the outcome of order {order} was told {count} times, and there are {ended[order]}"
        if told[order, "unclear"] != unclear[order]:
            yield f"told: that order {order} is unclear was told {told[order, 'unclear']} times, not {unclear[order]}"


# --- the run -----------------------------------------------------------------------------------------------------------


async def run(
    folder: Path,
    cycles: int,
    seed: int,
    *,
    fault: str = "",
    points: tuple[str, ...] = (),
    per_episode: int = PER_EPISODE,
) -> AsyncGenerator[Report, None]:
    """Episodes until `cycles` are done; the folders of clean ones are removed."""
    async with butcher(module="tests.actions.kill_child") as one:
        for number in range(-(-cycles // per_episode)):
            place = folder / f"episode-{seed + number}"
            episode = Episode(place, one, seed + number, fault=fault, points=points)
            report = await episode.run(min(per_episode, cycles - number * per_episode))
            yield report
            if not report.findings:
                await asyncio.to_thread(shutil.rmtree, place)


async def collect(folder: Path, cycles: int, seed: int, fault: str = "", *, is_telling: bool = False) -> Report:
    total = Report()
    async with aclosing(run(folder, cycles, seed, fault=fault)) as reports:
        async for report in reports:
            total.take(report)
            if is_telling:
                for line in report.findings:
                    say(f"  {line}")
                if total.cycles.total() % 500 == 0:
                    say(f"  {total.cycles.total()} cycles")
    return total


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.actions.kill", description=__doc__)
    parser.add_argument("--cycles", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--fault", choices=FAULTS, default="", help="plant a bug, to see it caught")
    parser.add_argument("--folder", type=Path, help="where the data goes; kept for episodes that went wrong")
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="frontdesk-actions-"))
    say(f"{given.cycles} cycles, seed {given.seed}, in {folder}")
    started = time.monotonic()
    report = asyncio.run(collect(folder, given.cycles, given.seed, given.fault, is_telling=True))
    say(table(report))
    say(f"{time.monotonic() - started:.0f} s")
    return 1 if report.findings else 0


def table(report: Report) -> str:
    kinds = ("doubled", "lost", "not agreed", "key", "again", "told", "other")
    rows = [
        *((LABELS.get(point, point), count) for point, count in sorted(report.cycles.items())),
        ("kills", report.cycles.total()),
        *sorted(report.actions.items()),
        ("calls at the shop", report.calls),
        ("payments booked", report.bookings),
        ("put before operators", report.in_queue),
        *((f"found: {kind}", report.count(kind)) for kind in kinds),
    ]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {count:>7}" for name, count in rows)


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
