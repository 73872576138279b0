"""What operators see in their channel: cards that change in place, threads that tell who speaks, and nothing that pings."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.slack import cards
from bot.errors import SendRefused, SendUncertain
from bot.model import (
    Address,
    Attachment,
    Author,
    BlobId,
    Button,
    Citation,
    Message,
    MessageId,
    PassageId,
    Seq,
    Visibility,
)
from tests.platforms.slack import blockkit
from tests.platforms.slack.faults import Fault
from tests.slack.desk import BUTTONS, CARD, Desk
from tests.slack.rig import Rig

PINGS = "<!channel> <@U0EVA> @here <!subteam^S1|x> *bold* <https://evil.example|the bank>"


async def test_a_card_shows_person_reason_and_stage_with_rows_of_five_buttons(desk: Desk) -> None:
    post = await desk.posted()
    assert [block["type"] for block in post.blocks] == ["header", "section", "context", "actions", "actions"]
    assert post.text_shown() == (
        "Anna · web\nReason: asked for a person\nThe parcel is *late*.\nwaiting · nobody · 2 min"
    )
    assert [len(block["elements"]) for block in post.blocks[3:]] == [5, 2]
    assert blockkit.labels_of(post.blocks) == [button.label for button in BUTTONS]
    assert post.thread_ts == ""


async def test_a_card_changes_in_place_however_often_and_after_a_restart(desk: Desk) -> None:
    post = await desk.posted()
    changed = desk.card(CARD.replace("nobody", "Eva"), replaces=post.ts, buttons=BUTTONS[1:])
    first = await desk.adapter.send(desk.at(), changed)
    await desk.restart()
    second = await desk.adapter.send(desk.at(), changed)
    assert first.external_id == second.external_id == post.ts
    (shown,) = desk.ours(desk.desk.id)
    assert "Eva" in shown.text_shown()
    assert "Take" not in blockkit.labels_of(shown.blocks)


@pytest.mark.parametrize("has_thread", [False, True])
async def test_a_card_that_somebody_has_deleted_is_posted_anew_once_under_a_new_id(
    desk: Desk, has_thread: bool
) -> None:
    post = await desk.posted()
    if has_thread:
        desk.people.say(desk.eva, desk.desk, "a note", thread=post.ts)
    desk.people.delete(post)
    changed = desk.card(CARD, replaces=post.ts)
    first, second = [await desk.adapter.send(desk.at(), changed) for _ in range(2)]
    assert first.external_id == second.external_id != post.ts
    assert [each.ts for each in desk.ours(desk.desk.id)] == [first.external_id]


async def test_a_change_of_a_card_whose_outcome_nobody_knows_is_made_again(desk: Desk) -> None:
    post = await desk.posted()
    changed = desk.card(CARD, replaces=post.ts)
    assert await desk.adapter.find(desk.at(), changed, desk.house.clock.now_ms()) is None


async def test_a_post_in_the_room_is_found_again_under_the_id_that_it_has_there(desk: Desk) -> None:
    card = await desk.posted()
    said = desk.message("Where is it?", author=Author.USER, name="Anna")
    for at, message in ((desk.at(), desk.card()), (desk.at(card.ts), said)):
        sent = await desk.adapter.send(at, message)
        assert await desk.adapter.find(at, message, desk.house.clock.now_ms()) == sent


async def test_a_lost_answer_to_a_post_leads_to_one_message(desk: Desk) -> None:
    card = await desk.posted()
    said = desk.message("Where is it?", author=Author.USER, name="Anna")
    desk.site.faults.set(Fault("lost", 1, frozenset({"chat.postMessage"})))
    with pytest.raises(SendUncertain):
        await desk.adapter.send(desk.at(card.ts), said)
    found = await desk.adapter.find(desk.at(card.ts), said, desk.house.clock.now_ms())
    assert found is not None
    assert len(desk.ours(desk.desk.id)) == 2


@pytest.mark.parametrize(
    ("author", "visibility", "who"),
    [
        (Author.USER, Visibility.PUBLIC, "*Anna* · user"),
        (Author.AGENT, Visibility.PUBLIC, "*Anna* · agent"),
        (Author.OPERATOR, Visibility.PUBLIC, "*Anna* · operator"),
        (Author.OPERATOR, Visibility.NOTE, "🔒 *Anna* · note"),
    ],
)
async def test_a_mirrored_message_tells_who_speaks(
    desk: Desk, author: Author, visibility: Visibility, who: str
) -> None:
    card = await desk.posted()
    message = desk.message("It is late.", author=author, name="Anna", visibility=visibility)
    await desk.adapter.send(desk.at(card.ts), message)
    post = desk.ours(desk.desk.id)[-1]
    assert (post.text_shown(), post.text, post.thread_ts) == (
        f"{who}\nIt is late.",
        f"{who}\nIt is late.",
        card.ts,
    )
    assert not any(element["type"] == "feedback_buttons" for _, element in blockkit.elements_of(post.blocks))


async def test_f104_a_users_text_pings_nobody_and_looks_as_it_was_typed(desk: Desk) -> None:
    card = await desk.posted()
    message = desk.message(f"!resolve {PINGS}", author=Author.USER, name="<!here> *Eva* · operator\n_x_")
    await desk.adapter.send(desk.at(card.ts), message)
    post = desk.ours(desk.desk.id)[-1]
    who, said = post.blocks
    assert who["elements"][0]["text"] == "*&lt;!here&gt; Eva · operator x* · user"
    assert said["text"]["type"] == "plain_text"
    assert said["text"]["text"] == message.text
    assert blockkit.mentions_in(post.text, post.blocks) == []


async def test_a_note_goes_to_the_room_and_nowhere_else(desk: Desk) -> None:
    note = desk.message("between us", author=Author.OPERATOR, visibility=Visibility.NOTE, name="Eva")
    general = desk.space.add_channel("general", desk.anna)
    for chat in (desk.room.id, general.id):
        with pytest.raises(SendRefused, match="operators only"):
            await desk.adapter.send(Address("slack", "", chat), note)
    await desk.adapter.send(desk.at(), note)
    assert [post.text for post in desk.ours(desk.desk.id)] == ["🔒 *Eva* · note\nbetween us"]


async def test_without_a_room_no_note_goes_anywhere(rig: Rig) -> None:
    assert rig.adapter.room is None
    with pytest.raises(SendRefused, match="operators only"):
        await rig.adapter.send(rig.direct(), rig.message("between us", visibility=Visibility.NOTE))


async def test_files_of_a_mirrored_message_stand_in_the_thread(desk: Desk) -> None:
    card = await desk.posted()
    desk.house.blobs["b1"] = b"%PDF-1.7 receipt"
    file = Attachment(BlobId("b1"), "receipt.pdf", "application/pdf", 16)
    await desk.adapter.send(desk.at(card.ts), desk.message("", author=Author.USER, name="Anna", attachments=(file,)))
    posts = desk.ours(desk.desk.id)[1:]
    assert [(post.thread_ts, [each.data for each in post.files]) for post in posts] == [
        (card.ts, [b"%PDF-1.7 receipt"]),
        (card.ts, []),
    ]
    assert posts[1].text_shown() == "*Anna* · user\nreceipt.pdf"


async def test_nothing_is_broadcast_from_a_thread(desk: Desk) -> None:
    card = await desk.posted()
    await desk.adapter.send(desk.at(card.ts), desk.message("hello", name="Frontdesk"))
    assert not any(call.args.get("reply_broadcast") for call in desk.space.ledger.called("chat.postMessage"))


async def test_what_a_user_may_press_is_not_for_operators_but_sources_are(desk: Desk) -> None:
    card = await desk.posted()
    answer = desk.message(
        "Four weeks [1].",
        name="Frontdesk",
        buttons=(Button("yes", "Yes, refund"),),
        citations=(Citation(1, PassageId("p1"), "Returns"),),
    )
    await desk.adapter.send(desk.at(card.ts), answer)
    post = desk.ours(desk.desk.id)[-1]
    assert blockkit.labels_of(post.blocks) == []
    await desk.people.press(desk.eva, post, "[1] Returns")
    assert "no longer part" in str((await desk.view_of(desk.eva)).body["blocks"])
    assert desk.lines() == []


async def test_more_buttons_than_two_rows_are_in_menus_and_press_alike(desk: Desk) -> None:
    many = tuple(Button(f"desk:tag t{number}", f"Tag {number}") for number in range(17))
    receipt = await desk.adapter.send(desk.at(), desk.card(buttons=many))
    post = desk.space.posts[desk.desk.id][receipt.external_id]
    for label in ("Tag 0", "Tag 8", "Tag 9", "Tag 16"):
        await desk.people.press(desk.eva, post, label)
    assert [each.text for each in desk.lines()] == ["!tag t0", "!tag t8", "!tag t9", "!tag t16"]


async def test_typing_shows_no_status_in_the_room(desk: Desk) -> None:
    card = await desk.posted()
    await desk.adapter.typing(desk.at(card.ts))
    await desk.adapter.send(desk.at(card.ts), desk.message("hello", name="Frontdesk"))
    assert desk.space.ledger.called("assistant.threads.setStatus") == []


TEXTS = st.text(max_size=3_000)


@given(
    text=TEXTS,
    name=st.text(max_size=200),
    author=st.sampled_from(Author),
    visibility=st.sampled_from(Visibility),
    labels=st.lists(st.text(max_size=100), max_size=30),
    thread=st.sampled_from(["", "1.000001"]),
)
def test_f104_slack_takes_every_message_of_the_room_and_none_pings(
    text: str, name: str, author: Author, visibility: Visibility, labels: list[str], thread: str
) -> None:
    buttons = tuple(Button(f"desk:tag {number}", label) for number, label in enumerate(labels))
    message = Message(MessageId("m"), Seq(1), author, text, 0, visibility, name, buttons=buttons)
    body = cards.body(message, thread)
    assert blockkit.problems(body) == []
    assert blockkit.mentions_in(cards.told(message), body) == []
    assert 0 < len(cards.told(message)) <= 4_000
    assert len([1 for _, element in blockkit.elements_of(body)]) <= 25
