"""What open consoles are told as it happens."""

import aiohttp
import pytest

from bot.errors import StoreUnavailable
from bot.handoff.machine import Happening
from bot.model import Author
from bot.ports import Cursor
from tests.console.desk import Desk, Page
from tests.operators.house import BY


async def watching(desk: Desk, name: str = "ann", role: str = "agent") -> Page:
    page = await desk.signed_in(name, role)
    assert await page.connect() == 101
    await page.frame("consents")
    page.clear()
    return page


async def test_what_happens_reaches_every_console_in_the_same_words(desk: Desk) -> None:
    pages = [await watching(desk, "ann"), await watching(desk, "ben"), await watching(desk, "vic", "viewer")]
    zoe = await desk.people.talk("Zoe", text="I need help")
    await desk.people.ask(zoe)
    desk.feed.touch(zoe)
    told = [await page.frame("rows") for page in pages]
    assert told[0] == told[1] == told[2]
    assert [(row["conversation"], row["stage"], row["line"]) for row in told[0]["rows"]] == [
        (zoe, "queued", "I need help")
    ]
    _, inbox = await pages[0].get("inbox")
    assert inbox["rows"] == told[0]["rows"]


async def test_everything_of_a_moment_goes_out_in_one_frame(desk: Desk) -> None:
    page = await watching(desk)
    some = [await desk.people.talk(f"u{number}") for number in range(30)]
    desk.feed.touch(some[0])
    await page.frame("rows")
    page.clear()
    for each in [*some, *some]:
        desk.feed.touch(each)
    frame = await page.frame("rows")
    assert [row["conversation"] for row in frame["rows"]] == some
    assert len([each for each in page.frames if each["type"] == "rows"]) == 1


async def test_what_was_forgotten_is_gone(desk: Desk) -> None:
    page = await watching(desk)
    desk.feed.touch("forgotten")
    assert (await page.frame("rows")) == {"type": "rows", "rows": [], "gone": ["forgotten"]}


async def test_an_open_conversation_tells_its_newest_and_then_what_is_new_or_other(desk: Desk) -> None:
    page = await watching(desk)
    zoe = await desk.people.talk("Zoe", text="one")
    sent = await desk.people.say(zoe, "two", Author.AGENT)
    await page.say("open", zoe)
    first = await page.frame("entries", lambda frame: len(frame["entries"]) == 2)
    assert [entry["text"] for entry in first["entries"]] == ["one", "two"]
    await page.until(lambda: any("context" in frame for frame in page.frames))
    page.clear()
    await desk.people.say(zoe, "only for us", Author.OPERATOR, is_note=True)
    desk.feed.touch(zoe)
    frame = await page.frame("entries", lambda frame: bool(frame["entries"]))
    assert [(entry["text"], entry["visibility"]) for entry in frame["entries"]] == [("only for us", "note")]
    assert "context" not in frame
    page.clear()
    await desk.house.store.run(lambda cursor: cursor.execute("UPDATE conversations SET delivered_seq = 2"))
    desk.feed.touch(zoe)
    frame = await page.frame("entries", lambda frame: bool(frame["entries"]))
    assert [(entry["id"], entry["delivery"]) for entry in frame["entries"]] == [(sent, "delivered")]
    page.clear()
    await desk.people.ask(zoe, "asked")
    desk.feed.touch(zoe)
    frame = await page.frame("entries", lambda frame: bool(frame["entries"]))
    assert [entry.get("what") for entry in frame["entries"]] == ["queue"]


async def test_only_those_who_have_it_open_are_told_what_is_said(desk: Desk) -> None:
    page, other = await watching(desk, "ann"), await watching(desk, "ben")
    zoe = await desk.people.talk("Zoe")
    await page.say("open", zoe)
    await page.frame("entries")
    await page.say("shut", zoe)
    await page.frame("rows", lambda frame: frame["rows"][0]["lookers"] == [])
    page.clear()
    await desk.people.say(zoe, "more")
    desk.feed.touch(zoe)
    await other.frame("rows", lambda frame: frame["rows"][0]["line"] == "more")
    await page.frame("rows")
    assert not [each for each in page.frames + other.frames if each["type"] == "entries"]


async def test_who_looks_and_who_types_is_seen_and_passes(desk: Desk) -> None:
    page, other = await watching(desk, "ann"), await watching(desk, "ben")
    zoe = await desk.people.talk("Zoe")
    await page.say("open", zoe)
    await other.say("open", zoe)
    await page.frame("entries", lambda frame: [each["name"] for each in frame["lookers"]] == ["ann", "ben"])
    await page.frame("rows", lambda frame: frame["rows"][0]["lookers"] == ["ann", "ben"])
    await other.say("typing", zoe)
    await page.frame("entries", lambda frame: [each["is_typing"] for each in frame["lookers"]] == [False, True])
    assert desk.works.typed == [("ben", zoe)]
    page.clear()
    await page.frame("entries", lambda frame: [each["is_typing"] for each in frame["lookers"]] == [False, False])
    desk.console.user_is_typing(zoe)
    await page.frame("entries", lambda frame: bool(frame["is_user_typing"]))
    page.clear()
    await page.frame("entries", lambda frame: not frame["is_user_typing"])
    await other.close()
    await page.frame("rows", lambda frame: frame["rows"][0]["lookers"] == ["ann"])


async def test_a_viewer_is_never_shown_to_the_user_as_typing(desk: Desk) -> None:
    page = await watching(desk, "vic", "viewer")
    zoe = await desk.people.talk("Zoe")
    await page.say("open", zoe)
    await page.frame("entries")
    await page.say("typing", zoe)
    await page.frame("entries", lambda frame: bool(frame["lookers"] and frame["lookers"][0]["is_typing"]))
    assert desk.works.typed == []


