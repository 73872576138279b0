"""The page of gaps before the real server of the console, a real database and real files."""

import pytest
from playwright.async_api import Page, expect

from bot.knowledge.recalls import queue
from bot.model import Author
from tests.browser.console.conftest import enter
from tests.console.desk import Desk
from tests.gaps.kit import Asking

GAPS = "#/~gaps"
QUESTION = "Do you deliver pianos to Iceland?"


async def asked(desk: Desk) -> str:
    """A question without an answer, which a colleague has answered."""
    asking = Asking(desk.house, {})
    asking.people = desk.people
    talk = await asking.unanswered("Ada", QUESTION)
    await desk.people.say(talk, "Yes: by ship, in six weeks.", Author.OPERATOR)
    return talk


async def test_one_click_drafts_a_document_and_another_adds_it(desk: Desk, page: Page) -> None:
    """From the list to a file among the uploads, with what a person made of the draft."""
    await asked(desk)
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda line: problems.append(line.text) if line.type == "error" else None)
    await enter(page, desk, "admin", GAPS)
    await expect(page.get_by_role("link", name="Gaps")).to_have_attribute("aria-current", "page")
    await expect(page.locator(".gap")).to_contain_text(QUESTION)
    await expect(page.locator(".gap")).to_contain_text("Asked once")
    await page.get_by_role("button", name="Draft a document").click()
    text = page.get_by_label("Text (Markdown)")
    await expect(text).to_have_value("Yes: by ship, in six weeks.")
    await expect(page.get_by_text("No agent reads it until you add it.")).to_be_visible()
    assert not (desk.house.data / "knowledge" / "uploads").exists()
    await text.fill("Yes: by ship, in seven weeks.")
    await page.get_by_role("link", name="All gaps").click()
    await page.get_by_role("button", name="Open the draft").click()
    await expect(text).to_have_value("Yes: by ship, in seven weeks.")  # what was typed stays
    await page.get_by_label("Title").fill("Pianos to Iceland")
    await page.get_by_role("button", name="Add to knowledge").click()
    await expect(page.get_by_text("No gaps: what was asked was answered.")).to_be_visible()
    await expect(page.get_by_text("Agents find it within seconds.")).to_be_visible()
    (file,) = (desk.house.data / "knowledge" / "uploads").iterdir()
    assert file.read_text() == "# Pianos to Iceland\n\nYes: by ship, in seven weeks.\n"
    assert ("gap accepted", file.name) in [(row[1], row[3]) for row in await desk.house.audited()]
    assert problems == []


async def test_a_conversation_is_one_click_away_and_a_gap_can_be_closed(desk: Desk, page: Page) -> None:
    await asked(desk)
    await enter(page, desk, "admin", GAPS)
    await page.get_by_role("link", name="Conversation 1").click()
    await expect(page.locator(".entry", has_text=QUESTION)).to_be_visible()
    await page.get_by_role("link", name="Gaps").click()
    await page.get_by_role("button", name="Nothing to write").click()
    await expect(page.get_by_text("No gaps: what was asked was answered.")).to_be_visible()


async def test_who_may_not_manage_knowledge_sees_gaps_and_changes_nothing(desk: Desk, page: Page) -> None:
    """On the page, and by the routes themselves."""
    await asked(desk)
    await enter(page, desk, "agent", GAPS)
    await expect(page.locator(".gap")).to_contain_text(QUESTION)
    await expect(page.get_by_role("button", name="Draft a document")).to_have_count(0)
    agent = await desk.signed_in("ben", "agent")
    id_ = (await agent.get("gaps"))[1]["gaps"][0]["id"]
    for path, body in (
        ("gaps/draft", {"id": id_}),
        ("gaps/accept", {"id": id_, "title": "x", "text": "x"}),
        ("gaps/close", {"id": id_}),
    ):
        status, told = await agent.post(path, body)
        assert (status, told["code"]) == (403, "not_allowed"), path
    viewer = await desk.signed_in("vic", "viewer")
    assert (await viewer.post("gaps/recalled", {"entry": "x"}))[0] == 403
    stranger = desk.page()
    assert (await stranger.get("gaps"))[0] == 401
    assert (await agent.get(f"gaps/{id_}"))[1]["state"] == "open"


async def test_who_was_told_what_stands_no_longer_waits_until_somebody_has_looked(desk: Desk, page: Page) -> None:
    talk = await desk.people.talk("Ada", text="How long?")
    told = {
        "conversation": talk,
        "is_current": False,
        "version": "v" * 64,
        "title": "Returns",
        "changed": ["- Thirty days.", "+ Fourteen days."],
        "passage": "p",
    }
    await desk.house.store.run(queue, "docs/returns.md", [told], desk.clock.now_ms())
    await enter(page, desk, "agent", GAPS)
    entry = page.locator(".gap", has_text="docs/returns.md has changed")
    await expect(entry).to_contain_text("+ Fourteen days.")
    await expect(entry.locator("p").first).to_have_css("white-space", "pre-wrap")  # each change on a line of its own
    await expect(entry.get_by_role("link", name="Open the conversation")).to_have_attribute("href", f"#/{talk}")
    await entry.get_by_role("button", name="Looked after").click()
    await expect(entry).to_have_count(0)
    rows = await desk.house.store.read("SELECT outcome, decided_by FROM queue")
    assert rows == [("happened", "ann")]


async def test_what_people_wrote_is_never_markup(desk: Desk, page: Page) -> None:
    asking = Asking(desk.house, {})
    asking.people = desk.people
    await asking.unanswered("Ada", "<img src=x onerror=alert(1)> pianos to Iceland?")
    await enter(page, desk, "admin", GAPS)
    await expect(page.locator(".gap")).to_contain_text("<img src=x onerror=alert(1)>")
    await expect(page.locator(".gap img")).to_have_count(0)


@pytest.mark.parametrize("width", [380, 768, 1440])
async def test_no_width_makes_it_scroll_sideways(desk: Desk, page: Page, width: int) -> None:
    await asked(desk)
    await page.set_viewport_size({"width": width, "height": 800})
    await enter(page, desk, "admin", GAPS)
    await page.get_by_role("button", name="Draft a document").click()
    await expect(page.get_by_label("Title")).to_be_visible()
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
