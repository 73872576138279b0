"""Takes card numbers and secrets out of a text before it is stored, and so before any model reads it.

A card number is told from an order number by three things together: the digits that card networks begin with, the lengths that these
have, and the check digit. One in ten numbers that fit the first two passes the third by chance: that one is masked, too.
"""

import re
from collections.abc import Iterator
from typing import Final

from bot.text import has_one_of, pattern

REMOVED: Final = "[secret removed]"

# Between two digits of a card: spaces of all kinds, dashes, dots, slashes and underscores, and what cannot be seen.
_GAP: Final = r"[\s\-\u2010-\u2015./_\u00ad\u200b-\u200d\u2060\ufeff\ufffd]{1,3}"
_RUN: Final = pattern(rf"(?<![\w+@])(?<!\w[.@-])\d+(?:{_GAP}\d+)*(?![\w@])")
_FIT: Final = pattern(r"\d+")
_IBAN: Final = pattern(r"(?<!\w)[A-Z]{2}\d\d(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?!\w)")
_DIGITS_LEAST: Final = 13
_DIGITS_MOST: Final = 19

# ISO/IEC 7812-1 gives the check digit; the beginnings and lengths are those that the networks publish for their cards.
_NETWORKS: Final = (
    (pattern(r"4"), (13, 16, 19)),  # Visa
    (pattern(r"5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720"), (16,)),  # Mastercard
    (pattern(r"3[47]"), (15,)),  # American Express
    (pattern(r"30[0-5]|3[689]"), (14, 16, 19)),  # Diners Club
    (pattern(r"35(?:2[89]|[3-8])"), (16, 17, 18, 19)),  # JCB
    (pattern(r"6011|64[4-9]|65|62|81"), (16, 17, 18, 19)),  # Discover, UnionPay
    (pattern(r"220[0-4]|9792"), (16, 17, 18, 19)),  # Mir, Troy
    (pattern(r"50|5[6-8]|6[0-9]"), (13, 14, 15, 16, 17, 18, 19)),  # Maestro
)
_BEGINS: Final = pattern("[2-689]")
_GROUPS: Final = pattern(
    r"\d{13,19}|(?:4 ){3,4}[1-4]|4 6 [45]|8 8|6 (?:7|8|9|10|11|12|13)|(?:2 ){6,8}[12]|(?:2 ){6,9}|(?:1 ){13,19}"
)

_SHAPES: Final = pattern(
    r"""
      -----BEGIN\ [A-Z ]{0,30}PRIVATE\ KEY-----(?:[\s\S]{0,20000}?-----END\ [A-Z ]{0,30}PRIVATE\ KEY-----|[\s\S]{0,20000})
    | (?<!\w)eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*                              # JWT
    | (?<!\w)(?:xox[a-z]|xapp)-[\w-]{10,}                                  # Slack
    | https://hooks\.slack\.com/services/[\w/]{20,}
    | (?<!\w)sk-[\w-]{16,}                                                 # OpenAI, Anthropic
    | (?<!\w)[srp]k_(?:live|test)_\w{10,} | (?<!\w)whsec_\w{16,}           # Stripe
    | (?<!\w)gh[pousr]_\w{30,} | (?<!\w)github_pat_\w{20,}                 # GitHub
    | (?<!\w)glpat-[\w-]{16,}                                              # GitLab
    | (?<!\w)(?:AKIA|ASIA)[A-Z0-9]{16}(?!\w)                               # Amazon
    | (?<!\w)AIza[\w-]{35} | (?<!\w)ya29\.[\w-]{20,}                       # Google
    | (?<!\w)[MNO][\w-]{22,}\.[\w-]{6}\.[\w-]{27,}                        # Discord
    | (?<!\w)\d{8,10}:[\w-]{35}(?![\w-])                                  # Telegram
    | (?<!\w)SG\.[\w-]{16,}\.[\w-]{16,} | (?<!\w)(?:npm|hf|shpat)_\w{30,}  # SendGrid, npm, Hugging Face, Shopify
    | (?<=://)[^\s/:@]{1,64}:[^\s/@]{3,64}(?=@)                             # a name and password inside a URL
    """,
    re.VERBOSE,
)
_NAME: Final = (
    r"(?:pass ?(?:word|wort|phrase|code)|pass ?wd|pwd|kennwort|passwörter|passwords|geheimzahl|pin(?:[ -]?(?:code|nummer))?|"
    r"(?:api|access|secret|private|auth|client)[ _-]?(?:key|token|secret|schlüssel)|token|secret|zugangscode|cvv2?|cvc2?)"
)
_AFTER_A_NAME: Final = pattern(
    rf"(?P<name>(?<!\w)(?:\w{{1,20}}[ _-])??{_NAME}(?: ?\([^)\n]{{1,20}}\))?['\"]?\s{{0,3}}(?P<sign>[:=]|->|=>|\s(?:is|ist|lautet|war|was)\s)[ \t]{{0,3}}['\"`“„]?)"
    r"(?P<value>[^\s'\"`”“<>]{3,200})",
    re.IGNORECASE,
)
_BEARER: Final = pattern(r"((?<!\w)bearer\s{1,3})[\w.~+/=-]{16,}", re.IGNORECASE)
# In all that `_AFTER_A_NAME` finds stands one of `_NAMES`; in what `_SHAPES` finds, one of `_TOKENS`, or what `_SIGNS` finds.
_NAMES: Final = (
    *("pass", "pwd", "kennwort", "geheim", "pin", "key", "token", "secret", "schlüssel", "zugangscode", "cvv", "cvc"),
)
_LIKE_ASCII: Final = pattern("[\u0130\u0131\u017f]")  # İ, ı and ſ are i and s where case does not count
_TOKENS: Final = (
    *("-----", "_", "sk-", "xox", "xapp", "glpat", "eyj", "akia", "asia", "aiza", "ya29.", "sg.", "hooks.slack"),
)
_SIGNS: Final = pattern(r"\.[\w-]{6}\.|\d:[\w-]{35}|://[^\s/:@]{1,64}:")
_MANY_DIGITS: Final = pattern(rf"(?:\d\D*+){{{_DIGITS_LEAST}}}")
_PLAIN: Final = pattern(
    r"forgotten|forgot|lost|wrong|reset|invalid|incorrect|expired|missing|changed|none|unknown|required|hidden|correct|empty|vergessen|"
    r"verloren|falsch|ungültig|abgelaufen|fehlt|geändert|unbekannt|gesperrt|please|bitte|help|hilfe|what|how|why|was|wie|warum|where|"
    r"zurücksetzen|zurückgesetzt|ändern|erneuern|change|changing|resetting|recovery|recover|renew|refresh|update|updating|"
    r"nicht|not|yes|no|ja|nein|null|true|false|string|here|hier|i|ich|my|mein|the|der|die|das"
)


