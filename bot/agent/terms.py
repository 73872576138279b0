"""Promises of a policy: "free of charge", "refundable", "guaranteed". English and German. Pure.

A term is a promise only where it is said of a fact: not in a question, nor denied, nor where the answer says that it does not know.
"""

import re

from bot.model import value


@value
class Term:
    """`said`: how an answer promises it; `sourced`: how a source may put the same; "": alike. `is_denial`: it says what is not granted, so
    that a denial before it is part of it."""

    name: str
    said: re.Pattern[str]
    sourced: re.Pattern[str]
    is_denial: bool = False


def find_terms(text: str) -> list[tuple[Term, re.Match[str]]]:
    """The terms that a text promises, each with where it does so."""
    found = []
    for sentence in _SENTENCE.finditer(text):
        if not sentence[0].rstrip().endswith("?") and not _UNKNOWN.search(sentence[0]):
            for term in TERMS:
                match = term.said.search(text, sentence.start(), sentence.end())
                if match is not None and not (_DENIED.search(text[sentence.start() : match.start()])):
                    found.append((term, match))
    return found


def is_sourced(term: Term, text: str, start: int = 0, end: int | None = None) -> bool:
    """Whether the text promises it too, in whatever words; `start` and `end`: between which places it begins to."""
    end = len(text) if end is None else end
    for match in term.sourced.finditer(text, start, end + _PROMISE_CHARS):
        if match.start() >= end:
            break
        before = text[max(0, match.start() - 40) : match.start()]
        if term.is_denial or not _DENIED.search(re.split(r"[.!?\n]", before)[-1]):
            return True
    return False


def _term(name: str, said: str, sourced: str = "", *, is_denial: bool = False) -> Term:
    both = f"{said}|{sourced}" if sourced else said
    return Term(
        name, re.compile(rf"\b(?:{said})", re.IGNORECASE), re.compile(rf"\b(?:{both})", re.IGNORECASE), is_denial
    )


