"""`frontdesk knowledge sources | add | sync`: where documents come from, and fetching them now.

A sync writes the folders of the sources. A running daemon sees that by itself; without one, the search index is brought up to date here.
"""

import argparse
import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from bot.commands.knowledge import load_config
from bot.commands.output import console, one_line, say, show_json, show_table, when
from bot.commands.reach import INDEX
from bot.config.knowledge_schema import Folder, Source, place_of
from bot.errors import ConfigError, DataError, Problem

if TYPE_CHECKING:
    from bot.config import Config
    from bot.knowledge.origins.keeper import SourceKeeper
    from bot.knowledge.origins.origin import Progress, Watch
    from bot.knowledge.origins.syncing import SourceReport

WHERE = {"folder": "path", "website": "url", "git": "url", "drive": "folder"}
MOST_NAMED = 20  # documents named one by one in a report on a terminal


def run_sources(arguments: argparse.Namespace) -> int:
    """Every source, when it was read, and what is wrong with it."""
    from bot.config.knowledge_schema import Folder
    from bot.knowledge.origins.kept import read_state

    config = load_config(arguments)
    rows = [(each, read_state(place_of(each, config.data.path))) for each in config.knowledge.sources]
    if arguments.json:
        show_json([{"name": each.name, "kind": each.kind, **asdict(state)} for each, state in rows])
        return 0
    cells = []
    for each, state in rows:
        times = ("always", "always") if isinstance(each, Folder) else (when(state.read_ms), when(state.next_ms))
        problem = f"{state.failure}. {state.mend}".strip() if state.failure else "ok"
        cells.append((each.name, each.kind, *times, problem))
    show_table(
        ("source", "kind", "read", "next", "state"), cells, "No sources. Add one: frontdesk knowledge add --help"
    )
    return 0


def run_add(arguments: argparse.Namespace) -> int:
    """Writes a source into the config, which stays as it was where the whole would be refused."""
    from bot.knowledge.origins.listing import add_source

    load_config(arguments)
    before = arguments.config.read_bytes()
    source = add_source(arguments.config, _given(arguments))
    try:
        load_config(arguments)
    except ConfigError:
        arguments.config.write_bytes(before)
        raise
    say(f"Added the {source.kind} {source.name} to {arguments.config}. Look before it is read:")
    say(f"  frontdesk knowledge sync {source.name} --dry-run")
    say("A running daemon knows of it after a restart.")
    return 0


def run_sync(arguments: argparse.Namespace) -> int:
    """Reads sources now. 1 where one of them failed."""
    config = load_config(arguments)
    sources = config.knowledge.sources
    missing = sorted(set(arguments.names) - {each.name for each in sources})
    if missing:
        mend = f"There are: {', '.join(each.name for each in sources) or 'none'}."
        raise ConfigError([Problem("knowledge.sources", f"there is no source called {missing[0]}", mend)])
    chosen = [each for each in sources if not arguments.names or each.name in arguments.names]
    with _bars(is_shown=not arguments.json) as watch:
        reports, indexed = asyncio.run(_sync(config, chosen, is_dry=arguments.dry_run, watch=watch))
    if arguments.json:
        show_json([asdict(each) for each in reports])
    else:
        for source, report in zip(chosen, reports, strict=True):
            _show(source, report)
        say(indexed or ("Nothing was kept." if reports else "No sources. Add one: frontdesk knowledge add --help"))
    return 1 if any(each.failure for each in reports) else 0


async def _sync(
    config: "Config", sources: Sequence[Source], *, is_dry: bool, watch: "Watch"
) -> "tuple[list[SourceReport], str]":
    """The reports, and what became of the search index."""
    from bot.clock import SystemClock
    from bot.knowledge.opening import Fetching
    from bot.net.perimeter import Perimeter

    clock = SystemClock()
    fetching = Fetching(config.data.path, config.knowledge, clock, Perimeter(config.network.allow), config.secret)
    try:
        reports = [await _sync_one(fetching.keeper, each, is_dry=is_dry, watch=watch) for each in sources]
    finally:
        await fetching.close()
    return reports, "" if is_dry or not sources else await _index(config)


