"""What a background model writes for operators: a summary in place of the plain one, and what it costs."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

from bot.errors import Fault, ModelError
from bot.handoff.briefing import PAYER, Briefing
from bot.ports import ChatRequest, Chunk, Finished, TextDelta, Usage
from tests.handoff.kit import Office, World, office
from tests.memory.house import chain
from tests.pipeline.house import Script, ScriptedModel

WISH = "I want to talk to a human about my lost zebra, please."
SUMMARY = "They have lost a zebra and nothing was tried yet."


async def writes(request: ChatRequest) -> AsyncIterator[Chunk]:
    yield TextDelta(json.dumps({"summary": SUMMARY}))
    yield Usage(100, 20)
    yield Finished()


async def fails(request: ChatRequest) -> AsyncIterator[Chunk]:
    for _ in request.messages:
        raise ModelError("the key is refused", Fault.KEY)
    yield Finished()


def briefing(desk: Office, script: Script) -> tuple[Briefing, ScriptedModel]:
    model = ScriptedModel(script)
    return Briefing(desk.store, desk.clock, {}, {"main": chain(model, desk.clock)}, 60.0), model


async def summary(desk: Office) -> str:
    return str(json.loads((await desk.record()).brief)["summary"])


async def test_a_models_summary_takes_the_place_of_the_plain_one(tmp_path: Path) -> None:
    """What it read is the case, and what it cost is put down to the operators."""
    async with office(World(tmp_path)) as desk:
        await desk.say(WISH)
        desk_briefing, model = briefing(desk, writes)
        await desk_briefing._improve(await desk.record())
        assert await summary(desk) == SUMMARY
        assert "zebra" in model.requests[0].messages[0].text
        assert await desk.all("SELECT payer, calls, input_tokens FROM spend") == [(PAYER, 1, 100)]
        assert await desk_briefing.summary(await desk.found()) == SUMMARY


async def test_the_plain_summary_stays_where_no_model_answers(tmp_path: Path) -> None:
    async with office(World(tmp_path)) as desk:
        await desk.say(WISH)
        plain = await summary(desk)
        desk_briefing, model = briefing(desk, fails)
        await desk_briefing._improve(await desk.record())
        assert await summary(desk) == plain
        assert "zebra" in await desk_briefing.summary(await desk.found())
        assert len(model.requests) == 1
