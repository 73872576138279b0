"""The daemon as its config makes it: memory is switched on by one line, and all of it is there."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bot.app import App
from bot.model import Address, CaseEnded, Identity
from bot.tools.names import ABOUT_ME, REMEMBER
from tests import app as daemon
from tests.app import APART, TALKER
from tests.memory.house import told
from tests.pipeline.house import ListChannel, ScriptedModel
from tests.store.database import until

CONFIG = """
[models.writer]
provider = "openai"
model = "m"
base_url = "http://127.0.0.1:9/v1"
[roles]
answer = ["talker"]
background = ["writer"]
[agents.main]
memory = {memory}
tools = {tools}
"""


@asynccontextmanager
async def running(
    folder: Path, memory: str = "true", tools: str = '["remember", "about_me"]'
) -> AsyncIterator[tuple[App, ListChannel, ScriptedModel]]:
    (folder / "config.toml").write_text(APART + TALKER + CONFIG.format(memory=memory, tools=tools))
    talker, channel = ScriptedModel(), ListChannel()
    models = {"talker": talker, "writer": ScriptedModel(told("Ada asked about a tyre."))}
    async with daemon.running(folder, channel, models=models) as app:
        yield app, channel, talker


async def say(app: App, channel: ListChannel, text: str) -> str:
    """What is answered, besides the question whether a case was solved."""
    before = len(answers(channel))
    await daemon.receive(app, text, f"e{before}{text}")
    await until(lambda: len(answers(channel)) > before)
    return answers(channel)[-1]


def answers(channel: ListChannel) -> list[str]:
    return [message.text for message in channel.sent if not message.buttons]


async def test_memory_is_there_by_one_line_of_the_config(tmp_path: Path) -> None:
    """The tools, the job with its background model, what is recalled, and what the user is told of it."""
    async with running(tmp_path) as (app, channel, talker):
        await say(app, channel, "My tyre is flat")
        assert {tool.name for tool in talker.requests[-1].tools} == {REMEMBER, ABOUT_ME}
        await app.intake.receive(CaseEnded(Identity("list", "", "ada"), Address("list", "", "ada")))
        await app.keeper.round()
        await say(app, channel, "The tyre again")
        assert any("Ada asked about a tyre." in entry.text for entry in talker.requests[-1].messages)
        assert "Ada asked about a tyre." in await say(app, channel, "What do you know about me?")


async def test_without_that_line_there_is_none_of_it(tmp_path: Path) -> None:
    """No tool, no episode; and the user is told so."""
    async with running(tmp_path, "false") as (app, channel, talker):
        await say(app, channel, "My tyre is flat")
        assert talker.requests[-1].tools == ()
        await app.intake.receive(CaseEnded(Identity("list", "", "ada"), Address("list", "", "ada")))
        await app.keeper.round()
        assert await app.store.read("SELECT * FROM episodes") == []
        told_ = await say(app, channel, "What do you know about me?")
        assert told_ == "I remember nothing of you beyond this conversation."


async def test_an_agent_has_only_the_tools_it_may_use(tmp_path: Path) -> None:
    """Memory without notes of its own."""
    async with running(tmp_path, tools='["about_me"]') as (app, channel, talker):
        await say(app, channel, "Hello")
        assert [tool.name for tool in talker.requests[-1].tools] == [ABOUT_ME]
