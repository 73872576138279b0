"""Replies with and without a source for what they say, and how many of them the checker judges rightly."""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from bot.agent.checks import ClaimWatch
from bot.agent.grounding import Grounds, Source

HERE = Path(__file__).parent
TUNED, HELD_OUT = HERE / "planted.toml", HERE / "held_out.toml"
TODAY = date(2026, 11, 23)
_MARKED = re.compile(r"\{(.+?)\}")


@dataclass(frozen=True, slots=True)
class Case:
    """One reply to a question. `wrong`: what in it has no source."""

    scene: str
    sources: tuple[str, ...]
    asked: str
    reply: str
    wrong: tuple[str, ...]

    def grounds(self) -> Grounds:
        return Grounds(lambda: [*map(Source, self.sources), Source(self.asked, is_users=True)], TODAY)

    def missing(self) -> tuple[str, ...]:
        return self.grounds().missing(self.reply)

    def shown(self, piece_chars: int) -> str:
        """What a page shows of the reply when it comes in pieces."""
        watch = ClaimWatch(is_person_wished=True, grounds=self.grounds())
        pieces = (self.reply[at : at + piece_chars] for at in range(0, len(self.reply), piece_chars))
        return "".join(map(watch.take, pieces)) + watch.rest()


def cases(path: Path) -> Iterator[Case]:
    """All cases of a file, in their order."""
    for scene in tomllib.loads(path.read_text(encoding="utf-8"))["scene"]:
        for marked in (*scene["good"], *scene["bad"]):
            wrong = tuple(_MARKED.findall(marked))
            reply = _MARKED.sub(r"\1", marked)
            yield Case(scene["name"], tuple(scene["sources"]), scene.get("asked", ""), reply, wrong)


@dataclass(slots=True)
class Score:
    """How many bad replies were caught, how many good ones were held, and which were judged wrongly."""

    caught: int = 0
    bad: int = 0
    held: int = 0
    good: int = 0
    mistakes: list[str] = field(default_factory=list)


def judge(path: Path) -> Score:
    score = Score()
    for case in cases(path):
        missing = case.missing()
        if case.wrong:
            score.bad += 1
            score.caught += bool(missing)
        else:
            score.good += 1
            score.held += bool(missing)
        if bool(case.wrong) != bool(missing):
            score.mistakes.append(f"{case.scene}: {case.reply!r} {missing}")
    return score
