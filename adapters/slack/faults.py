"""What a failed call of Slack's Web API means for us. Knows nothing of the libraries."""

from typing import Final

from bot.errors import ChannelFault, SendError, SendRefused, SendUncertain

# The errors below are those that https://docs.slack.dev/reference/methods/ lists for the methods used here.
WRONG_KIND: Final = "not_allowed_token_type"
_TOKEN: Final = {
    "invalid_auth": "Slack refuses the token",
    "not_authed": "Slack got no token",
    "account_inactive": "the app was uninstalled, or its workspace deleted",
    "token_revoked": "the token was revoked",
    "token_expired": "the token has expired",
    WRONG_KIND: "the token is of the wrong kind",
    "app_uninstalled": "the app was uninstalled",
    "team_disabled": "the workspace was switched off",
    "user_removed_from_team": "the bot was removed from the workspace",
}
_DOING_NOTHING: Final = {"service_unavailable", "request_timeout", "ratelimited", "rate_limited", "team_added_to_org"}
_MAYBE_DONE: Final = {"internal_error", "fatal_error"}  # "it's possible some aspect of the operation succeeded"
_AUTH_WAIT_S: Final = 60.0  # a message waits so long for a token to be mended before it is tried again

NOT_SERVED: Final = "unknown_method"  # there is no such method: Slack's own word for it
_NOT_SERVED: Final = (404, 405, 501)  # HTTP's

GONE: Final = {"message_not_found", "thread_not_found"}
MISSHAPEN: Final = {"invalid_blocks", "invalid_blocks_format", "invalid_metadata_format", "invalid_arguments"}
UNEDITABLE: Final = {"cant_update_message", "edit_window_closed", "is_inactive", "cant_delete_message"}


class CallFailed(Exception):
    """A call was not carried out as it should have been. `code` is Slack's error, "" where it gave none. `is_certain`: nothing was
    done. `retry_after_s`: Slack's own wish. `needed`: the scope that is missing."""

    def __init__(
        self, code: str, detail: str, *, is_certain: bool, retry_after_s: float | None = None, needed: str = ""
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.is_certain = is_certain
        self.retry_after_s = retry_after_s
        self.needed = needed

    @property
    def is_token(self) -> bool:
        """Whether the token itself is refused, so that nothing else would be taken either."""
        return self.code in _TOKEN

    @property
    def is_absent(self) -> bool:
        """Whether the method is not there at all, so that what it is for has to be done without."""
        return self.code == NOT_SERVED

    @property
    def is_settled(self) -> bool:
        """Whether the same call would be refused again, until a person changes something."""
        return self.is_certain and bool(self.code) and self.code not in _DOING_NOTHING


def answered(code: str, status: int, retry_after_s: float | None, needed: str = "") -> CallFailed:
    """From an answer of Slack that says no."""
    is_put_off = status == 503 and retry_after_s is not None
    if status == 429 or is_put_off or code in ("ratelimited", "rate_limited"):
        return CallFailed("ratelimited", "Slack's rate limit", is_certain=True, retry_after_s=retry_after_s or 1.0)
    if not code and status in _NOT_SERVED:
        code = NOT_SERVED
    is_certain = bool(code) and code not in _MAYBE_DONE
    return CallFailed(code, code or f"Slack answered {status}", is_certain=is_certain, needed=needed)


def as_send_error(failed: CallFailed) -> SendError:
    """For the one who wanted to send."""
    if not failed.is_certain:
        return SendUncertain(str(failed))
    if failed.is_token:
        return SendRefused(str(failed), is_retryable=True, retry_after_s=_AUTH_WAIT_S)
    if failed.retry_after_s is not None:
        return SendRefused(str(failed), is_retryable=True, retry_after_s=failed.retry_after_s)
    return SendRefused(str(failed), is_retryable=failed.is_absent or not failed.is_settled)


def as_channel_fault(failed: CallFailed, key: str) -> ChannelFault:
    """For the operator; `key` names the setting that was used."""
    if failed.code == "missing_scope":
        return scope_missing(failed.needed)
    what = _TOKEN.get(failed.code, f"Slack says {failed.code}")
    return ChannelFault(
        f"{what} ({key})",
        f"Open the app at https://api.slack.com/apps, install it to the workspace again, and put its token into {key}",
    )


def scope_missing(scope: str) -> ChannelFault:
    return ChannelFault(
        f"the app lacks the scope {scope or 'that Slack asks for'}",
        "Add it under OAuth & Permissions at https://api.slack.com/apps, and install the app again",
    )
