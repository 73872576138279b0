"""Commands and buttons: answered in time, heard once, and still good after a restart."""

import asyncio

from adapters.discord import components
from bot.errors import Refused
from bot.model import (
    Author,
    Button,
    ButtonPressed,
    CaseEnded,
    Citation,
    FeedbackGiven,
    ForgetRequested,
    Message,
    MessageId,
    MessageReceived,
    PassageId,
    PersonRequested,
    Seq,
)
from tests.discord.conftest import Open
from tests.discord.house import Desk, answer, dm, ours, until
from tests.discord.test_messages import Shop
from tests.platforms.discord import limits
from tests.platforms.discord.interactions import said
from tests.platforms.discord.server import DiscordServer


async def ready(desk: Desk) -> Desk:
    """Once Discord knows the commands."""
    await until(lambda: desk.server.rest.commands.get(0))
    return desk


async def test_a_question_by_command_in_direct_messages_is_heard_and_shown(server: DiscordServer, opened: Open) -> None:
    desk = await ready(await opened())
    ann = server.person("Ann")
    asked = server.interactions.run_command(ann, server.world.direct(ann), "ask", question="Where is @everyone?")
    event = await desk.host.event(MessageReceived)
    assert (event.text, event.at, event.external_id) == ("Where is @everyone?", dm(server, ann), str(asked.id))
    await until(lambda: said(asked) != [""])
    assert said(asked)[0].startswith("> Where is @")
    assert not server.violations


async def test_a_question_by_command_in_a_channel_gets_a_thread(server: DiscordServer, opened: Open) -> None:
    shop = Shop(server)
    desk = await ready(await opened())
    asked = server.interactions.run_command(shop.ann, shop.room, "ask", question="Where is it?")
    event = await desk.host.event(MessageReceived)
    assert asked.original is not None
    assert event.at == shop.at(asked.original.id)
    await desk.adapter.send(event.at, answer("On its way."))
    thread = asked.original.thread
    assert thread is not None
    assert (thread.name, [post.content for post in ours(server, thread)]) == ("Where is it?", ["On its way."])
    server.say(shop.ann, "Thanks", thread)
    assert (await desk.host.event(MessageReceived, 2)).at == event.at
    assert not server.violations


async def test_a_person_is_asked_for_and_only_the_asker_sees_it(server: DiscordServer, opened: Open) -> None:
    shop = Shop(server)
    desk = await ready(await opened())
    thread = await shop.thread(shop.ann, "Hello")
    asked = server.interactions.run_command(shop.ann, thread, "human")
    event = await desk.host.event(PersonRequested)
    assert (event.at, event.external_id) == (shop.at(thread), str(asked.id))
    assert asked.original is not None
    assert asked.original.flags & limits.EPHEMERAL
    await until(lambda: said(asked) == ["A person has been asked for."])


async def test_ending_and_forgetting_reach_the_house(server: DiscordServer, opened: Open) -> None:
    desk = await ready(await opened())
    ann = server.person("Ann")
    room = server.world.direct(ann)
    server.interactions.run_command(ann, room, "done")
    server.interactions.run_command(ann, room, "forget")
    assert (await desk.host.event(CaseEnded)).at == dm(server, ann)
    assert (await desk.host.event(ForgetRequested)).sender.external_id == str(ann.id)
    assert not server.violations


async def test_a_case_cannot_be_ended_in_a_channel(server: DiscordServer, opened: Open) -> None:
    shop = Shop(server)
    desk = await ready(await opened())
    asked = server.interactions.run_command(shop.ann, shop.room, "done")
    await until(lambda: asked.original is not None and "thread of your question" in said(asked)[0])
    assert not desk.host.events


async def test_f29_a_command_of_somebody_who_is_not_allowed_is_answered_and_not_taken(
    server: DiscordServer, opened: Open
) -> None:
    desk = await ready(await opened(allow={"people": ["1"]}))
    ann = server.person("Ann")
    asked = server.interactions.run_command(ann, server.world.direct(ann), "ask", question="Hello?")
    await until(lambda: asked.original is not None and said(asked) == ["I do not answer here."])
    assert not desk.host.events


async def test_a_refused_question_is_told_in_its_place(server: DiscordServer, opened: Open) -> None:
    desk = await ready(await opened())
    desk.host.refusal = Refused("too_long", "Your message is too long.")
    ann = server.person("Ann")
    asked = server.interactions.run_command(ann, server.world.direct(ann), "ask", question="Hello?")
    await until(lambda: asked.original is not None and said(asked) == ["Your message is too long."])


async def test_commands_are_set_once_and_not_again_when_they_are_the_same(server: DiscordServer, opened: Open) -> None:
    desk = await ready(await opened())
    await desk.stop()
    again = await ready(await opened())
    server.say(server.person("Ann"), "Hello")
    await again.host.event(MessageReceived)
    await until(lambda: [method for method, path in server.requests if path.endswith("/commands")].count("GET") == 2)
    assert [method for method, path in server.requests if path.endswith("/commands")].count("PUT") == 1
    assert {command["name"] for command in server.rest.commands[0]} == {"ask", "human", "done", "forget"}


# --- what is pressed -------------------------------------------------------------------------------------------------


