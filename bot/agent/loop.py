"""The loop: model, tools, model, until there is an answer. No unit of work is open meanwhile."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Container, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Protocol

from bot.agent import context
from bot.agent.instructions import instructions
from bot.agent.journal import Journal, Step, Taken
from bot.agent.router import Attempt, Began, Chain
from bot.errors import Fault, ModelError
from bot.model import PERSON_BUTTON, Author, Button, Citation, Found, Message, ToolCallState
from bot.ports import (
    ChatMessage,
    ChatRequest,
    Chunk,
    Clock,
    Finished,
    Progress,
    ProgressState,
    Reasoning,
    Shelf,
    TextDelta,
    ToolCall,
    ToolResult,
    ToolSpec,
    Whole,
)
from bot.telemetry.instruments import Counter, Counters
from bot.text import clean
from bot.tools import Caller, Tool
from bot.tools.action import Action
from bot.tools.consent import ONE_AT_A_TIME, WAITS_OPERATOR
from bot.tools.dispatcher import Dispatcher, result_of
from bot.tools.names import SEARCH_KNOWLEDGE

if TYPE_CHECKING:
    from bot.agent.checks import ClaimWatch
    from bot.agent.grounding import Grounds, Source
    from bot.knowledge.rerank import Reranker
    from bot.tools.acting import Acting

ANSWER_CHARS = 40_000  # longer answers are cut
CALLS_MOST = 8  # of one answer are made
LOCAL_STEPS = 4  # that the last resort may take beyond the cap: they cost nothing
UNUSABLE_MOST = 2  # so often may a model be told in one turn that its call cannot be used

ONLY_QUOTES = "My usual way of answering does not work at the moment, so I can only quote the documentation."
STOPPED = "I am sorry, I could not work this out. Would you like to talk to a person?"
REFUSED = "I am sorry, I cannot help with that. Would you like to talk to a person?"
CUT_OFF = "My answer became too long and ends here. Ask me to go on."
REPEATED = "You have made this very call before, and its result stands above. Answer with what you have."
UNCERTAIN = "Nobody knows whether this call was carried out: the process ended in the middle. Do not make it again; say so plainly."
CLAIMED = (
    'Your answer was not sent. It says "{claim}", but no tool has done that. Write it again without claiming anything that was not done; '
    "offer a person if it has to be done by one."
)

UNSOURCED = (
    "Your answer was not sent. These stand in nothing that you were given: {values}. Write it again with nothing but what stands in the passages "
    "and results, or search again; where they do not say it, say so plainly and offer a person."
)
NO_SOURCE = "I am sorry, I have no reliable source for an answer to this. Would you like to talk to a person?"

WISH_NOTED = (
    "I have noted that you would like to talk to a person. Nobody is connected to this chat yet, so I cannot say when somebody "
    "will answer; your messages are kept here. Until then, please go on asking me."
)
ALL_THERE = "There is nothing to search: all documents stand before the conversation. Answer from those."
TOO_MANY = "Too many calls at once: this one was not made. Make it again if you still need it."
NO_TIME = "There is no time left for this call: it was not made. Answer with what you have."

_CITED = re.compile(r"\[(\d{1,3})\]")
_CITED_TOGETHER = re.compile(r"\[\d{1,3}(?:\s*,\s*\d{1,3})+\]")
_AGAIN = {"claim": "claimed again what no tool has done", "source": "wrote again what stands in no source"}
_NOT_YET, _TOO_LONG = Finished(""), Finished("length")
_UNSEEMLY = re.compile(r"<\|[^|<>\s]{1,40}\|>|\x1b\[[0-9;?]*[ -/]*[@-~]")  # role marks, terminal escapes


@dataclass(frozen=True, slots=True)
class Rules:
    """What an agent is and what one turn of it may use, from the config. `signature`: the name under its messages, "" for the
    channel's own. `turn_cost_micros` in millionths of the currency."""

    name: str
    signature: str = ""
    instructions: str = ""
    context_chars: int = 48_000
    steps: int = 8
    same_calls: int = 2
    turn_tokens: int = 400_000
    turn_cost_micros: int = 1_000_000
    turn_s: float = 60.0
    is_checking_facts: bool = False


