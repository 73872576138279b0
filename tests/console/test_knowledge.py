"""The console's page about what the agents know: uploads are read before they are taken, found at once, and gone at once."""

import io
import os
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.config.knowledge_schema import Folder, Knowledge, uploads
from bot.console.shelf import Given, examined, sanitised
from bot.errors import Refused
from bot.knowledge.library import FolderKnowledge
from bot.knowledge.opening import roots
from bot.knowledge.reading.room import ReadingRoom
from bot.store.folder import INDEX
from tests.console.desk import Desk, Page

WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"


@pytest.fixture
async def admin(desk: Desk, tmp_path: Path) -> Page:
    """Signed in, over a folder with one document that is searchable."""
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "returns.md").write_text("# Returns\n\nYou can return a lamp within 30 days.\n", encoding="utf-8")
    handbook = Folder(kind="folder", name="handbook", path=docs)
    settings = Knowledge(paths=(), sources=(handbook,))
    desk.settings = replace(desk.settings, knowledge=settings)
    await desk.library.close()
    desk.library = FolderKnowledge(desk.house.data / INDEX, roots(settings, desk.house.data), desk.clock)
    await desk.library.sync()
    return await desk.signed_in("ada", "admin")


async def upload(page: Page, name: str, data: bytes, **said: str) -> tuple[int, Any]:
    headers = {"X-Name": quote(name), **{f"X-{key.title()}": quote(text) for key, text in said.items()}}
    return await page.post("knowledge/upload", data, headers=headers)


