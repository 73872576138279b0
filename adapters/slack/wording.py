"""Slack's own notation in what people write (mentions, links, escapes) as plain text.

https://docs.slack.dev/messaging/formatting-message-text: what stands between < and > is a link or a mention; & < > are escaped.
"""

import re
from collections.abc import Mapping
from typing import Final

_TOKEN: Final = re.compile(r"<([^<>\n]{1,3000})>")
_PERSON: Final = re.compile(r"<@([UW][A-Z0-9]+)(?:\|[^<>\n]*)?>")
_ESCAPES: Final = {"&lt;": "<", "&gt;": ">", "&amp;": "&"}
_ESCAPE: Final = re.compile("|".join(_ESCAPES))
_SPACES: Final = re.compile(r"[ \t]{2,}")


def mentions(text: str, person: str) -> bool:
    """Whether that person is mentioned."""
    return any(found[1] == person for found in _PERSON.finditer(text))


def people_in(text: str) -> list[str]:
    """Whom a text mentions, each once, in order."""
    return list(dict.fromkeys(found[1] for found in _PERSON.finditer(text)))


def is_typed_as(text: str, beginnings: tuple[str, ...], without: str = "") -> bool:
    """Whether the writer's own characters begin so, and not a link or a name. Mentions of `without` before them do not count."""
    rest = text.lstrip()
    while (found := _PERSON.match(rest)) and found[1] == without:
        rest = rest[found.end() :].lstrip()
    return rest.startswith(beginnings)


def plain(text: str, names: Mapping[str, str], without: str = "") -> str:
    """The text as its writer sees it. `names` of people, as far as they are known; mentions of `without` are left out."""
    if without and mentions(text, without):
        cut = _PERSON.sub(lambda found: "" if found[1] == without else found[0], text)
        text = _SPACES.sub(" ", cut).strip()
    return _unescaped(_TOKEN.sub(lambda found: _shown(found[1], names), text))


def _shown(token: str, names: Mapping[str, str]) -> str:
    target, _, label = token.partition("|")
    if target.startswith("@"):
        return f"@{label or names.get(target[1:]) or target[1:]}"
    if target.startswith("#"):
        return f"#{label or target[1:]}"
    if target.startswith("!"):
        return _special(target[1:], label)
    bare = target.removeprefix("mailto:").removeprefix("tel:")
    return f"{label} ({bare})" if label and label not in (bare, target, bare.rstrip("/")) else bare


def _special(name: str, label: str) -> str:
    """Groups come as subteam^ID and times as date^..., both with what is shown as label."""
    if name.startswith("date^"):
        return label
    return f"@{(label or name.partition('^')[0]).removeprefix('@')}"


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda found: _ESCAPES[found[0]], text)
