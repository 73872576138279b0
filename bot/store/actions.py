"""The ledger of actions: every unit of work by which one is proposed, agreed to, begun and ended."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from typing import Final

from bot import ids
from bot.errors import Refused
from bot.model import value
from bot.operators.operator import operator_id
from bot.ports import Cursor, Row, Value
from bot.store import audit, records

USER, OPERATOR = "user", "operator"
STALE_MS: Final = 3_600_000  # what was agreed to longer ago is not begun any more
KEY_MS: Final = 72_000_000  # ... and a call is not made again with a key that the other side may have dropped: some keep them for a day
CALLED_OFF: Final = "The person who was asked said no. Nothing was done."
TOO_LATE: Final = "The time in which it could be agreed to is over. Nothing was done; ask again if it is still wanted."
NOT_WANTED: Final = "It was not begun before the turn that wanted it was interrupted. Nothing was done."
TAKEN_OVER: Final = (
    "It was not begun before a colleague took over. Nothing was done; they have to do it if it is still wanted."
)
RESTORED: Final = "restored from a backup: it may have been carried out after that was made"
UNCLEAR: Final = (
    "Nobody knows whether this was carried out: a colleague is finding out. Say that you are checking with a colleague. Do not claim that it "
    "happened or that it did not, and do not make the call again."
)


class State(StrEnum):
    """Where an action stands."""

    PROPOSED = "proposed"
    APPROVED = "approved"
    INTENDED = "intended"
    SUCCEEDED = "succeeded"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    VOID = "void"


@value
class Entry:
    """One action as the ledger has it."""

    id: str
    call: str
    reply: str
    conversation: str
    case: str
    identity: str
    agent: str
    name: str
    version: str
    arguments: str
    facts: str
    hash: str
    key: str
    state: State
    result: str
    tries: int
    created_ms: int


@value
class Proposal:
    """What is to be entered. `object`: what may happen once. `is_free`: it needs nobody's consent, unless the case is tainted: then the
    person's. `is_private`: a read of what only this person may see. `card` is what the person is asked; `operators` how many operators must agree."""

    id: str
    reply: str
    call: str
    turn: str
    conversation: str
    case: str
    identity: str
    agent: str
    name: str
    version: str
    effect: str
    arguments: str
    facts: str
    key: str
    object: str
    amount: int
    is_private: bool
    is_free: bool
    card: str
    operators: int
    amount_per_day: int
    calls_per_day: int
    expires_ms: int
    operators_expire_ms: int
    day_ms: int
    now_ms: int


@value
class Verdict:
    """What may happen now. `stopped`: why nothing may, in words for the model. `consent`: the person has to be asked, with this id, until
    `expires_ms`."""

    entry: Entry | None = None
    stopped: str = ""
    is_uncertain: bool = False
    consent: str = ""
    card: str = ""
    expires_ms: int = 0


_ENTRY = """id, call_id, reply_id, conversation_id, case_id, identity_id, agent, name, version, arguments, facts, hash, key, state, result,
    tries, created_ms"""

BY_ID = f"SELECT {_ENTRY} FROM actions WHERE id = :id"

AWAITING = f"SELECT {_ENTRY} FROM actions WHERE conversation_id = :conversation AND awaits_telling = 1 AND state <> 'proposed' ORDER BY created_ms, id"

# Entered by an earlier run of the same turn, which never came to asking.
UNASKED = "SELECT id FROM actions WHERE conversation_id = :conversation AND state = 'proposed' AND reply_id = :reply AND id <> :id"

LAPSED = f"""
    SELECT {_ENTRY} FROM actions
    WHERE state = 'proposed' AND id IN (SELECT action_id FROM consents WHERE state = 'open' AND expires_ms <= :now) ORDER BY created_ms, id"""

OPEN_EFFECTS = (
    f"SELECT {_ENTRY} FROM actions WHERE state IN ('proposed', 'approved', 'intended') ORDER BY created_ms, id"
)

