"""Files that people send: kept under names of ours, typed by their content, read only by their owner."""

import asyncio
import hashlib
import os
import struct
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final, TypeVar

from bot import ids
from bot.errors import Refused, StoreUnavailable
from bot.model import Blob, BlobId, Identity
from bot.ports import Clock, Cursor, Store, Value
from bot.store import records
from bot.store.folder import sync_folder
from bot.text import clean

T = TypeVar("T")
HEAD_BYTES = 262  # what the type detection reads
NAME_CHARS = 120
CHUNK_BYTES = 65_536
_SHOWN = {"image/png", "image/jpeg", "image/gif", "image/webp", "application/pdf"}
_HEARD = {
    "audio/ogg",
    "audio/mpeg",
    "audio/mp4",
    "audio/x-m4a",
    "audio/m4a",
    "audio/aac",
    "audio/amr",
    "audio/x-wav",
    "audio/wav",
    "audio/x-flac",
    "audio/flac",
    "video/mp4",  # a voice clip is often packed as a film without pictures
    "video/webm",
}
TYPES = frozenset(_SHOWN | _HEARD)
PIXELS_MOST = 50_000_000  # of a picture: what takes it apart needs memory for each
_SENT_BY_OPERATORS = """
    SELECT m.attachments FROM conversations c JOIN messages m ON m.conversation_id = c.id
    WHERE c.channel = :channel AND c.account = :account AND c.identity_id = :identity AND c.kind = ''
      AND m.author = 'operator' AND m.visibility = 'public' AND m.is_deleted = 0 AND m.attachments NOT IN ('', '[]')"""
ORPHAN_S = 3600.0  # a file has its row long before

OWN_COPY: Final = "application/vnd.frontdesk.user-export+json"
"""The media type of a copy of a person's data that is kept for them, and of no other file: no model is shown what is in it, as it would be
of plain JSON, and no operator."""


class Blobs:
    """The `blobs` folder and its rows. A row is written after its file is durable; a file without a row is left over and harmless."""

    def __init__(self, folder: Path, store: Store, clock: Clock, size_most: int) -> None:
        self._folder = folder
        self._store = store
        self._clock = clock
        self._size_most = size_most

    async def tidy(self) -> None:
        """At a start: removes what an interrupted upload left."""
        await asyncio.to_thread(_remove_partials, self._folder)

    async def save(self, data: AsyncIterator[bytes], name: str, owner: Identity) -> Blob:
        """Raises Refused("bad_type" | "too_large" | "empty") or StoreUnavailable; nothing is kept then."""
        now = self._clock.now_ms()
        blob_id = BlobId(ids.new_id(now))
        size, digest, media_type = await self._keep(data, blob_id)
        blob = Blob(blob_id, shown_name(name), media_type, size)
        row: dict[str, Value] = {
            "name": blob.name,
            "media_type": media_type,
            "size": size,
            "sha256": digest,
            "now": now,
        }
        await self._store.run(add, row | records.blob_key(blob_id, owner))
        return blob

    async def open(self, blob_id: BlobId, reader: Identity) -> tuple[Blob, AsyncIterator[bytes]]:
        """Raises Refused("no_blob") unless `reader` owns it, or an operator has sent it to them."""
        rows = await self._store.read(records.BLOB_OF_OWNER, records.blob_key(blob_id, reader))
        known = rows or await self._store.read(records.BLOB_BY_ID, {"id": blob_id})
        if not rows and known and await self._was_sent(blob_id, reader):
            rows = known
        path = path_of(self._folder, BlobId(rows[0][0])) if rows else None
        if path is None or not path.is_file():
            raise Refused("no_blob", "That file is not there (any more).")
        return records.blob_of(rows[0]), _read(path)

    async def _was_sent(self, blob_id: BlobId, reader: Identity) -> bool:
        """Notes are for operators, and with them their files."""
        identity = ids.identity_id(reader.channel, reader.account, reader.external_id)
        where: dict[str, Value] = {"channel": reader.channel, "account": reader.account, "identity": identity}
        sent = await self._store.read(_SENT_BY_OPERATORS, where)
        return any(each.blob == blob_id for row in sent for each in records.attachments_of(row[0]))

    async def open_any(self, blob_id: BlobId) -> tuple[Blob, AsyncIterator[bytes]]:
        """A file of a message that goes out: whose message it is has been checked. Raises Refused("no_blob")."""
        rows = await self._store.read(records.BLOB_BY_ID, {"id": blob_id})
        path = path_of(self._folder, blob_id) if rows else None
        if path is None or not path.is_file():
            raise Refused("no_blob", "That file is not there (any more).")
        return records.blob_of(rows[0]), _read(path)

    async def drop_orphans(self, now_s: float) -> int:
        """Removes files whose rows are gone: what was in them was forgotten. Returns how many."""
        known = {row[0] for row in await self._store.read(records.ALL_BLOBS)}
        try:
            return await asyncio.to_thread(_remove_orphans, self._folder, known, now_s - ORPHAN_S)
        except OSError as error:
            raise StoreUnavailable(f"files without a row could not be removed: {error}") from error

    async def read(self, blob_id: BlobId) -> bytes:
        """A file whole, for a model that is to see it. Whose it is has been checked when it became part of a message. Raises
        Refused("no_blob")."""
        try:
            return await asyncio.to_thread(path_of(self._folder, blob_id).read_bytes)
        except OSError as error:
            raise Refused("no_blob", "That file is not there (any more).") from error

    async def _keep(self, data: AsyncIterator[bytes], blob_id: BlobId) -> tuple[int, str, str]:
        partial = self._folder / f"{blob_id}.part"
        file = await _on_disk(_create, partial)
        try:
            size, digest, head = await self._receive(data, file)
            media_type = type_of(head)
            if media_type.startswith("image/"):
                await _on_disk(_check_pixels, partial)
            await _on_disk(_settle, file, partial, path_of(self._folder, blob_id))
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        finally:
            os.close(file)
        return size, digest, media_type

    async def _receive(self, data: AsyncIterator[bytes], file: int) -> tuple[int, str, bytes]:
        size, digest, head = 0, hashlib.sha256(), b""
        async for chunk in data:
            size += len(chunk)
            if size > self._size_most:
                raise Refused("too_large", f"The file is too large: at most {self._size_most // 1_048_576} MB.")
            if len(head) < HEAD_BYTES:
                head += chunk[:HEAD_BYTES]
                if len(head) >= HEAD_BYTES:
                    type_of(head)
            digest.update(chunk)
            await _on_disk(_write, file, chunk)
        if not size:
            raise Refused("empty", "The file is empty.")
        return size, digest.hexdigest(), head


