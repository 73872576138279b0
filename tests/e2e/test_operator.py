"""What an engineer does around a running daemon: commands, signals, files."""

import json
import os
import signal
from pathlib import Path

import aiohttp
import pytest

from tests.e2e.house import Chat, Daemon

SECRET = "canary-5f0c2a-" + "x" * 32


async def test_commands_tell_what_happened(daemon: Daemon) -> None:
    """A turn can be found and read: what was asked, which passages with which scores, which answer, how long it took."""
    async with aiohttp.ClientSession() as session, session.ws_connect(daemon.url + "/ws") as socket:
        chat = Chat(socket)
        await chat.hello()
        answer = await chat.say("How do I put the widget on my website?", "1")
        assert "frontdesk_open_sockets 1.0" in daemon.get("/metrics", private=True)
    assert answer["citations"]
    [turn] = json.loads(daemon.command("turns", "--json").stdout)
    told = daemon.command("trace", turn["turn"]).stdout
    assert "How do I put the widget on my website?" in told
    assert "widget.js" in told
    status = json.loads(daemon.command("status", "--json").stdout)
    assert (status["conversations"], status["waiting_in"]) == (1, 0)
    assert 'frontdesk_turns_total{outcome="answered"} 1.0' in daemon.get("/metrics", private=True)
    log = (daemon.folder / "log").read_text(encoding="utf-8")
    assert "put the widget on my website" not in log


async def test_the_private_side_is_not_on_the_public_port(daemon: Daemon) -> None:
    """Metrics and whatever else is the operators' answer on the private listener only."""
    async with aiohttp.ClientSession() as session:
        for path in ("/metrics", "/console", "/console/dashboard", "/..%2fmetrics", "/%252e%252e/metrics"):
            async with session.get(daemon.url + path) as answer:
                assert answer.status == 404, path
        async with session.get(daemon.url + "/readyz") as answer:
            assert (answer.status, (await answer.json())["channels"]) == (200, {"web": "up"})


async def test_f19_a_second_daemon_on_the_same_folder_refuses_and_names_the_first(daemon: Daemon) -> None:
    """Two writers never meet."""
    assert daemon.process is not None
    second = daemon.command("serve")
    assert second.returncode == 4
    assert f"process {daemon.process.pid}" in second.stderr


async def test_f17_sigterm_finishes_and_exits_cleanly(daemon: Daemon) -> None:
    """A stop is not a failure, and the next start knows that the last one ended well."""
    async with aiohttp.ClientSession() as session, session.ws_connect(daemon.url + "/ws") as socket:
        chat = Chat(socket)
        await chat.hello()
        await chat.say("Which channels can I connect?", "1")
    assert daemon.stop() == 0
    daemon.start()
    async with aiohttp.ClientSession() as session, session.ws_connect(daemon.url + "/ws") as socket:
        welcome = await Chat(socket).hello(token=chat.token)
    assert [entry["author"] for entry in welcome["history"]] == ["user", "agent"]


async def test_secrets_are_read_again_on_sighup_and_never_shown(tmp_path: Path) -> None:
    """A rotated identity secret bites at once; f79: neither it nor a token stands in a log, an address or an error."""
    import time

    import jwt

    dotenv = tmp_path / ".env"
    daemon = Daemon(tmp_path)
    old, new = SECRET + "-old", SECRET + "-new"
    dotenv.write_text(f"FRONTDESK_CHANNELS_WEB_IDENTITY_SECRET={old}\n", encoding="utf-8")
    dotenv.chmod(0o600)
    daemon.start()

    def identity(secret: str) -> str:
        return jwt.encode({"aud": "frontdesk", "sub": "ada", "exp": int(time.time()) + 600}, secret, algorithm="HS256")

    async def first_frame(secret: str) -> str:
        async with aiohttp.ClientSession() as session, session.ws_connect(daemon.url + "/ws") as socket:
            await socket.send_json({"type": "hello", "version": 1, "identity": identity(secret)})
            frame = await socket.receive_json(timeout=10)
            return str(frame.get("code", frame["type"]))

    try:
        assert await first_frame(old) == "welcome"
        assert await first_frame(new) == "bad_identity"
        dotenv.write_text(f"FRONTDESK_CHANNELS_WEB_IDENTITY_SECRET={new}\n", encoding="utf-8")
        assert daemon.process is not None
        os.kill(daemon.process.pid, signal.SIGHUP)
        for _ in range(100):
            if await first_frame(new) == "welcome":
                break
        assert await first_frame(new) == "welcome"
        assert await first_frame(old) == "bad_identity"
    finally:
        daemon.stop()
    shown = (tmp_path / "log").read_text(encoding="utf-8")
    assert SECRET not in shown
    for path in (tmp_path / "data").rglob("*"):
        if path.is_file():
            assert SECRET.encode() not in path.read_bytes(), path


@pytest.mark.parametrize("command", [["status"], ["turns"], ["incidents"], ["outbox", "list"]])
async def test_reading_commands_work_without_a_daemon(daemon: Daemon, command: list[str]) -> None:
    """What is stored can be read when nothing runs."""
    daemon.stop()
    assert daemon.command(*command).returncode in (0, 3)
    assert "Traceback" not in daemon.command(*command).stderr
