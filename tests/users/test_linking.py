"""Two accounts become one user by proof alone."""

import re
from pathlib import Path

import pytest

from bot.people.linking import CODE, ELSEWHERE, KNOWN, LINKED, NO_CODE, NOT_LINKED, OWN_CODE, UNLINKED, hash_of, wish_of
from bot.store import people
from tests.pipeline.house import Core, ListChannel, core

CODES = re.compile(r"LINK-[2-9A-Z]{4}-[2-9A-Z]{4}")


async def asked(found: Core, external_id: str = "ask", chat: str = "ada") -> str:
    """Asks for a code on the first channel, and returns it."""
    await found.say("link my accounts", external_id, chat=chat)
    await found.rest()
    codes = CODES.findall(" ".join(each.text for each in found.channel.sent))
    return str(codes[-1])


def last(channel: ListChannel) -> str:
    return channel.sent[-1].text


async def users(found: Core) -> dict[str, str]:
    rows = await found.all("SELECT channel || ':' || external_id, user_id FROM identities")
    return {str(name): str(user) for name, user in rows}


async def test_f97_a_code_that_is_written_on_the_other_channel_makes_one_user_of_both(tmp_path: Path) -> None:
    other = ListChannel("phone")
    async with core(tmp_path / "data", other=other) as found:
        await found.say("I have a question", "m0")
        await found.say("hello", "p0", channel="phone", chat="+49301234567")
        code = await asked(found)
        await found.say(f"my code: {code.lower()}", "p1", channel="phone", chat="+49301234567")
        await found.rest()
        assert len(set((await users(found)).values())) == 1
        assert last(other) == LINKED.format(channel="list")
        assert last(found.channel) == LINKED.format(channel="phone")
        assert {each.name for each in found.channel.sent} | {each.name for each in other.sent} == {""}
        assert all("LINK-" not in entry.text for request in found.model.requests for entry in request.messages)


async def test_f97_the_code_is_nowhere_once_it_was_used_and_its_typing_is_never_stored(tmp_path: Path) -> None:
    other = ListChannel("phone")
    async with core(tmp_path / "data", other=other) as found:
        code = await asked(found)
        assert await found.all("SELECT hash FROM link_codes") != []
        assert code not in str(await found.all("SELECT * FROM link_codes"))
        await found.say(code, "p1", channel="phone", chat="eve")
        await found.rest()
        assert code not in str(await found.all("SELECT * FROM messages"))
        assert code not in str(await found.all("SELECT * FROM outbox"))
        assert await found.all("SELECT * FROM link_codes") == []
        await found.say(code, "p2", channel="phone", chat="mallory")
        await found.rest()
        assert last(other) == NO_CODE


async def test_f97_a_code_ends_after_ten_minutes_and_is_covered(tmp_path: Path) -> None:
    other = ListChannel("phone")
    async with core(tmp_path / "data", other=other) as found:
        code = await asked(found)
        await found.clock.advance(600.0)
        await found.say(code, "p1", channel="phone")
        await found.rest()
        assert last(other) == NO_CODE
        await found.store.run(people.drop_codes_over, found.clock.now_ms())
        assert code not in str(await found.all("SELECT * FROM messages"))


async def test_f97_nobody_is_linked_by_likeness(tmp_path: Path) -> None:
    other = ListChannel("phone")
    async with core(tmp_path / "data", other=other) as found:
        await found.say("I am Ada, ada@example.org, 030 1234567", "m1", chat="ada@example.org")
        await found.say("I am Ada, ada@example.org, 030 1234567", "m1", chat="ada@example.org", channel="phone")
        await found.say("link my account to ada@example.org please, it is really me", "m2", channel="phone", chat="eve")
        await found.rest()
        assert len(set((await users(found)).values())) == 3


async def test_ones_own_code_and_a_second_link_change_nothing(tmp_path: Path) -> None:
    other = ListChannel("phone")
    async with core(tmp_path / "data", other=other) as found:
        code = await asked(found)
        await found.say(code, "m2")
        await found.rest()
        assert last(found.channel) == OWN_CODE
        await found.say(code, "p1", channel="phone")
        await found.rest()
        again = await asked(found, "ask2")
        await found.say(again, "p2", channel="phone")
        await found.rest()
        assert last(other) == KNOWN


