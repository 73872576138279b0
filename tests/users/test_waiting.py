"""What is still needed, or must be kept, does not grow old."""

from pathlib import Path

from bot.ids import conversation_id, identity_id
from bot.model import Address
from bot.people.retention import DAY_MS, Days
from bot.ports import Cursor
from bot.store import people
from tests.pipeline.house import ListChannel, core
from tests.users.test_keeping import aged, texts, user_of


def _keep_file(cursor: Cursor, owner: str, channel: str = "list") -> None:
    cursor.execute(
        "INSERT INTO blobs (id, channel, account, owner, name, media_type, size_bytes, sha256, created_ms) "
        "VALUES (:id, :channel, '', :owner, 'bill.pdf', 'application/pdf', 4, 'x', 1)",
        {"id": f"blob-{owner}", "owner": owner, "channel": channel},
    )


async def test_a_file_of_a_message_that_waits_for_its_answer_is_kept(tmp_path: Path) -> None:
    async with core(tmp_path / "data") as found:
        for chat in ("waits", "sends", "free"):
            await found.say("see the file", f"{chat}-1", chat=chat)
        await found.rest()
        for chat in ("waits", "sends", "free"):
            await found.store.run(_keep_file, chat)
        waits, sends = (conversation_id(Address("list", "", chat)) for chat in ("waits", "sends"))
        again = "UPDATE messages SET handled_ms = NULL WHERE author = 'user' AND conversation_id = :id"
        await found.store.run(lambda cursor: cursor.execute(again, {"id": waits}))
        unsent = "UPDATE outbox SET state = 'unknown', due_ms = 9e15 WHERE conversation_id = :id"
        await found.store.run(lambda cursor: cursor.execute(unsent, {"id": sends}))
        found.clock.step_wall(100 * DAY_MS)
        await aged(found, Days(files=1))
        assert await found.all("SELECT owner FROM blobs ORDER BY owner") == [("sends",), ("waits",)]


async def test_a_hold_keeps_what_the_person_wrote_on_an_account_that_was_linked_later(tmp_path: Path) -> None:
    async with core(tmp_path / "data", other=ListChannel("phone")) as found:
        await found.say("on the list", "m1")
        await found.say("on the phone", "p1", channel="phone", chat="+491")
        await found.rest()
        await found.store.run(_keep_file, "+491", "phone")
        await found.store.run(people.hold, await user_of(found), "court 4 B 17", "local:root", 5)
        await found.store.run(
            people.link, identity_id("list", "", "ada"), identity_id("phone", "", "+491"), "local:root", 6
        )
        found.clock.step_wall(100 * DAY_MS)
        await aged(found, Days(messages=1, traces=1, files=1, cases=1))
        assert await texts(found) == {"on the list", "on the phone"}
        assert await found.all("SELECT owner FROM blobs") == [("+491",)]
