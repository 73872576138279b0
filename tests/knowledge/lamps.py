"""A shop of lamps: two documents, and a daemon that answers from them."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

from bot.app import App
from bot.store.folder import DATABASE
from tests import app as daemon
from tests.pipeline.house import ListChannel
from tests.store.database import until

RETURNS = "# Returns\n\nSend a lamp back within thirty days. The label is in the box.\n"
OTHERS = "# Shipping\n\nWe ship to Austria and to Norway by post.\n"
CONFIG = f"""{daemon.APART}
[knowledge]
paths = ["docs"]
poll_s = 0.2
"""


def laid_out(folder: Path) -> Path:
    """Its documents and its config."""
    (folder / "docs").mkdir()
    (folder / "docs" / "returns.md").write_text(RETURNS)
    (folder / "docs" / "shipping.md").write_text(OTHERS)
    (folder / "config.toml").write_text(CONFIG)
    return folder


@asynccontextmanager
async def running(place: Path) -> AsyncIterator[tuple[App, ListChannel]]:
    """With the offline answerer."""
    channel = ListChannel()
    async with daemon.running(place, channel) as app:
        yield app, channel


async def say(app: App, channel: ListChannel, text: str, who: str = "ada") -> str:
    before = len(channel.sent)
    await daemon.receive(app, text, f"{who}{before}", who)
    await until(lambda: len(channel.sent) > before)
    return channel.sent[-1].text


def rows(place: Path, sql: str) -> list[Any]:
    with closing(sqlite3.connect(place / "data" / DATABASE)) as database:
        return database.execute(sql).fetchall()
