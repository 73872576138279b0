"""Ids made in Python: UUIDv7 for what happens now, UUIDv5 for what a rerun must derive again."""

import os
import threading
from uuid import UUID, uuid5

_NAMESPACE = UUID("8f0c1c7e-52a5-5b0e-9d3c-6c1f6f9d2a10")
_MASK_62 = (1 << 62) - 1


class _Sequence:
    """74 random bits of a UUIDv7, of which the upper 12 count up within one millisecond, so that ids sort as made."""

    __slots__ = ("count", "last_ms", "lock")

    def __init__(self) -> None:
        self.last_ms = 0
        self.count = 0
        self.lock = threading.Lock()

    def next(self, now_ms: int) -> tuple[int, int]:
        with self.lock:
            if now_ms > self.last_ms:
                self.last_ms, self.count = now_ms, 0
            else:
                self.count += 1
                if self.count > 0xFFF:
                    self.last_ms, self.count = self.last_ms + 1, 0
            return self.last_ms, self.count


_sequence = _Sequence()


def new_id(now_ms: int) -> str:
    """A UUIDv7 (RFC 9562) for `now_ms`: unique, and sorted by time within this process even when the clock steps back."""
    ms, count = _sequence.next(now_ms)
    random = int.from_bytes(os.urandom(8), "big") & _MASK_62
    text = f"{(ms << 80) | (0x7 << 76) | (count << 64) | (0b10 << 62) | random:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def derived_id(*parts: str) -> str:
    """The same id for the same parts, always."""
    return str(uuid5(_NAMESPACE, "\x1f".join(parts)))


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
