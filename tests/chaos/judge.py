"""What went wrong: everything that the people, the database, the daemon's memory and the providers' books say, held against each other."""

import json
import re
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from bot.agent.loop import ONLY_QUOTES, STOPPED
from bot.agent.spending import Spent
from bot.errors import Fault
from bot.model import MessageId
from bot.ports import Store
from tests.chaos.house import CALLS_AT_ONCE, CIRCUIT_FAILURES, CIRCUIT_S, MAIL, PRICES, QUIET_S, TURN_S, Post
from tests.chaos.people import Said
from tests.chaos.providers import Entry, Mood

LATEST_ANSWER_S = 45.0  # after the beginning of the outage nobody answers any more who was asked before it
RAMP = 64  # first calls after the return
EARLIER_S = 0.003  # times in a trace are in milliseconds
QUOTED = ("From the documentation:", "I did not find an answer to that in my documents.")

_MARK = re.compile(r"\bq\d+x\d+\b")


@dataclass(frozen=True, slots=True)
class Row:
    """A message as it is stored."""

    id: str
    conversation: str
    author: str
    visibility: str
    text: str
    turn: str
    is_handled: bool
    is_dead: bool
    external_id: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class TurnRow:
    """A turn as it is stored; `trace` is its JSON."""

    id: str
    outcome: str
    started_ms: int
    ended_ms: int
    trace: dict[str, Any]

    @property
    def calls(self) -> list[dict[str, Any]]:
        """Those attempts that were calls of a provider."""
        attempts = self.trace.get("attempts", [])
        return [each for each in attempts if each["outcome"] != "passed over" and each["model"] != "offline"]


@dataclass(slots=True)
class Stored:
    """What stands in the database when all is over."""

    messages: list[Row]
    turns: dict[str, TurnRow]
    outbox: list[tuple[str, int, str, int]]  # message, part, state, attempts
    spend: dict[str, Spent]
    tool_calls: Counter[str]  # by state
    open_steps: int


@dataclass(slots=True)
class Evidence:
    """All that there is. `down`: from and until, on the clock."""

    said: list[Said]
    posts: dict[str, list[Post]]  # by channel
    stored: Stored
    spending: Mapping[str, Spent]
    entries: Mapping[str, list[Entry]]
    invalid: Sequence[str]
    down: tuple[float, float]


@dataclass(slots=True)
class Verdict:
    """Findings by kind."""

    found: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, kind: str, text: str) -> None:
        self.found[kind].append(text)

    @property
    def is_clean(self) -> bool:
        return not self.found

    def lines(self, most: int = 5) -> list[str]:
        """The first of each kind."""
        return [f"{kind} ({len(texts)}): {text}" for kind, texts in self.found.items() for text in texts[:most]]


async def read(store: Store) -> Stored:
    messages = await store.read(
        "SELECT id, conversation_id, author, visibility, text, turn_id, handled_ms IS NOT NULL, dead_ms IS NOT NULL, "
        "external_id, created_ms FROM messages ORDER BY conversation_id, seq"
    )
    turns = await store.read("SELECT id, outcome, started_ms, ended_ms, trace FROM turns")
    spend = await store.read(
        "SELECT model, SUM(calls), SUM(failed), SUM(input_tokens), SUM(output_tokens), SUM(cache_read_tokens), "
        "SUM(cache_write_tokens), SUM(cost_micros) FROM spend GROUP BY model"
    )
    open_steps = await store.read("SELECT COUNT(*) FROM steps WHERE ended_ms IS NULL")
    states = await store.read("SELECT state, COUNT(*) FROM tool_calls GROUP BY state")
    outbox = await store.read("SELECT message_id, part, state, attempts FROM outbox")
    return Stored(
        messages=[Row(*row) for row in messages],
        turns={row[0]: TurnRow(row[0], row[1], row[2], row[3], json.loads(row[4])) for row in turns},
        outbox=[(row[0], row[1], row[2], row[3]) for row in outbox],
        spend={row[0]: Spent(*row[1:]) for row in spend},
        tool_calls=Counter({row[0]: row[1] for row in states}),
        open_steps=open_steps[0][0],
    )


def judge(evidence: Evidence) -> Verdict:
    verdict = Verdict()
    for check in CHECKS:
        for kind, text in check(evidence):
            verdict.add(kind, text)
    return verdict


Finding = tuple[str, str]


# --- what people got ---------------------------------------------------------------------------------------------------


def nobody_is_lost(evidence: Evidence) -> Iterator[Finding]:
    """Every message was handled by a turn whose reply was delivered, within the budget of a turn; a message that came while a turn
    ran may have had to wait for its end."""
    replies = {row.turn: row for row in evidence.stored.messages if row.author in ("agent", "system") and row.turn}
    handled = {row.external_id: row for row in evidence.stored.messages if row.author == "user"}
    delivered = {post.message: post for posts in evidence.posts.values() for post in posts}
    for said in evidence.said:
        row = handled.get(said.mark)
        if row is None or not row.is_handled:
            yield "lost", f"{said.mark} was taken in and never handled"
            continue
        reply = replies.get(row.turn)
        post = None if reply is None else delivered.get(MessageId(reply.id))
        if post is None:
            yield "lost", f"{said.mark} was handled by {row.turn} and got no reply"
            continue
        budget = QUIET_S + TURN_S * (2 if said.is_hasty else 1)
        if post.at - said.at > budget:
            yield "late", f"{said.mark} was answered after {post.at - said.at:.1f} s"


