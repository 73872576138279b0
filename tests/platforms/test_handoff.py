"""A person takes over and gives back, on every channel, end to end: the real daemon, its operators in a room of Slack or Discord, and a model
that shows what it was given."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio

from bot.accepting import SOLVED_ASK
from tests.browser.screenshots import picture
from tests.platforms.discord.driver import DiscordPlatform
from tests.platforms.reception import Reception
from tests.platforms.rooms import EVA, OLE, DiscordRoom, SlackRoom, cards
from tests.platforms.slack.driver import SlackPlatform
from tests.platforms.stage import closing, opening
from tests.platforms.visitor import Chromium

PICTURE: Final = picture(8, 8)
SCRIPT: Final = b"Way 1: over the hill.\nWay 2: through the wood.\n"


def in_slack(folder: Path, *, is_in_browser: bool = False) -> Reception:
    platform = SlackPlatform(retries_s=(0.0, 1.0, 60.0), is_paced=False)
    return Reception(folder, platform, SlackRoom(platform), is_in_browser=is_in_browser)


def in_discord(folder: Path) -> Reception:
    platform = DiscordPlatform()
    return Reception(folder, platform, DiscordRoom(platform))


HOUSES: Final[dict[str, Callable[[Path], Reception]]] = {
    "web, operators in slack": lambda folder: in_slack(folder, is_in_browser=True),
    "slack": in_slack,
    "discord": in_discord,
}


@pytest_asyncio.fixture(loop_scope="module", scope="module", params=HOUSES)
async def house(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Reception]:
    if request.param.startswith("web") and Chromium.path() is None:
        pytest.skip("no chromium on this machine: install it to run the browser tests")
    house = HOUSES[request.param](tmp_path_factory.mktemp("house"))
    try:
        await house.start()
        yield house
        assert house.new_violations() == []
    finally:
        await house.stop()


every = pytest.mark.asyncio(loop_scope="module")


@every
async def test_a_person_takes_over_and_gives_back(house: Reception) -> None:
    """Card and transcript, owner, replies under a name, notes that stay among operators, and an agent that goes on from a closed block."""
    room = house.room
    assert room is not None
    asked = await house.says("How long may I return a bicycle?")
    await house.answered(asked)
    card = await house.asks_for_person()
    await house.shows(card, closing(asked))
    await house.shows(card, f"{asked} How long may I return a bicycle?")
    held = await house.taken(card)
    assert "with Eva" in held.text
    if house.customer.shows_owner:
        await house.until(house.customer.owner, "Eva".__eq__, what="the page says who has it")

    note, reply, form = house.mark(), house.mark(), house.mark()
    room.write(EVA, card, f"{note} between us: be kind")
    room.write(EVA, card, f"!reply {reply} Good morning!")
    await room.fill(EVA, held, "Reply", f"{form} I am looking at it.")
    for word in (reply, form):
        assert (await house.sees(word)).text.count("Eva") == 1
    await house.shows(card, "Noted, for operators only.")
    more = await house.says("And the basket? It is gr33n.")
    await house.shows(card, more)
    await house.quiet()
    assert not [each for each in await house.customer.seen() if note in each.text]
    assert not house.brain.asked(more), "the agent is silent while a person has the conversation"
    room.write(EVA, card, f"!reply The basket too, {reply}2.")
    await house.sees(f"{reply}2.")

    told = house.mark()
    await room.fill(EVA, held, "Return to agent", f"{told} Tell them about bells.")
    await house.answered(told)
    assert len(await house.found("You are talking to the assistant again.")) == 1
    for human in (form, more, f"{reply}2."):
        (block,) = house.brain.texts(human)
        assert "talked to the user. That is over and done with" in block
        assert "Eva of our team asks you" in block
        assert told in block
    assert not house.brain.texts(note)
    assert not [each for each in await house.found(told) if "asks you" in each.text], "the user does not read it"
    if house.customer.shows_owner:
        await house.until(
            house.customer.owner, lambda shown: shown != "Eva", what="the page says that the agent has it"
        )
    await house.answered(await house.says("And what is a bell?"))
    await house.taken(await house.asks_for_person())
    await house.ended()


@every
async def test_files_go_both_ways(house: Reception) -> None:
    """What the user attaches is in the thread, and what an operator attaches to a reply reaches the user; a note's file does not."""
    room = house.room
    assert room is not None
    card = await house.asks_for_person()
    await house.taken(card)
    await house.says("Here is my plan.", file=PICTURE, file_name="mine.png")
    await house.until(lambda: [each for each in room.thread(card) if "mine.png" in each.files], what="the user's file")
    word = house.mark()
    room.write(EVA, card, f"!reply {word} Mine is better.", file=PICTURE, file_name="ours.png")
    room.write(EVA, card, "for us", file=PICTURE, file_name="secret.png")
    await house.until(lambda: house.files("ours.png"), what="the operator's file")
    await house.shows(card, "Noted, for operators only.")
    await house.quiet()
    assert len(await house.files("ours.png")) == 1
    assert await house.files("secret.png") == []
    await house.ended()


