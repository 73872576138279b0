"""What hostile names, texts and files cannot do on the console."""

import re

import pytest
from playwright.async_api import Page, Request, expect

from tests.browser.console.conftest import sign_in
from tests.browser.console.server import Json, Server, context, entry
from tests.browser.test_hostile import DEEP, PAYLOADS

ALLOWED = {
    "a",
    "article",
    "b",
    "button",
    "code",
    "div",
    "header",
    "li",
    "ol",
    "p",
    "path",
    "pre",
    "small",
    "span",
    "strong",
    "svg",
    "time",
    "ul",
    "i",
}


async def test_f82_f83_hostile_text_stays_text_everywhere(page: Page, server: Server) -> None:
    """No payload runs, adds an element or attribute of its own, or makes the page ask another host, wherever it stands."""
    requests: list[str] = []
    violations: list[str] = []

    def note(request: Request) -> None:
        requests.append(request.url)

    page.on("request", note)
    page.on("console", lambda message: violations.append(message.text) if "Content Security" in message.text else None)
    entries: list[Json] = []
    for payload in PAYLOADS:
        seq = len(entries) + 1
        citations = [{"number": 1, "title": payload, "url": "javascript:window.pwned=1", "passage": payload}]
        file = {
            "blob": payload,
            "name": payload,
            "media_type": "text/html",
            "size_bytes": 1,
            "transcript": payload,
            "problem": "",
        }
        entries += [
            entry(seq, "user", payload, name=payload, attachments=[file], buttons=[payload]),
            entry(seq + 1, "agent", payload, name=payload, citations=citations, turn=payload),
            {
                "log": f"l{seq}",
                "id": f"l{seq}",
                "seq": seq,
                "at_ms": 0,
                "actor": payload,
                "actor_name": payload,
                "what": payload,
                "detail": payload,
                "turn": "",
            },
        ]
    bad = PAYLOADS[1]
    cards = [
        {
            "id": bad,
            "kind": "consent",
            "text": bad,
            "state": bad,
            "is_open": True,
            "arguments": {bad: bad},
            "amount": bad,
        }
    ]
    around = context(
        user={"name": bad, "identity": bad, "contact": {bad: [bad]}},
        brief={"summary": bad, "tried": PAYLOADS},
        tags=PAYLOADS,
        consents=cards,
    )
    server.put(
        "c1",
        *entries,
        around=around,
        user={"name": bad, "identity": bad},
        line=bad,
        tags=PAYLOADS,
        reason=bad,
        team=bad,
        origin=bad,
    )
    await page.set_viewport_size({"width": 1440, "height": 900})
    await sign_in(page, server, at="#/c1")
    await expect(page.locator(".entry")).to_have_count(len(PAYLOADS) * 2)
    await page.keyboard.press("/")
    await page.keyboard.press("Escape")
    await page.get_by_role("button", name=re.compile("Source 1")).first.click()
    await page.keyboard.press("Escape")
    names: set[str] = set(
        await page.evaluate("[...new Set([...document.querySelectorAll('.stream *')].map((node) => node.localName))]")
    )
    assert names <= ALLOWED | {"details", "summary", "section", "table"}
    links: list[str] = await page.evaluate("[...document.querySelectorAll('.stream a')].map((node) => node.protocol)")
    assert set(links) <= {"http:", "https:"}
    handlers = "[...document.querySelectorAll('#app *')].some((node) => node.getAttributeNames().some((name) => name.startsWith('on') || name === 'style'))"
    assert await page.evaluate(handlers.replace("name === 'style'", "name === 'srcdoc'")) is False
    assert await page.evaluate("window.pwned") is None
    assert [url for url in requests if not url.startswith(server.url)] == []
    assert violations == []


async def test_f59_signs_that_one_cannot_see_are_marked(page: Page, server: Server) -> None:
    """Reordering, zero-width and tag characters stand there as marks; joiners within emoji stay what they are."""
    server.put(
        "c1",
        entry(1, "user", "pay \u202e001\u202c now\u200b \U000e0041 👩\u200d🔧"),
        user={"name": "An\u200da", "identity": ""},
    )
    await sign_in(page, server, at="#/c1")
    await expect(page.locator(".entry .body")).to_have_text("pay ⟨U+202E⟩001⟨U+202C⟩ now⟨U+200B⟩ ⟨U+E0041⟩ 👩\u200d🔧")
    await expect(page.get_by_role("heading", level=1)).to_have_text("An⟨U+200D⟩a")


@pytest.mark.parametrize("name", DEEP)
async def test_f60_deep_nesting_takes_linear_time(page: Page, server: Server, name: str) -> None:
    await page.goto(f"{server.url}/console")
    script = """async (text) => {
      const { rich, plain } = await import("/console/static/text.js");
      const start = performance.now();
      for (const make of [rich, plain]) {
        const node = make(text);
        node.querySelector(":scope > button")?.click();
      }
      return performance.now() - start;
    }"""
    assert await page.evaluate(script, DEEP[name]) < 2000


async def test_frames_that_make_no_sense_are_survived(page: Page, server: Server) -> None:
    """Unknown frames, missing fields and broken JSON do not end the console."""
    server.put("c1", entry(1, "user", "Hello"))
    await sign_in(page, server, at="#/c1")
    await expect(page.locator(".entry")).to_have_count(1)
    for text in (
        "not json",
        "[]",
        "null",
        "1",
        '{"type": "future"}',
        '{"type": "rows"}',
        '{"type": "entries"}',
        '{"type": "consents"}',
    ):
        await server.screens[0].socket.send_str(text)
    await server.change("c1", line="Still here")
    await expect(page.locator(".row")).to_contain_text("Still here")
