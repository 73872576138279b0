"""A person's own wish to be forgotten, legal holds, what grows old, and what a person is given."""

import json
from pathlib import Path

from bot.ids import conversation_id
from bot.model import Address, ForgetRequested, Identity
from bot.people.exporting import FILE, Export, exported, write
from bot.people.keeping import HELD, release
from bot.people.retention import AT_ONCE, DAY_MS, Days, Retention
from bot.ports import Cursor
from bot.store import people
from tests.pipeline.house import Core, ListChannel, core
from tests.users.planting import Person, plant

ADA = Identity("list", "", "ada")
AT = Address("list", "", "ada")


async def user_of(found: Core, name: str = "ada") -> str:
    return (await found.store.run(people.find, f"list:{name}"))[0].user


# --- a wish, and the law -----------------------------------------------------------------------------------------------


async def test_forgetting_takes_all_linked_accounts(tmp_path: Path) -> None:
    async with core(tmp_path / "data", other=ListChannel("phone")) as found:
        await found.say("here I am", "m1")
        await found.say("there I am", "p1", channel="phone", chat="+491")
        await found.rest()
        one = await user_of(found)
        two = (await found.store.run(people.find, "phone:+491"))[0].id
        await found.store.run(people.link, one, two, "local:root", 5)
        await found.intake.receive(ForgetRequested(ADA, AT))
        await found.rest()
        assert await found.all("SELECT text FROM messages WHERE text <> ''") == []


async def test_what_the_law_wants_kept_is_kept_and_the_person_is_told_and_it_is_not_used(tmp_path: Path) -> None:
    async with core(tmp_path / "data") as found:
        await found.say("the contract number is 8812", "m1")
        await found.rest()
        user = await user_of(found)
        await found.store.run(people.hold, user, "court 4 B 17", "local:root", 5)
        await found.intake.receive(ForgetRequested(ADA, AT))
        await found.rest()
        assert found.channel.sent[-1].text == HELD
        assert await found.all("SELECT text FROM messages WHERE author = 'user'") == [("the contract number is 8812",)]
        await found.say("hello again", "m2")
        await found.rest()
        shown = " ".join(entry.text for entry in found.model.requests[-1].messages)
        assert "8812" not in shown
        assert "8812" in str(await found.all("SELECT * FROM messages"))


async def test_who_asked_meanwhile_is_forgotten_when_the_hold_ends(tmp_path: Path) -> None:
    async with core(tmp_path / "data") as found:
        await found.say("the contract number is 8812", "m1")
        await found.rest()
        user = await user_of(found)
        await found.store.run(people.hold, user, "court", "local:root", 5)
        await found.intake.receive(ForgetRequested(ADA, AT))
        await found.rest()
        count, changed = await found.store.run(release, user, "local:root", 9)
        assert (count, changed) == (1, [conversation_id(AT)])
        assert "8812" not in str(await found.all("SELECT text FROM messages"))


async def test_a_hold_that_ends_without_a_wish_changes_nothing(tmp_path: Path) -> None:
    async with core(tmp_path / "data") as found:
        await found.say("the contract number is 8812", "m1")
        await found.rest()
        user = await user_of(found)
        await found.store.run(people.hold, user, "court", "local:root", 5)
        assert await found.store.run(release, user, "local:root", 9) == (1, ())
        assert "8812" in str(await found.all("SELECT text FROM messages"))


# --- age ---------------------------------------------------------------------------------------------------------------


async def aged(found: Core, days: Days, **channels: Days) -> int:
    return await Retention(found.store, found.clock, days, channels).round()


async def texts(found: Core) -> set[str]:
    return {str(row[0]) for row in await found.all("SELECT text FROM messages WHERE author = 'user'")}


async def test_messages_lose_their_words_after_their_days_and_not_before(tmp_path: Path) -> None:
    async with core(tmp_path / "data") as found:
        await found.say("old words", "m1")
        await found.rest()
        found.clock.step_wall(29 * DAY_MS)
        assert await aged(found, Days(messages=30)) == 0
        found.clock.step_wall(2 * DAY_MS)
        await found.say("new words", "m2")
        await found.rest()
        assert await aged(found, Days(messages=30)) == 2
        assert await texts(found) == {"", "new words"}
        assert await aged(found, Days(messages=30)) == 0
        assert (await found.say("old words", "m1")).is_duplicate


async def test_a_channel_may_keep_for_longer_or_shorter_and_zero_keeps(tmp_path: Path) -> None:
    async with core(tmp_path / "data", other=ListChannel("phone")) as found:
        await found.say("on the list", "m1")
        await found.say("on the phone", "p1", channel="phone")
        await found.rest()
        found.clock.step_wall(20 * DAY_MS)
        assert await aged(found, Days()) == 0
        await aged(found, Days(messages=30), phone=Days(messages=10))
        assert await texts(found) == {"on the list", ""}
        await aged(found, Days(messages=10), phone=Days())
        assert await texts(found) == {""}


