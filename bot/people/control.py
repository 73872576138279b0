"""The commands `user ...` of the command line, in the daemon."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from bot.model import ConversationId
from bot.people.erasure import Erasure
from bot.people.keeping import release
from bot.ports import Clock, Cursor, Store
from bot.store import audit, people
from bot.text import clean

REASON_CHARS: Final = 500
_COUNTS: Final = {
    "conversations": "SELECT count(DISTINCT s.conversation_id) FROM speakers s JOIN identities i ON i.id = s.identity_id WHERE i.user_id = :user",
    "cases": "SELECT count(DISTINCT m.case_id) FROM messages m JOIN identities i ON i.id = m.identity_id WHERE i.user_id = :user",
    "messages": "SELECT count(*) FROM messages m JOIN identities i ON i.id = m.identity_id WHERE i.user_id = :user",
    "files": "SELECT count(*) FROM blobs b JOIN identities i ON i.channel = b.channel AND i.account = b.account AND i.external_id = b.owner "
    "WHERE i.user_id = :user",
    "actions": "SELECT count(*) FROM actions a JOIN identities i ON i.id = a.identity_id WHERE i.user_id = :user",
    "facts": "SELECT count(*) FROM facts f JOIN identities i ON i.id = f.identity_id WHERE i.user_id = :user AND f.ended_ms IS NULL",
    "episodes": "SELECT count(*) FROM episodes e JOIN identities i ON i.id = e.identity_id WHERE i.user_id = :user AND e.text <> ''",
}


class UserCommands:
    """`changed`: conversations that turns must not go on from."""

    def __init__(
        self, store: Store, clock: Clock, erasure: Erasure, changed: Callable[[Sequence[ConversationId]], None]
    ) -> None:
        self._store = store
        self._clock = clock
        self._erasure = erasure
        self._changed = changed

    async def answer(self, account: str, command: str, arguments: Mapping[str, Any]) -> object:
        """A JSON value, for a local account. Raises NotDone."""
        return await self.act(f"local:{account}", command, arguments)

    async def act(self, actor: str, command: str, arguments: Mapping[str, Any]) -> object:
        """The same, recorded with `actor`: an operator's id, or `local:ACCOUNT`."""
        now = self._clock.now_ms()
        wanted = clean(str(arguments.get("user", "")))
        reason = clean(str(arguments.get("reason", ""))).strip()[:REASON_CHARS]
        match command.removeprefix("user "):
            case "list":
                return await self._store.run(_listed, arguments.get("limit", 100))
            case "show" | "export" as kind:
                return await self._store.run(_shown, wanted, actor if kind == "export" else "", now)
            case "link":
                return await self._store.run(_link, wanted, clean(str(arguments.get("other", ""))), actor, now)
            case "unlink":
                return await self._store.run(_unlink, wanted, actor, now)
            case "hold" | "erase" if not reason:
                raise people.NotDone("write why, for the record: --reason TEXT")
            case "hold":
                return await self._store.run(_hold, wanted, reason, actor, now)
            case "release":
                return await self._release(wanted, actor, now)
            case "erase":
                return (await self._erasure.run(wanted, reason, actor)).told()
        raise people.NotDone(f"there is no command {command}. frontdesk --help lists the commands")

    async def _release(self, wanted: str, actor: str, now_ms: int) -> dict[str, Any]:
        count, changed = await self._store.run(_released, wanted, actor, now_ms)
        self._changed(changed)
        return {"holds": count, "forgotten": len(changed)}


def _listed(cursor: Cursor, limit: int) -> list[dict[str, Any]]:
    names = ("user", "name", "identities", "since_ms", "held", "last_ms")
    rows = [dict(zip(names, row, strict=True)) for row in cursor.fetch(people.USERS, {"limit": limit})]
    return [{**row, "accounts": [each.shown for each in people.identities_of(cursor, row["user"])]} for row in rows]


def _shown(cursor: Cursor, wanted: str, exported_by: str, now_ms: int) -> dict[str, Any]:
    known = people.find(cursor, wanted)
    user = known[0].user
    if exported_by:
        audit.append(cursor, exported_by, "user exported", user, now_ms)
    held = people.holds_of(cursor, user)
    return {
        "user": user,
        "identities": [
            {"identity": each.id, "account": each.shown, "name": each.name, "verified": each.is_verified}
            for each in known
        ],
        "counts": {name: cursor.fetch(sql, {"user": user})[0][0] for name, sql in _COUNTS.items()},
        "holds": [
            {"identity": each.identity, "reason": each.reason, "since_ms": each.since_ms, "asked_ms": each.asked_ms}
            for each in held
        ],
    }


def _link(cursor: Cursor, wanted: str, other: str, actor: str, now_ms: int) -> dict[str, Any]:
    one, two = people.find(cursor, wanted)[0], people.find(cursor, other)[0]
    is_new = people.link(cursor, one.id, two.id, actor, now_ms)
    return {"is_new": is_new, **_shown(cursor, one.user, "", now_ms)}


def _unlink(cursor: Cursor, wanted: str, actor: str, now_ms: int) -> dict[str, Any]:
    return {"users": people.unlink(cursor, people.find(cursor, wanted)[0].user, actor, now_ms)}


def _hold(cursor: Cursor, wanted: str, reason: str, actor: str, now_ms: int) -> dict[str, Any]:
    user = people.find(cursor, wanted)[0].user
    people.hold(cursor, user, reason, actor, now_ms)
    return _shown(cursor, user, "", now_ms)


def _released(cursor: Cursor, wanted: str, actor: str, now_ms: int) -> tuple[int, Sequence[ConversationId]]:
    return release(cursor, people.find(cursor, wanted)[0].user, actor, now_ms)
