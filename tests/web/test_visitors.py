"""Who gets in: tokens of ours, identities of the host page, and everything that only looks like them."""

import base64
from typing import Any

import jwt
import pytest
from pydantic import ValidationError

from adapters.web import Settings
from bot.model import Address, Author, MessageReceived
from tests.clock import ManualClock
from tests.web.desk import Desk, running

SECRET = "s" * 64
DAY_S = 24 * 3600


def signed(clock: ManualClock, secret: str = SECRET, algorithm: str = "HS256", **changes: Any) -> str:  # JWT claims
    """An identity as a host page makes it; a change to None leaves a claim out."""
    now_s = clock.now_ms() // 1000
    claims: dict[str, Any] = {"aud": "frontdesk", "sub": "u-1", "exp": now_s + 600, "name": "Ada"} | changes
    kept = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(kept, secret, algorithm)


async def refused(desk: Desk, code: str, **fields: Any) -> None:  # JSON values
    page = await desk.page()
    await page.send("hello", version=1, **fields)
    await page.error(code)
    assert await page.close_code() == 4401


async def test_a_token_brings_the_visitor_back() -> None:
    """The same token means the same conversation, and stays as it is."""
    async with running() as desk:
        page = await desk.visitor()
        await page.say("Hi")
        again = await desk.visitor(token=page.welcome["token"])
        assert again.welcome["token"] == page.welcome["token"]
        assert [message["text"] for message in again.welcome["history"]] == ["Hi"]
        assert again.welcome["conversation"] != ""


async def test_two_visitors_share_nothing() -> None:
    """Without a token everybody is somebody new."""
    async with running() as desk:
        first, second = await desk.visitor(), await desk.visitor()
        await first.say("mine")
        await desk.adapter.send(first.at, desk.host.append(first.at, Author.AGENT, "yours"))
        await second.say("other")
        assert first.at != second.at
        assert (await first.next("message"))["text"] == "yours"
        assert len((await desk.host.history(second.at, 0)).messages) == 1  # type: ignore[arg-type]  # a plain 0 will do


async def test_no_bit_of_a_token_may_change() -> None:
    """Every character of a token is covered by its signature, and other installations' tokens are worth nothing."""
    async with running() as desk:
        token = (await desk.visitor()).welcome["token"]
        credentials = desk.adapter._room.credentials
        for place in range(len(token) - 1):  # the last character's low bits are padding
            forged = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
            with pytest.raises(Exception, match="bad_token"):
                credentials.read(forged)
        for forged in (
            "x",
            "v1..1.",
            "v1.a.1." + "A" * 43,
            token + "A",
            token.replace("v1", "i1", 1),
            token + "é",
            "....",
        ):
            await refused(desk, "bad_token", token=forged)


async def test_a_token_is_good_for_a_year_and_renewed_on_the_way() -> None:
    """An old token comes back younger; one of last year is refused."""
    clock = ManualClock()
    async with running(clock=clock) as desk:
        token = (await desk.visitor()).welcome["token"]
        clock.step_wall(31 * DAY_S * 1000)
        page = await desk.visitor(token=token)
        renewed = page.welcome["token"]
        assert renewed != token
        assert renewed.split(".")[1] == token.split(".")[1]
        clock.step_wall(335 * DAY_S * 1000)
        await refused(desk, "bad_token", token=token)
        await desk.visitor(token=renewed)


async def test_an_identity_speaks_under_its_subject() -> None:
    """A signed identity is verified, named, keeps its own conversation and wins over a token."""
    clock = ManualClock()
    async with running(clock=clock, identity_secret=SECRET) as desk:
        anonymous = await desk.visitor()
        page = await desk.visitor(identity=signed(clock), token=anonymous.welcome["token"])
        await page.say("Hi")
        event = desk.host.events[-1]
        assert isinstance(event, MessageReceived)
        assert (event.sender.external_id, event.sender.name, event.sender.verified) == ("id:u-1", "Ada", True)
        assert event.at == Address("web", "", "id:u-1")
        assert anonymous.welcome["token"] != page.welcome["token"]


