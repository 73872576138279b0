"""Coming back: nothing is lost, nothing comes twice, whatever happens between two frames."""

import asyncio

from bot.errors import StoreUnavailable
from bot.model import Author, BlobId, Delivered, Message, MessageId, Seq
from bot.ports import HostLimits
from tests.web.desk import Page, running


async def texts(page: Page, count: int) -> list[str]:
    return [(await page.next("message"))["text"] for _ in range(count)]


async def test_after_brings_exactly_what_is_missing() -> None:
    """`after` is the highest seq that the page holds; holding it is an acknowledgement too."""
    async with running() as desk:
        page = await desk.visitor()
        for number in range(1, 6):
            desk.host.append(page.at, Author.AGENT, str(number))
        again = await desk.visitor(token=page.welcome["token"], after=3)
        assert [message["text"] for message in again.welcome["history"]] == ["4", "5"]
        assert Delivered(page.at, Seq(3)) in desk.host.events


async def test_a_page_that_knows_more_than_the_server_gets_what_there_is() -> None:
    """After a restored backup `after` names messages that no longer exist: they count neither as held nor as delivered."""
    async with running() as desk:
        page = await desk.visitor()
        desk.host.append(page.at, Author.AGENT, "1")
        again = await desk.visitor(token=page.welcome["token"], after=50)
        assert [message["text"] for message in again.welcome["history"]] == ["1"]
        await again.say("Hi")
        assert not any(isinstance(event, Delivered) for event in desk.host.events)


async def test_a_message_sent_to_nobody_is_in_the_next_welcome() -> None:
    """send succeeds without a page: the store keeps it unacknowledged, and hello brings it."""
    async with running() as desk:
        page = await desk.visitor()
        await page.ws.close()
        await desk.adapter.send(page.at, desk.host.append(page.at, Author.AGENT, "while you were out"))
        again = await desk.visitor(token=page.welcome["token"])
        assert [message["text"] for message in again.welcome["history"]] == ["while you were out"]


async def test_more_than_a_page_follows_the_welcome() -> None:
    """With `after`, everything comes: the first messages in the welcome, the others after it, in order."""
    async with running(HostLimits(history_messages=3)) as desk:
        page = await desk.visitor()
        for number in range(1, 9):
            desk.host.append(page.at, Author.AGENT, str(number))
        again = await desk.visitor(token=page.welcome["token"], after=1)
        assert [message["text"] for message in again.welcome["history"]] == ["2", "3", "4"]
        assert await texts(again, 4) == ["5", "6", "7", "8"]
        fresh = await desk.visitor(token=page.welcome["token"])
        assert fresh.welcome["has_earlier"] is True
        assert [message["text"] for message in fresh.welcome["history"]] == ["6", "7", "8"]


async def test_what_happens_during_the_welcome_comes_once_and_in_order() -> None:
    """The race between reading the history and listening: read first or sent first, each message comes once."""
    async with running() as desk:
        page = await desk.visitor()
        desk.host.append(page.at, Author.AGENT, "1")
        desk.host.is_asked.clear()
        desk.host.is_held.clear()
        again = await desk.page()
        await again.send("hello", version=1, token=page.welcome["token"])
        await desk.host.is_asked.wait()  # the history is read and under way: it ends with 1
        known = Message(MessageId(f"m-{page.at.chat}-1"), Seq(1), Author.AGENT, "1", 5)
        await desk.adapter.send(page.at, known)
        await desk.adapter.send(page.at, desk.host.append(page.at, Author.AGENT, "2"))
        await desk.adapter.send(page.at, desk.host.append(page.at, Author.AGENT, "3"))
        desk.host.is_held.set()
        welcome = await again.next("welcome")
        assert [message["text"] for message in welcome["history"]] == ["1"]
        assert await texts(again, 2) == ["2", "3"]
        assert await texts(page, 3) == ["1", "2", "3"]


