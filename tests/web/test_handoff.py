"""What the chat socket tells a visitor of a handoff."""

import pytest

from bot.model import Address, Author, Message, MessageId, Seq
from bot.ports import ShowsOwner
from tests.web.desk import Page, running


async def test_the_channel_can_show_who_answers() -> None:
    """The house finds the ability by its port."""
    async with running() as desk:
        assert isinstance(desk.adapter, ShowsOwner)


async def test_owner_place_and_typing_become_frames_on_every_page() -> None:
    """Each open page of the visitor hears each of them once, and no other visitor does."""
    async with running() as desk:
        page = await desk.visitor()
        second, stranger = await desk.visitor(token=page.welcome["token"]), await desk.visitor()
        await desk.adapter.owner_changed(page.at, "queue", "")
        await desk.adapter.queued(page.at, 2, 300)
        await desk.adapter.queued(page.at, 1, None)
        await desk.adapter.owner_changed(page.at, "operator", 'Ada "the" L.')
        await desk.adapter.typing_as(page.at, "Ada")
        for each in (page, second):
            assert await each.next() == {"type": "owner", "owner": "queue"}
            assert await each.next() == {"type": "queue", "position": 2, "wait_s": 300}
            assert await each.next() == {"type": "queue", "position": 1, "wait_s": None}
            assert await each.next() == {"type": "owner", "owner": "operator", "name": 'Ada "the" L.'}
            assert await each.next() == {"type": "typing", "name": "Ada"}
        assert (await stranger.say("Hi"))["seq"] == 1


async def test_typing_without_a_name_is_that_of_the_agent() -> None:
    """A name that is not known is left out."""
    async with running() as desk:
        page = await desk.visitor()
        await desk.adapter.typing_as(page.at, "")
        assert await page.next() == {"type": "typing"}


@pytest.mark.parametrize(
    ("owner", "name", "shown"),
    [
        ("agent", "", {"owner": "agent"}),
        ("queue", "", {"owner": "queue"}),
        ("01ARZ3NDEKTSV4RRFFQ69G5FAV", "Ada", {"owner": "operator", "owner_name": "Ada"}),
        ("01ARZ3NDEKTSV4RRFFQ69G5FAV", "", {"owner": "operator"}),
    ],
)
async def test_the_welcome_names_the_person_and_never_the_account(owner: str, name: str, shown: dict[str, str]) -> None:
    """Who comes back learns who has the conversation, and nothing else of them."""
    async with running() as desk:
        page = await desk.visitor()
        await page.say("Hello")
        desk.host.owner, desk.host.owner_name = owner, name
        again = await desk.visitor(token=page.welcome["token"])
        told = {key: value for key, value in again.welcome.items() if key.startswith("owner")}
        assert told == shown
        assert "01ARZ" not in str(again.welcome)


async def _waiting(page: Page) -> Address:
    await page.say("A person, please")
    return page.at


async def test_who_comes_back_while_waiting_is_told_the_place_again() -> None:
    """The latest place follows the welcome, also when it changed while nobody was there to hear."""
    async with running() as desk:
        page = await desk.visitor()
        at = await _waiting(page)
        desk.host.owner = "queue"
        await desk.adapter.queued(at, 3, 600)
        await page.ws.close()
        await desk.adapter.queued(at, 2, None)
        again = await desk.visitor(token=page.welcome["token"])
        assert await again.next() == {"type": "queue", "position": 2, "wait_s": None}


@pytest.mark.parametrize("is_told", [True, False])
async def test_a_place_is_forgotten_once_nobody_waits(is_told: bool) -> None:
    """After a person came, or the wait ended unseen, no old place is shown, not even in the next wait."""
    async with running() as desk:
        page = await desk.visitor()
        at = await _waiting(page)
        await desk.adapter.queued(at, 3, 600)
        if is_told:
            await desk.adapter.owner_changed(at, "operator", "Ada")
        else:
            await desk.visitor(token=page.welcome["token"])  # the house says that the agent has it
        desk.host.owner = "queue"
        again = await desk.visitor(token=page.welcome["token"])
        assert again.welcome["owner"] == "queue"
        await again.send("typing")
        assert (await again.say("Still there?", "a2"))["type"] == "ack"


async def test_a_person_and_the_agent_are_told_apart() -> None:
    """Author and name travel with what each of them says."""
    async with running() as desk:
        page = await desk.visitor()
        await desk.adapter.send(page.at, Message(MessageId("r1"), Seq(1), Author.AGENT, "Hi", 5))
        await desk.adapter.send(page.at, Message(MessageId("r2"), Seq(2), Author.OPERATOR, "Hello", 6, name="Ada"))
        assert (await page.next("message"))["author"] == "agent"
        told = await page.next("message")
        assert (told["author"], told["name"]) == ("operator", "Ada")


async def test_nobody_there_is_no_failure() -> None:
    """Everything may be told of somebody who was never here."""
    async with running() as desk:
        at = Address("web", "", "v:nobody")
        await desk.adapter.owner_changed(at, "operator", "Ada")
        await desk.adapter.queued(at, 1, None)
        await desk.adapter.typing_as(at, "Ada")
        page = await desk.visitor()
        assert (await page.say("Hi"))["seq"] == 1
