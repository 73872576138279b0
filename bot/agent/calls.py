"""The calls of one turn: which of those that a model asks for are made, what came of each, and what an answer may say of it.

Promise: what leaves an effect is made once in a turn, also across a crash; every call has a result, in the order in which it was asked for.
"""

import asyncio
import json
from collections.abc import Container, Sequence
from dataclasses import replace
from itertools import takewhile
from typing import TYPE_CHECKING

from bot.agent.journal import Journal, Step, Taken
from bot.model import Author, ToolCallState
from bot.ports import ChatMessage, Progress, ProgressState, ToolCall, ToolResult
from bot.tools import Caller
from bot.tools.consent import ONE_AT_A_TIME
from bot.tools.dispatcher import result_of
from bot.tools.names import SEARCH_KNOWLEDGE

if TYPE_CHECKING:
    from bot.agent.loop import Agent, Answer, Asked

CALLS_MOST = 8  # of one answer are made

REPEATED = "You have made this very call before, and its result stands above. Answer with what you have."
UNCERTAIN = "Nobody knows whether this call was carried out: the process ended in the middle. Do not make it again; say so plainly."
ALL_THERE = "There is nothing to search: all documents stand before the conversation. Answer from those."
TOO_MANY = "Too many calls at once: this one was not made. Make it again if you still need it."
NO_TIME = "There is no time left for this call: it was not made. Answer with what you have."


