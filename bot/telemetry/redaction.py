"""Keeps secrets out of everything we write down: known values, and the shapes that secrets have.

It stands apart so that every sink (logs, traces) hides the same things.
"""

import json
import re
from collections.abc import Iterable
from urllib.parse import quote

from bot.text import pattern

HIDDEN = "[redacted]"
SHORTEST = 6  # a shorter "secret" would blank out ordinary words

_SHAPES = (
    r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*",  # JWT: its header is a JSON object, so base64 of '{"'
    r"\bv1\.[\w.-]{16,}",  # our visitors' tokens
    r"\b(?:xox[a-z]|xapp|sk)-[\w-]{16,}",  # Slack, OpenAI and Anthropic keys
    r"\b[MNO][\w-]{22,}\.[\w-]{6}\.[\w-]{27,}",  # Discord bot tokens
)
_NAMES = r"(?:access_|refresh_|bot_|app_|auth_|identity_|signing_|client_)?(?:token|secret|password|passwd|api_?key|signature)"
_AFTER_A_NAME = pattern(
    r"(\bbearer\s+)[\w.~+/=-]{16,}"
    r"|(authorization['\"]?\s*[:=]\s*['\"]?(?:\w+\s+)?)[^\s'\",]+"
    rf"|(\b{_NAMES}=['\"]?)[^\s'\"&,;)]+"
    rf"|(['\"]{_NAMES}['\"]\s*:\s*['\"])[^'\"]+",
    re.IGNORECASE,
)
_HINTS = (
    "bearer",
    "authorization",
    "token",
    "secret",
    "passw",
    "key",
    "signature",
)  # one is in all that the above finds
_IS_SECRET_NAME = pattern(_NAMES, re.IGNORECASE)
_CARD = pattern(r"(?<![\w.-])[3-6](?:[ -]?\d){14,15}(?![\w.-])")


class Redactor:
    """Replaces secrets in text by `[redacted]`. Values once known stay hidden after they have been rotated."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._known: set[str] = set()
        self._values = re.compile("|".join(_SHAPES))
        self.add(secrets)

    def add(self, secrets: Iterable[str]) -> None:
        """Hides these values too, also as they look inside a URL or a JSON string."""
        for secret in secrets:
            if len(secret) >= SHORTEST:
                self._known |= {secret, quote(secret, safe=""), json.dumps(secret)[1:-1]}
        longest_first = sorted(self._known, key=len, reverse=True)
        self._values = re.compile("|".join([*map(re.escape, longest_first), *_SHAPES]))

    def __call__(self, text: str) -> str:
        text = self._values.sub(HIDDEN, text)
        lower = text.lower()
        if any(hint in lower for hint in _HINTS):
            text = _AFTER_A_NAME.sub(_keep_the_name, text)
        return _CARD.sub(_hide_card, text)

    def field(self, name: str, text: str) -> str:
        """The text of a named field: hidden whole when its name says that it is a secret."""
        return HIDDEN if _IS_SECRET_NAME.fullmatch(name) else self(text)


def _keep_the_name(match: re.Match[str]) -> str:
    return next(group for group in match.groups() if group is not None) + HIDDEN


def _hide_card(match: re.Match[str]) -> str:
    return HIDDEN if _is_card_number([int(c) for c in match[0] if c.isdigit()]) else match[0]


def _is_card_number(digits: list[int]) -> bool:
    """The Luhn check (ISO/IEC 7812-1), so that most other long numbers stay readable."""
    doubled = [digit * 2 - 9 * (digit > 4) for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0
