"""Whoever uploads what cannot be read hears what to do about it."""

from pathlib import Path

import pytest

from bot.console.shelf import Given, examined
from bot.errors import Refused
from bot.knowledge.reading.room import ReadingRoom


@pytest.mark.parametrize(
    ("data", "said"),
    [("Grüße aus Köln".encode("latin-1"), "Save it as UTF-8"), (b"\x00\x01\xff\xfe\x80", "Nothing else is read")],
)
def test_a_text_in_another_encoding_is_not_called_another_format(tmp_path: Path, data: bytes, said: str) -> None:
    room = ReadingRoom()
    try:
        with pytest.raises(Refused, match=said):
            examined(Given("note.txt"), data, room)
    finally:
        room.close()
