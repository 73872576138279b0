"""What failed calls mean: the place where servers' words become `Fault`s, and their headers `Headroom`.

Promises: any exception that an SDK or a stream raises becomes a ModelError, one short line that holds neither a key nor what people wrote.
"""

import json
import math
import re
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Protocol

from bot.errors import Fault, ModelError
from bot.net.connector import OutsidePerimeter
from bot.ports import ChatRequest, Chunk, Clock, Headroom
from bot.text import pattern

DETAIL_CHARS = 300
ECHO_CHARS = 12  # a run of this many characters that stands in the request as well is an echo of it
_STEP = 7
_MESSAGE_CHARS = 600

_BY_STATUS = {
    400: Fault.REJECTED,
    401: Fault.KEY,
    402: Fault.BALANCE,
    403: Fault.KEY,
    404: Fault.NOT_FOUND,
    408: Fault.OVERLOADED,
    413: Fault.TOO_LONG,
    425: Fault.OVERLOADED,
    429: Fault.RATE_LIMITED,
}

# Types and codes of error objects: https://platform.claude.com/docs/en/api/errors,
# https://platform.openai.com/docs/guides/error-codes, and what compatible servers send in their place.
_BY_CODE = {
    "invalid_request_error": Fault.REJECTED,
    "authentication_error": Fault.KEY,
    "invalid_api_key": Fault.KEY,
    "permission_error": Fault.KEY,
    "billing_error": Fault.BALANCE,
    "insufficient_quota": Fault.BALANCE,
    "insufficient_balance": Fault.BALANCE,
    "exceeded_current_quota_error": Fault.BALANCE,
    "billing_hard_limit_reached": Fault.BALANCE,
    "contract_spend_limit_reached": Fault.BALANCE,
    "enforced_spend_limit_reached": Fault.BALANCE,
    "linked_organization_spend_limit_reached": Fault.BALANCE,
    "organization_on_hold": Fault.BALANCE,
    "arrearage": Fault.BALANCE,
    "not_found_error": Fault.NOT_FOUND,
    "model_not_found": Fault.NOT_FOUND,
    "request_too_large": Fault.TOO_LONG,
    "context_length_exceeded": Fault.TOO_LONG,
    "exceed_context_size_error": Fault.TOO_LONG,
    "rate_limit_error": Fault.RATE_LIMITED,
    "rate_limit_exceeded": Fault.RATE_LIMITED,
    "rate_limit_reached_error": Fault.RATE_LIMITED,
    "resource_exhausted": Fault.RATE_LIMITED,
    "timeout_error": Fault.OVERLOADED,
    "api_error": Fault.OVERLOADED,
    "overloaded_error": Fault.OVERLOADED,
    "engine_overloaded_error": Fault.OVERLOADED,
    "server_error": Fault.OVERLOADED,
    "internal_error": Fault.OVERLOADED,
    "internal_server_error": Fault.OVERLOADED,
}
_SPECIFIC = {Fault.BALANCE, Fault.NOT_FOUND, Fault.TOO_LONG}  # these say more than the status that came with them

