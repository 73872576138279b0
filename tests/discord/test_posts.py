"""Our messages: one request each, known again after an answer that was lost, and never a call of anybody."""

import asyncio
import itertools

import pytest

from bot.errors import SendRefused, SendUncertain
from bot.model import Attachment, Author, BlobId, Button, Citation, DraftPosted, Message, MessageId, PassageId, Seq
from tests.discord.conftest import Open
from tests.discord.house import answer, dm, labels, ours, until
from tests.platforms.discord import faults, limits
from tests.platforms.discord.server import DiscordServer


def posts(server: DiscordServer) -> int:
    return sum(method == "POST" and path.endswith("/messages") for method, path in server.requests)


async def test_an_answer_is_posted_once_and_its_receipt_names_it(server: DiscordServer, opened: Open) -> None:
    desk = await opened()
    ann = server.person("Ann")
    receipt = await desk.adapter.send(dm(server, ann), answer("It comes **tomorrow** [1]."))
    [post] = ours(server, server.world.direct(ann))
    assert (post.content, str(post.id)) == ("It comes **tomorrow** [1].", receipt.external_id)
    assert len(str(post.nonce)) <= 25
    assert post.flags & limits.SUPPRESS_EMBEDS
    assert not server.violations


async def test_sources_buttons_and_files_stand_under_the_text(server: DiscordServer, opened: Open) -> None:
    desk = await opened()
    ann = server.person("Ann")
    desk.host.blobs["b1"] = ("invoice.pdf", b"%PDF")
    message = answer(
        "See [1].",
        citations=(Citation(1, PassageId("p1"), "Guide > Start", "https://x.test/guide"),),
        buttons=tuple(Button(f"b{number}", f"Choice {number}") for number in range(7)),
        attachments=(
            Attachment(BlobId("b1"), "invoice.pdf", "application/pdf", 4),
            Attachment(BlobId("gone"), "", "", 0),
        ),
    )
    await desk.adapter.send(dm(server, ann), message)
    [post] = ours(server, server.world.direct(ann))
    assert "https://x.test/guide" in post.content
    assert "Guide" in post.content
    assert [(file.name, file.data) for file in post.files] == [("invoice.pdf", b"%PDF")]
    assert labels(post) == [*(f"Choice {number}" for number in range(7)), "👍", "👎"]
    assert not server.violations


async def test_an_operator_is_named_once_and_asks_for_no_verdict(server: DiscordServer, opened: Open) -> None:
    desk = await opened()
    ann = server.person("Ann")
    message = Message(MessageId("m1"), Seq(1), Author.OPERATOR, "**Kim:** I look into it.", 0, name="Kim")
    await desk.adapter.send(dm(server, ann), message)
    [post] = ours(server, server.world.direct(ann))
    assert (post.content, labels(post)) == ("**Kim:** I look into it.", [])


async def test_a_long_text_goes_out_in_parts_that_discord_takes(server: DiscordServer, opened: Open) -> None:
    desk = await opened()
    ann = server.person("Ann")
    text = "One sentence with *marks* and _more_ of them. 👩‍👩‍👧 " * 150
    parts = desk.adapter.split(text)
    assert "".join(parts) == text
    for number, part in enumerate(parts):
        await desk.adapter.send(dm(server, ann), answer(part, part=number))
    assert len(ours(server, server.world.direct(ann))) == len(parts)
    assert not server.violations


async def test_f104_nobody_is_called_whatever_a_text_says(server: DiscordServer, opened: Open) -> None:
    desk = await opened()
    ann = server.person("Ann")
    server.throttle.limits[faults.POST] = (100, 1.0)
    forms = ["@everyone", "@here", f"<@{ann.id}>", f"<@!{ann.id}>", "<@&42>", "<#42>", "</ask:42>", "https://evil.test"]
    texts = [" ".join(pair) for pair in itertools.permutations(forms, 2)]
    await desk.adapter.send(dm(server, ann), answer("\n".join(texts)[:1_500]))
    await desk.adapter.send(dm(server, ann), answer("ok", "m2", citations=(Citation(1, PassageId("p1"), "@everyone"),)))
    for number, form in enumerate(forms):
        await desk.adapter.draft(dm(server, ann), MessageId(f"d{number}"), form)
        await desk.adapter.send(dm(server, ann), answer(form, f"d{number}", buttons=(Button("b", form),)))
    assert not server.violations
    assert not any(message.pings_everyone or message.mentions for message in ours(server, server.world.direct(ann)))


