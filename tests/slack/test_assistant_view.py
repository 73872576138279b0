"""The script of all channels, in a thread of the Assistant view: there answers are streamed in Slack's own way."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.platforms.slack.driver import SlackPlatform
from tests.platforms.stage import Stage
from tests.platforms.suite import CHECKS, perform


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    staged = Stage(Path(tmp_path_factory.mktemp("assistant")), SlackPlatform(in_assistant=True, is_paced=False))
    try:
        await staged.start()
        yield staged
    finally:
        await staged.stop()


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("name", CHECKS)
async def test_the_assistant_view_keeps_the_promise(stage: Stage, name: str) -> None:
    await perform(stage, CHECKS[name])
    assert isinstance(stage.platform, SlackPlatform)
    assert stage.platform.violations() == []


@pytest.mark.asyncio(loop_scope="module")
async def test_answers_there_are_streamed(stage: Stage) -> None:
    await stage.answer(await stage.ask("Once more?"))
    assert isinstance(stage.platform, SlackPlatform)
    called = stage.platform.site.space.ledger.called
    assert called("chat.startStream")
    assert called("chat.stopStream")