@every
async def test_a_file_that_cannot_be_had_takes_no_words_with_it(house: Reception) -> None:
    """The user's words are in the thread all the same, and an operator whose file is not taken is told that nothing was sent."""
    if house.customer.shows_owner:
        pytest.skip("the page refuses such a file before anything is sent")
    room = house.room
    assert room is not None
    card = await house.asks_for_person()
    await house.taken(card)
    said = await house.says("Please run this.", file=SCRIPT, file_name="way.txt")
    assert "way.txt" in (await house.shows(card, said)).text
    word = house.mark()
    room.write(EVA, card, f"!reply {word} Run this.", file=SCRIPT, file_name="ours.txt")
    assert "ours.txt" in (await house.shows(card, "Nothing was sent.")).text
    await house.quiet()
    assert await house.found(word) == []
    await house.ended()


@every
async def test_a_resolved_case_is_rated_and_the_next_message_begins_another(house: Reception) -> None:
    """The user is asked whether it was solved; the new case starts without the words of the old one."""
    word = house.mark()
    room = house.room
    assert room is not None
    await house.answered(await house.says(f"The {word} is broken. What is a bell?"))
    card = await house.asks_for_person()
    await house.taken(card)
    room.write(EVA, card, f"!reply A bell rings, {word}0.")
    await house.sees(f"{word}0.")
    before = len(await house.found(SOLVED_ASK))
    await house.ended()
    if not house.customer.shows_owner:  # the page asks by itself
        await house.sees(SOLVED_ASK, before + 1)
    await house.customer.solved("Yes, thank you" if not house.customer.shows_owner else "Yes")
    await house.until(house.verdict, "up".__eq__, what="the verdict")
    before = house.cases()
    await house.answered(await house.says("What is a wheel?"))
    assert house.cases() == before + 1
    assert all("An earlier case of this user has ended" in text for text in house.brain.texts(word))


@every
async def test_f14_a_kill_between_card_and_take_loses_nothing(house: Reception) -> None:
    """One card, one announcement, one owner. A line that was on its way to the room is looked for first, which takes its time."""
    room = house.room
    assert room is not None
    before = len(cards(room))
    card = await house.asks_for_person()
    await house.again()
    held = await house.taken(card, OLE, within_s=house.slow_s)
    assert "with Ole" in held.text
    await house.quiet()
    assert len(cards(room)) == before + 1
    assert len(house.lines(card, "Ole has taken it.")) == 1
    await house.ended(OLE)


@every
async def test_f14_a_kill_between_reply_and_delivery_sends_it_once(house: Reception) -> None:
    """The reply is on record when the command returns; whatever the kill met, the user and the thread have it once."""
    card = await house.asks_for_person()
    await house.taken(card)
    (row,) = await house.open_cases()
    for number in range(3):
        word = house.mark()
        if number:
            house.platform.lose_answers(1)
        assert "Sent." in await house.command("handoff", "reply", row["case"], word, "here I am", "--as", EVA)
        await house.again()
        await house.sees(word, within_s=house.slow_s)
        await house.shows(card, word, within_s=house.slow_s)
        await house.quiet()
        assert len(await house.found(word)) == len(house.lines(card, word)) == 1
    await house.ended()


@every
async def test_f109_two_who_take_at_once_are_one(house: Reception) -> None:
    """One has it, and the other is told who."""
    room = house.room
    assert room is not None
    card = await house.asks_for_person()
    await asyncio.gather(room.press(EVA, card, "Take"), room.press(OLE, card, "Take"))
    await house.shows(card, "has this conversation.")
    await house.quiet()
    (taken,) = [line.text for line in house.lines(card, "has taken it.")]
    who = "Eva" if "Eva" in taken else "Ole"
    assert len(house.lines(card, "The conversation is yours.")) == 1
    (refused,) = house.lines(card, "has this conversation.")
    assert f"{who} has this conversation." in refused.text
    assert f"with {who}" in cards(room)[-1].text
    await house.ended(who.lower())


@every
async def test_f110_taking_it_stops_a_model_that_is_answering(house: Reception) -> None:
    """Within one step the draft is gone and the model's stream is closed; nothing of the answer comes later."""
    mark = house.mark()
    house.brain.hold(mark)
    await house.customer.say(f"{mark} What is a bell?")
    await house.sees(opening(mark))
    (row,) = await house.open_cases(is_all=True)
    assert "yours" in await house.command("handoff", "take", row["case"], "--as", EVA)
    await house.until(lambda: house.found(opening(mark)), lambda found: not found, what="the draft is withdrawn")
    await house.until(lambda: house.brain.is_dropped(mark), what="the model is hung up on")
    if house.customer.shows_owner:
        await house.until(house.customer.owner, "Eva".__eq__, what="the page says who has it")
    house.brain.let_go()
    await house.quiet()
    assert not await house.found(opening(mark))
    assert not await house.found(closing(mark))
    word = house.mark()
    assert "Sent." in await house.command("handoff", "reply", row["case"], word, "--as", EVA)
    assert "Eva" in (await house.sees(word)).text
    await house.card("Snooze")
    await house.ended()
