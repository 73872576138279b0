"""A visitor of the website asks for their data in the chat: the real daemon, its web channel, and a page on a socket."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from bot.app import App
from bot.store.blobs import OWN_COPY
from bot.store.folder import BLOBS
from tests.app import APART, TALKER, running
from tests.pipeline.house import ScriptedModel
from tests.web.desk import Frame, Page

CONFIG = f"""{TALKER}
[roles]
answer = ["talker"]
"""

SMALL = """
[limits]
upload_bytes = 600
[[operators.people]]
name = "ola"
role = "agent"
"""


@asynccontextmanager
async def serving(folder: Path, more: str = "") -> AsyncIterator[tuple[App, aiohttp.ClientSession]]:
    config = APART.replace("enabled = false", "enabled = true") + CONFIG + more
    (folder / "config.toml").write_text(config)
    async with (
        running(folder, models={"talker": ScriptedModel()}) as app,
        aiohttp.ClientSession(f"http://127.0.0.1:{app.listeners.public_port}") as http,
    ):
        yield app, http


async def opened(http: aiohttp.ClientSession) -> Page:
    page = Page(await http.ws_connect("/ws"))
    await page.hello()
    return page


async def answered(page: Page) -> Frame:
    """The next final message that is not the page's own."""
    while True:
        frame = await page.next()
        if frame["type"] == "message" and frame["author"] != "user":
            return frame


async def told(page: Page, text: str, id_: str) -> Frame:
    await page.send("message", id=id_, text=text)
    return await answered(page)


async def fetched(http: aiohttp.ClientSession, page: Page, file: str) -> tuple[int, dict[str, str], Any]:  # JSON
    bearer = {"Authorization": "Bearer " + page.welcome["token"]}
    async with http.get(f"/upload/{file}", headers=bearer) as answer:
        return answer.status, dict(answer.headers), json.loads(await answer.read())


async def test_a_visitor_is_shown_the_file_in_the_chat_and_nobody_else_can_fetch_it(tmp_path: Path) -> None:
    """It is saved, never run; and what it holds is theirs alone."""
    async with serving(tmp_path) as (_, http):
        ada, bob = await opened(http), await opened(http)
        await told(ada, "my word is canaryada", "a1")
        await told(bob, "my word is canarybob", "b1")
        message = await told(ada, "Send me my data", "a2")
        assert message["author"] == "system"
        assert message["text"].startswith("Here is a copy of your data")
        (file,) = message["attachments"]
        assert (file["name"], file["media_type"]) == ("my-data.json", OWN_COPY)
        status, headers, data = await fetched(http, ada, file["id"])
        assert status == 200
        assert headers["Content-Type"] == OWN_COPY
        assert headers["Content-Disposition"] == f'attachment; filename="file-{file["id"]}.json"'
        assert int(headers["Content-Length"]) == file["size_bytes"]
        assert "canaryada" in json.dumps(data)
        assert "canarybob" not in json.dumps(data)
        status, _, refused = await fetched(http, bob, file["id"])
        assert (status, refused["code"]) == (404, "no_blob")
        again = await told(ada, "Schick mir meine Daten", "a3")
        assert again["text"].endswith("Die nächste ist in 24 Stunden möglich.")
        assert "attachments" not in again


async def test_erasing_the_person_leaves_nothing_of_the_copy(tmp_path: Path) -> None:
    """The scan of the data folder finds no byte of them."""
    async with serving(tmp_path) as (app, http):
        ada = await opened(http)
        await told(ada, "my word is canaryada-zanzibar", "a1")
        message = await told(ada, "Send me my data", "a2")
        user = (await app.store.read("SELECT id FROM users"))[0][0]
        receipt = await app.people.answer("root", "user erase", {"user": user, "reason": "request 7"})
        assert isinstance(receipt, dict)
        assert receipt["files"] == 1
        assert receipt["scan"]["found"] == []
        assert list((tmp_path / "data" / BLOBS).rglob(message["attachments"][0]["id"])) == []


async def test_a_copy_too_large_for_the_chat_asks_the_team(tmp_path: Path) -> None:
    """The operators see who wants it, and by which command it is given."""
    async with serving(tmp_path, SMALL) as (app, http):
        ada = await opened(http)
        message = await told(ada, "Send me my data", "a1")
        assert message["text"].startswith("The copy of your data is too large to be sent in this chat.")
        rows = await app.store.read("SELECT origin, reason, stage FROM handoffs")
        assert [(row[0], row[1].startswith("The user asked for a copy of their data")) for row in rows] == [
            ("tool", True)
        ]
        user = (await app.store.read("SELECT id FROM users"))[0][0]
        assert f"frontdesk user export {user} FOLDER" in rows[0][1]
