"""Nothing acknowledged is lost, nothing is doubled and no order is broken, wherever the process is killed."""

from collections import Counter
from contextlib import aclosing
from pathlib import Path

import pytest

from tests.kill.brain import Asked
from tests.kill.cycles import Report, run
from tests.kill.daemon import EARLY_ACK, NO_DEDUPE, NO_JOURNAL, NO_OUTBOX, NO_OUTCOME, NO_THOUGHT, OTHER_DRAFT
from tests.kill.journal import Books, Run, Standing, judge_journal, judge_spend
from tests.kill.judge import Diary, Seen, Verdict, answer_to, judge, read_posts
from tests.kill.ledger import Post
from tests.kill.points import IN_A_MODEL_TURN, LABELS
from tests.models.wire import Counts, Received

CYCLES = 200
MODEL_CYCLES = 66  # a half with each provider
CAUGHT_WITHIN = 40


async def killed(folder: Path, cycles: int, seed: int, *, per_episode: int = 50, has_model: bool = False) -> Report:
    total = Report()
    async with aclosing(run(folder, cycles, seed, per_episode=per_episode, has_model=has_model)) as reports:
        async for report in reports:
            total.take(report)
    return total


async def test_200_kills_lose_double_and_misplace_nothing(tmp_path: Path) -> None:
    """f01-f05, f11-f13, f17: killed at every step, with people on real sockets who go on writing."""
    total = await killed(tmp_path, CYCLES, 20)
    assert total.verdict.lines() == []
    assert total.cycles.total() == CYCLES
    assert total.verdict.acknowledged > CYCLES
    assert total.parts > CYCLES
    assert len(LABELS.keys() - total.cycles.keys()) <= 3, "too many points were never reached"


