"""Notion's blocks as Markdown. The kinds: https://developers.notion.com/reference/block. What holds no text is left out."""

from typing import Any, Final, Protocol

MOST_DEPTH: Final = 12
_HEADINGS: Final = {"heading_1": "#", "heading_2": "##", "heading_3": "###", "heading_4": "####"}
_PASSED_THROUGH: Final = frozenset({"column_list", "column", "synced_block", "template"})
_SKIPPED: Final = frozenset({"child_page", "child_database"})  # documents of their own


class Children(Protocol):
    """Where the blocks below a block come from."""

    async def of(self, block: str) -> list[dict[str, Any]]: ...


async def written(children: Children, page: str) -> str:
    """The text of a page."""
    return "\n\n".join(await _below(children, page, 0))


def plain(rich: object) -> str:
    """Rich text without its looks; links keep their addresses."""
    parts = []
    for each in rich if isinstance(rich, list) else ():
        if isinstance(each, dict):
            text, href = str(each.get("plain_text") or ""), each.get("href")
            is_link = isinstance(href, str) and href.startswith(("https://", "http://")) and text.strip()
            parts.append(f"[{text}]({href})" if is_link and href != text else text)
    return "".join(parts)


async def _below(children: Children, block: str, depth: int) -> list[str]:
    """The parts below a block; items that follow each other are one part."""
    parts: list[str] = []
    is_list = False
    for each in await children.of(block):
        kind = str(each.get("type", ""))
        text = await _part(children, each, kind, depth)
        if not text:
            continue
        is_item = kind in ("bulleted_list_item", "numbered_list_item", "to_do")
        if is_item and is_list:
            parts[-1] += f"\n{text}"
        else:
            parts.append(text)
        is_list = is_item
    return parts


async def _part(children: Children, each: dict[str, Any], kind: str, depth: int) -> str:
    held = each.get(kind)
    held = held if isinstance(held, dict) else {}
    if kind in _SKIPPED:
        return ""
    if kind == "table":
        return _table(await children.of(str(each["id"])))
    inner: list[str] = []
    if each.get("has_children") and depth < MOST_DEPTH:
        inner = await _below(children, str(each["id"]), depth + 1)
    if kind in _PASSED_THROUGH:
        return "\n\n".join(inner)
    own = _own(kind, held)
    if kind in ("bulleted_list_item", "numbered_list_item", "to_do"):
        return "\n".join([own, *(_indented(part) for part in inner)]) if own else "\n".join(inner)
    return "\n\n".join([own, *inner] if own else inner)


def _own(kind: str, held: dict[str, Any]) -> str:
    """What a block itself says."""
    text = plain(held.get("rich_text")).strip()
    if kind in _HEADINGS:
        return f"{_HEADINGS[kind]} {' '.join(text.split())}" if text else ""
    if kind in ("bulleted_list_item", "to_do"):
        return f"- {text}" if text else ""
    if kind == "numbered_list_item":
        return f"1. {text}" if text else ""
    if kind == "code":
        return f"```\n{text}\n```" if text else ""
    if kind == "equation":
        return str(held.get("expression") or "")
    if kind in ("bookmark", "embed", "link_preview"):
        return " ".join(part for part in (plain(held.get("caption")), str(held.get("url") or "")) if part)
    return text or plain(held.get("caption")).strip()


def _indented(part: str) -> str:
    return "\n".join(f"  {line}" for line in part.split("\n"))


def _table(rows: list[dict[str, Any]]) -> str:
    lines = []
    for row in rows:
        cells = (row.get("table_row") or {}).get("cells") or []
        texts = [" ".join(plain(cell).split()).replace("|", "\\|") for cell in cells]
        if any(texts):
            lines.append(f"| {' | '.join(texts)} |")
            if len(lines) == 1:
                lines.append("|" + "---|" * len(texts))
    return "\n".join(lines)
