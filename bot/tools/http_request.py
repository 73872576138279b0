"""An HTTP request made of arguments: each is a value, and never a piece of the address, of a header or of another value."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal
from urllib.parse import quote, unquote, urlencode, urlsplit

from bot.tools.action import Arguments, Parameter

Encoding = Literal["json", "form"]

KEY: Final = "key"  # stands in a look-up's address for the key of the call
IN_QUERY: Final = frozenset({"GET", "HEAD", "DELETE"})  # RFC 9110, section 9.3: a body has no meaning there
ENCODED: Final = {"json": "application/json", "form": "application/x-www-form-urlencoded"}
_PLACE: Final = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True, slots=True)
class LookUp:
    """The request that finds out what became of an earlier call; `{key}` and `{argument}` may stand in its address."""

    url: str
    method: str = "GET"


@dataclass(frozen=True, slots=True)
class Shape:
    """Where each argument goes: into `{name}` of the path, or under a name of the other side's into the query, the headers or the body.
    `whole`: the argument that is the body by itself. `listed`: those in the query whose items are joined by commas. `media_type`: of the
    body, where it is another than the usual one."""

    method: str
    url: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, str] = field(default_factory=dict)
    whole: str = ""
    encoding: Encoding = "json"
    media_type: str = ""
    listed: frozenset[str] = frozenset()

    @property
    def content_type(self) -> str:
        return self.media_type or ENCODED[self.encoding]


def places(url: str) -> list[str]:
    return _PLACE.findall(url)


def check(shape: Shape, parameters: Sequence[Parameter], look_up: LookUp | None = None) -> None:
    """Raises ValueError for what no request can be made of."""
    known = {each.name: each for each in parameters}
    for name in places(shape.url):
        if name not in known or not known[name].is_required:
            raise ValueError(f'has "{{{name}}}" in its address, which is no parameter that every call has. Declare it')
    flat = [*places(shape.url), *shape.headers]
    listable = [*shape.query, *(shape.body if shape.encoding == "form" else ())]
    for name in (*flat, *listable):
        kind = _shape_of(known[name].schema)
        if kind == "object" or (kind == "array" and name in flat):
            raise ValueError(
                f"takes {name} as {kind}, which has no place in an address, a header or a form. Flatten it"
            )
    for name in places(look_up.url) if look_up else ():
        if name != KEY and name not in known:
            raise ValueError(f'has "{{{name}}}" in look_up, which is no parameter. Correct it')
    for url in (shape.url, look_up.url if look_up else ""):
        if "{" in urlsplit(url).netloc:
            raise ValueError("has a {name} in its host, which no argument may choose. Write the host out")


def _shape_of(schema: Mapping[str, Any]) -> str:
    """Gives "array" for a list of single values, "object" for anything deeper or unknown, "" for a single value."""
    kinds = schema.get("type")
    named = {kinds} if isinstance(kinds, str) else set(kinds or ())
    if not named and isinstance(schema.get("enum"), list | tuple):
        return "" if not any(isinstance(each, dict | list) for each in schema["enum"]) else "object"
    if "array" in named:
        items = schema.get("items")
        return "array" if isinstance(items, Mapping) and not _shape_of(items) else "object"
    return "object" if "object" in named or not named else ""


def origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


# --- the pieces ------------------------------------------------------------------------------------------------------


def filled(template: str, values: Mapping[str, Any]) -> str:
    """The address with values in place of `{name}`: each is one piece of one segment. Raises ValueError for one that would be another
    segment, or none."""
    path, mark, query = template.partition("?")
    segments = [_segment(each, values) for each in path.split("/")]
    return "/".join(segments) + mark + _PLACE.sub(lambda place: _quoted(values, place[1]), query)


def _segment(template: str, values: Mapping[str, Any]) -> str:
    made = _PLACE.sub(lambda place: _stepless(_quoted(values, place[1]), place[1]), template)
    if made != template and made in (".", ".."):
        raise ValueError("an argument would change the path")
    return made


def _stepless(text: str, name: str) -> str:
    """Some servers decode a path before they take it apart, and some leave out what stands behind a `;`."""
    steps = [step for read in (unquote(text), unquote(unquote(text))) for step in re.split(r"[/\\]", read)]
    if (
        not text
        or ";" in unquote(unquote(text))
        or any(each in (".", "..") for each in steps)
        or re.search(r"%[01][0-9A-F]|%7F", text)
    ):
        raise ValueError(f"{name} would change the path")
    return text


def _quoted(values: Mapping[str, Any], name: str) -> str:
    if name not in values:
        raise ValueError(f"{name} is missing")
    return quote(text_of(values[name]), safe="")


def text_of(value: Any) -> str:  # any JSON value
    match value:
        case str():
            return value
        case bool() | int() | float():
            return json.dumps(value)
        case _:
            raise ValueError("a list or an object stands where one value belongs")


def pairs(
    names: Mapping[str, str], arguments: Arguments, listed: frozenset[str] = frozenset()
) -> list[tuple[str, str]]:
    made = []
    for name, wire in names.items():
        value = arguments.get(name)
        values = value if isinstance(value, list | tuple) else () if value is None else (value,)
        texts = [text_of(each) for each in values]
        if name in listed and texts:
            if any("," in each for each in texts):
                raise ValueError(f"{name} has a comma in one of its items, where commas part them")
            texts = [",".join(texts)]
        made += [(wire, each) for each in texts]
    return made


def with_query(url: str, given: Sequence[tuple[str, str]]) -> str:
    if not given:
        return url
    return f"{url}{'&' if '?' in url else '?'}{urlencode(given, quote_via=quote, safe='')}"


def body_of(shape: Shape, arguments: Arguments) -> bytes:
    if shape.whole:
        return _dumped(arguments[shape.whole]) if shape.whole in arguments else b""
    if shape.encoding == "form":
        return urlencode(pairs(shape.body, arguments)).encode("ascii")
    given = {wire: arguments[name] for name, wire in shape.body.items() if name in arguments}
    return _dumped(given) if shape.body else b""


def _dumped(value: Any) -> bytes:  # any JSON value
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8")