# How servers put it that say it in words alone (Anthropic, OpenAI, vLLM, llama.cpp, Ollama, LM Studio, DeepSeek, Kimi, GLM, Qwen,
# MiniMax, Mistral, Gemini).
_WORDINGS = (
    (
        Fault.TOO_LONG,
        pattern(
            r"prompt is too long|prompt too long|(?:maximum|max|available|configured) context|context (?:length|limit|size|window)"
            r"|longer than the (?:maximum )?model|exceeds? the maximum number of tokens|exceeded model token limit"
            r"|maximum prompt length|range of input length|request too large|reduce the length of the (?:messages|prompt)"
            r"|prompt exceeds|exceeds the maximum (?:size|length)|input tokens exceed|max_new_tokens` must be"
        ),
    ),
    (
        Fault.BALANCE,
        pattern(
            r"credit balance|insufficient (?:account )?balance|insufficient (?:funds|credits?|quota)|余额不足|overdue payment"
            r"|exceeded your current quota(?!.*\bretry in\b)|billing (?:hard )?limit|out of credits|in good standing"
        ),
    ),
    (
        Fault.KEY,
        pattern(r"api[ _-]?key (?:is )?(?:not valid|invalid|expired)|(?:invalid|incorrect|missing) api[ _-]?key"),
    ),
    (
        Fault.NOT_FOUND,
        pattern(r"model\b.{0,120}\b(?:does not exist|not found|not exist)|no such model|unknown model"),
    ),
)
# What reading an answer raises that has not the shape of one.
_SHAPE_ERRORS = (ValueError, TypeError, LookupError, AttributeError, AssertionError, RecursionError)
_SECRET = pattern(r"\b(?:sk|pk|key|gsk|xai|AIza)[-_]?[A-Za-z0-9_*.-]{12,}|(?<=Bearer )\S+", re.IGNORECASE)
_ECHOED = pattern(
    r"(input_value|['\"]?input['\"]?)\s*[=:].*", re.IGNORECASE
)  # pydantic's errors end in what they refused
_WISH = pattern(r"(?:retry|try again) (?:in|after) ((?:\d+(?:\.\d+)?\s?(?:ms|h|m|s)[a-z]*\s?)+)", re.IGNORECASE)
_PERIOD = pattern(r"(\d+(?:\.\d+)?)\s?(ms|h|m|s)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class ErrorInAnswer(Exception):
    """An error object where an answer should be: in a stream, or in a body that came as a success."""

    def __init__(self, body: object) -> None:
        super().__init__("an error in the answer")
        self.body = body


class Answering(Protocol):
    """How far an answer has come."""

    has_begun: bool

    @property
    def is_finished(self) -> bool: ...

    def end(self) -> Iterable[Chunk]: ...


async def only_model_errors(
    portions: AsyncGenerator[Iterable[Chunk], None], answer: Answering, clock: Clock, key: str, request: ChatRequest
) -> AsyncGenerator[Chunk, None]:
    """The chunks of one try, which come in portions, and the end of its answer. A broken stream raises anything; what comes out is
    ModelError alone, and nothing once the answer was whole."""
    try:
        async with aclosing(portions):
            async for portion in portions:
                for chunk in portion:
                    yield chunk
    except Exception as error:
        if not answer.is_finished:
            failure = from_exception(error, clock.now_ms(), hidden(key, request))
            failure.has_begun = answer.has_begun
            raise failure from error
    for chunk in answer.end():
        yield chunk


def hidden(key: str, request: ChatRequest) -> Iterable[str]:
    """What the detail of an error must not repeat."""
    yield key
    yield request.instructions
    for message in request.messages:
        yield message.text
        yield from (call.arguments for call in message.calls)
        yield from (result.text for result in message.results)


def from_exception(error: BaseException, now_ms: int, hidden: Iterable[str] = ()) -> ModelError:
    """What any exception of a call means. `hidden`: texts of the request (and its key), which the detail must not repeat."""
    if isinstance(error, ModelError):
        return error
    causes = list(_causes(error))
    root = causes[-1]
    if isinstance(root, OutsidePerimeter):
        return ModelError(str(root), Fault.REJECTED)
    if isinstance(error, ErrorInAnswer):
        return from_event(error.body, now_ms, hidden)
    response = getattr(error, "response", None)
    status = getattr(error, "status_code", None)
    if isinstance(status, int) and response is not None:
        body = getattr(error, "body", None)
        return from_answer(status, body, response.headers, now_ms, hidden)
    what = _clean(f"{type(root).__name__}: {root}" if str(root) else type(root).__name__, hidden)
    is_packed_badly = any(
        type(cause).__name__ == "DecodingError" for cause in causes
    )  # httpx2's; not imported before an SDK is
    if is_packed_badly or isinstance(root, _SHAPE_ERRORS):
        return ModelError(f"the answer is malformed ({what})"[:DETAIL_CHARS], Fault.MALFORMED)
    return ModelError(f"no connection, or it broke ({what})"[:DETAIL_CHARS], Fault.UNREACHABLE)


def from_answer(
    status: int, body: object, headers: Mapping[str, str], now_ms: int, hidden: Iterable[str] = ()
) -> ModelError:
    """What a refusal means: its status, its body (JSON as values, or text) and headers."""
    code, message = _said(body)
    fault = _fault(status, code, message)
    detail = _clean(f"{status} {code}: {message}" if code else f"{status}: {message}", hidden)
    if 300 <= status < 400:
        detail = f"{status}: the server wants the request elsewhere. Set base_url to its new address"
    wish = retry_after_s(headers, now_ms)
    return ModelError(detail, fault, retry_after_s=_wish_in(message) if wish is None else wish)


def from_event(body: object, now_ms: int, hidden: Iterable[str] = ()) -> ModelError:
    """What an error object inside a stream or an answer that began as a success means."""
    code, _ = _said(body)
    status = int(code) if code.isdecimal() and 400 <= int(code) < 600 else 500
    error = from_answer(status, body, {}, now_ms, hidden)
    return ModelError(
        _clean(f"in the middle of the answer: {error}", ()), error.fault, retry_after_s=error.retry_after_s
    )


def words(error: BaseException) -> str:
    """Code and message of a refusal in the server's own words; for comparing alone, never to be shown. "" when it is none."""
    return " ".join(_said(getattr(error, "body", None)))


def retry_after_s(headers: Mapping[str, str], now_ms: int) -> float | None:
    """The pause that a server asks for, in seconds: `retry-after-ms`, or `retry-after` as seconds or as an HTTP date."""
    ms = _number(headers.get("retry-after-ms"))
    if ms is not None:
        return max(0.0, ms / 1000)
    value = headers.get("retry-after")
    seconds = _number(value)
    if seconds is not None:
        return max(0.0, seconds)
    try:
        until = parsedate_to_datetime(value or "")
    except ValueError:
        return None
    return max(0.0, until.replace(tzinfo=until.tzinfo or UTC).timestamp() - now_ms / 1000)


# --- headroom ----------------------------------------------------------------------------------------------------------


def anthropic_headroom(headers: Mapping[str, str], now_ms: int) -> Headroom | None:
    """The `anthropic-ratelimit-*` headers; None when there are none. Of the limits on all, input and output tokens the tightest counts: what
    it has left, as a share, is what is left of the first that is stated. Source: https://platform.claude.com/docs/en/api/rate-limits"""
    said = {name[20:]: value for name, value in headers.items() if name.startswith("anthropic-ratelimit-")}
    if not said:
        return None
    kinds = [kind for kind in ("tokens", "input-tokens", "output-tokens") if _whole(said.get(f"{kind}-limit"))]
    limit = _whole(said.get(f"{kinds[0]}-limit")) if kinds else None
    shares = [
        (left / (_whole(said.get(f"{kind}-limit")) or 1), kind)
        for kind in kinds
        if (left := _whole(said.get(f"{kind}-remaining"))) is not None
    ]
    share, tightest = min(shares, default=(None, ""))
    return Headroom(
        requests_limit=_whole(said.get("requests-limit")),
        requests_left=_whole(said.get("requests-remaining")),
        requests_reset_s=_until(said.get("requests-reset"), now_ms),
        tokens_limit=limit,
        tokens_left=None if share is None or limit is None else math.floor(share * limit + 1e-6),
        tokens_reset_s=_until(said.get(f"{tightest}-reset"), now_ms),
    )


def openai_headroom(headers: Mapping[str, str]) -> Headroom | None:
    """The `x-ratelimit-*` headers; None when there are none. Source: https://platform.openai.com/docs/guides/rate-limits"""
    said = {name[12:]: value for name, value in headers.items() if name.startswith("x-ratelimit-")}
    if not said:
        return None
    return Headroom(
        requests_limit=_whole(said.get("limit-requests")),
        requests_left=_whole(said.get("remaining-requests")),
        requests_reset_s=period_s(said.get("reset-requests")),
        tokens_limit=_whole(said.get("limit-tokens")),
        tokens_left=_whole(said.get("remaining-tokens")),
        tokens_reset_s=period_s(said.get("reset-tokens")),
    )


def period_s(text: str | None) -> float | None:
    """ "6m0s", "12ms", "1h2m3.5s", or plain seconds."""
    number = _number(text)
    if number is not None:
        return max(0.0, number)
    parts = _PERIOD.findall(text or "")
    return sum(float(amount) * _SECONDS[unit] for amount, unit in parts) if parts else None


# --- reading -----------------------------------------------------------------------------------------------------------


def _fault(status: int, code: str, message: str) -> Fault:
    by_code = _BY_CODE.get(code.lower())
    if by_code in _SPECIFIC:
        return by_code
    if status < 500:
        text = message.lower()
        for fault, wording in _WORDINGS:
            if (status in (400, 413, 422, 429) or by_code is None) and wording.search(text):
                return fault
    if status in _BY_STATUS and status != 400:
        return _BY_STATUS[status]
    if by_code is not None:
        return by_code
    return Fault.OVERLOADED if status >= 500 else Fault.REJECTED


def _said(body: object) -> tuple[str, str]:
    """Code and message of an error body, however the server wraps them."""
    if isinstance(body, bytes | str):
        return _said_in_text(body if isinstance(body, str) else body.decode("utf-8", "replace"))
    if isinstance(body, list):
        return "", "; ".join(_said(each)[1] for each in body[:3])
    if not isinstance(body, dict):
        return "", "no reason given"
    for key in ("error", "detail"):
        if isinstance(body.get(key), dict | list | str) and body[key]:
            code, message = _said(body[key])
            return code or _code(body), message
    details = body.get("details")
    if isinstance(details, dict) and isinstance(details.get("error_code"), str):  # Anthropic's more precise code
        return details["error_code"], str(body.get("message") or "no reason given")
    return _code(body), str(body.get("message") or body.get("msg") or "no reason given")


def _said_in_text(text: str) -> tuple[str, str]:
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError):
        return "", " ".join(re.sub(r"<[^>]*>", " ", text).split())[:_MESSAGE_CHARS] or "no reason given"
    return _said(value) if isinstance(value, dict | list) else ("", str(value))


