"""What people write becomes one event each, after which Twilio gets its answer."""

import random

import pytest

from adapters.whatsapp.reading import UNREADABLE
from bot.errors import Overloaded, Refused, SendUncertain, StoreUnavailable
from bot.model import (
    Author,
    Button,
    ButtonPressed,
    ContactChoice,
    ContactChosen,
    FeedbackGiven,
    Identity,
    MessageId,
    MessageReceived,
)
from tests.clock import ManualClock
from tests.platforms.twilio.ledger import OTHER, PERSON, Media, Template
from tests.whatsapp.rig import AT, Rig, message, rig, serving

CHOICES = (Button("yes", "Yes, please"), Button("no", "No"))


async def taken(it: Rig, status: int = 200) -> None:
    """The webhook has been answered."""
    await it.server.settle()
    assert it.server.webhook_statuses[-1][1] == status


async def test_a_message_becomes_an_event_of_a_verified_person() -> None:
    """The number is the person, the profile's name is only a name, the Sid dedupes."""
    async with rig() as it:
        sid = await it.platform.say("Where is my order? äöü 😀")
        (event,) = await it.received()
        number = PERSON.removeprefix("whatsapp:")
        assert event == MessageReceived(
            Identity("whatsapp", "", number, "Person 1111", verified=True), AT, sid, "Where is my order? äöü 😀"
        )
        await taken(it)


async def test_it_is_acknowledged_only_after_the_commit() -> None:
    """And Twilio's repeat brings what the store could not take."""
    async with rig() as it:
        it.host.refusals = [StoreUnavailable("the disk is full"), Overloaded("too much waits", 2.0)]
        await it.platform.say("Hello")
        await it.received()
        await it.server.settle()
        assert [status for _, status in it.server.webhook_statuses] == [503, 503, 200]
        assert not it.server.lost


async def test_what_is_refused_is_acknowledged_and_the_person_is_told() -> None:
    """Repeating it would change nothing."""
    async with rig() as it:
        it.host.refusals = [Refused("too_long", "This message is too long: <16,000> characters & no more.")]
        await it.platform.say("x" * 4_000)
        await taken(it)
        assert it.platform.was_shown() == ["This message is too long: <16,000> characters & no more."]


@pytest.mark.parametrize("fields", [{"MessageType": "sticker"}, {"MessageType": "unsupported", "New": "{}"}])
async def test_a_message_without_anything_readable_gets_a_plain_answer(fields: dict[str, str]) -> None:
    """It never reaches the house."""
    async with rig() as it:
        it.server.write(PERSON, "", fields=fields)
        await taken(it)
        assert it.platform.was_shown() == [UNREADABLE]
        assert not it.host.events


async def test_files_are_handed_over_unread() -> None:
    """Twilio does not wait for a download."""
    async with rig() as it:
        record = it.server.write(PERSON, "See this", media=Media(b"%PDF-1.7", "application/pdf"))
        (event,) = await it.received()
        assert isinstance(event, MessageReceived)
        (file,) = event.files
        assert (event.text, file.media_type) == ("See this", "application/pdf")
        assert file.source.endswith(f"/Messages/{record.sid}/Media/{record.media[0].sid}")
        assert not it.host.fetched


async def test_a_place_becomes_a_line_of_text() -> None:
    """Without a link to any map."""
    async with rig() as it:
        place = {"Latitude": "52.52", "Longitude": "13.405", "Label": "Office", "Address": "Main Street 1\nBerlin"}
        it.server.write(PERSON, "", fields=place)
        (event,) = await it.received()
        assert isinstance(event, MessageReceived)
        assert event.text == "Location: Office, Main Street 1, Berlin, 52.52, 13.405"


async def test_f32_new_and_missing_fields_change_nothing() -> None:
    """Twilio adds fields without notice; all of them are signed."""
    async with rig() as it:
        it.server.write(PERSON, "Hi", fields={"Brand New+Field": "ä & = +", "ProfileName": "", "WaId": "", "Empty": ""})
        (event,) = await it.received()
        assert isinstance(event, MessageReceived)
        assert (event.text, event.sender.name) == ("Hi", "")


