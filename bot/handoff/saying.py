"""What a user says in their own words, in a form that patterns can be written for. Pure, and linear in the length of the text.

Code, quoted lines and quoted words are somebody else's and are left out. The rest is folded (lower case, without accents,
vowel marks and punctuation) and cut into sentences and these into clauses, the words of each one space apart.
"""

import re
import unicodedata
from collections.abc import Iterator

from bot.model import value
from bot.text import pattern

# Accents of Latin, Greek and Cyrillic; Arabic vowel marks and carried hamzas; the Devanagari dot that many leave out.
_MARKS = pattern("[\u0300-\u036f\u064b-\u065f\u0670\u0640\u093c]+")
_LETTERS = str.maketrans({"ł": "l", "ı": "i", "ø": "o", "đ": "d", "ة": "ه", "ى": "ي", "ё": "е"})
_CODE = pattern(r"```.*?```|`[^`\n]{1,300}`", re.DOTALL)
_QUOTED_LINE = pattern(r"^[ \t]{0,3}>.*$", re.MULTILINE)
_QUOTED = pattern(
    r"\"[^\"\n]{1,300}\"|“[^”\n]{1,300}”|„[^“”\n]{1,300}[“”]|«[^»\n]{1,300}»|「[^」\n]{1,300}」|『[^』\n]{1,300}』"
)
_SENTENCE_END = pattern(r"[.!?。！？।؟;؛\n…]+")
_CLAUSE_END = pattern(
    r"[,،、:()\[\]{}—–]+|\s[-~]+\s|\s(?:but|sondern|aber|mais|pero|sino|mas|però|maar|ale|ama|но|але)\s"
)
_NOT_A_WORD = pattern(r"[^\w\u0900-\u097f]+|_+")
_POLITE = pattern(
    r"[, ]{0,3}(?<!\w)(?:please|pls|plz|kindly|if possible|if i may|bitte|s['’]il (?:vous|te) pla[iî]t|svp|stp|por favor|"
    r"per favore|per piacere|graag|alstublieft|alsjeblieft|a\.?u\.?b\.?|proszę|lütfen|пожалуйста|будь ласка|"
    r"من فضلك|لو سمحت|رجاء|कृपया|प्लीज़?)(?!\w)[, ]{0,3}",
    re.IGNORECASE,
)


@value
class Sentence:
    """One sentence, folded, and its clauses."""

    text: str
    clauses: tuple[str, ...]


def fold(text: str) -> str:
    """Without case, accents and vowel marks."""
    plain = _MARKS.sub("", unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold()))
    return unicodedata.normalize("NFC", plain).translate(_LETTERS)


def words(text: str) -> str:
    """The folded words one space apart."""
    return _NOT_A_WORD.sub(" ", fold(text)).strip()


def own_words(text: str) -> str:
    """The text without code and quotations. One that is nothing but a quotation is taken for the user's own."""
    text = _QUOTED_LINE.sub("", _CODE.sub(" ", text))
    own = _QUOTED.sub(" ", text)
    return own if any(map(str.isalpha, own)) else text


def said(text: str) -> Iterator[Sentence]:
    """The sentences of the user's own words, without words of mere politeness."""
    for piece in _SENTENCE_END.split(own_words(text)):
        polite_less = _POLITE.sub(" ", piece)
        clauses = tuple(filter(None, map(words, _CLAUSE_END.split(polite_less.lower()))))
        if clauses:
            yield Sentence(" ".join(clauses), clauses)


def phrase(*patterns: str) -> re.Pattern[str]:
    """Any of the patterns, standing as whole words. Patterns are written with their accents and are folded as texts are."""
    return pattern(rf"(?<!\S)(?:{_folded(patterns)})(?!\S)")


def piece(*patterns: str) -> re.Pattern[str]:
    """Any of the patterns anywhere: for languages that do not part words by spaces, or that add endings to them."""
    return pattern(_folded(patterns))


def _folded(patterns: tuple[str, ...]) -> str:
    return re.sub(r"\\.|[^\\]+", lambda found: found[0] if found[0][0] == "\\" else fold(found[0]), "|".join(patterns))