HAS_OPEN = "SELECT 1 FROM actions WHERE state IN ('proposed', 'approved', 'intended') LIMIT 1"

OF_OBJECT = f"SELECT {_ENTRY} FROM actions WHERE object = :object AND state NOT IN ('refused', 'void')"

UNSETTLED_TWIN = f"""
    SELECT {_ENTRY} FROM actions
    WHERE identity_id = :identity AND name = :name AND arguments IN (:arguments, '') AND state IN ('intended', 'unknown') AND id <> :id
    LIMIT 1"""

OF_DAY = """
    SELECT count(*), coalesce(sum(amount), 0) FROM actions
    WHERE identity_id = :identity AND name = :name AND created_ms >= :day AND state NOT IN ('refused', 'void')"""

# A private read brings private data, and its result is text that somebody else wrote: both are in the case from then on.
IS_TAINTED = "SELECT 1 FROM actions WHERE case_id = :case AND is_private = 1 AND state = 'succeeded' LIMIT 1"

ADD = """
    INSERT INTO actions (id, reply_id, call_id, turn_id, conversation_id, case_id, identity_id, agent, name, version, effect, arguments,
                         facts, hash, key, object, amount, is_private, state, result, awaits_telling, created_ms, ended_ms)
    VALUES (:id, :reply, :call, :turn, :conversation, :case, :identity, :agent, :name, :version, :effect, :arguments,
            :facts, :hash, :key, :object, :amount, :private, :state, :result, :awaits, :now, :ended)
    ON CONFLICT (id) DO NOTHING"""

READ_AFTER_ALL = (
    "UPDATE actions SET state = 'succeeded', result = :result, ended_ms = :ended WHERE id = :id AND effect = 'read'"
)

ADD_CONSENT = """
    INSERT INTO consents (id, action_id, kind, asked, hash, text, created_ms, expires_ms)
    VALUES (:id, :action, :kind, :asked, :hash, :text, :now, :expires)"""

CONSENT = """
    SELECT c.id, c.action_id, c.kind, c.asked, c.hash, c.state, c.expires_ms, a.state, a.hash, a.conversation_id, c.text, a.identity_id
    FROM consents c JOIN actions a ON a.id = c.action_id WHERE c.id = :id"""

CONSENTS_OF = "SELECT id, kind, state, expires_ms, hash, text, decided_by FROM consents WHERE action_id = :action ORDER BY kind DESC, id"

DECIDE = """
    UPDATE consents SET state = :state, decided_by = :by, account = :account, why = :why, decided_ms = :now
    WHERE id = :id AND state = 'open'"""

# Everything of an action and of what was asked for it that is fixed once it is entered.
SEALED = """
    SELECT id, reply_id, call_id, turn_id, conversation_id, case_id, identity_id, agent, name, version, effect, arguments, facts, key, object,
        amount, is_private, created_ms FROM actions WHERE id = :action"""

SEALED_CONSENTS = (
    "SELECT id, kind, asked, text, created_ms, expires_ms FROM consents WHERE action_id = :action ORDER BY id"
)

GIVEN = "SELECT kind, asked, state, decided_by, hash, id FROM consents WHERE action_id = :action"

IN_AUDIT = "SELECT 1 FROM audit WHERE id = :id AND subject = :action"

EXPIRE_OF = "UPDATE consents SET state = 'expired', decided_ms = :now WHERE action_id = :action AND state = 'open'"

SET_STATE = """
    UPDATE actions SET state = :state, result = :result, ended_ms = :ended, approved_ms = coalesce(:approved, approved_ms)
    WHERE id = :id AND state = :was"""

