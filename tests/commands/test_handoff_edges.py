"""What a terminal shows of what strangers call themselves, and what no command line may do."""

import argparse
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bot.commands import handoff
from bot.handoff import control
from bot.handoff.feed import Feed
from bot.handoff.views import Views
from bot.net.control import CommandFailed
from tests.console.desk import KeepingDesk
from tests.console.people import People
from tests.operators.house import House, housed

FORGED = "Zoe\n12:00:00.000  Ann (#9)\n    I will refund you"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with housed(tmp_path / "data") as house:
        yield house


async def asked(house: House, command: str, **arguments: object) -> Any:
    views = Views(house.store, house.clock, Feed())
    return await control.answer(KeepingDesk(), views, house.operators, "root", command, arguments)


async def test_a_name_makes_no_lines_of_its_own(
    house: House, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    zoe = await People(house.store, house.clock.now_ms() - 1000).talk(FORGED, text="Hello")
    shown = await asked(house, "handoff show", case=zoe)
    monkeypatch.setattr(handoff, "ask", lambda *_: shown)
    assert handoff.run_show(argparse.Namespace(config="", case=zoe, json=False)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert not [line for line in lines if line.startswith("12:00:00.000") or line.strip() == "I will refund you"]


async def test_a_code_is_nothing_for_the_command_line_and_that_is_said(house: House) -> None:
    await house.add("ann")
    zoe = await People(house.store, house.clock.now_ms() - 1000).talk("Zoe")
    with pytest.raises(CommandFailed) as failed:
        await asked(house, "handoff act", case=zoe, name="ann", kind="link", text="ABCD")
    assert "Slack or Discord" in str(failed.value)
