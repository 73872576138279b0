"""Codes and forms from elsewhere."""

from adapters.discord import forms
from bot.model import MessageReceived
from bot.ports import HostLimits
from tests.discord.conftest import Open
from tests.discord.house import FakeHost
from tests.discord.office import Office
from tests.platforms.discord.interactions import said
from tests.platforms.discord.server import DiscordServer


async def test_codes_are_tried_no_more_often_than_messages_are_written(server: DiscordServer, opened: Open) -> None:
    office, host = Office(server), FakeHost()
    host.limits = HostLimits(messages_per_minute=2)
    desk = await office.open(opened, host)
    for count, code in enumerate(("1", "2"), 1):
        server.interactions.run_command(office.kim, office.help, "link", code=code)
        await desk.host.event(MessageReceived, count)
    run = await server.interactions.run_command(office.kim, office.help, "link", code="3").wait()
    assert said(run) == ["Too many tries. Please wait a minute."]
    server.interactions.run_command(office.lee, office.help, "link", code="4")
    await desk.host.event(MessageReceived, 3)
    assert desk.host.texts() == ["!link 1", "!link 2", "!link 4"]


def test_what_only_begins_like_a_form_is_none() -> None:
    assert forms.is_form("form:reply:123")
    assert forms.is_form("form:reply:")
    assert not forms.is_form("form:reply")
    assert not forms.is_form("form:resolve-all:1")