# From here on the agent has to tell of it. What a person has taken over is not begun: they may do it themselves.
BEGIN = """
    UPDATE actions SET state = 'intended', tries = tries + 1, intended_ms = :now, awaits_telling = 1
    WHERE id = :id AND (state = 'intended' AND tries > 0 AND coalesce(approved_ms, created_ms) >= :valid OR
        state = 'approved' AND coalesce(approved_ms, created_ms) >= :fresh AND NOT EXISTS (
            SELECT 1 FROM conversations c WHERE c.id = actions.conversation_id AND c.owner <> 'agent'))"""

# What was forgotten meanwhile (no arguments any more) keeps no text, and nobody is told of it.
SETTLE = """
    UPDATE actions SET state = :state, ended_ms = :now, awaits_telling = CASE arguments WHEN '' THEN 0 ELSE awaits_telling END,
                       result = CASE arguments WHEN '' THEN '' ELSE :result END, detail = CASE arguments WHEN '' THEN '' ELSE :detail END
    WHERE id = :id AND state = 'intended'"""

TOLD = "UPDATE actions SET awaits_telling = 0 WHERE id = :id"

TOLD_OF_TURN = """
    UPDATE actions SET awaits_telling = 0
    WHERE conversation_id = :conversation AND awaits_telling = 1 AND reply_id = :reply AND tries > 0 AND state <> 'intended'"""

OF_PERSON = "SELECT id, name, amount, key FROM actions WHERE identity_id = :identity"

OF_SEVERAL = "SELECT id, name, amount, key FROM actions WHERE identity_id = '' AND conversation_id = :conversation"

BLANK = (
    "UPDATE actions SET arguments = '', facts = '', result = '', detail = '', awaits_telling = 0 WHERE id = :id",
    "UPDATE consents SET text = '', why = '' WHERE action_id = :id",
)

BLANK_QUEUE = "UPDATE queue SET detail = :detail, why = '' WHERE kind = 'unknown' AND subject = :id"

LEFT_OPEN = f"SELECT {_ENTRY} FROM actions WHERE conversation_id = :conversation AND state = 'intended'"

VOID_APPROVED = """
    UPDATE actions SET state = 'void', result = :result, ended_ms = :now
    WHERE conversation_id = :conversation AND state = 'approved'"""

VOID_LEFT = """
    UPDATE actions SET state = 'void', result = :result, ended_ms = :now
    WHERE conversation_id = :conversation AND state = 'approved' AND awaits_telling = 0"""

ADD_TO_QUEUE = """
    INSERT INTO queue (id, kind, subject, conversation_id, detail, created_ms) VALUES (:id, :kind, :subject, :conversation, :detail, :now)
    ON CONFLICT (kind, subject) DO NOTHING"""

OPEN_QUEUE = """
    SELECT id, kind, subject, conversation_id, detail, created_ms, outcome, decided_by FROM queue
    WHERE decided_ms IS NULL OR outcome = 'mine' ORDER BY created_ms, id LIMIT :limit"""

OF_QUEUE = "SELECT kind, subject, conversation_id, outcome FROM queue WHERE id = :id"

DECIDE_QUEUE = """
    UPDATE queue SET outcome = :outcome, decided_by = :by, account = :account, why = :why, decided_ms = :now
    WHERE id = :id AND (decided_ms IS NULL OR outcome = 'mine')"""

MAKE_UNKNOWN = (
    "UPDATE actions SET state = 'unknown', result = :result, detail = :detail, ended_ms = :now WHERE id = :id"
)

RESOLVE_UNKNOWN = """
    UPDATE actions SET state = :state, result = :result, awaits_telling = arguments <> '', ended_ms = :now
    WHERE id = :id AND state = 'unknown'"""

OPEN_CONSENTS = """
    SELECT c.id, c.kind, c.text, a.name, a.conversation_id, c.created_ms, c.expires_ms, a.id
    FROM consents c JOIN actions a ON a.id = c.action_id
    WHERE c.state = 'open' AND c.kind = 'operator' AND c.expires_ms > :now AND a.state = 'proposed' ORDER BY c.created_ms, c.id"""

