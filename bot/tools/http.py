"""Actions that are HTTP endpoints.

Promises: an argument is a value and never a piece of the address; the secret is looked up for every call, goes to the one origin that it is
for, and stands in no answer and no error; a status that says nothing of whether something was done is never taken for a refusal.
"""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from bot.errors import NotSent, Uncertain
from bot.net.calls import FOLLOWING, Answered, Caller
from bot.tools.action import Arguments, Declared, Effect, Parameter, Reply
from bot.tools.http_request import (
    IN_QUERY,
    KEY,
    Encoding,
    LookUp,
    Shape,
    body_of,
    check,
    filled,
    origin,
    pairs,
    places,
    text_of,
    with_query,
)
from bot.tools.schemas import storable, without

log = logging.getLogger(__name__)

Secret = Callable[[str], str]  # a secret by its name; "" where there is none

MOST_BYTES: Final = 1_048_576
TEXT_CHARS: Final = 100_000
REFUSAL_CHARS: Final = 2_000
SPARE: Final = 0.05  # of the time, so that how a call ended is told here, where it is known
# RFC 9110, sections 15.5.9 and (RFC 8470) 425: another try may find it otherwise, and says nothing of this one
_UNSAID: Final = frozenset({408, 425})
_ACCEPTED: Final = 202  # RFC 9110, section 15.3.3: nothing has been done yet
_SEE_OTHER: Final = frozenset({302, 303})  # how a form that has been accepted is answered as well


@dataclass(frozen=True, slots=True)
class Auth:
    """Which secret a request carries, by its name, and where."""

    secret: str
    header: str = "Authorization"
    scheme: str = "Bearer"


def declared(
    *,
    method: str,
    url: str,
    parameters: Sequence[Parameter],
    caller: Caller,
    secret: Secret,
    auth: Auth | None = None,
    body: Encoding = "json",
    look_up: LookUp | None = None,
    key_header: str = "Idempotency-Key",
    description: str = "",
    is_read: bool = False,
) -> Declared:
    """An endpoint at an address in whose path `{name}` stands for parameters; the others are its query or its body. `is_read`: somebody has
    said that it has no effect. Raises ValueError with a text for the operator, and its mend."""
    in_path = places(url)
    rest = {each.name: each.name for each in parameters if each.name not in in_path}
    is_query = method in IN_QUERY
    shape = Shape(method, url, query=rest if is_query else {}, body={} if is_query else rest, encoding=body)
    check(shape, parameters, look_up)
    endpoint = HttpEndpoint(shape, caller, secret, auth=auth, look_up=look_up, key_header=key_header, is_read=is_read)
    return Declared(description, tuple(parameters), endpoint, origin=f"{method} {url}", effect=guess(method))


def guess(method: str) -> Effect | None:
    """RFC 9110, section 9.2.1: what GET and HEAD are meant for."""
    return Effect.READ if method in FOLLOWING else None


