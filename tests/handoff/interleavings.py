"""Random orders of everything that can happen to a handoff: on the machine alone, and on the whole core with crashes in between.

python -m tests.handoff.interleavings --machine 100000 --core 2000 --seed 1
"""

import argparse
import asyncio
import random
import re
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bot.errors import Refused
from bot.handoff.commands import Kind, parse
from bot.handoff.machine import AWAITING, EDGES, ENDED, HELD, Handoff, Happening, Stage, step
from bot.handoff.notice import Notice
from bot.handoff.words import CANCEL
from bot.ids import derived_id
from bot.model import AGENT_OWNER, QUEUE_OWNER, Address, Author, ButtonPressed, Identity, Message, MessageReceived
from bot.ports import ChatRequest, Chunk, Finished, TextDelta
from tests.clock import settle
from tests.handoff.kit import OPS, RULES, Office, Room, SendingChannel, World, office

PEOPLE = ("ben", "cleo", "dora")
LENGTH = 24

Rows = Sequence[tuple[Any, ...]]


# --- the machine ---------------------------------------------------------------------------------------------------------


@dataclass
class Walked:
    """What the random orders came to."""

    orders: int = 0
    steps: int = 0
    refused: int = 0
    findings: list[str] = field(default_factory=list)
    edges: set[tuple[Stage, Happening]] = field(default_factory=set)

    @property
    def unwalked(self) -> list[tuple[Stage, Happening]]:
        return sorted(set(EDGES) - self.edges)


def walk(orders: int, seed: int) -> Walked:
    """So many random orders of happenings, each from the beginning of a handoff."""
    dice, walked = random.Random(seed), Walked()
    happenings = list(Happening)
    for _ in range(orders):
        now = Handoff()
        for _ in range(LENGTH):
            what = _likely(dice, now) if dice.random() < 0.7 else dice.choice(happenings)
            by, to = dice.choice((*PEOPLE, now.operator, now.offered_to)) or "ben", dice.choice(PEOPLE)
            was = now
            try:
                now = step(was, what, by=by, to=to, until_ms=dice.randrange(1, 99))
            except Refused:
                walked.refused += 1
                continue
            walked.edges.add((was.stage, what))
            walked.findings += _wrong(was, what, by, now)
            walked.steps += 1
            if now.stage in ENDED and dice.random() < 0.8:
                now = Handoff()  # the next one
        walked.orders += 1
    return walked


def _likely(dice: random.Random, now: Handoff) -> Happening:
    known = [what for stage, what in EDGES if stage is now.stage]
    return dice.choice(known or list(Happening))


def _wrong(was: Handoff, what: Happening, by: str, now: Handoff) -> list[str]:
    said = f"{was.stage} --{what.name} by {by or 'nobody'}--> {now.stage}"
    found = []
    if was.stage in ENDED:
        found.append(f"left an end: {said}")
    expected = QUEUE_OWNER if now.stage in AWAITING else now.operator if now.stage in HELD else AGENT_OWNER
    if now.owner != expected or not now.owner:
        found.append(f"owner {now.owner!r}: {said}")
    is_passed = was.stage in HELD and now.stage in HELD and was.operator != now.operator
    if is_passed:
        found.append(f"two owners: {said}")
    if now.stage in HELD and was.stage not in HELD and now.operator != by:
        found.append(f"taken for somebody else: {said}")
    if bool(now.offered_to) != (now.stage is Stage.OFFERED):
        found.append(f"offered to {now.offered_to!r}: {said}")
    if bool(now.until_ms) != (now.stage is Stage.SNOOZED):
        found.append(f"put off until {now.until_ms}: {said}")
    return found


# --- the core ------------------------------------------------------------------------------------------------------------


@dataclass
class Played:
    """What the episodes came to."""

    episodes: int = 0
    actions: int = 0
    crashes: int = 0
    refused: int = 0
    handoffs: int = 0
    late: int = 0
    findings: list[str] = field(default_factory=list)


class Slow:
    """A model that answers when it is let, or at once."""

    def __init__(self, dice: random.Random) -> None:
        self.dice, self.gate = dice, asyncio.Event()

    def let(self) -> None:
        self.gate.set()
        self.gate = asyncio.Event()

    async def __call__(self, request: ChatRequest) -> AsyncIterator[Chunk]:
        if self.dice.random() < 0.5:
            await self.gate.wait()
        asked = [each.text for each in request.messages if each.author is Author.USER]
        yield TextDelta(f"Answer to: {asked[-1] if asked else 'nothing'}")
        yield Finished()


