"""Functions and methods as actions: what is told of them, how they are called, and what their ends mean."""

import asyncio
import json
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from bot.errors import NotSent, Refused, Uncertain
from bot.tools.action import Action, Declared, Effect, Reply
from bot.tools.python import UNSHOWN, declared, methods, resolve
from tests.clock import ManualClock, settle

WITHIN_S = 5.0


class Leg(BaseModel):
    number: str
    on: date


@dataclass
class Booking:
    id: str
    legs: list[Leg]
    total: Decimal


class Desk:
    """A toolkit that knows nothing of us."""

    def __init__(self) -> None:
        self.booked: list[Booking] = []
        self.at_once = 0
        self.most_at_once = 0

    @property
    def broken(self) -> int:
        raise AssertionError("a property was read")

    def book(
        self,
        user_id: str,
        legs: list[Leg | dict[str, Any]],
        cabin: Literal["economy", "business"] = "economy",
        insurance: bool | None = None,
    ) -> Booking:
        """
        Book a trip.

        It is paid at once.

        Args:
            user_id: Who travels, such as 'ada_1'.
            legs: The flights, in order. Each has a number
                and a day.
            cabin: The cabin: economy or business.

        Returns:
            The booking.

        Raises:
            ValueError: If there are none.
        """
        if not legs:
            raise ValueError("There are no flights.")
        found = [each if isinstance(each, Leg) else Leg(**each) for each in legs]
        self.booked.append(Booking(f"{user_id}-{cabin}", found, Decimal("12.50")))
        return self.booked[-1]

    def slow(self, seconds: float) -> int:
        """Takes its time."""
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        time.sleep(seconds)
        self.at_once -= 1
        return self.most_at_once

    def pay(self, order: str, idempotency_key: str) -> str:
        """Pays."""
        return f"{order} with {idempotency_key}"

    def look_up_pay(self, order: str, idempotency_key: str) -> dict[str, str] | None:
        return {"id": idempotency_key} if order == "1" else None

    def untyped(self, what) -> None:  # type: ignore[no-untyped-def]
        """Has no types."""

    def _hidden(self) -> None: ...


async def call(found: Declared, within_s: float = WITHIN_S, key: str = "k", /, **arguments: Any) -> Reply:
    return await found.endpoint.call(arguments, key, within_s)


def schema(found: Declared) -> dict[str, Any]:
    return Action("it", "It", "", found.parameters, found.endpoint, given=found.given).schema()


# --- what is told ----------------------------------------------------------------------------------------------------


def test_a_method_of_an_object_that_knows_nothing_of_us_is_told_by_its_types_and_its_docstring() -> None:
    found = declared(Desk().book)
    told = schema(found)
    assert found.description == "Book a trip.\n\nIt is paid at once."
    assert told["required"] == ["user_id", "legs"]
    assert told["additionalProperties"] is False
    assert told["properties"]["user_id"] == {"type": "string", "description": "Who travels, such as 'ada_1'."}
    assert told["properties"]["legs"]["description"] == "The flights, in order. Each has a number and a day."
    assert told["properties"]["cabin"]["enum"] == ["economy", "business"]
    assert told["properties"]["cabin"]["default"] == "economy"
    assert told["$defs"]["Leg"]["required"] == ["number", "on"]
    assert found.origin.endswith("Desk.book")
    assert found.effect is None


def test_one_parameter_that_is_a_model_stands_for_its_fields() -> None:
    class Order(BaseModel):
        number: str = Field(title="Order", description="Its number.", pattern="^[0-9]+$")
        leg: Leg | None = None

    def cancel(order: Order) -> str:
        return order.number

    found = declared(cancel)
    told = schema(found)
    assert [each.name for each in found.parameters] == ["number", "leg"]
    assert found.parameters[0].title == "Order"
    assert told["required"] == ["number"]
    assert told["properties"]["number"]["pattern"] == "^[0-9]+$"
    assert "Leg" in told["$defs"]


def test_what_a_type_says_of_a_parameter_is_kept() -> None:
    def pay(amount: Annotated[int, Field(title="Amount", description="In cents.", ge=1, le=500)]) -> None: ...

    (found,) = declared(pay).parameters
    assert found.title == "Amount"
    assert found.schema == {"type": "integer", "description": "In cents.", "minimum": 1, "maximum": 500}


def test_a_model_that_holds_itself_can_be_told() -> None:
    told = schema(declared(_of_tree))
    assert told["properties"]["children"]["items"] == {"$ref": "#/$defs/_Tree"}


