"""f50: the power fails at any moment, and any sectors of what was not synced are lost."""

import asyncio
import shutil
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest

from bot.errors import DataError
from bot.store.folder import DATABASE, prepare
from bot.store.sqlite import connect_writer
from tests.faults.images import Replay, read_log
from tests.faults.shim import Worker
from tests.store.database import fill, noted

UNITS = 45


@dataclass(slots=True)
class Verdict:
    """Over all images: which did not open, which had a half of a unit or an index unlike its table, and which acknowledged units
    were lost."""

    images: int = 0
    refused: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    losses: list[set[str]] = field(default_factory=list)
    rows: set[int] = field(default_factory=set)


def cut_everywhere(worker: Worker, room: Path, seed: int, images: int, synchronous: str) -> Verdict:
    data, before = room / "data", room / "before"
    prepare(data)
    asyncio.run(fill(data, 3, 300))
    shutil.copytree(data, before)
    log = room / "log"
    outcome = worker.run(data, UNITS, log=str(log), synchronous=synchronous)
    assert len(outcome.acknowledged) == UNITS
    records, random, verdict = read_log(log), Random(seed), Verdict()
    moments = sorted(random.sample(range(len(records)), min(images, len(records))))
    replay = Replay(before)
    for number, record in enumerate(records):
        replay.step(record)
        if number in moments:
            replay.write_image(room / "image", random)
            judge(room / "image", replay.acknowledged, verdict)
            shutil.rmtree(room / "image")
    return verdict


def judge(image: Path, acknowledged: list[str], verdict: Verdict) -> None:
    verdict.images += 1
    try:
        connect_writer(image / DATABASE).close()
    except DataError as error:
        verdict.refused.append(str(error))
        return
    try:
        found = noted(image)
    except (AssertionError, sqlite3.DatabaseError) as error:
        verdict.broken.append(repr(error))
        return
    verdict.rows.add(len(found))
    if lost := set(acknowledged) - set(found):
        verdict.losses.append(lost)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_f50_what_was_acknowledged_survives_a_power_cut(worker: Worker, tmp_path: Path, seed: int) -> None:
    """Every image opens, is whole, has no half of a unit, and lacks nothing that was acknowledged before the cut."""
    verdict = cut_everywhere(worker, tmp_path, seed, 60, "FULL")
    assert (verdict.refused, verdict.broken, verdict.losses) == ([], [], [])
    assert verdict.images == 60
    assert len(verdict.rows) > 10


def test_f50_a_store_that_does_not_sync_is_found_out(worker: Worker, tmp_path: Path) -> None:
    """The same images of a store with synchronous = OFF do lack acknowledged units: the test above can fail."""
    verdict = cut_everywhere(worker, tmp_path, 1, 60, "OFF")
    assert verdict.losses
    assert len(verdict.losses) + len(verdict.refused) + len(verdict.broken) > 10
