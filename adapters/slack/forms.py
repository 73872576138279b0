"""The forms behind an operator's buttons: modals whose submission is the line that could also have been typed. Pure.

https://docs.slack.dev/surfaces/modals
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from adapters.slack.blocks import Block, plain_text
from bot.model import value

FORM: Final = "desk"  # the callback id of every form
REPLY: Final = "desk:reply"  # the callback id of the message shortcut

_TITLE_CHARS: Final = 24  # surfaces/modals: of a title
_LABEL_CHARS: Final = 75  # composition-objects/option-object: of its text
_HINT_CHARS: Final = 150  # block-elements/plain-text-input-element: of its placeholder
_TEXT_CHARS: Final = 3_000  # block-elements/plain-text-input-element: max_length
_TEXT: Final = "text"
_WHEN: Final = "when"
_TIMES: Final = {
    "30m": "30 minutes",
    "1h": "1 hour",
    "2h": "2 hours",
    "4h": "4 hours",
    "1d": "1 day",
    "3d": "3 days",
    "7d": "1 week",
}


@value
class _Field:
    """The one text that a form asks for."""

    title: str
    label: str
    hint: str
    is_long: bool = True
    may_be_empty: bool = False


FORMS: Final = {
    "reply": _Field("Reply to the user", "What the user reads", "It is sent as you write it."),
    "note": _Field("Note", "Your note", "Only operators read it."),
    "return": _Field("Return to the agent", "What the agent should know or do", "May stay empty.", may_be_empty=True),
    "transfer": _Field("Hand over", "To whom", "An operator or a team.", is_long=False),
    "resolve": _Field("Resolve", "How it was solved", "May stay empty.", may_be_empty=True),
    "snooze": _Field(
        "Snooze", "Or until", "14:30 or 2026-12-24; goes before the menu.", is_long=False, may_be_empty=True
    ),
}


@value
class Filled:
    """A form as it was submitted: of which case's thread in which channel, and the line it stands for. The line is "" where nothing was
    filled in that is needed."""

    channel: str
    thread: str
    line: str


def form(kind: str, channel: str, thread: str) -> Block:
    """The modal of one of FORMS, for the case whose thread that is."""
    asked = FORMS[kind]
    blocks = [_menu()] if kind == "snooze" else []
    return {
        "type": "modal",
        "callback_id": FORM,
        "private_metadata": json.dumps({"k": kind, "c": channel, "t": thread}, separators=(",", ":")),
        "title": plain_text(asked.title, _TITLE_CHARS),
        "submit": plain_text("Send" if kind == "reply" else "OK", _TITLE_CHARS),
        "close": plain_text("Cancel", _TITLE_CHARS),
        "blocks": [*blocks, _input(asked)],
    }


def _input(asked: _Field) -> Block:
    element: Block = {
        "type": "plain_text_input",
        "action_id": _TEXT,
        "multiline": asked.is_long,
        "max_length": _TEXT_CHARS,
        "placeholder": plain_text(asked.hint, _HINT_CHARS),
    }
    label = plain_text(asked.label, _LABEL_CHARS)
    return {"type": "input", "block_id": _TEXT, "label": label, "element": element, "optional": asked.may_be_empty}


def _menu() -> Block:
    options: list[Block] = [{"text": plain_text(label, _LABEL_CHARS), "value": time} for time, label in _TIMES.items()]
    element: Block = {
        "type": "static_select",
        "action_id": _WHEN,
        "options": options,
        "initial_option": options[1],
    }
    return {"type": "input", "block_id": _WHEN, "label": plain_text("For", _LABEL_CHARS), "element": element}


def filled(view: Mapping[str, Any]) -> Filled | None:
    """What was submitted; None for what is no form of ours."""
    try:
        about = json.loads(view["private_metadata"])
        kind, channel, thread = str(about["k"]), str(about["c"]), str(about["t"])
        asked = FORMS[kind]
        values = view["state"]["values"]
        text = str(values[_TEXT][_TEXT].get("value") or "").strip()
        if not text and kind == "snooze":
            text = str(values[_WHEN][_WHEN]["selected_option"]["value"])
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    is_whole = bool(text) or asked.may_be_empty
    return Filled(channel, thread, f"!{kind} {text}".strip() if is_whole else "")
