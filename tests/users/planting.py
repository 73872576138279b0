"""A person about whom something stands in every column of every table, and the bytes that are left of them."""

from pathlib import Path
from typing import Any

from bot.ids import conversation_id, derived_id, identity_id
from bot.model import Address
from bot.people import places
from bot.ports import Cursor, Value
from bot.store.blobs import path_of
from bot.store.folder import BLOBS
from tests.pipeline.house import Core

# Not of this person: what cannot be traced to anybody, or is told of in places.py as kept.
NOT_PLANTED = {
    *("meta", "audit", "operators", "operator_links", "operator_codes", "operator_sessions", "sign_in_failures"),
    *(
        "holds",
        "document_versions",
        "cited_passages",
        "commands_done",
        "tombstones",
        "erasures",
        "users",
        "identities",
        "conversations",
        "speakers",
        "spend",
        "timers",
    ),
}
STATES = {"actions": "succeeded", "consents": "given", "outbox": "sent", "handoffs": "resolved", "queue": ""}


class Person:
    """`canary` is in everything that is written for them. `name` is their chat and external id."""

    def __init__(self, name: str, canary: str, channel: str = "list") -> None:
        self.name, self.canary, self.channel = name, canary, channel
        self.at = Address(channel, "", name)
        self.conversation = conversation_id(self.at)
        self.identity = identity_id(channel, "", name)
        self.thread = conversation_id(Address(channel, "", f"room-{derived_id('room', name)}", "card"))
        self.blob = derived_id("blob", name)

    def known(self, message: str, case: str) -> dict[str, str]:
        """The columns by which rows are found."""
        return {
            "conversation_id": self.conversation,
            "case_id": case,
            "identity_id": self.identity,
            "message_id": message,
            "turn_id": derived_id("turn", self.name),
            "reply_id": derived_id("reply", message),
            "handoff_id": derived_id("handoff", self.name),
            "action_id": derived_id("action", self.name),
            "payer": self.identity,
            "channel": self.channel,
            "account": "",
            "owner": self.name,
            "thread": self.thread,
            "room": derived_id("room", self.name),
            "card": derived_id("card", self.name),
        }


async def plant(core: Core, folder: Path, who: Person) -> None:
    """What a real conversation leaves, and then a row of theirs in every table, the canary in each of its texts."""
    accepted = await core.say(
        f"Hello {who.canary}, the printer is broken", f"{who.name}-1", chat=who.name, channel=who.channel
    )
    await core.rest()
    await core.say("and it smells of smoke", f"{who.name}-2", chat=who.name, channel=who.channel)
    await core.rest()
    await core.store.run(_plant, who, accepted.message, accepted.case)
    path = path_of(folder / BLOBS, who.blob)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(f"%PDF {who.canary}".encode())


def _plant(cursor: Cursor, who: Person, message: str, case: str) -> None:
    known = who.known(message, case)
    for (table,) in cursor.fetch(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
    ):
        if table not in NOT_PLANTED:
            columns = cursor.fetch(f"SELECT name, type FROM pragma_table_info('{table}')")
            row = {name: _value(who, table, name, type_, known) for name, type_ in columns}
            marks = ", ".join(f":{name}" for name in row)
            cursor.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks}) ON CONFLICT DO NOTHING", row)
    copy: dict[str, Value] = {
        "id": derived_id("copy", who.name),
        "thread": who.thread,
        "text": f"mirrored {who.canary}",
        "seq": 1,
    }
    cursor.execute(
        "INSERT INTO messages (id, conversation_id, seq, case_id, author, visibility, text, created_ms) "
        "VALUES (:id, :thread, :seq, '', 'user', 'public', :text, 1)",
        copy,
    )
    cursor.execute(
        "INSERT INTO outbox (message_id, part, conversation_id, seq, channel, text, state, due_ms) "
        "VALUES (:id, 0, :thread, 1, 'list', :text, 'sent', 1)",
        copy,
    )
    cursor.execute(
        "INSERT INTO spend VALUES ('2026-01-01', :identity, 'm', 1, 0, 1, 1, 0, 0, 5)", {"identity": who.identity}
    )
    cursor.execute("UPDATE users SET name = :canary WHERE id = :id", {"canary": who.canary, "id": who.identity})
    cursor.execute("UPDATE identities SET name = :canary WHERE id = :id", {"canary": who.canary, "id": who.identity})


def _value(who: Person, table: str, name: str, type_: str, known: dict[str, str]) -> Any:
    if name in known and table != "conversations":
        return known[name] if name != "message_id" or table != "early_changes" else known["message_id"]
    if name == "id":
        return {
            "actions": known["action_id"],
            "handoffs": known["handoff_id"],
            "turns": known["turn_id"],
            "blobs": who.blob,
        }.get(table, derived_id("planted", table, who.name))
    if type_ != "TEXT":
        return 9_000 if name == "seq" else 1
    if table == "bookmarks":
        return f"newest of {who.name}"
    if name == "object":
        return derived_id("object", who.name)
    if name in ("state", "stage"):
        return STATES.get(table, "ended")
    if name in ("attachments", "citations", "buttons", "messages"):
        return f'["{who.canary}"]' if table in ("episodes",) else ""
    if name in ("author", "visibility"):
        return {"author": "operator", "visibility": "note"}[name]
    if name not in places.TEXTS.get(table, ()):
        return f"our own {name}"
    return f"{table}.{name} of {who.canary}"


def files_with(folder: Path, text: str) -> list[str]:
    """The files of the data folder in which it stands."""
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and text.encode() in path.read_bytes()
    )


ALL_TOLD = set(places.TEXTS) | set(places.BARE) | set(places.OF_CONVERSATION) | set(places.OF_IDENTITY)