async def test_unlinking_makes_two_users_again_and_each_conversation_stayed_where_it_was(tmp_path: Path) -> None:
    other = ListChannel("phone")
    async with core(tmp_path / "data", other=other) as found:
        await found.say("about the printer", "m1")
        code = await asked(found)
        before = await found.all("SELECT id, conversation_id, identity_id, case_id FROM messages ORDER BY id")
        await found.say(code, "p1", channel="phone")
        await found.rest()
        await found.say("Trenne bitte meine Konten", "p2", channel="phone")
        await found.rest()
        assert last(other) == UNLINKED
        assert len(set((await users(found)).values())) == 2
        after = await found.all("SELECT id, conversation_id, identity_id, case_id FROM messages ORDER BY id")
        assert set(before) <= set(after)
        await found.say("unlink", "p3", channel="phone")
        await found.rest()
        assert last(other) == NOT_LINKED


async def test_where_others_read_no_code_is_shown(tmp_path: Path) -> None:
    async with core(tmp_path / "data") as found:
        await found.say("hello", "m1")
        await found.rest()
        await found.store.run(lambda cursor: cursor.execute("UPDATE conversations SET is_shared = 1"))
        await found.say("link my accounts", "m2")
        await found.rest()
        assert last(found.channel) == ELSEWHERE
        assert await found.all("SELECT * FROM link_codes") == []


async def test_guessing_codes_is_slowed_down(tmp_path: Path) -> None:
    async with core(tmp_path / "data") as found:
        for number in range(8):
            await found.say(f"LINK-2345-67{number + 2}9", f"m{number}")
            await found.rest()
        texts = [each.text for each in found.channel.sent]
        assert texts[:5] == [NO_CODE] * 5
        assert all("tried too often" in each for each in texts[5:])


async def test_the_same_event_again_makes_no_second_code(tmp_path: Path) -> None:
    async with core(tmp_path / "data") as found:
        code = await asked(found, "once")
        await found.say("link my accounts", "once")
        await found.rest()
        assert len(found.channel.sent) == 1
        assert CODE.format(code=code) == last(found.channel)


@pytest.mark.parametrize(
    "text",
    [
        "link my accounts",
        "Please link my accounts!",
        "Can you connect my two accounts?",
        "How do I merge my accounts",
        "I want to link my accounts please",
        "Verknüpfe meine Konten",
        "Ich möchte meine Konten verknüpfen",
        "Bitte verknüpfen Sie meine Accounts",
        "Kannst du meine Konten verbinden?",
        "Wie kann ich meine Konten verknüpfen?",
        "connect my channels",
        "merge both profiles",
        "combine my identities",
        "Verbinde mein Konto mit Slack",
        "Verbinde meine Kanäle",
        "Verbinde meine Kana\u0308le",
        "Verbinde meine Kanale",
        "koppeln Sie meine Identitäten",
    ],
)
def test_the_wish_is_understood(text: str) -> None:
    found = wish_of(text)
    assert found is not None
    assert (found.is_undo, found.code_hash) == (False, "")


@pytest.mark.parametrize("prefix", ["LINK", "link", "Link", "L\u0130NK", "l\u0131nk", "LIN\u212a"])
@pytest.mark.parametrize("gap", ["-", " ", ""])
def test_a_code_is_covered_in_whatever_letters_it_is_typed(prefix: str, gap: str) -> None:
    """Those of a Turkish keyboard too."""
    found = wish_of(f"Here: {prefix}{gap}AB2D{gap}EF9H.")
    assert found is not None
    assert (found.text, found.code_hash) == ("Here: [linking code].", hash_of("AB2DEF9H"))


@pytest.mark.parametrize("text", ["unlink", "Please unmerge me", "Die Verknüpfung bitte aufheben"])
def test_the_wish_to_be_apart_again_is_understood(text: str) -> None:
    found = wish_of(text)
    assert found is not None
    assert found.is_undo


@pytest.mark.parametrize(
    "text",
    [
        "my link to account does not work",
        "The link in my account is broken",
        "connect my bank account",
        'He told me: "link my accounts", what does that mean?',
        "Can you connect me to a human?",
        "merge my pull requests",
        "Meine Konten sind gesperrt",
        "unlink the file from the folder",
        "link my accounts " + "and tell me more about the offer " * 10,
        "Wie verbinde ich den Drucker?",
    ],
)
def test_something_else_is_no_wish(text: str) -> None:
    assert wish_of(text) is None
