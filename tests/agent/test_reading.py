"""Long texts are read beside the loop, window by window, and say what they say as a whole."""

import asyncio
from collections.abc import Awaitable
from datetime import date
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from bot.agent.grounding import Grounds, Source, read_ahead
from bot.agent.loop import Rules
from bot.agent.reading import AROUND_CHARS, WINDOW_CHARS, Text, windows
from bot.agent.sources import lasting
from bot.agent.values import find_values
from tests.agent.test_grounding import TODAY
from tests.loop.test_loop import House, Scripted, says

MANY: Final = 1_000  # rounds that a loop has while hundreds of thousands of characters are read elsewhere; not when it reads them itself


def long_text(mark: str) -> str:
    """Some 300,000 characters, with values."""
    return "\n".join(f"Plan {mark}{n} costs €{n}.50 and is free of charge for two weeks." for n in range(5_000))


async def rounds_during(call: Awaitable[object]) -> int:
    """How often the loop went round meanwhile."""
    loop, rounds, is_over = asyncio.get_running_loop(), 0, False

    def tick() -> None:
        nonlocal rounds
        rounds += 1
        if not is_over:
            loop.call_soon(tick)

    tick()
    await call
    is_over = True
    return rounds


async def test_the_loop_goes_on_while_a_long_source_is_read() -> None:
    """Whether other turns read it too or not; afterwards nothing is left for the loop, and the second time nothing is read."""
    for number, is_lasting in enumerate((True, False)):
        given = Source(long_text(f"a{number}"), is_lasting=is_lasting)
        grounds = Grounds(lambda given=given: [given], TODAY)  # type: ignore[misc] # a default binds it now
        assert await rounds_during(grounds.prepare()) > MANY
        assert await rounds_during(grounds.prepare()) == 1
        assert grounds.missing("It costs €4.50, or €9999, free of charge.") == ("€9999",)


async def test_short_sources_wait_for_a_value_and_for_no_thread() -> None:
    """An answer without a value costs nothing."""
    assert await rounds_during(Grounds(lambda: [Source("It costs €5.")], TODAY).prepare()) == 1


async def test_a_turn_reads_its_sources_beside_the_loop() -> None:
    """As soon as text of the answer comes."""
    rounds = []
    for instructions in ("", long_text("turn")):
        model = Scripted(says("It costs €4.50, ", "free of charge."))
        house = House(model, rules=Rules("main", instructions=instructions, is_checking_facts=True))
        rounds.append(await rounds_during(house.ask("What does it cost?")))
    assert rounds[1] > rounds[0] + MANY


async def test_turns_at_once_wait_for_one_reading_of_what_is_read_ahead() -> None:
    """A turn that is given up does not take it from the others."""
    text = long_text("shared")
    read_ahead(text)
    reading = lasting(text).begin()
    turns = [Grounds(lambda: [Source(text, is_lasting=True)], date(2026, 1, 1)) for _ in range(3)]
    given_up, *others = [asyncio.ensure_future(turn.prepare()) for turn in turns]
    given_up.cancel()
    await asyncio.gather(*others)
    assert given_up.cancelled()
    assert reading.done()
    assert lasting(text).begin() is reading
    assert lasting(text).unread_chars == 0


@given(st.text(alphabet="ab \n", min_size=0, max_size=50), st.integers(1, 2_000))
def test_windows_lose_nothing_and_have_a_bound(piece: str, times: int) -> None:
    """They follow each other, and cut no word that fits."""
    text = piece * times
    cut = list(windows(text))
    assert "".join(text[start:end] for start, end in cut) == text
    assert all(end - start <= WINDOW_CHARS for start, end in cut)
    if " " in piece or "\n" in piece:
        assert all(text[end - 1] in " \n" for _, end in cut[:-1])


def test_a_value_is_read_once_wherever_a_window_ends() -> None:
    """Also in a text without lines, where a window may end within the value."""
    for said in ("12 business days", "3 May 2026", "1 299,00 €", "order number 123456"):
        for before in range(WINDOW_CHARS - len(said) - 2, WINDOW_CHARS + 2, 3):
            text = f"{'x ' * WINDOW_CHARS}"[:before].rstrip() + f" {said} {'y ' * AROUND_CHARS}"
            assert Text(text).forms() == {form for each in find_values(text, is_source=True) for form in each.forms}


def test_a_denial_before_the_end_of_a_window_counts() -> None:
    """Nothing is promised in the next one that is denied in this."""
    for before in range(WINDOW_CHARS - 40, WINDOW_CHARS + 5, 3):
        filler = ("x " * WINDOW_CHARS)[:before].rstrip()
        source = Source(f"{filler}. It is not in any way refundable. {'y ' * AROUND_CHARS}")
        assert Grounds(lambda source=source: [source], TODAY).missing("It is refundable.")  # type: ignore[misc] # as above
