"""The Slack channel: events by Socket Mode or signed webhooks in, the Web API out.

This module holds the settings and stays cheap to import; the adapter loads with `create`, Slack's libraries with the adapter's `run`.
"""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, SecretStr, field_validator, model_validator

from adapters.admission import Allow
from bot.ports import Finding, Host

if TYPE_CHECKING:
    from adapters.slack.adapter import SlackAdapter

NAME: Final = "slack"
COMMAND: Final = "/frontdesk"
BOT_PREFIX: Final = "xoxb-"  # https://docs.slack.dev/authentication/tokens: how a bot token begins
APP_PREFIX: Final = "xapp-"  # and an app-level token
_CHANNEL: Final = re.compile(r"[CG][A-Z0-9]{2,20}")  # Slack's ids of channels; G: older private ones
_ACCOUNT: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")


class Account(BaseModel, extra="forbid"):
    """The settings of one workspace. `feedback`: thumbs under the agent's answers. `greeting` and `prompts` open a chat in the Assistant
    view. `operators_channel`: the id of the channel in which operators work; "" where they work elsewhere."""

    enabled: bool = False
    quiet_ms: Annotated[int, Field(ge=0, le=60_000)] = 1_000
    mode: Literal["socket", "http"] = "socket"
    bot_token: SecretStr | None = None
    app_token: SecretStr | None = None
    signing_secret: SecretStr | None = None
    api_url: str = "https://slack.com/api/"
    greeting: Annotated[str, Field(max_length=500)] = "Hi! Ask me anything, or ask for a person."
    prompts: Annotated[list[Annotated[str, Field(min_length=1, max_length=200)]], Field(max_length=4)] = []
    feedback: bool = True
    operators_channel: str = ""
    allow: Allow = Allow()

    @field_validator("api_url")
    @classmethod
    def _name_a_whole_url(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError('it must be a whole URL without "?" and "#", such as "https://slack.com/api/"')
        return url.rstrip("/") + "/"

    @field_validator("bot_token")
    @classmethod
    def _refuse_an_app_token(cls, token: SecretStr | None) -> SecretStr | None:
        if secret_of(token).startswith(APP_PREFIX):
            raise ValueError('this is an app-level token; the bot token begins with "xoxb-" (OAuth & Permissions)')
        return token

    @field_validator("app_token")
    @classmethod
    def _refuse_a_bot_token(cls, token: SecretStr | None) -> SecretStr | None:
        if secret_of(token).startswith(BOT_PREFIX):
            raise ValueError('this is a bot token; the app-level token begins with "xapp-" (Basic Information)')
        return token

    @field_validator("operators_channel")
    @classmethod
    def _name_a_channel(cls, channel: str) -> str:
        if channel and not _CHANNEL.fullmatch(channel):
            raise ValueError("it must be a channel's id, such as \"C0123ABCD\" (at the end of the channel's details)")
        return channel

    @property
    def is_named(self) -> bool:
        """Whether it says anything of a workspace, so that it is meant to be one."""
        return any(secret is not None for secret in (self.bot_token, self.app_token, self.signing_secret))

    def missing(self) -> list[str]:
        """The keys without which it cannot run."""
        second = "app_token" if self.mode == "socket" else "signing_secret"
        return [key for key in ("bot_token", second) if not secret_of(getattr(self, key)).strip()]

    @model_validator(mode="after")
    def _demand_what_is_needed(self) -> "Account":
        missing = self.missing()
        if self.enabled and self.is_named and missing:
            raise ValueError(f'{" and ".join(missing)} must be set for mode = "{self.mode}"')
        if self.operators_channel and self.operators_channel in self.allow.rooms:
            raise ValueError("operators_channel is for operators alone: take it out of allow.rooms")
        return self


class Settings(Account):
    """`[channels.slack]`; `accounts` are further workspaces, each with an app of its own. What an account does not say of `api_url`, it
    takes from here."""

    accounts: dict[str, Account] = {}

    @model_validator(mode="after")
    def _know_every_account(self) -> "Settings":
        for name in self.accounts:
            if not _ACCOUNT.fullmatch(name):
                raise ValueError(f'an account\'s name is written in small letters, digits, "-" and "_", not {name!r}')
        if self.enabled and not self.is_named and not self.accounts:
            raise ValueError(f"{' and '.join(self.missing())} must be set")
        for name, account in self.accounts.items():
            if account.enabled and not account.is_named:
                raise ValueError(f"{' and '.join(account.missing())} must be set for the account {name!r}")
        shared = _shared([secret_of(each.app_token) for each in accounts(self).values()])
        if shared:
            raise ValueError("two accounts have the same app_token: each event would reach only one of them")
        if _shared([each.operators_channel for each in accounts(self).values()]):
            raise ValueError("two accounts have the same operators_channel: each word there would be handled by both")
        return self


def secret_of(secret: SecretStr | None) -> str:
    return secret.get_secret_value() if secret else ""


def _shared(secrets: Sequence[str]) -> bool:
    given = [secret for secret in secrets if secret]
    return len(set(given)) < len(given)


def accounts(settings: Settings) -> Mapping[str, Account]:
    """The accounts that are to run, by name; "" is the one of `[channels.slack]` itself."""
    if not settings.enabled:
        return {}
    own = {"": Account(**{key: getattr(settings, key) for key in Account.model_fields})} if settings.is_named else {}
    further = {
        name: account
        if "api_url" in account.model_fields_set
        else account.model_copy(update={"api_url": settings.api_url})
        for name, account in settings.accounts.items()
        if account.enabled
    }
    return own | further


def create(settings: Account, host: Host, account: str = "") -> "SlackAdapter":
    """One workspace's adapter. Opens nothing."""
    from adapters.slack.adapter import SlackAdapter

    return SlackAdapter(settings, host, account)


def guide(settings: Settings, public_url: str) -> str:
    """How to make the app at Slack: its manifest and the steps."""
    from adapters.slack.manifest import guide as told

    return told(settings, public_url)


async def check(settings: Settings, host: Host) -> Sequence[Finding]:
    """Asks Slack whether each account's tokens and scopes are as they must be."""
    from adapters.slack.manifest import check as asked

    return await asked(settings, host)
