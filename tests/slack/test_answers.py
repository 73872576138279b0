"""What the house says reaches people: once, whole, in the right place, and without a mention that a model could make."""

import pytest

from adapters.slack import blocks
from bot.errors import SendRefused, SendUncertain
from bot.model import (
    Address,
    Attachment,
    Author,
    BlobId,
    Button,
    ButtonPressed,
    Citation,
    DraftPosted,
    FeedbackGiven,
    MessageId,
    Passage,
    PassageId,
)
from bot.ports import Progress, ProgressState
from tests.platforms.slack import blockkit
from tests.platforms.slack.faults import POSTS, Fault
from tests.slack.rig import Rig
from tests.store.database import until


async def test_an_answer_is_posted_where_it_was_asked(rig: Rig) -> None:
    receipt = await rig.adapter.send(rig.direct(), rig.message("**Yes**, it is."))
    (post,) = rig.ours()
    assert post.text_shown() == "*Yes*, it is."
    assert receipt.external_id == f"{rig.room.id}:{post.ts}"
    assert post.thread_ts == ""


async def test_an_answer_in_a_channel_stays_in_the_thread(rig: Rig) -> None:
    general = rig.space.add_channel("general", rig.anna)
    asked = rig.people.mention(rig.anna, general, "help")
    at = (await rig.heard())[0].at
    await rig.adapter.send(at, rig.message("here"))
    (post,) = rig.ours(general.id)
    assert post.thread_ts == asked.ts


@pytest.mark.parametrize(
    "text", ["<!channel>", "<!here> now", "<@U123>", "@channel", "<#C1|x>", "&lt;!channel&gt;", "a & b < c"]
)
async def test_f104_what_a_model_writes_mentions_nobody(rig: Rig, text: str) -> None:
    await rig.adapter.send(rig.direct(), rig.message(text))
    assert not [each for each in rig.space.ledger.violations if "mention" in each]
    (call,) = rig.space.ledger.called("chat.postMessage")
    assert call.args["link_names"] is False
    assert call.args["unfurl_links"] is False
    assert call.args["unfurl_media"] is False


def test_f61_the_parts_of_a_long_text_are_the_text_and_each_fits() -> None:
    text = "A sentence & another <one>. " * 1000
    parts = blocks.parts(text)
    assert "".join(parts) == text
    assert len(parts) > 5


async def test_f61_every_part_of_a_long_answer_is_taken(rig: Rig) -> None:
    text = "\n\n".join(f"Paragraph {number}: " + "words & more. " * 60 for number in range(12))
    for number, part in enumerate(rig.adapter.split(text)):
        rig.site.pace.is_on = False
        await rig.adapter.send(rig.direct(), rig.message(part, part=number, id=MessageId("long")))
    shown = "".join(post.text_shown() for post in rig.ours())
    assert all(f"Paragraph {number}:" in shown for number in range(12))


async def test_a_button_is_pressed_and_heard_with_its_message(rig: Rig) -> None:
    await rig.adapter.send(
        rig.direct(), rig.message("Sure?", id=MessageId("q"), buttons=(Button("yes", "Yes!"), Button("no", "No")))
    )
    (post,) = rig.ours()
    assert blockkit.labels_of(post.all_blocks()) == ["Yes!", "No"]
    await rig.people.press(rig.anna, post, "No")
    await rig.people.press(rig.anna, post, "No")
    await until(lambda: len(rig.house.of(ButtonPressed)) == 2)
    pressed, again = rig.house.of(ButtonPressed)
    assert again.external_id == pressed.external_id  # so that it counts once
    assert (pressed.message, pressed.button, pressed.at, pressed.sender.external_id) == (
        "q",
        "no",
        rig.direct(),
        rig.anna.id,
    )


