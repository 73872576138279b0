"""Every case is asked, several side by side, and one that fails stops no other."""

from bot.errors import Fault, ModelError
from bot.evals.answers import Reply
from bot.evals.cases import Case
from bot.evals.judging import Judge, Verdict
from bot.evals.results import Run
from bot.evals.running import Runner
from bot.model import Author
from tests.clock import ManualClock
from tests.evals.answerers import Judges, Says, case, suite


async def run(answerer: Says, *cases: Case, judge: Judge | None = None, at_once: int = 8) -> Run:
    runner = Runner(answerer, ManualClock(), judge, at_once=at_once)
    return await runner.run(suite(*cases), "main", 0.5)


async def test_each_case_has_its_result_in_order() -> None:
    """With what the answer was, cost and came from."""
    answerer = Says(lambda text: Reply(text.upper(), ("a.md",), model="m", tokens=7, cost_micros=3))
    done = await run(answerer, case("one", must_contain=["ONE"], tags=["t"]), case("two", must_contain=["three"]))
    assert [(result.case, result.has_passed) for result in done.results] == [("one", True), ("two", False)]
    first = done.results[0]
    assert (first.answer, first.model, first.documents, first.tokens, first.cost_micros) == (
        "ONE",
        "m",
        ("a.md",),
        7,
        3,
    )
    assert (done.passed, done.is_good, done.by_tag()) == (1, True, {"t": (1, 1)})


async def test_a_conversation_is_answered_turn_by_turn() -> None:
    """The last answer is judged; those before it are what the answerer itself said."""
    answerer = Says(lambda text: Reply(f"to {text}", cost_micros=2))
    done = await run(answerer, case("first", "second", must_contain=["to second"]))
    _, last = answerer.seen[-1]
    said = [(message.author, message.text) for message in last]
    assert said == [(Author.USER, "first"), (Author.AGENT, "to first"), (Author.USER, "second")]
    assert [message.seq for message in last] == [1, 2, 3]
    assert (done.passed, done.cost_micros) == (1, 4)


async def test_conversations_are_kept_apart_and_bounded() -> None:
    """No more of them side by side than allowed, each under its own id."""
    answerer = Says(Reply)
    await run(answerer, *(case(f"q{n}", must_contain=["q"]) for n in range(10)), at_once=3)
    assert answerer.most_running == 3
    assert len({conversation for conversation, _ in answerer.seen}) == 10


async def test_a_failed_answer_fails_its_case_alone() -> None:
    """And the result says why."""
    down = ModelError("the server is down", Fault.UNREACHABLE)
    answerer = Says(lambda text: down if text == "bad" else Reply("fine"))
    done = await run(answerer, case("bad", must_contain=["fine"]), case("good", must_contain=["fine"]))
    assert [result.failures for result in done.results] == [("no answer: the server is down",), ()]


async def test_a_criterion_in_words_is_decided_by_the_judge() -> None:
    """Its reason is kept."""
    words = case("q", must_ask_judge="is kind")
    kind = await run(Says(lambda text: Reply("x")), words, judge=Judges(Verdict(why="It is.", is_met=True)))
    rude = await run(Says(lambda text: Reply("x")), words, judge=Judges(Verdict(why="It shouts.", is_met=False)))
    assert (kind.passed, rude.passed) == (1, 0)
    assert rude.results[0].failures == ("judged: It shouts.",)


async def test_without_a_judge_a_criterion_neither_passes_nor_fails() -> None:
    """The rest of the case counts, and the result names what nobody judged."""
    both = case("q", must_ask_judge="is kind", must_contain=["y"])
    alone = await run(Says(lambda text: Reply("x")), case("q", must_ask_judge="is kind"), both)
    assert [result.unjudged for result in alone.results] == [("is kind",), ("is kind",)]
    assert [len(result.failures) for result in alone.results] == [0, 1]
    failing = await run(Says(lambda text: Reply("x")), both, judge=Judges(ModelError("no key", Fault.KEY)))
    assert failing.results[0].unjudged == ("is kind (the judge failed: no key)",)
