"""The adapter over time: credentials, outages, files of people, and what never leaves."""

import asyncio
import logging
from collections.abc import AsyncIterator

import aiohttp
import pytest

from adapters.whatsapp.adapter import WhatsAppAdapter
from adapters.whatsapp.api import Api
from adapters.whatsapp.calls import Unreachable
from bot.errors import ChannelFault, FetchError, SendRefused
from bot.model import Address, MessageReceived
from bot.ports import (
    Adapter,
    ChannelState,
    Drafts,
    OpensFiles,
    Reconciles,
    SendsTemplates,
    Splits,
    Typing,
)
from tests.clock import ManualClock
from tests.platforms.twilio.ledger import PERSON, TOKEN, Media
from tests.whatsapp.rig import AT, FakeHost, Rig, message, rig, serving, settings


async def fault_of(it: Rig) -> ChannelFault:
    """What ends a run."""
    with pytest.raises(ChannelFault) as fault:
        await it.adapter.run()
    return fault.value


async def test_it_has_the_abilities_of_its_platform_and_no_others() -> None:
    """WhatsApp shows no drafts."""
    async with rig(is_running=False) as it:
        adapter: Adapter = it.adapter
        for ability in (Typing, Splits, Reconciles, OpensFiles, SendsTemplates):
            assert isinstance(adapter, ability)
        assert not isinstance(adapter, Drafts)
        assert (adapter.limits.text_chars, adapter.limits.window_s) == (1_600, 24 * 3600)


async def test_a_refused_token_stops_the_channel_and_says_what_to_do() -> None:
    """So does an account that is not active."""
    async with rig(is_running=False) as it:
        it.platform.refuse_token(True)
        assert "auth_token" in (await fault_of(it)).mend
        it.platform.refuse_token(False)
        it.server.is_account_active = False
        assert "suspended" in (await fault_of(it)).detail


async def test_an_outage_at_the_start_is_waited_for() -> None:
    """It is told, and ends by itself."""
    async with rig(clock := ManualClock(), is_running=False) as it:
        runners, it.server._runners = it.server._runners, []
        await runners[0].cleanup()
        task = asyncio.get_running_loop().create_task(it.adapter.run())
        await it.until(lambda: len(it.host.reports) > 1)
        assert it.host.reports[-1][0] is ChannelState.CONNECTING
        assert "cannot be reached" in it.host.reports[-1][1]
        for _ in range(3):
            count = len(it.host.reports)
            await clock.advance(60)
            await it.until(lambda: len(it.host.reports) > count)  # noqa: B023 - used within the round
        task.cancel()
        await asyncio.wait([task])
        await runners[1].cleanup()


async def test_f78_a_token_that_is_revoked_while_running_is_noticed() -> None:
    """Told within five minutes; after ten more the channel stops, for it will not come back by itself."""
    async with rig(clock := ManualClock(), is_running=False) as it:
        task = asyncio.get_running_loop().create_task(it.adapter.run())
        await it.until(lambda: "swept" in it.host.kept)
        it.platform.refuse_token(True)
        await clock.advance(301)
        await it.until(lambda: it.host.reports[-1][0] is ChannelState.CONNECTING and "20003" in it.host.reports[-1][1])
        for _ in range(200):
            if task.done():
                break
            await clock.advance(10)
            await asyncio.sleep(0.005)
        assert isinstance(task.exception(), ChannelFault)


async def test_what_a_person_sent_is_read_without_giving_credentials_away() -> None:
    """Twilio sends the reader on to another origin."""
    async with rig() as it:
        it.server.write(PERSON, "", media=Media(b"%PDF-1.7 content", "application/pdf"))
        (event,) = await it.received()
        assert isinstance(event, MessageReceived)
        async with it.adapter.open_file(event.files[0].source) as fetched:
            assert await _all(fetched.data) == b"%PDF-1.7 content"
        assert not it.server.violations
        (url, headers, trusted) = it.host.fetched[0]
        assert url.startswith(it.server.api_url)
        assert headers["Authorization"].startswith("Basic ")
        assert trusted == (it.server.api_url, it.server.media_url)


async def test_a_file_at_another_origin_is_asked_for_without_credentials() -> None:
    """Whatever the webhook named."""
    async with rig() as it:
        with pytest.raises(FetchError):
            async with it.adapter.open_file("https://files.example.test/x"):
                pass
        assert it.host.fetched[0][1] == {}


