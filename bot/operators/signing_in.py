"""Sign-in with a password and a second factor, and the sessions that come of it."""

import hashlib
import hmac
import secrets
from contextlib import suppress
from typing import Final

from bot.errors import Refused, StoreUnavailable
from bot.model import value
from bot.operators import totp, tries
from bot.operators.codes import INVITE, code_hash
from bot.operators.operator import Operator
from bot.operators.passwords import Passwords
from bot.operators.tries import Limit
from bot.ports import Clock, Cursor, Store
from bot.store import operators as stored
from bot.store import sessions
from bot.store.sessions import Credentials, Signed

PER_NAME: Final = Limit(free=5, first_ms=30_000, most_ms=15 * 60_000)
PER_ADDRESS: Final = Limit(free=20, first_ms=30_000, most_ms=15 * 60_000)
TOKEN_BYTES: Final = 32
SEEN_MS: Final = 60_000  # how exactly it is kept when a session was last used
KEY: Final = "operators"  # the installation's key (`Host.secret`)


@value
class Session:
    """A new session. `token` is told here and never again: the store keeps its SHA-256."""

    token: str
    csrf: str
    expires_ms: int

    def __repr__(self) -> str:
        return f"Session(expires_ms={self.expires_ms})"


class Signing:
    """`key`: 32 random bytes of this installation, kept outside the database; second factors depend on it. Every refusal is a Refused
    whose detail may be shown; too many at once raise Overloaded."""

    def __init__(self, store: Store, clock: Clock, key: bytes) -> None:
        self._store = store
        self._clock = clock
        self._key = key
        self._passwords = Passwords()

    # --- sessions ----------------------------------------------------------------------------------------------------

    async def sign_in(self, name: str, password: str, code: str, address: str) -> Session:
        """`address`: where the caller is; wrong tries are counted for it and for the name, whether there is such a name or not."""
        token, csrf = secrets.token_urlsafe(TOKEN_BYTES), secrets.token_urlsafe(TOKEN_BYTES)
        checked, step, now = await self._check(name, password, code, address)
        is_in = step is not None and await self._store.run(sessions.enter, checked, step, _hash(token), csrf, now)
        await self._judge(is_in, checked, name, address)
        return Session(token, csrf, now + sessions.MOST_MS)

    async def elevate(self, token: str, password: str, code: str, address: str) -> Signed:
        """The holder proves anew who they are; it counts for a while."""
        signed = await self.session(token)
        if signed is None:
            raise Refused("signed_out", "Your session is over. Sign in again.")
        name = signed.operator.name
        checked, step, now = await self._check(name, password, code, address)
        is_in = step is not None and await self._store.run(sessions.elevate, checked, step, _hash(token), now)
        await self._judge(is_in, checked, name, address)
        return await self.session(token) or signed

    async def session(self, token: str, *, is_use: bool = True) -> Signed | None:
        """Who holds it; None once it is idle for 30 minutes, 12 hours old, ended, or its operator is disabled. Without `is_use` it is
        only looked at and goes on being idle: for a page that stands open."""
        now, hash_ = self._clock.now_ms(), _hash(token)
        rows = await self._store.read(sessions.SESSION, {"hash": hash_, **sessions.open_at(now)})
        if not rows:
            return None
        signed = sessions.signed_of(rows[0], now)
        if is_use and now - signed.seen_ms >= SEEN_MS:
            with suppress(StoreUnavailable):  # a full disk must not sign those out who could clear it
                await self._store.run(sessions.see, hash_, now)
        return signed

    async def sign_out(self, token: str) -> None:
        """Safe to repeat."""
        await self._store.run(sessions.end, _hash(token), self._clock.now_ms())

    async def open_sessions(self, name: str) -> list[tuple[int, int, int]]:
        """(since, last seen, until) of each."""
        rows = await self._store.read(sessions.SESSIONS, {"name": name, **sessions.open_at(self._clock.now_ms())})
        return [(row[0], row[1], row[2]) for row in rows]

    async def end_sessions(self, name: str, *, by: str) -> int:
        found = await self._named(name)
        return await self._store.run(sessions.end_all, found.id, by, self._clock.now_ms())

    # --- passwords and second factors --------------------------------------------------------------------------------

    async def set_password(self, name: str, password: str, *, by: str) -> None:
        """Ends every session of theirs."""
        found = await self._named(name)
        hash_ = await self._passwords.hashed(password)
        await self._store.run(sessions.set_password, found.id, hash_, by, self._clock.now_ms())

    async def new_totp(self, name: str) -> tuple[str, str]:
        """The secret and its otpauth:// address. The second factor of before holds until `confirm_totp`."""
        found, seed = await self._named(name), totp.new_seed()
        await self._store.run(sessions.set_seed, found.id, seed)
        secret = totp.secret(self._key, found.id, seed)
        return secret, totp.uri(secret, name)

    async def confirm_totp(self, name: str, code: str, *, by: str) -> None:
        """Ends every session of theirs."""
        found, now = await self._credentials(name), self._clock.now_ms()
        step = totp.step_of(totp.secret(self._key, found.id, found.totp_new), code, now) if found.totp_new else None
        if step is None or not await self._store.run(sessions.confirm, found.id, found.totp_new, step, by, now):
            raise _wrong_code()

    async def has_totp(self, name: str) -> bool:
        return bool((await self._credentials(name)).totp)

    async def accept_invite(self, code: str, password: str) -> str:
        """Sets the password of the one who was invited. Returns the otpauth:// address of the second factor, of which a code has to be
        given to `confirm_invite`; until then the code can be used again."""
        hash_ = code_hash(code)
        rows = await self._store.read(stored.CODE, self._of_invite(hash_))
        hashed = await self._passwords.hashed(password) if rows else ""
        seed = totp.new_seed()
        found = (
            await self._store.run(sessions.begin_invited, hash_, hashed, seed, self._clock.now_ms()) if rows else None
        )
        if found is None:
            raise _no_invite()
        return totp.uri(totp.secret(self._key, found.id, seed), found.name)

    async def confirm_invite(self, code: str, totp_code: str) -> Operator:
        """The second factor is set, the code is used up, and the operator can sign in."""
        hash_, now = code_hash(code), self._clock.now_ms()
        rows = await self._store.read(sessions.INVITED, self._of_invite(hash_))
        found = sessions.credentials_of(rows)
        if not found.totp_new:
            raise _no_invite()
        step = totp.step_of(totp.secret(self._key, found.id, found.totp_new), totp_code, now)
        if step is None:
            raise _wrong_code()
        operator = await self._store.run(sessions.finish_invited, hash_, found.totp_new, step, now)
        if operator is None:
            raise _no_invite()
        return operator

    # --- one try -----------------------------------------------------------------------------------------------------

    async def _check(self, name: str, password: str, code: str, address: str) -> tuple[Credentials, int | None, int]:
        """Counts the try, then judges it: the credentials, and the time step of the code, None where anything is wrong."""
        wait = await self._store.run(tries.take, _limits(name, address), self._clock.now_ms())
        if wait:
            raise Refused("too_many_tries", f"Too many wrong tries. Try again in {tries.wait_words(wait)}.")
        found = await self._credentials(name)
        is_right = await self._passwords.is_right(password, found.password)
        now = self._clock.now_ms()
        step = totp.step_of(totp.secret(self._key, found.id, found.totp), code, now)
        return found, step if is_right and found.totp else None, now

    async def _judge(self, is_in: bool, checked: Credentials, name: str, address: str) -> None:
        now = self._clock.now_ms()
        if is_in:
            await self._store.run(_forgive, name, address, now)
            return
        await self._store.run(sessions.note_refused, checked.id, now)
        raise Refused("not_signed_in", "The name, the password or the code is wrong, or the code was used already.")

    async def _credentials(self, name: str) -> Credentials:
        return sessions.credentials_of(await self._store.read(sessions.CREDENTIALS, {"name": name}))

    async def _named(self, name: str) -> Operator:
        rows = await self._store.read(stored.BY_NAME, {"name": name})
        if not rows:
            raise Refused("no_operator", f"There is no operator {name}. See: frontdesk operator list")
        return stored.operator_of(rows[0])

    def _of_invite(self, hash_: str) -> dict[str, str | int]:
        return {"hash": hash_, "purpose": INVITE, "now": self._clock.now_ms()}


def is_csrf(signed: Signed, sent: str) -> bool:
    """Whether a request that changes something comes from a page of ours."""
    return hmac.compare_digest(signed.csrf.encode(), sent.encode("utf-8", "surrogatepass"))


def _forgive(cursor: Cursor, name: str, address: str, now_ms: int) -> None:
    of_name, of_address = _limits(name, address)
    tries.clear(cursor, of_name)
    tries.give_back(cursor, of_address, now_ms)


def _limits(name: str, address: str) -> dict[str, Limit]:
    return {tries.subject("name", name): PER_NAME, tries.subject("address", address): PER_ADDRESS}


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _wrong_code() -> Refused:
    return Refused(
        "wrong_code", "This code is not right. Look at the clock of your device, and write the code it shows now."
    )


def _no_invite() -> Refused:
    return Refused("no_code", "This invitation is not valid, or not any more. Ask for a new one.")
