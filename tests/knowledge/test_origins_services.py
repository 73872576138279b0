"""Git, Notion, Google Drive and YouTube, each against a server that speaks its protocol, or a real repository."""

import json
import subprocess
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from bot.config.knowledge_schema import Source
from bot.knowledge.origins.drive import DriveOrigin
from bot.knowledge.origins.git import GitOrigin
from bot.knowledge.origins.notion import PAUSE_S, NotionOrigin
from bot.knowledge.origins.origin import Fresh, Origin, SourceFailed
from bot.knowledge.origins.syncing import SourceReport, sync_source
from bot.knowledge.origins.youtube import YoutubeOrigin, video_id
from bot.knowledge.reading.room import ReadingRoom
from tests.knowledge.outside import FastClock, asking, marks, reply, serving, settings, steps, texts


@pytest.fixture
async def room() -> AsyncIterator[ReadingRoom]:
    made = ReadingRoom()
    yield made
    made.close()


async def sync(source: Source, origin: Origin, data: Path) -> SourceReport:
    return await sync_source(source, origin, data, FastClock())


# --- Git -----------------------------------------------------------------------------------------------------------------


def git(folder: Path, *words: str) -> None:
    who = ("-c", "user.name=x", "-c", "user.email=x@example.com", "-c", "init.defaultBranch=main")
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    (folder / "docs").mkdir(parents=True)
    git(folder, "init", "--quiet")
    (folder / "docs" / "returns.md").write_text("---\ntitle: Returns\naudience: staff\n---\nWithin thirty days.\n")
    (folder / "docs" / "shipping.html").write_text("<h1>Shipping</h1><p>To Austria.</p>")
    (folder / "docs" / "code.py").write_text("print()")
    (folder / "docs" / "link.md").symlink_to("/etc/passwd")
    (folder / "readme.md").write_text("# Not below docs")
    git(folder, "add", "-A")
    git(folder, "commit", "--quiet", "-m", "first")
    return folder


def git_origin(source: Any, tmp_path: Path, room: ReadingRoom) -> GitOrigin:
    return GitOrigin(source, tmp_path / "cache", room, FastClock(), lambda _: True)


async def test_a_repository_s_folder_is_read_and_followed(repository: Path, tmp_path: Path, room: ReadingRoom) -> None:
    """Only documents in the folder, never a link; unchanged files are not read again; removed ones go."""
    source = settings("git", url=str(repository), path="docs", pages="https://docs.example.com/")
    origin = git_origin(source, tmp_path, room)
    assert (await sync(source, origin, tmp_path)).added == ["returns.md", "shipping.html"]
    kept = "".join(texts(source, tmp_path).values())
    assert "audience: staff" in kept
    assert "url: https://docs.example.com/returns.md" in kept
    assert "root:" not in kept
    assert (await sync(source, origin, tmp_path)).same == 2
    (repository / "docs" / "returns.md").write_text("# Returns\n\nWithin sixty days.\n")
    git(repository, "rm", "--quiet", "docs/shipping.html")
    git(repository, "commit", "--quiet", "-a", "-m", "second")
    report = await sync(source, git_origin(source, tmp_path, room), tmp_path)
    assert (report.changed, report.removed) == (["returns.md"], ["shipping.html"])


async def test_a_repository_that_cannot_be_read_says_why(repository: Path, tmp_path: Path, room: ReadingRoom) -> None:
    """A wrong branch, a wrong folder, a wrong address, a host outside the perimeter; what was kept stays."""
    source = settings("git", url=str(repository), path="docs")
    await sync(source, git_origin(source, tmp_path, room), tmp_path)
    wrong = {
        "branch": settings("git", url=str(repository), branch="nowhere"),
        "path": settings("git", url=str(repository), path="nowhere"),
        "url": settings("git", url=str(tmp_path / "nowhere")),
    }
    for key, each in wrong.items():
        report = await sync(each, git_origin(each, tmp_path, room), tmp_path)
        assert report.failure
        assert f"`{key}`" in report.mend
        assert report.removed == []


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://git.example.com/x", "git.example.com:443"),
        ("ssh://git@git.example.com/x", "git.example.com:22"),
        ("git@git.example.com:x/y.git", "git.example.com:22"),
    ],
)
async def test_git_is_not_started_for_a_host_outside_the_perimeter(
    url: str, host: str, tmp_path: Path, room: ReadingRoom
) -> None:
    """However its address is written; and the perimeter is asked about the port that git would use."""
    asked: list[str] = []

    def refuse(at: str) -> bool:
        asked.append(at)
        return False

    origin = GitOrigin(settings("git", url=url), tmp_path / "cache", room, FastClock(), refuse)
    with pytest.raises(SourceFailed, match="network"):
        await steps(origin)
    assert asked == [f"https://{host}"]
    assert not (tmp_path / "cache").exists()


