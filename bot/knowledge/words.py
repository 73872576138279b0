"""Which words of a text say something. Pure; the index and the offline answerer agree through this module.

Stop words carry grammar only and never count. Filler words ("please", "want") count only where nothing else is said.
"""

import re
import unicodedata

_WORD = re.compile(r"[^\W_]+")
_NAME = re.compile(r"[^\W_]+(?:_[^\W_]+)+")


def split_words(text: str) -> list[str]:
    """All words of a text in order, folded to lower case. Nothing but letters and digits is ever in a word."""
    return _WORD.findall(unicodedata.normalize("NFC", text).lower())


STOP_WORDS = frozenset(
    split_words("""
    a about all also am an and any are as at be been being but by can could d did do does doesn doing don else for from
    had has have he her here him his how i if in into is isn it its just ll m may me might my no not of off on only or
    our out over re s shall she should so some such t than that the their them then there these they this those through
    to too under up us ve very was we were what when where which while who whom whose why will with won would you your
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
    things try trying use used using want way wonder work working works
    bitte brauche erklär erkläre etwas frage geht gibt hilfe jemand mache machen möchte muss soll sollte will
    wissen zeig zeige
    """)
)

_ENDINGS = ("ations", "ation", "ings", "ing", "ies", "ied", "ers", "er", "ed", "es", "en", "ly", "s", "e", "y", "n")


def informative_words(text: str, limit: int = 40) -> list[str]:
    """The first `limit` different words that say something, in order; empty when the text has none. In a name such as
    `too_fast` every word does."""
    named = {word for name in _NAME.findall(text) for word in split_words(name)}
    words = [word for word in dict.fromkeys(split_words(text)) if word in named or word not in STOP_WORDS]
    return ([word for word in words if word in named or word not in FILLER_WORDS] or words)[:limit]


def stem(word: str) -> str:
    """A rough stem: enough to see that "widgets" and "widget" are one word where no index is at hand."""
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return _undouble(word[: -len(ending)])
    return word


def _undouble(word: str) -> str:
    """ "runn" (of "running") is "run"."""
    return word[:-1] if len(word) > 3 and word[-1] == word[-2] and word[-1] in "bdgmnprt" else word
