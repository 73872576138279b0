"""Customers as the checks of handoffs know them: somebody on a platform, or a visitor whose page is open in a real Chromium."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from playwright.async_api import Browser, FilePayload, Page, Playwright, async_playwright, expect

from tests.browser.conftest import ARGUMENTS
from tests.platforms.kit import Platform, Seen

_ROWS: Final = """nodes => nodes.filter(node => !node.hidden).map((node, at) => {
    const [name, body, files, , choices] = node.children;
    return {
        author: node.classList[1], name: name.textContent, text: body.innerText, at,
        files: [...files.children].map(each => each.textContent || each.alt || each.querySelector("img")?.alt || "file"),
        buttons: [...choices.querySelectorAll("button")].map(each => each.textContent),
    };
})"""


class Customer(Protocol):
    """Whoever writes to the bot. `shows_owner`: they see all the time who answers them."""

    shows_owner: bool

    async def say(self, text: str, *, file: bytes | None = None, file_name: str = "") -> None: ...

    async def seen(self) -> Sequence[Seen]:
        """Their chat as it stands now. What a person wrote has that person's name in it."""
        ...

    async def press(self, seen: Seen, label: str) -> None: ...

    async def owner(self) -> str:
        """Who answers, as it is shown beside the chat; "" where nothing says so."""
        ...

    async def solved(self, label: str) -> None:
        """Answers whether it was solved."""
        ...

    async def back(self) -> None:
        """They are connected again, after Frontdesk has started anew; without the time that a page may wait between two tries."""
        ...


class Somebody:
    """The person of a platform's driver."""

    shows_owner = False

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    async def say(self, text: str, *, file: bytes | None = None, file_name: str = "") -> None:
        await self._platform.say(text, file=file, file_name=file_name)

    async def seen(self) -> Sequence[Seen]:
        return self._platform.seen()

    async def press(self, seen: Seen, label: str) -> None:
        await self._platform.press(seen, label)

    async def owner(self) -> str:
        return ""

    async def solved(self, label: str) -> None:
        asked = [each for each in self._platform.seen() if label in each.buttons]
        await self._platform.press(asked[-1], label)

    async def back(self) -> None:
        """The platform's own connection is waited for at the start."""


class Chromium:
    """Opened and closed by hand, because what runs it lives as long as a module."""

    def __init__(self) -> None:
        self._playwright: Playwright | None = None
        self._browser: Browser | None = None

    @staticmethod
    def path() -> str | None:
        return shutil.which("chromium")

    async def page(self, url: str, **settings: Any) -> Page:
        if self._browser is None:
            self._playwright = await async_playwright().start()
            path = Path(self.path() or "")
            self._browser = await self._playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        page = await self._browser.new_page(locale="en-GB", timezone_id="UTC", **settings)
        page.set_default_timeout(10_000)
        await page.goto(url)
        return page

    async def close(self) -> None:
        if self._browser is not None:
            await self._browser.close()
        if self._playwright is not None:
            await self._playwright.stop()
        self._browser = self._playwright = None


class Visitor:
    """A page with the widget open in it."""

    shows_owner = True

    def __init__(self, page: Page) -> None:
        self.page = page

    async def say(self, text: str, *, file: bytes | None = None, file_name: str = "") -> None:
        if file is not None:
            payload = FilePayload(name=file_name, mimeType="image/png", buffer=file)
            await self.page.locator("input[type=file]").set_input_files(payload)
        box = self.page.get_by_role("textbox")
        await box.fill(text)
        await expect(self.page.locator("#go")).to_be_enabled()  # once the file is there
        await box.press("Enter")

    async def seen(self) -> Sequence[Seen]:
        rows = await self.page.locator(".rows .row").evaluate_all(_ROWS)
        return [_seen(row) for row in rows]

    async def press(self, seen: Seen, label: str) -> None:
        row = self.page.locator(".rows .row", has_text=seen.text.partition("\n")[0])
        await row.get_by_role("button", name=label, exact=True).last.click()

    async def owner(self) -> str:
        return await self.page.locator("#title").inner_text()

    async def solved(self, label: str) -> None:
        await self.page.locator(".survey").get_by_role("button", name=label, exact=True).click()

    async def back(self) -> None:
        await self.page.evaluate("dispatchEvent(new Event('offline')), dispatchEvent(new Event('online'))")
        await expect(self.page.locator("[data-state=online]")).to_have_count(1, timeout=20_000)


def _seen(row: dict[str, Any]) -> Seen:  # JSON
    by = f"{row['name']}: " if row["author"] == "operator" else ""
    return Seen(
        str(row["at"]), row["author"] != "user", by + row["text"], tuple(row["buttons"]), files=tuple(row["files"])
    )
