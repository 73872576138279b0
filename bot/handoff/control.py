"""What the daemon does for `frontdesk handoff`: the same lists and the same commands as on the console, recorded with the local account."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from bot.errors import Refused
from bot.handoff.commands import Command, Kind, command_of
from bot.handoff.views import Views
from bot.handoff.views_rows import PAGE_MOST, Json, Wanted
from bot.model import Attachment, ConversationId
from bot.net.control import CommandFailed
from bot.operators.operator import Operator
from bot.operators.people import Operators
from bot.text import clean

Arguments = Mapping[str, Any]  # JSON of a caller

ONLY_IN_ROOMS: Final = (
    "A code connects an account of Slack or Discord: write !link CODE there, in the operators' channel."
)


class Told(Protocol):
    @property
    def text(self) -> str: ...
    @property
    def warning(self) -> str: ...
    @property
    def message(self) -> str: ...
    @property
    def suggestion(self) -> str: ...


class Acts(Protocol):
    """Carries out operators' commands (`bot.handoff.desk.Desk`)."""

    async def act(
        self,
        operator: Operator,
        conversation: ConversationId,
        command: Command,
        *,
        key: str = "",
        attachments: Sequence[Attachment] = (),
        suggestion: str = "",
        via: str = "",
        account: str = "",
    ) -> Told: ...


async def answer(
    desk: Acts, views: Views, operators: Operators, account: str, command: str, arguments: Arguments
) -> object:
    """A JSON value for the command `handoff ...`. Raises CommandFailed with a plain sentence."""
    try:
        match command.removeprefix("handoff "):
            case "list":
                return await _list(views, is_all=bool(arguments.get("all")))
            case "show":
                return await views.conversation(await views.find(_text(arguments, "case")))
            case "changes":
                case = _text(arguments, "case")
                about = await views.find(case) if case else ""
                return await views.changes(_text(arguments, "after"), about)
            case "act":
                return await _act(desk, views, operators, account, arguments)
    except Refused as error:
        raise CommandFailed(error.detail) from error
    raise CommandFailed(f"there is no command {command}. frontdesk handoff --help lists them")


async def _list(views: Views, *, is_all: bool) -> list[Json]:
    """What people wait for or have, what breaks first at the top; with `is_all`, what the agent has as well."""
    found = await views.inbox(Wanted("all" if is_all else "people", limit=PAGE_MOST))
    rows: list[Json] = found["rows"]
    return sorted(rows, key=_urgency)


def _urgency(row: Json) -> tuple[float, int, float]:
    """The nearest deadline, then priority, then who waits longest."""
    due = row["deadline"]["due_ms"] if row["deadline"] else float("inf")
    return due, -row["priority"], row["waiting_since_ms"] or float("inf")


async def _act(desk: Acts, views: Views, operators: Operators, account: str, arguments: Arguments) -> dict[str, str]:
    operator = await _operator(operators, _text(arguments, "name"))
    conversation = await views.find(_text(arguments, "case"))
    command = command_of(_text(arguments, "kind"), _text(arguments, "text").strip())
    if command.kind is Kind.LINK:
        raise Refused("bad_request", ONLY_IN_ROOMS)
    key = f"cli:{account}:{_text(arguments, 'key')}" if arguments.get("key") else ""
    done = await desk.act(operator, conversation, command, key=key, account=account)
    return {
        "conversation": conversation,
        "operator": operator.name,
        "text": done.text,
        "warning": done.warning,
        "message": done.message,
        "suggestion": done.suggestion,
    }


async def _operator(operators: Operators, name: str) -> Operator:
    """The one of that name; without a name, the only one there is. Raises Refused."""
    if name:
        return await operators.named(name)
    people = [each for each in await operators.all() if not each.is_disabled]
    if len(people) != 1:
        who = ", ".join(each.name for each in people) or "nobody yet: frontdesk operator add"
        raise Refused("no_operator", f"Say who you are: --as NAME (there is: {who}).")
    return people[0]


def _text(arguments: Arguments, key: str) -> str:
    return clean(str(arguments.get(key, "")))
