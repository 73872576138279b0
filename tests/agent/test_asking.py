"""What counts as a question."""

import pytest

from bot.agent.questions import is_asking_back, is_question


@pytest.mark.parametrize(
    "text",
    [
        "Do you ship to France?",
        "how do i return a bike",
        "Hello, can I pay later",
        "My bike broke. What now",
        "Wann kommt mein Paket",
        "Hallo! Gibt es Rabatt",
        "返品できますか？",
    ],
)
def test_a_question_is_one_with_or_without_its_mark(text: str) -> None:
    assert is_question(text)


@pytest.mark.parametrize(
    "text", ["Hello!", "Thanks a lot", "Order 4711", "I have no idea", "Das ist gut", "", "It was red."]
)
def test_a_word_or_a_statement_is_none(text: str) -> None:
    assert not is_question(text)


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("Which order is it?", True),
        ("I did not find that. Would you like to talk to a person?", False),
        ("It costs 5 euros.", False),
        ("", False),
    ],
)
def test_asking_back_is_one_question_alone(text: str, is_one: bool) -> None:
    assert is_asking_back(text) is is_one