class Page(Protocol):
    """Where the text of an answer is shown while it is written."""

    async def show(self, text: str) -> None: ...

    async def void(self) -> None:
        """What was shown so far does not count."""
        ...

    async def step(self, progress: Progress) -> None:
        """What the agent is doing."""
        ...


Joined = Callable[[], Sequence[Message]]


@dataclass(slots=True)
class Asked:
    """What a turn asks of its agent. `joined()` gives every message the turn covers, asked anew before each model call, so that what
    arrived meanwhile is read too. `attempts` are all model calls, also those of a turn that fails; the first `on_record` of them have
    been committed with their cost. `caller()`: on whose behalf it calls."""

    conversation: str
    past: context.Past
    joined: Joined
    page: Page
    payer: str = ""
    journal: Journal | None = None
    is_again: bool = False  # an earlier run may have left steps
    has_steps: bool = False  # this one has
    attempts: list[Attempt] = field(default_factory=list)
    on_record: int = 0
    caller: Callable[[], Caller] | None = None
    is_decision: bool = False  # the turn was begun by a decision on an action, and by nothing else
    recall: Callable[[], Awaitable[context.Recalled]] | None = None  # what is remembered of the one who speaks


@dataclass(frozen=True, slots=True)
class Held:
    """An answer that was held back. `why`: "claim" of what no tool has done, or "source", which `what` does not have."""

    why: str
    what: tuple[str, ...]


@dataclass(slots=True)
class Answer:
    """What came of the loop, with all that the trace keeps of it. `stopped`: the cap that ended it, or ""."""

    text: str = ""
    citations: tuple[Citation, ...] = ()
    buttons: tuple[Button, ...] = ()
    is_answered: bool = True
    is_person_wished: bool = False
    is_last_resort: bool = False
    model: str = ""
    stopped: str = ""
    whole: Whole | None = None  # where the model that answered has read that: `found` holds its passages
    found: list[Found] = field(default_factory=list)
    reranked: int = 0  # searches whose passages a model has put in order
    recalled: context.Recalled = field(default_factory=context.Recalled)  # what stood before a model
    calls: list[dict[str, Any]] = field(default_factory=list)  # JSON for the trace
    steps: int = 0
    first_token_s: float | None = None
    told: list[str] = field(default_factory=list)  # actions of which the agent knows by now what became of them
    is_card: bool = False  # the text is what a person is asked to agree to, and no model's
    is_held: bool = False  # no answer was sent, since the second one was held back too
    held: list[Held] = field(default_factory=list)  # answers that were held back
    is_uncertain: bool = False  # nobody knows whether an action was carried out


class Agent:
    """Answers the unhandled messages of one conversation. `resort` is the chain of the offline answerer alone, whose model's names are
    `local`. With a `shelf`, the other models read all that the agent may quote, while it is little enough, and search nothing; with a
    `reranker`, a model puts in order what a search found."""

    def __init__(
        self,
        rules: Rules,
        chain: Chain,
        resort: Chain,
        tools: Sequence[Tool],
        clock: Clock,
        local: Container[str] = ("offline",),
        *,
        shelf: Shelf | None = None,
        reranker: "Reranker | None" = None,
        held_answers: Counters | None = None,
    ) -> None:
        self.rules = rules
        self.shelf = shelf
        self.reranker = reranker
        self.held_answers = held_answers or Counters("held_answers", "", Counter, ("why", "outcome"))
        self.chain = chain
        self.resort = resort
        self._tools = tools
        self.dispatcher = Dispatcher(tools, clock)
        self.clock = clock
        self.local = local
        self.instructions = instructions(
            rules.name, rules.instructions, has_search=any(tool.name == SEARCH_KNOWLEDGE for tool in tools)
        )
        self.whole_instructions = instructions(rules.name, rules.instructions, has_search=False, has_whole=True)
        self._specs: tuple[tuple[ToolSpec, ...], ...] = ((), ())  # the dispatcher's; those without the search

    def specs(self, *, has_whole: bool) -> tuple[ToolSpec, ...]:
        """What it may call; no search where there is nothing to search for. The same object while the tools are the same."""
        if not has_whole:
            return self.dispatcher.specs
        if self._specs[0] is not self.dispatcher.specs:
            there = self.dispatcher.specs
            self._specs = (there, tuple(each for each in there if each.name != SEARCH_KNOWLEDGE))
        return self._specs[1]

    @property
    def is_checking_facts(self) -> bool:
        """Whether its values need a source: where it has some."""
        has_sources = self.shelf is not None or any(tool.name == SEARCH_KNOWLEDGE for tool in self._tools)
        return self.rules.is_checking_facts and (has_sources or self.dispatcher.has_actions)

    @property
    def is_local(self) -> bool:
        """Whether it can only quote."""
        return all(name in self.local for name in self.chain.names)

    def ask(self, chain: Chain, local: Container[str]) -> None:
        """Other models from the next call on."""
        self.chain, self.local = chain, local

    def give_tools(self, tools: Sequence[Tool]) -> None:
        """More built-in tools, before it has actions."""
        self._tools = [*self._tools, *tools]
        self.dispatcher = Dispatcher(self._tools, self.clock)

    def give_actions(self, actions: Sequence[Action], acting: "Acting") -> None:
        """What it may do, from the next turn on."""
        self.dispatcher = Dispatcher(self._tools, self.clock, actions, acting)

    async def answer(self, asked: Asked) -> Answer:
        """Runs the loop. Raises ModelError when not even the last resort answers; StoreUnavailable when a step cannot be kept."""
        answer = await _Run(self, asked).answer()
        for each in answer.held:
            self.held_answers.of(each.why, "replaced" if answer.is_held else "corrected").inc()
        return answer


