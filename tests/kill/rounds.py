"""All four channels at once: the daemon is run again and again, ended each time by a plan, and judged by what the platforms hold.

An episode begins with a word from everybody and its answer, so that nobody is a stranger; after its last kill the daemon runs undisturbed
until everything is settled. What anybody has said is to be answered exactly once, whether the platform heard that it was taken or not:
each of them lets us look for what was missed.
"""

import asyncio
import json
import random
import shutil
import signal
import sqlite3
from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp

from bot.store.folder import DATABASE
from tests.kill.chats import right
from tests.kill.cycles import Butcher, butcher, free_port
from tests.kill.doubts import Doubts, held_in, read_doubts
from tests.kill.hurry import HurriedClock, real
from tests.kill.judge import Diary, Verdict, judge_answers, words_in
from tests.kill.people import House, Visitor
from tests.kill.platforms import TROUBLE, Discord, Platform, Slack, WhatsApp, Writer, violations_of
from tests.kill.points import AT_THE_PLATFORMS, CHANNEL_LABELS, Doom, Plan, Plans

VISITORS = 2
PEOPLE = {"s": 4, "d": 3, "w": 3}
# On the wall:
LIFE_S = 0.9  # after ready, when the point is not reached
SAY_S = 20.0
FIRST_S, SETTLE_S, CAUGHT_S = 20.0, 60.0, 6.0
LOOK_S = 0.05
NOTHING = Doom(Plan(""))
CONFIG = """
[data]
path = "data"

[server]
port = {port}

[admin]
port = 0

[knowledge]
paths = []

[limits]
tries = 100      # here a message is killed often and is innocent; poison has its own tests
drain_s = 60
retry_s = [1]
messages_per_minute = 100000
frames_per_minute = 100000

[channels.web]
"""
OPEN = """
    SELECT (SELECT count(*) FROM outbox WHERE state IN ('planned', 'sending', 'unknown'))
         + (SELECT count(*) FROM messages WHERE handled_ms IS NULL AND author = 'user')"""
SAID = "SELECT text, seq FROM messages WHERE author = 'user' ORDER BY conversation_id, seq"
LEFT_OVER = {
    "the database is damaged": "SELECT 1 FROM pragma_integrity_check WHERE integrity_check != 'ok'",
    "a message is unhandled": "SELECT text FROM messages WHERE handled_ms IS NULL",
    "a message is a dead letter": "SELECT text, error FROM messages WHERE dead_ms IS NOT NULL",
    "an outbox row is not sent": "SELECT channel, part, state, role, is_held, error FROM outbox WHERE state != 'sent'",
    "an answer has no outbox row": """SELECT m.text FROM messages m JOIN conversations c ON c.id = m.conversation_id
        WHERE m.author != 'user' AND c.channel != 'web' AND m.id NOT IN (SELECT message_id FROM outbox)""",
    "a file was not fetched": """SELECT text, attachments FROM messages
        WHERE attachments LIKE '%"source"%' AND attachments NOT LIKE '%"blob": "_%' AND attachments NOT LIKE '%"blob":"_%'""",
    "a seq is missing": """SELECT c.id FROM conversations c JOIN messages m ON m.conversation_id = c.id
        GROUP BY c.id HAVING count(*) != max(m.seq) OR min(m.seq) != 1""",
    "an incident": "SELECT kind, detail FROM incidents",
    "a turn ended otherwise than with an answer": "SELECT id, outcome FROM turns WHERE outcome != 'answered'",
}


@dataclass(slots=True)
class Report:
    """Of one or more episodes. `overtaken`: messages that Frontdesk was told of after a later one of the same person; `posts`: messages
    of ours that the platforms hold."""

    verdict: Verdict = field(default_factory=Verdict)
    cycles: Counter[str] = field(default_factory=Counter)
    doubts: Doubts = field(default_factory=Doubts)
    said: Counter[str] = field(default_factory=Counter)  # by channel
    posts: Counter[str] = field(default_factory=Counter)  # by channel
    overtaken: int = 0

    def take(self, other: "Report") -> None:
        self.verdict.take(other.verdict)
        self.cycles += other.cycles
        self.doubts.take(other.doubts)
        self.said += other.said
        self.posts += other.posts
        self.overtaken += other.overtaken