async def test_f12_an_answer_that_was_lost_is_found_and_not_posted_again(server: DiscordServer, opened: Open) -> None:
    desk = await opened()
    ann = server.person("Ann")
    server.lose_answers(1)
    message = answer("It comes tomorrow.")
    with pytest.raises(SendUncertain):
        await desk.adapter.send(dm(server, ann), message)
    receipt = await desk.adapter.find(dm(server, ann), message, desk.host.clock.now_ms())
    [post] = ours(server, server.world.direct(ann))
    assert receipt is not None
    assert (receipt.external_id, posts(server)) == (str(post.id), 1)


@pytest.mark.parametrize("lists_nonces", [True, False])
async def test_f12_a_new_process_finds_what_the_old_one_has_posted(
    server: DiscordServer, opened: Open, lists_nonces: bool
) -> None:
    desk = await opened()
    ann = server.person("Ann")
    server.messages.lists_nonces = lists_nonces
    attempted = desk.host.clock.now_ms()
    await desk.adapter.send(dm(server, ann), answer("Something else.", "m0"))
    sent = await desk.adapter.send(dm(server, ann), answer("It comes tomorrow."))
    await desk.stop()
    again = await opened()
    found = await again.adapter.find(dm(server, ann), answer("It comes tomorrow."), attempted)
    assert found == sent
    assert await again.adapter.find(dm(server, ann), answer("It never came.", "m3"), attempted) is None


async def test_f12_a_request_that_was_lost_is_certainly_not_there(server: DiscordServer, opened: Open) -> None:
    desk = await opened()
    ann = server.person("Ann")
    server.lose_requests(1)
    message = answer("It comes tomorrow.")
    with pytest.raises(SendUncertain):
        await desk.adapter.send(dm(server, ann), message)
    assert await desk.adapter.find(dm(server, ann), message, desk.host.clock.now_ms()) is None
    await desk.adapter.send(dm(server, ann), message)
    assert len(ours(server, server.world.direct(ann))) == 1


async def test_the_same_send_again_within_minutes_is_one_message(server: DiscordServer, opened: Open) -> None:
    desk = await opened()
    ann = server.person("Ann")
    first = await desk.adapter.send(dm(server, ann), answer("Once."))
    assert await desk.adapter.send(dm(server, ann), answer("Once.")) == first
    assert len(ours(server, server.world.direct(ann))) == 1


@pytest.mark.parametrize("status", [500, 502, 503])
async def test_a_failing_server_leaves_it_uncertain_and_is_asked_once(
    server: DiscordServer, opened: Open, status: int
) -> None:
    desk = await opened()
    server.fail(1, status)
    with pytest.raises(SendUncertain):
        await desk.adapter.send(dm(server, server.person("Ann")), answer("Hello"))
    assert posts(server) == 1


async def test_a_refusal_that_is_not_discords_own_is_tried_again(server: DiscordServer, opened: Open) -> None:
    desk = await opened()
    server.fail(1, 403)  # a page of the network before it, without its form of an error
    with pytest.raises(SendRefused) as refused:
        await desk.adapter.send(dm(server, server.person("Ann")), answer("Hello"))
    assert refused.value.is_retryable


async def test_a_discord_that_cannot_be_reached_has_certainly_not_got_it(server: DiscordServer, opened: Open) -> None:
    desk = await opened()
    ann = server.person("Ann")
    await server.stop()
    with pytest.raises(SendRefused) as refused:
        await desk.adapter.send(dm(server, ann), answer("Hello"))
    assert refused.value.is_retryable


async def test_a_rate_limit_is_told_with_its_time_and_nothing_is_sent_before(
    server: DiscordServer, opened: Open
) -> None:
    desk = await opened()
    ann = server.person("Ann")
    server.limit_rate(1, 30.0)
    for _ in range(2):
        with pytest.raises(SendRefused) as refused:
            await desk.adapter.send(dm(server, ann), answer("Hello"))
        assert refused.value.is_retryable
        assert 25 < (refused.value.retry_after_s or 0) <= 30
    assert posts(server) == 1
    assert not server.violations


async def test_a_channel_that_is_limited_or_hangs_delays_no_other(server: DiscordServer, opened: Open) -> None:
    desk = await opened()
    ann, ben, cat = (server.person(name) for name in ("Ann", "Ben", "Cat"))
    server.limit_rate(1, 2.0)
    with pytest.raises(SendRefused):
        await desk.adapter.send(dm(server, ann), answer("Hello"))
    limited = asyncio.create_task(desk.adapter.send(dm(server, ann), answer("Hello")))
    held = server.hold()
    hanging = asyncio.create_task(desk.adapter.send(dm(server, ben), answer("Hello")))
    await held.reached.wait()
    async with asyncio.timeout(1.0):
        await desk.adapter.send(dm(server, cat), answer("Hello"))
    assert not limited.done()
    assert not hanging.done()
    held.release()
    await hanging
    await limited
    assert not server.violations