async def test_a_repository_larger_than_its_budget_is_refused(
    repository: Path, tmp_path: Path, room: ReadingRoom
) -> None:
    """git itself is stopped from writing more."""
    import random

    (repository / "docs" / "noise.txt").write_bytes(random.Random(1).randbytes(3_000_000))
    git(repository, "add", "-A")
    git(repository, "commit", "--quiet", "-m", "noise")
    source = settings("git", url=str(repository), path="docs", total_bytes=200_000)
    report = await sync(source, git_origin(source, tmp_path, room), tmp_path)
    assert "total_bytes" in report.failure


# --- Notion --------------------------------------------------------------------------------------------------------------


def rich(text: str, href: str | None = None) -> list[dict[str, Any]]:
    return [{"type": "text", "plain_text": text, "href": href, "text": {"content": text}}]


def block(kind: str, id: str, text: str = "", *, has_children: bool = False, **more: Any) -> dict[str, Any]:  # noqa: A002
    held = ({"rich_text": rich(text)} if text else {}) | more
    return {"object": "block", "id": id, "type": kind, "has_children": has_children, kind: held}


class NotionServer:
    """Answers like https://api.notion.com/v1, two entries a page."""

    def __init__(self) -> None:
        self.pages: dict[str, dict[str, Any]] = {}
        self.hidden: set[str] = set()  # not listed by the search
        self.blocks: dict[str, list[dict[str, Any]]] = {}
        self.asked: Counter[str] = Counter()
        self.refusals = 0
        self.token = "secret_x"

    def put(self, key: str, title: str, edited: str, blocks: list[dict[str, Any]]) -> None:
        name = {"Name": {"id": "title", "type": "title", "title": rich(title)}}
        kind = {"Area": {"id": "a", "type": "select", "select": {"name": "Orders"}}}
        self.pages[key] = {
            "object": "page",
            "id": key,
            "last_edited_time": edited,
            "archived": False,
            "in_trash": False,
            "properties": name | kind,
            "url": f"https://www.notion.so/{key}",
        }
        self.blocks[key] = blocks

    async def answer(self, request: web.Request) -> web.Response:
        self.asked[request.path] += 1
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return reply({"object": "error", "status": 401, "code": "unauthorized"}, 401)
        assert request.headers["Notion-Version"] == "2022-06-28"
        if self.refusals:
            self.refusals -= 1
            return reply({"object": "error", "status": 429, "code": "rate_limited"}, 429, {"Retry-After": "2"})
        parts = request.path.strip("/").split("/")
        if parts[1:] == ["search"]:
            body = await request.json()
            assert body["filter"] == {"property": "object", "value": "page"}
            listed = [page for key, page in self.pages.items() if key not in self.hidden]
            return self._list(listed, body.get("start_cursor"))
        if parts[1] == "pages":
            page = self.pages.get(parts[2])
            return reply(page) if page else reply({"object": "error", "code": "object_not_found"}, 404)
        if parts[1] == "databases":
            return self._list(list(self.pages.values())[:1], (await request.json()).get("start_cursor"))
        return self._list(self.blocks.get(parts[2], []), request.query.get("start_cursor"))

    def _list(self, entries: list[dict[str, Any]], cursor: str | None) -> web.Response:
        at = int(cursor or 0)
        more = len(entries) > at + 2
        told = {"object": "list", "results": entries[at : at + 2], "has_more": more}
        return reply(told | {"next_cursor": str(at + 2) if more else None})


