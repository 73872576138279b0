"""A data folder with a few rows in it, as a daemon leaves it."""

import json
import sqlite3
from pathlib import Path

from bot.store.migrations import migrate

START = 1_760_000_000_000
TURN = "0199c8f4-0001-7000-8000-000000000001"
HOSTILE = "Hello \x1b[31m\u202edlrow\x07 [bold]x[/bold]\nsecond line"


def fill(folder: Path) -> Path:
    """A config and a database with one conversation: a question, a turn, an answer; one held message, one incident."""
    config = folder / "config.toml"
    config.write_text('[data]\npath = "kept"\n')
    data = folder / "kept"
    data.mkdir(mode=0o700)
    database = sqlite3.connect(data / "frontdesk.db", isolation_level=None)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        migrate(database, data / "frontdesk.db")
        for table, row in rows():
            _insert(database, table, row)
    finally:
        database.close()
    return config


def rows() -> list[tuple[str, dict[str, object]]]:
    talk = {"conversation_id": "c1"}
    said = {**talk, "case_id": "k1", "visibility": "public", "created_ms": START}
    asked = {**said, "author": "user", "kind": "message"}
    trace = {
        "messages": ["m1"],
        "reply": "m2",
        "model": "offline",
        "steps": 2,
        "first_token_ms": 12.5,
        "calls": [],
        "passages": [{"id": "p1", "title": "Opening hours \u202e", "score": 1.25, "coverage": 0.5}],
    }
    return [
        ("users", {"id": "u1", "created_ms": START}),
        (
            "identities",
            {"id": "i1", "channel": "web", "account": "", "external_id": "v1", "user_id": "u1", "created_ms": START},
        ),
        (
            "conversations",
            {
                "id": "c1",
                "channel": "web",
                "account": "",
                "chat": "v1",
                "thread": "",
                "identity_id": "i1",
                "agent": "main",
            }
            | {"created_ms": START, "is_person_wanted": 1},
        ),
        ("messages", {"id": "m1", "seq": 1, "text": HOSTILE, "handled_ms": START + 60, **asked}),
        ("messages", {"id": "m2", "seq": 2, "author": "agent", "text": "We open at nine [1].", **said}),
        ("messages", {"id": "m3", "seq": 3, "text": "And on Sundays?", **asked}),
        (
            "outbox",
            {"message_id": "m2", "part": 0, "seq": 2, "channel": "web", "due_ms": START + 60, **talk} | {"is_held": 1},
        ),
        (
            "turns",
            {"id": TURN, "case_id": "k1", "agent": "main", "outcome": "answered", "started_ms": START + 10}
            | {"ended_ms": START + 60, "trace": json.dumps(trace), **talk},
        ),
        (
            "incidents",
            {
                "id": "n1",
                "kind": "dead letter",
                "subject": "s",
                "detail": "three times \x1b]0;x\x07",
                "created_ms": START,
            }
            | {"updated_ms": START},
        ),
    ]


def _insert(database: sqlite3.Connection, table: str, row: dict[str, object]) -> None:
    names = ", ".join(row)
    marks = ", ".join(f":{name}" for name in row)
    database.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", row)