async def test_choices_that_are_too_long_for_buttons_are_read_and_made_in_a_modal(rig: Rig) -> None:
    """Nothing of them is cut, and a choice is the press of that button."""
    long = "Send it back in its box, and have the money on the card that it was paid with within ten days"
    message = rig.message("How?", id=MessageId("q"), buttons=(Button("keep", "Keep it"), Button("back", long)))
    rig.house.known, rig.house.said = {rig.direct()}, [message]
    await rig.adapter.send(rig.direct(), message)
    (post,) = rig.ours()
    assert blockkit.labels_of(post.all_blocks()) == ["Choose…"]
    await rig.people.press(rig.anna, post, "Choose…")
    await until(lambda: bool(rig.space.views))
    (view,) = rig.space.views.values()
    assert long in str(view.body["blocks"])
    option = view.body["blocks"][-1]["element"]["options"][1]
    await rig.people.submit(view, {"choose": {"choose": {"type": "static_select", "selected_option": option}}})
    await until(lambda: len(rig.house.of(ButtonPressed)) == 1)
    (pressed,) = rig.house.of(ButtonPressed)
    assert (pressed.message, pressed.button, pressed.at) == ("q", "back", rig.direct())


async def test_a_verdict_names_its_message(rig: Rig) -> None:
    await rig.adapter.send(rig.direct(), rig.message("An answer.", id=MessageId("a")))
    await rig.people.rate(rig.anna, rig.ours()[0], "down")
    await until(lambda: bool(rig.house.of(FeedbackGiven)))
    (given,) = rig.house.of(FeedbackGiven)
    assert (given.value, given.message, given.at) == ("down", "a", rig.direct())


async def test_a_thumb_as_a_reaction_is_a_verdict_too(rig: Rig) -> None:
    general = rig.space.add_channel("general", rig.anna)
    rig.people.mention(rig.anna, general, "help")
    at = (await rig.heard())[0].at
    receipt = await rig.adapter.send(at, rig.message("here"))
    rig.people.react(rig.anna, rig.ours(general.id)[0], "+1")
    await until(lambda: bool(rig.house.of(FeedbackGiven)))
    (given,) = rig.house.of(FeedbackGiven)
    assert (given.value, given.external_id, given.at) == ("up", receipt.external_id, at)


async def test_only_the_agents_answers_ask_for_a_verdict(rig: Rig) -> None:
    await rig.adapter.send(rig.direct(), rig.message("I am Olga.", author=Author.OPERATOR))
    assert not any(
        element["type"] == "feedback_buttons" for _, element in blockkit.elements_of(rig.ours()[0].all_blocks())
    )


async def test_a_source_is_listed_and_opens_as_a_passage(rig: Rig) -> None:
    rig.house.passages["p1"] = Passage(
        PassageId("p1"), "faq.md", "FAQ / Orders", "Orders take **two** days.", "https://example.com/faq"
    )
    cited = (Citation(1, PassageId("p1"), "FAQ / Orders", "https://example.com/faq"),)
    await rig.adapter.send(rig.direct(), rig.message("Two days [1].", citations=cited))
    (post,) = rig.ours()
    assert "FAQ / Orders" in str(post.all_blocks())
    block, select = next(each for each in blockkit.elements_of(post.all_blocks()) if each[1]["type"] == "static_select")
    action = {"type": "static_select", "action_id": select["action_id"], "selected_option": select["options"][0]}
    await rig.people.act(rig.anna, post, block, action)
    await until(lambda: bool(rig.space.views))
    assert "Orders take *two* days." in str(
        list(rig.space.views.values())[-1] if isinstance(rig.space.views, dict) else rig.space.views[-1]
    )


async def test_files_go_out(rig: Rig) -> None:
    rig.house.blobs["b1"] = b"%PDF-1.7"
    files = (Attachment(BlobId("b1"), "invoice.pdf", "application/pdf", 8),)
    await rig.adapter.send(rig.direct(), rig.message("Your invoice.", attachments=files))
    shared = [file for post in rig.space.all_posts(rig.room.id) for file in post.files]
    assert [(file.name, file.data) for file in shared] == [("invoice.pdf", b"%PDF-1.7")]
    assert rig.ours()[-1].text_shown() == "Your invoice."


