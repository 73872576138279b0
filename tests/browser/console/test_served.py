"""The pages before the real server of the console and a real database: both keep to one protocol."""

import asyncio

import pyotp
from playwright.async_api import FilePayload, Locator, Page, expect

from bot.handoff.commands import Command, Kind
from bot.model import Author, Citation, PassageId
from tests.browser.console.conftest import enter
from tests.browser.console.server import PNG
from tests.console.desk import Desk
from tests.operators.house import BY, PASSWORD

WAIT_S = 10.0


async def shown(desk: Desk, what: Locator) -> None:
    """Lets the server's time go on until the page shows it."""
    async with asyncio.timeout(WAIT_S):
        while not await what.count():
            await desk.clock.advance(0.05)


async def test_an_invitation_becomes_an_account_that_signs_in(desk: Desk, page: Page) -> None:
    """From the link to the inbox, with a real password and a real second factor."""
    await desk.house.add("ann")
    code = await desk.house.operators.invite_code("ann", by=BY)
    await page.goto(f"{desk.url}/console#/invite/{code}")
    await page.get_by_label("New password").fill(PASSWORD)
    await page.get_by_label("The same again").fill(PASSWORD)
    await page.keyboard.press("Enter")
    link = await page.get_by_role("link", name="Open in the authenticator").get_attribute("href")
    device = pyotp.parse_uri(link or "")
    assert isinstance(device, pyotp.TOTP)
    await page.get_by_label("Code that it shows now").fill(device.at(desk.clock.now_ms() // 1000))
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("Your account is ready.")).to_be_visible()
    await desk.clock.advance(31)
    await page.get_by_label("Name").fill("ann")
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_label("Code from your authenticator").fill(device.at(desk.clock.now_ms() // 1000))
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("Nobody waits.")).to_be_visible()


async def test_a_conversation_is_read_followed_and_answered(desk: Desk, page: Page) -> None:
    """Row, messages, a cited passage, what comes while one looks, a file and a reply."""
    talk = await desk.people.talk("Ana Berg", text="When do you open?")
    cited = (Citation(1, PassageId("docs/hours.md#1"), "Opening hours", ""),)
    await desk.people.say(talk, "At nine [1].", Author.AGENT, citations=cited)
    await enter(page, desk)
    await page.get_by_role("button", name="All", exact=True).click()
    await page.locator(".row", has_text="Ana Berg").click()
    await expect(page.locator(".entry")).to_have_count(2)
    await page.get_by_role("button", name="Source 1: Opening hours").first.click()
    await expect(page.get_by_role("dialog", name="Opening hours")).to_contain_text("We open at nine.")
    await page.keyboard.press("Escape")
    await desk.people.say(talk, "And on Sunday?", name="Ana Berg")
    desk.feed.touch(talk)
    await shown(desk, page.locator(".entry", has_text="And on Sunday?"))
    await page.locator("input[type=file]").set_input_files(
        FilePayload(name="plan.png", mimeType="image/png", buffer=PNG)
    )
    await expect(page.locator(".tray")).to_contain_text(f"{len(PNG)} B")
    await page.locator("h1").focus()
    await page.keyboard.press("r")
    reply = page.get_by_role("textbox", name="Reply")
    await expect(page.locator(".goes")).to_contain_text("Goes to Ana Berg on web chat.")
    await reply.fill("Closed on Sundays.")
    await page.get_by_role("button", name="Send reply").click()
    await expect(reply).to_have_value("")
    assert [(act.operator, act.conversation, act.command) for act in desk.works.acts] == [
        ("ann", talk, Command(Kind.REPLY, "Closed on Sundays."))
    ]


async def test_whose_sessions_are_ended_is_shown_out(desk: Desk, page: Page) -> None:
    """Within a minute the open page ends, and shows nothing of what it had."""
    talk = await desk.people.talk("Ana Berg", text="Confidential")
    await enter(page, desk, at=f"#/{talk}")
    await expect(page.locator(".entry", has_text="Confidential")).to_be_visible()
    async with asyncio.timeout(WAIT_S):
        while not list(desk.console.hub.screens()):
            await desk.clock.advance(0.05)
    await desk.house.signing.end_sessions("ann", by=BY)
    await desk.clock.advance(61)
    await desk.console.recheck()
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    await expect(page.get_by_text("Confidential")).to_have_count(0)
