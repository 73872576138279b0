"""What calls for a person in what a user writes, and what does not."""

import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.handoff.triggers import contact_in, is_angry, topic, wants_person
from tests.handoff.sentences import figures, labelled

TOPICS = {"money": ["refund", "money back", "Rückerstattung"], "law": ["lawyer", "sue", "退款", "refund"]}


@pytest.mark.parametrize("detection", ["wish", "anger"])
def test_what_was_tuned_on_is_told_without_a_mistake(detection: str) -> None:
    some = [one for one in labelled() if one.detection == detection and not one.is_held_out]
    assert [one.text for one in some if not one.is_right] == []


@pytest.mark.parametrize("detection", ["wish", "anger"])
def test_what_was_held_out_is_told_nearly_as_well(detection: str) -> None:
    found = figures([one for one in labelled() if one.detection == detection and one.is_held_out])
    assert found.precision >= 0.95
    assert found.recall >= 0.95


@pytest.mark.parametrize("detection", ["wish", "anger"])
def test_each_direction_has_enough_labelled_sentences_none_twice(detection: str) -> None:
    some = [one for one in labelled() if one.detection == detection]
    assert sum(one.is_expected for one in some) >= 150
    assert sum(not one.is_expected for one in some) >= 150
    assert len({one.text for one in some}) == len(some)


@pytest.mark.parametrize(
    "text",
    [
        "My invoice is wrong.\n\nI want to talk to a human",
        "My order is 4711, 转人工",
        "I don't want to complain, but please let me talk to a person",
        "i WANT to TALK to a HUMAN",
        "I  want\tto talk to\u00a0a human",
        "quiero hablar con una persona",
        "QUIERO HABLAR CON UNA PERSONA",
        "Ｉ ｗａｎｔ ａ ｈｕｍａｎ",
        '"I want to talk to a human"',
    ],
)
def test_a_wish_is_heard_in_whatever_it_is_wrapped(text: str) -> None:
    assert wants_person(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "?!",
        "👍",
        "> I want to talk to a human\nthis is what the customer wrote",
        "The widget shows `talk to a human` in English only",
        "```\nconnect me to an agent\n```\nwhat does this script do?",
        "Der Text „Ich möchte mit einem Menschen sprechen“ erscheint zweimal",
    ],
)
def test_what_is_quoted_or_code_is_not_the_users_wish(text: str) -> None:
    assert not wants_person(text)


def test_an_angry_line_among_others_counts_and_a_quoted_one_does_not() -> None:
    assert is_angry("Hello,\nmy order is late.\nThis is ridiculous!")
    assert not is_angry('The reviewer wrote "you idiot", can I delete that?')
    assert not is_angry("```\nYOU ARE NOT MY FRIEND AND WHY\n```\nwhat is this output?")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I want a REFUND!", "money"),
        ("give me my money-back", "money"),
        ("ruckerstattung bitte", "money"),
        ("I will call my lawyer about the refund", "money"),
        ("We shall sue", "law"),
        ("我想退款", "law"),
        ("the issue is refunding", ""),
        ("pursue", ""),
        ("run `refund()`", ""),
        ("", ""),
    ],
)
def test_the_first_topic_whose_words_stand_in_the_text_is_named(text: str, expected: str) -> None:
    assert topic(text, TOPICS) == expected


def test_a_topic_without_words_is_never_named() -> None:
    assert topic("anything", {"empty": [], "blank": ["", "!"]}) == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mail me at jo.doe+x@example.co.uk.", "jo.doe+x@example.co.uk"),
        ("jürgen@müller.de", "jürgen@müller.de"),
        ("call me: +49 (0) 30 1234567", "+49 (0) 30 1234567"),
        ("0171/1234567", "0171/1234567"),
        ("phone:01711234567", "01711234567"),
        ("00491711234567", "00491711234567"),
        ("(555) 123-4567 please", "(555) 123-4567"),
        ("phone 4711 0815 22", "4711 0815 22"),
        ("meine Handynummer ist 151 23456789", "151 23456789"),
        ("电话13812345678", "13812345678"),
        ("order 4711-0815-2233, my phone is 0151 23456789", "0151 23456789"),
        ("+1 415 555 0132 or me@example.com", "me@example.com"),
    ],
)
def test_an_address_or_number_that_a_user_leaves_is_found(text: str, expected: str) -> None:
    assert contact_in(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "my order is 4711-0815-2233",
        "order no 0123456789",
        "call me tomorrow about order 12345678",
        "on 12.11.2026 at 10:30",
        "2026-11-23 10:00:00",
        "from 01.02.2026 - 03.04.2026",
        "09:00-17:00",
        "the server is 192.168.0.1",
        "version 10.2.3.4",
        "0.0000001",
        "1234567890123456",
        "IBAN DE89 3704 0044 0532 0130 00",
        "@someone wrote it",
        "user@localhost",
        "price 1000000€",
    ],
)
def test_orders_dates_amounts_and_machines_are_no_contact(text: str) -> None:
    assert contact_in(text) == ""


@given(st.text(max_size=300))
def test_any_text_is_taken(text: str) -> None:
    found = contact_in(text)
    assert found in text
    assert wants_person(text) in (True, False)
    assert is_angry(text) in (True, False)
    assert topic(text, TOPICS) in ("", "money", "law")


def _topic(text: str) -> str:
    return topic(text, TOPICS)


HOSTILE = (
    "a", "a ", "to ", "talk to ", "human ", "i want not ", "hay alguien con quien ", "real live ", '"', "`", "```", "> ", ", ", "bitte, ",
    "a@", "@a.", "a.", "1", "1 ", "(1", "0-", "+", "you are very ", "THIS ", "\u0301", "人", "不要", "か", "सि", "not a an the ",
)  # fmt: skip


@pytest.mark.parametrize("detect", [wants_person, is_angry, contact_in, _topic])
@pytest.mark.parametrize("part", HOSTILE)
def test_the_work_grows_no_faster_than_the_text(detect: Callable[[str], object], part: str) -> None:
    """Four times the text may take at most some ten times the processor's time; a quadratic one would take sixteen and more."""
    detect("warm")
    small, large = (min(_cost(detect, (part * size)[:size]) for _ in range(2)) for size in (10_000, 40_000))
    assert large < 10 * small + 0.02


def _cost(detect: Callable[[str], object], text: str) -> float:
    """The processor's time of this thread, which other programs do not lengthen."""
    start = time.thread_time()
    detect(text)
    return time.thread_time() - start
