"""The scan after an erasure finds what is left, however it was written down."""

import json
from pathlib import Path

import pytest

from bot.people import scanning
from bot.people.scanning import CHUNK_BYTES, Sought, scan, size_of

SAID = 'Müller said "zanzibar" \\ twice'


@pytest.mark.parametrize(
    "kept",
    [
        SAID,
        json.dumps({"text": SAID}),
        json.dumps({"text": SAID}, ensure_ascii=False),
        "x" * (CHUNK_BYTES - 9) + SAID,
    ],
)
def test_a_text_is_found_as_it_is_and_inside_json(tmp_path: Path, kept: str) -> None:
    (tmp_path / "frontdesk.db").write_text(kept, encoding="utf-8")
    sought = Sought("text", SAID)
    assert scan(tmp_path, [sought]) == [(sought, "frontdesk.db")]


def test_a_file_that_goes_while_it_is_looked_at_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Indexes and sources write beside it."""
    (tmp_path / "stays").write_text("12345")
    gone = tmp_path / "draft"
    monkeypatch.setattr(scanning, "files_of", lambda data: [gone, tmp_path / "stays"])
    assert size_of(tmp_path) == 5
    assert scan(tmp_path, [Sought("text", "12345")]) != []