class _Run:
    """One run of one turn."""

    def __init__(self, agent: Agent, asked: Asked) -> None:
        self._agent = agent
        self._rules = agent.rules
        self._asked = asked
        self._answer = Answer()
        self._started = agent.clock.monotonic()
        self._deadline = self._started + agent.rules.turn_s
        self._exchange: list[ChatMessage] = []
        self._same: dict[tuple[str, str], int] = {}
        self._ids: set[str] = set()
        self._unusable = 0
        self._sent = ChatRequest("", ())  # what the model has read
        self._heard: Sequence[Message] = ()  # the messages of the turn in it
        self._own: set[str] = set()  # of this turn: what the model has written, and what it was told of that
        self._deeds: list[str] = []  # what tools with an effect have done, in words that an answer may use of it
        self._decided: list[str] = []  # what came of actions, in plain words
        self._card: ToolResult | None = None  # what a person is asked to agree to
        self._has_shown = False  # something of this answer stands on the page
        self._is_stale = False  # ... and does not count any more
        self._remembered = context.Recalled()

    async def answer(self) -> Answer:
        if self._asked.recall is not None and self._is_of_one():
            self._remembered = await self._asked.recall()
        recalled = await self._recalled()
        await self._take_whole(recalled)
        await self._open({call.id for taken in recalled for call in taken.step.calls})
        if self._asked.is_decision and not self._decided and self._agent.dispatcher.has_actions:
            return self._say(WAITS_OPERATOR)
        for taken in recalled:
            await self._take_up(taken)
        while self._card is None and not (cap := self._cap()):
            self._answer.steps += 1
            said = await self._call_model()
            if said.calls:
                await self._call_tools(said)
            elif held := self._fault(said):
                await self._correct(said, held)
            elif text := _safe(said.text) or (REFUSED if said.end.reason == "refusal" else ""):
                return self._finish(text, said)
            elif self._answer.is_last_resort or self._answer.model in self._agent.local:
                raise ModelError("the model gave an empty answer", Fault.MALFORMED)
            else:
                self._answer.is_last_resort = True
        return await self._stop(cap) if self._card is None else await self._ask_consent(self._card)

    # --- what is known before the model is asked -----------------------------------------------------------------------

    async def _recalled(self) -> Sequence[Taken]:
        """The steps of an earlier run of this turn."""
        if not self._asked.is_again or self._asked.journal is None:
            return ()
        return await self._asked.journal.recall()

    async def _take_whole(self, recalled: Sequence[Taken]) -> None:
        """All that the agent may quote, for this turn, where that goes whole. A turn that has searched goes on so after a crash: its numbers
        are those of the search."""
        agent = self._agent
        has_searched = any(call.name == SEARCH_KNOWLEDGE for taken in recalled for call in taken.step.calls)
        if agent.shelf is None or agent.is_local or has_searched:
            return
        whole = await agent.shelf.whole(self._left_s())
        if whole is not None:
            self._answer.whole = whole
            self._answer.found.extend(whole.found)

    def _put_away(self) -> None:
        """From now on this turn searches. While it had the whole it did not, so nothing else has been found."""
        if self._answer.whole is not None:
            self._answer.whole = None
            self._answer.found.clear()

    def _whole(self) -> Whole | None:
        """What the next request is to hold. A model that found a request too long is asked again without."""
        whole, shelf = self._answer.whole, self._agent.shelf
        if whole is None or shelf is None:
            return None
        if any(attempt.outcome == Fault.TOO_LONG.value for attempt in self._asked.attempts):
            shelf.note_too_long(whole)
            self._put_away()
        return self._answer.whole

    async def _open(self, recalled: Container[str]) -> None:
        """What is on record of the person, and what has become of actions since the agent last spoke. Carried out here is what a person
        has agreed to: it was entered before, so a rerun finds its outcome. `recalled`: calls of this turn, whose results follow with their
        steps."""
        caller, dispatcher = self._caller(), self._agent.dispatcher
        if caller is None or not dispatcher.has_actions:
            return
        for name, output in await dispatcher.opening(caller.agent, caller, self._left_s()):
            call = ToolCall(f"profile_{name}", name, "{}")
            self._exchange.append(ChatMessage(Author.AGENT, calls=(call,)))
            self._exchange.append(ChatMessage(Author.SYSTEM, results=(result_of(call.id, output),)))
        for told in await dispatcher.decided(caller.conversation, self._left_s()):
            call = ToolCall(f"decided_{told.entry.id}", told.entry.name, told.entry.arguments)
            result = result_of(call.id, told.output)
            self._answer.told.append(told.entry.id)
            self._tell(told.title, result)
            if told.entry.reply == caller.reply and told.entry.call in recalled:
                continue
            self._exchange.append(ChatMessage(Author.AGENT, calls=(call,)))
            self._exchange.append(ChatMessage(Author.SYSTEM, results=(result,)))
            self._note(call, result)

    def _caller(self) -> Caller | None:
        return self._asked.caller() if self._asked.caller is not None else None

    def _left_s(self) -> float:
        return self._deadline - self._agent.clock.monotonic()

    # --- the model -----------------------------------------------------------------------------------------------------

    async def _call_model(self) -> "_Said":
        answer, asked = self._answer, self._asked
        said = _Said()
        chain = self._agent.resort if answer.is_last_resort else self._agent.chain
        chunks = chain.stream(self._request, asked.attempts, deadline=self._deadline, payer=asked.payer)
        async with aclosing(chunks):
            async for chunk in chunks:
                await self._take(chunk, said)
                if said.end is _TOO_LONG:
                    break
        if not said.end.reason:
            raise ModelError("the model's answer broke off", Fault.MALFORMED)
        if said.watch is not None:
            await self._show(said.watch.rest())
        return said

    async def _take(self, chunk: Began | Chunk, said: "_Said") -> None:
        match chunk:
            case TextDelta(text):
                if said.has_room_for(text):
                    await self._show(text if said.watch is None else said.watch.take(text))
                else:
                    said.end = _TOO_LONG
            case Began():
                await self._begin(chunk, said)
            case ToolCall():
                said.calls.append(chunk)
            case Reasoning():
                said.reasoning.append(chunk)
            case Finished():
                said.end = chunk

    async def _begin(self, began: Began, said: "_Said") -> None:
        answer = self._answer
        said.begin_again()
        answer.model = began.model
        self._is_stale = self._has_shown
        if began.model in self._agent.local:  # it quotes and never invents
            self._put_away()
            said.watch = said.grounds = None
        else:
            from bot.agent.checks import ClaimWatch  # who only quotes pays nothing for it

            grounds = self._grounds() if self._agent.is_checking_facts else None
            said.watch = ClaimWatch(is_person_wished=answer.is_person_wished, deeds=self._deeds, grounds=grounds)
            said.grounds = grounds
        if began.is_last_resort and not answer.is_last_resort:
            answer.is_last_resort = True
        said.opening = self._opening()

    def _opening(self) -> str:
        """The last resort says once in a case that it can only quote."""
        if not self._answer.is_last_resort:
            return ""
        is_told = any(ONLY_QUOTES in entry.text for entry in self._asked.past.within(self._rules.context_chars))
        return "" if is_told else f"{ONLY_QUOTES}\n\n"

    def _request(self, chars: int) -> ChatRequest:
        """What the model reads, within `chars` characters of conversation."""
        agent, whole = self._agent, self._whole()
        room = chars if whole is None else chars - len(whole.text)
        budget = max(context.LEAST_CHARS, min(room, self._rules.context_chars))
        remembered = self._own_memory()
        self._heard = self._asked.joined()
        messages = context.build(self._asked.past, self._heard, budget, self._exchange, remembered)
        if remembered and any(each.text == remembered for each in messages):
            self._answer.recalled = self._remembered
        self._sent = ChatRequest(
            agent.instructions if whole is None else agent.whole_instructions,
            messages if whole is None else (ChatMessage(Author.SYSTEM, whole.text, is_knowledge=True), *messages),
            agent.specs(has_whole=whole is not None),
            self._asked.conversation,
            has_tools_off=bool(self._exchange) and self._answer.steps >= self._steps_most(),
        )
        return self._sent

    def _own_memory(self) -> str:
        """Nothing of one person once another has joined."""
        return self._remembered.text if self._remembered.text and self._is_of_one() else ""

    def _is_of_one(self) -> bool:
        caller = self._caller()
        return caller is not None and bool(caller.identity)

    def _steps_most(self) -> int:
        return self._rules.steps + (LOCAL_STEPS if self._answer.is_last_resort else 0)

    async def _show(self, text: str) -> None:
        if not text:
            return
        text = _seemly(text)
        if self._answer.first_token_s is None:
            self._answer.first_token_s = self._agent.clock.monotonic() - self._started
        if self._is_stale:
            self._is_stale = self._has_shown = False
            await self._asked.page.void()
        await self._asked.page.show(text if self._has_shown else self._opening() + text)
        self._has_shown = True

    def _grounds(self) -> "Grounds":
        """What the values of the answer that is being written may come from."""
        from bot.agent.grounding import Grounds

        return Grounds(self._sources, datetime.fromtimestamp(self._agent.clock.now_ms() / 1000, UTC).date())

    def _sources(self) -> "Iterator[Source]":
        """Everything that the model has read, but for what it has written itself in this turn."""
        from bot.agent.grounding import Source

        yield Source(self._sent.instructions, is_lasting=True)
        for entry in self._sent.messages:
            if entry.text and entry.text not in self._own:
                yield Source(entry.text, is_users=entry.author is Author.USER, is_lasting=entry.is_knowledge)
            yield from (Source(result.text) for result in entry.results)
        yield from (Source(f"{one.passage.title}\n{one.passage.url}") for one in self._answer.found)

    def _fault(self, said: "_Said") -> Held | None:
        """Why the answer may not be sent. One that cites after its claim was corrected claims nothing."""
        is_corrected = any(each.why == "claim" for each in self._answer.held)
        if said.claim and not (is_corrected and _CITED.search(said.text)):
            return Held("claim", (said.claim,))
        missing = said.grounds.missing(_safe(said.text)) if said.grounds is not None else ()
        return Held("source", missing) if missing else None

    async def _correct(self, said: "_Said", held: Held) -> None:
        """The answer is taken back, and the model is told why, once."""
        self._answer.held.append(held)
        if self._has_shown:
            await self._asked.page.void()
            self._has_shown = self._is_stale = False
        told = (
            CLAIMED.format(claim=held.what[0]) if held.why == "claim" else UNSOURCED.format(values="; ".join(held.what))
        )
        self._own |= {said.text, told}
        self._exchange.append(ChatMessage(Author.AGENT, said.text))
        self._exchange.append(ChatMessage(Author.SYSTEM, told))

    # --- tools ---------------------------------------------------------------------------------------------------------

    async def _call_tools(self, said: "_Said") -> None:
        answer, asked = self._answer, self._asked
        step = Step(answer.steps, answer.model, said.text, tuple(said.reasoning), self._named_apart(said.calls))
        journal = None if answer.model in self._agent.local else asked.journal
        if journal is not None:
            unrecorded = tuple(asked.attempts[asked.on_record :])
            asked.has_steps = True
            await journal.intend(Step(step.number, step.model, step.text, step.reasoning, step.calls, unrecorded))
            asked.on_record = len(asked.attempts)
        self._add(step, await self._results(step, journal))

    async def _results(self, step: Step, journal: Journal | None) -> list[ToolResult]:
        """Of the calls in their order: reads of actions side by side, everything else one after another."""
        results: list[ToolResult] = []
        dispatcher, left = self._agent.dispatcher, list(step.calls)
        while left:
            beside = list(takewhile(lambda call: dispatcher.goes_beside(call.name), left[: CALLS_MOST - len(results)]))
            together = beside or left[:1]
            left = left[len(together) :]
            if len(results) >= CALLS_MOST:
                made = [self._refuse(call, TOO_MANY) for call in together]
            else:
                made = await asyncio.gather(*map(self._call_tool, together))
            for result, state in made:
                if journal is not None:
                    await journal.settle(step.number, result, state)
                results.append(result)
        return results

    def _named_apart(self, calls: Sequence[ToolCall]) -> tuple[ToolCall, ...]:
        """Some servers use an id again, in another step or even in the same one."""
        apart = []
        for call in calls:
            unique, number = call.id, len(self._ids)
            while unique in self._ids:
                number += 1
                unique = f"{call.id}_{number}"
            self._ids.add(unique)
            apart.append(call if unique == call.id else replace(call, id=unique))
        return tuple(apart)

    async def _call_tool(self, call: ToolCall) -> tuple[ToolResult, ToolCallState]:
        """One call and what became of it. What leaves an effect is made once in a turn with the same arguments, whatever came of it."""
        dispatcher = self._agent.dispatcher
        is_read = dispatcher.is_read(call.name)
        if self._count(call) > (self._rules.same_calls if is_read else 1):
            return self._refuse(call, REPEATED)
        if self._answer.whole is not None and call.name == SEARCH_KNOWLEDGE:
            return self._refuse(call, ALL_THERE)
        if self._card is not None and not is_read:
            return self._refuse(call, ONE_AT_A_TIME)
        left_s = self._left_s()
        if left_s <= 0:
            return self._refuse(call, NO_TIME)
        result = await self._run_tool(call, left_s)
        self._note(call, result)
        if dispatcher.is_entered(call.name):
            if result.deed or result.is_uncertain:
                self._tell(dispatcher.title(call.name), result)
        elif not is_read and not result.is_error:
            self._deeds.append(dispatcher.told(call.name))
        return result, _state_of(result)

    async def _run_tool(self, call: ToolCall, left_s: float) -> ToolResult:
        """Runs it, and tells the person meanwhile."""
        dispatcher, page = self._agent.dispatcher, self._asked.page
        title = dispatcher.title(call.name)
        if not title:
            return await self._dispatch(call, left_s)
        await page.step(Progress(call.id, title, ProgressState.RUNNING))
        result = await self._dispatch(call, left_s)
        state = ProgressState.FAILED if result.is_error else ProgressState.DONE
        await page.step(Progress(call.id, title, state))
        return result

    async def _dispatch(self, call: ToolCall, left_s: float) -> ToolResult:
        answer, asked, reranker = self._answer, self._asked, self._agent.reranker
        result = await self._agent.dispatcher.run(call, len(answer.found) + 1, left_s, self._caller())
        if reranker is None or call.name != SEARCH_KNOWLEDGE or not result.found:
            return result
        if answer.is_last_resort:
            return reranker.shortened(result)
        result, has_ordered = await reranker.ordered(
            call, result, asked.attempts, until=self._deadline, payer=asked.payer
        )
        answer.reranked += has_ordered
        return result

    def _refuse(self, call: ToolCall, why: str) -> tuple[ToolResult, ToolCallState]:
        result = ToolResult(call.id, why, is_error=True)
        self._note(call, result)
        return result, ToolCallState.REFUSED

    def _count(self, call: ToolCall) -> int:
        """How often this very call stands in the turn."""
        key = (call.name, _canonical(call.arguments))
        self._same[key] = self._same.get(key, 0) + 1
        return self._same[key]

    def _note(self, call: ToolCall, result: ToolResult) -> None:
        self._unusable += result.is_unusable
        self._answer.found.extend(result.found)
        self._answer.is_person_wished |= result.is_person_wished
        self._answer.is_uncertain |= result.is_uncertain
        if result.is_waiting:
            self._card = result
        if result.deed:
            self._deeds.append(result.deed)
        self._answer.calls.append({"name": call.name, "arguments": call.arguments, "is_error": result.is_error})

    def _tell(self, title: str, result: ToolResult) -> None:
        """For a person, where no model tells them."""
        if result.deed:
            plain = f"Done: {title}."
        elif result.is_uncertain:
            plain = f"{title}: I am checking with a colleague whether it was done."
        else:
            plain = f"{title}: it was not done."
        if plain not in self._decided:
            self._decided.append(plain)

    def _add(self, step: Step, results: Sequence[ToolResult]) -> None:
        self._own.add(step.text)
        self._exchange.append(ChatMessage(Author.AGENT, step.text, calls=step.calls, reasoning=step.reasoning))
        self._exchange.append(ChatMessage(Author.SYSTEM, results=tuple(results)))

    async def _take_up(self, taken: Taken) -> None:
        """A step of an earlier run: what has an outcome is not called again; what only reads is; the rest is uncertain."""
        step, results = taken.step, []
        self._answer.steps = step.number
        self._answer.model = step.model
        self._asked.attempts.extend(step.attempts)
        self._asked.on_record = len(self._asked.attempts)
        self._ids.update(call.id for call in step.calls)
        for call in step.calls:
            result = taken.results.get(call.id)
            is_entered = self._agent.dispatcher.is_entered(call.name)
            is_read = self._agent.dispatcher.is_read(call.name)
            if result is not None and not is_entered:
                self._count(call)
                self._note(call, result)
                if not (is_read or result.is_error):
                    self._deeds.append(self._agent.dispatcher.told(call.name))
            elif is_read or is_entered:
                result, state = await self._call_tool(call)
                await self._settle(step.number, result, state)
            else:
                self._count(call)
                result = ToolResult(call.id, UNCERTAIN, is_error=True)
                self._note(call, result)
                await self._settle(step.number, result, ToolCallState.UNKNOWN)
            results.append(result)
        self._add(step, results)

    async def _settle(self, step: int, result: ToolResult, state: ToolCallState) -> None:
        if self._asked.journal is not None:
            await self._asked.journal.settle(step, result, state)

    # --- the end -------------------------------------------------------------------------------------------------------

    def _cap(self) -> str:
        """The cap that is reached, or ""."""
        rules, attempts = self._rules, self._asked.attempts
        if not attempts and not self._exchange:
            return ""
        if self._answer.steps >= self._steps_most():
            return f"{rules.steps} model calls in one turn"
        if self._unusable > UNUSABLE_MOST:
            return f"{self._unusable} calls that could not be used"
        if len(self._answer.held) > 1:
            return _AGAIN[self._answer.held[-1].why]
        if sum(a.usage.input_tokens + a.usage.output_tokens for a in attempts) >= rules.turn_tokens:
            return f"{rules.turn_tokens} tokens in one turn"
        if rules.turn_cost_micros and sum(a.cost_micros for a in attempts) >= rules.turn_cost_micros:
            return "the cost allowed for one turn"
        if self._agent.clock.monotonic() >= self._deadline:
            return f"{rules.turn_s:g} s in one turn"
        return ""

    async def _ask_consent(self, card: ToolResult) -> Answer:
        """Ends with what a person is asked to agree to: nothing that a model wrote stands beside it."""
        if self._has_shown:
            await self._asked.page.void()
        return self._say(card.card, card.buttons)

    def _say(self, text: str, buttons: tuple[Button, ...] = ()) -> Answer:
        answer = self._answer
        answer.text, answer.buttons, answer.is_card = text, buttons, True
        return answer

    async def _stop(self, cap: str) -> Answer:
        """Ends without an answer of the model's: a plain sentence, and the offer of a person."""
        answer = self._answer
        if self._has_shown:
            await self._asked.page.void()
        answer.stopped = cap
        answer.is_held = len(answer.held) > 1
        plain = NO_SOURCE if answer.is_held and answer.held[-1].why == "source" else STOPPED
        is_noted = answer.is_person_wished  # it is on record: it is not offered again
        answer.text = " ".join([*self._decided, WISH_NOTED if is_noted else plain])
        answer.is_answered = False
        answer.buttons = () if is_noted else (PERSON_BUTTON,)
        return answer

    def _finish(self, text: str, said: "_Said") -> Answer:
        """The answer with its citations looked up, and a person offered where it is none."""
        answer, end = self._answer, said.end
        if answer.found:
            text = _CITED_TOGETHER.sub(lambda match: "".join(f"[{n}]" for n in re.findall(r"\d+", match[0])), text)
            answer.citations = citations(text, answer.found)
        if answer.is_last_resort and answer.is_person_wished and not answer.citations:
            text = WISH_NOTED  # the wish is on record: it is not offered again
        elif end.reason == "refusal":
            answer.is_answered = False
        elif end.reason == "length":
            text = f"{text}\n\n{CUT_OFF}"
        is_local = answer.model in self._agent.local
        if is_local and self._decided:
            text = " ".join(self._decided)  # it quotes documents, and knows nothing of actions
        answer.text = said.opening + text
        answer.is_answered = answer.is_answered and end.is_answered
        if not is_local and not answer.citations and self._has_looked(text):
            answer.is_answered = False  # it looked and found nothing that it could cite
        answer.is_person_wished |= end.is_person_wished
        is_offering = answer.is_last_resort or (end.is_offering_person if is_local else not answer.is_answered)
        answer.buttons = (PERSON_BUTTON,) if is_offering and not answer.is_person_wished else ()
        return answer

    def _has_looked(self, text: str) -> bool:
        """Whether it answered from documents: it has searched, or had them all before it, called nothing else, was asked something and did
        not merely ask back."""
        answer = self._answer
        if answer.whole is None or answer.calls:
            return any(call["name"] == SEARCH_KNOWLEDGE for call in answer.calls)
        from bot.agent.questions import is_asking_back, is_question

        return any(is_question(message.text) for message in self._heard) and not is_asking_back(text)


