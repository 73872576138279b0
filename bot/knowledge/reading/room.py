"""The parent's side of reading: hands bytes to a child process and takes back text.

Promises: whatever the bytes hold, the parent spends no more than `WALL_S` and the size of an answer on them, and goes on. A child reads a
few documents and is then replaced; one that failed is replaced at once. Safe to use from several threads; they take turns.
"""

import contextlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Final

from bot.knowledge.reading.parsed import Format, Parsed, Unparsed, Unread, from_json

WALL_S: Final = 40.0
MOST_ANSWER_BYTES: Final = 32 * 1024 * 1024
READS_PER_CHILD: Final = 40
_ROOT: Final = Path(__file__).parents[3]


class ReadingRoom:
    """Keeps at most one child. Blocking: call it in a thread."""

    def __init__(self, wall_s: float = WALL_S) -> None:
        self._wall_s = wall_s
        self._turn = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._reads = 0
        self._is_closed = False

    def read(self, kind: Format, data: bytes, url: str = "") -> Parsed:
        """The text of `data`; `url` is where it came from, for links. Raises Unparsed."""
        with self._turn:
            if self._is_closed:
                raise Unread("was not read: Frontdesk is stopping")
            if self._reads >= READS_PER_CHILD:
                self._end()
            child = self._child or self._start()
            line, is_late = self._ask(child, json.dumps({"format": kind, "size": len(data), "url": url}), data)
            self._reads += 1
            if not line.endswith(b"\n"):
                code = self._end()
                if self._is_closed:
                    raise Unread("was not read: Frontdesk is stopping")
                raise Unparsed(_why(code, is_late=is_late, is_long=len(line) > MOST_ANSWER_BYTES))
        return from_json(line)

    def close(self) -> None:
        """Ends the child, also in the middle of a document. Nothing is read afterwards. Safe to repeat and from any thread."""
        self._is_closed = True
        if (child := self._child) is not None:
            child.kill()
        with self._turn:
            self._end()

    def _start(self) -> subprocess.Popen[bytes]:
        kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "LD_LIBRARY_PATH") if name in os.environ}
        self._child = subprocess.Popen(
            [sys.executable, "-s", "-B", "-m", "bot.knowledge.reading.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env=kept | {"PYTHONPATH": str(_ROOT), "LC_ALL": "C.UTF-8"},
            start_new_session=True,
        )
        self._reads = 0
        return self._child

    def _ask(self, child: subprocess.Popen[bytes], header: str, data: bytes) -> tuple[bytes, bool]:
        """The child's line, as much of it as there was, and whether time ran out."""
        into, out = _pipes(child)
        late = threading.Event()

        def give_up() -> None:
            late.set()
            child.kill()

        timer = threading.Timer(self._wall_s, give_up)
        timer.start()
        try:
            into.write(header.encode() + b"\n" + data)
            into.flush()
            return out.readline(MOST_ANSWER_BYTES + 1), late.is_set()
        except OSError:
            return b"", late.is_set()
        finally:
            timer.cancel()

    def _end(self) -> int:
        """Ends the child and says how it ended."""
        child, self._child, self._reads = self._child, None, 0
        if child is None:
            return 0
        into, out = _pipes(child)
        with contextlib.suppress(OSError):  # it was gone with a document half written to it
            into.close()
        out.close()
        try:
            return child.wait(1)
        except subprocess.TimeoutExpired:
            child.kill()
            return child.wait()


def _pipes(child: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    if child.stdin is None or child.stdout is None:
        raise RuntimeError("the child was started without pipes")
    return child.stdin, child.stdout


def _why(code: int, *, is_late: bool, is_long: bool) -> str:
    if is_long:
        return f"holds more than {MOST_ANSWER_BYTES // 1024 // 1024} MB of text"
    if is_late:
        return "took too long to read"
    return _ENDS.get(code, f"could not be read: its reader ended with code {code}")


_ENDS: Final = {
    -24: "took too much computing to read",  # SIGXCPU
    -25: "would write to the disk while it is read",  # SIGXFSZ
    -9: "took too much computing or memory to read",  # SIGKILL, by the hard limit or by the system
    -11: "could not be read: its reader broke down",  # SIGSEGV
    -6: "could not be read: its reader broke down",  # SIGABRT
}
