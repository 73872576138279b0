"""The state machine of a handoff. Pure: a handoff and an event give the next handoff, or the reason why it cannot be.

A conversation has one owner, which follows from the stage alone: the agent, the queue while a person is awaited, or one operator.
Off hours the agent keeps the conversation; the handoff waits for the opening time beside it.
"""

from dataclasses import replace
from enum import StrEnum
from typing import Final

from bot.errors import Refused
from bot.model import AGENT_OWNER, QUEUE_OWNER, value


class Stage(StrEnum):
    """Where a handoff stands."""

    REQUESTED = "requested"
    OFF_HOURS = "off hours"
    QUEUED = "queued"
    OFFERED = "offered"
    ACTIVE = "active"
    WAITING = "waiting"  # for the user
    SNOOZED = "snoozed"
    WRAP_UP = "wrap-up"  # the user has been said goodbye to; the operator finishes notes
    RETURNED = "returned"
    RESOLVED = "resolved"
    ABANDONED = "abandoned"
    TIMED_OUT = "timed out"


AWAITING: Final = frozenset({Stage.REQUESTED, Stage.QUEUED, Stage.OFFERED})
HELD: Final = frozenset({Stage.ACTIVE, Stage.WAITING, Stage.SNOOZED})
ENDED: Final = frozenset({Stage.RETURNED, Stage.RESOLVED, Stage.ABANDONED, Stage.TIMED_OUT})
OPEN: Final = frozenset(Stage) - ENDED


class Happening(StrEnum):
    """What may happen to a handoff."""

    QUEUE = "people are there"
    CLOSE = "nobody is there at this hour"
    OPEN = "people are there again"
    OFFER = "it is offered to an operator"
    DECLINE = "the operator declines"
    EXPIRE = "the offer runs out"
    CLAIM = "an operator takes it"
    REPLY = "the operator replies"
    USER_WROTE = "the user writes"
    SNOOZE = "the operator puts it off"
    WAKE = "the time has come"
    HAND_ON = "it is handed to another operator"
    RELEASE = "the operator gives it back to the queue"
    OPERATOR_SILENT = "the operator is silent for too long"
    RETURN = "it is returned to the agent"
    RESOLVE = "it is resolved"
    DONE = "the operator is done"
    CANCEL = "the user no longer wants to wait"
    USER_LEFT = "the user has ended the case"
    QUEUE_TIMEOUT = "nobody came in time"
    USER_SILENT = "the user is silent for too long"
    FORGOTTEN = "the user asked to be forgotten"


_A, _H, _S = AWAITING - {Stage.REQUESTED}, HELD, Stage
EDGES: Final[dict[tuple[Stage, Happening], Stage]] = {
    (_S.REQUESTED, Happening.QUEUE): _S.QUEUED,
    (_S.REQUESTED, Happening.CLOSE): _S.OFF_HOURS,
    (_S.REQUESTED, Happening.CLAIM): _S.ACTIVE,
    (_S.OFF_HOURS, Happening.OPEN): _S.QUEUED,
    (_S.OFF_HOURS, Happening.CLAIM): _S.ACTIVE,
    (_S.OFF_HOURS, Happening.CANCEL): _S.ABANDONED,
    (_S.OFF_HOURS, Happening.RETURN): _S.RETURNED,
    (_S.OFF_HOURS, Happening.RESOLVE): _S.WRAP_UP,
    (_S.QUEUED, Happening.OFFER): _S.OFFERED,
    (_S.OFFERED, Happening.DECLINE): _S.QUEUED,
    (_S.OFFERED, Happening.EXPIRE): _S.QUEUED,
    (_S.WRAP_UP, Happening.DONE): _S.RESOLVED,
    **{(stage, Happening.CLAIM): _S.ACTIVE for stage in _A},
    **{(stage, Happening.CANCEL): _S.ABANDONED for stage in _A},
    **{(stage, Happening.QUEUE_TIMEOUT): _S.TIMED_OUT for stage in _A},
    **{(stage, Happening.RETURN): _S.RETURNED for stage in _A},
    **{(stage, Happening.RESOLVE): _S.WRAP_UP for stage in _A},
    **{(stage, Happening.HAND_ON): _S.OFFERED for stage in _A},
    **{(stage, Happening.REPLY): _S.WAITING for stage in _H},
    **{(stage, Happening.USER_WROTE): _S.ACTIVE for stage in _H},
    **{(stage, Happening.SNOOZE): _S.SNOOZED for stage in _H},
    **{(stage, Happening.HAND_ON): _S.OFFERED for stage in _H},
    **{(stage, Happening.RELEASE): _S.QUEUED for stage in _H},
    **{(stage, Happening.RETURN): _S.RETURNED for stage in _H},
    **{(stage, Happening.RESOLVE): _S.WRAP_UP for stage in _H},
    (_S.SNOOZED, Happening.WAKE): _S.ACTIVE,
    (_S.ACTIVE, Happening.OPERATOR_SILENT): _S.QUEUED,
    (_S.WAITING, Happening.USER_SILENT): _S.WRAP_UP,
    **{(stage, Happening.USER_LEFT): _S.ABANDONED for stage in _A | {_S.OFF_HOURS}},
    **{(stage, Happening.USER_LEFT): _S.WRAP_UP for stage in _H},
    **{(stage, Happening.FORGOTTEN): _S.ABANDONED for stage in _A | {_S.OFF_HOURS}},
    **{(stage, Happening.FORGOTTEN): _S.RESOLVED for stage in _H | {_S.WRAP_UP}},
}

OF_HOLDER: Final = frozenset(
    {Happening.REPLY, Happening.SNOOZE, Happening.RELEASE, Happening.DONE}
)  # only who has it may do this


@value
class Handoff:
    """What the machine looks at. `operator`: who has it, or had it last. `until_ms`: it is put off until then."""

    stage: Stage = Stage.REQUESTED
    operator: str = ""
    offered_to: str = ""
    until_ms: int = 0

    @property
    def owner(self) -> str:
        """Of the conversation."""
        if self.stage in AWAITING:
            return QUEUE_OWNER
        return self.operator if self.stage in HELD else AGENT_OWNER


def step(handoff: Handoff, what: Happening, by: str = "", to: str = "", until_ms: int = 0) -> Handoff:
    """The handoff after `what`, done `by` an operator ("" where nobody did it). `to`: whom it is offered. Raises Refused: "taken" by
    somebody else, or "not_now" from this stage; then nothing has changed."""
    if handoff.stage in HELD and what is Happening.CLAIM:
        return _claimed_again(handoff, by)
    next_stage = EDGES.get((handoff.stage, what))
    if next_stage is None:
        raise Refused("not_now", f"That cannot be done while the handoff is {handoff.stage}.")
    if what in OF_HOLDER and handoff.operator != by:
        raise Refused("taken", "Somebody else has this conversation.")
    if what in (Happening.DECLINE,) and handoff.offered_to != by:
        raise Refused("not_now", "It was offered to somebody else.")
    operator = by if what is Happening.CLAIM else handoff.operator
    if what in (Happening.RESOLVE, Happening.RETURN) and not operator:
        operator = by
    return replace(
        handoff,
        stage=next_stage,
        operator=operator,
        offered_to=to if next_stage is Stage.OFFERED else "",
        until_ms=until_ms if next_stage is Stage.SNOOZED else 0,
    )


def _claimed_again(handoff: Handoff, by: str) -> Handoff:
    if handoff.operator != by:
        raise Refused("taken", "Somebody else has this conversation.")
    if handoff.stage is Stage.SNOOZED:
        return replace(handoff, stage=Stage.ACTIVE, until_ms=0)
    return handoff
