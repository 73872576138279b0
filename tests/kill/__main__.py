"""`python -m tests.kill --cycles 2000`: the long run, with a table at its end."""

import argparse
import asyncio
import logging
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from pathlib import Path

from tests.kill import rounds
from tests.kill.cycles import Report, run
from tests.kill.daemon import EARLY_ACK, FAULTS, MODEL_FAULTS, NO_DEDUPE
from tests.kill.desk import CHANNEL_FAULTS
from tests.kill.hurry import HurriedLoop
from tests.kill.judge import Verdict
from tests.kill.points import CHANNEL_LABELS, LABELS, MODEL_LABELS

OF_CHANNELS = (EARLY_ACK, NO_DEDUPE, *CHANNEL_FAULTS)
ALL_FAULTS = (*FAULTS, *MODEL_FAULTS, *CHANNEL_FAULTS)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.kill", description=__doc__)
    parser.add_argument("--cycles", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--fault", choices=ALL_FAULTS, default="", help="plant a bug, to see it caught")
    parser.add_argument(
        "--model", action="store_true", help="with a streaming model in the path, of either provider in turn"
    )
    parser.add_argument(
        "--channels", action="store_true", help="with every channel at once: the real adapters and their platforms"
    )
    parser.add_argument("--folder", type=Path, help="where the data goes; kept for episodes that went wrong")
    given = parser.parse_args()
    if given.fault in MODEL_FAULTS and not given.model:
        parser.error(f"{given.fault!r} lies in the path of the model: add --model")
    if given.fault and given.fault not in (OF_CHANNELS if given.channels else FAULTS + MODEL_FAULTS):
        parser.error(f"{given.fault!r} does not lie in the path of this run")
    folder = given.folder or Path(tempfile.mkdtemp(prefix="frontdesk-kill-"))
    say(f"{given.cycles} cycles, seed {given.seed}, in {folder}")
    started = time.monotonic()
    if given.channels:
        logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)  # requests of a process that was just killed
        with asyncio.Runner(loop_factory=HurriedLoop) as runner:
            verdict, lines = runner.run(collect_channels(folder, given.cycles, given.seed, given.fault))
    else:
        report = asyncio.run(collect(folder, given.cycles, given.seed, given.fault, has_model=given.model))
        verdict, lines = report.verdict, table(report, has_model=given.model)
    say(lines)
    say(f"{time.monotonic() - started:.0f} s")
    return 0 if verdict.is_clean else 1


async def collect(folder: Path, cycles: int, seed: int, fault: str, *, has_model: bool) -> Report:
    total = Report()
    async with aclosing(run(folder, cycles, seed, fault=fault, has_model=has_model)) as reports:
        async for report in reports:
            total.take(report)
            tell(report.verdict, total.cycles.total())
    return total


async def collect_channels(folder: Path, cycles: int, seed: int, fault: str) -> tuple[Verdict, str]:
    total = rounds.Report()
    async with aclosing(rounds.run(folder, cycles, seed, fault=fault)) as reports:
        async for report in reports:
            total.take(report)
            tell(report.verdict, total.cycles.total())
    return total.verdict, channel_table(total)


def tell(verdict: Verdict, cycles: int) -> None:
    """How it goes."""
    for line in verdict.lines():
        say(f"  {line}")
    if cycles % 500 == 0:
        say(f"  {cycles} cycles")


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - a program that is run by hand


def table(report: Report, *, has_model: bool) -> str:
    rows = [
        *points(report.cycles, MODEL_LABELS if has_model else LABELS),
        ("messages acknowledged", str(report.verdict.acknowledged)),
        ("parts posted to the ledger", str(report.parts)),
        *(_of_the_model(report) if has_model else ()),
        *found(report.verdict),
    ]
    return aligned(rows)


def channel_table(report: rounds.Report) -> str:
    rows = [
        *points(report.cycles, CHANNEL_LABELS),
        ("messages said and owed an answer", str(report.verdict.acknowledged)),
        ("... that a platform told after a later one", str(report.overtaken)),
        *((f"messages of ours on {name}", str(count)) for name, count in sorted(report.posts.items())),
        *report.doubts.rows(),
        *found(report.verdict),
    ]
    return aligned(rows)


def points(cycles: Counter[str], labels: Mapping[str, str]) -> list[tuple[str, str]]:
    reached = sorted(cycles.items(), key=lambda item: labels[item[0]])
    return [*((labels[point], str(count)) for point, count in reached), ("cycles", str(cycles.total()))]


def found(verdict: Verdict) -> list[tuple[str, str]]:
    return [
        ("lost", str(len(verdict.lost))),
        ("doubled", str(len(verdict.doubled))),
        ("out of order", str(len(verdict.disordered))),
        ("other findings", str(len(verdict.other))),
    ]


def aligned(rows: Sequence[tuple[str, str]]) -> str:
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {count:>7}" for name, count in rows)


def _of_the_model(report: Report) -> list[tuple[str, str]]:
    return [
        ("model calls", str(report.asked)),
        ("... not in spend: killed before their commit", str(report.vain)),
        ("... that took up steps of an earlier life", str(report.continued)),
        ("searches begun", str(report.searches)),
    ]


if __name__ == "__main__":
    sys.exit(main())