async def test_what_is_not_there_cannot_be_opened(desk: Desk) -> None:
    page = await watching(desk)
    room = await desk.people.talk("room", "slack", kind="room")
    for each in ("never", room):
        await page.say("open", each)
        assert (await page.frame("gone"))["conversation"] == each
        page.clear()


async def test_how_many_consents_wait_is_told_when_it_changes(desk: Desk) -> None:
    page = await desk.signed_in()
    await page.connect()
    assert (await page.frame("consents"))["count"] == 0
    page.clear()
    zoe = await desk.people.talk("Zoe")
    await desk.house.store.run(_consent, zoe, desk.clock.now_ms())
    desk.feed.touch(zoe)
    assert (await page.frame("consents"))["count"] == 1
    _, shown = await page.get(f"conversations/{zoe}")
    (card,) = [entry["card"] for entry in shown["entries"] if entry.get("card")]
    assert (card["kind"], card["is_open"], card["arguments"]) == ("consent", True, {"order": "12"})
    assert shown["context"]["consents"] == [card]


async def test_f86_a_disabled_or_changed_account_is_out_without_a_request(desk: Desk) -> None:
    pages = [await watching(desk, name) for name in ("ann", "ben", "cyd")]
    await desk.house.operators.disable("ann", by=BY)
    await desk.house.operators.set_role("ben", "viewer", by=BY)
    await pages[0].until(lambda: pages[0].close_code == 4401 and pages[1].close_code == 4401)
    zoe = await desk.people.talk("Zoe")
    desk.feed.touch(zoe)
    await pages[2].frame("rows")
    assert not [frame for page in pages[:2] for frame in page.frames if frame["type"] == "rows"]


async def test_a_page_that_nobody_touches_is_signed_out_in_time(desk: Desk) -> None:
    page = await watching(desk)
    for _ in range(29):
        await desk.clock.advance(60)
    assert page.close_code is None
    for _ in range(3):
        await desk.clock.advance(60)
    await page.until(lambda: page.close_code == 4401)


async def test_nonsense_ends_the_socket_and_nothing_else(desk: Desk) -> None:
    other = await watching(desk, "ben")
    for nonsense in ("", "{", "[]", '{"type":"open"}', '{"type":"reply","conversation":"x"}', "[" * 5_000, "x" * 8_000):
        page = await watching(desk)
        assert page.ws is not None
        await page.ws.send_str(nonsense)
        await page.until(page.is_refused)
    page = await watching(desk)
    assert page.ws is not None
    await page.ws.send_bytes(b"x")
    await page.until(page.is_refused)
    assert other.close_code is None


async def test_f69_one_who_reads_too_slowly_is_cut_and_nobody_waits(desk: Desk) -> None:
    slow, page = await desk.signed_in("ann"), await watching(desk, "ben")
    client = aiohttp.ClientSession()
    async with client, client.ws_connect(f"{desk.url}/console/ws", headers=slow.headers()) as ws:
        ws._reader._protocol.pause_reading()
        frame = b"\x81\x7e\xff\xff" + b" " * 65_535
        while desk.console.hub.count == 2:
            for screen in desk.console.hub.screens():
                if screen.operator.name == "ann":
                    screen.send(frame)
    zoe = await desk.people.talk("Zoe")
    desk.feed.touch(zoe)
    await page.frame("rows")


async def test_when_too_much_has_happened_everything_is_read_again(desk: Desk) -> None:
    page = await watching(desk)
    for number in range(10_001):
        desk.feed.touch(f"c{number}")
    await page.frame("overflow")


async def test_after_a_failure_of_the_store_everything_is_read_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = await watching(desk)
    zoe = await desk.people.talk("Zoe")
    real, failures = desk.views.open_consents, iter((True, True))

    async def failing() -> int:
        if next(failures, False):
            raise StoreUnavailable("the disk is full")
        return await real()

    monkeypatch.setattr(desk.views, "open_consents", failing)
    desk.feed.touch(zoe)
    await page.frame("overflow")
    page.clear()
    desk.feed.touch(zoe)
    assert [row["conversation"] for row in (await page.frame("rows"))["rows"]] == [zoe]


async def test_a_taken_case_says_by_whom_on_every_console(desk: Desk) -> None:
    page = await watching(desk)
    ben = await desk.house.add("ben")
    zoe = await desk.people.talk("Zoe")
    await desk.people.ask(zoe)
    await desk.people.move(zoe, Happening.CLAIM, ben.id, by=ben.id)
    desk.feed.touch(zoe)
    frame = await page.frame("rows")
    assert frame["rows"][0]["operator"] == {"id": ben.id, "name": "ben"}


def _consent(cursor: Cursor, conversation: str, now_ms: int) -> None:
    action = """
        INSERT INTO actions (id, reply_id, call_id, turn_id, conversation_id, case_id, identity_id, agent, name, version, effect,
                             arguments, hash, key, state, created_ms)
        VALUES ('a1', 'r1', 'c1', 't1', :conversation, 'k1', 'i1', 'main', 'refund', '1', 'naked', '{"order":"12"}', 'h', 'key',
                'proposed', :now)"""
    cursor.execute(action, {"conversation": conversation, "now": now_ms})
    consent = """
        INSERT INTO consents (id, action_id, kind, hash, text, created_ms, expires_ms)
        VALUES ('o1', 'a1', 'operator', 'h', 'Refund order 12', :now, :until)"""
    cursor.execute(consent, {"now": now_ms, "until": now_ms + 3_600_000})