_PROMISE_CHARS = 200  # no promise is longer
_COST = r"(?:charges?|costs?|fees?)\b"
_KOSTEN = r"(?:kosten|gebühr(?:en)?|aufpreis|versandkosten)\b"
TERMS = (
    _term(
        "free of charge",
        rf"free of (?:charge|cost)|(?:at )?no (?:\w+ )?{_COST}|for free\b|(?:is|are|comes?|ships?|be) (?:completely |always |entirely )?free\b"
        rf"(?! to\b| of\b| from\b| again\b)|free (?:shipping|delivery|returns?|trial|of fees|exchange|cancellation|replacement|upgrade|support)\b"
        rf"|without (?:any )?(?:\w+ )?{_COST}|complimentary\b|(?:versand)?kosten(?:los|frei)|gratis\b|gebührenfrei|umsonst\b"
        rf"|ohne (?:\w+ )?{_KOSTEN}|keine(?:rlei)? (?:\w+ )?{_KOSTEN}|you (?:do not|don['’]t) pay (?:anything|for)",
        r"free\b(?=[^.\n]{0,30}\b(?:from|over|above|for)\b)|(?:we|wir) (?:pay|cover|bear|übernehmen|zahlen|tragen)|free\s*\||(?:is|are) on us\b|frei haus"
        r"|(?:€|\$|EUR ?|USD ?)0(?![.,]?[1-9\d])|(?<![\d.,])0(?:[.,]00)? ?(?:€|EUR|USD|euros?|dollars?)",
    ),
    _term(
        "refundable",
        r"(?<!non-)(?<!non )refundable|full(?:y)? refund(?:ed)?\b|refund(?:ed)? in full|money[- ]back|(?:your|the) money back|(?:get|receive|entitled to|eligible for|issue you)"
        r"(?: an?| your| the| full| you)* refunds?\b|erstattungsfähig|geld[- ]zurück|geld wieder|(?:rück)?erstattung (?:erhalten|bekommen)|(?:voll|vollständig|komplett) erstattet"
        r"|volle (?:rück)?erstattung",
        r"refund|reimburs|money back|(?:rück)?erstatt|geld zurück|we return (?:your|the) money",
    ),
    _term(
        "not refundable",
        r"non[- ]refundable|not refundable|no refunds?\b|cannot be refunded|nicht (?:erstattungsfähig|erstattet)|(?:keine|ohne) (?:rück)?erstattung",
        r"(?:cannot|can['’]t|not|no|never|excluded)\b[^.\n]{0,40}(?:refund|return|exchange)|final sale|(?:nicht|keine?|ausgeschlossen)\b[^.\n]{0,40}(?:erstatt|rückgabe|umtausch|zurück)"
        r"|vom (?:umtausch|rückgaberecht) ausgeschlossen",
        is_denial=True,
    ),
    _term(
        "guarantee",
        r"guarantee[sd]?\b|garantier(?:t|en|e)\b|\w*garantie\b|warrant(?:y|ies)\b|gewährleistung\w*",
        r"guarant|warrant|garanti|gewährleist|\w*garantie",
    ),
    _term("unlimited", r"unlimited\b|unbegrenzt|unbeschränkt|no limit\b", r"without (?:a |any )?limit|no limits?\b|as (?:many|much) as you"),
    _term("lifetime", r"(?:for a |for )?lifetime\b|lebenslang"),
    _term(
        "cancel at any time",
        r"cancel(?:led)? (?:it |your \w+ )?(?:at )?any ?time|jederzeit (?:\w+ )?(?:kündbar|kündigen|stornier)|at any time (?:you can )?cancel",
        r"cancel[^.\n]{0,40}(?:at any time|anytime|whenever)|(?:at any time|anytime|jederzeit)[^.\n]{0,40}(?:cancel|kündig|stornier)",
    ),
    _term(
        "no obligation",
        r"no obligation|without obligation|unverbindlich|no (?:minimum term|minimum contract|commitment)|(?:keine|ohne) mindestlaufzeit",
        r"no (?:contract|commitment|minimum)|not bind|without (?:a )?(?:commitment|minimum)",
    ),
    _term("round the clock", r"24/7|(?:a)?round[- ]the[- ]clock|rund um die uhr", r"24 hours a day|at any hour|day and night|24 stunden am tag"),
    _term("tax free", r"tax[- ]free|free of (?:tax|duty)|duty[- ]free|steuerfrei|zollfrei|no vat\b|ohne mwst"),
    _term("discount", r"(?:get|receive|give you|offer you|grant you) an? (?:\w+ )?(?:discount|voucher|credit)\b|(?:erhalten|bekommen) (?:Sie )?einen (?:\w+)?(?:rabatt|gutschein)", r"discount|voucher|credit|rabatt|gutschein|coupon|nachlass"),
    _term("compensation", r"entitled to compensation|(?:will|we) compensate|entschädigung (?:erhalten|bekommen|zahlen)", r"compensat|entschädig"),
)  # fmt: skip

_SENTENCE = re.compile(r"[^.!?\n]+(?:[.!?](?=\S)[^.!?\n]*)*[.!?\n]*")
_UNKNOWN = re.compile(
    r"\b(?:whether|if there|cannot (?:say|tell|confirm|find|promise|guarantee)|(?:can|could|do|did|does)(?: not|n['’]t) (?:say|tell|find|know|confirm|see|have|promise|guarantee|mention)"
    r"|no information|(?:un|not )able to|not (?:sure|found|certain)|(?:nicht|nichts|keine\w*) (?:\w+ ){0,4}(?:gefunden|sagen|finden|sicher|versprechen|informationen?|angaben?|wissen)"
    r"|ob|weiß (?:\w+ )?nicht)\b",
    re.IGNORECASE,
)
_DENIED = re.compile(
    r"(?:\b(?:not|no|never|nicht|kein\w*|nie|neither|nor|without|ohne)|n['’]t)\b[^,;:]{0,20}$", re.IGNORECASE
)
