"""A user leaves: nobody has to come any more. A piece of the units of work of intake."""

from dataclasses import replace

from bot.handoff.machine import Happening, Stage
from bot.ports import Cursor
from bot.store import handoffs


def user_left(cursor: Cursor, conversation: str, what: Happening, now_ms: int) -> None:
    """The user has ended the case, or asked to be forgotten: nobody has to come any more."""
    record = handoffs.open_of(cursor, conversation)
    if record is None or (record.state.stage is Stage.WRAP_UP and what is not Happening.FORGOTTEN):
        return
    moved = handoffs.move(cursor, record, what, now_ms, "user")
    if moved.state.stage is Stage.WRAP_UP:  # nobody has been said goodbye to
        moved = handoffs.move(cursor, moved, Happening.DONE, now_ms, "user", by=moved.state.operator)
    cursor.execute(handoffs.DROP_TIMERS, {"handoff": moved.id})
    if what is Happening.FORGOTTEN:
        handoffs.keep(cursor, replace(moved, contact="", brief=""), now_ms)


def become_room(cursor: Cursor, conversation: str, now_ms: int) -> bool:
    """What a person and the agent have talked in so far is an operators' room from now on. False where it is one already, or not there."""
    if not cursor.execute(handoffs.MAKE_ROOM, {"id": conversation}):
        return False
    user_left(cursor, conversation, Happening.USER_LEFT, now_ms)
    return True
