"""The Discord channel: direct messages, questions in servers with a thread each, and slash commands.

This module holds the settings and stays cheap to import; Discord's SDK loads when the channel runs.
"""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Final, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, SecretStr, field_validator, model_validator

from adapters.admission import Allow
from bot.ports import Finding, Host

if TYPE_CHECKING:
    from adapters.discord.adapter import DiscordAdapter

_API: Final = "https://discord.com/api/v10"
_CDN: Final = "https://cdn.discordapp.com"
_ADDRESSES: Final = ("api_url", "gateway_url", "cdn_url")
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_ID: Final = re.compile(r"[0-9]{1,20}")
_COPY: Final = "Copy it from the page Bot of your application in https://discord.com/developers/applications"


class Account(BaseModel, extra="forbid"):
    """One bot. `gateway_url` "": the one that the API names. `threads`: a question asked in a channel is answered in a thread of its own.
    `feedback`: two small buttons under each answer of the agent ask how it was. `operators_channel`: the id of the channel where operators
    see and take over conversations; "" for none."""

    enabled: bool = False
    quiet_ms: Annotated[int, Field(ge=0, le=60_000)] = 1_000
    token: SecretStr | None = None
    api_url: str = _API
    gateway_url: str = ""
    cdn_url: str = _CDN
    threads: bool = True
    feedback: bool = True
    operators_channel: str = ""
    allow: Allow = Allow()

    @field_validator("api_url", "cdn_url")
    @classmethod
    def _name_http_urls(cls, url: str) -> str:
        return _checked(url, ("http", "https"))

    @field_validator("gateway_url")
    @classmethod
    def _name_socket_urls(cls, url: str) -> str:
        return (
            _checked(url.partition("?")[0], ("ws", "wss")) if url else ""
        )  # the SDK says itself what stands behind it

    @field_validator("token")
    @classmethod
    def _refuse_odd_tokens(cls, token: SecretStr | None) -> SecretStr | None:
        text = token.get_secret_value().strip().removeprefix("Bot ").strip() if token else ""
        if not text.isascii() or any(sign.isspace() for sign in text):
            raise ValueError(f"it is no bot token. {_COPY}")
        return SecretStr(text) if text else None

    @field_validator("operators_channel")
    @classmethod
    def _name_a_channel(cls, channel: str) -> str:
        if channel and not _ID.fullmatch(channel):
            raise ValueError(
                f"{channel!r} is no channel's id. Right-click the channel in Discord and choose Copy Channel ID"
            )
        return channel

    @model_validator(mode="after")
    def _keep_operators_apart(self) -> Self:
        if self.operators_channel and self.operators_channel in self.allow.rooms:
            raise ValueError("operators_channel is for operators alone: take it out of allow.rooms")
        return self

    @property
    def is_wanted(self) -> bool:
        """Whether a further bot is to run: unless it is switched off."""
        return self.enabled or "enabled" not in self.model_fields_set


class Settings(Account):
    """`[channels.discord]`; further bots stand in `[channels.discord.accounts.NAME]`. What they do not say of Discord's addresses, they
    take from here."""

    accounts: dict[str, Account] = {}

    @model_validator(mode="after")
    def _be_whole(self) -> "Settings":
        for name in self.accounts:
            if not _NAME.fullmatch(name):
                raise ValueError(f'an account\'s name is written in small letters, digits, "-" and "_", not {name!r}')
        tokens = [account.token.get_secret_value() for account in accounts(self).values() if account.token]
        if len(tokens) < len(accounts(self)):
            unnamed = next(name for name, account in accounts(self).items() if account.token is None)
            raise ValueError(f"{f'accounts.{unnamed}' if unnamed else 'it'} is enabled and has no token. {_COPY}")
        if len(set(tokens)) < len(tokens):
            raise ValueError("two accounts have the same token: each event would be handled by both")
        rooms = [account.operators_channel for account in accounts(self).values() if account.operators_channel]
        if len(set(rooms)) < len(rooms):
            raise ValueError("two accounts have the same operators_channel: each word there would be handled by both")
        return self


def accounts(settings: Settings) -> Mapping[str, Account]:
    """The bots that are to run, by name; "" is the one of `[channels.discord]` itself. `enabled` of a further one may be left out."""
    if not settings.enabled:
        return {}
    own: dict[str, Account] = {} if settings.token is None and settings.accounts else {"": _own(settings)}
    shared = {key: getattr(settings, key) for key in _ADDRESSES}
    for name, account in settings.accounts.items():
        if account.is_wanted:
            own[name] = account.model_copy(
                update={key: url for key, url in shared.items() if key not in account.model_fields_set}
            )
    return own


def _own(settings: Settings) -> Account:
    return Account(**{key: getattr(settings, key) for key in Account.model_fields})


def create(settings: Account, host: Host, account: str = "") -> "DiscordAdapter":
    """One bot. Opens nothing, and loads no SDK yet."""
    from adapters.discord.adapter import DiscordAdapter

    return DiscordAdapter(settings, host, account)


def guide(settings: Settings, public_url: str) -> str:
    """What to click and paste in Discord's developer portal."""
    from adapters.discord.setup import guide as text

    return text(settings)


async def check(settings: Settings, host: Host) -> Sequence[Finding]:
    """Asks Discord, for each bot, whether its token is good, the intents are on, and it has been invited. Raises nothing: what cannot be
    asked is a finding."""
    from adapters.discord.setup import check as findings

    return [finding for name, account in accounts(settings).items() for finding in await findings(account, name, host)]


def _checked(url: str, schemes: Sequence[str]) -> str:
    parts = urlsplit(url)
    if parts.scheme not in schemes or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(f'{url!r} is not an address. Write it as "{schemes[-1]}://host/path"')
    return url.rstrip("/")
