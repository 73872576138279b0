"""The shop and its Frontdesk together: `make demo`.

With ANTHROPIC_API_KEY or OPENAI_API_KEY in the environment that provider's model answers. Without one, the scripted model does, and a visit is
played in the terminal first.
"""

import argparse
import asyncio
import os
import secrets
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from examples.store import model, page, seed, shop, walkthrough

CONFIG = Path(__file__).parent / "config.toml"
ROOT = Path(__file__).parents[2]
MODELS = {"ANTHROPIC_API_KEY": "claude", "OPENAI_API_KEY": "gpt"}
SCRIPT = "script"
READY_S, END_S = 60.0, 30.0
_LOG_CHARS = 4_000


class Ports(NamedTuple):
    """Where each listens, if that port is free. 0: anywhere."""

    shop: int = shop.PORT
    frontdesk: int = 8080
    admin: int = 8081
    model: int = 9101


ANYWHERE = Ports(0, 0, 0, 0)


class Failed(Exception):
    """Frontdesk does not run."""


class House(NamedTuple):
    """Where all of it is, and what opens it."""

    shop: str
    frontdesk: str
    token: str
    identity_secret: str
    config: Path


@asynccontextmanager
async def opened(
    folder: Path,
    answering: str,
    environ: Mapping[str, str],
    *,
    ports: Ports = ANYWHERE,
    has_faults: bool = False,
) -> AsyncIterator[House]:
    """The shop, the scripted model and Frontdesk, with all they keep in `folder`, and the config and `.env` that they run with.
    Raises Failed."""
    token, secret = secrets.token_urlsafe(32), secrets.token_urlsafe(48)
    public, admin = _port(ports.frontdesk), _port(ports.admin)
    house = House("", f"http://127.0.0.1:{public}", token, secret, folder / "config.toml")
    settings = shop.Settings(folder / "shop", token, _port(ports.shop), house.frontdesk, secret, has_faults)
    async with AsyncExitStack() as stack:
        house = house._replace(shop=await stack.enter_async_context(shop.running(settings)))
        base_url = await stack.enter_async_context(model.serving(_port(ports.model)))
        given = {
            "SHOP_TOKEN": token,
            "FRONTDESK_CHANNELS_WEB_IDENTITY_SECRET": secret,
            "FRONTDESK_CHANNELS_WEB_ORIGINS": f'["{house.shop}"]',
            "FRONTDESK_DATA_PATH": str(folder / "frontdesk"),
            "FRONTDESK_KNOWLEDGE_PATHS": f'["{CONFIG.parent / "policy"}"]',
            "FRONTDESK_MODELS_SCRIPT_BASE_URL": base_url,
            "FRONTDESK_ROLES_ANSWER": f'["{answering}"]',
            "FRONTDESK_SERVER_PORT": str(public),
            "FRONTDESK_ADMIN_PORT": str(admin),
        }
        _configure(house, given)
        left = {name: value for name, value in environ.items() if name not in given}  # it would win over .env
        await stack.enter_async_context(_frontdesk(house.config, left))
        yield house


async def show(house: House, write: walkthrough.Write) -> None:
    """Plays a customer's visit, then what the shop has really done."""
    customer = seed.CUSTOMERS[0]
    write(f"{customer.name} visits the shop:")
    identity = page.sign(house.identity_secret, customer._asdict())
    async with walkthrough.visiting(house.frontdesk, identity) as visit:
        await walkthrough.play(visit, write)
    write("\nThe shop's ledger:")
    for entry in await walkthrough.ledger(house.shop, house.token):
        write(walkthrough.entered(entry))


def answering(environ: Mapping[str, str]) -> str:
    """The model of the config that there is a key for, else the scripted one."""
    return next((name for variable, name in MODELS.items() if environ.get(variable)), SCRIPT)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs until SIGINT or SIGTERM. 1: Frontdesk or the visit failed."""
    parser = argparse.ArgumentParser(prog="python -m examples.store.demo", description="A shop and its Frontdesk.")
    parser.add_argument("--data", type=Path, help="a folder to keep everything in; without it, each run begins anew")
    parser.add_argument("--once", action="store_true", help="end after the visit")
    parser.add_argument("--faults", action="store_true", help="let POST /faults spoil the shop's answers")
    given = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="frontdesk-demo-") as fresh, suppress(KeyboardInterrupt):
        folder = (given.data or Path(fresh)).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        try:
            asyncio.run(_run(folder, is_once=given.once, has_faults=given.faults))
        except (Failed, walkthrough.Stuck) as error:
            sys.stderr.write(f"{error}\n")
            return 1
    return 0


async def _run(folder: Path, *, is_once: bool, has_faults: bool) -> None:
    stop = asyncio.Event()
    for each in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(each, stop.set)
    name = answering(os.environ)
    async with opened(folder, name, os.environ, ports=Ports(), has_faults=has_faults) as house:
        if name == SCRIPT:
            await _unless(stop, show(house, _write))
        if is_once or stop.is_set():
            return
        _write(f"\nAnswering: {name}. The shop's page: {house.shop}/")
        _write("Press Ctrl-C to end.")
        await stop.wait()


async def _unless(stop: asyncio.Event, visit: Coroutine[object, object, None]) -> None:
    """Plays the visit unless it is stopped first."""
    playing, waiting = asyncio.ensure_future(visit), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait((playing, waiting), return_when=asyncio.FIRST_COMPLETED)
        if playing.done():
            playing.result()
    finally:
        playing.cancel()
        waiting.cancel()
        await asyncio.gather(playing, waiting, return_exceptions=True)


@asynccontextmanager
async def _frontdesk(config: Path, environ: Mapping[str, str]) -> AsyncIterator[None]:
    log = config.with_name("frontdesk.log")
    with log.open("ab") as errors:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bot", "serve", "--config", str(config)),
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            cwd=ROOT,
            env=environ,
        )
        try:
            await _ready(process, log)
            yield
        finally:
            await _end(process)


async def _ready(process: asyncio.subprocess.Process, log: Path) -> None:
    assert process.stdout is not None  # noqa: S101  it was asked for
    try:
        async with asyncio.timeout(READY_S):
            line = await process.stdout.readline()
    except TimeoutError:
        line = b""
    if b"is ready" not in line:
        raise Failed(f"Frontdesk did not start:\n{_end_of(log)}")


async def _end(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(END_S):
            await process.communicate()
    except TimeoutError:
        process.kill()
        await process.communicate()


def _configure(house: House, given: Mapping[str, str]) -> None:
    """Writes the config with the shop where it really is, and a `.env` beside it with everything else that differs."""
    text = CONFIG.read_text("utf-8").replace(f"http://127.0.0.1:{shop.PORT}", house.shop)
    house.config.write_text(text, "utf-8")
    lines = "".join(f"{name}='{value}'\n" for name, value in given.items())
    path = house.config.with_name(".env")
    path.touch(0o600)
    path.write_text(lines, "utf-8")


def _port(wanted: int) -> int:
    """`wanted` if it is free, else any that is."""
    for port in (wanted, 0):
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise Failed("There is no free port on this machine.")


def _end_of(log: Path) -> str:
    return log.read_text("utf-8", "replace")[-_LOG_CHARS:]


def _write(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
