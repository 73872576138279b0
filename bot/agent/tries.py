"""One call of one model, from its request to its place on the record; and what a model is to those who call it."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import Any, cast

from bot.agent.circuit import Circuit
from bot.agent.limiter import Lease, Limiter
from bot.agent.sizes import CHARS_A_TOKEN, LEAST_CHARS, chars_of
from bot.agent.spending import Spending, is_priced
from bot.alarm import Alarm
from bot.config import schema
from bot.errors import Fault, ModelError
from bot.model import changeable, value
from bot.ports import (
    ChatModel,
    ChatRequest,
    Chunk,
    Clock,
    Finished,
    Headroom,
    Reasoning,
    TextDelta,
    ToolCall,
    Usage,
)
from bot.telemetry.metrics import Metrics

OFFLINE = "offline"  # the model that stands in when every other has failed
ANSWERED, TOOLS, CANCELLED, PASSED_OVER = "answered", "tools", "cancelled", "passed over"
SILENCE_S = 5.0  # a model that has said nothing for so long when the time is up is silent; sooner, it had no chance

_TOOK_NOTHING = frozenset(
    {Fault.OVERLOADED, Fault.UNREACHABLE, Fault.KEY, Fault.BALANCE, Fault.NOT_FOUND, Fault.TOO_LONG, Fault.REJECTED}
)

NO_USAGE = Usage()

Make = Callable[[int], ChatRequest]  # the request, with at most so many characters of conversation


@changeable
class Attempt:
    """One call of a model, as the trace keeps it. `outcome`: "answered", "tools", a Fault's value, "cancelled", or "passed over" for
    a model that was not called; `why` in words for operators. Cost in millionths of the currency. `started_ms` is wall time when
    the call left, `waited_ms` the time in the queue before that, `first_ms` and `total_ms` count from when it left."""

    model: str
    outcome: str = ""
    why: str = ""
    usage: Usage = NO_USAGE
    cost_micros: int = 0
    started_ms: int = 0
    waited_ms: float = 0
    first_ms: float | None = None
    total_ms: float = 0

    @property
    def is_call(self) -> bool:
        """Whether a model was called that could cost something."""
        return self.outcome != PASSED_OVER and self.model != OFFLINE

    @property
    def has_failed(self) -> bool:
        return self.outcome not in (ANSWERED, TOOLS, CANCELLED, PASSED_OVER)


@value
class Began:
    """A model begins to answer; text before this in the same call is void. `is_last_resort`: the offline answerer stands in because
    every model before it failed. `is_again`: text of an earlier try has been shown. `is_whole`: its answer is not streamed."""

    model: str
    is_last_resort: bool = False
    is_again: bool = False
    is_whole: bool = False


class Member:
    """A model as chains know it: what it can do, how it fares, and how fast it may be asked. A local one is never limited, costs
    nothing and does not fail."""

    def __init__(
        self,
        name: str,
        model: ChatModel,
        settings: schema.Model,
        clock: Clock,
        metrics: Metrics,
        circuit: Circuit,
        limiter: Limiter,
    ) -> None:
        self.name = name
        self.model = model
        self.settings = settings
        self.circuit = circuit
        self.limiter = limiter
        self.is_local = is_local(name, settings)
        self.is_priced = not self.is_local and is_priced(settings.prices)
        self.reads = settings.kinds
        self.chars = max(LEAST_CHARS, (settings.context_tokens - settings.output_tokens) * CHARS_A_TOKEN)
        self.last = ""  # the outcome of its last call
        self.tells_usage = False
        self._clock = clock
        self._metrics = metrics
        self._seconds = metrics.model_seconds.of(name)
        self._cost = metrics.model_cost.of(name)
        self._tokens = [
            metrics.model_tokens.of(name, kind) for kind in ("input", "output", "cache_read", "cache_write")
        ]

    async def answer(
        self, make: Make, attempts: list[Attempt], *, is_last_resort: bool = False, is_again: bool = False
    ) -> AsyncGenerator[Began | Chunk, None]:
        """A local model's answer, straight through."""
        clock = self._clock
        attempt = Attempt(self.name, started_ms=clock.now_ms())
        attempts.append(attempt)
        started = clock.monotonic()
        outcome = ANSWERED
        try:
            yield Began(self.name, is_last_resort, is_again)
            async with aclosing(self.model.stream(make(self.chars))) as chunks:  # type: ignore[type-var]  # the port asks for less than an async generator
                async for chunk in chunks:
                    if attempt.first_ms is None:
                        attempt.first_ms = (clock.monotonic() - started) * 1000
                    if not isinstance(chunk, TextDelta):
                        if isinstance(chunk, ToolCall):
                            outcome = TOOLS
                        elif isinstance(chunk, Finished):
                            attempt.outcome = outcome
                    yield chunk
        except ModelError as error:
            attempt.outcome, attempt.why = error.fault.value, str(error)
            raise
        finally:
            attempt.outcome = attempt.outcome or CANCELLED
            self.note(attempt, clock.monotonic() - started)

    def note(self, attempt: Attempt, seconds: float) -> None:
        """A call has ended."""
        self.last = attempt.outcome
        attempt.total_ms = seconds * 1000
        self._seconds.observe(seconds)
        self._metrics.model_calls.of(self.name, attempt.outcome).inc()
        usage = attempt.usage
        if usage is not NO_USAGE:
            read, written, cache_read, cache_written = self._tokens
            read.inc(usage.input_tokens)
            written.inc(usage.output_tokens)
            cache_read.inc(usage.cache_read_tokens)
            cache_written.inc(usage.cache_write_tokens)
            self._cost.inc(attempt.cost_micros)

    def pass_over(self, why: str, attempts: list[Attempt]) -> None:
        """It is not asked this time."""
        attempts.append(Attempt(self.name, PASSED_OVER, why, started_ms=self._clock.now_ms()))
        self._metrics.model_calls.of(self.name, PASSED_OVER).inc()