class Calls:
    """Of one turn that runs until `deadline`, in monotonic seconds. What they find and show goes into `answer`."""

    def __init__(self, agent: "Agent", asked: "Asked", answer: "Answer", deadline: float) -> None:
        self.exchange: list[ChatMessage] = []  # what the model and our side have said to each other in this turn
        self.deeds: list[str] = []  # what tools with an effect have done, in words that an answer may use of it
        self.decided: list[str] = []  # what came of actions, in plain words
        self.card: ToolResult | None = None  # what a person is asked to agree to
        self.unusable = 0  # so many could not be used
        self._agent = agent
        self._dispatcher = agent.dispatcher
        self._asked = asked
        self._answer = answer
        self._deadline = deadline
        self._same: dict[tuple[str, str], int] = {}
        self._ids: set[str] = set()

    def caller(self) -> Caller | None:
        """On whose behalf they are made now."""
        return self._asked.caller() if self._asked.caller is not None else None

    def left_s(self) -> float:
        return self._deadline - self._agent.clock.monotonic()

    async def open(self, recalled: Container[str]) -> None:
        """What is on record of the person, and what has become of actions since the agent last spoke. Carried out here is what a person
        has agreed to: it was entered before, so a rerun finds its outcome. `recalled`: calls of this turn, whose results follow with their
        steps."""
        caller, dispatcher = self.caller(), self._dispatcher
        if caller is None:
            return
        for name, output in await dispatcher.opening(caller.agent, caller, self.left_s()):
            call = ToolCall(f"profile_{name}", name, "{}")
            self._add((call,), (result_of(call.id, output),))
        for told in await dispatcher.decided(caller.conversation, self.left_s()):
            call = ToolCall(f"decided_{told.entry.id}", told.entry.name, told.entry.arguments)
            result = result_of(call.id, told.output)
            self._answer.told.append(told.entry.id)
            self._tell(told.title, result)
            if told.entry.reply == caller.reply and told.entry.call in recalled:
                continue
            self._add((call,), (result,))
            self._note(call, result)

    async def make(self, said: Step) -> None:
        """Those of a model's answer."""
        asked = self._asked
        step = replace(said, calls=self._named_apart(said.calls), attempts=tuple(asked.attempts[asked.on_record :]))
        journal = None if step.model in self._agent.local else asked.journal
        if journal is not None:
            asked.has_steps = True
            await journal.intend(step)
            asked.on_record = len(asked.attempts)
        self._add(step.calls, await self._results(step, journal), step)

    async def take_up(self, taken: Taken) -> None:
        """A step of an earlier run: what has an outcome is not called again; what only reads is; the rest is uncertain."""
        step, results = taken.step, []
        self._asked.attempts.extend(step.attempts)
        self._asked.on_record = len(self._asked.attempts)
        self._ids.update(call.id for call in step.calls)
        for call in step.calls:
            result = taken.results.get(call.id)
            is_entered = self._dispatcher.is_entered(call.name)
            if result is not None and not is_entered:
                self._count(call)
                self._note(call, result)
                self._note_deed(call, result)
            elif is_entered or self._dispatcher.is_read(call.name):
                result, state = await self._call(call)
                await self._settle(step.number, result, state)
            else:
                self._count(call)
                result = ToolResult(call.id, UNCERTAIN, is_error=True)
                self._note(call, result)
                await self._settle(step.number, result, ToolCallState.UNKNOWN)
            results.append(result)
        self._add(step.calls, results, step)

    def _add(self, calls: Sequence[ToolCall], results: Sequence[ToolResult], step: Step | None = None) -> None:
        """`step`: in which a model has asked for them."""
        text, reasoning = (step.text, step.reasoning) if step is not None else ("", ())
        self.exchange.append(ChatMessage(Author.AGENT, text, calls=tuple(calls), reasoning=reasoning))
        self.exchange.append(ChatMessage(Author.SYSTEM, results=tuple(results)))

    async def _settle(self, step: int, result: ToolResult, state: ToolCallState) -> None:
        if self._asked.journal is not None:
            await self._asked.journal.settle(step, result, state)

    # --- making them ---------------------------------------------------------------------------------------------------

    async def _results(self, step: Step, journal: Journal | None) -> list[ToolResult]:
        """Of the calls in their order: reads of actions side by side, everything else one after another."""
        results: list[ToolResult] = []
        left = list(step.calls)
        while left:
            room = CALLS_MOST - len(results)
            beside = list(takewhile(lambda call: self._dispatcher.goes_beside(call.name), left[:room]))
            together = beside or left[:1]
            left = left[len(together) :]
            if room <= 0:
                made = [self._refuse(call, TOO_MANY) for call in together]
            else:
                made = await asyncio.gather(*map(self._call, together))
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

    async def _call(self, call: ToolCall) -> tuple[ToolResult, ToolCallState]:
        """One call and what became of it. What leaves an effect is made once in a turn with the same arguments, whatever came of it."""
        dispatcher = self._dispatcher
        is_read = dispatcher.is_read(call.name)
        if self._count(call) > (self._agent.rules.same_calls if is_read else 1):
            return self._refuse(call, REPEATED)
        if self._answer.whole is not None and call.name == SEARCH_KNOWLEDGE:
            return self._refuse(call, ALL_THERE)
        if self.card is not None and not is_read:
            return self._refuse(call, ONE_AT_A_TIME)
        left_s = self.left_s()
        if left_s <= 0:
            return self._refuse(call, NO_TIME)
        result = await self._run(call, left_s)
        self._note(call, result)
        self._note_deed(call, result)
        if dispatcher.is_entered(call.name) and (result.deed or result.is_uncertain):
            self._tell(dispatcher.title(call.name), result)
        return result, _state_of(result)

    async def _run(self, call: ToolCall, left_s: float) -> ToolResult:
        """Runs it, and tells the person meanwhile."""
        page, title = self._asked.page, self._dispatcher.title(call.name)
        if not title:
            return await self._dispatch(call, left_s)
        await page.step(Progress(call.id, title, ProgressState.RUNNING))
        result = await self._dispatch(call, left_s)
        state = ProgressState.FAILED if result.is_error else ProgressState.DONE
        await page.step(Progress(call.id, title, state))
        return result

    async def _dispatch(self, call: ToolCall, left_s: float) -> ToolResult:
        answer, asked, reranker = self._answer, self._asked, self._agent.reranker
        result = await self._dispatcher.run(call, len(answer.found) + 1, left_s, self.caller())
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

    # --- what came of them ---------------------------------------------------------------------------------------------

    def _count(self, call: ToolCall) -> int:
        """How often this very call stands in the turn."""
        key = (call.name, _canonical(call.arguments))
        self._same[key] = self._same.get(key, 0) + 1
        return self._same[key]

    def _note(self, call: ToolCall, result: ToolResult) -> None:
        self.unusable += result.is_unusable
        self._answer.found.extend(result.found)
        self._answer.is_person_wished |= result.is_person_wished
        self._answer.is_uncertain |= result.is_uncertain
        if result.is_waiting:
            self.card = result
        if result.deed:
            self.deeds.append(result.deed)
        self._answer.calls.append({"name": call.name, "arguments": call.arguments, "is_error": result.is_error})

    def _note_deed(self, call: ToolCall, result: ToolResult) -> None:
        """What a tool has done that is no action: an action's result says it itself."""
        dispatcher, name = self._dispatcher, call.name
        if not (result.is_error or dispatcher.is_read(name) or dispatcher.is_entered(name)):
            self.deeds.append(dispatcher.told(name))

    def _tell(self, title: str, result: ToolResult) -> None:
        """For a person, where no model tells them."""
        if result.deed:
            plain = f"Done: {title}."
        elif result.is_uncertain:
            plain = f"{title}: I am checking with a colleague whether it was done."
        else:
            plain = f"{title}: it was not done."
        if plain not in self.decided:
            self.decided.append(plain)


def _state_of(result: ToolResult) -> ToolCallState:
    """What the journal keeps of it."""
    if result.is_waiting:
        return ToolCallState.PROPOSED
    if result.is_uncertain:
        return ToolCallState.UNKNOWN
    return ToolCallState.REFUSED if result.is_unusable else ToolCallState.SUCCEEDED


def _canonical(arguments: str) -> str:
    """Equal for calls that say the same."""
    try:
        return json.dumps(json.loads(arguments or "{}"), sort_keys=True)
    except (ValueError, RecursionError):
        return arguments
