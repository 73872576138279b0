"""Who the operators are: accounts, roles, presence, and which person on a platform is which of them."""

from collections.abc import Sequence
from typing import Final

from bot import ids
from bot.errors import Refused
from bot.operators import tries
from bot.operators.codes import INVITE, LASTS_MS, LINK, code_hash, new_code
from bot.operators.operator import CAPACITY_MOST, NAME, Listed, Operator, Presence
from bot.operators.roles import RIGHTS
from bot.operators.tries import Limit
from bot.ports import Clock, Cursor, Row, Store, Value
from bot.store import operators as stored
from bot.store import records

AT_CONSOLE: Final = "at console "  # in meta, before an operator's id: their presence is the console's
_AT_CONSOLE: Final = f"SELECT key FROM meta WHERE key LIKE '{AT_CONSOLE}%' ORDER BY key"
LINK_LIMIT: Final = Limit(free=5, first_ms=10 * 60_000, most_ms=10 * 60_000)


class Operators:
    """`by` is who does it: an operator's id, or `local:ACCOUNT` for a local account. It stands in the audit."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._listed: frozenset[str] = frozenset()

    async def sync(self, people: Sequence[Listed]) -> None:
        """The people of the config exist as operators from now on, and whoever was only there is disabled. Safe to repeat."""
        await self._store.run(stored.sync, people, self._clock.now_ms())
        self._listed = frozenset(who.name for who in people)

    async def all(self) -> list[Operator]:
        return [stored.operator_of(row) for row in await self._store.read(stored.ALL)]

    async def by_name(self, name: str) -> Operator | None:
        return _first(await self._store.read(stored.BY_NAME, {"name": name}))

    async def by_id(self, id_: str) -> Operator | None:
        return _first(await self._store.read(stored.BY_ID, {"id": id_}))

    async def by_identity(self, channel: str, account: str, external_id: str) -> Operator | None:
        """Only by the platform's id that never changes; nobody, where the operator is disabled."""
        where = {"channel": channel, "account": account, "external": external_id}
        return _first(await self._store.read(stored.BY_IDENTITY, where))

    async def named(self, name: str) -> Operator:
        """Raises Refused("no_operator")."""
        found = await self.by_name(name)
        if found is None:
            known = ", ".join(each.name for each in await self.all()) or "nobody"
            raise Refused("no_operator", f"There is no operator {name} (there is: {known}).")
        return found

    # --- accounts ----------------------------------------------------------------------------------------------------

    async def add(self, who: Listed, *, by: str) -> Operator:
        """Raises Refused for a name or role that cannot be, and for a name that was ever given."""
        _check(who)
        found = await self._store.run(stored.add, who, by, self._clock.now_ms())
        if found is None:
            raise Refused("name_taken", f"There is an operator {who.name} already. Names are not given twice.")
        return found

    async def set_role(self, name: str, role: str, *, by: str) -> Operator:
        """Ends the sessions, where it changes something."""
        _check_role(role)
        found = await self.named(name)
        if name in self._listed:
            raise Refused(
                "of_config", f"The role of {name} stands in [[operators.people]] of config.toml: change it there."
            )
        await self._store.run(stored.set_role, found.id, role, by, self._clock.now_ms())
        return await self.named(name)

    async def disable(self, name: str, *, by: str) -> Operator:
        """At once: when this returns, no session, code or link of theirs is worth anything."""
        found = await self.named(name)
        await self._store.run(stored.disable, found.id, by, self._clock.now_ms())
        return await self.named(name)

    async def enable(self, name: str, *, by: str) -> Operator:
        found = await self.named(name)
        await self._store.run(stored.enable, found.id, by, self._clock.now_ms())
        after = await self.named(name)
        if after.is_disabled:
            raise Refused(
                "of_config", f"{name} is no longer in [[operators.people]] of config.toml: name them there again."
            )
        return after

    # --- presence ----------------------------------------------------------------------------------------------------

    async def set_presence(self, name: str, presence: Presence, *, is_by_console: bool = False) -> Operator:
        """`is_by_console`: it holds for as long as they have the console open; else until they say otherwise. Raises
        Refused("disabled")."""
        found = await self.named(name)
        if not await self._store.run(set_presence, found.id, presence, is_by_console, self._clock.now_ms()):
            raise Refused("disabled", _disabled(name))
        return await self.named(name)

    async def come(self, id_: str) -> None:
        """They opened the console: who was offline is online. Safe to repeat; nobody's own choice is changed."""
        await self._store.run(come, id_, self._clock.now_ms())

    async def go(self, id_: str) -> None:
        """They have closed the console: who is online by it alone is offline. Safe to repeat."""
        await self._store.run(go, id_, self._clock.now_ms())

    async def at_console(self) -> list[str]:
        """The ids of those whose presence is the console's."""
        return [str(row[0]).removeprefix(AT_CONSOLE) for row in await self._store.read(_AT_CONSOLE)]

    # --- codes and links ---------------------------------------------------------------------------------------------

    async def link_code(self, name: str, *, by: str) -> str:
        """For one use within ten minutes, by whoever writes it on a platform. An earlier one is void."""
        return await self._code(name, LINK, by)

    async def invite_code(self, name: str, *, by: str) -> str:
        """For one use within a day: with it the operator sets a password and a second factor. An earlier one is void."""
        return await self._code(name, INVITE, by)

    async def link(self, code: str, channel: str, account: str, external_id: str, display_name: str) -> Operator:
        """Whoever has this id on this account of the platform is, from now on, the operator whose code it is.

        Raises Refused("too_many_tries" | "no_code")."""
        now = self._clock.now_ms()
        found = await self._store.run(link, code_hash(code), channel, account, external_id, display_name, now)
        if isinstance(found, Operator):
            return found
        if found:
            raise Refused("too_many_tries", f"Too many wrong codes. Try again in {tries.wait_words(found)}.")
        raise Refused("no_code", "This code is not valid, or not any more. Ask for a new one.")

    async def unlink(self, name: str, channel: str, *, by: str) -> int:
        """How many links of theirs on that channel were undone."""
        found = await self.named(name)
        return await self._store.run(stored.unlink, found.id, channel, by, self._clock.now_ms())

    async def links(self) -> list[tuple[str, str, str, str, str]]:
        """(operator id, channel, account, external id, name as it was shown), of everybody."""
        return [(row[0], row[1], row[2], row[3], row[4]) for row in await self._store.read(stored.LINKS)]

    async def _code(self, name: str, purpose: str, by: str) -> str:
        found = await self.named(name)
        if found.is_disabled:
            raise Refused("disabled", _disabled(name))
        code, now = new_code(purpose), self._clock.now_ms()
        await self._store.run(stored.add_code, found.id, purpose, code_hash(code), by, now, now + LASTS_MS[purpose])
        return code


