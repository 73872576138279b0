"""What operators find in the inbox, in every script."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.handoff.feed import Feed
from bot.handoff.views import Views
from bot.handoff.views_rows import Wanted
from tests.console.people import People
from tests.operators.house import House, housed


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with housed(tmp_path / "data") as house:
        yield house


@pytest.mark.parametrize(
    ("name", "text", "sought"),
    [
        ("Özlem", "Hello", "Özlem"),
        ("Özlem", "Hello", "özlem"),
        ("ÖZLEM", "Hello", "özlem"),
        ("Иван Петров", "Hello", "иван петров"),
        ("Zoe", "Ärger mit der Lieferung", "Ärger"),
        ("Zoe", "der ärger", "Ärger"),
        ("Zoe", "GRÖSSE", "grösse"),
        ("Zoe", "Hello THERE", "hello there"),
        ("Zoe", "50% off_now!", "50% off_now!"),
    ],
)
async def test_a_search_finds_what_differs_in_capitals_only(house: House, name: str, text: str, sought: str) -> None:
    views, people = Views(house.store, house.clock, Feed()), People(house.store, house.clock.now_ms() - 1000)
    await people.talk("Other", text="50 xoff now")
    wanted = await people.talk(name, text=text)
    found = await views.inbox(Wanted(text=sought))
    assert [row["conversation"] for row in found["rows"]] == [wanted]
