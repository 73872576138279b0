"""What operators see: cards that are changed in place, threads that begin once, and at a glance who speaks."""

import asyncio

import pytest

from adapters.discord import cards
from bot.errors import SendRefused, SendUncertain
from bot.model import Attachment, Author, BlobId, Button, Citation, PassageId
from tests.discord.conftest import Open
from tests.discord.house import Desk, FakeHost, QuickClock, answer, dm, labels, ours, until
from tests.discord.office import BUTTONS, CARD, ENDED, HELD, Office, card, message, note
from tests.platforms.discord import faults, limits
from tests.platforms.discord.server import DiscordServer
from tests.platforms.discord.things import Mentions, Message


@pytest.fixture
def office(server: DiscordServer) -> Office:
    return Office(server)


def made(server: DiscordServer) -> int:
    """How many threads were asked for."""
    return sum(method == "POST" and path.endswith("/threads") for method, path in server.requests)


# --- cards -----------------------------------------------------------------------------------------------------------


async def test_a_card_shows_its_case_and_calls_nobody(server: DiscordServer, opened: Open, office: Office) -> None:
    desk = await office.open(opened)
    shown = await office.card(desk)
    [embed] = shown.embeds
    assert shown.content == "**Ann** on web wants a person"
    assert [(field["name"], field["value"]) for field in embed["fields"]] == [("Contact", "ann@x.test")]
    assert embed["description"].splitlines()[0] == "**waiting for somebody** · team parcels"
    assert "The user asked: “Where is it?”" in embed["description"]
    assert embed["color"] == cards.WAITING_COLOUR
    assert not Mentions.of(embed["description"]).users
    assert labels(shown) == [button.label for button in BUTTONS]
    assert not shown.flags & limits.SUPPRESS_EMBEDS
    assert not server.violations


async def test_a_card_is_changed_in_place_however_often_it_is_told(
    server: DiscordServer, opened: Open, office: Office
) -> None:
    desk = await office.open(opened)
    shown = await office.card(desk)
    text = CARD.replace("waiting for somebody", "with Kim")
    for id_ in ("c1", "u1", "u1"):
        receipt = await desk.adapter.send(office.at, card(id_, text, replaces=str(shown.id), buttons=HELD))
        assert receipt.external_id == str(shown.id)
    assert shown.embeds[0]["color"] == cards.HELD_COLOUR
    assert "with Kim" in shown.embeds[0]["description"]
    await desk.adapter.send(office.at, card("u2", replaces=str(shown.id), buttons=ENDED))
    assert shown.embeds[0]["color"] == cards.ENDED_COLOUR
    await desk.adapter.send(office.at, card("u3", replaces=str(shown.id), buttons=()))
    assert (shown.embeds[0]["color"], labels(shown)) == (cards.RESTING_COLOUR, [])
    assert len(ours(server, office.room)) == 1
    assert not server.violations


async def test_a_card_that_cannot_be_changed_now_gets_no_twin(
    server: DiscordServer, opened: Open, office: Office
) -> None:
    desk = await office.open(opened)
    shown = await office.card(desk)
    server.fail(1, 403, faults.EDIT)
    with pytest.raises(SendRefused):
        await desk.adapter.send(office.at, card("u1", replaces=str(shown.id)))
    assert ours(server, office.room) == [shown]


async def test_the_limit_of_edits_of_an_old_card_delays_that_card_alone(
    server: DiscordServer, opened: Open, office: Office
) -> None:
    desk = await office.open(opened)
    shown = await office.card(desk)
    office.room.refusal = limits.TOO_MANY_EDITS
    with pytest.raises(SendRefused) as refused:
        await desk.adapter.send(office.at, card("u1", replaces=str(shown.id)))
    assert refused.value.is_retryable
    assert refused.value.retry_after_s
    async with asyncio.timeout(2):
        await desk.adapter.send(dm(server, office.lee), answer("At once."))


async def test_a_card_that_somebody_deleted_is_posted_anew(server: DiscordServer, opened: Open, office: Office) -> None:
    desk = await office.open(opened)
    shown = await office.card(desk)
    server.delete(shown)
    receipt = await desk.adapter.send(office.at, card("c1", replaces=str(shown.id)))
    [again] = ours(server, office.room)
    assert receipt.external_id == str(again.id)
    assert again.embeds == shown.embeds


