"""What the daemon does for `frontdesk operator`: the local account that calls is trusted with everything here, and stands in the audit."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from bot.errors import Refused
from bot.net.control import CommandFailed
from bot.operators.operator import CAPACITY, Listed, Operator
from bot.operators.people import Operators
from bot.operators.signing_in import Signing
from bot.text import clean

Arguments = Mapping[str, Any]  # JSON of a caller


async def answer(operators: Operators, signing: Signing, account: str, command: str, arguments: Arguments) -> object:
    """A JSON value for the command `operator ...`. Raises CommandFailed with a plain sentence."""
    by, name = f"local:{account}", _text(arguments, "name")
    try:
        match command.removeprefix("operator "):
            case "list":
                return await _list(operators)
            case "add" | "role" | "enable" | "disable" as what:
                return await _change(operators, what, arguments, by)
            case "link" | "unlink" | "invite" as what:
                return await _connect(operators, what, name, _text(arguments, "channel"), by)
            case "password":
                await signing.set_password(name, str(arguments.get("password", "")), by=by)
                return {"has_totp": await signing.has_totp(name)}
            case "sessions":
                return await _sessions(operators, signing, name, by, is_ending=bool(arguments.get("end")))
    except Refused as error:
        raise CommandFailed(error.detail) from error
    raise CommandFailed(f"there is no command {command}. frontdesk operator --help lists them")


async def _list(operators: Operators) -> list[dict[str, Any]]:
    links = await operators.links()
    return [
        {
            **dataclasses.asdict(each),
            "links": [
                {"channel": channel, "account": account, "external_id": external, "name": name}
                for id_, channel, account, external, name in links
                if id_ == each.id
            ],
        }
        for each in await operators.all()
    ]


async def _change(operators: Operators, what: str, arguments: Arguments, by: str) -> dict[str, Any]:
    name, role = _text(arguments, "name"), _text(arguments, "role")
    match what:
        case "add":
            found = await operators.add(_listed(arguments), by=by)
            return {**_told(found), "code": await operators.invite_code(name, by=by)}
        case "role":
            found = await operators.set_role(name, role, by=by)
        case "enable":
            found = await operators.enable(name, by=by)
        case _:
            found = await operators.disable(name, by=by)
    return _told(found)


async def _connect(operators: Operators, what: str, name: str, channel: str, by: str) -> dict[str, Any]:
    if what == "unlink":
        return {"count": await operators.unlink(name, channel, by=by)}
    make = operators.link_code if what == "link" else operators.invite_code
    return {"code": await make(name, by=by)}


async def _sessions(operators: Operators, signing: Signing, name: str, by: str, *, is_ending: bool) -> dict[str, Any]:
    await operators.named(name)
    found = [
        {"since_ms": since, "seen_ms": seen, "until_ms": until}
        for since, seen, until in await signing.open_sessions(name)
    ]
    return {"sessions": found, "ended": await signing.end_sessions(name, by=by) if is_ending else 0}


def _told(operator: Operator) -> dict[str, Any]:
    return {"name": operator.name, "role": operator.role, "is_disabled": operator.is_disabled}


def _listed(arguments: Arguments) -> Listed:
    capacity = arguments.get("capacity", CAPACITY)
    return Listed(
        name=_text(arguments, "name"),
        role=_text(arguments, "role"),
        teams=_texts(arguments, "teams"),
        skills=_texts(arguments, "skills"),
        languages=_texts(arguments, "languages"),
        capacity=capacity if isinstance(capacity, int) else 0,
    )


def _text(arguments: Arguments, key: str) -> str:
    return clean(str(arguments.get(key, "")))


def _texts(arguments: Arguments, key: str) -> tuple[str, ...]:
    found = arguments.get(key, [])
    return tuple(clean(str(each)) for each in found) if isinstance(found, list) else ()
