"""What people write reaches the house as what it is, and where it belongs."""

import asyncio

import pytest

from bot.errors import ChannelFault, Overloaded, Refused, StoreUnavailable
from bot.model import (
    Address,
    FeedbackGiven,
    MessageDeleted,
    MessageEdited,
    MessageReceived,
    TypingSeen,
)
from bot.ports import ChannelState, HostLimits
from tests.discord.conftest import Open
from tests.discord.house import FakeHost, answer, dm, ours, until
from tests.platforms.discord.server import DiscordServer
from tests.platforms.discord.things import Channel, Guild, User


class Shop:
    """A server of Discord with one channel, Ann, and Ben."""

    def __init__(self, server: DiscordServer) -> None:
        self.server = server
        self.ann = server.person("Ann")
        self.ben = server.person("Ben")
        self.guild: Guild = server.add_guild("Shop", self.ann, self.ben)
        self.room = server.add_room(self.guild, "help")
        self.call = f"<@{server.world.bot.id}>"

    def at(self, thread: Channel | int) -> Address:
        id_ = thread if isinstance(thread, int) else thread.id
        return Address("discord", "", str(self.room.id), str(id_))

    async def thread(self, user: User, text: str) -> Channel:
        """The thread that the bot begins for a question."""
        asked = self.server.say(user, f"{self.call} {text}", self.room)
        await until(lambda: asked.thread)
        assert asked.thread is not None
        return asked.thread


@pytest.fixture
def shop(server: DiscordServer) -> Shop:
    return Shop(server)


# --- direct messages -------------------------------------------------------------------------------------------------


async def test_a_direct_message_is_heard_with_its_person_place_and_time(server: DiscordServer, opened: Open) -> None:
    desk = await opened()
    ann = server.person("Ann")
    said = server.say(ann, "Where is my parcel?")
    event: MessageReceived = await desk.host.event(MessageReceived)
    assert (event.text, event.external_id) == ("Where is my parcel?", str(said.id))
    assert event.at == dm(server, ann)
    assert (event.sender.external_id, event.sender.name, event.sender.verified) == (str(ann.id), "Ann", True)
    assert abs(event.sent_at_ms - server.now_ms()) < 60_000
    assert desk.host.states[-1] == (ChannelState.UP, "")
    assert not server.violations


async def test_a_repeated_event_has_the_same_key(server: DiscordServer, opened: Open) -> None:
    desk = await opened()
    said = server.say(server.person("Ann"), "Hello")
    await desk.host.event(MessageReceived)
    server.repeat(said)
    server.say(said.channel.recipients[0], "Anybody?")
    await until(lambda: "Anybody?" in desk.host.texts())
    assert desk.host.texts() == ["Hello", "Anybody?"]


async def test_typing_in_direct_messages_is_told(server: DiscordServer, opened: Open) -> None:
    desk = await opened()
    ann = server.person("Ann")
    server.say(ann, "One moment")
    await desk.host.event(MessageReceived)
    server.types(ann)
    assert (await desk.host.event(TypingSeen)).at == dm(server, ann)


async def test_a_message_that_the_house_refuses_is_answered_with_the_reason(
    server: DiscordServer, opened: Open
) -> None:
    desk = await opened()
    ann = server.person("Ann")
    desk.host.refusal = Refused("too_long", "Your message is too long.")
    said = server.say(ann, "x" * 1_900)
    await until(lambda: ours(server, said.channel))
    assert ours(server, said.channel)[0].content == "Your message is too long."
    assert not server.violations


async def test_what_could_not_be_stored_is_tried_until_it_is_and_later_words_wait(
    server: DiscordServer, opened: Open
) -> None:
    desk = await opened()
    ann = server.person("Ann")
    desk.host.failures = [StoreUnavailable("disk full"), Overloaded("busy", 0.05)]
    server.say(ann, "first")
    server.say(ann, "second")
    await until(lambda: len(desk.host.texts()) == 2)
    assert desk.host.texts() == ["first", "second"]


