"""What is searched and what is asked: our own documents, conversations made from our own exchanges, and FAQs of Debian's packages."""

import html
import random
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bot.knowledge.blocks import markdown_blocks
from bot.knowledge.chunking import pieces

HERE = Path(__file__).parent
DOCS = HERE.parents[1] / "docs"
TURNS = 900  # of each conversation
SESSION = 15  # turns that make one passage where whole sessions are searched
FAQS = {  # Debian package: its pages
    "python3.11-doc": ("/usr/share/doc/python3.11/html/faq", "*.html"),
    "debian-faq": ("/usr/share/doc/debian/FAQ", "*.en.html"),
}
_HEADING = re.compile(r"<h([23])[^>]*>(.*?)</h\1>", re.DOTALL)
_TAG = re.compile(r"<(script|style|nav).*?</\1>|<[^>]+>", re.DOTALL)
_LEAST_ANSWER = 80  # characters: less is a heading above others


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, the passages that answer it as (document, number of its passage), and where it is looked for ("": everywhere)."""

    text: str
    answers: frozenset[tuple[str, int]]
    within: str = ""


@dataclass(slots=True)
class Corpus:
    """Documents as passages of heading path and text, and questions. `outside`: questions that nothing answers."""

    name: str
    documents: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)
    is_talk: bool = False


def corpora() -> Iterator[Corpus]:
    """Those that are there."""
    yield documents()
    yield conversations()
    yield sessions()
    for package, (folder, pattern) in FAQS.items():
        pages = sorted(Path(folder).glob(pattern))
        if pages:
            yield faq(package, pages)


def documents() -> Corpus:
    """Our own, cut as the daemon cuts them. Raises ValueError where a question's answer is not in them any more."""
    corpus = Corpus("own documents")
    for path in sorted(DOCS.rglob("*.md")):
        blocks = markdown_blocks(path.read_text(encoding="utf-8"))
        title = next((block.text for block in blocks if block.level == 1), path.stem)
        cut = pieces(title, blocks)
        corpus.documents[str(path.relative_to(DOCS))] = [(piece.title, piece.text) for piece in cut]
    written = tomllib.loads((HERE / "docs.toml").read_text(encoding="utf-8"))
    for document, questions in written["questions"].items():
        for question, holds in questions:
            places = [n for n, (_, text) in enumerate(corpus.documents[document]) if holds in text]
            if not places:
                raise ValueError(f"{document} does not hold {holds!r} any more: mend benchmarks/retrieval/docs.toml")
            corpus.asked.append(Asked(question, frozenset((document, place) for place in places)))
    corpus.outside = written["outside"]["questions"]
    return corpus


def conversations(customers: int = 3, seed: int = 7) -> Corpus:
    """Long ones, each with a share of the exchanges scattered over small talk that is the same for all. A turn is a passage, and says
    who spoke and when. A question looks only through its own conversation."""
    corpus = Corpus("own conversations", is_talk=True)
    written = tomllib.loads((HERE / "talks.toml").read_text(encoding="utf-8"))
    chance = random.Random(seed)
    for customer in range(customers):
        name, facts = f"talk {customer}", written["facts"][customer::customers]
        starts = sorted(chance.sample(range(TURNS), len(facts)))
        turns: list[tuple[str, str]] = []
        for start, fact in zip(starts, facts, strict=True):
            turns += [_small_talk(written["filler"], chance, n) for n in range(len(turns), start)]
            corpus.asked.append(Asked(fact["ask"], frozenset({(name, len(turns) + fact["answer"])}), name))
            turns += [_said(turn, len(turns)) for turn in fact["turns"]]
        turns += [_small_talk(written["filler"], chance, n) for n in range(len(turns), TURNS)]
        corpus.documents[name] = turns
    return corpus


def _small_talk(filler: dict[str, list[str]], chance: random.Random, at: int) -> tuple[str, str]:
    mark, kind = (">", "customer") if chance.random() < 0.5 else ("", "agent")
    words = {name: chance.choice(filler[name]) for name in ("thing", "colour", "when")}
    return _said(mark + chance.choice(filler[kind]).format(**words), at)


def _said(turn: str, at: int) -> tuple[str, str]:
    day = f"{2025 + at // 360}-{at // 30 % 12 + 1:02}-{at % 28 + 1:02}"
    return "", f"{'Customer' if turn.startswith('>') else 'Agent'}, {day}: {turn.removeprefix('>')}"


def sessions(customers: int = 3, seed: int = 11) -> Corpus:
    """Conversations in which the words decide: what happened to which thing where, each thing in many places and each place with many things,
    told in nearly the same sentences. A passage is a whole session."""
    corpus = Corpus("own sessions")
    written = tomllib.loads((HERE / "talks.toml").read_text(encoding="utf-8"))
    told, chance = written["visits"], random.Random(seed)
    for customer in range(customers):
        name = f"visits {customer}"
        pairs = [(thing, place) for thing in written["filler"]["thing"] for place in told["place"]]
        chance.shuffle(pairs)
        turns: list[tuple[str, str]] = []
        for number, (thing, place) in enumerate(pairs[:300]):
            words = {"thing": thing, "place": place, "friend": chance.choice(told["friend"])}
            kind = chance.randrange(len(told["turns"]))
            if number % 15 == 0:
                asked = told["asks"][kind].format(**words)
                corpus.asked.append(Asked(asked, frozenset({(name, len(turns) // SESSION)}), name))
            turns.append(_said(">" + told["turns"][kind].format(**words), len(turns)))
            turns += [_small_talk(written["filler"], chance, len(turns) + n) for n in range(2)]
        parts = (turns[start : start + SESSION] for start in range(0, len(turns), SESSION))
        corpus.documents[name] = [("", "\n".join(text for _, text in session)) for session in parts]
    return corpus


def faq(name: str, pages: list[Path]) -> Corpus:
    """Real questions: each heading is asked, and its answer stands without it, so that the words of the question are no gift. Each answer is
    a document."""
    corpus = Corpus(name)
    for page in pages:
        parts = _HEADING.split(page.read_text(encoding="utf-8", errors="replace"))
        for question, body in zip(parts[2::3], parts[3::3], strict=True):
            asked, answer = _plain(question).lstrip("0123456789. ").rstrip("¶ "), _plain(body)
            if asked.endswith("?") and len(answer) >= _LEAST_ANSWER:
                document = f"{page.stem} {len(corpus.documents)}"
                blocks = markdown_blocks(answer)
                corpus.documents[document] = [(page.stem.partition(".")[0], each.text) for each in pieces("", blocks)]
                count = len(corpus.documents[document])
                corpus.asked.append(Asked(asked, frozenset((document, place) for place in range(count))))
    return corpus


def _plain(text: str) -> str:
    paragraphs = (" ".join(part.split()) for part in html.unescape(_TAG.sub("", text)).split("\n\n"))
    return "\n\n".join(part for part in paragraphs if part)