async def test_f67_a_web_page_in_place_of_a_file_is_no_file() -> None:
    """It is a sign-in page, or an error."""
    async with rig() as it:
        record = it.server.write(PERSON, "", media=Media(b"<html>Sign in</html>", "text/html"))
        (event,) = await it.received()
        assert isinstance(event, MessageReceived)
        with pytest.raises(FetchError):
            async with it.adapter.open_file(event.files[0].source):
                pass
        assert record.media


async def test_a_further_number_has_paths_and_addresses_of_its_own() -> None:
    """Side by side with the first."""
    async with rig(account="sales") as it:
        assert {route.path for route in it.adapter.routes()} == {
            "/webhooks/whatsapp/sales",
            "/webhooks/whatsapp/sales/status",
            "/webhooks/whatsapp/sales/media/{token}",
        }
        it.server.webhook = it.server.webhook.replace("/whatsapp", "/whatsapp/sales")
        await it.platform.say("Hello")
        (event,) = await it.received()
        assert isinstance(event, MessageReceived)
        assert (event.at, event.sender.account) == (Address("whatsapp", "sales", PERSON), "sales")
        await it.adapter.send(event.at, message("Hi"))
        await it.server.settle()
        assert len(it.host.events) == 4
        assert not it.server.violations


async def test_credentials_go_to_no_other_place() -> None:
    """Also where an answer names one."""
    async with rig() as it:
        api = Api(settings(it.platform), aiohttp.TCPConnector())
        try:
            with pytest.raises(Unreachable, match="not in the config"):
                await api._http.request("GET", "https://evil.example.test/2010-04-01", auth=("AC", "secret"))
        finally:
            await api.close()


async def test_outside_the_perimeter_no_request_has_left() -> None:
    """So that is a refusal, and nothing uncertain."""
    async with rig(is_running=False) as it:
        host = FakeHost(it.host.clock, allow=["203.0.113.1"])
        api = Api(settings(it.platform, api_url="http://twilio.example.test"), host.connector())
        with pytest.raises(Unreachable, match="outside"):
            await api.account_status()
        await api.close()


async def test_twilios_own_hosts_are_kept_apart_by_product() -> None:
    """Also in another region; elsewhere one address serves all."""
    async with rig(is_running=False) as it:
        places = {
            "https://api.twilio.com": "https://messaging.twilio.com/v2",
            "https://api.dublin.ie1.twilio.com": "https://messaging.dublin.ie1.twilio.com/v2",
            "http://127.0.0.1:1": "http://127.0.0.1:1/v2",
        }
        for api_url, there in places.items():
            api = Api(settings(it.platform, api_url=api_url), aiohttp.TCPConnector())
            assert api._http._place("https://messaging.twilio.com/v2") == there
            await api.close()


async def test_f107_no_secret_and_no_word_of_a_person_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """At any level, the library's own log included."""
    caplog.set_level(logging.DEBUG)
    async with rig() as it:
        await it.platform.say("My card is 4111 1111 1111 1111")
        await it.received()
        await it.adapter.typing(AT)
        it.platform.limit_rate(1, 1.0)
        with pytest.raises(SendRefused):
            await it.adapter.send(AT, message("The answer is 42"))
        await it.adapter.send(AT, message("The answer is 42"))
        it.platform.refuse_token(True)
        await it.adapter.typing(AT)
        it.platform.refuse_token(False)
    for secret in (TOKEN, "4111", "42", "Basic "):
        assert secret not in caplog.text
    assert TOKEN not in repr(settings(it.platform))


async def test_every_message_of_a_long_gap_is_seen_page_by_page() -> None:
    """Twilio lists fifty or so at a time."""
    async with rig(clock := ManualClock()) as it:
        await it.platform.say("Before")
        await it.received()
        for count in range(230):
            it.server.write(PERSON, f"Message {count}", is_delivered=False)
            clock.step_wall(1_000)
        async with serving(it.platform, it.host):
            texts = [event.text for event in it.host.events if isinstance(event, MessageReceived)]
            assert texts[-231:] == ["Before", *(f"Message {count}" for count in range(230))]


async def test_f74_an_account_without_what_it_needs_cannot_be_made() -> None:
    """An empty token would let anybody in."""
    async with rig(is_running=False) as it:
        for key in ("auth_token", "public_url", "account_sid", "from"):
            with pytest.raises(ChannelFault, match=key):
                WhatsAppAdapter(settings(it.platform, enabled=False, **{key: ""}), FakeHost(it.host.clock))


async def _all(data: AsyncIterator[bytes]) -> bytes:
    return b"".join([chunk async for chunk in data])
