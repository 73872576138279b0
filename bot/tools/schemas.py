"""What a model may pass to an action: exactly what is declared, and nothing that reads like it.

Promises: strict JSON (one value for a key, no endless number, no text that UTF-8 cannot hold); nothing is converted; a schema is never looked
for outside the action that it belongs to.
"""

import json
import math
import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from typing import Any, Final
from urllib.parse import urlsplit

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import SchemaError, ValidationError, best_match
from jsonschema.validators import extend
from referencing import Registry

from bot.tools.action import Action, Source

ARGUMENT_CHARS: Final = 65_536
DEEPEST: Final = 16
TOLD_DEEPEST: Final = 64
_BITS_MOST: Final = 10_000  # of a whole number; Python writes none that is much longer
SAID_CHARS: Final = 200
_KEPT_MOST: Final = 1_000
_ROOT: Final = "#/$defs/"


def checked(action: Action, text: str) -> dict[str, Any]:
    """The arguments, or a ValueError that says what is wrong in a way that is safe to show a model. Nothing is converted: a number in quotes
    is text, and 5.0 is no whole number."""
    given = strict_json(text) if text.strip() else {}
    if not isinstance(given, dict):
        raise ValueError("they are not an object")  # noqa: TRY004  one kind of error for all that a model can write
    try:
        problem = best_match(_validator(action).iter_errors(given))
    except RecursionError as error:
        raise ValueError("they are nested too deeply") from error
    if problem is not None:
        raise ValueError(_said(problem))
    return given


def check_schema(action: Action) -> None:
    """Whether arguments can be held against what the action declares. Raises ValueError with a text for the operator, and its mend."""
    schema = action.schema()
    try:
        Draft202012Validator.check_schema(schema)
        for each in _schemas(schema):
            _check_one(each, action.given)
    except (SchemaError, RecursionError) as error:
        reason = error.message[:SAID_CHARS] if isinstance(error, SchemaError) else "it is nested too deeply"
        raise ValueError(f"declares its arguments in no JSON Schema: {reason}. Correct what declares it") from error


def strict_json(text: str) -> Any:  # any JSON value
    """What the text says, or a ValueError that is safe to show a model."""
    if len(text) > ARGUMENT_CHARS:
        raise ValueError("they are too long")
    try:
        given = json.loads(text, object_pairs_hook=_each_once, parse_constant=_refuse_constant, parse_int=_whole)
    except RecursionError as error:
        raise ValueError("they are nested too deeply") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"they are not JSON ({error.msg} at {error.pos})") from error
    _check_plain(given, 0)
    return given


def storable(value: Any) -> Any:  # any JSON value
    """What others tell, taken as it is where that can be stored and shown: a number without an end becomes null, characters that are none are
    replaced. Raises ValueError for what is too deep or has a number that is too long."""
    return _storable(value, 0)


def without(value: Any, hidden: str) -> Any:  # any JSON value
    """The same with `***` in the place of a secret, however it was escaped where it came from."""
    match value:
        case dict():
            return {without(name, hidden): without(each, hidden) for name, each in value.items()}
        case list():
            return [without(each, hidden) for each in value]
        case str():
            return value.replace(hidden, "***") if hidden else value
        case _:
            return value


# --- JSON ------------------------------------------------------------------------------------------------------------


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError("a key stands in them twice")
    return values


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def _whole(digits: str) -> int:
    if len(digits) > 100:
        raise ValueError("they hold a number that is too long")
    return int(digits)


def _check_plain(value: Any, depth: int) -> None:  # any JSON value
    """Raises ValueError for what is too deep, for endless numbers and for text that no UTF-8 holds."""
    if depth >= DEEPEST and isinstance(value, dict | list):
        raise ValueError("they are nested too deeply")
    match value:
        case dict():
            for name, each in value.items():
                _check_plain(name, depth)
                _check_plain(each, depth + 1)
        case list():
            for each in value:
                _check_plain(each, depth + 1)
        case str():
            if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
                raise ValueError("they hold characters that are none")
        case float():
            if not math.isfinite(value):
                raise ValueError("they hold a number without an end")


def _storable(value: Any, depth: int) -> Any:  # any JSON value
    if depth > TOLD_DEEPEST:
        raise ValueError("nested too deeply")
    match value:
        case dict():
            return {_storable(name, depth): _storable(each, depth + 1) for name, each in value.items()}
        case list():
            return [_storable(each, depth + 1) for each in value]
        case str():
            return value.replace("\0", "").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        case float():
            return value if math.isfinite(value) else None
        case int() if value.bit_length() > _BITS_MOST:
            raise ValueError("a number is too long")
        case _:
            return value


