"""Turns what pydantic says of a value into problems in our words. The value itself is never repeated: it may be a secret."""

import json
from collections.abc import Iterator
from datetime import date, datetime, time
from difflib import get_close_matches
from math import nan
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from bot.config.lines import Path
from bot.config.settings import NAMED, SECTIONS, default_text
from bot.config.shape import Leaf, Shape, find, variable
from bot.config.sources import Origins
from bot.errors import Problem

S = TypeVar("S", bound=BaseModel)
KIND = "kind"  # the key by which a table of a list says which keys it has
_KIND_PROBLEMS = ("union_tag_invalid", "union_tag_not_found")
FIRST = {*SECTIONS, *NAMED, "channels"}  # what a config begins with
_TYPES = {
    "int_type": "a whole number",
    "int_parsing_size": "a whole number of ordinary size",
    "float_type": "a number",
    "string_type": "text in quotes",
    "bool_type": "true or false",
    "tuple_type": "a list in [ ]",
    "list_type": "a list in [ ]",
    "set_type": "a list in [ ]",
    "frozen_set_type": "a list in [ ]",
    "model_type": "a table",
    "dict_type": "a table",
}
_BOUNDS = {
    "greater_than_equal": ("smaller than {ge}", "Write {ge} or more."),
    "greater_than": ("not above {gt}", "Write a number above {gt}."),
    "less_than_equal": ("larger than {le}", "Write {le} or less."),
    "less_than": ("not below {lt}", "Write a number below {lt}."),
}


def parse(model: type[S], raw: object) -> S:
    """`raw` as `model`, without conversions between types. Raises pydantic's ValidationError.

    It goes through JSON because that is the strict mode in which a list may become a tuple and text a path or a secret."""
    return model.model_validate_json(json.dumps(raw, default=_foreign), strict=True)


def explain(
    error: ValidationError, at: Path, raw: object, shape: Shape, origins: Origins, *, is_whole: bool = True
) -> Iterator[Problem]:
    """One problem for each wrong key of the table at `at`. Unknown keys are left out: `unknown_key` tells of those.

    Unless `is_whole`, missing keys and what concerns the table as a whole are left out too."""
    told: dict[Path, list[ErrorDetails]] = {}
    for detail in error.errors(include_url=False, include_input=False):
        is_left_out = not is_whole and (detail["type"] == "missing" or not detail["loc"])
        if detail["type"] != "extra_forbidden" and not is_left_out:
            told.setdefault((*at, *_within(detail, raw)), []).append(detail)
    for path, details in told.items():
        yield origins.problem(path, *_one_sentence(details, path, find(shape, path)))


def unknown_key(path: Path, known: list[str], origins: Origins) -> Problem:
    """A key that is not known, with the nearest name that is."""
    near = get_close_matches(str(path[-1]).lower(), known, n=1, cutoff=0.6)
    choices = ", ".join(known)
    mend = f'Did you mean "{near[0]}"?' if near else f"Remove it. Known here: {choices}."
    what = "is not a section of the config" if len(path) == 1 else "is not a key of this section"
    if len(path) > 1 and path[-1] in FIRST:
        what = "stands inside another section"
        mend = f"Move it above the first [section] of the file, or write it below a line [{path[-1]}]."
    if len(path) == 2 and path[0] == "channels":
        what = "is not a channel that is installed"
    return origins.problem(path, what, mend)


def _within(detail: ErrorDetails, raw: Any) -> Path:  # any TOML value
    """The error's place, cut where it goes on into pydantic's own names. A missing key stays in."""
    path: Path = ()
    for part in detail["loc"]:
        if _is_kind(raw, part):
            continue
        if not _holds(raw, part):
            return (*path, part) if detail["type"] == "missing" else path
        raw = raw[part]
        path = (*path, part)
    return (*path, KIND) if detail["type"] in _KIND_PROBLEMS else path


def _is_kind(raw: Any, part: str | int) -> bool:  # any TOML value
    """Whether pydantic speaks of the kind that a table says it is; in the file, its keys stand beside `kind`."""
    return isinstance(raw, dict) and part not in raw and raw.get(KIND) == part


def _holds(raw: Any, part: str | int) -> bool:  # any TOML value
    if isinstance(raw, list):
        return isinstance(part, int) and part < len(raw)
    return isinstance(raw, dict) and part in raw


def _one_sentence(details: list[ErrorDetails], path: Path, shape: Shape | None) -> tuple[str, str]:
    """Of a key that may have values of several types, each type has its own detail: what is wrong with a value of the right type
    tells more than that it is not of another."""
    types = [_TYPES[detail["type"]] for detail in details if detail["type"] in _TYPES]
    if len(types) == len(details) > 1:
        return f"must be {', or '.join(dict.fromkeys(types))}", _example(path, shape)
    telling = next((detail for detail in details if detail["type"] not in _TYPES), details[0])
    return _sentence(telling, path, shape)


def _sentence(detail: ErrorDetails, path: Path, shape: Shape | None) -> tuple[str, str]:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind in ("missing", "union_tag_not_found"):
        is_listed = any(isinstance(part, int) for part in path)  # no variable means a key of a list's tables
        return "is missing", "Set it here." if is_listed else f"Set it here, or in the environment as {variable(path)}."
    if kind in _TYPES:
        return f"must be {_TYPES[kind]}", _example(path, shape)
    if kind in _BOUNDS:
        what, mend = _BOUNDS[kind]
        return f"is {what.format(**context)}", mend.format(**context)
    if kind in ("literal_error", "union_tag_invalid"):
        choices = _either(str(context["expected"] if kind == "literal_error" else context["expected_tags"]))
        return (
            f"must be {choices}",
            "Write one of these." if " or " in choices else "Nothing else exists in this version.",
        )
    if kind == "finite_number":
        return "must be an ordinary number", _example(path, shape)
    if kind in ("too_short", "string_too_short"):
        return "is empty", _example(path, shape)
    if kind == "value_error":
        return _own_words(str(context["error"]))
    return _own_words(detail["msg"])


def _either(choices: str) -> str:
    """Choices as pydantic lists them, for a sentence."""
    *others, last = choices.replace("'", '"').split(", ")
    return f"{', '.join(others)} or {last}" if others and " or " not in last else choices.replace("'", '"')


def _own_words(text: str) -> tuple[str, str]:
    """Splits a validator's text into what is wrong (its first sentence) and the mend."""
    what, _, mend = text.strip().rstrip(".").partition(". ")
    return what[:1].lower() + what[1:], f"{mend or 'Correct it'}."


def _example(path: Path, shape: Shape | None) -> str:
    if isinstance(shape, Leaf) and not shape.is_required and not shape.is_secret and shape.default is not None:
        return f"For example: {path[-1]} = {default_text(shape)}"
    return "Correct it; docs/configuration.md says what it takes."


def _foreign(value: object) -> object:
    """TOML's dates and times have no place in the config; as no number they are refused by every key."""
    if isinstance(value, date | time | datetime):
        return nan
    raise TypeError(type(value).__name__)
