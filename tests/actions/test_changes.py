"""What was agreed to is what is done, whatever changes meanwhile."""

from pathlib import Path

import pytest

from bot.store import actions as ledger
from tests.actions.changes import NOTES, run
from tests.actions.changes import Table as Rows

CHANGES = 2_000


async def test_f99_of_2000_changes_between_consent_and_call_none_is_carried_out(tmp_path: Path) -> None:
    """Any column of the ledger, any fact of the order, anything declared; over every effect class and every way to agree."""
    report = await run(tmp_path, CHANGES, 7)
    assert report.executed == []
    assert report.bent == []
    assert report.lost == []
    assert report.untouched > CHANGES // 10, "too few changes were none: a call that is never made proves nothing"
    assert sum(report.tried.values()) == CHANGES


async def test_every_column_comes_round(tmp_path: Path) -> None:
    """A column that is added later is changed, too."""
    report = await run(tmp_path, CHANGES, 8)
    table = Rows(tmp_path / "columns.db")
    try:
        columns = {f"{name}.{column}" for name in ("actions", "consents") for column, _ in table.columns(name)}
    finally:
        table.close()
    assert columns - report.tried.keys() == set()
    assert columns >= NOTES


@pytest.mark.parametrize("plant", ["no seal", "no consent", "facts not read again"])
async def test_a_planted_bug_lets_changes_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plant: str) -> None:
    """The proof can fail."""
    match plant:
        case "no seal":
            monkeypatch.setattr(ledger, "_is_sealed", lambda *_: True)
        case "no consent":
            monkeypatch.setattr(ledger, "_is_given", lambda *_: True)
        case _:
            monkeypatch.setattr("bot.tools.acting.Acting._facts_text", _as_agreed)
    report = await run(tmp_path, CHANGES, 9)
    assert report.executed


async def _as_agreed(*_: object) -> str:
    return '{"currency":"EUR","status":"paid","total":5000}'
