"""Passwords: argon2id, away from the loop, a few at a time."""

import asyncio
import secrets
import unicodedata
from typing import TYPE_CHECKING, Final

from bot.errors import Overloaded, Refused

if TYPE_CHECKING:
    from argon2 import PasswordHasher

LEAST: Final = 12  # characters; NIST SP 800-63B wants 8 beside a second factor
MOST: Final = 256
AT_ONCE: Final = 2  # each takes 64 MiB and a core for some tens of milliseconds
WAITING_MOST: Final = 32


class Passwords:
    """The package's own default parameters: RFC 9106, low-memory."""

    def __init__(self) -> None:
        self._room = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0
        self._decoy = ""

    async def hashed(self, password: str) -> str:
        """Raises Refused("bad_password"), or Overloaded."""
        if not LEAST <= len(password) <= MOST:
            raise Refused(
                "bad_password", f"A password has {LEAST} to {MOST} characters. A sentence of your own is good."
            )
        return await self._run(password, None)

    async def is_right(self, password: str, hash_: str) -> bool:
        """False for "", in the same time as for any hash. Raises Overloaded."""
        if not self._decoy:
            self._decoy = await self._run(secrets.token_hex(), None)
        if len(password) > MOST:
            password = ""
        return bool(await self._run(password, hash_ or self._decoy)) and bool(hash_)

    async def _run(self, password: str, hash_: str | None) -> str:
        if self._waiting >= WAITING_MOST:
            raise Overloaded("too many sign in at once")
        self._waiting += 1
        try:
            async with self._room:
                return await asyncio.to_thread(_argon2, unicodedata.normalize("NFKC", password), hash_)
        finally:
            self._waiting -= 1


def _argon2(password: str, hash_: str | None) -> str:
    """The hash of the password; with one given: that one where it is the password's, otherwise ""."""
    from argon2.exceptions import VerifyMismatchError

    hasher, data = _hasher(), password.encode("utf-8", "surrogatepass")
    if hash_ is None:
        return hasher.hash(data)
    try:
        hasher.verify(hash_, data)
    except VerifyMismatchError:
        return ""
    return hash_


def _hasher() -> "PasswordHasher":
    from argon2 import PasswordHasher

    return PasswordHasher()
