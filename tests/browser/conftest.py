"""A browser for the tests: one Chromium per test module's loop, one fresh context (storage, cookies) per test."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, BrowserContext, Page, async_playwright, expect

from tests.browser.scripted import Desk

ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
expect.set_options(timeout=10_000)


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """The system's Chromium; skips where there is none."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("no chromium on this machine: install it to run the browser tests")
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=Path(path), args=ARGUMENTS)
        yield chromium
        await chromium.close()


@pytest.fixture
async def page(browser: Browser) -> AsyncIterator[Page]:
    """A page in a context of its own, 1280 by 800, English, with time to the minute in UTC."""
    context = await browser.new_context(viewport={"width": 1280, "height": 800}, locale="en-GB", timezone_id="UTC")
    context.set_default_timeout(10_000)
    yield await context.new_page()
    await context.close()


@pytest.fixture
async def context_still(browser: Browser) -> AsyncIterator[BrowserContext]:
    """A context of somebody who asked for reduced motion."""
    context = await browser.new_context(reduced_motion="reduce", locale="en-GB")
    yield context
    await context.close()


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    """The scripted server, started."""
    async with Desk() as desk:
        yield desk
