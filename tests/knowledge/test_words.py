"""Words: what says something, what says the same, and what was meant."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.knowledge.forms import form_of
from bot.knowledge.synonyms import alternatives
from bot.knowledge.words import hinting_words, informative_words, is_near, split_words, stem


@pytest.mark.parametrize(
    ("one", "other"),
    [("message", "messsage"), ("damaged", "damged"), ("postage", "postgae"), ("postage", "postaga"), ("same", "same")],
)
def test_one_slip_of_the_keyboard_is_near(one: str, other: str) -> None:
    """A letter too many, too few, swapped, wrong; in both directions."""
    assert is_near(one, other)
    assert is_near(other, one)


@pytest.mark.parametrize(
    ("one", "other"), [("message", "massages"), ("cat", "bat"), ("ship", "shops"), ("order", "odrre"), ("a", "")]
)
def test_two_slips_or_another_beginning_are_not(one: str, other: str) -> None:
    """Else every short word would be another."""
    assert not is_near(one, other)


@given(st.text("abc", min_size=2, max_size=6), st.data())
def test_every_single_slip_is_near(word: str, data: st.DataObject) -> None:
    """Wherever it happens after the first letter."""
    at = data.draw(st.integers(1, len(word) - 1))
    letter = data.draw(st.sampled_from("abcd"))
    slips = [word[:at] + letter + word[at:], word[:at] + word[at + 1 :], word[:at] + letter + word[at + 1 :]]
    swapped = word[:at] + word[at : at + 2][::-1] + word[at + 2 :]
    assert all(is_near(word, slip) for slip in [*slips, swapped])


@given(st.text(max_size=30))
def test_a_stem_is_its_own_stem(word: str) -> None:
    """ "returned" and "return" meet, however many endings are taken off."""
    assert stem(stem(word)) == stem(word)
    assert stem("returned") == stem("return")


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("How do I put it back?", ["restore"]),
        ("how can I get rid of my account", ["delete", "account"]),
        ("can I give the bike back", ["return"]),
        ("where do I sign in", ["login"]),
        ("the back of the box", ["back", "box"]),
    ],
)
def test_verbs_of_several_words_are_one(question: str, words: list[str]) -> None:
    """As documents call it."""
    assert informative_words(question) == words


def test_a_few_words_say_the_same() -> None:
    """In both directions, whatever their ending; most words stand for themselves."""
    assert "homepage" in alternatives("websites")
    assert "website" in alternatives("homepage")
    assert alternatives("postage") == frozenset()
    assert "website" not in alternatives("website")


def test_hints_choose_and_prove_nothing() -> None:
    """What a question says on the side, and what its answers tend to hold; never what it asks about."""
    hints = hinting_words("How long can a message be?")
    assert {"long", "longest", "maximum"} <= set(hints)
    assert "message" not in hints
    assert hinting_words("postage") == []


@pytest.mark.parametrize(
    ("question", "answer", "other"),
    [
        ("Why is it so?", "Because we say so.", "It is so."),
        ("How long does it take?", "It takes half an hour.", "It takes a while."),
        ("When do you open?", "At 9.", "In the morning."),
        ("Which kinds of files?", "Pictures are accepted.", "Files of yours."),
    ],
)
def test_answers_are_known_by_their_form(question: str, answer: str, other: str) -> None:
    """A reason, a number, a choice."""
    form = form_of(question)
    assert form is not None
    assert form.seen.search(answer)
    assert not form.seen.search(other)


def test_most_questions_have_no_form() -> None:
    """Then only the words count."""
    assert form_of("Do you ship to Norway?") is None


@given(st.text())
def test_no_text_breaks_the_words(text: str) -> None:
    """Whatever people write."""
    for word in [*informative_words(text), *hinting_words(text)]:
        assert split_words(word) == [word]
        alternatives(word)
