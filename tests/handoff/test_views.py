"""What operators read: lists, rows, the stream of a conversation, what stands beside it."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.errors import Refused
from bot.handoff.feed import Feed
from bot.handoff.machine import Happening
from bot.handoff.views import CHANGES_S, Views
from bot.handoff.views_entries import PAGE
from bot.handoff.views_rows import Around, Wanted, one_line
from bot.model import Attachment, Author, BlobId
from bot.ports import Cursor, Value
from bot.store import records
from tests.clock import settle
from tests.console.people import PASSAGE, People, case_of
from tests.operators.house import House, housed

HOUR = 3_600_000


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with housed(tmp_path / "data") as house:
        yield house


@pytest.fixture
def feed() -> Feed:
    return Feed()


@pytest.fixture
def views(house: House, feed: Feed) -> Views:
    return Views(house.store, house.clock, feed)


@pytest.fixture
def people(house: House) -> People:
    return People(house.store, house.clock.now_ms() - HOUR)


async def named(views: Views, which: str, me: str = "", text: str = "") -> list[str]:
    found = await views.inbox(Wanted(which, text, me))
    return [row["user"]["name"] for row in found["rows"]]


# --- lists -----------------------------------------------------------------------------------------------------------


async def test_each_list_shows_what_belongs_to_it_and_rooms_are_in_none(
    house: House, views: Views, people: People
) -> None:
    ann = await house.add("ann")
    await people.talk("agent's")
    waiting, mine, offered, ended = [await people.talk(each) for each in ("waiting", "mine", "offered", "ended")]
    await people.talk("room", "slack", kind="room")
    for each in (waiting, mine, offered):
        await people.ask(each)
    await people.move(mine, Happening.CLAIM, ann.id, by=ann.id)
    await people.move(offered, Happening.OFFER, "timer", to=ann.id)
    await people.end(ended)

    assert await named(views, "mine", ann.id) == ["offered", "mine"]
    assert await named(views, "mine", "somebody") == []
    assert await named(views, "waiting") == ["offered", "waiting"]
    assert await named(views, "people") == ["offered", "mine", "waiting"]
    assert await named(views, "all") == ["offered", "mine", "waiting", "agent's"]
    assert await named(views, "ended") == ["ended"]
    with pytest.raises(Refused, match="There is no list"):
        await named(views, "others")


async def test_pages_of_a_list_tile_it_even_where_times_are_equal(views: Views, people: People) -> None:
    for number in range(23):
        people.now_ms -= 1000 if number % 5 else 0
        await people.talk(f"u{number:02}")
    whole = await named(views, "all")
    found: list[str] = []
    page = await views.inbox(Wanted("all", limit=4))
    while True:
        found += [row["user"]["name"] for row in page["rows"]]
        if not page["more"]:
            break
        page = await views.inbox(Wanted("all", limit=4, before=page["next"]))
    assert found == whole
    assert len(set(found)) == 23


async def test_a_bare_time_goes_on_without_leaving_anything_out(views: Views, people: People) -> None:
    for number in range(9):
        await people.talk(f"u{number}")
    first = await views.inbox(Wanted("all", limit=4))
    rest = await views.inbox(Wanted("all", before=str(min(row["at_ms"] for row in first["rows"]))))
    assert {row["user"]["name"] for page in (first, rest) for row in page["rows"]} == {f"u{n}" for n in range(9)}


@pytest.mark.parametrize("before", ["x", "-1", "1" * 16, "١"])
async def test_what_is_no_place_in_a_list_is_refused(views: Views, before: str) -> None:
    with pytest.raises(Refused):
        await views.inbox(Wanted("all", before=before))


async def test_search_finds_by_name_text_reason_tag_and_id_and_takes_signs_as_they_are(
    house: House, views: Views, people: People
) -> None:
    zoe = await people.talk("Zoe 100%", text="my parcel is lost")
    await people.talk("Max", text="1000 questions")
    await people.ask(zoe, "very cross")
    await house.store.run(_tag, case_of(zoe), "Refund")
    for text in ("zoe", "PARCEL", "cross", "refund", zoe[:10], case_of(zoe)[:8], "100%"):
        assert await named(views, "all", text=text) == ["Zoe 100%"], text
    assert await named(views, "all", text="refun") == []
    assert await named(views, "all", text="' OR 1=1 --") == []


# --- rows ------------------------------------------------------------------------------------------------------------


async def test_a_row_says_who_what_whose_and_until_when(house: House, views: Views, people: People) -> None:
    ann, now = await house.add("ann"), house.clock.now_ms()
    zoe = await people.talk("Zoe", text="first")
    record = await people.ask(zoe, "asked", priority=2)
    asked_ms = people.now_ms
    await people.timer(record, "resolve", now + HOUR)
    await people.timer(record, "first reply", now + 60_000)
    (row,), gone = await views.rows([zoe])
    assert gone == []
    assert (row["stage"], row["owner"], row["operator"]) == ("queued", "queue", None)
    assert row["deadline"] == {"kind": "first reply", "due_ms": now + 60_000, "is_missed": False}
    assert (row["waiting_since_ms"], row["priority"], row["line"], row["line_author"]) == (asked_ms, 2, "first", "user")

    await people.move(zoe, Happening.CLAIM, ann.id, by=ann.id)
    await people.say(zoe, "a secret", Author.OPERATOR, is_note=True)
    ((row,), _) = await views.rows([zoe])
    assert (row["operator"], row["owner"]) == ({"id": ann.id, "name": "ann"}, ann.id)
    assert (row["line"], row["waiting_since_ms"]) == ("first", None)


async def test_a_missed_promise_stays_missed_until_it_is_met(house: House, views: Views, people: People) -> None:
    ann, now = await house.add("ann"), house.clock.now_ms()
    zoe = await people.talk("Zoe")
    record = await people.ask(zoe)
    await people.timer(record, "first reply", now - 5_000, now - 4_000)
    await people.timer(record, "resolve", now + HOUR)
    ((row,), _) = await views.rows([zoe])
    assert row["deadline"] == {"kind": "first reply", "due_ms": now - 5_000, "is_missed": True}
    await people.move(zoe, Happening.CLAIM, ann.id, by=ann.id)
    await people.move(zoe, Happening.REPLY, ann.id, by=ann.id)
    ((row,), _) = await views.rows([zoe])
    assert row["deadline"]["kind"] == "resolve"


async def test_the_window_of_a_channel_counts_from_what_the_user_wrote(
    house: House, views: Views, people: People
) -> None:
    views.around = Around(
        lambda conversation: ["ann"], lambda channel, account: 24 * HOUR if channel == "whatsapp" else 0
    )
    zoe, max_ = await people.talk("Zoe", "whatsapp"), await people.talk("Max")
    await people.ask(zoe)
    wrote_ms = people.now_ms - 1000
    await people.say(zoe, "We will see", Author.AGENT, parts=("We will see",))
    (row, other), _ = await views.rows([zoe, max_])
    assert row["window_end_ms"] == wrote_ms + 24 * HOUR
    assert row["deadline"] == {"kind": "window", "due_ms": wrote_ms + 24 * HOUR, "is_missed": False}
    assert (other["window_end_ms"], other["deadline"], other["lookers"]) == (None, None, ["ann"])
    context = await views.context(zoe)
    assert [(each["kind"], each["due_ms"]) for each in context["timers"]] == [("window", wrote_ms + 24 * HOUR)]


async def test_a_new_case_carries_nothing_of_the_handoff_before_it(house: House, views: Views, people: People) -> None:
    ann = await house.add("ann")
    zoe = await people.talk("Zoe")
    await people.ask(zoe, brief=json.dumps({"summary": "old"}))
    await people.move(zoe, Happening.CLAIM, ann.id, by=ann.id)
    await people.move(zoe, Happening.RETURN, ann.id, by=ann.id)
    await people.end(zoe)
    await house.store.run(_new_case, zoe, "k2", people.now_ms)
    ((row,), _) = await views.rows([zoe])
    assert (row["case"], row["handoff"], row["stage"], row["operator"]) == ("k2", "", "", None)
    assert (await views.context(zoe))["brief"] == {}


async def test_rows_of_what_was_forgotten_are_gone_and_rooms_are_silent(views: Views, people: People) -> None:
    room = await people.talk("room", "slack", kind="room")
    rows, gone = await views.rows([room, "never"])
    assert (rows, gone) == ([], ["never"])


def test_one_line_is_one_line_and_names_a_file() -> None:
    assert one_line("a\n\n b\tc", "") == "a b c"
    assert len(one_line("word " * 10_000, "")) <= 140
    file = records.attachments_text([Attachment(BlobId("b"), "bill.pdf", "application/pdf", 3)])
    assert one_line("", file) == "[bill.pdf]"


# --- the stream ------------------------------------------------------------------------------------------------------


async def test_pages_of_the_stream_tile_it_with_its_log(house: House, views: Views, people: People) -> None:
    ann = await house.add("ann")
    zoe = await people.talk("Zoe")
    await people.ask(zoe)
    for number in range(2 * PAGE):
        await people.say(zoe, f"m{number}")
        if number in (3, PAGE, 2 * PAGE - 1):
            await people.move(
                zoe, Happening.CLAIM if number % 2 or number == PAGE else Happening.RELEASE, ann.id, by=ann.id
            )
            await people.move(zoe, Happening.RELEASE, ann.id, by=ann.id)
    stream = await views.entries(zoe)
    pages = [stream]
    while stream.has_earlier:
        stream = await views.entries(zoe, stream.entries[0]["seq"])
        pages.append(stream)
    found = [entry for page in reversed(pages) for entry in page.entries]
    assert len(pages) == 3
    assert len({entry["id"] for entry in found}) == len(found) == 2 * PAGE + 1 + 7
    assert [entry["seq"] for entry in found] == sorted(entry["seq"] for entry in found)
    lines = [(entry["what"], entry["actor_name"]) for entry in found if "log" in entry]
    assert lines == [("queue", "timer"), *(("claim", "ann"), ("release", "ann")) * 3]


async def test_an_entry_says_how_far_it_has_come(house: House, views: Views, people: People) -> None:
    zoe = await people.talk("Zoe", "slack")
    sent = await people.say(zoe, "two parts", Author.AGENT, parts=("two", "parts"), citations=(PASSAGE,), turn="t1")
    note = await people.say(zoe, "for us", Author.OPERATOR, is_note=True)

    async def states() -> dict[str, str]:
        return {entry["id"]: entry["delivery"] for entry in (await views.entries(zoe)).entries}

    assert (await states())[sent] == "planned"
    assert (await states())[note] == ""
    for sql, expected in (
        ("state = 'sent'", "sent"),
        ("receipt = 'delivered' WHERE part = 0", "sent"),
        ("receipt = 'delivered'", "delivered"),
        ("receipt = 'read'", "read"),
        ("is_held = 1 WHERE part = 1", "held"),
        ("state = 'unknown' WHERE part = 0", "unknown"),
        ("state = 'dead' WHERE part = 1", "failed"),
    ):
        await house.store.run(lambda cursor, sql=sql: cursor.execute(f"UPDATE outbox SET {sql}"))
        assert (await states())[sent] == expected
    entry = (await views.entries(zoe)).entries[1]
    assert entry["citations"] == [
        {"number": 1, "title": "Opening hours", "url": "https://shop.example/hours", "passage": "p1"}
    ]
    assert entry["turn"] == "t1"


async def test_where_the_receiver_acknowledges_that_is_what_counts(house: House, views: Views, people: People) -> None:
    zoe = await people.talk("Zoe")
    await people.say(zoe, "here", Author.AGENT)
    assert [entry["delivery"] for entry in (await views.entries(zoe)).entries] == ["", "planned"]
    await house.store.run(lambda cursor: cursor.execute("UPDATE conversations SET delivered_seq = 2"))
    assert [entry["delivery"] for entry in (await views.entries(zoe)).entries] == ["", "delivered"]


async def test_what_was_deleted_is_shown_as_deleted_and_not_at_all(house: House, views: Views, people: People) -> None:
    zoe = await people.talk("Zoe", text="my card is 4111")
    await house.store.run(lambda cursor: cursor.execute("UPDATE messages SET is_deleted = 1"))
    (entry,) = (await views.entries(zoe)).entries
    assert (entry["text"], entry["is_deleted"]) == ("", True)
    ((row,), _) = await views.rows([zoe])
    assert row["line"] == ""


async def test_f85_notes_are_in_nothing_that_a_channel_reads(house: House, views: Views, people: People) -> None:
    zoe = await people.talk("Zoe")
    await people.say(zoe, "they are a liar", Author.OPERATOR, is_note=True)
    assert "they are a liar" in json.dumps((await views.conversation(zoe))["entries"])
    for sql in (records.MESSAGES_NEWEST, records.MESSAGES_AFTER):
        given: dict[str, Value] = {"conversation": zoe, "limit": 100, "after": 0}
        if ":after" not in sql:
            del given["after"]
        assert "liar" not in str(await house.store.read(sql, given))


async def test_what_is_not_there_or_is_a_room_cannot_be_opened(views: Views, people: People) -> None:
    room = await people.talk("room", "slack", kind="room")
    for id_ in ("never", room):
        with pytest.raises(Refused, match="not there"):
            await views.conversation(id_)


# --- beside it -------------------------------------------------------------------------------------------------------


async def test_the_context_tells_who_what_travels_and_what_was_before(
    house: House, views: Views, people: People
) -> None:
    ann, now = await house.add("ann"), house.clock.now_ms()
    zoe = await people.talk("Zoe", text="where is it?\nplease")
    record = await people.ask(zoe, brief=json.dumps({"summary": "A lost parcel"}))
    await people.timer(record, "queue", now + 1000)
    await house.store.run(_tag, case_of(zoe), "parcel")
    await house.store.run(_suggest, zoe, ann.id, now)
    context = await views.context(zoe)
    assert context["user"]["name"] == "Zoe"
    assert context["brief"] == {"summary": "A lost parcel"}
    assert [(each["title"], each["ended_ms"]) for each in context["cases"]] == [("where is it? please", None)]
    assert (context["tags"], [each["kind"] for each in context["timers"]]) == (["parcel"], ["queue"])
    assert context["suggestion"]["citations"] == [{"number": 1, "passage": "p1", "title": "Hours", "url": ""}]
    assert context["suggestion"]["operator"] == {"id": ann.id, "name": "ann"}


# --- finding, and what has changed -----------------------------------------------------------------------------------


async def test_a_case_is_found_by_its_id_its_conversation_or_a_beginning(views: Views, people: People) -> None:
    zoe = await people.talk("Zoe")
    room = await people.talk("room", "slack", kind="room")
    for text in (zoe, zoe[:8].upper(), case_of(zoe), f" {case_of(zoe)[:6]} "):
        assert await views.find(text) == zoe
    for text in ("", "abc", "ffffffffffff", room, zoe[:8] + "' OR 1"):
        with pytest.raises(Refused):
            await views.find(text)


async def test_one_who_watches_waits_for_the_next_change_and_misses_none(
    house: House, views: Views, people: People, feed: Feed
) -> None:
    zoe = await people.talk("Zoe")
    await people.ask(zoe)
    begun = await views.changes("")
    assert begun["changes"] == []
    waiting = asyncio.create_task(views.changes(begun["after"]))
    await settle()
    ann = await house.add("ann")
    await people.move(zoe, Happening.CLAIM, ann.id, by=ann.id)
    feed.touch(zoe)
    found = await asyncio.wait_for(waiting, 10)
    assert [(each["what"], each["actor"], each["user"]) for each in found["changes"]] == [("claim", "ann", "Zoe")]
    await people.move(zoe, Happening.RELEASE, ann.id, by=ann.id)
    later = await views.changes(found["after"])  # what came between two questions
    assert [each["what"] for each in later["changes"]] == ["release"]


async def test_one_who_watches_for_nothing_is_answered_in_time(house: House, views: Views) -> None:
    waiting = asyncio.create_task(views.changes("0"))
    while not waiting.done():
        await house.clock.advance(CHANGES_S)
        await asyncio.wait([waiting], timeout=0.02)
    assert waiting.result() == {"after": "0", "changes": []}


def _tag(cursor: Cursor, case: str, tag: str) -> None:
    cursor.execute("INSERT INTO tags (case_id, tag) VALUES (:case, :tag)", {"case": case, "tag": tag})


def _new_case(cursor: Cursor, conversation: str, case: str, now_ms: int) -> None:
    cursor.execute(records.ADD_CASE, {"id": case, "conversation": conversation, "seq": 2, "now": now_ms})
    cursor.execute(records.SET_CASE, {"id": conversation, "case": case})


def _suggest(cursor: Cursor, conversation: str, operator: str, now_ms: int) -> None:
    sql = """
        INSERT INTO suggestions (id, conversation_id, seq, operator, text, citations, created_ms)
        VALUES ('s1', :conversation, 1, :operator, 'It is on its way [1].', :citations, :now)"""
    citations = json.dumps([[1, "p1", "Hours", ""]])
    cursor.execute(sql, {"conversation": conversation, "operator": operator, "citations": citations, "now": now_ms})
