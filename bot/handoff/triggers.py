"""What a user's message says that calls for a person: a wish, anger, a topic of the house's policy, contact details. Pure.

Every function is linear in the length of the text and raises nothing; none of them reads quotations or code as the user's own.
"""

import re
from collections.abc import Mapping, Sequence

from bot.handoff.anger import is_angry_sentence, is_shouted
from bot.handoff.saying import fold, own_words, said, words
from bot.handoff.wishes import is_wish
from bot.text import pattern


def wants_person(text: str) -> bool:
    """Whether the user asks for a person now, in any of sixteen languages; not where they ask how that works or decline it."""
    return any(map(is_wish, said(text)))


def is_angry(text: str) -> bool:
    """Whether the user is angry with us: insults, outrage, shouting, asking for the third time. Swearing with joy is not."""
    return is_shouted(text) or any(map(is_angry_sentence, said(text)))


def topic(text: str, topics: Mapping[str, Sequence[str]]) -> str:
    """The first of the topics, in their order, of which a word or phrase stands in the text as words; "" for none.

    Case and accents do not matter. A phrase in a script without spaces counts wherever it stands.
    """
    spoken = words(own_words(text))
    padded = f" {spoken} "
    for name, phrases in topics.items():
        if any(_stands(words(one), spoken, padded) for one in phrases):
            return name
    return ""


_SPACELESS = pattern("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\u0e00-\u0e7f]")


def _stands(phrase: str, spoken: str, padded: str) -> bool:
    if not phrase:
        return False
    return phrase in spoken if _SPACELESS.search(phrase) else f" {phrase} " in padded


_EMAIL = pattern(r"(?<![\w.+%-])[\w.+%-]{1,64}@(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}(?![\w@-])")
_NUMBER = r"\d[\d ()./-]{5,22}\d"
_NUMBER_ANYWHERE = pattern(_NUMBER)  # is sooner known not to be there
_DIGITS = pattern(rf"(?<![A-Za-z0-9_#@/.,+-])(?:\+|\+?\()?{_NUMBER}(?![\w@%€$])")
_DATE = pattern(r"\d{1,2}[./-]\d{1,2}[./-]\d{2,4}.*|\d{4}[./-]\d{1,2}[./-]\d{1,2}.*|\d+\.\d+|(?:\d{1,3}\.){3}\d{1,3}")
_LOCAL = pattern(r"0\d.*|\(0?\d{2,5}\).*|\d{3}[ .-]\d{3}[ .-]\d{4}")
_CALLABLE = pattern(
    r"phone|call|tel|mobile|cell|whatsapp|whats app|handy|ruf|reach me|telefon|nummer lautet|numero|sms|text me|telephone|appel|llam|"
    r"ligue|ligar|celular|zadzwon|komork|ara|звон|тел|дзвон|هاتف|جوال|اتصل|फोन|कॉल|电话|電話|手机|手機|携帯|전화|번호"
)
_NUMBERED = pattern(
    r"order|invoice|ticket|case|reference|ref|tracking|customer (?:no|num|id)|serial|account|iban|rechnung|bestell|auftrag|kunden|"
    r"vorgang|konto|commande|facture|pedido|factura|fattura|ordine|zamowien|siparis|заказ|счет|замовлен|طلب|订单|訂單|注文|주문|isbn|"
    r"version|error|code|id\b|no\.|nr\."
)
_CONTEXT_CHARS = 40


def contact_in(text: str) -> str:
    """The first e-mail address, or else the first phone number, that the user leaves; "" for none.

    A number counts with its country code, as phone numbers are written in a country, or after a word such as "call"; an order's
    number, a date, an amount or an address of a machine does not.
    """
    if "@" in text and (found := _EMAIL.search(text)):
        return found[0]
    if not _NUMBER_ANYWHERE.search(text):
        return ""
    for match in _DIGITS.finditer(text):
        if _is_phone(match, text):
            return match[0].strip()
    return ""


def _is_phone(match: re.Match[str], text: str) -> bool:
    number = match[0].strip()
    if not 7 <= sum(map(str.isdigit, number)) <= 15 or _DATE.fullmatch(number):
        return False
    before = fold(text[max(0, match.start() - _CONTEXT_CHARS) : match.start()])
    last_call = max((one.end() for one in _CALLABLE.finditer(before)), default=-1)
    last_count = max((one.end() for one in _NUMBERED.finditer(before)), default=-1)
    if last_count > last_call:
        return False
    return last_call >= 0 or number.startswith("+") or _LOCAL.fullmatch(number) is not None
