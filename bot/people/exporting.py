"""Everything that is stored of a person, as JSON and files, for the person to have.

Of conversations with others it holds what the person said and what was answered there for all to read; what others said is theirs, and so are
notes, traces, briefs and summaries, which may be about any of them. Operators' notes about the person alone are in it, marked as such.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from bot.model import value
from bot.ports import Cursor, Value
from bot.store import memory
from bot.store.blobs import path_of
from bot.store.sqlite import read_only
from bot.store.writer import SqliteCursor

FORMAT: Final = "frontdesk user export 1"
FILE: Final = "user.json"
FILES: Final = "files"

_OF_USER: Final = "IN (SELECT id FROM identities WHERE user_id = :user)"
_IN_THEIRS: Final = f"conversation_id IN (SELECT conversation_id FROM speakers WHERE identity_id {_OF_USER})"
_THEIR_CASES: Final = (
    f"case_id IN (SELECT m.case_id FROM messages m WHERE m.identity_id {_OF_USER} AND m.case_id <> '')"
)
# Conversations in which nobody else has spoken: what operators wrote down there is of this person and of nobody else.
_ALONE: Final = f"""conversation_id IN (SELECT s.conversation_id FROM speakers s WHERE s.identity_id {_OF_USER} AND NOT EXISTS (
    SELECT 1 FROM speakers o WHERE o.conversation_id = s.conversation_id AND o.identity_id NOT {_OF_USER}))"""
_ANSWERED: Final = f"(identity_id {_OF_USER} OR (identity_id = '' AND {_THEIR_CASES} AND {_IN_THEIRS} AND (visibility = 'public' OR {_ALONE})))"
# Turns that read nothing of anybody else's.
_THEIR_TURNS: Final = f"""
    SELECT t.turn_id FROM messages t WHERE t.identity_id {_OF_USER} AND t.turn_id <> '' AND NOT EXISTS (
        SELECT 1 FROM speakers o WHERE o.conversation_id = t.conversation_id AND o.identity_id NOT {_OF_USER})"""
_THEIR_ACTIONS: Final = f"action_id IN (SELECT id FROM actions WHERE identity_id {_OF_USER})"

# Table, columns, which rows, in which order.
_TABLES: Final[Mapping[str, tuple[str, str, str]]] = {
    "users": ("id, name, language, time_zone, created_ms", "id = :user", "id"),
    "identities": (
        "id, channel, account, external_id, user_id, name, is_verified, created_ms",
        "user_id = :user",
        "id",
    ),
    "conversations": (
        "id, channel, account, chat, thread, agent, is_stopped, is_blocked, is_shared, created_ms",
        f"id IN (SELECT conversation_id FROM speakers WHERE identity_id {_OF_USER})",
        "created_ms, id",
    ),
    "cases": (
        "id, conversation_id, opened_ms, ended_ms, outcome, feedback, summary, person_wanted_ms",
        f"id IN (SELECT m.case_id FROM messages m WHERE m.identity_id {_OF_USER})",
        "opened_ms, id",
    ),
    "messages": (
        "id, conversation_id, case_id, seq, author, visibility, name, text, attachments, citations, feedback, created_ms, sent_ms, changed_ms, "
        "is_deleted, external_id, kind, operator_id",
        _ANSWERED,
        "conversation_id, seq",
    ),
    "turns": (
        "id, conversation_id, case_id, agent, outcome, started_ms, ended_ms, trace",
        f"id IN ({_THEIR_TURNS})",
        "started_ms, id",
    ),
    "actions": (
        "id, conversation_id, case_id, name, effect, arguments, facts, amount, state, result, created_ms, ended_ms",
        f"identity_id {_OF_USER}",
        "created_ms, id",
    ),
    "consents": ("id, action_id, kind, text, state, why, created_ms, decided_ms", _THEIR_ACTIONS, "created_ms, id"),
    "contact_choices": ("message_id, identity_id, channel, choice, word, at_ms", f"identity_id {_OF_USER}", "at_ms"),
    "handoffs": (
        "id, conversation_id, case_id, stage, origin, reason, brief, team, language, contact, asked_ms, taken_ms, ended_ms",
        f"{_THEIR_CASES} AND {_ALONE}",
        "asked_ms, id",
    ),
    "suggestions": (
        "id, conversation_id, text, outcome, created_ms",
        _ALONE,
        "created_ms, id",
    ),
    "tags": ("case_id, tag", f"case_id IN (SELECT id FROM cases WHERE {_ALONE}) AND {_THEIR_CASES}", "case_id, tag"),
    "gap_asks": (
        "kind, conversation_id, message_id, created_ms",
        f"identity_id {_OF_USER}",
        "created_ms, message_id, kind",
    ),
    "holds": ("identity_id, since_ms, asked_ms, put_away", f"identity_id {_OF_USER}", "since_ms"),
    "spend": ("day, model, calls, input_tokens, output_tokens, cost_micros", f"payer {_OF_USER}", "day, model"),
    "audit": ("actor, action, subject, at_ms", f"(actor {_OF_USER} OR subject {_OF_USER})", "number"),
}
_STEPS: Final = f"""
    SELECT t.conversation_id, t.name, t.arguments, t.state, t.result, t.started_ms FROM tool_calls t WHERE t.turn_id IN ({_THEIR_TURNS})
    ORDER BY t.started_ms, t.reply_id, t.step, t.place"""
_OWN_CASES: Final = f"SELECT id FROM cases WHERE {_ALONE}"
_BLOBS: Final = """
    SELECT b.id, b.name, b.media_type, b.size_bytes, b.created_ms FROM blobs b JOIN identities i
        ON i.channel = b.channel AND i.account = b.account AND i.external_id = b.owner
    WHERE i.user_id = :user ORDER BY b.created_ms, b.id"""
_JSON: Final = frozenset({"attachments", "citations", "trace", "arguments", "facts", "brief", "put_away"})
_NOTE: Final = "a note of an operator, which the person has not seen"


@value
class Export:
    """`data` is JSON; `files` are the ids of the person's files, with the names that they get."""

    data: Mapping[str, Any]
    files: Sequence[tuple[str, str]]


