"""How origins ask: through the process's one way out, at a pace that a server can bear.

`Outside` is the port, which `bot.net.asking.Asker` implements. `Api` asks an interface of JSON at its own pace and waits where it is told to.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any, Final, Protocol

from bot.errors import FetchError
from bot.knowledge.origins.origin import SourceFailed
from bot.model import changeable
from bot.net.asking import Answer
from bot.ports import Clock

__all__ = ["MOST_WAIT_S", "Answer", "Api", "Outside", "Pace"]

MOST_WAIT_S: Final = 120.0  # that a server may ask of us before the whole pass is put off
TRIES: Final = 4
JSON_BYTES: Final = 16 * 1024 * 1024
_PASSING: Final = frozenset({408, 425, 429, 500, 502, 503, 504})


class Outside(Protocol):
    """The way out. Raises FetchError for what gave no answer at all."""

    async def ask(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes = b"",
        most_bytes: int,
        trusted: Sequence[str] = (),
    ) -> Answer: ...


class Pace:
    """At most one request in `pause_s`."""

    def __init__(self, clock: Clock, pause_s: float) -> None:
        self.pause_s = pause_s
        self._clock = clock
        self._next = 0.0

    async def wait(self, more_s: float = 0.0) -> None:
        now = self._clock.monotonic()
        due = max(self._next, now + more_s)
        self._next = due + self.pause_s
        if due > now:
            await self._clock.sleep(due - now)


@changeable
class Api:
    """Asks one interface, at its pace, again where that may help. `name` is how people call the service."""

    name: str
    outside: Outside
    pace: Pace
    trusted: Sequence[str] = ()
    headers: dict[str, str] = field(default_factory=dict)

    async def ask(
        self, method: str, url: str, *, body: object = None, form: bytes = b"", most_bytes: int = JSON_BYTES
    ) -> Answer:
        """An answer that is no passing failure. Raises SourceFailed once trying again did not help."""
        headers, sent, wait_s = dict(self.headers), form, 0.0
        if body is not None:
            headers["Content-Type"], sent = "application/json", json.dumps(body).encode()
        elif form:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        reason = ""
        for tried in range(TRIES):
            await self.pace.wait(wait_s)
            try:
                answer = await self.outside.ask(
                    method, url, headers=headers, body=sent, most_bytes=most_bytes, trusted=self.trusted
                )
            except FetchError as error:
                reason, wait_s = str(error), 2.0**tried
                if not error.is_retryable:
                    raise SourceFailed(
                        reason, f"Check the network and [network] allow: {self.name} must be reached."
                    ) from error
                continue
            if not self._is_passing(answer):
                return answer
            reason, wait_s = f"{self.name} answered {answer.status}", answer.retry_after_s or 2.0**tried
            if wait_s > MOST_WAIT_S:
                raise SourceFailed(f"{reason} and asks to wait", retry_after_s=wait_s)
        raise SourceFailed(reason, retry_after_s=wait_s)

    async def json(
        self, method: str, url: str, *, body: object = None, form: bytes = b""
    ) -> tuple[int, dict[str, Any]]:
        """The status and the object that the answer holds ({} where it holds none). Raises SourceFailed."""
        answer = await self.ask(method, url, body=body, form=form)
        if answer.is_cut:
            raise SourceFailed(f"{self.name} answered with more than {JSON_BYTES} bytes")
        try:
            told = json.loads(answer.data or b"{}")
        except ValueError as error:
            if answer.status >= 400:
                return answer.status, {}
            raise SourceFailed(f"{self.name} answered with something that is not JSON") from error
        return answer.status, told if isinstance(told, dict) else {}

    def _is_passing(self, answer: Answer) -> bool:
        return answer.status in _PASSING or (answer.status == 403 and b"ateLimitExceeded" in answer.data)
