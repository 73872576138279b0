"""The documents as the tests read them: their text, code, links and tables."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Document:
    """One Markdown file of ours."""

    path: Path

    @property
    def name(self) -> str:
        return str(self.path.relative_to(ROOT))

    @property
    def text(self) -> str:
        return self.path.read_text("utf-8")

    @property
    def prose(self) -> str:
        """Everything outside fenced code."""
        return re.sub(r"^```.*?^```", "", self.text, flags=re.MULTILINE | re.DOTALL)

    def fences(self, language: str | None = None) -> list[str]:
        """Fenced code: of one language, or all of it."""
        found = re.findall(r"^```(\w*)\n(.*?)^```", self.text, re.MULTILINE | re.DOTALL)
        return [code for kind, code in found if language is None or kind == language]

    def spans(self) -> list[str]:
        """Code within sentences."""
        return re.findall(r"`([^`\n]+)`", self.prose)

    def links(self) -> list[str]:
        return re.findall(r"\]\(([^)\s]+)\)", self.prose)

    def anchors(self) -> set[str]:
        """The headings as they can be linked to."""
        headings = re.findall(r"^#+ (.+)$", self.prose, re.MULTILINE)
        return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}

    def table(self, heading: str) -> list[list[str]]:
        """The rows of the first table whose first column is headed so."""
        rows: list[list[str]] = []
        for line in self.text.splitlines():
            cells = [cell.strip() for cell in line.strip().strip("|").split("|")] if line.startswith("|") else []
            if rows and not cells:
                break
            if rows or (cells and cells[0] == heading):
                rows.append(cells)
        return rows[2:]


def document(name: str) -> Document:
    return Document(ROOT / name)


def documents() -> list[Document]:
    return [Document(path) for path in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])]
