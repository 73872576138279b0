"""A visitor asks for their data in the widget, in a real browser at the real daemon, and saves the file from the chat."""

import json
import re
import shutil
from pathlib import Path

import pytest
from playwright.async_api import async_playwright, expect

from tests.browser.conftest import ARGUMENTS
from tests.users.test_own_copy import serving


async def test_the_file_appears_in_the_chat_and_is_saved_under_its_name(tmp_path: Path) -> None:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no chromium on this machine: install it to run the browser tests")
    async with serving(tmp_path) as (app, _), async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=Path(chromium), args=ARGUMENTS)
        page = await browser.new_page(locale="en-GB")
        await page.goto(f"http://127.0.0.1:{app.listeners.public_port}/")
        composer = page.get_by_role("textbox", name="Write a message")
        await composer.fill("Please send me a copy of my data.")
        await composer.press("Enter")
        file = page.locator(".rows a.file")
        await expect(file).to_contain_text("my-data.json")
        await expect(file).to_have_attribute("href", re.compile("^blob:"))
        async with page.expect_download() as saving:
            await file.click()
        saved = await saving.value
        assert saved.suggested_filename == "my-data.json"
        await saved.save_as(tmp_path / "saved.json")
        await browser.close()
    data = json.loads((tmp_path / "saved.json").read_text())
    assert [each["text"] for each in data["messages"]] == ["Please send me a copy of my data."]