class Episode:
    """One data folder and one of each platform, from the first start to the judgement."""

    def __init__(
        self,
        folder: Path,
        butcher: Butcher,
        seed: int,
        *,
        mode: str,
        fault: str = "",
        points: Sequence[str] = (),
    ) -> None:
        self._folder = folder
        self._butcher = butcher
        self._fault = fault
        self._clock = HurriedClock.begin()
        self._chance = random.Random(seed)
        self._plans = Plans(self._chance, tuple(points or CHANNEL_LABELS))
        self._platforms: Sequence[Platform] = (
            Slack(self._clock, names("s"), mode=mode),
            Discord(self._clock, names("d")),
            WhatsApp(self._clock, names("w")),
        )
        self._report = Report()

    async def run(self, cycles: int) -> Report:
        port = free_port()
        for platform in self._platforms:
            await platform.start()
            platform.attach(port)
        self._furnish(port)
        try:
            async with aiohttp.ClientSession() as session:
                house = House(port, session, self._chance)
                house.pause_s, house.again_s = (1.0, 8.0), 1.0
                await self._live(house, cycles)
        finally:
            for platform in self._platforms:
                await platform.stop()
        self._judge()
        return self._report

    def _furnish(self, port: int) -> None:
        self._folder.mkdir(parents=True)
        lines = [CONFIG.format(port=port)]
        for platform in self._platforms:
            lines += [f"[channels.{platform.name}]", *(_toml(platform.config())), ""]
        path = self._folder / "config.toml"
        path.write_text("\n".join(lines))
        path.chmod(0o600)

    async def _live(self, house: House, cycles: int) -> None:
        visitors = [Visitor(f"v{number}", house) for number in range(VISITORS)]
        self._writers = [
            Writer(name, platform, house) for platform in self._platforms for name in names(platform.name[0])
        ]
        self._people: list[Visitor | Writer] = [*visitors, *self._writers]
        async with asyncio.TaskGroup() as tasks:
            living = [tasks.create_task(person.live()) for person in self._people]
            await self._meet(house)
            house.talking.set()
            for _ in range(cycles):
                plan = self._plans.next()
                self._report.cycles[await self._cycle(house, plan)] += 1
            house.talking.clear()
            await self._settle(house)
            for task in living:
                task.cancel()

    # --- the beginning and the end ---------------------------------------------------------------------------------

    async def _meet(self, house: House) -> None:
        """Everybody says a first word and is answered."""
        await self._start(house, Plan("outside"))
        for platform in self._platforms:
            async with asyncio.timeout(real(FIRST_S)):
                await platform.wait_ready()
        for writer in self._writers:
            writer.say()
        if not await self._until(lambda: all(each.is_settled() for each in self._writers), FIRST_S):
            raise RuntimeError(f"the first words were not answered; see {self._folder}/daemon.log")
        await self._kill(house, "outside")

    async def _settle(self, house: House) -> None:
        """An undisturbed run, until nothing is open or patience ends, and a clean stop."""
        for platform in self._platforms:
            await platform.calm()
        await self._start(house, Plan("stop"))
        if not await self._until(self._is_settled, CAUGHT_S if self._fault else SETTLE_S):
            open_ = [each.name for each in self._people if not each.is_settled()]
            self._report.verdict.other.add(f"not everything was settled in time; open: {open_}")
        await asyncio.sleep(real(0.2))  # the last receipts
        self._butcher.kill(signal.SIGTERM)
        self._over(house, await self._butcher.wait(), Plan("stop"))

    def _is_settled(self) -> bool:
        return all(each.is_settled() for each in self._people) and self._rows(OPEN)[0][0] == 0

    async def _until(self, is_so: Any, seconds: float) -> bool:
        """Whether it becomes so in time. Any: a predicate."""
        with suppress(TimeoutError):
            async with asyncio.timeout(real(seconds)):
                while not is_so():  # noqa: ASYNC110 - the condition lies in several processes
                    await asyncio.sleep(real(LOOK_S))
                return True
        return False

    # --- one cycle -------------------------------------------------------------------------------------------------

    async def _cycle(self, house: House, plan: Plan) -> str:
        """Starts, lets live, and ends the daemon. Returns the point that ended it."""
        for platform in self._platforms:
            if not self._fault and self._chance.random() < TROUBLE:
                platform.trouble(self._chance)
        if plan.point == "outside, starting":
            await self._butcher.start(self._order(plan))
            await asyncio.sleep(real(self._chance.uniform(0.0, 0.15)))
            return await self._kill(house, plan.point)
        if not await self._start(house, plan):
            return plan.point
        return await self._end(house, plan)

    async def _start(self, house: House, plan: Plan) -> bool:
        """False when it has ended before it was ready."""
        await self._butcher.start(self._order(plan))
        if plan.point in AT_THE_PLATFORMS:
            self._arm(Doom(plan, lambda: self._butcher.kill(signal.SIGKILL)))
        line = await self._butcher.line()
        if line != "ready":
            self._over(house, self._butcher.buried(line), plan)
            return False
        house.up.set()
        return True

    async def _end(self, house: House, plan: Plan) -> str:
        if plan.is_stop:
            await asyncio.sleep(real(self._chance.uniform(0.1, 0.5)))
            self._butcher.kill(signal.SIGTERM)
            if plan.point == "outside, stopping":
                await asyncio.sleep(real(self._chance.uniform(0.0, 0.08)))
                return await self._kill(house, plan.point)
            return self._over(house, await self._butcher.wait(), plan)
        life_s = self._chance.uniform(0.05, LIFE_S) if plan.point == "outside" else LIFE_S
        try:
            async with asyncio.timeout(real(life_s)):
                return self._over(house, await self._butcher.wait(), plan)
        except TimeoutError:
            return await self._kill(house, "outside")

    async def _kill(self, house: House, point: str) -> str:
        self._arm(NOTHING)
        self._butcher.kill(signal.SIGKILL)
        return self._over(house, await self._butcher.wait(), Plan(point))

    def _over(self, house: House, status: int, plan: Plan) -> str:
        house.up.clear()
        self._arm(NOTHING)
        return self._ended(status, plan)

    def _arm(self, doom: Doom) -> None:
        for platform in self._platforms:
            platform.doom = doom

    def _ended(self, status: int, plan: Plan) -> str:
        """Any end but the planned one is a fault of the daemon's."""
        is_clean_stop = status == 0 and plan.is_stop
        if not is_clean_stop and (status != -signal.SIGKILL or plan.point == "stop"):
            self._report.verdict.other.add(f"the daemon ended by itself with {status}; see {self._folder}/daemon.log")
        return "stop" if is_clean_stop else plan.point

    def _order(self, plan: Plan) -> dict[str, str]:
        return {
            "config": str(self._folder / "config.toml"),
            "log": str(self._folder / "daemon.log"),
            "doubts": str(self._folder / "doubts.log"),
            "point": plan.point,
            "count": str(plan.count),
            "fault": self._fault,
            "begun_ms": str(self._clock.begun_ms),
            "begun_s": str(self._clock.begun_s),
        }

    # --- the judgement ---------------------------------------------------------------------------------------------

    def _judge(self) -> None:
        report, verdict = self._report, self._report.verdict
        kept = [word for text, _ in self._rows(SAID) for word in words_in(text)]
        for writer in self._writers:
            writer.read()
            report.overtaken += put_in_order(writer.diary, kept, verdict)
            report.said[writer.name[0]] += len(writer.diary.sent)
        for platform in self._platforms:
            report.posts[platform.name] += sum(len(platform.told(name)) for name in names(platform.name[0]))
            verdict.other.update(violations_of(platform))
        people = [each.diary for each in self._people]
        for diary in people:
            for kind, sentence in diary.complaints:
                verdict.add(kind, sentence)
            verdict.acknowledged += len(diary.acknowledged)
            judge_answers(diary, verdict, right)
        judge_kept(people, kept, verdict)
        for what, query in LEFT_OVER.items():
            verdict.other.update(f"{what}: {row}" for row in self._rows(f"{query} LIMIT 5"))
        report.doubts = read_doubts(self._folder / "doubts.log")
        verdict.other.update(held_in(report.doubts))

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        """What stands on disk; the columns are the query's."""
        with closing(sqlite3.connect(f"file:{self._folder / 'data' / DATABASE}?mode=ro", uri=True)) as connection:
            return connection.execute(query).fetchall()


