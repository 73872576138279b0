"""A scripted server of the console and a real one, and pages that are signed in to them."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from bot.console.admission import COOKIE
from tests.browser.console.server import Server
from tests.console.desk import Desk, opened_desk


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with Server() as server:
        yield server


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with opened_desk(tmp_path / "data") as desk:
        yield desk


async def sign_in(page: Page, server: Server, name: str = "ben.miller", at: str = "") -> None:
    """Signs in by the form and waits for the inbox and the socket."""
    screens = len(server.screens)
    await page.goto(f"{server.url}/console{at}")
    await page.get_by_label("Name").fill(name)
    await page.get_by_label("Password").fill("correct horse")
    await page.get_by_label("Code from your authenticator").fill("123 456")
    await page.keyboard.press("Enter")
    await expect(page.locator(".inbox")).to_be_attached()
    await server.until(lambda: len(server.screens) > screens)


async def another(browser: Browser, server: Server, name: str, at: str = "") -> Page:
    """A second console, of somebody else. Close its context."""
    context = await browser.new_context(viewport={"width": 1440, "height": 900}, locale="en-GB", timezone_id="UTC")
    context.set_default_timeout(10_000)
    page = await context.new_page()
    await sign_in(page, server, name, at)
    return page


async def enter(page: Page, desk: Desk, role: str = "agent", at: str = "") -> None:
    """Opens the real console as Ann, with a session that she has already."""
    inside = await desk.signed_in("ann", role)
    await page.context.add_cookies([{"name": COOKIE, "value": inside.token, "domain": "127.0.0.1", "path": "/console"}])
    await page.goto(f"{desk.url}/console{at}")
