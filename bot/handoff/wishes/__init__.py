"""How people ask for a person, by language: the wish, and what only looks like one."""

from functools import cache

from bot.handoff.saying import Sentence
from bot.handoff.wishes.further import arabic, chinese, hindi, japanese, korean, turkish
from bot.handoff.wishes.germanic import dutch, english, german
from bot.handoff.wishes.romance import french, italian, portuguese, spanish
from bot.handoff.wishes.slavic import polish, russian, ukrainian
from bot.handoff.wishes.wording import Wording

_LANGUAGES = (
    english,
    german,
    dutch,
    french,
    spanish,
    portuguese,
    italian,
    polish,
    russian,
    ukrainian,
    turkish,
    arabic,
    hindi,
    chinese,
    japanese,
    korean,
)


def is_wish(sentence: Sentence) -> bool:
    """Whether the sentence asks for a person now, in any of the languages."""
    return any(_is_wish(sentence, wording) for wording in _wordings())


def _is_wish(sentence: Sentence, wording: Wording) -> bool:
    asking = any(
        wording.refusal.search(clause) or (wording.wish.search(clause) and not wording.denial.search(clause))
        for clause in sentence.clauses
    )
    return asking and not wording.about.search(sentence.text)


@cache
def _wordings() -> tuple[Wording, ...]:
    """Made on first use: to compile them takes a moment."""
    return tuple(wording() for wording in _LANGUAGES)
