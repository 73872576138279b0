"""What an operator asked to be told of shows in the open console, from the real hub and a real database, and nothing of it as markup."""

import asyncio

import pytest
from playwright.async_api import Page, expect

from bot.handoff import watching
from bot.ports import Cursor
from tests.browser.console.conftest import enter, sign_in
from tests.browser.console.screenshots import furnish
from tests.browser.console.server import Server
from tests.console.desk import Desk

WAIT_S = 10.0
NOT_IN_SIGHT = (
    "[...document.querySelectorAll('.bar *')].filter((each) => each.getBoundingClientRect().right > innerWidth + 1)"
)


async def test_a_note_that_names_an_operator_rings_once_on_their_page(desk: Desk, page: Page) -> None:
    """Also after a reload, when the server tells of it again; and where the browser keeps nothing."""
    talk = await desk.people.talk("Zoe")
    ben = await desk.house.add("ben")
    await enter(page, desk)
    await expect(page.locator(".inbox")).to_be_attached()

    def unit(cursor: Cursor) -> watching.Told:
        watching.name_in_note(cursor, "for @ann", ben, talk, "case", "note-1", desk.clock.now_ms())
        return watching.tell(cursor, talk, desk.clock.now_ms())

    async def here() -> None:
        async with asyncio.timeout(WAIT_S):
            while not desk.console.hub.count:
                await desk.clock.advance(0.05)

    await here()
    desk.console.hub.ring((await desk.house.store.run(unit)).notices)
    toast = page.locator("#told .toast")
    await expect(toast).to_contain_text("Ben names you in a note.")
    await page.reload()
    await expect(page.locator(".inbox")).to_be_attached()
    await here()
    await expect(toast).to_have_count(0)


async def test_a_notice_is_heard_where_the_browser_keeps_nothing(server: Server, page: Page) -> None:
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    await sign_in(page, server)
    await page.evaluate(
        "void (Storage.prototype.setItem = () => { throw new DOMException('no', 'QuotaExceededError'); })"
    )
    await server.tell(type="notice", id="c1:1", conversation="c1", case="k", text="<b>Ben</b> has replied.", at_ms=0)
    await expect(page.locator("#told .toast")).to_have_text("<b>Ben</b> has replied.")
    assert problems == []


@pytest.mark.parametrize("width", [360, 380, 700, 1280])
async def test_the_bar_never_runs_out_of_the_page(server: Server, page: Page, width: int) -> None:
    """With everything that can stand in it, on the inbox and on each page."""
    furnish(server)
    await page.set_viewport_size({"width": width, "height": 760})
    await sign_in(page, server)
    await server.tell(type="consents", count=12)
    await expect(page.get_by_text("12 to decide")).to_be_visible()
    for place in ("#/", "#/~gaps", "#/~gaps/g1", "#/~knowledge", "#/~user/%2B49%20151%200000000"):
        await page.evaluate("(at) => (location.hash = at)", place)
        await expect(page.locator(".inbox, .place").first).to_be_attached()
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), place
        assert await page.evaluate(f"{NOT_IN_SIGHT}.length") == 0, place
