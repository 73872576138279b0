"""Row 43: what an answer may not claim."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.agent import checks
from bot.agent.checks import ClaimWatch, find_claim

CLAIMS = [
    "I have issued your refund.",
    "Good news! I've just cancelled your order 4711 for you.",
    "I've gone ahead and updated your address.",
    "We have already processed the payment.",
    "Your refund has been issued.",
    "Your subscription has now been cancelled, have a nice day.",
    "I forwarded nothing, but I have sent you a new password.",
    "I have forwarded your request to a colleague.",
    "Ich habe Ihre Bestellung storniert.",
    "Wir haben den Betrag soeben gutgeschrieben.",
    "Ihre Bestellung wurde gerade storniert.",
]
HONEST = [
    "You can cancel your order in the settings.",
    "I have found three passages about refunds.",
    "I have searched our documents for refunds.",
    "Refunds are issued within 14 days [1].",
    "Your refund has been issued when the e-mail arrives [2].",
    "If your order has shipped, it can no longer be changed.",
    "To reset your password, open the login page.",
    "I cannot cancel orders. Would you like to talk to a person?",
    "Sobald Ihre Rückerstattung da ist, sehen Sie sie im Konto.",
    "Haben Sie Ihre Bestellung storniert?",
    "Once your order has been placed, you receive a confirmation by e-mail within one hour [1].",
    "Once we have processed your return, the money comes back.",
    "After we have sent your order you get a number.",
    "We have updated our delivery terms in May [2].",
    "We have updated our delivery terms in May. [2]",
    "Please check whether your card has been charged twice.",
    "Wir haben sonntags geschlossen.",
    "Ich habe nichts bestellt oder geändert.",
    "Ihre Bestellung wurde noch nicht storniert.",
    "Sobald wir Ihre Bestellung storniert haben, schreiben wir Ihnen.",
]


@pytest.mark.parametrize("text", CLAIMS)
def test_f43_a_claimed_deed_is_found(text: str) -> None:
    """Whatever the tense, the voice or the language."""
    assert find_claim(text, is_person_wished=False)


@pytest.mark.parametrize("text", HONEST)
def test_f43_an_honest_answer_is_left_alone(text: str) -> None:
    """Explaining, searching and offering claim nothing."""
    assert find_claim(text, is_person_wished=False) == ""


def test_passing_a_wish_on_is_true_once_it_is_on_record() -> None:
    """Saying so before is a claim."""
    text = "I have forwarded your request to our team."
    assert find_claim(text, is_person_wished=False)
    assert find_claim(text, is_person_wished=True) == ""
    assert find_claim("I have forwarded it and I have issued your refund.", is_person_wished=True)


@pytest.mark.parametrize("text", CLAIMS)
def test_a_claim_is_seen_however_the_answer_is_cut(text: str) -> None:
    """Piece by piece or at once, after much other text, and it stays seen."""
    for size in (1, 3, 7, 1000):
        before = "This is how our shop works. " * 30
        shown, claim = watched(before + text + " Anything else?", size)
        assert claim, size
        assert find_claim(shown, is_person_wished=False) == "", shown


@pytest.mark.parametrize("text", HONEST)
def test_f43_an_honest_answer_is_shown_whole_however_it_is_cut(text: str) -> None:
    """What was held back to be judged is shown after all."""
    for size in (1, 3, 7, 1000):
        whole = f"{text} {text}"
        assert watched(whole, size) == (whole, "")


class Anew(ClaimWatch):
    """Reads the whole sentence anew with every piece."""

    def _end(self) -> int:
        end = checks._END.search(self._sentence)
        return end.end() if end is not None else 0

    def _is_claiming(self) -> bool:
        return self._pattern.search(self._sentence) is not None


WRITTEN = st.lists(
    st.sampled_from(
        [
            *(
                "I",
                "i’ve",
                "we",
                "We have",
                "ich",
                "Wir haben",
                "ihre",
                "your",
                "Your",
                "web",
                "have",
                "has been",
                "wurde",
                "not",
            ),
            *(
                "issued",
                "sent",
                "storniert",
                "forwarded",
                "refund",
                "Bestellung",
                "4.90",
                "3.",
                "Mio.",
                "Mai",
                "[1]",
                "|",
                "once",
            ),
            *(".", "!", "?!", "...", "\n", "\n\n", ",", "’", '"', "x" * 170),
        ]
    ),
    max_size=14,
)


@settings(max_examples=300, deadline=None)
@given(WRITTEN, st.sampled_from(["", " "]), st.integers(1, 12))
def test_f43_what_is_read_once_is_judged_as_what_is_read_anew(words: list[str], between: str, size: int) -> None:
    """A claim and an end of a sentence are found with the same piece."""
    text = between.join(words)
    once, anew = ClaimWatch(is_person_wished=False), Anew(is_person_wished=False)
    for at in range(0, len(text), size):
        piece = text[at : at + size]
        assert once.take(piece) == anew.take(piece)
    assert (once.rest(), once.claim) == (anew.rest(), anew.claim)


def watched(text: str, size: int) -> tuple[str, str]:
    """What a page shows of a text that comes in pieces, and the claim in it."""
    watch = ClaimWatch(is_person_wished=False)
    shown = "".join(watch.take(text[at : at + size]) for at in range(0, len(text), size))
    return shown + watch.rest(), watch.claim
