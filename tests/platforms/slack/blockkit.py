"""Block Kit as Slack documents it: what is refused, what a person reads, what can be pressed.

Limits: https://docs.slack.dev/reference/block-kit/blocks and /block-elements, one page for each kind."""

import re
from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]  # Slack's payloads are untyped JSON by nature

MESSAGE_BLOCKS = 50
"""https://docs.slack.dev/reference/block-kit/blocks: up to 50 blocks in each message, and 100 in modals or home tabs."""
VIEW_BLOCKS = 100
SECTION_CHARS = 3000
"""https://docs.slack.dev/reference/block-kit/blocks/section-block"""
FIELD_CHARS = 2000
HEADER_CHARS = 150
"""https://docs.slack.dev/reference/block-kit/blocks/header-block"""
MARKDOWN_CHARS = 12_000
"""https://docs.slack.dev/reference/block-kit/blocks/markdown-block: cumulative over all markdown blocks of one payload."""
ALL_CHARS = 13_200
"""Not documented: `msg_blocks_too_long` comes from about here on (slackapi/bolt-js, issue 2509)."""
CONTEXT_ELEMENTS = 10
ACTIONS_ELEMENTS = 25
CONTEXT_ACTIONS_ELEMENTS = 5
BLOCK_ID_CHARS = 255
ACTION_ID_CHARS = 255
BUTTON_CHARS = 75
"""https://docs.slack.dev/reference/block-kit/block-elements/button-element"""
VALUE_CHARS = 2000
URL_CHARS = 3000
TABLES, TABLE_ROWS, TABLE_COLUMNS = 1, 100, 20
"""https://docs.slack.dev/reference/block-kit/blocks/table-block"""
OPTIONS = 100
"""https://docs.slack.dev/reference/block-kit/block-elements/select-menu-element"""
OPTION_CHARS = 75
OPTION_VALUE_CHARS = 150
"""https://docs.slack.dev/reference/block-kit/composition-objects/option-object"""
CONFIRM_CHARS = {"title": 100, "text": 300, "confirm": 30, "deny": 30}
"""https://docs.slack.dev/reference/block-kit/composition-objects/confirmation-dialog-object"""
PLACEHOLDER_CHARS = 150
INPUT_CHARS = 3000
VIEW_TITLE_CHARS = 24
"""https://docs.slack.dev/reference/views/modal-views"""
PRIVATE_METADATA_CHARS = 3000
CALLBACK_ID_CHARS = 255

MESSAGE_KINDS = frozenset(
    [
        "actions",
        "context",
        "context_actions",
        "divider",
        "file",
        "header",
        "image",
        "markdown",
        "plan",
        "rich_text",
        "section",
        "table",
        "task_card",
        "video",
    ]
)
VIEW_KINDS = frozenset(["actions", "context", "divider", "header", "image", "input", "rich_text", "section", "video"])
"""Markdown, tables, task cards and context actions are for messages only, as their pages say under "surfaces"."""
PRESSABLE = frozenset(
    [
        "button",
        "checkboxes",
        "channels_select",
        "conversations_select",
        "datepicker",
        "feedback_buttons",
        "icon_button",
        "multi_static_select",
        "overflow",
        "radio_buttons",
        "static_select",
        "timepicker",
        "users_select",
        "workflow_button",
    ]
)


# --- what is wrong -------------------------------------------------------------------------------------------------


def problems(blocks: object, *, in_view: bool = False) -> list[str]:
    """Why Slack would refuse these blocks (`invalid_blocks`), each as it says so in `response_metadata.messages`. Empty: taken."""
    if not isinstance(blocks, list):
        return ["must be an array [json-pointer:/blocks]"]
    most = VIEW_BLOCKS if in_view else MESSAGE_BLOCKS
    found = [f"no more than {most} items allowed [json-pointer:/blocks]"] if len(blocks) > most else []
    ids = [block["block_id"] for block in blocks if isinstance(block, dict) and block.get("block_id")]
    if len(ids) != len(set(ids)):
        found.append("block_id must be unique [json-pointer:/blocks]")
    if sum(isinstance(block, dict) and block.get("type") == "table" for block in blocks) > TABLES:
        found.append("only_one_table_allowed [json-pointer:/blocks]")
    for index, block in enumerate(blocks):
        found += (f"{what} [json-pointer:/blocks/{index}]" for what in _block(block, in_view))
    return found