# --- what goes wrong -----------------------------------------------------------------------------------------------


async def test_f12_an_answer_whose_receipt_was_lost_is_found_and_posted_once(rig: Rig) -> None:
    message = rig.message("Once only.")
    rig.site.faults.set(Fault("lost", 1, POSTS))
    began = rig.house.clock.now_ms()
    with pytest.raises(SendUncertain):
        await rig.adapter.send(rig.direct(), message)
    receipt = await rig.adapter.find(rig.direct(), message, began)
    assert receipt is not None
    assert receipt.external_id == f"{rig.room.id}:{rig.ours()[0].ts}"
    assert len(rig.ours()) == 1


async def test_f12_it_is_found_in_a_thread_and_after_a_restart(rig: Rig) -> None:
    thread = rig.people.open_assistant(rig.anna)
    message = rig.message("Once only.", part=2)
    rig.site.faults.set(Fault("lost", 1, POSTS))
    began = rig.house.clock.now_ms()
    with pytest.raises(SendUncertain):
        await rig.adapter.send(rig.direct(thread), message)
    await rig.restart()
    receipt = await rig.adapter.find(rig.direct(thread), message, began)
    assert receipt is not None
    assert await rig.adapter.find(rig.direct(thread), rig.message("another"), began - 31_000) is None


async def test_what_did_not_arrive_is_absent_only_after_a_while(rig: Rig) -> None:
    message = rig.message("Never sent.")
    with pytest.raises(SendUncertain):
        await rig.adapter.find(rig.direct(), message, rig.house.clock.now_ms() - 1_000)
    assert await rig.adapter.find(rig.direct(), message, rig.house.clock.now_ms() - 31_000) is None


async def test_a_rate_limit_is_told_with_its_wait_and_kept(rig: Rig) -> None:
    rig.site.faults.set(Fault("limited", 1, POSTS, seconds=1))
    for _ in range(2):
        with pytest.raises(SendRefused) as refused:
            await rig.adapter.send(rig.direct(), rig.message("hello"))
        assert refused.value.is_retryable
        assert 0 < (refused.value.retry_after_s or 0) <= 1
    assert len(rig.space.ledger.called("chat.postMessage")) == 1


async def test_a_server_error_leaves_it_open_whether_it_arrived(rig: Rig) -> None:
    rig.site.faults.set(Fault("failed", 1, POSTS, status=503))
    with pytest.raises(SendUncertain):
        await rig.adapter.send(rig.direct(), rig.message("hello"))


async def test_an_answer_that_is_no_json_leaves_it_open_too(rig: Rig) -> None:
    rig.site.faults.set(Fault("broken", 1, POSTS))
    with pytest.raises(SendUncertain):
        await rig.adapter.send(rig.direct(), rig.message("hello"))


async def test_a_room_that_is_gone_is_a_refusal_for_good(rig: Rig) -> None:
    with pytest.raises(SendRefused) as refused:
        await rig.adapter.send(Address("slack", "", "C0GONE", "1.000001"), rig.message("hello"))
    assert not refused.value.is_retryable


# --- drafts --------------------------------------------------------------------------------------------------------


async def test_in_a_thread_an_answer_is_streamed_and_then_whole(rig: Rig) -> None:
    at = rig.direct(thread_of(rig))
    message = rig.message("It takes two days, and then some.", id=MessageId("s"), buttons=(Button("ok", "OK"),))
    await rig.adapter.draft(at, message.id, "It takes ")
    await until(lambda: bool(rig.house.of(DraftPosted)))
    await rig.adapter.draft(at, message.id, "two days, and then some.")
    await rig.shown(lambda posts: posts[-1].text_shown() == message.text)
    (posted,) = rig.house.of(DraftPosted)
    receipt = await rig.adapter.send(
        at, rig.message(message.text, id=message.id, buttons=message.buttons, replaces=posted.external_id)
    )
    assert receipt.external_id == posted.external_id
    (post,) = rig.ours()
    assert post.text_shown() == message.text
    assert blockkit.labels_of(post.all_blocks()) == ["OK"]
    assert rig.space.ledger.called("chat.startStream")
    assert not rig.space.ledger.called("chat.update")


