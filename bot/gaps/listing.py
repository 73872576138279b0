"""What is known of gaps, as JSON: the list, and one with its draft. `read` looks like `Store.read`."""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from bot.errors import Refused
from bot.gaps.finding import questions
from bot.ports import Row, Value

Read = Callable[[str, Mapping[str, Value]], Awaitable[list[Row]]]
Json = dict[str, Any]

LIST_MOST: Final = 200
EXAMPLES_MOST: Final = 3
QUESTION_CHARS: Final = 400
FORGOTTEN: Final = "(erased)"

_GAP: Final = "id, agent, state, count, first_ms, last_ms, document, decided_by"
_LIST: Final = f"""
    SELECT {_GAP} FROM gaps WHERE state <> 'closed' OR :all = 1 ORDER BY state = 'closed', count DESC, last_ms DESC, id LIMIT :limit"""
_ONE: Final = f"SELECT {_GAP} FROM gaps WHERE id >= :low AND id < :high ORDER BY id <> :low, id LIMIT 2"
_ASKS: Final = """
    SELECT a.kind, a.conversation_id, m.text FROM gap_asks a JOIN messages m ON m.id = a.message_id
    WHERE a.gap_id = :gap AND m.is_deleted = 0 AND m.text <> '' ORDER BY a.created_ms DESC, a.kind, a.subject LIMIT 50"""
_DRAFT: Final = "title, text, model, created_ms"
_DRAFT_OF: Final = f"SELECT {_DRAFT} FROM gap_drafts WHERE gap_id = :gap"


async def listed(read: Read, *, is_all: bool = False) -> list[Json]:
    """Those asked most come first; closed ones only with `is_all`."""
    rows = await read(_LIST, {"all": int(is_all), "limit": LIST_MOST})
    return [await _with_asks(read, _named(_GAP, row)) for row in rows]


async def shown(read: Read, id_: str) -> Json:
    """One gap by its id or the beginning of it, with its draft, None where there is none. Raises Refused."""
    rows = await read(_ONE, {"low": id_, "high": f"{id_}g" if id_ else ""})  # ids are hexadecimal, and g follows
    if not rows:
        raise Refused("no_gap", f"There is no gap {id_!r}. See: frontdesk knowledge gaps")
    if len(rows) > 1 and rows[0][0] != id_:
        raise Refused("no_gap", f"More than one gap begins with {id_!r}. Write more of its id.")
    found = await _with_asks(read, _named(_GAP, rows[0]))
    drafts = await read(_DRAFT_OF, {"gap": found["id"]})
    return {**found, "draft": _named(_DRAFT, drafts[0]) if drafts else None}


async def _with_asks(read: Read, gap: Json) -> Json:
    asks = await read(_ASKS, {"gap": gap["id"]})
    said = questions([text for _, _, text in asks], EXAMPLES_MOST)
    return {
        **gap,
        "question": said[0][:QUESTION_CHARS] if said else FORGOTTEN,
        "others": [each[:QUESTION_CHARS] for each in said[1:]],
        "kinds": dict(Counter(kind for kind, _, _ in asks)),
        "conversations": list(dict.fromkeys(conversation for _, conversation, _ in asks))[:EXAMPLES_MOST],
    }


def _named(columns: str, row: Row) -> Json:
    return dict(zip(columns.split(", "), row, strict=True))
