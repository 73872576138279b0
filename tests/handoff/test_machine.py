"""The machine itself: one owner, which follows from the stage; ends that are ends; edges that can all be walked."""

import pytest

from bot.errors import Refused
from bot.handoff.machine import AWAITING, EDGES, ENDED, HELD, OF_HOLDER, Handoff, Happening, Stage, step
from bot.model import AGENT_OWNER, QUEUE_OWNER
from tests.handoff.interleavings import walk


@pytest.mark.parametrize("stage", list(Stage))
def test_the_owner_follows_from_the_stage(stage: Stage) -> None:
    """The queue while a person is awaited, the operator who has it, and the agent in every other stage."""
    expected = QUEUE_OWNER if stage in AWAITING else "ben" if stage in HELD else AGENT_OWNER
    assert Handoff(stage, operator="ben", offered_to="cleo").owner == expected


@pytest.mark.parametrize("stage", sorted(ENDED))
@pytest.mark.parametrize("what", list(Happening))
def test_an_ended_stage_has_no_way_out(stage: Stage, what: Happening) -> None:
    """Whatever happens, what has ended stays ended: the next handoff is another row."""
    with pytest.raises(Refused):
        step(Handoff(stage, operator="ben"), what, by="ben", to="cleo")


def test_every_open_stage_has_a_way_to_an_end() -> None:
    """From each stage an end can be reached, so that no conversation is stuck with nobody."""
    reaches = set(ENDED)
    while grown := {stage for (stage, _), to in EDGES.items() if to in reaches} - reaches:
        reaches |= grown
    assert reaches == set(Stage)


@pytest.mark.parametrize("stage", sorted(HELD))
def test_f109_who_claims_second_is_refused_and_nothing_changes(stage: Stage) -> None:
    """Somebody else has it; the holder may claim again and again, which takes it up."""
    held = Handoff(stage, operator="ben", until_ms=5 if stage is Stage.SNOOZED else 0)
    with pytest.raises(Refused) as refused:
        step(held, Happening.CLAIM, by="cleo")
    assert refused.value.code == "taken"
    again = step(held, Happening.CLAIM, by="ben")
    assert (again.operator, again.owner) == ("ben", "ben")


@pytest.mark.parametrize("what", sorted(OF_HOLDER))
def test_only_who_has_it_replies_puts_off_gives_back_or_is_done(what: Happening) -> None:
    stage = Stage.WRAP_UP if what is Happening.DONE else Stage.ACTIVE
    with pytest.raises(Refused) as refused:
        step(Handoff(stage, operator="ben"), what, by="cleo", until_ms=5)
    assert refused.value.code == "taken"
    assert step(Handoff(stage, operator="ben"), what, by="ben", until_ms=5).operator == "ben"


def test_only_who_was_asked_declines() -> None:
    offered = Handoff(Stage.OFFERED, offered_to="ben")
    with pytest.raises(Refused):
        step(offered, Happening.DECLINE, by="cleo")
    assert step(offered, Happening.DECLINE, by="ben") == Handoff(Stage.QUEUED)


def test_f14_random_orders_of_happenings_keep_one_owner() -> None:
    """Thousands of random orders: no two owners, no way out of an end, every edge walked."""
    report = walk(5_000, seed=3)
    assert report.findings == []
    assert report.unwalked == []