async def test_a_streamed_answer_that_became_another_is_put_right(rig: Rig) -> None:
    at = rig.direct(thread_of(rig))
    await rig.adapter.draft(at, MessageId("s"), "It takes <!channel> two")
    await until(lambda: bool(rig.house.of(DraftPosted)))
    await rig.adapter.send(at, rig.message("It takes **three** days.", id=MessageId("s")))
    (post,) = rig.ours()
    assert post.text_shown() == "It takes *three* days."


async def test_tool_steps_are_cards_of_the_stream(rig: Rig) -> None:
    at = rig.direct(thread_of(rig))
    await rig.adapter.progress(at, MessageId("s"), Progress("t1", "Searching the documents", ProgressState.RUNNING))
    await until(lambda: bool(rig.house.of(DraftPosted)))
    (call,) = rig.space.ledger.called("chat.startStream")
    assert "Searching the documents" in str(call.args["chunks"])
    await rig.adapter.send(at, rig.message("Found it.", id=MessageId("s")))
    assert rig.ours()[-1].text_shown() == "Found it."


async def test_a_status_line_shows_what_is_done_and_goes_with_the_answer(rig: Rig) -> None:
    rig.space.stream_refusal = "channel_type_not_supported"
    thread = thread_of(rig)
    at = rig.direct(thread)
    await rig.adapter.draft(at, MessageId("a"), "x")
    await until(lambda: bool(rig.house.of(DraftPosted)))
    await rig.adapter.progress(at, MessageId("a"), Progress("t1", "Searching the documents", ProgressState.RUNNING))
    await until(lambda: bool(rig.space.status_of(rig.room.id, thread)))
    assert "searching the documents" in rig.space.status_of(rig.room.id, thread)
    await rig.adapter.send(at, rig.message("Found it.", id=MessageId("b")))
    assert rig.space.status_of(rig.room.id, thread) == ""


async def test_where_streaming_is_refused_an_answer_is_posted_and_edited(rig: Rig) -> None:
    rig.space.stream_refusal = "channel_type_not_supported"
    at = rig.direct(thread_of(rig))
    for id_ in ("one", "two"):
        await rig.adapter.draft(at, MessageId(id_), "It takes ")
        await until(lambda: any(each.message == id_ for each in rig.house.of(DraftPosted)))  # noqa: B023 - awaited here
        await rig.adapter.draft(at, MessageId(id_), "two days.")
        await rig.shown(lambda posts: posts[-1].text_shown() == "It takes two days.")
        await rig.adapter.send(at, rig.message("It takes two days!", id=MessageId(id_)))
    assert [post.text_shown() for post in rig.ours()] == ["It takes two days!"] * 2
    assert len(rig.space.ledger.called("chat.startStream")) == 1


async def test_beside_threads_an_answer_is_posted_and_edited(rig: Rig) -> None:
    await rig.adapter.draft(rig.direct(), MessageId("a"), "It takes ")
    await until(lambda: bool(rig.house.of(DraftPosted)))
    await rig.adapter.send(rig.direct(), rig.message("It takes two days.", id=MessageId("a")))
    assert [post.text_shown() for post in rig.ours()] == ["It takes two days."]
    assert not rig.space.ledger.called("chat.startStream")


async def test_a_stream_into_a_channel_names_who_asked(rig: Rig) -> None:
    general = rig.space.add_channel("general", rig.anna)
    rig.people.mention(rig.anna, general, "help")
    at = (await rig.heard())[0].at
    await rig.adapter.draft(at, MessageId("a"), "Here")
    await until(lambda: bool(rig.house.of(DraftPosted)))
    (call,) = rig.space.ledger.called("chat.startStream")
    assert (call.args["recipient_user_id"], call.args["recipient_team_id"]) == (rig.anna.id, rig.space.id)
    await rig.adapter.send(at, rig.message("Here.", id=MessageId("a")))


