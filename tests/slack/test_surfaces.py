"""Slash command, home tab and Assistant view."""

from bot.model import (
    Address,
    CaseEnded,
    CaseId,
    CaseSummary,
    ForgetRequested,
    MessageReceived,
    PersonRequested,
)
from tests.platforms.slack.delivery import Delivered
from tests.platforms.slack.server import Site, SlackServer
from tests.slack.rig import Rig
from tests.store.database import until


def told(delivered: Delivered) -> str:
    answer = delivered.answer
    return str(answer.get("text")) if isinstance(answer, dict) else str(answer)


async def test_the_command_asks_and_the_answer_goes_to_the_direct_chat(rig: Rig) -> None:
    general = rig.space.add_channel("general", rig.anna)
    delivered = await rig.people.command(rig.anna, general, "/frontdesk", "ask Where is my order?")
    assert "direct message" in told(delivered)
    (heard,) = rig.house.of(MessageReceived)
    assert (heard.text, heard.at) == ("Where is my order?", rig.direct())


async def test_the_command_knows_its_words_and_answers_only_who_asked(rig: Rig) -> None:
    for text in ("", "help", "nonsense"):
        delivered = await rig.people.command(rig.anna, rig.room, "/frontdesk", text)
        assert "/frontdesk human" in told(delivered)
        assert isinstance(delivered.answer, dict)
        assert delivered.answer["response_type"] == "ephemeral"


async def test_the_command_asks_for_a_person_and_ends_a_case_where_it_is_open(rig: Rig) -> None:
    await rig.people.command(rig.anna, rig.room, "/frontdesk", "human")
    at = Address("slack", "", rig.room.id, "1.000001")
    rig.house.open_cases = [CaseSummary(CaseId("c"), at, "Printer", 1)]
    await rig.people.command(rig.anna, rig.room, "/frontdesk", "done")
    assert [each.at for each in rig.house.of(PersonRequested)] == [rig.direct()]
    assert [each.at for each in rig.house.of(CaseEnded)] == [at]


async def test_the_command_forgets(rig: Rig) -> None:
    await rig.people.command(rig.anna, rig.room, "/frontdesk", "forget")
    assert [each.sender.external_id for each in rig.house.of(ForgetRequested)] == [rig.anna.id]


async def test_the_home_tab_lists_cases_and_forgets_after_asking(rig: Rig) -> None:
    rig.house.open_cases = [
        CaseSummary(CaseId("c"), rig.direct(), "Where is <!channel> my *order*?", 1_700_000_000_000)
    ]
    rig.people.open_home(rig.anna)
    await until(lambda: rig.anna.id in rig.space.homes)
    home = rig.space.homes[rig.anna.id]
    assert "&lt;!channel&gt;" in str(home.body)
    await rig.people.press_in_view(rig.anna, home, "Forget me")
    await until(lambda: bool(rig.house.of(ForgetRequested)))
    assert rig.house.of(ForgetRequested)[0].sender.external_id == rig.anna.id
    assert "confirm" in str(home.body)


async def test_the_assistant_view_greets_once_with_prompts_and_titles_the_thread(
    server: SlackServer, site: Site
) -> None:
    rig = Rig(server, site, greeting="Hi <there>!", prompts=["Where is my order?"])
    await rig.start()
    try:
        thread = rig.people.open_assistant(rig.anna)
        await rig.shown(bool)
        rig.people.say(rig.anna, rig.room, "Where is\nmy order?", thread=thread)
        await until(lambda: bool(site.space.ledger.titles))
        assert [post.text_shown() for post in rig.ours()] == ["Hi &lt;there&gt;!"]
        assert rig.ours()[0].thread_ts == thread
        assert "Where is my order?" in str(site.space.ledger.prompts)
        assert "Where is my order?" in str(site.space.ledger.titles)
    finally:
        await rig.stop()
    assert site.space.ledger.violations == []


async def test_whom_the_gate_does_not_admit_can_do_nothing(server: SlackServer, site: Site) -> None:
    rig = Rig(server, site, allow={"people": ["U0SOMEBODY"]})
    await rig.start()
    try:
        general = rig.space.add_channel("general", rig.anna)
        rig.people.say(rig.anna, rig.room, "hello")
        rig.people.mention(rig.anna, general, "hello")
        rig.people.open_assistant(rig.anna)
        rig.people.open_home(rig.anna)
        post = rig.people.say(rig.anna, rig.room, "hello")
        rig.people.edit(post, "hi")
        await rig.adapter.send(rig.direct(), rig.message("for somebody"))
        answer = rig.ours()[0]
        await rig.people.rate(rig.anna, answer, "up")
        rig.people.react(rig.anna, answer, "+1")
        for word in ("ask me", "human", "done", "forget"):
            await rig.people.command(rig.anna, rig.room, "/frontdesk", word)
        assert rig.house.events == []
        assert rig.anna.id not in rig.space.homes
    finally:
        await rig.stop()
