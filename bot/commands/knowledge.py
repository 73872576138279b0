"""`frontdesk knowledge list | search | why`: which documents the agents know, what they would find, and why.

The search index is a file of its own that anyone may read while the daemon writes it, so no daemon is asked.
"""

import argparse
import asyncio
import os
import sqlite3
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeVar

from bot.commands.output import console, one_line, safe, show_json, show_table
from bot.commands.reach import INDEX, data_folder
from bot.errors import DataError, FrontdeskError

if TYPE_CHECKING:
    from bot.config import Config
    from bot.knowledge import IndexReader
    from bot.knowledge.embeddings import Embedder
    from bot.knowledge.fusion import Weighing
    from bot.knowledge.vectors import Vector
    from bot.model import Found

T = TypeVar("T")
EMBEDDED_WITHIN_S = 20.0  # the model is loaded first


def run_list(arguments: argparse.Namespace) -> int:
    found = _read(arguments, lambda index: index.documents())
    if arguments.json:
        show_json([asdict(each) for each in found])
        return 0
    rows = [(each.name, each.title, each.passages, each.size_bytes) for each in found]
    empty = "No documents. Put Markdown, text, HTML, PDF or Word files into a folder of [knowledge] paths."
    show_table(("document", "title", "passages", "bytes"), rows, empty)
    return 0


def run_search(arguments: argparse.Namespace) -> int:
    query = " ".join(arguments.query)
    found = _search(arguments, query)
    if arguments.json:
        show_json([as_json(each) for each in found])
        return 0
    out = console()
    if not found:
        out.print(safe(f"Nothing found for: {query}"))
    for number, each in enumerate(found, 1):
        out.print(safe(f"{number}. {each.passage.title}", "bold"))
        out.print(safe(f"   {_measures(each)}, {each.passage.document}", "dim"))
        for line in each.passage.text.splitlines():
            out.print(safe(f"   {line}"))
    return 0


def run_why(arguments: argparse.Namespace) -> int:
    """Which words of a question were looked for, and what each found passage holds of them."""
    from bot.knowledge.words import informative_words

    question = " ".join(arguments.query)
    words = list(dict.fromkeys(informative_words(question)))
    found = _search(arguments, question)
    rows = [(each, *_held(words, f"{each.passage.title} {each.passage.text}")) for each in found]
    if arguments.json:
        told = [{**as_json(each), "literally": held, "otherwise": other} for each, held, other in rows]
        show_json({"words": words, "found": told})
        return 0
    out = console()
    out.print(safe(f"looked for: {', '.join(words) or 'nothing: the question holds only common words'}"))
    if words and not rows:
        out.print(safe("No document holds anything like it. Add one that does: frontdesk knowledge add --help"))
    for number, (each, held, other) in enumerate(rows, 1):
        out.print(safe(f"{number}. {each.passage.title}", "bold"))
        out.print(safe(f"   {each.passage.document}  {each.passage.url}".rstrip(), "dim"))
        out.print(safe(f"   {_measures(each)}"))
        out.print(safe(f"   holds: {', '.join(held) or '-'}   not literally: {', '.join(other) or '-'}"))
    return 0


def _held(words: Sequence[str], text: str) -> tuple[list[str], list[str]]:
    """The words that stand in the text letter by letter, and the others."""
    low = text.lower()
    return [word for word in words if word in low], [word for word in words if word not in low]


def as_json(found: "Found") -> dict[str, Any]:
    """One found passage, flat."""
    return {**asdict(found.passage), "score": found.score, "coverage": found.coverage, "likeness": found.likeness}


def load_config(arguments: argparse.Namespace) -> "Config":
    """Raises ConfigError."""
    from bot.config import find_settings, load

    return load(arguments.config, os.environ, adapters=find_settings)


def _measures(found: "Found") -> str:
    alike = "" if found.likeness is None else f", likeness {found.likeness:.2f}"
    return f"score {found.score:.3f}, {found.coverage:.0%} of the words{alike}"


def _search(arguments: argparse.Namespace, question: str) -> "list[Found]":
    """As an agent that may use every document."""
    from bot.knowledge.fusion import Weighing

    config = load_config(arguments)
    model, vector = asyncio.run(_vector(config, question))
    weighing = Weighing(config.knowledge.fusion)
    return _read(arguments, lambda index: index.search(question, arguments.limit, vector=vector), model, weighing)


async def _vector(config: "Config", question: str) -> "tuple[str, Vector | None]":
    """The question's embedding and what made it; None where search goes by words alone, or nothing came in time."""
    from bot.clock import SystemClock
    from bot.knowledge.opening import choose_embedder
    from bot.llm.clients import Clients
    from bot.llm.embed import EndpointEmbedder
    from bot.net.perimeter import Perimeter

    clock, clients, names = SystemClock(), Clients(Perimeter(config.network.allow)), config.roles.embed

    def endpoint() -> "Embedder":
        return EndpointEmbedder(names[0], config.models[names[0]], clients, clock)

    make = choose_embedder(config.knowledge, endpoint if names else None).make
    if make is None:
        return "", None
    embedder = make()
    try:
        async with clock.timeout(EMBEDDED_WITHIN_S):
            (vector,) = await embedder.embed([question])
    except (FrontdeskError, TimeoutError) as error:
        reason = one_line(str(error)) or "no embedding came in time"
        sys.stderr.write(f"frontdesk: searched by words alone: {reason}\n")
        return "", None
    finally:
        await embedder.close()
        await clients.close()
    return embedder.model, vector


def _read(
    arguments: argparse.Namespace,
    query: "Callable[[IndexReader], T]",
    model: str = "",
    weighing: "Weighing | None" = None,
) -> T:
    from bot.knowledge import open_index

    path = data_folder(arguments.config) / INDEX
    index = open_index(path, model=model, weighing=weighing)
    try:
        return query(index)
    except sqlite3.Error as error:
        raise DataError(f"{path} cannot be searched ({error}). frontdesk serve rebuilds it.") from error
    finally:
        index.close()