def word(text: str) -> bytes:
    """A Word file with one paragraph."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        types = '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>'
        archive.writestr("[Content_Types].xml", types)
        body = f'<w:document xmlns:w="{WORD}"><w:body><w:p><w:r><w:t>{text}</w:t></w:r></w:p></w:body></w:document>'
        archive.writestr("word/document.xml", body)
    return made.getvalue()


async def found(page: Page, question: str) -> list[str]:
    return [each["document"] for each in (await page.get(f"knowledge/why?q={quote(question)}"))[1]["found"]]


async def documents(page: Page) -> dict[str, Any]:
    return {each["shown"]: each for each in (await page.get("knowledge"))[1]["documents"]}


async def test_every_source_is_listed_with_its_documents(desk: Desk, admin: Page) -> None:
    told = (await admin.get("knowledge"))[1]
    assert [(each["name"], each["kind"], each["documents"]) for each in told["sources"]] == [
        ("handbook", "folder", 1),
        ("uploads", "uploads", 0),
    ]
    [document] = told["documents"]
    assert (document["title"], document["source"], document["is_searchable"]) == ("Returns", "handbook", True)
    assert (told["is_ready"], told["audiences"], document["file"]) == (True, ["staff"], "")


async def test_a_question_shows_what_it_finds_and_which_words_it_holds(desk: Desk, admin: Page) -> None:
    status, told = await admin.get(f"knowledge/why?q={quote('return the lamp to Oslo')}")
    assert (status, set(told["words"])) == (200, {"return", "lamp", "oslo"})
    assert (told["found"][0]["title"], told["found"][0]["lacks"]) == ("Returns", ["oslo"])


async def test_an_uploaded_document_is_found_at_once_and_gone_at_once(desk: Desk, admin: Page) -> None:
    status, kept = await upload(admin, "Warranty.md", b"# Warranty\n\nBatteries last nine winters.\n")
    assert (status, kept["shown"]) == (200, "Warranty.md")
    assert await found(admin, "how many winters do batteries last") == ["uploads/Warranty.md"]
    status, _, body = await admin.raw("/console/api/knowledge/files/Warranty.md")
    assert (status, body) == (200, b"# Warranty\n\nBatteries last nine winters.\n")
    assert (await admin.post("knowledge/delete", {"name": "Warranty.md"}))[0] == 200
    assert await found(admin, "how many winters do batteries last") == []
    ada = await desk.house.operators.named("ada")
    told = [each for each in await desk.house.audited() if each[1].startswith("document")]
    assert told == [(ada.id, "document uploaded", "Warranty.md", ""), (ada.id, "document deleted", "Warranty.md", "")]


async def test_a_word_file_is_known_by_its_text_and_given_back_as_it_came(desk: Desk, admin: Page) -> None:
    data = word("Batteries last nine winters.")
    status, kept = await upload(admin, "warranty.docx", data, audience="staff", language="de")
    assert (status, kept) == (200, {"name": "warranty.docx.md", "shown": "warranty.docx"})
    text = (uploads(desk.house.data) / "warranty.docx.md").read_text(encoding="utf-8")
    assert "language: de\naudience: staff\n" in text
    question = "how many winters do batteries last"
    assert await found(admin, question) == ["uploads/warranty.docx.md"]
    assert not await desk.library.search(question)  # an agent for everybody does not hear it
    assert await desk.library.search(question, audiences=("staff",), language="de")
    assert (await admin.raw("/console/api/knowledge/files/warranty.docx.md"))[2] == data
    await admin.post("knowledge/delete", {"name": "warranty.docx.md"})
    assert [path for path in uploads(desk.house.data).rglob("*") if path.is_file()] == []


async def test_what_was_chosen_for_a_text_goes_before_what_it_says_itself(desk: Desk, admin: Page) -> None:
    await upload(
        admin, "hours.md", b"---\ntitle: Hours\naudience: partners\n---\n# Open\n\nFrom nine.\n", audience="staff"
    )
    text = (uploads(desk.house.data) / "hours.md").read_text(encoding="utf-8")
    assert text == "---\ntitle: Hours\naudience: staff\n---\n# Open\n\nFrom nine.\n"


async def test_nothing_is_overwritten_without_asking(desk: Desk, admin: Page) -> None:
    await upload(admin, "hours.md", b"# Open\n\nFrom nine.\n")
    status, refusal = await upload(admin, "Hours.md", b"# Open\n\nFrom ten.\n")
    assert (status, refusal["code"]) == (409, "exists")
    assert (uploads(desk.house.data) / "hours.md").read_bytes() == b"# Open\n\nFrom nine.\n"
    status, _ = await upload(admin, "hours.md", b"# Open\n\nFrom ten.\n", replace="1")
    assert (status, (uploads(desk.house.data) / "hours.md").read_bytes()) == (200, b"# Open\n\nFrom ten.\n")
    assert [each[1] for each in await desk.house.audited()][-1] == "document replaced"


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("photo.md", b"\x89PNG\r\n\x1a\n\x00\x00", "no Markdown, text, HTML, PDF or Word file"),
        ("tool.exe", b"MZ\x90\x00", "no Markdown, text, HTML, PDF or Word file"),
        ("broken.pdf", b"%PDF-1.7\nnothing of it is one", "was not taken"),
        ("broken.docx", b"PK\x03\x04 word/document.xml", "was not taken"),
        ("empty.md", b"\n\n", "holds no text"),
        ("blank.docx", word(""), "holds no text"),
    ],
)
async def test_a_file_that_cannot_be_read_is_not_taken_and_the_reason_is_told(
    desk: Desk, admin: Page, name: str, data: bytes, says: str
) -> None:
    status, refusal = await upload(admin, name, data)
    assert (status >= 400, says in refusal["detail"]) == (True, True), refusal
    assert not uploads(desk.house.data).exists() or os.listdir(uploads(desk.house.data)) == []
    assert "document uploaded" not in {each[1] for each in await desk.house.audited()}


async def test_the_content_says_what_a_file_is_and_not_its_name(desk: Desk, admin: Page) -> None:
    assert (await upload(admin, "notes.docx", b"Plain words about nothing.\n"))[1]["name"] == "notes.docx.txt"
    assert (await upload(admin, "page.txt", b"<!doctype html><title>A</title><p>Words</p>"))[1][
        "name"
    ] == "page.txt.html"
    assert (await upload(admin, "hidden.txt", word("Words of a paragraph")))[1]["name"] == "hidden.txt.docx.md"


async def test_f85_a_name_never_leads_out_of_the_folder(desk: Desk, admin: Page) -> None:
    status, kept = await upload(admin, "../../config.md", b"# Words\n\nof a document\n")
    assert (status, kept["name"]) == (200, "config.md")
    for name in ("../returns.md", "..%2freturns.md", ".originals", "", "/etc/passwd", ".draft-x.md"):
        assert (await admin.post("knowledge/delete", {"name": name}))[0] in (400, 404)
    assert (await admin.raw("/console/api/knowledge/files/..%2F..%2Ffrontdesk.db"))[0] == 404
    assert await found(admin, "return a lamp")


@given(st.text(max_size=300))
def test_f85_every_name_becomes_one_that_is_no_path_and_not_hidden(name: str) -> None:
    made = sanitised(name)
    assert made == sanitised(made)
    assert 0 < len(made.encode()) <= 255
    assert not made.startswith(".")
    assert not set(made) & set('/\\\0"<>|')


@pytest.mark.parametrize("role", ["viewer", "agent", "approver", "auditor"])
async def test_f86_only_an_admin_changes_what_the_agents_know(desk: Desk, admin: Page, role: str) -> None:
    await upload(admin, "hours.md", b"# Open\n\nFrom nine.\n")
    page = await desk.signed_in("ann", role)
    assert (await upload(page, "other.md", b"# Words\n"))[0] == 403
    assert (await page.post("knowledge/delete", {"name": "hours.md"}))[0] == 403
    assert (await page.raw("/console/api/knowledge/files/hours.md"))[0] == 403
    assert "hours.md" in await documents(page)


async def test_while_everything_is_read_for_the_first_time_that_is_what_is_told(desk: Desk) -> None:
    page = await desk.signed_in()
    told = (await page.get("knowledge"))[1]
    assert (told["is_ready"], [each["name"] for each in told["sources"]]) == (False, ["uploads"])
    assert (await page.get("knowledge/why?q=lamp"))[0] == 400


def test_a_text_that_is_too_long_to_be_read_is_not_taken() -> None:
    with pytest.raises(Refused, match="larger than 5 MB"):
        examined(Given("long.txt"), b"word " * 1_100_000, ReadingRoom())
