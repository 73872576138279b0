"""What operators write, press, fill in and command in their channel: each once, at the case's thread, and never for the agent."""

import asyncio

import pytest

from adapters.slack import Account, cards, forms
from adapters.slack.wording import is_typed_as
from bot.errors import Refused, StoreUnavailable
from bot.model import Button, FeedbackGiven, MessageReceived
from tests.platforms.slack.delivery import Outcome
from tests.platforms.slack.faults import Fault
from tests.platforms.slack.server import Site, SlackServer
from tests.slack.desk import Desk
from tests.slack.rig import Rig
from tests.slack.test_surfaces import told
from tests.store.database import until


async def test_what_is_typed_in_the_room_and_in_a_thread_is_heard_there_without_a_mention(desk: Desk) -> None:
    card = await desk.posted()
    desk.people.say(desk.eva, desk.desk, "who takes it?")
    post = desk.people.say(desk.eva, desk.desk, "the parcel is in Ulm", thread=card.ts)
    desk.people.say(desk.ole, desk.desk, "!reply It comes today & <soon>", thread=card.ts)
    await desk.heard(3)
    assert {(each.text, each.at, each.sender.external_id) for each in desk.lines()} == {
        ("who takes it?", desk.at(), desk.eva.id),
        ("the parcel is in Ulm", desk.at(card.ts), desk.eva.id),
        ("!reply It comes today & <soon>", desk.at(card.ts), desk.ole.id),
    }
    heard = next(each for each in desk.lines() if "Ulm" in each.text)
    assert (heard.external_id, heard.sender.name) == (f"{desk.desk.id}:{post.ts}", "Eva")


async def test_the_thread_of_a_card_is_the_id_that_the_card_was_given(desk: Desk) -> None:
    receipt = await desk.adapter.send(desk.at(), desk.card())
    desk.people.say(desk.eva, desk.desk, "hello", thread=receipt.external_id)
    (heard,) = await desk.heard()
    assert heard.at.thread == receipt.external_id


async def test_a_mention_of_the_app_in_the_room_is_for_operators_and_counts_once(desk: Desk) -> None:
    post = desk.people.mention(desk.eva, desk.desk, "!resolve all well")
    await desk.heard(2)
    assert {(each.text, each.at, each.external_id) for each in desk.lines()} == {
        ("!resolve all well", desk.at(), f"{desk.desk.id}:{post.ts}")
    }


async def test_edits_deletions_and_reactions_in_the_room_change_nothing(desk: Desk) -> None:
    card = await desk.posted()
    post = desk.people.say(desk.eva, desk.desk, "a note", thread=card.ts)
    desk.people.edit(post, "!reply another")
    desk.people.react(desk.eva, card, "+1")
    desk.people.delete(post)
    desk.people.say(desk.eva, desk.desk, "the end")
    await desk.heard(2)
    assert [each.text for each in desk.lines()] == ["a note", "the end"]
    assert desk.house.of(FeedbackGiven) == []
    assert len(desk.house.events) == 2


async def test_other_programs_and_our_own_echo_are_not_heard_in_the_room(desk: Desk) -> None:
    card = await desk.posted()
    desk.site.faults.set(Fault("limited", 99, frozenset({"users.info"}), seconds=60))
    robot, masked = desk.space.add_person("Robot", is_bot=True), desk.space.add_person("Masked", is_bot=True)
    masked.is_bot = False  # writes with a person's token
    desk.people.say(robot, desk.desk, "!resolve", thread=card.ts)
    desk.people.say(masked, desk.desk, "!resolve", thread=card.ts)
    desk.people.webhook_says(desk.desk, "!resolve", thread=card.ts)
    await desk.adapter.send(desk.at(card.ts), desk.message("!resolve", author="user", name="Anna"))
    desk.people.say(desk.eva, desk.desk, "the end")
    assert [each.text for each in await desk.heard()] == ["the end"]