async def test_66_kills_of_turns_with_a_streaming_model_repeat_no_step_no_tool_and_no_cost(tmp_path: Path) -> None:
    """f01-f06, f08, f11-f13, f17, through either provider's SDK: besides, what was thought comes back, and no draft is left over."""
    total = await killed(tmp_path, MODEL_CYCLES, 40, per_episode=MODEL_CYCLES // 2, has_model=True)
    assert total.verdict.lines() == []
    assert total.cycles.total() == MODEL_CYCLES
    assert total.verdict.acknowledged > MODEL_CYCLES
    assert total.continued > MODEL_CYCLES // 4, "too few turns went on from the steps of an earlier life"
    assert total.vain > MODEL_CYCLES // 4, "too few kills hit a call of the model"
    assert len(IN_A_MODEL_TURN.keys() - total.cycles.keys()) <= 3, "too many points were never reached"


@pytest.mark.parametrize(
    ("fault", "sign", "points"),
    [
        (EARLY_ACK, "lost: ", ("acknowledged", "model called", "outside")),
        (NO_DEDUPE, "doubled: ", ("after accept", "outside")),
        (NO_OUTBOX, "doubled: ", ("request written", "post accepted")),
    ],
)
async def test_a_planted_bug_is_caught(tmp_path: Path, fault: str, sign: str, points: tuple[str, ...]) -> None:
    """The proof can fail: each of three classic mistakes is reported, by its kind, within a few kills."""
    await catch(tmp_path, fault, sign, points, has_model=False)


@pytest.mark.parametrize(
    ("fault", "sign", "points"),
    [
        (NO_JOURNAL, "was asked for in life", ("model asked again",)),
        (NO_OUTCOME, "the tool ran again in life", ("model asked again",)),
        (NO_THOUGHT, "came back in place of", ("result told",)),
        (OTHER_DRAFT, "was left with drafts", ("half streamed",)),
    ],
)
async def test_a_bug_planted_in_the_path_of_the_model_is_caught(
    tmp_path: Path, fault: str, sign: str, points: tuple[str, ...]
) -> None:
    """The proof can fail: steps, outcomes or thoughts that are not kept, and a draft that stays, are each reported as what they are."""
    await catch(tmp_path, fault, sign, points, has_model=True)


async def catch(folder: Path, fault: str, sign: str, points: tuple[str, ...], *, has_model: bool) -> None:
    """Fails unless a finding with `sign` in it is reported."""
    per_episode = 4 if has_model else 8
    kills = run(folder, CAUGHT_WITHIN, 7, per_episode=per_episode, fault=fault, points=points, has_model=has_model)
    async with aclosing(kills) as reports:
        async for report in reports:
            if any(sign in line for line in report.verdict.lines()):
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


def asked(serial: int, life: int, step: int, turn: str = "v0-1", *, is_whole: bool = True) -> Asked:
    received = Received({}, {}, is_whole=is_whole)
    return Asked(serial, life, turn, step, Counts(1000 + serial, 10), received)


KILLED = Standing(is_clean=False)
STEP = Standing(is_clean=False, steps=frozenset({("v0-1", 0)}))


def journal(lives: list[Standing], *requests: Asked, runs: tuple[Run, ...] = ()) -> list[str]:
    verdict = Verdict()
    judge_journal(requests, runs, dict(enumerate(lives, 1)), verdict)
    return verdict.lines()


def test_the_judge_knows_a_step_that_was_asked_for_again_from_one_that_had_to_be() -> None:
    """A step that a kill kept from the disk is asked for again; one that stood there, or was built on, or is answered, is not."""
    assert journal([KILLED, STEP, KILLED], asked(0, 1, 0), asked(1, 2, 0), asked(2, 3, 1)) == []
    assert journal([KILLED, KILLED], asked(1, 2, 0), asked(0, 1, 0)) == [], "in the order of lives, not of arrival"
    [again] = journal([STEP, KILLED], asked(0, 1, 0), asked(1, 2, 0))
    assert "stood on disk before" in again
    [built] = journal([KILLED, KILLED], asked(0, 1, 0), asked(1, 1, 1), asked(2, 2, 0))
    assert "after step 1" in built
    [twice] = journal([KILLED], asked(0, 1, 0), asked(1, 1, 0))
    assert "twice in life 1" in twice
    answered = Standing(is_clean=False, handled=frozenset({"v0-1"}))
    [late] = journal([answered, KILLED], asked(0, 1, 0), asked(1, 2, 0))
    assert "was answered" in late


def test_the_judge_knows_a_tool_that_ran_again_from_one_that_had_to() -> None:
    """A search without an outcome runs again; one with an outcome, on disk or told to the model, does not."""
    query = "How long? (v0-1 0 0)"
    both = (Run(1, query), Run(2, query))
    settled = Standing(is_clean=False, steps=frozenset({("v0-1", 0)}), queries=frozenset({query}))
    assert journal([STEP, KILLED], asked(0, 1, 0), asked(1, 2, 1), runs=both) == []
    [again] = journal([settled, KILLED], asked(0, 1, 0), asked(1, 2, 1), runs=both)
    assert "its outcome stood on disk" in again
    [told] = journal([STEP, KILLED], asked(0, 1, 0), asked(1, 1, 1), runs=both)
    assert "its outcome had been told" in told
    [twice] = journal([STEP], asked(0, 1, 0), runs=(Run(1, query), Run(1, query)))
    assert "ran 2 times in life 1" in twice


def books(*sums: int, traced: tuple[int, ...]) -> Books:
    return Books({"v0-1": "p"}, {("p", "brain"): sums}, Counter(traced))


def test_the_judge_counts_what_was_committed_and_forgives_what_a_kill_cut_off() -> None:
    """Of two requests for one step the later is due. In a life that was stopped cleanly none is in vain."""
    requests = [asked(0, 1, 0, is_whole=False), asked(1, 2, 0), asked(2, 2, 1)]
    right = books(2, 0, 2003, 20, 0, 0, 6309, traced=(1, 2))

    def found(given: Books, first: Standing = KILLED) -> list[str]:
        verdict = Verdict()
        assert judge_spend(requests, given, {1: first, 2: KILLED}, verdict) == 1
        return verdict.lines()

    assert found(right) == []
    assert "asked for in vain in life 1" in found(right, Standing(is_clean=True))[0]
    assert "spend of ('p', 'brain')" in found(books(3, 0, 3003, 20, 0, 0, 9309, traced=(1, 2)))[0]
    assert "is traced 0 times: 1" in found(books(2, 0, 2003, 20, 0, 0, 6309, traced=(2,)))[0]
    requests[2] = asked(2, 2, 1, is_whole=False)
    assert "was not whole" in found(right)[0]
