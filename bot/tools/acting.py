"""The one way of every call of an action: validated, on behalf of a person, agreed to where that is needed, entered, made, settled.

Promises: nothing leaves before it is entered with its key; what was entered is made with that key or not at all; an outcome that nobody
knows is found out by the key, by a look-up or by a person, and never by making the call again on a guess; what was agreed to is what is sent.
"""

import json
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from bot import ids
from bot.errors import NotSent, Uncertain
from bot.ports import Clock, Store
from bot.store import actions as ledger
from bot.store.actions import Entry, Proposal, State, Verdict
from bot.tools import Caller, Output
from bot.tools.action import Action, Consent, Effect, Reply, Role, Source
from bot.tools.consent import WAITS_OPERATOR, NotShowable, asked, canonical, code_of, described
from bot.tools.schemas import checked

log = logging.getLogger(__name__)

RESULT_CHARS: Final = 20_000
CACHED_MOST: Final = 10_000
RETRY_S: Final = (0.2, 1.0, 3.0)
CONSENT_S: Final = 600.0  # in which the person can agree
OPERATOR_S: Final = 86_400.0  # ... and operators
PROFILE_S: Final = 300.0  # for which a profile is not read again
DAY_MS: Final = 86_400_000

WAITS: Final = "The person is shown exactly what would be done and has to agree first. Nothing has been done yet."
NOT_KNOWN: Final = "It is not certain who this person is: they are not signed in. It was not done. Ask them to sign in, or offer a person."
SEVERAL: Final = (
    "Several people speak here: it is not clear on whose behalf this is. It was not done. Ask who it is for."
)
FOREIGN: Final = "The recipient must be named by the person who asks, in their own words. It was not done."
CHANGED: Final = (
    "What was agreed to has changed meanwhile, so nothing was done. Look again and ask anew if it is still wanted."
)
FAILED_READ: Final = "This could not be looked up at the moment."

_SAID: Final = """
    SELECT text FROM messages
    WHERE conversation_id = :conversation AND case_id = :case AND identity_id = :identity AND author = 'user' AND is_deleted = 0"""
_WHO: Final = "SELECT external_id, is_verified FROM identities WHERE id = :id"


class Actions(Protocol):
    """All actions there are."""

    def get(self, name: str, /) -> Action | None: ...

    def of(self, agent: str, /) -> Sequence[Action]:
        """Those that an agent may use."""
        ...


@dataclass(frozen=True, slots=True)
class Told:
    """An action that has come to its end since the agent last spoke."""

    entry: Entry
    output: Output
    title: str


