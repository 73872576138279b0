"""What a turn keeps while it runs: its steps, the outcomes of their calls, and what its model calls cost."""

import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

from bot.agent.journal import Step, Taken
from bot.agent.router import Attempt
from bot.agent.spending import day_of
from bot.errors import Fault
from bot.model import Found, Passage, PassageId, ToolCallState
from bot.ports import Clock, Cursor, Reasoning, Row, Store, ToolCall, ToolResult, Usage, Value
from bot.store import records
from bot.tools.search import as_text

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode

FOR_OPERATORS = frozenset({Fault.KEY.value, Fault.BALANCE.value, Fault.NOT_FOUND.value})

ADD_STEP = """
    INSERT INTO steps (reply_id, step, turn_id, conversation_id, model, text, reasoning, attempts, created_ms)
    VALUES (:reply, :step, :turn, :conversation, :model, :text, :reasoning, :attempts, :now)"""

ADD_TOOL_CALL = """
    INSERT INTO tool_calls (reply_id, step, place, turn_id, conversation_id, call_id, name, arguments, state, started_ms)
    VALUES (:reply, :step, :place, :turn, :conversation, :call, :name, :arguments, 'intended', :now)"""

SETTLE = """
    UPDATE tool_calls SET state = :state, result = :result, ended_ms = :now
    WHERE reply_id = :reply AND step = :step AND call_id = :call AND state = 'intended' AND ended_ms IS NULL"""

END_STEPS = "UPDATE steps SET ended_ms = :now WHERE reply_id = :reply AND ended_ms IS NULL"

GIVE_UP_CALLS = """
    UPDATE tool_calls SET state = 'unknown', ended_ms = :now WHERE reply_id = :reply AND state = 'intended'"""

END_STEPS_OF = "UPDATE steps SET ended_ms = :now WHERE conversation_id = :conversation AND ended_ms IS NULL"

BEGUN = "SELECT DISTINCT reply_id FROM steps WHERE ended_ms IS NULL"

STEPS = "SELECT step, model, text, reasoning, attempts, ended_ms FROM steps WHERE reply_id = :reply ORDER BY step"

ENDED = "SELECT coalesce(max(step), 0) FROM steps WHERE reply_id = :reply AND ended_ms IS NOT NULL"

TOOL_CALLS = """
    SELECT step, call_id, name, arguments, result FROM tool_calls WHERE reply_id = :reply ORDER BY step, place"""

ADD_SPEND = """
    INSERT INTO spend (day, payer, model, calls, failed, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cost_micros)
    VALUES (:day, :payer, :model, 1, :failed, :input, :output, :cache_read, :cache_write, :cost)
    ON CONFLICT (day, payer, model) DO UPDATE SET
        calls = spend.calls + 1, failed = spend.failed + excluded.failed,
        input_tokens = spend.input_tokens + excluded.input_tokens, output_tokens = spend.output_tokens + excluded.output_tokens,
        cache_read_tokens = spend.cache_read_tokens + excluded.cache_read_tokens,
        cache_write_tokens = spend.cache_write_tokens + excluded.cache_write_tokens,
        cost_micros = spend.cost_micros + excluded.cost_micros"""

SPEND_OF_DAY = """
    SELECT day, payer, model, calls, failed, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cost_micros
    FROM spend WHERE day = :day"""


