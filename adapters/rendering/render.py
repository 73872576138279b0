"""The one way of a text to a platform: read once, written in the platform's form."""

import re
from collections.abc import Callable
from typing import Final

from adapters.rendering.discord import Discord
from adapters.rendering.marked import Slack, WhatsApp
from adapters.rendering.parsing import parse
from adapters.rendering.plain import Plain
from adapters.rendering.splitting import continues_code, split
from adapters.rendering.tree import Block, CodeBlock

Form = Plain

PLAIN: Final = Plain()
SLACK: Final = Slack()
DISCORD: Final = Discord()
WHATSAPP: Final = WhatsApp()

_UNFIT: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_REORDERING: Final = re.compile("[\u202a-\u202e\u2066-\u2069]")
_FENCE_LINE: Final = re.compile(r"^[ \t]*(?:`{3,}|~{3,})[ \t]*$", re.MULTILINE)


def render(text: str, form: Form, *, part: int = 0) -> str:
    """`text`, Markdown as `parsing` reads it, in a form. `part` is the number of the part of a message that it is: any but the first
    may begin within a block of code, as `splitting` says.

    What comes out is shown as it was meant, calls nobody, and hides no address. Control characters become U+FFFD; what reorders text is
    left out. Blank for a text without anything to show, which need not be sent. Takes time in proportion to the text.
    """
    text = _REORDERING.sub("", _UNFIT.sub("\N{REPLACEMENT CHARACTER}", text))
    return form.write(_continued(text) if part and continues_code(text) else parse(text))


def fit(text: str, form: Form, limit: int, size: Callable[[str], int] = len) -> tuple[str, ...]:
    """`split`, so that each part, rendered in the form as that part, is within the limit. `size` counts as the platform does."""
    return split(text, limit, lambda part: max(size(render(part, form, part=number)) for number in _numbers(part)))


def _numbers(part: str) -> tuple[int, ...]:
    return (0, 1) if continues_code(part) else (0,)


def _continued(text: str) -> tuple[Block, ...]:
    end = _FENCE_LINE.search(text)
    if not end:
        return (CodeBlock(text.strip("\n")),)
    return CodeBlock(text[: end.start()].strip("\n")), *parse(text[end.end() :])
