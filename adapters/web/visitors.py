"""Who is at the other end: tokens that this installation signs, and identities that a host page signs.

A token is `KIND.SUBJECT.ISSUED_MS.MAC`. Kind `v1` names an anonymous visitor by a random id and is good for a year. Kind
`i1` stands for a signed identity for an hour, so that uploads work without the identity itself; it is handed back as it is
on a reconnect and never renewed, so that only the host page keeps a person signed in.
"""

import base64
import hmac
import secrets
from typing import Any

from bot.errors import Refused
from bot.model import Identity, value
from bot.ports import Clock

CHANNEL = "web"
AUDIENCE = "frontdesk"

_ANONYMOUS = "v1"
_SIGNED = "i1"
_DAY_MS = 24 * 3600 * 1000
_ANONYMOUS_MS = 365 * _DAY_MS
_SIGNED_MS = 3600 * 1000
_RENEWAL_MS = 30 * _DAY_MS
_IDENTITY_AHEAD_S = 3600
_SUBJECT_CHARS = 200
_NAME_CHARS = 100


@value
class Admission:
    """A person who was let in, with the token to come back with. `is_new`: nobody has ever written under this identity."""

    identity: Identity
    token: str
    is_new: bool = False


class Credentials:
    """Makes and checks tokens and identities. `identity_secret` is empty where no host page signs people in."""

    def __init__(self, key: bytes, clock: Clock, identity_secret: str = "") -> None:
        self._key = key
        self._clock = clock
        self.identity_secret = identity_secret

    def admit(self, token: str = "", identity: str = "") -> Admission:
        """Raises Refused("bad_identity" | "bad_token"). An identity wins over a token; without either, a new visitor."""
        if identity:
            return self._admit_signed(identity)
        if token:
            return self._admit_again(token)
        visitor = secrets.token_urlsafe(16)
        return Admission(_anonymous(visitor), self._token(_ANONYMOUS, visitor), is_new=True)

    def read(self, token: str) -> Identity:
        """The identity that a token stands for. Raises Refused("bad_token")."""
        return self._read(token)[0]

    def _admit_again(self, token: str) -> Admission:
        identity, issued_ms = self._read(token)
        is_old = self._clock.now_ms() - issued_ms > _RENEWAL_MS
        if is_old and not identity.verified:
            token = self._token(_ANONYMOUS, identity.external_id.removeprefix("v:"))
        return Admission(identity, token)

    def _admit_signed(self, identity: str) -> Admission:
        claims = self._claims(identity)
        subject = claims["sub"]
        if not 0 < len(subject) <= _SUBJECT_CHARS or not subject.isprintable():
            raise _bad_identity()
        name = claims.get("name", "")
        shown = "".join(filter(str.isprintable, name))[:_NAME_CHARS] if isinstance(name, str) else ""
        subject_text = base64.urlsafe_b64encode(subject.encode()).decode().rstrip("=")
        return Admission(_signed(subject, shown), self._token(_SIGNED, subject_text))

    def _claims(self, identity: str) -> dict[str, Any]:  # JWT claims are untyped JSON
        if not self.identity_secret:
            raise _bad_identity()
        import jwt  # `jwt` loads a large library of algorithms: only where a host page signs people in

        options: Any = {"require": ["exp", "sub", "aud"], "verify_exp": False, "verify_nbf": False, "verify_iat": False}
        try:
            claims = jwt.decode(identity, self.identity_secret, ["HS256"], options, audience=AUDIENCE)
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise _bad_identity() from None
        now_s = self._clock.now_ms() / 1000
        expires_s, begins_s = claims["exp"], claims.get("nbf", 0)
        if type(expires_s) not in (int, float) or type(begins_s) not in (int, float):
            raise _bad_identity()
        if not (begins_s <= now_s + 60 and now_s < expires_s <= now_s + _IDENTITY_AHEAD_S + 60):
            raise _bad_identity()
        return claims

    def _token(self, kind: str, subject: str) -> str:
        body = f"{kind}.{subject}.{self._clock.now_ms()}"
        return f"{body}.{self._mac(body)}"

    def _mac(self, body: str) -> str:
        digest = hmac.digest(self._key, body.encode(), "sha256")
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")

    def _read(self, token: str) -> tuple[Identity, int]:
        body, _, mac = token.rpartition(".")
        if not token.isascii() or not hmac.compare_digest(mac, self._mac(body)):
            raise _bad_token()
        kind, subject, issued = body.split(".")  # ours, as the MAC shows
        age_ms = self._clock.now_ms() - int(issued)
        if kind == _ANONYMOUS and age_ms <= _ANONYMOUS_MS:
            return _anonymous(subject), int(issued)
        if kind == _SIGNED and age_ms <= _SIGNED_MS:
            padded = subject + "=" * (-len(subject) % 4)
            return _signed(base64.urlsafe_b64decode(padded).decode(), ""), int(issued)
        raise _bad_token()


def _anonymous(visitor: str) -> Identity:
    return Identity(CHANNEL, "", "v:" + visitor)


def _signed(subject: str, name: str) -> Identity:
    return Identity(CHANNEL, "", "id:" + subject, name, verified=True)


def expected(chat: str) -> Identity:
    """The identity that will come back to this chat."""
    return Identity(CHANNEL, "", chat, verified=chat.startswith("id:"))


def _bad_token() -> Refused:
    return Refused("bad_token", "This chat was opened elsewhere or long ago. A new one begins.")


def _bad_identity() -> Refused:
    return Refused("bad_identity", "You could not be signed in to this chat. Please reload the page.")
