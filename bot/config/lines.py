"""Where each key of a TOML text stands, so that a problem can name its line.

`tomllib` reads the values and keeps no positions. This scanner keeps positions and reads no values. It promises never to
raise, whatever the text; keys inside inline tables have no line of their own and are found by the key that holds them.
"""

import re
import tomllib
from dataclasses import field

from bot.model import changeable, value
from bot.text import pattern

Path = tuple[str | int, ...]

_NAME = pattern(r"""[ \t]*("(?:[^"\\\n]|\\.)*"|'[^'\n]*'|[A-Za-z0-9_-]+)[ \t]*""")
_BLANK = pattern(r"(?:[ \t\r\n]|#[^\n]*)+")
_PIECE = pattern(
    r'"""(?:[^\\]|\\.)*?"{3,5}'
    r"|'''.*?'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'"
    r"|#[^\n]*"
    r"|[\[{]|[\]}]|\n"
    r"|[^\[\]{}\n#\"']+|.",
    re.DOTALL,
)


@value
class Repeat:
    """A key or table set a second time, which TOML forbids."""

    path: Path
    line: int
    first_line: int


@changeable
class Lines:
    """`of` maps the path of every key and table to its first line, counted from 1."""

    of: dict[Path, int] = field(default_factory=dict)
    repeats: list[Repeat] = field(default_factory=list)

    def nearest(self, path: Path) -> int:
        """The line of `path`, or of the closest thing that holds it, or 0."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.of:
                return self.of[path[:length]]
        return 0


def scan(text: str) -> Lines:
    """Finds every `[table]`, `[[array]]` and `key =` of a TOML text."""
    return _Scanner(text).run()


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.line = 1
        self.table: Path = ()
        self.counts: dict[Path, int] = {}
        self.said: dict[Path, int] = {}  # keys and tables written out, as against those implied by dots
        self.dotted: dict[Path, int] = {}  # tables made by the dots of a key, which no header may open again
        self.found = Lines()

    def run(self) -> Lines:
        while self.at < len(self.text):
            if blank := _BLANK.match(self.text, self.at):
                self._go(blank.end())
            elif self.text.startswith("[[", self.at):
                self._array()
            elif self.text.startswith("[", self.at):
                self._header()
            else:
                self._pair()
        return self.found

    def _go(self, end: int) -> None:
        self.line += self.text.count("\n", self.at, end)
        self.at = end

    def _names(self, at: int) -> tuple[Path, int]:
        """The dotted key that starts at `at`, and where it ends; empty when there is none."""
        names: list[str | int] = []
        while name := _NAME.match(self.text, at):
            names.append(_plain(name[1]))
            at = name.end()
            if not self.text.startswith(".", at):
                break
            at += 1
        return tuple(names), at

    def _header(self) -> None:
        names, end = self._names(self.at + 1)
        if names and self.text.startswith("]", end):
            self.table = self._place(names)
            if self.table in self.dotted:
                self.found.repeats.append(Repeat(self.table, self.line, self.dotted[self.table]))
            self._say(self.table)
        self._rest_of_line(end)

    def _array(self) -> None:
        names, end = self._names(self.at + 2)
        if names and self.text.startswith("]]", end):
            array = self._place(names[:-1]) + names[-1:]
            self.counts[array] = self.counts.get(array, -1) + 1
            self.table = (*array, self.counts[array])
            self._mark(self.table)
        self._rest_of_line(end)

    def _pair(self) -> None:
        names, end = self._names(self.at)
        if names and self.text.startswith("=", end):
            self._say(self.table + names)
            for length in range(1, len(names)):
                self.dotted.setdefault(self.table + names[:length], self.line)
            self._go(end + 1)
            self._skip_value()
        else:
            self._rest_of_line(end)

    def _place(self, names: Path) -> Path:
        """`names` with the index of the latest element after each array of tables."""
        place: Path = ()
        for name in names:
            place = (*place, name)
            if place in self.counts:
                place = (*place, self.counts[place])
        return place

    def _say(self, path: Path) -> None:
        if path in self.said:
            self.found.repeats.append(Repeat(path, self.line, self.said[path]))
        self.said.setdefault(path, self.line)
        self._mark(path)

    def _mark(self, path: Path) -> None:
        for length in range(1, len(path) + 1):
            self.found.of.setdefault(path[:length], self.line)

    def _skip_value(self) -> None:
        depth = 0
        while piece := _PIECE.match(self.text, self.at):
            if piece[0] == "\n" and depth <= 0:
                return
            depth += (piece[0] in "[{") - (piece[0] in "]}")
            self._go(piece.end())

    def _rest_of_line(self, at: int) -> None:
        end = self.text.find("\n", at)
        self._go(end + 1 if end >= 0 else len(self.text))


def _plain(name: str) -> str:
    if name[0] == "'":
        return name[1:-1]
    if name[0] == '"':
        try:
            return str(tomllib.loads(f"v = {name}")["v"])
        except tomllib.TOMLDecodeError:
            return name[1:-1]
    return name
