"""What is sent arrives once, in the form of the platform, and what Twilio says of it is passed on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.whatsapp import Account
from adapters.whatsapp.letters import CHARS, letters, units
from bot.errors import SendRefused, SendUncertain, StoreUnavailable, WindowClosed
from bot.model import (
    Attachment,
    Blob,
    BlobId,
    Button,
    Citation,
    DeliveryReported,
    DeliveryStatus,
    MessageId,
    PassageId,
)
from bot.ports import ChannelState
from tests.clock import ManualClock
from tests.platforms.twilio.ledger import PERSON, Template
from tests.whatsapp.rig import AT, Rig, message, rig, serving

CHOICES = (Button("yes", "Yes, please"), Button("no", "No"))
SENT, DELIVERED, READ, FAILED = DeliveryStatus
PDF = Attachment(BlobId("b1"), "manual.pdf", "application/pdf", 8)


def reports(it: Rig) -> list[tuple[DeliveryStatus, int]]:
    return [(event.status, event.part) for event in it.host.events if isinstance(event, DeliveryReported)]


def texts(it: Rig) -> list[str]:
    return list(it.platform.was_shown())


async def test_a_message_arrives_and_its_ticks_come_back() -> None:
    """Each with the message and the part that it is about."""
    async with rig() as it:
        it.open_window()
        receipt = await it.adapter.send(AT, message("Hello **you**", part=2))
        await it.server.settle()
        assert texts(it) == ["Hello *you*"]
        assert reports(it) == [(SENT, 2), (DELIVERED, 2), (READ, 2)]
        (first, *_) = [event for event in it.host.events if isinstance(event, DeliveryReported)]
        assert (first.at, first.message, first.external_id) == (AT, "m1", receipt.external_id)
        assert not it.server.violations


@pytest.mark.parametrize("order", ["backwards", "twice"])
async def test_f33_callbacks_in_any_order_are_passed_on_as_they_are(order: str) -> None:
    """The house keeps the state that goes furthest."""
    async with rig() as it:
        it.server.callbacks = order
        it.open_window()
        await it.adapter.send(AT, message("Hello"))
        await it.server.settle()
        ways = {"backwards": [READ, DELIVERED, SENT], "twice": [SENT, DELIVERED, READ] * 2}
        assert [status for status, _ in reports(it)] == ways[order]


async def test_a_callback_that_cannot_be_stored_is_not_acknowledged() -> None:
    """And one about nothing of ours is, without reaching the house."""
    async with rig() as it:
        it.open_window()
        it.host.refusals = [StoreUnavailable("the disk is full")]
        await it.adapter.send(AT, message("Hello"))
        await it.server.settle()
        statuses = [status for path, status in it.server.webhook_statuses if path.endswith("/status")]
        assert statuses == [503, 204, 204]


async def test_f61_long_texts_are_split_before_they_are_sent() -> None:
    """Each part fits, and nothing is lost."""
    text = "\n\n".join(f"Paragraph {count}: " + "words and more words " * 20 for count in range(12)).strip()
    async with rig() as it:
        it.open_window()
        for part, piece in enumerate(it.adapter.split(text)):
            await it.adapter.send(AT, message(piece, part=part))
        await it.server.settle()
        assert len(texts(it)) > 2
        assert " ".join(texts(it)).split() == text.split()
        assert not it.server.violations


async def test_what_stands_under_a_text_comes_with_it_where_it_fits() -> None:
    """Sources and choices; otherwise they follow as a message of their own."""
    cited = (Citation(1, PassageId("p1"), "Returns", "https://example.com/returns"),)
    async with rig() as it:
        it.open_window()
        await it.adapter.send(AT, message("Within 30 days [1].", citations=cited, buttons=CHOICES))
        await it.adapter.send(AT, message("x" * CHARS, "m2", citations=cited, buttons=CHOICES))
        await it.server.settle()
        first, second, third = texts(it)
        assert first.startswith("Within 30 days [1].")
        assert "Returns" in first
        assert "2" in first
        assert second == "x" * CHARS
        assert "Returns" in third
        assert [part for _, part in reports(it)].count(0) == 6, "two messages, each reported once it is whole"


async def test_buttons_are_quick_replies_where_a_template_is_named() -> None:
    """A text that fits into a variable stands above them; a longer one before them."""
    async with rig(buttons_template={"2": "HX1"}) as it:
        it.server.templates["HX1"] = Template("{{1}}", ("{{2}}", "{{3}}"), ("a", "b"), sid="HX1")
        it.open_window()
        await it.adapter.send(AT, message("Shall a person take over?", buttons=CHOICES))
        await it.adapter.send(AT, message("One line.\n\nAnother line.", "m2", buttons=CHOICES))
        three = (*CHOICES, Button("later", "Later"))
        await it.adapter.send(AT, message("Now?", "m3", buttons=three))
        await it.server.settle()
        shown = [(each.text, each.buttons) for each in it.platform.seen() if each.is_ours]
        labels = ("Yes, please", "No")
        assert shown[:3] == [
            ("Shall a person take over?", labels),
            ("One line.\n\nAnother line.", ()),
            ("Please choose:", labels),
        ]
        assert shown[3][1] == ("Yes, please", "No", "Later"), "no template has three: a list"
        assert shown[3][0] != "Now?"
        assert not it.server.violations


@given(st.text(max_size=4000), st.integers(0, 4), st.integers(0, 3))
def test_no_letter_is_ever_longer_than_twilio_takes(text: str, cited: int, chosen: int) -> None:
    """Whatever stands in a message and under it."""
    citations = tuple(
        Citation(n, PassageId(f"p{n}"), "title " * 60, "https://example.com/" + "x" * 300) for n in range(cited)
    )
    buttons = tuple(Button(f"b{n}", "label " * 20 + str(n)) for n in range(chosen))
    for letter in letters(message(text, citations=citations, buttons=buttons), Account()):
        assert 0 < units(letter.body) <= CHARS
        assert letter.body.strip()


async def test_an_empty_message_is_refused_for_good() -> None:
    """Twilio would refuse it at each try."""
    async with rig() as it:
        with pytest.raises(SendRefused) as refused:
            await it.adapter.send(AT, message(" \n "))
        assert not refused.value.is_retryable


# --- refusals --------------------------------------------------------------------------------------------------------


async def test_a_rate_limit_says_how_long_to_wait() -> None:
    """As Twilio says it, or a little where it does not."""
    async with rig() as it:
        it.open_window()
        it.platform.limit_rate(1, 7.0)
        with pytest.raises(SendRefused) as refused:
            await it.adapter.send(AT, message("Hello"))
        assert (refused.value.is_retryable, refused.value.retry_after_s) == (True, 7.0)
        it.server.rate_limited, it.server.retry_after_s = 1, None
        with pytest.raises(SendRefused) as refused:
            await it.adapter.send(AT, message("Hello"))
        assert refused.value.retry_after_s
        assert not texts(it)


async def test_f113_outside_the_window_is_its_own_refusal() -> None:
    """Whether Twilio says so at once or by a callback."""
    async with rig() as it:
        it.server.is_window_refused_at_once = True
        with pytest.raises(WindowClosed):
            await it.adapter.send(AT, message("Hello"))
        it.server.is_window_refused_at_once = False
        await it.adapter.send(AT, message("Hello"))
        await it.server.settle()
        (report,) = [event for event in it.host.events if isinstance(event, DeliveryReported)]
        assert (report.status, report.is_window_closed) == (FAILED, True)
        assert "63016" in report.detail
        assert not texts(it)


@pytest.mark.parametrize("order", ["in order", "backwards", "twice"])
async def test_f113_what_was_held_for_the_window_is_sent_once_it_is_open(order: str) -> None:
    """The failed try does not count as sent, whatever comes of it later."""
    async with rig() as it:
        it.server.callbacks = order
        await it.adapter.send(AT, message("Hello"))
        await it.server.settle()
        await it.server.call_back(it.server.messages[0], "sent")
        it.open_window()
        again = await it.adapter.send(AT, message("Hello"))
        await it.server.settle()
        assert texts(it) == ["Hello"]
        failed, *_, last = [event for event in it.host.events if isinstance(event, DeliveryReported)]
        assert last.external_id == again.external_id
        assert failed.external_id != again.external_id, "the house can tell a late word about the first try"


async def test_f113_the_template_goes_out_when_the_window_is_closed() -> None:
    """It reports nothing of the message that waits."""
    async with rig() as it:
        assert not it.adapter.has_template()
    async with rig(window_template="HX9") as it:
        it.server.templates["HX9"] = Template("We have an answer for you.", is_approved=True, sid="HX9")
        assert it.adapter.has_template()
        await it.adapter.send_template(AT, message("The answer"))
        await it.server.settle()
        assert texts(it) == ["We have an answer for you."]
        assert not it.host.events
        assert not it.server.violations


async def test_who_has_opted_out_is_never_tried_again() -> None:
    """21610: the person said STOP to Twilio."""
    async with rig() as it:
        it.open_window()
        it.server.stopped.add(PERSON)
        with pytest.raises(SendRefused) as refused:
            await it.adapter.send(AT, message("Hello"))
        assert not refused.value.is_retryable
        assert "21610" in str(refused.value)


@pytest.mark.parametrize("fault", ["failures", "lost_answers"])
async def test_what_may_have_arrived_is_uncertain(fault: str) -> None:
    """A cut, and an error of the server's."""
    async with rig() as it:
        it.open_window()
        setattr(it.server, fault, 1)
        with pytest.raises(SendUncertain):
            await it.adapter.send(AT, message("Hello"))


