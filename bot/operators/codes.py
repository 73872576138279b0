"""One-time codes that people read and type."""

import hashlib
import secrets
from typing import Final

ALPHABET: Final = "23456789ABCDEFGHJKMNPQRSTVWXYZ"  # nothing that looks like something else
LINK: Final = "link"
INVITE: Final = "invite"
LETTERS: Final = {LINK: 8, INVITE: 16}  # 39 bits behind a limit of tries; 78 bits
LASTS_MS: Final = {LINK: 10 * 60_000, INVITE: 24 * 60 * 60_000}


def new_code(purpose: str) -> str:
    """In groups of four: ABCD-EFGH."""
    letters = "".join(secrets.choice(ALPHABET) for _ in range(LETTERS[purpose]))
    return "-".join(letters[at : at + 4] for at in range(0, len(letters), 4))


def code_hash(code: str) -> str:
    """The same for a code with other case, spaces or dashes."""
    letters = "".join(letter for letter in code.upper() if letter.isascii() and letter.isalnum())
    return hashlib.sha256(letters.encode()).hexdigest()