@pytest.mark.parametrize(
    "changes",
    [
        {"secret": "t" * 32},
        {"algorithm": "HS512"},
        {"algorithm": "none", "secret": ""},
        {"aud": "else"},
        {"aud": None},
        {"sub": None},
        {"sub": ""},
        {"sub": "a\nb"},
        {"sub": "x" * 201},
        {"exp": None},
        {"exp": 1},
        {"exp": 4_000_000_000},
        {"nbf": 4_000_000_000},
    ],
)
async def test_an_identity_that_does_not_verify_is_refused(changes: dict[str, Any]) -> None:
    """Forged, expired, endless, nameless or meant for somebody else: never treated as anonymous."""
    clock = ManualClock()
    async with running(clock=clock, identity_secret=SECRET) as desk:
        await refused(desk, "bad_identity", identity=signed(clock, **changes))


@pytest.mark.parametrize("identity", ["x", "a.b.c", "....", "é", "eyJhbGciOiJub25lIn0.e30."])
async def test_nonsense_is_no_identity(identity: str) -> None:
    """Whatever stands in the field, the answer is bad_identity."""
    async with running(identity_secret=SECRET) as desk:
        await refused(desk, "bad_identity", identity=identity)


async def test_without_a_secret_nobody_is_signed_in() -> None:
    """No secret fails closed, even for an identity signed with nothing."""
    clock = ManualClock()
    async with running(clock=clock) as desk:
        await refused(desk, "bad_identity", identity=signed(clock))


async def test_only_the_host_page_keeps_a_person_signed_in() -> None:
    """The token of a signed identity works for an hour, and coming back with it does not make it last longer."""
    clock = ManualClock()
    async with running(clock=clock, identity_secret=SECRET) as desk:
        token = (await desk.visitor(identity=signed(clock))).welcome["token"]
        clock.step_wall(59 * 60 * 1000)
        page = await desk.visitor(token=token)
        assert page.welcome["token"] == token
        clock.step_wall(2 * 60 * 1000)
        await refused(desk, "bad_token", token=token)


async def test_a_subject_cannot_pose_as_somebody_else() -> None:
    """A subject may look like anything, a visitor's id included: the two never meet."""
    clock = ManualClock()
    async with running(clock=clock, identity_secret=SECRET) as desk:
        visitor = await desk.visitor()
        await visitor.say("private")
        page = await desk.visitor(identity=signed(clock, sub=visitor.at.chat))
        assert page.welcome["history"] == []
        back = await desk.visitor(token=page.welcome["token"])
        await back.say("Hi")
        event = desk.host.events[-1]
        assert isinstance(event, MessageReceived)
        assert event.at.chat == "id:" + visitor.at.chat


async def test_a_reload_takes_the_new_secret_at_once() -> None:
    """What was signed with the old secret is refused from then on."""
    clock = ManualClock()
    async with running(clock=clock, identity_secret=SECRET) as desk:
        await desk.visitor(identity=signed(clock))
        desk.adapter.reload(Settings.model_validate({"identity_secret": "n" * 32}))
        await refused(desk, "bad_identity", identity=signed(clock))
        await desk.visitor(identity=signed(clock, secret="n" * 32))


def is_base64(text: str) -> bool:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)) is not None


async def test_visitor_ids_cannot_be_guessed() -> None:
    """128 random bits each."""
    async with running() as desk:
        ids = {(await desk.visitor()).welcome["token"].split(".")[1] for _ in range(5)}
        assert len(ids) == 5
        assert all(len(name) == 22 and is_base64(name) for name in ids)


@pytest.mark.parametrize(
    "settings",
    [
        {"origins": ["*"]},
        {"origins": ["www.example.com"]},
        {"origins": ["https://www.example.com/"]},
        {"origins": ["https://*.example.com"]},
        {"origins": ["ftp://example.com"]},
        {"origins": ["null"]},
        {"identity_secret": ""},
        {"identity_secret": "short"},
        {"color": "blue"},
        {"nonsense": 1},
    ],
)
def test_settings_refuse_what_cannot_be_meant(settings: dict[str, Any]) -> None:
    """A blank secret or a wildcard never gets as far as a running server."""
    with pytest.raises(ValidationError):
        Settings.model_validate(settings)


def test_settings_have_useful_defaults() -> None:
    """The demo works without any, and its first suggestion is one that our documents answer."""
    assert Settings().suggestions[0] == "How do I put the widget on my website?"
    assert Settings(origins=["https://www.example.com", "http://localhost:3000", "http://[::1]:8000"]).enabled


async def test_the_same_person_on_two_pages() -> None:
    """Two pages with the same identity are one visitor."""
    clock = ManualClock()
    async with running(clock=clock, identity_secret=SECRET) as desk:
        first, second = [await desk.visitor(identity=signed(clock)) for _ in range(2)]
        await first.say("Hi")
        assert (await second.next("message"))["text"] == "Hi"
