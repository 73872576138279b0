"""The main path of each channel on platforms that have nothing else: the real daemon, the real SDKs, and everything optional missing.

Something is said, stored, acknowledged and answered once and whole; edits, deletions and verdicts are taken; nothing stops the channel."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.platforms.bare.base import Bare
from tests.platforms.bare.discord import CHANNEL as PLACE
from tests.platforms.bare.discord import BareDiscord
from tests.platforms.bare.slack import CHANNEL, DIRECT, BareSlack
from tests.platforms.bare.twilio import BareTwilio
from tests.platforms.stage import KNOWN, Stage, closing

QUESTION = "How long may I return a bicycle?"
FEEDBACK = "SELECT feedback FROM messages WHERE author = 'agent' AND text LIKE :text"


@asynccontextmanager
async def staged(folder: Path, platform: Bare) -> AsyncIterator[Stage]:
    stage = Stage(folder, platform)
    try:
        await stage.start()
        yield stage
        assert (await stage.channel_state()).startswith("up")
        assert "Traceback" not in stage.log()
    finally:
        await stage.stop()


async def is_answered(stage: Stage) -> None:
    """From the knowledge, with where it stands."""
    mark = await stage.ask(QUESTION)
    shown = await stage.answer(mark)
    assert KNOWN in shown.text
    assert "[1]" in shown.text


async def is_changed(stage: Stage) -> None:
    """An edit, a deletion, a repetition, and a verdict."""
    platform = stage.platform
    mark = stage.mark()
    id_ = await platform.say(f"{mark} Do bicycles have bells?")
    shown = await stage.answer(mark)
    await platform.rate(shown, "up")
    await stage.until(
        lambda: stage.rows(FEEDBACK, text=f"%{closing(mark)}%"), lambda rows: rows == [("up",)], what="the verdict"
    )
    await platform.repeat(id_)
    await platform.edit(id_, f"{mark} Do bicycles have lamps?")
    texts = "SELECT text FROM messages WHERE author = 'user' AND text LIKE :text"
    await stage.until(
        lambda: stage.rows(texts, text=f"%{mark}%"),
        lambda rows: rows == [(f"{mark} Do bicycles have lamps?",)],
        what="the edit",
    )
    await platform.delete(id_)
    await stage.until(lambda: stage.rows(texts, text=f"%{mark}%"), lambda rows: rows == [], what="the deletion")
    stage.check_once(mark)


async def is_answered_in_public(stage: Stage, platform: BareSlack | BareDiscord, place: str) -> None:
    """As a reply to the question, where threads cannot be had."""
    mark = stage.mark()
    asked = await platform.mention(f"{mark} {QUESTION}")
    shown = await stage.answer(mark)
    post = platform.post(shown.id)
    assert post is not None
    assert (post.room, post.thread) == (place, asked)


@pytest.mark.parametrize(
    "platform",
    [
        BareSlack("http", below="/api", has_json=False),
        BareSlack("socket", is_old=True, greets=False),
    ],
    ids=["http", "socket"],
)
async def test_slack_with_four_methods_is_a_channel(tmp_path: Path, platform: BareSlack) -> None:
    """Neither streams nor names, history, statuses and greetings; in the second place it has no new kinds of blocks and no greetings on sockets
    either."""
    async with staged(tmp_path, platform) as stage:
        await is_answered(stage)
        await is_changed(stage)
        await is_answered_in_public(stage, platform, CHANNEL)
        if platform.mode == "http":
            await a_person_is_asked_for(stage)
        else:
            await platform.cut()
            await platform.wait_ready()
            await is_answered(stage)
        assert {post.room for post in platform.posts} == {DIRECT, CHANNEL}
        assert platform.unserved


async def a_person_is_asked_for(stage: Stage) -> None:
    mark = await stage.ask("What nobody knows")
    shown = await stage.answer(mark)
    await stage.platform.press(shown, "Talk to a person")
    presses = "SELECT COUNT(*) FROM messages WHERE kind = 'press:person'"
    await stage.until(lambda: stage.rows(presses)[0][0], lambda count: count == 1, what="a person is asked for")
    await stage.settled()


async def test_discord_with_three_routes_is_a_channel(tmp_path: Path) -> None:
    """Neither threads nor commands, channels, histories and sessions that can be resumed; ids that hold no time."""
    platform = BareDiscord()
    async with staged(tmp_path, platform) as stage:
        await is_answered(stage)
        await is_changed(stage)
        await is_answered_in_public(stage, platform, PLACE)
        await platform.cut()
        await is_answered(stage)
        assert platform.identified == 2
        assert platform.refused_resumes >= 1


async def test_twilio_with_one_route_is_a_channel(tmp_path: Path) -> None:
    """Neither the account nor lists and typing; reports of what became of messages are taken."""
    platform = BareTwilio()
    async with staged(tmp_path, platform) as stage:
        mark = stage.mark()
        sid = await platform.say(f"{mark} {QUESTION}")
        shown = await stage.answer(mark)
        assert KNOWN in shown.text
        await platform.repeat(sid)
        post = platform.post(shown.id)
        assert post is not None
        for status in ("delivered", "sent"):
            await platform.report(post, status)
        assert platform.statuses == [204, 204]
        receipts = "SELECT DISTINCT receipt FROM outbox"
        await stage.until(lambda: stage.rows(receipts), lambda rows: rows == [("delivered",)], what="the receipt")
        stage.check_once(mark)