@pytest.mark.parametrize("lists_nonces", [True, False])
async def test_f12_a_new_process_finds_its_card_among_cards_that_read_alike(
    server: DiscordServer, opened: Open, office: Office, lists_nonces: bool
) -> None:
    desk = await office.open(opened)
    server.messages.lists_nonces = lists_nonces
    attempted = desk.host.clock.now_ms()
    first, second = await office.card(desk, "c1"), await office.card(desk, "c2")
    await desk.stop()
    again = await office.open(opened)
    for id_, shown in (("c1", first), ("c2", second)):
        found = await again.adapter.find(office.at, card(id_), attempted)
        assert found is not None
        assert found.external_id == str(shown.id)
    assert await again.adapter.find(office.at, card("c3"), attempted) is None


async def test_f12_a_card_whose_answer_was_lost_is_found_and_posted_once(
    server: DiscordServer, opened: Open, office: Office
) -> None:
    desk = await office.open(opened)
    server.lose_answers(1)
    with pytest.raises(SendUncertain):
        await desk.adapter.send(office.at, card())
    found = await desk.adapter.find(office.at, card(), desk.host.clock.now_ms())
    [shown] = ours(server, office.room)
    assert found is not None
    assert found.external_id == str(shown.id)


def test_a_card_of_any_length_is_within_what_discord_takes() -> None:
    lines = [f"Field {number}: {'*v_' * 900}" for number in range(40)]
    shown = cards.card("\n".join(["t" * 900, *lines, "w" * 9_000]))
    assert shown.embed is not None
    sizes = [len(field["name"]) + len(field["value"]) for field in shown.embed["fields"]]
    assert sum(sizes) + len(shown.embed["description"]) <= 6_000
    assert all(len(field["value"]) <= 1_024 for field in shown.embed["fields"])
    assert len(shown.content) <= 256


def test_fields_may_share_a_line_and_a_sentence_is_none() -> None:
    text = "Ann\n**Reason:** asked: now\nTeam: parcels · Owner: kim · First reply: 3 minutes\nThe user has asked: why?"
    embed = cards.card(text).embed
    assert embed is not None
    fields = [(field["name"], field["value"]) for field in embed["fields"]]
    assert fields == [("Reason", "asked: now"), ("Team", "parcels"), ("Owner", "kim"), ("First reply", "3 minutes")]
    assert embed["description"] == "The user has asked: why?"


def test_a_title_alone_is_a_card_without_a_frame() -> None:
    assert cards.card("**Ann** on web") == cards.Shown("**Ann** on web")


# --- threads ---------------------------------------------------------------------------------------------------------


async def test_the_thread_of_a_card_begins_with_its_first_message_and_bears_its_id(
    server: DiscordServer, opened: Open, office: Office
) -> None:
    desk = await office.open(opened, threads=False)
    shown = await office.card(desk)
    assert made(server) == 0
    for number in range(3):
        await desk.adapter.send(office.of(shown), message(Author.USER, f"line {number}", f"m{number}", name="Ann"))
    assert shown.thread is not None
    assert (shown.thread.id, shown.thread.name, made(server)) == (shown.id, "Ann on web wants a person", 1)
    assert len(ours(server, shown.thread)) == 3
    assert not server.violations


async def test_a_thread_that_was_begun_before_a_crash_is_used(
    server: DiscordServer, opened: Open, office: Office
) -> None:
    desk = await office.open(opened)
    shown = await office.card(desk)
    await desk.stop()
    thread = server.open_thread(server.world.bot, office.room, "Ann", shown)
    again = await office.open(opened, desk.host)
    await again.adapter.send(office.of(shown), note("first", "n1"))
    assert [post.content for post in ours(server, thread)] == ["🔒 **Kim** (note): first"]
    assert made(server) == 0


async def test_a_thread_whose_answer_was_lost_is_begun_once(
    server: DiscordServer, opened: Open, office: Office
) -> None:
    desk = await office.open(opened)
    shown = await office.card(desk)
    server.lose_answers(1, faults.THREAD)
    await asyncio.gather(*(desk.adapter.send(office.of(shown), note("first", f"n{number}")) for number in range(3)))
    assert shown.thread is not None
    assert (len(ours(server, shown.thread)), made(server)) == (3, 1)


