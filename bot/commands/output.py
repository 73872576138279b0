"""How commands speak: plain lines, tables, JSON. Whatever people wrote is shown with nothing hidden in it."""

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bot.text import visible

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text


def say(line: str) -> None:
    """One line, made safe for a terminal."""
    sys.stdout.write(one_line(line) + "\n")


def one_line(text: str) -> str:
    return visible(" ".join(text.splitlines()))


def show_json(value: object) -> None:
    """ASCII only, so that no control or direction character reaches the terminal as itself."""
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def console() -> "Console":
    """rich, with colour only on a terminal."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=not sys.stdout.isatty())


def show_table(columns: Sequence[str], rows: Iterable[Sequence[object]], empty: str) -> None:
    """A table, or the sentence `empty` when there are no rows."""
    from rich import box
    from rich.table import Table

    kept = list(rows)
    if not kept:
        say(empty)
        return
    if not sys.stdout.isatty():  # a pipe gets whole cells, separated by tabs
        for row in [columns, *kept]:
            sys.stdout.write("\t".join(one_line(str(cell)).replace("\t", " ") for cell in row) + "\n")
        return
    table = Table(box=box.SIMPLE_HEAD)
    for place, column in enumerate(columns):
        table.add_column(column, overflow="fold", no_wrap=place == 0)  # an id stays whole
    for row in kept:
        table.add_row(*(safe(str(cell)) for cell in row))
    console().print(table)


def safe(text: str, style: str = "") -> "Text":
    """Text for rich in which nothing is markup and nothing is hidden."""
    from rich.text import Text

    return Text(visible(text), style=style)


def when(ms: object) -> str:
    """A time in this machine's zone, or a dash."""
    if not isinstance(ms, int | float) or ms <= 0:
        return "-"
    return datetime.fromtimestamp(ms / 1000, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def clock(ms: object) -> str:
    """The time of day to the millisecond, for a timeline."""
    if not isinstance(ms, int | float) or ms <= 0:
        return "-"
    return datetime.fromtimestamp(ms / 1000, UTC).astimezone().strftime("%H:%M:%S.%f")[:-3]


def lasting(ms: float) -> str:
    """A stretch of time: 12 ms, 3.4 s, 5 min, 2 h, 4 d."""
    for unit_ms, unit in ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min")):
        if ms >= 2 * unit_ms:
            return f"{ms // unit_ms:.0f} {unit}"
    return f"{ms / 1000:.1f} s" if ms >= 1000 else f"{ms:.0f} ms"


def cut(text: str, most: int = 60) -> str:
    """The first line, shortened."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"