async def test_what_is_quoted_or_forwarded_is_no_command(desk: Desk) -> None:
    card = await desk.posted()
    said = desk.people.say(desk.anna, desk.space.add_channel("general", desk.anna), "!resolve")
    desk.people.forward(desk.eva, said, desk.desk, thread=card.ts)
    desk.people.forward(desk.eva, said, desk.desk, "look", thread=card.ts)
    desk.people.say(desk.eva, desk.desk, "> !resolve", thread=card.ts)
    desk.people.say(desk.eva, desk.desk, "```!resolve```", thread=card.ts)
    await desk.heard(3)
    assert [each.text for each in desk.lines()] == ["look", "> !resolve", "```!resolve```"]


async def test_a_link_that_is_labelled_like_a_command_is_none(desk: Desk) -> None:
    post = desk.people.write(desk.eva, desk.desk, "x")
    post.text = "<https://evil.example|!resolve>"
    desk.people.announce(post)
    (heard,) = await desk.heard()
    assert heard.text == "> !resolve (https://evil.example)"


@pytest.mark.parametrize(
    ("text", "is_so"),
    [
        ("!resolve", True),
        ("  !resolve", True),
        ("<@U0BOT> !resolve", True),
        ("<@U0BOT> <@U0BOT>  /take", True),
        ("<@U0EVA> !resolve", False),
        ("<@U0BOT> <https://a.example|!resolve>", False),
        ("<!date^1^{date}|!resolve>", False),
        ("&gt; !resolve", False),
    ],
)
def test_a_command_begins_with_characters_that_were_typed(text: str, is_so: bool) -> None:
    assert is_typed_as(text, ("!", "/"), "U0BOT") is is_so


async def test_who_is_mentioned_in_a_command_is_named(desk: Desk) -> None:
    card = await desk.posted()
    desk.people.say(desk.eva, desk.desk, f"!transfer <@{desk.ole.id}>", thread=card.ts)
    assert [each.text for each in await desk.heard()] == ["!transfer @Ole"]


async def test_a_file_in_a_thread_comes_with_its_message_and_opens(desk: Desk) -> None:
    card = await desk.posted()
    file = desk.people.add_file(desk.eva, "label.pdf", b"%PDF-1.7 label")
    desk.people.say(desk.eva, desk.desk, "!reply here it is", thread=card.ts, file=file)
    (heard,) = await desk.heard()
    assert (heard.text, heard.at, heard.files[0].name) == ("!reply here it is", desk.at(card.ts), "label.pdf")
    async with desk.adapter.open_file(heard.files[0].source) as fetched:
        assert b"".join([piece async for piece in fetched.data]) == b"%PDF-1.7 label"


async def test_a_person_who_renames_themself_stays_who_they_are(desk: Desk) -> None:
    desk.people.say(desk.eva, desk.desk, "first")
    await desk.heard()
    desk.eva.name = "Ole"
    await desk.restart()
    desk.people.say(desk.eva, desk.desk, "second")
    await desk.heard(2)
    assert {each.sender.external_id for each in desk.lines()} == {desk.eva.id}
    assert desk.lines()[-1].sender.name == "Ole"


async def test_the_allow_lists_say_nothing_of_the_room_and_the_room_opens_nothing_else(
    server: SlackServer, site: Site
) -> None:
    desk = Desk(server, site, allow={"people": ["U0SOMEBODY"]})
    await desk.start()
    try:
        general = desk.space.add_channel("general", desk.eva)
        desk.people.mention(desk.eva, general, "!take")
        desk.people.say(desk.eva, desk.space.direct(desk.eva), "!take")
        desk.people.say(desk.eva, desk.desk, "hello")
        assert [(each.text, each.at) for each in await desk.heard()] == [("hello", desk.at())]
    finally:
        await desk.stop()
    assert site.space.ledger.violations == []


# --- presses and forms -----------------------------------------------------------------------------------------------


async def test_two_people_who_press_at_once_are_two_lines_with_ids_of_their_own(desk: Desk) -> None:
    card = await desk.posted()
    await asyncio.gather(desk.people.press(desk.eva, card, "Take"), desk.people.press(desk.ole, card, "Take"))
    assert {(each.sender.external_id, each.text, each.at) for each in desk.lines()} == {
        (desk.eva.id, "!take", desk.at(card.ts)),
        (desk.ole.id, "!take", desk.at(card.ts)),
    }
    assert len({each.external_id for each in desk.lines()}) == 2


