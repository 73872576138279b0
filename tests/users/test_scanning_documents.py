"""A receipt names the documents in which a person's words stand still, for whoever has to look at them."""

from pathlib import Path

from bot.people.scanning import DOCUMENTS, Sought, scan, told
from bot.ports import Cursor
from bot.store.copying import UPLOADS
from tests.store.database import opened


async def test_an_accepted_document_with_a_persons_words_is_named_as_the_companys_own(tmp_path: Path) -> None:
    """And what was left over elsewhere is not."""
    data = tmp_path / "data"
    async with opened(data) as store:
        for file in (UPLOADS / "pianos.md", Path("blobs", "aa", "left")):
            (data / file).parent.mkdir(parents=True, exist_ok=True)
            (data / file).write_text("Dear quetzal-canary-9942, by ship.")
        hits = scan(data, [Sought("name", "quetzal-canary-9942")])

        def look(cursor: Cursor) -> dict[str, dict[str, int]]:
            return {each.file: dict(each.rows) for each in told(cursor, hits, 1, 1).found}

        found = await store.run(look)
    assert found == {"blobs/aa/left": {}, "knowledge/uploads/pianos.md": {DOCUMENTS: 1}}
