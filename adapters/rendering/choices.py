"""Buttons where there are none: a numbered list, and what a person may answer to it."""

import re
from collections.abc import Sequence
from typing import Final

from bot.model import Button

_NUMBER: Final = re.compile(r"\s*([0-9]{1,3})\s*[.)]?\s*")


def numbered(buttons: Sequence[Button]) -> str:
    """The buttons as lines "1. label", to stand under a rendered message; "" for none. Where one has a code, there are no numbers: what is
    agreed to is not chosen by a slip of the finger."""
    if any(button.code for button in buttons):
        return "\n".join(f"{button.code or _line(button)} → {_line(button)}" for button in buttons)
    return "\n".join(f"{number}. {_line(button)}" for number, button in enumerate(buttons, 1))


def chosen(text: str, buttons: Sequence[Button]) -> Button | None:
    """The button that a person means: by its code and by nothing else where it has one; by its label, in any case, or by its number ("2",
    "2.", "2)"). A label that is itself a number goes first."""
    said = _folded(text)
    for button in buttons:
        if said and said == (button.code or _folded(button.label)):
            return button
    number = _NUMBER.fullmatch(text)
    has_codes = any(button.code for button in buttons)
    if number and not has_codes and 1 <= int(number[1]) <= len(buttons):
        return buttons[int(number[1]) - 1]
    return None


def coded(text: str, buttons: Sequence[Button]) -> Button | None:
    """The button with this code."""
    said = _folded(text)
    return next((button for button in buttons if button.code and button.code == said), None)


def _line(button: Button) -> str:
    return " ".join(button.label.split())


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())
