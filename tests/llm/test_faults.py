"""What servers say when they refuse, as the one list of faults; and what they say of their limits."""

import json
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import Fault
from bot.llm import faults
from bot.llm.faults import DETAIL_CHARS, anthropic_headroom, from_answer, from_event, from_exception, openai_headroom
from bot.ports import Headroom

NOW_MS = 1_700_000_000_000  # 2023-11-14 22:13:20 UTC


def error(message: str, **rest: Any) -> dict[str, Any]:
    return {"error": {"message": message, **rest}}


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, error("prompt is too long: 208310 tokens > 200000 maximum", type="invalid_request_error")),
        (400, error("input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000")),
        (400, error("too many", type="invalid_request_error", code="context_length_exceeded")),
        (
            400,
            error("This model's maximum context length is 4096 tokens. However, you requested 5000 tokens", code=400),
        ),
        (
            400,
            {
                "object": "error",
                "message": "The decoder prompt (length 9) is longer than the maximum model length of 8",
            },
        ),
        (400, error("the request exceeds the available context size", type="exceed_context_size_error", code=400)),
        (500, error("prompt too large", code="context_length_exceeded")),
        (400, error("Your request exceeded model token limit: 8192", type="invalid_request_error")),
        (400, error("Range of input length should be [1, 30720]", code="invalid_parameter_error")),
        (
            400,
            [
                error(
                    "The input token count (9) exceeds the maximum number of tokens allowed (8).",
                    status="INVALID_ARGUMENT",
                )
            ],
        ),
        (400, error("invalid params, context window exceeds limit (2013)")),
        (413, "<html><h1>413 Request Entity Too Large</h1></html>"),
        (
            429,
            error(
                "Request too large for model on tokens per min (TPM): Limit 10, Requested 12",
                code="rate_limit_exceeded",
            ),
        ),
    ],
)
def test_too_long_in_every_server_s_words(status: int, body: object) -> None:
    assert from_answer(status, body, {}, NOW_MS).fault is Fault.TOO_LONG


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (402, error("Insufficient Balance", code="invalid_request_error")),
        (400, error("Your credit balance is too low to access the API.", type="invalid_request_error")),
        (
            429,
            error(
                "You exceeded your current quota, please check your plan and billing details.",
                code="insufficient_quota",
            ),
        ),
        (429, error("You exceeded your current quota, please check your plan and billing details.")),
        (429, error("Your account is suspended due to insufficient balance", type="exceeded_current_quota_error")),
        (429, error("余额不足或无可用资源包,请充值。", code="1113")),
        (400, error("Access denied, please make sure your account is in good standing.", code="Arrearage")),
        (400, error("no more", type="invalid_request_error", details={"error_code": "enforced_spend_limit_reached"})),
    ],
)
def test_no_balance_in_every_server_s_words(status: int, body: object) -> None:
    assert from_answer(status, body, {}, NOW_MS).fault is Fault.BALANCE


@pytest.mark.parametrize(
    ("status", "body", "fault"),
    [
        (401, error("Incorrect API key provided"), Fault.KEY),
        (403, "Forbidden", Fault.KEY),
        (400, error("API key not valid. Please pass a valid API key.", status="INVALID_ARGUMENT"), Fault.KEY),
        (404, error("model: none-such", type="not_found_error"), Fault.NOT_FOUND),
        (404, {"detail": "Not Found"}, Fault.NOT_FOUND),
        (400, error("The model `x` does not exist"), Fault.NOT_FOUND),
        (400, error("x", code="model_not_found"), Fault.NOT_FOUND),
        (429, error("slow down", type="rate_limit_error"), Fault.RATE_LIMITED),
        (
            429,
            error("This request would exceed your organization's rate limit of 30,000 input tokens per minute"),
            Fault.RATE_LIMITED,
        ),
        (429, error("You exceeded your current quota. Please retry in 34.07s."), Fault.RATE_LIMITED),
        (429, "", Fault.RATE_LIMITED),
        (500, "Internal Server Error", Fault.OVERLOADED),
        (503, b"<html>upstream</html>", Fault.OVERLOADED),
        (529, error("Overloaded", type="overloaded_error"), Fault.OVERLOADED),
        (408, "", Fault.OVERLOADED),
        (400, error("max_tokens: 100000 > 8192, which is the maximum allowed number of output tokens"), Fault.REJECTED),
        (
            422,
            {"detail": [{"loc": ["body", "tools"], "msg": "Field required", "input": "secret words"}]},
            Fault.REJECTED,
        ),
        (418, None, Fault.REJECTED),
        (307, "", Fault.REJECTED),
    ],
)
def test_every_other_refusal(status: int, body: object, fault: Fault) -> None:
    assert from_answer(status, body, {}, NOW_MS).fault is fault


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, Fault.OVERLOADED),
        ({"type": "error", "error": {"type": "rate_limit_error", "message": "x"}}, Fault.RATE_LIMITED),
        ({"type": "error", "error": {"type": "timeout_error", "message": "x"}}, Fault.OVERLOADED),
        ({"error": {"code": 429, "message": "x"}}, Fault.RATE_LIMITED),
        ({"error": {"code": "insufficient_quota", "message": "x"}}, Fault.BALANCE),
        ({"object": "error", "code": 400, "message": "This model's maximum context length is 9"}, Fault.TOO_LONG),
        ({"error": "something"}, Fault.OVERLOADED),
    ],
)
def test_an_error_within_an_answer(body: object, fault: Fault) -> None:
    assert from_event(body, NOW_MS).fault is fault


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "12"}, 12.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "Tue, 14 Nov 2023 22:13:50 GMT"}, 30.0),
        ({"retry-after": "Tue, 14 Nov 2023 22:13:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "60", "retry-after-ms": "250"}, 0.25),
    ],
)
def test_the_pause_that_a_server_asks_for(headers: dict[str, str], seconds: float | None) -> None:
    assert from_answer(429, "", headers, NOW_MS).retry_after_s == seconds


