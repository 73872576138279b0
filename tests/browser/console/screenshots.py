"""Pictures of the console: `python -m tests.browser.console.screenshots` for `docs/images`, or with a folder for a look at every size."""

import argparse
import asyncio
import shutil
from pathlib import Path
from typing import Any, Literal

from playwright.async_api import Browser, Page, async_playwright, expect

from tests.browser.conftest import ARGUMENTS
from tests.browser.console.conftest import sign_in
from tests.browser.console.server import NOW_MS, Server, context, entry, shelved
from tests.browser.screenshots import picture

IMAGES = Path(__file__).resolve().parents[3] / "docs" / "images"
SIZES = {"phone": (380, 760), "tablet": (768, 1024), "desktop": (1440, 900)}
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
MINUTE = 60_000
CARD: dict[str, Any] = {
    "id": "k1",
    "kind": "consent",
    "text": "Refund 129.00 EUR for order 4711 to the original card.",
    "state": "open",
    "is_open": True,
    "action": "refund",
    "effect": "money",
    "arguments": {"order": "4711", "amount": "129.00 EUR", "reason": "Lamp arrived broken"},
    "facts": {},
    "amount": "129.00 EUR",
    "detail": "",
    "decided_by": "",
    "why": "",
    "expires_ms": NOW_MS + 40 * MINUTE,
    "agreed": [{"kind": "user", "by": "the person"}],
}
TRACE: dict[str, Any] = {
    "turn": "t1",
    "started_ms": NOW_MS - 500_000,
    "ended_ms": NOW_MS - 496_800,
    "model": "house-large",
    "attempts": [{"model": "house-large", "usage": [2140, 182, 0, 0], "cost_micros": 7200, "why": ""}],
    "passages": [{"title": "Returns and refunds", "score": 0.91}, {"title": "Damaged goods", "score": 0.77}],
    "tool_calls": [
        {
            "name": "find_order",
            "state": "succeeded",
            "arguments": {"order": "4711"},
            "result": "Delivered on 12 September, paid by card.",
            "started_ms": 0,
            "ended_ms": 240,
        }
    ],
    "stopped": "",
}


DAY = 86_400_000
MEMORY: dict[str, Any] = {
    "is_private": True,
    "facts": [
        {"id": "f1", "kind": "plan", "about": "", "value": "Pro", "confidence": 0.9, "message": "m1", "seq": 1, "conversation": "c1", "since_ms": NOW_MS - 20 * DAY, "expires_ms": NOW_MS + 160 * DAY, "before": [{"value": "Basic", "since_ms": NOW_MS - 90 * DAY, "until_ms": NOW_MS - 20 * DAY}]},
        {"id": "f2", "kind": "preference", "about": "delivery", "value": "parcel shop, never the neighbour", "confidence": 0.6, "message": "m9", "seq": 9, "conversation": "c2", "since_ms": NOW_MS - 40 * DAY, "expires_ms": NOW_MS + 140 * DAY, "before": []},
    ],
    "episodes": [{"id": "e1", "case": "k0", "conversation": "c1", "text": "The delivery address of order 4590 was changed before shipping.", "ended_ms": NOW_MS - 40 * DAY}],
    "accounts": [
        {"identity": "i1", "channel": "whatsapp", "account": "", "name": "Ana Berg", "is_verified": True, "is_here": True},
        {"identity": "i2", "channel": "web", "account": "", "name": "Ana", "is_verified": False, "is_here": False},
    ],
}  # fmt: skip
PERSON: dict[str, Any] = {
    "user": "3f9a01c2",
    "confirm": "erase 3f9a01",
    "identities": [
        {"identity": "i1", "account": "whatsapp:+491510000000", "name": "Ana Berg", "verified": True},
        {"identity": "i2", "account": "web:8f3a77", "name": "Ana", "verified": False},
    ],
    "counts": {"conversations": 3, "cases": 5, "messages": 48, "files": 2, "actions": 1, "facts": 2, "episodes": 4},
    "holds": [],
}
RECEIPT: dict[str, Any] = {
    "erasure": "0198-e1",
    "pseudonym": "erased:4711abcd",
    "at_ms": NOW_MS,
    "places": {"messages": 48, "cases": 5, "memory": 6, "identities": 2},
    "files": 2,
    "not_withdrawn": 0,
    "outside": [
        {"where": "whatsapp", "what": "48 messages", "status": "the platform keeps its own copy: delete it there, or ask for it"},
        {"where": "backups", "what": "all from before", "status": "what was backed up before holds the person still"},
    ],
    "scan": {"strings": 61, "bytes": 48_211_000, "found": []},
}  # fmt: skip
GAP: dict[str, Any] = {
    "id": "g1",
    "question": "Do you deliver a lamp to Iceland, and who pays the customs?",
    "count": 7,
    "last_ms": NOW_MS - 3_600_000,
    "kinds": {"unanswered": 5, "handed over": 2},
    "others": ["Shipping to Iceland?", "Can I order from Reykjavík?"],
    "conversations": ["c1", "c2", "c3"],
    "state": "drafted",
    "draft": {
        "title": "Delivery to Iceland",
        "text": "We deliver to Iceland within six weeks, by ship.\n\nTO CHECK: who pays the customs.",
        "model": "house-large",
    },
}
RECALL: dict[str, Any] = {
    "entry": "q1",
    "conversation": "c4",
    "detail": "docs/returns.md has changed since this person was told of it.\n- Thirty days.\n+ Fourteen days.",
    "created_ms": NOW_MS - 7_200_000,
    "taken_by": "",
}
QUESTION = "How long can I return a broken lamp?"


