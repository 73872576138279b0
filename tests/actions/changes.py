"""`python -m tests.actions.changes --count 100000`: what was agreed to is carried out as it was agreed to, or not at all.

Between consent and the call one thing is changed: a column of the ledger, a fact of the order, or what is declared of the action. Whatever
decides or describes the deed voids it. A note that decides nothing (why an operator agreed, say) may differ; the deed then stays the same.
"""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from bot.ports import Row, Value
from bot.store import actions as ledger
from bot.store.sqlite import connect_writer
from bot.store.writer import SqliteCursor
from bot.tools import Caller
from bot.tools.acting import Acting
from bot.tools.action import Action, Allowance, Consent, Effect
from tests.actions.shop import Catalogue, Shop, order, refund
from tests.clock import ManualClock

T = TypeVar("T")
NOTES = frozenset(
    {
        *("actions.detail", "actions.result", "actions.ended_ms"),  # of the outcome, which is written after the call
        *("actions.approved_ms", "actions.intended_ms", "actions.tries"),  # when, and how often
        *("consents.account", "consents.why", "consents.decided_ms"),  # for the audit
    }
)
PER_CASE = 100  # changes to one approved action before another is agreed to
EFFECTS = (Effect.KEYED, Effect.CHECKABLE, Effect.NAKED)
WAYS = ("user", "operator", "user and operator", "two operators")
CONVERSATION, PERSON = "conversation", "person"


class Table:
    """The `Store` port over one connection of the real schema. What a block of `undone` has done is gone after it."""

    def __init__(self, path: Path) -> None:
        self._connection = connect_writer(path)
        self._connection.execute("PRAGMA synchronous = OFF")
        self.cursor = SqliteCursor(self._connection)

    async def run(self, unit: Callable[..., T], *args: object) -> T:
        self._connection.execute("SAVEPOINT unit")
        try:
            return unit(self.cursor, *args)
        except BaseException:
            self._connection.execute("ROLLBACK TO unit")
            raise
        finally:
            self._connection.execute("RELEASE unit")

    async def read(self, query: str, parameters: Mapping[str, Value] | None = None) -> list[Row]:
        return self.cursor.fetch(query, parameters or {})

    @asynccontextmanager
    async def undone(self) -> AsyncIterator[None]:
        self._connection.execute("SAVEPOINT change")
        try:
            yield
        finally:
            self._connection.execute("ROLLBACK TO change")
            self._connection.execute("RELEASE change")

    def columns(self, table: str) -> list[tuple[str, str]]:
        """Name and type."""
        return [(str(row[1]), str(row[2])) for row in self._connection.execute(f"PRAGMA table_info({table})")]

    def close(self) -> None:
        self._connection.close()