AUDIT = """
    SELECT id, name, effect, state, arguments, amount, conversation_id, identity_id, tries, created_ms, ended_ms, result, detail, key
    FROM actions WHERE (:conversation = '' OR conversation_id = :conversation) AND (:name = '' OR name = :name)
    ORDER BY created_ms DESC, id DESC LIMIT :limit"""


def entry_of(row: Row) -> Entry:
    entry = Entry(*row)
    return replace(entry, state=State(entry.state))


# --- units of work ---------------------------------------------------------------------------------------------------


def propose(cursor: Cursor, asked: Proposal) -> Verdict:
    """Enters the action, once: a rerun is told how it stands. Stopped are a second intent for the same object, what is beyond a day's
    allowance, and what repeats a call of which nobody knows the outcome."""
    known = cursor.fetch(BY_ID, {"id": asked.id})
    if known:
        return _as_it_stands(cursor, entry_of(known[0]))
    _drop_unasked(cursor, asked.conversation, asked.reply, asked.now_ms, asked.id)
    if stopped := _stopped(cursor, asked):
        return stopped
    needs_user = not asked.is_free or (not asked.operators and _is_tainted(cursor, asked))
    needs = [USER] * needs_user + [OPERATOR] * asked.operators
    state = State.PROPOSED if needs else State.APPROVED
    consents = [_consent(asked, number, kind) for number, kind in enumerate(needs)]
    row = {**_row(asked, consents), "state": state, "result": "", "awaits": int(bool(needs)), "ended": None}
    cursor.execute(ADD, row)
    for consent in consents:
        cursor.execute(ADD_CONSENT, {**consent, "hash": row["hash"]})
    return _as_it_stands(cursor, entry_of(cursor.fetch(BY_ID, {"id": asked.id})[0]))


def _row(asked: Proposal, consents: Sequence[Mapping[str, Value]] = ()) -> dict[str, Value]:
    names = (
        *("id", "reply", "call", "turn", "conversation", "case", "identity", "agent", "name", "version", "effect"),
        *("arguments", "facts", "key", "object", "amount"),
    )
    row: dict[str, Value] = {name: getattr(asked, name) for name in names}
    row |= {"private": int(asked.is_private), "now": asked.now_ms}
    fixed = ("id", "kind", "asked", "text", "now", "expires")
    sealed = sorted([consent[name] for name in fixed] for consent in consents)
    return {**row, "hash": _seal([list(row.values()), sealed])}


def _consent(asked: Proposal, number: int, kind: str) -> dict[str, Value]:
    return {
        "id": ids.derived_id("consent", asked.id, str(number)),
        "action": asked.id,
        "kind": kind,
        "asked": asked.identity if kind == USER else "",
        "text": asked.card,
        "now": asked.now_ms,
        "expires": asked.expires_ms if kind == USER else asked.operators_expire_ms,
    }


