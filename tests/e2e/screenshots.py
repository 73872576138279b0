"""`make screenshots`: pictures of the real pages for the documents."""

import asyncio
import shutil
import tempfile
from pathlib import Path

from playwright.async_api import async_playwright

from tests.browser.conftest import ARGUMENTS
from tests.e2e.house import ROOT, Daemon

IMAGES = ROOT / "docs" / "images"
QUESTION = "How do I put the widget on my website?"


async def take(folder: Path) -> None:
    daemon = Daemon(folder)
    daemon.start()
    try:
        async with async_playwright() as playwright:
            chromium = shutil.which("chromium")
            browser = await playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
            for name, scheme in (("widget", "light"), ("widget-dark", "dark")):
                context = await browser.new_context(
                    viewport={"width": 1200, "height": 800},
                    color_scheme="dark" if scheme == "dark" else "light",
                    locale="en-GB",
                )
                page = await context.new_page()
                await page.goto(daemon.url)
                box = page.get_by_role("textbox", name="Write a message")
                await box.fill(QUESTION)
                await box.press("Enter")
                await page.get_by_role("button", name="Helpful", exact=True).wait_for()
                await page.screenshot(path=IMAGES / f"{name}.png")
                await context.close()
            await browser.close()
    finally:
        daemon.stop()


def main() -> None:
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(take(Path(folder)))
    print(f"wrote {IMAGES}")  # noqa: T201 - what the command did


if __name__ == "__main__":
    main()
