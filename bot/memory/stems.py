"""The stems by which episodes are found: words that say something, cut by Porter's rules. Pure.

The rules are those of M. F. Porter, "An algorithm for suffix stripping", Program 14(3), 1980, as https://tartarus.org/martin/PorterStemmer/
gives them. Words of other alphabets stay as they are.
"""

import unicodedata
from functools import lru_cache
from typing import Final

from bot.knowledge.words import STOP_WORDS, split_words
from bot.text import pattern

WORDS_MOST: Final = 400  # of a text
_SECOND: Final = (
    ("ational", "ate"), ("tional", "tion"), ("enci", "ence"), ("anci", "ance"), ("izer", "ize"), ("bli", "ble"), ("alli", "al"),
    ("entli", "ent"), ("eli", "e"), ("ousli", "ous"), ("ization", "ize"), ("ation", "ate"), ("ator", "ate"), ("alism", "al"),
    ("iveness", "ive"), ("fulness", "ful"), ("ousness", "ous"), ("aliti", "al"), ("iviti", "ive"), ("biliti", "ble"), ("logi", "log"),
)  # fmt: skip
_THIRD: Final = (
    ("icate", "ic"), ("ative", ""), ("alize", "al"), ("iciti", "ic"), ("ical", "ic"), ("ful", ""), ("ness", ""),
)  # fmt: skip
_FOURTH: Final = (
    "ement", "ance", "ence", "able", "ible", "ment", "sion", "tion", "ant", "ent", "ism", "ate", "iti", "ous", "ive", "ize", "al", "er",
    "ic", "ou",
)  # fmt: skip
_SOUNDS: Final = pattern(r"v+c+")


def stems(text: str) -> list[str]:
    """The stems of the words of a text that say something, in order, with repetitions."""
    return [stem(_plain(word)) for word in split_words(text) if word not in STOP_WORDS][:WORDS_MOST]


@lru_cache(maxsize=50_000)
def stem(word: str) -> str:
    """Porter's stem of a word in lower case."""
    if len(word) < 3 or not (word.isascii() and word.isalpha()):
        return word
    for step in (_plurals, _past, _final_y, _derived, _derived_further, _suffix, _final_e):
        word = step(word)
    return word


@lru_cache(maxsize=50_000)
def _plain(word: str) -> str:
    """Without accents."""
    if word.isascii():
        return word
    return "".join(each for each in unicodedata.normalize("NFKD", word) if not unicodedata.combining(each))


def _form(word: str) -> str:
    """Each letter as `v` or `c`; a `y` after a consonant is a vowel."""
    form = ""
    for letter in word:
        form += "v" if letter in "aeiou" or (letter == "y" and form[-1:] == "c") else "c"
    return form


def _measure(word: str) -> int:
    return len(_SOUNDS.findall(_form(word)))


def _has_vowel(word: str) -> bool:
    return "v" in _form(word)


def _is_double(word: str) -> bool:
    return len(word) > 1 and word[-1] == word[-2] and _form(word)[-1] == "c"


def _is_short(word: str) -> bool:
    return _form(word)[-3:] == "cvc" and word[-1] not in "wxy"


def _plurals(word: str) -> str:
    if word.endswith(("sses", "ies")):
        return word[:-2]
    return word if word.endswith("ss") or not word.endswith("s") else word[:-1]


def _past(word: str) -> str:
    if word.endswith("eed"):
        return word[:-1] if _measure(word[:-3]) > 0 else word
    for ending in ("ed", "ing"):
        if word.endswith(ending) and _has_vowel(word[: -len(ending)]):
            return _mended(word[: -len(ending)])
    return word


def _mended(word: str) -> str:
    if word.endswith(("at", "bl", "iz")):
        return word + "e"
    if _is_double(word) and word[-1] not in "lsz":
        return word[:-1]
    return word + "e" if _measure(word) == 1 and _is_short(word) else word


def _final_y(word: str) -> str:
    return word[:-1] + "i" if word.endswith("y") and _has_vowel(word[:-1]) else word


def _derived(word: str) -> str:
    return _exchanged(word, _SECOND)


def _derived_further(word: str) -> str:
    return _exchanged(word, _THIRD)


def _exchanged(word: str, endings: tuple[tuple[str, str], ...]) -> str:
    for ending, instead in endings:
        if word.endswith(ending):
            start = word[: -len(ending)]
            return start + instead if _measure(start) > 0 else word
    return word


def _suffix(word: str) -> str:
    for ending in _FOURTH:
        if word.endswith(ending):
            cut = 3 if ending in ("sion", "tion") else len(ending)  # of these, "ion" goes
            start = word[:-cut]
            return start if _measure(start) > 1 else word
    return word


def _final_e(word: str) -> str:
    if word.endswith("e"):
        start = word[:-1]
        if _measure(start) > 1 or (_measure(start) == 1 and not _is_short(start)):
            word = start
    return word[:-1] if word.endswith("ll") and _measure(word) > 1 else word
