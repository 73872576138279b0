"""What the answer to a kind of question looks like: "how long" is answered by a number, "why" by a reason."""

import re

from bot.model import value
from bot.text import pattern

_NUMBER = pattern(
    r"\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|twelve|half|once|twice|daily|hourly|weekly|monthly|yearly|years?|"
    r"zwei|drei|vier|fünf|zehn|halbe|täglich|jahre?)\b",
    re.IGNORECASE,
)
_REASON = pattern(r"\b(?:because|since|why|so that|therefore|reason|weil|damit|deshalb|darum|grund)\b", re.IGNORECASE)
_CHOICE = pattern(
    r"\b(?:accepted|supported|allowed|such as|e\.g\.|either|angenommen|erlaubt|wie etwa|z\.b\.)", re.IGNORECASE
)


@value
class Form:
    """`asked`: the questions; `seen`: their answers, which are worth `bonus` times as much; `expected`: words that they tend to hold."""

    asked: re.Pattern[str]
    seen: re.Pattern[str]
    bonus: float
    expected: tuple[str, ...] = ()


_FORMS = (
    Form(pattern(r"\b(?:why|how come|warum|wieso|weshalb)\b", re.IGNORECASE), _REASON, 2.0),
    Form(
        pattern(
            r"\bhow (?:long|big|large|heavy|high|many|much|far)\b.*\b(?:can|may|be)\b|\bmax|\blimit", re.IGNORECASE
        ),
        _NUMBER,
        1.3,
        ("largest", "longest", "most", "maximum", "limit"),
    ),
    Form(
        pattern(
            r"\bhow (?:much|many|long|big|large|far|often|fast|quickly|old|high|tall|soon)\b|"
            r"(?:^|[.,;:!?])\W*(?:(?:and|but|so|or) )?when\b|"
            r"\bwie (?:viele?|lange|groß|oft|schnell)\b|\bwann\b",
            re.IGNORECASE,
        ),
        _NUMBER,
        1.3,
    ),
    Form(
        pattern(r"\b(?:kinds?|types?|sorts?|formats?) of\b|\b(?:which|what) (?:formats|types)\b", re.IGNORECASE),
        _CHOICE,
        1.3,
        ("accepted", "supported", "formats", "types"),
    ),
)


def form_of(question: str) -> Form | None:
    """The first form that fits."""
    return next((form for form in _FORMS if form.asked.search(question)), None)
