"""HTML: what a reader would see, and nothing else."""

from hypothesis import given
from hypothesis import strategies as st

from bot.knowledge.html import html_blocks

PAGE = """<!doctype html><html><head><title>Help &amp; more</title><style>p { color: red }</style></head><body>
<nav><a href="/">Home</a></nav>
<h1>Returns <em>and</em> refunds</h1><p>Send it   <b>back</b><br>within 30 days.</p>
<script>alert("no")</script>
<ul><li>First<ul><li>Nested</li></ul></li><li><p>Second</p></li></ul>
<ol><li>Go</li></ol>
<table><thead><tr><th>Zone</th><th>Price</th></tr></thead><tbody><tr><td>EU</td><td>5 €</td></tr></tbody></table>
<pre><code>a = 1
  b = 2</code></pre>
<div>Bye</div></body></html>"""


def test_a_page_reads_as_it_looks() -> None:
    """Headings, paragraphs, lists, tables and code are kept in order; scripts, styles and navigation are not text."""
    title, blocks = html_blocks(PAGE)
    assert title == "Help & more"
    assert [(block.kind.value, block.text) for block in blocks] == [
        ("heading", "Returns and refunds"),
        ("paragraph", "Send it back\nwithin 30 days."),
        ("list", "- First\n  - Nested\n- Second"),
        ("list", "1. Go"),
        ("table", "| Zone | Price |\n|---|---|\n| EU | 5 € |"),
        ("code", "```\na = 1\n  b = 2\n```"),
        ("paragraph", "Bye"),
    ]


@given(
    st.lists(
        st.sampled_from([*"<>/!-[]&;\"' ", "<p>", "</p>", "<ul>", "<li>", "<pre>", "<![", "<script>", "h1", "text"])
    ).map("".join)
)
def test_broken_markup_never_raises(text: str) -> None:
    """Whatever stands in a file, the reader survives it."""
    html_blocks(text)


@given(st.text(st.characters(categories=("L", "N"), max_codepoint=0x24F), min_size=1, max_size=200))
def test_no_word_of_a_paragraph_is_lost(text: str) -> None:
    """Plain words in a paragraph arrive as they are."""
    (block,) = html_blocks(f"<p>{text}</p>")[1]
    assert block.text == text
