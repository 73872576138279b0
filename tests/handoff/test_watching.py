"""Operators who watch, or whom a note names, are told of what happens: once, where they work, and never of what they did themselves."""

from pathlib import Path

from bot.handoff.watching import QUIET_MS
from bot.model import Address, CaseEnded, Identity
from tests.handoff.kit import PEOPLE, Office, World, office

WISH = "I want to talk to a human, please."
QUIET_S = QUIET_MS / 1000


def called(desk: Office) -> list[tuple[tuple[str, ...], str]]:
    """Who is called in the threads, and with which words."""
    return [(each.mentions, each.text) for each in desk.room.sent if each.mentions]


async def rung(desk: Office) -> list[tuple[str, str]]:
    """Whom open consoles told what."""
    names = {each.id: each.name for each in await desk.operators.all()}
    return [(names[each.operator], each.text) for each in desk.rung]


async def later(desk: Office, seconds: float = 1.0) -> None:
    desk.clock.step_wall(round(seconds * 1000))
    await desk.rest()


async def test_who_watches_is_called_in_the_thread_and_rung_on_the_console(tmp_path: Path) -> None:
    """By the platform's id of the account that is theirs."""
    async with office(World(tmp_path)) as desk:
        await desk.say(WISH)
        await desk.act("cleo", "!watch")
        await later(desk)
        await desk.say("Hello?")
        assert called(desk) == [(("U-cleo",), "The user has written.")]
        assert await rung(desk) == [("cleo", "The user has written.")]


async def test_nobody_who_does_not_watch_is_told(tmp_path: Path) -> None:
    async with office(World(tmp_path)) as desk:
        await desk.say(WISH)
        await desk.act("cleo", "!watch")
        await desk.act("cleo", "!unwatch")
        await later(desk)
        await desk.say("Hello?")
        await desk.act("ben", "!reply Hello")
        assert (called(desk), await rung(desk)) == ([], [])


async def test_talk_calls_once_for_a_burst_and_again_after_a_quiet_time(tmp_path: Path) -> None:
    """A burst lasts for as long as something is said."""
    async with office(World(tmp_path)) as desk:
        await desk.say(WISH)
        await desk.act("cleo", "!watch")
        for number in range(4):
            await later(desk, QUIET_S - 1)
            await desk.say(f"still here {number}")
        assert len(await rung(desk)) == 1
        await later(desk, QUIET_S)
        await desk.act("ben", "!reply Hello")
        await later(desk, QUIET_S)
        await desk.say("Good")
        assert [text for _, text in await rung(desk)] == [
            "The user has written.",
            "Ben has taken it.",
            "The user has written.",
        ]


async def test_who_has_it_and_its_end_are_told_each_time(tmp_path: Path) -> None:
    async with office(World(tmp_path)) as desk:
        await desk.say(WISH)
        await desk.act("cleo", "!watch")
        for line in ("!take", "!release", "!take", "!return", "!take", "!resolve done"):
            await later(desk)
            await desk.act("ben", line)
        assert [text for who, text in await rung(desk) if who == "cleo"] == [
            "Ben has taken it.",
            "Ben has given it back to the queue.",
            "Ben has taken it.",
            "Ben has returned it to the agent.",
            "Ben has taken it.",
            "Ben has resolved it.",
        ]
        assert [text for _, text in called(desk)] == [text for _, text in await rung(desk)]


async def test_nobody_is_told_of_their_own_acts(tmp_path: Path) -> None:
    async with office(World(tmp_path)) as desk:
        await desk.say(WISH)
        await desk.act("ben", "!watch")
        await later(desk)
        await desk.act("ben", "!reply Hello")
        await desk.act("ben", "!note what @ben thinks")
        await later(desk, QUIET_S)
        await desk.act("ben", "!reply Still here")
        await desk.act("ben", "!release")
        assert (called(desk), await rung(desk)) == ([], [])


async def test_a_note_calls_whom_it_names_whether_or_not_they_watch(tmp_path: Path) -> None:
    """Also one written as plain text in the thread; names that nobody has, and addresses, call nobody."""
    async with office(World(tmp_path)) as desk:
        await desk.say(WISH)
        told = await desk.act("ben", "!note @cleo, is this yours? (@Dora knows; not @paula, not me@cleo)")
        assert told.text == "Noted, for operators only. 2 colleagues are told."
        await desk.write("ben", "and you, @vera")
        assert await rung(desk) == [
            ("cleo", "Ben names you in a note."),
            ("dora", "Ben names you in a note."),
            ("vera", "Ben names you in a note."),
        ]
        assert called(desk) == [
            (("U-cleo", "U-dora"), "Ben names you in a note."),
            (("U-vera",), "Ben names you in a note."),
        ]
        assert len(desk.seen()) == 1, "the user reads nothing of it"


async def test_before_anybody_is_asked_for_only_consoles_tell(tmp_path: Path) -> None:
    """The agent's conversations have no thread; what was told before the card stood there is not told again below it."""
    async with office(World(tmp_path)) as desk:
        await desk.say("What is a bell?")
        await desk.act("cleo", "!watch")
        await later(desk)
        await desk.say("And a wheel?")
        assert await rung(desk) == [("cleo", "The user has written.")]
        await later(desk)
        await desk.say(WISH)
        assert [text for _, text in await rung(desk)] == ["The user has written.", "A person is asked for."]
        assert called(desk) == [(("U-cleo",), "A person is asked for.")]


async def test_who_may_no_longer_look_is_no_longer_told(tmp_path: Path) -> None:
    async with office(World(tmp_path)) as desk:
        await desk.say(WISH)
        await desk.act("vera", "!watch")
        await desk.operators.sync([each for each in PEOPLE if each.name != "vera"])
        await later(desk)
        await desk.say("Hello?")
        assert await rung(desk) == []


async def test_what_happened_while_nobody_listened_is_told_at_the_next_start_and_once(tmp_path: Path) -> None:
    world = World(tmp_path)
    async with office(world) as desk:
        await desk.say(WISH)
        await desk.act("cleo", "!watch")
        await later(desk)
        await desk.intake.receive(CaseEnded(Identity("list", "", "ada"), Address("list", "", "ada")))
    for _ in range(2):
        async with office(world) as desk:
            await desk.rest()
    texts = [text for _, text in called(desk)]
    assert texts == ["The user has ended it."]


async def test_what_is_erased_leaves_no_watcher_and_no_notice(tmp_path: Path) -> None:
    """Neither table is known to users; both go with the conversation."""
    from bot.people.places import OF_CONVERSATION

    assert {"watchers", "notices"} <= set(OF_CONVERSATION)
