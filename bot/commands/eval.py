"""`frontdesk eval`: asks an agent a folder of questions, and says what is different from the run before."""

import argparse
import asyncio
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from bot.commands.output import lasting, one_line, say, show_json, show_table

if TYPE_CHECKING:
    from bot.evals.comparing import Difference
    from bot.evals.results import Result, Run

COLUMNS = ("result", "case", "why", "model", "cites", "time", "tokens", "cost")


def run_suite(arguments: argparse.Namespace) -> int:
    """0 when enough cases pass, 1 when not; ConfigError for bad files."""
    from bot.clock import SystemClock
    from bot.config import find_settings, load
    from bot.evals import cases
    from bot.evals.evaluation import chosen, evaluate
    from bot.evals.results import History, SavedFile

    suite = cases.load(arguments.folder)
    config = chosen(load(arguments.config, os.environ, adapters=find_settings), arguments.agent, arguments.model)
    kept = SavedFile(arguments.save) if arguments.save else History(config.data.path, suite.name)
    kept.prepare()
    before = kept.latest()
    least = suite.least if arguments.least is None else arguments.least
    run = asyncio.run(evaluate(config, suite, arguments.agent, arguments.model, least, SystemClock()))
    show_run(run, before, kept.add(run), is_json=arguments.json)
    return 0 if run.is_good else 1


def run_compare(arguments: argparse.Namespace) -> int:
    from bot.evals.comparing import compare
    from bot.evals.results import read

    difference = compare(read(arguments.before), read(arguments.after))
    if arguments.json:
        show_json(asdict(difference))
        return 0
    for line in told(difference):
        say(line)
    return 0


def run_harvest(arguments: argparse.Namespace) -> int:
    """Writes a new file; raises CommandFailed where there is one of that name."""
    from bot.commands.reach import report
    from bot.evals.harvest import Correction, file_of
    from bot.net.control import CommandFailed

    value, _ = report(arguments.config, "corrections", {"limit": arguments.limit})
    found = [
        Correction(id_, question, proposed, sent)
        for id_, proposed, sent, _, question in (value if isinstance(value, list) else [])
        if question and question.strip()
    ]
    if not found:
        say("Operators have corrected no suggested reply yet.")
        return 0
    try:
        with open(arguments.file, "x", encoding="utf-8") as file:
            file.write(file_of(found))
    except FileExistsError:
        raise CommandFailed(f"{arguments.file} is there already. Name a new file") from None
    except OSError as error:
        raise CommandFailed(f"{arguments.file} cannot be written: {error.strerror}") from error
    say(
        f"{len(found)} case(s) written to {arguments.file}. Read them before you keep them: they hold what users wrote."
    )
    return 0


def show_run(run: "Run", before: "Run | None", file: Path, *, is_json: bool) -> None:
    from bot.evals.comparing import compare

    difference = compare(before, run) if before else None
    if is_json:
        shown = {**run.model_dump(mode="json"), "passed": run.passed, "is_good": run.is_good, "saved": str(file)}
        show_json({**shown, "difference": asdict(difference) if difference else None})
        return
    show_table(COLUMNS, [row(result) for result in run.results], "No cases.")
    for tag, (passed, count) in run.by_tag().items():
        say(f"{tag}: {passed} of {count}")
    say(f"{verdict(run)} {lasting(run.ms)}, cost {money(run.cost_micros)}. Saved as {file}")
    for line in told(difference) if difference else ():
        say(line)


def row(result: "Result") -> tuple[str, ...]:
    why = [*result.failures, *(f"not judged: {criterion}" for criterion in result.unjudged)]
    return (
        "passed" if result.has_passed else "FAILED",
        one_line(result.case),
        one_line("; ".join(why)),
        result.model or "-",
        ", ".join(result.documents) or "-",
        lasting(result.ms),
        str(result.tokens),
        money(result.cost_micros),
    )


def verdict(run: "Run") -> str:
    count = len(run.results)
    share = f"{run.passed} of {count} passed ({run.passed / count:.0%}); {run.least:.0%} must."
    return share if run.is_good else f"{share} That is not enough."


def told(difference: "Difference") -> Iterator[str]:
    """The difference in lines."""
    if difference.is_empty:
        yield "Compared with the run before: the same answers."
    else:
        yield "Compared with the run before:"
    lists = {
        "passes now": difference.newly_passing,
        "FAILS NOW": difference.newly_failing,
        "answers otherwise": difference.changed,
        "is new": difference.added,
        "is gone": difference.removed,
    }
    for what, names in lists.items():
        yield from (f"  {what}: {name}" for name in names)
    (ms_before, ms_after), (cost_before, cost_after) = difference.ms, difference.cost_micros
    yield f"  time {lasting(ms_before)} before, {lasting(ms_after)} now; cost {money(cost_before)} before, {money(cost_after)} now"


def money(micros: int) -> str:
    """Millionths of the currency, as the currency."""
    return f"{micros / 1_000_000:.4f}" if micros else "0"
