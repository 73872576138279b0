"""Blocks to passages. Pure; every word of a document is in its passages, in order.

A passage never spans two headings, so its heading path says where it stands. Within a section, blocks are packed up to
`MOST_CHARS`; what leads into a list or a code block stays with it; code is kept whole.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence

from bot.knowledge.blocks import Block, Kind, list_items, sentences
from bot.model import PassageId, value

LEAST_CHARS = 150  # a shorter rest of a section joins the piece before it
MOST_CHARS = 1200
MOST_CODE_CHARS = 6000  # a longer code block is split between lines
SEPARATOR = " › "


@value
class Piece:
    """A passage before it has an id. `title` is the heading path."""

    title: str
    text: str


def pieces(title: str, blocks: Sequence[Block], most: int = MOST_CHARS) -> list[Piece]:
    """The passages of a document called `title`, front to back, each of at most `most` characters where it is no code."""
    found = []
    for path, section in _sections(title, blocks):
        found += [Piece(path, text) for text in _pack_section(section, most)]
    return found


def passage_ids(document: str, document_pieces: Sequence[Piece]) -> list[PassageId]:
    """Ids that stay while document, heading and text stay; equal passages of one document are told apart by order."""
    seen: dict[Piece, int] = {}
    ids = []
    for piece in document_pieces:
        seen[piece] = seen.get(piece, 0) + 1
        parts = (document, piece.title, piece.text, str(seen[piece]))
        ids.append(PassageId(hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]))
    return ids


def _sections(title: str, blocks: Sequence[Block]) -> Iterator[tuple[str, list[Block]]]:
    """Each heading path with its blocks. A heading that nothing follows, not even a subheading, stands for itself."""
    path: list[tuple[int, str]] = []
    section: list[Block] = []
    for at, block in enumerate(blocks):
        if block.kind is not Kind.HEADING:
            section.append(block)
            continue
        if section:
            yield _path_text(title, path), section
        path = [*(entry for entry in path if entry[0] < block.level), (block.level, block.text)]
        section = [] if _has_content(blocks, at) else [Block(Kind.PARAGRAPH, block.text)]
    if section:
        yield _path_text(title, path), section


def _has_content(blocks: Sequence[Block], heading: int) -> bool:
    """Whether the heading's words reach a passage through the block after it."""
    following = blocks[heading + 1] if heading + 1 < len(blocks) else None
    return following is not None and (following.kind is not Kind.HEADING or following.level > blocks[heading].level)


def _path_text(title: str, path: Iterable[tuple[int, str]]) -> str:
    names = [name for _, name in path]
    return SEPARATOR.join(names if names[:1] == [title] else [title, *names])


def _pack_section(section: Sequence[Block], most: int) -> list[str]:
    units = [unit for group in _groups(section) for unit in _split_group(group, most)]
    return _pack(units, "\n\n", most, LEAST_CHARS)


def _groups(section: Sequence[Block]) -> list[list[Block]]:
    """Blocks that belong together: what ends with a colon, with what it announces; code, with the words before it."""
    groups: list[list[Block]] = []
    for block in section:
        before = groups[-1][-1] if groups else None
        is_led_in = before is not None and before.kind is Kind.PARAGRAPH
        if before is not None and is_led_in and (block.kind is Kind.CODE or before.text.endswith(":")):
            groups[-1].append(block)
        else:
            groups.append([block])
    return groups


def _split_group(group: Sequence[Block], most: int) -> list[str]:
    whole = "\n\n".join(block.text for block in group)
    if len(whole) <= most:
        return [whole]
    parts = [part for block in group for part in _split_block(block, most)]
    if len(group) > 1 and len(parts[0]) + len(parts[1]) <= MOST_CODE_CHARS:
        return [f"{parts[0]}\n\n{parts[1]}", *parts[2:]]
    return parts


def _split_block(block: Block, most: int) -> list[str]:
    if len(block.text) <= (MOST_CODE_CHARS if block.kind is Kind.CODE else most):
        return [block.text]
    match block.kind:
        case Kind.CODE:
            return _split_code(block.text, most)
        case Kind.TABLE:
            return _split_table(block.text, most)
        case Kind.LIST:
            return _pack(_divide(list_items(block.text), str.splitlines, most), "\n", most)
        case _:
            return _pack(_divide(sentences(block.text), str.split, most), " ", most)


def _split_code(text: str, most: int) -> list[str]:
    """Between lines, each piece fenced as the whole was."""
    fence, *lines = text.split("\n")
    mark = fence.strip()[:3]
    if lines and lines[-1].strip().startswith(mark):
        lines.pop()
    return [f"{fence}\n{part}\n{mark}" for part in _pack(_divide(lines, str.split, most), "\n", MOST_CODE_CHARS)]


def _split_table(text: str, most: int) -> list[str]:
    """Between rows, each piece under the table's head."""
    head, rows = text.split("\n")[:2], text.split("\n")[2:]
    if sum(map(len, head)) > most // 3:
        head, rows = [], [*head, *rows]
    packed = _pack(_divide(rows, str.split, most), "\n", most - sum(map(len, head)))
    return ["\n".join([*head, part]) for part in packed]


def _divide(parts: Iterable[str], divide: Callable[[str], list[str]], most: int) -> Iterator[str]:
    """Parts no longer than a passage: longer ones are divided, at last between characters."""
    for part in parts:
        if len(part) <= most:
            yield part
        elif divide is not str.split:
            yield from _pack(_divide(divide(part), str.split, most), "\n", most)
        else:
            words = (word[at : at + most] for word in part.split() for at in range(0, len(word), most))
            yield from _pack(words, " ", most)


def _pack(parts: Iterable[str], glue: str, most: int, least: int = 0) -> list[str]:
    """Joins neighbours while they fit into `most`; a last piece shorter than `least` joins the one before."""
    packed: list[str] = []
    for part in parts:
        if packed and len(packed[-1]) + len(glue) + len(part) <= most:
            packed[-1] = f"{packed[-1]}{glue}{part}"
        else:
            packed.append(part)
    if len(packed) > 1 and len(packed[-1]) < least:
        rest = packed.pop()
        packed[-1] = f"{packed[-1]}{glue}{rest}"
    return packed