def _remove_orphans(folder: Path, known: set[str], before_s: float) -> int:
    gone = [
        path
        for path in folder.glob("??/*")
        if path.is_file() and path.name not in known and path.stat().st_mtime < before_s
    ]
    for path in gone:
        path.unlink(missing_ok=True)
    return len(gone)


def path_of(folder: Path, blob_id: str) -> Path:
    return folder / blob_id[-2:] / blob_id


def add(cursor: Cursor, row: dict[str, Value]) -> None:
    cursor.execute(records.ADD_BLOB, row)


def keep(folder: Path, blob_id: str, data: bytes) -> None:
    """A file of ours, durable under its name, or not there. Nobody finds it without a row; housekeeping removes it then. Raises OSError.
    Blocking."""
    partial = folder / f"{blob_id}.part"
    file = _create(partial)
    try:
        _write(file, data)
        _settle(file, partial, path_of(folder, blob_id))
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    finally:
        os.close(file)


def _check_pixels(picture: Path) -> None:
    """Looks at the picture's header alone. Raises Refused("too_large")."""
    import imagesize  # with the first upload

    try:
        width, height = imagesize.get(picture)
    except (ValueError, struct.error, OverflowError):  # its header is cut off or false: whoever shows it will say so
        return
    with picture.open("rb") as file:
        is_gif = file.read(3) == b"GIF"
    if is_gif:  # whose sizes are read as if they had a sign
        width, height = width % 65_536, height % 65_536
    if width * height > PIXELS_MOST:
        raise Refused("too_large", f"The picture is too large: at most {PIXELS_MOST // 1_000_000} million pixels.")


def type_of(head: bytes) -> str:
    """The media type by content. Raises Refused("bad_type")."""
    import filetype  # with the first upload

    kind = filetype.guess_mime(head)
    if kind not in TYPES:
        raise Refused("bad_type", "Please send an image (PNG, JPEG, GIF, WebP), a PDF or a voice message.")
    return str(kind)


def shown_name(name: str) -> str:
    """For display only: one line, no path, of bounded length. It never names a file of ours."""
    last = clean(name).replace("\\", "/").rsplit("/", 1)[-1]
    return " ".join(last.split())[:NAME_CHARS] or "file"


async def _on_disk(call: Callable[..., T], *args: object) -> T:
    """On a thread. A full disk is the store's trouble, and repeating helps once it is over."""
    try:
        return await asyncio.to_thread(call, *args)
    except OSError as error:
        raise StoreUnavailable(f"a file cannot be kept: {error}") from error


def _create(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)


def _write(file: int, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        view = view[os.write(file, view) :]


def _settle(file: int, partial: Path, final: Path) -> None:
    os.fsync(file)
    if not final.parent.exists():
        final.parent.mkdir(mode=0o700, exist_ok=True)
        sync_folder(final.parent.parent)
    partial.rename(final)
    sync_folder(final.parent)


async def _read(path: Path) -> AsyncIterator[bytes]:
    file = await asyncio.to_thread(path.open, "rb")
    try:
        while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
            yield chunk
    finally:
        file.close()


def _remove_partials(folder: Path) -> None:
    for partial in folder.glob("*.part"):
        partial.unlink(missing_ok=True)
