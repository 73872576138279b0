"""A line that calls operators: exactly those whose accounts are linked are mentioned, whatever else stands in it."""

import pytest

from bot.model import Author
from tests.platforms.slack import blockkit
from tests.slack.desk import Desk

ODD = ("<!channel>", "channel", "U1> <!here", "S0TEAM", "", "u0eva", "!subteam^S1")


async def test_f104_a_notice_mentions_the_linked_accounts_and_nobody_else(desk: Desk) -> None:
    """In the text of the notification and in the blocks: names in the words of the line are only words."""
    card = await desk.posted()
    text = f"Ben <!channel> <@{desk.anna.id}> @everyone names you in a note."
    line = desk.message(text, author=Author.SYSTEM, mentions=(desk.eva.id, *ODD, desk.ole.id))
    await desk.adapter.send(desk.at(card.ts), line)
    post = desk.ours(desk.desk.id)[-1]
    assert post.thread_ts == card.ts
    wanted = [f"<@{desk.eva.id}>", f"<@{desk.ole.id}>"]
    assert blockkit.mentions_in(post.text, []) == wanted
    assert blockkit.mentions_in("", post.blocks) == wanted
    assert post.text.startswith(" ".join(wanted))
    noted = desk.site.space.ledger.violations  # it notes whatever calls anybody
    assert {each.rpartition(": ")[2] for each in noted} == set(wanted)
    desk.site.space.ledger.violations.clear()


@pytest.mark.parametrize("author", [Author.USER, Author.AGENT, Author.OPERATOR])
async def test_only_the_house_calls_anybody(desk: Desk, author: Author) -> None:
    card = await desk.posted()
    said = desk.message("Hello", author=author, name="Anna", mentions=(desk.eva.id,))
    await desk.adapter.send(desk.at(card.ts), said)
    post = desk.ours(desk.desk.id)[-1]
    assert blockkit.mentions_in(post.text, post.blocks) == []
