"""`frontdesk knowledge`: which documents the agents know, and what they would find.

The search index is a file of its own that anyone may read while the daemon writes it, so no daemon is asked.
"""

import argparse
import sqlite3
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeVar

from bot.commands.output import console, safe, show_json, show_table
from bot.commands.reach import INDEX, data_folder
from bot.errors import DataError

if TYPE_CHECKING:
    from bot.knowledge import IndexReader
    from bot.model import Found

T = TypeVar("T")


def run_list(arguments: argparse.Namespace) -> int:
    found = _read(arguments, lambda index: index.documents())
    if arguments.json:
        show_json([asdict(each) for each in found])
        return 0
    rows = [(each.name, each.title, each.passages, each.size_bytes) for each in found]
    empty = "No documents. Put Markdown, text or HTML files into a folder of [knowledge] paths."
    show_table(("document", "title", "passages", "bytes"), rows, empty)
    return 0


def run_search(arguments: argparse.Namespace) -> int:
    query = " ".join(arguments.query)
    found = _read(arguments, lambda index: index.search(query, arguments.limit))
    if arguments.json:
        show_json([as_json(each) for each in found])
        return 0
    out = console()
    if not found:
        out.print(safe(f"Nothing found for: {query}"))
    for number, each in enumerate(found, 1):
        out.print(safe(f"{number}. {each.passage.title}", "bold"))
        out.print(safe(f"   score {each.score:.3f}, {each.coverage:.0%} of the words, {each.passage.document}", "dim"))
        for line in each.passage.text.splitlines():
            out.print(safe(f"   {line}"))
    return 0


def as_json(found: "Found") -> dict[str, Any]:
    """One found passage, flat."""
    return {**asdict(found.passage), "score": found.score, "coverage": found.coverage}


def _read(arguments: argparse.Namespace, query: "Callable[[IndexReader], T]") -> T:
    from bot.knowledge import open_index

    path = data_folder(arguments.config) / INDEX
    index = open_index(path)
    try:
        return query(index)
    except sqlite3.Error as error:
        raise DataError(f"{path} cannot be searched ({error}). frontdesk serve rebuilds it.") from error
    finally:
        index.close()
