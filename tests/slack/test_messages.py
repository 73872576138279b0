"""What people write reaches the house, once, at the right address, and is acknowledged only then."""

import asyncio

from bot.errors import Refused, StoreUnavailable
from bot.model import Address, MessageDeleted, MessageEdited, MessageReceived
from tests.platforms.slack.delivery import Parcel
from tests.slack.rig import Rig
from tests.store.database import until


async def test_a_direct_message_is_heard_with_its_writer(rig: Rig) -> None:
    post = rig.people.say(rig.anna, rig.room, "Where is my order <42> & who has it?")
    (heard,) = await rig.heard()
    assert heard.text == "Where is my order <42> & who has it?"
    assert heard.at == Address("slack", "", rig.room.id, "")
    assert heard.external_id == f"{rig.room.id}:{post.ts}"
    assert (heard.sender.external_id, heard.sender.name, heard.sender.verified) == (rig.anna.id, "Anna", True)
    assert heard.sent_at_ms == int(float(post.ts) * 1000)


async def test_a_direct_message_in_a_thread_keeps_the_thread(rig: Rig) -> None:
    thread = rig.people.open_assistant(rig.anna)
    rig.people.say(rig.anna, rig.room, "hello", thread=thread)
    (heard,) = await rig.heard()
    assert heard.at.thread == thread


async def test_f28_a_mention_and_its_twin_are_one_event_in_the_thread_of_the_mention(rig: Rig) -> None:
    general = rig.space.add_channel("general", rig.anna)
    post = rig.people.mention(rig.anna, general, "help me")
    heard = await rig.heard(2)
    assert {(each.external_id, each.text, each.at) for each in heard} == {
        (f"{general.id}:{post.ts}", "help me", Address("slack", "", general.id, post.ts))
    }


async def test_what_was_said_in_a_thread_before_a_mention_comes_with_it(rig: Rig) -> None:
    general = rig.space.add_channel("general", rig.anna)
    root = rig.people.say(rig.anna, general, "the printer is on fire")
    rig.people.say(rig.anna, general, "really", thread=root.ts)
    rig.people.mention(rig.anna, general, "what now?", thread=root.ts)
    heard = (await rig.heard())[0]
    assert heard.at == Address("slack", "", general.id, root.ts)
    assert [each.text for each in heard.before] == ["the printer is on fire", "really"]
    assert heard.before[0].external_id == f"{general.id}:{root.ts}"


async def test_talk_in_a_channel_without_a_mention_is_not_heard(rig: Rig) -> None:
    general = rig.space.add_channel("general", rig.anna)
    rig.people.say(rig.anna, general, "lunch?")
    rig.people.say(rig.anna, rig.room, "hi")
    (heard,) = await rig.heard()
    assert heard.text == "hi"


async def test_f27_other_bots_webhooks_and_our_own_echo_are_not_heard(rig: Rig) -> None:
    general = rig.space.add_channel("general", rig.anna)
    robot = rig.space.add_person("Robot", is_bot=True)
    rig.people.mention(robot, general, "ping")
    rig.people.webhook_says(general, f"<@{rig.space.bot.id}> ping")
    await rig.adapter.send(rig.direct(), rig.message("an answer"))
    rig.people.say(rig.anna, rig.room, "hi")
    assert [each.text for each in await rig.heard()] == ["hi"]


async def test_an_edit_and_a_deletion_name_the_message_as_it_was_heard(rig: Rig) -> None:
    post = rig.people.say(rig.anna, rig.room, "frist")
    await rig.heard()
    rig.people.unfurl(post)
    rig.people.edit(post, "first")
    await until(lambda: bool(rig.house.of(MessageEdited)))
    rig.people.delete(post)
    await until(lambda: bool(rig.house.of(MessageDeleted)))
    (edited,), (deleted,) = rig.house.of(MessageEdited), rig.house.of(MessageDeleted)
    (heard,) = rig.house.of(MessageReceived)
    assert (edited.at, edited.external_id, edited.text) == (heard.at, heard.external_id, "first")
    assert (deleted.at, deleted.external_id) == (heard.at, heard.external_id)
    assert deleted.deleted_at_ms >= edited.edited_at_ms > 0


