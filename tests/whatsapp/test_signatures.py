"""Only Twilio is listened to, and only about this number."""

import base64
from collections.abc import AsyncIterator
from urllib.parse import urlencode

import aiohttp
import pytest
from yarl import URL

from adapters.whatsapp.signatures import FILE_S, FileTokens
from bot.model import Blob, BlobId, MessageId
from tests.platforms.twilio.driver import PUBLIC_URL
from tests.platforms.twilio.ledger import ACCOUNT, NUMBER, PERSON, TOKEN
from tests.platforms.twilio.webhooks import signature
from tests.whatsapp.rig import Rig, rig

FORM = {
    "MessageSid": "SM" + "1" * 32,
    "AccountSid": ACCOUNT,
    "From": PERSON,
    "To": NUMBER,
    "Body": "Hello & äöü =+",
    "NumMedia": "0",
}
PATH = "/webhooks/whatsapp"


async def post(
    it: Rig,
    form: dict[str, str],
    signed: str | None,
    path: str = PATH,
    body: bytes | AsyncIterator[bytes] | None = None,
) -> int:
    headers = {"Content-Type": "application/x-www-form-urlencoded"} | (
        {} if signed is None else {"X-Twilio-Signature": signed}
    )
    data = urlencode(form).encode() if body is None else body
    async with (
        aiohttp.ClientSession() as session,
        session.post(URL(it.url + path, encoded=True), data=data, headers=headers) as answer,
    ):
        return answer.status


def signed(form: dict[str, str] = FORM, path: str = PATH, token: str = TOKEN, base: str = PUBLIC_URL) -> str:
    return signature(token, base + path, form)


async def _endless() -> AsyncIterator[bytes]:
    """A body that does not say how long it is."""
    for _ in range(5):
        yield b"Body=" + b"x" * 60_000


async def test_f74_the_right_signature_is_let_in() -> None:
    """So that the rest of this file says something."""
    async with rig() as it:
        assert await post(it, FORM, signed()) == 200
        assert len(it.host.events) == 1


async def test_f74_any_other_signature_is_not() -> None:
    """Missing, blank, short, of another token, of another path, and every bit of the right one turned."""
    async with rig() as it:
        right = signed()
        raw = base64.b64decode(right)
        turned = [
            base64.b64encode(raw[:at] + bytes([raw[at] ^ 1 << bit]) + raw[at + 1 :]).decode()
            for at in range(len(raw))
            for bit in range(8)
        ]
        wrong = [None, "", " ", right[:-1], right + "=", right.lower(), "é", signed(token="other"), signed(token="")]
        wrong += [signed(path=f"{PATH}/status"), signed(path=f"{PATH}?a=1"), signed(base="http://desk.example.test")]
        for each in [*wrong, *turned]:
            assert await post(it, FORM, each) == 403
        assert not it.host.events


@pytest.mark.parametrize(
    "change",
    [
        {"Body": "Refund everything"},
        {"From": "whatsapp:+4915550009999"},
        {"Extra": ""},
        {"NumMedia": "1"},
        {"MessageSid": "SM" + "2" * 32},
    ],
)
async def test_f74_no_field_can_be_changed_or_added(change: dict[str, str]) -> None:
    """All of them count."""
    async with rig() as it:
        assert await post(it, FORM | change, signed()) == 403
        less = {name: value for name, value in FORM.items() if name != "NumMedia"}
        assert await post(it, less, signed()) == 403
        assert not it.host.events


async def test_f74_a_body_that_is_encoded_otherwise_says_the_same() -> None:
    """The fields are signed, not the bytes."""
    async with rig() as it:
        body = urlencode(FORM).replace("+", "%20").encode()
        assert await post(it, FORM, signed(), body=body) == 200


async def test_f74_another_account_and_another_number_are_refused() -> None:
    """Even when they are signed with this token."""
    async with rig() as it:
        for change in ({"AccountSid": "AC" + "9" * 32}, {"To": "whatsapp:+14155559999"}):
            form = FORM | change
            assert await post(it, form, signed(form)) == 403
        assert not it.host.events


async def test_f70_a_body_that_is_too_large_or_has_too_many_fields_is_refused() -> None:
    """Before anything is computed of it."""
    async with rig() as it:
        assert await post(it, FORM, signed(), body=b"Body=" + b"x" * 300_000) == 413
        assert await post(it, FORM, signed(), body=_endless()) == 413
        assert await post(it, FORM, signed(), body=b"&".join(b"a%d=1" % count for count in range(2_000))) == 400


@pytest.mark.parametrize(
    "base",
    [
        "https://desk.example.test",
        "https://desk.example.test:443",
        "https://desk.example.test:8443",
        "http://desk.example.test:80",
        "http://desk.example.test:8080",
        "https://desk.example.test/front/desk",
        "https://desk.example.test/front/desk/",
        "http://127.0.0.1:9999",
        "http://[::1]:9999",
    ],
)
async def test_f77_the_signature_is_made_over_the_public_url(base: str) -> None:
    """Whatever port, path and scheme it has, and wherever the request really came in."""
    async with rig(public_url=base) as it:
        exact = base.rstrip("/")
        assert await post(it, FORM, signed(base=exact)) == 200
        assert await post(it, FORM, signed(path=f"{PATH}?x=%2F%20+&y", base=exact), path=f"{PATH}?x=%2F%20+&y") == 200
        for other in (it.url, "https://evil.example.test", f"{exact}/more", exact.replace("http", "ftp")):
            assert await post(it, FORM, signed(base=other)) == 403


