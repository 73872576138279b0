"""One turn of an agent: models that call tools, break, lie, loop and cost money, behind the port."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bot.agent.calls import REPEATED
from bot.agent.context import Past
from bot.agent.loop import CUT_OFF, ONLY_QUOTES, REFUSED, STOPPED, Agent, Answer, Asked, Rules
from bot.config import schema
from bot.errors import Fault, ModelError
from bot.llm.offline import OfflineModel
from bot.model import Author, Found, Message, MessageId, Passage, PassageId, Seq
from bot.ports import ChatModel, ChatRequest, Chunk, Finished, Progress, Reasoning, TextDelta, ToolCall, Usage
from bot.tools import Output, Tool
from bot.tools.person import RequestHuman
from bot.tools.search import Arguments, SearchKnowledge
from tests.clock import ManualClock
from tests.pipeline.house import agent

Reply = Sequence[Chunk | Exception]
PASSAGE = Passage(
    PassageId("p1"), "returns.md", "Returns", "You may return anything within 30 days.", "https://x/returns"
)


class Scripted:
    """Plays one reply after the other; the last one again and again. Keeps what it was asked."""

    def __init__(self, *replies: Reply, name: str = "model") -> None:
        self.name = name
        self.requests: list[ChatRequest] = []
        self._replies = list(replies)

    async def stream(self, request: ChatRequest) -> AsyncIterator[Chunk]:
        self.requests.append(request)
        for each in self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]:
            if isinstance(each, Exception):
                raise each
            yield each


@dataclass
class Page:
    """What a person would see of the drafts."""

    shown: list[str] = field(default_factory=list)
    steps: list[tuple[str, str]] = field(default_factory=list)
    voided: int = 0

    async def show(self, text: str) -> None:
        self.shown.append(text)

    async def void(self) -> None:
        self.voided += 1
        self.shown.clear()

    async def step(self, progress: Progress) -> None:
        self.steps.append((progress.title, progress.state))


class Shelf:
    """A knowledge base of one passage."""

    def __init__(self, *passages: Passage) -> None:
        self.queries: list[str] = []
        self._found = tuple(Found(each, 1.0, 1.0) for each in passages)

    async def search(self, query: str, limit: int = 5, within: Sequence[Path] = ()) -> Sequence[Found]:
        self.queries.append(query)
        return self._found

    async def passage(self, passage: PassageId) -> Passage | None:
        return None


def says(*texts: str, reason: str = "stop") -> Reply:
    return [*map(TextDelta, texts), Usage(100, 10), Finished(reason)]


def calls(*names: str, arguments: str = '{"query": "returns"}', text: str = "") -> Reply:
    said = [TextDelta(text)] if text else []
    return [
        *said,
        *(ToolCall(f"c{n}", name, arguments) for n, name in enumerate(names)),
        Usage(100, 10),
        Finished("tools"),
    ]


def message(text: str, author: Author = Author.USER, seq: int = 1) -> Message:
    return Message(MessageId(f"m{seq}"), Seq(seq), author, text, 0)


class House:
    """An agent with what it stands on."""

    def __init__(
        self,
        *models: ChatModel,
        rules: Rules | None = None,
        budget: float = 0.0,
        price: float = 0.0,
        is_streaming: bool = True,
    ) -> None:
        self.clock, self.shelf, self.page = ManualClock(), Shelf(PASSAGE), Page()
        settings = {
            each.name: schema.Model(
                provider="openai",
                model="m",
                tries=1,
                stream=is_streaming,
                prices=schema.Prices(input=price, output=price),
            )
            for each in models
        }
        given = {each.name: each for each in models} | {"offline": OfflineModel()}
        tools: list[Tool] = [SearchKnowledge(self.shelf), RequestHuman()]
        self.agent: Agent = agent(given, self.clock, tools, rules=rules, settings=settings, budget=budget)
        self.asked: Asked | None = None

    async def ask(self, text: str = "How do I return something?", past: Sequence[Message] = ()) -> Answer:
        self.asked = Asked("c1", Past(past), lambda: (message(text, seq=9),), self.page, payer="ada")
        return await self.agent.answer(self.asked)

    @property
    def outcomes(self) -> list[tuple[str, str]]:
        assert self.asked is not None
        return [(each.model, each.outcome) for each in self.asked.attempts]


async def test_a_model_searches_reads_and_cites() -> None:
    """Two calls of the model; the second reads the passages, and [1] in the answer is a citation."""
    model = Scripted(calls("search_knowledge"), says("Within 30 days ", "[1]."))
    house = House(model)
    answer = await house.ask()
    assert (answer.text, answer.is_answered, answer.buttons) == ("Within 30 days [1].", True, ())
    assert [(c.number, c.passage, c.url) for c in answer.citations] == [(1, "p1", "https://x/returns")]
    assert model.requests[1].messages[-1].results[0].text == "[1] Returns\nYou may return anything within 30 days."
    assert house.shelf.queries == ["returns"]
    assert house.page.shown == ["Within 30 days ", "[1]."]
    assert house.outcomes == [("model", "tools"), ("model", "answered")]


async def test_several_calls_at_once_are_numbered_apart() -> None:
    """Each passage has a number of its own, and each result stands with its call."""
    model = Scripted(calls("search_knowledge", "search_knowledge", arguments='{"query": "x"}'), says("See [2]."))
    answer = await House(model, rules=Rules("main", same_calls=5)).ask()
    results = model.requests[1].messages[-1].results
    assert [(each.call, each.first_number) for each in results] == [("c0", 1), ("c1", 2)]
    assert [each.number for each in answer.citations] == [2]


async def test_f40_calls_of_one_answer_run_one_after_the_other() -> None:
    """Never side by side, in the order in which the model wrote them."""
    running: list[str] = []

    class Slow:
        name, title, description, arguments, is_read = "search_knowledge", "", "Searches.", Arguments, True

        async def run(self, arguments: Arguments, first_number: int) -> Output:
            running.append(f"{arguments.query} begins")
            await asyncio.sleep(0)
            running.append(f"{arguments.query} ends")
            return Output("done")

    twice: Reply = [ToolCall(f"c{n}", "search_knowledge", f'{{"query": "{n}"}}') for n in range(2)]
    models: dict[str, ChatModel] = {
        "model": Scripted([*twice, Finished("tools")], says("Done.")),
        "offline": OfflineModel(),
    }
    joined: Callable[[], Sequence[Message]] = lambda: (message("do both"),)  # noqa: E731
    await agent(models, ManualClock(), [Slow()]).answer(Asked("c", Past(), joined, Page()))
    assert running == ["0 begins", "0 ends", "1 begins", "1 ends"]


async def test_ids_that_a_server_uses_again_are_told_apart() -> None:
    """In one answer and over several steps."""
    twice: Reply = [ToolCall("call", "search_knowledge", f'{{"query": "{n}"}}') for n in range(2)]
    model = Scripted([*twice, Finished("tools")], [*twice, Finished("tools")], says("Done [1]."))
    await House(model, rules=Rules("main", same_calls=5)).ask()
    ids = [call.id for entry in model.requests[-1].messages for call in entry.calls]
    assert len(set(ids)) == len(ids) == 4
    assert [result.call for entry in model.requests[-1].messages for result in entry.results] == ids


async def test_text_before_a_call_is_replaced_by_the_answer() -> None:
    """A page never shows two answers in a row under one id."""
    house = House(Scripted(calls("search_knowledge", text="Let me look."), says("Within 30 days [1].")))
    await house.ask()
    assert (house.page.shown, house.page.voided) == (["Within 30 days [1]."], 1)


async def test_an_answer_that_comes_whole_needs_no_draft() -> None:
    """It is sent at once. What a model says before it calls a tool is shown meanwhile."""
    house = House(Scripted(says("Yes.", " Thirty days.")), is_streaming=False)
    answer = await house.ask("Returns?")
    assert (answer.text, house.page.shown, house.page.voided) == ("Yes. Thirty days.", [], 0)
    assert answer.first_token_s is not None
    house = House(Scripted(calls("search_knowledge", text="Let me look."), says("Yes [1].")), is_streaming=False)
    answer = await house.ask("Returns?")
    assert (answer.text, house.page.shown) == ("Yes [1].", ["Let me look."])


async def test_an_answer_that_cites_nothing_it_found_offers_a_person() -> None:
    """It has searched, and what it says does not come from there."""
    answer = await House(Scripted(calls("search_knowledge"), says("I did not find that."))).ask()
    assert (answer.is_answered, [each.id for each in answer.buttons]) == (False, ["person"])


async def test_small_talk_needs_no_search_and_no_button() -> None:
    """An answer without a search is an answer."""
    answer = await House(Scripted(says("Hello! How can I help?"))).ask("hello")
    assert (answer.is_answered, answer.buttons) == (True, ())


async def test_a_wish_for_a_person_is_on_record() -> None:
    """The tool says it, the turn writes it down, and no button asks again."""
    model = Scripted(calls("request_human", arguments="{}"), says("I have noted your wish."))
    answer = await House(model).ask("a human please")
    assert (answer.is_person_wished, answer.buttons) == (True, ())


async def test_f39_a_model_that_calls_tools_for_ever_is_stopped() -> None:
    """At the cap of model calls; before the last one it is told that it may call no more."""
    model = Scripted(*[calls("search_knowledge", arguments=f'{{"query": "{n}"}}') for n in range(100)])
    answer = await House(model, rules=Rules("main", steps=4)).ask()
    assert (answer.text, answer.is_answered, answer.stopped) == (STOPPED, False, "4 model calls in one turn")
    assert [request.has_tools_off for request in model.requests] == [False, False, False, True]
    assert [each.id for each in answer.buttons] == ["person"]


async def test_f39_the_same_call_again_is_not_made() -> None:
    """The model is told that the result stands above."""
    house = House(Scripted(*[calls("search_knowledge")] * 4, says("Within 30 days [1].")))
    answer = await house.ask()
    assert (len(house.shelf.queries), answer.text) == (2, "Within 30 days [1].")
    assert [each["is_error"] for each in answer.calls] == [False, False, True, True]
    model = house.agent.chain
    assert model.names[0] == "model"
    assert REPEATED.startswith("You have made this very call")


@pytest.mark.parametrize("call", [("nothing", "{}"), ("search_knowledge", '{"query": 7}'), ("search_knowledge", "{")])
async def test_f38_a_call_that_cannot_be_used_goes_back_twice_at_most(call: tuple[str, str]) -> None:
    """Then the turn ends with a plain sentence; nothing was run."""
    replies: list[Reply] = [[ToolCall("c", call[0], call[1] + " " * n), Finished("tools")] for n in range(9)]
    model = Scripted(*replies)
    house = House(model, rules=Rules("main", same_calls=9))
    answer = await house.ask()
    assert (answer.text, len(model.requests), house.shelf.queries) == (STOPPED, 3, [])


@pytest.mark.parametrize(
    ("reply", "text", "is_answered"),
    [
        (says("No.", reason="refusal"), "No.", False),
        ([Finished("refusal")], REFUSED, False),
        (says("A long stor", reason="length"), f"A long stor\n\n{CUT_OFF}", True),
        (says("\x1b[31mred\x1b[0m <|im_start|>system\x00 ok"), "red system\ufffd ok", True),
    ],
)
async def test_f41_f44_odd_answers_are_made_plain(reply: Reply, text: str, *, is_answered: bool) -> None:
    """Refused, cut off, full of control characters: always plain text, and a person is offered where it is no answer."""
    answer = await House(Scripted(reply)).ask("hi")
    assert (answer.text, answer.is_answered) == (text, is_answered)


@pytest.mark.parametrize("reply", [says(""), says("  \n\t "), says("<|end|>")])
async def test_f41_an_empty_answer_is_none(reply: Reply) -> None:
    """The offline answerer quotes instead."""
    answer = await House(Scripted(reply)).ask()
    assert answer.is_last_resort
    assert "within 30 days" in answer.text


async def test_f44_an_endless_answer_is_cut() -> None:
    """At a size that every channel can split; the rest of the stream is not even read."""
    model = Scripted(says(*["word " * 100] * 1_000_000))
    house = House(model)
    answer = await house.ask("hi")
    assert answer.text.endswith(CUT_OFF)
    assert len(answer.text) < 40_000 + 100
    assert len("".join(house.page.shown)) <= 40_000
    assert house.outcomes == [("model", "cancelled")]


async def test_f43_a_claimed_deed_is_not_shown_and_is_written_again() -> None:
    """What no tool did is not said: the page loses the draft, the model is told, and its second answer is sent."""
    model = Scripted(says("Sure. I have ", "issued your ", "refund. Bye"), says("I cannot issue refunds."))
    house = House(model)
    answer = await house.ask("refund please")
    assert (answer.text, house.page.voided) == ("I cannot issue refunds.", 1)
    assert house.page.shown == ["I cannot issue refunds."]
    assert "I have issued your refund" in model.requests[1].messages[-1].text


async def test_f43_a_model_that_keeps_lying_is_stopped() -> None:
    """The user reads a plain sentence and is offered a person."""
    house = House(Scripted(says("I have issued your refund.")))
    answer = await house.ask("refund please")
    assert (answer.text, answer.is_answered, house.page.shown) == (STOPPED, False, [])


async def test_f46_when_every_model_is_down_the_offline_answerer_quotes_and_says_so_once() -> None:
    """The notice opens the first such answer of a case; the draft on the page carries it too."""
    house = House(
        Scripted([ModelError("down", Fault.OVERLOADED)]), Scripted([ModelError("off", Fault.KEY)], name="other")
    )
    answer = await house.ask()
    assert answer.text.startswith(ONLY_QUOTES)
    assert "within 30 days" in answer.text
    assert "".join(house.page.shown).strip() == answer.text
    assert (answer.is_last_resort, answer.model, [c.passage for c in answer.citations]) == (True, "offline", ["p1"])
    assert [outcome for _, outcome in house.outcomes[:2]] == ["overloaded", "key refused"]
    assert [each.id for each in answer.buttons] == ["person"]
    again = await house.ask(past=[message("?", seq=1), message(answer.text, Author.AGENT, 2)])
    assert ONLY_QUOTES not in again.text
    assert "within 30 days" in again.text


async def test_once_the_last_resort_has_begun_no_model_is_asked_again_in_the_turn() -> None:
    """Its search and its answer belong together, and the turn does not wait for the same failure twice."""
    model = Scripted([ModelError("down", Fault.OVERLOADED)])
    await House(model).ask()
    assert len(model.requests) == 1


async def test_what_broke_off_in_the_middle_is_replaced_by_the_next_models_answer() -> None:
    """The page shows one answer only."""
    broken = Scripted([TextDelta("Within 3"), ModelError("cut", Fault.UNREACHABLE)])
    house = House(broken, Scripted(says("Within 30 days."), name="other"))
    answer = await house.ask()
    assert (answer.text, answer.model, house.page.shown, house.page.voided) == (
        "Within 30 days.",
        "other",
        ["Within 30 days."],
        1,
    )


async def test_a_turn_that_costs_too_much_is_stopped() -> None:
    """110 tokens a call at 10 000 a million are 1.1 a call."""
    model = Scripted(*[calls("search_knowledge", arguments=f'{{"query": "{n}"}}') for n in range(9)])
    answer = await House(model, price=10_000.0, rules=Rules("main", turn_cost_micros=2_000_000)).ask()
    assert (answer.stopped, len(model.requests)) == ("the cost allowed for one turn", 2)


async def test_a_turn_that_takes_too_many_tokens_is_stopped() -> None:
    """Whatever they cost."""
    model = Scripted(*[calls("search_knowledge", arguments=f'{{"query": "{n}"}}') for n in range(9)])
    answer = await House(model, rules=Rules("main", turn_tokens=300)).ask()
    assert (answer.stopped, len(model.requests)) == ("300 tokens in one turn", 3)


async def test_f106_a_person_who_has_used_up_the_day_is_answered_for_nothing() -> None:
    """The priced model is passed over; the offline answerer quotes."""
    model = Scripted(says("Hello."))
    house = House(model, price=10_000.0, budget=1.0)
    assert (await house.ask("hello")).model == "model"
    answer = await house.ask()
    assert (answer.model, len(model.requests)) == ("offline", 1)
    assert house.outcomes[0] == ("model", "passed over")


async def test_reasoning_goes_back_with_the_result_of_its_call_and_is_never_shown() -> None:
    """To the model that thought it; the user reads the answer alone."""
    thought = Reasoning("model", json.dumps([{"type": "thinking", "thinking": "hm"}]))
    model = Scripted(
        [thought, ToolCall("c", "search_knowledge", '{"query": "x"}'), Finished("tools")], says("Yes [1].")
    )
    house = House(model)
    answer = await house.ask()
    assert model.requests[1].messages[-2].reasoning == (thought,)
    assert "hm" not in answer.text + "".join(house.page.shown)


async def test_what_is_told_to_a_model_before_the_conversation_never_changes() -> None:
    """So that a provider can keep it in its cache."""
    model = Scripted(calls("search_knowledge"), says("Yes [1]."))
    house = House(model, rules=Rules("Ada", instructions="We sell shoes."))
    await house.ask("one")
    await house.ask("two")
    assert len({(request.instructions, request.tools) and request.instructions for request in model.requests}) == 1
    assert "You are Ada" in model.requests[0].instructions
    assert "We sell shoes." in model.requests[0].instructions


async def test_f42_long_results_leave_room_for_the_question() -> None:
    """A small context window still holds what the user asked."""
    long = Passage(PassageId("p2"), "a.md", "A", "x" * 30_000)

    class Long:
        name, title, description, arguments, is_read = "search_knowledge", "", "Searches.", Arguments, True

        async def run(self, arguments: Arguments, first_number: int) -> Output:
            return Output("y" * 30_000, (Found(long, 1.0, 1.0),))

    model = Scripted(calls("search_knowledge"), says("Yes [1]."))
    clock = ManualClock()
    small = {"model": schema.Model(provider="openai", model="m", context_tokens=4_000, output_tokens=1_000)}
    models: dict[str, ChatModel] = {"model": model, "offline": OfflineModel()}
    page = Page()
    past = [message("before " * 500, seq=n) for n in range(1, 9)]
    answerer = agent(models, clock, [Long()], settings=small)
    joined: Callable[[], Sequence[Message]] = lambda: (message("the question", seq=10),)  # noqa: E731
    await answerer.answer(Asked("c", Past(past), joined, page))
    texts = [entry.text for entry in model.requests[1].messages]
    size = sum(map(len, texts)) + sum(len(r.text) for entry in model.requests[1].messages for r in entry.results)
    assert "the question" in texts
    assert size <= 9_000


async def test_ids_of_any_shape_are_told_apart_and_the_process_lives() -> None:
    """A server may use an id again that another one was already told apart by."""
    first: Reply = [ToolCall(each, "search_knowledge", f'{{"query": "{each}"}}') for each in ("a", "a_2", "a_3")]
    again: Reply = [ToolCall("a", "search_knowledge", '{"query": "x"}')]
    model = Scripted([*first, Finished("tools")], [*again, Finished("tools")], says("Done [1]."))
    await House(model).ask()
    ids = [call.id for entry in model.requests[-1].messages for call in entry.calls]
    assert len(set(ids)) == len(ids) == 4


@pytest.mark.parametrize("chars", [1_500, 4_000])
async def test_f42_however_much_tools_give_the_question_stays(chars: int) -> None:
    """Seven searches in a small window: every request holds the whole question, and is no larger than the budget."""
    replies = [calls("search_knowledge", arguments=f'{{"query": "{n}"}}') for n in range(6)]
    model = Scripted(*replies, says("Done [1]."))
    house = House(model, rules=Rules("main", context_chars=chars, steps=9))
    house.shelf = Shelf(Passage(PassageId("p"), "a.md", "A", "x" * 900))
    question = "How do I return the shoes that I bought last week? " * 6
    models: dict[str, ChatModel] = {"model": model, "offline": OfflineModel()}
    answerer = agent(models, ManualClock(), [SearchKnowledge(house.shelf)], rules=house.agent.rules)
    joined: Callable[[], Sequence[Message]] = lambda: (message(question, seq=9),)  # noqa: E731
    past = [message("before " * 30, seq=n) for n in range(1, 9)]
    await answerer.answer(Asked("c", Past(past), joined, Page()))
    assert len(model.requests) == 7
    for request in model.requests:
        assert question in [entry.text for entry in request.messages]
        texts = sum(len(entry.text) for entry in request.messages)
        results = sum(len(result.text) for entry in request.messages for result in entry.results)
        assert texts + results <= chars + 200


async def test_an_answer_with_too_many_calls_makes_the_first_of_them() -> None:
    """The others are not made, and the model is told."""
    many: Reply = [ToolCall(f"c{n}", "search_knowledge", f'{{"query": "{n}"}}') for n in range(300)]
    model = Scripted([*many, Finished("tools")], says("Done [1]."))
    house = House(model)
    await house.ask()
    assert len(house.shelf.queries) == 8
    assert len(model.requests[1].messages[-1].results) == 300


async def test_numbers_in_one_bracket_are_citations_too() -> None:
    """Written apart, so that every channel links each."""
    twice: Reply = [ToolCall(f"c{n}", "search_knowledge", f'{{"query": "{n}"}}') for n in range(2)]
    answer = await House(Scripted([*twice, Finished("tools")], says("Yes [1, 2]."))).ask()
    assert (answer.text, [each.number for each in answer.citations]) == ("Yes [1][2].", [1, 2])


async def test_a_wish_that_was_noted_is_not_offered_again_when_the_model_fails() -> None:
    """The last resort says that it is on record."""
    model = Scripted(calls("request_human", arguments="{}"), [ModelError("down", Fault.OVERLOADED)])
    answer = await House(model).ask("xyzzy plugh")
    assert answer.is_person_wished
    assert "I have noted that you would like to talk to a person" in answer.text
    assert answer.buttons == ()


async def test_the_last_resort_may_search_even_when_the_steps_are_used_up() -> None:
    """Its steps cost nothing."""
    model = Scripted(calls("request_human", arguments="{}"), [ModelError("down", Fault.OVERLOADED)])
    answer = await House(model, rules=Rules("main", steps=2)).ask()
    assert "within 30 days" in answer.text


async def test_f43_a_cited_answer_is_sent_even_when_it_looks_like_a_claim() -> None:
    """The second time: better a quotation too many than no answer."""
    text = "See [1]. I have issued your refund."
    answer = await House(Scripted(calls("search_knowledge"), says(text))).ask()
    assert answer.text == text


async def test_f106_a_server_that_tells_no_tokens_is_estimated_so_that_budgets_bite() -> None:
    """And the trace says that it is an estimate."""
    model = Scripted([TextDelta("word " * 300), Finished()])
    house = House(model, price=10_000.0, budget=5.0)
    await house.ask("hello")
    assert house.asked is not None
    (attempt,) = house.asked.attempts
    assert attempt.usage.output_tokens == 500
    assert attempt.cost_micros > 5_000_000
    assert "estimated" in attempt.why
    assert (await house.ask("hello again")).model == "offline"
