"""The driver keeps what the suite of all adapters counts on."""

from collections.abc import AsyncIterator

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from tests.platforms.kit import Platform
from tests.platforms.slack.conftest import App
from tests.platforms.slack.delivery import Outcome
from tests.platforms.slack.driver import SlackPlatform
from tests.platforms.slack.manifest import install, problems
from tests.platforms.slack.world import Json
from tests.store.database import until

CHOICE: list[Json] = [
    {"type": "markdown", "text": "**Sure?**"},
    {
        "type": "actions",
        "elements": [
            {"type": "button", "action_id": "yes", "value": "y", "text": {"type": "plain_text", "text": "Yes"}}
        ],
    },
]


@pytest.fixture
async def platform() -> AsyncIterator[SlackPlatform]:
    made = SlackPlatform()
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def bot(platform: SlackPlatform) -> AsyncIterator[App]:
    app = App(platform.server, platform.site)
    await app.connect()
    yield app
    await app.close()


async def post(client: AsyncWebClient, platform: SlackPlatform, text: str, **more: object) -> str:
    room = platform.site.space.direct(platform.person).id
    answer = await client.api_call(
        "chat.postMessage", json={"channel": room, "text": text, "unfurl_links": False, "unfurl_media": False} | more
    )
    return str(answer["ts"])


async def test_it_is_a_platform_and_its_config_does_not_change(platform: SlackPlatform) -> None:
    driver: Platform = platform
    first = driver.config()
    driver.attach(8080)
    assert driver.config() == first
    assert first["mode"] == "socket"
    assert "signing_secret" not in first
    assert SlackPlatform("http").config().keys() >= {"signing_secret", "bot_token", "api_url"}


async def test_what_both_sides_write_edit_and_delete_is_seen(platform: SlackPlatform, bot: App) -> None:
    await platform.wait_ready()
    said = await platform.say("Hello", file=b"x", file_name="a.txt")
    other = await platform.say("Not here", by_other=True)
    answer = await post(bot.bolt.client, platform, "Hi")
    await bot.bolt.client.chat_update(
        channel=platform.site.space.direct(platform.person).id, ts=answer, text="Hi there"
    )
    await platform.edit(said, "Hello!")
    mine, theirs = platform.seen()
    assert (mine.id, mine.is_ours, mine.text, mine.files, mine.is_edited) == (said, False, "Hello!", ("a.txt",), True)
    assert (theirs.is_ours, theirs.text) == (True, "Hi there")
    assert platform.was_shown() == ["Hi", "Hi there"]
    assert [message.id for message in platform.seen(by_other=True)] == [other]
    await platform.delete(said)
    assert [message.text for message in platform.seen()] == ["Hi there"]


async def test_buttons_are_pressed_and_verdicts_given(platform: SlackPlatform, bot: App) -> None:
    await post(bot.bolt.client, platform, "Sure?", blocks=CHOICE)
    (seen,) = platform.seen()
    assert (seen.text, seen.buttons) == ("**Sure?**", ("Yes",))
    await platform.press(seen, "Yes")
    await platform.rate(seen, "up")
    await until(lambda: len(bot.events("reaction_added")) == 1)
    assert [body["actions"][0]["value"] for body in bot.got if body["type"] == "block_actions"] == ["y"]
    assert bot.events("reaction_added")[0]["reaction"] == "+1"
    assert platform.violations() == []


async def test_events_can_come_backwards_and_again(platform: SlackPlatform, bot: App) -> None:
    ids = await platform.say_out_of_order(["one", "two"])
    await until(lambda: len(bot.got) == 2)
    assert [parcel.payload["event"]["text"] for parcel in platform.site.delivery.parcels] == ["two", "one"]
    assert [message.text for message in platform.seen()] == ["one", "two"]
    await platform.repeat(ids[0])
    await until(lambda: len(bot.got) == 3)
    await until(lambda: platform.site.delivery.parcels[1].outcomes == [Outcome.TAKEN] * 2)


async def test_in_the_assistant_view_everything_is_said_in_one_thread() -> None:
    platform = SlackPlatform(in_assistant=True)
    await platform.start()
    first, second = await platform.say("one"), await platform.say("two")
    posts = platform.site.space.posts[platform.site.space.direct(platform.person).id]
    assert posts[first].thread_ts == posts[second].thread_ts != ""
    assert [message.text for message in platform.seen()] == ["one", "two"]
    await platform.stop()


MANIFEST: Json = {
    "display_information": {"name": "Frontdesk"},
    "features": {
        "bot_user": {"display_name": "Frontdesk"},
        "slash_commands": [{"command": "/ask", "description": "Ask"}],
    },
    "oauth_config": {"scopes": {"bot": ["chat:write", "commands", "im:history"]}},
    "settings": {"event_subscriptions": {"bot_events": ["message.im"]}, "socket_mode_enabled": True},
}


async def test_an_app_has_what_its_manifest_names_and_nothing_else(platform: SlackPlatform, bot: App) -> None:
    assert install(platform.site, MANIFEST) == []
    general = platform.site.space.add_channel("general", platform.person)
    platform.site.people.mention(platform.person, general, "not subscribed")
    await platform.say("seen")
    await until(lambda: bot.got != [])
    assert [event["text"] for event in bot.events("message")] == ["seen"]
    assert (await platform.site.people.command(platform.person, general, "/ask")).outcome is Outcome.TAKEN
    assert (await platform.site.people.command(platform.person, general, "/frontdesk")).outcome is Outcome.NOBODY


@pytest.mark.parametrize(
    ("section", "content", "what"),
    [
        ("display_information", {}, "display_information.name must have 1 to 35 characters"),
        (
            "oauth_config",
            {"scopes": {"bot": ["chat:write", "commands"]}},
            "the event message.im needs the scope im:history",
        ),
        ("oauth_config", {"scopes": {"bot": ["im:history", "chat:writ"]}}, "unknown scope chat:writ"),
        ("settings", {"event_subscriptions": {"bot_events": ["message.imm"]}}, "unknown event message.imm"),
        (
            "settings",
            {"event_subscriptions": {"bot_events": ["message.im"]}},
            "settings.event_subscriptions.request_url is needed without Socket Mode",
        ),
    ],
)
def test_a_manifest_that_slack_would_not_take_is_found_out(section: str, content: Json, what: str) -> None:
    assert what in problems(MANIFEST | {section: content})
