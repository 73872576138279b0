"""How numbers, currencies and units are written, in English and German, and what they are worth."""

import re
from collections.abc import Iterable
from decimal import Decimal

ANY_CURRENCY = "*"  # a source that names none
NUMBER = r"(?>\d{1,3}(?:[.,'’ \u00a0\u202f]\d{3}){1,5}(?!\d)(?:[.,]\d{1,2})?(?!\d)|\d+(?:[.,]\d+)?)"

_WORDS = {
    **{
        word: n
        for n, word in enumerate(
            ["two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"], 2
        )
    },
    **{
        word: n
        for n, word in enumerate(
            ["zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun", "zehn", "elf", "zwölf"], 2
        )
    },
    **{
        word: 10 * n
        for n, word in enumerate(["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"], 2)
    },
    **{
        word: 10 * n
        for n, word in enumerate(
            ["zwanzig", "dreißig", "vierzig", "fünfzig", "sechzig", "siebzig", "achtzig", "neunzig"], 2
        )
    },
    **{
        word: n
        for n, word in enumerate(
            ["thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"], 13
        )
    },
    **{f"{unit}zehn": n for n, unit in enumerate(["drei", "vier", "fünf", "sech", "sieb", "acht", "neun"], 13)},
    "hundred": 100,
    "hundert": 100,
    "zwo": 2,
    "dreissig": 30,
}
_ONES = {"ein": 1, **{word: value for word, value in _WORDS.items() if value < 10}}
_TENS = {word: value for word, value in _WORDS.items() if value in range(20, 100, 10)}
_JOINED = {
    **{f"{one}und{ten}": n + tens for one, n in _ONES.items() for ten, tens in _TENS.items()},
    **{f"{one}hundert": 100 * n for one, n in _ONES.items()},
}
_FOLDED = {word.casefold(): value for word, value in ({"a": 1, "one": 1} | _WORDS | _JOINED).items()}
WORD_NUMBERS = frozenset(_WORDS) | frozenset(_JOINED)
BLANK = "\x00"  # stands in place of what is not to be read
_ONE_OF_ONES = "|".join(_ONES)
_ANY_WORD_NUMBER = (
    rf"(?<!\w)(?:(?:{_ONE_OF_ONES})und(?:{'|'.join(_TENS)})|(?:{_ONE_OF_ONES})hundert|(?:a|one|{_ONE_OF_ONES})[ -]hundred"
    rf"|(?:{'|'.join(_TENS)})[ -](?:one|{_ONE_OF_ONES})|{'|'.join(sorted(_WORDS, key=len, reverse=True))})(?!\w)"
)
_WORD_NUMBER = re.compile(_ANY_WORD_NUMBER, re.IGNORECASE)
_LOWER_WORD_NUMBER = re.compile(_ANY_WORD_NUMBER)


def in_digits(text: str) -> str:
    """The text with its number words as digits, each at the end of where the word stood."""
    folded = text.lower()
    if len(folded) == len(text):  # in lower case they are found several times as quickly
        return _replaced(text, _LOWER_WORD_NUMBER.finditer(folded))
    return _WORD_NUMBER.sub(_digits, text)


def _replaced(text: str, matches: Iterable[re.Match[str]]) -> str:
    parts, at = [], 0
    for match in matches:
        parts += [text[at : match.start()], _digits(match)]
        at = match.end()
    return "".join([*parts, text[at:]])


def _digits(match: re.Match[str]) -> str:
    """Letters such as "ı" match without being any that fold to ours: they stay."""
    parts = [_FOLDED.get(part) for part in re.split("[ -]", match[0].casefold())]
    if None in parts:
        return match[0]
    first, last = parts[0] or 0, parts[-1] or 0
    value = first if len(parts) == 1 else first * last if last == 100 else first + last
    return str(value).rjust(len(match[0]), BLANK)