def nothing_is_doubled(evidence: Evidence) -> Iterator[Finding]:
    """Each reply reaches its person once, whole and in the right chat, and each question is answered by one reply."""
    stored = {row.id: row for row in evidence.stored.messages}
    answers: Counter[str] = Counter()
    for channel, posts in evidence.posts.items():
        for message, count in Counter(post.message for post in posts).items():
            if count > 1:
                yield "doubled", f"{message} was delivered {count} times on {channel}"
        for post in posts:
            row = stored.get(post.message)
            if row is None or row.text != post.text or row.visibility != "public":
                yield "wrong", f"{post.message} was delivered, but is not stored so"
    for row in stored.values():
        if row.author == "agent":
            answers.update(set(_MARK.findall(row.text)))
    for mark, count in answers.items():
        if count > 1:
            yield "doubled", f"{mark} was answered {count} times"


def the_outbox_is_empty(evidence: Evidence) -> Iterator[Finding]:
    """One row for each reply on the channel that has an outbox, sent at the first try."""
    expected = Counter(str(post.message) for post in evidence.posts[MAIL])
    rows = Counter(row[0] for row in evidence.stored.outbox)
    for message in expected.keys() ^ rows.keys():
        yield "outbox", f"{message} has {rows[message]} rows and was delivered {expected[message]} times"
    for message, part, state, attempts in evidence.stored.outbox:
        if (part, state, attempts) != (0, "sent", 1):
            yield "outbox", f"part {part} of {message} is {state} after {attempts} tries"


def replies_fit(evidence: Evidence) -> Iterator[Finding]:
    """An answer is to exactly the questions that its turn has handled; every other reply is a quote, or says plainly that there is no
    answer."""
    marks: defaultdict[str, set[str]] = defaultdict(set)
    for row in evidence.stored.messages:
        if row.author == "user":
            marks[row.turn].add(row.external_id)
    for row in evidence.stored.messages:
        if row.author == "user" or row.turn not in evidence.stored.turns:
            continue
        why = _misfit(evidence.stored.turns[row.turn].outcome, row, marks[row.turn])
        if why:
            yield "wrong", f"the reply {row.id} {why}: {row.text[:80]!r}"


def _misfit(outcome: str, row: Row, asked: set[str]) -> str:
    text = row.text.removeprefix(ONLY_QUOTES).strip()
    match outcome:
        case "answered" | "unanswered":
            answered = set(_MARK.findall(text))
            return "" if answered == asked else f"answers {sorted(answered)} in place of {sorted(asked)}"
        case "quoted":
            return "" if text.startswith(QUOTED) else "is no quote"
        case "stopped":
            return "" if text == STOPPED else "does not say that it gave up"
        case _:
            return f"came of a turn that ended as {outcome}"


def nothing_is_left(evidence: Evidence) -> Iterator[Finding]:
    """No message failed, and no step or tool call is open."""
    for row in evidence.stored.messages:
        if row.is_dead:
            yield "dead", f"{row.external_id} became a dead letter"
    if evidence.stored.open_steps:
        yield "left", f"{evidence.stored.open_steps} steps of turns are not ended"
    for state, count in evidence.stored.tool_calls.items():
        if state not in ("succeeded", "refused"):
            yield "left", f"{count} tool calls are {state}"


def everybody_is_told_once(evidence: Evidence) -> Iterator[Finding]:
    """Whoever is given quotes because no model works is told so, with the first of them and never again."""
    quoted: defaultdict[str, list[str]] = defaultdict(list)
    for row in evidence.stored.messages:
        turn = evidence.stored.turns.get(row.turn)
        if row.author == "agent" and turn is not None and turn.outcome == "quoted":
            quoted[row.conversation].append(row.text)
    for conversation, texts in quoted.items():
        times = [text.count(ONLY_QUOTES) for text in texts]
        if times != [1] + [0] * (len(times) - 1):
            yield "told", f"{conversation} was told of the outage {times} times in its quotes"


# --- what it cost ------------------------------------------------------------------------------------------------------


def books_agree(evidence: Evidence) -> Iterator[Finding]:
    """Providers' books, rows of `spend`, spending in memory and the attempts in traces: the same calls, tokens and money. Which calls
    failed is the same but for whole answers whose end came when the time for them was up."""
    for model, entries in evidence.entries.items():
        theirs, traced = _theirs(model, entries), _traced(model, evidence.stored.turns)
        late = _capped(model, evidence.stored.turns)
        if theirs.failed <= traced.failed <= theirs.failed + late:
            theirs.failed = traced.failed
        ours = {
            "the rows of spend": evidence.stored.spend.get(model, Spent()),
            "spending in memory": evidence.spending.get(model, Spent()),
            "the traces": traced,
        }
        for name, spent in ours.items():
            if spent != theirs:
                yield "books", f"{model}: {name} say {spent}, the provider's say {theirs}"


