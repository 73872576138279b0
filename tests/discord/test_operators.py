"""What operators write, press, fill in and command in their channel: a line each, at their case, once."""

import pytest

from bot.errors import Refused
from bot.model import Author, Button, FeedbackGiven, MessageReceived, RemoteFile
from bot.ports import HostLimits
from tests.discord.conftest import Open
from tests.discord.house import FakeHost, QuickClock, answer, ours, until
from tests.discord.office import Office, message
from tests.platforms.discord import faults, limits
from tests.platforms.discord.interactions import Interaction, said
from tests.platforms.discord.server import DiscordServer
from tests.platforms.discord.things import Message


@pytest.fixture
def office(server: DiscordServer) -> Office:
    return Office(server)


async def received(host: FakeHost, count: int = 1) -> MessageReceived:
    event: MessageReceived = await host.event(MessageReceived, count)
    return event


def press(office: Office, card: Message, label: str, by_lee: bool = False) -> Interaction:
    return office.server.press(office.lee if by_lee else office.kim, card, label)


# --- what they write -------------------------------------------------------------------------------------------------


async def test_what_an_operator_writes_in_the_channel_is_taken_without_a_mention(
    server: DiscordServer, opened: Open, office: Office
) -> None:
    desk = await office.open(opened)
    assert desk.adapter.room == office.at
    written = server.say(office.kim, "!online", office.room)
    event = await received(desk.host)
    assert (event.at, event.text, event.external_id) == (office.at, "!online", str(written.id))
    assert (event.sender.external_id, event.sender.verified) == (str(office.kim.id), True)
    assert not server.violations


async def test_a_note_and_a_reply_in_a_thread_belong_to_its_card(
    server: DiscordServer, opened: Open, office: Office
) -> None:
    desk = await office.open(opened)
    card = await office.card(desk)
    thread = await office.thread(desk, card)
    server.say(office.kim, "looks like a lost parcel", thread)
    server.say(office.lee, "!reply We look into it.\nPlease wait.", thread)
    await received(desk.host, 2)
    assert desk.host.texts() == ["looks like a lost parcel", "!reply We look into it.\nPlease wait."]
    assert {event.at for event in desk.host.of(MessageReceived)} == {office.of(card)}
    assert not server.violations


async def test_a_reply_to_a_card_in_the_channel_belongs_to_that_card(
    server: DiscordServer, opened: Open, office: Office
) -> None:
    desk = await office.open(opened)
    card = await office.card(desk)
    server.say(office.kim, "!take", office.room, answers=card)
    server.say(office.kim, "and this to nobody", office.room)
    await received(desk.host, 2)
    assert [event.at for event in desk.host.of(MessageReceived)] == [office.of(card), office.at]


async def test_operators_are_heard_whatever_the_lists_and_the_pace_of_people_are(
    server: DiscordServer, opened: Open, office: Office
) -> None:
    host = FakeHost()
    host.limits = HostLimits(messages_per_minute=1)
    desk = await office.open(opened, host, allow={"people": ["1"], "rooms": ["2"]}, threads=False)
    for number in range(3):
        server.say(office.kim, f"note {number}", office.room)
    server.say(office.kim, f"<@{server.world.bot.id}> hello?", office.help)
    await received(desk.host, 3)
    card = await office.card(desk)
    press(office, card, "Take")
    await received(desk.host, 4)
    assert desk.host.texts() == ["note 0", "note 1", "note 2", "!take"]


async def test_what_is_quoted_or_passed_on_is_no_command(server: DiscordServer, opened: Open, office: Office) -> None:
    desk = await office.open(opened)
    card = await office.card(desk)
    thread = await office.thread(desk, card)
    server.forward(office.kim, "!resolve\n!return", thread)
    server.say(office.kim, "> !resolve", thread)
    await received(desk.host, 2)
    assert desk.host.texts() == ["> !resolve\n> !return", "> !resolve"]


async def test_what_operators_say_reaches_no_agent_when_discord_does_not_tell_where_it_is(
    server: DiscordServer, opened: Open, office: Office
) -> None:
    desk = await office.open(opened, FakeHost(QuickClock()))
    thread = await office.thread(desk, await office.card(desk))
    server.say(office.kim, "before", office.room)
    await received(desk.host)
    await desk.stop()
    again = await office.open(opened, desk.host)
    asked = ("GET", f"/api/v10/applications/{server.world.application_id}/guilds/{office.guild.id}/commands")
    await until(lambda: server.requests.count(asked) == 2)
    server.fail(4, 502, faults.OTHER)
    looks = ("GET", f"/api/v10/channels/{thread.id}")
    before = server.requests.count(looks)
    server.say(office.kim, f"<@{server.world.bot.id}> who is this?", thread)
    await until(lambda: server.requests.count(looks) == before + 4)
    server.say(office.kim, "!release", thread)
    await received(again.host, 2)
    assert again.host.texts() == ["before", "!release"]


