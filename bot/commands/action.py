"""`frontdesk action`: what the agents can do, how it looks to them, one call by hand, and a proposal for a new one."""

import argparse
import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

from bot.commands.output import cut, say, show_json, show_table
from bot.errors import ConfigError, NotSent, Problem
from bot.net.control import call, find_socket

if TYPE_CHECKING:
    from bot.config import Config
    from bot.config.action_schema import Action as Settings
    from bot.tools.action import Action
    from bot.tools.catalogue import Catalogue

T = TypeVar("T")
COLUMNS: Final = ("name", "effect", "consent", "agents", "reached by")
SPARE_S: Final = 30.0  # for what the daemon does around a call
EFFECTS: Final = {
    "read": "read: it changes nothing, and may be made again",
    "keyed": "keyed: the other side does it once for each key, so that it may be made again with the same key",
    "checkable": "checkable: a call whose outcome is unknown is looked up",
    "naked": "naked: a call whose outcome is unknown is never made again; a person finds out",
}
CONSENTS: Final = {
    "none": "none: nobody is asked",
    "user": "user: the person agrees to exactly what will be sent",
    "operator": "operator: one of [[operators.people]] agrees",
}


def run_list(arguments: argparse.Namespace) -> int:
    config = _load(arguments)
    rows = asyncio.run(_with(config, lambda catalogue: _rows(config, catalogue)))
    if arguments.json:
        show_json(rows)
        return 0
    cells = [(row["name"], row["effect"], row["consent"], ", ".join(row["agents"]), row["origin"]) for row in rows]
    show_table(COLUMNS, cells, "No actions. docs/actions.md tells how to add one.")
    return 0


def run_show(arguments: argparse.Namespace) -> int:
    config = _load(arguments)
    found = asyncio.run(_with(config, lambda catalogue: _told(config, catalogue, arguments.name), arguments.name))
    if arguments.json:
        show_json(found)
        return 0
    for line in _lines(found):
        say(line)
    return 0


def run_call(arguments: argparse.Namespace) -> int:
    """A read is made from here; an effect goes through the running daemon, which enters it before it is made."""
    config = _load(arguments)
    return asyncio.run(_with(config, lambda catalogue: _called(config, catalogue, arguments), arguments.name))


def run_draft(arguments: argparse.Namespace) -> int:
    """Nothing is written: the proposal is for a person to read and paste."""
    from bot.commands.drafting import draft

    for line in asyncio.run(draft(_load(arguments), " ".join(arguments.words), arguments.url)):
        say(line)
    return 0


def _load(arguments: argparse.Namespace) -> "Config":
    from bot.config import find_settings, load

    return load(arguments.config, os.environ, adapters=find_settings)


async def _with(config: "Config", use: "Callable[[Catalogue], Awaitable[T]]", name: str = "") -> T:
    """Runs `use` on the catalogue, as the daemon would make it; of the MCP servers only that of the action `name` is asked."""
    from bot.clock import SystemClock
    from bot.net.fetch import Fetcher
    from bot.net.perimeter import Perimeter
    from bot.tools.catalogue import Catalogue

    clock = SystemClock()
    fetcher = Fetcher(Perimeter(config.network.allow), clock, config.limits.upload_bytes)
    try:
        catalogue = Catalogue(config, fetcher, clock)
        try:
            if name:
                await catalogue.open(only=name)
            return await use(catalogue)
        finally:
            await catalogue.close()
    finally:
        await fetcher.close()


# --- listing and showing ---------------------------------------------------------------------------------------------


def _usual(settings: "Settings") -> str:
    """Who agrees where the config does not say it."""
    return settings.consent or ("none" if settings.effect == "read" else "user")


async def _rows(config: "Config", catalogue: "Catalogue") -> list[dict[str, Any]]:
    return [
        {
            "name": each.name,
            "effect": made.effect.value if made else each.effect or "naked",
            "consent": _consent_of(made.consent.value if made else _usual(each), each.operator_above),
            "agents": list(each.agents),
            "origin": made.origin if made else f"MCP {each.mcp}: {each.tool}",
        }
        for each in config.actions
        for made in [catalogue.get(each.name)]
    ]


def _consent_of(consent: str, operator_above: int | None) -> str:
    return consent if operator_above is None else f"{consent}, operator above {operator_above}"


async def _told(config: "Config", catalogue: "Catalogue", name: str) -> dict[str, Any]:
    from bot.tools.action import Source

    action = _find(config, catalogue, name)
    injected = {
        each.name: f"{each.source.value}.{each.source_field or each.name}"
        for each in action.parameters
        if each.source is not Source.MODEL
    }
    allowance = action.allowance
    return {
        "name": action.name,
        "title": action.title,
        "description": action.description,
        "origin": action.origin,
        "effect": action.effect.value,
        "consent": action.consent.value,
        "operator_above": allowance.operator_above,
        "two_operators_above": allowance.two_operators_above,
        "limits": {
            "amount_per_call": allowance.amount_per_call,
            "amount_per_day": allowance.amount_per_day,
            "calls_per_day": allowance.calls_per_day,
        },
        "agents": list(action.agents),
        "once_per": action.once_per,
        "facts": action.facts,
        "fact_fields": list(action.fact_fields),
        "keep": list(action.keep),
        "cache_s": action.cache_s,
        "timeout_s": action.timeout_s,
        "tries": action.tries,
        "is_profile": action.is_profile,
        "roles": {each.name: each.role.value for each in action.parameters if each.role.value},
        "most": {each.name: f"facts.{each.most_field}" for each in action.parameters if each.most_field},
        "injected": injected,
        "schema": action.schema((Source.MODEL,)),
        "version": action.version,
    }