@pytest.fixture
def notion() -> NotionServer:
    made = NotionServer()
    cells = [
        {"object": "block", "id": f"r{n}", "type": "table_row", "table_row": {"cells": row}}
        for n, row in enumerate([[rich("Country"), rich("Days")], [rich("Austria"), rich("3")]])
    ]
    made.blocks |= {"t": cells, "l": [block("paragraph", "l1", "by post")]}
    made.put(
        "p1",
        "Returns",
        "2023-01-01T10:00:00.000Z",
        [
            block("heading_2", "h", "How"),
            block("numbered_list_item", "l", "Send it", has_children=True),
            block("numbered_list_item", "m", "Wait"),
            block("table", "t", has_children=True, table_width=2),
            block("unsupported", "u"),
        ],
    )
    made.put("p2", "Shipping", "2023-01-01T10:00:00.000Z", [block("paragraph", "x", "To Austria.")])
    made.put("p3", "Hours", "2023-01-01T10:00:00.000Z", [block("callout", "y", "Nine to five.")])
    return made


async def test_notion_pages_become_markdown(notion: NotionServer, tmp_path: Path) -> None:
    """Lists nest, tables are tables, properties are lines, every page of every list is asked for."""
    async with serving(notion.answer) as url, asking() as asker:
        source = settings("notion")
        origin = NotionOrigin(source, asker, FastClock(), lambda _: "secret_x", url)
        found = [step for step in await steps(origin) if isinstance(step, Fresh)]
    assert [step.page.title for step in found if step.page] == ["Returns", "Shipping", "Hours"]
    assert found[0].page is not None
    assert found[0].page.text == (
        "- Area: Orders\n\n## How\n\n1. Send it\n  by post\n1. Wait\n\n| Country | Days |\n|---|---|\n| Austria | 3 |"
    )


async def test_notion_is_asked_only_for_what_was_edited(notion: NotionServer, tmp_path: Path) -> None:
    """And a page that the search has left out is looked for before it is taken for gone."""
    async with serving(notion.answer) as url, asking() as asker:
        source, clock = settings("notion"), FastClock()

        async def again() -> SourceReport:
            return await sync(source, NotionOrigin(source, asker, clock, lambda _: "secret_x", url), tmp_path)

        assert (await again()).added == ["p1", "p2", "p3"]
        notion.asked.clear()
        assert (await again()).is_quiet
        assert not any("blocks" in path for path in notion.asked)
        notion.hidden.add("p3")
        assert (await again()).is_quiet
        notion.put("p2", "Shipping", "2023-02-01T10:00:00.000Z", [block("paragraph", "x", "To Poland.")])
        del notion.pages["p3"]
        report = await again()
    assert (report.changed, report.removed) == (["p2"], ["p3"])


async def test_notion_s_pace_and_refusals_are_minded(notion: NotionServer, tmp_path: Path) -> None:
    """Three requests a second, Retry-After waited for, a wrong token named with its mend, and access lost takes nothing away."""
    async with serving(notion.answer) as url, asking() as asker:
        source, clock = settings("notion"), FastClock()
        notion.refusals = 2
        origin = NotionOrigin(source, asker, clock, lambda _: "secret_x", url)
        assert (await sync(source, origin, tmp_path)).failure == ""
        assert sum(wait >= 1.9 for wait in clock.slept) == 2
        assert sum(wait > PAUSE_S / 2 for wait in clock.slept) > 5
        refused = await sync(source, NotionOrigin(source, asker, clock, lambda _: "old", url), tmp_path)
        assert "401" in refused.failure
        assert "token" in refused.mend
        notion.pages.clear()
        lost = await sync(source, NotionOrigin(source, asker, clock, lambda _: "secret_x", url), tmp_path)
        assert "shared" in lost.failure
        assert "old" not in str(refused)
    assert len(marks(source, tmp_path)) == 3


# --- Google Drive --------------------------------------------------------------------------------------------------------

DOC, DIR = "application/vnd.google-apps.document", "application/vnd.google-apps.folder"


