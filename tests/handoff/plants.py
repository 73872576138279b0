"""Bugs that are planted to see that the judge of the interleavings finds them."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import pytest

from bot import ending, ids
from bot.handoff import orders, requests, watching
from bot.handoff.commands import Kind
from bot.model import Message, MessageId, Visibility
from bot.ports import Cursor
from bot.store import records

Plant = Callable[[pytest.MonkeyPatch], None]


def no_version_check(patch: pytest.MonkeyPatch) -> None:
    """A turn that ends believes that the conversation is still as it read it."""
    honest = ending.append_reply

    def careless(cursor: Cursor, given: ending.Ending) -> ending.Ended:
        owner, version, _ = cursor.fetch(records.OWNER_AND_LAST_SEQ, {"id": given.conversation.id})[0]
        given.conversation = replace(given.conversation, owner=owner, version=version)
        return honest(cursor, given)

    patch.setattr(ending, "append_reply", careless)


def owner_without_machine(patch: pytest.MonkeyPatch) -> None:
    """Whoever writes a note gets the conversation, and the handoff knows nothing of it."""
    honest = orders._note

    def careless(work: orders._Work) -> None:
        honest(work)
        owner = {"id": work.conversation.id, "owner": work.operator.id}
        work.cursor.execute("UPDATE conversations SET owner = :owner, version = version + 1 WHERE id = :id", owner)

    patch.setitem(orders._ORDERS, Kind.NOTE, careless)


def note_as_public(patch: pytest.MonkeyPatch) -> None:
    """A note is written as a reply is."""

    def careless(work: orders._Work) -> None:
        message = work.write(work.order.command.text, Visibility.PUBLIC)
        channel = work.conversation.address.channel
        records.add_outbox(work.cursor, message, work.conversation.id, channel, (None,))
        work.done.messages.append(message)

    patch.setitem(orders._ORDERS, Kind.NOTE, careless)


def announcement_by_time(patch: pytest.MonkeyPatch) -> None:
    """The announcement gets a new id each time, so that nothing ties it to its handoff."""
    honest = requests.say

    def careless(cursor: Cursor, conversation: Any, text: str, id_: MessageId, now_ms: int, **given: Any) -> Message:
        return honest(cursor, conversation, text, MessageId(ids.new_id(now_ms)), now_ms, **given)

    patch.setattr(requests, "say", careless)


def watchers_hear_themselves(patch: pytest.MonkeyPatch) -> None:
    """Nobody looks who did it."""
    patch.setattr(watching, "_talk", lambda rows: ())
    honest = watching._deeds
    patch.setattr(watching, "_deeds", lambda rows: [replace(each, who="") for each in honest(rows)])


PLANTS: Final[dict[Plant, str]] = {
    no_version_check: "both speak",
    owner_without_machine: "owner ",
    note_as_public: "note shown",
    announcement_by_time: "announced",
    watchers_hear_themselves: "own act",
}
