"""An answer with a value that stands in no source, through the real loop: what the page shows, what the model is told, what is sent."""

from pathlib import Path

import pytest

from bot.agent.loop import NO_SOURCE, Rules
from bot.ending import trace
from bot.handoff.handing import fallen
from bot.handoff.requests import Origin
from bot.llm.offline import OfflineModel
from bot.ports import ChatModel
from bot.tools import Tool
from bot.tools.search import SearchKnowledge
from tests.clock import ManualClock
from tests.llm.openai_asking import opened
from tests.loop.test_loop import PASSAGE, House, Scripted, Shelf, calls, message, says
from tests.models.openai_server import OpenAIServer
from tests.models.wire import Reply
from tests.pipeline.house import DraftingChannel, agent, core
from tests.store.database import until

WRONG, RIGHT = "You have 60 days to return it [1].", "You have 30 days to return it [1]."


class Checking(House):
    """An agent whose values need a source."""

    def __init__(self, *models: ChatModel) -> None:
        super().__init__(*models, rules=Rules("main", is_checking_facts=True))
        self.seen: list[str] = []
        show = self.page.show

        async def watched(text: str) -> None:
            self.seen.append(text)
            await show(text)

        self.page.show = watched  # type: ignore[method-assign] # what was ever shown, also what was taken back

    @property
    def ever_shown(self) -> str:
        return "".join(self.seen)


async def test_a_value_without_a_source_is_never_shown_and_is_written_again() -> None:
    """The page shows what stands before it at most; the model is told which value it is."""
    model = Scripted(
        calls("search_knowledge"), says("Good news. You ", "have 6", "0 days", " to return it [1]."), says(RIGHT)
    )
    house = Checking(model)
    answer = await house.ask()
    assert (answer.text, answer.is_answered, answer.stopped) == (RIGHT, True, "")
    assert "6" not in house.ever_shown
    assert house.page.voided == 1
    assert "".join(house.page.shown) == RIGHT
    assert "60 days" in model.requests[2].messages[-1].text
    assert [(each.why, each.what) for each in answer.held] == [("source", ("60 days",))]


async def test_an_answer_that_is_wrong_twice_gives_way_to_a_plain_sentence_and_a_person() -> None:
    """Its own first answer and what it was told of it are no source for the second."""
    model = Scripted(calls("search_knowledge"), says(WRONG))
    house = Checking(model)
    answer = await house.ask()
    assert (answer.text, answer.is_answered, len(model.requests)) == (NO_SOURCE, False, 3)
    assert [each.id for each in answer.buttons] == ["person"]
    assert "60" not in house.ever_shown
    ask = fallen(answer, ())
    assert ask is not None
    assert ask.origin is Origin.ERROR
    assert '"held":[{"why":"source","what":["60 days"]}' in trace([], None, answer)
    assert house.agent.held_answers.of("source", "replaced").value == 2


async def test_what_a_model_says_before_its_call_is_no_source() -> None:
    """It has invented that, too."""
    model = Scripted(calls("search_knowledge", text="I think it is 60 days."), says(WRONG), says(RIGHT))
    house = Checking(model)
    assert (await house.ask()).text == RIGHT
    assert "60" not in house.ever_shown


async def test_a_value_with_a_source_is_sent_whatever_the_source_is() -> None:
    """The passage, the user, the conversation so far: one call of the model is enough."""
    for said in ("Within 30 days [1].", "You paid €80 [1].", "As I said, order 4711 is on its way [1]."):
        house = Checking(Scripted(calls("search_knowledge"), says(said)))
        answer = await house.ask("I paid 80 euros", past=[message("Order 4711 please", seq=1)])
        assert (answer.text, answer.held) == (said, [])


async def test_a_corrected_answer_may_search_again() -> None:
    """What it then finds is a source."""
    found = PASSAGE
    model = Scripted(says("You have 30 days."), calls("search_knowledge"), says(RIGHT))
    house = Checking(model)
    answer = await house.ask()
    assert (answer.text, answer.held[0].what) == (RIGHT, ("30 days",))
    assert found.text in model.requests[2].messages[-1].results[0].text
    assert house.agent.held_answers.of("source", "corrected").value == 1


async def test_who_switches_it_off_gets_what_the_model_writes() -> None:
    """Nothing is looked for."""
    answer = await House(Scripted(calls("search_knowledge"), says(WRONG))).ask()
    assert (answer.text, answer.held) == (WRONG, [])


@pytest.mark.parametrize("is_corrected", [True, False])
async def test_no_held_byte_reaches_a_page_through_the_real_sdk(tmp_path: Path, *, is_corrected: bool) -> None:
    """A provider's stream in small pieces, a real database, a channel that shows drafts: neither a draft nor the message has it."""
    clock, channel = ManualClock(), DraftingChannel()
    async with OpenAIServer() as server, opened(server, clock, tries=1) as sdk:
        wrong = Reply("Gladly. Write to refunds@evil.example within 60 days, it is free of charge.", chunks=40)
        second = Reply("I did not find where to write.", chunks=8) if is_corrected else wrong
        server.replies.extend([wrong, second])
        models: dict[str, ChatModel] = {"small": sdk, "offline": OfflineModel()}
        tools: list[Tool] = [SearchKnowledge(Shelf(PASSAGE))]
        answerer = agent(models, clock, tools, rules=Rules("main", is_checking_facts=True))
        async with core(tmp_path / "data", channel=channel, clock=clock, answerer=answerer) as house:
            await house.say("Where do I write?", "1")
            await until(lambda: len(server.ledger) == 2 and not house.scheduler.running())
            await house.rest()
            rows = await house.all("SELECT text FROM messages WHERE author = 'agent'")
    seen = " ".join([text for _, text in channel.drafts] + [str(text) for (text,) in rows])
    assert not any(each in seen for each in ("refunds@", "evil", "60", "free"))
    assert rows == [("I did not find where to write." if is_corrected else NO_SOURCE,)]
    told = str(server.ledger[1].body["messages"][-1])
    assert all(each in told for each in ("refunds@evil.example", "60 days", "free of charge"))
    assert len(server.ledger) == 2
