"""The daemon, and the browser of `tests/browser`."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.conftest import browser, page
from tests.e2e.house import Daemon

__all__ = ["browser", "page"]


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """A running `frontdesk serve` over our own documents."""
    house = Daemon(tmp_path)
    house.start()
    yield house
    house.kill()
