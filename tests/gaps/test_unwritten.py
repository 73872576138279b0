"""What nobody has answered yet is told to nobody."""

from pathlib import Path

import pytest

from bot.errors import Refused
from tests.gaps.kit import BY, asking


async def test_a_draft_that_nobody_has_written_out_is_not_accepted_as_it_stands(tmp_path: Path) -> None:
    """Users would be quoted the place where the answer is missing."""
    async with asking(tmp_path / "data") as desk:
        await desk.unanswered("Ada Lind", "Do you deliver pianos to Iceland?")
        (gap,) = await desk.listed()
        await desk.gaps.drafting.draft(gap["id"], BY)
        with pytest.raises(Refused, match="TO CHECK"):
            await desk.gaps.drafting.accept(gap["id"], BY)
        assert (await desk.listed())[0]["state"] == "drafted"
        done = await desk.gaps.drafting.accept(gap["id"], BY, text="By ship, in six weeks.")
        assert done["state"] == "closed"
