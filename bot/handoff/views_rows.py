"""The inbox in the database: which conversations a list shows, and the row of each, as JSON.

Rows are the same for every operator, so that one reading serves all who watch.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from bot.errors import Refused
from bot.handoff.machine import AWAITING, HELD, Stage
from bot.model import value
from bot.ports import Row, Value
from bot.store import records

Read = Callable[[str, Mapping[str, Value]], Awaitable[list[Row]]]
Json = dict[str, Any]

LINE_CHARS: Final = 140
AT_ONCE: Final = 250  # rows of one reading: between two, others get their turn
PAGE: Final = 500
PAGE_MOST: Final = 2_000
SEARCHED: Final = 5_000  # ended conversations that a search looks through, the latest first

_NAME: Final = "coalesce(nullif(i.name, ''), u.name, '')"

_CASE: Final = """
    CASE WHEN c.case_id <> '' THEN c.case_id
    ELSE coalesce((SELECT l.id FROM cases l WHERE l.conversation_id = c.id ORDER BY l.first_seq DESC LIMIT 1), '') END"""

# The handoff of a conversation: the open one, else the last one of its case.
HANDOFF_ID: Final = f"""
    coalesce((SELECT x.id FROM handoffs x WHERE x.conversation_id = c.id AND x.ended_ms IS NULL),
             (SELECT x.id FROM handoffs x WHERE x.case_id = {_CASE} ORDER BY x.asked_ms DESC, x.id DESC LIMIT 1))"""

_ROW: Final = f"""
    SELECT c.id, c.kind, c.case_id, {_CASE}, c.channel, c.account, c.owner, c.is_blocked, i.id, {_NAME},
        h.id, h.stage, h.operator, coalesce(o.name, ''), h.offered_to, h.priority, h.team, h.reason, h.origin,
        h.asked_ms, h.heard_ms, h.replied_ms, h.ended_ms, m.text, m.author, m.created_ms, m.attachments, c.created_ms,
        (SELECT CASE WHEN w.sent_ms > 0 AND w.sent_ms < w.created_ms THEN w.sent_ms ELSE w.created_ms END FROM messages w
         WHERE w.conversation_id = c.id AND w.author = 'user' AND w.kind NOT IN ('', 'overheard') ORDER BY w.seq DESC LIMIT 1)
    FROM conversations c
    LEFT JOIN identities i ON i.id = c.identity_id
    LEFT JOIN users u ON u.id = i.user_id
    LEFT JOIN handoffs h ON h.id = {HANDOFF_ID}
    LEFT JOIN operators o ON o.id = h.operator
    LEFT JOIN messages m ON m.conversation_id = c.id AND m.seq = (SELECT z.seq FROM messages z WHERE z.conversation_id = c.id
        AND z.visibility = 'public' AND z.is_deleted = 0 ORDER BY z.seq DESC LIMIT 1)
    WHERE c.id IN ({{marks}})"""

_TAGS: Final = "SELECT case_id, tag FROM tags WHERE case_id IN ({marks}) ORDER BY tag"

_TIMERS: Final = "SELECT handoff_id, kind, due_ms, acted_ms FROM timers WHERE handoff_id IN ({marks}) ORDER BY due_ms"

_NEWEST: Final = """
    coalesce((SELECT n.created_ms FROM messages n WHERE n.conversation_id = c.id AND n.visibility = 'public' AND n.is_deleted = 0
              ORDER BY n.seq DESC LIMIT 1), c.created_ms)"""

_HELD_BY: Final = "h.operator = :me AND h.stage IN ('active', 'waiting', 'snoozed', 'wrap-up') OR h.offered_to = :me"
_FROM_HANDOFFS: Final = f"""
    SELECT c.id AS id, c.identity_id AS identity_id, c.case_id AS case_id, {_NEWEST} AS at
    FROM handoffs h JOIN conversations c ON c.id = h.conversation_id WHERE h.ended_ms IS NULL AND c.kind = ''"""
_LISTS: Final = {
    "mine": f"{_FROM_HANDOFFS} AND ({_HELD_BY})",
    "people": _FROM_HANDOFFS,
    "waiting": f"{_FROM_HANDOFFS} AND h.stage IN ('requested', 'off hours', 'queued', 'offered')",
    "all": f"""
    SELECT c.id AS id, c.identity_id AS identity_id, c.case_id AS case_id, {_NEWEST} AS at
    FROM cases s JOIN conversations c ON c.id = s.conversation_id WHERE s.ended_ms IS NULL AND c.case_id = s.id AND c.kind = ''
    UNION {_FROM_HANDOFFS}""",
    "ended": f"""
    SELECT c.id AS id, c.identity_id AS identity_id, s.id AS case_id, {_NEWEST} AS at
    FROM cases s JOIN conversations c ON c.id = s.conversation_id
    WHERE s.ended_ms IS NOT NULL AND c.case_id = '' AND c.kind = ''
      AND s.id = (SELECT l.id FROM cases l WHERE l.conversation_id = c.id ORDER BY l.first_seq DESC LIMIT 1)
    ORDER BY s.ended_ms DESC LIMIT {SEARCHED}""",
}

_LIST: Final = """
    SELECT l.id, l.at FROM ({inner}) l WHERE (:before = 0 OR l.at < :before OR l.at = :before AND l.id < :behind)
    ORDER BY l.at DESC, l.id DESC LIMIT :limit"""

_SEARCH: Final = """
    SELECT l.id, l.at FROM ({inner}) l LEFT JOIN identities i ON i.id = l.identity_id LEFT JOIN users u ON u.id = i.user_id
    WHERE (:before = 0 OR l.at < :before OR l.at = :before AND l.id < :behind)
      AND (l.id LIKE :start ESCAPE '!' OR l.case_id LIKE :start ESCAPE '!'
        OR EXISTS (SELECT 1 FROM tags t WHERE t.case_id = l.case_id AND lower(t.tag) = :tag)
        OR {name} OR {external}
        OR EXISTS (SELECT 1 FROM handoffs h WHERE h.case_id = l.case_id AND ({reason}))
        OR EXISTS (SELECT 1 FROM messages m WHERE m.conversation_id = l.id AND m.is_deleted = 0 AND ({text})))
    ORDER BY l.at DESC, l.id DESC LIMIT :limit"""
_SEARCHED_IN: Final = {"name": _NAME, "external": "i.external_id", "reason": "h.reason", "text": "m.text"}


@value
class Wanted:
    """One page of a list. `me`: whose is "mine". `before`: the `next` of the page before, or a row's `at_ms`; "" for the first page."""

    which: str = "all"
    text: str = ""
    me: str = ""
    before: str = ""
    limit: int = PAGE