class HttpEndpoint:
    """See `bot.tools.action.Endpoint`. `is_read`: nothing is left behind, so that any failure may be tried again."""

    def __init__(
        self,
        shape: Shape,
        caller: Caller,
        secret: Secret,
        *,
        auth: Auth | None = None,
        look_up: LookUp | None = None,
        key_header: str = "Idempotency-Key",
        is_read: bool = False,
    ) -> None:
        self._shape = shape
        self._caller = caller
        self._secret = secret
        self._auth = auth
        self._look_up = look_up
        self._key_header = key_header
        self._is_read = is_read

    async def call(self, arguments: Arguments, key: str, within_s: float) -> Reply:
        shape = self._shape
        hidden, headers = self._carried()
        headers |= {self._key_header: key} if key and self._key_header else {}
        given = {name: value for name, value in arguments.items() if value is not None or name == shape.whole}
        try:
            headers |= {wire: text_of(given[name]) for name, wire in shape.headers.items() if name in given}
            url = with_query(filled(shape.url, given), pairs(shape.query, given, shape.listed))
            body = body_of(shape, arguments)
        except ValueError as error:
            raise NotSent(f"{origin(shape.url)}: {error}", is_retryable=False) from error
        content_type = shape.content_type if body else ""
        answered = await self._send(shape.method, url, headers, body, content_type, within_s, is_read=self._is_read)
        return self._judged(answered, hidden)

    async def look_up(self, arguments: Arguments, key: str, within_s: float) -> Reply | None:
        """None where the other side says that there is none: 404, or an empty list."""
        if self._look_up is None:
            raise Uncertain("there is no way to look it up")
        where = self._look_up
        try:
            hidden, headers = self._carried()
            url = filled(where.url, {**arguments, KEY: key})
            answered = await self._send(where.method, url, headers, b"", "", within_s, is_read=True)
        except (NotSent, ValueError) as error:
            raise Uncertain(f"it could not be looked up: {error}") from error
        if answered.status == 404:
            return None
        if answered.status != 200 or answered.is_cut:
            raise Uncertain(f"{origin(where.url)}: the look-up answered {answered.status}")
        if where.method == "HEAD":
            return Reply("It was done.")
        found = _found(_decoded(answered), key, origin(where.url))
        return replace(found, data=without(found.data, hidden)) if found is not None else None

    # --- asking ------------------------------------------------------------------------------------------------------

    def _carried(self) -> tuple[str, dict[str, str]]:
        """The secret, and the headers of every request."""
        headers = {"Accept": "application/json"}
        if self._auth is None:
            return "", headers
        value = self._secret(self._auth.secret)
        if not value:
            detail = f"the secret {self._auth.secret} is set nowhere. Put it into .env beside the config"
            raise NotSent(detail, is_retryable=False)
        if not (value.isascii() and value.isprintable()):
            detail = f"the secret {self._auth.secret} holds characters that no header can carry. Copy it again"
            raise NotSent(detail, is_retryable=False)
        return value, headers | {self._auth.header: f"{self._auth.scheme} {value}".strip()}

    async def _send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes,
        kind: str,
        within_s: float,
        *,
        is_read: bool,
    ) -> Answered:
        return await self._caller.call(
            method,
            url,
            headers=headers,
            body=body,
            content_type=kind,
            most_bytes=MOST_BYTES,
            within_s=within_s * (1 - SPARE),
            trusted=(origin(url),),  # the config names it
            is_read=is_read,
        )

    # --- what an answer means ----------------------------------------------------------------------------------------

    def _judged(self, answered: Answered, hidden: str) -> Reply:
        status = answered.status
        if 200 <= status < 300:
            reply = self._done(answered)
            return replace(reply, data=without(reply.data, hidden))
        if status >= 500 or status < 200 or status in _UNSAID:
            raise self._unsaid(f"answered {status}")
        if status in _SEE_OTHER and not self._is_read:
            raise Uncertain(f"{origin(self._shape.url)}: answered {status}, which a call that was made may lead to")
        if status < 400:
            raise NotSent(
                f"{origin(self._shape.url)}: answered {status}: it is elsewhere. Correct its address",
                is_retryable=False,
            )
        if status in (401, 403):
            log.warning("%s answered %d: is its secret right, and may it do this?", origin(self._shape.url), status)
        return Reply(without(_refusal(answered), hidden), is_refused=True)

    def _done(self, answered: Answered) -> Reply:
        text = _decoded(answered)
        if not text.strip():
            done = "It was accepted, to be done later." if answered.status == _ACCEPTED else "It was done."
            return Reply(None if self._is_read else done)
        if not text.lstrip().startswith(("{", "[")) and not _is_json(answered):
            return Reply(text[:TEXT_CHARS])
        if answered.is_cut:
            if self._is_read:
                raise NotSent(
                    f"{origin(self._shape.url)}: the answer is longer than {MOST_BYTES} bytes", is_retryable=False
                )
            return Reply("It was done. What was answered is too long to be read.")
        try:
            return Reply(_loaded(text))
        except ValueError as error:
            if not text.lstrip().startswith(("{", "[")):
                return Reply(text[:TEXT_CHARS])
            raise self._unsaid("the answer is no JSON") from error

    def _unsaid(self, detail: str) -> NotSent | Uncertain:
        text = f"{origin(self._shape.url)}: {detail}"
        return NotSent(text) if self._is_read else Uncertain(text)


# --- reading an answer -----------------------------------------------------------------------------------------------


def _is_json(answered: Answered) -> bool:
    return answered.media_type == "application/json" or answered.media_type.endswith("+json")


def _decoded(answered: Answered) -> str:
    return answered.data.decode("utf-8-sig", "replace").replace("\0", "")


def _refusal(answered: Answered) -> Any:  # any JSON value
    text = _decoded(answered).strip()
    if not text:
        return f"answered {answered.status}"
    try:
        return _loaded(text) if len(text) <= REFUSAL_CHARS else text[:REFUSAL_CHARS]
    except ValueError:
        return text[:REFUSAL_CHARS]


def _found(text: str, key: str, origin: str) -> Reply | None:
    """What a look-up's body says. An object with an empty list in it may be an empty list that is wrapped, unless it names the key."""
    try:
        data = _loaded(text)
    except ValueError as error:
        raise Uncertain(f"{origin}: the look-up's answer is no JSON") from error
    if data == []:
        return None
    is_doubtful = not data or (isinstance(data, dict) and [] in data.values() and key not in text)
    if is_doubtful or not isinstance(data, dict | list):
        raise Uncertain(f"{origin}: the look-up's answer does not say whether it happened")
    return Reply(data)


def _loaded(text: str) -> Any:  # any JSON value
    """What others write, taken as it is where that can be stored; raises ValueError."""
    try:
        return storable(json.loads(text, parse_constant=lambda _: None))
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