async def test_programs_and_our_own_words_are_not_heard(server: DiscordServer, opened: Open, office: Office) -> None:
    desk = await office.open(opened)
    card = await office.card(desk)
    thread = await office.thread(desk, card)
    other = server.world.user("Helper", is_bot=True)
    server.say(other, "!resolve", thread)
    server.say_by_webhook("Hook", "!resolve", thread)
    await desk.adapter.send(office.of(card), answer("!resolve", "m9"))
    server.repeat(ours(server, thread)[-1])
    server.say(office.kim, "last", thread)
    await received(desk.host)
    assert desk.host.texts() == ["last"]


async def test_edits_deletions_and_reactions_of_operators_change_nothing(
    server: DiscordServer, opened: Open, office: Office
) -> None:
    desk = await office.open(opened)
    card = await office.card(desk)
    thread = await office.thread(desk, card)
    written = server.say(office.kim, "!return now", thread)
    await received(desk.host)
    server.edit(written, "!resolve")
    server.delete(written)
    server.react(office.kim, card, "👎")
    server.say(office.kim, "last", thread)
    await received(desk.host, 2)
    assert desk.host.texts() == ["!return now", "last"]
    assert not desk.host.changes()
    assert not desk.host.of(FeedbackGiven)


async def test_an_operator_who_is_renamed_is_the_same(server: DiscordServer, opened: Open, office: Office) -> None:
    desk = await office.open(opened)
    server.say(office.kim, "one", office.room)
    await received(desk.host)
    office.kim.name, office.lee.name = "Lee", "Kim"
    server.say(office.kim, "two", office.room)
    second = await received(desk.host, 2)
    assert (second.sender.external_id, second.sender.name) == (str(office.kim.id), "Lee")


async def test_a_file_of_an_operator_comes_with_the_line_and_can_be_read(
    server: DiscordServer, opened: Open, office: Office
) -> None:
    desk = await office.open(opened, cdn_url=server.world.files.address)
    card = await office.card(desk)
    thread = await office.thread(desk, card)
    file = server.world.files.upload("label.pdf", b"%PDF-1")
    server.say(office.kim, "!reply Here is your label.", thread, files=(file,))
    event = await received(desk.host)
    [remote] = event.files
    assert isinstance(remote, RemoteFile)
    assert remote.name == "label.pdf"
    async with desk.adapter.open_file(remote.source) as fetched:
        assert b"".join([chunk async for chunk in fetched.data]) == b"%PDF-1"


async def test_a_line_that_the_house_refuses_is_answered(server: DiscordServer, opened: Open, office: Office) -> None:
    desk = await office.open(opened)
    desk.host.refusal = Refused("too_long", "This is too long.")
    server.say(office.kim, "!note " + "x" * 1_500, office.room)
    await until(lambda: len(office.room.messages) == 2)
    told = office.room.messages[1]
    assert (told.content, told.author) == ("This is too long.", server.world.bot)


# --- what they press -------------------------------------------------------------------------------------------------


async def test_two_who_press_at_once_are_two_lines_at_one_card(
    server: DiscordServer, opened: Open, office: Office
) -> None:
    desk = await office.open(opened)
    card = await office.card(desk)
    first, second = press(office, card, "Take"), press(office, card, "Take", by_lee=True)
    await received(desk.host, 2)
    heard = {(event.sender.name, event.text, event.at, event.external_id) for event in desk.host.of(MessageReceived)}
    assert heard == {
        ("Kim", "!take", office.of(card), str(first.id)),
        ("Lee", "!take", office.of(card), str(second.id)),
    }
    assert ((await first.wait()).state, (await second.wait()).state) == ("answered", "answered")
    assert not server.violations


async def test_a_button_in_a_thread_belongs_to_its_card(server: DiscordServer, opened: Open, office: Office) -> None:
    desk = await office.open(opened)
    card = await office.card(desk)
    ask = message(Author.SYSTEM, "Refund 20?", "m2", buttons=(Button("desk:approve a-17", "Approve"),))
    receipt = await desk.adapter.send(office.of(card), ask)
    assert card.thread is not None
    press(office, card.thread.everything[int(receipt.external_id)], "Approve")
    event = await received(desk.host)
    assert (event.at, event.text) == (office.of(card), "!approve a-17")