@given(st.integers(0, 7_000_000_000))
def test_any_http_date_can_end_a_pause(until_s: int) -> None:
    at = datetime.fromtimestamp(until_s, UTC)
    wish = faults.retry_after_s({"retry-after": format_datetime(at, usegmt=True)}, NOW_MS)
    assert wish == max(0.0, at.timestamp() - NOW_MS / 1000)


def test_a_pause_in_words_is_understood() -> None:
    assert from_answer(429, error("Rate limit reached. Please try again in 1m2.5s."), {}, NOW_MS).retry_after_s == 62.5
    assert from_answer(429, error("Please try again in 250ms."), {}, NOW_MS).retry_after_s == 0.25


# --- what the detail may hold ------------------------------------------------------------------------------------------


@given(st.text(max_size=2000), st.integers(100, 599))
def test_the_detail_is_one_short_line(text: str, status: int) -> None:
    for body in (text, {"error": {"message": text, "code": text}}, [text], {"detail": [{"msg": text}]}):
        detail = str(from_answer(status, body, {}, NOW_MS))
        assert len(detail) <= DETAIL_CHARS
        assert "\n" not in detail
        assert len(str(from_event(body, NOW_MS))) <= DETAIL_CHARS


SECRET = "my account number is 12345678 and my name is Ann"


@pytest.mark.parametrize(
    "body",
    [
        error(f"cannot process: {SECRET}"),
        error(f"cannot process: {SECRET[:30]}"),
        {"detail": [{"msg": "cannot process", "input": {"text": "Hidden words"}}]},
        error("cannot process [type=x, input_value='Hidden words', input_type=str]"),
        f"cannot process {SECRET}",
        error(f"cannot process key sk-ant-{'x1' * 20}"),
    ],
)
def test_neither_what_people_wrote_nor_a_key_is_in_the_detail(body: object) -> None:
    detail = str(from_answer(400, body, {}, NOW_MS, ["Be helpful.", f"Hello, {SECRET}\nPlease help."]))
    assert "cannot process" in detail
    for part in ("12345678", "account number", "Hidden words", "x1x1"):
        assert part not in detail


@given(
    st.text(st.characters(codec="utf-8", exclude_categories=["Z", "C"]), min_size=24, max_size=80), st.text(max_size=40)
)
def test_no_long_run_of_the_request_is_in_the_detail(said: str, before: str) -> None:
    detail = str(from_answer(400, error(f"{before} {said}"), {}, NOW_MS, [said]))
    assert said not in detail


# --- what is raised ----------------------------------------------------------------------------------------------------


def _decode_error() -> Exception:
    try:
        json.loads("{")
    except ValueError as broken:
        return broken
    raise AssertionError


