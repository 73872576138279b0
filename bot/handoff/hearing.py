"""A user writes while a person is awaited or has the conversation: units of work that take note of it.

Until a person comes the house says only what helps the waiting: that it was passed on, the place in the queue, that a way to be reached was
noted. Never an answer.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from bot import ids
from bot.handoff.machine import AWAITING, HELD, Happening, Stage
from bot.handoff.requests import arm, figures, say
from bot.handoff.rules import Rules
from bot.handoff.triggers import contact_in
from bot.handoff.waiting import wait_words
from bot.handoff.words import CANCEL, words_in
from bot.model import Conversation, Message, MessageId
from bot.ports import Cursor
from bot.store import handoffs
from bot.store.handoffs import Record
from bot.store.records import Inbound

_USER: Final = "user"


def heard(
    cursor: Cursor, conversation: Conversation, read: Sequence[Inbound], rules: Rules, now_ms: int, *, is_deduped: bool
) -> Message | None:
    """Takes note of what a turn has read and nobody of the house may answer. Returns what is told to the user, if anything."""
    record = handoffs.open_of(cursor, conversation.id)
    if record is None or conversation.is_stopped:
        return None
    said = [inbound for inbound in read if not inbound.message.is_deleted]
    if any(inbound.button == CANCEL for inbound in said):
        return cancelled(cursor, conversation, record, rules, now_ms, is_deduped=is_deduped)
    if not said:
        return None
    if record.state.stage in HELD:
        arm(cursor, handoffs.move(cursor, record, Happening.USER_WROTE, now_ms, _USER), rules)
        return None
    if record.state.stage not in AWAITING | {Stage.OFF_HOURS}:
        return None
    return _waits(cursor, conversation, record, said, rules, now_ms, is_deduped=is_deduped)


def cancelled(
    cursor: Cursor, conversation: Conversation, record: Record, rules: Rules, now_ms: int, *, is_deduped: bool
) -> Message | None:
    """The user no longer wants to wait. A person who has come meanwhile stays."""
    if record.state.stage not in AWAITING | {Stage.OFF_HOURS}:
        return None
    arm(cursor, handoffs.move(cursor, record, Happening.CANCEL, now_ms, _USER), rules)
    id_ = MessageId(ids.derived_id("left", record.id))
    return say(cursor, conversation, words_in(record.language).left, id_, now_ms, is_deduped=is_deduped)


def _waits(
    cursor: Cursor,
    conversation: Conversation,
    record: Record,
    said: Sequence[Inbound],
    rules: Rules,
    now_ms: int,
    *,
    is_deduped: bool,
) -> Message | None:
    words = words_in(record.language)
    contact = next(filter(None, (contact_in(inbound.message.text) for inbound in said)), "")
    if contact and contact != record.contact:
        handoffs.keep(cursor, replace(record, contact=contact, reassured_ms=now_ms), now_ms)
        handoffs.log(cursor, record, now_ms, _USER, "left a contact")
        text = words.contact.format(contact=contact)
    elif record.state.stage is not Stage.OFF_HOURS and now_ms - _reassured(record) >= rules.reassure_ms:
        handoffs.keep(cursor, replace(record, reassured_ms=now_ms), now_ms)
        text = _place(cursor, record, now_ms)
    else:
        return None
    id_ = MessageId(ids.derived_id("waits", record.id, said[0].message.id))
    return say(cursor, conversation, text, id_, now_ms, is_deduped=is_deduped)


def _reassured(record: Record) -> int:
    return max(record.reassured_ms, record.asked_ms)


def _place(cursor: Cursor, record: Record, now_ms: int) -> str:
    words, (place, wait_s) = words_in(record.language), figures(cursor, record, now_ms)
    told = [words.reassured, words.place.format(position=place)]
    if wait_s is not None:
        told.append(words.wait.format(wait=wait_words(wait_s, record.language)))
    return " ".join(told)