def exported(cursor: Cursor, user: str, now_ms: int) -> Export:
    """All of one user, in one look."""
    who: dict[str, Value] = {"user": user}
    found: dict[str, Any] = {"format": FORMAT, "exported_ms": now_ms, "user": user}
    for table, (columns, where, order) in _TABLES.items():
        rows = cursor.fetch(f"SELECT {columns} FROM {table} WHERE {where} ORDER BY {order}", who)
        found[table] = [_named(columns, row) for row in rows]
    found["messages"] = [_marked(each) for each in found["messages"]]
    own = {row[0] for row in cursor.fetch(_OWN_CASES, who)}
    found["cases"] = [each if each["id"] in own else {**each, "summary": ""} for each in found["cases"]]
    calls = "conversation_id, name, arguments, state, result, started_ms"
    found["tool_calls"] = [_named(calls, row) for row in cursor.fetch(_STEPS, who)]
    found["memory"] = memory.exported(cursor, user)
    blobs = cursor.fetch(_BLOBS, who)
    names = [(row[0], f"{number:04}-{_safe(row[1])}") for number, row in enumerate(blobs, 1)]
    columns = "id, name, media_type, size_bytes, created_ms"
    found["files"] = [
        {**_named(columns, row), "file": f"{FILES}/{name}"} for row, (_, name) in zip(blobs, names, strict=True)
    ]
    return Export(found, names)


def look(database: Path, user: str, now_ms: int) -> Export:
    """The same beside the writer, which goes on. Blocking."""
    connection = read_only(database)
    try:
        connection.execute("BEGIN")
        return exported(SqliteCursor(connection), user, now_ms)
    finally:
        connection.close()


def text(export: Export) -> str:
    """As the file of the export is written."""
    return json.dumps(export.data, ensure_ascii=False, indent=2) + "\n"


def write(export: Export, blobs: Path, folder: Path) -> int:
    """Into a folder that is new or empty, readable by this account alone. Returns how many files could not be found."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    missing = 0
    (folder / FILES).mkdir(mode=0o700, exist_ok=True)
    for blob, name in export.files:
        try:
            shutil.copyfile(path_of(blobs, blob), folder / FILES / name)
        except FileNotFoundError:
            missing += 1
    (folder / FILE).write_text(text(export), encoding="utf-8")
    return missing


def _named(columns: str, row: Sequence[Any]) -> dict[str, Any]:
    """Columns that hold JSON become JSON; the rows of tables are untyped."""
    named = dict(zip(columns.split(", "), row, strict=True))
    return {name: _plain(each) if name in _JSON else each for name, each in named.items()}


def _plain(text: object) -> object:
    if not isinstance(text, str) or not text:
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def _marked(message: dict[str, Any]) -> dict[str, Any]:
    return {**message, "note": _NOTE} if message["visibility"] == "note" else message


def _safe(name: str) -> str:
    """Never a path, and no hidden file."""
    return (
        "".join(letter if letter.isalnum() or letter in "._- " else "_" for letter in name).strip(". ")[:100] or "file"
    )
