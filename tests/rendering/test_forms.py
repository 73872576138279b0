"""Each form says in its platform's markup what the Markdown meant, and nothing else becomes markup."""

import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.rendering import DISCORD, PLAIN, SLACK, WHATSAPP, Form, render

FORMS = {"slack": SLACK, "discord": DISCORD, "whatsapp": WHATSAPP, "plain": PLAIN}
ZERO = "\u200b"

# Markdown, then what Slack, Discord, WhatsApp and the plain form make of it; None: the same as it is.
CASES: dict[str, tuple[str, str | None, str | None, str | None, str | None]] = {
    "words": ("Hello, world! 5 < 6", "Hello, world! 5 &lt; 6", None, None, None),
    "line ends": ("one\ntwo\n\nthree", None, None, None, None),
    "strong": ("a **b** c", "a *b* c", None, "a *b* c", "a b c"),
    "emphasis": ("a *b* c", "a _b_ c", None, "a _b_ c", "a b c"),
    "both": ("***b***", "_*b*_", None, "_*b*_", "b"),
    "strike": ("~~b~~", "~b~", None, "~b~", "b"),
    "code": ("use `a < b`", "use `a &lt; b`", None, None, "use a < b"),
    "code with a code mark": ("`` a`b ``", "a`b", "`` a`b ``", "a`b", "a`b"),
    "code with two": ("``` a``b ```", "`aˋˋb`", r"a\`\`b", "`aˋˋb`", "a``b"),
    "strong over lines": ("**a\nb**", "*a*\n*b*", "**a**\n**b**", "*a*\n*b*", "a\nb"),
    "strong in strong": ("**a __b__**", "*a b*", "**a b**", "*a b*", "a b"),
    "heading": ("# Head\n\ntext", "*Head*\ntext", "# Head\ntext", "*Head*\ntext", "Head\ntext"),
    "strong heading": ("#### **Head** x", "*Head x*", "**Head x**", "*Head x*", "Head x"),
    "bullets": ("Do:\n\n* a\n* b", "Do:\n• a\n• b", "Do:\n- a\n- b", "Do:\n- a\n- b", "Do:\n- a\n- b"),
    "numbers": ("3. a\n4. b", None, None, None, None),
    "nested": ("- a\n  - b\n    1. c\n- d", "• a\n    • b\n        1. c\n• d", None, None, None),
    "item of several lines": (
        "- a\n  b\n\n  c",
        "• a\n    b\n    c",
        "- a\n  b\n  c",
        "- a\n  b\n  c",
        "- a\n  b\n  c",
    ),
    "item of code": (
        "1. a\n   ```\n    x\n   ```",
        "1. a\n```\n x\n```",
        "1. a\n```\n x\n```",
        "1. a\n```\n x\n```",
        "1. a\n x",
    ),
    "quote": ("> a\n> **b**", "> a\n> *b*", None, "> a\n> *b*", "> a\n> b"),
    "code block": (
        "```py\nx < 1\n\n  y\n```",
        "```\nx &lt; 1\n\n  y\n```",
        None,
        "```\nx < 1\n\n  y\n```",
        "x < 1\n\n  y",
    ),
    "open code block": ("```\nx", "```\nx\n```", "```\nx\n```", "```\nx\n```", "x"),
    "fence within code": (
        "````\n```\n````",
        f"```\n``{ZERO}`\n```",
        f"```\n``{ZERO}`\n```",
        f"```\n``{ZERO}`\n```",
        "```",
    ),
    "empty code block": ("a\n```\n```\nb", "a\n\n\nb", "a\n\n\nb", "a\n\n\nb", "a\n\n\nb"),
    "rule": ("a\n\n***\n\nb", "a\n\n---\n\nb", "a\n\n---\n\nb", "a\n\n---\n\nb", "a\n\n---\n\nb"),
    "table": (
        "|A|Long|\n|-|-:|\n|**x**|1|\n|日本|[2](https://x.test)|",
        "```\nA     Long\n----  ----\nx     1\n日本  2\n```",
        "```\nA     Long\n----  ----\nx     1\n日本  2\n```",
        "*A* | *Long*\n*x* | 1\n日本 | 2: https://x.test",
        "A | Long\nx | 1\n日本 | 2: https://x.test",
    ),
    "link": (
        "see [a *b*](https://x.test/?c=1&d=(2)).",
        "see <https://x.test/?c=1&amp;d=(2)|a b>.",
        "see [a b](<https://x.test/?c=1&d=(2)>).",
        "see a b: https://x.test/?c=1&d=(2).",
        "see a b: https://x.test/?c=1&d=(2).",
    ),
    "link in strong": (
        "**[a](https://x.test)**",
        "*<https://x.test|a>*",
        "**[a](<https://x.test>)**",
        "*a: https://x.test*",
        "a: https://x.test",
    ),
    "link with marks in its words": (
        "[a|b \\]\\* &](https://x.test)",
        "<https://x.test|a¦b ]* &amp;>",
        "[a|b )\\* &](<https://x.test>)",
        "a|b ]* &: https://x.test",
        "a|b ]* &: https://x.test",
    ),
    "address": (
        "(see https://x.test/a_b_c_(d)), or <http://y.test>.",
        "(see <https://x.test/a_b_c_(d)>), or <http://y.test>.",
        "(see <https://x.test/a_b_c_(d)>), or <http://y.test>.",
        "(see https://x.test/a_b_c_(d)), or http://y.test.",
        "(see https://x.test/a_b_c_(d)), or http://y.test.",
    ),
    "address in strong": (
        "**https://x.test**",
        "*<https://x.test>*",
        "**<https://x.test>**",
        "*https://x.test*",
        "https://x.test",
    ),
    "address after a letter": ("xhttps://y.test", None, None, None, None),
    "address of another writing": (
        "https://x.test/日本。",
        "<https://x.test/%E6%97%A5%E6%9C%AC>。",
        "<https://x.test/%E6%97%A5%E6%9C%AC>。",
        "https://x.test/%E6%97%A5%E6%9C%AC。",
        "https://x.test/%E6%97%A5%E6%9C%AC。",
    ),
    "address that looks like another": (
        "https://аpple.test",
        "<https://xn--pple-43d.test>",
        "<https://xn--pple-43d.test>",
        "https://xn--pple-43d.test",
        "https://xn--pple-43d.test",
    ),
    "mail": (
        "[us](mailto:a@x.test?subject=b) <c@x.test>",
        "<mailto:a@x.test?subject=b|us> <mailto:c@x.test|c@x.test>",
        "us: a@x.test c@x.test",
        "us: a@x.test c@x.test",
        "us: a@x.test c@x.test",
    ),
    "link that lies": (
        "[bank.test](https://evil.test/bank.test)",
        "bank.test: <https://evil.test/bank.test>",
        "bank.test: <https://evil.test/bank.test>",
        "bank.test: https://evil.test/bank.test",
        "bank.test: https://evil.test/bank.test",
    ),
    "link that is honest": (
        "[x.test/help](https://www.x.test/help?a)",
        "<https://www.x.test/help?a|x.test/help>",
        "[x.test/help](<https://www.x.test/help?a>)",
        "x.test/help: https://www.x.test/help?a",
        "x.test/help: https://www.x.test/help?a",
    ),
    "other schemes": ("[a](javascript:b) [c](file:///d)", None, "\\[a](javascript:b) \\[c](file:///d)", None, None),
    "picture": (
        "![a](https://x.test/a.png)",
        "<https://x.test/a.png|a>",
        "[a](<https://x.test/a.png>)",
        "a: https://x.test/a.png",
        "a: https://x.test/a.png",
    ),
    "html": ("<b>a</b> &amp; <!-- c -->", "&lt;b&gt;a&lt;/b&gt; &amp;amp; &lt;!-- c --&gt;", None, None, None),
    "html block": ("<script>\na\n</script>", "&lt;script&gt;\na\n&lt;/script&gt;", None, None, None),
    "reference": (
        "[a]: https://x.test\n\n[a]",
        "[a]: <https://x.test>\n\n[a]",
        "[a]: <https://x.test>\n\n[a]",
        None,
        None,
    ),
    "indented": ("a\n\n    b", "a\n\nb", "a\n\nb", "a\n\nb", "a\n\nb"),
    "underlined": ("a\n===", None, None, None, None),
    "names": ("snake_case_name and a_b", None, None, None, None),
    "sums": (
        "2 * 3 * 4 and 5*6*7",
        "2 * 3 * 4 and 5⌷_6_⌷7",
        "2 * 3 * 4 and 5*6*7",
        "2 * 3 * 4 and 5⌷_6_⌷7",
        "2 * 3 * 4 and 567",
    ),
    "about": ("~5 to ~10, price*, a|b", None, "~5 to ~10, price\\*, a|b", None, None),
    "stars that are meant": (
        "dial \\*100# or \\*200\\*.",
        "dial `*100#` or `*200*`.",
        "dial \\*100# or \\*200\\*.",
        "dial `*100#` or `*200*`.",
        "dial *100# or *200*.",
    ),
    "star beside our own": ("**a** 5* b", "*a* 5* b", "**a** 5\\* b", "*a* 5* b", "a 5* b"),
    "star within our own": ("**a\\* b**", "*`a*` b*", "**a\\* b**", "*`a*` b*", "a* b"),
    "star before our own": ("\\*a **b**", "`*a` *b*", "\\*a **b**", "`*a` *b*", "*a b"),
    "tildes that are meant": ("~a~ b", "`~a~` b", None, "`~a~` b", None),
    "spoilers and underlines": ("||a|| b__c__d", "||a|| `b__c__d`", r"\|\|a\|\| b\_\_c\_\_d", "||a|| `b__c__d`", None),
    "backslash": (
        "C:\\dir and \\\\x and \\\\*a*",
        "C:\\dir and \\x and \\_a_",
        "C:\\dir and \\x and \\\\*a*",
        "C:\\dir and \\x and \\_a_",
        "C:\\dir and \\x and \\a",
    ),
    "no spaces between words": ("是**粗体**的", f"是{ZERO}*粗体*{ZERO}的", None, f"是{ZERO}*粗体*{ZERO}的", "是粗体的"),
    "mark next to mark": ("**a**~~b~~", f"*a*{ZERO}~b~", f"**a**{ZERO}~~b~~", f"*a*{ZERO}~b~", "ab"),
    "small print": (
        "-# a\n\\> b\n\\# c",
        "-# a\n&gt; b\n# c",
        "\\-# a\n\\> b\n\\# c",
        "-# a\n> b\n# c",
        "-# a\n> b\n# c",
    ),
    "citations": ("Yes [1][2]. No [3]", None, None, None, None),
    "nothing": (" \n\n \t", "", "", "", ""),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("number", range(4), ids=list(FORMS))
def test_a_form_says_what_was_meant(name: str, number: int) -> None:
    """One table for all: what differs between the platforms can be read along its lines."""
    text, *wanted = CASES[name]
    expected = wanted[number]
    assert render(text, list(FORMS.values())[number]) == (text if expected is None else expected.replace("⌷", ZERO))


sentences = st.lists(
    st.text(alphabet="abcXYZ019 ,.;:!?'-äßжя日本語\U0001f600", min_size=1, max_size=40).map(str.strip).filter(bool),
    min_size=1,
    max_size=6,
)


@given(sentences, st.sampled_from(["\n", "\n\n"]))
@settings(max_examples=150, deadline=None)
@pytest.mark.parametrize("form", FORMS.values(), ids=list(FORMS))
def test_plain_sentences_stay_as_they_are(form: Form, lines: list[str], between: str) -> None:
    """Text without markup is not touched, however often it is rendered."""
    lines = [f"A {line} z" for line in lines]
    text = between.join(re.sub(r"\s+", " ", line) for line in lines)
    assert render(text, form) == text


@given(st.text(max_size=200) | st.text(alphabet="*_~`[]()<>|#-> \n\\ab", max_size=200))
@settings(max_examples=150, deadline=None)
def test_every_word_is_kept(text: str) -> None:
    """Letters and digits that are to be read come out in their order, in every form."""
    text = re.sub(r"[^\x20-\x7e\n]|[:\[|]", "", text)  # without links and tables, which are written in another way
    wanted = _letters(render(text, PLAIN))
    for form in (SLACK, DISCORD, WHATSAPP):
        assert _letters(_unescaped(render(text, form))) == wanted


def _unescaped(text: str) -> str:
    return text.replace("&lt;", "").replace("&gt;", "").replace("&amp;", "")


def _letters(text: str) -> str:
    return "".join(char for char in text if char.isascii() and char.isalnum())


@given(
    st.text(alphabet=st.characters(), max_size=100)
    | st.text(alphabet="a\x00\x07\x1b\x7f\x9b\u202e\u2066\ud800*\n ", max_size=60)
)
@settings(max_examples=150, deadline=None)
@pytest.mark.parametrize("form", FORMS.values(), ids=list(FORMS))
def test_f58_f59_nothing_unfit_comes_out(form: Form, text: str) -> None:
    """No control characters, no halves of characters, nothing that turns the order of the text around."""
    shown = render(text, form)
    assert not [char for char in shown if unicodedata.category(char) in ("Cc", "Cs") and char not in "\n\t"]
    assert not re.search("[\u202a-\u202e\u2066-\u2069]", shown)
    shown.encode()


def test_deep_nesting_is_shown_as_text() -> None:
    """What is nested deeper than anyone reads is not lost."""
    for form in FORMS.values():
        assert "bottom" in render("> " * 500 + "bottom", form)
        assert "bottom" in render("- " * 500 + "bottom", form)
        assert "bottom" in render("**a *b " * 300 + "bottom" + "* **" * 300, form)
        assert "bottom" in render("[" * 300 + "bottom" + "](https://x.test)" * 300, form)
