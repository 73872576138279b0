"""What a newcomer does in the first five minutes, in a real browser against the real daemon."""

import re
from pathlib import Path

from aiohttp import web
from playwright.async_api import Page, expect

from tests.e2e.house import Daemon

QUESTION = "How do I put the widget on my website?"


async def ask(page: Page, text: str) -> None:
    box = page.get_by_role("textbox", name="Write a message")
    await expect(box).to_be_visible()
    await box.fill(text)
    await box.press("Enter")


async def test_a_question_is_answered_from_our_documents_with_citations_and_thumbs(page: Page, daemon: Daemon) -> None:
    """Ask, read a streamed quotation with citations that open the passage, rate it, reload, and find all of it again."""
    await page.goto(daemon.url)
    await ask(page, QUESTION)
    answer = page.locator(".rows .agent .body").last
    await expect(answer).to_contain_text("/widget.js")
    await expect(page.get_by_role("button", name="Helpful", exact=True)).to_be_visible()
    chip = answer.get_by_role("button").first
    await chip.click()
    sheet = page.get_by_role("dialog").last
    await expect(sheet).to_contain_text("widget")
    await page.keyboard.press("Escape")
    await page.get_by_role("button", name="Helpful", exact=True).click()
    await expect(page.get_by_role("button", name="Helpful", exact=True)).to_have_attribute("aria-pressed", "true")
    await page.reload()
    await expect(page.locator(".rows .user .body")).to_have_text(QUESTION)
    await expect(page.locator(".rows .agent .body").last).to_contain_text("/widget.js")
    await expect(page.get_by_role("button", name="Helpful", exact=True)).to_have_attribute("aria-pressed", "true")


async def test_a_restart_loses_nothing_and_doubles_nothing(page: Page, daemon: Daemon) -> None:
    """The daemon dies under an open page and comes back: the page reconnects, shows one answer, and can go on asking."""
    await page.goto(daemon.url)
    await ask(page, QUESTION)
    await expect(page.get_by_text("Sent", exact=True).last).to_be_visible()
    daemon.kill()
    daemon.start()
    answer = page.locator(".rows .agent .body").filter(has_text="/widget.js")
    await expect(answer).to_have_count(1, timeout=30_000)
    daemon.kill()
    await ask(page, "Which formats of documents can be read?")  # kept by the page until somebody acknowledges it
    daemon.start()
    await expect(page.get_by_text("Sent", exact=True).last).to_be_visible(timeout=30_000)
    await expect(page.locator(".rows .agent .body").filter(has_text="formats").last).to_be_visible(timeout=30_000)
    await page.reload()
    await expect(page.locator(".rows .user .body")).to_have_count(2)
    await expect(answer).to_have_count(1)


async def test_a_second_tab_shows_the_same_conversation(page: Page, daemon: Daemon) -> None:
    """What is said in one tab stands in the other, question and answer, once each."""
    await page.goto(daemon.url)
    await ask(page, QUESTION)
    await expect(page.locator(".rows .agent .body").last).to_contain_text("/widget.js")
    second = await page.context.new_page()
    await second.goto(daemon.url)
    await expect(second.locator(".rows .user .body")).to_have_text(QUESTION)
    await ask(second, "What is a citation?")
    await expect(page.locator(".rows .user .body")).to_have_count(2)
    await expect(second.locator(".rows .user .body")).to_have_count(2)


async def test_not_knowing_is_said_and_a_person_offered(page: Page, daemon: Daemon) -> None:
    """A question that the documents do not answer gets no invention; the wish for a person is kept."""
    await page.goto(daemon.url)
    await ask(page, "What is the capital of Mongolia and how cold does it get there?")
    wish = page.get_by_role("button", name="Talk to a person")
    await expect(wish.last).to_be_visible()
    await wish.last.click()
    await expect(
        page.locator(".rows").get_by_text(re.compile("noted that you would like to talk to a person"))
    ).to_be_visible()
    assert '"persons_wanted": 1' in daemon.command("status", "--json").stdout.replace("\n", "")


async def test_one_script_tag_puts_the_widget_on_another_page(page: Page, tmp_path: Path) -> None:
    """A page elsewhere, with its own colour, name, greeting and questions, chats when its origin is listed, and cannot when it is not."""
    app = web.Application()
    runner = web.AppRunner(app)
    port = 0
    tag = ""

    async def host_page(request: web.Request) -> web.Response:
        return web.Response(text=f"<!doctype html><title>Shop</title><h1>Shop</h1>{tag}", content_type="text/html")

    app.router.add_get("/", host_page)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    listed = Daemon(tmp_path, origins=(f"http://127.0.0.1:{port}",))
    listed.start()
    tag = (
        f'<script async src="{listed.url}/widget.js" data-name="Acme" data-color="#0b7a4b" '
        'data-greeting="Welcome to Acme." data-suggestions="How do I put the widget on my website?|Hello"></script>'
    )
    try:
        await page.goto(f"http://127.0.0.1:{port}/")
        await page.get_by_role("button", name=re.compile("Acme|chat", re.IGNORECASE)).first.click()
        await expect(page.get_by_text("Welcome to Acme.")).to_be_visible()
        await page.get_by_role("button", name=QUESTION).click()
        await expect(page.locator(".rows .agent .body").last).to_contain_text("/widget.js")
        await page.goto(f"http://localhost:{port}/")  # the same page under an origin that is not listed
        await page.get_by_role("button", name=re.compile("Acme|chat", re.IGNORECASE)).first.click()
        await page.get_by_role("button", name=QUESTION).click()
        await expect(page.get_by_text("Sent", exact=True)).to_have_count(0)
        await expect(page.locator(".rows .agent .body")).to_have_count(0)
        assert '"conversations": 1' in listed.command("status", "--json").stdout
    finally:
        listed.kill()
        await runner.cleanup()
