"""The typed sections of `config.toml`. Every key, default and unit is told in docs/configuration.md."""

from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator


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
        return parts.scheme in ("http", "https") and bool(parts.hostname) and not (parts.query or parts.fragment)
    except ValueError:
        return False


def _not_empty(value: Path) -> Path:
    if value == Path():
        raise ValueError("is empty. Name a folder or a file")
    return value


def _each_once(value: tuple[Path, ...]) -> tuple[Path, ...]:
    if len(set(value)) < len(value):
        raise ValueError("names a path twice. Remove one of them")
    return value


Count = Annotated[int, Field(ge=1, le=1_000_000_000)]
Seconds = Annotated[float, Field(gt=0, le=31_622_400, allow_inf_nan=False)]
Port = Annotated[int, Field(ge=0, le=65_535)]
Host = Annotated[str, Field(min_length=1)]
Url = Annotated[str, AfterValidator(_url)]
Network = Annotated[IPv4Network | IPv6Network, PlainValidator(_network)]
Place = Annotated[Path, AfterValidator(_not_empty)]


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


class Model(Section):
    """A model that can answer. `offline` quotes the knowledge base and needs no key and no network."""

    provider: Literal["offline"] = "offline"


class Roles(Section):
    """Which models do what: chains, tried in order."""

    answer: Annotated[tuple[str, ...], Field(min_length=1)] = ("offline",)


class Agent(Section):
    """One agent: its name, what it is told, where it answers. An empty `name` stands for the key of its table."""

    name: str = ""
    instructions: str = ""
    channels: tuple[str, ...] = ("*",)
    knowledge: bool = True


class Knowledge(Section):
    """Which files and folders the agents know, and how often they are looked at again."""

    paths: Annotated[tuple[Place, ...], AfterValidator(_each_once)] = (Path("docs"),)
    poll_s: Seconds = 2.0
