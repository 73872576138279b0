"""Who was told what from a document: each answer with the passage that it rests on, then and now.

A passage's id stands for its document, heading and text, so a version is told by the passages that it holds. `read` looks like `Store.read`. Only
ever tells; what is to be put right a person writes.
"""

import difflib
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import PurePath
from typing import Any, Final

from bot.errors import Refused
from bot.ports import Cursor, Row, Value
from bot.store import actions, answers

Read = Callable[[str, Mapping[str, Value]], Awaitable[list[Row]]]

KIND: Final = "recall"  # of entries of the operators' queue
LIMIT: Final = 2_000
SAID_CHARS: Final = 600
LINES_MOST: Final = 6
LINE_CHARS: Final = 200
LIKE_LEAST: Final = 0.6  # how alike two passages under different headings are, to be one that was rewritten
_SENTENCE: Final = re.compile(r"(?<=[.!?…])(?:\s*\[\d+\])*(?:\s+|$)|\n+")
_MARK: Final = re.compile(r"\[(\d+)\]")
_GLUE: Final = "-"  # between the ids of a joined passage


@dataclass(frozen=True, slots=True)
class Version:
    """A document as it stood for a while. `ended_ms`: when it was noticed to be different or gone, None: it stands so now."""

    version: str
    title: str
    first_ms: int
    last_ms: int
    ended_ms: int | None
    passages: frozenset[str]

    def holds(self, passage: str) -> bool:
        """The passage, or all that it was joined of."""
        return self.passages.issuperset(passage.split(_GLUE))


@dataclass(frozen=True, slots=True)
class Told:
    """One answer. `version`: of the document when it was given, "" where none on record holds the passage. `is_current`: the document holds the
    passage still."""

    message: str
    conversation: str
    case: str
    channel: str
    who: str
    name: str
    at_ms: int
    said: str
    title: str
    passage: str
    text: str
    version: str
    is_current: bool


async def document_of(read: Read, named: str) -> str:
    """The one document that is called so, lies there, or has that in its name. Raises Refused."""
    known = [str(row[0]) for row in await read(answers.DOCUMENTS, {})]
    paths = await read("SELECT document FROM document_versions WHERE path = :path LIMIT 1", {"path": named})
    if named in known or paths:
        return named if named in known else str(paths[0][0])
    exact = [each for each in known if PurePath(each).name == named or PurePath(each).stem == named]
    found = exact or [each for each in known if named and named.casefold() in each.casefold()]
    if len(found) == 1:
        return found[0]
    if not found:
        raise Refused("no_document", f"No document is or was called {named!r}. See: frontdesk knowledge list")
    some = ", ".join(found[:5]) + (", ..." if len(found) > 5 else "")
    raise Refused("no_document", f"{named!r} fits more than one document: {some}. Write more of the name.")


async def versions_of(read: Read, document: str) -> list[Version]:
    """Newest first."""
    rows = await read(answers.VERSIONS, {"document": document})
    return [
        Version(version, title, first, last, ended, frozenset(passages.split()))
        for version, title, passages, first, last, ended in rows
    ]


async def told(
    read: Read, document: str, since_ms: int = 0, before: str = "", offset: int = 0
) -> tuple[list[Told], bool]:
    """The answers that rest on the document, oldest first, LIMIT of them from `offset` on, and whether there are more; `before`: the beginning
    of a version, of which only older ones count. Raises Refused."""
    versions = await versions_of(read, document)
    rows = await read(answers.TOLD, {"document": document, "since": since_ms, "limit": LIMIT, "offset": offset})
    found, is_more = [_told(row, versions) for row in rows], len(rows) == LIMIT
    if not before:
        return found, is_more
    limit_ms = _begin_of(versions, before)
    begun = {each.version: each.first_ms for each in reversed(versions)}
    return [each for each in found if each.at_ms < limit_ms and begun.get(each.version, 0) < limit_ms], is_more


async def report(read: Read, arguments: Mapping[str, object], offset: int = 0) -> dict[str, Any]:
    """As JSON, by `document`, `since_ms` and `before` as a command gives them: the document, its versions, who was told what, and whether there
    is more of that after these. Raises Refused."""
    since = arguments.get("since_ms")
    document = await document_of(read, str(arguments.get("document", "")))
    from_ms = since if isinstance(since, int) else 0
    found, is_more = await told(read, document, from_ms, str(arguments.get("before", "")), offset)
    versions = [
        {name: each for name, each in asdict(version).items() if name != "passages"}
        for version in await versions_of(read, document)
    ]
    return {"document": document, "versions": versions, "told": [asdict(each) for each in found], "is_more": is_more}


