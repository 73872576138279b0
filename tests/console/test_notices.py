"""What an operator asked to be told of reaches their consoles, and nobody else's."""

from bot.handoff import watching
from bot.ports import Cursor
from tests.console.desk import Desk, Page


async def came(desk: Desk, name: str) -> Page:
    page = await desk.signed_in(name)
    assert await page.connect() == 101
    await page.frame("consents")
    return page


async def test_a_notice_goes_to_the_consoles_of_its_operator_and_again_to_one_that_comes_soon_after(desk: Desk) -> None:
    """With the same id, by which a page shows it once."""
    ann, ben = await came(desk, "ann"), await came(desk, "ben")
    zoe = await desk.people.talk("Zoe", text="Hello")
    writer = await desk.house.operators.named("ben")

    def unit(cursor: Cursor) -> watching.Told:
        watching.name_in_note(cursor, "for @ann", writer, zoe, "case", "note-1", desk.clock.now_ms())
        return watching.tell(cursor, zoe, desk.clock.now_ms())

    told = await desk.house.store.run(unit)
    desk.console.hub.ring(told.notices)
    frame = await ann.frame("notice")
    assert (frame["conversation"], frame["text"]) == (zoe, "Ben names you in a note.")
    later = await came(desk, "ann")
    assert (await later.frame("notice"))["id"] == frame["id"]
    assert not [each for each in ben.frames if each["type"] == "notice"]