def size(blocks: list[Json]) -> tuple[int, int]:
    """Characters of all text in the blocks, and of that in markdown blocks."""
    markdown = sum(len(block.get("text", "")) for block in blocks if block.get("type") == "markdown")
    return len(text_of(blocks)), markdown


def view_problems(view: object) -> list[str]:
    """Why Slack would refuse the view (`invalid_arguments`)."""
    if not isinstance(view, dict) or view.get("type") not in ("modal", "home"):
        return ["must be a modal or a home view [json-pointer:/view/type]"]
    found = problems(view.get("blocks"), in_view=True)
    if view["type"] == "modal":
        found += _text(view.get("title"), "title", VIEW_TITLE_CHARS, is_plain=True)
        for key in ("submit", "close"):
            if key in view:
                found += _text(view[key], key, VIEW_TITLE_CHARS, is_plain=True)
        has_input = any(block.get("type") == "input" for block in view.get("blocks") or [])
        if has_input and "submit" not in view:
            found.append("submit is required with an input block [json-pointer:/view/submit]")
    found += _long(view, "private_metadata", PRIVATE_METADATA_CHARS)
    found += _long(view, "callback_id", CALLBACK_ID_CHARS)
    return found


def _block(block: object, in_view: bool) -> list[str]:
    if not isinstance(block, dict):
        return ["must be an object"]
    kind = block.get("type")
    if kind not in (VIEW_KINDS if in_view else MESSAGE_KINDS):
        return [f"unsupported type: {kind}"]
    check = _CHECKS.get(str(kind))
    return _long(block, "block_id", BLOCK_ID_CHARS) + (check(block) if check else [])


def _section(block: Json) -> list[str]:
    found = []
    if "text" not in block and "fields" not in block:
        found.append("missing required field: text")
    if "text" in block:
        found += _text(block["text"], "text", SECTION_CHARS)
    for each in block.get("fields") or []:
        found += _text(each, "fields", FIELD_CHARS)
    if len(block.get("fields") or []) > 10:
        found.append("no more than 10 items allowed in fields")
    if "accessory" in block:
        found += _element(block["accessory"])
    return found


def _header(block: Json) -> list[str]:
    return _text(block.get("text"), "text", HEADER_CHARS, is_plain=True)


def _markdown(block: Json) -> list[str]:
    text = block.get("text")
    if not isinstance(text, str) or not text:
        return ["missing required field: text"]
    return [f"must be less than {MARKDOWN_CHARS + 1} characters"] if len(text) > MARKDOWN_CHARS else []


def _context(block: Json) -> list[str]:
    found = _count(block, CONTEXT_ELEMENTS)
    for each in block.get("elements") or []:
        if isinstance(each, dict) and each.get("type") != "image":
            found += _text(each, "elements", SECTION_CHARS)
    return found


def _actions(block: Json) -> list[str]:
    return _elements(block, ACTIONS_ELEMENTS)


def _context_actions(block: Json) -> list[str]:
    found = _elements(block, CONTEXT_ACTIONS_ELEMENTS)
    found += [
        f"unsupported element in context_actions: {each.get('type')}"
        for each in block.get("elements") or []
        if isinstance(each, dict) and each.get("type") not in ("feedback_buttons", "icon_button")
    ]
    return found


def _table(block: Json) -> list[str]:
    rows = block.get("rows")
    if not isinstance(rows, list) or not 0 < len(rows) <= TABLE_ROWS:
        return [f"must have 1 to {TABLE_ROWS} rows"]
    return [] if all(isinstance(row, list) and len(row) <= TABLE_COLUMNS for row in rows) else ["too many columns"]


