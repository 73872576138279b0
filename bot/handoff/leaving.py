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
