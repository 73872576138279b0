"""A sealed backup: made from a database that is in use, and opened as far as there are keys.

Nothing plain is written into the backup at any time: rows are sealed as they are read, all at one moment of the database.
"""

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

from bot import ids
from bot.errors import DataError
from bot.recovery import BACKUP
from bot.store import keyring
from bot.store.copying import (
    MARK,
    PARTIAL,
    UPLOADS,
    Blob,
    Files,
    bring_blobs,
    finish,
    new_database,
    opened,
    put,
    sync_file,
    uploads_of,
)
from bot.store.folder import DATABASE, sync_folder
from bot.store.keyring import HOUSE, KEYRING, Keyring
from bot.store.migrations import APPLICATION_ID, check, latest, migrate
from bot.store.packets import FORM, SEALED_ID, Opener, Sealer
from bot.store.restoring import GRAVES_SINCE, bind, settle
from bot.store.sealing import NOBODY, OWNED, Ownership
from bot.store.sqlite import refuse_damage

log = logging.getLogger(__name__)

DOCUMENTS = "documents"
BLOBS_OWNED = "SELECT id, size_bytes, channel, account, owner FROM blobs"


def seal_backup(data: Path, target: Path, now_ms: int) -> tuple[int, Files]:
    unfinished = target / PARTIAL
    with closing(opened(data / DATABASE)) as source, new_database(unfinished, data / DATABASE) as made:
        version = _sealable(source, data / DATABASE)
        ownership, ring = _snapshot(source, data, now_ms)
        refuse_damage(source, data / DATABASE)
        made.execute(f"PRAGMA application_id = {SEALED_ID}")
        made.execute(f"PRAGMA user_version = {version}")
        made.execute("BEGIN")
        for sql in FORM:
            made.execute(sql)
        sealer = Sealer(made, ring.by_owner(), ids.new_id(now_ms))
        sealer.tables(source, ownership)
        files = bring_blobs(data, target, _to_seal(source, sealer, ownership))
        files = replace(files, documents=_seal_documents(data, target, sealer))
        sealer.finish(at_ms=now_ms, keyring_bytes=ring.size, documents=files.documents)
        made.execute("COMMIT")
    return finish(unfinished), files


def open_backup(source: Path, target: Path, ring: Keyring, now_ms: int) -> tuple[int, Files, int]:
    """A sealed backup, as far as there are keys."""
    unfinished = target / PARTIAL
    with closing(opened(source / DATABASE)) as sealed, new_database(unfinished, source / DATABASE) as made:
        version = _openable(sealed, source / DATABASE)
        refuse_damage(sealed, source / DATABASE)
        opener = Opener(sealed, ring.secrets())
        _refuse_keyring(opener, ring, source, target)
        made.execute("BEGIN")
        opener.tables(made)
        made.execute("COMMIT")
        made.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        made.execute(f"PRAGMA user_version = {version}")
        migrate(made, unfinished)
        made.execute(MARK, {"key": BACKUP, "value": opener.said["at_ms"]})
        files = bring_blobs(source, target, _to_open(opener))
        documents, lost = _open_documents(opener, source, target)
        files = replace(files, documents=documents, missing=files.missing + lost)
        again = bind(made, target, ring, is_lacking=bool(opener.gone), now_ms=now_ms)
    return finish(unfinished), files, len(opener.gone) + again


# --- its parts ---


def _snapshot(source: sqlite3.Connection, data: Path, now_ms: int) -> tuple[Ownership, Keyring]:
    """From here on `source` shows one moment, and everybody in it has a key. Who is erased meanwhile loses theirs after it was minted."""
    with keyring.held(data) as ring:
        source.execute("BEGIN")
        settle(source, data, ring)
        ownership = Ownership(source)
        ring.mint([HOUSE, *ownership.people], now_ms)
    return ownership, ring


def _to_seal(source: sqlite3.Connection, sealer: Sealer, ownership: Ownership) -> Iterator[Blob]:
    for blob, size, *owner in source.execute(BLOBS_OWNED):
        owners = ownership.of(OWNED["blobs"], (ids.identity_id(*owner),))[0] or NOBODY
        yield Blob(blob, size, partial(sealer.file, blob, owners))


def _to_open(opener: Opener) -> Iterator[Blob]:
    for blob, owner in opener.files():
        if opener.is_openable(owner):
            yield Blob(blob, None, partial(opener.file, blob, owner))


def _seal_documents(source: Path, target: Path, sealer: Sealer) -> int:
    """Under a number each: names are sealed, too."""
    folder = target / DOCUMENTS
    count = 0
    for path in uploads_of(source):
        try:
            content = path.read_bytes()
        except FileNotFoundError:  # deleted a moment ago
            continue
        count += 1
        folder.mkdir(mode=0o700, exist_ok=True)
        copy = folder / f"{count:06}"
        sealer.document(count, path.relative_to(source / UPLOADS).as_posix(), content, copy)
        sync_file(copy)
    if count:
        sync_folder(folder)
    return count


def _open_documents(opener: Opener, source: Path, target: Path) -> tuple[int, int]:
    """How many there are, and how many are missing or damaged. None in a backup that was made before they were in one."""
    count, missing = int(opener.said.get("documents", 0)), 0
    for number in range(1, count + 1):
        path = source / DOCUMENTS / f"{number:06}"
        try:
            name, content = opener.document(number, path)
        except (ValueError, FileNotFoundError):
            log.warning("%s is damaged or missing and is left out", path)
            missing += 1
            continue
        put(target / UPLOADS / name, content, target)
    return count - missing, missing


def _refuse_keyring(opener: Opener, ring: Keyring, source: Path, fresh: Path) -> None:
    """`fresh` has the keyring of the data folder."""
    data = fresh.with_name(fresh.name.removesuffix(".being-restored"))
    mend = f"Put the newest {KEYRING} of the installation that made the backup into {data}, and run it again."
    if not opener.is_openable(1):  # the house
        why = "is not the keyring that" if ring.by_owner() else "is missing, and with it what"
        raise DataError(f"{data / KEYRING} {why} {source} was sealed with. {mend}")
    if ring.size < int(opener.said["keyring_bytes"]):
        raise DataError(f"{data / KEYRING} is older than {source} and lacks keys of people in it. {mend}")
    if any(place is not None and not ring.is_destroyed(place) for place in opener.gone.values()):
        raise DataError(f"{data / KEYRING} went on without {source} and lacks keys of people in it. {mend}")


def _sealable(connection: sqlite3.Connection, path: Path) -> int:
    version = check(connection, path)
    if version == 0:
        raise DataError(f"{path} is empty. Check that it is the folder you mean.")
    if version < GRAVES_SINCE:
        raise DataError(
            f"{path} was written by an older Frontdesk (schema {version}) and cannot be sealed. Start this one once, then back up."
        )
    return version


def _openable(sealed: sqlite3.Connection, path: Path) -> int:
    version = int(sealed.execute("PRAGMA user_version").fetchone()[0])
    if version > latest():
        raise DataError(
            f"{path} was written by a newer Frontdesk (schema {version}; this one knows {latest()}). Install that version again."
        )
    return version
