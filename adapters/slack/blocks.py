"""Our messages as Slack's blocks. Pure; every limit names its source in https://docs.slack.dev/reference/block-kit.

What a press needs to be understood later stands in its value, so that it survives a restart.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from adapters.rendering import SLACK, fit, render, sources
from bot.model import Author, CaseSummary, Citation, Message, MessageId, Passage, value

Block = dict[str, Any]  # Slack's payloads are untyped JSON by nature

TEXT_CHARS: Final = 3_000  # blocks/section-block: of its text
_LABEL_CHARS: Final = 75  # block-elements/button-element: of its text; composition-objects/option-object: of its text
_TITLE_CHARS: Final = 24  # surfaces/modals: of a title
_ROW: Final = 25  # blocks/actions-block: elements; most platforms' people see five
_VIEW_SECTIONS: Final = 40  # surfaces/modals: at most 100 blocks
_MOST_PASSAGES: Final = 100  # block-elements/static-select: options
_MOST_BUTTONS: Final = 5  # more choices than these, or longer ones, are read and made in a modal
_MOST_CHOICES: Final = 50  # each is a block of the modal

PRESS: Final = "press"
FEEDBACK: Final = "feedback"
THUMBS: Final = "context_actions"  # the type of the block that holds them
PASSAGE: Final = "passage"
CHOOSE: Final = "choose"
FORGET: Final = "forget"
EVENT_TYPE: Final = "frontdesk_message"

WITHDRAWN: Final = "_This answer was withdrawn._"


@value
class Pressed:
    """What a button's value says: whose message, in which thread, and the choice."""

    message: MessageId
    thread: str
    choice: str


def parts(text: str) -> Sequence[str]:
    """The text in parts that fit a message each."""
    return fit(text, SLACK, TEXT_CHARS)


def first_part(text: str) -> str:
    """As much as one message shows."""
    return next(iter(parts(text[: 2 * TEXT_CHARS])), "")


def key_of(account: str, message: MessageId, part: int) -> str:
    """Tells our message by its metadata, which others in the workspace may read: says nothing by itself."""
    return hashlib.sha256(f"{account}\0{message}\0{part}".encode()).hexdigest()[:32]


def marked(key: str) -> Block:
    """https://docs.slack.dev/messaging/message-metadata"""
    return {"event_type": EVENT_TYPE, "event_payload": {"key": key}}


def shown_text(message: Message) -> str:
    """The text as Slack's mrkdwn, also for notifications. A message of files alone names them."""
    return render(message.text, SLACK, part=message.part).strip() or named(message) or "…"


def named(message: Message) -> str:
    return render(", ".join(attachment.name for attachment in message.attachments), SLACK)[:TEXT_CHARS]


def body(text: str) -> list[Block]:
    """A piece of mrkdwn that fits one section."""
    return [section(text)]


def extras(message: Message, thread: str, *, has_feedback: bool) -> list[Block]:
    """What stands under the text: sources, choices, thumbs."""
    found = cited(message.citations)
    if message.buttons:
        found += _choices(message, thread)
    if has_feedback and message.author is Author.AGENT and message.is_last_part:
        found.append(_thumbs(message, thread))
    return found


def cited(citations: Sequence[Citation]) -> list[Block]:
    if not citations:
        return []
    listed = sources(citations, SLACK, TEXT_CHARS)
    options = [
        {"text": plain_text(f"[{each.number}] {each.title}", _LABEL_CHARS), "value": each.passage}
        for each in citations[:_MOST_PASSAGES]
    ]
    select: Block = {
        "type": "static_select",
        "action_id": PASSAGE,
        "placeholder": plain_text("Read a source", _LABEL_CHARS),
        "options": options,
    }
    named: list[Block] = [{"type": "context", "elements": [mrkdwn(listed)]}] if listed else []
    return [*named, {"type": "actions", "elements": [select]}]


def _choices(message: Message, thread: str) -> list[Block]:
    if len(message.buttons) > _MOST_BUTTONS or any(len(button.label) > _LABEL_CHARS for button in message.buttons):
        choose: Block = {
            "type": "button",
            "action_id": CHOOSE,
            "text": plain_text("Choose…", _LABEL_CHARS),
            "value": _value(message.id, thread, ""),
        }
        return [{"type": "actions", "elements": [choose]}]
    elements: list[Block] = [
        {
            "type": "button",
            "action_id": f"{PRESS}:{index}",
            "text": plain_text(button.label, _LABEL_CHARS),
            "value": _value(message.id, thread, button.id),
        }
        for index, button in enumerate(message.buttons)
    ]
    return [{"type": "actions", "elements": elements[at : at + _ROW]} for at in range(0, len(elements), _ROW)]


def _thumbs(message: Message, thread: str) -> Block:
    """https://docs.slack.dev/reference/block-kit/block-elements/feedback-buttons-element"""
    element: Block = {
        "type": "feedback_buttons",
        "action_id": FEEDBACK,
        "positive_button": {"text": plain_text("Helpful", _LABEL_CHARS), "value": _value(message.id, thread, "up")},
        "negative_button": {
            "text": plain_text("Not helpful", _LABEL_CHARS),
            "value": _value(message.id, thread, "down"),
        },
    }
    return {"type": THUMBS, "elements": [element]}


def _value(message: MessageId, thread: str, choice: str) -> str:
    return json.dumps({"m": message, "t": thread, "c": choice}, separators=(",", ":"))


