"""The same command with the same key is carried out once, decisions and proposals included."""

import asyncio
from pathlib import Path

import pytest

from bot.errors import Refused
from bot.store import actions
from tests.handoff.kit import Office, World, office

WISH = "I want to talk to a human, please."
ASKED = "SELECT count(*) FROM suggestions"


async def taken(desk: Office) -> None:
    await desk.say(WISH)
    await desk.act("ben", "!take")
    await desk.say("Where is my parcel?")


async def test_the_same_key_proposes_once_and_gives_the_same_proposal(tmp_path: Path) -> None:
    async with office(World(tmp_path)) as desk:
        await taken(desk)
        first = await desk.act("ben", "!suggest", key="k1")
        assert await desk.act("ben", "!suggest", key="k1") == first
        assert await desk.all(ASKED) == [(1,)]
        assert (await desk.act("ben", "!suggest", key="k2")).suggestion != first.suggestion


async def test_who_asks_again_while_a_model_still_thinks_waits_for_the_same_proposal(tmp_path: Path) -> None:
    async with office(World(tmp_path)) as desk:
        await taken(desk)
        one, two = await asyncio.gather(*(desk.act("ben", "!suggest", key="k1") for _ in range(2)))
        assert one == two
        assert await desk.all(ASKED) == [(1,)]


async def test_the_same_key_decides_once_and_answers_the_same(tmp_path: Path) -> None:
    async with office(World(tmp_path)) as desk:
        await taken(desk)
        entry = {"id": "q1", "kind": "note", "subject": "s1", "conversation": desk.id_of("ada"), "detail": "", "now": 1}
        await desk.store.run(lambda cursor: cursor.execute(actions.ADD_TO_QUEUE, entry))
        first = await desk.act("ben", "!happened q1 I looked", key="k1")
        assert await desk.act("ben", "!happened q1 I looked", key="k1") == first
        with pytest.raises(Refused, match="decided already"):
            await desk.act("ben", "!happened q1 I looked", key="k2")