async def test_a_server_that_is_not_there_has_certainly_taken_nothing() -> None:
    """So it may be tried again."""
    async with rig(is_running=False) as it:
        with pytest.raises(SendRefused) as refused:
            await it.adapter.send(AT, message("Hello"))
        assert refused.value.is_retryable
        assert refused.value.retry_after_s, "before the start it does not count as a try"
    async with rig() as it:
        await it.server.stop()
        with pytest.raises(SendRefused) as refused:
            await it.adapter.send(AT, message("Hello"))
        assert refused.value.is_retryable
        it.server._runners.clear()


async def test_refused_credentials_wait_and_are_told_to_operators() -> None:
    """Nothing is lost until somebody mends them."""
    async with rig() as it:
        it.open_window()
        it.platform.refuse_token(True)
        with pytest.raises(SendRefused) as refused:
            await it.adapter.send(AT, message("Hello"))
        assert refused.value.is_retryable
        assert refused.value.retry_after_s
        assert it.host.reports[-1][0] is ChannelState.CONNECTING
        assert "20003" in it.host.reports[-1][1]
        it.platform.refuse_token(False)
        await it.until(lambda: it.host.reports[-1][0] is ChannelState.UP)
        await it.adapter.send(AT, message("Hello"))
        await it.server.settle()
        assert texts(it) == ["Hello"]