class Acting:
    """Carries actions out, for all agents of the house."""

    def __init__(self, store: Store, clock: Clock, actions: Actions, secret: Callable[[], bytes]) -> None:
        self._store = store
        self._clock = clock
        self._actions = actions
        self._secret = secret
        self._cache: dict[tuple[str, str, str], tuple[float, Output]] = {}

    def of(self, name: str) -> Action | None:
        return self._actions.get(name)

    # --- a model's call ----------------------------------------------------------------------------------------------

    async def run(self, action: Action, call: str, text: str, caller: Caller, within_s: float) -> Output:
        """Never raises for anything that a model can write. Raises StoreUnavailable, with nothing begun that is not entered."""
        try:
            arguments = checked(action, text)
        except ValueError as error:
            return Output(f"These arguments cannot be used: {error}", is_error=True, is_unusable=True)
        try:
            arguments |= await self._of_identity(action, caller)
            if action.is_read:
                return await self._read(action, call, arguments, caller, within_s)
            return await self._effect(action, call, arguments, caller, within_s)
        except _Stopped as stopped:
            return Output(str(stopped), is_error=True)

    async def by_hand(self, action: Action, text: str, person: str, account: str, within_s: float) -> Output:
        """A call that a local account makes on the command line, in place of the consents; for the person of that id, if it is for one.
        Entered like every other."""
        once = ids.new_id(self._clock.now_ms())
        free = replace(action.allowance, operator_above=None, two_operators_above=None)
        told = tuple(
            replace(each, role=Role.PLAIN) if each.role is Role.RECIPIENT else each for each in action.parameters
        )
        agreed = replace(action, consent=Consent.NONE, allowance=free, parameters=told)
        caller = Caller("", once, f"local:{account}", once, "", "", vouched=person)
        return await self.run(agreed, once, text, caller, within_s)

    async def _of_identity(self, action: Action, caller: Caller) -> dict[str, Any]:
        """The arguments that say who it is, which only the channel or the host page can say."""
        wanted = [each for each in action.parameters if each.source is Source.IDENTITY]
        if not caller.identity and (wanted or not action.is_read):
            raise _Stopped(SEVERAL)
        if not wanted:
            return {}
        if caller.vouched:
            return {each.name: caller.vouched for each in wanted}
        rows = await self._store.read(_WHO, {"id": caller.identity})
        if not rows or not rows[0][1]:
            raise _Stopped(NOT_KNOWN)
        return {each.name: str(rows[0][0]).removeprefix("id:") for each in wanted}

    # --- reads -------------------------------------------------------------------------------------------------------

    async def _read(
        self, action: Action, call: str, arguments: Mapping[str, Any], caller: Caller, within_s: float
    ) -> Output:
        key = (caller.identity, action.name, canonical(arguments))
        is_private = any(each.source is Source.IDENTITY for each in action.parameters)
        row = self._proposal(action, call, arguments, {}, caller, is_private=is_private)
        known = self._cache.get(key)
        if known is not None and known[0] > self._clock.monotonic():
            if is_private:  # what was read for another case is in this one, too
                await self._store.run(ledger.add_read, row, State.SUCCEEDED, known[1].text, "")
            return known[1]
        try:
            reply = await self._get(action, arguments, within_s)
            output = Output(shown(action, reply), is_error=reply.is_refused)
            state, detail = (State.REFUSED if reply.is_refused else State.SUCCEEDED), ""
        except (NotSent, Uncertain) as error:
            output, state, detail = Output(FAILED_READ, is_error=True), State.REFUSED, str(error)
        await self._store.run(ledger.add_read, row, state, output.text, detail)
        for_s = max(action.cache_s, PROFILE_S if action.is_profile else 0)
        if for_s and not output.is_error:
            self._remember(key, for_s, output)
        return output

    def _remember(self, key: tuple[str, str, str], for_s: float, output: Output) -> None:
        while len(self._cache) >= CACHED_MOST:
            del self._cache[next(iter(self._cache))]
        self._cache[key] = (self._clock.monotonic() + for_s, output)

    def _forget(self, identity: str) -> None:
        """An effect may have changed anything that this person was told."""
        for key in [key for key in self._cache if key[0] == identity]:
            del self._cache[key]

    async def _get(self, action: Action, arguments: Mapping[str, Any], within_s: float) -> Reply:
        """A read, made again while that may help."""
        deadline = self._clock.monotonic() + within_s
        for left in reversed(range(action.tries)):
            try:
                return await self._ask(action, arguments, "", deadline)
            except (NotSent, Uncertain) as error:
                is_lasting = isinstance(error, NotSent) and not error.is_retryable
                if not left or is_lasting or not await self._wait(action.tries - left - 1, deadline):
                    raise
        raise AssertionError("an action has at least one try")

    async def _ask(self, action: Action, arguments: Mapping[str, Any], key: str, deadline: float) -> Reply:
        within_s = min(action.timeout_s, deadline - self._clock.monotonic())
        if within_s <= 0:
            raise NotSent("there was no time left", is_retryable=False)
        try:
            async with self._clock.timeout(within_s):
                reply = await action.endpoint.call(arguments, key, within_s)
        except TimeoutError:
            raise Uncertain(f"no answer within {within_s:.0f} s") from None
        if reply.is_vague and not action.is_read:
            raise Uncertain(f"it failed, which does not say that nothing was done: {shown(action, reply)[:200]}")
        return reply

    async def _wait(self, number: int, deadline: float) -> bool:
        """False: there is no time for another try."""
        wait_s = RETRY_S[min(number, len(RETRY_S) - 1)]
        if self._clock.monotonic() + wait_s >= deadline:
            return False
        await self._clock.sleep(wait_s)
        return True

    async def opening(self, agent: str, caller: Caller, within_s: float) -> list[tuple[str, Output]]:
        """What the agent knows of the person before it is asked: every profile that can be read."""
        known: list[tuple[str, Output]] = []
        for action in (each for each in self._actions.of(agent) if each.is_profile):
            call = ids.derived_id("profile", caller.case, action.name)
            output = await self.run(action, call, "{}", caller, within_s)
            if not output.is_error:
                known.append((action.name, output))
        return known

    # --- effects -----------------------------------------------------------------------------------------------------

    async def _effect(
        self, action: Action, call: str, arguments: dict[str, Any], caller: Caller, within_s: float
    ) -> Output:
        deadline = self._clock.monotonic() + within_s
        facts = await self._facts(action, arguments, within_s)
        _complete(action, arguments, facts)
        await self._check_recipients(action, arguments, caller)
        proposal = self._proposal(action, call, arguments, facts, caller)
        verdict: Verdict = await self._store.run(ledger.propose, proposal)
        if verdict.entry is None:
            return Output(verdict.stopped, is_error=True, is_uncertain=verdict.is_uncertain)
        if verdict.consent:
            until = datetime.fromtimestamp(verdict.expires_ms / 1000, UTC).strftime("%H:%M")
            card = asked(verdict.consent, verdict.card, until, code_of(self._secret(), verdict.consent))
            return Output(WAITS, is_waiting=True, card=card.text, buttons=card.buttons)
        if verdict.entry.state is State.PROPOSED:
            return Output(WAITS, is_waiting=True, card=WAITS_OPERATOR)
        return await self._go_on(verdict.entry, deadline, is_fresh=verdict.entry.facts == proposal.facts)

    async def _check_recipients(self, action: Action, arguments: Mapping[str, Any], caller: Caller) -> None:
        """Who gets something is named by the person or by a record, never by a text that came in from elsewhere."""
        roles = (each for each in action.parameters if each.role is Role.RECIPIENT and each.source is Source.MODEL)
        named = [arguments[each.name] for each in roles if each.name in arguments]
        if not named:
            return
        rows = await self._store.read(
            _SAID, {"conversation": caller.conversation, "case": caller.case, "identity": caller.identity}
        )
        said = [_own(str(row[0])) for row in rows]
        if not all(_is_named(value, said) for value in named):
            raise _Stopped(FOREIGN)

    async def _facts(self, action: Action, arguments: Mapping[str, Any], within_s: float) -> dict[str, Any]:
        if not action.facts:
            return {}
        source = self._actions.get(action.facts)
        if source is None:
            raise _Stopped(FAILED_READ)
        asked_with = {each.name: arguments[each.name] for each in source.parameters if each.name in arguments}
        try:
            reply = await self._get(source, asked_with, within_s)
        except (NotSent, Uncertain) as error:
            log.warning("facts for %s could not be read: %s", action.name, error)
            raise _Stopped(FAILED_READ) from error
        if reply.is_refused or not isinstance(reply.data, dict):
            raise _Stopped(f"It was not done: {shown(source, reply)}")
        return {name: picked(reply.data, name) for name in action.fact_fields}

    async def _facts_text(self, action: Action, arguments: Mapping[str, Any], deadline: float) -> str:
        """The facts as the ledger keeps them; "" where they are not to be had."""
        try:
            return canonical(await self._facts(action, arguments, deadline - self._clock.monotonic()))
        except _Stopped:
            return ""

    def _proposal(
        self,
        action: Action,
        call: str,
        arguments: Mapping[str, Any],
        facts: Mapping[str, Any],
        caller: Caller,
        *,
        is_private: bool = False,
    ) -> Proposal:
        now = self._clock.now_ms()
        text, known = canonical(arguments), canonical(facts) if facts else ""
        id_ = ids.derived_id("action", caller.reply, call, action.name, text)
        amount = _amount(action, arguments)
        operators = _operators(action, amount)
        return Proposal(
            id=id_,
            reply=caller.reply,
            call=call,
            turn=caller.turn,
            conversation=caller.conversation,
            case=caller.case,
            identity=caller.identity,
            agent=caller.agent,
            name=action.name,
            version=action.version,
            effect=action.effect.value,
            arguments=text,
            facts=known,
            key=f"fd-{id_}",
            object="" if action.is_read else _object(action, arguments, caller),
            amount=amount,
            is_private=is_private,
            is_free=action.consent is not Consent.USER,
            card="" if action.is_read else _described(action, arguments, facts),
            operators=operators,
            amount_per_day=action.allowance.amount_per_day,
            calls_per_day=action.allowance.calls_per_day,
            expires_ms=now + round(CONSENT_S * 1000),
            operators_expire_ms=now + round(OPERATOR_S * 1000),
            day_ms=now - now % DAY_MS,
            now_ms=now,
        )

    async def decided(self, conversation: str, within_s: float) -> list[Told]:
        """Carries out what has been agreed to, and gives everything of which the agent has not told yet, in order."""
        rows = await self._store.read(ledger.AWAITING, {"conversation": conversation})
        deadline = self._clock.monotonic() + within_s
        told = []
        for entry in map(ledger.entry_of, rows):
            action = self._actions.get(entry.name)
            output = await self._go_on(entry, deadline)
            told.append(Told(entry, output, action.title if action is not None else entry.name))
        return told

    async def _go_on(self, entry: Entry, deadline: float, *, is_fresh: bool = False) -> Output:
        """From where the ledger has it to its outcome. `is_fresh`: its facts were read just now."""
        action = self._actions.get(entry.name)
        if entry.state in (State.APPROVED, State.INTENDED):
            if action is None or action.version != entry.version or not entry.arguments:
                entry = await self._cannot(entry)
            else:
                entry = await self._carry_out(action, entry, deadline, is_fresh=is_fresh)
        return _told(entry, action)

    async def _cannot(self, entry: Entry) -> Entry:
        """What was agreed to is no longer what would be done."""
        if entry.state is State.INTENDED:
            why = "the action has changed since the call began, or that is too long ago for its key"
            return await self._settle(entry, State.UNKNOWN, ledger.UNCLEAR, why)
        return await self._void(entry)

    async def _void(self, entry: Entry) -> Entry:
        await self._store.run(ledger.void, entry.id, CHANGED, self._clock.now_ms())
        return replace(entry, state=State.VOID, result=CHANGED)

    async def _carry_out(self, action: Action, entry: Entry, deadline: float, *, is_fresh: bool) -> Entry:
        arguments = json.loads(entry.arguments)
        is_to_check = entry.state is State.APPROVED and bool(entry.facts) and not is_fresh
        if is_to_check and await self._facts_text(action, arguments, deadline) != entry.facts:
            return await self._void(entry)
        is_doubtful = entry.state is State.INTENDED  # an earlier run may have made it
        self._forget(entry.identity)
        try:
            return await self._try(action, entry, arguments, deadline, is_doubtful=is_doubtful)
        finally:
            self._forget(entry.identity)

    async def _try(
        self, action: Action, entry: Entry, arguments: Mapping[str, Any], deadline: float, *, is_doubtful: bool
    ) -> Entry:
        """Makes the call until there is an outcome, or none can be had."""
        why = "the process ended in the middle of the call" if is_doubtful else ""
        for number in range(action.tries):
            if is_doubtful:
                found = await self._found_out(action, arguments, entry, deadline)
                if isinstance(found, Reply):
                    return await self._outcome(action, entry, found)
                if not found:
                    break
            if number and not await self._wait(number - 1, deadline):
                break
            if not await self._store.run(ledger.begin, entry.id, entry.hash, self._clock.now_ms()):
                return await self._cannot(entry)
            entry = replace(entry, state=State.INTENDED)
            try:
                reply = await self._ask(action, arguments, entry.key, deadline)
                if reply.is_refused and is_doubtful and action.effect is Effect.KEYED:  # the first try may have done it
                    why = f"a try may have been carried out, and the next was refused: {shown(action, reply)}"
                    break
                return await self._outcome(action, entry, reply)
            except (NotSent, Uncertain) as error:
                why = str(error)
                is_doubtful = is_doubtful or isinstance(error, Uncertain)
                if isinstance(error, NotSent) and not error.is_retryable:
                    break
        return await self._give_up(action, entry, arguments, deadline, why, is_doubtful=is_doubtful)

    async def _give_up(
        self,
        action: Action,
        entry: Entry,
        arguments: Mapping[str, Any],
        deadline: float,
        why: str,
        *,
        is_doubtful: bool,
    ) -> Entry:
        if not is_doubtful:
            text = "It could not be done: the other side cannot be reached. Nothing was changed."
            return await self._settle(entry, State.REFUSED, text, why)
        if action.effect is Effect.CHECKABLE:
            found = await self._found_out(action, arguments, entry, deadline)
            if isinstance(found, Reply):
                return await self._outcome(action, entry, found)
        return await self._settle(entry, State.UNKNOWN, ledger.UNCLEAR, why)

    async def _found_out(
        self, action: Action, arguments: Mapping[str, Any], entry: Entry, deadline: float
    ) -> Reply | bool:
        """What became of a doubtful call: its reply, True where it may be made again, False where nobody but a person can tell."""
        if action.effect is not Effect.CHECKABLE:
            return action.effect is Effect.KEYED
        within_s = min(action.timeout_s, deadline - self._clock.monotonic())
        try:
            async with self._clock.timeout(max(0.0, within_s)):
                reply = await action.endpoint.look_up(arguments, entry.key, within_s)
        except (NotSent, Uncertain, TimeoutError):
            return False
        return True if reply is None else reply

    async def _outcome(self, action: Action, entry: Entry, reply: Reply) -> Entry:
        state = State.REFUSED if reply.is_refused else State.SUCCEEDED
        text = shown(action, reply)
        return await self._settle(
            entry, state, f"It was refused and not done: {text}" if reply.is_refused else text, ""
        )

    async def _settle(self, entry: Entry, state: State, result: str, detail: str) -> Entry:
        await self._store.run(ledger.settle, entry.id, state, result, detail, self._clock.now_ms())
        return replace(entry, state=state, result=result)


