"""A person's export as one ZIP, made piece by piece while it is sent: nothing of it lies on the disk, and little of it in memory."""

import io
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, cast

from bot.people.exporting import FILE, FILES, Export
from bot.store.blobs import path_of

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

MISSING: Final = "missing.txt"
_CHUNK_BYTES: Final = 262_144
_DATE: Final = (1980, 1, 1, 0, 0, 0)  # the earliest that ZIP knows: when a file was packed tells nothing


def packed(export: Export, blobs: Path) -> Iterator[bytes]:
    """The bytes of the ZIP: `user.json`, the files, and the names of those that are gone. Blocking: take each piece in a thread."""
    out = _Pieces()
    missing: list[str] = []
    with zipfile.ZipFile(cast("IO[bytes]", out), "w", zipfile.ZIP_DEFLATED) as archive:
        yield from _added(archive, out, FILE, _json(export.data))
        for blob, name in export.files:
            try:
                file = path_of(blobs, blob).open("rb")
            except FileNotFoundError:
                missing.append(name)
                continue
            with file:
                yield from _added(archive, out, f"{FILES}/{name}", iter(partial(file.read, _CHUNK_BYTES), b""))
        if missing:
            lines = "".join(f"{name}\n" for name in missing)
            yield from _added(archive, out, MISSING, iter([lines.encode()]))
    yield out.take()


class _Pieces(io.RawIOBase):
    """Where the ZIP is written to: keeps what has not been taken yet. It cannot seek, so that the ZIP is written front to back."""

    def __init__(self) -> None:
        super().__init__()
        self._held = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: "ReadableBuffer", /) -> int:
        self._held += data
        return memoryview(data).nbytes

    def take(self, least: int = 0) -> bytes:
        if len(self._held) < least:
            return b""
        taken, self._held = bytes(self._held), bytearray()
        return taken


def _added(archive: zipfile.ZipFile, out: _Pieces, name: str, data: Iterator[bytes]) -> Iterator[bytes]:
    entry = zipfile.ZipInfo(name, _DATE)
    entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o600 << 16
    with archive.open(entry, "w", force_zip64=True) as into:
        for chunk in data:
            into.write(chunk)
            if piece := out.take(_CHUNK_BYTES):
                yield piece


def _json(data: Mapping[str, Any]) -> Iterator[bytes]:
    """One row a line: a long list is never one text."""
    begin = "{\n"
    for name, value in data.items():
        yield f"{begin}{json.dumps(name)}: ".encode()
        yield from _rows(value) if isinstance(value, list) else [_line(value)]
        begin = ",\n"
    yield b"\n}\n"


def _rows(rows: Sequence[object]) -> Iterator[bytes]:
    yield b"["
    for number, row in enumerate(rows):
        yield (b",\n " if number else b"\n ") + _line(row)
    yield b"\n]" if rows else b"]"


def _line(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