@dataclass(slots=True)
class _Said:
    """What one call of a model gave."""

    pieces: list[str] = field(default_factory=list)
    chars: int = 0
    calls: list[ToolCall] = field(default_factory=list)
    reasoning: list[Reasoning] = field(default_factory=list)
    end: Finished = _NOT_YET
    watch: "ClaimWatch | None" = None
    grounds: "Grounds | None" = None
    opening: str = ""

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    def has_room_for(self, text: str) -> bool:
        """Keeps it, unless the answer is long enough."""
        self.chars += len(text)
        self.pieces.append(text)
        return self.chars <= ANSWER_CHARS

    @property
    def claim(self) -> str:
        return self.watch.claim if self.watch is not None else ""

    def begin_again(self) -> None:
        self.pieces.clear()
        self.chars = 0
        self.calls.clear()
        self.reasoning.clear()
        self.end = _NOT_YET


def _state_of(result: ToolResult) -> ToolCallState:
    """What the journal keeps of it."""
    if result.is_waiting:
        return ToolCallState.PROPOSED
    if result.is_uncertain:
        return ToolCallState.UNKNOWN
    return ToolCallState.REFUSED if result.is_unusable else ToolCallState.SUCCEEDED


def citations(text: str, found: Sequence[Found]) -> tuple[Citation, ...]:
    """The passages that `[n]` in the text points at, each once, in the order of their numbers."""
    numbers = sorted({int(match) for match in _CITED.findall(text)})
    return tuple(
        Citation(n, found[n - 1].passage.id, found[n - 1].passage.title, found[n - 1].passage.url)
        for n in numbers
        if 1 <= n <= len(found)
    )


def _safe(text: str) -> str:
    """Without control characters, terminal escapes and the marks by which models tell roles apart."""
    return clean(_seemly(text))[:ANSWER_CHARS].strip()


def _seemly(text: str) -> str:
    return _UNSEEMLY.sub("", text) if "<|" in text or "\x1b" in text else text


def _canonical(arguments: str) -> str:
    """Equal for calls that say the same."""
    try:
        return json.dumps(json.loads(arguments or "{}"), sort_keys=True)
    except (ValueError, RecursionError):
        return arguments