def numbers(text: str) -> frozenset[Decimal]:
    """What a number may mean: "1,299" and "1.299" are thousands or decimals, who knows in which country."""
    plain = re.sub(r"[^\d.,]", "", text)
    point, comma = plain.rfind("."), plain.rfind(",")
    if point >= 0 and comma >= 0:
        thousands = "," if point > comma else "."
        return frozenset((Decimal(plain.replace(thousands, "").replace(",", ".")),))
    parts = re.split("[.,]", plain)
    if len(parts) == 1:
        return frozenset((Decimal(plain),))
    whole = Decimal("".join(parts))
    if len(parts) > 2:
        return frozenset((whole,))
    decimal = Decimal(".".join(parts))
    return frozenset((whole, decimal) if len(parts[1]) == 3 and parts[0].strip("0") else (decimal,))


# --- money -----------------------------------------------------------------------------------------------------------

_ONE, _CENT = Decimal(1), Decimal("0.01")
_DOLLARS = tuple((code, _ONE) for code in ("USD", "CAD", "AUD"))
_CODES = [
    "EUR",
    "USD",
    "GBP",
    "CHF",
    "JPY",
    "CAD",
    "AUD",
    "SEK",
    "NOK",
    "DKK",
    "PLN",
    "CZK",
    "INR",
    "CNY",
    "HUF",
    "TRY",
]
CURRENCY: dict[str, tuple[tuple[str, Decimal], ...]] = {
    **{code.casefold(): ((code, _ONE),) for code in _CODES},
    **dict.fromkeys(("€", "euro", "euros"), (("EUR", _ONE),)),
    **dict.fromkeys(("$", "us$", "dollar", "dollars"), _DOLLARS),
    **dict.fromkeys(("£", "pound", "pounds"), (("GBP", _ONE),)),
    **dict.fromkeys(("fr", "sfr", "franken", "francs"), (("CHF", _ONE),)),
    **dict.fromkeys(("¥", "yen"), (("JPY", _ONE),)),
    **dict.fromkeys(("₹", "rupees"), (("INR", _ONE),)),
    **dict.fromkeys(("zł", "zloty"), (("PLN", _ONE),)),
    "kr": tuple((code, _ONE) for code in ("SEK", "NOK", "DKK")),
    "₺": (("TRY", _ONE),),
    **{word: (("EUR", _CENT), *((code, _CENT) for code, _ in _DOLLARS)) for word in ("cent", "cents", "ct")},
}
CURRENCY_SIGN = r"US\$|[€$£¥₹₺]|\b(?:" + "|".join([*_CODES, "Fr", "SFr"]) + r")\b\.?"
CURRENCY_WORD = (
    r"[€$£¥₹₺]|(?:"
    + "|".join(sorted((word for word in CURRENCY if word[0].isalpha() and word != "us$"), key=len, reverse=True))
    + r")\b"
)
SCALES = {
    **dict.fromkeys(("k", "thousand", "tausend", "tsd"), 1000),
    **dict.fromkeys(("m", "million", "millionen", "mio"), 10**6),
}
SCALE = r"(?:k|thousand|tausend|tsd|million(?:en)?|mio|m)\b\.?"

# --- time ------------------------------------------------------------------------------------------------------------

MONTHS = {
    "jan": 1, "jän": 1, "feb": 2, "mar": 3, "mär": 3, "apr": 4, "may": 5, "mai": 5, "jun": 6, "jul": 7, "aug": 8, "sep": 9, "oct": 10,
    "okt": 10, "nov": 11, "dec": 12, "dez": 12,
}  # fmt: skip
MONTH = (
    r"January|February|March|April|May|June|July|August|September|October|November|December|Januar|Jänner|Februar|März|Mai|Juni|Juli|Oktober|"
    r"Dezember|Jan|Feb|Mar|Mär|Apr|Jun|Jul|Aug|Sept|Sep|Oct|Okt|Nov|Dec|Dez"
)
_SPANS = {
    "second seconds sec secs sekunde sekunden sek": ("seconds", 1),
    "minute minutes min mins minuten": ("seconds", 60),
    "hour hours hr hrs h stunde stunden stündig stündige stündiger stündigen std": ("seconds", 3600),
    "day days tag tage tagen tages tägig tägige tägiger tägiges tägigen": ("seconds", 86_400),
    "night nights nacht nächte nächten": ("nights", 1),
    "week weeks woche wochen": ("seconds", 604_800),
    "fortnight": ("seconds", 1_209_600),
    "month months monat monate monaten monats": ("months", 1),
    "quarter quarters quartal quartale": ("months", 3),
    "year years jahr jahre jahren jahres": ("months", 12),
    "werktag werktage werktagen arbeitstag arbeitstage arbeitstagen geschäftstag geschäftstage": ("workdays", 1),
}
DURATION: dict[str, tuple[str, Decimal]] = {
    word: (kind, Decimal(per)) for words, (kind, per) in _SPANS.items() for word in words.split()
}
for _adjective in ("business", "working", "work"):
    for _noun in ("day", "days"):
        DURATION[f"{_adjective} {_noun}"] = ("workdays", _ONE)
