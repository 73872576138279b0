"""`frontdesk operator` and `frontdesk audit verify`, through a real control socket."""

import argparse
import asyncio
import getpass
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bot.commands import operator as command
from bot.net.control import CommandFailed, ControlServer, NotRunning, socket_path
from bot.operators.commands import answer
from bot.operators.operator import operator_id
from bot.ports import Cursor
from bot.store import audit
from tests.operators.house import PASSWORD, House, device, housed

CODE = re.compile(r": ((?:[0-9A-Z]{4}-)+[0-9A-Z]{4})\n")
Run = Callable[[argparse.Namespace], int]


class Line:
    """The command line of one data folder, whose daemon answers."""

    def __init__(self, house: House, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.house = house
        self._config = config
        self._capsys = capsys

    async def __call__(self, run: Run, name: str = "", **arguments: object) -> str:
        """What it prints."""
        asked = argparse.Namespace(config=self._config, name=name, **arguments)
        await asyncio.to_thread(run, asked)
        return self._capsys.readouterr().out

    async def handle(self, account: str, command: str, arguments: dict[str, Any]) -> object:
        if command == "audit verify":
            return await audit.report(self.house.store.read, str(arguments.get("noted", "")))
        return await answer(self.house.operators, self.house.signing, account, command, arguments)


@asynccontextmanager
async def running(server: ControlServer) -> AsyncIterator[None]:
    task = asyncio.create_task(server.run())
    try:
        async with asyncio.timeout(5):
            await server.ready.wait()
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> AsyncIterator[Line]:
    config = tmp_path / "config.toml"
    config.write_text('[data]\npath = "kept"\n')
    async with housed(tmp_path / "kept") as house:
        made = Line(house, config, capsys)
        async with running(ControlServer(socket_path(house.data, {}), made.handle)):
            yield made


def code_of(text: str) -> str:
    found = CODE.search(text)
    assert found, text
    return found[1]


add = command.run_add
NEW: dict[str, object] = {"role": "agent", "team": [], "capacity": None}


async def test_the_first_admin_is_invited_and_signs_in(line: Line) -> None:
    text = await line(add, "ada", role="admin", team=[], capacity=None)
    assert "ada is an operator now: admin." in text
    code = code_of(text)
    house = line.house
    house.devices["ada"] = device(await house.signing.accept_invite(code, PASSWORD))
    await house.signing.confirm_invite(code, house.code("ada"))
    assert await house.sign_in("ada")


async def test_the_list_tells_who_is_there(line: Line) -> None:
    assert "No operators. The first: frontdesk operator add NAME --role admin" in await line(
        command.run_list, json=False
    )
    await line(add, "ada", role="admin", team=["billing", "press"], capacity=2)
    await line(add, "bob", **NEW)
    code = code_of(await line(command.run_link, "ada"))
    await line.house.operators.link(code, "slack", "acme", "U0ADA", "Ada")
    await line(command.run_disable, "bob")
    lines = (await line(command.run_list, json=False)).splitlines()
    assert lines[1:] == ["ada\tadmin\tbilling, press\toffline\t2\tslack:acme", "bob\tagent\t-\tdisabled\t5\t-"]
    found = json.loads(await line(command.run_list, json=True))
    assert [each["id"] for each in found] == [operator_id("ada"), operator_id("bob")]
    assert found[0]["links"] == [{"channel": "slack", "account": "acme", "external_id": "U0ADA", "name": "Ada"}]
    assert not {"password", "totp"} & set(found[0])


async def test_a_role_changes_a_link_is_undone_and_the_local_account_stands_in_the_audit(line: Line) -> None:
    await line(add, "ada", **NEW)
    assert "ada is approver now" in await line(command.run_role, "ada", role="approver")
    code = code_of(await line(command.run_link, "ada"))
    await line.house.operators.link(code, "slack", "acme", "U0ADA", "Ada")
    assert "nobody on slack" in await line(command.run_unlink, "ada", channel="slack")
    with pytest.raises(CommandFailed, match="not linked on slack"):
        await line(command.run_unlink, "ada", channel="slack")
    account = getpass.getuser()
    assert [actor for actor, action, *_ in await line.house.audited() if action != "operator linked"] == [
        f"local:{account}"
    ] * 5


async def test_a_password_is_asked_for_twice_and_never_shown(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    await line(add, "ada", **NEW)
    typed = iter([PASSWORD, "something else", PASSWORD, PASSWORD, "short", "short"])
    monkeypatch.setattr(getpass, "getpass", lambda prompt: next(typed))
    with pytest.raises(CommandFailed, match="not the same"):
        await line(command.run_password, "ada")
    text = await line(command.run_password, "ada")
    assert "frontdesk operator invite ada" in text
    assert PASSWORD not in text
    with pytest.raises(CommandFailed, match="12 to 256 characters"):
        await line(command.run_password, "ada")


async def test_sessions_are_shown_and_ended(line: Line) -> None:
    await line.house.enrol("ada")
    session = await line.house.sign_in("ada")
    assert len((await line(command.run_sessions, "ada", end=False)).splitlines()) == 2
    assert await line.house.signing.session(session.token)
    assert "1 session(s) ended." in await line(command.run_sessions, "ada", end=True)
    assert await line.house.signing.session(session.token) is None
    assert await line(command.run_sessions, "ada", end=False) == "ada is not signed in.\n"


async def test_a_lost_device_is_replaced_by_an_invitation(line: Line) -> None:
    house = line.house
    await house.enrol("ada")
    code = code_of(await line(command.run_invite, "ada"))
    lost = house.devices["ada"]
    house.devices["ada"] = device(await house.signing.accept_invite(code, PASSWORD))
    await house.signing.confirm_invite(code, house.code("ada"))
    assert await house.sign_in("ada")
    house.devices["ada"] = lost
    with pytest.raises(Exception, match="not_signed_in"):
        await house.sign_in("ada")


@pytest.mark.parametrize(
    ("run", "arguments", "says"),
    [
        (command.run_role, {"role": "admin"}, "There is no operator eve (there is: ada)."),
        (command.run_disable, {}, "There is no operator eve (there is: ada)."),
        (command.run_link, {}, "There is no operator eve (there is: ada)."),
        (command.run_sessions, {"end": True}, "There is no operator eve (there is: ada)."),
        (command.run_add, {"role": "boss", "team": [], "capacity": None}, "There is no role 'boss'."),
        (command.run_add, {"role": "agent", "team": [], "capacity": 0}, "A capacity is a number from 1 to 1000."),
    ],
)
async def test_what_cannot_be_done_is_said_in_a_plain_sentence(
    line: Line, run: Run, arguments: dict[str, object], says: str
) -> None:
    await line(add, "ada", **NEW)
    with pytest.raises(CommandFailed) as caught:
        await line(run, "eve", **arguments)
    assert str(caught.value).startswith(says)


async def test_a_command_that_is_none_is_refused(line: Line) -> None:
    with pytest.raises(CommandFailed, match="no command operator promote"):
        await line.handle("root", "operator promote", {"name": "ada"})


async def test_arguments_of_wrong_types_harm_nothing(line: Line) -> None:
    for arguments in ({"name": ["x"]}, {"name": "ada", "role": 7}, {"name": "ada", "role": "agent", "capacity": "x"}):
        with pytest.raises(CommandFailed):
            await line.handle("root", "operator add", arguments)
    assert await line.house.operators.all() == []


async def test_without_a_daemon_the_command_says_so(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[data]\npath = "kept"\n')
    with pytest.raises(NotRunning, match="frontdesk serve"):
        command.run_disable(argparse.Namespace(config=config, name="ada"))


async def test_the_audit_is_verified_and_a_broken_one_fails_the_command(line: Line) -> None:
    await line(add, "ada", **NEW)
    text = await line(command.run_audit_verify, noted="", json=False)
    assert "The audit is whole: 2 entries." in text
    noted = text.split("--noted: ")[1].strip()
    await line.house.store.run(tamper)
    with pytest.raises(CommandFailed, match="entry 1 was changed"):
        await line(command.run_audit_verify, noted="", json=False)
    assert json.loads(await line(command.run_audit_verify, noted=noted, json=True))["broken"] == 1


def tamper(cursor: Cursor) -> None:
    cursor.execute("UPDATE audit SET actor = 'local:nobody' WHERE number = 1")
