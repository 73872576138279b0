"""No text calls anybody: no mention, no command, no custom emoji, no address that the platform would not show."""

import itertools
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.rendering import DISCORD, SLACK, render, sources
from bot.model import Citation, PassageId

TOKENS = [
    "<",
    ">",
    "@",
    "!",
    "#",
    "&",
    "|",
    "/",
    "`",
    "*",
    ":1",
    "everyone",
    "U1",
    "\\",
    "^",
    "here",
    "t:1",
    "id:a",
    "a:b:1",
]
PLACES = "{0}\n\n`{0}`\n\n**{0}** x{0}\n\n[{0}](https://x.test)\n\n- {0}\n\n> {0}\n\n# {0}\n\n|{0}|\n|-|\n|{0}|\n\n```\n{0}\n```"

_OURS_IN_SLACK = re.compile(r"<(?:https?://|mailto:)[^<>|\s]+(?:\|[^<>|]*)?>")
_DISCORD_CALL = re.compile(
    r"@(everyone|here)|<(@[!&]?|#)\w|<[@#]|</[^<>\n]+:\d|<a?:\w+:\d+>|<t:-?\d|<id:\w", re.IGNORECASE
)


def calls_on_slack(text: str) -> list[str]:
    """Every `<` that does not begin an address of ours."""
    return re.findall(r"<[^>]*>?", _OURS_IN_SLACK.sub("", text))


def calls_on_discord(text: str) -> list[str]:
    return [found[0] for found in _DISCORD_CALL.finditer(text)]


@pytest.mark.parametrize(("tokens", "size"), [(TOKENS, 1), (TOKENS, 2), (TOKENS[:13], 3)])
def test_f104_no_combination_is_a_call(tokens: list[str], size: int) -> None:
    """All sequences of special characters and the words between them, wherever they may stand."""
    for combination in map("".join, itertools.product(tokens, repeat=size)):
        text = PLACES.format(combination)
        assert not calls_on_slack(render(text, SLACK)), combination
        assert not calls_on_discord(render(text, DISCORD)), combination


@pytest.mark.parametrize(
    ("text", "shown"), [("[<]()", "&lt;"), ("[a]()", "a"), ("[]()", ""), ("![*a* <@U1>]() b", "_a_ &lt;@U1&gt; b")]
)
def test_an_address_that_is_not_there_makes_no_link(text: str, shown: str) -> None:
    """Only the words remain."""
    assert render(text, SLACK) == shown


@given(
    st.lists(
        st.sampled_from([*TOKENS, "[", "](", ")", "https://", "x.test", "**", "~~", " ", "\n", "```\n", "\u200b"]),
        max_size=40,
    )
)
@settings(max_examples=300, deadline=None)
def test_f104_no_text_is_a_call(tokens: list[str]) -> None:
    """Nor is any longer text, across marks, links and lines."""
    text = "".join(tokens)
    assert not calls_on_slack(render(text, SLACK))
    assert not calls_on_discord(render(text, DISCORD))


@pytest.mark.parametrize(
    "text",
    [
        "<!channel>",
        "<@U0123>",
        "<#C0123|general>",
        "<!subteam^S01|@team>",
        "<!date^1^{date}|x>",
        "<https://x.test|click>",
        "<tel:123>",
    ],
)
def test_f104_slacks_own_markup_is_shown(text: str) -> None:
    """What would be read by Slack stands there to be read by people."""
    shown = render(f"Look: {text}", SLACK)
    assert not calls_on_slack(shown)
    assert re.sub(r"<(https://x\.test)>", r"\1", shown) == f"Look: {text}".replace("<", "&lt;").replace(">", "&gt;")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("@everyone and @here", "@⌷everyone and @⌷here"),
        ("<@123456789012345678>", "<⌷@123456789012345678>"),
        ("<@!1> <@&2> <#3>", "<⌷@!1> <⌷@&2> <⌷#3>"),
        ("</refund now:123>", "<⌷/refund now:123>"),
        ("<:a:1> <a:b:2>", "<⌷:a:1> <⌷a:b:2>"),
        ("<t:1618953630:R>", "<⌷t:1618953630:R>"),
        ("<id:customize>", "<⌷id:customize>"),
        ("**@__everyone__**", "**@⌷everyone**"),
        ("`@everyone`", "`@⌷everyone`"),
        ("https://x.test/@everyone", "<https://x.test/%40everyone>"),
        ("a <b> </p> 1 < 2", "a <b> </p> 1 < 2"),
    ],
)
def test_f104_discords_calls_are_broken(text: str, shown: str) -> None:
    """By a space that nobody sees, and nothing else is touched."""
    assert render(text, DISCORD) == shown.replace("⌷", "\u200b")


def test_f104_no_address_is_previewed_on_discord() -> None:
    """Every address stands in the brackets that keep Discord from showing what is behind it."""
    shown = render("https://a.test [b](https://b.test) ![c](https://c.test/c.png) <https://d.test>", DISCORD)
    assert len(re.findall(r"<https://[a-d]\.test[^>]*>", shown)) == shown.count("https://") == 4


def test_f104_titles_of_sources_call_nobody() -> None:
    """They are text like any other."""
    hostile = [
        Citation(n, PassageId("p"), title, "https://x.test")
        for n, title in enumerate(("<!here>", "@everyone", "](<@1>"), 1)
    ]
    assert not calls_on_slack(sources(hostile, SLACK))
    assert not calls_on_discord(sources(hostile, DISCORD))
