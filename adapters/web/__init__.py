"""The web channel: the chat socket, uploads, the widget's files and the demo page.

What travels is described in `docs/protocol.md`. This module holds the settings and stays cheap to import; the server's
parts load with `create`.
"""

import re
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, Field, SecretStr, field_validator

from bot.ports import Host

if TYPE_CHECKING:
    from adapters.web.adapter import WebAdapter

_ORIGIN = re.compile(r"https?://(?:[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])(?::\d{1,5})?", re.IGNORECASE)
_SECRET_BYTES = 32  # RFC 7518, 3.2: a key for HS256 is at least as long as its hash


class Settings(BaseModel, extra="forbid"):
    """`[channels.web]`."""

    enabled: bool = True
    quiet_ms: Annotated[int, Field(ge=0, le=60_000)] = 300
    origins: list[str] = []
    identity_secret: SecretStr | None = None
    name: Annotated[str, Field(min_length=1, max_length=60)] = "Frontdesk"
    color: Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$")] = "#2563eb"
    greeting: Annotated[str, Field(max_length=500)] = "Hi! Ask me anything, or ask for a person."
    suggestions: Annotated[list[Annotated[str, Field(min_length=1, max_length=120)]], Field(max_length=6)] = [
        "How do I put the widget on my website?",
        "How does a person take over a conversation?",
        "Which channels can I connect?",
    ]

    @field_validator("origins")
    @classmethod
    def _name_whole_origins(cls, origins: list[str]) -> list[str]:
        for origin in origins:
            if not _ORIGIN.fullmatch(origin):
                raise ValueError(
                    f"{origin!r} is not an origin. Write scheme and host as the browser's address bar shows them, "
                    'such as "https://www.example.com"; there is no wildcard'
                )
        return origins

    @field_validator("identity_secret")
    @classmethod
    def _refuse_short_secrets(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None and len(secret.get_secret_value().encode()) < _SECRET_BYTES:
            raise ValueError(f"it must be at least {_SECRET_BYTES} bytes long, such as from `openssl rand -base64 48`")
        return secret


def create(settings: Settings, host: Host, account: str = "") -> "WebAdapter":
    """The web channel, which has one account. Reads the static files once; opens nothing."""
    from adapters.web.adapter import WebAdapter

    return WebAdapter(settings, host)