def _code(body: Mapping[str, object]) -> str:
    """The more telling of an error's `code` and `type`."""
    names = [str(body[key]) for key in ("code", "type", "status") if isinstance(body.get(key), str | int) and body[key]]
    return next((name for name in names if name.lower() in _BY_CODE), names[0] if names else "")


def _clean(text: str, hidden: Iterable[str]) -> str:
    """One line, short, without keys and without what the request said."""
    text = _ECHOED.sub(r"\1=…", _SECRET.sub("…", " ".join(text[:_MESSAGE_CHARS].split())))
    said = " ".join(" ".join(each.split()) for each in hidden)
    if said:
        text = _without_echo(text, said)
    return text if len(text) <= DETAIL_CHARS else text[: DETAIL_CHARS - 1] + "…"


def _without_echo(text: str, said: str) -> str:
    echoes = _shared(text, said)
    kept, end = [], 0
    for at, character in enumerate(text):
        if text[at : at + ECHO_CHARS] in echoes:
            if at >= end:
                kept.append("…")
            end = at + ECHO_CHARS
        if at >= end:
            kept.append(character)
    return "".join(kept)


def _shared(text: str, said: str) -> set[str]:
    """The runs of ECHO_CHARS characters that stand in both. Each holds one of the pieces that begin at every `_STEP`th character of
    `said`, so that a long request is searched in a fraction of the time that its own runs would take."""
    size = ECHO_CHARS - _STEP + 1
    pieces = {text[at : at + size] for at in range(len(text) - size + 1)}
    near = [at for at in range(0, len(said), _STEP) if said[at : at + size] in pieces]
    runs = {said[at : at + ECHO_CHARS] for end in near for at in range(max(0, end - _STEP + 1), end + 1)}
    return runs & {text[at : at + ECHO_CHARS] for at in range(len(text) - ECHO_CHARS + 1)}


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The exception, and what it was raised from, down to the root."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__


def _wish_in(message: str) -> float | None:
    wish = _WISH.search(message)
    return period_s(wish[1]) if wish else None


def _number(value: str | None) -> float | None:
    try:
        number = float(value or "")
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _whole(value: str | None) -> int | None:
    number = _number(value)
    return None if number is None else max(0, int(number))


def _until(value: str | None, now_ms: int) -> float | None:
    """Seconds from now to an RFC 3339 time."""
    try:
        moment = datetime.fromisoformat(value or "")
    except ValueError:
        return None
    return max(0.0, moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() - now_ms / 1000)
