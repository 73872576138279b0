"""Two messages of ours that read alike, of which one may not have arrived."""

from tests.discord.conftest import Open
from tests.discord.house import answer, dm
from tests.platforms.discord.server import DiscordServer


async def test_f12_an_equal_text_that_was_sent_before_proves_nothing_of_the_next(
    server: DiscordServer, opened: Open
) -> None:
    """Also to a new process, which knows no keys: what the house has a receipt for is another message."""
    desk = await opened()
    ann = server.person("Ann")
    attempted = desk.host.clock.now_ms()
    sent = await desk.adapter.send(dm(server, ann), answer("Yes, it does.", "m1"))
    await desk.stop()
    again = await opened()
    again.host.receipts.add(sent.external_id)
    assert await again.adapter.find(dm(server, ann), answer("Yes, it does.", "m2"), attempted) is None
