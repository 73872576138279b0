"""What SQLite does not say of its write-ahead log: whether commits lie behind the first frame that cannot be read.

SQLite takes such a log up to that frame and drops the rest, for after a power cut the rest was never committed. But a frame whose
checksum continues a commit's proves that this commit had succeeded: behind a bad frame, it is a loss, which must not go unnoticed.
Format: https://www.sqlite.org/fileformat2.html#the_write_ahead_log
"""

import struct
from pathlib import Path
from typing import BinaryIO

_HEADER_BYTES = 32
_FRAME_BYTES = 24  # before each page
_BIG_ENDIAN = 0x377F0683
_LITTLE_ENDIAN = 0x377F0682


def has_lost_commits(database: Path) -> bool:
    """Of a database that a connection of this process has read, and still has open."""
    path, index = (database.with_name(f"{database.name}{end}") for end in ("-wal", "-shm"))
    if not path.exists() or not index.exists() or path.stat().st_size <= _HEADER_BYTES:
        return False
    with path.open("rb") as log:
        header = log.read(_HEADER_BYTES)
        magic, _, page_bytes = struct.unpack_from(">3I", header)
        order = ">" if magic == _BIG_ENDIAN else "<"
        if magic not in (_BIG_ENDIAN, _LITTLE_ENDIAN) or _checksum(bytes(8), header[:24], order) != header[24:]:
            return True  # it is 32 bytes in one sector: a power cut leaves the old or the new ones, and never others
        return _Frames(log, page_bytes, order, header[16:24]).have_commit_after(_frames_in_use(index))


def _frames_in_use(index: Path) -> int:
    """From the index that SQLite keeps in shared memory."""
    with index.open("rb") as file:
        return int(struct.unpack_from("=I", file.read(20), 16)[0])


class _Frames:
    def __init__(self, log: BinaryIO, page_bytes: int, order: str, salts: bytes) -> None:
        self._log = log
        self._page_bytes = page_bytes
        self._order = order
        self._salts = salts

    def have_commit_after(self, number: int) -> bool:
        """Frames count from 1. A commit counts when the frame after it continues it."""
        before = b""
        while header := self._header(number + 1):
            if before and self._continues(before, number + 1, header):
                return True
            is_commit = header[8:16] == self._salts and header[4:8] != bytes(4)
            before = header[16:24] if is_commit else b""
            number += 1
        return False

    def _header(self, number: int) -> bytes:
        self._log.seek(_HEADER_BYTES + (number - 1) * (_FRAME_BYTES + self._page_bytes))
        header = self._log.read(_FRAME_BYTES)
        return header if len(header) == _FRAME_BYTES else b""

    def _continues(self, before: bytes, number: int, header: bytes) -> bool:
        self._log.seek(_HEADER_BYTES + (number - 1) * (_FRAME_BYTES + self._page_bytes) + _FRAME_BYTES)
        page = self._log.read(self._page_bytes)
        if header[8:16] != self._salts or len(page) < self._page_bytes:
            return False
        return _checksum(before, header[:8] + page, self._order) == header[16:24]


def _checksum(before: bytes, data: bytes, order: str) -> bytes:
    first, second = struct.unpack(">2I", before)
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for even, odd in zip(words[::2], words[1::2], strict=True):
        first = (first + even + second) & 0xFFFFFFFF
        second = (second + odd + first) & 0xFFFFFFFF
    return struct.pack(">2I", first, second)
