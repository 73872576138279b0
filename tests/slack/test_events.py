"""Payloads as they may come: with new fields, without old ones, and of other kinds."""

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.slack import blocks
from adapters.slack.drafts import safe_piece
from adapters.slack.events import Changed, Deleted, Me, Said, ms_of, read, ts_of
from adapters.slack.wording import mentions, plain
from bot.model import MessageId

ME = Me("U0BOT", "B0BOT", "T0")

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from(
    [
        "type",
        "subtype",
        "channel",
        "channel_type",
        "user",
        "bot_id",
        "ts",
        "thread_ts",
        "text",
        "files",
        "message",
        "previous_message",
        "edited",
        "deleted_ts",
        "event_ts",
        "team",
    ]
)


def event(**fields: Any) -> dict[str, Any]:
    return {
        "type": "message",
        "channel": "C1",
        "channel_type": "channel",
        "user": "U1",
        "ts": "1.000100",
        "text": "hi",
    } | fields


@given(st.dictionaries(KEYS, JSON, max_size=10))
def test_f32_whatever_comes_is_read_or_left(payload: dict[str, Any]) -> None:
    found = read(payload, ME, "T0")
    assert found is None or isinstance(found, Said | Changed | Deleted)


@given(st.dictionaries(KEYS, JSON, max_size=6))
def test_f32_fields_of_other_kinds_in_a_message_are_left(fields: dict[str, Any]) -> None:
    read(event(**fields), ME, "T0")


@pytest.mark.parametrize(
    "subtype", ["channel_join", "channel_topic", "pinned_item", "bot_message", "assistant_app_thread", "something_new"]
)
def test_what_nobody_said_is_no_message(subtype: str) -> None:
    assert read(event(subtype=subtype), ME, "T0") is None


def test_a_mention_that_is_edited_in_speaks_to_us_from_then_on() -> None:
    found = read(
        event(
            subtype="message_changed",
            message=event(text="<@U0BOT> hi", edited={"ts": "2.000000"}),
            previous_message=event(),
        ),
        ME,
        "T0",
    )
    assert isinstance(found, Changed)
    assert (found.now.is_addressed, found.was_addressed) == (True, False)


def test_a_tombstone_is_a_deletion() -> None:
    found = read(
        event(
            subtype="message_changed", message=event(subtype="tombstone", user="USLACKBOT"), previous_message=event()
        ),
        ME,
        "T0",
    )
    assert isinstance(found, Deleted)
    assert (found.was.person, found.was.ts) == ("U1", "1.000100")


def test_the_root_of_a_thread_is_where_it_was_before_it_had_replies() -> None:
    found = read(event(channel="D1", channel_type="im", thread_ts="1.000100"), ME, "T0")
    assert isinstance(found, Said)
    assert found.thread == ""


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<@U0BOT> hello", "hello"),
        ("hello <@U0BOT>, you", "hello , you"),
        ("ask <@U2> and <@U3|carl>", "ask @Bea and @carl"),
        ("<#C1|general> <!here> <!subteam^S1|@team>", "#general @here @team"),
        ("<https://example.com/a?b=1&amp;c=2|the page>", "the page (https://example.com/a?b=1&c=2)"),
        ("<https://example.com>", "https://example.com"),
        ("<mailto:a@b.c|a@b.c>", "a@b.c"),
        ("1 &lt; 2 &amp;&amp; 3 &gt; 2", "1 < 2 && 3 > 2"),
        ("&amp;lt;", "&lt;"),
        ("<!date^1392734382^{date}|18 Feb>", "18 Feb"),
    ],
)
def test_slacks_notation_is_shown_as_its_writer_saw_it(text: str, shown: str) -> None:
    assert plain(text, {"U2": "Bea"}, without="U0BOT") == shown


def test_only_a_whole_mention_is_one() -> None:
    assert mentions("<@U0BOT>", "U0BOT")
    assert mentions("<@U0BOT|bot>", "U0BOT")
    assert not mentions("&lt;@U0BOT&gt; U0BOT <@U0BOTTLE>", "U0BOT")


@given(st.integers(min_value=0, max_value=4_000_000_000_000))
def test_times_go_there_and_back(ms: int) -> None:
    assert ms_of(ts_of(ms)) == ms


@pytest.mark.parametrize("ts", ["", "abc", "1.2.3", "-1", "١"])
def test_f32_a_time_that_is_none_is_0(ts: str) -> None:
    assert ms_of(ts) in (0,)


def test_f104_no_streamed_piece_opens_a_mention_or_a_picture() -> None:
    for text in ("<!channel>", "<@U1>", "<#C1>", "![x](https://evil.example)", "&lt;!here>"):
        for cut in range(len(text) + 1):
            sent = safe_piece(text[:cut], "") + safe_piece(text[cut:], text[:cut])
            assert "<" not in sent
            assert "![" not in sent
            assert "&lt;!" not in sent or text.startswith("<")


def test_f104_no_pair_or_triple_of_special_characters_makes_a_mention() -> None:
    for size in (2, 3):
        for chars in itertools.product("<>@!#&|U", repeat=size):
            sent = safe_piece("".join(chars) + "channel>", "")
            assert "<" not in sent


def test_keys_differ_by_account_message_and_part_and_say_nothing() -> None:
    keys = {
        blocks.key_of(account, MessageId(id_), part) for account in ("", "a") for id_ in ("m", "n") for part in (0, 1)
    }
    assert len(keys) == 8
    assert all(len(key) == 32 for key in keys)


@given(st.text(max_size=40))
def test_f32_a_value_that_is_not_ours_is_no_press(text: str) -> None:
    assert blocks.pressed(text) is None or isinstance(blocks.pressed(text), blocks.Pressed)