def names(letter: str) -> list[str]:
    return [f"{letter}{number}" for number in range(PEOPLE[letter])]


def put_in_order(diary: Diary, kept: Sequence[str], verdict: Verdict) -> int:
    """Everything that was said is owed. Of two answers the first is to what Frontdesk was told first, for a platform repeats what it could
    not deliver after what it could. Within an answer what counts is the order of saying, but on WhatsApp, where no webhook tells the time.
    Returns how many messages came after a later one."""
    place = {word: number for number, word in enumerate(kept)}
    said = list(diary.sent)
    answered = [[word for word in words_in(seen.text) if word in place] for seen in diary.seen]
    for one, next_ in pairwise(filter(None, answered)):
        if max(map(place.__getitem__, one)) > min(map(place.__getitem__, next_)):
            verdict.disordered.add(f"an answer to {one} came before one to {next_}")
    nth = {word: number for number, words in enumerate(answered) for word in words}
    within = said if not said[0].startswith("w") else [word for words in answered for word in words]
    ordered = sorted(said, key=lambda word: (nth.get(word, len(answered)), within.index(word) if word in within else 0))
    diary.sent = {word: word for word in ordered}
    diary.acknowledged = {word: (word, 0) for word in ordered}
    return sum(place.get(one, 0) > place.get(next_, 0) for one, next_ in pairwise(said))