def shelve(server: Server) -> None:
    """What the agents of the shop know."""
    sources = [
        {"name": "help-center", "kind": "website", "documents": 212, "language": "", "audience": "", "state": {"read_ms": NOW_MS - 2 * 3_600_000, "next_ms": NOW_MS, "failures": 0, "failure": "", "mend": ""}},
        {"name": "wiki", "kind": "notion", "documents": 0, "language": "", "audience": "staff", "state": {"read_ms": 0, "next_ms": NOW_MS, "failures": 3, "failure": "Notion refused the token", "mend": "Write a new one to NOTION_TOKEN in .env."}},
        {"name": "docs", "kind": "folder", "documents": 2, "language": "", "audience": "", "state": None},
        {"name": "uploads", "kind": "uploads", "documents": 2, "language": "", "audience": "", "state": None},
    ]  # fmt: skip
    documents = [
        {**shelved("docs/returns.md", 4210), "name": "docs/returns.md", "file": "", "source": "docs", "title": "Returns and refunds", "passages": 7},
        shelved("Warranty 2026.pdf", 812_040, title="Warranty terms", passages=31),
        shelved("Opening hours, holidays.md", 903, title="Opening hours", is_searchable=False, passages=0),
    ]  # fmt: skip
    server.knowledge = {
        "is_ready": True,
        "sources": sources,
        "documents": documents,
        "passed_over": ["docs/catalogue.pdf: larger than 50 MB"],
        "audiences": ["staff"],
        "most_bytes": 50_000_000,
    }
    passage = {"id": "p1", "document": "docs/returns.md", "title": "Returns and refunds", "text": "Broken goods are refunded in full within 30 days.", "url": "https://docs.example.com/returns", "score": 0.912, "coverage": 0.75, "likeness": 0.81, "holds": ["return", "broken"], "lacks": ["lamp"]}  # fmt: skip
    server.answers[QUESTION] = {"words": ["return", "broken", "lamp"], "found": [passage]}


