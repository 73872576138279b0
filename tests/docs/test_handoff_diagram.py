"""The drawing of the handoff and the machine are the same."""

import re

from bot.handoff.machine import EDGES, Stage
from tests.docs.documents import document

HELD = ("active", "waiting", "snoozed")
AWAITING = ("queued", "offered")


def drawn() -> set[tuple[str, str, str]]:
    """(from, label, to) of every arrow, a group standing for each of its stages."""
    (text,) = [fence for fence in document("docs/architecture.md").fences() if "off_hours" in fence]
    arrows = re.findall(r"^\s+(\w+) --> (\w+): (.+)$", text, re.MULTILINE)
    groups = {"held": HELD, "awaiting": AWAITING}
    return {(stage, label, to) for source, to, label in arrows for stage in groups.get(source, (source,))}


def name(stage: Stage) -> str:
    return stage.value.replace(" ", "_").replace("-", "_")


def test_every_edge_is_drawn_and_no_other() -> None:
    assert drawn() == {(name(stage), what.value, name(to)) for (stage, what), to in EDGES.items()}
