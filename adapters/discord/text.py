"""The text of our messages within what Discord takes."""

from collections.abc import Sequence
from typing import Final

from adapters.rendering import DISCORD, render, sources, split
from bot.model import Message

LIMIT: Final = 2_000
"""Characters of a message (Discord's documentation, "Create Message"); counted in UTF-16 units here, which are never fewer."""

PART: Final = 1_750
"""A part leaves room for the list of sources."""


def measured(text: str) -> int:
    """How long a text is on Discord once it is rendered, as the first part or a later one."""
    return max(units(render(text, DISCORD, part=part)) for part in (0, 1))


def units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def parts(text: str) -> Sequence[str]:
    return split(text, PART, measured)


def content_of(message: Message) -> str:
    """One part as it is shown; "" where there is nothing to see. Sources that do not fit are left to the menu under it."""
    text = render(message.text, DISCORD, part=message.part).strip()
    text = clipped(text)
    listed = sources(message.citations, DISCORD, max(0, LIMIT - units(text) - 2))
    return clipped(f"{text}\n\n{listed}".strip())


def draft_of(text: str) -> str:
    """As much of an answer that is being written as one message shows."""
    shown = split(text, PART, measured)
    return clipped(render(shown[0], DISCORD).strip()) if shown else ""


def plain(text: str) -> str:
    """A sentence, or somebody's words, without any meaning of their own."""
    return clipped(render(text, DISCORD).strip())


def clipped(text: str) -> str:
    if units(text) <= LIMIT:
        return text
    return text.encode("utf-16-le", "surrogatepass")[: (LIMIT - 1) * 2].decode("utf-16-le", "ignore") + "…"
