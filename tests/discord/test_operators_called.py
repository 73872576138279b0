"""A line that calls operators: exactly those whose accounts are linked are pinged, whatever else stands in it."""

import pytest

from bot.model import Author
from tests.discord.conftest import Open
from tests.discord.house import ours
from tests.discord.office import Office, message
from tests.platforms.discord.server import DiscordServer

ODD = ("@everyone", "&42", "everyone", "", "-1", "1> @here <@2")


async def test_f104_a_notice_pings_the_linked_accounts_and_nobody_else(server: DiscordServer, opened: Open) -> None:
    """Names and ids in the words of the line are only words."""
    office = Office(server)
    desk = await office.open(opened)
    card = await office.card(desk)
    thread = await office.thread(desk, card)
    text = f"Ben <@{office.lee.id}> @everyone @here <@&42> names you in a note."
    line = message(Author.SYSTEM, text, "called", mentions=(str(office.kim.id), *ODD))
    await desk.adapter.send(office.of(card), line)
    post = ours(server, thread)[-1]
    assert post.content.startswith(f"<@{office.kim.id}> ")
    assert [each.id for each in post.mentions] == [office.kim.id]
    assert not post.pings_everyone
    who = f"pings Mentions(users=({office.kim.id},), roles=(), is_everyone=False)"
    assert [each[: len(who)] for each in server.violations] == [who], "it names whatever calls anybody"


@pytest.mark.parametrize("author", [Author.USER, Author.AGENT, Author.OPERATOR])
async def test_only_the_house_calls_anybody(server: DiscordServer, opened: Open, author: Author) -> None:
    office = Office(server)
    desk = await office.open(opened)
    card = await office.card(desk)
    thread = await office.thread(desk, card)
    said = message(author, "Hello", "said", name="Ann", mentions=(str(office.kim.id),))
    await desk.adapter.send(office.of(card), said)
    assert not any(post.mentions or post.pings_everyone for post in ours(server, thread))