async def test_holds_open_handoffs_and_waiting_messages_are_left_alone(tmp_path: Path) -> None:
    async with core(tmp_path / "data") as found:
        for chat in ("held", "handed", "asked", "free"):
            await found.say(f"words of {chat}", f"{chat}-1", chat=chat)
        await found.rest()
        await found.store.run(people.hold, await user_of(found, "held"), "court", "local:root", 5)
        await found.store.run(_hand_over, conversation_id(Address("list", "", "handed")))
        await found.store.run(_ask, conversation_id(Address("list", "", "asked")))
        found.clock.step_wall(100 * DAY_MS)
        await aged(found, Days(messages=1, traces=1, files=1, cases=1))
        assert await texts(found) == {"words of held", "words of handed", "words of asked", ""}
        left = await found.all("SELECT count(*) FROM turns WHERE trace <> '{}'")
        assert left == [(3,)]


async def test_a_round_is_made_of_small_units_of_work(tmp_path: Path) -> None:
    async with core(tmp_path / "data") as found:
        await found.say("words", "m1")
        await found.rest()
        await found.store.run(_many, conversation_id(AT))
        found.clock.step_wall(100 * DAY_MS)
        assert await aged(found, Days(messages=1)) == 2 * AT_ONCE + 100 + 2


def _hand_over(cursor: Cursor, conversation: str) -> None:
    cursor.execute(
        "INSERT INTO handoffs (id, conversation_id, case_id, stage, origin, first_seq, asked_ms, changed_ms) "
        "VALUES ('h', :id, '', 'queued', 'asked', 1, 1, 1)",
        {"id": conversation},
    )


def _ask(cursor: Cursor, conversation: str) -> None:
    columns = "id, reply_id, call_id, turn_id, conversation_id, case_id, identity_id, agent, name, version, effect, arguments, hash, key, state"
    values = "'a', '', '', '', :id, '', '', 'main', 'refund', '1', 'money', '{}', '', '', 'proposed'"
    cursor.execute(f"INSERT INTO actions ({columns}, created_ms) VALUES ({values}, 1)", {"id": conversation})


def _many(cursor: Cursor, conversation: str) -> None:
    for number in range(2 * AT_ONCE + 100):
        cursor.execute(
            "INSERT INTO messages (id, conversation_id, seq, case_id, author, visibility, text, created_ms) "
            "VALUES (:id, :conversation, :seq, '', 'agent', 'public', 'words', 1)",
            {"id": f"many-{number}", "conversation": conversation, "seq": 1000 + number},
        )


# --- export ------------------------------------------------------------------------------------------------------------


async def given(found: Core, folder: Path, who: Person) -> Export:
    await plant(found, folder, who)
    return await found.store.run(exported, who.identity, 7)


async def test_an_export_holds_everything_of_one_person_and_nothing_of_another(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    async with core(folder) as found:
        await plant(found, folder, Person("eve@example.org", "quetzal-canary-9942"))
        export = await given(found, folder, Person("ada@example.org", "zanzibar-canary-7731"))
        assert write(export, folder / "blobs", tmp_path / "out") == 0
    text = (tmp_path / "out" / FILE).read_text()
    data = json.loads(text)
    assert "quetzal" not in text
    assert "eve@example.org" not in text
    assert any("printer is broken" in each["text"] for each in data["messages"])
    for part in (
        "cases",
        "turns",
        "actions",
        "consents",
        "contact_choices",
        "tool_calls",
        "handoffs",
        "memory",
        "files",
    ):
        assert data[part], part
    assert [each.read_bytes() for each in (tmp_path / "out" / "files").iterdir()] == [b"%PDF zanzibar-canary-7731"]


async def test_operators_notes_are_in_it_and_marked(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    async with core(folder) as found:
        await found.say("hello", "m1")
        await found.rest()
        await found.store.run(_note, conversation_id(AT))
        data = (await found.store.run(exported, await user_of(found), 7)).data
    notes = [each for each in data["messages"] if each["visibility"] == "note"]
    assert [each["text"] for each in notes] == ["be kind to him"]
    assert "has not seen" in notes[0]["note"]


def _note(cursor: Cursor, conversation: str) -> None:
    cursor.execute(
        "INSERT INTO messages (id, conversation_id, seq, case_id, author, visibility, text, created_ms) "
        "SELECT 'note', :id, 50, case_id, 'operator', 'note', 'be kind to him', 1 FROM conversations WHERE id = :id",
        {"id": conversation},
    )
