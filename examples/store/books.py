"""The shop's books: what was bought, and every effect that was ever carried out, in one SQLite file.

Promise: an effect and the key it was asked for with are written in one transaction, so that after any crash a repeated key either finds
both or neither.
"""

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from examples.store import seed

Fields = dict[str, Any]  # JSON by nature

_TABLES = """
CREATE TABLE customers (id TEXT PRIMARY KEY, name TEXT NOT NULL, email TEXT NOT NULL) STRICT;
CREATE TABLE orders (id TEXT PRIMARY KEY, customer TEXT NOT NULL REFERENCES customers, status TEXT NOT NULL, currency TEXT NOT NULL,
    placed TEXT NOT NULL) STRICT;
CREATE TABLE items (order_id TEXT NOT NULL REFERENCES orders, sku TEXT NOT NULL, name TEXT NOT NULL, quantity INTEGER NOT NULL,
    price INTEGER NOT NULL, PRIMARY KEY (order_id, sku)) STRICT;
CREATE TABLE slots (id TEXT PRIMARY KEY, label TEXT NOT NULL) STRICT;
CREATE TABLE refunds (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, order_id TEXT NOT NULL REFERENCES orders,
    amount INTEGER NOT NULL CHECK (amount > 0), currency TEXT NOT NULL, reason TEXT NOT NULL) STRICT;
CREATE TABLE returns (id INTEGER PRIMARY KEY, order_id TEXT NOT NULL, sku TEXT NOT NULL, reason TEXT NOT NULL,
    UNIQUE (order_id, sku), FOREIGN KEY (order_id, sku) REFERENCES items) STRICT;
CREATE TABLE bookings (id INTEGER PRIMARY KEY, slot TEXT NOT NULL UNIQUE REFERENCES slots,
    customer TEXT NOT NULL REFERENCES customers) STRICT;
CREATE TABLE notes (id INTEGER PRIMARY KEY, customer TEXT NOT NULL REFERENCES customers, text TEXT NOT NULL) STRICT;
CREATE TABLE mails (id INTEGER PRIMARY KEY, key TEXT NOT NULL, recipient TEXT NOT NULL, content TEXT NOT NULL) STRICT;
CREATE TABLE answers (key TEXT PRIMARY KEY, asked TEXT NOT NULL, answer TEXT NOT NULL) STRICT;
CREATE TABLE ledger (id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, kind TEXT NOT NULL, key TEXT NOT NULL, customer TEXT NOT NULL,
    detail TEXT NOT NULL) STRICT;
"""


