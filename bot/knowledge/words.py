"""Which words of a text say something. Pure; the index and the offline answerer agree through this module.

Stop words carry grammar only and never count. Filler words ("please", "want") count only where nothing else is said.
"""

import re
import unicodedata
from functools import lru_cache

from bot.knowledge.forms import form_of
from bot.text import pattern

_WORD = pattern(r"[^\W_]+")
_NAME = pattern(r"(?<![^\W_])[^\W_]+(?:_[^\W_]+)+")


def split_words(text: str) -> list[str]:
    """All words of a text in order, folded to lower case. Nothing but letters and digits is ever in a word."""
    return _WORD.findall(unicodedata.normalize("NFC", text).lower())


STOP_WORDS = frozenset(
    split_words("""
    a about all also am an and any are as at be been being but by can could d did do does doesn doing don else for from
    had has have he her here him his how i if in into is isn it its just ll m may me might my no not of off on only or
    our out over re s shall she should so some such t than that the their them then there these they this those through
    to too under up us ve very was we were what when where which while who whom whose why will with won would you your
    now still yet ever never already again anyway whether here cant dont doesnt didnt isnt arent wasnt hasnt havent wont couldnt wheres
    whats hows whens im ive id theres thats lets because per sure
    aber alle als am an auch auf aus bei bin bis bist da dann das dass dem den denn der des dich die dir doch du durch
    ein eine einem einen einer eines er es euch für hab habe haben hat hier ich ihr im in ist ja kann kannst können man
    mein meine meinem meinen meiner mich mir mit nach nicht nur oder ob sich sie sind so über um und uns unser unsere
    vom von vor wann warum was welche welcher welches wenn wer werden wie wir wird wo zu zum zur
    """)
)

FILLER_WORDS = frozenset(
    split_words("""
    actually anybody anyone anything explain far fast find get give go guys happen happens help know let
    like long make many mean means much need often ok okay one please possible question quickly really show someone something soon tell thing
    say says said set sets see seem seems put keep take come came do done several same different kind kinds possible something everything nobody everyone else
    currently simply properly exactly right instead
    things try trying use used using want way wonder work working works
    bitte brauche erklär erkläre etwas frage geht gibt hilfe jemand mache machen möchte muss soll sollte will
    wissen zeig zeige lange viel viele wieviel oft genau gilt gelten lassen lässt erzähl erzähle sag sagen bekomme bekommen wäre
    """)
)


_NUMBERS = frozenset(
    split_words("""
    two three four five six seven eight nine ten eleven twelve hundred thousand zwei drei vier fünf sechs sieben acht neun zehn elf zwölf
    hundert tausend
    """)
)
_SPELLED = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"})  # as where a keyboard lacks these letters
_ENDINGS = ("ations", "ation", "ings", "ing", "ies", "ied", "ers", "er", "ed", "es", "en", "ly", "s", "e", "y", "n")
_PHRASES = tuple(
    (pattern(rf"\b{verb}(?: \w+){{0,2}}? {particle}\b", re.IGNORECASE), plain)
    for verb, particle, plain in (
        ("put", "back", "restore"),
        ("(?:send|give|bring|take)", "back", "return"),
        ("(?:get|got)", "rid of", "delete"),
        ("(?:turn|switch)(?:ed|s|ing)?", "on", "enable"),
        ("(?:turn|switch)(?:ed|s|ing)?", "off", "disable"),
        ("(?:log|logged|sign|signed)", "in", "login"),
        ("(?:log|logged|sign|signed)", "out", "logout"),
        ("set", "up", "install"),
        ("(?:look|looked)", "up", "search"),
    )
)


def informative_words(text: str, limit: int = 40) -> list[str]:
    """The first `limit` different words that say something, in order; empty when the text has none. In a name such as
    `too_fast` every word does."""
    text = _plainly(text)
    named = {word for name in _NAME.findall(text) for word in split_words(name)}
    words = [word for word in dict.fromkeys(split_words(text)) if word in named or word not in STOP_WORDS]
    return ([word for word in words if word in named or word not in FILLER_WORDS] or words)[:limit]


def hinting_words(text: str) -> list[str]:
    """Words that may choose between passages and are no evidence: the filler words of a text, and what answers to its kind of question
    tend to hold."""
    informative = informative_words(text)
    filler = [word for word in split_words(text) if word in FILLER_WORDS]
    form = form_of(text)
    expected = form.expected if form else ()
    return [word for word in dict.fromkeys([*filler, *expected]) if word not in informative]


@lru_cache(maxsize=20_000)
def stem(word: str) -> str:
    """A rough stem: enough to see that "widgets" and "widget" are one word where no index is at hand. The stem of a stem is itself."""
    word = word.translate(_SPELLED)
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return stem(_undouble(word[: -len(ending)]))
    return word


def _undouble(word: str) -> str:
    """ "runn" (of "running") is "run"."""
    return word[:-1] if len(word) > 3 and word[-1] == word[-2] and word[-1] in "bdgmnprt" else word


def is_near(one: str, other: str) -> bool:
    """Whether one slip of the keyboard lies between two words of the same first letter: a letter too many, too few, wrong, or swapped with
    its neighbour."""
    if one[:1] != other[:1] or abs(len(one) - len(other)) > 1:
        return False
    same = next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    left, right = one[same:], other[same:]
    is_swapped = left[:2] == right[1::-1] and left[2:] == right[2:]
    return is_swapped or left[1:] == right[1:] or left[1:] == right or left == right[1:]


def is_number(word: str) -> bool:
    """Whether a word is a number, in digits or in letters."""
    return word.isdecimal() or word in _NUMBERS


def _plainly(text: str) -> str:
    """The text with verbs of several words as one word, so that "put it back" finds what is written of restoring."""
    for phrase, plain in _PHRASES:
        text = phrase.sub(plain, text)
    return text
