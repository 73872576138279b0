"""Only what is declared reaches an action, and all of it does."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.tools.action import Action, Arguments, Parameter, Reply, Source
from bot.tools.schemas import ARGUMENT_CHARS, DEEPEST, check_schema, checked


class Nowhere:
    async def call(self, arguments: Arguments, key: str, within_s: float) -> Reply:
        raise AssertionError

    async def look_up(self, arguments: Arguments, key: str, within_s: float) -> Reply | None:
        raise AssertionError


def action(*parameters: Parameter, given: dict[str, Any] | None = None) -> Action:
    return Action("refund", "Refund", "Refunds.", parameters, Nowhere(), given=given or {})


def one(schema: dict[str, Any], **given: Any) -> Action:
    return action(Parameter("value", schema), given=given)


REFUND = action(
    Parameter("order", {"type": "string", "pattern": "^[0-9]+$", "maxLength": 20}),
    Parameter("amount", {"type": "integer", "minimum": 1, "maximum": 100_000}),
    Parameter("rate", {"type": "number"}, is_required=False),
    Parameter("is_full", {"type": "boolean"}, is_required=False),
    Parameter("lines", {"type": "array", "items": {"type": "string"}, "maxItems": 5}, is_required=False),
    Parameter("customer", {"type": "string"}, source=Source.IDENTITY),
    Parameter("email", {"type": "string"}, source=Source.FACTS),
)
TEXT = st.text().filter(lambda text: "\0" not in text and text.isprintable())
VALID: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"order": st.from_regex(r"[0-9]{1,20}", fullmatch=True), "amount": st.integers(1, 100_000)},
    optional={
        "rate": st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False),
        "is_full": st.booleans(),
        "lines": st.lists(TEXT, max_size=5),
    },
)


def refused(what: Action, text: str) -> str:
    with pytest.raises(ValueError, match=r".") as caught:
        checked(what, text)
    return str(caught.value)


@given(VALID, st.booleans())
def test_f38_what_is_declared_passes_unchanged(arguments: dict[str, Any], is_ascii: bool) -> None:
    got = checked(REFUND, json.dumps(arguments, ensure_ascii=is_ascii))
    assert got == arguments
    assert {name: type(value) for name, value in got.items()} == {name: type(arguments[name]) for name in arguments}


@given(VALID, st.sampled_from(["customer", "email", "Amount", "amount ", "__class__", ""]), st.text() | st.integers())
def test_f38_what_is_not_declared_to_the_model_never_passes(arguments: dict[str, Any], name: str, value: Any) -> None:
    """Neither a name of its own, nor one that only the identity or the facts may fill."""
    refused(REFUND, json.dumps({**arguments, name: value}))


@given(
    VALID,
    st.sampled_from(
        [
            *(("amount", each) for each in ("5", 5.0, True, None, [5], {"n": 5}, 0, -1, 100_001, "1e9", 1e3)),
            *(("order", each) for each in (5, True, None, "", "12a", "12\n", "١٢", "１２", " 12", "1" * 21, ["1"])),
            *(("is_full", each) for each in (0, 1, "true", "false", None)),
            *(("rate", each) for each in ("1", True, None)),
            *(("lines", each) for each in ("a", ["a", 1], ["a"] * 6, {"0": "a"}, None)),
        ]
    ),
)
def test_f38_a_wrong_value_never_passes(arguments: dict[str, Any], wrong: tuple[str, Any]) -> None:
    refused(REFUND, json.dumps({**arguments, wrong[0]: wrong[1]}))


@given(VALID, st.sampled_from(["order", "amount"]))
def test_f38_what_is_required_must_be_there(arguments: dict[str, Any], name: str) -> None:
    del arguments[name]
    assert name in refused(REFUND, json.dumps(arguments))


@pytest.mark.parametrize(
    "amount", ["1e9", "1E2", "5.0", "-0.0", "NaN", "Infinity", "-Infinity", "0x10", "1_0", "+5", "05"]
)
def test_f38_an_amount_is_whole_however_it_is_written(amount: str) -> None:
    refused(REFUND, f'{{"order": "1", "amount": {amount}}}')


@given(st.text(max_size=200))
def test_f38_any_text_is_refused_or_fits(text: str) -> None:
    try:
        got = checked(REFUND, text)
    except ValueError:
        return
    assert set(got) >= {"order", "amount"}


@given(VALID, st.data())
def test_f38_what_is_cut_short_never_passes(arguments: dict[str, Any], data: st.DataObject) -> None:
    text = json.dumps(arguments)
    refused(REFUND, text[: data.draw(st.integers(0, len(text) - 1))])


@pytest.mark.parametrize(
    "text",
    [
        '{"order": "1", "amount": 1, "amount": 2}',
        '{"order": "1", "amount": 1, "\\u0061mount": 1}',
        '{"order": "1", "amount": 1, "lines": [{"a": 1, "a": 1}]}',
    ],
)
def test_f38_a_key_stands_once(text: str) -> None:
    assert "twice" in refused(REFUND, text)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
def test_f38_a_number_has_an_end(number: str) -> None:
    refused(REFUND, f'{{"order": "1", "amount": 1, "rate": {number}}}')


@pytest.mark.parametrize("text", ["\\u0000", "a\\ud800", "\\udc00\\ud800", "\\udfff"])
def test_f38_text_is_made_of_characters(text: str) -> None:
    refused(REFUND, f'{{"order": "1", "amount": 1, "lines": ["{text}"]}}')
    refused(REFUND, f'{{"order": "1", "amount": 1, "{text}": 1}}')


def test_f38_there_is_an_end_to_depth_and_length() -> None:
    deep = one({})
    levels = DEEPEST - 1
    assert checked(deep, f'{{"value": {"[" * levels}{"]" * levels}}}')
    for count in (levels + 1, 1_000, 30_000):
        assert "deep" in refused(deep, f'{{"value": {"[" * count}{"]" * count}}}')
    assert "long" in refused(deep, f'{{"value": "{"x" * ARGUMENT_CHARS}"}}')
    assert "long" in refused(deep, f'{{"value": {"9" * 5_000}}}')


@pytest.mark.parametrize("text", ["[]", "null", "1", '"x"', "true", "{} {}", "{'order': '1'}", '{"order": "1",}', "{"])
def test_f38_only_an_object_is_arguments(text: str) -> None:
    refused(REFUND, text)


def test_no_text_at_all_is_no_arguments() -> None:
    assert checked(action(), " ") == {}


@pytest.mark.parametrize(
    ("format_", "right", "wrong"),
    [
        ("date", ["2026-02-28", "2024-02-29"], ["2026-02-29", "20260228", "2026-W01-1", "2026-2-8", "2026-02-28\n"]),
        (
            "date-time",
            ["2026-02-28T10:00:00Z", "2026-02-28t10:00:00.123456789+02:00"],
            ["2026-02-28", "2026-02-28T10:00:00", "2026-02-28 10:00:00Z", "2026-02-28T25:00:00Z"],
        ),
        (
            "email",
            ["ada@example.com", "a.b+c@x.example"],
            ["ada", "a@b@c", "a b@c.example", "ada@example.com\n", "a@-b.example", "Ada <a@b.c>"],
        ),
        (
            "uri",
            ["https://example.com/a?b#c", "mailto:a@b.c"],
            ["example.com", "/a", "https://a b", "https://a/\n", "http://[", "https://a/%zz"],
        ),
        ("uuid", ["123e4567-e89b-12d3-a456-426614174000"], ["123e4567e89b12d3a456426614174000", "x"]),
    ],
)
def test_a_format_is_held_to(format_: str, right: list[str], wrong: list[str]) -> None:
    what = one({"type": "string", "format": format_})
    for text in right:
        assert checked(what, json.dumps({"value": text})) == {"value": text}
    for text in wrong:
        refused(what, json.dumps({"value": text}))


@pytest.mark.parametrize(
    ("pattern", "right", "wrong"),
    [
        (r"^[a-z]+$", "abc", "abc\n"),
        (r"^a\$[$]$", "a$$", "a$$\n"),
        (r"^\d$|^[\]$]$", "$", "٣"),
    ],
)
def test_a_pattern_ends_where_the_text_does(pattern: str, right: str, wrong: str) -> None:
    what = one({"type": "string", "pattern": pattern})
    assert checked(what, json.dumps({"value": right}))
    refused(what, json.dumps({"value": wrong}))


def test_definitions_come_with_the_action() -> None:
    what = one({"$ref": "#/$defs/Line"}, Line={"type": "object", "properties": {"n": {"type": "integer"}}})
    check_schema(what)
    assert checked(what, '{"value": {"n": 1}}')
    refused(what, '{"value": {"n": 1.0}}')


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "https://example.com/schema.json"},
        {"$ref": "#/$defs/Missing"},
        {"type": "text"},
        {"type": "string", "pattern": "["},
        {"type": "array", "items": {"type": "string", "pattern": "(?P<"}},
        {"type": "integer", "minimum": "1"},
    ],
)
def test_what_cannot_be_held_against_anything_is_found_before_it_is_used(schema: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\. (Correct|Write)"):
        check_schema(one(schema))


def test_two_actions_of_one_name_are_not_confused() -> None:
    """A catalogue may be read anew, with the same names."""
    for kind, text, wrong in (
        ("string", '{"value": "1"}', '{"value": 1}'),
        ("integer", '{"value": 1}', '{"value": "1"}'),
    ):
        what = one({"type": kind})
        assert checked(what, text)
        refused(what, wrong)


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(), st.lists, max_leaves=5))
def test_what_passes_can_be_written_down(value: Any) -> None:
    """As JSON that any database holds, whatever stood in it."""
    try:
        got = checked(one({}), json.dumps({"value": value}))
    except ValueError:
        return
    assert not (isinstance(value, float) and not math.isfinite(value))
    assert json.loads(json.dumps(got, allow_nan=False, ensure_ascii=False).encode().decode()) == got
