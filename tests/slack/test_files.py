"""Files that people send are handed over unread, and opened with the bot's token at Slack alone."""

import pytest

from adapters.slack.files import is_slacks
from bot.errors import Refused
from tests.slack.rig import Rig


async def test_a_file_comes_with_its_message_and_opens(rig: Rig) -> None:
    file = rig.people.add_file(rig.anna, "order.pdf", b"%PDF-1.7 order")
    rig.people.say(rig.anna, rig.room, "my order", file=file)
    (heard,) = await rig.heard()
    (sent,) = heard.files
    assert (sent.name, sent.media_type, sent.size_bytes) == ("order.pdf", "application/pdf", 14)
    assert rig.house.fetched == []
    async with rig.adapter.open_file(sent.source) as fetched:
        assert b"".join([piece async for piece in fetched.data]) == b"%PDF-1.7 order"


async def test_f67_a_sign_in_page_in_place_of_a_file_names_the_missing_scope(rig: Rig) -> None:
    file = rig.people.add_file(rig.anna, "order.pdf", b"%PDF-1.7 order")
    rig.people.say(rig.anna, rig.room, "my order", file=file)
    source = (await rig.heard())[0].files[0].source
    rig.space.scopes.discard("files:read")
    with pytest.raises(Refused, match="files:read"):
        async with rig.adapter.open_file(source):
            pass


async def test_f68_the_token_is_shown_to_slack_alone(rig: Rig) -> None:
    with pytest.raises(Refused):
        async with rig.adapter.open_file("https://evil.example/files-pri/T1-F1/x.pdf"):
            pass
    assert rig.house.fetched == []


@pytest.mark.parametrize(
    ("url", "is_so"),
    [
        ("https://files.slack.com/files-pri/T1-F1/a.pdf", True),
        ("https://slack.com/x", True),
        ("http://files.slack.com/files-pri/T1-F1/a.pdf", False),
        ("https://slack.com.evil.example/x", False),
        ("https://evilslack.com/x", False),
        ("https://evil.example/?https://slack.com", False),
        ("https://slack.com@evil.example/", False),
        ("file:///etc/passwd", False),
        ("", False),
    ],
)
def test_f68_only_slacks_own_addresses_are_slacks(url: str, is_so: bool) -> None:
    assert is_slacks(url, "https://slack.com/api/") is is_so