async def test_a_button_works_after_a_restart_and_a_press_is_heard_once(
    server: DiscordServer, opened: Open, office: Office
) -> None:
    desk = await office.open(opened)
    card = await office.card(desk)
    await desk.stop()
    again = await office.open(opened, desk.host)
    pressed = press(office, card, "Take")
    event = await received(again.host)
    assert (event.text, event.at, event.external_id) == ("!take", office.of(card), str(pressed.id))
    assert not server.violations


async def test_a_press_that_discord_called_failed_is_not_carried_out_later(
    server: DiscordServer, opened: Open, office: Office
) -> None:
    desk = await office.open(opened)
    card = await office.card(desk)
    await desk.stop()
    server.interactions.answer_s = 0.05
    assert (await press(office, card, "Resolve").wait()).state == "failed"
    again = await office.open(opened, desk.host)
    server.say(office.kim, "last", office.room)
    await received(again.host)
    assert again.host.texts() == ["last"]


async def test_a_lost_answer_to_a_press_loses_no_press(server: DiscordServer, opened: Open, office: Office) -> None:
    desk = await office.open(opened)
    card = await office.card(desk)
    lost = server.lose_answers(1, faults.ANSWER)
    pressed = press(office, card, "Take")
    assert (await received(desk.host)).text == "!take"
    assert lost.reached.is_set()
    assert (await pressed.wait()).state == "answered"


async def test_a_refused_press_is_told_to_who_pressed(server: DiscordServer, opened: Open, office: Office) -> None:
    desk = await office.open(opened)
    card = await office.card(desk)
    desk.host.refusal = Refused("busy", "Please try again.")
    pressed = press(office, card, "Take")
    await until(lambda: said(pressed) == ["Please try again."])
    assert pressed.followups[0].only_for is office.kim


async def test_an_old_card_is_dead_once_operators_work_elsewhere(
    server: DiscordServer, opened: Open, office: Office
) -> None:
    desk = await office.open(opened)
    card = await office.card(desk)
    await desk.stop()
    again = await opened(desk.host, operators_channel=str(office.help.id))
    pressed = await press(office, card, "Take").wait()
    assert said(pressed) == ["This is for operators, in their channel."]
    assert not again.host.events


# --- what they fill in -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("label", "text", "line"),
    [
        ("Reply", "Dear Ann,\n!resolve is not meant.", "!reply Dear Ann,\n!resolve is not meant."),
        ("Return", "", "!return"),
        ("Return", "Offer a refund", "!return Offer a refund"),
        ("Resolve", "Parcel found", "!resolve Parcel found"),
        ("Snooze", " 2h ", "!snooze 2h"),
        ("Transfer", "@lee", "!transfer @lee"),
    ],
)
async def test_a_form_becomes_the_line_that_could_have_been_typed(
    server: DiscordServer, opened: Open, office: Office, label: str, text: str, line: str
) -> None:
    desk = await office.open(opened)
    card = await office.card(desk)
    asked = await press(office, card, label).wait()
    assert asked.modal is not None
    sent = server.interactions.submit(asked, text=text)
    event = await received(desk.host)
    assert (event.text, event.at, event.external_id) == (line, office.of(card), str(sent.id))
    await until(lambda: said(sent) == ["Received."])
    assert sent.original is not None
    assert sent.original.only_for is office.kim
    assert len(desk.host.events) == 1
    assert not server.violations


async def test_a_form_outlives_a_restart(server: DiscordServer, opened: Open, office: Office) -> None:
    desk = await office.open(opened)
    card = await office.card(desk)
    asked = await press(office, card, "Reply").wait()
    await desk.stop()
    again = await office.open(opened, desk.host)
    server.interactions.submit(asked, text="Hello Ann")
    event = await received(again.host)
    assert (event.text, event.at) == ("!reply Hello Ann", office.of(card))


async def test_a_refused_form_says_why(server: DiscordServer, opened: Open, office: Office) -> None:
    desk = await office.open(opened)
    card = await office.card(desk)
    asked = await press(office, card, "Reply").wait()
    desk.host.refusal = Refused("too_long", "This is too long.")
    sent = server.interactions.submit(asked, text="x" * 3_000)
    await until(lambda: said(sent) == ["This is too long."])


# --- what they command -----------------------------------------------------------------------------------------------