# --- what became of an uncertain one ---------------------------------------------------------------------------------


async def test_f12_a_callback_proves_a_message_whose_answer_was_lost() -> None:
    """At once, without asking for a list."""
    async with rig() as it:
        it.open_window()
        it.platform.lose_answers(1)
        sent = message("Hello")
        with pytest.raises(SendUncertain):
            await it.adapter.send(AT, sent)
        await it.server.settle()
        receipt = await it.adapter.find(AT, sent, it.host.clock.now_ms())
        (record,) = [each for each in it.server.messages if each.is_ours]
        assert receipt is not None
        assert receipt.external_id == record.sid


async def test_f12_without_a_callback_the_list_decides_after_a_while() -> None:
    """Until then nobody can tell: the callback may still come."""
    async with rig(clock := ManualClock()) as it:
        it.open_window()
        it.server.callbacks = "held"
        it.platform.lose_answers(1)
        sent, attempted_ms = message("Hello"), clock.now_ms()
        with pytest.raises(SendUncertain):
            await it.adapter.send(AT, sent)
        with pytest.raises(SendUncertain):
            await it.adapter.find(AT, sent, attempted_ms)
        await clock.advance(46)
        receipt = await it.adapter.find(AT, sent, attempted_ms)
        assert receipt is not None
        assert await it.adapter.find(AT, message("Hello!", "m2"), attempted_ms) is None


async def test_f12_equal_texts_are_told_apart_by_what_is_known() -> None:
    """The first "Yes." proves nothing of the second; an old one proves nothing at all."""
    async with rig(clock := ManualClock()) as it:
        it.open_window()
        it.server.callbacks = "held"
        await it.adapter.send(AT, message("Yes.", "m1"))
        attempted_ms = clock.now_ms()
        await clock.advance(46)
        assert await it.adapter.find(AT, message("Yes.", "m2"), attempted_ms) is None
        async with serving(it.platform, it.host) as again:
            await clock.advance(100)
            assert await again.adapter.find(AT, message("Yes.", "m3"), clock.now_ms() - 46_000) is None


async def test_f12_a_list_that_cannot_be_had_tells_nothing() -> None:
    """It is asked again later."""
    async with rig(clock := ManualClock()) as it:
        attempted_ms = clock.now_ms()
        await clock.advance(46)
        it.platform.refuse_token(True)
        with pytest.raises(SendUncertain):
            await it.adapter.find(AT, message("Hello"), attempted_ms)
        it.platform.refuse_token(False)
        await clock.advance(5)


