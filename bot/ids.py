"""Ids made in Python: UUIDv7 for what happens now, a hash for what a rerun must derive again."""

import os
import threading
from functools import lru_cache
from hashlib import blake2b

from bot.model import Address, ConversationId, IdentityId, MessageId

_POOL_BYTES = 4096
_MASK_62 = (1 << 62) - 1


class _Sequence:
    """The bits of a UUIDv7 after its version: 12 that count up within one millisecond, so that ids sort as made, and 62 random
    ones, asked of the system a page at a time."""

    def __init__(self) -> None:
        self._last_ms = 0
        self._count = 0
        self._pool = b""
        self._at = 0
        self._lock = threading.Lock()

    def next(self, now_ms: int) -> tuple[int, int, int]:
        with self._lock:
            if now_ms > self._last_ms:
                self._last_ms, self._count = now_ms, 0
            else:
                self._count += 1
                if self._count > 0xFFF:
                    self._last_ms, self._count = self._last_ms + 1, 0
            if self._at >= len(self._pool):
                self._pool, self._at = os.urandom(_POOL_BYTES), 0
            self._at += 8
            return self._last_ms, self._count, int.from_bytes(self._pool[self._at - 8 : self._at], "big") & _MASK_62

    def forget_pool(self) -> None:
        """A forked child must not repeat its parent's ids."""
        self._pool, self._at = b"", 0


_sequence = _Sequence()
os.register_at_fork(after_in_child=_sequence.forget_pool)


def new_id(now_ms: int) -> str:
    """A UUIDv7 (RFC 9562) for `now_ms`: unique, and sorted by time within this process even when the clock steps back."""
    ms, count, random = _sequence.next(now_ms)
    text = f"{(ms << 80) | (0x7 << 76) | (count << 64) | (0b10 << 62) | random:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def derived_id(kind: str, *parts: str) -> str:
    """The same id for the same parts, always; no two different ones share an id (BLAKE2b, 128 bits)."""
    text = "\x1f".join(parts).encode("utf-8", "surrogatepass")
    return blake2b(text, digest_size=16, person=kind.encode()).hexdigest()


def message_id(conversation: ConversationId, external_id: str) -> MessageId:
    """One event of a platform, one message, always the same id: this is what dedupes."""
    return MessageId(derived_id("message", conversation, external_id))


@lru_cache(maxsize=32_768)
def conversation_id(at: Address) -> ConversationId:
    """One address, one conversation, always the same id."""
    return ConversationId(derived_id("conversation", at.channel, at.account, at.chat, at.thread))


@lru_cache(maxsize=32_768)
def identity_id(channel: str, account: str, external_id: str) -> IdentityId:
    return IdentityId(derived_id("identity", channel, account, external_id))


def time_of_id(text: str) -> int:
    """The milliseconds inside a ULID or UUIDv7, or 0 when `text` is neither."""
    if len(text) == 26:
        return _ulid_ms(text)
    digits = text.replace("-", "")
    if len(digits) == 32 and digits[12:13] == "7":
        try:
            return int(digits[:12], 16)
        except ValueError:
            return 0
    return 0


def _ulid_ms(text: str) -> int:
    alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    value = 0
    for letter in text[:10].upper():
        place = alphabet.find(letter)
        if place < 0:
            return 0
        value = value * 32 + place
    return value
