"""The WhatsApp channel, through Twilio: signed webhooks in, the REST API out.

This module holds the settings and stays cheap to import; the adapter loads with `create`, Twilio's library with the adapter's `run`.
"""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Final
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, SecretStr, field_validator, model_validator

from adapters.admission import Allow
from bot.ports import Finding, Host

if TYPE_CHECKING:
    from adapters.whatsapp.adapter import WhatsAppAdapter

PREFIX: Final = "whatsapp:"
_NUMBER: Final = re.compile(r"\+\d{6,15}")  # E.164
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_TAKEN: Final = ("status", "media")  # what stands in the same place of a webhook's path
_VERSION: Final = "/2010-04-01"  # of Twilio's API: Twilio's library adds it
_COUNTS: Final = ("1", "2", "3")  # buttons of a quick reply that needs no approval


class Account(BaseModel, extra="forbid"):
    """The settings of one number."""

    enabled: bool = False
    quiet_ms: Annotated[int, Field(ge=0, le=60_000)] = 1_000
    account_sid: str = ""
    auth_token: SecretStr | None = None
    sender: Annotated[str, Field(alias="from")] = ""
    public_url: str = ""
    api_url: str = "https://api.twilio.com"
    messaging_url: str = ""
    media_url: str = "https://mms.twiliocdn.com"
    window_template: str = ""
    buttons_template: dict[str, str] = {}
    buttons_prompt: Annotated[str, Field(min_length=1, max_length=255)] = "Please choose:"
    allow: Allow = Allow()

    @field_validator("sender")
    @classmethod
    def _name_a_number(cls, sender: str) -> str:
        number = _plain(sender)
        if number and not _NUMBER.fullmatch(number):
            raise ValueError('it must be a number with its country code, such as "whatsapp:+14155238886"')
        return PREFIX + number if number else ""

    @field_validator("public_url", "api_url", "messaging_url", "media_url")
    @classmethod
    def _name_whole_urls(cls, url: str) -> str:
        parts = urlsplit(url)
        if url and (parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment):
            raise ValueError('it must be a whole URL without "?" and "#", such as "https://help.example.com"')
        return url.rstrip("/").removesuffix(_VERSION)

    @field_validator("buttons_template")
    @classmethod
    def _count_buttons(cls, templates: dict[str, str]) -> dict[str, str]:
        if any(count not in _COUNTS for count in templates):
            raise ValueError(f"its keys are numbers of buttons: {', '.join(_COUNTS)}")
        return templates

    @field_validator("allow")
    @classmethod
    def _drop_prefixes(cls, allow: Allow) -> Allow:
        return allow.model_copy(update={"people": [_plain(person) for person in allow.people]})

    @property
    def token(self) -> str:
        return self.auth_token.get_secret_value() if self.auth_token else ""

    @property
    def is_wanted(self) -> bool:
        """Whether a further number is to run: unless it is switched off."""
        return self.enabled or "enabled" not in self.model_fields_set

    @property
    def is_named(self) -> bool:
        """Whether it says anything of a number, so that it is meant to be one."""
        return bool(self.account_sid or self.auth_token or self.sender)

    def missing(self) -> list[str]:
        """The keys that a number needs and that are empty."""
        needed = {
            "account_sid": self.account_sid,
            "auth_token": self.token,
            "from": self.sender,
            "public_url": self.public_url,
        }
        return [key for key, given in needed.items() if not given]


class Settings(Account):
    """`[channels.whatsapp]`, and further numbers as `[channels.whatsapp.accounts.NAME]`."""

    accounts: dict[str, Account] = {}

    @field_validator("accounts")
    @classmethod
    def _name_accounts(cls, named: dict[str, Account]) -> dict[str, Account]:
        for name in named:
            if not _NAME.fullmatch(name) or name in _TAKEN:
                raise ValueError(f"{name!r} cannot stand in a URL here: take small letters, digits and dashes")
        return named

    @model_validator(mode="after")
    def _be_whole(self) -> "Settings":
        """An account without a token or a public URL could not tell Twilio from a stranger: it does not start."""
        if not self.enabled:
            return self
        for name, account in accounts(self).items():
            if missing := account.missing():
                where = f"accounts.{name}: " if name else ""
                raise ValueError(f"{where}it needs {', '.join(missing)}")
        return self


def accounts(settings: Settings) -> Mapping[str, Account]:
    """The numbers that are to run. `enabled` of a further one may be left out."""
    own = {"": settings} if settings.is_named or not settings.accounts else {}
    return own | {name: account for name, account in settings.accounts.items() if account.is_wanted}


def path(account: str) -> str:
    """Where Twilio calls, below the public URL."""
    return f"/webhooks/whatsapp/{account}" if account else "/webhooks/whatsapp"


def create(settings: Account, host: Host, account: str = "") -> "WhatsAppAdapter":
    """One number. Opens nothing yet."""
    from adapters.whatsapp.adapter import WhatsAppAdapter

    return WhatsAppAdapter(settings, host, account)


def guide(settings: Account, public_url: str) -> str:
    """What to do in Twilio's console."""
    from adapters.whatsapp.setup import steps

    return steps(settings, public_url)


async def check(settings: Account, host: Host) -> Sequence[Finding]:
    """Asks Twilio whether the account, the number and its webhook are as they must be."""
    from adapters.whatsapp.setup import findings

    return await findings(settings, host)


def _plain(number: str) -> str:
    return re.sub(r"[\s().-]", "", number).removeprefix(PREFIX)