# --- files -----------------------------------------------------------------------------------------------------------


def attach(it: Rig, data: bytes = b"%PDF-1.7", media_type: str = "application/pdf") -> None:
    blob = Blob(BlobId("b1"), 'a "manual"\n.pdf', media_type, len(data))
    it.host.attachments[MessageId("m1"), BlobId("b1")] = (blob, data)


async def test_f68_a_file_goes_out_by_an_address_that_names_no_path() -> None:
    """Twilio fetches it from us; the text comes after it."""
    async with rig() as it:
        it.open_window()
        attach(it)
        await it.adapter.send(AT, message("Here it is", attachments=(PDF,)))
        await it.server.settle()
        shown = [(each.text, each.files) for each in it.platform.seen() if each.is_ours]
        assert sorted(shown) == [("", ("application/pdf",)), ("Here it is", ())]
        assert reports(it) == [(SENT, 0), (DELIVERED, 0), (READ, 0)]
        assert not it.server.violations


async def test_a_file_that_twilio_cannot_take_is_reported() -> None:
    """By the callback of that file."""
    async with rig() as it:
        it.open_window()
        attach(it, b"MZ", "application/x-msdownload")
        await it.adapter.send(AT, message("Here it is", attachments=(PDF,)))
        await it.server.settle()
        (failed,) = [
            event for event in it.host.events if isinstance(event, DeliveryReported) and event.status is FAILED
        ]
        assert "12300" in failed.detail


async def test_a_retry_sends_no_file_twice() -> None:
    """What Twilio has is known by its place in the message."""
    async with rig() as it:
        it.open_window()
        attach(it)
        sent = message("x" * 100, attachments=(PDF,))
        first = letters(sent, Account())[0]
        assert first.blob
        await it.adapter.send(AT, message("", attachments=(PDF,)))  # the file arrives
        it.platform.limit_rate(1, 1.0)
        with pytest.raises(SendRefused):
            await it.adapter.send(AT, sent)
        await it.adapter.send(AT, sent)
        await it.server.settle()
        assert sum(bool(each.media) for each in it.server.messages) == 1


async def test_f12_of_a_message_in_several_letters_only_the_uncertain_one_is_looked_for() -> None:
    """The file was taken; whether the text was is not known."""
    async with rig(clock := ManualClock()) as it:
        it.open_window()
        attach(it)
        it.server.callbacks = "held"
        sent, attempted_ms = message("Here it is", attachments=(PDF,)), clock.now_ms()
        await it.adapter.send(AT, message("", attachments=(PDF,)))
        it.platform.lose_answers(1)
        with pytest.raises(SendUncertain):
            await it.adapter.send(AT, sent)
        await clock.advance(46)
        receipt = await it.adapter.find(AT, sent, attempted_ms)
        assert receipt is not None
        assert receipt.external_id == it.server.messages[-1].sid


async def test_what_twilio_has_of_a_message_is_found_after_a_restart() -> None:
    """The file is there, the text is not: only the text is sent again."""
    async with rig(clock := ManualClock()) as it:
        it.open_window()
        attach(it)
        sent, attempted_ms = message("Here it is", attachments=(PDF,)), clock.now_ms()
        await it.adapter.send(AT, message("", attachments=(PDF,)))
        await it.server.settle()
        async with serving(it.platform, it.host) as again:
            await clock.advance(46)
            assert await again.adapter.find(AT, sent, attempted_ms) is None
            await again.adapter.send(AT, sent)
            await it.server.settle()
            assert sum(bool(each.media) for each in it.server.messages) == 1
            assert texts(it) == ["", "Here it is"]


# --- typing ----------------------------------------------------------------------------------------------------------


async def test_typing_is_shown_under_the_message_of_the_person_and_not_too_often() -> None:
    """And fails without anybody noticing."""
    async with rig(clock := ManualClock()) as it:
        await it.adapter.typing(AT)
        sid = await it.platform.say("Hello")
        await it.received()
        for _ in range(3):
            await it.adapter.typing(AT)
        assert it.server.typings == [sid]
        await clock.advance(21)
        await it.adapter.typing(AT)
        assert it.server.typings == [sid, sid]
        await it.platform.say("Hello?")
        await it.received(2)
        it.platform.refuse_token(True)
        await it.adapter.typing(AT)
        it.platform.refuse_token(False)
        assert not it.server.violations