async def test_a_withdrawn_draft_is_gone(rig: Rig) -> None:
    for at in (rig.direct(), rig.direct(thread_of(rig))):
        await rig.adapter.draft(at, MessageId(f"w{at.thread}"), "Never mind")
        await until(lambda: any(each.at == at for each in rig.house.of(DraftPosted)))  # noqa: B023 - awaited here
        await rig.adapter.withdraw(at, MessageId(f"w{at.thread}"))
    assert rig.ours() == []


async def test_f05_after_a_restart_a_draft_is_replaced_by_its_id(rig: Rig) -> None:
    for at in (rig.direct(), rig.direct(thread_of(rig))):
        id_ = MessageId(f"r{at.thread}")
        await rig.adapter.draft(at, id_, "It takes t")
        await until(lambda: any(each.at == at for each in rig.house.of(DraftPosted)))  # noqa: B023 - awaited here
        posted = rig.house.of(DraftPosted)[-1]
        await rig.restart()
        await rig.adapter.send(at, rig.message("It takes two days.", id=id_, replaces=posted.external_id))
    assert [post.text_shown() for post in rig.ours()] == ["It takes two days."] * 2


async def test_f05_after_a_restart_a_draft_can_be_taken_away(rig: Rig) -> None:
    for at in (rig.direct(), rig.direct(thread_of(rig))):
        id_ = MessageId(f"r{at.thread}")
        await rig.adapter.draft(at, id_, "It takes t")
        await until(lambda: any(each.at == at for each in rig.house.of(DraftPosted)))  # noqa: B023 - awaited here
        posted = rig.house.of(DraftPosted)[-1]
        await rig.restart()
        await rig.adapter.withdraw(at, id_, posted.external_id)
    assert rig.ours() == []


@pytest.mark.parametrize("is_threaded", [False, True])
async def test_f12_a_draft_whose_first_answer_was_lost_is_found(rig: Rig, is_threaded: bool) -> None:
    at = rig.direct(thread_of(rig) if is_threaded else "")
    rig.site.faults.set(Fault("lost", 1, POSTS | {"chat.startStream"}))
    began = rig.house.clock.now_ms()
    message = rig.message("It takes two days.", id=MessageId("l"))
    await rig.adapter.draft(at, message.id, "It takes ")
    await rig.shown(bool)
    found = await rig.adapter.find(at, message, began)
    assert found is not None
    await rig.adapter.send(at, message)
    assert [post.text_shown() for post in rig.ours()] == [message.text]


async def test_a_draft_that_somebody_deleted_is_posted_anew(rig: Rig) -> None:
    await rig.adapter.draft(rig.direct(), MessageId("a"), "It takes ")
    await until(lambda: bool(rig.house.of(DraftPosted)))
    rig.people.delete(rig.ours()[0])
    posted = rig.house.of(DraftPosted)[0]
    for _ in range(2):  # and once only, when it is told so again
        await rig.adapter.send(
            rig.direct(), rig.message("It takes two days.", id=MessageId("a"), replaces=posted.external_id)
        )
    assert [post.text_shown() for post in rig.ours()] == ["It takes two days."]


async def test_a_stream_that_the_person_stopped_gets_the_whole_answer(rig: Rig) -> None:
    at = rig.direct(thread_of(rig))
    await rig.adapter.draft(at, MessageId("a"), "It takes ")
    await until(lambda: bool(rig.house.of(DraftPosted)))
    rig.people.stop_stream(rig.ours()[0])
    await rig.adapter.send(at, rig.message("It takes two days.", id=MessageId("a")))
    assert [post.text_shown() for post in rig.ours()] == ["It takes two days."]


def thread_of(rig: Rig) -> str:
    """A thread of the Assistant view."""
    return rig.people.open_assistant(rig.anna)
