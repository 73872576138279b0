"""All actions of the config, made ready: what each way to them declares by itself, and the rules of the config laid over it.

Promises: what a way does not tell, the strictest rule stands in for; an action that cannot be declared faithfully is a problem of the config;
one whose server cannot be reached is left out, with the reason, and nothing else suffers.
"""

import asyncio
import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING

from bot.config.action_schema import PLACE
from bot.config.keys import host_of
from bot.errors import ConfigError, NotSent, Problem
from bot.net.perimeter import Perimeter, is_private
from bot.tools.action import Action, Allowance, Consent, Declared, Effect, Parameter, Role, Source
from bot.tools.schemas import check_schema

if TYPE_CHECKING:
    from bot.config import Config
    from bot.config.action_schema import Action as Settings
    from bot.config.action_schema import Auth
    from bot.config.action_schema import Parameter as Rules
    from bot.net.calls import Caller
    from bot.ports import Clock
    from bot.tools import http
    from bot.tools.http_request import LookUp
    from bot.tools.mcp import Server, Tool

log = logging.getLogger(__name__)


class Catalogue:
    """Built from a config that has been checked. Raises ConfigError where a file, a function or a rule does not fit. MCP servers are asked
    in `open`; until then their actions are not there."""

    def __init__(
        self, config: "Config", fetcher: "Caller", clock: "Clock", secret: Callable[[str], str] | None = None
    ) -> None:
        self._config = config
        self._fetcher = fetcher
        self._clock = clock
        self._secret = secret or config.secret
        self._servers: dict[str, Server] = {}
        self._tools: dict[str, dict[str, Tool]] = {}
        self._running: list[asyncio.Task[None]] = []
        self._missing: dict[str, str] = {}
        self._made: dict[str, Action] = {}
        for settings in config.actions:
            if settings.mcp:
                self._missing[settings.name] = f"the MCP server {settings.mcp} has not been asked yet"
        wrong = self._take(lambda settings: None if settings.mcp else self._declared(settings))
        if wrong:
            raise ConfigError([_problem(config, place, text) for place, text in wrong.items()])

    def get(self, name: str, /) -> Action | None:
        return self._made.get(name)

    def actions(self) -> Mapping[str, Action]:
        """By name, in the order of the config; without those that are unavailable."""
        return {each.name: self._made[each.name] for each in self._config.actions if each.name in self._made}

    def of(self, agent: str, /) -> tuple[Action, ...]:
        """Those that an agent may use."""
        return tuple(each for each in self.actions().values() if agent in each.agents)

    def unavailable(self) -> Mapping[str, str]:
        """Why an action of the config is not there, by its name."""
        return dict(self._missing)

    async def open(self, only: str = "") -> None:
        """Asks each MCP server that an action needs for its tools, side by side; they are pinned from here on. What does not fit is left
        out with its reason: a server may change at any time, and the rest goes on. `only`: the one action whose server is asked."""
        wanted = sorted({each.mcp for each in self._config.actions if each.mcp and only in ("", each.name)})
        await asyncio.gather(*map(self._open, wanted))
        for place, text in self._take(self._of_server).items():
            name = self._config.actions[place].name
            self._missing[name] = text
        for name, why in self._missing.items() if not only else ():
            log.error("the action %s is not available until a restart: %s", name, why)

    async def close(self) -> None:
        """Ends every server. Safe to repeat."""
        running, self._running = self._running, []
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)

    # --- inside ------------------------------------------------------------------------------------------------------

    def _take(self, declare: "Callable[[Settings], Declared | None]") -> dict[int, str]:
        """Adds every action that `declare` knows; gives what is wrong with the others, by their places in the config."""
        wrong: dict[int, str] = {}
        for place, settings in enumerate(self._config.actions):
            try:
                found = declare(settings)
                if found is not None:
                    self._made[settings.name] = merged(settings, found, _stands_on(settings, self._config))
            except (ValueError, OSError) as error:
                wrong[place] = str(error)
        for place, settings in enumerate(self._config.actions):
            try:
                if settings.name in self._made:
                    check_facts(self._made[settings.name], self._made)
            except ValueError as error:
                del self._made[settings.name]
                wrong[place] = str(error)
        return dict(sorted(wrong.items()))

    async def _open(self, name: str) -> None:
        """Connects to a server and learns its tools; why not is told by `unavailable`."""
        try:
            server = self._server(name)
            self._running.append(asyncio.create_task(server.run(), name=f"mcp {name}"))
            self._tools[name] = {each.name: each for each in await server.tools()}
            self._servers[name] = server
        except NotSent as error:
            for settings in self._config.actions:
                if settings.mcp == name:
                    self._missing[settings.name] = str(error)

    def _server(self, name: str) -> "Server":
        from bot.tools.mcp import Server

        given = self._config.mcp[name]
        secrets = [*given.env.values(), *([given.auth.secret] if given.auth is not None else [])]
        return Server(
            name,
            self._clock,
            command=given.command,
            env={variable: self._named(secret) for variable, secret in given.env.items()},
            folder=self._config.file.parent,
            url=given.url,
            headers=self._header(given.auth) if given.auth is not None else {},
            perimeter=Perimeter(self._config.network.allow),
            hidden=[self._named(each) for each in secrets],
        )

    def _header(self, auth: "Auth") -> dict[str, str]:
        return {auth.header: f"{auth.scheme} {self._named(auth.secret)}".strip()}

    def _named(self, name: str) -> str:
        value = self._secret(name)
        if not value:
            raise NotSent(f"the secret {name} is set nowhere", is_retryable=False)
        return value

    def _of_server(self, settings: "Settings") -> Declared | None:
        server = self._servers.get(settings.mcp)
        if server is None:
            return None
        tool = self._tools[settings.mcp].get(settings.tool)
        if tool is None:
            there_is = ", ".join(self._tools[settings.mcp]) or "none"
            raise ValueError(
                f"names the tool {settings.tool}, which {settings.mcp} does not have. There is: {there_is}"
            )
        found = server.declared(tool)
        self._missing.pop(settings.name, None)
        return found

    def _declared(self, settings: "Settings") -> Declared:
        return declared(settings, self._config, self._fetcher, self._clock, self._secret)