async def test_a_press_that_is_delivered_twice_has_one_id(desk: Desk) -> None:
    card = await desk.posted()
    await desk.people.press(desk.eva, card, "Peek")
    await desk.people.repeat_last()
    first, second = desk.lines()
    assert first == second


async def test_a_button_of_a_message_in_a_thread_is_pressed_at_that_thread(desk: Desk) -> None:
    card = await desk.posted()
    offer = desk.message("Refund?", author="system", buttons=(Button("desk:approve a1", "Approve"),))
    receipt = await desk.adapter.send(desk.at(card.ts), offer)
    await desk.people.press(desk.eva, desk.space.posts[desk.desk.id][receipt.external_id], "Approve")
    assert [(each.text, each.at) for each in desk.lines()] == [("!approve a1", desk.at(card.ts))]


@pytest.mark.parametrize(
    ("label", "values", "line"),
    [
        ("Reply", {"text": "It comes\ntoday"}, "!reply It comes\ntoday"),
        ("Return", {"text": None}, "!return"),
        ("Return", {"text": "Be brief"}, "!return Be brief"),
        ("Resolve", {"text": "!reply is no command here"}, "!resolve !reply is no command here"),
        ("Transfer", {"text": "@billing"}, "!transfer @billing"),
        ("Snooze", {"when": "2h", "text": None}, "!snooze 2h"),
        ("Snooze", {"when": "1h", "text": "14:30"}, "!snooze 14:30"),
    ],
)
async def test_a_form_becomes_the_line_that_could_have_been_typed(
    desk: Desk, label: str, values: dict[str, str | None], line: str
) -> None:
    card = await desk.posted()
    await desk.people.press(desk.eva, card, label)
    view = await desk.view_of(desk.eva)
    assert desk.lines() == []
    delivered = await desk.people.submit(view, state(values))
    assert delivered.outcome is Outcome.TAKEN
    assert not view.is_open
    await desk.people.repeat_last()
    first, second = desk.lines()
    assert first == second
    assert (first.text, first.at, first.sender.external_id) == (line, desk.at(card.ts), desk.eva.id)


def state(values: dict[str, str | None]) -> dict[str, dict[str, dict[str, object]]]:
    """What Slack makes of the fields of a form."""
    found: dict[str, dict[str, dict[str, object]]] = {}
    for name, given in values.items():
        entry: dict[str, object] = {"value": given} if name == "text" else {"selected_option": {"value": given}}
        found[name] = {name: entry}
    return found


async def test_a_form_that_could_not_be_stored_stays_open_and_counts_once(desk: Desk) -> None:
    card = await desk.posted()
    await desk.people.press(desk.eva, card, "Reply")
    view = await desk.view_of(desk.eva)
    desk.house.refuse = StoreUnavailable("the disk is full")
    await desk.people.submit(view, state({"text": "hello"}))
    assert view.is_open
    desk.house.refuse = None
    await desk.people.submit(view, state({"text": "hello"}))
    assert [each.text for each in desk.lines()] == ["!reply hello"]
    assert "not acknowledged" in desk.space.ledger.violations.pop()


async def test_a_form_of_a_channel_that_is_no_room_any_more_is_not_taken(desk: Desk) -> None:
    card = await desk.posted()
    await desk.people.press(desk.eva, card, "Reply")
    view = await desk.view_of(desk.eva)
    view.body["private_metadata"] = view.body["private_metadata"].replace(desk.desk.id, "C0OTHER")
    await desk.people.submit(view, state({"text": "hello"}))
    assert desk.lines() == []


async def test_who_presses_what_is_refused_is_told_so_alone(desk: Desk) -> None:
    card = await desk.posted()
    desk.house.refuse = Refused("too_long", "That is too long.")
    await desk.people.press(desk.eva, card, "Take")
    await until(lambda: any(post.only_for == desk.eva.id for post in desk.space.posts[desk.desk.id].values()))
    (post,) = [post for post in desk.space.posts[desk.desk.id].values() if post.only_for]
    assert (post.text, post.thread_ts) == ("That is too long.", card.ts)


