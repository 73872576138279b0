"""What a person reads when two answers of one turn were held back."""

from bot.agent.loop import STOPPED, WISH_NOTED, Rules
from bot.ports import ChatModel
from tests.loop.test_loop import House, Scripted, calls, says

WRONG = "You have 60 days to return it [1]."
CLAIMING = "I have issued your refund. You have 30 days to return it [1]."


def checking(*models: ChatModel) -> House:
    """An agent whose values need a source."""
    return House(*models, rules=Rules("main", is_checking_facts=True))


async def test_a_citation_excuses_no_claim_that_was_not_held_before() -> None:
    """The first answer was held for a value; the second says that something was done, which nobody has told the model yet."""
    answer = await checking(Scripted(calls("search_knowledge"), says(WRONG), says(CLAIMING))).ask()
    assert answer.text == STOPPED
    assert [each.why for each in answer.held] == ["source", "claim"]


async def test_who_has_asked_for_a_person_is_not_asked_whether_they_want_one() -> None:
    """The wish was noted before both answers were held: the person is told of it, and offered nothing."""
    wrong = says("Somebody will write to you within 5 hours.")
    answer = await checking(Scripted(calls("request_human", arguments='{"reason": "asked"}'), wrong, wrong)).ask()
    assert answer.is_person_wished
    assert (answer.text, answer.buttons, answer.is_held) == (WISH_NOTED, (), True)
