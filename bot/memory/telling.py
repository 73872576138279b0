"""A user sees what is remembered of them, and has some of it forgotten: units of work, safe to run twice, and the words.

Nothing of it is shown where others read along. A number means what stood there when the list was shown last in this conversation.
"""

import json
from collections.abc import Sequence
from typing import Final

from bot.memory.facts import distinct, facts_of, plain
from bot.memory.recall import day_of, name_of
from bot.memory.wishes import Wanted, Wish
from bot.model import ROOM, IdentityId, MessageId, value
from bot.ports import Cursor, Value
from bot.store import handoffs, memory

EPISODES_SHOWN: Final = 20
LIST_MS: Final = 3_600_000  # so long the numbers of a list hold
LAST_MS: Final = 3_600_000  # "forget that" means what was noted within so long
LINE_CHARS: Final = 240


@value
class Words:
    """What is said, in one language."""

    heading: str
    line: str
    case: str
    footer: str
    nothing: str
    elsewhere: str
    one: str
    several: str
    no_such: str
    last: str
    everything: str


WORDS: Final = {
    "en": Words(
        heading="This is what I remember of you:",
        line="{number}. {name}: {value} (you said so on {day})",
        case="{number}. Case of {day}: {value}",
        footer="Write “forget 1” to have number 1 forgotten, or “forget everything” to have all that you said here forgotten with it.",
        nothing="I remember nothing of you beyond this conversation.",
        elsewhere="Others read along here. Ask me that in a direct message.",
        one="Done: I have forgotten number {numbers}.",
        several="Done: I have forgotten numbers {numbers}.",
        no_such="There is no number {numbers} in the list. Ask me “What do you know about me?” to see it.",
        last="Done: I have forgotten what I noted last.",
        everything="Done: I have forgotten everything that you said, and what I remembered of you.",
    ),
    "de": Words(
        heading="Das habe ich mir von Ihnen gemerkt:",
        line="{number}. {name}: {value} (gesagt am {day})",
        case="{number}. Anliegen vom {day}: {value}",
        footer="Schreiben Sie „vergiss 1“, damit ich Nummer 1 vergesse, oder „vergiss alles“, damit ich alles vergesse, was Sie hier gesagt haben.",
        nothing="Über dieses Gespräch hinaus habe ich mir nichts von Ihnen gemerkt.",
        elsewhere="Hier lesen andere mit. Fragen Sie mich das in einer Direktnachricht.",
        one="Erledigt: Nummer {numbers} habe ich vergessen.",
        several="Erledigt: Die Nummern {numbers} habe ich vergessen.",
        no_such="Eine Nummer {numbers} steht nicht in der Liste. Fragen Sie „Was weißt du über mich?“, um sie zu sehen.",
        last="Erledigt: Was ich mir zuletzt gemerkt habe, habe ich vergessen.",
        everything="Erledigt: Ich habe alles vergessen, was Sie gesagt haben und was ich mir von Ihnen gemerkt habe.",
    ),
}


def is_private(cursor: Cursor, conversation: str) -> bool:
    """Whether nobody but the user reads what is said there."""
    rows = cursor.fetch(memory.READERS, {"conversation": conversation})
    return bool(rows) and is_private_row(*rows[0])


def is_private_row(kind: str, is_shared: int, people: int) -> bool:
    return kind != ROOM and not is_shared and people <= 1


def obey(
    cursor: Cursor, conversation: str, identity: IdentityId, message: MessageId, wanted: Wanted, now_ms: int
) -> str | None:
    """Carries out a wish that `message` is. Returns what to say; None where it means nothing here, and is for the agent."""
    words = WORDS[wanted.language]
    match wanted.wish:
        case Wish.SHOW:
            return show(cursor, conversation, identity, words, now_ms)
        case Wish.FORGET_NUMBERS | Wish.FORGET_LAST:
            return _once(cursor, conversation, identity, message, wanted, now_ms)
        case Wish.FORGET_ALL:
            return words.everything
        case Wish.EXPORT:
            return None


def show(cursor: Cursor, conversation: str, identity: IdentityId, words: Words, now_ms: int) -> str:
    """The list, whose numbers hold from now on."""
    if not is_private(cursor, conversation):
        return words.elsewhere
    facts = distinct(facts_of(cursor, identity, now_ms))
    rows = cursor.fetch(memory.EPISODES, {"identity": identity, "limit": EPISODES_SHOWN})
    episodes = [memory.episode_of(row) for row in rows]
    items = [*(fact.id for fact in facts), *(episode.id for episode in episodes)]
    values: dict[str, Value] = {"conversation": conversation, "identity": identity, "now": now_ms}
    cursor.execute(memory.KEEP_LIST, {**values, "items": json.dumps(items)})
    if not items:
        return words.nothing
    told = [
        words.line.format(number=number, name=name_of(fact), value=plain(fact.value), day=day_of(fact.created_ms))
        for number, fact in enumerate(facts, 1)
    ]
    told += [
        words.case.format(number=number, value=plain(episode.text)[:LINE_CHARS], day=day_of(episode.ended_ms))
        for number, episode in enumerate(episodes, len(facts) + 1)
    ]
    return "\n".join([words.heading, *told, "", words.footer])


def _once(
    cursor: Cursor, conversation: str, identity: IdentityId, message: MessageId, wanted: Wanted, now_ms: int
) -> str | None:
    """What was done for this message is not done again: a rerun says the same."""
    key = f"memory {message}"
    if done := cursor.fetch(handoffs.DONE, {"key": key}):
        return str(done[0][0])
    words = WORDS[wanted.language]
    if wanted.wish is Wish.FORGET_LAST:
        told = _forget_last(cursor, conversation, identity, words, now_ms)
    else:
        told = _forget_numbers(cursor, conversation, identity, wanted.numbers, words, now_ms)
    if told is not None:
        cursor.execute(handoffs.ADD_DONE, {"key": key, "told": told, "now": now_ms})
    return told


def _forget_last(cursor: Cursor, conversation: str, identity: IdentityId, words: Words, now_ms: int) -> str | None:
    values: dict[str, Value] = {"identity": identity, "conversation": conversation, "since": now_ms - LAST_MS}
    rows = cursor.fetch(memory.NEWEST_FACT, values)
    if not rows:
        return None
    memory.forget_fact(cursor, rows[0][0], now_ms)
    return words.last


def _forget_numbers(
    cursor: Cursor, conversation: str, identity: IdentityId, numbers: Sequence[int], words: Words, now_ms: int
) -> str | None:
    values: dict[str, Value] = {"identity": identity, "conversation": conversation, "since": now_ms - LIST_MS}
    rows = cursor.fetch(memory.LIST, values)
    items: list[str] = json.loads(rows[0][0]) if rows else []
    if not items:
        return None
    missing = [number for number in numbers if not 1 <= number <= len(items)]
    if missing:
        return words.no_such.format(numbers=", ".join(map(str, missing)))
    for number in numbers:
        memory.forget_fact(cursor, items[number - 1], now_ms)
        cursor.execute(memory.FORGET_EPISODE, {"id": items[number - 1], "now": now_ms})
    told = words.one if len(numbers) == 1 else words.several
    return told.format(numbers=", ".join(map(str, numbers)))