async def test_a_burst_in_one_channel_keeps_to_its_limit(server: DiscordServer, opened: Open) -> None:
    desk = await opened()
    ann = server.person("Ann")
    server.throttle.limits[faults.POST] = (3, 0.3)
    await asyncio.gather(*(desk.adapter.send(dm(server, ann), answer("Hello", f"m{number}")) for number in range(10)))
    assert len(ours(server, server.world.direct(ann))) == 10
    assert not server.violations


@pytest.mark.parametrize("refusal", [limits.MISSING_ACCESS, limits.MISSING_PERMISSIONS, limits.UNKNOWN_CHANNEL])
async def test_a_channel_that_is_closed_to_us_refuses_for_good(
    server: DiscordServer, opened: Open, refusal: limits.Denied
) -> None:
    desk = await opened()
    ann = server.person("Ann")
    server.world.direct(ann).refusal = refusal
    with pytest.raises(SendRefused) as refused:
        await desk.adapter.send(dm(server, ann), answer("Hello"))
    assert not refused.value.is_retryable


async def test_white_space_between_two_parts_is_not_sent(server: DiscordServer, opened: Open) -> None:
    desk = await opened(feedback=False)
    receipt = await desk.adapter.send(dm(server, server.person("Ann")), answer(" \n\n ", part=1))
    assert (receipt.external_id, posts(server)) == ("", 0)


async def test_before_and_after_a_run_messages_wait(server: DiscordServer, opened: Open) -> None:
    desk = await opened()
    ann = server.person("Ann")
    await desk.stop()
    with pytest.raises(SendRefused) as refused:
        await desk.adapter.send(dm(server, ann), answer("Hello"))
    assert refused.value.retry_after_s


# --- drafts ----------------------------------------------------------------------------------------------------------


async def test_a_draft_is_shown_while_it_is_written_and_becomes_the_answer(server: DiscordServer, opened: Open) -> None:
    desk = await opened()
    ann = server.person("Ann")
    at, room = dm(server, ann), server.world.direct(ann)
    await desk.adapter.draft(at, MessageId("m1"), "It comes ")
    await until(lambda: server.shown(room))
    for piece in ("to", "mor", "row."):
        await desk.adapter.draft(at, MessageId("m1"), piece)
    await until(lambda: "It comes tomorrow." in server.shown(room))
    posted: DraftPosted = await desk.host.event(DraftPosted)
    receipt = await desk.adapter.send(at, answer("It comes tomorrow!", replaces=posted.external_id))
    [post] = ours(server, room)
    assert (post.content, str(post.id), receipt.external_id) == (
        "It comes tomorrow!",
        posted.external_id,
        posted.external_id,
    )
    assert labels(post) == ["👍", "👎"]
    assert server.shown(room) == ["It comes", "It comes tomorrow.", "It comes tomorrow!"]
    assert not server.violations


async def test_many_pieces_are_few_edits(server: DiscordServer, opened: Open) -> None:
    desk = await opened()
    ann = server.person("Ann")
    at, room = dm(server, ann), server.world.direct(ann)
    for number in range(150):
        await desk.adapter.draft(at, MessageId("m1"), f"word{number} ")
        await asyncio.sleep(0.005)
    await until(lambda: server.shown(room)[-1:] and "word149" in server.shown(room)[-1])
    assert len(server.shown(room)) <= 5
    assert not server.violations


async def test_a_final_text_waits_for_the_first_post_of_its_draft(server: DiscordServer, opened: Open) -> None:
    desk = await opened()
    ann = server.person("Ann")
    held = server.hold()
    await desk.adapter.draft(dm(server, ann), MessageId("m1"), "It comes")
    await held.reached.wait()
    sending = asyncio.create_task(desk.adapter.send(dm(server, ann), answer("It comes tomorrow.")))
    held.release()
    receipt = await sending
    [post] = ours(server, server.world.direct(ann))
    assert (post.content, str(post.id)) == ("It comes tomorrow.", receipt.external_id)


async def test_f12_a_draft_whose_answer_was_lost_becomes_the_answer_and_no_second_message(
    server: DiscordServer, opened: Open
) -> None:
    desk = await opened()
    ann = server.person("Ann")
    lost = server.lose_answers(1)
    await desk.adapter.draft(dm(server, ann), MessageId("m1"), "It comes")
    await lost.reached.wait()
    await desk.adapter.send(dm(server, ann), answer("It comes tomorrow."))
    assert [post.content for post in ours(server, server.world.direct(ann))] == ["It comes tomorrow."]


