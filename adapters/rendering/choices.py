"""Buttons where there are none: a numbered list, and what a person may answer to it."""

import re
from collections.abc import Sequence
from typing import Final

from bot.model import Button

_NUMBER: Final = re.compile(r"\s*([0-9]{1,3})\s*[.)]?\s*")


def numbered(buttons: Sequence[Button]) -> str:
    """The buttons as lines "1. label", to stand under a rendered message; "" for none."""
    return "\n".join(f"{number}. {' '.join(button.label.split())}" for number, button in enumerate(buttons, 1))


def chosen(text: str, buttons: Sequence[Button]) -> Button | None:
    """The button that a person means: by its label, in any case, or by its number ("2", "2.", "2)") and nothing else. A label that is
    itself a number goes first."""
    said = _folded(text)
    for button in buttons:
        if said and said == _folded(button.label):
            return button
    number = _NUMBER.fullmatch(text)
    if number and 1 <= int(number[1]) <= len(buttons):
        return buttons[int(number[1]) - 1]
    return None


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())
