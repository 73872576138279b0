"""Actions that are operations of an OpenAPI file, 3.0 or 3.1.

Promises: what is sent is what the file declares, and nothing that it does not; an operation that cannot be carried faithfully (cookies, bodies
that are neither JSON nor a form, references that lead elsewhere or in a circle) is refused with its name and a mend. Nothing is fetched.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import urlsplit

from bot.net.calls import FOLLOWING, Caller
from bot.tools.action import Declared, Parameter
from bot.tools.http import Auth, HttpEndpoint, Secret, guess
from bot.tools.http_request import Encoding, LookUp, Shape, check, places
from bot.tools.openapi_schema import Document

MOST_BYTES: Final = 20_000_000
DESCRIPTION_CHARS: Final = 4_000
METHODS: Final = ("get", "head", "post", "put", "patch", "delete")
_JSON: Final = "application/json"
_FORM: Final = "application/x-www-form-urlencoded"
_OWN: Final = frozenset(
    {"accept", "content-type", "authorization"}
)  # https://spec.openapis.org/oas/v3.1.0#parameter-object
_REFUSED: Final = frozenset(  # RFC 9110, sections 7.2 and 7.6.1, and what says who asks, for what and how: no argument may choose them
    {
        *(
            "host",
            "content-length",
            "transfer-encoding",
            "connection",
            "keep-alive",
            "te",
            "trailer",
            "upgrade",
            "expect",
        ),
        *("cookie", "proxy-authorization", "proxy-connection", "forwarded", "x-forwarded-for", "x-forwarded-host"),
        *(
            "x-forwarded-proto",
            "x-forwarded-port",
            "x-forwarded-prefix",
            "x-real-ip",
            "x-original-url",
            "x-rewrite-url",
        ),
        *("x-http-method-override", "x-http-method", "x-method-override"),
    }
)
_PLAIN_BODY: Final = frozenset({"type", "properties", "required", "additionalProperties", "title", "description"})
_MISSHAPEN: Final = (
    AttributeError,
    KeyError,
    TypeError,
)  # what comes of a file with a list for an object, or the other way round
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")


def operations(path: Path) -> list[str]:
    """The operationIds of a file, in its order. Raises ValueError with a text for the operator, and its mend."""
    return [each.name for each in _found(path, _document(path))]


def declared(
    path: Path,
    operation: str,
    *,
    caller: Caller,
    secret: Secret,
    base_url: str = "",
    auth: Auth | None = None,
    look_up: LookUp | None = None,
    key_header: str = "Idempotency-Key",
    is_read: bool = False,
) -> Declared:
    """One operation. `base_url` stands in for the file's servers; `is_read`: it is taken for one without an effect. Raises ValueError with a
    text for the operator, and its mend."""
    document = _document(path)
    every = _found(path, document)
    found = [each for each in every if each.name == operation]
    if len(found) != 1:
        known = ", ".join(each.name for each in every)[:500] or "none"
        what = f"names {operation} in {path.name}, which stands there {len(found)} times"
        raise ValueError(f"{what}. There is: {known}")
    try:
        made = _Made(document, found[0], base_url, [key_header, *([auth.header] if auth else [])])
        check(made.shape, made.parameters, look_up)
    except ValueError as error:
        raise ValueError(f"is {operation} of {path.name}, which {error}") from error
    except _MISSHAPEN as error:
        raise ValueError(f"is {operation} of {path.name}, which is not built as OpenAPI is. Correct it") from error
    endpoint = HttpEndpoint(
        made.shape, caller, secret, auth=auth, look_up=look_up, key_header=key_header, is_read=is_read
    )
    origin = f"{made.shape.method} {made.shape.url}"
    return Declared(
        found[0].description, tuple(made.parameters), endpoint, origin=origin, effect=guess(made.shape.method)
    )


@dataclass(frozen=True, slots=True)
class _Operation:
    name: str
    method: str
    path: str
    whole: Mapping[str, Any]
    shared: Mapping[str, Any]  # what all operations of its path have

    @property
    def description(self) -> str:
        parts = [str(self.whole.get(key) or "").strip() for key in ("summary", "description")]
        return "\n\n".join(dict.fromkeys(filter(None, parts)))[:DESCRIPTION_CHARS]


def _found(path: Path, document: Document) -> list[_Operation]:
    try:
        return list(_operations(document))
    except _MISSHAPEN as error:
        raise ValueError(f"names {path.name}, which is not built as OpenAPI is. Correct it") from error


def _operations(document: Document) -> Iterator[_Operation]:
    for path, item in (document.whole.get("paths") or {}).items():
        shared = document.resolved(item)
        for method in METHODS:
            whole = shared.get(method)
            if isinstance(whole, Mapping) and isinstance(whole.get("operationId"), str):
                yield _Operation(whole["operationId"], method.upper(), str(path), whole, shared)


class _Made:
    """The request of an operation, and the parameters that it is made of. `own_headers`: those that are filled in here."""

    def __init__(self, document: Document, operation: _Operation, base_url: str, own_headers: Sequence[str]) -> None:
        self._document = document
        self._operation = operation
        self._own = _OWN | {each.lower() for each in own_headers}
        self.parameters: list[Parameter] = []
        self._at: dict[str, dict[str, str]] = {"path": {}, "query": {}, "header": {}, "body": {}}
        self._listed: set[str] = set()
        self._encoding: Encoding = "json"
        self._media_type = self._whole = ""
        self._check_security()
        for each in self._declared():
            self._add_parameter(each)
        self._add_body()
        self.shape = Shape(
            operation.method,
            self._base(base_url) + self._path(),
            query=self._at["query"],
            headers=self._at["header"],
            body=self._at["body"],
            whole=self._whole,
            encoding=self._encoding,
            media_type=self._media_type,
            listed=frozenset(self._listed),
        )

    # --- where -------------------------------------------------------------------------------------------------------

    def _base(self, given: str) -> str:
        servers: list[Any] = next(
            (
                each["servers"]
                for each in (self._operation.whole, self._operation.shared, self._document.whole)
                if each.get("servers")
            ),
            [],
        )
        server = servers[0] if servers else {}
        url = given or str(server.get("url", ""))
        for name in places(url):
            url = url.replace(f"{{{name}}}", str((server.get("variables") or {}).get(name, {}).get("default", "")))
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc or parts.query:
            raise ValueError("does not say at which address. Write url = with the address that its paths begin at")
        return url.rstrip("/")

    def _path(self) -> str:
        if not self._operation.path.startswith("/"):  # it would go on with the host
            raise ValueError("has a path that does not begin with /. Correct it there")
        path, names = self._operation.path, {wire: name for name, wire in self._at["path"].items()}
        for wire in places(path):
            if wire not in names:
                raise ValueError(f"has {{{wire}}} in its path, and no parameter for it. Declare it there")
        return re.sub(r"\{([^{}]*)\}", lambda place: f"{{{names[place[1]]}}}", path)

    def _check_security(self) -> None:
        """Whether its secret can be carried in a header, in one of the ways that it leaves open."""
        wanted = self._operation.whole.get("security", self._document.whole.get("security")) or [{}]
        known = (self._document.whole.get("components") or {}).get("securitySchemes") or {}
        for each in wanted:
            ways = [self._document.resolved(known.get(name, {})) for name in each]
            if all(way.get("type") != "mutualTLS" and way.get("in", "header") == "header" for way in ways):
                return
        raise ValueError("takes its secret in another place than a header. Reach it by python = instead")

    # --- parameters --------------------------------------------------------------------------------------------------

    def _declared(self) -> list[Mapping[str, Any]]:
        """Those of the operation in place of those of its path."""
        given = [*(self._operation.shared.get("parameters") or ()), *(self._operation.whole.get("parameters") or ())]
        found = {}
        for each in map(self._document.resolved, given):
            found[each.get("name"), each.get("in")] = each
        return list(found.values())

    def _add_parameter(self, given: Mapping[str, Any]) -> None:
        name, where = str(given.get("name", "")), str(given.get("in", ""))
        if where == "header" and name.lower() in self._own:
            return
        if where == "header" and name.lower() in _REFUSED:
            raise ValueError(f"takes the header {name}, which no argument may choose. Reach it by python = instead")
        if where not in ("path", "query", "header"):
            raise ValueError(
                f"takes {name} in a {where or 'place that it does not name'}. Reach it by python = instead"
            )
        if "schema" not in given:
            raise ValueError(f"takes {name} in a form of its own. Reach it by python = instead")
        usual = "form" if where == "query" else "simple"
        style = given.get("style", usual)
        schema = self._document.closed(given["schema"])
        is_list = "array" in _kinds(schema)
        if style != usual:
            raise ValueError(f"takes {name} in the style {style}. Reach it by python = instead")
        if description := given.get("description"):
            schema = {"description": str(description)[:DESCRIPTION_CHARS], **schema}
        own = self._name(name, where)
        self._at[where][own] = name
        if is_list and not given.get("explode", True):
            self._listed.add(own)
        self.parameters.append(Parameter(own, schema, where == "path" or given.get("required") is True))

    def _name(self, wire: str, where: str) -> str:
        """What the model calls it: the other side's name, or as near to it as a name can be."""
        taken = {each.name for each in self.parameters}
        plain = re.sub(r"[^A-Za-z0-9_-]+", "_", wire).strip("_")
        for name in (wire, plain, f"{where}_{plain}"):
            if _NAME.fullmatch(name) and name not in taken:
                return name
        raise ValueError(f"takes {wire} in its {where}, which makes no name of its own. Reach it by python = instead")

    # --- body --------------------------------------------------------------------------------------------------------

    def _add_body(self) -> None:
        given = self._operation.whole.get("requestBody")
        if given is None:
            return
        if self._operation.method in FOLLOWING:
            raise ValueError(f"has a body in a {self._operation.method}, which means nothing. Remove it there")
        body = self._document.resolved(given)
        content = self._content(body.get("content") or {})
        schema = self._document.closed(content.get("schema", {}))
        is_required = body.get("required") is True
        if not self._is_flat(schema, is_required=is_required):
            if self._encoding == "form":
                raise ValueError("has a form that is no plain list of fields. Reach it by python = instead")
            self._whole = self._name("body", "request")
            self.parameters.append(Parameter(self._whole, schema, is_required))
            return
        for wire, each in schema.get("properties", {}).items():
            own = self._name(wire, "body")
            self._at["body"][own] = wire
            self.parameters.append(Parameter(own, each, wire in schema.get("required", ())))

    def _content(self, content: Mapping[str, Any]) -> Mapping[str, Any]:
        kinds = {str(each).partition(";")[0].strip().lower(): each for each in content}
        chosen = next((each for each in kinds if each == _JSON), "") or next(
            (each for each in kinds if each == _FORM or each.endswith("+json")), ""
        )
        if not chosen:
            said = ", ".join(map(str, content)) or "of no kind"
            raise ValueError(f"takes a body that is neither JSON nor a form ({said}). Reach it by python = instead")
        self._encoding = "form" if chosen == _FORM else "json"
        self._media_type = chosen if chosen.endswith("+json") else ""
        return cast(Mapping[str, Any], content[kinds[chosen]])

    @staticmethod
    def _is_flat(schema: Mapping[str, Any], *, is_required: bool) -> bool:
        """Whether its fields can be arguments by themselves: nothing is said of the object as a whole."""
        is_plain = schema.get("additionalProperties") is False and not set(schema) - _PLAIN_BODY
        return is_plain and schema.get("type") in ("object", None) and (is_required or not schema.get("required"))


