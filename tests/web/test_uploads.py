"""Files: who may send and fetch them, and what becomes of the wrong ones."""

import asyncio
import gzip
from collections.abc import AsyncIterator

import pytest

from bot.errors import Overloaded, StoreUnavailable
from bot.ports import HostLimits
from tests.clock import ManualClock
from tests.web.desk import Desk, Page, running
from tests.web.fakehost import PNG


def bearer(page: Page) -> dict[str, str]:
    return {"Authorization": "Bearer " + page.welcome["token"]}


async def upload(desk: Desk, page: Page, content: bytes, **headers: str) -> tuple[int, dict[str, object]]:
    async with desk.http.post("/upload", data=content, headers=bearer(page) | headers) as answer:
        return answer.status, await answer.json()


async def test_a_file_goes_in_and_comes_back_as_an_attachment() -> None:
    """The owner gets the bytes, in a form that no browser runs."""
    async with running() as desk:
        page = await desk.visitor()
        status, file = await upload(desk, page, PNG, **{"X-File-Name": "br%C3%BCcke%20%3Cb%3E.png"})
        assert (status, file["name"]) == (200, "brücke <b>.png")
        assert file == {"id": "b1", "name": "brücke <b>.png", "media_type": "image/png", "size_bytes": len(PNG)}
        async with desk.http.get(f"/upload/{file['id']}", headers=bearer(page)) as answer:
            assert await answer.read() == PNG
            assert answer.headers["Content-Disposition"] == 'attachment; filename="file-b1.png"'
            assert answer.headers["Content-Type"] == "image/png"
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
            assert answer.headers["Cache-Control"] == "private"


async def test_nobody_elses_file_is_there() -> None:
    """Another visitor's token opens nothing, and a missing token asks for one."""
    async with running() as desk:
        owner, other = await desk.visitor(), await desk.visitor()
        _, file = await upload(desk, owner, PNG)
        for headers, status, code in (
            (bearer(other), 404, "no_blob"),
            ({}, 401, "bad_token"),
            ({"Authorization": "Bearer x"}, 401, "bad_token"),
            ({"Authorization": "Basic " + owner.welcome["token"]}, 401, "bad_token"),
        ):
            async with desk.http.get(f"/upload/{file['id']}", headers=headers) as answer:
                assert (answer.status, (await answer.json())["code"]) == (status, code)
        async with desk.http.get(f"/upload/{file['id']}?token={owner.welcome['token']}") as answer:
            assert answer.status == 401
        await other.send("message", id="a1", text="", attachments=[file["id"]])
        await other.error("no_blob")


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>", 415, "bad_type"),
        (b"MZ" + bytes(100), 415, "bad_type"),
        (PNG + bytes(1000), 413, "too_large"),
        (b"", 400, "empty"),
        (gzip.compress(PNG, mtime=0), 415, "bad_type"),
    ],
)
async def test_the_wrong_files_are_refused(content: bytes, status: int, code: str) -> None:
    """By content and by size; what the sender calls them counts for nothing."""
    async with running(HostLimits(upload_bytes=1000)) as desk:
        page = await desk.visitor()
        answer = await upload(desk, page, content, **{"Content-Type": "image/png", "X-File-Name": "a.png"})
        assert (answer[0], answer[1]["code"]) == (status, code)


async def test_a_body_without_a_length_is_cut_at_the_limit() -> None:
    """A stream that never ends is not read to the end, packed or not."""

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield PNG
            await asyncio.sleep(0)

    async with running(HostLimits(upload_bytes=1000)) as desk:
        page = await desk.visitor()
        async with desk.http.post("/upload", data=endless(), headers=bearer(page)) as answer:
            assert answer.status == 413
        status, _ = await upload(desk, page, gzip.compress(bytes(10_000_000)), **{"Content-Encoding": "gzip"})
        assert status == 413


async def test_a_slow_sender_is_given_up() -> None:
    """The whole transfer has a time, however steadily it drips."""
    clock = ManualClock()
    async with running(clock=clock) as desk:
        page = await desk.visitor()
        reader, writer = await asyncio.open_connection("127.0.0.1", desk.listeners.public_port)
        head = f"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\nAuthorization: {bearer(page)['Authorization']}\r\n\r\n"
        writer.write(head.encode() + PNG)
        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            status = group.create_task(reader.readline())
            while not status.done():
                await clock.advance(30)
        assert b"503" in status.result()
        writer.close()
        await writer.wait_closed()


async def test_uploads_have_a_rate() -> None:
    """Too many files say when to come back, and messages still go through."""
    async with running(HostLimits(messages_per_minute=2)) as desk:
        page = await desk.visitor()
        for _ in range(2):
            assert (await upload(desk, page, PNG))[0] == 200
        async with desk.http.post("/upload", data=PNG, headers=bearer(page)) as answer:
            assert (answer.status, (await answer.json())["code"]) == (429, "too_fast")
            assert int(answer.headers["Retry-After"]) >= 1
        assert (await page.say("Hi"))["seq"] == 1


@pytest.mark.parametrize("failure", [StoreUnavailable("disk full"), Overloaded("too much", 3)])
async def test_a_full_house_says_so(failure: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """503 with a time, and no word of the reason."""
    async with running() as desk:
        page = await desk.visitor()

        async def fail(*_: object) -> None:
            raise failure

        monkeypatch.setattr(desk.host, "save_blob", fail)
        async with desk.http.post("/upload", data=PNG, headers=bearer(page)) as answer:
            assert (answer.status, (await answer.json())["code"]) == (503, "busy")
            assert "disk" not in await answer.text()


async def test_more_files_than_a_message_carries() -> None:
    """The cap of files counts before the host is asked."""
    async with running(HostLimits(uploads_per_message=1)) as desk:
        page = await desk.visitor()
        await page.send("message", id="a1", text="x", attachments=["b1", "b2"])
        assert (await page.error("bad_frame"))["id"] == "a1"
        assert desk.host.events == []
