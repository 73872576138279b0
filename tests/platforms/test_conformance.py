"""Every channel, held against the same script: the real daemon, the real SDKs, and platforms that speak their protocols on loopback."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from tests.platforms.discord.driver import DiscordPlatform
from tests.platforms.kit import Platform
from tests.platforms.slack.driver import SlackPlatform
from tests.platforms.stage import Stage
from tests.platforms.suite import CHECKS, perform
from tests.platforms.twilio.driver import TwilioPlatform
from tests.platforms.web.driver import WebPlatform

PLATFORMS: dict[str, Callable[[], Platform]] = {
    "web": WebPlatform,
    "slack": lambda: SlackPlatform(is_paced=False),  # by webhooks it keeps to the limits
    "discord": DiscordPlatform,
    "whatsapp": TwilioPlatform,
}
EDITS = {
    "an_edit_after_the_answer_changes_what_is_stored",
    "an_edit_during_the_answer_is_what_is_answered",
    "what_is_deleted_is_gone_and_no_model_reads_it_again",
    "a_question_that_is_deleted_during_the_answer_is_not_answered",
}
LACKS = {
    "web": EDITS
    | {
        "a_rate_limit_is_obeyed_and_loses_nothing",
        "refused_credentials_stop_this_channel_alone_and_say_what_to_mend",
    },
    "whatsapp": EDITS | {"an_answer_is_shown_while_it_is_written"},
}
ALIKE = {  # the same however events come in, or only where a connection can be cut: seen once for Slack
    "an_answer_is_shown_while_it_is_written",
    "an_edit_during_the_answer_is_what_is_answered",
    "a_question_that_is_deleted_during_the_answer_is_not_answered",
    "a_long_answer_arrives_whole_and_in_order",
    "what_is_said_while_the_connection_is_cut_is_answered",
    "what_was_missed_while_nothing_could_be_stored_is_answered",
    "hostile_texts_are_answered_and_ping_nobody",
    "a_post_whose_answer_was_lost_is_there_once",
    "a_rate_limit_is_obeyed_and_loses_nothing",
}


@asynccontextmanager
async def staged(platform: Platform, folder: Path) -> AsyncIterator[Stage]:
    """One platform with a daemon, for all checks of the script."""
    stage = Stage(folder, platform)
    try:
        await stage.start()
        yield stage
        assert stage.new_violations() == []
    finally:
        await stage.stop()


@pytest_asyncio.fixture(loop_scope="module", scope="module", params=PLATFORMS)
async def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    name: str = request.param
    async with staged(PLATFORMS[name](), tmp_path_factory.mktemp(name)) as stage:
        yield stage


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def slack_by_http(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with staged(
        SlackPlatform("http", retries_s=(0.0, 1.0, 60.0)), tmp_path_factory.mktemp("slack-http")
    ) as stage:
        yield stage


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("name", CHECKS)
async def test_every_channel_keeps_the_promise(stage: Stage, name: str) -> None:
    """What a platform lacks is listed above, and nothing else is left out."""
    if name in LACKS.get(stage.platform.name, set()):
        with pytest.raises(NotImplementedError):
            await perform(stage, CHECKS[name])
    else:
        await perform(stage, CHECKS[name])


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("name", [name for name in CHECKS if name not in ALIKE])
async def test_slack_keeps_it_by_webhooks_too(slack_by_http: Stage, name: str) -> None:
    await perform(slack_by_http, CHECKS[name])