@pytest.mark.parametrize("at", [":443", ""])
async def test_f77_twilio_signs_with_or_without_the_port_of_the_scheme(at: str) -> None:
    """It does both, as its own library knows."""
    async with rig() as it:
        assert await post(it, FORM, signed(base=PUBLIC_URL + at)) == 200


async def test_f77_forwarded_headers_change_nothing() -> None:
    """They are anybody's words."""
    async with rig() as it:
        headers = {
            "X-Twilio-Signature": signed(base="https://evil.example.test"),
            "X-Forwarded-Host": "evil.example.test",
            "X-Forwarded-Proto": "https",
            "Host": "evil.example.test",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        async with (
            aiohttp.ClientSession() as session,
            session.post(it.url + PATH, data=urlencode(FORM).encode(), headers=headers) as answer,
        ):
            assert answer.status == 403


async def test_f75_f76_a_replayed_request_carries_the_id_it_had() -> None:
    """Twilio signs no time: the house dedupes by the Sid, before anything else is done with it."""
    async with rig() as it:
        for _ in range(3):
            assert await post(it, FORM, signed()) == 200
        assert len({getattr(event, "external_id", "") for event in it.host.events}) == 1


async def test_f78_a_token_that_was_revoked_lets_nobody_in() -> None:
    """Twilio signs with the new one; ours no longer fits."""
    async with rig() as it:
        it.server.rotate_token("5e" * 16)
        await it.platform.say("Hello")
        await it.server.settle()
        assert {status for _, status in it.server.webhook_statuses} == {403}
        assert not it.host.events
        it.server.rotate_token(TOKEN)


async def test_a_status_callback_is_signed_with_its_query() -> None:
    """What it is about cannot be changed."""
    async with rig() as it:
        form = {"MessageSid": "SM1", "MessageStatus": "delivered", "AccountSid": ACCOUNT, "To": PERSON, "From": NUMBER}
        path = f"{PATH}/status?message=m1&part=0&letter=0&letters=1"
        right = signed(form, path)
        assert await post(it, form, right, path.replace("m1", "m2")) == 403
        assert not it.host.events
        assert await post(it, form, right, path) == 204
        assert len(it.host.events) == 1
        for odd in (
            "",
            "?message=m1",
            "?message=m1&part=x&letter=0&letters=1",
            "?message=m1&part=-1&letter=0&letters=1",
        ):
            odd = f"{PATH}/status{odd}"
            assert await post(it, form, signed(form, odd), odd) == 204
        unknown = form | {"MessageStatus": "pondering"}
        assert await post(it, unknown, signed(unknown, path), path) == 204
        assert len(it.host.events) == 1


def test_f79_a_file_is_named_by_a_token_that_ends() -> None:
    """Nobody can make one, change one, or use one of another account."""
    tokens = FileTokens(b"key", "")
    named = (MessageId("m/1"), BlobId("b.2"))
    token = tokens.make(*named, 1_000_000)
    assert tokens.read(token, 1_000_000) == named
    assert tokens.read(token, 1_000_000 + FILE_S * 1_000 + 1_000) is None
    assert FileTokens(b"other", "").read(token, 1_000_000) is None
    assert FileTokens(b"key", "sales").read(token, 1_000_000) is None
    for at in range(len(token)):
        assert tokens.read(token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :], 1_000_000) is None
    for odd in ("", ".", "é.é", "a.b.c", "%2e", token[:-2]):
        assert tokens.read(odd, 1_000_000) is None


async def test_f64_a_file_is_given_with_its_type_and_can_run_nothing() -> None:
    """And to nobody without its token."""
    async with rig() as it:
        blob = Blob(BlobId("b1"), 'x";\n.pdf', "application/pdf", 8)
        it.host.attachments[MessageId("m1"), BlobId("b1")] = (blob, b"%PDF-1.7")
        url = it.adapter._files.url(MessageId("m1"), BlobId("b1")).replace(PUBLIC_URL, it.url)
        gone = it.adapter._files.url(MessageId("m2"), BlobId("b1")).replace(PUBLIC_URL, it.url)
        async with aiohttp.ClientSession() as session:
            async with session.get(url) as answer:
                assert (answer.status, answer.content_type, await answer.read()) == (
                    200,
                    "application/pdf",
                    b"%PDF-1.7",
                )
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
                assert "sandbox" in answer.headers["Content-Security-Policy"]
            async with session.head(url) as answer:
                assert (answer.status, answer.content_length) == (200, 8)
            for other in (gone, f"{it.url}{PATH}/media/x", url + "x"):
                async with session.get(other) as answer:
                    assert answer.status == 404


async def test_a_late_word_about_an_earlier_try_of_a_file_says_nothing_of_the_next() -> None:
    """Callbacks are repeated and late."""
    async with rig() as it:
        path = f"{PATH}/status?message=m1&part=0&letter=0&letters=2"

        async def told(sid: str, status: str) -> int:
            form = {"MessageSid": sid, "MessageStatus": status, "AccountSid": ACCOUNT, "To": PERSON, "From": NUMBER}
            assert await post(it, form, signed(form, path), path) == 204
            return len(it.host.events)

        assert await told("SM1", "failed") == 1
        assert await told("SM2", "sent") == 1
        assert await told("SM1", "failed") == 1
        assert await told("SM2", "failed") == 2
