"""The operators' commands: one set behind Slack, Discord, the console and the command line.

A command is a line such as `!snooze 2h` (`/` works as well as `!` where the place has no slash commands of its own). `parse` reads what an
authenticated operator wrote themself, never a quotation, a file or a name; buttons and forms of a platform give the same lines.
"""

import re
from enum import StrEnum
from typing import Final

from bot.errors import Refused
from bot.model import value
from bot.text import pattern


class Kind(StrEnum):
    """What an operator can do with a conversation. The value is the command's first name."""

    TAKE = "take"
    RELEASE = "release"
    TRANSFER = "transfer"
    DECLINE = "decline"
    NOTE = "note"
    REPLY = "reply"
    CANNED = "canned"
    TEMPLATE = "template"
    SUGGEST = "suggest"
    SUMMARISE = "summarise"
    PEEK = "peek"
    SNOOZE = "snooze"
    WAKE = "wake"
    PRIORITY = "priority"
    TAG = "tag"
    UNTAG = "untag"
    RETURN = "return"
    WHISPER = "whisper"
    RESOLVE = "resolve"
    DONE = "done"
    REOPEN = "reopen"
    BLOCK = "block"
    UNBLOCK = "unblock"
    WATCH = "watch"
    UNWATCH = "unwatch"
    APPROVE = "approve"
    REFUSE = "refuse"
    HAPPENED = "happened"
    DID_NOT = "did-not"
    MINE = "mine"
    ONLINE = "online"
    AWAY = "away"
    LINK = "link"
    HELP = "help"


OTHER_NAMES: Final = {
    "claim": Kind.TAKE,
    "accept": Kind.TAKE,
    "summarize": Kind.SUMMARISE,
    "close": Kind.RESOLVE,
    "handback": Kind.RETURN,
    "unsnooze": Kind.WAKE,
    "say": Kind.REPLY,
    "?": Kind.HELP,
}

# What each takes, as it is shown by `!help`: "" nothing, [..] may be left out.
TAKES: Final[dict[Kind, str]] = {
    Kind.TRANSFER: "@operator or team",
    Kind.NOTE: "text",
    Kind.REPLY: "text",
    Kind.CANNED: "name",
    Kind.SNOOZE: "30m, 2h, 1d, 14:30 or 2026-12-24",
    Kind.PRIORITY: "low, normal, high or urgent",
    Kind.TAG: "tag",
    Kind.UNTAG: "tag",
    Kind.RETURN: "[instruction to the agent]",
    Kind.WHISPER: "instruction to the agent",
    Kind.TEMPLATE: "[text]",
    Kind.RESOLVE: "[summary]",
    Kind.BLOCK: "[reason]",
    Kind.APPROVE: "id [why]",
    Kind.REFUSE: "id [why]",
    Kind.HAPPENED: "id [why]",
    Kind.DID_NOT: "id [why]",
    Kind.MINE: "id [why]",
    Kind.LINK: "code",
}
ABOUT: Final[dict[Kind, str]] = {
    Kind.TAKE: "the conversation becomes yours",
    Kind.RELEASE: "give it back to the queue",
    Kind.TRANSFER: "hand it to somebody else",
    Kind.DECLINE: "decline an offer",
    Kind.NOTE: "a note that only operators read",
    Kind.REPLY: "write to the user",
    Kind.CANNED: "send a prepared reply",
    Kind.TEMPLATE: "send the form that opens a closed WhatsApp window",
    Kind.SUGGEST: "let the agent propose a reply",
    Kind.SUMMARISE: "what happened so far",
    Kind.PEEK: "look without taking it",
    Kind.SNOOZE: "put it off",
    Kind.WAKE: "take it up again now",
    Kind.PRIORITY: "what comes first",
    Kind.TAG: "add a tag",
    Kind.UNTAG: "remove a tag",
    Kind.RETURN: "the agent goes on",
    Kind.WHISPER: "tell the agent something while it answers",
    Kind.RESOLVE: "the case is solved",
    Kind.DONE: "your notes are finished",
    Kind.REOPEN: "take up an ended case again",
    Kind.BLOCK: "neither read nor answer this user any more",
    Kind.UNBLOCK: "the opposite",
    Kind.WATCH: "be told what happens here",
    Kind.UNWATCH: "the opposite",
    Kind.APPROVE: "agree to an action",
    Kind.REFUSE: "refuse an action",
    Kind.HAPPENED: "an action of unknown outcome was carried out",
    Kind.DID_NOT: "an action of unknown outcome was not carried out",
    Kind.MINE: "you take care of an action of unknown outcome",
    Kind.ONLINE: "you take conversations",
    Kind.AWAY: "you take none",
    Kind.LINK: "connect this account with your operator account",
    Kind.HELP: "this list",
}
_NEEDS: Final = {kind for kind, takes in TAKES.items() if not takes.startswith("[")}
_WITH_FILES: Final = frozenset({Kind.REPLY, Kind.NOTE})
_NOT_OF_CASE: Final = frozenset({Kind.ONLINE, Kind.AWAY, Kind.LINK, Kind.HELP})
_LINE = pattern(r"[!/]([a-z?][a-z-]{0,20})(?:\s+|$)", re.IGNORECASE)
_DECISIONS: Final = frozenset({Kind.APPROVE, Kind.REFUSE, Kind.HAPPENED, Kind.DID_NOT, Kind.MINE})
PRIORITIES: Final = {"low": -1, "normal": 0, "high": 1, "urgent": 2}


@value
class Command:
    """`text`: what stands behind the name. `id`: what is decided on, of a decision."""

    kind: Kind
    text: str = ""
    id: str = ""

    @property
    def is_of_case(self) -> bool:
        """Whether it is about a conversation, and not about the operator."""
        return self.kind not in _NOT_OF_CASE


def parse(line: str, *, has_files: bool = False) -> Command | None:
    """The command that a line is, or None for plain text. `has_files`: files came with it, which need no words. Raises
    Refused("unknown_command" | "incomplete")."""
    text = line.strip()
    found = _LINE.match(text)
    if found is None:
        return None
    return command_of(found[1].lower(), text[found.end() :].strip(), has_files=has_files)


def command_of(name: str, rest: str = "", *, has_files: bool = False) -> Command:
    """The command of this name. Raises Refused."""
    try:
        kind = OTHER_NAMES.get(name) or Kind(name)
    except ValueError:
        raise Refused("unknown_command", f"There is no command {name!r}. !help shows all.") from None
    if kind in _NEEDS and not rest and not (has_files and kind in _WITH_FILES):
        raise Refused("incomplete", f"Please write: !{kind} {TAKES[kind]}")
    if kind in _DECISIONS:
        id_, _, why = rest.partition(" ")
        return Command(kind, why.strip(), id_)
    return Command(kind, rest)


def written(command: Command) -> str:
    """The line that `parse` reads as this command."""
    parts = [f"!{command.kind}", command.id, command.text]
    return " ".join(part for part in parts if part)


def plain(text: str, *, is_reply: bool) -> Command:
    """What text without a command is: a note, unless the config has turned that round."""
    return Command(Kind.REPLY if is_reply else Kind.NOTE, text)


def help_text() -> str:
    """All commands, one a line."""
    return "\n".join(f"!{kind}{f' {TAKES[kind]}' if kind in TAKES else ''}: {ABOUT[kind]}" for kind in Kind)