class _Stopped(Exception):
    """The call is not made; the text is for the model."""


def _complete(action: Action, arguments: dict[str, Any], facts: Mapping[str, Any]) -> None:
    """Adds what comes from the facts, and keeps amounts within what they and the config allow."""
    for each in action.parameters:
        if each.source is Source.FACTS:
            value = facts.get(each.source_field or each.name)
            if value is None and each.is_required:
                raise _Stopped("It was not done: what it needs is not on record.")
            if value is not None:
                arguments[each.name] = value
        most = facts.get(each.most_field) if each.most_field else None
        value = arguments.get(each.name)
        if each.most_field and value is not None and not (isinstance(most, int) and value <= most):
            raise _Stopped(f"It was not done: {each.name} is more than the {each.most_field} on record.")
    amount, most = _amount(action, arguments), action.allowance.amount_per_call
    if amount < 0 or (most and amount > most):
        raise _Stopped("The amount is beyond what may be done in one call. It was not done. Offer a person.")


def _is_named(value: object, said: Sequence[str]) -> bool:
    """Whether it stands in one of the texts, whole: "ann@example.com" is not named by "joann@example.com"."""
    whole = re.compile(rf"(?<![\w.@+-]){re.escape(str(value).casefold())}(?![\w@+-]|\.\w)")
    return bool(value) and any(whole.search(text) for text in said)


