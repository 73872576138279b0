"""What the config may say, and what setting a number up says and checks."""

import subprocess
import sys
from typing import Any

import pytest
from pydantic import ValidationError

from adapters import whatsapp
from adapters.whatsapp import Account, Settings
from tests.platforms.twilio.driver import PUBLIC_URL
from tests.platforms.twilio.ledger import NUMBER, Template
from tests.whatsapp.rig import rig, settings

WHOLE = {
    "enabled": True,
    "account_sid": "AC1",
    "auth_token": "secret",
    "from": "+1 (415) 555-0100",
    "public_url": "https://desk.example.test/",
}


def parsed(**changes: Any) -> Settings:  # values of TOML
    return Settings.model_validate({**WHOLE, **changes})


def test_numbers_and_urls_are_brought_into_one_form() -> None:
    """However they are written."""
    found = parsed(allow={"people": ["whatsapp:+4915550001111", "+49 155 5000 2222"]})
    assert (found.sender, found.public_url) == (NUMBER, "https://desk.example.test")
    assert found.allow.people == ["+4915550001111", "+4915550002222"]
    assert "secret" not in repr(found)


@pytest.mark.parametrize("key", ["account_sid", "auth_token", "from", "public_url"])
def test_f74_an_enabled_number_needs_all_that_tells_twilio_from_a_stranger(key: str) -> None:
    """Missing or empty."""
    with pytest.raises(ValidationError, match=key):
        parsed(**{key: ""})
    with pytest.raises(ValidationError, match=key):
        Settings.model_validate({name: given for name, given in WHOLE.items() if name != key})
    assert parsed(enabled=False, **{key: ""}).missing() == [key]


@pytest.mark.parametrize(
    "change",
    [
        {"from": "Frontdesk"},
        {"from": "0151 123"},
        {"public_url": "desk.example.test"},
        {"public_url": "https://desk.example.test/?a=1"},
        {"api_url": "ftp://x"},
        {"media_url": "x"},
        {"buttons_template": {"4": "HX1"}},
        {"buttons_template": {"two": "HX1"}},
        {"accounts": {"status": {}}},
        {"accounts": {"media": {}}},
        {"accounts": {"a/b": {}}},
        {"accounts": {"sales": {"from": "+14155550101"}}},
        {"unknown": 1},
    ],
)
def test_what_cannot_work_is_refused(change: dict[str, Any]) -> None:
    """Before anything starts."""
    with pytest.raises(ValidationError):
        parsed(**change)


def test_further_numbers_run_unless_they_are_switched_off() -> None:
    """And the section itself need not be one."""
    sales = {name: given for name, given in WHOLE.items() if name != "enabled"}
    found = parsed(accounts={"sales": sales, "old": {**sales, "enabled": False}})
    assert list(whatsapp.accounts(found)) == ["", "sales"]
    only = Settings.model_validate({"enabled": True, "accounts": {"sales": sales}})
    assert list(whatsapp.accounts(only)) == ["sales"]
    with pytest.raises(ValidationError, match="account_sid"):
        Settings.model_validate({"enabled": True})


def test_the_settings_load_without_twilios_library() -> None:
    """It costs memory and time that nobody else should pay."""
    code = (
        "import sys, adapters.whatsapp, adapters.whatsapp.adapter\n"
        "assert not [name for name in sys.modules if name.split('.')[0] == 'twilio']"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_guide_names_what_to_paste() -> None:
    """For every number, with the repeats that Twilio makes only when it is told."""
    text = whatsapp.guide(Settings(), "https://desk.example.test")
    assert "https://desk.example.test/webhooks/whatsapp#rc=5&rp=all" in text
    named = Settings(accounts={"sales": Account()})
    assert "/webhooks/whatsapp/sales#rc=5&rp=all" in whatsapp.guide(named, "https://desk.example.test")


async def test_check_asks_twilio_for_everything_it_can_tell() -> None:
    """And says what to do where it is not so."""
    async with rig(is_running=False) as it:
        good = settings(it.platform, window_template="HX1")
        it.server.templates["HX1"] = Template("An answer waits.", sid="HX1")
        found = await whatsapp.check(good, it.host)
        assert len(found) == 3
        assert all(each.is_well for each in found)

        it.server.webhook, it.server.templates = "https://old.example.test/hook", {}
        _, webhook, template = await whatsapp.check(good, it.host)
        assert not webhook.is_well
        assert f"{PUBLIC_URL}/webhooks/whatsapp#rc=5&rp=all" in webhook.mend
        assert not template.is_well

        other = settings(it.platform, **{"from": "+14155559999"})
        assert [each.is_well for each in await whatsapp.check(other, it.host)] == [True, False]
        sandbox = settings(it.platform, **{"from": "+14155238886"})
        assert [each.is_well for each in await whatsapp.check(sandbox, it.host)] == [True, True]

        it.platform.refuse_token(True)
        (account,) = await whatsapp.check(good, it.host)
        assert not account.is_well
        assert "auth_token" in account.mend
        (whole,) = await whatsapp.check(settings(it.platform, enabled=False, auth_token=""), it.host)
        assert "auth_token" in whole.mend
