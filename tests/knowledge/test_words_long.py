"""One endless word costs as little as many short ones."""

import time

import pytest

from bot.knowledge.words import informative_words

LETTERS = 16_000  # `limits.message_chars`


@pytest.mark.parametrize("text", ["a" * LETTERS, "a_" * (LETTERS // 2), "ä1" * (LETTERS // 2), "a" * LETTERS + "_b"])
def test_a_word_as_long_as_a_message_may_be_is_read_at_once(text: str) -> None:
    """Whoever compares questions would hold up every conversation otherwise: no other thread runs meanwhile."""
    before = time.thread_time()
    assert informative_words(text)
    assert time.thread_time() - before < 0.5