def pressed(text: str) -> Pressed | None:
    """The value of a press; None for one that is not of ours."""
    try:
        found = json.loads(text)
        return Pressed(MessageId(str(found["m"])), str(found["t"]), str(found["c"]))
    except (ValueError, KeyError, TypeError):
        return None


# --- views ---------------------------------------------------------------------------------------------------------


def passage_view(passage: Passage) -> Block:
    """A modal that shows a passage."""
    texts = [render(part, SLACK, part=number) for number, part in enumerate(parts(passage.text)[:_VIEW_SECTIONS])]
    blocks = [section(f"*{render(passage.title, SLACK)[: TEXT_CHARS - 2]}*"), *map(section, filter(str.strip, texts))]
    if passage.url.startswith(("http://", "https://")) and len(passage.url) <= TEXT_CHARS:
        blocks.append({"type": "actions", "elements": [_link(passage.url)]})
    return {
        "type": "modal",
        "title": plain_text("Source", _TITLE_CHARS),
        "close": plain_text("Close", _TITLE_CHARS),
        "blocks": blocks,
    }


def choice_view(message: Message, channel: str, thread: str) -> Block:
    """A modal with every choice in full, one of which is made."""
    buttons = message.buttons[:_MOST_CHOICES]
    listed = [
        section(render(f"{number}. {button.label}", SLACK)[:TEXT_CHARS]) for number, button in enumerate(buttons, 1)
    ]
    options = [
        {"text": plain_text(f"{number}. {button.label}", _LABEL_CHARS), "value": str(number - 1)}
        for number, button in enumerate(buttons, 1)
    ]
    select: Block = {"type": "static_select", "action_id": CHOOSE, "options": options}
    return {
        "type": "modal",
        "callback_id": CHOOSE,
        "private_metadata": json.dumps({"m": message.id, "t": thread, "c": channel}, separators=(",", ":")),
        "title": plain_text("Choose", _TITLE_CHARS),
        "submit": plain_text("Choose", _TITLE_CHARS),
        "close": plain_text("Close", _TITLE_CHARS),
        "blocks": [
            *listed,
            {"type": "input", "block_id": CHOOSE, "label": plain_text("Your choice", _LABEL_CHARS), "element": select},
        ],
    }


def chosen(view: Mapping[str, Any]) -> tuple[Pressed, int] | None:
    """What was chosen in that modal: the message, with the channel in place of the choice, and which of its buttons. None for another
    modal."""
    try:
        option = view["state"]["values"][CHOOSE][CHOOSE]["selected_option"]
        found = pressed(str(view["private_metadata"]))
        return None if found is None else (found, int(option["value"]))
    except (KeyError, TypeError, ValueError):
        return None


def notice_view(text: str) -> Block:
    """A modal with one sentence."""
    title, close = plain_text("Frontdesk", _TITLE_CHARS), plain_text("Close", _TITLE_CHARS)
    return {"type": "modal", "title": title, "close": close, "blocks": [section(render(text, SLACK)[:TEXT_CHARS])]}


def home_view(cases: Sequence[CaseSummary], greeting: str) -> Block:
    """The home tab: what to do here, the person's cases, and being forgotten."""
    how = "Write to me under *Messages*, or mention me in a channel. `/frontdesk help` lists what else there is."
    blocks: list[Block] = [section(render(greeting, SLACK) or how), section(how), {"type": "divider"}]
    blocks.append({"type": "header", "text": plain_text("Your questions", 150)})
    for case in cases:
        blocks += _case(case)
    if not cases:
        blocks.append(section("_Nothing yet._"))
    confirm: Block = {
        "title": plain_text("Forget me?", 100),
        "text": plain_text("Everything you have written to me is deleted. This cannot be undone.", 300),
        "confirm": plain_text("Forget me", 30),
        "deny": plain_text("Keep it", 30),
        "style": "danger",
    }
    forget: Block = {
        "type": "button",
        "action_id": FORGET,
        "text": plain_text("Forget me", _LABEL_CHARS),
        "style": "danger",
        "confirm": confirm,
    }
    blocks += [{"type": "divider"}, {"type": "actions", "elements": [forget]}]
    return {"type": "home", "blocks": blocks}


def _case(case: CaseSummary) -> list[Block]:
    """The time is shown in the reader's own zone: https://docs.slack.dev/reference/block-kit/blocks/rich-text-block#date-element-type"""
    title = render(case.title[:200], SLACK).replace("\n", " ") or "…"
    when: Block = {
        "type": "date",
        "timestamp": case.opened_ms // 1000,
        "format": "{date_short_pretty}, {time}",
        "fallback": "some time ago",
    }
    state: Block = {"type": "text", "text": " · ended" if case.ended_ms else " · open"}
    line: Block = {"type": "rich_text_section", "elements": [when, state]}
    return [section(title), {"type": "rich_text", "elements": [line]}]


def _link(url: str) -> Block:
    return {"type": "button", "action_id": "open", "text": plain_text("Open the document", _LABEL_CHARS), "url": url}


def section(text: str) -> Block:
    return {"type": "section", "text": mrkdwn(text)}


def mrkdwn(text: str) -> Block:
    """`verbatim`: names of rooms and people in it are not made into links."""
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def plain_text(text: str, limit: int) -> Block:
    clean = " ".join(text.split()) or "…"
    return {"type": "plain_text", "text": clean if len(clean) <= limit else clean[: limit - 1] + "…", "emoji": False}
