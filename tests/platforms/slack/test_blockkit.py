"""Blocks are taken up to the limits that Slack documents, and refused beyond them."""

from collections.abc import Callable

import pytest

from tests.platforms.slack import blockkit
from tests.platforms.slack.world import Json


def plain(text: str) -> Json:
    return {"type": "plain_text", "text": text}


def marked(text: str) -> Json:
    return {"type": "mrkdwn", "text": text}


def button(**more: object) -> Json:
    return {"type": "actions", "elements": [{"type": "button", "text": plain("Go"), "action_id": "go"} | more]}


def select(count: int, chars: int = 1) -> Json:
    options = [{"text": plain("o" * chars), "value": f"{n}"} for n in range(count)]
    return {"type": "actions", "elements": [{"type": "static_select", "action_id": "s", "options": options}]}


LIMITS: list[tuple[int, Callable[[int], list[Json]]]] = [
    (50, lambda n: [{"type": "divider"}] * n),
    (3000, lambda n: [{"type": "section", "text": marked("x" * n)}]),
    (10, lambda n: [{"type": "section", "fields": [marked("x")] * n}]),
    (2000, lambda n: [{"type": "section", "fields": [marked("x" * n)]}]),
    (150, lambda n: [{"type": "header", "text": plain("x" * n)}]),
    (12_000, lambda n: [{"type": "markdown", "text": "x" * n}]),
    (10, lambda n: [{"type": "context", "elements": [marked("x")] * n}]),
    (25, lambda n: [{"type": "actions", "elements": [{"type": "button", "text": plain("x")}] * n}]),
    (255, lambda n: [{"type": "divider", "block_id": "x" * n}]),
    (75, lambda n: [button(text=plain("x" * n))]),
    (255, lambda n: [button(action_id="x" * n)]),
    (2000, lambda n: [button(value="x" * n)]),
    (3000, lambda n: [button(url="x" * n)]),
    (300, lambda n: [button(confirm={"title": plain("t"), "text": plain("x" * n)})]),
    (100, lambda n: [select(n)]),
    (75, lambda n: [select(1, n)]),
    (100, lambda n: [{"type": "table", "rows": [[{"type": "raw_text", "text": "x"}]] * n}]),
    (1, lambda n: [{"type": "table", "rows": [[{"type": "raw_text", "text": "x"}]]}] * n),
]


@pytest.mark.parametrize(("most", "make"), LIMITS)
def test_f61_a_limit_is_taken_and_one_more_is_refused(most: int, make: Callable[[int], list[Json]]) -> None:
    assert blockkit.problems(make(most)) == []
    assert blockkit.problems(make(most + 1)) != []


@pytest.mark.parametrize(
    "block",
    [
        {"type": "section"},
        {"type": "section", "text": marked("")},
        {"type": "header", "text": marked("x")},
        {"type": "actions", "elements": []},
        {"type": "context_actions", "elements": [{"type": "button", "text": plain("x")}]},
        {
            "type": "context_actions",
            "elements": [{"type": "feedback_buttons", "positive_button": {"text": plain("x")}}],
        },
        {"type": "input", "label": plain("x")},
        {"type": "nonsense"},
        button(style="blue"),
        button(text=marked("x")),
    ],
)
def test_what_slack_does_not_know_is_refused(block: Json) -> None:
    assert blockkit.problems([block]) != []


def test_ids_are_unique_within_a_message_and_a_block() -> None:
    one = {"type": "button", "text": plain("x"), "action_id": "same"}
    assert blockkit.problems([{"type": "actions", "elements": [one, one]}]) != []
    assert blockkit.problems([{"type": "divider", "block_id": "a"}, {"type": "divider", "block_id": "a"}]) != []


def test_what_a_person_reads_is_the_text_of_every_block_without_buttons() -> None:
    table: Json = {"type": "table", "rows": [[{"type": "raw_text", "text": "a"}, {"type": "raw_text", "text": "b"}]]}
    rich: Json = {
        "type": "rich_text",
        "elements": [{"type": "rich_text_section", "elements": [{"type": "text", "text": "rich"}]}],
    }
    section: Json = {"type": "section", "text": marked("s"), "fields": [marked("f")]}
    context: Json = {"type": "context", "elements": [marked("c"), {"type": "image", "alt_text": "i"}]}
    blocks: list[Json] = [
        {"type": "header", "text": plain("h")},
        section,
        {"type": "markdown", "text": "**m**"},
        context,
        rich,
        table,
        button(),
    ]
    assert blockkit.text_of(blocks) == "h\ns\nf\n**m**\nc\nrich\na | b"
    assert blockkit.labels_of([*blocks, button(url="https://a.example")]) == ["Go"]


@pytest.mark.parametrize(
    ("blocks", "count"),
    [
        ([{"type": "section", "text": marked("<!here>")}], 1),
        ([{"type": "section", "text": plain("<!here>")}], 0),
        ([{"type": "section", "fields": [marked("<@U1>")]}], 1),
        ([{"type": "context", "elements": [marked("<#C1|x>")]}], 1),
        ([{"type": "markdown", "text": "<!channel>"}], 1),
        ([{"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": [{"type": "broadcast"}]}]}], 1),
        ([{"type": "section", "text": marked("<https://a.example|a> &lt;!here&gt;")}], 0),
    ],
)
def test_f104_mentions_are_found_wherever_they_ping(blocks: list[Json], count: int) -> None:
    assert len(blockkit.mentions_in("", blocks)) == count
