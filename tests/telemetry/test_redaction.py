"""Secrets never reach a log, in any of the forms they take."""

import json
import logging
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.telemetry.logs import configure
from bot.telemetry.redaction import HIDDEN, Redactor
from tests.telemetry.conftest import Pipe

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJlLXRoaW5n"


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        (f"identity {JWT} refused", f"identity {HIDDEN} refused"),
        ("token v1.b64dHJ1c3RtZQ.c2lnbmF0dXJl here", f"token {HIDDEN} here"),
        ("Authorization: Bearer abcdefghij0123456789", f"Authorization: Bearer {HIDDEN}"),
        ("Authorization: Basic QWxhZGRpbjpvcGVu", f"Authorization: Basic {HIDDEN}"),
        ("sent bearer abcdefghij0123456789 along", f"sent bearer {HIDDEN} along"),
        ("GET /ws?after=3&token=abc123&x=1", f"GET /ws?after=3&token={HIDDEN}&x=1"),
        ('{"password": "open sesame", "name": "x"}', f'{{"password": "{HIDDEN}", "name": "x"}}'),
        ("Settings(bot_token='whatever it is')", f"Settings(bot_token='{HIDDEN} it is')"),
        ("key xoxb-0000000000-abcdefghij", f"key {HIDDEN}"),
        ("key sk-ant-api03-abcdefghijklmnop", f"key {HIDDEN}"),
        ("card 4111 1111 1111 1111 given", f"card {HIDDEN} given"),
        ("card 378282246310005", f"card {HIDDEN}"),
    ],
)
def test_the_shapes_of_secrets_are_hidden(text: str, hidden: str) -> None:
    """Tokens, keys, passwords and card numbers are hidden by their shape, even when nobody named them."""
    assert Redactor()(text) == hidden


@pytest.mark.parametrize(
    "text",
    [
        "input_tokens: 120, token budget 4000",
        "conversation 0190a3f2-7b1c-7def-8a1b-3c4d5e6f7a8b",
        "at 1732312345678 ms",
        "snowflake 1234567890123456789",
        "a bearer of news",
        "error hello_first: token missing",
        "v1.2.3 released",
    ],
)
def test_other_text_stays_readable(text: str) -> None:
    """Ids, times, versions and prose are left alone."""
    assert Redactor()(text) == text


@given(st.text(min_size=6, max_size=40).filter(lambda s: s.strip() == s and s not in HIDDEN))
def test_known_secrets_are_hidden_in_every_form(secret: str) -> None:
    """A known value is hidden as it is, inside a URL and inside JSON."""
    redact = Redactor([secret])
    for form in (secret, quote(secret, safe=""), json.dumps(secret)[1:-1]):
        assert redact(f"<{form}>") == f"<{HIDDEN}>"


def test_a_rotated_secret_stays_hidden() -> None:
    """After new secrets are set, both the new and the old are hidden."""
    redact = Redactor(["the-old-value"])
    redact.add(["the-new-value"])
    assert redact("the-old-value the-new-value") == f"{HIDDEN} {HIDDEN}"


def test_a_secret_within_another_is_hidden_whole() -> None:
    """Of two secrets that begin alike the longer one is hidden whole."""
    assert Redactor(["abcdef", "abcdef-ghijkl"])("abcdef-ghijkl") == HIDDEN


def test_the_log_hides_secrets_everywhere(pipe: Pipe) -> None:
    """No part of an entry shows a secret: message, arguments, fields, or a secret cut in two by an escape."""
    setup = configure("debug", ["first-secret"], stream=pipe.stream)
    setup.set_secrets(["second-secret"])
    log = logging.getLogger("bot.app")
    log.debug("first-secret %s", "second-secret", extra={"url": "http://x/?token=third-secret", "auth_token": "fourth"})
    log.info("first-\x1b[0msecret")
    setup.close()
    text = pipe.rest()
    for part in ("first-secret", "second-secret", "third-secret", "fourth"):
        assert part not in text
    assert text.count(HIDDEN) == 5