class _Tree(BaseModel):
    name: str
    children: list["_Tree"] = []


def _of_tree(tree: _Tree) -> str:
    return tree.name


def test_the_key_is_not_a_parameter_and_makes_the_function_keyed() -> None:
    found = declared(Desk().pay)
    assert [each.name for each in found.parameters] == ["order"]
    assert found.effect is Effect.KEYED


def _with_args(*orders: str) -> None: ...
def _with_kwargs(**orders: str) -> None: ...
def _with_position(order: str, /) -> None: ...
def _without_types(order) -> None: ...  # type: ignore[no-untyped-def]
def _of_a_lock(lock: threading.Event) -> None: ...
def _of_nothing(order: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821


@pytest.mark.parametrize(
    "function",
    [_with_args, _with_kwargs, _with_position, _without_types, _of_a_lock, _of_nothing],
    ids=lambda f: f.__name__,
)
def test_a_function_that_cannot_be_told_to_a_model_is_a_clear_error(function: Any) -> None:
    with pytest.raises(ValueError, match=function.__name__):
        declared(function)


def test_methods_are_the_public_typed_ones_and_no_property_is_read() -> None:
    assert methods(Desk()) == ("book", "slow", "pay")


# --- calls -----------------------------------------------------------------------------------------------------------


async def test_a_method_is_called_with_values_of_its_types_and_its_result_is_json() -> None:
    desk = Desk()
    reply = await call(declared(desk.book), user_id="ada", legs=[{"number": "F1", "on": "2030-01-02"}])
    assert desk.booked[0].legs == [Leg(number="F1", on=date(2030, 1, 2))]
    assert reply.data == {"id": "ada-economy", "legs": [{"number": "F1", "on": "2030-01-02"}], "total": "12.50"}
    assert not reply.is_refused


async def test_a_model_parameter_is_given_the_model() -> None:
    assert (await call(declared(_of_tree), name="root", children=[{"name": "leaf"}])).data == "root"


async def test_an_asynchronous_function_runs_on_the_loop() -> None:
    async def where() -> bool:
        return threading.current_thread() is threading.main_thread()

    assert (await call(declared(where))).data is True


async def test_a_synchronous_function_never_holds_the_loop() -> None:
    begun = threading.Event()
    may_end = threading.Event()

    def wait() -> bool:
        begun.set()
        return may_end.wait(WITHIN_S)

    calling = asyncio.create_task(call(declared(wait)))
    assert await asyncio.to_thread(begun.wait, WITHIN_S)
    may_end.set()  # reached at all only if the loop is free
    assert (await calling).data is True


async def test_methods_of_one_object_run_one_after_another() -> None:
    desk = Desk()
    one, other = declared(desk.slow), declared(desk.slow)
    replies = await asyncio.gather(*(call(each, seconds=0.02) for each in (one, other, one, other)))
    assert [each.data for each in replies] == [1, 1, 1, 1]


async def test_the_key_is_given_to_a_function_that_asks_for_it() -> None:
    assert (await call(declared(Desk().pay), WITHIN_S, "k-7", order="1")).data == "1 with k-7"


class Size(Enum):
    SMALL = "s"


def _exact(number: int = 0, size: Size = Size.SMALL, is_paid: bool = False, price: float = 0.0) -> str:
    return f"{number!r} {size.name} {is_paid!r} {price!r}"


async def test_values_are_made_of_their_types() -> None:
    assert (await call(declared(_exact), number=5, size="s", is_paid=True, price=2)).data == "5 SMALL True 2.0"


@pytest.mark.parametrize(
    "wrong",
    [
        {"number": "5"},
        {"number": 5.0},
        {"number": True},
        {"size": "SMALL"},
        {"is_paid": 1},
        {"price": "2"},
        {"other": 1},
    ],
    ids=json.dumps,
)
async def test_f38_no_value_is_converted_between_types_and_a_wrong_one_is_refused_without_a_call(
    wrong: dict[str, Any],
) -> None:
    reply = await call(declared(_exact), **wrong)
    assert reply.is_refused
    assert next(iter(wrong)) in reply.data


# --- how it ends -----------------------------------------------------------------------------------------------------


def _raising(error: BaseException) -> Declared:
    def fail() -> None:
        raise error

    return declared(fail)


async def test_a_value_error_is_a_refusal_and_its_text_is_the_answer() -> None:
    assert await call(declared(Desk().book), user_id="ada", legs=[]) == Reply("There are no flights.", is_refused=True)


async def test_a_refusal_of_ours_is_told_by_its_sentence() -> None:
    assert await call(_raising(Refused("closed", "The order is closed."))) == Reply(
        "The order is closed.", is_refused=True
    )


async def test_a_model_that_the_function_itself_cannot_make_may_come_after_its_effect() -> None:
    """It may be of what somebody else answered; nothing of its values is told."""
    with pytest.raises(Uncertain) as raised:
        await call(declared(Desk().book), user_id="ada", legs=[{"number": "F1", "on": "secret word"}])
    assert "secret word" not in str(raised.value)


@pytest.mark.parametrize("error", [NotSent("no route"), Uncertain("lost")], ids=["not sent", "uncertain"])
async def test_what_a_function_says_of_its_own_outcome_passes(error: Exception) -> None:
    with pytest.raises(type(error), match=str(error)):
        await call(_raising(error))


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("pin 1234"),
        KeyError("pin 1234"),
        SystemExit(3),
        StopIteration("pin 1234"),
        json.JSONDecodeError("pin 1234", "", 0),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "pin 1234"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_f07_after_any_other_exception_nobody_knows_and_its_text_is_not_shown(error: BaseException) -> None:
    with pytest.raises(Uncertain) as raised:
        await call(_raising(error))
    assert "pin 1234" not in str(raised.value)


async def test_f07_a_synchronous_function_that_takes_too_long_is_uncertain_and_goes_on() -> None:
    clock, begun, may_end, has_ended = ManualClock(), threading.Event(), threading.Event(), threading.Event()

    def wait() -> None:
        begun.set()
        may_end.wait(WITHIN_S)
        has_ended.set()

    calling = asyncio.create_task(call(declared(wait, clock), 2.0))
    assert await asyncio.to_thread(begun.wait, WITHIN_S)
    await clock.advance(2.0)
    with pytest.raises(Uncertain):
        await calling
    assert not has_ended.is_set()
    may_end.set()
    assert await asyncio.to_thread(has_ended.wait, WITHIN_S)


async def test_f07_an_asynchronous_function_that_takes_too_long_is_uncertain() -> None:
    clock = ManualClock()

    async def wait() -> None:
        await asyncio.Event().wait()

    calling = asyncio.create_task(call(declared(wait, clock), 2.0))
    await settle()
    await clock.advance(2.0)
    with pytest.raises(Uncertain):
        await calling


async def test_a_call_whose_turn_never_came_was_certainly_not_made() -> None:
    clock, begun, may_end = ManualClock(), threading.Event(), threading.Event()
    calls: list[int] = []

    class One:
        def wait(self) -> None:
            calls.append(1)
            begun.set()
            may_end.wait(WITHIN_S)

    found = declared(One().wait, clock)
    first = asyncio.create_task(call(found, 60.0))
    assert await asyncio.to_thread(begun.wait, WITHIN_S)
    second = asyncio.create_task(call(found, 1.0))
    await settle()
    await clock.advance(1.0)
    with pytest.raises(NotSent):
        await second
    may_end.set()
    await first
    assert calls == [1]


async def test_a_lane_is_free_again_when_a_function_that_took_too_long_ends() -> None:
    clock, begun, may_end = ManualClock(), threading.Event(), threading.Event()

    class One:
        def wait(self) -> str:
            begun.set()
            may_end.wait(WITHIN_S)
            return "done"

    found = declared(One().wait, clock)
    first = asyncio.create_task(call(found, 1.0))
    assert await asyncio.to_thread(begun.wait, WITHIN_S)
    await clock.advance(1.0)
    with pytest.raises(Uncertain):
        await first
    may_end.set()
    assert (await call(found, 60.0)).data == "done"


def test_a_function_that_never_returns_does_not_keep_the_process_alive() -> None:
    program = """
import asyncio, threading
from bot.errors import Uncertain
from bot.tools.python import declared
async def main():
    try:
        await declared(hang).endpoint.call({}, "k", 0.05)
    except Uncertain:
        print("uncertain")
def hang() -> None:
    threading.Event().wait()
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, done.stdout) == (0, "uncertain\n")


class Strange:
    pass


@pytest.mark.parametrize(
    ("result", "shown"),
    [
        (None, None),
        ("text", "text"),
        ([Leg(number="1", on=date(2030, 1, 2))], [{"number": "1", "on": "2030-01-02"}]),
        ({"at": [float("nan")]}, {"at": [None]}),
        (b"\xff", "_w=="),
        ({"a": Strange()}, {"a": "(Strange)"}),
    ],
    ids=["none", "text", "models", "no number", "bytes", "strange"],
)
async def test_any_result_is_shown_as_json(result: object, shown: object) -> None:
    def give() -> Any:
        return result

    assert (await call(declared(give))).data == shown


async def test_a_result_that_holds_itself_does_not_undo_that_it_was_carried_out() -> None:
    def give() -> Any:
        made: list[Any] = []
        made.append(made)
        return made

    assert await call(declared(give)) == Reply(UNSHOWN)


# --- looking up ------------------------------------------------------------------------------------------------------


async def test_a_method_is_looked_up_by_its_neighbour_of_that_name() -> None:
    endpoint = declared(Desk().pay).endpoint
    assert await endpoint.look_up({"order": "1"}, "k-7", WITHIN_S) == Reply({"id": "k-7"})
    assert await endpoint.look_up({"order": "2"}, "k-7", WITHIN_S) is None


async def test_a_function_is_looked_up_by_what_hangs_on_it() -> None:
    def pay(order: str, amount: int) -> None: ...

    async def find(order: str) -> str:
        return f"found {order}"

    pay.look_up = find  # type: ignore[attr-defined]
    found = declared(pay)
    assert found.effect is Effect.CHECKABLE
    assert await found.endpoint.look_up({"order": "1", "amount": 5}, "k", WITHIN_S) == Reply("found 1")


async def test_what_cannot_be_looked_up_is_uncertain() -> None:
    with pytest.raises(Uncertain):
        await declared(_exact).endpoint.look_up({}, "k", WITHIN_S)


@pytest.mark.parametrize("error", [ValueError("no"), RuntimeError("no"), NotSent("no")], ids=lambda e: type(e).__name__)
async def test_f07_a_failed_look_up_says_nothing_about_the_call(error: Exception) -> None:
    def pay(order: str) -> None: ...

    def find(order: str) -> None:
        raise error

    pay.look_up = find  # type: ignore[attr-defined]
    with pytest.raises(Uncertain):
        await declared(pay).endpoint.look_up({"order": "1"}, "k", WITHIN_S)


def test_a_look_up_that_wants_what_the_call_does_not_have_is_a_clear_error() -> None:
    def pay(order: str) -> None: ...
    def find(invoice: str) -> None: ...

    pay.look_up = find  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="invoice"):
        declared(pay)


# --- finding ---------------------------------------------------------------------------------------------------------


@pytest.fixture
async def folder(tmp_path: Path) -> AsyncIterator[Path]:
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_a_function_is_found_in_the_folder_of_the_config_which_does_not_stay_on_the_path(folder: Path) -> None:
    (folder / "shop_fd1").mkdir()
    (folder / "shop_fd1" / "__init__.py").write_text("")
    (folder / "shop_fd1" / "deeds.py").write_text(
        "class Desk:\n    def pay(self, order: str) -> str:\n        return order\n\ndesk = Desk()\n\ndef cancel(order: str) -> None: ...\n"
    )
    before = list(sys.path)
    assert resolve("shop_fd1.deeds:desk.pay", folder)("7") == "7"
    assert resolve("shop_fd1.deeds:cancel", folder).__name__ == "cancel"
    assert sys.path == before


@pytest.mark.parametrize(
    ("target", "what"),
    [
        ("no colon", "is written"),
        ("a.b:c d", "is written"),
        ("../x:y", "is written"),
        ("nowhere_fd2:f", "no Python module nowhere_fd2"),
        ("deeds_fd2:g", "no g in"),
        ("deeds_fd2:VALUE", "a value, not a function"),
        ("deeds_fd2:Desk", "a class, not a function"),
        ("deeds_fd2:Desk.pay", "needs an object"),
        ("broken_fd2:f", "ZeroDivisionError"),
        ("needy_fd2:f", "cannot be imported: No module named 'absent_fd2'"),
    ],
)
def test_a_target_that_is_none_is_told_what_is_wrong(folder: Path, target: str, what: str) -> None:
    (folder / "deeds_fd2.py").write_text("VALUE = 1\nclass Desk:\n    def pay(self, order: str) -> None: ...\n")
    (folder / "broken_fd2.py").write_text("1 / 0\n")
    (folder / "needy_fd2.py").write_text("import absent_fd2\n")
    with pytest.raises(ValueError, match=what):
        resolve(target, folder)