def judge_kept(people: Iterable[Diary], kept: Sequence[str], verdict: Verdict) -> None:
    """Every message stands in the database once."""
    counts = Counter(kept)
    verdict.doubled |= {f"{word} is in the database {count} times" for word, count in counts.items() if count > 1}
    promised = {word for diary in people for word in diary.promised()}
    verdict.lost |= {f"{word} was said and is not in the database" for word in promised - counts.keys()}


def _toml(table: Mapping[str, Any]) -> list[str]:
    """Texts and booleans are written in JSON's way, which is TOML's too."""
    return [f"{key} = {json.dumps(value)}" for key, value in table.items()]


async def run(
    folder: Path, cycles: int, seed: int, *, per_episode: int = 50, fault: str = "", points: Sequence[str] = ()
) -> AsyncGenerator[Report, None]:
    """Episodes until `cycles` are done; the folders of clean ones are removed. In every other one Slack calls us by HTTP. For a
    HurriedLoop."""
    async with butcher(module="tests.kill.desk", say_s=real(SAY_S)) as one:
        for number in range(-(-cycles // per_episode)):
            place = folder / f"episode-{seed + number}"
            mode = "http" if number % 2 else "socket"
            episode = Episode(place, one, seed + number, mode=mode, fault=fault, points=points)
            report = await episode.run(min(per_episode, cycles - number * per_episode))
            yield report
            if report.verdict.is_clean:
                await asyncio.to_thread(shutil.rmtree, place)
