"""What answers rest on: the passages that each one cites, as they stood when it was given.

Passages are kept once, by their id, which stands for one document, heading and text. Functions that take a `Cursor` are pieces of units of work.
"""

from collections.abc import Sequence
from typing import Final

from bot.model import Citation, Found, value
from bot.ports import Cursor

TEXT_CHARS: Final = 6_000  # of one passage: three joined ones and what is between them fit
SOURCES_MOST: Final = 12

_ADD_PASSAGE: Final = """
    INSERT INTO cited_passages (id, document, title, text) VALUES (:passage, :document, :title, :text) ON CONFLICT (id) DO NOTHING"""
_ADD_SOURCE: Final = """
    INSERT INTO answer_sources (message_id, passage_id, conversation_id, number, created_ms)
    VALUES (:message, :passage, :conversation, :number, :now) ON CONFLICT (message_id, passage_id) DO NOTHING"""

DOCUMENTS: Final = "SELECT document FROM document_versions UNION SELECT document FROM cited_passages ORDER BY 1"

VERSIONS: Final = """
    SELECT version, title, passages, first_ms, last_ms, ended_ms FROM document_versions
    WHERE document = :document ORDER BY first_ms DESC, id DESC"""

TOLD: Final = """
    SELECT s.message_id, s.passage_id, s.number, s.created_ms, p.title, p.text, m.text, m.case_id, c.id, c.channel, c.account,
           i.id, i.name, i.external_id
    FROM cited_passages p JOIN answer_sources s ON s.passage_id = p.id JOIN messages m ON m.id = s.message_id
         JOIN conversations c ON c.id = s.conversation_id LEFT JOIN identities i ON i.id = c.identity_id
    WHERE p.document = :document AND s.created_ms >= :since AND m.is_deleted = 0
    ORDER BY s.created_ms, s.message_id, s.number, s.passage_id LIMIT :limit OFFSET :offset"""


@value
class Source:
    """One passage behind an answer. `number`: as the answer cites it, 0: only in view."""

    passage: str
    document: str
    title: str
    text: str
    number: int


def sources_of(citations: Sequence[Citation], found: Sequence[Found]) -> tuple[Source, ...]:
    """What an answer rests on: the passages that it cites, or, where it cites none, all that it had in view."""
    if not found:
        return ()
    seen = {one.passage.id: one.passage for one in found}
    numbers = {each.passage: each.number for each in citations if each.passage in seen}
    chosen = numbers or dict.fromkeys(seen, 0)
    return tuple(
        Source(id_, seen[id_].document, seen[id_].title, seen[id_].text[:TEXT_CHARS], number)
        for id_, number in list(chosen.items())[:SOURCES_MOST]
    )


def keep(cursor: Cursor, message: str, conversation: str, sources: Sequence[Source], now_ms: int) -> None:
    """Enters them with the answer. Safe to repeat."""
    for each in sources:
        cursor.execute(
            _ADD_PASSAGE,
            {"passage": each.passage, "document": each.document, "title": each.title, "text": each.text},
        )
        cursor.execute(
            _ADD_SOURCE,
            {
                "message": message,
                "passage": each.passage,
                "conversation": conversation,
                "number": each.number,
                "now": now_ms,
            },
        )
