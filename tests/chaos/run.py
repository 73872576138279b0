"""One run: a crowd, two providers, one core, and the verdict on all of it."""

import asyncio
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.clock import LeapingClock, LeapingLoop
from tests.chaos.house import CLAUDE, GPT, TURN_S, house, leaping_loop
from tests.chaos.judge import Evidence, Verdict, judge, read
from tests.chaos.people import Crowd, converse, plan
from tests.chaos.plants import PLANTS
from tests.chaos.providers import Claude, Gpt, Provider, serving

MEMORY = Path("/dev/shm")


@dataclass(slots=True)
class Report:
    """What happened, in numbers, and what of it was wrong."""

    verdict: Verdict
    outcomes: Counter[str]
    waits_s: list[float]  # from each message to its reply
    providers: dict[str, Provider]
    evidence: Evidence
    clock_s: float = 0.0
    real_s: float = 0.0
    leaps: int = 0
    unanswered: int = 0
    peaks: dict[str, int] = field(default_factory=dict)  # calls in one second, after the return


@contextmanager
def workshop() -> Iterator[Path]:
    """A folder for one run, in memory where there is such a place: time stands still while a commit waits
    for its disk, so that tens of thousands of commits wait one after the other."""
    folder = Path(tempfile.mkdtemp(prefix="frontdesk-chaos-", dir=MEMORY if MEMORY.is_dir() else None))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run(conversations: int, seed: int, *, fault: str = "", folder: Path | None = None) -> Report:
    """The same for the same seed. Blocks, for it has a loop of its own."""
    clock = LeapingClock()
    with ExitStack() as stack:
        stack.callback(random.setstate, random.getstate())
        random.seed(seed)  # what the router throws
        place = folder or stack.enter_context(workshop())
        if fault:
            stack.enter_context(PLANTS[fault]())
        with asyncio.Runner(loop_factory=lambda: LeapingLoop(clock)) as runner:
            return runner.run(_run(place, clock, conversations, random.Random(seed)))


async def _run(folder: Path, clock: LeapingClock, conversations: int, dice: random.Random) -> Report:
    started, began = time.monotonic(), clock.monotonic()
    crowd, script = Crowd(), plan(conversations, dice)
    down = (began + script.down[0], began + script.down[1])
    claude, gpt = Claude(clock, dice, CLAUDE, down), Gpt(clock, dice, GPT, down)
    async with serving(claude, gpt), house(folder, clock, claude, gpt) as at:
        await converse(at, script.people, crowd)
        await clock.sleep(2 * TURN_S)  # whoever wrote twice may be owed another answer
        evidence = Evidence(
            said=crowd.said,
            posts={name: outlet.posts for name, outlet in at.outlets.items()},
            stored=await read(at.store),
            spending=at.assembly.spending.today(),
            entries={name: provider.entries for name, provider in at.providers.items()},
            invalid=[*claude.invalid, *gpt.invalid],
            down=down,
        )
        report = Report(
            judge(evidence),
            Counter(turn.outcome for turn in evidence.stored.turns.values()),
            [],
            at.providers,
            evidence,
        )
        report.leaps = leaping_loop().leaps
    report.clock_s, report.real_s = clock.monotonic() - began, time.monotonic() - started
    report.unanswered = crowd.unanswered
    report.waits_s = sorted(_waits(evidence))
    report.peaks = {name: _peak([e.at for e in p.entries if down[1] <= e.at]) for name, p in at.providers.items()}
    return report


def _waits(evidence: Evidence) -> Iterator[float]:
    turns = {row.external_id: row.turn for row in evidence.stored.messages if row.author == "user"}
    replies = {row.turn: row.id for row in evidence.stored.messages if row.author != "user"}
    posts = {str(post.message): post.at for each in evidence.posts.values() for post in each}
    for said in evidence.said:
        at = posts.get(replies.get(turns.get(said.mark, ""), ""))
        if at is not None:
            yield at - said.at


def _peak(times: list[float]) -> int:
    """The most in any second of the first minute."""
    first = [at for at in times if at < times[0] + 60] if times else []
    return max((sum(at <= other < at + 1 for other in first[n:]) for n, at in enumerate(first)), default=0)
