"""What must hold of `[handoff]` and `[operators]` beyond their single keys."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bot.config import handoff_schema
from bot.config.model_checks import Finding
from bot.errors import ConfigError
from bot.handoff.hours import Hours, parse

if TYPE_CHECKING:
    from bot.config.load import Config


def check_handoff(config: "Config") -> Iterator[Finding]:
    """Everything wrong with when people are there, and with what they send."""
    try:
        hours_of(config.handoff.hours)
    except ConfigError as error:
        for problem in error.problems:
            yield tuple(problem.key.split(".")), problem.what, problem.mend
    seen: set[str] = set()
    for index, canned in enumerate(config.handoff.canned):
        if canned.name in seen:
            yield (
                ("handoff", "canned", index, "name"),
                f'is "{canned.name}" again',
                "Give each reply a name of its own.",
            )
        seen.add(canned.name)


def hours_of(section: handoff_schema.Hours) -> Hours:
    """Raises ConfigError."""
    given = {name: getattr(section, name) for name in section.model_fields_set}
    return parse(given, "handoff.hours")
