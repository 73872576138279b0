"""Where several people speak, only what is one person's goes; and what operators' rooms showed goes with it."""

import asyncio
from pathlib import Path

from bot.ids import conversation_id
from bot.model import Accepted, Address, Heard, Identity, MessageReceived
from bot.people.erasure import Erasure
from bot.store import people
from tests.pipeline.house import Core, core
from tests.users.house import eraser, house
from tests.users.planting import files_with

ROOM = Address("list", "", "room")


async def say(found: Core, name: str, text: str, id_: str, before: tuple[Heard, ...] = ()) -> Accepted:
    who = Identity("list", "", name, name.title())
    told = await found.intake.receive(MessageReceived(who, ROOM, id_, text, before=before))
    await found.rest()
    return told


async def test_what_others_said_in_the_same_conversation_stays(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    async with house(folder) as found:
        await say(found, "adalovelace", "my invoice 99887766 is wrong", "1")
        await say(found, "evelyn", "mine is right, thank you", "2")
        await say(found, "adalovelace", "lucky you, zanzibar", "3")
        receipt = await eraser(found, folder).run("list:adalovelace", "request 1", "local:root")
        assert receipt.scan is not None
        assert receipt.scan.found == []
        for text in ("99887766", "zanzibar", "adalovelace", "Adalovelace"):
            assert files_with(folder, text) == [], text
        left = await found.all("SELECT text FROM messages WHERE author = 'user'")
        assert left == [("mine is right, thank you",)]
        rows = await found.all("SELECT i.external_id FROM conversations c JOIN identities i ON i.id = c.identity_id")
        assert rows == [("evelyn",)]
        answered = await say(found, "evelyn", "and now?", "4")
        assert not answered.is_duplicate
        assert "and now?" in found.channel.sent[-1].text


async def test_what_was_overheard_of_an_erased_person_does_not_come_back(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    async with house(folder) as found:
        ada = Identity("list", "", "adalovelace", "Ada")
        heard = Heard(ada, "h1", "zanzibar is nice", 1)
        await say(found, "evelyn", "hello", "1", before=(heard,))
        assert files_with(folder, "zanzibar") != []
        await eraser(found, folder).run("list:adalovelace", "request 1", "local:root")
        await say(found, "evelyn", "hello again", "2", before=(heard,))
        assert files_with(folder, "zanzibar") == []


async def test_two_linked_accounts_are_erased_together(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    async with house(folder) as found:
        for name in ("adalovelace", "countess"):
            await found.say(f"I am {name}", name, chat=name)
        await found.rest()
        one, two = [(await found.store.run(people.find, f"list:{each}"))[0].id for each in ("adalovelace", "countess")]
        await found.store.run(people.link, one, two, "local:root", 5)
        await eraser(found, folder).run("list:countess", "request 1", "local:root")
        for text in ("adalovelace", "countess"):
            assert files_with(folder, text) == [], text
        assert await found.all("SELECT id FROM users") == []


async def test_units_that_are_handed_over_during_the_cleaning_wait_and_are_kept(tmp_path: Path) -> None:
    async with core(tmp_path / "data") as found:
        cleaning = asyncio.ensure_future(found.store.scrub())
        accepted = await found.say("meanwhile", "m1")
        await cleaning
        await found.rest()
        assert accepted.seq == 1
        assert (tmp_path / "data" / "frontdesk.db-wal").stat().st_size < 200_000


async def test_an_erasure_that_was_cut_short_can_be_run_again(tmp_path: Path) -> None:
    """As after a kill behind the first step: the words are gone, the person is known still."""
    folder = tmp_path / "data"
    async with house(folder) as found:
        await found.say("zanzibar", "m1", chat="adalovelace")
        await found.rest()
        run: Erasure = eraser(found, folder)
        await run._forget((await found.store.run(people.find, "list:adalovelace"))[0].user)
    async with house(folder) as found:
        await eraser(found, folder).run("list:adalovelace", "request 1", "local:root")
        assert files_with(folder, "adalovelace") == []
        assert await found.all(f"SELECT 1 FROM conversations WHERE id = '{conversation_id(ROOM)}'") == []