async def test_f32_any_combination_of_odd_fields_is_answered() -> None:
    """Numbers that are none, places that are half, counts without files."""
    odd = ["", "x", "-1", "999999999999", "\x00", "😀", "0x10", "٣"]
    chance = random.Random(7)  # the same cases at every run
    keys = ["NumMedia", "MediaUrl0", "Latitude", "Longitude", "ButtonText", "OptOutType", "MessageType", "ProfileName"]
    async with rig() as it:
        it.host.limits = it.host.limits.__class__(messages_per_minute=1_000)
        for _ in range(40):
            it.server.write(PERSON, "Hi", fields={key: chance.choice(odd) for key in chance.sample(keys, 4)})
        await it.server.settle()
        assert {status for _, status in it.server.webhook_statuses} == {200}


async def test_f21_the_same_event_a_hundred_times_has_one_id() -> None:
    """The house dedupes by it; no repeat counts against the person's pace."""
    async with rig() as it:
        sid = await it.platform.say("Hello")
        for _ in range(99):
            await it.platform.repeat(sid)
        await it.platform.say("And this?")
        events = await it.received(101)
        assert {event.external_id for event in events if isinstance(event, MessageReceived)} >= {sid}
        assert sum(isinstance(event, MessageReceived) and event.text == "And this?" for event in events) == 1


async def test_f27_our_own_echo_and_strangers_of_the_allow_list_are_ignored() -> None:
    """They are acknowledged, and nothing else happens."""
    async with rig(allow={"people": [PERSON]}) as it:
        it.server.write(OTHER, "Hello")
        it.server.write(OTHER, "STOP")
        it.server.write(OTHER, "👍")
        it.server.write("whatsapp:+14155550100", "Echo")
        await taken(it)
        assert {status for _, status in it.server.webhook_statuses} == {200}
        await it.platform.say("Hello")
        await it.received()
        assert len(it.host.events) == 1


async def test_f27_a_loop_is_stopped_by_the_pace() -> None:
    """What comes faster is acknowledged and not answered."""
    async with rig() as it:
        for count in range(it.host.limits.messages_per_minute + 20):
            await it.platform.say(f"Message {count}")
        await it.server.settle()
        assert len(it.host.events) == it.host.limits.messages_per_minute
        assert {status for _, status in it.server.webhook_statuses} == {200}


# --- words that are set aside ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "choice"),
    [
        ("STOP", ContactChoice.STOP),
        (" stop\n", ContactChoice.STOP),
        ("Unsubscribe", ContactChoice.STOP),
        ("cancel", ContactChoice.STOP),
        ("START", ContactChoice.START),
        ("unstop", ContactChoice.START),
        ("Help", ContactChoice.HELP),
        ("info", ContactChoice.HELP),
    ],
)
async def test_words_about_being_written_to_are_no_messages(word: str, choice: ContactChoice) -> None:
    """As the whole message, in any case."""
    async with rig() as it:
        sid = await it.platform.say(word)
        (event,) = await it.received()
        assert isinstance(event, ContactChosen)
        assert (event.external_id, event.choice, event.text) == (sid, choice, word)


@pytest.mark.parametrize("text", ["please stop", "STOP it", "stop.", "yes", "Yes", "help me", "start over"])
async def test_a_sentence_with_such_a_word_is_a_message(text: str) -> None:
    """And so is "yes", which answers a question."""
    async with rig() as it:
        await it.platform.say(text)
        (event,) = await it.received()
        assert isinstance(event, MessageReceived)


async def test_yes_after_stop_means_start() -> None:
    """Only until then; afterwards it is an answer again."""
    async with rig() as it:
        kinds: list[object] = []
        for text in ("STOP", "yes", "yes"):
            await it.platform.say(text)
            event = (await it.received(len(kinds) + 1))[-1]
            kinds.append(event.choice if isinstance(event, ContactChosen) else type(event))
        assert kinds == [ContactChoice.STOP, ContactChoice.START, MessageReceived]


async def test_what_twilio_itself_read_as_an_opt_out_is_taken_so() -> None:
    """In languages of which we know no word."""
    async with rig() as it:
        it.server.write(PERSON, "ARRET", fields={"OptOutType": "STOP"})
        (event,) = await it.received()
        assert isinstance(event, ContactChosen)
        assert event.choice is ContactChoice.STOP


# --- buttons and verdicts --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "button"), [("2", "no"), ("2.", "no"), ("No", "no"), ("yes, please", "yes")])
async def test_the_answer_to_a_numbered_list_is_a_press(text: str, button: str) -> None:
    """By its number or its words."""
    async with rig() as it:
        it.open_window()
        await it.adapter.send(AT, message("Shall a person take over?", buttons=CHOICES))
        sid = await it.platform.say(text)
        await it.until(lambda: any(isinstance(event, ButtonPressed) for event in it.host.events))
        (event,) = [event for event in it.host.events if isinstance(event, ButtonPressed)]
        assert (event.message, event.button, event.external_id) == ("m1", button, sid)


