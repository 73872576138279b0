"""Runs `worker.py` under `iofault.c`."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


@dataclass(slots=True)
class Outcome:
    """What a run acknowledged, in order; `calls`: how many writes and syncs it came to."""

    acknowledged: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    refused: str = ""
    calls: int = 0


def build(folder: Path) -> Path:
    """The shim, compiled; the test is skipped where that cannot be done."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler (cc) here")
    if sys.platform != "linux":
        pytest.skip("the shim is made for Linux")
    shim = folder / "iofault.so"
    command = [compiler, "-O1", "-shared", "-fPIC", "-o", str(shim), str(HERE / "iofault.c"), "-ldl", "-lpthread"]
    subprocess.run(command, check=True)
    return shim


class Worker:
    """One process that starts quickly what each run needs."""

    def __init__(self, shim: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.worker"],
            cwd=ROOT,
            env={**os.environ, "LD_PRELOAD": str(shim), "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, data: Path, units: int, **options: object) -> Outcome:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps({"data": str(data), "units": units, **options}), file=self._process.stdin, flush=True)
        outcome = Outcome()
        for line in self._process.stdout:
            word, _, rest = line.rstrip("\n").partition(" ")
            match word:
                case "ack":
                    outcome.acknowledged.append(rest)
                case "failed":
                    outcome.failed.append(rest)
                case "refused":
                    outcome.refused = rest
                case "end":
                    code, outcome.calls = (int(number) for number in rest.split())
                    assert code == 0
                    return outcome
        raise AssertionError("the worker is gone")

    def close(self) -> None:
        self._process.communicate(timeout=10)