def furnish(server: Server) -> None:
    """A morning at the desk."""
    shelve(server)
    server.persons["+49 151 0000000"] = PERSON
    server.receipt = RECEIPT
    liked = {"id": "g2", "question": "Which bulb fits?", "count": 1, "kinds": {"disliked": 1}, "others": []}
    server.gaps = {"g1": GAP, "g2": {**GAP, **liked, "conversations": ["c5"], "state": "open", "draft": None}}
    server.recalls = [RECALL]
    server.picture = picture(360, 240)
    mine = {"id": "op-ben.miller", "name": "ben.miller"}
    guide = {
        "number": 1,
        "title": "Returns and refunds",
        "url": "https://docs.example.com/returns",
        "passage": "returns#2",
    }
    server.turns["t1"] = TRACE
    server.passages["returns#2"] = {
        "id": "returns#2",
        "title": "Returns",
        "text": "Broken goods are refunded in full **within 30 days**.",
        "url": "",
    }
    server.canned = [
        {"name": "hello", "text": "Hello {user}, this is {operator}. I have read what you wrote.", "channels": []},
        {"name": "photo", "text": "Could you send a photo of it, {user}? Then I can decide at once.", "channels": []},
    ]
    server.put(
        "c1",
        entry(1, "user", "The lamp I ordered (4711) arrived broken. Can I get my money back?", name="Ana Berg"),
        entry(2, "agent", "I am sorry about the lamp. Broken goods are refunded **in full** within 30 days [1]. May I:\n\n- refund 129.00 EUR to your card, or\n- send a new one?", name="Lumen Help", citations=[guide], turn="t1", delivery="read", feedback="up"),
        entry(3, "user", "Money back, please. And can somebody confirm that? Here is the lamp.", name="Ana Berg", attachments=[{"blob": "b1", "name": "lamp.png", "media_type": "image/png", "size_bytes": 48211, "transcript": "", "problem": ""}]),
        {"log": "l1", "id": "l1", "seq": 3, "at_ms": NOW_MS - 5 * MINUTE, "actor": "agent", "actor_name": "Lumen Help", "what": "asked for a person", "detail": "the user wants a confirmation", "turn": "t1"},
        {"log": "l2", "id": "l2", "seq": 3, "at_ms": NOW_MS - 4 * MINUTE, "actor": "op-ben.miller", "actor_name": "ben.miller", "what": "took it", "detail": "", "turn": ""},
        entry(4, "operator", "Photo is clear, the shade is cracked. Within the 30 days.", name="Carla", visibility="note"),
        entry(5, "operator", "Hello Ana, Ben here. I am looking at your order right now.", name="Ben Miller", delivery="delivered"),
        around=context(
            user={"name": "Ana Berg", "identity": "+49 151 0000000", "channel": "whatsapp", "verified": "phone", "language": "de", "since_ms": NOW_MS - 90 * 86_400_000},
            brief={"reason": "The user wants a confirmation by a person", "summary": "Order 4711, a lamp, arrived broken. The user wants the money back.", "tried": ["find_order: delivered on 12 September"], "promises": ["refund: proposed"]},
            cases=[{"id": "k0", "opened_ms": NOW_MS - 40 * 86_400_000, "ended_ms": NOW_MS - 40 * 86_400_000, "title": "Delivery address", "outcome": "solved by the assistant", "feedback": "up", "summary": "Address changed before shipping."}],
            tags=["refund"],
            watchers=[{"id": "op-carla", "name": "carla"}],
            consents=[CARD],
            memory=MEMORY,
            timers=[{"kind": "next reply", "since_ms": NOW_MS, "due_ms": NOW_MS + 4 * MINUTE, "acted_ms": None}],
            suggestion={"id": "s1", "seq": 5, "text": "I have approved the refund of 129.00 EUR. It reaches your card within 3 to 5 working days.", "citations": [guide]},
        ),
        channel="whatsapp", stage="active", owner="op-ben.miller", operator=mine, line="Money back, please. And can somebody confirm that?",
        waiting_since_ms=NOW_MS - 3 * MINUTE, deadline={"kind": "next reply", "due_ms": NOW_MS + 4 * MINUTE, "is_missed": False},
        window_end_ms=NOW_MS + 130 * MINUTE, tags=["refund"], priority=1, reason="The user wants a confirmation", origin="tool", lookers=["carla"],
    )  # fmt: skip
    others: list[dict[str, Any]] = [
        {
            "user": {"name": "Yusuf Demir", "identity": "U1"},
            "channel": "slack",
            "line": "The invoice has the wrong address again.",
            "deadline": {"kind": "first reply", "due_ms": NOW_MS - 2 * MINUTE, "is_missed": True},
            "waiting_since_ms": NOW_MS - 7 * MINUTE,
            "priority": 2,
        },
        {
            "user": {"name": "Mei-Ling Tan", "identity": "u2"},
            "channel": "discord",
            "line": "Is there a student discount?",
            "deadline": {"kind": "first reply", "due_ms": NOW_MS + 100_000, "is_missed": False},
        },
        {
            "user": {"name": "Oluwaseun Adebayo-Fitzgerald of the northern warehouse", "identity": "u3"},
            "line": "We still wait for forty lamps, and the customer who ordered them has called three times.",
            "stage": "offered",
            "offered_to": "op-ben.miller",
        },
        {
            "user": {"name": "Carmen", "identity": "u4"},
            "channel": "whatsapp",
            "line": "Thank you!",
            "stage": "active",
            "operator": {"id": "op-carla", "name": "carla"},
            "waiting_since_ms": None,
        },
        {
            "user": {"name": "", "identity": "visitor 8f3a"},
            "line": "",
            "stage": "",
            "owner": "agent",
            "waiting_since_ms": None,
        },
    ]
    for number, fields in enumerate(others, 2):
        server.put(f"c{number}", entry(1, "user", fields["line"]), **fields)


