"""Where a daemon can be made to end: every step of a message's path, by name.

A name is `before UNIT` (handed over, nothing done), `inside UNIT` (written, not committed) or `after UNIT` (committed, nobody told) for a
unit of work, or one of the places between units.
"""

import os
import random
import signal
from collections.abc import Callable
from dataclasses import dataclass

IN_THE_DAEMON = {
    "before accept": "f01 event read, nothing written",
    "inside accept": "f01 inside the inbox transaction",
    "after accept": "f02 committed, not acknowledged",
    "acknowledged": "f03 acknowledged, turn not started",
    "model called": "f04 model call in flight",
    "half streamed": "f05 answer half streamed",
    "before finish": "f05 streamed, turn not committed",
    "inside finish": "f11 inside the turn's transaction",
    "after finish": "f11 turn committed, nothing sent",
    "before begin": "f11 sending not committed",
    "inside begin": "f11 inside the sending transaction",
    "after begin": "f11 sending committed, not sent",
    "request written": "f12 request gone, no reply read",
    "post accepted": "f12 accepted, receipt not stored",
    "inside sent": "f12 inside the receipt's transaction",
    "between parts": "f13 between two parts",
    "page told": "answer on the socket, no receipt",
    "before acknowledge": "receipts not stored",
    "inside acknowledge": "inside the receipts' transaction",
    "after acknowledge": "receipts stored",
    "before find": "reconciling, not asked",
    "after find": "reconciling, answer not stored",
    "before take_up": "recovery, nothing counted",
    "inside take_up": "recovery, inside the count",
    "after take_up": "recovery, nothing woken",
    "inside interrupted": "recovery, inside the outbox",
    "after interrupted": "recovery, nothing sent",
    "inside note_clean_stop": "f17 inside the last transaction",
    "after note_clean_stop": "f17 stopped, process not ended",
}
FROM_OUTSIDE = {
    "outside": "SIGKILL at any moment",
    "outside, starting": "SIGKILL while it starts",
    "outside, stopping": "f17 SIGKILL while it drains",
    "stop": "f17 SIGTERM with work in hand",
}
LABELS = IN_THE_DAEMON | FROM_OUTSIDE
IN_A_MODEL_TURN = {
    "model asked": "f04 request at the model's server",
    "half streamed": "f05 answer half streamed",
    "call whole": "tool call whole, not journaled",
    "before intend": "step not journaled",
    "inside intend": "f06 inside the step's transaction",
    "after intend": "f06 step journaled, tool not run",
    "tool called": "f06 tool runs",
    "before settle": "tool has run, outcome not stored",
    "inside settle": "f08 inside the outcome's transaction",
    "after settle": "f08 outcome stored, model not told",
    "result told": "f08 second model call not sent",
    "model asked again": "f08 second request at the server",
}
AROUND_A_MODEL_TURN = (
    *("before accept", "inside accept", "after accept", "acknowledged"),
    *("before finish", "inside finish", "after finish", "before begin", "inside begin", "after begin"),
    *("request written", "post accepted", "inside sent", "between parts", "page told"),
    *("before find", "after find", "inside take_up", "after take_up"),
)
MODEL_LABELS = IN_A_MODEL_TURN | {point: IN_THE_DAEMON[point] for point in AROUND_A_MODEL_TURN} | FROM_OUTSIDE
AT_THE_PLATFORMS = {
    "slack took it": "f12 Slack has posted, no answer read",
    "slack changed it": "f12 Slack has edited, no answer read",
    "discord took it": "f12 Discord has posted, no answer read",
    "discord changed it": "f12 Discord has edited, no answer read",
    "whatsapp took it": "f12 Twilio has the message, no answer read",
    "whatsapp calls back": "f33 Twilio calls back, nothing stored",
}
ON_THE_CHANNELS = {
    "before announce": "draft's row not committed",
    "inside announce": "inside the draft's transaction",
    "after announce": "draft's row committed, nothing shown",
    "before posted": "f12 draft shown, its id not stored",
    "inside posted": "f12 inside the transaction of its id",
    "after posted": "draft's id stored",
    "sent to slack": "f12 Slack's answer read, not stored",
    "sent to discord": "f12 Discord's answer read, not stored",
    "sent to whatsapp": "f12 Twilio's answer read, not stored",
    "before reported": "f33 status callback read, not stored",
    "inside reported": "f33 inside its transaction",
    "after reported": "f33 stored, not acknowledged",
    "file asked for": "f67 file asked for",
    "file half read": "f67 file half read",
    "file read": "f67 file read, not stored",
}
AROUND_THE_CHANNELS = (
    *("before accept", "inside accept", "after accept", "acknowledged", "model called", "half streamed"),
    *("before finish", "inside finish", "after finish", "before begin", "inside begin", "after begin", "inside sent"),
    *("between parts", "page told", "before find", "after find", "inside interrupted", "after interrupted"),
    *("inside take_up", "after take_up", "inside note_clean_stop"),
)
CHANNEL_LABELS = (
    AT_THE_PLATFORMS | ON_THE_CHANNELS | {point: IN_THE_DAEMON[point] for point in AROUND_THE_CHANNELS} | FROM_OUTSIDE
)
LEAVE_UNKNOWN = (
    *("after begin", "request written", "post accepted", "inside sent"),
    *("sent to slack", "sent to discord", "sent to whatsapp", *AT_THE_PLATFORMS),
)
TAKE_UP_UNKNOWN = ("before find", "after find", "inside interrupted", "after interrupted")
WHILE_STOPPING = ("inside note_clean_stop", "after note_clean_stop")


@dataclass(frozen=True, slots=True)
class Plan:
    """How one run of the daemon ends: at the `count`-th time that it comes to `point`."""

    point: str
    count: int = 1

    @property
    def is_stop(self) -> bool:
        """It begins with SIGTERM."""
        return self.point in WHILE_STOPPING or self.point in ("stop", "outside, stopping")


class Plans:
    """Draws plans so that every point comes round, and what needs a mess before it follows one."""

    def __init__(self, chance: random.Random, points: tuple[str, ...] = ()) -> None:
        self._chance = chance
        self._points = list(points or LABELS)
        self._left: list[str] = []
        self._last = ""

    def next(self) -> Plan:
        if self._last in LEAVE_UNKNOWN and self._chance.random() < 0.5:
            usable = [point for point in TAKE_UP_UNKNOWN if point in self._points]
            if usable:
                self._last = self._chance.choice(usable)
                return Plan(self._last)
        if not self._left:
            self._left = list(self._points)
            self._chance.shuffle(self._left)
        self._last = self._left.pop()
        is_once = "take_up" in self._last or "interrupted" in self._last or "note_clean" in self._last
        return Plan(self._last, 1 if is_once else self._chance.choice((1, 1, 2, 3)))


def end_this_process() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Doom:
    """Calls `end` once, where the plan says: SIGKILL for this process, or for the one that it stands for."""

    def __init__(self, plan: Plan, end: Callable[[], None] = end_this_process) -> None:
        self.point = plan.point
        self._left = plan.count
        self._end = end

    def at(self, point: str) -> None:
        """The process has come to `point`; it may not return."""
        if point == self.point:
            self._left -= 1
            if self._left == 0:
                self._end()