def _capped(model: str, turns: Mapping[str, TurnRow]) -> int:
    """Calls that were ended by our own clock."""
    calls = [call for turn in turns.values() for call in turn.calls]
    return sum((call["model"], call["outcome"]) == (model, Fault.CAPPED.value) for call in calls)


def _theirs(model: str, entries: Sequence[Entry]) -> Spent:
    spent = Spent()
    prices = PRICES[model]
    for entry in entries:
        usage = entry.usage
        spent.calls += 1
        spent.failed += not entry.is_good
        spent.input_tokens += usage.input_tokens
        spent.output_tokens += usage.output_tokens
        spent.cache_read_tokens += usage.cache_read_tokens
        spent.cache_write_tokens += usage.cache_write_tokens
    tokens = (spent.input_tokens, spent.output_tokens, spent.cache_read_tokens, spent.cache_write_tokens)
    spent.cost_micros = sum(amount * price for amount, price in zip(tokens, prices, strict=True))
    return spent


def _traced(model: str, turns: Mapping[str, TurnRow]) -> Spent:
    spent = Spent()
    for turn in turns.values():
        for call in turn.calls:
            if call["model"] == model:
                read, written, cached, kept = call["usage"]
                spent.calls += 1
                spent.failed += call["outcome"] not in ("answered", "tools")
                spent.input_tokens += read
                spent.output_tokens += written
                spent.cache_read_tokens += cached
                spent.cache_write_tokens += kept
                spent.cost_micros += call["cost_micros"]
    return spent


# --- what providers saw ------------------------------------------------------------------------------------------------


def limits_are_kept(evidence: Evidence) -> Iterator[Finding]:
    """No provider had to refuse a call by its own limits, or for its form, and none was asked by too many at once."""
    for text in evidence.invalid:
        yield "invalid", text
    for model, entries in evidence.entries.items():
        earned = sum(entry.mood is Mood.WINDOW for entry in entries)
        if earned:
            yield "limits", f"{model} refused {earned} calls that were too many for its minute"
        most = max((entry.running for entry in entries), default=0)
        if most > CALLS_AT_ONCE:
            yield "limits", f"{model} was asked by {most} calls at once"


def nobody_overtakes(evidence: Evidence) -> Iterator[Finding]:
    """Calls of a model leave in the order in which they came to its queue."""
    calls: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
    for turn in evidence.stored.turns.values():
        for call in turn.calls:
            left = call["started_ms"] / 1000
            calls[call["model"]].append((left - call["waited_ms"] / 1000, left))
    for model, times in calls.items():
        times.sort()
        overtakers = sum(1 for _ in _overtakers(times))
        if overtakers:
            yield "unfair", f"{overtakers} calls of {model} left before others that had come earlier"


def _overtakers(times: Sequence[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    """Of calls in the order of their coming, those that left before one that came clearly earlier."""
    latest, done = 0.0, 0
    for came, left in times:
        while times[done][0] < came - EARLIER_S:
            latest = max(latest, times[done][1])
            done += 1
        if left < latest - EARLIER_S:
            yield came, left


def an_outage_is_left_alone(evidence: Evidence) -> Iterator[Finding]:
    """While nothing works, as many calls fail as open a circuit; then one after each of its pauses tries it, and no other."""
    start, end = evidence.down
    for model, entries in evidence.entries.items():
        failed = [entry for entry in entries if start + LATEST_ANSWER_S <= entry.at < end]
        if not failed:
            yield "outage", f"{model} was never tried while it was down"
        opened = max((entry.ended for entry in failed[:CIRCUIT_FAILURES]), default=end)
        for before, after in pairwise(entry.at for entry in failed if entry.at > opened):
            if after - before < CIRCUIT_S:
                yield "storm", f"{model} was tried {after - before:.1f} s after the last time, while it was down"


def a_return_is_no_storm(evidence: Evidence) -> Iterator[Finding]:
    """After the return there are never more calls at once than twice as many with each answer, from one on."""
    end = evidence.down[1]
    for model, entries in evidence.entries.items():
        back = [entry for entry in entries if entry.at >= end][:RAMP]
        if not back:
            yield "outage", f"{model} was not asked after its return"
        answered = sorted(entry.ended for entry in back if entry.is_good)
        for place, entry in enumerate(back):
            running = 1 + sum(other.ended > entry.at for other in back[:place])
            most = min(CALLS_AT_ONCE, 2 ** bisect_left(answered, entry.at + 1e-6))
            if running > most:
                yield "storm", f"{model} was asked by {running} calls at once after {most.bit_length() - 1} answers"


CHECKS: Sequence[Callable[[Evidence], Iterator[Finding]]] = (
    nobody_is_lost,
    nothing_is_doubled,
    the_outbox_is_empty,
    replies_fit,
    nothing_is_left,
    everybody_is_told_once,
    books_agree,
    limits_are_kept,
    nobody_overtakes,
    an_outage_is_left_alone,
    a_return_is_no_storm,
)
