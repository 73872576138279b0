"""`frontdesk knowledge`: which documents the agents know, and what they would find."""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bot.commands.output import console, safe, show_json, show_table
from bot.commands.reach import INDEX, data_folder
from bot.errors import FrontdeskError
from bot.net.control import NotRunning, call, find_socket

if TYPE_CHECKING:
    from bot.knowledge import DocumentSummary
    from bot.model import Found


def run_list(arguments: argparse.Namespace) -> int:
    found = _ask(arguments.config, "knowledge.list", {})
    if arguments.json:
        show_json(found)
        return 0
    rows = [(each["name"], each["title"], each["passages"], each["size_bytes"]) for each in found]
    empty = "No documents. Put Markdown, text or HTML files into a folder of [knowledge] paths."
    show_table(("document", "title", "passages", "bytes"), rows, empty)
    return 0


def run_search(arguments: argparse.Namespace) -> int:
    query = " ".join(arguments.query)
    found = _ask(arguments.config, "knowledge.search", {"query": query, "limit": arguments.limit})
    if arguments.json:
        show_json(found)
        return 0
    out = console()
    if not found:
        out.print(safe(f"Nothing found for: {query}"))
    for number, each in enumerate(found, 1):
        out.print(
            safe(f"{number}. {each['title']}", "bold"),
            safe(f"  score {each['score']:.3f}, {each['coverage']:.0%}", "dim"),
        )
        out.print(safe(f"   {each['document']} {each['url']}".rstrip(), "dim"))
        out.print(safe(each["text"]), "")
    return 0


def _ask(config: Path, command: str, arguments: dict[str, Any]) -> list[dict[str, Any]]:
    data = data_folder(config)
    try:
        value = call(find_socket(data, os.environ), command, arguments)
    except NotRunning:
        value = read_index(data / INDEX, command, arguments)
    return value if isinstance(value, list) else []


def read_index(path: Path, command: str, arguments: dict[str, Any]) -> list[dict[str, Any]]:
    """The same answer from the index itself. Raises DataError, FrontdeskError."""
    import sqlite3

    from bot.knowledge import open_index

    index = open_index(path)
    try:
        if command == "knowledge.list":
            return [document_row(each) for each in index.documents()]
        return [found_row(each) for each in index.search(arguments["query"], arguments["limit"])]
    except sqlite3.Error as error:
        raise FrontdeskError(f"{path} cannot be searched ({error}). frontdesk serve rebuilds it.") from error
    finally:
        index.close()


def document_row(document: "DocumentSummary") -> dict[str, Any]:
    """One document as JSON, for the daemon's answer too."""
    return {
        "name": document.name,
        "title": document.title,
        "url": document.url,
        "size_bytes": document.size_bytes,
        "passages": document.passages,
    }


def found_row(found: "Found") -> dict[str, Any]:
    """One found passage as JSON, for the daemon's answer too."""
    return {
        "id": found.passage.id,
        "document": found.passage.document,
        "title": found.passage.title,
        "text": found.passage.text,
        "url": found.passage.url,
        "score": found.score,
        "coverage": found.coverage,
    }