class StoredSteps:
    """The journal of one turn, in the store. See `bot.agent.journal.Journal`. Steps that were ended before it, since a message changed,
    are not recalled; their rows stay, and the new ones are numbered after them. `steady` is entered while a step is committed, and
    raises when what the step was made from counts no more."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        reply: str,
        turn: str,
        conversation: str,
        payer: str,
        steady: Callable[[], AbstractAsyncContextManager[None]] = nullcontext,
    ) -> None:
        self._store = store
        self._clock = clock
        self._steady = steady
        self._ended: int | None = None  # how many were ended before; None until the rows were looked at
        self._key = {"reply": reply, "turn": turn, "conversation": conversation}
        self._payer = payer

    async def recall(self) -> Sequence[Taken]:
        steps = await self._store.read(STEPS, {"reply": self._key["reply"]})
        calls = await self._store.read(TOOL_CALLS, {"reply": self._key["reply"]}) if steps else []
        ended = self._ended = max((row[0] for row in steps if row[5] is not None), default=0)
        return [
            _taken(row, ended, [call[1:] for call in calls if call[0] == row[0]]) for row in steps if row[0] > ended
        ]

    async def intend(self, step: Step) -> None:
        async with self._steady():
            now = self._clock.now_ms()
            self._ended = await self._store.run(intend, self._key, self._payer, step, self._ended, now)

    async def settle(self, step: int, result: ToolResult, state: ToolCallState) -> None:
        number = step + (self._ended or 0)
        await self._store.run(settle, self._key["reply"], number, result, state, self._clock.now_ms())


# --- units of work ---------------------------------------------------------------------------------------------------


def intend(cursor: Cursor, key: dict[str, str], payer: str, step: Step, ended: int | None, now_ms: int) -> int:
    """The step with its calls as `intended`, and the cost of what led to it. Returns the number of the last step that was ended before."""
    if ended is None:
        ended = int(cursor.fetch(ENDED, {"reply": key["reply"]})[0][0])
    place: dict[str, Value] = {**key, "step": ended + step.number, "now": now_ms}
    cursor.execute(
        ADD_STEP,
        {
            **place,
            "model": step.model,
            "text": step.text,
            "reasoning": _encode([[each.model, each.data] for each in step.reasoning]),
            "attempts": _encode([attempt_json(each) for each in step.attempts]),
        },
    )
    for number, call in enumerate(step.calls):
        cursor.execute(
            ADD_TOOL_CALL, {**place, "place": number, "call": call.id, "name": call.name, "arguments": call.arguments}
        )
    record_attempts(cursor, payer, step.attempts, key["turn"], now_ms)
    return ended


def settle(cursor: Cursor, reply: str, step: int, result: ToolResult, state: ToolCallState, now_ms: int) -> None:
    values: dict[str, Value] = {"reply": reply, "step": step, "call": result.call, "now": now_ms}
    cursor.execute(SETTLE, {**values, "state": state.value, "result": _encode(_result_json(result))})


def end_steps(cursor: Cursor, reply: str, turn: str, conversation: str, now_ms: int) -> None:
    """The turn has ended. A call whose outcome was never learnt is unknown from now on, and operators are told."""
    cursor.execute(END_STEPS, {"reply": reply, "now": now_ms})
    lost = cursor.execute(GIVE_UP_CALLS, {"reply": reply, "now": now_ms})
    if lost:
        detail = f"{lost} tool call(s) of a turn were begun, and nobody knows whether they were carried out. See: frontdesk trace {turn}"
        records.add_incident(cursor, f"{turn}:calls", "tool call", reply, detail, now_ms, conversation)


def record_attempts(cursor: Cursor, payer: str, attempts: Sequence[Attempt], turn: str, now_ms: int) -> None:
    """What model calls cost, and which model needs an operator."""
    add_spend(cursor, payer, attempts)
    for each in attempts:
        if each.outcome in FOR_OPERATORS:
            detail = f"The model {each.model} does not answer: {each.outcome}. {each.why}. See: frontdesk models"
            records.add_incident(cursor, f"{turn}:{each.model}", "model", each.model, detail, now_ms)


def add_spend(cursor: Cursor, payer: str, attempts: Iterable[Attempt]) -> None:
    """A piece of the units that put model calls on record. The offline answerer is not counted: it costs nothing."""
    for each in attempts:
        if each.is_call:
            cursor.execute(
                ADD_SPEND,
                {
                    "day": day_of(each.started_ms),
                    "payer": payer,
                    "model": each.model,
                    "failed": int(each.has_failed),
                    "input": each.usage.input_tokens,
                    "output": each.usage.output_tokens,
                    "cache_read": each.usage.cache_read_tokens,
                    "cache_write": each.usage.cache_write_tokens,
                    "cost": each.cost_micros,
                },
            )


# --- JSON ------------------------------------------------------------------------------------------------------------


def attempt_json(attempt: Attempt) -> dict[str, Any]:
    """As the trace and the steps keep it."""
    usage = attempt.usage
    return {
        "model": attempt.model,
        "outcome": attempt.outcome,
        "why": attempt.why,
        "usage": [usage.input_tokens, usage.output_tokens, usage.cache_read_tokens, usage.cache_write_tokens],
        "cost_micros": attempt.cost_micros,
        "started_ms": attempt.started_ms,
        "waited_ms": round(attempt.waited_ms, 1),
        "first_ms": None if attempt.first_ms is None else round(attempt.first_ms, 1),
        "total_ms": round(attempt.total_ms, 1),
    }


def _attempt(kept: dict[str, Any]) -> Attempt:
    return Attempt(**{**kept, "usage": Usage(*kept["usage"])})


def _result_json(result: ToolResult) -> dict[str, Any]:
    """Passages are kept whole: an answer of the rerun cites and quotes them. Their text is not kept twice."""
    kept: dict[str, Any] = {"text": "" if result.found else result.text, "first_number": result.first_number}
    if result.found:
        kept["found"] = [
            [p.id, p.document, p.title, p.text, p.url, one.score, one.coverage]
            for one in result.found
            for p in [one.passage]
        ]
    kept |= {
        name: True for name in ("is_error", "is_unusable", "is_person_wished", "is_uncertain") if getattr(result, name)
    }
    return kept


def _result(call: str, kept: dict[str, Any]) -> ToolResult:
    found = tuple(
        Found(Passage(PassageId(id_), document, title, text, url), score, coverage)
        for id_, document, title, text, url, score, coverage in kept.pop("found", ())
    )
    text = as_text(found, kept["first_number"]) if found else kept["text"]
    return ToolResult(call, **{**kept, "text": text, "found": found})


def _taken(row: Row, ended: int, calls: Sequence[Sequence[Any]]) -> Taken:
    number, model, text, reasoning, attempts, _ = row
    step = Step(
        number - ended,
        model,
        text,
        tuple(Reasoning(*each) for each in json.loads(reasoning)),
        tuple(ToolCall(call, name, arguments) for call, name, arguments, _ in calls),
        tuple(_attempt(each) for each in json.loads(attempts)),
    )
    return Taken(step, {call: _result(call, json.loads(result)) for call, _, _, result in calls if result})