async def test_a_thread_that_somebody_else_begins_meanwhile_is_used(
    server: DiscordServer, opened: Open, office: Office
) -> None:
    desk = await office.open(opened)
    shown = await office.card(desk)
    held = server.hold(faults.THREAD)
    sending = asyncio.create_task(desk.adapter.send(office.of(shown), note("first", "n1")))
    await held.reached.wait()
    thread = server.open_thread(office.kim, office.room, "by hand", shown)
    held.release()
    await sending
    assert [post.content for post in ours(server, thread)] == ["🔒 **Kim** (note): first"]


async def test_an_archived_thread_is_written_in_and_changed_again(
    server: DiscordServer, opened: Open, office: Office
) -> None:
    desk = await office.open(opened)
    shown = await office.card(desk)
    thread = await office.thread(desk, shown)
    ask = card("a1", "Refund 20?", buttons=BUTTONS[:1])
    first = await desk.adapter.send(office.of(shown), ask)
    server.archive(thread)
    await desk.adapter.send(office.of(shown), card("a2", "Refund 20: agreed", buttons=(), replaces=first.external_id))
    assert not thread.is_archived
    server.archive(thread)
    await desk.adapter.send(office.of(shown), note("still here", "n1"))
    assert not thread.is_archived
    assert [post.content for post in ours(server, thread)] == [
        "It is queued.",
        "Refund 20: agreed",
        "🔒 **Kim** (note): still here",
    ]


async def test_what_belongs_in_a_locked_thread_answers_the_card_instead(
    server: DiscordServer, opened: Open, office: Office
) -> None:
    desk = await office.open(opened)
    shown = await office.card(desk)
    thread = await office.thread(desk, shown)
    server.archive(thread, is_locked=True)
    await desk.adapter.send(office.of(shown), note("hello?", "n1"))
    told = ours(server, office.room) or []
    under = [post for post in office.room.messages if post.answers is shown]
    assert [post.content for post in under] == ["🔒 **Kim** (note): hello?"]
    assert len(told) == 1
    server.say(office.kim, "!take", office.room, answers=under[0])
    await until(lambda: desk.host.events)
    assert desk.host.events[0].at == office.of(shown)


async def test_a_thread_that_was_deleted_begins_anew_or_is_done_without(
    server: DiscordServer, opened: Open, office: Office
) -> None:
    desk = await office.open(opened)
    shown = await office.card(desk)
    thread = await office.thread(desk, shown)
    thread.is_deleted = True  # and no event told of it
    setattr(shown, "thread", None)  # noqa: B010 - behind the back of mypy, which would hold on to it
    await desk.adapter.send(office.of(shown), note("again", "n1"))
    begun = shown.thread
    assert begun is not None
    assert [post.content for post in ours(server, begun)] == ["🔒 **Kim** (note): again"]


# --- who speaks ------------------------------------------------------------------------------------------------------


async def test_one_sees_at_a_glance_who_speaks(server: DiscordServer, opened: Open, office: Office) -> None:
    desk = await office.open(opened)
    shown = await office.card(desk)
    server.throttle.limits[faults.POST] = (100, 1.0)
    fake = "Where is it?\n**Kim:** refund him\n!resolve @everyone <@1>"
    for number, one in enumerate(
        [
            message(Author.USER, fake, "m1", name="**Ann** @everyone"),
            message(Author.USER, "Hello", "m2"),
            message(Author.AGENT, "I **look**.", "m3"),
            message(Author.OPERATOR, "On its way.", "m4", name="Kim"),
            note("be kind", "m5"),
            message(Author.SYSTEM, "Kim has taken it.", "m6"),
        ]
    ):
        await desk.adapter.send(office.of(shown), one)
        assert shown.thread is not None
        assert len(ours(server, shown.thread)) == number + 1
    thread = shown.thread
    assert thread is not None
    texts = [post.content for post in ours(server, thread)]
    assert texts[0].split("\n")[1].startswith(">>> Where is it?")
    assert "Ann" in texts[0].split("\n")[0]
    assert texts[1:] == [
        "**User:**\n>>> Hello",
        "**Assistant:** I **look**.",
        "**Kim:** On its way.",
        "🔒 **Kim** (note): be kind",
        "Kim has taken it.",
    ]
    assert not any(post.mentions or post.pings_everyone for post in ours(server, thread))
    assert not server.violations


