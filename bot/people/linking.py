"""One person on several channels: two identities become one user when the person shows that both are theirs.

The proof is a code for one use: given to the one identity, and written by the other. Names, addresses and likeness prove nothing. What is
asked for here is understood by code and not by a model, so that nobody can talk their way into it.
"""

import hashlib
import re
import secrets
from dataclasses import replace
from typing import Final

from bot import ids
from bot.accepting import Arrival, Stored, accept, say
from bot.handoff.saying import own_words, words
from bot.model import ROOM, Conversation, MessageId, MessageReceived, value
from bot.operators import tries
from bot.operators.codes import ALPHABET
from bot.ports import Cursor
from bot.store import people, records
from bot.store.memory import READERS
from bot.text import pattern

PREFIX: Final = "LINK"
LETTERS: Final = 8  # 38 bits, behind a limit of tries
LASTS_MS: Final = 10 * 60_000
WISH_CHARS: Final = 200  # a longer message is about something else
HIDDEN: Final = "[linking code]"
_CODE: Final = pattern(rf"(?<![\w-]){PREFIX}[ -]?([{ALPHABET}]{{4}})[ -]?([{ALPHABET}]{{4}})(?![\w-])", re.IGNORECASE)
_ASKING: Final = tries.Limit(5, 10 * 60_000, 24 * 60 * 60_000)
_TYPING: Final = tries.Limit(5, 60_000, 60 * 60_000)

_MINE: Final = r"(?:my|our|these|both|the|all my)"
_ACCOUNTS: Final = (
    r"(?:(?:chat |user |other |two |slack |discord |whatsapp |web )*)(?:accounts?|channels?|identit(?:y|ies)|profiles?)"
)
_MEINE: Final = r"(?:meine?[nrs]?|unsere|diese|beide|die|alle meine)"
_KONTEN: Final = (
    r"(?:(?:beiden |anderen? |zwei )*)(?:konten|konto|accounts?|kanäle|kanale|profile?|identitäten|identitaten)"
)
_START: Final = (
    r"(?:(?:hi|hello|hey|hallo|please|bitte|ok) )*(?:(?:can|could|would|will) you (?:please )?|(?:can|may|could) i |i (?:want|would like|d like|wish) to |"
    r"how (?:can|do) i |(?:kannst|kann|können|konnen|könntest|konntest) (?:du|sie|ich) (?:bitte )?|(?:ich )?(?:möchte|mochte|will|würde gern|wurde gern) |"
    r"wie (?:kann|verknüpfe|verknupfe|verbinde) ich )?"
)
_TO: Final = r"(?: (?:together|up|with each other|with one another|to each other|to (?:slack|discord|whatsapp|the web)|now|please|here|thanks|thank you))*"
_ZU: Final = r"(?: (?:miteinander|zusammen|bitte|jetzt|hier|danke|mit (?:slack|discord|whatsapp)|verknüpfen|verknupfen|verbinden|zusammenführen|zusammenfuhren|koppeln))*"
_ASKS: Final = pattern(
    rf"{_START}(?:(?:link|connect|merge|join|combine) {_MINE} {_ACCOUNTS}{_TO}"
    rf"|(?:verknüpfe?n?|verknupfe?n?|verbinde?n?|koppl?el?e?n?)(?: sie)?(?: bitte)? {_MEINE} {_KONTEN}{_ZU}"
    rf"|{_MEINE} {_KONTEN}(?: bitte)?(?: miteinander)? (?:verknüpfen|verknupfen|verbinden|zusammenführen|zusammenfuhren|koppeln)(?: lassen)?)"
)
_UNDOES: Final = pattern(
    rf"{_START}(?:(?:unlink|unmerge)(?: {_MINE} {_ACCOUNTS}| me)?{_TO}|(?:disconnect|separate) {_MINE} {_ACCOUNTS}{_TO}"
    rf"|(?:trenne?n?|entknüpfe?n?|entkopple|entkoppeln)(?: sie)?(?: bitte)? {_MEINE} {_KONTEN}(?: wieder)?{_ZU}"
    rf"|{_MEINE} {_KONTEN}(?: bitte)?(?: wieder)? (?:trennen|entkoppeln)"
    rf"|(?:die )?(?:verknüpfung|verknupfung)(?: bitte)?(?: wieder)? (?:aufheben|lösen|losen|trennen))"
)

