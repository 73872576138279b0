"""Asks every case of a suite, several side by side, and judges the answers."""

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bot.errors import DataError, ModelError
from bot.evals.answers import Answerer, Reply
from bot.evals.cases import Case, Suite
from bot.evals.judging import Judge, failures
from bot.evals.results import Result, Run
from bot.model import Author, Message, MessageId, Seq
from bot.ports import Clock

if TYPE_CHECKING:
    from bot.evals.earlier import EarlierCases

AT_ONCE = 8  # cases side by side


@dataclass(frozen=True, slots=True)
class Runner:
    """Runs suites. Without a judge, criteria in words are left unjudged. `model`: the only one whose answers count, "" for any.
    `memory`: what the agent remembers, where it does. `at_once`: cases side by side."""

    answerer: Answerer
    clock: Clock
    judge: Judge | None = None
    model: str = ""
    memory: "EarlierCases | None" = None
    at_once: int = AT_ONCE

    async def run(self, suite: Suite, agent: str, least: float) -> Run:
        """Every case has a result, in the suite's order; an answerer that raises ModelError or DataError fails the case alone."""
        at_ms = self.clock.now_ms()
        free = asyncio.Semaphore(self.at_once)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._in_turn(free, case, f"eval-{n}")) for n, case in enumerate(suite.cases)]
        return Run(
            suite=suite.name, agent=agent, at_ms=at_ms, least=least, results=tuple(task.result() for task in tasks)
        )

    async def _in_turn(self, free: asyncio.Semaphore, case: Case, conversation: str) -> Result:
        async with free:
            return await self._result(case, conversation)

    async def _result(self, case: Case, conversation: str) -> Result:
        """The result of one case. Its time is that of the judged answer; its tokens and cost are those of the whole conversation."""
        replies: list[Reply] = []
        said: list[Message] = []
        started = self.clock.monotonic()
        try:
            if self.memory is not None:
                await self.memory.begin(conversation, case)
            for turn in case.turns:
                said.append(self._message(said, Author.USER, turn))
                started = self.clock.monotonic()
                replies.append(await self.answerer.answer(conversation, tuple(said)))
                said.append(self._message(said, Author.AGENT, replies[-1].text))
        except (ModelError, DataError) as error:
            return Result(case=case.name, tags=case.tags, failures=(f"no answer: {error}",))
        ms = (self.clock.monotonic() - started) * 1000
        last = replies[-1]
        wrong, unjudged = await self._ask_judge(case, last)
        return Result(
            case=case.name,
            tags=case.tags,
            failures=(*self._substitute(last), *failures(case, last), *wrong),
            unjudged=unjudged,
            answer=last.text,
            model=last.model,
            documents=last.documents,
            ms=round(ms, 1),
            tokens=sum(reply.tokens for reply in replies),
            cost_micros=sum(reply.cost_micros for reply in replies),
        )

    def _substitute(self, reply: Reply) -> tuple[str, ...]:
        """What is wrong where another model stood in."""
        return (f"answered by {reply.model}, not by {self.model}",) if self.model and reply.model != self.model else ()

    async def _ask_judge(self, case: Case, reply: Reply) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """What the judge finds wrong, and what was not judged."""
        if not case.must_ask_judge:
            return (), ()
        if self.judge is None:
            return (), (case.must_ask_judge,)
        try:
            verdict = await self.judge.judge(case.turns, reply.text, case.must_ask_judge)
        except ModelError as error:
            return (), (f"{case.must_ask_judge} (the judge failed: {error})",)
        return (() if verdict.is_met else (f"judged: {verdict.why}",)), ()

    def _message(self, said: list[Message], author: Author, text: str) -> Message:
        seq = len(said) + 1
        return Message(MessageId(f"eval-{seq}"), Seq(seq), author, text, self.clock.now_ms())
