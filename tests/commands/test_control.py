"""The control socket: only its own account reaches it, and nothing a caller does harms the daemon."""

import asyncio
import getpass
import json
import os
import socket
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bot.errors import DataError, FrontdeskError
from bot.net import control
from bot.net.control import CommandFailed, ControlServer, Handle, NotRunning, call, find_socket, socket_path


async def echo(account: str, command: str, arguments: dict[str, Any]) -> object:
    if command == "refuse":
        raise FrontdeskError("not today")
    if command == "break":
        raise LookupError("a defect")
    if command == "wait":
        await asyncio.Event().wait()
    return {"account": account, "command": command, "arguments": arguments}


@asynccontextmanager
async def served(path: Path, handle: Handle = echo, request_s: float = 5.0) -> AsyncIterator[ControlServer]:
    server = ControlServer(path, handle, request_s=request_s)
    task = asyncio.create_task(server.run())
    try:
        async with asyncio.timeout(5):
            await server.ready.wait()
        yield server
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def ask(path: Path, command: str, timeout_s: float = 5.0, **arguments: object) -> Any:
    return await asyncio.to_thread(call, path, command, arguments, timeout_s)


async def send(path: Path, line: bytes) -> Any:
    """What a caller gets who speaks the socket's language himself."""
    reader, writer = await asyncio.open_unix_connection(str(path))
    try:
        writer.write(line)
        await writer.drain()
        async with asyncio.timeout(5):
            answer = await reader.readline()
        return json.loads(answer) if answer else None
    finally:
        writer.close()


async def test_a_command_is_answered_and_its_caller_known(tmp_path: Path) -> None:
    """The handler gets the command, its arguments, and the local account that called."""
    path = socket_path(tmp_path, {})
    async with served(path):
        answer = await ask(path, "status", text="ü\n\x1b")
    assert answer == {"account": getpass.getuser(), "command": "status", "arguments": {"text": "ü\n\x1b"}}


async def test_only_our_account_can_connect(tmp_path: Path) -> None:
    """The file is made with no rights for others, whatever the umask."""
    path = socket_path(tmp_path, {})
    before = os.umask(0)
    try:
        async with served(path):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
    finally:
        os.umask(before)


async def test_the_file_goes_with_the_daemon(tmp_path: Path) -> None:
    """After a stop nothing is left, and a caller is told that it is not running."""
    path = socket_path(tmp_path, {})
    async with served(path):
        assert path.exists()
    assert not path.exists()
    with pytest.raises(NotRunning, match="frontdesk serve"):
        call(path, "status", {})


async def test_what_a_killed_daemon_left_is_replaced(tmp_path: Path) -> None:
    """A socket file that nobody answers is not in the way."""
    path = socket_path(tmp_path, {})
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with pytest.raises(NotRunning):
        call(path, "status", {})
    async with served(path):
        assert (await ask(path, "x"))["command"] == "x"


async def test_a_running_daemon_is_not_pushed_aside(tmp_path: Path) -> None:
    """Where somebody answers, a second server refuses and leaves the file alone."""
    path = socket_path(tmp_path, {})
    async with served(path):
        with pytest.raises(DataError, match="another Frontdesk"):
            await ControlServer(path, echo).run()
        assert (await ask(path, "x"))["command"] == "x"


async def test_a_refusal_comes_in_its_own_words(tmp_path: Path) -> None:
    """What the handler refuses, the caller can show."""
    path = socket_path(tmp_path, {})
    async with served(path):
        with pytest.raises(CommandFailed, match=r"^not today$"):
            await ask(path, "refuse")