def _lines(found: Mapping[str, Any]) -> list[str]:
    lines = [f"{found['name']}: {found['title']}", f"  {found['description']}", ""]
    told = {
        "reached by": found["origin"],
        "effect": EFFECTS[found["effect"]],
        "consent": CONSENTS[found["consent"]],
        "agents": ", ".join(found["agents"]),
        "version": found["version"],
    }
    plain = ("operator_above", "two_operators_above", "once_per", "facts", "cache_s", "timeout_s", "tries")
    told |= {key: found[key] for key in plain if found[key]}
    told |= {key: value for key, value in found["limits"].items() if value}
    told |= {key: ", ".join(found[key]) for key in ("fact_fields", "keep") if found[key]}
    lines += [f"  {key:<20} {value}" for key, value in told.items()]
    for title, key in (("filled in, never by the model", "injected"), ("at most", "most"), ("roles", "roles")):
        lines += ["", f"{title}:"] * bool(found[key])
        lines += [f"  {name:<20} {value}" for name, value in found[key].items()]
    return [*lines, "", "the model sees:", *json.dumps(found["schema"], indent=2, ensure_ascii=True).splitlines()]


def _find(config: "Config", catalogue: "Catalogue", name: str) -> "Action":
    action = catalogue.get(name)
    if action is not None:
        return action
    if why := catalogue.unavailable().get(name):
        raise NotSent(f"{name} is not available: {why}")
    known = ", ".join(each.name for each in config.actions) or "none"
    raise ConfigError([Problem("NAME", f'there is no action "{name}"', f"There is: {known}.")])


# --- calling ---------------------------------------------------------------------------------------------------------


async def _called(config: "Config", catalogue: "Catalogue", arguments: argparse.Namespace) -> int:
    action = _find(config, catalogue, arguments.name)
    chosen = _chosen(action, arguments.arg)
    whole = chosen | _of_person(action, arguments.as_person)
    if arguments.dry_run:
        show_json(await _rehearsed(config, action, whole))
        return 0
    return await _carried_out(config, action, chosen, arguments)


def _chosen(action: "Action", given: list[str]) -> dict[str, Any]:
    """The arguments as a model would give them, held to the same schema."""
    from bot.tools.schemas import checked

    schemas = {each.name: each.schema for each in action.parameters}
    found: dict[str, Any] = {}
    for each in given:
        name, sign, text = each.partition("=")
        if not sign or name in found:
            what = "is given twice" if sign else "has no ="
            raise ConfigError([Problem("--arg", f'"{cut(each)}" {what}', "Write --arg NAME=VALUE once for each.")])
        found[name] = _value(text, schemas.get(name, {}))
    try:
        return checked(action, json.dumps(found))
    except ValueError as error:
        mend = f"frontdesk action show {action.name} tells what it takes."
        raise ConfigError([Problem("--arg", str(error).rstrip("."), mend)]) from error


def _value(text: str, schema: Mapping[str, Any]) -> Any:  # JSON
    """Text stays text where text is taken; anything else is JSON."""
    if schema.get("type") == "string":
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def _of_person(action: "Action", person: str) -> dict[str, str]:
    from bot.tools.action import Source

    wanted = [each.name for each in action.parameters if each.source is Source.IDENTITY]
    if wanted and not person:
        what = f"is missing: {action.name} takes {', '.join(wanted)} from the person"
        raise ConfigError([Problem("--as-person", what, "Write the id of the person that it is done for.")])
    return dict.fromkeys(wanted, person)


async def _rehearsed(config: "Config", action: "Action", arguments: Mapping[str, Any]) -> dict[str, Any]:
    """What would be sent, made by the same code, with secrets and facts standing as their names."""
    from bot.commands.rehearsal import rehearse
    from bot.tools.action import Source

    facts = {
        each.name: f"<facts.{each.source_field or each.name}>"
        for each in action.parameters
        if each.source is Source.FACTS
    }
    return await rehearse(config, action, {**arguments, **facts})


async def _carried_out(
    config: "Config", action: "Action", chosen: Mapping[str, Any], arguments: argparse.Namespace
) -> int:
    if not (action.is_read or arguments.yes):
        say(
            f"{action.name} has an effect ({action.effect.value}), and nothing was sent. Look with --dry-run; do it with --yes."
        )
        return 1
    asked = {"name": action.name, "arguments": json.dumps(chosen), "person": arguments.as_person}
    asked["version"] = action.version
    within_s = action.timeout_s * action.tries + SPARE_S
    socket = find_socket(config.data.path, os.environ)
    answer = await asyncio.to_thread(call, socket, "action call", asked, within_s)
    found: dict[str, Any] = answer if isinstance(answer, dict) else {}  # JSON
    _show(found if arguments.json else str(found.get("text", "")), is_json=arguments.json)
    return 1 if found.get("is_error") or found.get("is_uncertain") else 0


def _show(value: object, *, is_json: bool) -> None:
    if is_json or not isinstance(value, str):
        show_json(value)
        return
    for line in value.splitlines():
        say(line)
