"""Which model answers: the chain of a role, asked in order until one has answered. Retries are counted here and nowhere else.

Promise: while an offline answerer is there, every call of `stream` ends with an answer by its deadline. What a failed try has shown is
declared void, what it wanted done is never handed on, and what it used is on record.
"""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from random import random as _random
from typing import Any, TypeVar

from pydantic import BaseModel

from bot.agent.circuit import Circuit
from bot.agent.forms import Form
from bot.agent.limiter import Lease, Limiter
from bot.agent.sizes import LEAST_CHARS, Overhead, chars_of, kinds_of
from bot.agent.spending import Spending, Spent
from bot.agent.tries import OFFLINE, Attempt, Began, Make, Member, Try, is_local
from bot.config import schema
from bot.errors import Fault, ModelError, Remedy
from bot.ports import ChatModel, ChatRequest, Chunk, Clock
from bot.telemetry.metrics import Metrics

__all__ = ["Attempt", "Began", "Chain", "Make", "Router"]

RESERVE_S = 2.0  # kept for the last resort
RESERVE_SHARE = 0.25  # of what is left, when that is less
SPARE = 2  # times what a call takes on average is kept for it
BACKOFF_S = 0.5
BACKOFF_MOST_S = 8.0

T = TypeVar("T", bound=BaseModel)
Answering = AsyncGenerator[Began | Chunk, None]


class Router:
    """All models with their circuits, limits and spending. Built once; `random` gives numbers from 0 to 1."""

    def __init__(
        self,
        models: Mapping[str, ChatModel],
        settings: Mapping[str, schema.Model],
        clock: Clock,
        metrics: Metrics,
        *,
        spending: Spending,
        circuit_failures: int = 5,
        circuit_s: float = 30.0,
        random: Callable[[], float] = _random,
    ) -> None:
        self.clock = clock
        self.spending = spending
        self.random = random
        self.members: dict[str, Member] = {}
        self._metrics = metrics
        self._circuit_failures = circuit_failures
        self._circuit_s = circuit_s
        self.take(models, settings)
        metrics.model_circuit_open.read_from(self._open_circuits)
        metrics.model_waiting.read_from(lambda: {each.name: each.limiter.waiting for each in self._asked()})

    def chain(self, names: Sequence[str]) -> "Chain":
        return Chain(self, names)

    def take(self, models: Mapping[str, ChatModel], settings: Mapping[str, schema.Model]) -> None:
        """Other settings and keys from now on. Calls that run end as they began. A model whose settings are the same keeps all that is
        known of it; one that is still the same model at the same place keeps the count of what it was asked."""
        self.spending.price({name: each.prices for name, each in settings.items() if not is_local(name, each)})
        self.members = {
            name: self._member(name, model, settings.get(name, schema.Model())) for name, model in models.items()
        }

    def report(self) -> list[dict[str, Any]]:
        """JSON for `frontdesk models`. Limits are those in force, 0 for none; times are UTC milliseconds; tokens, calls and cost are
        of this UTC day."""
        spent = self.spending.today()
        return [self._told(each, spent.get(each.name, Spent())) for each in self.members.values()]

    # --- inside ------------------------------------------------------------------------------------------------------

    def _member(self, name: str, model: ChatModel, settings: schema.Model) -> Member:
        known = self.members.get(name)
        if known is not None and known.settings == settings:
            known.model = model
            return known
        if known is not None and _place(known.settings) == _place(settings):
            limiter = known.limiter
            limiter.take(settings.limits)
        else:
            limiter = Limiter(
                settings.limits,
                self.clock,
                counts_cached=settings.provider != "anthropic",  # docs.anthropic.com, "Rate limits", cache-aware ITPM
                output_tokens=settings.output_tokens,
                random=self.random,
            )
        circuit = Circuit(self.clock, failures=self._circuit_failures, pause_s=self._circuit_s, random=self.random)
        return Member(name, model, settings, self.clock, self._metrics, circuit, limiter)

    def _asked(self) -> list[Member]:
        return [each for each in self.members.values() if not each.is_local]

    def _open_circuits(self) -> dict[str, float]:
        return {each.name: float(each.circuit.state != "closed") for each in self._asked()}

    def _told(self, member: Member, spent: Spent) -> dict[str, Any]:
        limiter, circuit, now = member.limiter, member.circuit, self.clock.now_ms()
        blocked = limiter.blocked_s()
        return {
            "name": member.name,
            "provider": member.settings.provider,
            "model": member.settings.model,
            "circuit": "-" if member.is_local else circuit.state,
            "circuit_until_ms": now + round(circuit.wait_s() * 1000) if circuit.state == "open" else None,
            "circuit_fault": circuit.fault.value if circuit.fault else "",
            "requests_per_minute": _shown(limiter.requests_limit),
            "tokens_per_minute": _shown(limiter.tokens_limit),
            "requests_per_minute_stated": member.settings.limits.requests_per_minute,
            "tokens_per_minute_stated": member.settings.limits.tokens_per_minute,
            "requests_per_minute_heard": _shown(limiter.heard.requests),
            "tokens_per_minute_heard": _shown(limiter.heard.tokens),
            "calls_at_once": 0 if member.is_local else member.settings.limits.calls_at_once,
            "blocked_until_ms": now + round(blocked * 1000) if blocked else None,
            "calls_now": limiter.running,
            "waiting": limiter.waiting,
            "last_outcome": member.last,
            "calls_today": spent.calls,
            "failed_today": spent.failed,
            "input_tokens_today": spent.input_tokens,
            "output_tokens_today": spent.output_tokens,
            "cache_read_tokens_today": spent.cache_read_tokens,
            "cache_write_tokens_today": spent.cache_write_tokens,
            "cost_micros_today": spent.cost_micros,
        }


