"""The loop: model, tools, model, until there is an answer. No unit of work is open meanwhile."""

import re
from collections.abc import Awaitable, Callable, Container, Iterator, Sequence
from dataclasses import field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from bot.agent import context
from bot.agent.calls import Calls
from bot.agent.instructions import instructions
from bot.agent.journal import Journal, Step, Taken
from bot.agent.router import Attempt, Began, Chain
from bot.errors import Fault, ModelError
from bot.model import PERSON_BUTTON, Author, Button, Citation, Found, Message, changeable, value
from bot.ports import (
    ChatMessage,
    ChatRequest,
    Chunk,
    Clock,
    Finished,
    Progress,
    Reasoning,
    Shelf,
    TextDelta,
    ToolCall,
    ToolResult,
    ToolSpec,
    Whole,
)
from bot.telemetry.instruments import Counter, Counters
from bot.text import clean, pattern
from bot.tools import Caller, Tool
from bot.tools.action import Action
from bot.tools.consent import WAITS_OPERATOR
from bot.tools.dispatcher import Dispatcher
from bot.tools.names import SEARCH_KNOWLEDGE

if TYPE_CHECKING:
    from bot.agent.checks import ClaimWatch
    from bot.agent.grounding import Grounds, Source
    from bot.knowledge.rerank import Reranker
    from bot.tools.acting import Acting

ANSWER_CHARS = 40_000  # longer answers are cut
CONTEXT_CHARS = 48_000  # of a conversation that a model reads
LOCAL_STEPS = 4  # that the last resort may take beyond the cap: they cost nothing
UNUSABLE_MOST = 2  # so often may a model be told in one turn that its call cannot be used

ONLY_QUOTES = "My usual way of answering does not work at the moment, so I can only quote the documentation."
STOPPED = "I am sorry, I could not work this out. Would you like to talk to a person?"
REFUSED = "I am sorry, I cannot help with that. Would you like to talk to a person?"
CUT_OFF = "My answer became too long and ends here. Ask me to go on."
CLAIMED = (
    'Your answer was not sent. It says "{what}", but no tool has done that. Write it again without claiming anything that was not done; '
    "offer a person if it has to be done by one."
)

UNSOURCED = (
    "Your answer was not sent. These stand in nothing that you were given: {what}. Write it again with nothing but what stands in the passages "
    "and results, or search again; where they do not say it, say so plainly and offer a person."
)
NO_SOURCE = "I am sorry, I have no reliable source for an answer to this. Would you like to talk to a person?"

WISH_NOTED = (
    "I have noted that you would like to talk to a person. Nobody is connected to this chat yet, so I cannot say when somebody "
    "will answer; your messages are kept here. Until then, please go on asking me."
)
_CITED = pattern(r"\[(\d{1,3})\]")
_CITED_TOGETHER = pattern(r"\[\d{1,3}(?:\s*,\s*\d{1,3})+\]")
_NOT_YET, _TOO_LONG = Finished(""), Finished("length")
_UNSEEMLY = pattern(r"<\|[^|<>\s]{1,40}\|>|\x1b\[[0-9;?]*[ -/]*[@-~]")  # role marks, terminal escapes


@value
class Rules:
    """What an agent is and what one turn of it may use, from the config. `signature`: the name under its messages, "" for the
    channel's own. `turn_cost_micros` in millionths of the currency."""

    name: str
    signature: str = ""
    instructions: str = ""
    context_chars: int = CONTEXT_CHARS
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


@changeable
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


@value
class Held:
    """An answer that was held back. `why`: "claim" of what no tool has done, or "source", which `what` does not have."""

    why: str
    what: tuple[str, ...]


@value
class _Why:
    """What is said of answers that are held back: to the model, which writes another; of the second, to operators; then to the user."""

    told: str
    again: str
    plain: str


_WHYS = {
    "claim": _Why(CLAIMED, "claimed again what no tool has done", STOPPED),
    "source": _Why(UNSOURCED, "wrote again what stands in no source", NO_SOURCE),
}


