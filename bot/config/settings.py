"""Which channels are installed and what their settings look like, found by name so that nothing here names one."""

import importlib
import importlib.util
import pkgutil
from collections.abc import Callable, Mapping
from pathlib import PurePath

from pydantic import BaseModel, SecretStr

from bot.config import action_schema, handoff_schema, knowledge_schema, schema
from bot.config.lines import Path
from bot.config.shape import Leaf, Named, Shape, Table, every, list_of, names_of, table_of

Adapters = Callable[[str], type[BaseModel] | None]

SECTIONS: dict[str, type[schema.Section]] = {
    "data": schema.Data,
    "server": schema.Server,
    "admin": schema.Admin,
    "log": schema.Log,
    "limits": schema.Limits,
    "roles": schema.Roles,
    "knowledge": knowledge_schema.Knowledge,
    "network": schema.Outward,
    "memory": schema.Memory,
    "retention": schema.Retention,
    "operators": handoff_schema.Operators,
    "handoff": handoff_schema.Handoff,
}
NAMED: dict[str, type[schema.Section]] = {"models": schema.Model, "agents": schema.Agent, "mcp": action_schema.Mcp}


def find_settings(name: str) -> type[BaseModel] | None:
    """The `Settings` of the adapter module `adapters.NAME`, or None when there is no such adapter."""
    module = f"adapters.{name}"
    if not name.isidentifier() or importlib.util.find_spec(module) is None:
        return None
    settings = getattr(importlib.import_module(module), "Settings", None)
    return settings if isinstance(settings, type) and issubclass(settings, BaseModel) else None


def installed_channels() -> list[str]:
    """The names of all channels whose adapter is installed."""
    spec = importlib.util.find_spec("adapters")
    places = list(spec.submodule_search_locations or []) if spec else []
    return [each.name for each in pkgutil.iter_modules(places) if find_settings(each.name) is not None]


def root(adapters: Adapters) -> Table:
    """The shape of a whole config file."""

    def channel(name: str) -> Shape | None:
        settings = adapters(name)
        return None if settings is None else table_of(settings)

    sections: dict[str, Shape] = {name: table_of(model) for name, model in SECTIONS.items()}
    named: dict[str, Shape] = {name: names_of(model) for name, model in NAMED.items()}
    return Table({**sections, **named, "channels": Named(channel), "actions": list_of(action_schema.Action)})


def documented_keys(adapters: Adapters = find_settings, channels: list[str] | None = None) -> dict[str, str]:
    """Every key there is (`server.port`, `models.NAME.provider`, `channels.web.enabled`) with its default as TOML; those of further
    accounts are the same as their channel's."""
    known = installed_channels() if channels is None else channels
    keys = every(root(adapters), {"channels": known})
    return {_dotted(path): default_text(leaf) for path, leaf in keys if "accounts" not in path}


def default_text(leaf: Leaf) -> str:
    """A default as it would stand in the file; "required" or "none" where there is none."""
    if leaf.is_required:
        return "required"
    return "none" if leaf.default is None or leaf.is_secret else _toml(leaf.default)


def _dotted(path: Path) -> str:
    return ".".join(map(str, path))


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {_toml(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple | set | frozenset):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, SecretStr):
        return "none"
    text = value.as_posix() if isinstance(value, PurePath) else str(value)
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