def is_local(name: str, settings: schema.Model) -> bool:
    return OFFLINE in (name, settings.provider)


class Try:
    """One call. Iterating it gives what can be shown at once: `Began` before the first text, then text. It then has either `finished`,
    with what is to be handed on before that in `held`, or an `error`. It must be closed."""

    def __init__(
        self,
        member: Member,
        request: ChatRequest,
        lease: Lease,
        number: int,
        attempt: Attempt,
        *,
        clock: Clock,
        spending: Spending,
        payer: str,
        seconds: float,
        is_again: bool,
        accept: Callable[[str], str] | None = None,
    ) -> None:
        """`number` is the circuit's; `accept` says why a whole text is no answer, or ""."""
        self.member = member
        self.request = request
        self.held: list[Reasoning | ToolCall] = []
        self.finished: Finished | None = None
        self.error: ModelError | None = None
        self.is_late = False  # our own time was up
        self.is_unfit = False  # it answered, but not what was asked for
        self.has_begun = False
        self._lease = lease
        self._number = number
        self._attempt = attempt
        self._clock = clock
        self._spending = spending
        self._payer = payer
        self._is_again = is_again
        self._accept = accept
        self._chars = 0  # of text that came
        self._text = ""  # held back until it can be read; with `accept`, all of it
        self._started = clock.monotonic()
        self._alarm = Alarm(clock, self._started + seconds)
        self._chunks = member.model.stream(request)

    def began(self) -> Began:
        return Began(self.member.name, False, self._is_again, not self.member.settings.stream)

    def __aiter__(self) -> AsyncIterator[Began | TextDelta]:
        return self

    async def __anext__(self) -> Began | TextDelta:
        if self.has_begun and self._text:
            text, self._text = self._text, ""
            return TextDelta(text)
        while self.finished is None and self.error is None:
            try:
                with self._alarm:
                    chunk = await anext(self._chunks)
            except StopAsyncIteration:
                self._fail(ModelError("the answer broke off before its end", Fault.MALFORMED))
            except TimeoutError:
                self._run_late()
            except ModelError as error:
                self._fail(error)
            else:
                if self.has_begun and isinstance(chunk, TextDelta):
                    self._chars += len(chunk.text)
                    return chunk
                if (shown := self._take(chunk)) is not None:
                    return shown
        raise StopAsyncIteration

    async def close(self) -> None:
        """Abandons the call if it still runs."""
        if not self._attempt.outcome:
            self._settle(CANCELLED, "")
            self.member.circuit.abandoned(self._number)
            self.member.limiter.ended(self._lease, self._attempt.usage)
        await cast(Any, self._chunks).aclose()  # the port promises that closing abandons the call

    def _take(self, chunk: Chunk) -> Began | None:
        """Keeps it, and says when the answer begins with it."""
        match chunk:
            case TextDelta():
                return self._take_text(chunk)
            case Usage():
                self._attempt.usage = chunk
                self.member.tells_usage = True
            case Headroom():
                self.member.limiter.hear(chunk)
            case Finished():
                self._finish(chunk)
            case _:
                self._note_first()
                self.held.append(chunk)
        return None

    def _take_text(self, chunk: TextDelta) -> Began | None:
        self._note_first()
        self._chars += len(chunk.text)
        self._text += chunk.text
        if self._accept is not None or not chunk.text.strip():
            return None
        self.has_begun = True
        return self.began()

    def _note_first(self) -> None:
        if self._attempt.first_ms is None:
            self._attempt.first_ms = (self._clock.monotonic() - self._started) * 1000

    def _finish(self, end: Finished) -> None:
        has_calls = bool(self.held) and any(isinstance(each, ToolCall) for each in self.held)
        is_usable = self.has_begun or has_calls or end.reason == "refusal" or bool(self._text.strip())
        if not is_usable:
            self._fail(ModelError(f"neither text nor a call came (it ended with {end.reason!r})", Fault.MALFORMED))
            return
        why = self._accept(self._text) if self._accept is not None else ""
        if why:
            self.is_unfit = True
            self.error = ModelError(f"the answer is not of the form that was asked for: {why}", Fault.MALFORMED)
            self._settle(Fault.MALFORMED.value, str(self.error))
        else:
            self.finished = end
            self._settle(TOOLS if has_calls else ANSWERED, "" if end.reason in ("stop", "tools") else end.reason)
        self.member.circuit.succeeded(self._number)
        self.member.limiter.answered(self._lease, self._attempt.usage)

    def _run_late(self) -> None:
        self.is_late = True
        lasted = self._clock.monotonic() - self._started
        is_silent = not self._has_heard() and lasted >= SILENCE_S
        told = f"nothing came for {lasted:.0f} s" if is_silent else "the time for the answer was up"
        self._fail(ModelError(told, Fault.SILENT if is_silent else Fault.CAPPED))

    def _fail(self, error: ModelError) -> None:
        self.error = error
        limiter, attempt = self.member.limiter, self._attempt
        self._settle(error.fault.value, str(error))
        has_opened = self.member.circuit.failed(self._number, error.fault)
        if error.fault is Fault.RATE_LIMITED:
            limiter.limited(self._lease, error.retry_after_s)
        elif error.fault in _TOOK_NOTHING and not error.has_begun and not self._has_heard():
            limiter.refused(self._lease)
        else:
            limiter.ended(self._lease, attempt.usage)
        if has_opened:
            limiter.turn_away()

    def _has_heard(self) -> bool:
        return self._attempt.first_ms is not None or self._attempt.usage is not NO_USAGE

    def _estimated(self) -> Usage:
        """What a server that tells no usage has probably counted, so that budgets see it too."""
        read = chars_of(self.request.messages) + len(self.request.instructions)
        return Usage(read // CHARS_A_TOKEN, self._chars // CHARS_A_TOKEN)

    def _settle(self, outcome: str, why: str) -> None:
        attempt = self._attempt
        self._alarm.put_off()
        attempt.outcome, attempt.why = outcome, why
        if attempt.usage is NO_USAGE and outcome in (ANSWERED, TOOLS) and not self.member.tells_usage:
            attempt.usage = self._estimated()
            attempt.why = attempt.why or "tokens are estimated: the server does not tell"
        attempt.cost_micros = self._spending.cost_micros(attempt.model, attempt.usage)
        self._spending.add(self._payer, attempt.model, attempt.usage, attempt.cost_micros, is_failed=attempt.has_failed)
        self.member.note(attempt, self._clock.monotonic() - self._started)