async def test_events_of_one_channel_stay_in_order_while_others_go_on(server: DiscordServer, opened: Open) -> None:
    desk = await opened()
    ann, ben = server.person("Ann"), server.person("Ben")
    desk.host.gates["slow"] = asyncio.Event()
    server.say(ann, "slow")
    server.say(ann, "after it")
    server.say(ben, "from somebody else")
    await desk.host.event(MessageReceived)
    assert desk.host.texts() == ["from somebody else"]
    desk.host.gates["slow"].set()
    await until(lambda: len(desk.host.texts()) == 3)
    assert desk.host.texts() == ["from somebody else", "slow", "after it"]


async def test_a_file_is_handed_over_unread_and_read_from_a_fresh_address(server: DiscordServer, opened: Open) -> None:
    desk = await opened()
    ann = server.person("Ann")
    file = server.world.files.upload("bill.pdf", b"%PDF-1.4 bill")
    server.say(ann, "", files=(file,))
    event = await desk.host.event(MessageReceived)
    assert [(one.name, one.size_bytes) for one in event.files] == [("bill.pdf", 13)]
    assert not any(path.startswith("/attachments") for _, path in server.requests)
    server.skip(3 * 24 * 3600)  # the address that came with the event is long expired
    async with desk.adapter.open_file(event.files[0].source) as fetched:
        assert b"".join([chunk async for chunk in fetched.data]) == b"%PDF-1.4 bill"


async def test_a_file_of_a_deleted_message_is_refused_in_plain_words(server: DiscordServer, opened: Open) -> None:
    desk = await opened()
    said = server.say(server.person("Ann"), "", files=(server.world.files.upload("bill.pdf", b"%PDF"),))
    event = await desk.host.event(MessageReceived)
    server.delete(said)
    with pytest.raises(Refused, match="not there any more"):
        async with desk.adapter.open_file(event.files[0].source):
            pass


async def test_a_forwarded_message_is_read(server: DiscordServer, opened: Open) -> None:
    desk = await opened()
    ann = server.person("Ann")
    room = server.world.direct(ann)
    data = {
        "id": str(server.world.ids.next()),
        "channel_id": str(room.id),
        "author": ann.json(),
        "type": 0,
        "content": "",
        "message_snapshots": [{"message": {"content": "Your parcel is delayed."}}],
    }
    server.world.announce("MESSAGE_CREATE", data, 0, None)
    assert (await desk.host.event(MessageReceived)).text == "Your parcel is delayed."


# --- channels and threads --------------------------------------------------------------------------------------------


async def test_a_question_in_a_channel_gets_a_thread_and_both_are_one_conversation(opened: Open, shop: Shop) -> None:
    desk = await opened()
    thread = await shop.thread(
        shop.ann, "Where is my parcel? I ordered it two weeks ago, and nothing came so far at all"
    )
    first = await desk.host.event(MessageReceived)
    assert first.text.startswith("Where is my parcel?")
    assert first.at == shop.at(thread)
    assert thread.name == "Where is my parcel? I ordered it two weeks ago, and nothing…"
    shop.server.say(shop.ann, "It has the number 17", thread)
    second = await desk.host.event(MessageReceived, 2)
    assert (second.at, second.text) == (first.at, "It has the number 17")
    assert not shop.server.violations


async def test_what_is_said_in_a_channel_to_others_is_not_heard(opened: Open, shop: Shop) -> None:
    desk = await opened()
    shop.server.say(shop.ann, "Good morning everybody", shop.room)
    shop.server.say(shop.ann, f"<@{shop.ben.id}> do you know?", shop.room)
    shop.server.say(shop.ann, f"{shop.call} and you?", shop.room)
    assert (await desk.host.event(MessageReceived)).text == "and you?"
    assert desk.host.texts() == ["and you?"]


async def test_the_bots_own_role_is_as_good_as_its_name(opened: Open, shop: Shop) -> None:
    desk = await opened()
    shop.server.say(shop.ann, f"<@&{shop.guild.bot_role}> help me", shop.room)
    assert (await desk.host.event(MessageReceived)).text == "help me"


