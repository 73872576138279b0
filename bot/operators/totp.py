"""The second factor: time-based codes (RFC 6238, 6 digits, 30 seconds).

The database keeps no secret but a random seed; the secret is derived from it with a key of this installation, so that a copy of the
database alone makes no codes."""

import base64
import hashlib
import hmac
import secrets
from typing import Final

STEP_MS: Final = 30_000
WINDOW: Final = 1  # steps before and after, for clocks that differ
ISSUER: Final = "Frontdesk"
SECRET_BYTES: Final = 20  # RFC 4226, section 4


def new_seed() -> str:
    return secrets.token_hex(16)


def secret(key: bytes, operator: str, seed: str) -> str:
    """In base32, as people type it."""
    digest = hmac.digest(key, f"totp\x1f{operator}\x1f{seed}".encode(), hashlib.sha256)
    return base64.b32encode(digest[:SECRET_BYTES]).decode()


def uri(secret: str, name: str) -> str:
    """`otpauth://`, for a QR code."""
    import pyotp

    return pyotp.TOTP(secret).provisioning_uri(name=name, issuer_name=ISSUER)


def step_of(secret: str, code: str, now_ms: int) -> int | None:
    """The time step that the code is of, None where it is of none near `now_ms`."""
    import pyotp

    totp, step = pyotp.TOTP(secret), now_ms // STEP_MS
    typed = code.replace(" ", "").encode("utf-8", "surrogatepass")
    found = None
    for each in range(step - WINDOW, step + WINDOW + 1):
        if hmac.compare_digest(totp.generate_otp(each).encode(), typed):
            found = each
    return found