for _adjective in ("calendar", "consecutive"):
    for _noun in ("day", "days"):
        DURATION[f"{_adjective} {_noun}"] = DURATION["days"]
DURATION_UNIT = (
    r"(?:" + "|".join(sorted((word.replace(" ", r"[\s-]") for word in DURATION), key=len, reverse=True)) + r")\b"
)

# --- amounts ---------------------------------------------------------------------------------------------------------

_AMOUNTS: dict[str, tuple[tuple[str, int | Decimal], ...]] = {
    "kb kilobyte kilobytes": (("bytes", 1000), ("bytes", 1024)),
    "mb megabyte megabytes": (("bytes", 1000**2), ("bytes", 1024**2)),
    "gb gigabyte gigabytes": (("bytes", 1000**3), ("bytes", 1024**3)),
    "tb terabyte terabytes": (("bytes", 1000**4), ("bytes", 1024**4)),
    "kib": (("bytes", 1024),),
    "mib": (("bytes", 1024**2),),
    "gib": (("bytes", 1024**3),),
    "byte bytes": (("bytes", 1),),
    "mbit/s mbps": (("bits", 1),),
    "gbit/s gbps": (("bits", 1000),),
    "mg": (("grams", Decimal("0.001")),),
    "g gram grams gramm": (("grams", 1),),
    "kg kilo kilos kilogram kilograms kilogramm": (("grams", 1000),),
    "t tonnes tons tonnen": (("grams", 10**6),),
    "lb lbs": (("lb", 1),),
    "mm": (("mm", 1),),
    "cm": (("mm", 10),),
    "m metre metres meter meters metern": (("mm", 1000),),
    "km kilometre kilometres kilometer kilometers kilometern": (("mm", 10**6),),
    "inch inches zoll": (("inch", 1),),
    "mile miles meilen": (("mile", 1),),
    "ml": (("ml", 1),),
    "l litre litres liter liters litern": (("ml", 1000),),
    "w watt": (("watt", 1),),
    "kw kilowatt": (("watt", 1000),),
    "v volt": (("volt", 1),),
    "wh": (("wh", 1),),
    "kwh": (("wh", 1000),),
    "mah": (("mah", 1),),
    "°c": (("celsius", 1),),
    "°f": (("fahrenheit", 1),),
    "px pixels pixel": (("px", 1),),
    "user users nutzer nutzern benutzer": (("users", 1),),
    "seat seats plätze": (("seats", 1),),
    "device devices gerät geräte geräten": (("devices", 1),),
    "licence licences license licenses lizenz lizenzen": (("licences", 1),),
    "member members mitglieder": (("members", 1),),
    "character characters zeichen": (("characters", 1),),
    "project projects projekte projekten": (("projects", 1),),
    "request requests anfragen": (("requests", 1),),
    "point points punkte punkten": (("points", 1),),
}
UNITS: dict[str, tuple[tuple[str, Decimal], ...]] = {
    word: tuple((kind, Decimal(per)) for kind, per in forms)
    for words, forms in _AMOUNTS.items()
    for word in words.split()
}
UNIT = r"(?:" + "|".join(re.escape(word) for word in sorted(UNITS, key=len, reverse=True)) + r")(?![\w/])"