def declared(
    settings: "Settings", config: "Config", fetcher: "Caller", clock: "Clock", secret: Callable[[str], str]
) -> Declared:
    """What the way to an action that is no MCP server's tells of it. Raises ValueError."""
    if settings.python:
        from bot.tools import python

        found = python.declared(python.resolve(settings.python, config.file.parent), clock)
        if settings.effect == "keyed" and found.effect is not Effect.KEYED:
            raise ValueError(f"is not keyed. Give {settings.python} a parameter {python.KEY}")
        if settings.effect == "checkable" and found.effect is None:
            raise ValueError(f"cannot be looked up. Give {settings.python} a function look_up")
        return found
    from bot.tools import http
    from bot.tools.http_request import LookUp

    auth = http.Auth(**settings.auth.model_dump()) if settings.auth is not None else None
    look_up = LookUp(settings.look_up.url, settings.look_up.method) if settings.look_up is not None else None
    if settings.openapi is not None:
        return _of_file(settings, config, fetcher, secret, auth, look_up)
    method = settings.method or ""
    return http.declared(
        method=method,
        url=settings.url,
        parameters=own_parameters(settings),
        caller=fetcher,
        secret=secret,
        auth=auth,
        body=settings.body,
        look_up=look_up,
        key_header=settings.key_header,
        description=settings.description,
        is_read=_effect(settings) is Effect.READ,
    )


def _of_file(
    settings: "Settings",
    config: "Config",
    fetcher: "Caller",
    secret: Callable[[str], str],
    auth: "http.Auth | None",
    look_up: "LookUp | None",
) -> Declared:
    from bot.tools import openapi

    if settings.openapi is None:
        raise ValueError("names no OpenAPI file. Write openapi =")
    make = partial(
        openapi.declared,
        settings.openapi,
        settings.operation,
        caller=fetcher,
        secret=secret,
        base_url=settings.url,
        auth=auth,
        look_up=look_up,
        key_header=settings.key_header,
    )
    found = make()
    _check_way(found.origin.partition(" ")[2], config, has_secret=auth is not None)
    return make(is_read=_effect(settings) is Effect.READ)


def _check_way(url: str, config: "Config", *, has_secret: bool) -> None:
    """What a config's own addresses are held to, of one that a file names."""
    host = host_of(url)
    if not Perimeter(config.network.allow).allows_url(PLACE.sub("x", url)):
        raise ValueError(f'leads to {host}, which [network] allow does not list. Add "{host}" there, or write url =')
    if has_secret and url.startswith("http:") and not is_private(host):
        raise ValueError(
            f"is plain http on {host}: the secret would cross the network in the clear. Write url = with https"
        )


# --- laying the config over what is declared -------------------------------------------------------------------------


def merged(settings: "Settings", declared: Declared, stands_on: Sequence[object] = ()) -> Action:
    """One action. `stands_on`: JSON of whatever else it is made of, which its version covers. Raises ValueError with a text for the
    operator: what is wrong, and the mend."""
    description = settings.description or declared.description
    if not description.strip():
        raise ValueError("has no description. Write description = for the model, in the config")
    parameters = declared.parameters if settings.is_http else _ruled(settings, declared.parameters)
    effect = _effect(settings)
    consent = settings.consent or (Consent.NONE if effect is Effect.READ else Consent.USER)
    action = Action(
        name=settings.name,
        title=settings.title or settings.name.replace("_", " ").strip().capitalize(),
        description=description,
        parameters=parameters,
        endpoint=declared.endpoint,
        effect=effect,
        consent=Consent(consent),
        allowance=Allowance(
            **settings.limits.model_dump(),
            operator_above=settings.operator_above,
            two_operators_above=settings.two_operators_above,
        ),
        agents=settings.agents,
        keep=settings.keep,
        cache_s=settings.cache_s,
        timeout_s=settings.timeout_s,
        tries=settings.tries,
        once_per=settings.once_per,
        facts=settings.facts,
        fact_fields=_fact_fields(settings),
        is_profile=settings.is_profile,
        origin=declared.origin,
        given=declared.given,
    )
    _check(action)
    check_schema(action)
    return replace(action, version=_version(settings, action, stands_on))


