"""What a case demands is looked for in the answer, and missed when it is not there."""

import pytest

from bot.agent.router import Router
from bot.agent.spending import Spending
from bot.config import schema
from bot.errors import Fault, ModelError
from bot.evals.answers import Reply
from bot.evals.judging import ModelJudge, Verdict, failures
from bot.ports import ChatModel, Finished, TextDelta
from bot.telemetry.metrics import Metrics
from tests.agent.models import Scripted, Step
from tests.clock import ManualClock
from tests.evals.answerers import case

REPLY = Reply("Send it back within 30\n  days. It is FREE. [1]", ("docs/returns.md",))
UNKNOWN = Reply("I did not find that.", is_answered=False, is_offering_person=True)


@pytest.mark.parametrize(
    ("demands", "reply", "why"),
    [
        ({"must_contain": ["30 days"]}, REPLY, []),
        ({"must_contain": ["within 30 days", ["no charge", "free"]]}, REPLY, []),
        (
            {"must_contain": ["14 days", ["no charge", "cheap"]]},
            REPLY,
            ['does not contain "14 days"', 'does not contain "no charge" or "cheap"'],
        ),
        ({"must_not_contain": ["14 days"]}, REPLY, []),
        ({"must_not_contain": ["30 Days"]}, REPLY, ['contains "30 Days"']),
        ({"must_cite": ["returns.md"]}, REPLY, []),
        ({"must_cite": ["docs/returns.md"]}, REPLY, []),
        ({"must_cite": ["turns.md"]}, REPLY, ["does not cite turns.md"]),
        ({"must_cite": ["returns.md", "hours.md"]}, REPLY, ["does not cite hours.md"]),
        ({"must_not_know": True}, UNKNOWN, []),
        ({"must_not_know": True}, REPLY, ["claims to know"]),
        ({"must_not_know": True}, Reply("No. [1]", ("a.md",), is_answered=False), ["claims to know"]),
        ({"must_offer_person": True}, UNKNOWN, []),
        ({"must_offer_person": True}, REPLY, ["offers no person"]),
    ],
)
def test_each_demand_can_be_met_and_missed(demands: dict[str, object], reply: Reply, why: list[str]) -> None:
    """Whatever the case of letters and the white space."""
    assert failures(case("Q?", **demands), reply) == why


def judge(*script: Step) -> tuple[ModelJudge, Scripted]:
    """A judge over the real router, with a model at the port."""
    clock = ManualClock()
    model = Scripted("strict", clock, list(script))
    models: dict[str, ChatModel] = {"strict": model}
    settings = {"strict": schema.Model(provider="openai", model="m", tries=1)}
    spending = Spending(clock, {}, per_person=5, per_day=5)
    router = Router(models, settings, clock, Metrics(), spending=spending)
    return ModelJudge(router.chain(["strict"]), clock, within_s=30), model


async def test_a_judge_reads_conversation_answer_and_criterion() -> None:
    """And answers by a schema."""
    subject, model = judge(TextDelta('{"why": "It names no number.", "is_met": false}'), Finished())
    verdict = await subject.judge(["Postage?", "and to Norway?"], "It depends.", "names a price")
    assert verdict == Verdict(why="It names no number.", is_met=False)
    asked = model.requests[0].messages[-1].text
    assert all(text in asked for text in ("Postage?", "and to Norway?", "It depends.", "names a price"))
    assert model.requests[0].schema is not None


async def test_a_judge_that_cannot_judge_says_so() -> None:
    """No verdict is made up."""
    subject, _ = judge(ModelError("wrong key", Fault.KEY))
    with pytest.raises(ModelError):
        await subject.judge(["Postage?"], "It depends.", "names a price")
