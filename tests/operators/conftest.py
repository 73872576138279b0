"""A house on a real file for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.operators.house import House, housed


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with housed(tmp_path / "data") as house:
        yield house
