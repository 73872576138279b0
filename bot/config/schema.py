"""The typed sections of `config.toml`. Every key, default and unit is told in docs/configuration.md."""

import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from math import isfinite
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, PlainValidator, SecretStr, field_validator

from bot.net import perimeter
from bot.tools import names


def _network(value: object) -> IPv4Network | IPv6Network:
    try:
        return ip_network(value if isinstance(value, str) else "")
    except ValueError as error:
        raise ValueError('is not an IP network. Write one such as "10.0.0.0/8" or "192.0.2.7"') from error


def _url(value: str) -> str:
    if value and not _is_web_url(value):
        raise ValueError('is not a web address. Write one such as "https://help.example.com"')
    return value.rstrip("/")


def _is_web_url(value: str) -> bool:
    try:
        parts = urlsplit(value)
        is_whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        # clients disagree on which host is meant where one of these stands in an address
        is_plain = "@" not in parts.netloc and "\\" not in value and min(value) > " "
        return is_whole and is_plain and not (parts.query or parts.fragment)
    except ValueError:
        return False


def _destination(value: str) -> str:
    """A host name, `*.` and a domain, an IP address or an IP network; `:` and a port may follow."""
    if not perimeter.is_destination(value):
        raise ValueError('is not a host. Write one such as "api.openai.com", "*.example.com:443" or "10.0.0.0/8"')
    return value.lower()


def _language(value: str) -> str:
    if value and not re.fullmatch(r"[a-z]{2,3}", value):
        raise ValueError('is not a language. Write its two letters, such as "de"')
    return value


def _not_empty(value: Path) -> Path:
    if value == Path():
        raise ValueError("is empty. Name a folder or a file")
    return value


def each_once(value: tuple[Path, ...]) -> tuple[Path, ...]:
    if len(set(value)) < len(value):
        raise ValueError("names a path twice. Remove one of them")
    return value


def _is_json(value: JsonValue) -> bool:
    """Whether it has a place in JSON, which knows no infinite numbers."""
    if isinstance(value, float):
        return isfinite(value)
    inner = value if isinstance(value, list) else value.values() if isinstance(value, dict) else ()
    return all(_is_json(each) for each in inner)


Count = Annotated[int, Field(ge=1, le=1_000_000_000)]
Seconds = Annotated[float, Field(gt=0, le=31_622_400, allow_inf_nan=False)]
Port = Annotated[int, Field(ge=0, le=65_535)]
Amount = Annotated[int, Field(ge=0, le=1_000_000_000_000)]
Price = Annotated[float, Field(ge=0, le=1_000_000_000, allow_inf_nan=False)]
Host = Annotated[str, Field(min_length=1)]
Url = Annotated[str, AfterValidator(_url)]
Network = Annotated[IPv4Network | IPv6Network, PlainValidator(_network)]
Destination = Annotated[str, AfterValidator(_destination)]
Place = Annotated[Path, AfterValidator(_not_empty)]
Language = Annotated[str, AfterValidator(_language)]


class Section(BaseModel):
    """What all sections share: no key but the known ones, no conversion between types, no value in an error text."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class Data(Section):
    """Where everything that must survive is kept."""

    path: Place = Path("data")


class Server(Section):
    """The public listener: widget, chat socket, webhooks."""

    host: Host = "127.0.0.1"
    port: Port = 8080
    public_url: Url = ""
    trusted_proxies: tuple[Network, ...] = ()
    allow_plain_http: bool = False


class Admin(Section):
    """The private listener: console and metrics."""

    host: Host = "127.0.0.1"
    port: Port = 8081
    public_url: Url = ""


class Log(Section):
    """What is logged."""

    level: Literal["debug", "info", "warning", "error"] = "info"


class Limits(Section):
    """Every cap and interval."""

    message_chars: Count = 16_000
    frame_bytes: Annotated[int, Field(ge=1024, le=16_777_216)] = 131_072
    upload_bytes: Count = 10_485_760
    uploads_per_message: Annotated[int, Field(ge=0, le=100)] = 5
    messages_per_minute: Count = 30
    frames_per_minute: Count = 600
    connections_per_address: Count = 100
    connections_per_visitor: Count = 10
    connections: Count = 20_000
    hello_s: Seconds = 10
    header_s: Seconds = 10
    turns_at_once: Count = 1_000
    turn_s: Seconds = 60
    tries: Annotated[int, Field(ge=1, le=100)] = 3
    retry_s: Annotated[tuple[Seconds, ...], Field(min_length=1)] = (1, 5)
    waiting_units: Count = 20_000
    waiting_conversations: Count = 100_000
    drain_s: Seconds = 20
    case_idle_s: Seconds = 86_400
    burst_s: Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False)] = 10
    history_messages: Annotated[int, Field(ge=1, le=10_000)] = 200
    turn_steps: Annotated[int, Field(ge=2, le=100)] = 8
    turn_tokens: Count = 400_000
    turn_cost: Price = 1
    same_calls: Annotated[int, Field(ge=1, le=100)] = 2
    person_cost_per_day: Price = 5
    cost_per_day: Price = 100
    circuit_failures: Count = 5
    circuit_s: Seconds = 30


class Prices(Section):
    """What a million tokens cost, in whatever currency all of the config's prices and budgets are. 0: free."""

    input: Price = 0
    output: Price = 0
    cache_read: Price = 0
    cache_write: Price = 0


class ModelLimits(Section):
    """What a model's provider allows. 0: nothing stated; its answers' headers may still say something."""

    requests_per_minute: Amount = 0
    tokens_per_minute: Amount = 0
    calls_at_once: Count = 100
    queue_s: Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False)] = 10


