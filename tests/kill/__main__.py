"""`python -m tests.kill --cycles 2000`: the long run, with a table at its end."""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from contextlib import aclosing
from pathlib import Path

from tests.kill.cycles import Report, run
from tests.kill.daemon import FAULTS, MODEL_FAULTS
from tests.kill.points import LABELS, MODEL_LABELS


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.kill", description=__doc__)
    parser.add_argument("--cycles", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--fault", choices=FAULTS + MODEL_FAULTS, default="", help="plant a bug, to see it caught")
    parser.add_argument(
        "--model", action="store_true", help="with a streaming model in the path, of either provider in turn"
    )
    parser.add_argument("--folder", type=Path, help="where the data goes; kept for episodes that went wrong")
    given = parser.parse_args()
    if given.fault in MODEL_FAULTS and not given.model:
        parser.error(f"{given.fault!r} lies in the path of the model: add --model")
    folder = given.folder or Path(tempfile.mkdtemp(prefix="frontdesk-kill-"))
    say(f"{given.cycles} cycles, seed {given.seed}, in {folder}")
    started = time.monotonic()
    report = asyncio.run(collect(folder, given.cycles, given.seed, given.fault, has_model=given.model))
    say(table(report, has_model=given.model))
    say(f"{time.monotonic() - started:.0f} s")
    return 0 if report.verdict.is_clean else 1


async def collect(folder: Path, cycles: int, seed: int, fault: str, *, has_model: bool) -> Report:
    total = Report()
    async with aclosing(run(folder, cycles, seed, fault=fault, has_model=has_model)) as reports:
        async for report in reports:
            total.take(report)
            for line in report.verdict.lines():
                say(f"  {line}")
            if total.cycles.total() % 500 == 0:
                say(f"  {total.cycles.total()} cycles")
    return total


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - a program that is run by hand


def table(report: Report, *, has_model: bool) -> str:
    verdict = report.verdict
    labels = MODEL_LABELS if has_model else LABELS
    rows = [
        (labels[point], str(count)) for point, count in sorted(report.cycles.items(), key=lambda item: labels[item[0]])
    ]
    rows += [
        ("cycles", str(report.cycles.total())),
        ("messages acknowledged", str(verdict.acknowledged)),
        ("parts posted to the ledger", str(report.parts)),
        *(_of_the_model(report) if has_model else ()),
        ("lost", str(len(verdict.lost))),
        ("doubled", str(len(verdict.doubled))),
        ("out of order", str(len(verdict.disordered))),
        ("other findings", str(len(verdict.other))),
    ]
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