class Refused(Exception):
    """The shop certainly did nothing."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail


class Books:
    """All methods are one transaction each; those that change something raise Refused when they did not."""

    def __init__(self, folder: Path, now_ms: Callable[[], int]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._now_ms = now_ms
        self._db = sqlite3.connect(folder / "shop.db", isolation_level=None)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA foreign_keys = ON")
        with self._transaction():
            if not self._rows("SELECT 1 FROM sqlite_master"):
                self._begin()

    def close(self) -> None:
        self._db.close()

    # --- looking ---------------------------------------------------------------------------------------------------------

    def customers(self) -> list[Fields]:
        return self._rows("SELECT * FROM customers ORDER BY id")

    def customer(self, customer: str) -> Fields:
        found = self._rows("SELECT * FROM customers WHERE id = ?", customer)
        if not found:
            raise Refused(404, "no_customer", "There is no such customer.")
        return found[0]

    def orders(self, customer: str) -> list[Fields]:
        ids = self._rows("SELECT id FROM orders WHERE customer = ? ORDER BY id", customer)
        return [self.order(each["id"], customer) for each in ids]

    def order(self, order: str, customer: str) -> Fields:
        """Somebody else's order does not exist."""
        found = self._rows("SELECT * FROM orders WHERE id = ? AND customer = ?", order, customer)
        if not found:
            raise Refused(404, "no_order", "There is no such order.")
        items = self._rows("SELECT sku, name, quantity, price FROM items WHERE order_id = ? ORDER BY sku", order)
        total = sum(each["quantity"] * each["price"] for each in items)
        refunded = self._sum("SELECT sum(amount) AS n FROM refunds WHERE order_id = ?", order)
        money = {"total": total, "refunded": refunded, "refundable": total - refunded}
        return found[0] | money | {"email": self.customer(customer)["email"], "items": items}

    def slots(self) -> list[Fields]:
        return self._rows("SELECT * FROM slots WHERE id NOT IN (SELECT slot FROM bookings) ORDER BY rowid")

    def refunds(self, key: str) -> list[Fields]:
        found = self._rows('SELECT id, order_id AS "order", amount, currency FROM refunds WHERE key = ?', key)
        return [each | {"id": f"refund-{each['id']}", "status": "refunded"} for each in found]

    def mails(self, key: str) -> list[Fields]:
        return self._rows("SELECT * FROM mails WHERE key = ? ORDER BY id", key)

    def notes(self, customer: str) -> list[Fields]:
        return self._rows("SELECT id, text FROM notes WHERE customer = ? ORDER BY id", customer)

    def ledger(self) -> list[Fields]:
        """Everything that ever happened, oldest first."""
        found = self._rows("SELECT * FROM ledger ORDER BY id")
        return [each | {"detail": json.loads(each["detail"])} for each in found]

    # --- changing --------------------------------------------------------------------------------------------------------

    def once(self, key: str, asked: Mapping[str, Any], carry_out: Callable[[], Fields]) -> tuple[Fields, bool]:
        """What `carry_out` gave when it was first asked for with this key, and whether that was earlier. The same key for something else
        is refused; a refusal is not remembered, since nothing happened."""
        mark = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
        with self._transaction():
            if seen := self._rows("SELECT * FROM answers WHERE key = ?", key):
                if seen[0]["asked"] != mark:
                    raise Refused(422, "key_reused", "This key was used for something else.")
                return json.loads(seen[0]["answer"]), True
            answer = carry_out()
            self._db.execute("INSERT INTO answers VALUES (?, ?, ?)", (key, mark, json.dumps(answer)))
        return answer, False

    def refund(self, key: str, order: str, customer: str, amount: int, currency: str, reason: str) -> Fields:
        """Within `once`, like every method below that takes a key."""
        found = self.order(order, customer)
        if found["refundable"] == 0:
            raise Refused(409, "refunded", "This order has been refunded in full.")
        if currency != found["currency"]:
            raise Refused(422, "bad_currency", f"This order was paid in {found['currency']}.")
        if amount > found["refundable"]:
            raise Refused(422, "too_much", f"At most {found['refundable']} can be refunded.")
        made = self._insert("refunds", key=key, order_id=order, amount=amount, currency=currency, reason=reason)
        answer = {"id": f"refund-{made}", "status": "refunded", "order": order, "amount": amount, "currency": currency}
        return self._enter("refund", key, customer, answer)

    def take_back(self, key: str, order: str, customer: str, sku: str, reason: str) -> Fields:
        found = self.order(order, customer)
        if found["status"] != "delivered":
            raise Refused(409, "not_delivered", "Only what was delivered can be returned.")
        if sku not in [each["sku"] for each in found["items"]]:
            raise Refused(422, "no_item", "That article is not in this order.")
        if self._rows("SELECT 1 FROM returns WHERE order_id = ? AND sku = ?", order, sku):
            raise Refused(409, "returned", "A return of this article is under way.")
        made = self._insert("returns", order_id=order, sku=sku, reason=reason)
        answer = {"id": f"return-{made}", "status": "label sent", "order": order, "item": sku}
        return self._enter("return", key, customer, answer)

    def book(self, key: str, slot: str, customer: str) -> Fields:
        self.customer(customer)
        found = self._rows("SELECT * FROM slots WHERE id = ?", slot)
        if not found:
            raise Refused(404, "no_slot", "There is no such time.")
        if self._rows("SELECT 1 FROM bookings WHERE slot = ?", slot):
            raise Refused(409, "taken", "That time is taken.")
        made = self._insert("bookings", slot=slot, customer=customer)
        answer = {"id": f"booking-{made}", "status": "booked", "slot": slot, "label": found[0]["label"]}
        return self._enter("booking", key, customer, answer)

    def note(self, customer: str, text: str) -> Fields:
        """Every call adds one: there is no key, and nothing to look up."""
        with self._transaction():
            self.customer(customer)
            made = self._insert("notes", customer=customer, text=text)
            return self._enter("note", "", customer, {"id": f"note-{made}", "status": "noted"})

    def receive_mail(self, key: str, recipient: str, content: str) -> None:
        """A mail that the mail server took: sent from now on."""
        with self._transaction():
            made = self._insert("mails", key=key, recipient=recipient, content=content)
            owner = self._rows("SELECT id FROM customers WHERE email = ?", recipient)
            self._enter("email", key, owner[0]["id"] if owner else "", {"id": f"mail-{made}", "to": recipient})

    # --- rows ------------------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        for statement in _TABLES.split(";"):
            self._db.execute(statement)
        self._db.executemany("INSERT INTO customers VALUES (?, ?, ?)", seed.CUSTOMERS)
        self._db.executemany("INSERT INTO orders VALUES (?, ?, ?, ?, ?)", seed.ORDERS)
        self._db.executemany("INSERT INTO items VALUES (?, ?, ?, ?, ?)", seed.ITEMS)
        self._db.executemany("INSERT INTO slots VALUES (?, ?)", seed.SLOTS)

    def _enter(self, kind: str, key: str, customer: str, answer: Fields) -> Fields:
        detail = json.dumps(answer)
        self._insert("ledger", at_ms=self._now_ms(), kind=kind, key=key, customer=customer, detail=detail)
        return answer

    def _insert(self, table: str, **values: str | int) -> int:
        marks = ", ".join("?" * len(values))
        text = f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})"
        return self._db.execute(text, tuple(values.values())).lastrowid or 0

    def _rows(self, text: str, *values: str) -> list[Fields]:
        return [dict(row) for row in self._db.execute(text, values)]

    def _sum(self, text: str, *values: str) -> int:
        return int(self._rows(text, *values)[0]["n"] or 0)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")
