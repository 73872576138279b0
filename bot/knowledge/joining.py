"""From ranked passages to results: no text twice, neighbours as one, and no more than there is room for. Pure."""

from collections.abc import Sequence
from dataclasses import replace

from bot.knowledge.fusion import Fused
from bot.model import changeable, value

MOST_CHARS = 20_000  # of all results of one search, headings included
MOST_JOINED = (
    3  # passages in one result: its id has to fit where platforms carry it (Slack's option value: 75 characters)
)
GLUE = "-"  # between the ids of a joined passage; not a hexadecimal digit
BETWEEN = "\n\n"


@value
class Row:
    """A passage as the index holds it."""

    number: int
    id: str
    document: str
    title: str
    text: str
    url: str
    relative: str

    @classmethod
    def of(cls, rows: Sequence["Row"]) -> "Row":
        """Neighbours as one passage."""
        if len(rows) == 1:
            return rows[0]
        return replace(rows[0], id=GLUE.join(row.id for row in rows), text=BETWEEN.join(row.text for row in rows))


def parts_of(passage: str) -> list[str]:
    """The ids that a joined passage was made of, or its own; more than are ever joined are none of ours."""
    parts = passage.split(GLUE)
    return parts if len(parts) <= MOST_JOINED else [passage]


def joined(
    ranked: Sequence[tuple[Row, Fused]], limit: int, most_chars: int, most_joined: int = MOST_JOINED
) -> list[tuple[Row, Fused]]:
    """At most `limit` results within `most_chars`, best first. A passage next to a better one, under the same heading, joins it and takes
    no place of its own, up to `most_joined` in one result."""
    groups: list[_Group] = []
    seen: set[str] = set()
    room = most_chars
    for row, fused in ranked:
        text = " ".join(row.text.split()).casefold()
        group = next((one for one in groups if one.takes(row, most_joined)), None)
        if group is None and len(groups) == limit:
            break
        cost = len(row.text) + (len(row.title) if group is None else len(BETWEEN))
        if text in seen or cost > room:
            continue
        seen.add(text)
        room -= cost
        if group is None:
            groups.append(_Group([row], fused))
        else:
            group.add(row, fused)
    return [(Row.of(group.rows), group.fused) for group in groups]


@changeable
class _Group:
    """Passages that follow each other, with what speaks for the best of them."""

    rows: list[Row]
    fused: Fused

    def takes(self, row: Row, most: int) -> bool:
        first, last = self.rows[0], self.rows[-1]
        is_near = row.number in (first.number - 1, last.number + 1) and len(self.rows) < most
        return is_near and (row.document, row.title) == (first.document, first.title)

    def add(self, row: Row, fused: Fused) -> None:
        self.rows = sorted([*self.rows, row], key=lambda one: one.number)
        self.fused = replace(self.fused, coverage=max(self.fused.coverage, fused.coverage))