async def _sync_one(keeper: "SourceKeeper", source: Source, *, is_dry: bool, watch: "Watch") -> "SourceReport":
    from bot.knowledge.origins.syncing import SourceReport

    try:
        return await keeper.sync(source, is_dry=is_dry, watch=watch)
    except DataError as error:
        return SourceReport(source.name, is_dry, failure=str(error))


async def _index(config: "Config") -> str:
    """Brings the index up to date, unless a daemon does. Raises DataError."""
    from bot.clock import SystemClock
    from bot.knowledge import FolderKnowledge
    from bot.knowledge.opening import roots
    from bot.store.folder import Lock

    data, lock = config.data.path, Lock(config.data.path)
    try:
        lock.take()
    except DataError:
        found = f"The running daemon finds what changed within {config.knowledge.poll_s:g} s."
        return f"{found} A source that was added since it started needs a restart."
    library = FolderKnowledge(data / INDEX, roots(config.knowledge, data), SystemClock())
    try:
        await library.sync()
        count = len(await library.list_documents())
    finally:
        await library.close()
        lock.release()
    return f"The search index holds {count} document{'' if count == 1 else 's'}."


def _given(arguments: argparse.Namespace) -> dict[str, object]:
    """What the words of the command line say, as the config says it."""
    kind, where = arguments.kind, list(arguments.where)
    given: dict[str, object] = {"name": arguments.name, "kind": kind}
    if kind in WHERE:
        given[WHERE[kind]] = " ".join(where)
    elif kind == "notion":
        given |= {"databases": where} if where else {}
    else:
        given |= {"videos": where} if where else {}
    for key in ("playlist", "branch", "path", "key_file", "secret", "language", "audience"):
        if getattr(arguments, key):
            given[key] = getattr(arguments, key)
    if arguments.every_h:
        given["every_s"] = arguments.every_h * 3600
    return given


@contextmanager
def _bars(*, is_shown: bool) -> "Iterator[Watch]":
    """A bar for each source, on a terminal; nothing elsewhere."""
    out = console()
    if not (is_shown and out.is_terminal):
        yield lambda _: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
    from rich.progress import Progress as Bars

    rows: dict[str, Any] = {}
    columns = (TextColumn("{task.fields[source]}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[at]}"))
    with Bars(*columns, console=out, transient=True) as bars:

        def watch(progress: "Progress") -> None:
            if progress.source not in rows:
                rows[progress.source] = bars.add_task("", source=progress.source, at="", total=None)
            at = one_line(progress.name)[-50:].replace("[", "(")
            total = progress.expected or None
            bars.update(rows[progress.source], completed=progress.done, total=total, at=at)

        yield watch


def _show(source: Source, report: "SourceReport") -> None:
    """One source's report, a line a thing."""
    if isinstance(source, Folder):
        say(f"{source.name}: is read where it stands, {source.path}")
        return
    changes = ((report.added, "+"), (report.changed, "~"), (report.removed, "-"))
    counts = f"{len(report.added)} added, {len(report.changed)} changed, {len(report.removed)} removed"
    verb = "would be: " if report.is_dry else ""
    say(f"{report.source}: {verb}{counts}, {report.same} as before")
    for names, sign in changes:
        for name in names[:MOST_NAMED]:
            say(f"  {sign} {name}")
        if len(names) > MOST_NAMED:
            say(f"  {sign} and {len(names) - MOST_NAMED} more")
    for line in [*report.passed, *report.unfinished]:
        say(f"  ! {line}")
    if report.failure:
        say(f"  failed: {report.failure}. {report.mend}".rstrip())
        say("  What it had stays.")