async def test_a_number_chooses_nothing_once_something_else_was_said() -> None:
    """Only the newest message of ours is what can be answered so."""
    async with rig() as it:
        it.open_window()
        await it.adapter.send(AT, message("Shall a person take over?", buttons=CHOICES))
        await it.adapter.send(AT, message("How many do you need?", "m2"))
        await it.platform.say("2")
        await it.until(lambda: any(isinstance(event, MessageReceived) for event in it.host.events))


async def test_after_a_restart_the_list_is_found_in_the_history() -> None:
    """Nothing of it is kept by us."""
    async with rig() as it:
        it.host.said[PERSON] = [
            message("Shall a person take over?", buttons=CHOICES),
            message("x", "u", author=Author.USER),
        ]
        await it.platform.say("1")
        (event,) = await it.received()
        assert isinstance(event, ButtonPressed)
        assert (event.message, event.button) == ("m1", "yes")


async def test_a_choice_that_arrived_without_an_answer_to_the_request_can_be_made() -> None:
    """The message before it offered nothing."""
    async with rig() as it:
        it.open_window()
        await it.adapter.send(AT, message("Hello", "m0"))
        offering = message("Shall a person take over?", buttons=CHOICES)
        it.host.said[PERSON] = [message("Hello", "m0"), offering]
        it.platform.lose_answers(1)
        with pytest.raises(SendUncertain):
            await it.adapter.send(AT, offering)
        await it.platform.say("2")
        await it.until(lambda: any(isinstance(event, ButtonPressed) for event in it.host.events))


async def test_a_press_that_the_house_refuses_is_a_message() -> None:
    """The person may have meant the number."""
    async with rig() as it:
        it.host.said[PERSON] = [message("Shall a person take over?", buttons=CHOICES)]
        it.host.refusals = [Refused("pressed", "This was answered already.")]
        await it.platform.say("1")
        (event,) = await it.received()
        assert isinstance(event, MessageReceived)
        assert event.text == "1"


async def test_a_tapped_quick_reply_is_a_press_of_the_message_it_answers() -> None:
    """Even where a newer message has a button with the same words."""
    async with rig(buttons_template={"2": "HX1"}) as it:
        it.server.templates["HX1"] = Template("{{1}}", ("{{2}}", "{{3}}"), ("a", "b"), sid="HX1")
        it.open_window()
        older = message("Shall a person take over?", buttons=CHOICES)
        await it.adapter.send(AT, older)
        newer = message("And a mail?", "m2", buttons=CHOICES)
        await it.adapter.send(AT, newer)
        it.host.said[PERSON] = [older, newer]
        shown = next(each for each in it.platform.seen() if each.buttons)
        await it.platform.press(shown, "No")
        await it.until(lambda: any(isinstance(event, ButtonPressed) for event in it.host.events))
        (event,) = [event for event in it.host.events if isinstance(event, ButtonPressed)]
        assert (event.message, event.button) == ("m1", "no")


async def test_a_quick_reply_of_somebody_elses_template_is_a_message() -> None:
    """Its words are what the person said."""
    async with rig() as it:
        it.server.write(PERSON, button=("Track my order", "track"))
        (event,) = await it.received()
        assert isinstance(event, MessageReceived)
        assert event.text == "Track my order"


@pytest.mark.parametrize(("text", "value"), [("👍", "up"), ("👎🏽", "down"), (" 👍️ ", "up")])
async def test_a_lone_thumb_judges_the_message_it_answers(text: str, value: str) -> None:
    """Named as Twilio names it."""
    async with rig() as it:
        it.server.write(PERSON, text, reply_to="SM77")
        (event,) = await it.received()
        assert isinstance(event, FeedbackGiven)
        assert (event.value, event.external_id, event.message) == (value, "SM77", None)


async def test_a_lone_thumb_on_a_part_that_this_run_has_sent_names_its_message() -> None:
    """Also where it is a file, which the house knows by no id."""
    async with rig() as it:
        it.open_window()
        await it.adapter.send(AT, message("Try this"))
        await it.server.settle()
        (shown,) = [each for each in it.platform.seen() if each.is_ours]
        await it.platform.rate(shown, "up")
        await it.until(lambda: any(isinstance(event, FeedbackGiven) for event in it.host.events))
        (event,) = [event for event in it.host.events if isinstance(event, FeedbackGiven)]
        assert (event.value, event.message, event.external_id) == ("up", "m1", shown.id)


