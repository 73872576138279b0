"""Every exception that crosses a boundary of ours.

    FrontdeskError
    ├── ConfigError            the config cannot be used; carries every problem at once
    ├── DataError              the data folder or database cannot be used as it is (foreign, newer, damaged, locked)
    ├── StoreUnavailable       a unit of work was not committed; safe to repeat
    ├── Overloaded             refused before anything was stored; the sender may repeat it later
    ├── Refused                an event or a request is not acceptable; carries a stable code and a plain sentence
    ├── FetchError             something outside could not be read; says whether to repeat
    ├── ChannelFault           a channel cannot work until a person changes something; says what
    ├── ModelError             a model call failed; its fault says what may help
    ├── ActionError            an action was not carried out, or perhaps not
    │   ├── NotSent            it certainly was not
    │   └── Uncertain          it may or may not have been
    └── SendError              a platform did not take a message
        ├── SendRefused        it certainly did not arrive; says whether and when to repeat
        │   └── WindowClosed   the person has not written for too long to be written to
        └── SendUncertain      it may or may not have arrived

Users never see the text of any of these except `Refused.detail`, which is written for them.
"""

from enum import StrEnum

from bot.model import value


class FrontdeskError(Exception):
    """The root of the tree."""


@value
class Problem:
    """One thing wrong with the config: where, what, and what to do about it."""

    key: str
    what: str
    mend: str
    file: str = ""
    line: int = 0

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{where}: {self.key}: {self.what}. {self.mend}" if where else f"{self.key}: {self.what}. {self.mend}"


class ConfigError(FrontdeskError):
    """The config cannot be used. `problems` holds all of them, in the order of the file."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


class DataError(FrontdeskError):
    """The data folder or its database cannot be used as it is; the text says why and what to do."""


class StoreUnavailable(FrontdeskError):
    """A unit of work was not committed (disk full, locked, closed). Nothing of it is stored; it is safe to repeat."""


class Overloaded(FrontdeskError):
    """Too much work is waiting. Nothing was stored."""

    def __init__(self, detail: str, retry_after_s: float = 1.0) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class Refused(FrontdeskError):
    """Not acceptable. `code` is stable (documented in docs/protocol.md), `detail` is a plain sentence for the person."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


class FetchError(FrontdeskError):
    """Something outside could not be read. `detail` is for operators."""

    def __init__(self, detail: str, *, is_retryable: bool) -> None:
        super().__init__(detail)
        self.is_retryable = is_retryable


class ChannelFault(FrontdeskError):
    """A channel cannot work as it is set up (a refused token, a missing intent): it stops, and trying again would not help. `mend`
    tells the operator what to do."""

    def __init__(self, detail: str, mend: str) -> None:
        super().__init__(f"{detail}. {mend}")
        self.detail = detail
        self.mend = mend


class Remedy(StrEnum):
    """What may help after a failed model call."""

    RETRY = "retry"  # the same model, after a pause
    NEXT = "next"  # another model
    GIVE_UP = "give up"  # nothing that a model can do


class Fault(StrEnum):
    """How a model call failed. One list for all providers."""

    RATE_LIMITED = "rate limited"  # 429
    OVERLOADED = "overloaded"  # 5xx, 529, an error event of that kind inside a stream
    UNREACHABLE = "unreachable"  # no connection, or it broke before the answer was whole
    SILENT = "silent"  # connected, and then nothing for too long
    MALFORMED = "malformed"  # an answer that is none: broken JSON, an empty text, no end
    KEY = "key refused"  # 401, 403
    BALANCE = "no balance"  # 402, or a quota that is used up
    NOT_FOUND = "no such model"  # 404
    TOO_LONG = "too long"  # more than the context window holds
    REJECTED = "rejected"  # any other 4xx, and a host outside [network] allow
    CAPPED = "capped"  # a limit of ours: steps, tokens, money, time

    @property
    def remedy(self) -> Remedy:
        return _REMEDIES.get(self, Remedy.NEXT)


_REMEDIES = {
    Fault.RATE_LIMITED: Remedy.RETRY,
    Fault.OVERLOADED: Remedy.RETRY,
    Fault.UNREACHABLE: Remedy.RETRY,
    Fault.MALFORMED: Remedy.RETRY,
    Fault.CAPPED: Remedy.GIVE_UP,
}


class ModelError(FrontdeskError):
    """A model call failed. `detail` is for operators; `retry_after_s` is the server's own wish. `has_begun`: the server had taken the
    call and begun to answer, so it has counted what it read."""

    def __init__(
        self, detail: str, fault: Fault, *, retry_after_s: float | None = None, has_begun: bool = False
    ) -> None:
        super().__init__(detail)
        self.fault = fault
        self.retry_after_s = retry_after_s
        self.has_begun = has_begun


class ActionError(FrontdeskError):
    """An action has no outcome that its endpoint vouches for. The text is for operators and holds no secret."""


class NotSent(ActionError):
    """Certainly nothing has happened. `is_retryable`: another try may do better."""

    def __init__(self, detail: str, *, is_retryable: bool = True) -> None:
        super().__init__(detail)
        self.is_retryable = is_retryable


class Uncertain(ActionError):
    """It may or may not have been carried out."""


class SendError(FrontdeskError):
    """A platform did not take a message."""


class SendRefused(SendError):
    """The platform refused: the message certainly did not arrive. With `retry_after_s` it is a rate limit: the message waits, and the
    try does not count."""

    def __init__(self, detail: str, *, is_retryable: bool, retry_after_s: float | None = None) -> None:
        super().__init__(detail)
        self.is_retryable = is_retryable
        self.retry_after_s = retry_after_s


class WindowClosed(SendRefused):
    """The platform takes no free text for this person now: too much time has passed since they last wrote."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail, is_retryable=False)


class SendUncertain(SendError):
    """The connection failed after the request left: the message may or may not have arrived."""
