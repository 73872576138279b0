"""The console in a real Chromium, as an operator uses it: an invitation, a password and a second factor, then the inbox."""

import re
import time
from typing import Final

import pyotp
from playwright.async_api import FilePayload, Locator, Page, expect

from tests.operators.house import PASSWORD
from tests.platforms.reception import Reception
from tests.platforms.visitor import Chromium

STEP_S: Final = 30  # RFC 6238
_CODE: Final = re.compile(r"for one use within 24 hours: (\S+)")


class Console:
    """One operator's page."""

    def __init__(self, page: Page) -> None:
        self.page = page

    @classmethod
    async def signed_in(cls, house: Reception, chromium: Chromium, who: str) -> "Console":
        """Makes the account from an invitation and signs in to it. A code is good once, so the first is that of the step before."""
        printed = await house.command("operator", "invite", who)
        found = _CODE.search(printed)
        assert found is not None, printed
        url = f"http://127.0.0.1:{house.admin}/console"
        page = await chromium.page(f"{url}#/invite/{found[1]}", viewport={"width": 1440, "height": 900})
        await page.get_by_label("New password").fill(PASSWORD)
        await page.get_by_label("The same again").fill(PASSWORD)
        await page.keyboard.press("Enter")
        link = await page.get_by_role("link", name="Open in the authenticator").get_attribute("href")
        device = pyotp.parse_uri(link or "")
        assert isinstance(device, pyotp.TOTP)
        now = int(time.time())
        await page.get_by_label("Code that it shows now").fill(device.at(now - STEP_S))
        await page.keyboard.press("Enter")
        await expect(page.get_by_text("Your account is ready.")).to_be_visible()
        await page.get_by_label("Name").fill(who)
        await page.get_by_label("Password").fill(PASSWORD)
        await page.get_by_label("Code from your authenticator").fill(device.at(now))
        await page.keyboard.press("Enter")
        await expect(page.locator(".inbox")).to_be_attached()
        return cls(page)

    async def open(self, person: str, tab: str) -> None:
        """The conversation of that person, found under that tab."""
        await self.page.get_by_role("button", name=tab, exact=True).click()
        await self.page.locator(".row", has_text=person).first.click()
        await expect(self.page.get_by_role("heading", level=1)).to_contain_text(person)

    async def press(self, label: str) -> None:
        """One of the commands above the messages."""
        await self.page.locator(".actions").get_by_role("button", name=label).first.click()

    async def fill(self, label: str, text: str, submit: str) -> None:
        """A command that asks for a text."""
        await self.press(label)
        dialog = self.page.get_by_role("dialog")
        await dialog.locator("textarea").fill(text)
        await dialog.get_by_role("button", name=submit, exact=True).click()

    async def reply(self, text: str, *, file: bytes | None = None, file_name: str = "") -> None:
        await self._write("Reply", text, file, file_name)

    async def note(self, text: str) -> None:
        await self._write("Private note", text, None, "")

    async def _write(self, tab: str, text: str, file: bytes | None, file_name: str) -> None:
        await self.page.get_by_role("tab", name=tab).click()
        if file is not None:
            payload = FilePayload(name=file_name, mimeType="image/png", buffer=file)
            await self.page.locator(".composer input[type=file]").set_input_files(payload)
            await expect(self.page.locator(".tray")).to_contain_text(file_name)
        box = self.page.get_by_role("textbox", name=tab)
        await box.fill(text)
        await self.page.locator(".composer .send").click()
        await expect(box).to_have_value("")

    def entry(self, word: str) -> Locator:
        """What stands in the conversation with this word."""
        return self.page.locator(".entry", has_text=word)
