"""The operators' room as Slack's blocks: cards, and what the others say, so that one sees at a glance who speaks. Pure.

What a user wrote is shown as plain text: it can neither mention anybody nor look like anything else than text.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from adapters.rendering import PLAIN, SLACK, render
from adapters.slack.blocks import TEXT_CHARS, Block, cited, mrkdwn, named, plain_text, section, shown_text
from bot.model import Author, Button, Message, Visibility

DESK: Final = "desk:"  # how the ids of operators' buttons begin

_HEADER_CHARS: Final = 150  # blocks/header-block: of its text
_LABEL_CHARS: Final = 75  # block-elements/button-element: of its text; composition-objects/option-object: of its text
_OPTION_CHARS: Final = 150  # composition-objects/option-object: of its value
_UPDATE_CHARS: Final = 4_000  # https://docs.slack.dev/reference/methods/chat.update: msg_too_long
_NAME_CHARS: Final = 80
_ROW: Final = 5  # more are cut off on a small screen
_IN_SIGHT: Final = 10  # the rest is in menus
_MENU: Final = 5  # block-elements/overflow-menu-element: options
_KINDS: Final = {Author.USER: "user", Author.AGENT: "agent", Author.OPERATOR: "operator"}
_PERSON: Final = re.compile(r"[UW][A-Z0-9]{1,20}")
_FORMATTING: Final = str.maketrans("*_~`\n\r", "      ")


def is_card(message: Message, thread: str) -> bool:
    """Whether it stands for a case: by the system, with buttons, in the room itself."""
    return message.author is Author.SYSTEM and not thread and bool(_buttons(message))


def told(message: Message) -> str:
    """The message as mrkdwn in one piece: for notifications, and to know it again."""
    said = _escaped(_said(message)) if message.author is Author.USER else _called(message) + shown_text(message)
    return "\n".join(filter(None, [_who(message), said]))[:_UPDATE_CHARS]


def body(message: Message, thread: str) -> list[Block]:
    """All its blocks."""
    if is_card(message, thread):
        return [*_card(message.text), *_rows(_buttons(message))]
    who = _who(message)
    found: list[Block] = [{"type": "context", "elements": [mrkdwn(who)]}] if who else []
    found += (
        _as_typed(_said(message))
        if message.author is Author.USER
        else [section(_called(message) + shown_text(message))]
    )
    return found + cited(message.citations) + _rows(_buttons(message))


def choice_of(action: Mapping[str, Any]) -> str:
    """What was pressed: the button's id without "desk:", "" for another's button."""
    option = action.get("selected_option")
    value = (option if isinstance(option, Mapping) else action).get("value")
    is_ours = isinstance(value, str) and value.startswith(DESK)
    return str(value).removeprefix(DESK) if is_ours else ""


# --- who speaks ----------------------------------------------------------------------------------------------------


def _who(message: Message) -> str:
    """ "" where the system speaks."""
    kind = _KINDS.get(message.author)
    if kind is None:
        return ""
    name = _escaped(" ".join(message.name.translate(_FORMATTING).split())[:_NAME_CHARS]) or kind.capitalize()
    if message.visibility is Visibility.NOTE:
        return f"🔒 *{name}* · note"
    return f"*{name}* · {kind}"


def _called(message: Message) -> str:
    """Operators whom a line of the house calls. https://docs.slack.dev/messaging/formatting-message-text#mentioning-users"""
    if message.author is not Author.SYSTEM:
        return ""
    return "".join(f"<@{id_}> " for id_ in message.mentions if _PERSON.fullmatch(id_))


def _said(message: Message) -> str:
    return message.text.strip() or named(message) or "…"


def _as_typed(text: str) -> list[Block]:
    """Each piece is within what a section carries."""
    pieces = [text[at : at + TEXT_CHARS] for at in range(0, len(text), TEXT_CHARS)]
    return [
        {"type": "section", "text": {"type": "plain_text", "text": piece, "emoji": False}}
        for piece in pieces
        if piece.strip()
    ]


def _escaped(text: str) -> str:
    """https://docs.slack.dev/messaging/formatting-message-text#escaping"""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


# --- cards ---------------------------------------------------------------------------------------------------------


def _card(text: str) -> list[Block]:
    """The first line is the header; the last paragraph, where there are several, stands small below the others."""
    head, _, rest = text.strip().partition("\n")
    *middle, last = [each for each in rest.split("\n\n") if each.strip()] or [""]
    if not middle:
        middle, last = [last], ""
    found: list[Block] = [{"type": "header", "text": plain_text(render(head, PLAIN), _HEADER_CHARS)}]
    shown = [render(each, SLACK).strip() for each in ("\n\n".join(middle), last)]
    found += [section(shown[0][:TEXT_CHARS])] if shown[0] else []
    return found + ([{"type": "context", "elements": [mrkdwn(shown[1][:TEXT_CHARS])]}] if shown[1] else [])


def _buttons(message: Message) -> list[Button]:
    """Those of the operators' desk: what a user may press is not for operators to press."""
    return [button for button in message.buttons if button.id.startswith(DESK)]


def _rows(buttons: Sequence[Button]) -> list[Block]:
    is_many = len(buttons) > _IN_SIGHT
    in_sight = buttons[: _IN_SIGHT - 1] if is_many else buttons
    elements = [_button(index, button) for index, button in enumerate(in_sight)]
    rest = buttons[len(in_sight) :]
    elements += [_menu(at, rest[at : at + _MENU]) for at in range(0, len(rest), _MENU)]
    if not elements:
        return []
    rows = [elements[at : at + _ROW] for at in range(0, min(len(elements), _IN_SIGHT), _ROW)]
    rows[-1] += elements[_IN_SIGHT:]
    return [{"type": "actions", "elements": row} for row in rows]


def _button(index: int, button: Button) -> Block:
    label = plain_text(button.label, _LABEL_CHARS)
    return {"type": "button", "action_id": f"{DESK}{index}", "text": label, "value": button.id}


def _menu(at: int, buttons: Sequence[Button]) -> Block:
    options = [
        {"text": plain_text(button.label, _LABEL_CHARS), "value": button.id[:_OPTION_CHARS]} for button in buttons
    ]
    return {"type": "overflow", "action_id": f"{DESK}more:{at}", "options": options}
