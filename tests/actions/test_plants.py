"""The judge of the kills can find what it looks for."""

from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path

import pytest

from tests.actions.kill import run
from tests.actions.kill_child import ALTERED, LATE_BEGIN, NAKED_AGAIN, NO_CONSENT, NO_HASH, NO_OBJECT, OTHER_KEY

CAUGHT_WITHIN = 48
PER_EPISODE = 12
IN_A_CALL = ("request written", "shop asked", "shop booked", "reply read", "before action settle")


@pytest.mark.parametrize(
    ("fault", "sign", "points"),
    [
        (OTHER_KEY, "key: ", IN_A_CALL),
        (LATE_BEGIN, "doubled: ", IN_A_CALL),
        (NAKED_AGAIN, "doubled: ", IN_A_CALL),
        (NO_CONSENT, "not agreed: ", ("outside",)),
        (NO_HASH, "not agreed: 6 for order", ("outside",)),
        (NO_OBJECT, "doubled: ", ("outside",)),
    ],
)
async def test_a_planted_bug_is_caught(tmp_path: Path, fault: str, sign: str, points: tuple[str, ...]) -> None:
    """A new key for each try; a call that is entered only afterwards; a guess at a naked call; consent that is not asked, or not compared
    with what is done; nothing that stops a second deed for the same object. Each is reported as what it is, within a few kills."""
    assert await found(tmp_path, fault, points, sign)


async def test_f99_what_was_altered_after_consent_is_not_done(tmp_path: Path) -> None:
    """The same alteration, compared: no call leaves with it; the judge sees only that what was agreed to was not done."""
    findings = await found(tmp_path, ALTERED, ("outside",))
    assert findings
    assert [each for each in findings if "was agreed to, and is void" not in each] == []


async def found(folder: Path, fault: str, points: tuple[str, ...], sign: str = "") -> Sequence[str]:
    """The findings of the first episode that has one which begins with `sign`."""
    reports = run(folder, CAUGHT_WITHIN, 5, fault=fault, points=points, per_episode=PER_EPISODE)
    async with aclosing(reports):
        async for report in reports:
            if any(each.startswith(sign) for each in report.findings):
                return report.findings
    return []