# --- schemas ---------------------------------------------------------------------------------------------------------


def _is_whole(_checker: Any, value: Any) -> bool:
    """JSON Schema takes 5.0 for an integer; money does not."""
    return isinstance(value, int) and not isinstance(value, bool)


def _fits_pattern(validator: Any, pattern: str, value: Any, _schema: Any) -> Iterator[ValidationError]:
    if validator.is_type(value, "string") and not _expression(pattern).search(value):
        yield ValidationError(f"does not match {pattern}")


def _expression(pattern: str) -> re.Pattern[str]:
    """A pattern as JSON Schema means it, in ECMA-262: `$` is the very end, also before a line break there, and digits are 0 to 9."""
    made, is_class, place = [], False, 0
    while place < len(pattern):
        step = 2 if pattern[place] == "\\" else 1
        token = pattern[place : place + step]
        is_class = token == "[" or (is_class and token != "]")  # noqa: S105  a piece of a pattern
        made.append(r"\Z" if token == "$" and not is_class else token)  # noqa: S105
        place += step
    return re.compile("".join(made), re.ASCII)  # which keeps what it has compiled


_Strict: Final[Any] = extend(  # type: ignore[no-untyped-call]  # a class that only exists at run time
    Draft202012Validator,
    {"pattern": _fits_pattern},
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_whole),
)
_validators: Final[OrderedDict[int, tuple[Action, Any]]] = OrderedDict()


def _validator(action: Action) -> Any:  # of the class above
    """Made once for an action, which is kept with it, so that its id is not another's."""
    known = _validators.get(id(action))
    if known is not None:
        return known[1]
    check_schema(action)
    registry: Registry[Any] = Registry()  # knows nothing, so that no reference is fetched
    made = _Strict(action.schema((Source.MODEL,)), format_checker=_FORMATS, registry=registry)
    _validators[id(action)] = (action, made)
    while len(_validators) > _KEPT_MOST:
        _validators.popitem(last=False)
    return made


def _schemas(value: Any) -> Iterator[Mapping[str, Any]]:  # any JSON value
    if isinstance(value, Mapping):
        yield value
        for each in value.values():
            yield from _schemas(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _schemas(each)


def _check_one(schema: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    target, pattern = schema.get("$ref"), schema.get("pattern")
    if isinstance(target, str) and target.removeprefix(_ROOT).partition("/")[0] not in known:
        raise ValueError(f"refers to {target[:SAID_CHARS]}, which does not come with it. Write out what is meant")
    if isinstance(pattern, str):
        try:
            _expression(pattern)
        except re.error as error:
            raise ValueError(f"has a pattern that is none: {pattern[:SAID_CHARS]}. Correct it") from error


def _said(problem: ValidationError) -> str:
    where = ".".join(str(each) for each in problem.absolute_path)[:100] or "arguments"
    match problem.validator:
        case "additionalProperties" | "unevaluatedProperties":
            return f"{where}: something stands there that is not declared"
        case "required":
            return f"{where}: {problem.message[:SAID_CHARS]}"
        case _:
            wanted = json.dumps(problem.validator_value, default=str, ensure_ascii=False)[:SAID_CHARS]
            return f"{where}: does not fit {problem.validator} {wanted}"


# --- formats ---------------------------------------------------------------------------------------------------------

_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
# RFC 3339, section 5.6
_MOMENT: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_LABEL: Final = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
# https://html.spec.whatwg.org/multipage/input.html#valid-e-mail-address
_EMAIL: Final = re.compile(rf"[A-Za-z0-9.!#$%&'*+/=?^_`{{|}}~-]{{1,64}}@{_LABEL}(\.{_LABEL})*")
# RFC 3986, section 3.1 and appendix A
_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:([A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+")


def _is_date(value: str) -> bool:
    return bool(_DATE.fullmatch(value)) and date.fromisoformat(value) is not None


def _is_moment(value: str) -> bool:
    plain = re.sub(r"\.[0-9]+", "", value.upper())
    return bool(_MOMENT.fullmatch(value)) and datetime.fromisoformat(plain) is not None


def _is_uri(value: str) -> bool:
    return bool(_URI.fullmatch(value)) and urlsplit(value) is not None


_FORMATS: Final = FormatChecker(formats=())
for _name, _check in {
    "date": _is_date,
    "date-time": _is_moment,
    "email": _EMAIL.fullmatch,
    "uri": _is_uri,
    "uuid": _UUID.fullmatch,
}.items():
    _FORMATS.checks(_name, raises=ValueError)(
        lambda value, check=_check: not isinstance(value, str) or bool(check(value))
    )
