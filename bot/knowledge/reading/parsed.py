"""What parsing comes to, and how it crosses from the child to its parent: one line of JSON."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from bot.knowledge.blocks import Block, Kind


class Format(StrEnum):
    """What the bytes are to be read as."""

    PDF = "pdf"
    DOCX = "docx"
    PAGE = "page"
    SITEMAP = "sitemap"


@dataclass(frozen=True, slots=True)
class Parsed:
    """A document's text. `links` are absolute web addresses on the page, or what a sitemap lists; `nested` are further sitemaps.
    `is_wanted` is False where the page asks not to be kept, `is_followed` where it asks not to be followed."""

    title: str = ""
    language: str = ""
    blocks: tuple[Block, ...] = ()
    links: tuple[str, ...] = ()
    nested: tuple[str, ...] = ()
    canonical: str = ""
    is_wanted: bool = True
    is_followed: bool = True

    def to_json(self) -> str:
        held = {name: getattr(self, name) for name in self.__slots__}
        return json.dumps(held | {"blocks": [(each.kind, each.text, each.level) for each in self.blocks]})


class Unparsed(Exception):
    """These bytes cannot be read. The text is a plain reason that completes "FILE: ..."."""


class Unread(Unparsed):
    """They were not read, for a reason that does not lie in them: another time they may be."""


def from_json(line: bytes) -> Parsed:
    """The child's answer. Raises Unparsed with its reason, or where the answer is none."""
    try:
        told = json.loads(line)
        if "unread" in told:
            raise Unread(str(told["unread"])[:300])
        if "reason" in told:
            raise Unparsed(str(told["reason"])[:300])
        return _parsed(told)
    except (ValueError, TypeError, KeyError) as error:
        raise Unparsed("could not be read: its reader gave no answer") from error


def _parsed(told: Mapping[str, object]) -> Parsed:
    blocks, links, nested = told["blocks"], told["links"], told["nested"]
    if not (isinstance(blocks, list) and isinstance(links, list) and isinstance(nested, list)):
        raise TypeError
    return Parsed(
        str(told["title"]),
        str(told["language"]),
        tuple(Block(Kind(kind), str(text), int(level)) for kind, text, level in blocks),
        tuple(map(str, links)),
        tuple(map(str, nested)),
        str(told["canonical"]),
        told["is_wanted"] is True,
        told["is_followed"] is True,
    )
