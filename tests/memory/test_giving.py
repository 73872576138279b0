"""A user asks for a copy of their data in plain words, and is given it in their own chat, as a file, once a day."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bot.files import SET_ATTACHMENTS
from bot.handoff.feed import Feed
from bot.handoff.mirror import copy_of
from bot.handoff.views import Views
from bot.ids import identity_id
from bot.llm.content import kind
from bot.memory.wishes import Wish, wanted
from bot.model import BlobId, Message
from bot.people.exporting import look
from bot.people.giving import EVERY_MS, drop_old, finish_giving
from bot.ports import Value
from bot.store import people, records
from bot.store.blobs import OWN_COPY, path_of
from bot.store.folder import BLOBS, DATABASE
from tests.memory.house import Remembering, remembering
from tests.memory.test_memory import saying
from tests.pipeline.house import ListChannel

MUCH = 1_000_000
ENGLISH = [
    "Export my data",
    "export all my data, please",
    "Send me my data",
    "Please send me a copy of my data.",
    "Can you send me all my data?",
    "give me my data",
    "send me everything you have about me",
    "send me the data you have about me",
    "I want a copy of my data",
    "I'd like to have a copy of my personal data",
    "I would like a copy of all my data",
    "I want to export my data",
    "I need the data you have stored about me",
    "Can I have a copy of my data?",
    "Hi, could I get a copy of all my data?",
    "a copy of my data please",
    "Download my data",
]
GERMAN = [
    "Schick mir meine Daten",
    "Bitte schicken Sie mir alle meine Daten zu",
    "Schicken Sie mir bitte eine Kopie meiner Daten",
    "Gib mir meine Daten",
    "Ich möchte eine Kopie meiner Daten",
    "Ich möchte bitte eine Kopie aller meiner Daten haben",
    "Ich will meine Daten exportieren",
    "Ich hätte gerne eine Kopie meiner persönlichen Daten",
    "Exportiere meine Daten",
    "meine Daten exportieren",
    "Kann ich eine Kopie meiner Daten bekommen?",
    "Kannst du mir meine Daten schicken?",
    "Können Sie mir bitte eine Kopie meiner Daten zusenden?",
    "Eine Kopie meiner Daten bitte",
]
OTHERS = [
    "How do I export my data?",
    "Can I export my data to Excel?",
    "Export my data to CSV",
    "export the data of order 12",
    "Send me my data sheet",
    "I want a copy of my invoice",
    "send me my data and cancel my plan",
    "I lost my data",
    "Is my data safe?",
    "Wie exportiere ich meine Daten?",
    "Schick mir meine Daten und meine Rechnung",
    "Meine Daten sind falsch",
    "Ich möchte meine Daten ändern",
]


@pytest.mark.parametrize(("text", "language"), [*((e, "en") for e in ENGLISH), *((g, "de") for g in GERMAN)])
def test_the_wish_for_a_copy_is_understood_in_its_language(text: str, language: str) -> None:
    """English and German."""
    found = wanted(text)
    assert found is not None
    assert (found.wish, found.language) == (Wish.EXPORT, language)


@pytest.mark.parametrize("text", OTHERS)
def test_what_only_sounds_like_it_is_for_the_agent(text: str) -> None:
    """A product may have data of its own to be exported."""
    assert wanted(text) is None


@pytest.mark.parametrize("text", ["delete all my data", "lösche meine Daten"])
def test_deleting_ones_data_is_no_wish_for_a_copy(text: str) -> None:
    found = wanted(text)
    assert found is not None
    assert found.wish is Wish.FORGET_ALL


async def test_a_user_is_given_a_file_with_what_the_operators_export_holds(tmp_path: Path) -> None:
    """No model is asked; the audit says who had it."""
    async with remembering(tmp_path, script=saying("Yes."), carries_bytes=MUCH) as desk:
        await desk.say("I have a red bicycle")
        asked = len(desk.house.model.requests)
        await desk.say("Send me my data")
        (told,) = given(desk)
        assert told.text.startswith("Here is a copy of your data")
        (file,) = told.attachments
        assert (file.name, file.media_type) == ("my-data.json", OWN_COPY)
        data = content(tmp_path, told)
        assert data["format"] == "frontdesk user export 1"
        assert [each["text"] for each in data["messages"] if each["author"] == "user"] == [
            "I have a red bicycle",
            "Send me my data",
        ]
        ada = identity_id("list", "", "ada")
        assert data["user"] == ada
        assert len(desk.house.model.requests) == asked
        assert await desk.house.all("SELECT actor, action, subject FROM audit") == [(ada, "user exported", ada)]
        assert await desk.house.all("SELECT id, owner, size_bytes FROM blobs") == [(file.blob, "ada", file.size_bytes)]
        assert path_of(tmp_path / BLOBS, file.blob).stat().st_mode & 0o077 == 0


async def test_a_copy_holds_what_its_person_may_read_and_nothing_of_the_house(tmp_path: Path) -> None:
    """Operators' notes, briefs, traces and calls of tools are what an operator's export has besides."""
    async with remembering(tmp_path, script=saying("Yes."), carries_bytes=MUCH) as desk:
        await desk.say("I have a red bicycle")
        note = (
            "UPDATE messages SET visibility = 'note', author = 'operator', text = 'a difficult one' WHERE text = 'Yes.'"
        )
        assert await desk.house.store.run(lambda cursor: cursor.execute(note)) == 1
        await desk.say("Send me my data")
        (told,) = given(desk)
        data = content(tmp_path, told)
        assert [each["text"] for each in data["messages"] if each["author"] != "system"] == [
            "I have a red bicycle",
            "Send me my data",
        ]
        assert "difficult" not in str(data)
        assert {"turns", "tool_calls", "handoffs", "suggestions", "tags", "audit", "spend"}.isdisjoint(data)
        whole = look(tmp_path / DATABASE, identity_id("list", "", "ada"), desk.house.clock.now_ms()).data
        assert "a difficult one" in [each["text"] for each in whole["messages"]]


async def test_operators_are_not_shown_a_persons_copy(tmp_path: Path) -> None:
    """Neither in the console nor in their room, whatever else they may read there."""
    async with remembering(tmp_path, carries_bytes=MUCH) as desk:
        await desk.say("Send me my data")
        (told,) = given(desk)
        (file,) = told.attachments
        other = replace(file, blob=BlobId("b-other"), media_type="image/png")
        both: dict[str, Value] = {"attachments": records.attachments_text((file, other)), "id": told.id}
        await desk.house.store.run(lambda cursor: cursor.execute(SET_ATTACHMENTS, both))
        views = Views(desk.house.store, desk.house.clock, Feed())
        assert not await views.attachment(told.id, file.blob)
        assert await views.attachment(told.id, other.blob)
        shown = copy_of(replace(told, attachments=(file, other)), "t", told.at_ms)
        assert [each.media_type for each in shown.attachments] == ["image/png"]


def test_no_model_is_shown_what_is_in_a_copy() -> None:
    """It stays in the case, whose files models are shown."""
    assert kind(OWN_COPY) == ""


async def test_the_answer_is_in_the_language_of_the_wish(tmp_path: Path) -> None:
    async with remembering(tmp_path, carries_bytes=MUCH) as desk:
        await desk.say("Bitte schick mir meine Daten")
        (told,) = given(desk)
        assert told.text.startswith("Hier ist eine Kopie")
        assert told.attachments[0].name == "meine-daten.json"


async def test_a_second_copy_within_a_day_is_refused_and_the_next_is_told(tmp_path: Path) -> None:
    """Whatever the language, and also after the file was dropped."""
    async with remembering(tmp_path, carries_bytes=MUCH) as desk:
        await desk.say("Export my data")
        desk.house.clock.step_wall(EVERY_MS // 4)
        await desk.say("schick mir meine daten")
        assert desk.sent[-1].endswith("Die nächste ist in 18 Stunden möglich.")
        await desk.say("Export my data")
        assert desk.sent[-1].endswith("You can have the next one in 18 hours.")
        await desk.house.store.run(drop_old, desk.house.clock.now_ms() + EVERY_MS)
        assert await desk.house.all("SELECT id FROM blobs") == []
        desk.house.clock.step_wall(EVERY_MS * 3 // 4)
        await desk.say("Export my data")
        assert len(given(desk)) == 2


async def test_two_wishes_in_one_breath_are_one_copy_and_other_wishes_are_answered_beside_it(tmp_path: Path) -> None:
    async with remembering(tmp_path, carries_bytes=MUCH) as desk:
        async with held_back(desk):
            for number, text in enumerate(["What do you know about me?", "export my data", "send me my data"]):
                await desk.house.say(text, f"b{number}")
        await desk.house.rest(1)
        (told,) = given(desk)
        assert told.text.startswith("I remember nothing of you")
        assert told.text.count("Here is a copy") == 1
        assert len(await desk.house.all("SELECT id FROM blobs")) == 1


async def test_where_others_read_along_nothing_is_given(tmp_path: Path) -> None:
    """Neither in a room, nor once a second person has spoken."""
    async with remembering(tmp_path, carries_bytes=MUCH) as desk:
        await desk.say("send me my data", chat="lobby", is_shared=True)
        assert desk.sent[-1] == "Others read along here. Ask me that in a direct message."
        await desk.say("schick mir meine Daten", chat="lobby", is_shared=True)
        assert desk.sent[-1] == "Hier lesen andere mit. Fragen Sie mich das in einer Direktnachricht."
        await desk.say("Hello", person="bob", chat="corner")
        await desk.say("send me my data", chat="corner")
        assert given(desk) == []
        assert await desk.house.all("SELECT id FROM audit") == []
        assert files(tmp_path) == []


async def test_a_copy_that_the_channel_cannot_carry_is_told_plainly_and_leaves_nothing(tmp_path: Path) -> None:
    """It does not count as one, either."""
    async with remembering(tmp_path, carries_bytes=500) as desk:
        await desk.say("Export my data")
        assert (
            desk.sent[-1] == "The copy of your data is too large to be sent in this chat. Please ask our team for it."
        )
        await desk.say("Ich möchte eine Kopie meiner Daten")
        assert desk.sent[-1].startswith("Die Kopie Ihrer Daten ist zu groß")
        assert await desk.house.all("SELECT id FROM audit") == []
        assert await desk.house.all("SELECT id FROM blobs") == []
        assert files(tmp_path) == []


async def test_nobody_is_given_a_byte_of_another(tmp_path: Path) -> None:
    """Of two who have spoken to us, and to each other."""
    async with remembering(tmp_path, script=saying("Yes."), carries_bytes=MUCH) as desk:
        for person in ("ada", "bob"):
            await desk.say(f"my word is canary{person}", person=person)
            await desk.say(f"in the room canary{person}", person=person, chat="room", is_shared=True)
        for person, other in (("ada", "bob"), ("bob", "ada")):
            await desk.say("Send me my data", person=person)
            told = given(desk)[-1]
            text = path_of(tmp_path / BLOBS, told.attachments[0].blob).read_text()
            assert text.count(f"canary{person}") >= 2
            assert f"canary{other}" not in text
            assert identity_id("list", "", other) not in text


async def test_of_linked_accounts_either_gives_all_of_it_once_a_day(tmp_path: Path) -> None:
    """Once they are unlinked, each gives its own alone."""
    phone = ListChannel("phone")
    async with remembering(tmp_path, script=saying("Yes."), carries_bytes=MUCH, other=phone) as desk:
        await desk.say("my word is canarylist")
        await desk.house.say("my word is canaryphone", "p1", channel="phone")
        await desk.house.rest(1)
        one, two = identity_id("list", "", "ada"), identity_id("phone", "", "ada")
        await desk.house.store.run(people.link, one, two, "test", 7)
        await desk.say("Send me my data")
        words = {each["text"] for each in content(tmp_path, given(desk)[-1])["messages"]}
        assert {"my word is canarylist", "my word is canaryphone"} <= words
        await desk.house.say("Send me my data", "p2", channel="phone")
        await desk.house.rest(1)
        assert phone.sent[-1].text.startswith("You have been given a copy of your data within the last day.")
        user = (await desk.house.store.run(people.find, one))[0].user
        await desk.house.store.run(people.unlink, user, "test", 8)
        desk.house.clock.step_wall(EVERY_MS)
        await desk.say("Send me my data")
        data = content(tmp_path, given(desk)[-1])
        assert "canaryphone" not in json.dumps([each for each in data["messages"] if each["author"] != "system"])
        assert [each["id"] for each in data["identities"]] == [one]


async def test_of_two_linked_accounts_that_ask_at_once_one_is_given_it(tmp_path: Path) -> None:
    """Where both turns have made a copy, the second is told that there is one."""
    phone = ListChannel("phone")
    async with remembering(tmp_path, carries_bytes=MUCH, other=phone) as desk:
        await desk.say("Hello")
        await desk.house.say("Hello", "p1", channel="phone")
        await desk.house.rest(1)
        one, two = identity_id("list", "", "ada"), identity_id("phone", "", "ada")
        await desk.house.store.run(people.link, one, two, "test", 7)
        async with held_back(desk):
            await desk.house.say("Send me my data", "l2")
            await desk.house.say("Send me my data", "p2", channel="phone")
        await desk.house.rest(1)
        assert len(given(desk)) + len([each for each in phone.sent if each.attachments]) == 1
        assert await desk.house.all("SELECT count(*) FROM audit WHERE action = 'user exported'") == [(1,)]


async def test_where_a_person_has_taken_over_meanwhile_nothing_is_given(tmp_path: Path) -> None:
    """What was to be said is a note, without a file; nothing is on record as given."""
    async with remembering(tmp_path, carries_bytes=MUCH) as desk:
        await desk.say("Hello")
        run = desk.house.store.run

        async def taken_over(unit: Any, *rest: Any) -> Any:  # whatever the unit takes
            if unit is finish_giving:
                await run(lambda cursor: cursor.execute("UPDATE conversations SET owner = 'op', version = version + 1"))
            return await run(unit, *rest)

        desk.house.store.run = taken_over  # type: ignore[method-assign]  # somebody is quicker
        await desk.say("Send me my data")
        assert given(desk) == []
        assert await desk.house.all("SELECT attachments FROM messages WHERE visibility = 'note'") == [("",)]
        assert await desk.house.all("SELECT id FROM blobs") == []
        assert await desk.house.all("SELECT id FROM audit WHERE action = 'user exported'") == []


async def test_forgetting_takes_the_copy_too(tmp_path: Path) -> None:
    async with remembering(tmp_path, carries_bytes=MUCH) as desk:
        await desk.say("Send me my data")
        assert len(given(desk)) == 1
        await desk.say("delete all my data")
        assert desk.sent[-1].startswith("Done: I have forgotten everything")
        assert await desk.house.all("SELECT id FROM blobs") == []
        assert await desk.house.all("SELECT id FROM messages WHERE attachments <> ''") == []


async def test_a_copy_is_dropped_after_a_day_but_not_under_a_hold(tmp_path: Path) -> None:
    """And nothing that the person has sent."""
    async with remembering(tmp_path, carries_bytes=MUCH) as desk:
        await desk.say("Send me my data")
        now = desk.house.clock.now_ms()
        sent = "INSERT INTO blobs SELECT 'sent', channel, account, owner, 'a.png', 'image/png', 1, '', created_ms FROM blobs"
        await desk.house.store.run(lambda cursor: cursor.execute(sent))
        assert await desk.house.store.run(drop_old, now + EVERY_MS - 2000) == 0
        ada = identity_id("list", "", "ada")
        await desk.house.store.run(people.hold, ada, "court", "test", now)
        assert await desk.house.store.run(drop_old, now + EVERY_MS) == 0
        await desk.house.store.run(people.release, ada, "test", now)
        assert await desk.house.store.run(drop_old, now + EVERY_MS) == 1
        assert await desk.house.all("SELECT id FROM blobs") == [("sent",)]


async def test_a_full_disk_gives_nothing_and_the_wish_is_carried_out_later(tmp_path: Path) -> None:
    async with remembering(tmp_path, carries_bytes=MUCH) as desk:
        (tmp_path / BLOBS).rename(tmp_path / "away")
        await desk.say("Send me my data")
        assert given(desk) == []
        (tmp_path / "away").rename(tmp_path / BLOBS)
        await desk.house.rest(30)
        assert len(given(desk)) == 1


@asynccontextmanager
async def held_back(desk: Remembering) -> AsyncIterator[None]:
    """What is said meanwhile is answered afterwards, together."""
    wake, waiting = desk.house.scheduler.wake, []
    desk.house.scheduler.wake = lambda *asked: waiting.append(asked)  # type: ignore[method-assign]  # nobody else's
    yield
    desk.house.scheduler.wake = wake  # type: ignore[method-assign]
    for asked in waiting:
        wake(*asked)


def given(desk: Remembering) -> Sequence[Message]:
    return [message for message in desk.house.channel.sent if message.attachments]


def content(folder: Path, message: Message) -> dict[str, Any]:  # JSON
    (file,) = message.attachments
    raw = path_of(folder / BLOBS, file.blob).read_bytes()
    assert len(raw) == file.size_bytes
    data: dict[str, Any] = json.loads(raw)
    return data


def files(folder: Path) -> list[Path]:
    return [path for path in (folder / BLOBS).rglob("*") if path.is_file()]
