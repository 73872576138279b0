"""The control socket: how the other `frontdesk` commands reach the running daemon.

One line of JSON asks (`{"command": ..., "arguments": {...}}`), one line answers (`{"ok": ...}` or `{"error": ...}`). Only the
daemon's own account and root can connect, and the handler is told which local account called. The client half needs
nothing but the standard library, so that commands start fast.
"""

import asyncio
import hashlib
import json
import logging
import os
import pwd
import socket
import stat
import struct
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from bot.errors import DataError, FrontdeskError

log = logging.getLogger(__name__)

SOCKET = "control.sock"
PATH_BYTES = 100  # sun_path holds 108 bytes with its end mark (unix(7)); some room is left
REQUEST_BYTES = 65_536
ANSWER_BYTES = 64 * 1024 * 1024
REQUEST_S = 10.0  # a caller that says nothing is sent away
CALLERS = 16  # at once

Handle = Callable[[str, str, dict[str, Any]], Awaitable[object]]  # arguments are JSON


class NotRunning(FrontdeskError):
    """No daemon answers for this data folder."""


class CommandFailed(FrontdeskError):
    """The daemon refused or could not do what was asked; the text says why."""


# --- where it is -----------------------------------------------------------------------------------------------------


def socket_path(data: Path, environ: Mapping[str, str]) -> Path:
    """Where the daemon of this data folder listens: in it, or in a runtime folder where that path is too long."""
    return _candidates(data, environ)[0]


def find_socket(data: Path, environ: Mapping[str, str]) -> Path:
    """Where a caller finds it: a service's runtime folder is not in the caller's environment, so all are looked at."""
    candidates = _candidates(data, environ)
    return next((path for path in candidates if path.exists()), candidates[0])


def _candidates(data: Path, environ: Mapping[str, str]) -> list[Path]:
    absolute = data.absolute()
    inside = absolute / SOCKET
    if len(os.fsencode(inside)) <= PATH_BYTES:
        return [inside]
    uid = _owner(data)
    name = f"control-{hashlib.sha256(os.fsencode(absolute)).hexdigest()[:16]}.sock"
    folders = [Path(each) for each in environ.get("RUNTIME_DIRECTORY", "").split(":") if each]
    if Path(f"/run/user/{uid}").is_dir():
        folders.append(Path(f"/run/user/{uid}/frontdesk"))
    folders.append(Path(tempfile.gettempdir()) / f"frontdesk-{uid}")
    return [folder / name for folder in [*folders, Path("/run/frontdesk")]]


def _owner(data: Path) -> int:
    try:
        return data.stat().st_uid
    except OSError:
        return os.geteuid()


# --- the daemon's side -----------------------------------------------------------------------------------------------


