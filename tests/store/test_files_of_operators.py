"""What an operator sends with a reply is the user's to open; what stands in a note is not."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.errors import Refused
from bot.model import Attachment, Author, Blob, BlobId, Identity
from bot.store.blobs import Blobs
from bot.store.folder import BLOBS
from tests.console.people import People
from tests.operators.house import House, housed
from tests.store.test_pictures import png

ZOE = Identity("web", "", "x-Zoe")
YAN = Identity("web", "", "x-Yan")
ANN = Identity("console", "", "ann", verified=True)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with housed(tmp_path / "data") as house:
        yield house


async def picture() -> AsyncIterator[bytes]:
    yield png(2, 2)


async def opened(blobs: Blobs, id_: BlobId, reader: Identity) -> bool:
    try:
        _, data = await blobs.open(id_, reader)
    except Refused:
        return False
    return [chunk async for chunk in data] != []


async def test_a_file_of_an_operator_opens_for_the_user_it_was_sent_to_and_for_nobody_else(
    house: House, tmp_path: Path
) -> None:
    blobs = Blobs(tmp_path / "data" / BLOBS, house.store, house.clock, 300_000)
    people = People(house.store, house.clock.now_ms() - 10_000)
    zoe, _ = await people.talk("Zoe"), await people.talk("Yan")
    sent, noted, kept = [await blobs.save(picture(), "plan.png", ANN) for _ in range(3)]

    def of(blob: Blob) -> tuple[Attachment, ...]:
        return (Attachment(blob.id, blob.name, blob.media_type, blob.size_bytes),)

    await people.say(zoe, "Here it is", Author.OPERATOR, attachments=of(sent))
    await people.say(zoe, "Careful", Author.OPERATOR, is_note=True, attachments=of(noted))
    assert await opened(blobs, sent.id, ZOE)
    for blob, reader in ((sent, YAN), (noted, ZOE), (kept, ZOE), (noted, YAN)):
        assert not await opened(blobs, blob.id, reader)
    await house.store.run(lambda cursor: cursor.execute("UPDATE messages SET is_deleted = 1"))
    assert not await opened(blobs, sent.id, ZOE)


async def test_a_file_that_the_user_claims_in_words_of_their_own_stays_shut(house: House, tmp_path: Path) -> None:
    blobs = Blobs(tmp_path / "data" / BLOBS, house.store, house.clock, 300_000)
    people = People(house.store, house.clock.now_ms() - 10_000)
    zoe = await people.talk("Zoe")
    kept = await blobs.save(picture(), "plan.png", ANN)
    await people.say(zoe, "mine", attachments=(Attachment(kept.id, kept.name, kept.media_type, kept.size_bytes),))
    assert not await opened(blobs, kept.id, ZOE)
