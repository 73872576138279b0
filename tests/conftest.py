"""For all tests."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

# A daemon that a test starts finds by words alone, unless the test says otherwise: embedding every document anew would be most of its work.
os.environ.setdefault("FRONTDESK_KNOWLEDGE_FUSION", "0")

MEMORY = Path("/dev/shm")
ROOM = 200_000_000  # bytes; a container may have little


@pytest.fixture
def in_memory(tmp_path: Path) -> Iterator[Path]:
    """A folder that waits for no disk, where there is such a place: for kills of a process, which lose nothing that the kernel has."""
    if not MEMORY.is_dir() or shutil.disk_usage(MEMORY).free < ROOM:
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        yield Path(folder)
