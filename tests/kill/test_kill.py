"""Nothing acknowledged is lost, nothing is doubled and no order is broken, wherever the process is killed."""

from contextlib import aclosing
from pathlib import Path

import pytest

from tests.kill.cycles import Report, run
from tests.kill.daemon import EARLY_ACK, NO_DEDUPE, NO_OUTBOX
from tests.kill.judge import Diary, Seen, Verdict, answer_to, judge, read_posts
from tests.kill.ledger import Post
from tests.kill.points import LABELS

CYCLES = 200
CAUGHT_WITHIN = 40


async def test_200_kills_lose_double_and_misplace_nothing(tmp_path: Path) -> None:
    """f01-f05, f11-f13, f17: killed at every step, with people on real sockets who go on writing."""
    total = Report()
    async with aclosing(run(tmp_path, CYCLES, seed=20)) as reports:
        async for report in reports:
            total.take(report)
    assert total.verdict.lines() == []
    assert total.cycles.total() == CYCLES
    assert total.verdict.acknowledged > CYCLES
    assert total.parts > CYCLES
    assert len(LABELS.keys() - total.cycles.keys()) <= 3, "too many points were never reached"


@pytest.mark.parametrize(
    ("fault", "kind", "points"),
    [
        (EARLY_ACK, "lost", ("acknowledged", "model called", "outside")),
        (NO_DEDUPE, "doubled", ("after accept", "outside")),
        (NO_OUTBOX, "doubled", ("request written", "post accepted")),
    ],
)
async def test_a_planted_bug_is_caught(tmp_path: Path, fault: str, kind: str, points: tuple[str, ...]) -> None:
    """The proof can fail: each of three classic mistakes is reported, by its kind, within a few kills."""
    async with aclosing(run(tmp_path, CAUGHT_WITHIN, 7, per_episode=8, fault=fault, points=points)) as reports:
        async for report in reports:
            found = report.verdict.lost if kind == "lost" else report.verdict.doubled
            if found:
                return
    pytest.fail(f"{fault!r} was not caught within {CAUGHT_WITHIN} kills")


def verdict_on(*seen: Seen, acknowledged: int = 2) -> Verdict:
    """The judgement over a person whose messages v0-0 and v0-1 were acknowledged, and who saw `seen`."""
    diary = Diary(sent={"a": "v0-0", "b": "v0-1"}, seen=list(seen))
    diary.acknowledged = {id_: (id_, 1) for id_ in list(diary.sent)[:acknowledged]}
    return judge([diary], None)


def test_the_judge_finds_nothing_in_a_right_story() -> None:
    """One answer for both, or one for each, in order; what was not acknowledged need not be answered."""
    one, other = answer_to(["v0-0"]), answer_to(["v0-1"])
    assert verdict_on(Seen(3, "x", answer_to(["v0-0", "v0-1"]))).is_clean
    assert verdict_on(Seen(2, "x", one), Seen(4, "y", other)).is_clean
    assert verdict_on(Seen(2, "x", one), acknowledged=1).is_clean


def test_the_judge_names_what_is_wrong() -> None:
    """A missing, a repeated, a misplaced and a broken answer are four different findings."""
    one, other = Seen(2, "x", answer_to(["v0-0"])), Seen(4, "y", answer_to(["v0-1"]))
    assert verdict_on(one).lost == {"v0-1 was acknowledged and never answered"}
    assert verdict_on(one, other, Seen(6, "z", one.text)).doubled == {"v0-0 was answered 2 times"}
    assert verdict_on(other, one).disordered
    assert verdict_on(one, Seen(4, "y", other.text[:-5])).other
    assert verdict_on(one, other, Seen(6, "z", "something else")).other


def test_the_judge_reads_the_ledger_part_by_part() -> None:
    """A part that was posted twice, and parts in the wrong order, are found."""
    parts = [Post("u0", "m", 2, text, text) for text in ("one ", "two ", "three")]
    right, twice, wrong = Diary(), Diary(), Diary()
    read_posts(right, parts)
    read_posts(twice, [*parts, parts[1]])
    read_posts(wrong, [Post("u0", "n", 4, "later", "later"), *parts])
    assert (right.seen, right.complaints) == ([Seen(2, "m", "one two three")], [])
    assert [kind for kind, _ in twice.complaints] == ["doubled"]
    assert [kind for kind, _ in wrong.complaints] == ["disordered"]
