"""What is known of one language's ways to ask for a person.

Every pattern is bounded, so that a search is linear. They are matched against folded clauses (see `bot.handoff.saying`).
"""

import re

from bot.model import value


@value
class Wording:
    """`wish` asks for a person unless `denial` stands in the same clause or `about` in the same sentence; `refusal` turns the
    bot away, which asks for a person by itself unless `about`."""

    wish: re.Pattern[str]
    refusal: re.Pattern[str]
    denial: re.Pattern[str]
    about: re.Pattern[str]