def _shown(limit: float) -> int:
    return 0 if limit == float("inf") else int(limit)


def _place(settings: schema.Model) -> tuple[str, str, str]:
    return settings.provider, settings.base_url, settings.model


class Chain:
    """Models in the order in which they are asked. A local one ends it, for it always answers."""

    def __init__(self, router: Router, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self._router = router
        self._overhead = Overhead()

    def stream(self, make: Make, attempts: list[Attempt], *, deadline: float, payer: str) -> Answering:
        """Began, the text as it comes, and after the whole of it thoughts, calls and Finished; usage is in `attempts`, which grow as
        models are asked. `deadline` in monotonic seconds: by then the answer is there, if need be the offline answerer's. `payer`: the
        identity on whose budget it goes, or "". Raises ModelError when there is no last resort, and at once for what no other model
        could mend. Closing it abandons the call."""
        asked, last = self._members()
        if not asked and last is not None:
            return last.answer(make, attempts)
        run = _Run(self._router, asked, make, attempts, deadline, payer, self._overhead, has_resort=last is not None)
        return _asking(run, last)

    async def complete(
        self, request: ChatRequest, schema: type[T], attempts: list[Attempt], *, deadline: float, payer: str
    ) -> T:
        """A value of `schema`. Local models cannot give one. Raises ModelError."""
        form = Form(request, schema)
        run = _Run(self._router, self._members()[0], form.make, attempts, deadline, payer, self._overhead, form=form)
        while (one := await run.next_try()) is not None:
            try:
                async for _ in one:
                    pass
            finally:
                await one.close()
            if one.finished is not None and form.value is not None:
                return form.value
            run.note(one)
        raise run.failure()

    def _members(self) -> tuple[list[Member], Member | None]:
        """Those that can fail, and the one that cannot."""
        members = self._router.members
        asked: list[Member] = []
        for name in self.names:
            member = members.get(name)
            if member is None:
                continue
            if member.is_local:
                return asked, member
            asked.append(member)
        return asked, members.get(OFFLINE)


async def _asking(run: "_Run", last: Member | None) -> Answering:
    while (one := await run.next_try()) is not None:
        try:
            async for shown in one:
                yield shown
        finally:
            await one.close()
        if one.finished is not None:
            if not one.has_begun:
                yield one.began()
            for held in one.held:
                yield held
            yield one.finished
            return
        run.note(one)
    if last is None:
        raise run.failure()
    async with aclosing(run.resort(last)) as chunks:
        async for chunk in chunks:
            yield chunk


class _Run:
    """One question on its way through a chain."""

    def __init__(
        self,
        router: Router,
        asked: list[Member],
        make: Make,
        attempts: list[Attempt],
        deadline: float,
        payer: str,
        overhead: Overhead,
        *,
        has_resort: bool = False,
        form: Form[Any] | None = None,  # any pydantic model: the run never looks at the value
    ) -> None:
        left = max(0.0, deadline - router.clock.monotonic())
        self._router = router
        self._plan = asked
        self._make = make
        self._attempts = attempts
        self._until = deadline - (min(RESERVE_S, left * RESERVE_SHARE) if has_resort else 0.0)
        self._payer = payer
        self._overhead = overhead
        self._form = form
        self._error: ModelError | None = None
        self._has_shown = False
        self._is_ordered = form is not None or len(asked) < 2
        self._tries = 0
        self._pause_s = 0.0
        self._chars: int | None = None  # after "too long": fewer than fit by our own count

    async def next_try(self) -> Try | None:
        """The next call, ready to be read; None when nobody is left to ask. Raises nothing."""
        while self._plan:
            if self._pause_s:
                await self._router.clock.sleep(self._pause_s)
                self._pause_s = 0.0
            member = self._plan[0]
            if why := self._refusal(member):
                self._pass_over(*why)
                continue
            request = self._request(member)
            member = self._plan[0]  # files may have changed who is first
            waited_from = self._router.clock.monotonic()
            lease = member.limiter.at_once(_size(member, request)) or await self._queued(member, request)
            if lease is not None and (one := self._call(member, request, lease, waited_from)) is not None:
                return one
        return None

    def note(self, one: Try) -> None:
        """A try has failed: the same model again, or the next. Raises what no model can mend."""
        error = one.error
        if error is None:
            return
        self._error = error
        self._has_shown |= one.has_begun
        if error.fault.remedy is Remedy.GIVE_UP and not one.is_late:
            raise error
        if not self._is_again_worth_it(one, error):
            self._advance()

    def resort(self, last: Member) -> Answering:
        return last.answer(self._make, self._attempts, is_last_resort=True, is_again=self._has_shown)

    def failure(self) -> ModelError:
        """Why there is no answer."""
        return self._error or ModelError(
            "no model of this chain can be asked; name one in [roles] that is not offline", Fault.NOT_FOUND
        )

    # --- whom to ask -------------------------------------------------------------------------------------------------

    def _refusal(self, member: Member) -> tuple[str, Fault] | None:
        """Why a model is not asked now."""
        if member.circuit.is_shut():
            return _shut(member)
        if member.is_priced and (why := self._router.spending.refusal(self._payer)):
            return why, Fault.CAPPED
        if self._left_s() <= 0:
            return "no time was left to ask it", Fault.CAPPED
        return None

    def _pass_over(self, why: str, fault: Fault) -> None:
        member = self._plan[0]
        member.pass_over(why, self._attempts)
        if self._error is None:
            self._error = ModelError(f"{member.name} was passed over: {why}", fault)
        self._advance()

    def _advance(self) -> None:
        self._plan = self._plan[1:]
        self._tries = 0
        self._chars = None
        if self._form is not None:
            self._form.begin_anew()

    def _is_again_worth_it(self, one: Try, error: ModelError) -> bool:
        if error.fault is Fault.TOO_LONG:
            return self._halve(one)
        if one.is_unfit:
            return self._form is not None and self._form.send_back()
        if error.fault.remedy is not Remedy.RETRY or self._tries >= one.member.settings.tries:
            return False
        wish = error.retry_after_s or 0.0
        if wish > self._patience_s(one.member):
            return False
        most = min(BACKOFF_MOST_S, BACKOFF_S * 2 ** (self._tries - 1))
        self._pause_s = max(wish, most * self._router.random())
        return self._pause_s < self._left_s()

    def _halve(self, one: Try) -> bool:
        """Half of what was sent, once."""
        if self._chars is not None:
            return False
        sent = chars_of(one.request.messages)
        self._chars = sent // 2
        return chars_of(self._make(self._chars).messages) < sent

    def _left_s(self) -> float:
        return self._until - self._router.clock.monotonic()

    def _patience_s(self, member: Member) -> float:
        """How long it may keep a call waiting: not long, when there is another, and never until there is no time left to answer."""
        left = self._left_s()
        if len(self._plan) > 1:
            return min(left, member.settings.limits.queue_s)
        return max(left / 2, left - SPARE * member.limiter.takes_s())

    # --- asking ------------------------------------------------------------------------------------------------------

    def _request(self, member: Member) -> ChatRequest:
        if self._chars is not None:
            return self._make(self._chars)
        request = self._made(member)
        if not self._is_ordered:
            self._is_ordered = True
            if self._put_reader_first(request):
                request = self._made(self._plan[0])
        return request

    def _made(self, member: Member) -> ChatRequest:
        request = self._make(max(LEAST_CHARS, member.chars - self._overhead.chars))
        has_more = self._overhead.learn(request)
        most = max(LEAST_CHARS, member.chars - self._overhead.chars)
        return self._make(most) if has_more and chars_of(request.messages) > most else request

    def _put_reader_first(self, request: ChatRequest) -> bool:
        """Files that the first model cannot read: one that can is asked before it."""
        first, kinds = self._plan[0], kinds_of(request.messages)
        if kinds <= first.reads:
            return False
        reader = next((each for each in self._plan[1:] if kinds <= each.reads and self._refusal(each) is None), None)
        if reader is None:
            return False
        first.pass_over(f"it cannot read {', '.join(sorted(kinds - first.reads))}; {reader.name} can", self._attempts)
        self._plan = [reader, *(each for each in self._plan if each is not reader)]
        return True

    async def _queued(self, member: Member, request: ChatRequest) -> Lease | None:
        """Waits for its turn; None: it was passed over."""
        limiter, size, patience = member.limiter, _size(member, request), self._patience_s(member)
        expected = limiter.wait_s(request.conversation, size)
        if expected > patience:
            self._pass_over(f"its queue is too long (about {expected:.0f} s)", Fault.RATE_LIMITED)
            return None
        lease = await limiter.wait(request.conversation, size, patience)
        if lease is None and member.circuit.is_shut():
            self._pass_over(*_shut(member))
        elif lease is None:
            self._pass_over(f"its queue is too long (waited {patience:.0f} s)", Fault.RATE_LIMITED)
        return lease

    def _call(self, member: Member, request: ChatRequest, lease: Lease, waited_from: float) -> Try | None:
        number = member.circuit.enter()
        if number is None:
            member.limiter.unused(lease)
            self._pass_over(*_shut(member))
            return None
        waited_ms = (self._router.clock.monotonic() - waited_from) * 1000
        self._tries += 1
        attempt = Attempt(member.name, started_ms=self._router.clock.now_ms(), waited_ms=waited_ms)
        self._attempts.append(attempt)
        return Try(
            member,
            request,
            lease,
            number,
            attempt,
            clock=self._router.clock,
            spending=self._router.spending,
            payer=self._payer,
            seconds=max(0.0, self._left_s()),
            is_again=self._has_shown,
            accept=self._form.accept if self._form is not None else None,
        )


def _size(member: Member, request: ChatRequest) -> int:
    """Characters, where they matter."""
    return chars_of(request.messages) + len(request.instructions) if member.limiter.counts_tokens else 0


def _shut(member: Member) -> tuple[str, Fault]:
    fault = member.circuit.fault or Fault.OVERLOADED
    return f"its circuit is open after: {fault.value}", fault