def _seal(fixed: Sequence[object]) -> str:
    """SHA-256 over what may not differ between consent and call."""
    text = json.dumps(fixed, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _is_sealed(cursor: Cursor, action: str, hash_: str) -> bool:
    """Whether the rows are still what was entered."""
    rows = cursor.fetch(SEALED, {"action": action})
    consents = [list(row) for row in cursor.fetch(SEALED_CONSENTS, {"action": action})]
    return bool(rows) and _seal([list(rows[0]), consents]) == hash_


def _as_it_stands(cursor: Cursor, entry: Entry) -> Verdict:
    if entry.state is not State.PROPOSED:
        return Verdict(entry)
    for consent, kind, state, expires_ms, _, text, _ in cursor.fetch(CONSENTS_OF, {"action": entry.id}):
        if kind == USER and state == "open":
            return Verdict(entry, consent=consent, card=text, expires_ms=expires_ms)
    return Verdict(entry)


def _stopped(cursor: Cursor, asked: Proposal) -> Verdict | None:
    twin = cursor.fetch(
        UNSETTLED_TWIN, {name: getattr(asked, name) for name in ("identity", "name", "arguments", "id")}
    )
    if twin:
        return Verdict(stopped=UNCLEAR, is_uncertain=True)
    for row in cursor.fetch(OF_OBJECT, {"object": asked.object}) if asked.object else ():
        if not _has_lapsed(cursor, entry_of(row), asked.now_ms):
            return Verdict(stopped=_second_intent(entry_of(row), asked.identity))
    person: dict[str, Value] = {"identity": asked.identity, "name": asked.name, "day": asked.day_ms}
    calls, amount = cursor.fetch(OF_DAY, person)[0]
    if asked.calls_per_day and calls >= asked.calls_per_day:
        return Verdict(
            stopped="This person has used it as often as is allowed in a day. It was not done. Offer a person."
        )
    if asked.amount_per_day and amount + asked.amount > asked.amount_per_day:
        return Verdict(stopped="This is more than this person may get in a day. It was not done. Offer a person.")
    return None


def _second_intent(entry: Entry, identity: str) -> str:
    match entry.state:
        case State.SUCCEEDED:
            is_theirs = entry.identity == identity and entry.result  # what came of it is for the one who asked for it
            came = f" What came of it then: {entry.result}" if is_theirs else ""
            return f"This has been done already and is not done again.{came}"
        case State.PROPOSED:
            return "This has been asked for already and waits for consent. It was not asked for again."
        case _:
            return UNCLEAR


def _has_lapsed(cursor: Cursor, entry: Entry, now_ms: int) -> bool:
    """A proposal that nobody can agree to any more makes room."""
    if entry.state is not State.PROPOSED:
        return False
    waiting = [row for row in cursor.fetch(CONSENTS_OF, {"action": entry.id}) if row[2] == "open"]
    if waiting and min(row[3] for row in waiting) > now_ms:
        return False
    _drop(cursor, entry.id, TOO_LATE, now_ms)
    return True


def _drop(cursor: Cursor, action: str, why: str, now_ms: int) -> None:
    """A proposal of which nobody has to be told."""
    _end(cursor, action, State.PROPOSED, State.VOID, why, now_ms)
    cursor.execute(TOLD, {"id": action})


def _drop_unasked(cursor: Cursor, conversation: str, reply: str, now_ms: int, but: str = "") -> None:
    for (action,) in cursor.fetch(UNASKED, {"conversation": conversation, "reply": reply, "id": but}):
        _drop(cursor, action, NOT_WANTED, now_ms)


def expire(cursor: Cursor, now_ms: int) -> Sequence[Entry]:
    """Voids what nobody can agree to any more. Returns what waited for operators, whose decision the person was promised to hear of."""
    promised = []
    for entry in map(entry_of, cursor.fetch(LAPSED, {"now": now_ms})):
        waiting = {row[1] for row in cursor.fetch(CONSENTS_OF, {"action": entry.id}) if row[2] == "open"}
        if USER in waiting:  # the card says until when
            _drop(cursor, entry.id, TOO_LATE, now_ms)
        else:
            _end(cursor, entry.id, State.PROPOSED, State.VOID, TOO_LATE, now_ms)
            promised.append(entry)
    return promised


def hold_restored(cursor: Cursor, made_ms: int, now_ms: int) -> None:
    """After a restore: what was open when the backup was made may have been carried out since, so only a person can say. What had lapsed
    by then cannot have been."""
    for entry in map(entry_of, cursor.fetch(OPEN_EFFECTS)):
        if not _has_lapsed(cursor, entry, made_ms):
            cursor.execute(EXPIRE_OF, {"action": entry.id, "now": now_ms})
            cursor.execute(MAKE_UNKNOWN, {"id": entry.id, "result": UNCLEAR, "detail": RESTORED, "now": now_ms})
            ask_people(cursor, entry, RESTORED, now_ms)


def forget(cursor: Cursor, identity: str, conversations: Sequence[str], now_ms: int) -> None:
    """Nothing of theirs is begun any more. Ids, states and amounts stay, for the audit; texts do not, nor those of reads that were made
    where several people spoke."""
    rows = list(cursor.fetch(OF_PERSON, {"identity": identity}))
    for conversation in conversations:
        rows += cursor.fetch(OF_SEVERAL, {"conversation": conversation})
    for action, name, amount, key in rows:
        void(cursor, action, "", now_ms)
        for blank in BLANK:
            cursor.execute(blank, {"id": action})
        cursor.execute(BLANK_QUEUE, {"id": action, "detail": _forgotten(name, amount, key)})


def _forgotten(name: str, amount: int, key: str) -> str:
    """What an operator can still find it by."""
    return f"{name}, amount {amount}, key {key}: the person has had the rest forgotten"


def _is_tainted(cursor: Cursor, asked: Proposal) -> bool:
    return bool(cursor.fetch(IS_TAINTED, {"case": asked.case}))


def _end(cursor: Cursor, action: str, was: State, state: State, result: str, now_ms: int) -> bool:
    cursor.execute(EXPIRE_OF, {"action": action, "now": now_ms})
    values: dict[str, Value] = {"id": action, "was": was, "state": state, "result": result, "ended": now_ms}
    return cursor.execute(SET_STATE, {**values, "approved": None}) == 1


def decide_by_press(cursor: Cursor, consent: str, is_yes: bool, identity: str, conversation: str, now_ms: int) -> None:
    """The authenticated press of a person. Raises Refused for anyone but the one who was asked, and for what is decided already. One that
    comes too late voids the action, and the agent says so."""
    rows = cursor.fetch(CONSENT, {"id": consent})
    if not rows or rows[0][2] != USER or rows[0][9] != conversation:
        raise Refused("no_message", "That button is no longer there.")
    if rows[0][3] != identity:
        raise Refused("not_asked", "Only the person who was asked can decide this.")
    _decide(cursor, rows[0], is_yes, identity, "", "", now_ms)


def decide_by_operator(
    cursor: Cursor, consent: str, is_yes: bool, name: str, account: str, why: str, now_ms: int
) -> str:
    """An operator's decision. Returns the conversation, which is to be woken once every consent is there. Raises Refused."""
    rows = cursor.fetch(CONSENT, {"id": consent})
    if not rows or rows[0][2] != OPERATOR:
        raise Refused(
            "no_consent", f"There is no consent {consent} for operators to decide. See: frontdesk consent list"
        )
    action = rows[0][1]
    if is_yes and any(row[6] == name and row[2] == "given" for row in cursor.fetch(CONSENTS_OF, {"action": action})):
        raise Refused("same_person", f"{name} has agreed to this already: a second person has to.")
    _decide(cursor, rows[0], is_yes, name, account, why, now_ms)
    came = cursor.fetch(CONSENT, {"id": consent})[0][5]
    audit.append(cursor, operator_id(name), f"consent {came}", action, now_ms, account, id_=f"{consent}:{name}")
    return str(rows[0][9])


def _decide(cursor: Cursor, row: Row, is_yes: bool, by: str, account: str, why: str, now_ms: int) -> None:
    consent, action, _, _, agreed, state, expires_ms, action_state, hash_ = row[:9]
    if state == "expired" and expires_ms <= now_ms:
        raise Refused(
            "decided", "The time in which this could be decided is over. Please ask again if you still want it."
        )
    if state != "open" or action_state != State.PROPOSED:
        raise Refused("decided", "This has been decided already.")
    decided = "given" if is_yes else "refused"
    values: dict[str, Value] = {"by": by, "account": account, "why": why, "now": now_ms, "id": consent}
    if expires_ms <= now_ms or agreed != hash_:
        cursor.execute(DECIDE, {**values, "state": "expired"})
        _end(cursor, action, State.PROPOSED, State.VOID, TOO_LATE, now_ms)
    elif not is_yes:
        cursor.execute(DECIDE, {**values, "state": decided})
        _end(cursor, action, State.PROPOSED, State.REFUSED, CALLED_OFF, now_ms)
    else:
        cursor.execute(DECIDE, {**values, "state": decided})
        if all(each[2] == "given" for each in cursor.fetch(CONSENTS_OF, {"action": action})):
            approved: dict[str, Value] = {"id": action, "was": State.PROPOSED, "state": State.APPROVED, "result": ""}
            cursor.execute(SET_STATE, {**approved, "ended": None, "approved": now_ms})


def is_decided(cursor: Cursor, conversation: str) -> bool:
    return bool(cursor.fetch(AWAITING, {"conversation": conversation}))


def begin(cursor: Cursor, action: str, hash_: str, now_ms: int) -> bool:
    """Committed before each try. False: it may not be made, since it is not what was entered and agreed to, or is no longer open."""
    row = cursor.fetch(BY_ID, {"id": action})
    if not row or entry_of(row[0]).hash != hash_ or not _is_sealed(cursor, action, hash_):
        return False
    if not all(_is_given(cursor, action, hash_, each) for each in cursor.fetch(GIVEN, {"action": action})):
        return False
    times: dict[str, Value] = {"now": now_ms, "fresh": now_ms - STALE_MS, "valid": now_ms - KEY_MS}
    return cursor.execute(BEGIN, {**times, "id": action}) == 1


def _is_given(cursor: Cursor, action: str, hash_: str, consent: Row) -> bool:
    """By the one who was asked; by an operator only with the trace that a decision of theirs leaves."""
    kind, asked, state, by, agreed, id_ = consent
    if state != "given" or agreed != hash_:
        return False
    if kind == USER:
        return bool(by == asked)
    return bool(cursor.fetch(IN_AUDIT, {"id": f"{id_}:{by}", "action": action}))


def settle(cursor: Cursor, action: str, state: State, result: str, detail: str, now_ms: int) -> None:
    """What came of it. An unknown outcome is put before a person in the same unit."""
    values: dict[str, Value] = {"id": action, "state": state, "result": result, "detail": detail, "now": now_ms}
    if cursor.execute(SETTLE, values) and state is State.UNKNOWN:
        ask_people(cursor, entry_of(cursor.fetch(BY_ID, {"id": action})[0]), detail, now_ms)


def void(cursor: Cursor, action: str, why: str, now_ms: int) -> None:
    for was in (State.APPROVED, State.PROPOSED):
        _end(cursor, action, was, State.VOID, why, now_ms)


def ask_people(cursor: Cursor, entry: Entry, detail: str, now_ms: int) -> None:
    rows = cursor.fetch("SELECT name, amount, key FROM actions WHERE id = :id", {"id": entry.id})
    what = f"{entry.name} {entry.arguments}: {detail}" if entry.arguments else _forgotten(*rows[0])
    queue(cursor, "unknown", entry.id, entry.conversation, what, now_ms)
    told = f"Nobody knows whether {entry.name} was carried out. See: frontdesk queue list"
    records.add_incident(cursor, f"{entry.id}:unknown", "action", entry.id, told, now_ms, entry.conversation)


def queue(cursor: Cursor, kind: str, subject: str, conversation: str, detail: str, now_ms: int) -> None:
    values: dict[str, Value] = {"kind": kind, "subject": subject, "conversation": conversation, "detail": detail}
    cursor.execute(ADD_TO_QUEUE, {**values, "id": ids.derived_id("queue", kind, subject), "now": now_ms})


def add_read(cursor: Cursor, asked: Proposal, state: State, result: str, detail: str) -> None:
    """A read leaves its row when it has been made, for the audit. A rerun that could read what an earlier run could not has read it."""
    row = {**_row(asked), "state": state, "result": result or detail, "awaits": 0, "ended": asked.now_ms}
    if not cursor.execute(ADD, row) and state is State.SUCCEEDED:
        cursor.execute(READ_AFTER_ALL, {name: row[name] for name in ("id", "result", "ended")})


@value
class TurnEnd:
    """How a turn ends. `told`: what had been decided, and the agent knows by now. `is_heard`: the person reads what the agent says;
    `is_asking`: and it is the card of what was proposed. `is_agents`: the conversation is the agent's still."""

    reply: str
    conversation: str
    told: Sequence[str]
    is_heard: bool
    is_asking: bool
    is_agents: bool


def end_turn(cursor: Cursor, end: TurnEnd, now_ms: int) -> None:
    """A piece of the units that end a turn: what the agent has told of is told; what was begun and never settled is unknown from now on;
    what was not begun before a rerun wanted something else, or a person took over, is not made any more; what nobody was asked is void."""
    where: dict[str, Value] = {"conversation": end.conversation}
    if end.is_heard:
        for action in end.told:
            cursor.execute(TOLD, {"id": action})
        cursor.execute(TOLD_OF_TURN, {**where, "reply": end.reply})
    if not end.is_asking:
        _drop_unasked(cursor, end.conversation, end.reply, now_ms)
    cursor.execute(VOID_LEFT, {**where, "result": NOT_WANTED, "now": now_ms})
    if not end.is_agents:
        cursor.execute(VOID_APPROVED, {**where, "result": TAKEN_OVER, "now": now_ms})
    give_up(cursor, end.conversation, "the turn ended in the middle of the call", now_ms)


def give_up(cursor: Cursor, conversation: str, why: str, now_ms: int) -> None:
    """Nobody goes on with what was begun here ("": on the command line)."""
    for row in cursor.fetch(LEFT_OPEN, {"conversation": conversation}):
        settle(cursor, row[0], State.UNKNOWN, UNCLEAR, why, now_ms)


def give_up_by_hand(cursor: Cursor, now_ms: int) -> None:
    """At a start: calls from the command line that the end of the process cut off belong to no turn."""
    cursor.execute(VOID_APPROVED, {"conversation": "", "result": NOT_WANTED, "now": now_ms})
    give_up(cursor, "", "the process ended in the middle of the call", now_ms)


def decide_unknown(
    cursor: Cursor,
    id_: str,
    outcome: str,
    name: str,
    account: str,
    why: str,
    tell: Callable[[Cursor, str, str, int], None],
    now_ms: int,
) -> str:
    """An operator says what became of it: 'happened', 'did not' or 'mine'. Returns the conversation. Raises Refused."""
    rows = cursor.fetch(OF_QUEUE, {"id": id_})
    if not rows:
        raise Refused("no_entry", f"There is nothing with the id {id_} in the queue. See: frontdesk queue list")
    kind, subject, conversation, _ = rows[0]
    values: Mapping[str, Value] = {
        "outcome": outcome,
        "by": name,
        "account": account,
        "why": why,
        "now": now_ms,
        "id": id_,
    }
    if not cursor.execute(DECIDE_QUEUE, values):
        raise Refused("decided", "This has been decided already.")
    if kind == "unknown" and outcome in ("happened", "did not"):
        state = State.SUCCEEDED if outcome == "happened" else State.REFUSED
        result = f"A colleague has found out: it {'was' if state is State.SUCCEEDED else 'was not'} carried out. {why}".strip()
        done: dict[str, Value] = {"id": subject, "state": state, "result": result, "now": now_ms}
        if cursor.execute(RESOLVE_UNKNOWN, done):
            entry = entry_of(cursor.fetch(BY_ID, {"id": subject})[0])
            if entry.arguments:  # nobody is told of what they wanted forgotten
                tell(cursor, str(conversation), entry.identity, now_ms)
    audit.append(
        cursor, operator_id(name), f"{kind}: {outcome}", subject, now_ms, account, id_=f"{id_}:{outcome}:{now_ms}"
    )
    return str(conversation)
