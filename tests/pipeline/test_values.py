"""Values: equal, hashed and shown by their fields, and made as a dataclass is."""

import copy
import pickle
from collections.abc import Callable
from dataclasses import asdict, field, fields, replace
from typing import Any

import pytest

from bot.model import FEW, changeable, value


@value
class Point:
    """A place."""

    x: int
    y: int = 0
    marks: tuple[str, ...] = ()

    @property
    def sum(self) -> int:
        return self.x + self.y


@value
class Named:
    """One with fields that are left out, and one that is made anew each time."""

    name: str
    secret: str = field(repr=False)
    seen: int = field(default=0, compare=False)
    parts: list[int] = field(default_factory=list, compare=False)
    late: bool = field(default=False, kw_only=True)


@value
class Nothing:
    """One without fields."""


@changeable
class Count:
    """One that changes."""

    done: int = 0
    names: list[str] = field(default_factory=list)


def test_values_are_equal_and_hashed_by_their_fields() -> None:
    assert Point(1, 2) == Point(1, y=2)
    assert Point(1, 2) != Point(2, 1)
    assert Point(1).__eq__((1, 0, ())) is NotImplemented
    assert len({Point(1, 2), Point(1, 2), Point(2, 1)}) == 2
    assert Nothing() == Nothing()
    assert hash(Nothing()) == hash(Nothing())
    assert Nothing().__eq__(Point(0)) is NotImplemented


@value
class Late:
    """One with a field that must be named before one that need not be."""

    named: int = field(kw_only=True)
    given: int = 0


@pytest.mark.parametrize("made_before", [0, FEW - 1, FEW, FEW + 1])
def test_a_value_is_made_as_its_fields_say(made_before: int) -> None:
    """Defaults, factories and what must be named hold from the first one on, and a wrong call says what is wrong."""
    fresh_point, fresh_named, fresh_late = fresh(Point), fresh(Named), fresh(Late)
    for _ in range(made_before):
        assert (fresh_point(1).y, fresh_named("a", "b").seen, fresh_late(1, named=2).given) == (0, 0, 1)
    first, second = fresh_named("a", "b"), fresh_named("a", secret="b")
    first.parts.append(1)
    assert (second.parts, second.late, fresh_named("a", "b", late=True).late) == ([], False, True)
    assert (fresh_late(1, named=2).given, fresh_late(named=2).named) == (1, 2)
    assert fresh_point(1, y=2) == fresh_point(y=2, x=1) == fresh_point(1, 2, ())
    wrong_calls: list[tuple[Callable[[], object], str]] = [
        (lambda: fresh_named("a", "b", 0, [], True), "positional"),
        (fresh_point, "missing 1 required positional argument: 'x'"),
        (lambda: fresh_point(1, z=2), "unexpected keyword argument 'z'"),
        (lambda: fresh_point(1, x=2), "multiple values for argument 'x'"),
        (lambda: fresh_late(1), "missing 1 required keyword-only argument: 'named'"),
    ]
    for wrong, why in wrong_calls:
        with pytest.raises(TypeError, match=why):
            wrong()


def fresh(cls: Any) -> Any:  # Any: a class of this module, made anew
    """The same kind of value, of which none has been made."""
    return value(type(cls.__name__, (), {"__annotations__": dict(cls.__annotations__), **_defaults(cls)}))


def _defaults(cls: Any) -> dict[str, Any]:
    return {
        each.name: field(
            default=each.default,
            default_factory=each.default_factory,
            repr=each.repr,
            compare=each.compare,
            kw_only=each.kw_only,
        )
        for each in fields(cls)
    }


def test_fields_can_be_left_out_of_the_comparison_and_of_what_is_shown() -> None:
    assert Named("a", "b", 1) == Named("a", "b", 2)
    assert Named("a", "b") != Named("a", "c")
    assert hash(Named("a", "b", 1)) == hash(Named("a", "b", 2))
    assert repr(Named("a", "b")) == "Named(name='a', seen=0, parts=[], late=False)"
    assert repr(Point(1)) == "Point(x=1, y=0, marks=())"


def test_a_value_works_with_replace_match_copies_and_pickles() -> None:
    point = Point(1, 2, ("a",))
    assert replace(point, y=3) == Point(1, 3, ("a",))
    assert asdict(point) == {"x": 1, "y": 2, "marks": ("a",)}
    assert copy.copy(point) == copy.deepcopy(point) == pickle.loads(pickle.dumps(point)) == point
    match point:
        case Point(x, 2):
            assert x == point.sum - 2
        case _:
            pytest.fail("a value is matched by its fields, in their order")


def test_a_value_holds_nothing_but_its_fields() -> None:
    """A misspelt name is an error, also at run time."""
    with pytest.raises(AttributeError):
        Point(1).z = 3  # type: ignore[attr-defined]


def test_what_changes_is_compared_by_its_fields_and_cannot_be_hashed() -> None:
    one, other = Count(), Count()
    assert one == other
    one.done += 1
    one.names.append("a")
    assert one != other
    assert one == Count(1, ["a"])
    with pytest.raises(TypeError, match="unhashable"):
        hash(one)