async def test_f12_a_new_process_finishes_the_draft_of_the_old_one(server: DiscordServer, opened: Open) -> None:
    desk = await opened()
    ann = server.person("Ann")
    room = server.world.direct(ann)
    attempted = desk.host.clock.now_ms()
    await desk.adapter.draft(dm(server, ann), MessageId("m1"), "It comes by parcel service")
    await until(lambda: server.shown(room))
    await desk.stop()
    server.skip(600)  # its nonce is forgotten
    again = await opened()
    final = answer("It comes by parcel service, tomorrow.")
    found = await again.adapter.find(dm(server, ann), final, attempted)
    [post] = ours(server, room)
    assert found is not None
    assert (found.external_id, post.content) == (str(post.id), final.text)


async def test_a_draft_that_somebody_deleted_is_posted_anew(server: DiscordServer, opened: Open) -> None:
    desk = await opened()
    ann = server.person("Ann")
    room = server.world.direct(ann)
    await desk.adapter.draft(dm(server, ann), MessageId("m1"), "It comes")
    await until(lambda: server.shown(room))
    [draft] = ours(server, room)
    server.delete(draft)
    receipt = await desk.adapter.send(dm(server, ann), answer("It comes tomorrow.", replaces=str(draft.id)))
    [post] = ours(server, room)
    assert (post.content, str(post.id)) == ("It comes tomorrow.", receipt.external_id)
    again = await desk.adapter.send(dm(server, ann), answer("It comes tomorrow.", replaces=str(draft.id)))
    assert again == receipt


async def test_a_draft_that_is_withdrawn_is_gone_also_one_of_an_earlier_process(
    server: DiscordServer, opened: Open
) -> None:
    desk = await opened()
    ann = server.person("Ann")
    at, room = dm(server, ann), server.world.direct(ann)
    await desk.adapter.draft(at, MessageId("m1"), "It comes")
    await until(lambda: server.shown(room))
    await desk.adapter.withdraw(at, MessageId("m1"))
    await until(lambda: not ours(server, room))
    await desk.adapter.draft(at, MessageId("m2"), "Let me see")
    await until(lambda: ours(server, room))
    [left] = ours(server, room)
    await desk.stop()
    again = await opened()
    await again.adapter.withdraw(at, MessageId("m2"), str(left.id))
    await until(lambda: not ours(server, room))
    assert not server.violations


async def test_a_draft_waits_for_the_rate_limit_and_goes_on(server: DiscordServer, opened: Open) -> None:
    desk = await opened()
    ann = server.person("Ann")
    room = server.world.direct(ann)
    server.limit_rate(1, 0.3)
    await desk.adapter.draft(dm(server, ann), MessageId("m1"), "It comes")
    await until(lambda: server.shown(room) == ["It comes"])
    assert not server.violations


async def test_a_draft_shows_no_more_than_one_message_holds(server: DiscordServer, opened: Open) -> None:
    desk = await opened()
    ann = server.person("Ann")
    room = server.world.direct(ann)
    text = "A sentence that goes on. " * 200
    await desk.adapter.draft(dm(server, ann), MessageId("m1"), text)
    await until(lambda: server.shown(room))
    parts = desk.adapter.split(text)
    assert server.shown(room) == [parts[0].strip()]
    assert not server.violations


async def test_typing_is_shown_and_not_repeated_at_once(server: DiscordServer, opened: Open) -> None:
    desk = await opened()
    ann = server.person("Ann")
    for _ in range(5):
        await desk.adapter.typing(dm(server, ann))
    await until(lambda: server.typed(server.world.direct(ann)))
    await desk.adapter.send(dm(server, ann), answer("Hello"))
    assert server.typed(server.world.direct(ann)) == 1


async def test_a_draft_that_is_withdrawn_while_the_bot_is_away_is_taken_away_when_it_is_back(
    server: DiscordServer, opened: Open
) -> None:
    desk = await opened()
    ann = server.person("Ann")
    at, room = dm(server, ann), server.world.direct(ann)
    await desk.adapter.draft(at, MessageId("m1"), "It comes")
    await until(lambda: ours(server, room))
    await desk.stop()
    await desk.adapter.withdraw(at, MessageId("m1"))
    assert ours(server, room)
    await desk.start()
    await until(lambda: not ours(server, room))
    await desk.stop()


async def test_pieces_that_come_while_the_bot_is_away_are_not_missing_later(
    server: DiscordServer, opened: Open
) -> None:
    desk = await opened()
    ann = server.person("Ann")
    at, room = dm(server, ann), server.world.direct(ann)
    await desk.stop()
    await desk.adapter.draft(at, MessageId("m1"), "It comes ")
    await desk.start()
    await desk.adapter.draft(at, MessageId("m1"), "tomorrow.")
    await until(lambda: server.shown(room) == ["It comes tomorrow."])
    await desk.stop()
