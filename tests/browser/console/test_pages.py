"""Pages beside the inbox, and what is remembered, in a real browser."""

import re
from typing import Any

from playwright.async_api import FilePayload, Page, expect

from tests.browser.console.conftest import sign_in
from tests.browser.console.screenshots import MEMORY, PERSON, QUESTION, RECEIPT, furnish, shelve
from tests.browser.console.server import Json, Server, context, entry

BEN: Json = {"stage": "active", "owner": "op-ben.miller", "operator": {"id": "op-ben.miller", "name": "ben.miller"}}


async def test_a_wrong_fact_is_forgotten_from_beside_the_conversation(page: Page, server: Server) -> None:
    server.put("c1", entry(1, "user", "I am on Pro"), around=context(memory=MEMORY), **BEN)
    await sign_in(page, server, at="#/c1")
    about = page.get_by_role("complementary")
    await expect(about).to_contain_text("Before: Basic")
    await expect(about).to_contain_text("Linked accounts")
    await page.get_by_role("button", name="Forget: Pro").click()
    await page.get_by_role("button", name="Forget it").click()
    assert await server.asked("facts/forget") == {"conversation": "c1", "fact": "f1"}
    await server.say("c1", entry(2, "user", "Hello"), context=context())
    await expect(about.get_by_text("Before: Basic")).to_have_count(0)


async def test_a_reply_may_be_a_file_alone(page: Page, server: Server) -> None:
    server.put("c1", entry(1, "user", "Hello"), **BEN)
    await sign_in(page, server, at="#/c1")
    await page.locator("input[type=file]").set_input_files(FilePayload(name="a.png", mimeType="image/png", buffer=b"x"))
    await page.get_by_role("button", name="Send reply").click()
    told = await server.asked("command")
    assert (told["line"], told["attachments"]) == ("!reply ", ["b-1"])


async def test_a_person_is_erased_after_a_typed_word_and_the_receipt_is_shown(page: Page, server: Server) -> None:
    server.persons["i1"], server.receipt = PERSON, RECEIPT
    await sign_in(page, server, at="#/~user/i1")
    link = page.get_by_role("link", name="Export")
    await expect(link).to_have_attribute("href", "/console/api/users/3f9a01c2/export")
    await page.get_by_role("button", name="Erase…").click()
    sheet = page.get_by_role("dialog")
    await sheet.get_by_label("Why").fill("request 114")
    await sheet.get_by_label("Your password").fill("correct horse")
    await sheet.get_by_label("A new code").fill("123456")
    await sheet.get_by_label("Write").fill("erase somebody")
    await sheet.get_by_role("button", name="Erase for good").click()
    await expect(sheet.get_by_role("alert")).to_contain_text("erase 3f9a01")
    assert server.posts("prove") == []
    await sheet.get_by_label("Write").fill("erase 3f9a01")
    await sheet.get_by_role("button", name="Erase for good").click()
    await expect(page.get_by_role("heading", name="Receipt")).to_be_visible()
    await expect(page.get_by_text("erased:4711abcd")).to_be_visible()
    assert server.posts("users/3f9a01c2/erase") == [{"reason": "request 114", "typed": "erase 3f9a01"}]


async def test_under_a_legal_hold_nothing_can_be_erased_and_the_page_says_why(page: Page, server: Server) -> None:
    hold = {"identity": "i1", "reason": "court 4 B 17", "since_ms": 0, "asked_ms": 0}
    server.persons["i1"] = {**PERSON, "holds": [hold]}
    await sign_in(page, server, at="#/~user/i1")
    await expect(page.get_by_text("court 4 B 17")).to_be_visible()
    await expect(page.get_by_role("button", name="Erase…")).to_be_disabled()


async def test_an_agent_is_offered_neither_export_nor_uploads(page: Page, server: Server) -> None:
    furnish(server)
    await sign_in(page, server, "carla", at="#/c1")
    await expect(page.get_by_role("complementary")).to_contain_text("Ana Berg")
    await expect(page.get_by_role("link", name="Export or erase")).to_have_count(0)
    await page.get_by_role("link", name="Knowledge").click()
    await expect(page.get_by_text("Warranty terms")).to_be_visible()
    await expect(page.get_by_role("button", name="Choose files")).to_have_count(0)
    await expect(page.get_by_role("button", name=re.compile("Delete"))).to_have_count(0)


def file(name: str, data: bytes) -> FilePayload:
    return FilePayload(name=name, mimeType="text/plain", buffer=data)


async def test_documents_are_uploaded_replaced_only_on_request_and_deleted(page: Page, server: Server) -> None:
    shelve(server)
    await sign_in(page, server, at="#/~knowledge")
    await page.get_by_label("For whom").fill("staff")
    await page.get_by_label("Language").fill("de")
    picker = page.locator(".knowledge input[type=file]")
    await picker.set_input_files(file("größe.md", b"# Words"))
    await expect(page.locator(".progress")).to_contain_text("größe.md is there")
    known: Any = {"name": "größe.md", "size_bytes": 7, "audience": "staff", "language": "de"}
    assert await server.asked("knowledge/upload") == known
    await picker.set_input_files(file("größe.md", b"# Other words"))
    await page.get_by_role("button", name="Replace it").click()
    assert (await server.asked("knowledge/upload", 3))["size_bytes"] == 13
    await picker.set_input_files(file("bad.pdf", b"%PDF"))
    await expect(page.locator(".progress .failed")).to_contain_text("it is damaged")
    await page.get_by_role("button", name="Delete größe.md").click()
    await page.get_by_role("dialog").get_by_role("button", name="Delete", exact=True).click()
    assert await server.asked("knowledge/delete") == {"name": "größe.md"}
    await expect(page.get_by_role("button", name="Delete größe.md")).to_have_count(0)


async def test_a_question_shows_what_it_finds(page: Page, server: Server) -> None:
    shelve(server)
    await sign_in(page, server, at="#/~knowledge")
    await page.get_by_label("What does a question find?").fill(QUESTION)
    await page.keyboard.press("Enter")
    await expect(page.locator(".found")).to_contain_text("Returns and refunds")
    await expect(page.locator(".found")).to_contain_text("Not literally: lamp")
