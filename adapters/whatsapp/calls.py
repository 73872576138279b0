"""What calls to Twilio give and how they fail, known without its library; and what a failure says about a message."""

from typing import Final

from adapters.whatsapp import PREFIX
from bot.errors import FrontdeskError, SendError, SendRefused, SendUncertain, WindowClosed
from bot.model import value

# https://www.twilio.com/docs/api/errors
WINDOW_CLOSED: Final = frozenset({63016})
_CREDENTIALS: Final = frozenset({20003})
_TOO_FAST: Final = frozenset({20429, 14107, 63018})

_WAIT_S: Final = 2.0  # after a rate limit that names no time
_CREDENTIALS_WAIT_S: Final = 5.0


class Answered(FrontdeskError):
    """Twilio answered with an error. `code` is Twilio's own, 0 where it gave none."""

    def __init__(self, status: int, code: int, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(f"Twilio answered {status}, error {code}: {message}" if code else f"Twilio answered {status}")
        self.status, self.code, self.message, self.retry_after_s = status, code, message, retry_after_s

    @property
    def is_about_credentials(self) -> bool:
        return self.status == 401 or self.code in _CREDENTIALS

    @property
    def is_untold(self) -> bool:
        """Whether this is not told here, which says nothing of anything else."""
        is_passing = self.status in (408, 429) or (self.status >= 500 and self.status != 501)
        return not self.is_about_credentials and not is_passing


class Unreachable(FrontdeskError):
    """No request has left."""


class Cut(FrontdeskError):
    """The request left, and no whole answer came back."""


@value
class Listed:
    """A message as Twilio lists it. Times are UTC milliseconds, whole seconds; 0: it gave none."""

    sid: str
    sender: str
    to: str
    body: str
    created_ms: int
    sent_ms: int
    media: int

    def is_between(self, sender: str, to: str) -> bool:
        return _plain(self.sender) == _plain(sender) and _plain(self.to) == _plain(to)


@value
class RemoteMedia:
    """A file that Twilio keeps."""

    url: str
    media_type: str


def _plain(number: str) -> str:
    return number.removeprefix(PREFIX)


def send_error(error: Answered | Unreachable | Cut) -> SendError:
    """What a failed post says about its message."""
    if isinstance(error, Unreachable):
        return SendRefused(str(error), is_retryable=True)
    if isinstance(error, Cut):
        return SendUncertain(str(error))
    is_put_off = error.status == 503 and error.retry_after_s is not None
    if error.status == 429 or error.code in _TOO_FAST or is_put_off:
        wait_s = error.retry_after_s if error.retry_after_s else _WAIT_S
        return SendRefused(str(error), is_retryable=True, retry_after_s=wait_s)
    if error.code in WINDOW_CLOSED:
        return WindowClosed(str(error))
    if error.is_about_credentials:
        return SendRefused(str(error), is_retryable=True, retry_after_s=_CREDENTIALS_WAIT_S)
    if error.status >= 500 or error.status == 408:
        return SendUncertain(str(error))
    is_before_twilio = error.status == 403 and not error.code  # Twilio names its reasons
    return SendRefused(str(error), is_retryable=is_before_twilio)
