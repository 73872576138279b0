"""Cutting: nothing is lost, nothing is too long, and ids stay."""

import re

from hypothesis import given
from hypothesis import strategies as st

from bot.knowledge.blocks import Block, Kind, list_items, markdown_blocks, sentences, strip_marks, text_blocks
from bot.knowledge.chunking import LEAST_CHARS, MOST_CHARS, MOST_CODE_CHARS, Piece, passage_ids, pieces

WORD = st.text(st.characters(categories=("L", "N")), min_size=1, max_size=12)
LINE = st.lists(WORD, min_size=1, max_size=40).map(" ".join)
PARAGRAPH = st.lists(LINE, min_size=1, max_size=12).map(". ".join).map(lambda text: Block(Kind.PARAGRAPH, text))
LIST = st.lists(LINE, min_size=1, max_size=30).map(
    lambda lines: Block(Kind.LIST, "\n".join(f"- {one}" for one in lines))
)
CODE = st.lists(LINE, max_size=10).map(lambda lines: Block(Kind.CODE, "\n".join(["```", *lines, "```"])))
HEADING = st.builds(lambda text, level: Block(Kind.HEADING, text, level), LINE, st.integers(1, 6))
BLOCKS = st.lists(PARAGRAPH | LIST | CODE | HEADING, max_size=25)


def bare(text: str) -> str:
    return re.sub(r"\s+", "", text)


@given(BLOCKS)
def test_every_word_is_in_the_passages_in_order(blocks: list[Block]) -> None:
    """Passages, put together, are the document's text; headings are in titles."""
    cut = pieces("Title", blocks)
    texts = bare("".join(piece.text for piece in cut))
    titles = " › ".join(piece.title for piece in cut)
    at = 0
    for block in blocks:
        if block.kind is Kind.HEADING:
            assert block.text in titles or block.text == "Title"
        else:
            at = texts.index(bare(block.text), at) + len(bare(block.text))


@given(BLOCKS)
def test_passages_have_a_readable_size(blocks: list[Block]) -> None:
    """Only code, with the words that lead to it, makes a passage longer than the limit."""
    for piece in pieces("Title", blocks):
        assert len(piece.text) <= (MOST_CODE_CHARS if "```" in piece.text else MOST_CHARS) + LEAST_CHARS + 2


@given(st.text(max_size=3000))
def test_any_text_can_be_cut(text: str) -> None:
    """No input makes the reader or the cutter fail, or lose a letter outside of comments and heading marks."""
    cut = pieces("Title", markdown_blocks(text))
    if "<!--" not in text and "](" not in text and "{#" not in text:
        kept = "".join(piece.title + piece.text for piece in cut)
        assert {c for c in text if c.isalnum()} <= set(kept)


@given(LINE.map(lambda line: line.replace(" ", "") * 40))
def test_even_an_endless_word_is_cut_and_kept(word: str) -> None:
    """A word longer than a passage is cut between characters."""
    cut = pieces("Title", text_blocks(word))
    assert bare("".join(piece.text for piece in cut)) == word
    assert all(len(piece.text) <= MOST_CHARS + LEAST_CHARS + 1 for piece in cut)


def test_titles_are_heading_paths() -> None:
    """A passage says where it stands: document › section › sub-section."""
    text = "# Guide\n\nIntro.\n\n## Install\n\nDo it.\n\n### On Linux\n\nLike this.\n\n## Use\n\nSo."
    assert [piece.title for piece in pieces("Guide", markdown_blocks(text))] == [
        "Guide",
        "Guide › Install",
        "Guide › Install › On Linux",
        "Guide › Use",
    ]


def test_a_lonely_heading_is_a_passage() -> None:
    """A heading without text is not lost."""
    assert pieces("A", markdown_blocks("# A\n\n## B\n\n## C\n\nText.")) == [
        Piece("A › B", "B"),
        Piece("A › C", "Text."),
    ]


def test_code_is_kept_whole_with_its_lead() -> None:
    """A code block longer than a passage stays in one, after the sentence that announces it."""
    code = "```python\n" + "print('hello')\n\n" * 100 + "```"
    cut = pieces("A", markdown_blocks(f"Some words before.\n\nRun this:\n\n{code}\n\nDone."))
    assert [piece.text for piece in cut][1].startswith("Run this:\n\n```python")
    assert code in cut[1].text


def test_very_long_code_is_cut_between_lines_and_stays_code() -> None:
    """Each piece of it is fenced."""
    code = "```\n" + "\n".join(f"line {n}" for n in range(3000)) + "\n```"
    cut = pieces("A", markdown_blocks(code))
    assert len(cut) > 1
    assert all(piece.text.startswith("```\n") and piece.text.endswith("\n```") for piece in cut)


def test_a_long_table_keeps_its_head_in_every_piece() -> None:
    """A row without its columns' names says nothing."""
    rows = "\n".join(f"| key {n} | {'words ' * 10} |" for n in range(60))
    cut = pieces("A", markdown_blocks(f"| key | meaning |\n|---|---|\n{rows}"))
    assert len(cut) > 1
    assert all(piece.text.startswith("| key | meaning |\n|---|---|\n| key") for piece in cut)


def test_ids_stay_when_other_parts_of_a_document_change() -> None:
    """A citation of an unchanged section survives an edit elsewhere; a changed passage gets another id."""
    before = pieces("A", markdown_blocks("# A\n\n## One\n\nFirst.\n\n## Two\n\nSecond."))
    after = pieces("A", markdown_blocks("# A\n\nNew.\n\n## One\n\nFirst.\n\n## Two\n\nChanged."))
    old, new = passage_ids("a.md", before), passage_ids("a.md", after)
    assert old[0] == new[1]
    assert old[1] not in new


def test_equal_passages_have_different_ids() -> None:
    """Two equal sections of one document, or of two, can be told apart."""
    same = [Piece("A", "text")] * 2
    ids = passage_ids("a.md", same) + passage_ids("b.md", same)
    assert len(set(ids)) == 4


@given(st.text(max_size=500))
def test_sentences_are_the_paragraph(text: str) -> None:
    """Splitting into sentences changes nothing but white space."""
    assert " ".join(sentences(text)) == " ".join(text.split())


def test_abbreviations_do_not_end_sentences() -> None:
    """ "e.g." is followed by more of the sentence."""
    assert sentences("Use a host, e.g. Example. It works. And so on") == [
        "Use a host, e.g. Example.",
        "It works.",
        "And so on",
    ]


def test_list_items_keep_what_is_nested() -> None:
    """An item comes with its sub-items."""
    assert list_items("- a\n  - b\n- c\n  more") == ["- a\n  - b", "- c\n  more"]


def test_headings_lose_their_marks() -> None:
    """Titles are plain text."""
    assert (
        strip_marks("The `[knowledge]` **section** of [the config](x.md) {#anchor}")
        == "The [knowledge] section of the config"
    )


def test_markdown_blocks_are_recognized() -> None:
    """Headings of both kinds, lists, tables, code and comments."""
    text = "Title\n=====\n\nText\ngoes on\n- item\n  more\n\n  still\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n~~~\n# no heading\n~~~\n\n---\n<!-- secret\n\nsecret -->\n## Sub ##"
    assert [(block.kind.value, block.text) for block in markdown_blocks(text)] == [
        ("heading", "Title"),
        ("paragraph", "Text\ngoes on"),
        ("list", "- item\n  more\n\n  still"),
        ("table", "| a | b |\n|---|---|\n| 1 | 2 |"),
        ("code", "~~~\n# no heading\n~~~"),
        ("heading", "Sub"),
    ]