async def test_a_defect_is_logged_and_harms_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The caller gets no exception text, the daemon logs it and goes on."""
    path = socket_path(tmp_path, {})
    async with served(path):
        with pytest.raises(CommandFailed, match="log may say why"):
            await ask(path, "break")
        assert (await ask(path, "x"))["command"] == "x"
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [LookupError]


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"nonsense\n",
        b"[1]\n",
        b'"x"\n',
        b'{"command": 1}\n',
        b'{"command": "x", "arguments": []}\n',
        b"\xff\n",
        b"[" * 60_000 + b"\n",
    ],
)
async def test_nonsense_is_refused_in_plain_words(tmp_path: Path, line: bytes) -> None:
    """Whatever comes, the answer is one line that says what a request is."""
    path = socket_path(tmp_path, {})
    async with served(path):
        assert "a request is one line" in (await send(path, line))["error"]


async def test_a_request_is_bounded(tmp_path: Path) -> None:
    """A line without end is cut off at its bound."""
    path = socket_path(tmp_path, {})
    async with served(path):
        with pytest.raises(CommandFailed):
            await ask(path, "x", text="a" * 2 * control.REQUEST_BYTES)
        assert (await ask(path, "x"))["command"] == "x"


async def test_a_silent_caller_is_sent_away(tmp_path: Path) -> None:
    """A connection that asks nothing ends after its time."""
    path = socket_path(tmp_path, {})
    async with served(path, request_s=0.05):
        assert await send(path, b"") is None


async def test_a_stop_waits_for_nobody(tmp_path: Path) -> None:
    """A command under way does not hold the daemon; its caller is told."""
    path = socket_path(tmp_path, {})
    entered = asyncio.Event()

    async def wait(account: str, command: str, arguments: dict[str, Any]) -> object:
        entered.set()
        return await asyncio.Event().wait()

    async with asyncio.TaskGroup() as group, served(path, wait):
        waiting = group.create_task(asyncio.to_thread(outcome, lambda: call(path, "wait", {}, 5.0)))
        await entered.wait()
    assert isinstance(waiting.result(), CommandFailed)


def outcome(action: Callable[[], object]) -> object:
    try:
        return action()
    except FrontdeskError as error:
        return error


async def test_a_daemon_that_does_not_answer_is_given_up(tmp_path: Path) -> None:
    """A caller's wait has an end."""
    path = socket_path(tmp_path, {})
    async with served(path):
        with pytest.raises(CommandFailed, match="did not answer"):
            await ask(path, "wait", 0.05)


async def test_a_long_path_is_served_from_a_runtime_folder(tmp_path: Path) -> None:
    """Where the data folder's path is too long for a socket, a private folder takes it, and callers find it there."""
    data = tmp_path / ("long" * 30)
    data.mkdir()
    runtime = tmp_path / "run"
    environ = {"RUNTIME_DIRECTORY": str(runtime)}
    path = socket_path(data, environ)
    assert path.parent == runtime
    assert path != socket_path(data / "other", environ)
    async with served(path):
        assert stat.S_IMODE(runtime.stat().st_mode) == 0o700
        assert (await ask(find_socket(data, environ), "x"))["command"] == "x"


def test_a_callers_search_ends_at_the_same_place_as_the_daemons(tmp_path: Path) -> None:
    """Without a runtime folder, both sides come to the same path, and it fits."""
    for data in (tmp_path, tmp_path / ("d" * 200)):
        path = socket_path(data, {})
        assert find_socket(data, {}) == path
        assert len(os.fsencode(path)) <= 107


async def test_a_folder_of_somebody_else_is_not_used(tmp_path: Path) -> None:
    """A link in the place of the runtime folder is refused."""
    (tmp_path / "real").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "real")
    path = socket_path(tmp_path / ("d" * 200), {"RUNTIME_DIRECTORY": str(tmp_path / "run")})
    with pytest.raises(DataError, match="another account"):
        await ControlServer(path, echo).run()


async def test_a_folder_that_is_not_there_is_a_plain_error(tmp_path: Path) -> None:
    """The daemon says which folder is missing."""
    with pytest.raises(DataError, match="cannot be made"):
        await ControlServer(tmp_path / "none" / "control.sock", echo).run()
