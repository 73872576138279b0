"""Reads the file, lays the other sources over it, validates all of it, and gives one `Config` or every problem at once."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import field, fields, replace
from pathlib import Path as FilePath
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, SecretStr, ValidationError

from bot.config import action_schema, handoff_schema, knowledge_schema, schema
from bot.config.action_checks import secret_names, warn_of_actions
from bot.config.checks import EVERYWHERE, MAIN, Surroundings, check
from bot.config.keys import lend
from bot.config.knowledge_schema import UPLOADS, place_of, placed, source_secrets, uploads
from bot.config.lines import Lines, Path, scan
from bot.config.model_checks import OFFLINE, warn_of_models
from bot.config.named_secrets import NamedSecrets
from bot.config.placeholders import is_placeholder
from bot.config.refusals import explain, parse, unknown_key
from bot.config.settings import SECTIONS, Adapters, installed_channels, root
from bot.config.shape import leaves, unknown, variable
from bot.config.sources import Origins, collect, lay_over
from bot.errors import ConfigError, Problem
from bot.model import value

S = TypeVar("S", bound=BaseModel)
DEFAULT_CHANNEL = "web"  # on unless switched off, so that an empty config serves somebody


@value
class Config:
    """All settings, checked. Paths are absolute or relative to the working directory, never to the file any more.

    `channels` holds the settings of enabled channels only. `secret` gives what `actions`, `mcp` and sources mention by name. `warnings` are
    sentences for `check-config` and the log."""

    file: FilePath
    data: schema.Data
    server: schema.Server
    admin: schema.Admin
    log: schema.Log
    limits: schema.Limits
    roles: schema.Roles
    knowledge: knowledge_schema.Knowledge
    network: schema.Outward
    memory: schema.Memory
    retention: schema.Retention
    models: Mapping[str, schema.Model]
    agents: Mapping[str, schema.Agent]
    channels: Mapping[str, BaseModel]
    operators: handoff_schema.Operators
    handoff: handoff_schema.Handoff
    actions: tuple[action_schema.Action, ...]
    mcp: Mapping[str, action_schema.Mcp]
    secret: NamedSecrets = field(default=NamedSecrets(), repr=False, compare=False)
    warnings: tuple[str, ...] = field(default=(), compare=False)

    def agent_for(self, channel: str) -> str:
        """The agent that answers on `channel`, which may be one account of it (`slack.NAME`): one that names the account, else one that
        names the channel, else one that takes every channel, else main."""
        for wanted in dict.fromkeys((channel, channel.partition(".")[0], EVERYWHERE)):
            for name, agent in self.agents.items():
                if wanted in agent.channels and (wanted != EVERYWHERE or name != MAIN):
                    return name
        return MAIN

    def chain(self, role: schema.Role, agent: str = MAIN) -> tuple[str, ...]:
        """The models that do a role's work for one agent, in order: its own chain, else that of `[roles]`."""
        own: tuple[str, ...] | None = getattr(self.agents[agent].roles, role)
        general: tuple[str, ...] = getattr(self.roles, role)
        return general if own is None else own

    def roles_of(self, model: str) -> list[str]:
        """The roles in which any agent calls a model."""
        return [
            role for role in get_args(schema.Role) if any(model in self.chain(role, agent) for agent in self.agents)
        ]

    def secrets(self) -> list[str]:
        """Every secret value there is: what no log may show."""
        named = [self.secret(name) for name in (*secret_names(self), *source_secrets(self.knowledge.sources))]
        return list(dict.fromkeys([*_secrets([self.models, self.channels]), *filter(None, named)]))


def load(path: FilePath, environ: Mapping[str, str], *, adapters: Adapters) -> Config:
    """Reads the config at `path`. Raises ConfigError with all problems, in the order of the file.

    Precedence: `environ`, then systemd credentials, then `.env` beside the file, then the file. Safe to repeat."""
    draft = _Draft(path, adapters)
    draft.layer(environ)
    config = draft.build(NamedSecrets(path.parent, environ))
    if draft.problems:
        raise ConfigError(
            sorted(draft.problems, key=lambda problem: (problem.file != str(path), problem.file, problem.line))
        )
    return config


