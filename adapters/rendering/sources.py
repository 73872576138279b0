"""Where an answer's facts come from, as a list under it."""

from collections.abc import Iterator, Sequence
from typing import Final

from adapters.rendering.parsing import linked
from adapters.rendering.plain import Plain
from adapters.rendering.tree import Inline, Link, Paragraph, Style, Styled, Text
from bot.model import Citation

_TITLE_CHARS: Final = 150


def sources(citations: Sequence[Citation], form: Plain, limit: int | None = None) -> str:
    """The heading "Sources", and a line "[n] title" for each citation, linked where its address is one of the web; "" for none. With
    `limit` it has at most so many characters: what does not fit is left out, from the end."""
    for count in range(len(citations), 0, -1):
        text = form.write((Paragraph(tuple(_lines(citations[:count]))),))
        if limit is None or len(text) <= limit:
            return text
    return ""


def _lines(citations: Sequence[Citation]) -> Iterator[Inline]:
    yield Styled(Style.STRONG, (Text("Sources"),))
    for citation in citations:
        yield Text(f"\n[{citation.number}] ")
        title = Text(_title(citation))
        url = linked(citation.url)
        yield Link(url, (title,)) if url else title


def _title(citation: Citation) -> str:
    title = " ".join(citation.title.split())
    return title if len(title) <= _TITLE_CHARS else f"{title[: _TITLE_CHARS - 1]}…"