async def test_in_its_own_thread_only_what_names_somebody_else_is_left_alone(opened: Open, shop: Shop) -> None:
    desk = await opened()
    thread = await shop.thread(shop.ann, "Who can help?")
    shop.server.say(shop.ann, f"<@{shop.ben.id}> can you?", thread)
    shop.server.say(shop.ben, "What is it about?", thread)
    await until(lambda: len(desk.host.texts()) == 2)
    assert desk.host.texts() == ["Who can help?", "What is it about?"]


async def test_a_thread_of_others_is_joined_by_a_mention_and_what_was_said_before_comes_along(
    opened: Open, shop: Shop
) -> None:
    desk = await opened()
    start = shop.server.say(shop.ann, "My lamp flickers", shop.room)
    thread = shop.server.world.open_thread(shop.room, "Lamp", shop.ann, start, 11)
    shop.server.say(shop.ben, "Is it the new one?", thread)
    shop.server.say_by_webhook("Status", "All systems go", thread)
    shop.server.say(shop.ann, f"{shop.call} what can I do, <@{shop.ben.id}>?", thread)
    event = await desk.host.event(MessageReceived)
    assert event.at == shop.at(thread)
    assert event.text == "what can I do, @Ben?"
    assert [heard.text for heard in event.before] == ["My lamp flickers", "Is it the new one?"]
    assert desk.host.texts() == ["what can I do, @Ben?"]


async def test_an_answer_to_somebody_that_mentions_the_bot_brings_the_answered_message_along(
    opened: Open, shop: Shop
) -> None:
    desk = await opened()
    asked = shop.server.say(shop.ben, "How do I reset my router?", shop.room)
    shop.server.say(shop.ann, f"{shop.call} can you help?", shop.room, answers=asked)
    event = await desk.host.event(MessageReceived)
    assert [(heard.text, heard.sender.name) for heard in event.before] == [("How do I reset my router?", "Ben")]


async def test_where_no_thread_can_begin_the_answer_is_a_reply_in_the_channel(opened: Open, shop: Shop) -> None:
    desk = await opened()
    shop.room.type = 12  # where Discord begins none
    asked = shop.server.say(shop.ann, f"{shop.call} hello?", shop.room)
    event = await desk.host.event(MessageReceived)
    assert event.at == shop.at(asked.id)
    receipt = await desk.adapter.send(event.at, answer("Hello."))
    post = shop.room.everything[int(receipt.external_id)]
    assert (post.content, post.answers) == ("Hello.", asked)
    shop.room.type = 0
    pressed = await shop.server.press(shop.ann, post, "👍").wait()
    assert (await desk.host.event(FeedbackGiven)).at == event.at
    assert pressed.state == "answered"
    shop.server.react(shop.ann, post, "👎")
    assert (await desk.host.event(FeedbackGiven, 2)).at == event.at


async def test_without_threads_a_channel_is_one_conversation(opened: Open, shop: Shop) -> None:
    desk = await opened(threads=False)
    shop.server.say(shop.ann, f"{shop.call} hello?", shop.room)
    event = await desk.host.event(MessageReceived)
    assert event.at == Address("discord", "", str(shop.room.id))
    await desk.adapter.send(event.at, answer("Hello."))
    assert [message.content for message in ours(shop.server, shop.room)] == ["Hello."]


# --- edits and deletions ---------------------------------------------------------------------------------------------


async def test_an_edit_has_the_address_and_key_of_its_message(opened: Open, shop: Shop) -> None:
    desk = await opened()
    asked = shop.server.say(shop.ann, f"{shop.call} order 12", shop.room)
    await until(lambda: asked.thread)
    shop.server.edit(asked, f"{shop.call} order 13")
    edit = await desk.host.event(MessageEdited)
    assert (edit.at, edit.external_id, edit.text) == (shop.at(asked.id), str(asked.id), "order 13")
    assert edit.edited_at_ms == asked.edited_ms


