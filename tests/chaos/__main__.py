"""`python -m tests.chaos --conversations 10000 --seed 20`: the long run, with a table at its end."""

import argparse
import logging
import random
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.chaos.plants import PLANTS
from tests.chaos.providers import FAULTS, Mood
from tests.chaos.run import Report, run

TENTHS = (5, 9)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--conversations", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--fault", choices=PLANTS, default="", help="plant a bug, to see it caught")
    parser.add_argument("--folder", type=Path, help="where the data goes, and stays; by default in memory")
    given = parser.parse_args()
    logging.getLogger().addHandler(logging.NullHandler())  # thousands of failures are what is wanted
    say(f"{given.conversations} conversations, seed {given.seed}")
    report = run(given.conversations, given.seed, fault=given.fault, folder=given.folder)
    say(table(report))
    for line in report.verdict.lines():
        say(f"  {line}")
    return 0 if report.verdict.is_clean else 1


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - a program that is run by hand


def table(report: Report) -> str:
    rows = [*people(report), *providers(report)]
    rows += [(f"found: {kind}", str(len(texts))) for kind, texts in report.verdict.found.items()]
    rows += [
        ("findings", str(sum(map(len, report.verdict.found.values())))),
        ("seconds of the clock", f"{report.clock_s:.0f}"),
        ("seconds it took", f"{report.real_s:.0f}"),
    ]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def people(report: Report) -> Iterator[tuple[str, str]]:
    waits, evidence = report.waits_s, report.evidence
    yield "messages", str(len(evidence.said))
    yield "replies delivered", str(sum(map(len, evidence.posts.values())))
    for outcome, count in report.outcomes.most_common():
        yield f"turns: {outcome}", str(count)
    if waits:
        shown = [f"{waits[len(waits) * tenth // 10]:.1f} s" for tenth in TENTHS]
        yield "wait for a reply: median, 90 %, most", ", ".join([*shown, f"{waits[-1]:.1f} s"])


def providers(report: Report) -> Iterator[tuple[str, str]]:
    for name, provider in report.providers.items():
        entries = provider.entries
        moods = Counter(entry.mood for entry in entries)
        down = moods[Mood.DOWN]
        failed = sum(moods[fault] for fault in FAULTS)
        spent = report.evidence.spending.get(name)
        yield f"{name}: counts by", provider.counting
        yield f"{name}: calls", f"{len(entries)}, {sum(entry.has_reasoning for entry in entries)} with reasoning"
        yield f"{name}: failures dealt", f"{failed} ({100 * failed / max(1, len(entries) - down):.0f} %)"
        for fault in FAULTS:
            yield f"{name}: {fault.value}", str(moods[fault])
        yield f"{name}: endless tool loop", str(moods[Mood.LOOP])
        yield f"{name}: refused by its own limits", str(moods[Mood.WINDOW])
        yield f"{name}: calls while down for 30 minutes", str(down)
        yield (
            f"{name}: most at once, most in a second on return",
            (f"{max((entry.running for entry in entries), default=0)}, {report.peaks[name]}"),
        )
        yield f"{name}: cost, in millionths", str(spent.cost_micros if spent else 0)


if __name__ == "__main__":
    sys.exit(main())