async def test_a_preview_of_a_link_is_no_edit(rig: Rig) -> None:
    post = rig.people.say(rig.anna, rig.room, "look: https://example.com/")
    await rig.heard()
    rig.people.unfurl(post)
    rig.people.say(rig.anna, rig.room, "and?")
    await rig.heard(2)
    assert rig.house.of(MessageEdited) == []


async def test_f02_an_event_that_cannot_be_stored_is_not_acknowledged_and_comes_again(rig: Rig) -> None:
    rig.house.refuse = StoreUnavailable("the disk is full")
    post = rig.people.say(rig.anna, rig.room, "hello?")
    await until(lambda: bool(rig.space.ledger.missed))
    rig.house.refuse = None
    heard = await rig.heard()
    assert heard[0].external_id == f"{rig.room.id}:{post.ts}"


async def test_f02_a_commit_that_takes_too_long_is_not_acknowledged(rig: Rig) -> None:
    rig.house.gate.clear()
    rig.people.say(rig.anna, rig.room, "hello?")
    await until(lambda: bool(rig.space.ledger.missed))
    rig.house.gate.set()
    assert (await rig.heard())[0].text == "hello?"


async def test_f57_a_refusal_is_acknowledged_and_told_to_its_writer_alone(rig: Rig) -> None:
    rig.house.refuse = Refused("too_long", "This message is too long.")
    rig.people.say(rig.anna, rig.room, "x" * 100)
    await until(lambda: any(post.only_for for post in rig.space.posts[rig.room.id].values()))
    (whisper,) = [post for post in rig.space.posts[rig.room.id].values() if post.only_for]
    assert (whisper.only_for, whisper.text_shown()) == (rig.anna.id, "This message is too long.")
    assert rig.space.ledger.missed == []


async def test_f21_the_same_event_many_times_is_the_same_event(rig: Rig) -> None:
    post = rig.people.say(rig.anna, rig.room, "once")
    for _ in range(20):
        rig.people.repeat(post)
    heard = await rig.heard(21)
    assert len({(each.external_id, each.at) for each in heard}) == 1


async def test_f24_messages_that_come_backwards_carry_their_own_times(rig: Rig) -> None:
    posts = []
    for text in ("one", "two", "three"):
        posts.append(rig.people.write(rig.anna, rig.room, text))
        await asyncio.sleep(0.002)  # nobody writes two messages in one millisecond
    for post in reversed(posts):
        rig.people.announce(post)
    heard = await rig.heard(3)
    assert [each.text for each in sorted(heard, key=lambda each: each.sent_at_ms)] == ["one", "two", "three"]


async def test_a_loop_with_a_program_that_does_not_say_so_is_stopped(rig: Rig) -> None:
    for number in range(rig.house.limits.messages_per_minute + 5):
        rig.people.say(rig.anna, rig.room, f"again {number}")
    await rig.heard(rig.house.limits.messages_per_minute)
    rig.people.edit(rig.people.write(rig.anna, rig.room, "mark"), "done")
    await until(lambda: bool(rig.house.of(MessageEdited)))
    await asyncio.sleep(0)
    assert len(rig.house.of(MessageReceived)) == rig.house.limits.messages_per_minute


async def test_an_event_that_is_for_another_workspaces_app_is_left(rig: Rig) -> None:
    """In shared channels `team_id` may be the other workspace; `authorizations` names those that the event is for."""
    said = {"channel": rig.room.id, "channel_type": "im", "user": rig.anna.id, "ts": "1700000000.000100"}
    for team in ("T0OTHER", rig.space.id):
        event = {"type": "message", "text": team} | said
        payload = {
            "type": "event_callback",
            "team_id": "T0OTHER",
            "event": event,
            "authorizations": [{"team_id": team}],
        }
        await rig.site.delivery.deliver(Parcel("events_api", payload, team))
    assert [each.text for each in await rig.heard()] == [rig.space.id]