async def test_a_preview_of_a_link_is_no_edit(server: DiscordServer, opened: Open) -> None:
    desk = await opened()
    ann = server.person("Ann")
    said = server.say(ann, "see https://example.com")
    server.unfold(said)
    server.edit(said, "see https://example.com/2")
    server.unfold(said)
    server.say(ann, "well?")
    await until(lambda: len(desk.host.texts()) == 2)
    assert [change.text for change in desk.host.changes()] == ["see https://example.com/2"]


async def test_deletions_are_told_one_by_one_also_those_of_a_moderator(opened: Open, shop: Shop) -> None:
    desk = await opened()
    thread = await shop.thread(shop.ann, "Secret 1")
    said = [shop.server.say(shop.ann, text, thread) for text in ("Secret 2", "Secret 3")]
    unrelated = shop.server.say(shop.ann, "to others", shop.room)
    await until(lambda: len(desk.host.texts()) == 3)
    shop.server.delete(unrelated)
    shop.server.delete_many(*said)
    shop.server.delete(shop.room.everything[thread.id])
    await until(lambda: len(desk.host.of(MessageDeleted)) == 3)
    told = [(event.at, event.external_id, event.sender.external_id) for event in desk.host.of(MessageDeleted)]
    ids = [str(said[0].id), str(said[1].id), str(thread.id)]
    assert sorted(told) == sorted((shop.at(thread), id_, str(shop.ann.id)) for id_ in ids)


async def test_a_deletion_of_what_an_earlier_process_heard_is_told(opened: Open, shop: Shop) -> None:
    desk = await opened()
    thread = await shop.thread(shop.ann, "Secret")
    await desk.host.event(MessageReceived)
    await desk.stop()
    again = await opened(desk.host)
    shop.server.delete(shop.room.everything[thread.id])
    event = await again.host.event(MessageDeleted)
    assert (event.at, event.external_id) == (shop.at(thread), str(thread.id))


# --- who is not answered ---------------------------------------------------------------------------------------------


async def test_f27_other_bots_webhooks_and_its_own_words_are_not_heard(opened: Open, shop: Shop) -> None:
    desk = await opened()
    robot = shop.server.world.user("Robot", is_bot=True)
    thread = await shop.thread(shop.ann, "Hello")
    await desk.adapter.send(shop.at(thread), answer("Good day."))
    shop.server.say(robot, f"{shop.call} hello bot", shop.room)
    shop.server.say(robot, "beep", thread)
    shop.server.say_by_webhook("Robot", f"{shop.call} hello hook", shop.room)
    shop.server.say_by_webhook("Robot", "boop", thread)
    shop.server.say(shop.ann, "Thank you", thread)
    await until(lambda: "Thank you" in desk.host.texts())
    assert desk.host.texts() == ["Hello", "Thank you"]


async def test_f27_a_loop_with_a_program_that_hides_it_comes_to_rest(server: DiscordServer, opened: Open) -> None:
    host = FakeHost()
    host.limits = HostLimits(messages_per_minute=3)
    await opened(host)
    ann = server.person("Ann")
    for number in range(6):
        server.say(ann, f"answer {number}")
    server.say(server.person("Ben"), "I am here too")
    await until(lambda: "I am here too" in host.texts())
    assert host.texts() == ["answer 0", "answer 1", "answer 2", "I am here too"]


async def test_f29_nothing_of_a_person_who_is_not_allowed_comes_in(server: DiscordServer, opened: Open) -> None:
    ann, eve = server.person("Ann"), server.person("Eve")
    desk = await opened(allow={"people": [str(ann.id)]})
    receipt = await desk.adapter.send(dm(server, eve), answer("Hi"))
    post = server.world.direct(eve).everything[int(receipt.external_id)]
    said = server.say(eve, "let me in")
    server.edit(said, "let me in!")
    server.delete(said)
    server.react(eve, post, "👍")
    server.types(eve)
    pressed = await server.press(eve, post, "👍").wait()
    server.say(ann, "Hello")
    await desk.host.event(MessageReceived)
    assert [type(event) for event in desk.host.events] == [MessageReceived]
    assert desk.host.texts() == ["Hello"]
    assert pressed.state == "answered"


