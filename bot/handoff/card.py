"""The card of a case in an operators' room: what it is about, how it stands, and what can be done with it."""

import json
from typing import Any, Final

from bot.handoff.machine import AWAITING, HELD, Stage
from bot.handoff.names import name_of
from bot.model import Button, Conversation, value
from bot.ports import Cursor
from bot.store.handoffs import Record

TAKE: Final = Button("desk:take", "Take")
PEEK: Final = Button("desk:peek", "Peek")
REPLY: Final = Button("desk:reply", "Reply")
RETURN: Final = Button("desk:return", "Return to agent")
RESOLVE: Final = Button("desk:resolve", "Resolve")
SNOOZE: Final = Button("desk:snooze", "Snooze")
TRANSFER: Final = Button("desk:transfer", "Transfer")
DECLINE: Final = Button("desk:decline", "Decline")
REOPEN: Final = Button("desk:reopen", "Reopen")
BODY_CHARS: Final = 2000
_NAME: Final = "SELECT name FROM identities WHERE id = :id"
_STANDS: Final[dict[Stage, str]] = {
    Stage.REQUESTED: "requested",
    Stage.OFF_HOURS: "waits for the opening hours",
    Stage.QUEUED: "waiting for somebody",
    Stage.OFFERED: "offered to {who}",
    Stage.ACTIVE: "with {who}",
    Stage.WAITING: "with {who}, waiting for the user",
    Stage.SNOOZED: "put off by {who}",
    Stage.WRAP_UP: "closed, {who} finishes notes",
    Stage.RETURNED: "back with the agent",
    Stage.RESOLVED: "resolved",
    Stage.ABANDONED: "the user did not want to wait",
    Stage.TIMED_OUT: "nobody came in time",
}
_PRIORITY: Final = {-1: " · low priority", 1: " · high priority", 2: " · urgent"}


@value
class Shown:
    """What stands in the room."""

    text: str
    buttons: tuple[Button, ...]


def card_of(cursor: Cursor, found: Conversation, record: Record, now_ms: int) -> Shown:
    """A line that says who, what it is about, and after an empty line how it stands. Only what changes rarely stands on it, so that it is
    not shown anew all the time."""
    names = cursor.fetch(_NAME, {"id": found.identity})
    name = name_of(cursor, record.state.offered_to or record.state.operator) or "somebody"
    brief: dict[str, Any] = json.loads(record.brief or "{}")
    person = " ".join((names[0][0] if names else "").split()) or "A visitor"  # the first line is the card's title
    body = [record.reason, str(brief.get("summary", "")), f"Contact: {record.contact}" if record.contact else ""]
    stands = [
        _STANDS[record.state.stage].format(who=name),
        f"team {record.team}" if record.team else "",
        f"case {record.case[:8]}" if record.case else "",
    ]
    text = "\n".join(line for line in body if line)[:BODY_CHARS]
    title = f"{person} on {found.address.channel}{_PRIORITY.get(record.priority, '')}"
    return Shown(f"{title}\n{text}\n\n{' · '.join(part for part in stands if part)}", buttons_of(record.state.stage))


def buttons_of(stage: Stage) -> tuple[Button, ...]:
    """What can be done from this stage."""
    if stage in AWAITING or stage is Stage.OFF_HOURS:
        declines = (DECLINE,) if stage is Stage.OFFERED else ()
        return (TAKE, PEEK, REPLY, *declines, RETURN, RESOLVE, TRANSFER)
    if stage in HELD:
        return (REPLY, RETURN, RESOLVE, SNOOZE, TRANSFER, PEEK)
    return (REOPEN, PEEK) if stage in (Stage.WRAP_UP, Stage.RESOLVED) else (TAKE, PEEK)
