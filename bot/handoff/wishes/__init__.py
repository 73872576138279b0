"""How people ask for a person, by language: the wish, and what only looks like one."""

from collections.abc import Callable
from functools import cache

from bot.handoff.saying import Sentence
from bot.handoff.wishes.further import arabic, chinese, hindi, japanese, korean, turkish
from bot.handoff.wishes.germanic import dutch, english, german
from bot.handoff.wishes.romance import french, italian, portuguese, spanish
from bot.handoff.wishes.slavic import polish, russian, ukrainian
from bot.handoff.wishes.wording import Wording

_LATIN = (english, german, dutch, french, spanish, portuguese, italian, polish, turkish)
_OTHER_SCRIPTS = (
    russian,
    ukrainian,
    arabic,
    hindi,
    chinese,
    japanese,
    korean,
)  # whose words are never ASCII, however folded


def is_wish(sentence: Sentence) -> bool:
    """Whether the sentence asks for a person now, in any of the languages."""
    languages = _LATIN if sentence.text.isascii() else _LATIN + _OTHER_SCRIPTS
    return any(_is_wish(sentence, _wording(language)) for language in languages)


def _is_wish(sentence: Sentence, wording: Wording) -> bool:
    for clause in sentence.clauses:
        if wording.refusal.search(clause) or (wording.wish.search(clause) and not wording.denial.search(clause)):
            return not wording.about.search(sentence.text)
    return False


@cache
def _wording(language: Callable[[], Wording]) -> Wording:
    """Made on first use: to compile it takes a moment."""
    return language()
