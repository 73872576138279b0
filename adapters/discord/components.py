"""Buttons and menus under our messages. Their ids say all that a press needs, so they work after a restart.

b:MESSAGE:BUTTON    a button of the message      f:up:MESSAGE, f:down:MESSAGE    a verdict
b:MESSAGE:#HASH     where that is too long       s:MESSAGE                       the menu of sources; its value is the passage

In the operators' channel alone: desk:COMMAND|MESSAGE, a command of theirs.
"""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final

from bot.model import Author, Button, Citation, Message, MessageId, value

Component = Mapping[str, object]  # JSON as Discord takes it

DESK: Final = "desk:"
"""With it begin the ids of the buttons that only operators are shown."""

_ROW: Final = 1
_BUTTON: Final = 2
_MENU: Final = 3
_PRIMARY, _SECONDARY = 1, 2
_ROWS: Final = 5
_IN_A_ROW: Final = 5
_ID_CHARS: Final = 100
_LABEL_CHARS: Final = 80
_CHOICES: Final = 25
_CHOICE_CHARS: Final = 100
"""Types, styles and limits: Discord's documentation, "Component Reference"."""


@value
class Pressed:
    """What a custom id means. `kind`: "b", "f" or "s"; `detail`: the button (or "#" and its hash), or the verdict."""

    kind: str
    message: MessageId
    detail: str = ""


def rows(message: Message, *, has_feedback: bool, for_operators: bool = False) -> Sequence[Component]:
    """What stands under the last part of a message. `for_operators`: only what operators may press, and that as theirs."""
    menu = [_row([_sources(message)])] if message.citations else []
    thumbs = (
        [_row(_thumbs(message))] if has_feedback and message.author is Author.AGENT and message.is_last_part else []
    )
    room = _ROWS - len(menu) - len(thumbs)
    named_ = desk_id if for_operators else button_id
    offered = [button for button in message.buttons if not for_operators or is_desk(button.id)]
    buttons = [_button(named_(message.id, button.id), button, number) for number, button in enumerate(offered)]
    lines = [_row(buttons[at : at + _IN_A_ROW]) for at in range(0, len(buttons), _IN_A_ROW)]
    return [*lines[:room], *menu, *thumbs]


def button_id(message: MessageId, button: str) -> str:
    whole = f"b:{message}:{button}"
    return whole if len(whole) <= _ID_CHARS and not button.startswith("#") else f"b:{message}:#{hashed(button)}"


def desk_id(message: MessageId, button: str) -> str:
    """The id of a button for operators: it names its command, and the message by which that one is found again."""
    whole = f"{button}|{message}"
    return whole if is_desk(button) and len(whole) <= _ID_CHARS else button_id(message, button)


def is_desk(id_: str) -> bool:
    return id_.startswith(DESK)


def command(custom_id: str) -> str:
    """What a button for operators commands, such as "snooze 2h"."""
    return custom_id.removeprefix(DESK).rpartition("|")[0]


def messages_of(components: Sequence[Mapping[str, Any]]) -> Sequence[str]:
    """The ids of our messages that the buttons for operators name."""
    return [
        str(part["custom_id"]).rpartition("|")[2]
        for row in components
        for part in row.get("components") or ()
        if is_desk(str(part.get("custom_id", "")))
    ]


def hashed(button: str) -> str:
    return blake2b(button.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def named(detail: str, buttons: Sequence[Button]) -> str:
    """The button that a pressed id stands for; "" where it is none of these."""
    if not detail.startswith("#"):
        return detail
    return next((button.id for button in buttons if hashed(button.id) == detail[1:]), "")


def pressed(custom_id: str) -> Pressed | None:
    """None for an id that is not of our making."""
    kind, _, rest = custom_id.partition(":")
    first, _, second = rest.partition(":")
    if kind == "b" and first and second:
        return Pressed(kind, MessageId(first), second)
    if kind == "f" and first in ("up", "down") and second:
        return Pressed(kind, MessageId(second), first)
    if kind == "s" and first:
        return Pressed(kind, MessageId(first))
    return None


def _row(components: Sequence[Component]) -> Component:
    return {"type": _ROW, "components": list(components)}


def _button(custom_id: str, button: Button, number: int) -> Component:
    return {
        "type": _BUTTON,
        "style": _SECONDARY if number else _PRIMARY,
        "label": _cut(button.label, _LABEL_CHARS),
        "custom_id": custom_id,
    }


def _thumbs(message: Message) -> Sequence[Component]:
    return [
        {"type": _BUTTON, "style": _SECONDARY, "emoji": {"name": emoji}, "custom_id": f"f:{verdict}:{message.id}"}
        for emoji, verdict in (("👍", "up"), ("👎", "down"))
    ]


def _sources(message: Message) -> Component:
    passages: dict[str, Citation] = {}
    for citation in message.citations:
        passages.setdefault(citation.passage, citation)
    return {
        "type": _MENU,
        "custom_id": f"s:{message.id}",
        "placeholder": "Read a source",
        "options": [
            {"label": _cut(f"[{citation.number}] {citation.title}", _CHOICE_CHARS), "value": passage}
            for passage, citation in list(passages.items())[:_CHOICES]
        ],
    }


def _cut(text: str, most: int) -> str:
    line = " ".join(text.split()) or "…"
    return line if len(line) <= most else line[: most - 1] + "…"
