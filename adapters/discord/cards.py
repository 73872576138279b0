"""What operators see in their channel: the card of each case, and in its thread who says what.

A card is a text of plain lines: the first is its title, `Label: value` is a field (several in a line stand between ` · `), everything else
describes. Its colour follows from its buttons.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from adapters.discord import components
from adapters.discord.text import LIMIT, clipped, units
from adapters.rendering import DISCORD, render, sources
from bot.model import Address, Author, Button, Message, Visibility, value

Embed = Mapping[str, Any]  # JSON as Discord takes it

_TITLE_CHARS: Final = 240
_FIELDS: Final = 25
_LABEL_CHARS: Final = 40
_VALUE_CHARS: Final = 1_000
_WORDS_CHARS: Final = 3_000
_WHOLE_CHARS: Final = 5_800
_SHORT_CHARS: Final = 40  # a value that stands beside others
"""Below the limits of Discord's documentation, "Message Resource", Embed Limits: a value 1,024, all together 6,000 characters."""

_NAME_CHARS: Final = 60
_NO_MARKS: Final = str.maketrans(dict.fromkeys("*`~|\\", " "))
_FIELD: Final = re.compile(r"\W{0,4}([^\W\d_]\w{0,19}(?: \w{1,19})?)(?::\*\*|\*\*:|:)\s+(\S.*)")  # of one word, or two
_NOBODY: Final[Mapping[Author, str]] = {
    Author.USER: "User",
    Author.AGENT: "Assistant",
    Author.OPERATOR: "Operator",
    Author.SYSTEM: "",
}

WAITING_COLOUR: Final = 0xE0A100
HELD_COLOUR: Final = 0x2F80ED
ENDED_COLOUR: Final = 0x3BA55D
RESTING_COLOUR: Final = 0x8A8F98


@value
class Shown:
    """One part as operators see it: the text, and of a card what stands in its frame. `whole`: a text that does not fit into a message; it
    goes with it as a file. `called`: ids of operators who are pinged."""

    content: str
    embed: Embed | None = None
    whole: str = ""
    called: tuple[str, ...] = ()


def shown(message: Message, to: Address) -> Shown:
    """How a message reads in the operators' channel or, with a thread, in that of a case."""
    return card(message.text, message.buttons) if is_card(message, to) else said(message)


def is_card(message: Message, to: Address) -> bool:
    """A card stands in the channel itself; it has buttons for operators until its case has ended, and is changed then."""
    has_buttons = any(components.is_desk(button.id) for button in message.buttons)
    is_whole = not message.part and message.is_last_part
    return message.author is Author.SYSTEM and not to.thread and is_whole and (has_buttons or bool(message.replaces))


def said(message: Message) -> Shown:
    """Who speaks, in bold, and what. A user's words are a quotation to the end of the message, whatever is in them."""
    name = _plain(message.name) or _NOBODY[message.author]
    is_note = message.visibility is Visibility.NOTE
    text = render(message.text, DISCORD, part=message.part).strip()
    text = f"🔒 {text}".strip() if is_note and not name else text
    if name and not message.part:
        head = f"🔒 **{name}** (note):" if is_note else f"**{name}:**"
        gap = "\n>>> " if message.author is Author.USER else " "
        text = f"{head}{gap}{text}" if text else head
    elif message.author is Author.USER and text:
        text = f">>> {text}"
    called = tuple(each for each in message.mentions if each.isdecimal()) if message.author is Author.SYSTEM else ()
    text = "".join([*(f"<@{each}> " for each in called), text])
    whole = message.text if units(text) > LIMIT else ""
    text = clipped(text)
    listed = sources(message.citations, DISCORD, max(0, LIMIT - units(text) - 2))
    return Shown(clipped(f"{text}\n\n{listed}".strip()), whole=whole, called=called)


def _plain(name: str) -> str:
    """A name on one line, without marks: it can neither end its own frame nor pass for two speakers."""
    return render(" ".join(name.translate(_NO_MARKS).split())[:_NAME_CHARS], DISCORD).strip()


def card(text: str, buttons: Sequence[Button] = ()) -> Shown:
    """The title is the text, so that a notification tells it; the rest stands in the frame."""
    first, *lines = [line for line in text.strip().splitlines() if line.strip()] or ["…"]
    fields: list[tuple[str, str]] = []
    words: list[str] = []
    for line in lines:
        found = _fields(line)
        if found and len(fields) + len(found) <= _FIELDS:
            fields += found
        else:
            words.append(line)
    title = _cut(render(first, DISCORD).strip(), _TITLE_CHARS)
    if not lines:
        return Shown(title)
    return Shown(title, _embed(fields, "\n".join(words), colour(buttons)))


def _fields(line: str) -> list[tuple[str, str]]:
    """What stands in a line as `Label: value · Label: value`; nothing where other words are among it."""
    found = [_FIELD.fullmatch(piece.strip()) for piece in line.split(" · ")]
    return [(one[1].strip(" *"), one[2]) for one in found if one] if all(found) else []


def _embed(fields: Sequence[tuple[str, str]], words: str, colour_: int) -> Embed:
    description = _cut(render(words, DISCORD).strip(), _WORDS_CHARS)
    left = _WHOLE_CHARS - len(description)
    listed = []
    for label, text in fields:
        field = {"name": _cut(label, _LABEL_CHARS), "value": _cut(render(text, DISCORD).strip(), _VALUE_CHARS) or "…"}
        left -= len(field["name"]) + len(field["value"])
        if left < 0:
            break
        listed.append({**field, "inline": len(field["value"]) <= _SHORT_CHARS})
    return {"description": description, "color": colour_, "fields": listed}


def colour(buttons: Sequence[Button]) -> int:
    """By what can be done: nobody has the case, somebody has it, it has ended, or the agent has it again."""
    offered = {button.id.removeprefix(components.DESK) for button in buttons}
    if "reopen" in offered:
        return ENDED_COLOUR
    if "return" in offered:
        return WAITING_COLOUR if "take" in offered else HELD_COLOUR
    return RESTING_COLOUR


def reads_as(told: Sequence[Mapping[str, Any]], embed: Embed | None) -> bool:
    """Whether what Discord shows in the frame is this."""
    return [_words(one) for one in told] == ([_words(embed)] if embed else [])


def _words(embed: Mapping[str, Any]) -> object:
    fields = [(str(one.get("name")).strip(), str(one.get("value")).strip()) for one in embed.get("fields") or ()]
    return (str(embed.get("description") or "").strip(), fields)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
