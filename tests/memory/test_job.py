"""The work of memory is done once, whatever happens in the middle of it."""

import asyncio
import json
import shutil
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

from bot.errors import Fault, ModelError
from bot.memory.job import AT_ONCE, SINCE_MS
from bot.model import Address, CaseEnded, ForgetRequested, Identity
from bot.ports import ChatRequest, Chunk, Finished, TextDelta
from bot.store.folder import DATABASE
from tests.memory.house import remembering, told
from tests.memory.test_memory import saying

CASES = 2


async def child(folder: Path, point: str) -> tuple[int, str]:
    """The status of a run of the job that ends at the point, and how many points there were."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.memory.job_child", str(folder), point, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    return process.returncode or 0, out.decode()


async def ended_cases(folder: Path) -> None:
    async with remembering(folder, script=saying("Yes.")) as desk:
        for number in range(CASES):
            await desk.say(f"I am Ada, question {number}")
            desk.keeper._agents = set()
            who = Identity("list", "", "ada")
            await desk.house.intake.receive(CaseEnded(who, Address("list", "", "ada")))
            await desk.house.rest(1)


async def test_killed_between_any_two_steps_every_case_is_remembered_once(in_memory: Path) -> None:
    """The next start goes on where it was: one episode a case, one fact."""
    await ended_cases(in_memory / "ended")
    shutil.copytree(in_memory / "ended", in_memory / "whole")
    points = int((await child(in_memory / "whole", ""))[1])
    assert points >= CASES * 3
    for point in [*(f"before {number}" for number in range(1, points + 1)), f"after {points}"]:
        folder = in_memory / point
        shutil.copytree(in_memory / "ended", folder)
        assert await child(folder, point) == (9, "")
        assert (await child(folder, ""))[0] == 0
        with closing(sqlite3.connect(folder / DATABASE)) as rows:
            assert rows.execute("SELECT count(*), count(DISTINCT case_id) FROM episodes").fetchall() == [(CASES, CASES)]
            assert rows.execute("SELECT value FROM facts WHERE ended_ms IS NULL").fetchall() == [("Ada",)]
            assert rows.execute("SELECT count(*) FROM cases WHERE remembered_ms IS NULL").fetchall() == [(0,)]


async def test_a_second_round_changes_nothing(tmp_path: Path) -> None:
    """What is remembered is no work."""
    async with remembering(tmp_path, notes=told(), script=saying("Yes.")) as desk:
        await desk.say("Hello there")
        await desk.end()
        before = await desk.rows("episodes")
        assert await desk.keeper.round() == 0
        assert await desk.rows("episodes") == before


async def test_two_rounds_at_once_write_one_episode(tmp_path: Path) -> None:
    """The mark and the episode are one."""
    async with remembering(tmp_path, notes=told(), script=saying("Yes.")) as desk:
        await desk.say("Hello there")
        desk.keeper._agents = {"main"}
        await desk.house.intake.receive(CaseEnded(Identity("list", "", "ada"), Address("list", "", "ada")))
        await desk.house.rest(1)
        await asyncio.gather(desk.keeper.round(), desk.keeper.round())
        assert len(await desk.rows("episodes")) == 1


async def test_f114_what_is_forgotten_while_a_model_is_at_it_is_thrown_away(tmp_path: Path) -> None:
    """Neither an episode nor a fact comes after."""
    who, at = Identity("list", "", "ada"), Address("list", "", "ada")

    async def forgets_meanwhile(request: ChatRequest) -> AsyncIterator[Chunk]:
        await desk.house.intake.receive(ForgetRequested(who, at))
        fact = {"kind": "name", "value": "Ada", "about": ""}
        yield TextDelta(json.dumps({"happened": "canary", "facts": [fact]}))
        yield Finished()

    async with remembering(tmp_path, notes=forgets_meanwhile, script=saying("Yes.")) as desk:
        await desk.say("I am Ada")
        await desk.end()
        assert await desk.rows("episodes") == []
        assert await desk.rows("facts") == []
        await desk.keeper.round()
        assert await desk.rows("episodes") == []


async def test_where_no_background_model_answers_the_rows_tell(tmp_path: Path) -> None:
    """A failure is not waited out."""

    async def fails(request: ChatRequest) -> AsyncIterator[Chunk]:
        if request.messages:
            raise ModelError("down", Fault.MALFORMED)
        yield Finished()

    async with remembering(tmp_path, notes=fails, script=saying("We will send you a tube.")) as desk:
        await desk.say("My tyre is flat")
        ending = asyncio.create_task(desk.end())
        for _ in range(200):
            await desk.house.rest(1)  # between two tries
        await ending
        text = str((await desk.house.all("SELECT text FROM episodes"))[0][0])
        assert "My tyre is flat" in text
        assert "Promised: We will send you a tube." in text


async def test_a_round_is_bounded_and_old_cases_are_left_alone(tmp_path: Path) -> None:
    """What ended long before memory was switched on is not written down."""
    async with remembering(tmp_path, script=saying("Yes.")) as desk:
        desk.keeper._agents = set()
        for number in range(AT_ONCE + 2):
            await desk.say("Hello", person=f"p{number}")
        await desk.house.store.run(
            lambda cursor: cursor.execute("UPDATE cases SET ended_ms = :now", {"now": desk.house.clock.now_ms()})
        )
        desk.keeper._agents = {"main"}
        assert await desk.keeper.round() == AT_ONCE
        desk.house.clock.step_wall(SINCE_MS + 1)
        assert await desk.keeper.round() == 0
        assert len(await desk.rows("episodes")) == AT_ONCE


async def test_no_turn_waits_for_the_job(tmp_path: Path) -> None:
    """A background model that never answers holds nobody up."""
    waits = asyncio.Event()

    async def never(request: ChatRequest) -> AsyncIterator[Chunk]:
        await waits.wait()
        yield Finished()

    async with remembering(tmp_path, notes=never) as desk:
        await desk.say("Hello")
        await desk.house.intake.receive(CaseEnded(Identity("list", "", "ada"), Address("list", "", "ada")))
        round_ = asyncio.create_task(desk.keeper.round())
        await desk.say("Hello again")
        assert desk.sent[-1] == "You said: Hello again"
        round_.cancel()
        await asyncio.gather(round_, return_exceptions=True)
