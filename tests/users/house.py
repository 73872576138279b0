"""The house with the key that the erased are hashed with, and what erases in it."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bot.people.erasure import Erasure
from bot.people.graves import Graves
from bot.store.keyring import KEYRING
from bot.store.restoring import GRAVES_KEY
from tests.pipeline.house import Core, core

SECRET = b"key of this installation"


def keep_graves(house: Core) -> None:
    house.intake.graves = Graves(SECRET)


@asynccontextmanager
async def house(folder: Path, **more: Any) -> AsyncIterator[Core]:
    async with core(folder, built=keep_graves, **more) as found:
        (folder / GRAVES_KEY).write_bytes(SECRET)
        yield found


def eraser(found: Core, folder: Path) -> Erasure:
    assert found.intake.graves is not None
    return Erasure(found.store, found.clock, folder, found.conversations, found.delivery, found.intake.graves)


def empty_folder(path: Path, ring: Path) -> Path:
    """A new machine: the keyring of now, and nothing else."""
    path.mkdir()
    shutil.copyfile(ring / KEYRING, path / KEYRING)
    return path
