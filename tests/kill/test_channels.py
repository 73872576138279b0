"""Every channel at once: nothing said is lost, nothing is doubled and no order is broken, wherever the process is killed."""

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.kill.chats import END, answers_in, is_whole, read_chat, right
from tests.kill.daemon import EARLY_ACK, NO_DEDUPE
from tests.kill.desk import NO_FIND, NO_KEY, UNANNOUNCED
from tests.kill.doubts import CUT, FOUND, HELD, KILLED, TOLD, Notes, held_in, read_doubts
from tests.kill.hurry import FACTOR, HurriedClock, HurriedLoop
from tests.kill.judge import Diary, Verdict, judge_answers
from tests.kill.points import CHANNEL_LABELS
from tests.kill.rounds import Report, put_in_order, run

T = TypeVar("T")
CYCLES, PER_EPISODE = 100, 50  # one half with Slack's Socket Mode, one with its webhooks
CAUGHT_WITHIN = 24


def hurried(work: Coroutine[Any, Any, T]) -> T:
    """On a loop of its own, in hurried time."""
    with asyncio.Runner(loop_factory=HurriedLoop) as runner:
        return runner.run(work)


async def killed(folder: Path, cycles: int, seed: int) -> Report:
    total = Report()
    async with aclosing(run(folder, cycles, seed, per_episode=PER_EPISODE)) as reports:
        async for report in reports:
            total.take(report)
    return total


def test_100_kills_with_all_four_channels_lose_double_and_misplace_nothing(tmp_path: Path) -> None:
    """f01-f05, f11-f13, f17, f28, f33, f67: killed at every step, while Slack, Discord and Twilio go on."""
    total = hurried(killed(tmp_path, CYCLES, 60))
    assert total.verdict.lines() == []
    assert total.cycles.total() == CYCLES
    assert min(total.said[letter] for letter in "sdw") > CYCLES // 2, "too little was said on one of the channels"
    assert min(total.posts.values()) > CYCLES // 3, "too little was answered on one of the channels"
    assert len(CHANNEL_LABELS.keys() - total.cycles.keys()) <= 6, "too many points were never reached"
    for channel in ("slack", "discord", "whatsapp"):
        assert total.doubts.begun[channel, KILLED], f"no send to {channel} was cut off by a kill"


@pytest.mark.parametrize(
    ("fault", "sign", "points"),
    [
        (EARLY_ACK, "lost: d", ("acknowledged", "outside")),
        (NO_DEDUPE, "doubled: ", ("after accept", "outside")),
        (NO_FIND, "doubled: ", ("slack took it", "whatsapp took it")),
        (NO_KEY, "doubled: s", ("slack took it", "slack changed it")),
        (UNANNOUNCED, "is not whole", ("before finish", "slack changed it")),
    ],
)
def test_a_bug_planted_in_the_path_of_the_channels_is_caught(
    tmp_path: Path, fault: str, sign: str, points: tuple[str, ...]
) -> None:
    """The proof can fail: an acknowledgement before the commit, events that are not known again, posts that are not found or carry no
    key, and drafts without a row are each reported as what they are."""
    found = hurried(findings(tmp_path, fault, sign, points))
    assert any(sign in line for line in found), f"{fault!r} was not caught within {CAUGHT_WITHIN} kills: {found}"


async def findings(folder: Path, fault: str, sign: str, points: Sequence[str]) -> list[str]:
    """Of the first episode in which there is the sign, else of all."""
    found: list[str] = []
    async with aclosing(run(folder, CAUGHT_WITHIN, 7, per_episode=8, fault=fault, points=points)) as reports:
        async for report in reports:
            found += report.verdict.lines()
            if any(sign in line for line in found):
                break
    return found


def test_time_passes_alike_on_clocks_and_in_loops() -> None:
    """What waits half a minute waits it on the clock, and a fraction of it on the wall."""

    async def wait() -> tuple[float, int]:
        clock, loop = HurriedClock.begin(), asyncio.get_running_loop()
        at, at_ms = loop.time(), clock.now_ms()
        await clock.sleep(4.0)
        assert abs(clock.monotonic() - loop.time()) < FACTOR
        return loop.time() - at, clock.now_ms() - at_ms

    passed_s, passed_ms = hurried(wait())
    assert passed_s >= 4.0
    assert abs(passed_ms / 1000 - passed_s) < FACTOR / 10


def test_an_answer_is_put_together_again_from_its_messages() -> None:
    """In parts, and between others; a half one stays one."""
    long, short = right(["s0-3", "s0-4"]), right(["s0-5"])
    assert len(long) > 3000
    cut = long.index("Line 50")
    assert [seen.text for seen in answers_in([long[:cut], f"{long[cut:]}\n", short])] == [long, short]
    diary = Diary()
    read_chat(diary, [short, short[: -len(END)]])
    assert len(diary.seen) == 2
    assert not is_whole(diary)


def judged(told: Sequence[str], kept: Sequence[str]) -> Verdict:
    """The judgement over a person who said s0-0 to s0-2 and was told so much, where Frontdesk was told of them in that order."""
    verdict, diary = Verdict(), Diary(sent={f"s0-{number}": f"s0-{number}" for number in range(3)})
    read_chat(diary, told)
    put_in_order(diary, kept, verdict)
    judge_answers(diary, verdict, right)
    return verdict


def test_the_judge_of_chats_tells_right_from_wrong() -> None:
    """A lost, a doubled, a misplaced and a half answer are four different findings; what a platform told late is none."""
    kept = ["s0-0", "s0-2", "s0-1"]
    zero, one, two = right(["s0-0"]), right(["s0-1"]), right(["s0-2"])
    assert judged([zero, two, one], kept).is_clean
    assert judged([zero, right(["s0-1", "s0-2"])], kept).is_clean
    assert judged([zero, two], kept).lost == {"s0-1 was acknowledged and never answered"}
    assert judged([zero, two, one, one], kept).doubled
    assert judged([zero, one, two], kept).disordered
    assert judged([zero, right(["s0-2", "s0-1"])], kept).disordered
    assert judged([zero[:40], zero, two, one], kept).other


def test_what_was_in_doubt_is_counted_with_its_end_and_its_length(tmp_path: Path) -> None:
    """A send that is cut off twice before anything is known of it counts once; one that the platform told of before does not."""
    path = tmp_path / "doubts"
    clock = HurriedClock.begin()
    notes = Notes(str(path), clock)
    tried = clock.now_ms() - 5_000
    notes.note(KILLED, "slack", "m", 0, tried)
    notes.note(KILLED, "slack", "m", 0, tried)
    notes.note(TOLD, "whatsapp", "known", 0)
    notes.note(FOUND, "slack", "m", 0)
    notes.note(CUT, "whatsapp", "n", 1)
    notes.note(HELD, "whatsapp", "n", 1)
    notes.note(TOLD, "whatsapp", "o", 0)
    notes.note(CUT, "whatsapp", "o", 0)
    notes.close()
    doubts = read_doubts(path)
    assert doubts.begun == {("slack", KILLED): 1, ("whatsapp", CUT): 1}
    assert doubts.ended == {("slack", FOUND): 1, ("whatsapp", HELD): 1}
    assert 5 <= doubts.waits_s["slack"][0] < 5 + FACTOR
    assert list(held_in(doubts)) == [f"1 sends to whatsapp: {HELD}"]