class DriveServer:
    """Answers like www.googleapis.com/drive/v3 and oauth2.googleapis.com, two files a page."""

    def __init__(self, folder: Path) -> None:
        key = rsa.generate_private_key(65537, 2048)
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        self.public = key.public_key()
        self.pem = pem.decode()
        self.key_file = folder / "key.json"
        self.url = ""
        self.files: dict[str, dict[str, Any]] = {"root1": {"id": "root1", "name": "Help", "mimeType": DIR, "in": ""}}
        self.data: dict[str, bytes] = {}
        self.tokens = 0
        self.limited = 1
        self.loads: Counter[str] = Counter()

    def serve_at(self, url: str) -> None:
        self.url = url
        held = {"type": "service_account", "client_email": "bot@x.iam.gserviceaccount.com", "private_key_id": "k1"}
        self.key_file.write_text(json.dumps(held | {"private_key": self.pem, "token_uri": f"{url}/token"}))

    def put(self, id: str, name: str, kind: str, data: bytes, inside: str = "root1", at: str = "1") -> None:  # noqa: A002
        shown = f"https://docs.google.com/document/d/{id}/edit"
        self.files[id] = {
            "id": id,
            "name": name,
            "mimeType": kind,
            "modifiedTime": at,
            "webViewLink": shown,
            "in": inside,
        }
        self.data[id] = data

    async def answer(self, request: web.Request) -> web.Response:
        if request.path == "/token":
            return await self._token(request)
        if request.headers.get("Authorization") != f"Bearer t{self.tokens}":
            return reply({"error": {"code": 401}}, 401)
        if self.limited:
            self.limited -= 1
            reasons = [{"domain": "usageLimits", "reason": "userRateLimitExceeded"}]
            return reply({"error": {"code": 403, "errors": reasons}}, 403)
        parts = request.path.removeprefix("/drive/v3/files").strip("/").split("/")
        if parts == [""]:
            return self._list(request)
        file = self.files.get(parts[0])
        if file is None:
            return reply({"error": {"code": 404}}, 404)
        if parts[1:] == ["export"]:
            assert file["mimeType"] == DOC
            assert request.query["mimeType"] == "text/markdown"
        elif request.query.get("alt") != "media":
            return reply(file)
        self.loads[parts[0]] += 1
        return web.Response(body=self.data[parts[0]], content_type="application/octet-stream")

    async def _token(self, request: web.Request) -> web.Response:
        form = await request.post()
        assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
        told = jwt.decode(str(form["assertion"]), self.public, ["RS256"], audience=f"{self.url}/token")
        assert told["scope"] == "https://www.googleapis.com/auth/drive.readonly"
        assert told["exp"] - told["iat"] <= 3600
        self.tokens += 1
        return reply({"access_token": f"t{self.tokens}", "expires_in": 3599, "token_type": "Bearer"})

    def _list(self, request: web.Request) -> web.Response:
        folder = request.query["q"].split("'")[1]
        assert request.query["supportsAllDrives"] == "true"
        inside = [file for file in self.files.values() if file["in"] == folder]
        at = int(request.query.get("pageToken", 0))
        following = {"nextPageToken": str(at + 2)} if len(inside) > at + 2 else {}
        return reply({"files": inside[at : at + 2], "incompleteSearch": False} | following)


async def test_drive_is_read_with_a_service_account(tmp_path: Path, room: ReadingRoom) -> None:
    """Folders within, Google's documents exported, other files loaded, what cannot be read named; later only what has changed."""
    drive = DriveServer(tmp_path)
    drive.put("doc001", "Returns", DOC, b"# Returns\n\nWithin thirty days.")
    drive.put("dir001", "More", DIR, b"")
    drive.put("txt001", "hours.txt", "text/plain", b"Nine to five.", "dir001")
    drive.put("csv001", "prices.csv", "text/csv", b"Item,Price\nBag,12\n", "dir001")
    drive.put("png001", "logo.png", "image/png", b"x")
    drive.put("loop01", "Loop", DIR, b"", "dir001")
    async with serving(drive.answer) as url, asking() as asker:
        drive.serve_at(url)
        source = settings("drive", folder="root1", key_file=str(drive.key_file))

        async def again() -> SourceReport:
            return await sync(source, DriveOrigin(source, asker, room, FastClock(), url), tmp_path)

        first = await again()
        assert (sorted(first.added), first.failure) == (["csv001", "doc001", "txt001"], "")
        assert first.passed == ["logo.png: is image/png, which is not read"]
        assert "| Bag | 12 |" in "".join(texts(source, tmp_path).values())
        drive.loads.clear()
        assert (await again()).is_quiet
        assert not drive.loads
        drive.put("doc001", "Returns", DOC, b"# Returns\n\nWithin sixty days.", at="2")
        del drive.files["txt001"]
        report = await again()
        assert (report.changed, report.removed) == (["doc001"], ["txt001"])
        del drive.files["root1"]
        lost = await again()
    assert "not shared" in lost.failure
    assert len(texts(source, tmp_path)) == 2


