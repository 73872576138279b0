"""Runs the daemon again and again, ends it each time by a plan, and judges after every episode.

An episode has a data folder, visitors and users of its own; after its last kill the daemon runs undisturbed until everybody is
settled, and is stopped cleanly.
"""

import asyncio
import json
import os
import random
import shutil
import signal
import socket
import sys
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from bot.store.folder import DATABASE
from tests.kill.brain import DOCUMENTS, MODEL, PRICES, PROVIDERS, Brain, right
from tests.kill.journal import Standing, judge_journal, judge_spend, read_books, read_runs, read_standing
from tests.kill.judge import Verdict, answer_to, judge, read_posts
from tests.kill.ledger import Ledger
from tests.kill.people import House, LedgerUser, Person, Visitor
from tests.kill.points import MODEL_LABELS, Doom, Plan, Plans

ROOT = Path(__file__).parents[2]
VISITORS, USERS = 4, 3
LIFE_S = 0.45  # after ready, when the point is not reached
SAY_S = 20.0  # longest wait for a word of the daemon's
SETTLE_S = 20.0
PACE_S = 0.002
CONFIG = """
[data]
path = "data"

[server]
port = {port}

[admin]
port = 0

[knowledge]
paths = {documents}
mode = "search"

[channels.web]
quiet_ms = 12

[limits]
tries = 100      # here a message is killed often and is innocent; poison has its own tests
drain_s = 5
retry_s = [0.05]
messages_per_minute = 100000
frames_per_minute = 100000
"""
MODEL_CONFIG = """
[models.{model}]
provider = "{provider}"
model = "brain-1"
base_url = "{base_url}"
prices = {{ {prices} }}

[roles]
answer = ["{model}", "offline"]
"""


@dataclass(slots=True)
class Report:
    """Of one or more episodes."""

    verdict: Verdict = field(default_factory=Verdict)
    cycles: Counter[str] = field(default_factory=Counter)  # by the point that ended them
    parts: int = 0  # posts that the ledger accepted
    asked: int = 0  # requests at the model's server
    vain: int = 0  # ... of which a kill made another necessary
    continued: int = 0  # ... which took up steps of an earlier life
    searches: int = 0  # that a tool began

    def take(self, other: "Report") -> None:
        self.verdict.take(other.verdict)
        self.cycles += other.cycles
        self.parts += other.parts
        self.asked += other.asked
        self.vain += other.vain
        self.continued += other.continued
        self.searches += other.searches


