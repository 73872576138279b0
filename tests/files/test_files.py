"""What people send is fetched once, kept as theirs, and said plainly when it cannot be had."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from bot.agent.sizes import chars_of, kinds_of
from bot.channels import Channel
from bot.errors import FetchError, Refused, StoreUnavailable
from bot.files import ALL_AT_ONCE, AT_ONCE, FETCH_S, TOO_LARGE, UNREADABLE, Place, is_missing, settle
from bot.llm.content import load, note
from bot.model import Attachment, Author, BlobId, Identity, MessageId
from bot.net.fetch import Fetcher
from bot.net.perimeter import Perimeter
from bot.ports import ChatMessage, Fetched
from tests.clock import ManualClock
from tests.files.desk import AT, MOST, OGG, PDF, PNG, FilesChannel, desk, remote
from tests.net.test_fetch import giving, serving

M = MessageId("m")


async def test_a_file_is_kept_as_its_senders_and_stands_in_its_message(tmp_path: Path) -> None:
    async with desk(tmp_path) as house:
        house.channel.held = {"one": PNG, "two": PDF}
        message = await house.receive("m", remote("one", "cat.bin"), remote("two"), text="Look")
        changed = await house.fetch(message)
        row = await house.message("m")
        assert changed == {M: row}
        first, second = row.attachments
        assert (first.name, first.media_type, first.size_bytes) == ("cat.bin", "image/png", len(PNG))
        assert (first.source, first.problem, is_missing(first)) == ("", "", False)
        assert await house.bytes_of(second) == PDF
        with pytest.raises(Refused):
            await house.bytes_of(second, Identity("chat", "", "eve"))


async def test_nothing_to_fetch_touches_nothing(tmp_path: Path) -> None:
    async with desk(tmp_path) as house:
        here = Attachment(BlobId("b"), "x", "image/png", 1)
        message = await house.receive("m", here, Attachment(BlobId(""), "y", "", 1, "gone", problem="It is gone."))
        assert await house.fetch(message, await house.receive("n", text="Hi")) == {}
    assert house.channel.opened == []


async def test_a_rerun_fetches_nothing_again(tmp_path: Path) -> None:
    async with desk(tmp_path) as house:
        house.channel.held = {"one": PNG}
        await house.fetch(await house.receive("m", remote("one")))
        before = await house.message("m")
        assert await house.fetch(before) == {}
        assert house.channel.opened == ["one"]
        assert await house.message("m") == before


async def test_what_another_run_has_kept_meanwhile_stands(tmp_path: Path) -> None:
    """Two runs at once may both fetch; the message has one file, and both see the same."""
    async with desk(tmp_path) as house:
        house.channel.held = {"one": PNG}
        message = await house.receive("m", remote("one"))
        first, second = await asyncio.gather(house.fetch(message), house.fetch(message))
        assert first == second == {M: await house.message("m")}


async def test_senders_in_one_room_own_what_each_sent(tmp_path: Path) -> None:
    bob = Identity("chat", "", "bob", "Bob")
    async with desk(tmp_path) as house:
        house.channel.held = {"one": PNG, "two": PDF}
        changed = await house.fetch(
            await house.receive("m", remote("one")), await house.receive("n", remote("two"), sender=bob)
        )
        theirs = changed[MessageId("n")].attachments[0]
        assert await house.bytes_of(theirs, bob) == PDF
        with pytest.raises(Refused):
            await house.bytes_of(theirs)


async def test_a_file_that_may_still_come_is_tried_again_and_the_others_are_kept(tmp_path: Path) -> None:
    async def fail(source: str) -> None:
        if source == "two":
            raise FetchError("the platform is busy", is_retryable=True)

    async with desk(tmp_path) as house:
        house.channel.held = dict.fromkeys(("one", "two", "three"), PNG)
        house.channel.on_open = fail
        message = await house.receive("m", remote("one"), remote("two"), remote("three"))
        with pytest.raises(FetchError, match="busy"):
            await house.fetch(message)
        row = await house.message("m")
        assert [is_missing(each) for each in row.attachments] == [False, True, False]
        assert [each.problem for each in row.attachments] == ["", "", ""]
        house.channel.on_open = None
        house.channel.opened.clear()
        await house.fetch(row)
        assert house.channel.opened == ["two"]


async def test_after_the_last_try_the_message_says_what_is_wrong_with_it(tmp_path: Path) -> None:
    async def fail(source: str) -> None:
        raise FetchError("https://files.example/secret: 503", is_retryable=True)

    async with desk(tmp_path) as house:
        house.channel.on_open = fail
        changed = await house.fetch(await house.receive("m", remote("one", "plan.pdf")), is_last_try=True)
        (attachment,) = changed[M].attachments
        assert attachment.problem == UNREADABLE
        assert await house.fetch(changed[M]) == {}
    told = note(attachment)
    assert '"plan.pdf" could not be read' in told
    assert "secret" not in told


async def test_what_will_never_come_is_not_tried_again(tmp_path: Path) -> None:
    async def fail(source: str) -> None:
        raise FetchError("404", is_retryable=False)

    async with desk(tmp_path) as house:
        house.channel.on_open = fail
        changed = await house.fetch(await house.receive("m", remote("one")))
        assert changed[M].attachments[0].problem == UNREADABLE
        assert await house.message("m") == changed[M]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty"),
        (b"<!doctype html><title>Sign in</title>" * 20, "image"),
        (b"\x89PNG\r\n\x1a\n" + bytes(MOST), "large"),
    ],
    ids=["empty", "f67 a sign-in page", "too large"],
)
async def test_f64_what_is_no_file_for_us_is_said_in_plain_words(tmp_path: Path, data: bytes, says: str) -> None:
    """By its content, whatever its name and the platform say."""
    async with desk(tmp_path) as house:
        house.channel.held = {"one": data}
        changed = await house.fetch(await house.receive("m", remote("one", "cat.png")))
        (attachment,) = changed[M].attachments
        assert attachment.blob == ""
        assert says in attachment.problem
    assert [each for each in (tmp_path / "blobs").rglob("*") if each.is_file()] == []


async def test_an_adapters_own_words_reach_the_message(tmp_path: Path) -> None:
    async def refuse(source: str) -> None:
        raise Refused("no_scope", "Files of this workspace cannot be opened here.")

    async with desk(tmp_path) as house:
        house.channel.on_open = refuse
        changed = await house.fetch(await house.receive("m", remote("one")))
        assert changed[M].attachments[0].problem == "Files of this workspace cannot be opened here."


async def test_f66_a_name_names_no_path(tmp_path: Path) -> None:
    async with desk(tmp_path) as house:
        house.channel.held = {"one": PNG}
        changed = await house.fetch(await house.receive("m", remote("one", "../../etc/pass\nwd.png")))
        assert changed[M].attachments[0].name == "pass wd.png"


async def test_a_voice_message_is_a_file_too(tmp_path: Path) -> None:
    async with desk(tmp_path) as house:
        house.channel.held = {"one": OGG}
        changed = await house.fetch(await house.receive("m", remote("one", "voice")))
        assert changed[M].attachments[0].media_type == "audio/ogg"


async def test_a_withdrawn_message_loses_its_files(tmp_path: Path) -> None:
    """Also when it is withdrawn while they are fetched."""
    async with desk(tmp_path) as house:

        async def delete(source: str) -> None:
            await house.delete("m")

        house.channel.held = {"one": PNG}
        house.channel.on_open = delete
        changed = await house.fetch(await house.receive("m", remote("one")))
        assert changed[M].attachments == ()
        assert (await house.message("m")).attachments == ()


async def test_a_channel_that_does_not_run_gives_no_files(tmp_path: Path) -> None:
    async with desk(tmp_path) as house:
        house.channels.clear()
        changed = await house.fetch(await house.receive("m", remote("one")))
        assert changed[M].attachments[0].problem == UNREADABLE


async def test_a_disk_that_takes_nothing_is_no_fault_of_the_file(tmp_path: Path) -> None:
    async def full(source: str) -> None:
        raise StoreUnavailable("the disk is full")

    async with desk(tmp_path) as house:
        house.channel.on_open = full
        with pytest.raises(StoreUnavailable):
            await house.fetch(await house.receive("m", remote("one")), is_last_try=True)
        assert is_missing((await house.message("m")).attachments[0])


async def test_only_so_many_are_fetched_at_once(tmp_path: Path) -> None:
    """Of one turn, and of all."""
    async with desk(tmp_path) as house:
        go, is_full = asyncio.Event(), asyncio.Event()
        wanted = AT_ONCE

        async def wait(source: str) -> None:
            if house.channel.running == wanted:
                is_full.set()
            await go.wait()

        house.channel.held = {str(number): PNG for number in range(6)}
        house.channel.on_open = wait
        files = [remote(str(number)) for number in range(6)]
        turns = [asyncio.ensure_future(house.fetch(await house.receive("m0", *files)))]
        await asyncio.wait_for(is_full.wait(), 10)
        is_full.clear()
        wanted = ALL_AT_ONCE
        messages = [await house.receive(f"m{number}", *files) for number in range(1, 12)]
        turns += [asyncio.ensure_future(house.fetch(message)) for message in messages]
        await asyncio.wait_for(is_full.wait(), 10)
        go.set()
        await asyncio.gather(*turns)
        assert house.channel.most_running == ALL_AT_ONCE


async def test_a_fetch_without_an_end_is_ended_and_tried_again(tmp_path: Path) -> None:
    clock, reached = ManualClock(), asyncio.Event()

    async def hang(source: str) -> None:
        reached.set()
        await asyncio.Event().wait()

    async with desk(tmp_path, clock) as house:
        house.channel.on_open = hang
        task = asyncio.ensure_future(house.fetch(await house.receive("m", remote("one"))))
        await reached.wait()
        await clock.advance(FETCH_S - 1)
        assert not task.done()
        await clock.advance(2)
        with pytest.raises(FetchError) as caught:
            await asyncio.wait_for(task, 10)
        assert caught.value.is_retryable
        assert house.channel.running == 0


async def test_the_unit_of_work_may_run_twice_and_leaves_what_it_does_not_know(tmp_path: Path) -> None:
    here = Attachment(BlobId("b"), "x", "image/png", 1)
    other = Attachment(BlobId("c"), "x", "image/png", 1)
    async with desk(tmp_path) as house:
        was = (await house.receive("m", remote("one"), remote("one"))).attachments[1]
        for now in (here, here, other):
            assert await house.store.run(settle, Place(M, 1), was, now) == here
        row = (await house.message("m")).attachments
        assert row == (was, here)
        assert await house.store.run(settle, Place(M, 7), was, here) is None
        assert await house.store.run(settle, Place(MessageId("none"), 0), was, here) is None


class WebChannel(FilesChannel):
    """Opens files as adapters do: at a URL, through the fetcher."""

    def __init__(self, fetcher: Fetcher, url: str) -> None:
        super().__init__()
        self._fetcher, self._url = fetcher, url

    @asynccontextmanager
    async def open_file(self, source: str) -> AsyncIterator[Fetched]:
        async with self._fetcher.fetch(
            f"{self._url}/{source}", {"Authorization": "x"}, trusted=(self._url,)
        ) as fetched:
            yield fetched


@asynccontextmanager
async def web_channel(url: str) -> AsyncIterator[Channel]:
    fetcher = Fetcher(Perimeter(None), ManualClock(), MOST)
    try:
        yield Channel.of(WebChannel(fetcher, url))
    finally:
        await fetcher.close()


@pytest.mark.parametrize("is_chunked", [True, False])
@pytest.mark.parametrize(("body", "problem"), [(PNG, ""), (PNG + bytes(MOST), TOO_LARGE)])
async def test_through_the_fetcher_from_a_server_to_the_row(
    tmp_path: Path, body: bytes, problem: str, is_chunked: bool
) -> None:
    async with desk(tmp_path) as house, serving(giving(body, is_chunked=is_chunked)) as url:
        async with web_channel(url) as house.channels["chat"]:
            changed = await house.files.fetch_missing(AT, [await house.receive("m", remote("one"))], is_last_try=False)
        (attachment,) = changed[M].attachments
        assert attachment.problem[:22] == problem[:22]
        assert bool(attachment.blob) is not bool(problem)


async def test_a_model_is_given_no_file_that_is_not_here() -> None:
    """It is told of it instead, and no other model is looked for that could read it."""
    absent = remote("one", "plan.pdf")
    broken = Attachment(BlobId("b"), "voice", "audio/x-wav", 9, problem="It could not be listened to.")
    asked = ChatMessage(Author.USER, "Look", (absent, broken))
    read: list[str] = []

    async def read_blob(blob: BlobId) -> bytes:
        read.append(blob)
        return b""

    assert await load([asked], lambda _: True, read_blob) == {}
    assert read == []
    assert kinds_of((asked,)) == frozenset()
    assert chars_of((asked,)) == len("Look")
    assert "has not arrived here yet" in note(absent)
    assert "It could not be listened to." in note(broken)


async def test_a_busy_server_is_asked_again_by_the_next_try(tmp_path: Path) -> None:
    answers = [web.Response(status=503), web.Response(body=PNG)]

    async def serve(_: web.Request) -> web.Response:
        return answers.pop(0)

    async with desk(tmp_path) as house, serving(serve) as url, web_channel(url) as house.channels["chat"]:
        message = await house.receive("m", remote("one"))
        with pytest.raises(FetchError):
            await house.fetch(message)
        changed = await house.fetch(message)
        assert changed[M].attachments[0].media_type == "image/png"
