"""The daemon in this process, with the channels that it is given."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from bot.app import App
from bot.config import find_settings, load
from bot.model import Address, Identity, MessageReceived
from bot.ports import ChatModel
from tests.pipeline.house import ListChannel

APART = """
[data]
path = "data"
[server]
port = 0
[admin]
port = 0
[channels.web]
enabled = false
"""  # the begin of a config of which nothing is reached by a known address

TALKER = """
[knowledge]
paths = []
[models.talker]
provider = "openai"
model = "m"
base_url = "http://127.0.0.1:9/v1"
"""  # and a model that a test plays


@asynccontextmanager
async def running(
    folder: Path, *channels: ListChannel, models: Mapping[str, ChatModel] | None = None
) -> AsyncIterator[App]:
    """By this folder's `config.toml`, from when it is ready. Without `channels`: with those of the config."""
    app = App(
        load(folder / "config.toml", {}, adapters=find_settings),
        models=models,
        adapters=(lambda house: [*channels]) if channels else None,
    )
    task = asyncio.create_task(app.run())
    try:
        ready = asyncio.create_task(app.ready.wait())
        await asyncio.wait((ready, task), return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        yield app
    finally:
        app.stop()
        await task


async def receive(app: App, text: str, event: str, who: str = "ada") -> None:
    """One message, in this user's own chat."""
    await app.intake.receive(MessageReceived(Identity("list", "", who), Address("list", "", who), event, text))