class Butcher:
    """The warmed process, and the one daemon that it has forked. `say_s`: the longest wait for a word of its."""

    def __init__(self, process: asyncio.subprocess.Process, say_s: float = SAY_S) -> None:
        self._process = process
        self._say_s = say_s
        self.pid = 0

    async def start(self, order: dict[str, str]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self.pid = int((await self.line()).removeprefix("pid "))

    async def line(self) -> str:
        assert self._process.stdout is not None
        async with asyncio.timeout(self._say_s):
            line = (await self._process.stdout.readline()).decode().strip()
        if not line:
            raise RuntimeError("the warmed process ended")
        return line

    async def wait(self) -> int:
        """The exit status of the daemon: negative for a signal. One that does not end is killed, having logged where it stood."""
        try:
            line = await self.line()
            if line == "ready":  # said just before the end
                line = await self.line()
        except TimeoutError:
            self.kill(signal.SIGUSR1)
            await asyncio.sleep(self._say_s / 20)
            self.kill(signal.SIGKILL)
            line = await self.line()
        return self.buried(line)

    def buried(self, line: str) -> int:
        """The exit status that `line` tells. Until now the number of the process stood for nobody else."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"bury\n")
        return int(line.removeprefix("exit "))

    def kill(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)


@asynccontextmanager
async def butcher(*arguments: str, module: str = "tests.kill.daemon", say_s: float = SAY_S) -> AsyncIterator[Butcher]:
    """Warm until the end of the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        *arguments,
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    one = Butcher(process, say_s)
    try:
        yield one
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            async with asyncio.timeout(say_s / 10):
                await process.wait()
        except TimeoutError:  # a daemon still runs: the block ended in the middle of a cycle
            one.kill(signal.SIGKILL)
            await process.wait()


class Episode:
    """One data folder, from its first start to the judgement. With a brain, a real model answers through its SDK."""

    def __init__(
        self,
        folder: Path,
        butcher: Butcher,
        seed: int,
        *,
        fault: str = "",
        points: tuple[str, ...] = (),
        brain: Brain | None = None,
    ) -> None:
        self._folder = folder
        self._brain = brain
        self._lives: dict[int, Standing] = {}
        self._butcher = butcher
        self._fault = fault
        self._chance = random.Random(seed)
        self._plans = Plans(self._chance, points)
        self._ledger = Ledger(random.Random(seed + 1), trouble=0.0 if fault else 0.06)
        self._report = Report()

    async def run(self, cycles: int) -> Report:
        port = free_port()
        await self._ledger.open()
        if self._brain is not None:
            await self._brain.open()
        self._furnish(port)
        try:
            async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30.0)) as session:
                house = House(port, session, self._chance)
                people = self._people(house)
                async with asyncio.TaskGroup() as tasks:
                    living = [tasks.create_task(person.live()) for person in people]
                    await self._live(house, people, cycles)
                    for task in living:
                        task.cancel()
        finally:
            await self._ledger.close()
            if self._brain is not None:
                await self._brain.close()
        self._judge(people)
        return self._report

    def _furnish(self, port: int) -> None:
        """The config, and the documents that it names."""
        self._folder.mkdir(parents=True)
        documents, config = "[]", ""
        if self._brain is not None:
            documents = '["documents"]'
            prices = ", ".join(f"{name} = {price}" for name, price in PRICES.items())
            config = MODEL_CONFIG.format(
                model=MODEL, provider=self._brain.provider, base_url=self._brain.base_url, prices=prices
            )
            (self._folder / "documents").mkdir()
            for name, text in DOCUMENTS.items():
                (self._folder / "documents" / name).write_text(text)
        (self._folder / "config.toml").write_text(CONFIG.format(port=port, documents=documents) + config)

    def _people(self, house: House) -> list[Person]:
        visitors = [Visitor(f"v{n}", house, is_counting_own=n % 2 == 1) for n in range(VISITORS)]
        return [*visitors, *(LedgerUser(f"u{VISITORS + n}", house) for n in range(USERS))]

    async def _live(self, house: House, people: list[Person], cycles: int) -> None:
        house.talking.set()
        for _ in range(cycles):
            plan = self._plans.next()
            self._report.cycles[await self._cycle(house, plan)] += 1
        house.talking.clear()
        await self._settle(house, people)

    # --- one cycle -------------------------------------------------------------------------------------------------

    async def _cycle(self, house: House, plan: Plan) -> str:
        """Starts, lets live, and ends the daemon. Returns the point that ended it."""
        point = await self._life(house, plan)
        self._note_end(is_clean=point == "stop")
        return point

    def _note_end(self, *, is_clean: bool) -> None:
        """What stands on disk between two lives."""
        if self._brain is not None:
            self._brain.doom = Doom(Plan(""))
            self._lives[len(self._lives) + 1] = read_standing(self._database, is_clean=is_clean)

    async def _life(self, house: House, plan: Plan) -> str:
        if self._brain is not None:
            self._brain.doom = Doom(plan, lambda: self._butcher.kill(signal.SIGKILL))
        await self._butcher.start(self._order(plan))
        if plan.point == "outside, starting":
            await asyncio.sleep(self._chance.uniform(0.0, 0.06))
            return await self._kill("outside, starting")
        line = await self._butcher.line()
        if line != "ready":
            return self._ended(self._butcher.buried(line), plan)
        house.up.set()
        try:
            return await self._end(plan)
        finally:
            house.up.clear()

    async def _end(self, plan: Plan) -> str:
        if plan.is_stop:
            await asyncio.sleep(self._chance.uniform(0.05, 0.2))
            self._butcher.kill(signal.SIGTERM)
            if plan.point == "outside, stopping":
                await asyncio.sleep(self._chance.uniform(0.0, 0.04))
                return await self._kill("outside, stopping")
            return self._ended(await self._butcher.wait(), plan)
        life_s = self._chance.uniform(0.02, 0.3) if plan.point == "outside" else LIFE_S
        try:
            async with asyncio.timeout(life_s):
                return self._ended(await self._butcher.wait(), plan)
        except TimeoutError:
            return await self._kill("outside")

    async def _kill(self, point: str) -> str:
        if self._brain is not None:
            self._brain.doom = Doom(Plan(""))
        self._butcher.kill(signal.SIGKILL)
        status = await self._butcher.wait()
        return self._ended(status, Plan(point))

    def _ended(self, status: int, plan: Plan) -> str:
        """Any end but the planned one is a fault of the daemon's."""
        is_clean_stop = status == 0 and plan.is_stop
        if not is_clean_stop and (status != -signal.SIGKILL or plan.point == "stop"):
            self._report.verdict.other.add(f"the daemon ended by itself with {status}; see {self._folder}/daemon.log")
        return "stop" if is_clean_stop else plan.point

    @property
    def _database(self) -> Path:
        return self._folder / "data" / DATABASE

    @property
    def _runs(self) -> Path:
        return self._folder / "runs.log"

    def _order(self, plan: Plan) -> dict[str, str]:
        models = {} if self._brain is None else {"runs": str(self._runs), "life": str(len(self._lives) + 1)}
        return models | {
            "config": str(self._folder / "config.toml"),
            "log": str(self._folder / "daemon.log"),
            "ledger": str(self._ledger.port),
            "point": plan.point,
            "count": str(plan.count),
            "pace": str(PACE_S),
            "fault": self._fault,
        }

    # --- the end ---------------------------------------------------------------------------------------------------

    async def _settle(self, house: House, people: list[Person]) -> None:
        """An undisturbed run, until nothing is open or patience ends, and a clean stop."""
        self._ledger.trouble = 0.0
        await self._butcher.start(self._order(Plan("stop")))
        await self._butcher.line()
        house.up.set()
        try:
            async with asyncio.timeout(SETTLE_S if not self._fault else 4.0):
                while not self._is_settled(people):  # noqa: ASYNC110 - the condition lies in two processes
                    await asyncio.sleep(0.01)
        except TimeoutError:
            open_ = [person.name for person in people if not person.is_settled()]
            self._report.verdict.other.add(f"not everything was answered in time; open: {open_}")
        await asyncio.sleep(0.1)  # the last receipts
        self._butcher.kill(signal.SIGTERM)
        self._ended(await self._butcher.wait(), Plan("stop"))
        self._note_end(is_clean=True)
        house.up.clear()

    def _is_settled(self, people: list[Person]) -> bool:
        self._read_posts(people)
        return all(
            person.is_settled() and person.diary.promised() <= person.diary.answered() for person in people
        ) and all(self._is_whole(person) for person in people)

    def _read_posts(self, people: list[Person]) -> None:
        for person in people:
            if isinstance(person, LedgerUser):
                person.diary.complaints.clear()
                read_posts(person.diary, [post for post in self._ledger.posts if post.chat == person.name])

    def _is_whole(self, person: Person) -> bool:
        """Every part of the last answer is there."""
        return not person.diary.seen or person.diary.seen[-1].text.endswith("whatever happens.")

    def _judge(self, people: list[Person]) -> None:
        self._read_posts(people)
        self._report.parts = len(self._ledger.posts)
        rightly = answer_to if self._brain is None else right
        self._report.verdict.take(judge([person.diary for person in people], self._database, rightly))
        if self._brain is not None:
            self._judge_model(self._brain)

    def _judge_model(self, brain: Brain) -> None:
        report, verdict = self._report, self._report.verdict
        runs = read_runs(self._runs)
        judge_journal(brain.asked, runs, self._lives, verdict)
        verdict.other.update(brain.complaints)
        report.vain = judge_spend(brain.asked, read_books(self._database), self._lives, verdict)
        report.asked, report.continued, report.searches = len(brain.asked), brain.continued, len(runs)


async def run(
    folder: Path,
    cycles: int,
    seed: int,
    *,
    per_episode: int = 50,
    fault: str = "",
    points: tuple[str, ...] = (),
    has_model: bool = False,
) -> AsyncGenerator[Report, None]:
    """Episodes until `cycles` are done; the folders of clean ones are removed. With a model, every other episode has the other
    provider's."""
    async with butcher(*(["--models"] if has_model else [])) as one:
        for number in range(-(-cycles // per_episode)):
            place = folder / f"episode-{seed + number}"
            brain = Brain(PROVIDERS[number % len(PROVIDERS)]) if has_model else None
            at = points or (tuple(MODEL_LABELS) if has_model else ())
            episode = Episode(place, one, seed + number, fault=fault, points=at, brain=brain)
            report = await episode.run(min(per_episode, cycles - number * per_episode))
            yield report
            if report.verdict.is_clean:
                await asyncio.to_thread(shutil.rmtree, place)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