async def test_the_shortcut_on_a_message_opens_the_reply_of_its_case(desk: Desk) -> None:
    card = await desk.posted()
    receipt = await desk.adapter.send(desk.at(card.ts), desk.message("Where is it?", author="user", name="Anna"))
    await desk.people.shortcut(desk.eva, desk.space.posts[desk.desk.id][receipt.external_id], forms.REPLY)
    await desk.people.submit(await desk.view_of(desk.eva), state({"text": "Here"}))
    assert [(each.text, each.at) for each in desk.lines()] == [("!reply Here", desk.at(card.ts))]


async def test_the_shortcut_elsewhere_says_where_it_works(desk: Desk) -> None:
    post = desk.people.write(desk.anna, desk.space.add_channel("general", desk.anna), "hi")
    await desk.people.shortcut(desk.anna, post, forms.REPLY)
    view = await desk.view_of(desk.anna)
    assert "operators' channel" in str(view.body["blocks"])
    assert desk.lines() == []


# --- the slash command -----------------------------------------------------------------------------------------------


async def test_a_slash_command_in_the_room_is_an_operators_line(desk: Desk) -> None:
    for text in ("online", "!away", "", "ask what?"):
        delivered = await desk.people.command(desk.eva, desk.desk, "/frontdesk", text)
        assert delivered.outcome is Outcome.TAKEN
    assert [(each.text, each.at) for each in desk.lines()] == [
        (line, desk.at()) for line in ("!online", "!away", "!help", "!ask what?")
    ]
    assert len(desk.house.events) == 4


async def test_a_code_is_taken_anywhere_at_the_room_and_not_too_often(desk: Desk) -> None:
    direct = desk.space.direct(desk.eva)
    for number in range(desk.house.limits.messages_per_minute):
        said = told(await desk.people.command(desk.eva, direct, "/frontdesk", f"link {number}"))
        assert "being checked" in said
    assert "wait" in told(await desk.people.command(desk.eva, direct, "/frontdesk", "link 4711"))
    assert (desk.lines()[0].text, desk.lines()[0].at) == ("!link 0", desk.at())
    assert "!link 4711" not in [each.text for each in desk.lines()]


async def test_without_a_room_a_code_is_taken_nowhere(rig: Rig) -> None:
    assert "No operators' channel" in told(await rig.people.command(rig.anna, rig.room, "/frontdesk", "link 1"))
    assert rig.house.events == []


# --- gaps ------------------------------------------------------------------------------------------------------------


async def test_what_was_said_in_the_room_during_a_gap_is_taken_up_once_also_under_an_old_card(desk: Desk) -> None:
    card = await desk.posted()
    desk.people.say(desk.eva, desk.desk, "before")
    await desk.heard()
    await desk.stop()
    desk.people.say(desk.eva, desk.desk, "meanwhile", thread=card.ts)
    desk.house.kept["seen"] = str(int(float(card.ts) * 1000) + 300_001)
    await desk.restart()
    await until(lambda: any(each.text == "meanwhile" for each in desk.lines()))
    found = {(each.text, each.at.thread, each.external_id) for each in desk.lines()}
    assert [(text, thread) for text, thread, _ in sorted(found)] == [("before", ""), ("meanwhile", card.ts)]
    assert all(isinstance(event, MessageReceived) for event in desk.house.events)


# --- settings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "mend"),
    [
        ({"operators_channel": "#desk"}, "C0123ABCD"),
        ({"operators_channel": "D0123ABCD"}, "C0123ABCD"),
        (
            {
                "enabled": True,
                "bot_token": "xoxb-1",
                "app_token": "xapp-1",
                "operators_channel": "C0123ABCD",
                "allow": {"rooms": ["C0123ABCD"]},
            },
            "allow.rooms",
        ),
    ],
)
def test_a_room_that_cannot_be_one_is_refused_with_the_mend(keys: dict[str, object], mend: str) -> None:
    with pytest.raises(ValueError, match=mend):
        Account.model_validate(keys)


def test_a_press_of_anything_else_is_none_of_the_desk() -> None:
    assert cards.choice_of({"value": "desk:snooze 2h"}) == "snooze 2h"
    assert cards.choice_of({"selected_option": {"value": "desk:peek"}, "value": "x"}) == "peek"
    junks: list[dict[str, object]] = [
        {},
        {"value": 7},
        {"value": "take"},
        {"selected_option": {}},
        {"selected_option": "desk:take"},
    ]
    assert [cards.choice_of(junk) for junk in junks] == [""] * len(junks)