async def test_f29_rooms_and_servers_of_the_list_only(opened: Open, shop: Shop) -> None:
    other = shop.server.add_room(shop.guild, "random")
    desk = await opened(allow={"rooms": [str(shop.room.id)], "is_direct": False})
    shop.server.say(shop.ann, f"{shop.call} here?", other)
    shop.server.say(shop.ann, "or here?")
    thread = await shop.thread(shop.ann, "but here")
    shop.server.say(shop.ann, "and in its thread", thread)
    await until(lambda: len(desk.host.texts()) == 2)
    assert desk.host.texts() == ["but here", "and in its thread"]


# --- reactions -------------------------------------------------------------------------------------------------------


async def test_thumbs_of_any_colour_on_our_messages_are_verdicts(server: DiscordServer, opened: Open) -> None:
    desk = await opened()
    ann = server.person("Ann")
    receipt = await desk.adapter.send(dm(server, ann), answer("It comes tomorrow."))
    post = server.world.direct(ann).everything[int(receipt.external_id)]
    own = server.say(ann, "Thanks")
    server.react(ann, own, "👍")
    server.react(ann, post, "❤️")
    server.react(ann, post, "👎🏽")
    verdict = await desk.host.event(FeedbackGiven)
    assert (verdict.value, verdict.external_id, verdict.at) == ("down", receipt.external_id, dm(server, ann))
    assert len(desk.host.of(FeedbackGiven)) == 1


# --- what Discord sends wrongly, or keeps ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"id": "x", "channel_id": None},
        {"id": 12, "channel_id": 13, "author": {"id": 14}, "content": "ids as numbers", "new_field": {"a": [1]}},
        {"id": "12", "channel_id": "13", "author": None, "content": 5},
        {"id": "12", "channel_id": "13", "author": {"id": "14"}, "mentions": None, "attachments": [{}], "content": "x"},
        {"ids": ["1"], "channel_id": "99999"},
    ],
)
async def test_f32_odd_events_stop_nothing(server: DiscordServer, opened: Open, data: dict[str, object]) -> None:
    desk = await opened()
    for name in (
        "MESSAGE_CREATE",
        "MESSAGE_UPDATE",
        "MESSAGE_DELETE_BULK",
        "INTERACTION_CREATE",
        "GUILD_CREATE",
        "NEW_EVENT",
    ):
        server.world.announce(name, data, 0, None)
    server.say(server.person("Ann"), "Still there?")
    await until(lambda: "Still there?" in desk.host.texts())
    assert set(desk.host.texts()) <= {"Still there?", "ids as numbers"}


async def test_f31_without_the_intent_the_operators_are_told_and_nothing_empty_comes_in(
    opened: Open, shop: Shop
) -> None:
    desk = await opened()
    thread = await shop.thread(shop.ann, "Hello")
    await desk.host.event(MessageReceived)
    gateway = shop.server.gateway
    gateway.is_content_allowed = False
    for session in gateway.sessions.values():
        session.intents &= ~(1 << 15)
    shop.server.say(shop.ann, "you cannot read this", thread)
    fault = await desk.fault()
    assert isinstance(fault, ChannelFault)
    assert "MESSAGE CONTENT INTENT" in fault.mend
    assert desk.host.texts() == ["Hello"]


async def test_f57_only_a_mention_is_answered_without_a_thread(opened: Open, shop: Shop) -> None:
    desk = await opened()
    desk.host.refusal = Refused("empty", "Your message is empty.")
    asked = shop.server.say(shop.ann, shop.call, shop.room)
    await until(lambda: len(shop.room.messages) == 2)
    told = shop.room.messages[1]
    assert (told.content, told.answers, asked.thread) == ("Your message is empty.", asked, None)
    assert not shop.server.violations