# --- units of work ---------------------------------------------------------------------------------------------------


def set_presence(cursor: Cursor, id_: str, presence: Presence, is_by_console: bool, now_ms: int) -> bool:
    """False for one who is disabled, or not there."""
    cursor.execute(*_mark(id_) if is_by_console else _unmark(id_))
    return stored.set_presence(cursor, id_, presence, now_ms)


def come(cursor: Cursor, id_: str, now_ms: int) -> None:
    found = stored.operator_by_id(cursor, id_)
    is_marked = bool(cursor.fetch(records.GET_META, {"key": AT_CONSOLE + id_}))
    if found is not None and found.presence is Presence.OFFLINE and not is_marked:
        set_presence(cursor, id_, Presence.ONLINE, True, now_ms)


def go(cursor: Cursor, id_: str, now_ms: int) -> None:
    found = stored.operator_by_id(cursor, id_)
    if not cursor.execute(*_unmark(id_)):
        return
    if found is not None and found.presence is Presence.ONLINE:
        stored.set_presence(cursor, id_, Presence.OFFLINE, now_ms)


def _mark(id_: str) -> tuple[str, dict[str, Value]]:
    return records.SET_META, {"key": AT_CONSOLE + id_, "value": "1"}


def _unmark(id_: str) -> tuple[str, dict[str, Value]]:
    return records.FORGET_META, {"key": AT_CONSOLE + id_}


def link(
    cursor: Cursor, hash_: str, channel: str, account: str, external_id: str, name: str, now_ms: int
) -> Operator | int:
    """The operator; otherwise how many ms to wait before another try is looked at, 0 where this one was and is wrong."""
    identity = ids.identity_id(channel, account, external_id)
    subject = tries.subject("link", identity)
    wait = tries.take(cursor, {subject: LINK_LIMIT}, now_ms)
    found = None if wait else stored.use_code(cursor, LINK, hash_, now_ms)
    if found is None:
        return wait
    tries.clear(cursor, subject)
    stored.link(cursor, found.id, channel, account, external_id, name, identity, now_ms)
    return found


def _first(rows: Sequence[Row]) -> Operator | None:
    return stored.operator_of(rows[0]) if rows else None


def _check(who: Listed) -> None:
    if not NAME.fullmatch(who.name):
        wanted = "Small letters, digits, dots, dashes and underscores, at most 64, a letter first"
        raise Refused("bad_name", f"{who.name!r} is no name for an operator. {wanted}.")
    if not 1 <= who.capacity <= CAPACITY_MOST:
        raise Refused("bad_capacity", f"A capacity is a number from 1 to {CAPACITY_MOST}.")
    _check_role(who.role)


def _check_role(role: str) -> None:
    if role not in RIGHTS:
        raise Refused("bad_role", f"There is no role {role!r}. There is: {', '.join(RIGHTS)}.")


def _disabled(name: str) -> str:
    return f"{name} is disabled. First: frontdesk operator enable {name}"