async def test_a_command_in_a_thread_is_a_line_at_its_card(server: DiscordServer, opened: Open, office: Office) -> None:
    desk = await office.open(opened)
    card = await office.card(desk)
    thread = await office.thread(desk, card)
    run = server.interactions.run_command(office.kim, thread, "snooze", until="2h")
    event = await received(desk.host)
    assert (event.text, event.at, event.external_id) == ("!snooze 2h", office.of(card), str(run.id))
    await until(lambda: said(run) == ["Received."])
    assert run.original is not None
    assert run.original.only_for is office.kim
    server.interactions.run_command(office.kim, thread, "take")
    assert (await received(desk.host, 2)).text == "!take"
    server.interactions.run_command(office.kim, office.room, "away")
    assert (await received(desk.host, 3)).at == office.at
    assert not server.violations


async def test_a_command_without_its_text_opens_the_form(server: DiscordServer, opened: Open, office: Office) -> None:
    desk = await office.open(opened)
    card = await office.card(desk)
    thread = await office.thread(desk, card)
    run = await server.interactions.run_command(office.kim, thread, "note").wait()
    assert run.modal is not None
    server.interactions.submit(run, text="ask Lee")
    event = await received(desk.host)
    assert (event.text, event.at) == ("!note ask Lee", office.of(card))


async def test_elsewhere_only_linking_is_taken_and_that_at_the_channel(
    server: DiscordServer, opened: Open, office: Office
) -> None:
    desk = await office.open(opened)
    run = await server.interactions.run_command(office.kim, office.help, "resolve").wait()
    assert said(run) == ["This is for operators, in their channel."]
    assert run.original is not None
    assert run.original.flags & limits.EPHEMERAL
    server.interactions.run_command(office.kim, office.help, "link", code="123-456")
    event = await received(desk.host)
    assert (event.text, event.at) == ("!link 123-456", office.at)
    assert len(desk.host.events) == 1


async def test_what_people_ask_for_is_not_taken_in_the_channel(
    server: DiscordServer, opened: Open, office: Office
) -> None:
    desk = await office.open(opened)
    await until(lambda: server.rest.commands.get(0))
    card = await office.card(desk)
    thread = await office.thread(desk, card)
    for place in (office.room, thread):
        asked = await server.interactions.run_command(office.kim, place, "human").wait()
        assert said(asked) == ["I do not answer here."]
    assert not desk.host.events


async def test_the_commands_stand_in_the_server_of_the_channel_alone(
    server: DiscordServer, opened: Open, office: Office
) -> None:
    desk = await office.open(opened)
    await until(lambda: desk.host.marks.get("desk"))
    names = {command["name"] for command in server.rest.commands[office.guild.id]}
    assert {"take", "reply", "note", "return", "resolve", "snooze", "transfer", "link", "online", "away"} <= names
    await until(lambda: server.rest.commands.get(0))
    assert {command["name"] for command in server.rest.commands[0]} == {"ask", "human", "done", "forget"}
    await desk.stop()
    elsewhere = server.add_guild("Back office", office.kim)
    room = server.add_room(elsewhere, "desk")
    moved = await opened(desk.host, operators_channel=str(room.id))
    await until(lambda: moved.host.marks.get("desk") == str(elsewhere.id))
    assert server.rest.commands[elsewhere.id]
    assert not server.rest.commands[office.guild.id]
    await moved.stop()
    gone = await opened(desk.host)
    await until(lambda: gone.host.marks.get("desk") == "")
    assert not server.rest.commands[elsewhere.id]


# --- after a gap -----------------------------------------------------------------------------------------------------


async def test_what_was_missed_in_the_channel_and_its_threads_is_read_once(
    server: DiscordServer, opened: Open, office: Office
) -> None:
    desk = await office.open(opened)
    first, second = await office.card(desk), await office.card(desk, "c2")
    threads = [await office.thread(desk, card) for card in (first, second)]
    server.say(office.kim, "before", threads[0])
    await received(desk.host)
    await desk.stop()
    server.gateway.refuses_resumes = True
    missed = [
        server.say(office.kim, "!take", threads[0]),
        server.say(office.lee, "!return", threads[1]),
        server.say(office.lee, "!online", office.room),
    ]
    again = await opened(desk.host, operators_channel=str(office.room.id))
    await received(again.host, 4)
    server.repeat(missed[0])
    server.say(office.kim, "after", threads[0])
    await received(again.host, 5)
    assert sorted(again.host.texts()) == ["!online", "!return", "!take", "after", "before"]
    told = {event.text: event.at for event in again.host.of(MessageReceived)}
    assert told["!take"] == office.of(first)
    assert told["!return"] == office.of(second)
    assert told["!online"] == office.at