@value
class Around:
    """What rows show that is not in the database. `lookers`: who has the conversation open. `window_ms`: for how long after the user's
    message a channel takes free text, 0 for always."""

    lookers: Callable[[str], list[str]]
    window_ms: Callable[[str, str], int]


def nobody(_: str) -> list[str]:
    return []


def always(_: str, __: str) -> int:
    return 0


async def page(read: Read, wanted: Wanted) -> tuple[list[str], str]:
    """The conversations of a page, the latest first, and what the next one begins behind ("" where there is none). Raises Refused."""
    inner = _LISTS.get(wanted.which)
    if inner is None:
        raise Refused("bad_request", f"There is no list {wanted.which!r}. There is: {', '.join(_LISTS)}.")
    before, behind = _cursor(wanted.before)
    text = " ".join(wanted.text.split())
    given: dict[str, Value] = {"before": before, "behind": behind, "limit": wanted.limit + 1}
    if wanted.which == "mine":
        given["me"] = wanted.me
    sql = _LIST.format(inner=inner)
    if text:
        likes = {f"like{place}": f"%{_escaped(each)}%" for place, each in enumerate(_spellings(text))}
        given |= {**likes, "tag": text.lower(), "start": f"{_escaped(text)}%"}
        sql = _SEARCH.format(inner=inner, **{name: _is_like(what, likes) for name, what in _SEARCHED_IN.items()})
    rows = await read(sql, given)
    kept = rows[: wanted.limit]
    more = f"{kept[-1][1]}:{kept[-1][0]}" if len(rows) > wanted.limit else ""
    return [row[0] for row in kept], more


def _spellings(text: str) -> list[str]:
    """The database takes `a` for `A`, but not `ä` for `Ä`: such a text is looked for as it is usually written."""
    found = [text] if text.isascii() else [text, text.lower(), text.upper(), text.title(), text.capitalize()]
    return list(dict.fromkeys(found))


def _escaped(text: str) -> str:
    return text.replace("!", "!!").replace("%", "!%").replace("_", "!_")


def _is_like(what: str, likes: Iterable[str]) -> str:
    return " OR ".join(f"{what} LIKE :{each} ESCAPE '!'" for each in likes)


