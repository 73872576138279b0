"""The suite finds what it is there to find: adapters with a defect each, and the check that notices."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.docs.documents import document
from tests.platforms import suite
from tests.platforms.kit import Platform
from tests.platforms.plants import PLANTS
from tests.platforms.slack.driver import SlackPlatform
from tests.platforms.stage import Stage
from tests.platforms.suite import Check, perform
from tests.platforms.twilio.driver import TwilioPlatform

SOON_S = 4.0  # a promise that is kept is kept by then

FOUND: dict[str, tuple[Callable[[], Platform], Check, str]] = {
    "it_acknowledges_before_it_is_stored": (
        TwilioPlatform,
        suite.nothing_is_acknowledged_that_is_not_stored,
        r"answer to q1x; last: \[\]",
    ),
    "it_gives_each_delivery_an_id_of_its_own": (
        TwilioPlatform,
        suite.an_event_that_comes_again_is_answered_once,
        r"stands there [23] times",
    ),
    "it_forgets_files": (TwilioPlatform, suite.a_picture_reaches_the_model, "image_url"),
    "it_sends_without_a_key_and_never_looks_anything_up": (
        TwilioPlatform,
        suite.a_post_whose_answer_was_lost_is_there_once,
        "stands there 2 times",
    ),
    "it_takes_a_refusal_for_a_receipt": (
        TwilioPlatform,
        suite.a_rate_limit_is_obeyed_and_loses_nothing,
        r"answer to q1x; last: \[\]",
    ),
    "it_shows_everybody_what_it_says_to_one": (
        TwilioPlatform,
        suite.another_persons_chat_shows_nothing_of_the_firsts,
        r"assert not ",
    ),
    "it_says_each_part_backwards": (TwilioPlatform, suite.a_long_answer_arrives_whole_and_in_order, "'w0000'"),
    "it_posts_anew_beside_its_draft": (
        SlackPlatform,
        suite.an_answer_that_the_end_of_the_process_cut_off_arrives_once_and_whole,
        "a1x stands there 2 times",
    ),
}


@pytest.mark.parametrize("plant", FOUND)
async def test_a_defect_of_an_adapter_is_found(tmp_path: Path, plant: str) -> None:
    """The same daemon and the same check, but for the defect."""
    platform, check, words = FOUND[plant]
    stage = Stage(tmp_path, platform(), plant=plant)
    stage.patience_s = stage.slow_s = SOON_S
    try:
        await stage.start()
        with pytest.raises(AssertionError, match=words):
            await perform(stage, check)
        assert stage.is_running
    finally:
        await stage.stop()


def test_every_check_is_documented() -> None:
    """The table of the script holds exactly the checks that there are, in their order."""
    told = [row[0].strip("`") for row in document("docs/adapters.md").table("check")]
    assert told == list(suite.CHECKS)


def test_every_defect_is_looked_for() -> None:
    """None is kept that nobody plants."""
    assert set(FOUND) == set(PLANTS)