def data_folder(path: FilePath, environ: Mapping[str, str]) -> FilePath:
    """Only `[data] path`, for commands that need no more and must work while other keys are wrong. Raises ConfigError."""
    draft = _Draft(path, lambda name: None)
    given, _ = collect(path.parent, environ)
    lay_over(draft.raw, draft.shape, given, draft.origins)
    data = draft.section("data", schema.Data)
    if draft.problems:
        raise ConfigError(draft.problems)
    return path.parent / data.path.expanduser()


def changed_keys(old: Config, new: Config) -> list[str]:
    """The dotted keys that differ, never their values: what a reload may say about itself."""
    changed: list[str] = []
    for each in fields(Config):
        if each.compare and each.name != "file":
            changed += _differences(getattr(old, each.name), getattr(new, each.name), each.name)
    return changed


def _secrets(value: object) -> Iterator[str]:
    match value:
        case SecretStr():
            yield value.get_secret_value()
        case BaseModel():
            yield from _secrets([getattr(value, name) for name in type(value).model_fields])
        case Mapping():
            yield from _secrets(list(value.values()))
        case list() | tuple():
            for each in value:
                yield from _secrets(each)


def _differences(old: object, new: object, at: str) -> Iterator[str]:
    old_keys, new_keys = _inside(old), _inside(new)
    if old_keys is None or new_keys is None:
        if old != new:
            yield at
        return
    for name in dict.fromkeys([*old_keys, *new_keys]):
        yield from _differences(old_keys.get(name), new_keys.get(name), f"{at}.{name}")


def _inside(value: object) -> Mapping[str, object] | None:
    if isinstance(value, BaseModel):
        return {name: getattr(value, name) for name in type(value).model_fields}
    return value if isinstance(value, Mapping) else None