@dataclass(slots=True)
class Report:
    """`executed`: changes that decide something, after which the call was made all the same; `bent`: calls that differ from what was
    agreed to; `untouched`: how often the call was made as agreed, with no change or with a note's; `lost`: how often it should have been."""

    tried: Counter[str] = field(default_factory=Counter)
    executed: list[str] = field(default_factory=list)
    bent: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    untouched: int = 0

    @property
    def is_clean(self) -> bool:
        return not (self.executed or self.bent or self.lost)


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is made different. `is_note`: it decides nothing."""

    name: str
    make: Callable[[], object]
    is_note: bool = False


class Bench:
    """One approved action, to which one change after the other is made and taken back."""

    def __init__(self, table: Table, chance: random.Random, number: int) -> None:
        self.table, self.chance = table, chance
        self.shop = Shop()
        self.number = number
        way = WAYS[number % len(WAYS)]
        effect = EFFECTS[number // len(WAYS) % len(EFFECTS)]
        allowance = {
            "user and operator": Allowance(operator_above=1),
            "two operators": Allowance(two_operators_above=1),
        }
        consent = Consent.USER if way.startswith("user") else Consent.OPERATOR
        made = refund(self.shop, effect, consent, allowance=allowance.get(way, Allowance()))
        self.catalogue = Catalogue(made, order(self.shop))
        self.acting = Acting(table, ManualClock(), self.catalogue, lambda: b"k" * 32)
        self.amount = chance.randint(10, 5_000)
        self.agreed: tuple[str, Any] = ("", {})

    async def agree(self) -> None:
        """Everybody who has to says yes."""
        caller = Caller(CONVERSATION, "case", PERSON, f"reply-{self.number}", "turn", "main")
        action = self.catalogue.actions["refund_order"]
        text = f'{{"order": "{self.number}", "amount": {self.amount}}}'
        await self.acting.run(action, "c1", text, caller, 60.0)
        for id_, kind in await self.table.read("SELECT id, kind FROM consents ORDER BY kind DESC, id"):
            if kind == ledger.USER:
                unit = ledger.decide_by_press
                await self.table.run(unit, id_, True, PERSON, CONVERSATION, ManualClock().now_ms() + 5)
            else:
                name = f"operator {id_}"
                await self.table.run(
                    ledger.decide_by_operator, id_, True, name, "root", "looks right", ManualClock().now_ms() + 6
                )
        await self._check_untouched()

    async def _check_untouched(self) -> None:
        """With no change at all the call is made: so a call that is not made says something."""
        async with self.table.undone():
            await self.acting.decided(CONVERSATION, 60.0)
        assert len(self.shop.ledger) == 1, "nothing was changed, and it was not done"
        self.agreed = self.shop.ledger[0]
        self._forget()

    async def change(self, report: Report) -> None:
        change = self._draw()
        report.tried[change.name] += 1
        actions, facts = dict(self.catalogue.actions), dict(self.shop.order)
        async with self.table.undone():
            change.make()
            with suppress(LookupError, ValueError):  # a row that cannot be read: the turn fails
                await self.acting.decided(CONVERSATION, 60.0)
        self.catalogue.actions, self.shop.order = actions, facts
        self._judge(change, report)
        self._forget()

    def _judge(self, change: Change, report: Report) -> None:
        calls = self.shop.calls
        if not change.is_note and calls:
            report.executed.append(change.name)
        elif change.is_note and not calls:
            report.lost.append(change.name)
        elif change.is_note:
            report.untouched += 1
        if calls and any(each != self.agreed for each in calls):
            report.bent.append(change.name)

    def _forget(self) -> None:
        self.shop.ledger.clear()
        self.shop.calls.clear()

    # --- what is changed ---------------------------------------------------------------------------------------------

    def _draw(self) -> Change:
        match self.chance.choices(("actions", "consents", "fact", "declared"), (6, 4, 2, 2))[0]:
            case "fact":
                return self._fact()
            case "declared":
                return self._declared()
            case table:
                return self._column(table)

    def _column(self, table: str) -> Change:
        name, kind = self.chance.choice(self.table.columns(table))
        id_, was = self.chance.choice(self.table.cursor.fetch(f"SELECT id, {name} FROM {table}"))
        value = self._other(was, kind)
        sql = f"UPDATE {table} SET {name} = :value WHERE id = :id"
        where = f"{table}.{name}"
        return Change(where, lambda: self.table.cursor.execute(sql, {"value": value, "id": id_}), where in NOTES)

    def _other(self, was: Any, kind: str) -> Value:
        """Another value of that type: near by, empty, or of another row's kind."""
        if kind in ("INTEGER", "BIGINT"):
            number = was or 0
            return int(self.chance.choice((number + 1, number - 1, number + 1_000_000, number ^ 1)))
        text = str(was)
        at = self.chance.randrange(len(text) + 1)
        known = (
            "proposed",
            "intended",
            "open",
            "refused",
            "void",
            "unknown",
            "succeeded",
            "user",
            "operator",
            "refund_order",
        )
        candidates = (text + "0", text[:at] + "9" + text[at:], text[:at] + text[at + 1 :], "", *known)
        return str(self.chance.choice([each for each in candidates if each != text]))

    def _fact(self) -> Change:
        name = self.chance.choice(self.catalogue.actions["refund_order"].fact_fields)
        values = {
            "status": ("refunded", "", None),
            "total": (0, 4_999, 5_001, "5000", None),
            "currency": ("USD", "eur"),
        }
        value = self.chance.choice(values[name])
        return Change(f"fact {name}", lambda: self.shop.order.__setitem__(name, value))

    def _declared(self) -> Change:
        """Whatever is declared, its version follows it (`bot.tools.catalogue`)."""
        version = f"1.{self.chance.randrange(10**9)}"
        changed: dict[str, dict[str, Any]] = {
            "version": {},
            "effect": {"effect": Effect.KEYED},
            "consent": {"consent": Consent.NONE},
            "title": {"title": "Something else"},
            "allowance": {"allowance": Allowance(amount_per_call=self.amount)},
            "facts": {"facts": "", "fact_fields": ()},
            "once_per": {"once_per": ""},
        }
        name = self.chance.choice((*changed, "removed"))
        if name == "removed":
            return Change("declared: removed", lambda: self._declare(None))
        return Change(f"declared: {name}", lambda: self._declare({**changed[name], "version": version}))

    def _declare(self, given: dict[str, Any] | None) -> None:
        known: dict[str, Action] = self.catalogue.actions
        if given is None:
            self.catalogue.actions = {name: each for name, each in known.items() if name != "refund_order"}
        else:
            known["refund_order"] = replace(known["refund_order"], **given)


async def run(folder: Path, count: int, seed: int) -> Report:
    """`count` changes, spread over every effect class and every way to agree."""
    chance, report = random.Random(seed), Report()
    table = Table(folder / "changes.db")
    table.cursor.execute(
        """INSERT INTO identities (id, user_id, channel, account, external_id, is_verified, created_ms)
           VALUES ('person', 'person', 'web', '', 'id:u1', 1, 0)"""
    )
    try:
        for number in range(-(-count // PER_CASE)):
            async with table.undone():
                bench = Bench(table, chance, number)
                await bench.agree()
                for _ in range(min(PER_CASE, count - number * PER_CASE)):
                    await bench.change(report)
    finally:
        table.close()
    return report


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.actions.changes", description=__doc__)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    given = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        report = asyncio.run(run(Path(folder), given.count, given.seed))
    taken = time.monotonic() - started
    lines = [f"{count:>8}  {name}" for name, count in sorted(report.tried.items())]
    lines += [
        f"{given.count} changes, seed {given.seed}, {taken:.0f} s, {given.count / taken:.0f} a second",
        f"executed {len(report.executed)}: {dict(Counter(report.executed))}",
        f"done otherwise than agreed {len(report.bent)}: {dict(Counter(report.bent))}",
        f"lost over a note {len(report.lost)}: {dict(Counter(report.lost))}; done as agreed with another note {report.untouched}",
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0 if report.is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