@changeable
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
    recalled: context.Recalled = context.NOTHING  # what stood before a model
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
        self._calls = Calls(agent, asked, self._answer, self._deadline)
        self._sent = ChatRequest("", ())  # what the model has read
        self._heard: Sequence[Message] = ()  # the messages of the turn in it
        self._has_shown = False  # something of this answer stands on the page
        self._is_stale = False  # ... and does not count any more
        self._remembered = context.NOTHING

    async def answer(self) -> Answer:
        agent, asked, calls = self._agent, self._asked, self._calls
        if asked.recall is not None and self._is_of_one():
            self._remembered = await asked.recall()
        recalled = await self._recalled() if asked.is_again else ()
        if agent.shelf is not None:
            await self._take_whole(agent.shelf, recalled)
        if agent.dispatcher.has_actions and await self._is_waiting(recalled):
            return self._say(WAITS_OPERATOR)
        for taken in recalled:
            self._answer.steps, self._answer.model = taken.step.number, taken.step.model
            await calls.take_up(taken)
        while calls.card is None and not (cap := self._cap()):
            self._answer.steps += 1
            said = await self._call_model()
            if said.calls:
                await calls.make(said.step(self._answer))
            elif held := self._fault(said):
                await self._correct(said, held)
            elif text := _safe(said.text) or (REFUSED if said.end.reason == "refusal" else ""):
                return self._finish(text, said)
            elif self._answer.is_last_resort or self._answer.model in agent.local:
                raise ModelError("the model gave an empty answer", Fault.MALFORMED)
            else:
                self._answer.is_last_resort = True
        return await self._stop(cap) if calls.card is None else await self._ask_consent(calls.card)

    # --- what is known before the model is asked -----------------------------------------------------------------------

    async def _recalled(self) -> Sequence[Taken]:
        """The steps of an earlier run of this turn."""
        return await self._asked.journal.recall() if self._asked.journal is not None else ()

    async def _is_waiting(self, recalled: Sequence[Taken]) -> bool:
        """Takes up what has been decided on actions. True where the turn was begun by a decision of which nothing has come yet."""
        await self._calls.open({call.id for taken in recalled for call in taken.step.calls})
        return self._asked.is_decision and not self._calls.decided

    async def _take_whole(self, shelf: Shelf, recalled: Sequence[Taken]) -> None:
        """All that the agent may quote, for this turn, where that goes whole. A turn that has searched goes on so after a crash: its numbers
        are those of the search."""
        agent = self._agent
        has_searched = any(call.name == SEARCH_KNOWLEDGE for taken in recalled for call in taken.step.calls)
        if agent.is_local or has_searched:
            return
        whole = await shelf.whole(self._calls.left_s())
        if whole is not None:
            self._answer.whole = whole
            self._answer.found.extend(whole.found)
            if agent.is_checking_facts:
                from bot.agent.grounding import read_ahead

                read_ahead(whole.text)

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

    # --- the model -----------------------------------------------------------------------------------------------------

    async def _call_model(self) -> "_Said":
        answer, asked = self._answer, self._asked
        said = _Said()
        chain = self._agent.resort if answer.is_last_resort else self._agent.chain
        chunks = chain.stream(self._request, asked.attempts, deadline=self._deadline, payer=asked.payer)
        try:
            async for chunk in chunks:
                if isinstance(chunk, TextDelta):
                    if not said.has_room_for(chunk.text):
                        said.end = _TOO_LONG
                        break
                    if said.grounds is not None:
                        await said.grounds.prepare()
                    self._note_first()
                    said.unshown += said.checked(chunk.text)
                    if not said.is_whole:
                        await self._show(said)
                else:
                    self._take(chunk, said)
        finally:
            await chunks.aclose()
        if not said.end.reason:
            raise ModelError("the model's answer broke off", Fault.MALFORMED)
        if said.watch is not None:
            said.unshown += said.watch.rest()
        if said.calls or not said.is_whole:  # a whole answer is sent at once: it needs no draft before
            await self._show(said)
        return said

    def _take(self, chunk: Began | Chunk, said: "_Said") -> None:
        match chunk:
            case Began():
                self._begin(chunk, said)
            case Finished():
                said.end = chunk
            case ToolCall():
                said.calls.append(chunk)
            case Reasoning():
                said.reasoning.append(chunk)

    def _begin(self, began: Began, said: "_Said") -> None:
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
            said.watch = ClaimWatch(is_person_wished=answer.is_person_wished, deeds=self._calls.deeds, grounds=grounds)
            said.grounds = grounds
        answer.is_last_resort |= began.is_last_resort
        said.opening = self._opening()
        said.is_whole = began.is_whole

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
        messages = context.build(self._asked.past, self._heard, budget, self._calls.exchange, remembered)
        if remembered and any(each.text == remembered for each in messages):
            self._answer.recalled = self._remembered
        self._sent = ChatRequest(
            agent.instructions if whole is None else agent.whole_instructions,
            messages if whole is None else (ChatMessage(Author.SYSTEM, whole.text, is_knowledge=True), *messages),
            agent.specs(has_whole=whole is not None),
            self._asked.conversation,
            has_tools_off=bool(self._calls.exchange) and self._answer.steps >= self._steps_most(),
        )
        return self._sent

    def _own_memory(self) -> str:
        """Nothing of one person once another has joined."""
        return self._remembered.text if self._remembered.text and self._is_of_one() else ""

    def _is_of_one(self) -> bool:
        caller = self._calls.caller()
        return caller is not None and bool(caller.identity)

    def _steps_most(self) -> int:
        return self._rules.steps + (LOCAL_STEPS if self._answer.is_last_resort else 0)

    def _note_first(self) -> None:
        if self._answer.first_token_s is None:
            self._answer.first_token_s = self._agent.clock.monotonic() - self._started

    async def _show(self, said: "_Said") -> None:
        text, said.unshown = _seemly(said.unshown), ""
        if not text:
            return
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

        own = {entry.text for entry in self._calls.exchange}  # with what it was told of that
        yield Source(self._sent.instructions, is_lasting=True)
        for entry in self._sent.messages:
            if entry.text and entry.text not in own:
                yield Source(entry.text, is_users=entry.author is Author.USER, is_lasting=entry.is_knowledge)
            yield from (Source(result.text) for result in entry.results)
        yield from (Source(f"{one.passage.title}\n{one.passage.url}") for one in self._answer.found)

    def _fault(self, said: "_Said") -> Held | None:
        """Why the answer may not be sent. One that cites after its claim was corrected claims nothing."""
        if said.claim:
            is_corrected = any(each.why == "claim" for each in self._answer.held)
            if not (is_corrected and _CITED.search(said.text)):
                return Held("claim", (said.claim,))
        missing = said.grounds.missing(_safe(said.text)) if said.grounds is not None else ()
        return Held("source", missing) if missing else None

    async def _correct(self, said: "_Said", held: Held) -> None:
        """The answer is taken back, and the model is told why, once."""
        self._answer.held.append(held)
        if self._has_shown:
            await self._asked.page.void()
            self._has_shown = self._is_stale = False
        told = _WHYS[held.why].told.format(what="; ".join(held.what))
        self._calls.exchange += [ChatMessage(Author.AGENT, said.text), ChatMessage(Author.SYSTEM, told)]

    # --- the end -------------------------------------------------------------------------------------------------------

    def _cap(self) -> str:
        """The cap that is reached, or ""."""
        rules, attempts = self._rules, self._asked.attempts
        if not attempts and not self._calls.exchange:
            return ""
        if self._answer.steps >= self._steps_most():
            return f"{rules.steps} model calls in one turn"
        if self._calls.unusable > UNUSABLE_MOST:
            return f"{self._calls.unusable} calls that could not be used"
        if len(self._answer.held) > 1:
            return _WHYS[self._answer.held[-1].why].again
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
        plain = _WHYS[answer.held[-1].why].plain if answer.is_held else STOPPED
        is_noted = answer.is_person_wished  # it is on record: it is not offered again
        answer.text = " ".join([*self._calls.decided, WISH_NOTED if is_noted else plain])
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
        if is_local and self._calls.decided:
            text = " ".join(self._calls.decided)  # it quotes documents, and knows nothing of actions
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


@changeable
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
    unshown: str = ""  # what the page may show
    is_whole: bool = False  # the model does not stream

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    def has_room_for(self, text: str) -> bool:
        """Keeps it, unless the answer is long enough."""
        self.chars += len(text)
        self.pieces.append(text)
        return self.chars <= ANSWER_CHARS

    def checked(self, text: str) -> str:
        """What of it may be shown now."""
        return text if self.watch is None else self.watch.take(text)

    @property
    def claim(self) -> str:
        return self.watch.claim if self.watch is not None else ""

    def step(self, answer: Answer) -> Step:
        """What it asked for, as a step of the turn."""
        return Step(answer.steps, answer.model, self.text, tuple(self.reasoning), tuple(self.calls))

    def begin_again(self) -> None:
        self.pieces.clear()
        self.chars = 0
        self.calls.clear()
        self.reasoning.clear()
        self.unshown = ""
        self.end = _NOT_YET


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
