"""The forms in which operators write what a button asks of them. Each is sent off as the line that they could have typed.

form:COMMAND:THREAD    the form's id: what it becomes, and the card it is about ("" none). It says all, so it works after a restart.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from bot.model import value

Modal = Mapping[str, Any]  # JSON as Discord takes it

_LABEL: Final = 18
_INPUT: Final = 4
_SHORT, _LONG = 1, 2
_SHORT_CHARS, _LONG_CHARS = 200, 4_000
_TEXT: Final = "text"
"""Types, styles and limits: Discord's documentation, "Component Reference"."""


@value
class Form:
    """What is asked for one command. `hint` is shown while nothing is written."""

    title: str
    label: str
    hint: str = ""
    is_long: bool = True
    is_needed: bool = True


FORMS: Final[Mapping[str, Form]] = {
    "reply": Form("Reply to the user", "What the user is to read"),
    "note": Form("Add a note", "What only operators read"),
    "return": Form("Return to the agent", "Instruction to the agent", "May be left empty", is_needed=False),
    "resolve": Form("Resolve the case", "What solved it", "May be left empty", is_needed=False),
    "transfer": Form("Hand it to somebody else", "Operator or team", "kim", is_long=False),
    "snooze": Form("Put it off", "Until when", "30m, 2h, 1d, 14:30 or 2026-12-24", is_long=False),
}


@value
class Sent:
    """A form that was sent off."""

    line: str
    thread: str


def modal(command: str, thread: str) -> Modal:
    """The form of one of FORMS."""
    form = FORMS[command]
    field = {
        "type": _INPUT,
        "custom_id": _TEXT,
        "style": _LONG if form.is_long else _SHORT,
        "required": form.is_needed,
        "max_length": _LONG_CHARS if form.is_long else _SHORT_CHARS,
        **({"placeholder": form.hint} if form.hint else {}),
    }
    return {
        "custom_id": f"form:{command}:{thread}",
        "title": form.title,
        "components": [{"type": _LABEL, "label": form.label, "component": field}],
    }


def is_form(custom_id: str) -> bool:
    kind, _, rest = custom_id.partition(":")
    command, about, _ = rest.partition(":")
    return kind == "form" and command in FORMS and bool(about)


def sent(custom_id: str, components: list[dict[str, Any]]) -> Sent:
    """The line that a form becomes."""
    _, command, thread = custom_id.split(":", 2)
    text = "\n".join(_values(components)).strip()
    return Sent(f"!{command} {text}".strip(), thread)


def _values(components: list[dict[str, Any]]) -> Iterator[str]:
    """What was written, in a row or under a label."""
    for component in components:
        if component.get("custom_id") == _TEXT:
            yield str(component.get("value") or "")
        inner = component.get("component")
        yield from _values([*(component.get("components") or ()), *([inner] if isinstance(inner, dict) else ())])
