"""The house knows where others read along."""

from bot.model import MessageReceived
from tests.discord.conftest import Open
from tests.platforms.discord.server import DiscordServer


async def test_f96_all_but_direct_messages_are_shared(server: DiscordServer, opened: Open) -> None:
    desk = await opened()
    ann = server.person("Ann")
    room = server.add_room(server.add_guild("Shop", ann), "help")
    server.say(ann, "Where is my parcel?")
    event: MessageReceived = await desk.host.event(MessageReceived)
    assert event.is_shared is False
    server.say(ann, f"<@{server.world.bot.id}> where is it?", room)
    event = await desk.host.event(MessageReceived, 2)
    assert (event.text, event.is_shared) == ("where is it?", True)
