"""What a user asks of their memory in plain words, English or German: to see it, to have one thing of it forgotten, or everything, and to
have a copy of all that is stored of them. Pure.

Only a message that says nothing else is taken for such a wish; anything longer is for the agent.
"""

import re
from enum import Enum, auto
from typing import Final

from bot.model import value
from bot.text import has_one_of, pattern

CHARS_MOST: Final = 120


class Wish(Enum):
    """What is wanted."""

    SHOW = auto()
    FORGET_NUMBERS = auto()
    FORGET_LAST = auto()
    FORGET_ALL = auto()
    EXPORT = auto()


@value
class Wanted:
    """One wish, in the language it was made in."""

    wish: Wish
    language: str
    numbers: tuple[int, ...] = ()


_NUMBERS: Final = r"(?:(?:number|numbers|no\.?|nr\.?|nummer|nummern|#)\s*)?(?P<numbers>\d{1,2}(?:(?:\s*,\s*|\s+(?:and|und|&)\s+|\s+)\d{1,2})*)"
_DATA: Final = (
    r"(?:(?:a|the) (?:full |complete )?(?:copy|export) of )?(?:(?:all (?:of )?)?my (?:own |personal |stored )?data"
    r"|(?:all (?:of )?)?(?:the )?data (?:that )?you (?:have stored|have|hold|keep|store)(?: (?:about|on|of) me)?"
    r"|(?:everything|all) (?:that )?you (?:have stored|have|hold|keep|store|know) (?:about|on|of) me)"
)
_DATEN: Final = (
    r"(?:(?:eine|die) (?:vollständige )?kopie (?:von |aller |all )?)?(?:(?:alle|all) )?mein(?:e|er|en)"
    r" (?:eigenen |persönlichen |personenbezogenen |gespeicherten )?daten(?: als (?:datei|kopie))?"
)
_FORMS: Final[tuple[tuple[Wish, str, str], ...]] = (
    (Wish.SHOW, "en", r"(?:can you |could you )?(?:tell me |show me )?what (?:all )?do you (?:already )?(?:know|remember|have stored|store|have on record) about me"),
    (Wish.SHOW, "en", r"what (?:have|did) you (?:stored?|saved?|remember(?:ed)?|learn(?:ed|t)?|note[d]?) about me"),
    (Wish.SHOW, "en", r"what (?:data|information|facts) (?:do you have|is stored|have you (?:stored|saved)) (?:about|on) me"),
    (Wish.SHOW, "en", r"(?:tell|show) me (?:everything|all|what) (?:that )?you (?:know|remember|have stored) about me"),
    (Wish.SHOW, "en", r"what is (?:stored|known|on record) about me"),
    (Wish.SHOW, "de", r"was (?:alles )?(?:weißt|weisst) du (?:alles |so |schon |noch )?(?:über|ueber|von) mich?r?"),
    (Wish.SHOW, "de", r"was wissen sie (?:alles |schon |noch )?(?:über|ueber|von) mich?r?"),
    (Wish.SHOW, "de", r"was (?:hast du|haben sie) (?:dir |sich )?(?:alles )?(?:über|ueber|von) mich?r? (?:gespeichert|gemerkt|notiert)"),
    (Wish.SHOW, "de", r"(?:welche|was für) (?:daten|informationen) (?:hast du|haben sie) (?:über|ueber|von|zu) mich?r?(?: gespeichert)?"),
    (Wish.SHOW, "de", r"was ist (?:über|ueber) mich gespeichert"),
    (Wish.SHOW, "de", r"(?:zeig|zeige|zeigen sie|sag|sage|sagen sie) mir,? (?:alles )?,?was (?:du|sie) (?:über|ueber|von) mich?r? (?:weißt|weisst|wissen|gespeichert hast|gespeichert haben)"),
    (Wish.FORGET_NUMBERS, "en", rf"(?:forget|delete|remove) {_NUMBERS}"),
    (Wish.FORGET_NUMBERS, "de", rf"(?:vergiss|vergessen sie|lösche?|löschen sie|entferne?|entfernen sie) (?:die )?{_NUMBERS}"),
    (Wish.FORGET_LAST, "en", r"(?:forget|don'?t remember|do not remember) (?:that|this)(?: again| fact)?"),
    (Wish.FORGET_LAST, "de", r"(?:vergiss|vergessen sie) (?:das|dies)(?: wieder)?|merk(?:e|en sie)? (?:dir |sich )?das nicht"),
    (Wish.FORGET_ALL, "en", r"forget (?:everything|all of it|all about me|me)(?: (?:that )?(?:you (?:know|remember|have stored)|there is))?(?: (?:about|on) me)?"),
    (Wish.FORGET_ALL, "en", r"(?:delete|erase|remove) (?:everything|all) (?:that )?(?:you (?:know|remember|have stored) |there is )?(?:about|on) me"),
    (Wish.FORGET_ALL, "en", r"(?:delete|erase) (?:all )?my data|forget everything i (?:have )?(?:said|told you|wrote)"),
    (Wish.FORGET_ALL, "de", r"(?:vergiss|vergessen sie) (?:alles|mich)(?: (?:über|ueber) mich)?"),
    (Wish.FORGET_ALL, "de", r"(?:vergiss|vergessen sie|lösche?|löschen sie) alles,? was (?:du|sie) (?:über|ueber|von) mich?r? (?:weißt|weisst|wissen|gespeichert hast|gespeichert haben)"),
    (Wish.FORGET_ALL, "de", r"(?:lösche?|löschen sie) (?:alle )?meine daten"),
    (Wish.EXPORT, "en", rf"(?:(?:can|could|would|will) you )?(?:send|give|get|export|e-?mail)(?: me)? {_DATA}(?: to me| here| as a file)?"),
    (Wish.EXPORT, "en", rf"(?:can|could|may) i (?:have|get|receive) {_DATA}"),
    (Wish.EXPORT, "en", rf"i(?: want|'d like| would like| need| request) (?:to (?:have|get|receive|export|download) )?{_DATA}"),
    (Wish.EXPORT, "en", r"(?:(?:download|export) (?:all )?my (?:own |personal )?data|(?:a )?copy of (?:all )?my (?:own |personal )?data)"),
    (Wish.EXPORT, "de", rf"(?:schicke?|schicken sie|sende?|senden sie|gib|geben sie) mir {_DATEN}(?: zu)?"),
    (Wish.EXPORT, "de", rf"exportiere?(?:n sie)? (?:mir )?{_DATEN}|{_DATEN} (?:exportieren|herunterladen)|(?:eine )?kopie (?:aller )?meiner daten"),
    (Wish.EXPORT, "de", rf"(?:kannst du|können sie|könntest du|könnten sie) mir {_DATEN} (?:zu)?(?:schicken|senden|geben|exportieren)"),
    (Wish.EXPORT, "de", rf"(?:kann|könnte|darf) ich {_DATEN} (?:haben|bekommen|erhalten)"),
    (Wish.EXPORT, "de", rf"ich (?:möchte|will|hätte gerne?|brauche|verlange) {_DATEN}(?: (?:haben|bekommen|erhalten|exportieren|herunterladen))?"),
)  # fmt: skip
_PATTERNS: Final = tuple((wish, language, pattern(form)) for wish, language, form in _FORMS)
_SPOKEN_OF: Final = (  # one of these stands in every wish
    *("about me", "on me", "forget", "remember", "delete", "remove", "erase", "data"),
    *("mich", "mir", "vergiss", "vergessen", "lösch", "entfern", "merk", "daten", "informationen"),
)
_AROUND: Final = pattern(
    r"^(?:(?:ok(?:ay)?|hi|hey|hello|hallo|so|now|and|und|then|dann|well|also)[,!.]?\s+)+|[,\s]*(?:now|jetzt)?[\s.!?]*$"
)
_PLEASE: Final = pattern(r",?\s*\b(?:please|bitte)\b[,!]?\s*")


def wanted(text: str) -> Wanted | None:
    """The wish that a whole message is; None for any other."""
    if not text or len(text) > CHARS_MOST:
        return None
    plain = text.replace("’", "'").lower()
    if not has_one_of(_SPOKEN_OF, plain):
        return None
    plain = _AROUND.sub("", _PLEASE.sub(" ", plain).strip())
    plain = " ".join(plain.split())
    for wish, language, form in _PATTERNS:
        if found := form.fullmatch(plain):
            numbers = found.groupdict().get("numbers") or ""
            return Wanted(wish, language, tuple(map(int, re.findall(r"\d+", numbers))))
    return None
