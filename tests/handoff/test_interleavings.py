"""Whatever happens in whatever order, with crashes in between: agent and person never both speak, and nothing is lost or doubled."""

from pathlib import Path

import pytest

from tests.handoff.interleavings import Episode, run
from tests.handoff.plants import PLANTS, Plant

EPISODES = 25  # python -m tests.handoff.interleavings plays two thousand
CAUGHT_WITHIN = 200


async def test_f110_random_orders_on_the_core_keep_every_promise() -> None:
    """One announcement for each handoff, no note shown, no message lost, one owner, each reply shown once and in order."""
    played = await run(EPISODES, seed=11)
    assert played.findings == []
    assert played.handoffs > EPISODES // 3
    assert played.crashes > 0


@pytest.mark.parametrize("plant", list(PLANTS), ids=lambda plant: plant.__name__)
async def test_a_planted_bug_is_caught(in_memory: Path, monkeypatch: pytest.MonkeyPatch, plant: Plant) -> None:
    """And called what it is, within a few orders."""
    plant(monkeypatch)
    for seed in range(CAUGHT_WITHIN):
        played = await Episode(in_memory / str(seed), seed).play()
        if any(PLANTS[plant] in each for each in played.findings):
            return
    raise AssertionError(f"{plant.__name__} was not caught within {CAUGHT_WITHIN} orders")
