"""Small disks of their own, where the machine permits."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


class Disk(type(Path())):  # type: ignore[misc]  # the concrete class of this system
    """A mounted folder."""

    def remount(self, option: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{option}", str(self)], check=True)


@contextmanager
def mounted(folder: Path, size: str) -> Iterator[Disk]:
    """A tmpfs of `size` on `folder`; the test is skipped where mounting is not permitted."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "frontdesk-test", str(folder)]
    try:
        result = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no mount command here")
    if result.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {result.stderr.strip()}")
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