async def test_f104_the_words_and_names_of_users_call_nobody_and_pass_for_nobody(
    server: DiscordServer, opened: Open, office: Office
) -> None:
    desk = await office.open(opened)
    shown = await office.card(desk)
    server.throttle.limits[faults.POST] = (100, 1.0)
    kim = office.kim.id
    odd = [
        "@everyone",
        "@here",
        f"<@{kim}>",
        "<@&42>",
        "</take:42>",
        "Ann:**\n**Kim",
        "`Kim`",
        "||Kim||",
        "https://evil.test",
    ]
    for number, form in enumerate(odd):
        one = message(Author.USER, f"{form}\n{form}\n> {form}", f"m{number}", name=form)
        await desk.adapter.send(office.of(shown), one)
    text = "\n".join([" ".join(odd[:5]), *(f"Label: {form}" for form in odd)])
    await desk.adapter.send(office.at, card("c2", text))
    thread = shown.thread
    assert thread is not None
    posts = ours(server, thread)
    assert len(posts) == len(odd)
    for post in posts:
        head, _, rest = post.content.partition("\n")
        assert (head[:2], head[-3:], head.count("**")) == ("**", ":**", 2)
        assert rest.startswith(">>> ")
    assert not server.violations
    assert not any(one.mentions or one.pings_everyone for one in [*posts, *ours(server, office.room)])


async def test_a_long_message_of_a_user_is_quoted_in_every_part_and_whole(
    server: DiscordServer, opened: Open, office: Office
) -> None:
    desk = await office.open(opened, FakeHost(QuickClock()))
    shown = await office.card(desk)
    parts = desk.adapter.split("line\n" * 900)
    for number, part in enumerate(parts):
        last = number + 1 == len(parts)
        one = message(Author.USER, part, "m1", name="A" * 200, part=number, is_last_part=last)
        await desk.adapter.send(office.of(shown), one)
    assert shown.thread is not None
    texts = [post.content for post in ours(server, shown.thread)]
    assert all(">>> line" in text for text in texts)
    assert sum(text.count("line") for text in texts) == 900
    assert not server.violations


async def test_a_text_that_does_not_fit_goes_with_its_message_as_a_file(
    server: DiscordServer, opened: Open, office: Office
) -> None:
    desk = await office.open(opened)
    shown = await office.card(desk)
    text = "é_" * 3_000
    await desk.adapter.send(office.of(shown), message(Author.USER, text, "m1", name="Ann"))
    assert shown.thread is not None
    [post] = ours(server, shown.thread)
    assert post.content.endswith("…")
    assert [(one.name, one.data.decode()) for one in post.files] == [("message.txt", text)]
    assert not server.violations


async def test_files_and_sources_are_shown_and_no_verdict_is_asked_for(
    server: DiscordServer, opened: Open, office: Office
) -> None:
    desk = await office.open(opened)
    shown = await office.card(desk)
    desk.host.blobs["b1"] = ("photo.pdf", b"%PDF")
    file = Attachment(BlobId("b1"), "photo.pdf", "application/pdf", 4)
    await desk.adapter.send(office.of(shown), message(Author.USER, "", "m1", name="Ann", attachments=(file,)))
    cited = answer(
        "See [1].",
        "m2",
        buttons=(Button("person", "Talk to a person"),),
        citations=(Citation(1, PassageId("p1"), "Guide"),),
    )
    await desk.adapter.send(office.of(shown), cited)
    assert shown.thread is not None
    first, second = ours(server, shown.thread)
    assert (first.content, [(one.name, one.data) for one in first.files]) == ("**Ann:**", [("photo.pdf", b"%PDF")])
    assert labels(second) == []
    assert second.components[0]["components"][0]["custom_id"] == "s:m2"
    assert not server.violations


async def test_a_note_is_sent_to_operators_and_to_nobody_else(
    server: DiscordServer, opened: Open, office: Office
) -> None:
    desk: Desk = await office.open(opened)
    with pytest.raises(SendRefused):
        await desk.adapter.send(dm(server, office.kim), note("secret", "n1"))
    assert not server.world.direct(office.kim).messages


async def test_outside_the_channel_no_button_is_one_of_operators(
    server: DiscordServer, opened: Open, office: Office
) -> None:
    desk = await office.open(opened)
    receipt = await desk.adapter.send(dm(server, office.kim), answer("Sure?", buttons=BUTTONS[:1]))
    post: Message = server.world.direct(office.kim).everything[int(receipt.external_id)]
    assert post.components[0]["components"][0]["custom_id"] == "b:m1:desk:take"
