"""Pictures of the widget for `docs/` and for a look at it: `python -m tests.browser.screenshots OUTDIR`."""

import argparse
import asyncio
import shutil
import struct
import time
import zlib
from pathlib import Path
from typing import Literal

from playwright.async_api import Browser, FilePayload, Page, async_playwright, expect

from tests.browser.conftest import ARGUMENTS
from tests.browser.scripted import Desk, Frame, Session, store_and_acknowledge

SIZES = {"phone": (380, 760), "tablet": (768, 1024), "desktop": (1440, 900)}
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
GUIDE = {"number": 1, "id": "returns", "title": "Returns and refunds", "url": "https://docs.example.com/returns"}
RATES = {"number": 2, "id": "shipping", "title": "Shipping costs", "url": ""}
PASSAGE = (
    "You may return any unused item **within 30 days** of delivery. Refunds go to the original payment method and "
    "usually arrive after 3 to 5 working days.\n\n- Items on sale: exchange only\n- Gift cards: no refund"
)
ANSWER = (
    "Yes, you can send the lamp back **within 30 days** of delivery [1]:\n\n1. Open *My orders* and choose `Return`.\n"
    "2. Print the label and hand the parcel in.\n\nReturns inside the EU are free [2].\n\n"
    "| From | Costs |\n|---|---|\n| EU | free |\n| elsewhere | 9 € |"
)


def picture(width: int, height: int) -> bytes:
    """A PNG with a soft gradient, standing in for a photograph."""
    rows = b"".join(
        b"\0" + b"".join(bytes((90 + 120 * x // width, 110 + 90 * y // height, 170)) for x in range(width))
        for y in range(height)
    )

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


async def opened(page: Page, desk: Desk) -> Session:
    """The widget, open and connected."""
    number = len(desk.sessions) + 1
    await page.goto(desk.url)
    if not await page.locator("dialog.panel").is_visible():
        await page.get_by_role("button", name="Open the chat").click()
    await expect(page.get_by_role("textbox")).to_be_visible()
    return await desk.online(number)


async def conversation(page: Page, desk: Desk, session: Session) -> None:
    """A question with a picture, an answer with sources, and the next question under way."""
    photo = FilePayload(name="lamp.png", mimeType="image/png", buffer=picture(360, 240))
    await page.locator("input[type=file]").set_input_files(photo)
    await expect(page.locator(".tray img")).to_be_visible()
    await page.get_by_role("textbox").fill("Can I send this lamp back? It is too bright for my desk.")
    await page.keyboard.press("Enter")
    await expect(page.locator(".rows .user img")).to_be_visible()
    await desk.say(ANSWER, citations=[GUIDE, RATES], name="Lumen Help")
    await expect(page.locator(".rows .agent .chip")).to_have_count(2)
    await page.get_by_role("button", name="Helpful", exact=True).click()
    await page.get_by_role("textbox").fill("Thanks! Could a person check my order?")
    await page.keyboard.press("Enter")
    await expect(page.locator(".dots")).to_be_visible()
    await page.get_by_role("textbox").blur()


async def waiting(page: Page, desk: Desk) -> None:
    """A person is asked for, and the visitor stands in a queue."""
    await desk.say(
        "I am passing you on to a colleague, who can read what you wrote here.",
        author="system",
        buttons=[{"id": "handoff:cancel", "label": "Go on with the assistant"}],
    )
    await desk.hand("queue")
    await desk.queue(2, 290)
    await expect(page.locator("#queue")).to_be_in_viewport()


async def person(page: Page, desk: Desk, session: Session) -> None:
    """A person has come, has written and goes on writing."""
    await desk.hand("operator", "Anna Berg")
    await desk.say("Hello, Anna here. I have your order in front of me.", author="operator", name="Anna Berg")
    await desk.say("It is in the van, due today before 6 pm.", author="operator", name="Anna Berg")
    await session.send("typing", name="Anna Berg")
    await expect(page.locator(".dots")).to_be_in_viewport()


async def trouble(page: Page, desk: Desk) -> None:
    """The assistant asks something, a message fails, the network goes away."""

    async def refuse(desk: Desk, session: Session, frame: Frame) -> None:
        if frame["type"] == "message":
            await session.send("error", code="too_long", detail="This message is too long.", id=frame["id"])

    session = desk.sessions[-1]
    await desk.say(
        "Which address shall I use?",
        author="agent",
        buttons=[{"id": "a", "label": "Home"}, {"id": "b", "label": "Office"}],
    )
    desk.answer = refuse
    await page.get_by_role("textbox").fill("My story in full")
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("Not sent")).to_be_visible()
    desk.open = False
    session.cut()
    await expect(page.get_by_text("No connection.")).to_be_visible()


async def take(browser: Browser, folder: Path, size: str, theme: Literal["light", "dark"]) -> None:
    """All pictures of one size in one theme."""
    width, height = SIZES[size]
    async with Desk(clock_ms=int(time.time() * 1000) - 8_000) as desk:
        desk.config = {
            "name": "Lumen Help",
            "color": "#0f766e",
            "greeting": "Hello! I am Lumen's assistant. Ask me about orders, returns and lamps.",
            "suggestions": ["Where is my order?", "How do I return something?", "Talk to a person"],
        }
        desk.passages = {"returns": {"title": GUIDE["title"], "text": PASSAGE, "url": GUIDE["url"]}}
        context = await browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=theme, locale="en-GB", reduced_motion="reduce"
        )
        page = await context.new_page()

        async def shoot(name: str) -> None:
            await page.screenshot(path=folder / f"widget-{name}-{size}-{theme}.png")

        session = await opened(page, desk)
        await expect(page.get_by_role("button", name="Where is my order?")).to_be_visible()
        await shoot("empty")
        await conversation(page, desk, session)
        await shoot("conversation")
        await page.get_by_role("button", name="Source 1: Returns and refunds").click()
        await expect(page.get_by_role("dialog", name="Returns and refunds")).to_contain_text("30 days")
        await shoot("source")
        await page.keyboard.press("Escape")
        await page.get_by_label("Menu").click()
        await shoot("menu")
        await page.get_by_label("Menu").click()
        await waiting(page, desk)
        await shoot("waiting")
        await person(page, desk, session)
        await shoot("person")
        await desk.say("Anna Berg has closed this conversation. Write again whenever you like.", author="system")
        await desk.hand("agent")
        await session.send("case", id="c", state="ended")
        await expect(page.locator(".survey")).to_be_visible()
        await shoot("survey")
        desk.answer = store_and_acknowledge
        await trouble(page, desk)
        await shoot("trouble")
        await context.close()


async def main(folder: Path) -> None:
    """Takes every picture into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240  nothing else runs yet
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        for theme in THEMES:
            for size in SIZES:
                await take(browser, folder, size, theme)
        await browser.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where the pictures go")
    asyncio.run(main(parser.parse_args().folder))
