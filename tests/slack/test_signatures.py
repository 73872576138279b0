"""A webhook is taken only with Slack's own signature over exactly its bytes, and only freshly signed."""

import json

import pytest

from adapters.slack import Account
from bot.model import MessageReceived
from tests.platforms.slack.server import Site, SlackServer
from tests.slack.rig import Rig


@pytest.fixture
async def hooked(server: SlackServer, site: Site):  # type: ignore[no-untyped-def]
    made = Rig(server, site, "http")
    await made.start()
    yield made
    await made.stop()


def body_of(rig: Rig) -> bytes:
    event = {
        "type": "message",
        "channel": rig.room.id,
        "channel_type": "im",
        "user": rig.anna.id,
        "ts": "1700000000.000100",
        "text": "hi",
    }
    return json.dumps({"type": "event_callback", "team_id": rig.space.id, "event_id": "Ev1", "event": event}).encode()


async def test_the_right_signature_is_taken(hooked: Rig) -> None:
    body = body_of(hooked)
    http = hooked.site.delivery.http
    answer = await http.post(body, "application/json", http.signed(body))
    assert answer.outcome.name == "TAKEN"
    assert len(hooked.house.of(MessageReceived)) == 1


async def test_f74_no_bit_of_the_signature_or_the_body_may_differ(hooked: Rig) -> None:
    body = body_of(hooked)
    http = hooked.site.delivery.http
    good = http.signed(body)
    signature = good["X-Slack-Signature"]
    forged = [
        signature[:at] + ("0" if signature[at] != "0" else "1") + signature[at + 1 :]
        for at in range(3, len(signature), 7)
    ]
    for text in [*forged, "", "v0=", signature[:-1], signature.upper(), "v1" + signature[2:]]:
        answer = await http.post(body, "application/json", good | {"X-Slack-Signature": text})
        assert answer.outcome.name != "TAKEN", text
    for at in range(0, len(body), 16):
        changed = body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
        answer = await http.post(changed, "application/json", good)
        assert answer.outcome.name != "TAKEN"
    assert hooked.house.events == []


@pytest.mark.parametrize("text", ["", "abc", "-1", "1e9", "٣", "9" * 400])
async def test_f74_a_timestamp_that_is_none_is_refused(hooked: Rig, text: str) -> None:
    body = body_of(hooked)
    http = hooked.site.delivery.http
    headers = http.signed(body)
    if text.isascii():
        answer = await http.post(body, "application/json", headers | {"X-Slack-Request-Timestamp": text})
        assert answer.outcome.name != "TAKEN"
    assert hooked.house.events == []


@pytest.mark.parametrize("minutes", [-6, 6])
async def test_f75_an_old_request_is_refused_however_well_it_is_signed(hooked: Rig, minutes: int) -> None:
    body = body_of(hooked)
    http = hooked.site.delivery.http
    at_ms = hooked.house.clock.now_ms() + minutes * 60_000
    answer = await http.post(body, "application/json", http.signed(body, at_ms=at_ms))
    assert answer.outcome.name != "TAKEN"
    assert hooked.house.events == []


async def test_f74_another_apps_secret_is_refused(hooked: Rig) -> None:
    body = body_of(hooked)
    http = hooked.site.delivery.http
    answer = await http.post(body, "application/json", http.signed(body, secret="another"))
    assert answer.outcome.name != "TAKEN"


async def test_f76_a_check_of_the_certificate_is_no_way_past_the_signature(hooked: Rig) -> None:
    http = hooked.site.delivery.http
    answer = await http.post(
        b"ssl_check=1&token=x", "application/x-www-form-urlencoded", {"X-Slack-Signature": "v0=00"}
    )
    assert answer.outcome.name != "TAKEN"


async def test_the_handshake_is_answered(hooked: Rig) -> None:
    assert await hooked.site.delivery.http.verify()


@pytest.mark.parametrize("secret", [None, "", "   "])
def test_f74_without_a_signing_secret_nothing_starts(secret: str | None) -> None:
    with pytest.raises(ValueError, match="signing_secret"):
        Account.model_validate({"enabled": True, "mode": "http", "bot_token": "xoxb-1", "signing_secret": secret})
