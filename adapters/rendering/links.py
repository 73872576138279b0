"""What a link shows: one that says one address and leads to another is never hidden behind its words."""

import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from adapters.rendering.parsing import linked
from adapters.rendering.tree import Code, Inline, Link, Text

_HOST: Final = re.compile(
    r"(?:[a-z][a-z0-9+.-]{0,30}://)?((?:[\w-]{1,63}\.){1,9}[\w-]{2,63})(?:[:/?#]\S*)?\Z", re.IGNORECASE
)
_MAIL: Final = "mailto:"


def words(nodes: Sequence[Inline]) -> str:
    """The words alone, in one line."""
    return " ".join("".join(map(_words, nodes)).split())


def _words(node: Inline) -> str:
    if isinstance(node, Text | Code):
        return node.text
    return "".join(map(_words, node.children))


def label(link: Link) -> str:
    """The words of a link; "" if they are nothing but its address."""
    said = words(link.children)
    return "" if linked(said) == link.url or said in (link.url, address(link.url)) else said


def is_honest(said: str, url: str) -> bool:
    """False for words that name a host which is not that of the address."""
    named = _HOST.match(said)
    if not named:
        return "://" not in said
    return _bare(named[1]) == _bare(urlsplit(url).hostname or "")


def address(url: str) -> str:
    """As a person would write it down: of a mail link only whom it goes to."""
    return url[len(_MAIL) :].split("?")[0] if is_mail(url) else url


def is_mail(url: str) -> bool:
    return url[: len(_MAIL)].lower() == _MAIL


def _bare(host: str) -> str:
    return host.lower().removeprefix("www.")
