"""`frontdesk user` against a running daemon."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.model import Address, Identity, MessageReceived
from tests.e2e.house import Daemon
from tests.users.planting import files_with

SAID = "the red bicycle of my aunt Zanzibar"


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    house = Daemon(tmp_path)
    asyncio.run(spoken(tmp_path / "data"))
    house.start()
    yield house
    house.kill()


async def spoken(data: Path) -> None:
    """What an earlier run has left."""
    from tests.pipeline.house import ListChannel, core

    async with core(data, channel=ListChannel("web"), other=ListChannel("slack")) as found:
        for channel, chat in (("web", "id:ada-4711"), ("slack", "U099ZZ8YX")):
            who, at = Identity(channel, "", chat, "Ada Lovelace"), Address(channel, "", chat)
            await found.intake.receive(MessageReceived(who, at, f"{channel}-1", SAID))
        await found.rest()


def test_a_user_is_listed_linked_exported_held_and_erased(daemon: Daemon, tmp_path: Path) -> None:
    listed = json.loads(daemon.command("user", "list", "--json").stdout)
    assert {account for each in listed for account in each["accounts"]} == {"web:id:ada-4711", "slack:U099ZZ8YX"}

    linked = daemon.command("user", "link", "web:id:ada-4711", "slack:U099ZZ8YX")
    assert "One user from now on: " in linked.stdout
    shown = json.loads(daemon.command("user", "show", "slack:U099ZZ8YX", "--json").stdout)
    assert (len(shown["identities"]), shown["counts"]["messages"]) == (2, 2)

    out = tmp_path / "out"
    exported = daemon.command("user", "export", "slack:U099ZZ8YX", str(out))
    assert exported.returncode == 0, exported.stderr
    data = json.loads((out / "user.json").read_text())
    assert [each["text"] for each in data["messages"] if each["author"] == "user"] == [SAID, SAID]
    assert (out / "user.json").stat().st_mode & 0o077 == 0
    assert daemon.command("user", "export", "slack:U099ZZ8YX", str(out)).returncode == 4

    held = daemon.command("user", "hold", "slack:U099ZZ8YX", "--reason", "court 4 B 17")
    assert "is kept" in held.stdout
    refused = daemon.command("user", "erase", "slack:U099ZZ8YX", "--reason", "request 114")
    assert (refused.returncode, "court 4 B 17" in refused.stderr) == (1, True)
    assert daemon.command("user", "release", "slack:U099ZZ8YX").returncode == 0

    erased = daemon.command("user", "erase", "slack:U099ZZ8YX", "--reason", "request 114", "--json")
    assert erased.returncode == 0, erased.stderr
    receipt = json.loads(erased.stdout)
    assert receipt["scan"]["found"] == []
    assert {each["where"] for each in receipt["outside"]} >= {"slack", "web", "backups"}
    for text in (SAID, "ada-4711", "U099ZZ8YX", "Ada Lovelace"):
        assert files_with(tmp_path / "data", text) == [], text
    assert daemon.command("user", "show", "slack:U099ZZ8YX").returncode == 1
    assert daemon.command("audit", "verify").returncode == 0
    assert daemon.stop() == 0


def test_unlinking_and_unknown_users_are_told_plainly(daemon: Daemon) -> None:
    assert "one account only" in daemon.command("user", "unlink", "slack:U099ZZ8YX").stderr
    assert "there is no user" in daemon.command("user", "show", "slack:NOBODY").stderr
    assert "write why" in daemon.command("user", "erase", "slack:U099ZZ8YX", "--reason", " ").stderr
    daemon.command("user", "link", "web:id:ada-4711", "slack:U099ZZ8YX")
    assert daemon.command("user", "unlink", "slack:U099ZZ8YX").stdout == "They are 2 users again.\n"