class _Draft:
    """A config on its way: the raw values, where they came from, and what is wrong with them so far."""

    def __init__(self, path: FilePath, adapters: Adapters) -> None:
        text = _read(path)
        lines = scan(text)
        self.path = path
        self.adapters = adapters
        self.raw = _parse(text, lines, str(path))
        self.origins = Origins(str(path), lines)
        self.shape = root(adapters)
        self.problems: list[Problem] = []
        self.warnings: list[str] = []
        self.places: list[int] = []  # of the actions, as their order in the file
        self.broken: set[Path] = set()  # tables whose values are not all what the owner meant

    def layer(self, environ: Mapping[str, str]) -> None:
        given, problems = collect(self.path.parent, environ)
        self.problems += problems
        self.problems += lay_over(self.raw, self.shape, given, self.origins)
        lend(self.raw, given, self.origins)

    def build(self, secret: NamedSecrets) -> Config:
        self._refuse_unknown()
        has_own_paths = "paths" in _table(self.raw.get("knowledge"))
        config = replace(self._place(self._validate()), secret=secret)
        self._weigh_secrets(config)
        broken = {str(path[1]) for path in self.broken if path[0] == "models"}
        around = Surroundings(
            lambda name: self.adapters(name) is not None,
            self._known_channels,
            has_own_paths,
            broken,
            self._whole_actions(config),
        )
        for finding in check(config, around):
            self._add(self.origins.problem(*finding))
        for finding in [*warn_of_models(config), *warn_of_actions(config)]:
            self.warnings.append(str(self.origins.problem(*finding)))
        if not has_own_paths and not all(path.exists() for path in config.knowledge.paths):
            if not config.knowledge.sources:
                self.warnings.append("No knowledge: the folder docs does not exist. Set [knowledge] paths.")
            config = replace(config, knowledge=config.knowledge.model_copy(update={"paths": ()}))
        return replace(config, warnings=tuple(self.warnings))

    def section(self, name: str, model: type[S]) -> S:
        return self._parse_table(model, self.raw.get(name, {}), (name,)) or model()

    def _add(self, problem: Problem) -> None:
        """Keeps the first problem of a key: what follows from it would only confuse."""
        if not any(f"{problem.key}.".startswith(f"{each.key}.") for each in self.problems):
            self.problems.append(problem)

    def _refuse_unknown(self) -> None:
        for path, known in unknown(self.raw, self.shape):
            if len(path) == 2 and path[0] == "channels":
                self._add(unknown_key(path, self._known_channels(), self.origins))
            else:
                self._add(unknown_key(path, known, self.origins))

    def _validate(self) -> Config:
        sections: dict[str, Any] = {name: self.section(name, model) for name, model in SECTIONS.items()}
        models = {OFFLINE: schema.Model(), **self._named("models", schema.Model)}
        agents = {MAIN: schema.Agent(), **self._named("agents", schema.Agent)}
        agents = {name: agent.model_copy(update={"name": agent.name or name}) for name, agent in agents.items()}
        return Config(
            file=self.path,
            models=models,
            agents=agents,
            channels=self._channels(),
            actions=self._actions(),
            mcp=self._named("mcp", action_schema.Mcp),
            **sections,
        )

    def _actions(self) -> tuple[action_schema.Action, ...]:
        """Those that could be read: with a problem anywhere, none of them is used."""
        given = self.raw.get("actions", [])
        if not isinstance(given, list):
            self._add(
                self.origins.problem(("actions",), "must be a list of tables", "Write [[actions]] and its keys below.")
            )
            return ()
        found = [self._parse_table(action_schema.Action, raw, ("actions", index)) for index, raw in enumerate(given)]
        self.places = [index for index, each in enumerate(found) if each is not None]
        return tuple(each for each in found if each is not None)

    def _whole_actions(self, config: Config) -> dict[int, action_schema.Action]:
        """By their places in the file: those with nothing wrong in their single keys, so that more can be concluded from them."""
        return {
            place: each
            for place, each in zip(self.places, config.actions, strict=True)
            if ("actions", place) not in self.broken
        }

    def _named(self, section: str, model: type[S]) -> dict[str, S]:
        tables = self._tables(section)
        return {name: self._parse_table(model, raw, (section, name)) or model() for name, raw in tables.items()}

    def _channels(self) -> dict[str, BaseModel]:
        tables = self._tables("channels")
        if self.adapters(DEFAULT_CHANNEL) is not None:
            web = tables.setdefault(DEFAULT_CHANNEL, {})
            if isinstance(web, dict):
                web.setdefault("enabled", True)
        enabled = {}
        for name, raw in tables.items():
            model = self.adapters(name)
            if model is None:
                continue
            settings = self._parse_table(model, raw, ("channels", name))
            if settings is not None and self._is_enabled(name):
                enabled[name] = settings
        return enabled

    def _is_enabled(self, channel: str) -> bool:
        return _table(_table(self.raw.get("channels")).get(channel)).get("enabled") is True

    def _tables(self, section: str) -> dict[str, Any]:
        tables = self.raw.setdefault(section, {})
        if isinstance(tables, dict):
            return tables
        self._add(self.origins.problem((section,), "must be a table", f"Write [{section}.NAME] and its keys below."))
        return {}

    def _parse_table(self, model: type[S], raw: object, at: Path) -> S | None:
        """`raw` as `model`; where keys are wrong, the rest of it, so that more problems can be found.

        A channel that is off may be incomplete: its keys are checked one by one, not whether they are enough."""
        is_whole = at[0] != "channels" or self._is_enabled(str(at[1]))
        try:
            return parse(model, raw)
        except ValidationError as error:
            for problem in explain(error, at, raw, self.shape, self.origins, is_whole=is_whole):
                self._add(problem)
            wrong = {detail["loc"][0] for detail in error.errors() if detail["loc"]}
            if any(detail["type"] != "extra_forbidden" for detail in error.errors()):
                self.broken.add(at)
        try:
            return parse(model, {key: value for key, value in _table(raw).items() if key not in wrong})
        except ValidationError:
            return None

    def _weigh_secrets(self, config: Config) -> None:
        for path, leaf, written in leaves(self.raw, self.shape):
            if not leaf.is_secret or (path[0] == "channels" and not self._is_enabled(str(path[1]))):
                continue
            if isinstance(written, str) and is_placeholder(written):
                if path[0] == "models" and not config.roles_of(str(path[1])):
                    continue
                given = self.origins.given.get(path)
                best = given.variable if given else variable(path)
                mend = f"Set the real secret, best as {best} in the environment."
                self._add(self.origins.problem(path, "is a placeholder, not a secret", mend))
            elif path not in self.origins.given:
                where = self.origins.problem(
                    path, "is a secret in the config file", f"Better: {variable(path)} in .env."
                )
                self.warnings.append(str(where))

    def _place(self, config: Config) -> Config:
        """The same with paths that no longer depend on where the file stands."""
        folder = self.path.parent
        data = config.data.model_copy(update={"path": folder / config.data.path.expanduser()})
        sources = tuple(placed(each, folder) for each in config.knowledge.sources)
        paths = _below(folder, config.knowledge.paths)
        knowledge = config.knowledge.model_copy(update={"paths": paths, "sources": sources})
        places = {each.name: place_of(each, data.path) for each in sources} | {UPLOADS: uploads(data.path)}
        agents = {
            name: agent.model_copy(update={"knowledge": _known(folder, agent.knowledge, places)})
            if isinstance(agent.knowledge, tuple)
            else agent
            for name, agent in config.agents.items()
        }
        actions = tuple(
            each.model_copy(update={"openapi": folder / each.openapi.expanduser()}) if each.openapi else each
            for each in config.actions
        )
        return replace(config, data=data, knowledge=knowledge, agents=agents, actions=actions)

    def _known_channels(self) -> list[str]:
        return [name for name in installed_channels() if self.adapters(name) is not None]