def compared(found: Sequence[Mapping[str, Any]], now: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    """What was told, with what has changed since: lines that begin with "-" (then) and "+" (now). `now`: heading and text of each passage of the
    document as it is."""
    changes: dict[str, list[str]] = {}
    for each in found:
        if not each["is_current"] and each["passage"] not in changes:
            changes[each["passage"]] = _changed(each["title"], each["text"], now)
    return [{**each, "changed": changes.get(each["passage"], [])} for each in found]


def outdated(found: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Of what was told, one of each conversation and version that stands no longer."""
    first: dict[tuple[str, str], Mapping[str, Any]] = {}
    for each in found:
        if not each["is_current"]:
            first.setdefault((each["conversation"], each["version"] or each["passage"]), each)
    return list(first.values())


def sentences(text: str, number: int) -> str:
    """What of an answer a number stands behind: the sentences of a line since the number before it. The answer's beginning where it stands
    nowhere."""
    kept: list[str] = []
    for line in text.splitlines() if number else ():
        behind: list[str] = []
        for sentence in _split(line):
            behind.append(sentence)
            marks = _MARK.findall(sentence)
            kept += behind if str(number) in marks else []
            behind = [] if marks else behind
    return (" ".join(kept) or " ".join(text.split()))[:SAID_CHARS]


def queue(cursor: Cursor, document: str, found: Sequence[Mapping[str, Any]], now_ms: int) -> int:
    """A unit of work: one entry of the operators' queue for each conversation and version of which the person was told what stands no longer.
    Returns how many are new. Safe to repeat."""
    before = _entries(cursor)
    told_of: dict[str, Mapping[str, Any]] = {}
    for each in found:
        if not each["is_current"]:
            subject = f"{each['conversation']} {document} {each['version'][:16] or each['passage']}"
            told_of.setdefault(subject, each)
    for subject, each in told_of.items():
        actions.queue(cursor, KIND, subject, each["conversation"], _detail(document, each), now_ms)
    return _entries(cursor) - before


def _entries(cursor: Cursor) -> int:
    return int(cursor.fetch("SELECT count(*) FROM queue WHERE kind = :kind", {"kind": KIND})[0][0])


def _detail(document: str, each: Mapping[str, Any]) -> str:
    changed = " ".join(each["changed"]) or "- what it said is gone."
    return (
        f"{document} has changed since this person was answered from it ({each['title']}). {changed} "
        f"To put it right: frontdesk handoff reply {each['conversation'][:12]} TEXT"
    )


def _told(row: Row, versions: Sequence[Version]) -> Told:
    message, passage, number, at_ms, title, text, answer, case, conversation, channel, account, who, name, external = (
        row
    )
    held = [each for each in versions if each.holds(passage)]
    then = next((each for each in held if each.first_ms <= at_ms), held[-1] if held else None)
    return Told(
        message,
        conversation,
        case,
        f"{channel}/{account}" if account else channel,
        who or "",
        name or external or "",
        at_ms,
        sentences(answer, number),
        title,
        passage,
        text,
        then.version if then is not None else "",
        any(each.ended_ms is None for each in held),
    )


def _begin_of(versions: Sequence[Version], version: str) -> int:
    found = [each for each in versions if each.version.startswith(version)]
    if not found:
        known = ", ".join(each.version[:12] for each in versions[:5]) or "none is on record"
        raise Refused("no_version", f"There is no version {version} of this document. There is: {known}.")
    return found[0].first_ms


def _changed(title: str, text: str, now: Sequence[tuple[str, str]]) -> list[str]:
    """Then and now, sentence by sentence, as far as they differ."""
    place = _successor(title, text, now)
    if place is None:
        return [f"- {_short(text)}"]
    old, new = _split(text), _split(place)
    lines = []
    for tag, first, last, start, end in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag != "equal":
            lines += [f"- {_short(line)}" for line in old[first:last]]
            lines += [f"+ {_short(line)}" for line in new[start:end]]
    return lines[:LINES_MOST]


def _successor(title: str, text: str, now: Sequence[tuple[str, str]]) -> str | None:
    """The passage that stands in its place: under the same heading, else the one most like it."""
    likeness = {
        other: difflib.SequenceMatcher(None, text, other, autojunk=False).quick_ratio() + (heading == title)
        for heading, other in now
    }
    best = max(likeness, key=lambda each: likeness[each], default=None)
    return best if best is not None and likeness[best] >= LIKE_LEAST else None


def _split(text: str) -> list[str]:
    """Sentences and lines, each with the numbers that stand behind its end."""
    parts, start = [], 0
    for end in _SENTENCE.finditer(text):
        cited = end[0].rstrip()
        parts.append(text[start : end.start()] + cited)
        start = end.end()
    parts.append(text[start:])
    return [each.strip() for each in parts if each.strip()]


def _short(line: str) -> str:
    return line if len(line) <= LINE_CHARS else f"{line[: LINE_CHARS - 1]}…"
