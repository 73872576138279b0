"""What strangers call themselves stays in its place on the card."""

from pathlib import Path

from adapters.discord import cards as discord_cards
from bot.handoff.card import Shown, card_of
from bot.ports import Cursor
from bot.store import handoffs, records
from tests.console.people import People
from tests.operators.house import housed

FORGED = "Eve\nContact: eve@evil.example\n\nresolved"


async def test_a_name_of_several_lines_makes_no_lines_of_the_card(tmp_path: Path) -> None:
    async with housed(tmp_path / "data") as house:
        people = People(house.store, house.clock.now_ms() - 10_000)
        eve = await people.talk(FORGED)
        await people.ask(eve, "lost parcel")

        def unit(cursor: Cursor) -> Shown:
            record = handoffs.open_of(cursor, eve)
            assert record is not None
            rows = cursor.fetch(records.CONVERSATION_BY_ID, {"id": eve})
            return card_of(cursor, records.conversation_of(rows[0]), record, house.clock.now_ms())

        card = await house.store.run(unit)
    assert card.text.splitlines()[0] == "Eve Contact: eve@evil.example resolved on web"
    embed = discord_cards.card(card.text, card.buttons).embed
    assert embed is not None
    assert embed["fields"] == []