_SPOKEN_OF: Final = pattern(  # one of these stands in every wish
    "account|channel|profile|identit|unlink|unmerge|konto|konten|kanäle|kanale|kana\u0308le|verkn"
)

ELSEWHERE: Final = "Others may read here. Please ask me that in a direct message, and I will help you with it there."
TOO_OFTEN: Final = "That was tried too often. Please try again in {wait}."
CODE: Final = (
    "To show that another account is yours too, write this code there within 10 minutes:\n\n{code}\n\n"
    "It works once. Show it to nobody: whoever writes it here becomes one person with you. From us, nobody will ever ask you for it."
)
NO_CODE: Final = 'That code is not valid, or no longer. For a new one, write "link my accounts" on your other channel.'
OWN_CODE: Final = "That is this account's own code. Write it on your other channel."
KNOWN: Final = "These accounts are linked already."
LINKED: Final = (
    "Your account on {channel} and this one are linked now: on both, you are the same person to us. Each conversation goes on where it is. "
    'If that was not you, write "unlink" here.'
)
UNLINKED: Final = "Your accounts are separate again. Each of them is a person of its own to us from now on."
NOT_LINKED: Final = "This account is not linked to another one."
_NAMES: Final = {"slack": "Slack", "discord": "Discord", "whatsapp": "WhatsApp", "web": "our website"}


@value
class Linked:
    """What the unit of work made; `told`: the other conversation in which something was said."""

    stored: Stored
    told: Conversation | None = None


@value
class Wish:
    """What a message asks for: `code_hash` of a code that was written; `is_undo`: to unlink. `text`: what is kept of the message."""

    text: str
    code_hash: str = ""
    is_undo: bool = False


def wish_of(text: str) -> Wish | None:
    """None for a message that is about something else. Pure."""
    if len(text) > WISH_CHARS:
        return None
    plain = text.lower()
    may_have_code = "nk" in plain  # which every LINK has: its i may be a Turkish one
    code = next(filter(_is_code, _CODE.finditer(text)), None) if may_have_code else None
    if code is not None:
        kept = _CODE.sub(lambda each: HIDDEN if _is_code(each) else each[0], text)
        return Wish(kept, hash_of(code[1] + code[2]))
    if not _SPOKEN_OF.search(plain):
        return None
    said = words(own_words(text))
    if _UNDOES.fullmatch(said):
        return Wish(text, is_undo=True)
    return Wish(text) if _ASKS.fullmatch(said) else None


def _is_code(found: re.Match[str]) -> bool:
    """Words are none ("the link sent back an error"), nor are numbers, unless they are written as codes are shown."""
    has_dashes = found[0].count("-") == 2
    return any(map(str.isdigit, found[0])) if has_dashes else _is_mixed(found[1]) and _is_mixed(found[2])


def _is_mixed(letters: str) -> bool:
    return not letters.isalpha() and not letters.isdigit()


def new_code() -> str:
    """LINK-AB2D-EF9H: with a letter and a digit in each half, as no words and no numbers have."""
    return f"{PREFIX}-{_half()}-{_half()}"