def masked(text: str) -> str:
    """The text with a marker in the place of each card number (which keeps the last four digits) and secret. The same text again stays as
    it is."""
    if _may_hold_card(text):
        text = _without_cards(text)
    lower = text.lower()
    if has_one_of(_TOKENS, lower) or _SIGNS.search(text):
        text = _SHAPES.sub(REMOVED, text)
    if "bearer" in lower:
        text = _BEARER.sub(rf"\g<1>{REMOVED}", text)
    if has_one_of(_NAMES, lower) or (not text.isascii() and _LIKE_ASCII.search(text)):
        text = _AFTER_A_NAME.sub(_hidden, text)
    return text


def _may_hold_card(text: str) -> bool:
    if text.isascii():
        return sum(map(text.count, "0123456789")) >= _DIGITS_LEAST
    return _MANY_DIGITS.search(text) is not None


def _without_cards(text: str) -> str:
    accounts = [found.span() for found in _IBAN.finditer(text)]
    pieces, end = [], 0
    for run in _RUN.finditer(text):
        if run.end() - run.start() < _DIGITS_LEAST or any(first <= run.start() < last for first, last in accounts):
            continue
        for first, last, digits in _cards(run[0]):
            pieces += [text[end : run.start() + first], f"[card number removed, ends in {digits[-4:]}]"]
            end = run.start() + last
    return "".join([*pieces, text[end:]]) if pieces else text


def _cards(run: str) -> Iterator[tuple[int, int, str]]:
    """The stretches of a run of digits that are card numbers: the longest at each place, none inside another."""
    groups = [(found.start(), found.end()) for found in _FIT.finditer(run)]
    at = 0
    while at < len(groups):
        found = _card_at(run, groups, at)
        if found is None:
            at += 1
            continue
        last, digits = found
        yield groups[at][0], groups[last][1], digits
        at = last + 1


def _card_at(run: str, groups: list[tuple[int, int]], at: int) -> tuple[int, str] | None:
    """The last group of the longest card number that begins with the group `at`, and its digits."""
    if at and groups[at][1] - groups[at][0] == 1:  # digits one by one are a card from their first, or a list of numbers
        return None
    found, digits, sizes = None, "", ""
    for last in range(at, min(len(groups), at + _DIGITS_MOST)):
        first, end = groups[last]
        digits += "".join(str(int(digit)) for digit in run[first:end])
        sizes += f"{end - first} "
        if len(digits) > _DIGITS_MOST or not _BEGINS.match(digits):
            break
        if len(digits) >= _DIGITS_LEAST and is_card(digits) and (last == at or _is_grouped(sizes)):
            found = last, digits
    return found


def _is_grouped(sizes: str) -> bool:
    """Whether digits stand in such groups on cards, or as people read them out."""
    return bool(_GROUPS.fullmatch(sizes.strip()) or _GROUPS.fullmatch(sizes))


def is_card(digits: str) -> bool:
    """Whether these digits, without anything between them, are the number of a payment card."""
    fits = any(len(digits) in lengths and begins.match(digits) for begins, lengths in _NETWORKS)
    return fits and len(set(digits)) > 1 and _checks(digits)


def _checks(digits: str) -> bool:
    """The Luhn check of ISO/IEC 7812-1."""
    numbers = [int(digit) for digit in digits]
    doubled = [digit * 2 - 9 * (digit > 4) for digit in numbers[-2::-2]]
    return (sum(numbers[-1::-2]) + sum(doubled)) % 10 == 0


def _hidden(match: re.Match[str]) -> str:
    value = match["value"]
    core = value.rstrip(".,;:!?)")
    if not _is_secret(core, match["sign"], match["name"].lower()):
        return match[0]
    return f"{match['name']}{REMOVED}{value[len(core) :]}"


def _is_secret(value: str, sign: str, name: str) -> bool:
    """Whether what stands behind a name such as "password" is one: after a colon nearly everything, after "is" what is no plain word."""
    lower = value.lower()
    if _PLAIN.fullmatch(lower) or lower.startswith(("[secret", "[card", "http://", "https://")):
        return False
    is_mixed = not lower.isalpha() or (lower != value and value.capitalize() != value)
    is_number = "pin" in name or "cv" in name or "geheimzahl" in name
    if is_number:
        return value.isdecimal() and 3 <= len(value) <= 8
    if sign.strip() in (":", "=", "->", "=>"):
        return len(value) >= 4 and (is_mixed or len(value) >= 6)
    return len(value) >= 5 and is_mixed and not (value.isdecimal() or lower.endswith(("'t", "’t")))