class Episode:
    """One random order of what users, operators, models, time and crashes do; the same for the same seed."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.dice = random.Random(seed)
        self.seed = seed
        rules = replace(RULES, assignment=self.dice.choice(("claim", "round_robin")))
        self.world = World(folder, rules=rules, channels=(SendingChannel(), Room()))
        for channel in self.world.channels:
            channel.limits = replace(channel.limits, max_age_s=1e9)
        self.slow = Slow(self.dice)
        self.world.model.script = self.slow
        self.world.step = self.linger
        self.rung: list[Notice] = []  # by any of the processes
        self.sent: dict[str, bool] = {}  # replies of operators, by text: whether they were told that it is sent
        self.said: list[str] = []
        self.number = 0
        self.played = Played(episodes=1)
        self.office: Office

    async def linger(self) -> None:
        """Before and after each step of the core, others may be first."""
        await settle(self.dice.choice((0, 0, 1, 5)))

    async def play(self) -> Played:
        left = self.dice.randrange(8, 20)
        while left > 0:
            async with office(self.world) as self.office:
                self.office.rung = self.rung
                left = await self._run(left)
        for _ in range(2):
            async with office(self.world) as self.office:
                self.office.rung = self.rung
                await self._calm()
                if _:
                    self.played.findings = [f"seed {self.seed}: {each}" for each in await judge(self)]
        return self.played

    async def _run(self, left: int) -> int:
        """Until the process ends, or everything has been done."""
        await self.office.online(*PEOPLE)
        tasks: list[asyncio.Task[None]] = []
        while left > 0:
            left -= 1
            self.world.clock.step_wall(self.dice.randrange(1, 50))
            self.played.actions += 1
            if self.dice.random() < 0.06:
                self.played.crashes += 1
                break
            tasks.append(asyncio.create_task(self._any()))
            await settle(self.dice.choice((0, 2, 30, 100)))
            if self.dice.random() < 0.5:
                await self._breathe()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return left

    async def _breathe(self) -> None:
        for _ in range(self.dice.randrange(1, 12)):
            await asyncio.sleep(0.001)  # the store's thread works in real time, and has no clock to move
            await settle(3)

    async def _calm(self) -> None:
        for _ in range(6):
            self.slow.let()
            await self.office.rest(1)
            await self.office.desk.tick()
        await self.office.rest(1)

    async def _any(self) -> None:
        what = self.dice.choices(
            (self._user, self._operator, self._line, self._time, self._cancel, self._let), (6, 8, 4, 2, 1, 3)
        )[0]
        await what()

    async def _let(self) -> None:
        self.slow.let()

    def _next(self, kind: str) -> str:
        self.number += 1
        return f"{kind}{self.number}"

    async def _user(self) -> None:
        text = self._next("u-")
        if self.dice.random() < 0.3:
            text += ": I want to talk to a human, please."
        at = Address("list", "", "ada")
        await self.office.intake.receive(MessageReceived(Identity("list", "", "ada", "Ada"), at, text, text))
        self.said.append(text)

    async def _cancel(self) -> None:
        shown = [each for each in self.world.user.sent if each.buttons]
        if shown:
            pressed = ButtonPressed(Identity("list", "", "ada"), Address("list", "", "ada"), "p", shown[-1].id, CANCEL)
            await self.office.intake.receive(pressed)

    async def _time(self) -> None:
        self.world.clock.step_wall(1000 * self.dice.choice((1, 61, 301, 1801, 14_401, 86_401)))
        await self.office.desk.tick()

    def _wanted(self) -> str:
        verbs = (
            "take",
            "take",
            "reply",
            "reply",
            "note",
            "return",
            "resolve",
            "release",
            "transfer",
            "snooze",
            "reopen",
            "decline",
            "watch",
            "watch",
            "unwatch",
        )
        verb = self.dice.choice(verbs)
        given = {"transfer": self.dice.choice(PEOPLE), "snooze": "2h", "return": self.dice.choice(("", "be kind"))}
        if verb == "note" and self.dice.random() < 0.5:
            return f"!note @{self.dice.choice(PEOPLE)}, look: {self._next('n-')}"
        if verb in ("reply", "note"):
            return f"!{verb} {self._next('r-' if verb == 'reply' else 'n-')}"
        return f"!{verb} {given.get(verb, '')}"

    async def _operator(self) -> None:
        """From the console."""
        line = self._wanted()
        command = parse(line)
        assert command is not None
        if command.kind is Kind.REPLY:
            self.sent.setdefault(command.text, False)
        operator = await self.office.operator(self.dice.choice(PEOPLE))
        try:
            for _ in range(self.dice.choice((1, 1, 2))):  # the same key again, as after a broken connection
                await self.office.desk.act(operator, self.office.id_of(), command, key=line)
        except Refused:
            self.played.refused += 1
            return
        if command.kind is Kind.REPLY:
            self.sent[command.text] = True

    async def _line(self) -> None:
        """From the room."""
        cards = self.world.room.cards()
        if not cards:
            return
        line = self._wanted()
        if line.startswith("!reply"):
            self.sent.setdefault(line.removeprefix("!reply "), False)
        at = replace(OPS, thread=self.dice.choice(cards)[0])
        sender = Identity("ops", "", f"U-{self.dice.choice(PEOPLE)}")
        event = self._next("o")
        for _ in range(self.dice.choice((1, 1, 2))):
            await self.office.intake.receive(MessageReceived(sender, at, event, line))


# --- the judge -------------------------------------------------------------------------------------------------------------

_TO_AGENT = frozenset(
    {"return", "resolve", "cancel", "user_left", "queue_timeout", "user_silent", "done", "forgotten", "close"}
)
_TO_QUEUE = frozenset({"queue", "open", "offer", "decline", "expire", "hand_on", "release", "operator_silent"})
ANNOUNCED = "I am passing you on"


async def judge(episode: Episode) -> list[str]:
    """What the ledgers and the rows say against the promises."""
    desk = episode.office
    rows = await desk.all(
        "SELECT m.seq, m.author, m.visibility, m.text, m.turn_id, t.started_ms, coalesce(m.handled_ms, m.dead_ms), m.kind, m.id FROM messages m"
        " LEFT JOIN turns t ON t.id = m.turn_id WHERE m.conversation_id = :id ORDER BY m.seq",
        {"id": desk.id_of()},
    )
    logs = await desk.all(
        "SELECT seq, actor, what, at_ms FROM handoff_log WHERE conversation_id = :id ORDER BY rowid",
        {"id": desk.id_of()},
    )
    if not rows:
        return []
    episode.played.handoffs = (await desk.all("SELECT count(*) FROM handoffs"))[0][0]
    episode.played.late = sum(row[1] == "agent" and row[2] == "note" for row in rows)
    seen = episode.world.user.sent
    return [
        *_both_spoke(rows, logs, seen),
        *_two_owners(logs),
        *await _announced(desk, rows, seen),
        *_notes(rows, seen),
        *_lost(episode, rows),
        *_replies(episode, rows, seen),
        *_twice_in_room(desk),
        *await _told(episode, seen),
        *await _owner_of_its_own(desk),
    ]


def _both_spoke(rows: Rows, logs: Rows, seen: Sequence[Message]) -> list[str]:
    found = []
    for seq, author, visibility, text, _, started, handled, _, _ in rows:
        if author != "agent" or visibility != "public":
            continue
        owners = [what for at_seq, _, what, _ in logs if at_seq < seq and what in _TO_AGENT | _TO_QUEUE | {"claim"}]
        if owners and owners[-1] not in _TO_AGENT:
            found.append(f"both speak: {text!r} after {owners[-1]}")
        found += [
            f"both speak: {text!r} over a claim"
            for _, _, what, at in logs
            if what == "claim" and started < at < handled
        ]
    last = ""
    for message in seen:
        if message.author is Author.AGENT and last == "operator":
            found.append(f"both speak: the user read {message.text!r} right after a person")
        last = message.author.value
    return found


def _two_owners(logs: Rows) -> list[str]:
    found, holder = [], ""
    for _, actor, what, _ in logs:
        if what == "claim":
            if holder not in ("", actor):
                found.append(f"two owners: {actor} claims from {holder}")
            holder = actor
        elif what in _TO_AGENT | _TO_QUEUE:
            holder = ""
    return found


async def _announced(desk: Office, rows: Rows, seen: Sequence[Message]) -> list[str]:
    handed = await desk.all("SELECT id FROM handoffs WHERE origin <> 'operator'")
    expected = {derived_id("announced", row[0]) for row in handed}
    told = [row[8] for row in rows if row[3].startswith(ANNOUNCED)]
    found = (
        []
        if sorted(told) == sorted(expected)
        else [f"announced: {len(told)} for {len(expected)} handoffs, or by other ids"]
    )
    shown = [message.id for message in seen if message.text.startswith(ANNOUNCED)]
    return found if sorted(shown) == sorted(told) else [*found, f"announced: {len(shown)} shown of {len(told)}"]


def _notes(rows: Rows, seen: Sequence[Message]) -> list[str]:
    notes = {row[8] for row in rows if row[2] == "note"}
    written = re.compile(r"\bn-\d+$")
    return [f"note shown: {each.text!r}" for each in seen if each.id in notes or _is_operators(each, written)]


def _is_operators(message: Message, text: re.Pattern[str]) -> bool:
    return message.author is Author.OPERATOR and text.search(message.text) is not None


def _lost(episode: Episode, rows: Rows) -> list[str]:
    """A message that was there each time the process ended becomes a dead letter, of which the user and the operators are told."""
    users = {row[3]: row for row in rows if row[1] == "user" and row[7] == "message"}
    found = [f"lost: {text}" for text in episode.said if text not in users]
    return found + [f"not handled: {text}" for text, row in users.items() if row[6] is None or row[5] is None]


def _replies(episode: Episode, rows: Rows, seen: Sequence[Message]) -> list[str]:
    shown = [each.text.rpartition(" ")[2] for each in seen if each.author is Author.OPERATOR]
    kept = [row[3] for row in rows if row[1] == "operator" and row[2] == "public"]
    found = [f"not sent: {text}" for text, is_told in episode.sent.items() if is_told and text not in shown]
    return found if shown == kept else [*found, f"replies: shown {shown}, kept {kept}"]


def _twice_in_room(desk: Office) -> list[str]:
    found = []
    for card, _ in desk.room.cards():
        said = [message.text for message in desk.room.thread(card) if message.text.startswith(("u-", "r-", "n-"))]
        found += [f"twice in the room: {text!r}" for text in set(said) if said.count(text) > 1]
    cards = [card.text.rpartition("case ")[2] for _, card in desk.room.cards()]
    return found if len(cards) == len(set(cards)) else [*found, f"two cards: {cards}"]


async def _told(episode: Episode, seen: Sequence[Message]) -> list[str]:
    """Whoever watches is told once of each thing, called once in a thread, never of their own acts, and no user sees it."""
    desk = episode.office
    ids = {each.id: each.name for each in await desk.operators.all()}
    kept = await desk.all(
        "SELECT n.operator, n.cause, n.what, coalesce(m.operator_id, l.actor, ''), n.is_rung FROM notices n"
        " LEFT JOIN messages m ON m.id = n.cause LEFT JOIN handoff_log l ON l.id = n.cause"
    )
    found = [f"own act: {ids[operator]} is told {what}" for operator, _, what, by, _ in kept if operator == by]
    found += [f"never rung: {ids[operator]}, {what}" for operator, _, what, _, is_rung in kept if not is_rung]
    rung = [(each.operator, each.cause) for each in episode.rung]
    found += [f"rung twice: {each}" for each in set(rung) if rung.count(each) > 1]
    found += [f"a user is called: {each.text!r}" for each in seen if each.mentions]
    causes = {ids[operator]: 0 for operator, *_ in kept}
    for operator, *_ in kept:
        causes[ids[operator]] += 1
    for who, most in causes.items():
        lines = [each for each in desk.room.sent if f"U-{who}" in each.mentions]
        if len(lines) > most or len({each.id for each in lines}) < len(lines):
            found.append(f"called twice: {who} {len(lines)} times for {most} things")
    called = {person for each in desk.room.sent for person in each.mentions}
    return found + [f"called for nothing: {each}" for each in called - {f"U-{who}" for who in causes}]


async def _owner_of_its_own(desk: Office) -> list[str]:
    open_ = await desk.all("SELECT stage, operator FROM handoffs WHERE ended_ms IS NULL")
    expected = Handoff(Stage(open_[0][0]), open_[0][1]).owner if open_ else AGENT_OWNER
    owner = (await desk.found()).owner
    return [] if owner == expected else [f"owner {owner} where the handoff says {expected}"]


MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None


async def run(episodes: int, seed: int) -> Played:
    """So many episodes, each in a folder of its own; in memory where there is one, since no crash here takes the machine with it."""
    total = Played()
    for number in range(episodes):
        with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
            played = await Episode(Path(folder) / "data", seed * 1_000_003 + number).play()
        for each in ("episodes", "actions", "crashes", "refused", "handoffs", "late"):
            setattr(total, each, getattr(total, each) + getattr(played, each))
        total.findings += played.findings
    return total


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--machine", type=int, default=100_000)
    parser.add_argument("--core", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    began = time.monotonic()
    walked = walk(given.machine, given.seed)
    played = asyncio.run(run(given.core, given.seed))
    findings = [*walked.findings, *played.findings]
    lines = (
        f"machine: {walked.orders} orders, {walked.steps} steps, {walked.refused} refused, unwalked {walked.unwalked}",
        f"core: {played.episodes} episodes, {played.actions} actions, {played.handoffs} handoffs, {played.crashes} crashes, "
        f"{played.refused} refused, {played.late} late drafts, {time.monotonic() - began:.0f} s",
        f"findings: {len(findings)}",
        *findings[:50],
    )
    sys.stdout.write("\n".join(lines) + "\n")
    return 1 if findings or walked.unwalked else 0


if __name__ == "__main__":
    sys.exit(main())
