"""Recognises a secret that was never filled in."""

import re

from bot.text import pattern

_PLACEHOLDER = pattern(
    r"""
      (?:[a-z]{1,6}[-_])*[x*.…?]{3,}            # xxx, sk-..., xoxb-xxxx
    | (?:[a-z]{1,6}[-_])?<.*>                    # <token>, sk-<key>
    | \$\{?\w+\}? | \{\{.*\}\} | %\w+%           # a template nobody filled in
    | change[-_ ]?(?:me|this|it).*
    | (?:.*[-_ ])?(?:replace[-_ ]?(?:me|this|with)).*
    | (?:.*[-_])?(?:your|my)[-_ ].*
    | (?:insert|put|paste|enter|fill|add)[-_ ].*
    | .*(?:[-_ ]here|placeholder|goes[-_ ]here)
    | todo|tbd|fixme|none|null|nil|secret|password|token|api[-_ ]?key|key|example|sample|dummy
    """,
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)


def is_placeholder(secret: str) -> bool:
    """True for "changeme", "xxx", "your-...", "sk-...", "<...>", "REPLACE_ME" and their kind, and for nothing at all."""
    text = secret.strip().strip("\"'").strip()
    return not text or _PLACEHOLDER.fullmatch(text) is not None
