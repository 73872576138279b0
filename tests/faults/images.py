"""What a disk may hold after a power cut: everything that was synced, and any sectors of what was not."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

SECTOR = 512


@dataclass(frozen=True, slots=True)
class Record:
    """One line of the shim's log. `offset` is the new length for a truncation, `path` the text of a note."""

    kind: str
    path: str
    offset: int
    data: bytes


@dataclass(slots=True)
class File:
    """`durable` has been synced; `open` are the writes and truncations since."""

    durable: bytearray
    open: list[Record] = field(default_factory=list)

    def sync(self) -> None:
        for record in self.open:
            apply(record, self.durable, [(0, len(record.data))])
        self.open.clear()

    def torn(self, random: Random) -> bytes:
        """The file after a cut: each sector of each open write has reached the disk, or has not."""
        content = bytearray(self.durable)
        share = random.choice([0.0, 0.1, 0.5, 0.9, 1.0])
        for record in self.open:
            if record.kind == "t" and random.random() >= share:
                continue
            apply(record, content, [piece for piece in sectors(record) if random.random() < share])
        return bytes(content)


def sectors(record: Record) -> Iterator[tuple[int, int]]:
    """From where to where in the data, so that each piece lies in one sector of the disk."""
    at = 0
    while at < len(record.data):
        end = min(len(record.data), at + SECTOR - (record.offset + at) % SECTOR)
        yield at, end
        at = end


def apply(record: Record, content: bytearray, pieces: list[tuple[int, int]]) -> None:
    if record.kind == "t":
        del content[record.offset :]
        content.extend(bytes(record.offset - len(content)))
    for start, end in pieces:
        reach = record.offset + end
        content.extend(bytes(max(0, reach - len(content))))
        content[record.offset + start : reach] = record.data[start:end]


def read_log(path: Path) -> list[Record]:
    raw, at, records = path.read_bytes(), 0, []
    while at < len(raw):
        offset, path_size, data_size = struct.unpack_from("=3q", raw, at + 1)
        start = at + 25
        name = raw[start : start + path_size].decode()
        end = start + path_size + data_size
        records.append(Record(chr(raw[at]), name, offset, raw[start + path_size : end]))
        at = end
    return records


class Replay:
    """The disk as it was at any moment of a log, over the files there were at its beginning."""

    def __init__(self, before: Path) -> None:
        self._files = {path.name: File(bytearray(path.read_bytes())) for path in before.iterdir() if path.is_file()}
        self.acknowledged: list[str] = []

    def step(self, record: Record) -> None:
        name = Path(record.path).name
        match record.kind:
            case "n":
                self.acknowledged.append(record.path)
            case "s":
                if name in self._files:  # a folder's sync is not needed: names are taken to be durable at once
                    self._files[name].sync()
            case _:
                if not name.endswith("-shm"):  # it is shared memory, and made anew after every end
                    self._files.setdefault(name, File(bytearray())).open.append(record)

    def write_image(self, folder: Path, random: Random) -> None:
        folder.mkdir()
        for name, file in self._files.items():
            (folder / name).write_bytes(file.torn(random))