async def test_a_button_is_pressed(server: DiscordServer, opened: Open) -> None:
    desk = await opened()
    ann = server.person("Ann")
    receipt = await desk.adapter.send(
        dm(server, ann), answer("Sure?", buttons=(Button("yes", "Yes"), Button("no", "No")))
    )
    post = server.world.direct(ann).everything[int(receipt.external_id)]
    pressed = server.press(ann, post, "No")
    event = await desk.host.event(ButtonPressed)
    assert (event.message, event.button, event.at) == ("m1", "no", dm(server, ann))
    assert (await pressed.wait()).state == "answered"
    again = server.press(ann, post, "No")
    second = await desk.host.event(ButtonPressed, 2)
    assert (await again.wait()).state == "answered"
    assert second.external_id == event.external_id
    assert not server.violations


async def test_a_button_works_after_a_restart_also_one_with_a_long_id(server: DiscordServer, opened: Open) -> None:
    desk = await opened()
    ann = server.person("Ann")
    message = answer("Which?", buttons=(Button("order:" + "x" * 200, "This one"), Button("#odd", "Odd")))
    receipt = await desk.adapter.send(dm(server, ann), message)
    await desk.stop()
    desk.host.told = {"m1": message}
    again = await opened(desk.host)
    post = server.world.direct(ann).everything[int(receipt.external_id)]
    server.press(ann, post, "This one")
    server.press(ann, post, "Odd")
    await again.host.event(ButtonPressed, 2)
    assert [event.button for event in again.host.of(ButtonPressed)] == ["order:" + "x" * 200, "#odd"]


async def test_a_button_that_the_house_no_longer_has_says_so(server: DiscordServer, opened: Open) -> None:
    desk = await opened()
    ann = server.person("Ann")
    receipt = await desk.adapter.send(dm(server, ann), answer("Which?", buttons=(Button("x" * 200, "This one"),)))
    pressed = server.press(ann, server.world.direct(ann).everything[int(receipt.external_id)], "This one")
    await until(lambda: said(pressed) == ["That button is no longer there."])
    assert pressed.followups[0].only_for is ann


async def test_a_verdict_by_button(server: DiscordServer, opened: Open) -> None:
    shop = Shop(server)
    desk = await opened()
    thread = await shop.thread(shop.ann, "Hello")
    receipt = await desk.adapter.send(shop.at(thread), answer("Good day."))
    pressed = server.press(shop.ben, thread.everything[int(receipt.external_id)], "👎")
    event = await desk.host.event(FeedbackGiven)
    assert (event.value, event.message, event.at, event.sender.name) == ("down", "m1", shop.at(thread), "Ben")
    await until(lambda: said(pressed) == ["Thank you for telling us."])
    assert not server.violations


async def test_a_source_is_read_by_the_one_who_asks(server: DiscordServer, opened: Open) -> None:
    desk = await opened()
    ann = server.person("Ann")
    sources = (Citation(1, PassageId("p1"), "Guide"), Citation(2, PassageId("gone"), "Old guide"))
    receipt = await desk.adapter.send(dm(server, ann), answer("See [1] and [2].", citations=sources))
    post = server.world.direct(ann).everything[int(receipt.external_id)]
    read = server.interactions.use_component(ann, post, "s:m1", "p1")
    await until(lambda: said(read))
    assert "Read this first." in said(read)[0]
    assert "<https://x.test/guide>" in said(read)[0]
    assert read.followups[0].only_for is ann
    gone = server.interactions.use_component(ann, post, "s:m1", "gone")
    await until(lambda: said(gone) == ["This passage is no longer part of the documents."])
    assert not server.violations


async def test_an_interaction_is_answered_in_time_while_the_store_hangs(server: DiscordServer, opened: Open) -> None:
    desk = await ready(await opened())
    ann = server.person("Ann")
    desk.host.gates["slow"] = asyncio.Event()
    server.say(ann, "slow")
    asked = server.interactions.run_command(ann, server.world.direct(ann), "human")
    assert (await asked.wait(2)).state == "answered"
    assert not desk.host.events
    desk.host.gates["slow"].set()
    await desk.host.event(PersonRequested)


# --- ids -------------------------------------------------------------------------------------------------------------


def test_ids_of_components_fit_and_say_what_they_were_made_of() -> None:
    message = MessageId("0" * 36)
    for button in ("yes", "a:b", "x" * 300, "#", "é" * 99):
        id_ = components.button_id(message, button)
        assert len(id_) <= 100
        pressed = components.pressed(id_)
        assert pressed is not None
        assert (pressed.kind, pressed.message) == ("b", message)
        assert components.named(pressed.detail, [Button("other", ""), Button(button, "")]) == button
    assert components.pressed("something:else") is None
    assert components.pressed("f:sideways:m1") is None


def test_there_are_never_more_rows_and_choices_than_discord_takes() -> None:
    message = Message(
        MessageId("m1"),
        Seq(1),
        Author.AGENT,
        "x",
        0,
        citations=tuple(Citation(number, PassageId(f"p{number}"), "t" * 200) for number in range(40)),
        buttons=tuple(Button(f"b{number}", "l" * 200) for number in range(40)),
    )
    rows = components.rows(message, has_feedback=True)
    assert len(rows) == 5
    menu = rows[3]["components"][0]  # type: ignore[index]
    assert len(menu["options"]) == 25
    assert all(len(option["label"]) <= 100 for option in menu["options"])