def _input(block: Json) -> list[str]:
    found = _text(block.get("label"), "label", 2000, is_plain=True)
    element = block.get("element")
    if not isinstance(element, dict):
        return [*found, "missing required field: element"]
    if not element.get("action_id"):
        found.append("missing required field: element.action_id")
    return found + _element(element)


def _text_input(element: Json) -> list[str]:
    """https://docs.slack.dev/reference/block-kit/block-elements/plain-text-input-element"""
    most = element.get("max_length", INPUT_CHARS)
    found = [] if isinstance(most, int) and 0 < most <= INPUT_CHARS else [f"max_length must be 1 to {INPUT_CHARS}"]
    if "placeholder" in element:
        found += _text(element["placeholder"], "placeholder", PLACEHOLDER_CHARS, is_plain=True)
    return found


def _elements(block: Json, most: int) -> list[str]:
    found = _count(block, most)
    elements = [each for each in block.get("elements") or [] if isinstance(each, dict)]
    for each in elements:
        found += _element(each)
    ids = [each["action_id"] for each in elements if each.get("action_id")]
    if len(ids) != len(set(ids)):
        found.append("action_id must be unique within a block")
    return found


def _count(block: Json, most: int) -> list[str]:
    elements = block.get("elements")
    if not isinstance(elements, list) or not elements:
        return ["must have at least 1 element"]
    return [f"no more than {most} items allowed in elements"] if len(elements) > most else []


def _element(element: object) -> list[str]:
    if not isinstance(element, dict) or not element.get("type"):
        return ["element must have a type"]
    found = _long(element, "action_id", ACTION_ID_CHARS)
    kind = element["type"]
    if kind == "button":
        found += _button(element)
    elif kind == "plain_text_input":
        found += _text_input(element)
    elif kind in ("static_select", "multi_static_select", "overflow", "radio_buttons", "checkboxes"):
        found += _options(element)
    elif kind == "feedback_buttons":
        for key in ("positive_button", "negative_button"):
            found += _button(element.get(key))
            if not (element.get(key) or {}).get("value"):
                found.append(f"missing required field: {key}.value")
    elif kind == "image" and not element.get("alt_text"):
        found.append("missing required field: alt_text")
    if "confirm" in element:
        found += _confirm(element["confirm"])
    return found


def _button(button: object) -> list[str]:
    if not isinstance(button, dict):
        return ["missing required button"]
    found = _text(button.get("text"), "text", BUTTON_CHARS, is_plain=True)
    found += _long(button, "value", VALUE_CHARS) + _long(button, "url", URL_CHARS)
    found += _long(button, "accessibility_label", BUTTON_CHARS)
    if button.get("style", "primary") not in ("primary", "danger"):
        found.append("style must be primary or danger")
    return found


def _options(element: Json) -> list[str]:
    options = [*(element.get("options") or [])]
    for group in element.get("option_groups") or []:
        options += group.get("options") or []
    most = 5 if element["type"] == "overflow" else 10 if element["type"] in ("radio_buttons", "checkboxes") else OPTIONS
    found = [] if 0 < len(options) <= most else [f"must have 1 to {most} options"]
    for option in options:
        found += _text(option.get("text"), "option text", OPTION_CHARS)
        found += _long(option, "value", OPTION_VALUE_CHARS)
        if not option.get("value"):
            found.append("missing required field: value")
    if "placeholder" in element:
        found += _text(element["placeholder"], "placeholder", PLACEHOLDER_CHARS, is_plain=True)
    if "initial_option" in element and element["initial_option"] not in options:
        found.append("initial_option must be one of the options")
    return found


def _confirm(confirm: object) -> list[str]:
    if not isinstance(confirm, dict):
        return ["confirm must be an object"]
    return [what for key, most in CONFIRM_CHARS.items() if key in confirm for what in _text(confirm[key], key, most)]


