"""Files that are replaced whole."""

import errno
import os
import stat
from pathlib import Path

import pytest

from bot.whole import replace_whole


def rights(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_that_is_replaced_keeps_its_rights(tmp_path: Path) -> None:
    """What only its owner may read stays so; a new file is made as others are."""
    secret, fresh = tmp_path / "config.toml", tmp_path / "fresh.md"
    secret.write_text("old")
    secret.chmod(0o640)
    was = os.umask(0o022)
    try:
        replace_whole(secret, b"new")
        replace_whole(fresh, b"there")
    finally:
        os.umask(was)
    assert (secret.read_bytes(), rights(secret)) == (b"new", 0o640)
    assert (fresh.read_bytes(), rights(fresh)) == (b"there", 0o644)
    assert sorted(tmp_path.iterdir()) == [secret, fresh]


def test_a_draft_that_was_left_behind_is_no_obstacle(tmp_path: Path) -> None:
    """An earlier process that was killed, and whatever stands in its draft's place: a link is not followed."""
    file, elsewhere = tmp_path / "notes.md", tmp_path / "elsewhere"
    elsewhere.write_text("untouched")
    (tmp_path / ".draft-notes.md").symlink_to(elsewhere)
    replace_whole(file, b"whole")
    assert (file.read_bytes(), elsewhere.read_text()) == (b"whole", "untouched")
    assert not file.is_symlink()


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The draft goes, and the caller learns why."""
    file = tmp_path / "notes.md"
    file.write_text("old")

    def full(descriptor: int) -> None:
        assert [path.read_bytes() for path in tmp_path.glob(".draft-*")] == [b"new"]
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        replace_whole(file, b"new")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("notes.md", "old")]
