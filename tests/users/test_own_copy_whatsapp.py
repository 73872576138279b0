"""A copy of one's data on WhatsApp, which carries no such files: a link takes the file's place, and works for a day."""

import re

import aiohttp
import pytest

from adapters.whatsapp import path
from adapters.whatsapp.signatures import LINK_S
from bot.errors import SendRefused
from bot.model import Attachment, Blob, BlobId, MessageId
from bot.store.blobs import OWN_COPY
from tests.clock import ManualClock
from tests.platforms.twilio.driver import PUBLIC_URL
from tests.whatsapp.rig import AT, Rig, message, rig

DATA = b'{"format": "frontdesk user export 1"}\n'
COPY = Attachment(BlobId("c1"), "my-data.json", OWN_COPY, len(DATA))


def keep(it: Rig) -> None:
    it.host.attachments[MessageId("m1"), COPY.blob] = (Blob(COPY.blob, COPY.name, COPY.media_type, len(DATA)), DATA)


def link_in(it: Rig) -> str:
    texts = [each.text for each in it.platform.seen() if each.is_ours]
    (link,) = [found[1] for text in texts if (found := re.fullmatch(r"my-data\.json: (\S+)", text))]
    assert link.startswith(f"{PUBLIC_URL}{path('')}/media/")
    return link.replace(PUBLIC_URL, it.url)


async def test_a_link_to_the_file_comes_before_the_text_and_saves_it_for_a_day() -> None:
    async with rig(clock := ManualClock()) as it:
        it.open_window()
        keep(it)
        await it.adapter.send(AT, message("Here it is", attachments=(COPY,)))
        shown = [(each.text.partition(":")[0], each.files) for each in it.platform.seen() if each.is_ours]
        assert sorted(shown) == [("Here it is", ()), ("my-data.json", ())]
        link = link_in(it)
        async with aiohttp.ClientSession() as session:
            clock.step_wall(LINK_S * 1000)
            async with session.get(link) as answer:
                assert (answer.status, await answer.read()) == (200, DATA)
                assert answer.headers["Content-Disposition"] == "attachment; filename*=UTF-8''my-data.json"
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
            clock.step_wall(1000)
            async with session.get(link) as answer:
                assert answer.status == 404


async def test_after_a_break_the_link_is_not_sent_twice() -> None:
    """Though its address differs at each try."""
    async with rig() as it:
        it.open_window()
        keep(it)
        sent = message("x", attachments=(COPY,))
        it.platform.limit_rate(1, 1.0)
        with pytest.raises(SendRefused):
            await it.adapter.send(AT, sent)
        await it.adapter.send(AT, sent)
        link_in(it)