# Where each provider answers when no base_url is set: https://docs.anthropic.com/en/api and https://platform.openai.com/docs/api-reference
PROVIDER_URLS = {"anthropic": "https://api.anthropic.com", "openai": "https://api.openai.com/v1"}


class Model(Section):
    """A model that can answer. `offline` quotes the knowledge base and needs no key and no network. `openai` is everything that
    speaks chat completions; `base_url` says where."""

    provider: Literal["offline", "anthropic", "openai"] = "offline"
    model: str = ""
    base_url: Url = ""
    api_key: SecretStr | None = None
    reads: tuple[Literal["text", "images", "pdf", "audio"], ...] | None = None
    context_tokens: Annotated[int, Field(ge=1_000, le=100_000_000)] = 128_000
    output_tokens: Annotated[int, Field(ge=16, le=1_000_000)] = 2_048
    stream: bool = True
    tools: bool = True
    first_token_s: Seconds = 20
    idle_s: Seconds = 15
    tries: Annotated[int, Field(ge=1, le=10)] = 2
    prices: Prices = Prices()
    limits: ModelLimits = ModelLimits()
    parameters: dict[str, JsonValue] = {}

    @field_validator("parameters")
    @classmethod
    def _can_be_sent(cls, value: dict[str, JsonValue]) -> dict[str, JsonValue]:
        if not all(_is_json(each) for each in value.values()):
            raise ValueError("holds a date, or a number that is none. Write it as text or as an ordinary number")
        return value

    @field_validator("api_key")
    @classmethod
    def _fits_a_header(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not all("!" <= character <= "~" for character in value.get_secret_value()):
            raise ValueError("holds a space or a character that no key has. Copy the key again")
        return value

    @property
    def key(self) -> str:
        """Its key in the clear, "" for none."""
        return self.api_key.get_secret_value() if self.api_key else ""

    @property
    def is_at_provider(self) -> bool:
        """Whether it is reached at its provider's own host, also where `base_url` names that."""
        return urlsplit(self.url).hostname == urlsplit(PROVIDER_URLS.get(self.provider, "")).hostname

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds of files that it is sent: what `reads` says, else what is known of its provider."""
        if self.reads is not None:
            return frozenset(self.reads)
        has_files = self.provider == "anthropic" or (self.provider == "openai" and self.is_at_provider)
        return frozenset({"text", "images", "pdf"} if has_files else {"text"})

    @property
    def url(self) -> str:
        """Where it is reached, whatever the process's environment says; empty for the offline answerer."""
        return self.base_url or PROVIDER_URLS.get(self.provider, "")


Role = Literal["answer", "background", "judge", "transcribe", "embed", "rerank"]


class Roles(Section):
    """Which models do what: chains, tried in order. An empty chain: the role's work is not done by a model."""

    answer: Annotated[tuple[str, ...], Field(min_length=1)] = ("offline",)
    background: tuple[str, ...] = ()
    judge: tuple[str, ...] = ()
    transcribe: tuple[str, ...] = ()
    embed: tuple[str, ...] = ()
    rerank: tuple[str, ...] = ()


class AgentRoles(Section):
    """The chains of one agent, where they differ from `[roles]`. None: as there."""

    answer: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    background: tuple[str, ...] | None = None
    judge: tuple[str, ...] | None = None
    transcribe: tuple[str, ...] | None = None
    embed: tuple[str, ...] | None = None
    rerank: tuple[str, ...] | None = None


class Agent(Section):
    """One agent: its name, what it is told, where it answers, what it may use. An empty `name` stands for the key of its table.
    `knowledge`: all of it, none, or some of `[knowledge] paths` and of the sources, by name. `audiences`: whose documents it may use, besides
    those for everyone. `language`: it uses documents in this one and in none in particular; "": in any. `memory`: it remembers users from one case
    to the next. `check_facts`: a value without a source is not sent."""

    name: str = ""
    instructions: str = ""
    channels: tuple[str, ...] = ("*",)
    tools: tuple[str, ...] = names.BUILT_IN
    knowledge: bool | Annotated[tuple[Place, ...], Field(min_length=1)] = True
    audiences: tuple[Annotated[str, Field(min_length=1, max_length=60)], ...] = ()
    language: Language = ""
    memory: bool = False
    check_facts: bool = True
    roles: AgentRoles = AgentRoles()


class Memory(Section):
    """What is remembered of users by the agents that do, and how much of it a model is shown."""

    recall_chars: Annotated[int, Field(ge=500, le=20_000)] = 2_400
    episodes_most: Annotated[int, Field(ge=0, le=50)] = 5
    facts_most: Annotated[int, Field(ge=1, le=200)] = 30
    fact_days: Annotated[int, Field(ge=1, le=36_500)] = 365


Days = Annotated[int, Field(ge=0, le=36_500)]


class ChannelRetention(Section):
    """`[retention]` of one channel. None: as there."""

    messages_days: Days | None = None
    traces_days: Days | None = None
    files_days: Days | None = None
    cases_days: Days | None = None


class Retention(Section):
    """For how many days words are kept. 0: for as long as nobody erases them."""

    messages_days: Days = 0
    traces_days: Days = 30
    files_days: Days = 0
    cases_days: Days = 0
    channels: dict[str, ChannelRetention] = Field(default_factory=dict)


class Outward(Section):
    """The perimeter. None: none. Set: nothing leaves for a host that is not listed; this machine itself is never outside."""

    allow: tuple[Destination, ...] | None = None
