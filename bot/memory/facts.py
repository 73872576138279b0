"""What counts as a fact, and what becomes of one that says otherwise than another. Units of work and what they decide by.

A fact is taken only where the user said it of themselves in plain words: its value stands in a message of theirs in this very case, outside of
what they quoted. So neither a document, nor a tool's result, nor another person in the room can put one in. It gives no rights, whatever it says.
"""

import re
from collections.abc import Sequence
from enum import Enum, auto
from typing import Final, Literal, get_args

from bot import ids
from bot.knowledge.words import split_words
from bot.memory.stems import stems
from bot.model import IdentityId, MessageId, value
from bot.ports import Cursor, Value
from bot.store import memory
from bot.store.memory import Fact
from bot.text import clean, pattern

Kind = Literal["name", "language", "preference", "product", "plan", "contact", "other"]
KINDS: Final = get_args(Kind)
SINGLE: Final = frozenset({"name", "language", "plan"})  # of these a user has one
VALUE_CHARS: Final = 200
ABOUT_CHARS: Final = 40
SAID_TO_MODEL: Final = 0.9  # how sure a fact is that a model was told in the conversation
FOUND_LATER: Final = 0.6  # ... and one that was found when the case had ended

_QUOTED: Final = pattern(r"```.*?(?:```|\Z)|^[ \t]*>.*$|[\"“„«»”][^\"“”„«»\n]*[\"“”«»]", re.DOTALL | re.MULTILINE)


@value
class Claim:
    """What may be a fact."""

    kind: str
    value: str
    about: str = ""
    confidence: float = SAID_TO_MODEL


class Taken(Enum):
    """What became of a claim."""

    NEW = auto()
    KNOWN = auto()
    REPLACED = auto()
    NOT_SAID = auto()
    FORGOTTEN = auto()


@value
class Place:
    """Where something was said, and by whom."""

    identity: IdentityId
    conversation: str
    case: str


@value
class Keeping:
    """How much is kept, and for how long."""

    facts_most: int
    fact_ms: int


def tidied(claim: Claim) -> Claim:
    """Fit to keep: one line, no marks by which passages are cited or roles are told apart."""
    return Claim(
        claim.kind if claim.kind in KINDS else "other",
        plain(claim.value)[:VALUE_CHARS].strip(),
        "" if claim.kind in SINGLE else plain(claim.about)[:ABOUT_CHARS].strip().lower(),
        min(1.0, max(0.0, claim.confidence)),
    )


def plain(text: str) -> str:
    """One line that cannot end the marked entry it stands in."""
    return " ".join(clean(text).replace("[", "(").replace("]", ")").replace("<|", "").split())


def is_said(said: str, text: str) -> bool:
    """Whether the words stand in the text one after another, outside of what it quotes."""
    words, own = split_words(said), split_words(_QUOTED.sub(" | ", text))
    return bool(words) and any(own[at : at + len(words)] == words for at in range(len(own) - len(words) + 1))


def take(cursor: Cursor, place: Place, claim: Claim, keeping: Keeping, now_ms: int) -> Taken:
    """A unit of work: keeps the fact if the user said it; one that says otherwise is ended by it and stays as history."""
    claim = tidied(claim)
    message = _source(cursor, place, claim.value)
    if message is None:
        return Taken.NOT_SAID
    if cursor.fetch(memory.IS_FORGOTTEN, {"message": message, "kind": claim.kind}):
        return Taken.FORGOTTEN
    known = facts_of(cursor, place.identity, now_ms)
    if same := next((fact for fact in known if _is_same(fact, claim)), None):
        sure = max(same.confidence, claim.confidence)
        cursor.execute(memory.RENEW_FACT, {"id": same.id, "expires": now_ms + keeping.fact_ms, "confidence": sure})
        return Taken.KNOWN
    others = [fact for fact in known if _is_other_value(fact, claim)]
    if any(fact.confidence > claim.confidence and _is_later(cursor, fact, message) for fact in others):
        return Taken.KNOWN  # what was found afterwards is older than what the user has said since
    fact = _add(cursor, place, claim, message, keeping, now_ms)
    for other in others:
        cursor.execute(memory.END_FACT, {"id": other.id, "by": fact, "now": now_ms})
    _drop_surplus(cursor, [each for each in known if each not in others], keeping.facts_most - 1, now_ms)
    return Taken.REPLACED if others else Taken.NEW


def facts_of(cursor: Cursor, identity: IdentityId, now_ms: int) -> list[Fact]:
    """All that hold, of whichever identity of the user; the oldest first."""
    values: dict[str, Value] = {"identity": identity, "now": now_ms}
    return [memory.fact_of(row) for row in cursor.fetch(memory.FACTS, values)]


def distinct(facts: Sequence[Fact]) -> list[Fact]:
    """Where two identities were linked, the later of two facts that contradict each other, in order."""
    kept: dict[tuple[str, ...], Fact] = {}
    for fact in facts:
        kept.pop(key_of(fact), None)
        kept[key_of(fact)] = fact
    return list(kept.values())


def key_of(fact: Fact | Claim) -> tuple[str, ...]:
    """Two facts of one key cannot both hold."""
    if fact.kind in SINGLE:
        return (fact.kind,)
    return (
        (fact.kind, *(sorted(set(stems(fact.about))) or [fact.about]))
        if fact.about
        else (fact.kind, "=", *_words(fact))
    )


def _words(fact: Fact | Claim) -> list[str]:
    return split_words(fact.value)


def _is_same(fact: Fact, claim: Claim) -> bool:
    return fact.kind == claim.kind and _words(fact) == _words(claim) and fact.about in (claim.about, "")


def _is_other_value(fact: Fact, claim: Claim) -> bool:
    return key_of(fact) == key_of(claim)


def _is_later(cursor: Cursor, fact: Fact, message: MessageId) -> bool:
    rows = cursor.fetch(
        "SELECT (SELECT created_ms FROM messages WHERE id = :one), (SELECT created_ms FROM messages WHERE id = :other)",
        {"one": fact.message, "other": message},
    )
    one, other = rows[0]
    return (one or 0) > (other or 0)


def _source(cursor: Cursor, place: Place, said: str) -> MessageId | None:
    """The newest message of the user in this case that holds it."""
    values: dict[str, Value] = {
        "conversation": place.conversation,
        "case": place.case,
        "identity": place.identity,
    }
    for id_, text in cursor.fetch(memory.OWN_WORDS, values):
        if is_said(said, text):
            return MessageId(id_)
    return None


def _add(cursor: Cursor, place: Place, claim: Claim, message: MessageId, keeping: Keeping, now_ms: int) -> str:
    id_ = ids.new_id(now_ms)
    cursor.execute(
        memory.ADD_FACT,
        {
            "id": id_,
            "identity": place.identity,
            "kind": claim.kind,
            "about": claim.about,
            "value": claim.value,
            "confidence": claim.confidence,
            "message": message,
            "conversation": place.conversation,
            "now": now_ms,
            "expires": now_ms + keeping.fact_ms,
        },
    )
    return id_


def _drop_surplus(cursor: Cursor, known: Sequence[Fact], most: int, now_ms: int) -> None:
    """The least sure and oldest go first."""
    surplus = len(known) - most
    for fact in sorted(known, key=lambda each: (each.confidence, each.created_ms))[: max(0, surplus)]:
        cursor.execute(memory.END_FACT, {"id": fact.id, "by": "", "now": now_ms})