async def opened(page: Page, server: Server) -> None:
    """The conversation with the refund, with everything open that a picture shows."""
    await sign_in(page, server, at="#/c1")
    await server.framed("open")
    await page.locator(".entry").first.wait_for()
    await server.look("c1", lookers=[{"id": "op-carla", "name": "carla", "is_typing": True}])
    await expect(page.get_by_text("carla is writing")).to_be_visible()


async def everything(browser: Browser, folder: Path, size: str, theme: Literal["light", "dark"]) -> None:
    """Every state of one size in one theme."""
    width, height = SIZES[size]
    async with Server() as server:
        furnish(server)
        page = await browser.new_page(viewport={"width": width, "height": height}, color_scheme=theme, locale="en-GB")

        async def shoot(name: str) -> None:
            await page.screenshot(path=folder / f"console-{name}-{size}-{theme}.png")

        await page.goto(f"{server.url}/console")
        await page.get_by_label("Name").wait_for()
        await shoot("signin")
        await opened(page, server)
        await shoot("conversation")
        await page.locator(".turn summary").click()
        await page.locator(".entry .trace").wait_for()
        await page.locator(".entry .trace").scroll_into_view_if_needed()
        await page.get_by_role("tab", name="Private note").click()
        await page.get_by_role("textbox", name="Private note").fill("Ask the warehouse for a photo.")
        await shoot("note")
        await page.get_by_role("textbox", name="Private note").blur()
        await page.keyboard.press("/")
        await page.get_by_role("combobox", name="Command").wait_for()
        await shoot("palette")
        await page.keyboard.press("Escape")
        if width < 1180:
            await page.get_by_role("button", name="About the user").click()
            await shoot("about")
            await page.keyboard.press("Escape")
        if width < 700:
            await page.get_by_role("button", name="Back to the inbox").click()
        await page.get_by_role("button", name="All", exact=True).click()
        await page.locator(".row").first.wait_for()
        await shoot("inbox")
        await page.get_by_role("button", name="Ended").click()
        await page.get_by_text("No case has ended yet.").wait_for()
        await shoot("empty")
        await page.goto(f"{server.url}/console#/~knowledge")
        await page.get_by_label("What does a question find?").fill(QUESTION)
        await page.keyboard.press("Enter")
        await page.get_by_text("Looked for: return").wait_for()
        await shoot("knowledge")
        await page.goto(f"{server.url}/console#/~gaps")
        await page.locator(".gap").first.wait_for()
        await shoot("gaps")
        await page.goto(f"{server.url}/console#/~gaps/g1")
        await page.get_by_label("Title").wait_for()
        await shoot("draft")
        await page.goto(f"{server.url}/console#/~user/%2B49%20151%200000000")
        await page.get_by_role("button", name="Erase…").wait_for()
        await shoot("person")
        await page.get_by_role("button", name="Erase…").click()
        await page.get_by_label("Your password").wait_for()
        await shoot("erase")
        await page.close()


async def for_documents(browser: Browser) -> None:
    shots: list[tuple[str, str, Literal["light", "dark"]]] = [
        ("console", "desktop", "light"),
        ("console-dark", "desktop", "dark"),
        ("console-phone", "phone", "light"),
    ]
    for name, size, theme in shots:
        async with Server() as server:
            furnish(server)
            width, height = SIZES[size]
            page = await browser.new_page(
                viewport={"width": width, "height": height}, color_scheme=theme, locale="en-GB"
            )
            await opened(page, server)
            if size == "desktop":
                await page.get_by_role("button", name="All", exact=True).click()
            await page.locator(".row" if size == "desktop" else ".entry").first.wait_for()
            await page.mouse.move(width / 2, 5)
            await page.screenshot(path=IMAGES / f"{name}.png")
            if name == "console":
                await page.goto(f"{server.url}/console#/~knowledge")
                await page.get_by_label("What does a question find?").fill(QUESTION)
                await page.keyboard.press("Enter")
                await page.get_by_text("Looked for: return").wait_for()
                await page.screenshot(path=IMAGES / "console-knowledge.png")
            await page.close()


async def main(folder: Path | None) -> None:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        if folder is None:
            await for_documents(browser)
        else:
            folder.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240  nothing else runs yet
            for theme in THEMES:
                for size in SIZES:
                    await everything(browser, folder, size, theme)
        await browser.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", help="where the pictures of every size go")
    asyncio.run(main(parser.parse_args().folder))