class ControlServer:
    """Answers callers until `run` is cancelled. `handle(account, command, arguments)` gives a JSON value or raises
    FrontdeskError, whose text the caller sees; anything else it raises is logged, and the caller gets no answer."""

    def __init__(self, path: Path, handle: Handle, *, request_s: float = REQUEST_S) -> None:
        self.path = path
        self.ready = asyncio.Event()
        self._handle = handle
        self._request_s = request_s
        self._callers: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Raises DataError when another daemon answers there, or the folder is not ours."""
        try:
            listener = _listen(self.path)
        except OSError as error:
            raise DataError(f"{self.path} cannot be made ({error.strerror}). Give this account the folder.") from error
        mine = self.path.stat().st_ino
        server = await asyncio.start_unix_server(self._accept, sock=listener, limit=REQUEST_BYTES)
        self.ready.set()
        try:
            async with server:
                try:
                    await server.serve_forever()
                finally:
                    await self._send_away()
        finally:
            _remove(self.path, mine)

    async def _send_away(self) -> None:
        callers = list(self._callers)
        for caller in callers:
            caller.cancel()
        if callers:
            await asyncio.wait(callers)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:  # never: the server runs this in a task of its own
            return
        self._callers.add(task)
        try:
            answer = (
                await self._answer(reader, writer) if len(self._callers) <= CALLERS else _error("is busy. Try again")
            )
            writer.write(answer)
            async with asyncio.timeout(self._request_s):
                await writer.drain()
        except (ConnectionError, TimeoutError):
            pass  # the caller has gone
        except asyncio.CancelledError:
            pass  # the daemon stops; the task ends here, and the server would complain of a cancelled one
        except Exception:
            log.exception("a command failed")  # a defect of ours: the caller gets no answer, and everybody else theirs
        finally:
            self._callers.discard(task)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        uid = _caller(writer.get_extra_info("socket"))
        if uid not in (0, os.geteuid()):
            return _error("only this daemon's own account and root may use this socket")
        try:
            async with asyncio.timeout(self._request_s):
                line = await reader.readline()
        except ValueError:
            return _error(f"a request is at most {REQUEST_BYTES} bytes long")
        request = _request(line)
        if request is None:
            return _error('a request is one line: {"command": TEXT, "arguments": {...}}')
        command, arguments = request
        try:
            return _line({"ok": await self._handle(_account(uid), command, arguments)})
        except FrontdeskError as error:
            return _error(str(error))


def _listen(path: Path) -> socket.socket:
    if path.name != SOCKET:
        _make_private(path.parent)
    if _is_answered(path):
        raise DataError(f"another Frontdesk answers at {path}. Stop that one first.")
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        os.fchmod(
            listener.fileno(), 0o600
        )  # Linux gives the file these rights as it is made: never a moment open to others
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen(CALLERS)
    except BaseException:
        listener.close()
        raise
    return listener


def _make_private(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise DataError(
            f"{folder} belongs to another account. Remove it, or set RUNTIME_DIRECTORY to a folder of ours."
        )
    if found.st_mode & 0o077:
        folder.chmod(0o700)


def _is_answered(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except BlockingIOError:
            return True  # its queue is full: somebody is there
        except TimeoutError:
            return True
        except OSError:
            return False
        return True


def _remove(path: Path, inode: int) -> None:
    try:
        if path.stat().st_ino == inode:
            path.unlink()
    except FileNotFoundError:
        pass


def _caller(connection: Any) -> int:  # asyncio's transport socket
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _pid, uid, _gid = struct.unpack("3i", credentials)
    return int(uid)


def _account(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def _request(line: bytes) -> tuple[str, dict[str, Any]] | None:
    try:
        request = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(request, dict):
        return None
    command, arguments = request.get("command"), request.get("arguments", {})
    return (command, arguments) if isinstance(command, str) and isinstance(arguments, dict) else None


def _line(answer: Mapping[str, object]) -> bytes:
    return json.dumps(answer).encode() + b"\n"


def _error(text: str) -> bytes:
    return _line({"error": text})


# --- the caller's side -----------------------------------------------------------------------------------------------


def call(path: Path, command: str, arguments: Mapping[str, object], timeout_s: float = 30.0) -> object:
    """Asks the daemon and waits for its answer. Raises NotRunning, or CommandFailed with the daemon's own words."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout_s)
        _connect(connection, path)
        try:
            connection.sendall(_line({"command": command, "arguments": dict(arguments)}))
            with connection.makefile("rb") as stream:
                line = stream.readline(ANSWER_BYTES)
        except TimeoutError as error:
            raise CommandFailed(f"the daemon did not answer within {timeout_s:g} s. Its log may say why") from error
        except OSError as error:
            raise CommandFailed(f"the daemon hung up ({error.strerror}). Its log may say why") from error
    return _result(line)


def _connect(connection: socket.socket, path: Path) -> None:
    try:
        connection.connect(str(path))
    except PermissionError as error:
        raise CommandFailed(
            f"{path} belongs to another account. Run this as that account: sudo -u NAME frontdesk ..."
        ) from error
    except TimeoutError as error:
        raise CommandFailed("the daemon does not take calls. Its log may say why") from error
    except OSError as error:
        raise NotRunning("Frontdesk is not running. Start it with: frontdesk serve") from error


def _result(line: bytes) -> object:
    try:
        answer = json.loads(line)
    except ValueError as error:
        raise CommandFailed("the daemon gave no whole answer. Its log may say why") from error
    if not isinstance(answer, dict) or "error" in answer:
        raise CommandFailed(str(answer["error"] if isinstance(answer, dict) else "the daemon's answer is not for us"))
    result: object = answer.get("ok")
    return result
