"""What a person is asked to agree to: written whole by code, from exactly what will be sent. Pure.

No text of a model stands in it but the values of the arguments, each shown whole and with nothing hidden; what cannot be shown so is not asked.
"""

import hashlib
import json
import unicodedata
from collections.abc import Mapping
from typing import Any, Final

from bot.model import Button, value
from bot.text import pattern
from bot.tools.action import Action, Parameter, Role

CARD_CHARS: Final = 1_400  # a message of the narrowest channel (WhatsApp, 1,600) with its buttons under it
PREFIX: Final = "consent:"
YES, NO = "yes", "no"
DECIDED: Final = "decided"  # by an operator

WAITS_OPERATOR: Final = "This needs the consent of a colleague, who has been asked. Nothing has been done yet. I will tell you here as soon as it is decided."
ONE_AT_A_TIME: Final = "Another action waits for consent. Only one is asked for at a time: make this call again afterwards if it is still wanted."

_CODE_DIGITS: Final = 6
_HIDDEN: Final = frozenset(
    {"Cf", "Cc", "Co", "Cs", "Cn", "Zl", "Zp"}
)  # what is there and not seen: direction marks, tags, controls
_MARKS: Final = pattern(r"([\\`*_~\[\]<>|#:])")  # and a colon, without which nothing becomes an address
# Letters and marks that show nothing: fillers, the blank of Braille, selectors of a glyph's form (but that of emoji).
_BLANK: Final = pattern(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\uffa0\ufe00-\ufe0e\U000e0100-\U000e01ef]"
)
_ROOM: Final = pattern(r"\s{3}|\n\s*\n")
_TOWER: Final = pattern("(?:[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]){4}")
_ZERO_DECIMALS: Final = frozenset(
    {"JPY", "KRW", "VND", "CLP", "ISK", "UGX", "XAF", "XOF", "XPF", "PYG", "RWF", "VUV"}
)  # ISO 4217
_THREE_DECIMALS: Final = frozenset({"BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"})


class NotShowable(ValueError):
    """It cannot be shown whole and plainly."""


@value
class Card:
    """What is shown, and the buttons under it."""

    text: str
    buttons: tuple[Button, ...]


def canonical(value: Any) -> str:
    """One text for equal JSON values."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)


def described(action: Action, arguments: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    """What will be done, with all arguments and facts. Raises NotShowable."""
    lines = [f"**{_plain(action.title)}**", ""]
    is_merged = action.of_role(Role.AMOUNT) is not None  # the currency is then shown with the amount
    for each in action.parameters:
        if each.name in arguments and not (is_merged and each.role is Role.CURRENCY):
            lines += [f"- {_plain(_title(each))}: {_shown(action, each, arguments)}"]
    known = {each.source_field or each.name for each in action.parameters if each.name in arguments}
    money_facts = {each.most_field for each in action.parameters}
    for name, fact in facts.items():
        if name not in known:
            shown = _money(action, fact, arguments) if name in money_facts else _value(fact)
            lines.append(f"- {_plain(_named(name))}: {shown}")
    text = "\n".join(lines)
    if len(text) > CARD_CHARS:
        raise NotShowable("it is too long to be shown whole")
    return text


def asked(consent: str, what: str, until: str, code: str) -> Card:
    """The card for the person who asked for it."""
    return Card(
        f"Please confirm:\n\n{what}\n\nNothing happens unless you agree. You can decide until {until} UTC.",
        (
            Button(f"{PREFIX}{consent}:{YES}", "Yes, do it", code),
            Button(f"{PREFIX}{consent}:{NO}", "No", ""),
        ),
    )


def code_of(secret: bytes, consent: str) -> str:
    """A short code that only the asked person's chat shows, once."""
    number = int.from_bytes(hashlib.blake2b(consent.encode(), key=secret[:64], digest_size=8).digest(), "big")
    return f"{number % 10**_CODE_DIGITS:0{_CODE_DIGITS}}"


def decision_of(button: str) -> tuple[str, bool] | None:
    """Which consent a button decides, and whether it is a yes; None for any other button."""
    if not button.startswith(PREFIX):
        return None
    consent, _, answer = button.removeprefix(PREFIX).partition(":")
    return (consent, answer == YES) if answer in (YES, NO) else None


def is_decision(button: str) -> bool:
    """Whether a press, or what an operator did, decides on an action."""
    return button.startswith(PREFIX) or button == DECIDED


def money(amount: int, currency: str) -> str:
    """An amount of the smallest unit, as people write it and as it is sent: "25.00 EUR (2500)"."""
    decimals = 0 if currency in _ZERO_DECIMALS else 3 if currency in _THREE_DECIMALS else 2
    digits = f"{abs(amount):0{decimals + 1}}"
    whole, rest = (digits[:-decimals], digits[-decimals:]) if decimals else (digits, "")
    sign = "-" if amount < 0 else ""
    return f"{sign}{int(whole):,}{'.' + rest if rest else ''} {currency} ({amount} in the smallest unit)"


def _shown(action: Action, parameter: Parameter, arguments: Mapping[str, Any]) -> str:
    value = arguments[parameter.name]
    return _money(action, value, arguments) if parameter.role is Role.AMOUNT else _value(value)


def _money(action: Action, value: Any, arguments: Mapping[str, Any]) -> str:
    currency = action.of_role(Role.CURRENCY)
    if isinstance(value, int) and currency is not None:
        return money(value, _value(arguments.get(currency.name, "")))
    return _value(value)


def _title(parameter: Parameter) -> str:
    return parameter.title or _named(parameter.name)


def _named(name: str) -> str:
    return name.replace("_", " ").replace(".", " ").capitalize()


def _value(value: Any) -> str:
    return _plain(value if isinstance(value, str) else canonical(value))


def _plain(text: str) -> str:
    """The text as it is, so that no mark of it formats anything. Raises NotShowable where something in it would not be seen."""
    if any(unicodedata.category(each) in _HIDDEN and each != "\n" for each in text) or _BLANK.search(text):
        raise NotShowable("it holds characters that cannot be seen")
    if _TOWER.search(unicodedata.normalize("NFD", text)):
        raise NotShowable("it holds marks that cover others")
    if not text.strip() and text:
        raise NotShowable("it holds nothing but spaces")
    if _ROOM.search(text):
        raise NotShowable("it holds so much empty room that something could be overlooked")
    return _MARKS.sub(r"\\\1", text.replace("\n", " ⏎ "))