@pytest.mark.parametrize(
    ("raised", "fault"),
    [
        (_decode_error(), Fault.MALFORMED),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), Fault.MALFORMED),
        (AssertionError(), Fault.MALFORMED),
        (KeyError("type"), Fault.MALFORMED),
        (TypeError("x"), Fault.MALFORMED),
        (RecursionError(), Fault.MALFORMED),
        (aiohttp.ClientPayloadError("incomplete"), Fault.UNREACHABLE),
        (aiohttp.ServerDisconnectedError(), Fault.UNREACHABLE),
        (ConnectionResetError(104, "reset"), Fault.UNREACHABLE),
        (TimeoutError(), Fault.UNREACHABLE),
        (OSError("x"), Fault.UNREACHABLE),
        (RuntimeError("Session is closed"), Fault.UNREACHABLE),
        (Exception("anything"), Fault.UNREACHABLE),
    ],
)
def test_whatever_is_raised_has_a_fault(raised: Exception, fault: Fault) -> None:
    assert from_exception(raised, NOW_MS).fault is fault


def test_the_sdk_s_own_exceptions_have_one_too() -> None:
    """Wrapped as the SDK wraps them, and as httpx2 raises them in the middle of a stream."""
    import anthropic
    import httpx2

    request = httpx2.Request("POST", "http://127.0.0.1/")
    wrapped = anthropic.APIConnectionError(request=request)
    wrapped.__cause__ = aiohttp.ClientConnectionError("refused")
    for raised, fault in (
        (wrapped, Fault.UNREACHABLE),
        (anthropic.APITimeoutError(request), Fault.UNREACHABLE),
        (httpx2.RemoteProtocolError("incomplete"), Fault.UNREACHABLE),
        (httpx2.DecodingError("bad gzip"), Fault.MALFORMED),
    ):
        assert from_exception(raised, NOW_MS).fault is fault


# --- limits ------------------------------------------------------------------------------------------------------------


def anthropic_headers(**kinds: tuple[int, int, str]) -> dict[str, str]:
    return {
        f"anthropic-ratelimit-{kind.replace('_', '-')}-{name}": str(value)
        for kind, values in kinds.items()
        for name, value in zip(("limit", "remaining", "reset"), values, strict=True)
    }


def test_anthropic_s_headers_are_read() -> None:
    headers = anthropic_headers(
        requests=(50, 49, "2023-11-14T22:13:21.500Z"), tokens=(40_000, 30_000, "2023-11-14T22:13:30+00:00")
    )
    assert anthropic_headroom(headers, NOW_MS) == Headroom(50, 49, 1.5, 40_000, 30_000, 10.0)


def test_the_tightest_of_anthropic_s_token_limits_counts() -> None:
    """A limit on output that is used up stops everything, whatever is left of the input."""
    headers = anthropic_headers(
        tokens=(40_000, 30_000, "2023-11-14T22:13:30Z"),
        input_tokens=(32_000, 32_000, "2023-11-14T22:13:20Z"),
        output_tokens=(8_000, 0, "2023-11-14T22:13:45Z"),
    )
    headroom = anthropic_headroom(headers, NOW_MS)
    assert headroom == Headroom(tokens_limit=40_000, tokens_left=0, tokens_reset_s=25.0)


def test_openai_s_headers_are_read() -> None:
    headers = {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-reset-requests": "12ms",
        "x-ratelimit-limit-tokens": "150000",
        "x-ratelimit-remaining-tokens": "149984",
        "x-ratelimit-reset-tokens": "6m0s",
    }
    assert openai_headroom(headers) == Headroom(60, 59, 0.012, 150_000, 149_984, 360.0)


@pytest.mark.parametrize("value", ["", "soon", "nan", "-5", "1e400", "2023-99-99T00:00:00Z"])
def test_nonsense_in_a_header_is_nothing_said(value: str) -> None:
    ours = anthropic_headroom(
        {"anthropic-ratelimit-tokens-reset": value, "anthropic-ratelimit-requests-reset": value}, NOW_MS
    )
    assert ours == Headroom()
    theirs = openai_headroom({"x-ratelimit-limit-tokens": value})
    assert theirs is not None
    assert not theirs.tokens_limit


def test_no_headers_no_headroom() -> None:
    assert anthropic_headroom({"date": "x"}, NOW_MS) is None
    assert openai_headroom({"date": "x"}) is None


@pytest.mark.parametrize(
    ("text", "seconds"), [("6m0s", 360.0), ("12ms", 0.012), ("1h2m3.5s", 3723.5), ("7", 7.0), ("", None), ("x", None)]
)
def test_periods(text: str, seconds: float | None) -> None:
    assert faults.period_s(text) == seconds