async def test_a_lone_thumb_judges_the_newest_answer() -> None:
    """Where it answers no message."""
    async with rig() as it:
        notice = message("You are second in the queue", "s", author=Author.SYSTEM)
        it.host.said[PERSON] = [message("Try this", "a1"), message("Or this", "a2"), notice]
        await it.platform.say("👎")
        (event,) = await it.received()
        assert isinstance(event, FeedbackGiven)
        assert (event.value, event.message) == ("down", MessageId("a2"))


async def test_a_thumb_before_any_answer_is_a_message() -> None:
    """There is nothing to judge."""
    async with rig() as it:
        await it.platform.say("👍")
        (event,) = await it.received()
        assert isinstance(event, MessageReceived)


# --- gaps ------------------------------------------------------------------------------------------------------------


async def test_what_was_written_while_nobody_listened_is_taken_up_in_order() -> None:
    """With the platform's time and its files, and without what came before us."""
    async with rig(clock := ManualClock()) as it:
        await it.platform.say("Before")
        await it.received()
        it.server.webhook = ""
        for text in ("One", "Two", "Three"):
            await clock.advance(1)
            it.server.write(PERSON, text, media=Media(b"GIF89a", "image/gif") if text == "Two" else None)
        await it.server.settle()
        async with serving(it.platform, it.host) as again:
            await again.received(4)
            texts = [event.text for event in it.host.events if isinstance(event, MessageReceived)]
            assert texts[-3:] == ["One", "Two", "Three"]
            two = next(event for event in it.host.events if isinstance(event, MessageReceived) and event.text == "Two")
            assert two.files[0].media_type == "image/gif"
            assert two.sent_at_ms > 0


async def test_a_number_that_is_new_to_us_brings_no_old_messages() -> None:
    """They are nobody's to answer."""
    async with rig(is_running=False) as it:
        it.server.write(PERSON, "Long ago", is_delivered=False)
        async with serving(it.platform, it.host):
            assert not it.host.events
            assert "swept" in it.host.kept


async def test_what_was_listened_to_long_ago_is_not_gone_through_again() -> None:
    """Only what lies after the last look, with a margin."""
    async with rig(clock := ManualClock()) as it:
        await it.platform.say("Before")
        await it.received()
        keeps = it.host.keeps
        await clock.advance(301)
        await it.until(lambda: it.host.keeps > keeps)
        async with serving(it.platform, it.host):
            assert len(it.host.events) == 1


async def test_what_was_a_press_is_no_message_after_a_restart() -> None:
    """Going through the list again reads nothing differently."""
    async with rig() as it:
        it.host.said[PERSON] = [message("Shall a person take over?", buttons=CHOICES)]
        await it.platform.say("1")
        await it.received()
        it.host.said[PERSON].append(message("A person will come", "m2"))
        async with serving(it.platform, it.host):
            assert [type(event) for event in it.host.events] == [ButtonPressed]


async def test_a_number_said_before_a_list_is_no_choice_of_it_after_a_restart() -> None:
    """A press must be later than what it answers."""
    async with rig(clock := ManualClock()) as it:
        await it.platform.say("1")
        await it.received()
        await clock.advance(5)
        it.host.said[PERSON] = [message("Shall a person take over?", buttons=CHOICES, at_ms=clock.now_ms())]
        async with serving(it.platform, it.host):
            assert [type(event) for event in it.host.events] == [MessageReceived] * 2


async def test_a_message_whose_webhook_was_lost_is_taken_up_while_running() -> None:
    """Within five minutes."""
    async with rig(clock := ManualClock()) as it:
        await it.platform.say("Heard")
        await it.received()
        webhook, it.server.webhook = it.server.webhook, ""
        await it.platform.say("Lost")
        await it.server.settle()
        it.server.webhook = webhook
        await clock.advance(301)
        await it.until(
            lambda: any(isinstance(event, MessageReceived) and event.text == "Lost" for event in it.host.events)
        )
        assert sum(isinstance(event, MessageReceived) and event.text == "Heard" for event in it.host.events) == 1


async def test_f24_messages_delivered_backwards_keep_their_ids() -> None:
    """Twilio tells no time of a message: the house orders what came."""
    async with rig() as it:
        sids = await it.platform.say_out_of_order(["One", "Two"])
        events = await it.received(2)
        assert {event.external_id for event in events if isinstance(event, MessageReceived)} == set(sids)
