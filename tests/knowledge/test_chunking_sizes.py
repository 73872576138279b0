"""Passages are as large as is asked for, whatever they are cut from, and nothing of the text is lost."""

import pytest

from bot.knowledge.blocks import markdown_blocks
from bot.knowledge.chunking import LEAST_CHARS, pieces

PROSE = "\n\n".join(" ".join(f"Sentence {n} of {part} says little." for n in range(30)) for part in range(3))
LIST = "\n".join(f"- item {n} with some words" for n in range(60))
TABLE = "| a | b |\n|---|---|\n" + "\n".join(f"| cell {n} | other {n} |" for n in range(60))


@pytest.mark.parametrize("most", [400, 800, 2000])
@pytest.mark.parametrize("text", [PROSE, LIST, TABLE, "x" * 5000])
def test_no_passage_is_much_larger_than_asked_for_and_no_word_is_lost(text: str, most: int) -> None:
    cut = pieces("T", markdown_blocks(f"# T\n\n{text}"), most)
    assert max(len(piece.text) for piece in cut) <= most + LEAST_CHARS + 2  # a short rest joins the one before
    assert max(len(piece.text) for piece in cut) > most // 2
    held = "".join("".join(piece.text.split()) for piece in cut)
    assert all(word in held for word in text.split() if len(word) < 100)
    assert held.count("x") >= text.count("x")
