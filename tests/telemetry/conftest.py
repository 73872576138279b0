"""A log that writes into a pipe, as it does under a service manager."""

import json
import logging
import os
from collections.abc import Iterator
from typing import Any, TextIO

import pytest


class Pipe:
    """A pipe for a log: `stream` is its writing end."""

    def __init__(self) -> None:
        self._reading, writing = os.pipe()
        self.stream: TextIO = os.fdopen(writing, "w")

    def rest(self) -> str:
        """Everything written, once the log is closed."""
        self.stream.close()
        with os.fdopen(self._reading, "rb") as file:
            return file.read().decode()

    def entries(self) -> list[dict[str, Any]]:  # JSON of any shape
        return [json.loads(line) for line in self.rest().splitlines()]

    def take(self, size_bytes: int) -> bytes:
        return os.read(self._reading, size_bytes)

    def break_it(self) -> None:
        os.close(self._reading)


@pytest.fixture
def pipe() -> Pipe:
    return Pipe()


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """No test leaves the root logger changed."""
    root = logging.getLogger()
    before = (root.level, root.handlers[:])
    yield
    root.handlers[:] = before[1]
    root.setLevel(before[0])