# --- YouTube -------------------------------------------------------------------------------------------------------------


async def test_captions_are_read_by_people_before_machines(tmp_path: Path) -> None:
    """In the wanted language, as paragraphs with their times; a playlist is listed page by page; a video that is gone goes."""
    gone: set[str] = set()

    async def answer(request: web.Request) -> web.Response:
        if request.path == "/youtube/v3/playlistItems":
            assert request.query["key"] == "k"
            items = [{"contentDetails": {"videoId": f"aaaaaaaaaa{n}"}} for n in (1, 2)]
            first = int(request.query.get("pageToken", 0))
            return reply({"items": items[first : first + 1]} | ({"nextPageToken": "1"} if first == 0 else {}))
        if request.path == "/youtubei/v1/player":
            video = (await request.json())["videoId"]
            if video in gone:
                return reply({"playabilityStatus": {"status": "ERROR", "reason": "This video is unavailable"}})
            tracks = [
                {"baseUrl": f"{at}/api/timedtext?v={video}&k={n}", "languageCode": code, **kind}
                for n, (code, kind) in enumerate([("de", {}), ("en", {"kind": "asr"}), ("en-GB", {})])
            ]
            return reply(
                {
                    "playabilityStatus": {"status": "OK"},
                    "videoDetails": {"title": f"Film {video[-1]}"},
                    "captions": {"playerCaptionsTracklistRenderer": {"captionTracks": tracks}},
                }
            )
        assert (request.query["fmt"], request.query["k"]) == ("json3", "2")
        said = [(0, "Open the"), (2_000, "box."), (50_000, "Then wait.")]
        return reply({"events": [{"tStartMs": ms, "segs": [{"utf8": text}]} for ms, text in said]})

    async with serving(answer) as at, asking() as asker:
        source = settings("youtube", playlist="PL1", languages=("en",))

        def origin() -> YoutubeOrigin:
            return YoutubeOrigin(source, asker, FastClock(), lambda _: "k", at, at)

        assert (await sync(source, origin(), tmp_path)).added == ["aaaaaaaaaa1", "aaaaaaaaaa2"]
        kept = next(iter(texts(source, tmp_path).values()))
        assert "(0:00) Open the box.\n\n(0:50) Then wait." in kept
        assert "title: Film 1\nurl: https://www.youtube.com/watch?v=aaaaaaaaaa1\nlanguage: en" in kept
        assert (await sync(source, origin(), tmp_path)).is_quiet
        gone.add("aaaaaaaaaa2")
        assert (await sync(source, origin(), tmp_path)).removed == ["aaaaaaaaaa2"]


async def test_being_taken_for_a_bot_takes_nothing_away(tmp_path: Path) -> None:
    async def answer(request: web.Request) -> web.Response:
        reason = "Sign in to confirm you’re not a bot"
        return reply({"playabilityStatus": {"status": "LOGIN_REQUIRED", "reason": reason}})

    async with serving(answer) as at, asking() as asker:
        source = settings("youtube", videos=("https://youtu.be/aaaaaaaaaa1",))
        report = await sync(source, YoutubeOrigin(source, asker, FastClock(), lambda _: "", at, at), tmp_path)
    assert "bot" in report.failure
    assert report.mend


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("https://www.youtube.com/watch?v=dQw4w9WgXcQ&t=3", "dQw4w9WgXcQ"),
        ("https://youtu.be/dQw4w9WgXcQ", "dQw4w9WgXcQ"),
        ("https://m.youtube.com/shorts/dQw4w9WgXcQ", "dQw4w9WgXcQ"),
        ("dQw4w9WgXcQ", "dQw4w9WgXcQ"),
        ("https://evil.example/watch?v=dQw4w9WgXcQ", ""),
        ("../../etc", ""),
    ],
)
def test_videos_are_known_by_their_addresses(text: str, found: str) -> None:
    assert video_id(text) == found
