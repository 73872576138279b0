"""Prints how well the detections tell what users write: `python -m tests.handoff.sentences`.

A third of the labelled sentences, by their checksum, is held out: the patterns are not tuned on it and its misses are not shown
unless `--held-out` asks for them.
"""

import sys
import tomllib
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bot.handoff.triggers import is_angry, wants_person

DETECTIONS: dict[str, Callable[[str], bool]] = {"wish": wants_person, "anger": is_angry}


@dataclass(frozen=True)
class Labelled:
    detection: str
    language: str
    text: str
    is_expected: bool
    is_seen: bool = False  # the patterns were mended by it

    @property
    def is_held_out(self) -> bool:
        return not self.is_seen and zlib.crc32(self.text.encode()) % 3 == 0

    @property
    def is_right(self) -> bool:
        return DETECTIONS[self.detection](self.text) == self.is_expected


@dataclass(frozen=True)
class Figures:
    """Counts of one part of the table."""

    hits: int
    misses: int
    alarms: int
    passes: int

    @property
    def precision(self) -> float:
        return self.hits / max(1, self.hits + self.alarms)

    @property
    def recall(self) -> float:
        return self.hits / max(1, self.hits + self.misses)


def labelled() -> Iterator[Labelled]:
    table = tomllib.loads(Path(__file__).with_name("sentences.toml").read_text(encoding="utf-8"))
    for detection, sides in table.items():
        for side, languages in sides.items():
            for language, texts in languages.items():
                for text in texts:
                    yield Labelled(detection, language, text, side.endswith("yes"), side.startswith("seen"))


def figures(sentences: list[Labelled]) -> Figures:
    yes = [one.is_right for one in sentences if one.is_expected]
    no = [one.is_right for one in sentences if not one.is_expected]
    return Figures(sum(yes), len(yes) - sum(yes), len(no) - sum(no), sum(no))


def main() -> None:
    everything = list(labelled())
    for detection in DETECTIONS:
        for is_held_out, part in ((False, "tuned on"), (True, "held out")):
            some = [one for one in everything if one.detection == detection and one.is_held_out is is_held_out]
            found = figures(some)
            counts = f"{found.hits + found.misses} that should fire, {found.alarms + found.passes} that should not"
            print(f"{detection:6} {part}: precision {found.precision:.3f}, recall {found.recall:.3f} ({counts})")  # noqa: T201
    for one in everything:
        if not one.is_right and (not one.is_held_out or "--held-out" in sys.argv):
            print(f"{'missed' if one.is_expected else 'false alarm'}: {one.detection} {one.language}: {one.text}")  # noqa: T201


if __name__ == "__main__":
    main()