def _stands_on(settings: "Settings", config: "Config") -> list[object]:
    """What else a version covers: the server as the config has it, the file as it is."""
    server = config.mcp.get(settings.mcp)
    file = settings.openapi.read_bytes() if settings.openapi is not None else b""
    return [server.model_dump(mode="json") if server else None, hashlib.sha256(file).hexdigest()]


def own_parameters(settings: "Settings") -> tuple[Parameter, ...]:
    """The parameters of an action that the config alone tells."""
    return tuple(
        _with(Parameter(name, each.schema_of(), each.is_required), each) for name, each in settings.parameters.items()
    )


def _ruled(settings: "Settings", declared: tuple[Parameter, ...]) -> tuple[Parameter, ...]:
    names = [each.name for each in declared]
    for name in settings.parameters:
        if name not in names:
            raise ValueError(f"has no parameter {name}. There is: {', '.join(names) or 'none'}")
    rules = settings.parameters
    return tuple(_with(each, rules[each.name]) if each.name in rules else each for each in declared)


def _with(parameter: Parameter, rules: "Rules") -> Parameter:
    where, _, field = rules.source.partition(".")
    schema = {**parameter.schema, "description": rules.description} if rules.description else parameter.schema
    return replace(
        parameter,
        schema=schema,
        title=rules.title or parameter.title,
        source=Source(where) if where else parameter.source,
        source_field=field,
        role=Role(rules.role) if rules.role else parameter.role,
        most_field=rules.most.removeprefix("facts."),
    )


def _effect(settings: "Settings") -> Effect:
    """What the config says; else the worst: what the way to it tells of itself is no promise."""
    return Effect(settings.effect) if settings.effect else Effect.NAKED


def _fact_fields(settings: "Settings") -> tuple[str, ...]:
    """Those that are named, and those that arguments are taken from or measured by: all of them void a consent when they change."""
    used = [each.source for each in settings.parameters.values()] + [each.most for each in settings.parameters.values()]
    fields = [each.removeprefix("facts.") for each in used if each.startswith("facts.")]
    return tuple(dict.fromkeys([*settings.fact_fields, *fields]))


def _check(action: Action) -> None:
    names = {each.name: each for each in action.parameters}
    for each in action.parameters:
        kind = each.schema.get("type")
        if each.role is Role.AMOUNT and kind != "integer":
            raise ValueError(
                f"takes its amount {each.name} not as a whole number. Amounts are whole, in the smallest unit"
            )
        is_text = each.role in (Role.CURRENCY, Role.RECIPIENT) or each.source is Source.IDENTITY
        if is_text and kind != "string":
            raise ValueError(f"takes {each.name} not as text. Remove its role and from, or correct its type")
    for name in PLACE.findall(action.once_per):
        if name not in names or not names[name].is_required or not name.isidentifier():
            raise ValueError(f'has "{{{name}}}" in once_per, which is no parameter that every call has. Correct it')
    asked = [each.name for each in action.parameters if each.is_required and each.source is Source.MODEL]
    if action.is_profile and (asked or not action.is_read):
        raise ValueError("cannot be made when a case starts. Remove is_profile")
    if action.cache_s and not action.is_read:
        raise ValueError("has an effect, so its answer cannot be kept. Remove cache_s")


def check_facts(action: Action, known: Mapping[str, Action]) -> None:
    """Whether its facts can be read with its own arguments, for the same person. Raises ValueError."""
    read = known.get(action.facts) if action.facts else None
    if read is None:
        return
    own = {each.name: each for each in action.parameters}
    for each in read.parameters:
        mine = own.get(each.name)
        if mine is None and each.is_required:
            raise ValueError(f"has no parameter {each.name}, which its facts {read.name} need. Add it")
        if each.source is Source.IDENTITY and mine is not None and mine.source is not Source.IDENTITY:
            raise ValueError(
                f'lets the model choose {each.name}, which its facts take from the identity. Write from = "identity.id" there'
            )


def _version(settings: "Settings", action: Action, stands_on: Sequence[object]) -> str:
    declared = {
        "settings": settings.model_dump(mode="json", by_alias=True, exclude={"openapi"}),
        "description": action.description,
        "effect": action.effect,
        "parameters": [asdict(each) for each in action.parameters],
        "given": action.given,
        "origin": action.origin,
        "stands_on": list(stands_on),
    }
    text = json.dumps(declared, sort_keys=True, separators=(",", ":"), ensure_ascii=True, default=dict)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _problem(config: "Config", place: int, text: str) -> Problem:
    what, _, mend = text.strip().rstrip(".").partition(". ")
    return Problem(
        f"actions.{place} ({config.actions[place].name})", what, f"{mend or 'Correct it'}.", str(config.file)
    )
