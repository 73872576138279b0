"""The window that is left: sends of which nobody knew whether they had arrived, how each was settled, and how long that took.

The daemon notes in a file what happens to such a send, right before the unit of work that makes it so; the file outlives it.
"""

import json
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from bot.model import OutboxState
from bot.ports import Clock

KILLED, CUT = "cut off by a kill", "cut off by the platform"
FOUND, DRAFT_FOUND, TOLD = "found by a lookup", "its draft was found", "told by the platform"
AGAIN, IN_PLACE, HELD, BURIED = (
    "certainly absent, sent again",
    "put in the draft's place again",
    "held for an operator",
    "given up",
)
BEGINNINGS = (KILLED, CUT)
ENDS = (FOUND, DRAFT_FOUND, TOLD, AGAIN, IN_PLACE, HELD, BURIED)

SENDING = """
    SELECT o.message_id, o.part, c.channel, o.attempted_ms FROM outbox o JOIN conversations c ON c.id = o.conversation_id
    WHERE o.state = 'sending' AND o.role <> 'draft'"""
ONE = """
    SELECT c.channel, o.state, o.role, o.external_id FROM outbox o JOIN conversations c ON c.id = o.conversation_id
    WHERE o.message_id = :message AND o.part = :part"""
UNKNOWN = OutboxState.UNKNOWN.value


class Notes:
    """Where the daemon writes."""

    def __init__(self, path: str, clock: Clock) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._clock = clock

    def note(self, what: str, channel: str, message: str, part: int, attempted_ms: int = 0) -> None:
        row = {"at": self._clock.now_ms(), "what": what, "channel": channel, "key": f"{message}:{part}"}
        os.write(self._file, json.dumps(row | {"tried": attempted_ms}).encode() + b"\n")

    def close(self) -> None:
        os.close(self._file)


@dataclass(slots=True)
class Doubts:
    """Counts of one or more episodes. `waits_s`: how long each was in doubt, in the seconds of the daemon, by channel."""

    begun: Counter[tuple[str, str]] = field(default_factory=Counter)  # (channel, how it began)
    ended: Counter[tuple[str, str]] = field(default_factory=Counter)  # (channel, how it was settled)
    waits_s: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def take(self, other: "Doubts") -> None:
        self.begun += other.begun
        self.ended += other.ended
        for channel, waits in other.waits_s.items():
            self.waits_s[channel] += waits

    def rows(self) -> list[tuple[str, str]]:
        """For people: what is counted, and the count."""
        rows = []
        for channel in sorted({channel for channel, _ in self.begun}):
            for what in BEGINNINGS + ENDS:
                count = (self.begun if what in BEGINNINGS else self.ended)[channel, what]
                if count:
                    rows.append((f"{channel}, uncertain sends: {what}", str(count)))
            waits = self.waits_s[channel]
            if waits:
                rows.append(
                    (f"{channel}, in doubt for, median and longest", f"{median(waits):.0f}, {max(waits):.0f} s")
                )
        return rows


def read_doubts(path: Path) -> Doubts:
    """A send that is begun twice without an end in between was cut off again before anything was found out. One without an end was told
    by the platform before it was noted as cut off, and never in doubt."""
    doubts = Doubts()
    since: dict[tuple[str, str], tuple[str, int]] = {}  # (channel, key) -> how it began, and when
    for row in map(json.loads, path.read_text().splitlines() if path.exists() else ()):
        channel, what = row["channel"], row["what"]
        key = channel, row["key"]
        if what in BEGINNINGS:
            since.setdefault(key, (what, row["tried"] or row["at"]))
        elif key in since:
            began, tried_ms = since.pop(key)
            doubts.begun[channel, began] += 1
            doubts.ended[channel, what] += 1
            doubts.waits_s[channel].append((row["at"] - tried_ms) / 1000)
    return doubts


def held_in(doubts: Doubts, kinds: Sequence[str] = (HELD, BURIED)) -> Iterable[str]:
    """What a person had to be asked about."""
    for (channel, what), count in doubts.ended.items():
        if what in kinds:
            yield f"{count} sends to {channel}: {what}"
