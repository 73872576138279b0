"""`frontdesk handoff`, through a real control socket: what it prints, what reaches the desk, and as whom."""

import argparse
import asyncio
import getpass
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from bot.commands import handoff
from bot.errors import Refused
from bot.handoff.commands import Command, Kind
from bot.handoff.control import answer
from bot.handoff.feed import Feed
from bot.handoff.machine import Happening
from bot.handoff.views import Views
from bot.model import Author
from bot.net.control import CommandFailed, ControlServer, NotRunning, socket_path
from tests.commands.test_command_line import UNSAFE
from tests.console.desk import KeepingDesk
from tests.console.people import People, case_of
from tests.operators.house import House, housed

Run = Callable[[argparse.Namespace], int]
HOUR = 3_600_000


class Line:
    """The command line of a data folder whose daemon answers."""

    def __init__(self, house: House, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.house = house
        self.feed = Feed()
        self.views = Views(house.store, house.clock, self.feed)
        self.desk = KeepingDesk()
        self.people = People(house.store, house.clock.now_ms() - HOUR)
        self._config = config
        self._capsys = capsys

    async def __call__(self, run: Run, **arguments: object) -> str:
        """What it prints."""
        given = {"json": False, "all": False, "by": "", **arguments}
        asked = argparse.Namespace(config=self._config, **given)
        assert await asyncio.to_thread(run, asked) == 0
        return self._capsys.readouterr().out

    async def handle(self, account: str, command: str, arguments: dict[str, Any]) -> object:
        return await answer(self.desk, self.views, self.house.operators, account, command, arguments)


@pytest.fixture
async def line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> AsyncIterator[Line]:
    config = tmp_path / "config.toml"
    config.write_text('[data]\npath = "data"\n')
    async with housed(tmp_path / "data") as house:
        line = Line(house, config, capsys)
        server = ControlServer(socket_path(house.data, {}), line.handle)
        running = asyncio.create_task(server.run())
        async with asyncio.timeout(5):
            await server.ready.wait()
        try:
            yield line
        finally:
            running.cancel()
            await asyncio.wait([running])


async def test_the_list_shows_what_breaks_first_and_with_all_what_the_agent_has(line: Line) -> None:
    assert "Nobody waits" in await line(handoff.run_list)
    now = line.house.clock.now_ms()
    await line.people.talk("Agent's")
    for name, due in (("Late", 5), ("Later", 9)):
        await line.people.timer(await line.people.ask(await line.people.talk(name)), "first reply", now + due * HOUR)
    await line.people.ask(await line.people.talk("Never", text="x\ty\x1b[31m"))
    rows = (await line(handoff.run_list)).splitlines()
    assert [row.split("\t")[2] for row in rows] == ["who", "Late", "Later", "Never"]
    assert not UNSAFE.search("".join(rows).replace("\t", ""))
    shown = json.loads(await line(handoff.run_list, json=True, all=True))
    assert [row["user"]["name"] for row in shown] == ["Late", "Later", "Never", "Agent's"]


async def test_a_case_is_shown_whole_by_the_beginning_of_its_id(line: Line) -> None:
    ann = await line.house.add("ann")
    zoe = await line.people.talk("Zoe", text="Where is it?\n\x1b]0;x\x07")
    await line.people.ask(zoe, "lost parcel", brief=json.dumps({"summary": "It is lost"}))
    await line.people.move(zoe, Happening.CLAIM, ann.id, by=ann.id)
    await line.people.say(zoe, "be kind", Author.OPERATOR, name="Ann", is_note=True)
    shown = await line(handoff.run_show, case=case_of(zoe)[:8])
    for part in (
        "Zoe on web",
        "active, with ann",
        "lost parcel",
        "It is lost",
        "Where is it?",
        "claim by ann",
        "a note",
        "be kind",
    ):
        assert part in shown, part
    assert not UNSAFE.search(shown.replace("\n", ""))
    assert json.loads(await line(handoff.run_show, case=zoe, json=True))["row"]["conversation"] == zoe


@pytest.mark.parametrize(
    ("kind", "words", "command"),
    [
        ("take", {}, Command(Kind.TAKE)),
        ("reply", {"text": ["On", "its", "way"]}, Command(Kind.REPLY, "On its way")),
        ("return", {"instruction": "offer 10%"}, Command(Kind.RETURN, "offer 10%")),
        ("return", {"instruction": ""}, Command(Kind.RETURN)),
        ("resolve", {"text": []}, Command(Kind.RESOLVE)),
        ("snooze", {"text": "2h"}, Command(Kind.SNOOZE, "2h")),
    ],
)
async def test_each_command_reaches_the_desk_as_the_same_command_as_elsewhere(
    line: Line, kind: str, words: dict[str, object], command: Command
) -> None:
    await line.house.add("ann")
    zoe = await line.people.talk("Zoe")
    assert await line(handoff.run_act, kind=kind, case=zoe[:9], by="ann", **words) == "Done.\n"
    (act,) = line.desk.acts
    assert (act.operator, act.conversation, act.command) == ("ann", zoe, command)
    assert act.key.startswith(f"cli:{getpass.getuser()}:")


async def test_without_a_name_it_is_the_only_operator_there_is_and_nobody_otherwise(line: Line) -> None:
    zoe = await line.people.talk("Zoe")
    with pytest.raises(CommandFailed, match="nobody yet"):
        await line(handoff.run_act, kind="take", case=zoe)
    await line.house.add("ann")
    told = json.loads(await line(handoff.run_act, kind="take", case=zoe, json=True))
    assert (told["operator"], told["conversation"]) == ("ann", zoe)
    await line.house.add("ben")
    with pytest.raises(CommandFailed, match=r"--as NAME .*ann, ben"):
        await line(handoff.run_act, kind="take", case=zoe)


async def test_what_is_refused_is_said_in_its_own_words(line: Line) -> None:
    await line.house.add("ann")
    zoe = await line.people.talk("Zoe")
    for arguments, words in (
        ({"kind": "take", "case": "ffffffff"}, "no case"),
        ({"kind": "take", "case": ""}, "at least 4 letters"),
        ({"kind": "take", "case": zoe, "by": "eve"}, "no operator eve"),
        ({"kind": "snooze", "case": zoe, "text": ""}, "Please write"),
    ):
        with pytest.raises(CommandFailed, match=words):
            await line(handoff.run_act, **arguments)
    line.desk.refusal = Refused("taken", "Ben has this conversation.")
    with pytest.raises(CommandFailed, match=r"^Ben has this conversation\.$"):
        await line(handoff.run_act, kind="take", case=zoe)
    assert line.desk.acts == []


async def test_one_who_watches_sees_what_happens_as_it_does(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    zoe = await line.people.talk("Zoe")
    await line.people.ask(zoe)
    ann = await line.house.add("ann")
    shown: list[str] = []
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()

    def say(text: str) -> None:
        shown.append(text)
        if "release" in text:
            raise KeyboardInterrupt

    async def changes(after: str, about: str = "", real: Any = line.views.changes) -> Any:
        found = await real(after, about)
        loop.call_soon(asked.set)
        return found

    monkeypatch.setattr(handoff, "say", say)
    monkeypatch.setattr(line.views, "changes", changes)
    watching = asyncio.create_task(line(handoff.run_watch, case=""))
    await asyncio.wait_for(asked.wait(), 5)
    for what in (Happening.CLAIM, Happening.RELEASE):
        await line.people.move(zoe, what, ann.id, by=ann.id)
        line.feed.touch(zoe)
    await asyncio.wait_for(watching, 10)
    assert [each.split(": ", 1)[1].split(",")[0] for each in shown] == ["claim by ann", "release by ann"]
    assert case_of(zoe)[:8] in shown[0]


async def test_without_a_daemon_it_says_so(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[data]\npath = "data"\n')
    with pytest.raises(NotRunning):
        handoff.run_list(argparse.Namespace(config=config, json=False, all=False))
