"""Pictures of one handoff for the documents, from both sides: `python -m tests.platforms.pictures`.

The real daemon, the widget and the console in Chromium; only the model's sentences are scripted."""

import asyncio
import tempfile
from pathlib import Path
from typing import Final

from playwright.async_api import expect

from tests.e2e.house import ROOT
from tests.models.wire import Received, Reply
from tests.platforms.console import Console
from tests.platforms.reception import Reception
from tests.platforms.rooms import EVA
from tests.platforms.web.driver import WebPlatform

IMAGES: Final = ROOT / "docs" / "images"
ANSWER: Final = "You may return a bicycle within **47 days**, with its receipt. Shall I tell you where?"
NOTE: Final = "Receipt is in the system: order 1187."


def answers(asked: Received) -> Reply:
    return Reply(ANSWER, chunks=4)


async def talk(house: Reception) -> Console:
    """Until Eva has written."""
    await house.customer.say("Can I still return my bicycle? I bought it six weeks ago.")
    await house.sees("47 days")
    await house.customer.say("I have lost the receipt. Can I talk to a person?")
    await house.sees("I am passing you on")
    console = await Console.signed_in(house, house.chromium, EVA)
    await console.open("Visitor", "Waiting")
    await console.press("Take")
    await console.note(NOTE)
    await console.reply("Hello, Eva here. I have found your order, so the receipt is no trouble at all.")
    await house.sees("Eva here")
    await house.customer.say("That is great, thank you!")
    await expect(console.entry("That is great")).to_have_count(1)
    return console


async def take(folder: Path) -> None:
    house = Reception(folder, WebPlatform(), is_in_browser=True)
    house.brain.script = answers
    try:
        await house.start()
        await house.visitor.page.set_viewport_size({"width": 1200, "height": 800})
        console = await talk(house)
        await house.visitor.page.screenshot(path=IMAGES / "handoff.png")
        await console.page.get_by_role("button", name="Mine", exact=True).click()
        await console.page.locator(".row").wait_for()
        await expect(console.page.get_by_text("Sent.", exact=True)).to_have_count(0)
        await console.page.mouse.move(720, 5)
        await console.page.screenshot(path=IMAGES / "handoff-console.png")
    finally:
        await house.stop()


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(take(Path(folder)))
    print(f"wrote {IMAGES}")  # noqa: T201 - what the command did


if __name__ == "__main__":
    main()
