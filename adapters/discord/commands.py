"""The slash commands, as Discord shows them in its list."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

from adapters.discord.calls import CallFailure, patiently
from adapters.discord.wire import Wire
from bot.ports import Clock

log = logging.getLogger(__name__)

_TEXT: Final = 3
_QUESTION_CHARS: Final = 1_500

COMMANDS: Final[Sequence[Mapping[str, Any]]] = (  # JSON as Discord takes it
    {
        "name": "ask",
        "description": "Ask a question",
        "options": [
            {
                "type": _TEXT,
                "name": "question",
                "description": "What would you like to know?",
                "required": True,
                "max_length": _QUESTION_CHARS,
            }
        ],
    },
    {"name": "human", "description": "Talk to a person"},
    {"name": "done", "description": "Close this question: your next message begins a new one"},
    {"name": "forget", "description": "Ask us to forget what you have said"},
)
"""Types and names: Discord's documentation, "Application Commands"."""


async def sync(clock: Clock, wire: Wire, application: str) -> None:
    """Makes Discord's list ours, where it is not already."""
    try:
        known = await patiently(clock, lambda: wire.get_global_commands(application))
        if _shape(known) != _shape(COMMANDS):
            commands = [{"type": 1, **command} for command in COMMANDS]
            await patiently(clock, lambda: wire.bulk_upsert_global_commands(application, commands))
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