def _half() -> str:
    while not _is_mixed(half := "".join(secrets.choice(ALPHABET) for _ in range(LETTERS // 2))):
        pass
    return half


def hash_of(code: str) -> str:
    """The same for a code with other case, spaces or dashes, with or without its prefix."""
    letters = "".join(letter for letter in code.upper() if letter.isalnum()).removeprefix(PREFIX)
    return hashlib.sha256(letters.encode()).hexdigest()


def take(cursor: Cursor, event: MessageReceived, arrival: Arrival, wish: Wish, code: str) -> Linked:
    """Stores the message and answers it, in one unit of work: no model reads it. `code`: a new one, should one be needed."""
    stored = accept(cursor, event, arrival)
    if stored.inbound is None or stored.conversation is None:
        return Linked(stored)
    found = stored.conversation
    cursor.execute(records.MARK_HANDLED, {"id": arrival.message, "now": arrival.now_ms})
    reply = MessageId(ids.derived_id("reply", arrival.message))
    text, told = _answer(cursor, event, arrival, wish, code, reply)
    say(cursor, found, text, reply, found.case, arrival.now_ms)
    return Linked(replace(stored, is_stale=True, has_released=True), told)


def _answer(
    cursor: Cursor, event: MessageReceived, arrival: Arrival, wish: Wish, code: str, reply: MessageId
) -> tuple[str, Conversation | None]:
    """What is said here, and where else something was said."""
    if wish.is_undo:
        user = people.user_of(cursor, arrival.identity)
        return (UNLINKED if people.unlink(cursor, user, arrival.identity, arrival.now_ms) else NOT_LINKED), None
    wait = tries.take(cursor, _limits(arrival, wish), arrival.now_ms)
    if wait:
        return TOO_OFTEN.format(wait=tries.wait_words(wait)), None
    if _is_read_by_others(cursor, arrival.conversation):
        return _elsewhere(cursor, wish, arrival.now_ms)
    if wish.code_hash:
        return _redeem(cursor, event, arrival, wish)
    people.add_code(cursor, hash_of(code), arrival.identity, reply, arrival.now_ms + LASTS_MS, arrival.now_ms)
    return CODE.format(code=code), None


def _limits(arrival: Arrival, wish: Wish) -> dict[str, tries.Limit]:
    kind, limit = ("user link", _TYPING) if wish.code_hash else ("user code", _ASKING)
    return {tries.subject(kind, arrival.identity): limit}


def _elsewhere(cursor: Cursor, wish: Wish, now_ms: int) -> tuple[str, Conversation | None]:
    """A code that others have read proves nothing any more: it is worth nothing from now on."""
    owner = people.owner_of_code(cursor, wish.code_hash, now_ms) if wish.code_hash else ""
    if not owner:
        return ELSEWHERE, None
    asked_in = _conversation_of(cursor, people.message_of_code(cursor, wish.code_hash))
    people.drop_codes(cursor, owner, now_ms)
    return ELSEWHERE, asked_in


def _redeem(cursor: Cursor, event: MessageReceived, arrival: Arrival, wish: Wish) -> tuple[str, Conversation | None]:
    owner = people.owner_of_code(cursor, wish.code_hash, arrival.now_ms)
    if not owner:
        return NO_CODE, None
    if owner == arrival.identity:
        return OWN_CODE, None
    asked_in = _conversation_of(cursor, people.message_of_code(cursor, wish.code_hash))
    people.drop_codes(cursor, owner, arrival.now_ms)
    tries.clear(cursor, tries.subject("user link", arrival.identity))
    if not people.link(cursor, owner, arrival.identity, arrival.identity, arrival.now_ms):
        return KNOWN, asked_in
    if asked_in is not None:
        told = MessageId(ids.derived_id("linked", arrival.message))
        say(cursor, asked_in, _linked_to(event.sender.channel), told, asked_in.case, arrival.now_ms)
    return _linked_to(people.known(cursor, owner).channel), asked_in


def _linked_to(channel: str) -> str:
    return LINKED.format(channel=_NAMES.get(channel, channel))


def _conversation_of(cursor: Cursor, message: str) -> Conversation | None:
    rows = cursor.fetch(people.CONVERSATION_OF_MESSAGE, {"id": message})
    found = cursor.fetch(records.CONVERSATION_BY_ID, {"id": rows[0][0]}) if rows else []
    conversation = records.conversation_of(found[0]) if found else None
    return None if conversation is None or conversation.kind == ROOM else conversation


def _is_read_by_others(cursor: Cursor, conversation: str) -> bool:
    kind, is_shared, people_there = cursor.fetch(READERS, {"conversation": conversation})[0]
    return bool(kind or is_shared or people_there > 1)
