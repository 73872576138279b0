"""The slash commands, as Discord shows them in its list."""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from adapters.discord.calls import CallFailure, patiently
from adapters.discord.rooms import Rooms
from adapters.discord.wire import Wire
from bot.ports import Clock

log = logging.getLogger(__name__)

_TEXT: Final = 3
_QUESTION_CHARS: Final = 1_500
_LINE_CHARS: Final = 4_000

Command = Mapping[str, Any]  # JSON as Discord takes it


def _text(name: str, description: str, most: int, *, is_needed: bool = True) -> Command:
    return {"type": _TEXT, "name": name, "description": description, "required": is_needed, "max_length": most}


def _command(name: str, description: str, *options: Command) -> Command:
    return {"name": name, "description": description, **({"options": list(options)} if options else {})}


FOR_PEOPLE: Final[Sequence[Command]] = (
    _command("ask", "Ask a question", _text("question", "What would you like to know?", _QUESTION_CHARS)),
    _command("human", "Talk to a person"),
    _command("done", "Close this question: your next message begins a new one"),
    _command("forget", "Ask us to forget what you have said"),
)
"""Everywhere. Types and names: Discord's documentation, "Application Commands"."""

FOR_OPERATORS: Final[Sequence[Command]] = (
    _command("take", "The conversation becomes yours"),
    _command("reply", "Write to the user", _text("text", "What the user is to read", _LINE_CHARS, is_needed=False)),
    _command("note", "Add a note", _text("text", "What only operators read", _LINE_CHARS, is_needed=False)),
    _command("return", "The agent goes on", _text("instruction", "For the agent", _LINE_CHARS, is_needed=False)),
    _command("resolve", "The case is solved", _text("summary", "What solved it", _LINE_CHARS, is_needed=False)),
    _command("snooze", "Put it off", _text("until", "30m, 2h, 1d, 14:30 or 2026-12-24", 40, is_needed=False)),
    _command("transfer", "Hand it to somebody else", _text("to", "Operator or team", 100, is_needed=False)),
    _command("release", "Give it back to the queue"),
    _command("suggest", "Let the agent propose a reply"),
    _command("summarise", "What happened so far"),
    _command("canned", "Send a prepared reply", _text("name", "Its name", 100)),
    _command("link", "Connect this account with your operator account", _text("code", "The code you were given", 100)),
    _command("online", "You take conversations"),
    _command("away", "You take none"),
)
"""In the server of the operators' channel."""

DESK_NAMES: Final = frozenset(str(command["name"]) for command in FOR_OPERATORS)
COMMANDS: Final = (*FOR_PEOPLE, *FOR_OPERATORS)


async def sync(clock: Clock, wire: Wire, application: str) -> None:
    """Makes Discord's list of what people may ask ours, where it is not already."""
    await _sync(
        clock,
        FOR_PEOPLE,
        lambda: wire.get_global_commands(application),
        lambda commands: wire.bulk_upsert_global_commands(application, commands),
    )


async def sync_desk(clock: Clock, wire: Wire, application: str, rooms: Rooms, before: str) -> str:
    """The same for the operators' commands, which stand in the server of their channel, and no longer in that of an earlier one (`before`).
    Returns the server that has them now, "" for none."""
    server = ""
    if rooms.operators:
        try:
            server = (await rooms.room(rooms.operators)).space
        except CallFailure as failure:
            log.warning("the operators' channel %s cannot be seen: %s", rooms.operators, failure)
            return before
    if before and before != server:
        await _sync_server(clock, wire, application, before, is_desk=False)
    if server:
        await _sync_server(clock, wire, application, server, is_desk=True)
    return server


async def _sync_server(clock: Clock, wire: Wire, application: str, server: str, *, is_desk: bool) -> None:
    await _sync(
        clock,
        FOR_OPERATORS if is_desk else (),
        lambda: wire.get_guild_commands(application, server),
        lambda commands: wire.bulk_upsert_guild_commands(application, server, commands),
    )


async def _sync(
    clock: Clock,
    wanted: Sequence[Command],
    get: Callable[[], Awaitable[object]],
    put: Callable[[Any], Awaitable[object]],  # the SDK's own shape
) -> None:
    try:
        if _shape(await patiently(clock, get)) != _shape(wanted):
            await patiently(clock, lambda: put([{"type": 1, **command} for command in wanted]))
    except CallFailure as failure:
        log.warning("the slash commands could not be set: %s", failure)


def _shape(commands: object) -> Mapping[str, object]:
    """What a person sees of commands, whatever else Discord adds to them."""
    listed = commands if isinstance(commands, Sequence) else ()
    return {
        str(command.get("name")): (
            command.get("description"),
            [
                (option.get("name"), option.get("description"), option.get("type"), bool(option.get("required")))
                for option in command.get("options") or ()
                if isinstance(option, Mapping)
            ],
        )
        for command in listed
        if isinstance(command, Mapping)
    }
