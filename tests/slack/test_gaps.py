"""What was missed is taken up until it is stored."""

import pytest

from bot.errors import StoreUnavailable
from bot.model import MessageReceived
from tests.slack.rig import Rig
from tests.store.database import until


async def test_f30_what_was_missed_and_could_not_be_stored_is_fetched_again_without_another_gap(
    socket: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    """And it stays on record as a gap until then, whatever newer events say."""
    await socket.start()
    socket.people.say(socket.anna, socket.room, "before")
    await socket.heard()
    await socket.stop()
    socket.people.say(socket.anna, socket.room, "while you were away")
    socket.house.refuse = StoreUnavailable("the disk is full")
    await socket.restart()
    await until(lambda: "could not be stored yet" in caplog.text)
    assert socket.house.kept["gap"]
    socket.house.refuse = None
    await until(lambda: any(each.text == "while you were away" for each in socket.house.of(MessageReceived)))
    await until(lambda: socket.house.kept.get("gap") == "")
