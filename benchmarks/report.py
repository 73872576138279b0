"""The table of a run, and what its parts share."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.load import Result


class Report:
    """The table, and whether every target was met."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def add(self, what: str, value: float, unit: str, target: str = "", *, is_met: bool | None = None) -> None:
        self.rows.append({"what": what, "value": round(value, 3), "unit": unit, "target": target, "met": is_met})
        mark = {True: "ok", False: "MISSED", None: ""}[is_met]
        print(f"{what:<62}{value:>12.2f} {unit:<8} {target:<26} {mark}", flush=True)


def latency(report: Report, what: str, result: Result, most_ms: float) -> None:
    report.add(f"{what}, p50", result.percentile(0.5), "ms")
    p99 = result.percentile(0.99)
    report.add(f"{what}, p99", p99, "ms", f"at most {most_ms:.0f}", is_met=p99 <= most_ms)


@contextmanager
def folder() -> Iterator[Path]:
    """A place on a real disk: /tmp may be memory, where an fsync costs nothing."""
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="frontdesk-bench-") as place:
        yield Path(place)
