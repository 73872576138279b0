"""The typed sections of the config that say what agents may do: `[[actions]]`, `[mcp.NAME]`."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, JsonValue, ValidationError, field_validator, model_validator

from bot.config.schema import Amount, Count, Seconds, Section, Url
from bot.text import pattern

Effect = Literal["read", "keyed", "checkable", "naked"]
Consent = Literal["none", "user", "operator"]
Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
Type = Literal["string", "integer", "number", "boolean", "array", "object"]
Whole = Annotated[int, Field(ge=-(10**15), le=10**15)]
Number = Whole | Annotated[float, Field(allow_inf_nan=False)]

HEADER: Final = pattern(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")  # RFC 9110, section 5.6.2
PLACE: Final = pattern(r"\{([^{}]*)\}")
_SECRET: Final = pattern(r"[A-Z][A-Z0-9_]{0,99}")
_NAME: Final = pattern(r"[a-z][a-z0-9_]{0,63}")
_PARAMETER: Final = pattern(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
_FIELD: Final = pattern(r"[A-Za-z_][\w-]*(\.[A-Za-z_][\w-]*)*")
_TARGET: Final = pattern(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_TELLING: Final = pattern(r"token|secret|password|passwd|api[-_]?key|access[-_]?key|signature", re.IGNORECASE)
NESTED_MOST: Final = 8


def _secret(value: str) -> str:
    if not _SECRET.fullmatch(value):
        raise ValueError(
            "must be the name of a secret, not the secret. Put the secret into .env, as NAME=..., and write NAME here"
        )
    return value


def _header(value: str) -> str:
    if value and not HEADER.fullmatch(value):
        raise ValueError('is not the name of a header. Write one such as "Authorization"')
    return value


def _action(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError('must be small letters, digits and _, at most 64. Write one such as "refund_order"')
    return value


def _template(value: str) -> str:
    """An address of the web in whose path and query `{name}` may stand."""
    try:
        parts = urlsplit(value)
        is_whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_whole = False
    is_plain = bool(value) and "@" not in value.partition("//")[2].partition("/")[0] and "\\" not in value
    if value and not (is_whole and is_plain and min(value) > " " and not parts.fragment):
        raise ValueError('is not a web address. Write one such as "https://shop.example.com/orders/{order}"')
    if value and "{" in parts.netloc + parts.scheme:
        raise ValueError("has a {name} in its host, which no argument may choose. Write the host out")
    if "{" in PLACE.sub("", value) or "}" in PLACE.sub("", value):
        raise ValueError("has a { without its }. Write {name}")
    for name, _, given in (pair.partition("=") for pair in parts.query.split("&")) if value else ():
        if _TELLING.search(name) and given and not PLACE.fullmatch(given):
            raise ValueError("holds a secret. Take it out of the address and name it in auth")
    return value


def _target(value: str) -> str:
    if value and not _TARGET.fullmatch(value):
        raise ValueError('is not a Python function. Write one such as "shop.orders:refund"')
    return value


def _field(value: str) -> str:
    if not _FIELD.fullmatch(value):
        raise ValueError('is not a field. Write one such as "status" or "items.name"')
    return value


SecretName = Annotated[str, AfterValidator(_secret)]
Header = Annotated[str, AfterValidator(_header)]
Template = Annotated[str, AfterValidator(_template)]
FieldPath = Annotated[str, AfterValidator(_field)]


class Auth(Section, defer_build=True):
    """Which secret a request carries, by its name, and in which header."""

    secret: SecretName
    header: Annotated[Header, Field(min_length=1)] = "Authorization"
    scheme: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]*$")] = "Bearer"


class LookUp(Section, defer_build=True):
    """The request that finds out whether an earlier call happened."""

    method: Literal["GET", "HEAD"] = "GET"
    url: Annotated[Template, Field(min_length=1)]


class Caps(Section, defer_build=True):
    """How much of an action may happen. 0: no such limit."""

    amount_per_call: Amount = 0
    amount_per_day: Amount = 0
    calls_per_day: Annotated[int, Field(ge=0, le=1_000_000_000)] = 0


class Form(Section, defer_build=True):
    """What values an argument may have: a part of JSON Schema, in words of ours."""

    type: Type | None = None
    description: str = ""
    enum: tuple[JsonValue, ...] = ()
    format: Literal["", "date", "date-time", "email", "uri", "uuid"] = ""
    pattern: str = ""
    minimum: Number | None = None
    maximum: Number | None = None
    min_length: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    max_length: Count | None = None
    max_items: Count | None = None
    items: dict[str, JsonValue] = Field(default_factory=dict)
    properties: dict[str, JsonValue] = Field(default_factory=dict)
    is_required: bool = True

    @field_validator("pattern")
    @classmethod
    def _is_expression(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError('is not a regular expression. Write one such as "^[0-9]+$"') from error
        return value

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        keywords = {
            "string": ("format", "pattern", "min_length", "max_length"),
            "array": ("items", "max_items"),
            "object": ("properties",),
            "integer": ("minimum", "maximum"),
            "number": ("minimum", "maximum"),
        }
        own = keywords.get(self.type or "", ())
        for name in {each for group in keywords.values() for each in group} - set(own):
            if getattr(self, name) not in ("", None, {}):
                kind = f'for type "{self.type}"' if self.type else "without a type"
                raise ValueError(f"has {name}, which means nothing {kind}. Remove it or correct type")
        if self.type == "array" and not self.items:
            raise ValueError('says nothing of its items. Write items = { type = "string" }')
        if self.type == "object" and not self.properties:
            raise ValueError('has no properties. Write properties = { name = { type = "string" } }')
        inner(self)
        return self

    def schema_of(self) -> dict[str, Any]:
        """As JSON Schema; objects are closed."""
        told: dict[str, Any] = {
            "type": self.type,
            "description": self.description,
            "enum": list(self.enum),
            "format": self.format,
            "pattern": self.pattern,
            "minimum": self.minimum,
            "maximum": self.maximum,
            "minLength": self.min_length,
            "maxLength": self.max_length,
            "maxItems": self.max_items,
        }
        made: dict[str, Any] = {key: value for key, value in told.items() if value not in ("", None, [])}
        parts = inner(self)
        if self.type == "array":
            made["items"] = parts[""].schema_of()
        if self.type == "object":
            made["properties"] = {name: each.schema_of() for name, each in parts.items()}
            made["required"] = [name for name, each in parts.items() if each.is_required]
            made["additionalProperties"] = False
        return made


def inner(form: Form) -> dict[str, Form]:
    """The forms inside a form: of an array's items under the name "", of an object's properties under theirs."""
    given: Mapping[str, Any] = {"": form.items} if form.items else form.properties
    return {name: _part(name or "items", each) for name, each in given.items()}


def _part(name: str, given: Any) -> Form:  # any TOML value
    if _depth(given) > NESTED_MOST * 2:
        raise ValueError("is nested too deeply. Write it flatter")
    try:
        form = Form.model_validate(_tupled(given), strict=True)
    except ValidationError as error:
        where = ".".join(map(str, (name, *error.errors()[0]["loc"])))
        raise ValueError(f"has a wrong {where} inside. Correct it as docs/configuration.md tells") from error
    if form.type is None:
        raise ValueError(f'does not say the type of {name}. Write {name} = {{ type = "string" }}')
    return form


def _tupled(given: Any) -> Any:  # any TOML value
    return (
        {key: tuple(each) if key == "enum" and isinstance(each, list) else each for key, each in given.items()}
        if isinstance(given, dict)
        else given
    )


def _depth(given: Any) -> int:  # any TOML value
    return 1 + max(map(_depth, given.values()), default=0) if isinstance(given, dict) else 0


class Parameter(Form):
    """One argument: its form, where its value comes from, what it decides."""

    title: str = ""
    source: Annotated[str, Field(alias="from")] = ""
    role: Literal["", "amount", "currency", "recipient"] = ""
    most: str = ""

    @field_validator("source")
    @classmethod
    def _is_a_source(cls, value: str) -> str:
        where, _, field = value.partition(".")
        if value and value != "identity.id" and not (where == "facts" and _FIELD.fullmatch(field)):
            raise ValueError('names no source. Write "identity.id", or a field of the facts such as "facts.total"')
        return value

    @field_validator("most")
    @classmethod
    def _is_a_fact(cls, value: str) -> str:
        where, _, field = value.partition(".")
        if value and not (where == "facts" and _FIELD.fullmatch(field)):
            raise ValueError('names no field of the facts. Write one such as "facts.total"')
        return value


class Action(Section, defer_build=True):
    """One thing that agents may do: how it is reached, and the rules that it is done by. See docs/actions.md."""

    name: Annotated[str, AfterValidator(_action)]
    title: str = ""
    description: str = ""
    method: Method | None = None
    url: Template = ""
    auth: Auth | None = None
    body: Literal["json", "form"] = "json"
    look_up: LookUp | None = None
    openapi: Path | None = None
    operation: str = ""
    mcp: str = ""
    tool: str = ""
    python: Annotated[str, AfterValidator(_target)] = ""
    effect: Effect | None = None
    key_header: Header = "Idempotency-Key"
    consent: Consent | None = None
    operator_above: Amount | None = None
    two_operators_above: Amount | None = None
    limits: Caps = Caps()
    cache_s: Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)] = 0
    timeout_s: Annotated[Seconds, Field(le=600)] = 20
    tries: Annotated[int, Field(ge=1, le=10)] = 2
    agents: Annotated[tuple[str, ...], Field(min_length=1)] = ("main",)
    keep: tuple[FieldPath, ...] = ()
    once_per: str = ""
    facts: str = ""
    fact_fields: tuple[FieldPath, ...] = ()
    is_profile: bool = False
    parameters: dict[str, Parameter] = Field(default_factory=dict)

    @field_validator("parameters")
    @classmethod
    def _can_be_called(cls, value: dict[str, Parameter]) -> dict[str, Parameter]:
        if not all(_PARAMETER.fullmatch(name) for name in value):
            raise ValueError("has a name that no model can use. Use letters, digits, _ and -")
        return value

    @property
    def is_http(self) -> bool:
        """Whether it is the config itself that tells the request."""
        return bool(self.url) and self.openapi is None

    def ways(self) -> list[str]:
        """How it says to be reached; one of "url", "openapi", "mcp", "python" when it is right."""
        said = {"url": self.is_http, "openapi": self.openapi is not None, "mcp": self.mcp, "python": self.python}
        return [name for name, is_said in said.items() if is_said]


class Mcp(Section, defer_build=True):
    """One MCP server: a program that is started, or an address. `env`: its variables, each by the name of a secret."""

    command: tuple[str, ...] = ()
    env: dict[str, SecretName] = Field(default_factory=dict)
    url: Url = ""
    auth: Auth | None = None