def _own(text: str) -> str:
    """What a person wrote of their own, without the lines that they quote."""
    return "\n".join(line for line in text.casefold().splitlines() if not line.lstrip().startswith(">"))


def _described(action: Action, arguments: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    try:
        return described(action, arguments, facts)
    except NotShowable as error:
        raise _Stopped(f"It cannot be asked of anybody, since {error}. It was not done.") from error


def _amount(action: Action, arguments: Mapping[str, Any]) -> int:
    parameter = action.of_role(Role.AMOUNT)
    value = arguments.get(parameter.name, 0) if parameter else 0
    return value if isinstance(value, int) else 0


def _operators(action: Action, amount: int) -> int:
    """How many operators have to agree."""
    allowance = action.allowance
    if allowance.two_operators_above is not None and amount > allowance.two_operators_above:
        return 2
    is_above = allowance.operator_above is not None and amount > allowance.operator_above
    return int(is_above or action.consent is Consent.OPERATOR)


def _object(action: Action, arguments: Mapping[str, Any], caller: Caller) -> str:
    if action.once_per:
        named = {name: canonical(value) if not isinstance(value, str) else value for name, value in arguments.items()}
        return ids.derived_id(
            "object", action.once_per.format(**named)
        )  # what it names need not stay when a person is forgotten
    return f"{action.name}:{caller.case}:{ids.derived_id('arguments', canonical(arguments))}"


def _told(entry: Entry, action: Action | None) -> Output:
    title = action.title if action is not None else entry.name
    deed = f"{entry.name} {title} {action.description if action else ''}" if entry.state is State.SUCCEEDED else ""
    return Output(
        entry.result or ledger.UNCLEAR,
        is_error=entry.state is not State.SUCCEEDED,
        is_uncertain=entry.state is State.UNKNOWN,
        deed=deed,
    )


def shown(action: Action, reply: Reply) -> str:
    """What the model reads of a reply: the fields that are kept of it."""
    data = reply.data
    if action.keep and not reply.is_refused:
        data = kept(data, action.keep) if isinstance(data, dict | list) else "It was done."
    text = data if isinstance(data, str) else canonical(data)
    return text[:RESULT_CHARS]


def kept(data: Any, paths: Sequence[str]) -> Any:
    """Only these fields, through lists at any depth."""
    if isinstance(data, list):
        return [kept(each, paths) for each in data]
    if not isinstance(data, dict):
        return data
    left: dict[str, Any] = {}
    for name in dict.fromkeys(path.partition(".")[0] for path in paths):
        if name in data:
            inner = [path.partition(".")[2] for path in paths if path.startswith(f"{name}.")]
            left[name] = kept(data[name], inner) if inner and name not in paths else data[name]
    return left


def picked(data: Any, path: str) -> Any:
    """The value at a path such as "customer.email"; None where there is none."""
    for name in path.split("."):
        data = data.get(name) if isinstance(data, dict) else None
    return data