async def rows_of(
    read: Read, conversations: Sequence[str], now_ms: int, around: Around
) -> tuple[list[Json], list[str]]:
    """The rows of these conversations, in their order, and those that are no longer there. Operators' rooms have none."""
    found: dict[str, Json] = {}
    known: set[str] = set()
    for at in range(0, len(conversations), AT_ONCE):
        some = conversations[at : at + AT_ONCE]
        base = await read(*_of(_ROW, some))
        known.update(row[0] for row in base)
        base = [row for row in base if not row[1]]
        tags = _gathered(await read(*_of(_TAGS, [row[3] for row in base])))
        timers = _gathered(await read(*_of(_TIMERS, [row[10] for row in base if row[10] and row[22] is None])))
        for row in base:
            found[row[0]] = _row(row, tags.get(row[3], []), timers.get(row[10], []), now_ms, around)
    return [found[each] for each in conversations if each in found], [
        each for each in conversations if each not in known
    ]


def one_line(text: str, attachments: str, most: int = LINE_CHARS) -> str:
    """The beginning of a message as one line; of a message without words, its first file's name."""
    line = " ".join(text[: most * 8].split())
    if not line and attachments:
        line = f"[{records.attachments_of(attachments)[0].name}]"
    return line if len(line) <= most else line[: most - 1].rstrip() + "…"


def _row(row: Row, tags: list[Row], timers: list[Row], now_ms: int, around: Around) -> Json:
    conversation, _, open_case, case, channel, account, owner, is_blocked, identity, name, handoff, stage = row[:12]
    operator, operator_name, offered_to, priority, team, reason, origin, asked, heard, replied, ended = row[12:23]
    text, author, at_ms, attachments, created_ms, wrote_ms = row[23:29]
    window_ms = around.window_ms(channel, account)
    window_end = wrote_ms + window_ms if window_ms and wrote_ms else None
    is_open = bool(handoff) and ended is None
    return {
        "conversation": conversation,
        "case": case,
        "handoff": handoff or "",
        "channel": channel,
        "account": account,
        "user": {"name": name, "identity": identity or ""},
        "stage": stage or "",
        "owner": owner,
        "operator": {"id": operator, "name": operator_name} if operator else None,
        "offered_to": offered_to or "",
        "line": one_line(text or "", attachments or ""),
        "line_author": author or "",
        "at_ms": at_ms or created_ms,
        "waiting_since_ms": _waiting_since(stage, asked, heard) if is_open else None,
        "deadline": _deadline(timers, window_end, bool(replied), bool(heard), now_ms) if is_open else None,
        "window_end_ms": window_end,
        "priority": priority or 0,
        "tags": [tag for _, tag in tags],
        "team": team or "",
        "reason": reason or "",
        "origin": origin or "",
        "lookers": around.lookers(conversation),
        "is_open": bool(open_case) or is_open,
        "is_blocked": bool(is_blocked),
    }


def _waiting_since(stage: str, asked_ms: int, heard_ms: int | None) -> int | None:
    if stage in AWAITING or stage == Stage.OFF_HOURS:
        return asked_ms
    return heard_ms or None if stage in HELD else None


def _deadline(timers: list[Row], window_end: int | None, is_replied: bool, is_heard: bool, now_ms: int) -> Json | None:
    """What comes first of what is still unmet. A timer that has acted without being met stays missed."""
    unmet = [(due, kind) for _, kind, due, acted in timers if acted is None or _is_unmet(kind, is_replied, is_heard)]
    if window_end is not None and window_end > now_ms:
        unmet.append((window_end, "window"))
    if not unmet:
        return None
    due, kind = min(unmet)
    return {"kind": kind, "due_ms": due, "is_missed": due <= now_ms}


def _is_unmet(kind: str, is_replied: bool, is_heard: bool) -> bool:
    return (kind == "first reply" and not is_replied) or (kind == "next reply" and is_heard)


def _of(sql: str, ids: Iterable[str]) -> tuple[str, dict[str, Value]]:
    """The statement for these ids."""
    given: dict[str, Value] = {f"i{place}": each for place, each in enumerate(ids)}
    return sql.format(marks=", ".join(f":{name}" for name in given) or "NULL"), given


def _gathered(rows: Iterable[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row[0], []).append(row)
    return found


def _cursor(text: str) -> tuple[int, str]:
    at, _, behind = text.partition(":")
    if not text:
        return 0, ""
    if not at.isascii() or not at.isdecimal() or len(at) > 15:
        raise Refused("bad_request", "A list goes on behind the `next` of the page before.")
    return int(at), behind or "~"  # which stands behind every id: a bare time begins with the rows of that time
