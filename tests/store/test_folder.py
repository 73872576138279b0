"""The data folder: ours alone, held by one daemon, refused in plain words otherwise."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bot.errors import DataError
from bot.store.folder import DATABASE, LOCK, Lock, being_restored, holder, prepare
from tests.store.mounts import mounted

HOLD = """
import sys
from pathlib import Path
from bot.store.folder import Lock
lock = Lock(Path(sys.argv[1]))
lock.take()
print("held", flush=True)
sys.stdin.read()
"""


def test_a_new_folder_is_private(tmp_path: Path) -> None:
    """Nobody else can look into it."""
    prepare(tmp_path / "a" / "data")
    assert is_private(tmp_path / "a" / "data")


def test_f19_a_second_process_is_refused_and_told_the_first(tmp_path: Path) -> None:
    """Two daemons never work in one folder; the lock ends with its process, however that ends."""
    data = tmp_path / "data"
    prepare(data)
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(data)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        assert holder(data) == first.pid
        with pytest.raises(DataError, match=rf"in use by another Frontdesk \(process {first.pid}\)"):
            Lock(data).take()
        first.kill()
    assert holder(data) is None
    lock = Lock(data)
    lock.take()
    assert holder(data) == os.getpid()
    lock.release()
    assert holder(data) is None


def test_f19_looking_who_holds_the_folder_keeps_nobody_from_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command that asks for the holder has the lock for an instant; a start in that instant waits for it."""
    prepare(tmp_path)
    looker = os.open(tmp_path / LOCK, os.O_RDONLY | os.O_CREAT)
    fcntl.flock(looker, fcntl.LOCK_SH)
    monkeypatch.setattr("time.sleep", lambda seconds: fcntl.flock(looker, fcntl.LOCK_UN))
    lock = Lock(tmp_path)
    lock.take()
    lock.release()
    os.close(looker)


def test_f52_a_symbolic_link_is_refused(tmp_path: Path) -> None:
    """A link that is turned elsewhere would look like an empty folder."""
    (tmp_path / "real").mkdir()
    (tmp_path / "data").symlink_to("real")
    with pytest.raises(DataError, match="is a symbolic link"):
        prepare(tmp_path / "data")


@pytest.mark.parametrize("name", [DATABASE, f"{DATABASE}-wal", LOCK])
def test_f52_a_linked_file_is_refused(tmp_path: Path, name: str) -> None:
    """SQLite finds its log beside the file's name, so a linked database could lose it."""
    (tmp_path / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="is a symbolic link"):
        prepare(tmp_path)


def test_f52_a_file_in_the_folders_place_is_refused(tmp_path: Path) -> None:
    """It is not overwritten."""
    (tmp_path / "data").write_text("kept")
    with pytest.raises(DataError, match="is not a folder"):
        prepare(tmp_path / "data")
    with pytest.raises(DataError, match="cannot be used"):
        prepare(tmp_path / "data" / "below")
    assert (tmp_path / "data").read_text() == "kept"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another account")
@pytest.mark.parametrize("name", ["", DATABASE, f"{DATABASE}-wal"])
def test_f52_another_accounts_folder_or_file_is_refused(tmp_path: Path, name: str) -> None:
    """The text says whose it is and how to mend it, before anything is written there."""
    prepare(tmp_path)
    (tmp_path / DATABASE).touch()
    (tmp_path / f"{DATABASE}-wal").touch()
    os.chown(tmp_path / name, 12345, -1)
    with pytest.raises(DataError, match=r"belongs to user id 12345, .* or: chown -R"):
        prepare(tmp_path)


def test_f52_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    """A disk that was mounted read-only after an error is said at the start, not by the first message."""
    with mounted(tmp_path / "disk", "1m") as disk:
        prepare(disk / "data")
        disk.remount("ro")
        with pytest.raises(DataError, match="cannot be written"):
            prepare(disk / "data")
        with pytest.raises(DataError, match=r"cannot be used \(Read-only file system"):
            prepare(disk / "other")


def test_an_interrupted_restore_is_not_a_first_start(tmp_path: Path) -> None:
    """Between the two moves of a restore there is no data folder: an empty one must not take its place."""
    data = tmp_path / "data"
    being_restored(data).mkdir()
    with pytest.raises(DataError, match=r"was interrupted\. Run it again"):
        prepare(data)
    assert not data.exists()


def is_private(path: Path) -> bool:
    """Nobody but the owner can read it."""
    return not path.stat().st_mode & 0o077
