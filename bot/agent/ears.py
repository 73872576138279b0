"""Who writes down what people say in voice messages: the chain of the role `transcribe`, asked in order until one has done it.

Each model is asked once a file; its circuit, its limits and the budgets count here as they do for answers.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from bot.agent.limiter import Lease
from bot.agent.router import Router
from bot.agent.tries import ANSWERED, CANCELLED, NO_USAGE, Attempt, Member
from bot.errors import Fault, ModelError, Remedy
from bot.ports import Usage

Read = Callable[[], Awaitable[bytes]]


class Transcript(Protocol):
    """What was said in one file."""

    @property
    def text(self) -> str: ...

    @property
    def usage(self) -> Usage: ...

    @property
    def seconds(self) -> float: ...


class Transcriber(Protocol):
    """One model that writes down what is said. Raises ModelError, and what `read` raises."""

    async def transcribe(self, read: Read, size_bytes: int, media_type: str) -> Transcript: ...


class Ears:
    """The chains of all agents. Built once."""

    def __init__(self, router: Router) -> None:
        self._router = router
        self._transcribers: Mapping[str, Transcriber] = {}
        self._chains: Mapping[str, Sequence[str]] = {}

    def take(self, transcribers: Mapping[str, Transcriber], chains: Mapping[str, Sequence[str]]) -> None:
        """Other models from now on: by their names, and the names in each agent's chain."""
        self._transcribers, self._chains = transcribers, chains

    def can_hear(self, agent: str) -> bool:
        """Whether anybody is named who could."""
        return any(name in self._transcribers for name in self._chains.get(agent, ()))

    def members(self, names: Sequence[str]) -> list[Member]:
        """The models of these names, those that there are."""
        return [member for name in names if (member := self._router.members.get(name)) is not None]

    async def hear(
        self,
        agent: str,
        read: Read,
        size_bytes: int,
        media_type: str,
        attempts: list[Attempt],
        *,
        conversation: str,
        payer: str,
    ) -> str:
        """What is said in a file; "" when there is nothing to hear. `attempts` grow as models are asked. Raises ModelError: the one that
        another try may help, if there is one, else the last."""
        failures: list[ModelError] = []
        for name in self._chains.get(agent, ()):
            try:
                return await self._ask(
                    name, read, size_bytes, media_type, attempts, conversation=conversation, payer=payer
                )
            except ModelError as error:
                failures.append(error)
        hopeful = (each for each in failures if each.fault.remedy is Remedy.RETRY)
        raise next(hopeful, failures[-1] if failures else ModelError("no model transcribes", Fault.NOT_FOUND))

    async def _ask(
        self,
        name: str,
        read: Read,
        size_bytes: int,
        media_type: str,
        attempts: list[Attempt],
        *,
        conversation: str,
        payer: str,
    ) -> str:
        member, transcriber = self._router.members.get(name), self._transcribers.get(name)
        if member is None or transcriber is None:
            raise ModelError(f"{name} cannot transcribe", Fault.NOT_FOUND)
        if why := self._refusal(member, payer):
            raise _passed_over(member, *why, attempts)
        waited_from = self._router.clock.monotonic()
        limiter = member.limiter
        lease = limiter.at_once(0) or await limiter.wait(conversation, 0, member.settings.limits.queue_s)
        if lease is None:
            raise _passed_over(member, "its queue is too long", Fault.RATE_LIMITED, attempts)
        number = member.circuit.enter()
        if number is None:
            limiter.unused(lease)
            raise _passed_over(member, "its circuit is open", Fault.OVERLOADED, attempts)
        call = _Call(self._router, member, lease, number, payer, waited_from)
        attempts.append(call.attempt)
        try:
            transcript = await transcriber.transcribe(read, size_bytes, media_type)
        except ModelError as error:
            call.failed(error)
            raise
        except BaseException:  # a cancelled call has been made all the same
            call.abandoned()
            raise
        call.answered(transcript)
        return transcript.text

    def _refusal(self, member: Member, payer: str) -> tuple[str, Fault] | None:
        if member.circuit.is_shut():
            return "its circuit is open", member.circuit.fault or Fault.OVERLOADED
        if member.is_priced and (why := self._router.spending.refusal(payer)):
            return why, Fault.CAPPED
        return None


class _Call:
    """One request to one model, and its place in all the books."""

    def __init__(
        self, router: Router, member: Member, lease: Lease, number: int, payer: str, waited_from: float
    ) -> None:
        """`number` is the circuit's."""
        clock = router.clock
        self.attempt = Attempt(
            member.name, started_ms=clock.now_ms(), waited_ms=(clock.monotonic() - waited_from) * 1000
        )
        self._router = router
        self._member = member
        self._lease = lease
        self._number = number
        self._payer = payer
        self._started = clock.monotonic()

    def answered(self, transcript: Transcript) -> None:
        self.attempt.usage = transcript.usage
        length = f", {transcript.seconds:.0f} s of speech" if transcript.seconds else ""
        self._settle(ANSWERED, f"a voice message{length}")
        self._member.circuit.succeeded(self._number)
        self._member.limiter.answered(self._lease, transcript.usage)

    def failed(self, error: ModelError) -> None:
        limiter = self._member.limiter
        self._settle(error.fault.value, str(error))
        has_opened = self._member.circuit.failed(self._number, error.fault)
        if error.fault is Fault.RATE_LIMITED:
            limiter.limited(self._lease, error.retry_after_s)
        else:
            limiter.refused(self._lease)
        if has_opened:
            limiter.turn_away()

    def abandoned(self) -> None:
        self._settle(CANCELLED, "")
        self._member.circuit.abandoned(self._number)
        self._member.limiter.ended(self._lease, NO_USAGE)

    def _settle(self, outcome: str, why: str) -> None:
        attempt, spending = self.attempt, self._router.spending
        attempt.outcome, attempt.why = outcome, why
        attempt.cost_micros = spending.cost_micros(attempt.model, attempt.usage)
        spending.add(self._payer, attempt.model, attempt.usage, attempt.cost_micros, is_failed=attempt.has_failed)
        self._member.note(attempt, self._router.clock.monotonic() - self._started)


def _passed_over(member: Member, why: str, fault: Fault, attempts: list[Attempt]) -> ModelError:
    member.pass_over(why, attempts)
    return ModelError(f"{member.name} was passed over: {why}", fault)