def _read(path: FilePath) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as error:
        mend = "Run this in the folder that holds config.toml, or name the file with --config."
        raise ConfigError([Problem("config", "there is no such file", mend, str(path))]) from error
    except UnicodeDecodeError as error:
        raise ConfigError([Problem("config", "is not UTF-8 text", "Save it as UTF-8.", str(path))]) from error
    except OSError as error:
        what = f"cannot be read ({error.strerror})"
        raise ConfigError([Problem("config", what, "Correct the path or the file's rights.", str(path))]) from error


def _parse(text: str, lines: Lines, file: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(_repeats(lines, file) or [_syntax(str(error), lines, file)]) from error
    except RecursionError as error:
        raise ConfigError([Problem("syntax", "is nested too deeply", "Write it flat.", file)]) from error


def _repeats(lines: Lines, file: str) -> list[Problem]:
    return [
        Problem(
            ".".join(map(str, repeat.path)),
            f"is set twice (first on line {repeat.first_line})",
            "Remove one of them.",
            file,
            repeat.line,
        )
        for repeat in lines.repeats
        if not any(repeat.path[: len(each.path)] == each.path and each.line < repeat.line for each in lines.repeats)
    ]


def _syntax(error: str, lines: Lines, file: str) -> Problem:
    place = re.search(r" \(at (?:line (\d+), column (\d+)|end of document)\)$", error)
    what = error[: place.start()] if place else error
    line = int(place[1]) if place and place[1] else max(lines.of.values(), default=1)  # what never ends began there
    column = f" at column {place[2]}" if place and place[2] else ""
    return Problem("syntax", f"{what}{column}", 'Text stands in quotes: name = "value".', file, line)


def _below(folder: FilePath, paths: tuple[FilePath, ...]) -> tuple[FilePath, ...]:
    return tuple(folder / path.expanduser() for path in paths)


def _known(folder: FilePath, named: tuple[FilePath, ...], places: Mapping[str, FilePath]) -> tuple[FilePath, ...]:
    """Sources by their names; everything else is a path."""
    return tuple(places.get(str(each)) or folder / each.expanduser() for each in named)


def _table(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
