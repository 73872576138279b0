"""Talk about passwords keeps its words; a word that may be one goes."""

import pytest

from bot.people.masking import REMOVED, masked


@pytest.mark.parametrize(
    "text",
    ["Passwort: zurücksetzen geht nicht", "About the password: resetting fails", "token: refresh does not work"],
)
def test_what_is_asked_about_a_password_stays(text: str) -> None:
    assert masked(text) == text


def test_a_plain_word_behind_the_colon_is_taken_for_one() -> None:
    assert masked("password: swordfish") == f"password: {REMOVED}"
