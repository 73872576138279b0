"""Whoever listens hears of every change, each once a batch; and that there were too many."""

import asyncio

import pytest

from bot.handoff import feed
from bot.handoff.feed import Feed
from tests.clock import settle


async def test_each_change_is_heard_once_a_batch_and_again_after_it() -> None:
    told = Feed()
    with told.listening() as listener:
        for conversation in ("a", "b", "a"):
            told.touch(conversation)
        assert await listener.batch() == ["a", "b"]
        waiting = asyncio.ensure_future(listener.batch())
        await settle()
        assert not waiting.done()
        told.touch("a")
        assert await waiting == ["a"]


async def test_after_too_many_changes_it_is_told_to_read_everything_and_hears_of_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(feed, "MOST", 2)
    told = Feed()
    with told.listening() as listener:
        for conversation in ("a", "b", "c"):
            told.touch(conversation)
        assert await listener.batch() == ["c"]
        assert listener.overflowed
        told.touch("d")
        assert await listener.batch() == ["d"]