def _kinds(schema: Mapping[str, Any]) -> set[str]:
    kinds = schema.get("type", ())
    return {kinds} if isinstance(kinds, str) else set(kinds)


# --- the file --------------------------------------------------------------------------------------------------------


def _document(path: Path) -> Document:
    try:
        stat = path.stat()
        if stat.st_size > MOST_BYTES:
            raise ValueError(f"names {path.name}, which is larger than {MOST_BYTES} bytes. Take out what is not needed")
        return _read(path, stat.st_mtime_ns, stat.st_size)
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"names {path.name}, which cannot be read: {type(error).__name__}. Correct openapi") from error


@lru_cache(maxsize=2)  # a file is large, and has many operations
def _read(path: Path, _changed_ns: int, _size: int) -> Document:
    text = path.read_text("utf-8-sig")
    whole = _json(path, text) if text.lstrip().startswith("{") else _yaml(path, text)
    version = str(whole.get("openapi", "")) if isinstance(whole, Mapping) else ""
    if not version.startswith(("3.0", "3.1")):
        raise ValueError(f"names {path.name}, which is not OpenAPI 3.0 or 3.1. Convert it")
    return Document(whole, is_old=version.startswith("3.0"))


def _json(path: Path, text: str) -> Any:  # any JSON value
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"names {path.name}, which is no JSON. Correct it") from error


def _yaml(path: Path, text: str) -> Any:  # any JSON value
    import yaml

    from bot.tools.openapi_yaml import Loader

    try:
        return yaml.load(text, Loader)  # noqa: S506  a safe loader
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ValueError(f"names {path.name}, which is no YAML. Correct it") from error