def _text(text: object, where: str, most: int, *, is_plain: bool = False) -> list[str]:
    if not isinstance(text, dict) or text.get("type") not in ("plain_text", "mrkdwn"):
        return [f"missing required field: {where}"]
    if is_plain and text["type"] != "plain_text":
        return [f"{where} must be plain_text"]
    content = text.get("text")
    if not isinstance(content, str) or not content:
        return [f"{where} must be more than 0 characters"]
    return [f"{where} must be less than {most + 1} characters"] if len(content) > most else []


def _long(body: Json, key: str, most: int) -> list[str]:
    content = body.get(key)
    return (
        [f"{key} must be less than {most + 1} characters"] if isinstance(content, str) and len(content) > most else []
    )


_CHECKS = {
    "section": _section,
    "header": _header,
    "markdown": _markdown,
    "context": _context,
    "actions": _actions,
    "context_actions": _context_actions,
    "input": _input,
    "table": _table,
}


# --- what a person reads and presses -------------------------------------------------------------------------------


def text_of(blocks: list[Json]) -> str:
    """The text a person reads in the blocks, one line a block; buttons are not text."""
    return "\n".join(text for text in map(_text_of, blocks) if text)


def _text_of(block: Json) -> str:
    match block.get("type"):
        case "section":
            parts = [block.get("text"), *(block.get("fields") or [])]
            return "\n".join(str(part.get("text", "")) for part in parts if part)
        case "header":
            return str((block.get("text") or {}).get("text", ""))
        case "markdown":
            return str(block.get("text", ""))
        case "context":
            return "\n".join(str(each.get("text", "")) for each in block.get("elements") or [] if each.get("text"))
        case "rich_text":
            return "".join(_rich(block)).rstrip("\n")
        case "table":
            return "\n".join(" | ".join(_cell(cell) for cell in row) for row in block.get("rows") or [])
    return ""


def _cell(cell: Json) -> str:
    return str(cell.get("text", "")) or "".join(_rich(cell))


def _rich(node: Json) -> Iterator[str]:
    if node.get("type") in ("text", "link"):
        yield str(node.get("text") or node.get("url") or "")
    elif node.get("type") == "user":
        yield f"<@{node.get('user_id')}>"
    for each in node.get("elements") or []:
        yield from _rich(each)
        if each.get("type", "").startswith("rich_text_"):
            yield "\n"


def elements_of(blocks: list[Json]) -> Iterator[tuple[Json, Json]]:
    """Everything that can be pressed, with its block."""
    for block in blocks:
        for element in [*(block.get("elements") or []), block.get("accessory") or {}]:
            if element.get("type") in PRESSABLE:
                yield block, element


def labels_of(blocks: list[Json]) -> list[str]:
    """The labels of the buttons that send something to the app (not those that only open a link)."""
    return [
        str(element["text"]["text"])
        for _, element in elements_of(blocks)
        if element["type"] == "button" and not element.get("url")
    ]


MENTION = re.compile(r"<[!@#][^>\s]*>?|<!subteam")
"""https://docs.slack.dev/messaging/formatting-message-text#special-mentions: what pings people, groups or channels in mrkdwn."""


def mentions_in(text: str, blocks: list[Json]) -> list[str]:
    """What would ping someone. Plain text objects ping nobody and are left out."""
    found = MENTION.findall(text)
    for block in blocks:
        found += MENTION.findall(_marked_up(block))
        found += [f"rich text {kind}" for kind in _pinging(block)]
    return found


def _marked_up(block: Json) -> str:
    if block.get("type") == "markdown":
        return str(block.get("text", ""))
    texts = [block.get("text"), *(block.get("fields") or []), *(block.get("elements") or [])]
    return "\n".join(str(each["text"]) for each in texts if isinstance(each, dict) and each.get("type") == "mrkdwn")


def _pinging(node: Json) -> Iterator[str]:
    if node.get("type") in ("user", "usergroup", "broadcast", "channel"):
        yield str(node["type"])
    for each in node.get("elements") or []:
        if isinstance(each, dict):
            yield from _pinging(each)