async def test_a_page_that_joins_sees_the_draft_from_its_first_word() -> None:
    """A reload in the middle of an answer shows what was there, and then the rest."""
    async with running() as desk:
        page = await desk.visitor()
        await page.say("Hi")
        draft = MessageId("r1")
        await desk.adapter.draft(page.at, draft, "Good ")
        await page.ws.close()
        await desk.adapter.draft(page.at, draft, "day ")
        again = await desk.visitor(token=page.welcome["token"], after=1)
        await desk.adapter.draft(page.at, draft, "to you")
        assert [(await again.next("delta"))["text"] for _ in range(2)] == ["Good day ", "to you"]
        await desk.adapter.send(page.at, desk.host.append(page.at, Author.AGENT, "Good day to you"))
        await again.next("message")
        await desk.adapter.send(page.at, Message(draft, Seq(2), Author.AGENT, "Good day to you", 5))
        third = await desk.visitor(token=page.welcome["token"])
        await third.say("no old draft comes first")


async def test_a_second_page_sees_what_the_first_says() -> None:
    """A visitor's own message comes to the other pages, once, and never back to the page that said it."""
    async with running() as desk:
        first = await desk.visitor()
        second = await desk.visitor(token=first.welcome["token"])
        await first.say("Hi")
        await first.say("Hi")  # sent again
        await first.say("Ho", "a2")
        frames = [await second.next("message") for _ in range(2)]
        assert [(frame["author"], frame["text"], frame["seq"]) for frame in frames] == [
            ("user", "Hi", 1),
            ("user", "Ho", 2),
        ]
        await desk.adapter.send(first.at, desk.host.append(first.at, Author.AGENT, "Hello, both"))
        assert await texts(first, 1) == await texts(second, 1) == ["Hello, both"]


async def test_a_second_page_sees_the_first_ones_files() -> None:
    """The echo names the files as the history would."""
    async with running() as desk:
        first = await desk.visitor()
        second = await desk.visitor(token=first.welcome["token"])
        await second.send("message", id="b1", text="", attachments=["missing"])
        assert (await second.error("no_blob"))["id"] == "b1"
        headers = {"Authorization": "Bearer " + first.welcome["token"], "X-File-Name": "a%20b.png"}
        async with desk.http.post("/upload", data=b"\x89PNG\r\n\x1a\n", headers=headers) as answer:
            file = await answer.json()
        await first.say("", attachments=[BlobId(file["id"])])
        assert (await second.next("message"))["attachments"] == [file]


async def test_an_unreadable_history_sends_the_page_away_for_a_while() -> None:
    """A store that is down answers busy and 1013, not silence."""
    async with running() as desk:
        page = await desk.visitor()
        again = await desk.page()
        desk.host.failure = StoreUnavailable("locked")
        await again.send("hello", version=1, token=page.welcome["token"])
        assert (await again.error("busy"))["retry_after_s"] > 0
        assert await again.close_code() == 1013


async def test_frames_of_one_socket_are_handled_in_order() -> None:
    """What is sent while a commit is under way waits for it."""
    async with running() as desk:
        page = await desk.visitor()
        desk.host.is_held.clear()
        desk.host.is_asked.clear()
        for number in range(5):
            await page.send("message", id=f"a{number}", text=str(number))
        await desk.host.is_asked.wait()
        desk.host.is_held.set()
        async with asyncio.timeout(10):
            assert [(await page.next("ack"))["id"] for _ in range(5)] == ["a0", "a1", "a2", "a3", "a4"]


async def test_f05_a_draft_that_begins_while_nobody_is_there_is_seen_from_its_first_word() -> None:
    """A turn that runs again at a start writes before its page is back; the page still gets the whole draft."""
    async with running() as desk:
        page = await desk.visitor()
        await page.say("Hi")
    async with running() as desk:
        draft = MessageId("r1")
        await desk.adapter.draft(page.at, draft, "Good ")
        await desk.adapter.draft(page.at, draft, "day ")
        back = await desk.visitor(token=page.welcome["token"])
        assert (await back.next("delta"))["text"] == "Good day "
