"""Texts that lie on the machine and were written for other ends: each as passages, and as questions whose answers follow from how it is made.

They are unlike our own documents on purpose: exact names, another language than the embedding model reads, definitions that share no word
with what they define. Each is left out where it is not installed.
"""

import gzip
import html
import importlib
import inspect
import random
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from benchmarks.retrieval.corpora import Asked, Corpus
from bot.knowledge.blocks import markdown_blocks
from bot.knowledge.chunking import MOST_CHARS as PASSAGE_CHARS
from bot.knowledge.chunking import pieces

DOC, SHARE = Path("/usr/share/doc"), Path("/usr/share")
FAQS = {"python3.11-doc": ("python3.11/html/faq", "*.html"), "debian-faq": ("debian/FAQ", "*.en.html")}
TRANSLATIONS = ("de", "fr", "it", "nl", "ru")  # Debian packages debian-faq-de and so on
WORDNET = SHARE / "wordnet"
FOLDOC = SHARE / "dictd/foldoc.dict.dz"
PACKAGES = Path("/var/lib/dpkg/status")
MODULES = "argparse asyncio collections configparser csv datetime decimal email fractions http inspect io json logging os pathlib shutil socket sqlite3 ssl statistics string subprocess tarfile textwrap threading urllib.parse zipfile"
MOST_QUESTIONS, MOST_PASSAGES = 150, 450  # of one corpus: a passage takes a tenth of a second to embed
MOST_CHARS = 700  # of a passage that is made here
_HEADING = re.compile(r"<h([23])[^>]*>(.*?)</h\1>", re.DOTALL)
_TAG = re.compile(r"<(script|style|nav).*?</\1>|<[^>]+>", re.DOTALL)
_NUMBERED = re.compile(r"^\d+\.\d+\.[ \xa0](.+(?:\n.+)*)\n\n", re.MULTILINE)
_LEAST_ANSWER = 80  # characters: less is a heading above others
_LEAST_QUESTION = 25


def installed() -> Iterator[Corpus]:
    """Those that are there."""
    for cut in faqs():
        yield cut(PASSAGE_CHARS)
    yield summaries()
    yield names()
    if PACKAGES.is_file():
        yield _pairs("package descriptions", _packages())
    if FOLDOC.is_file():
        yield _pairs("dict-foldoc", _definitions())
    if WORDNET.is_dir():
        yield _pairs("wordnet-base", _examples())


def faqs() -> Iterator[Callable[[int], Corpus]]:
    """Those that are there, to be cut into passages of at most so many characters."""
    for package, (folder, pattern) in FAQS.items():
        if pages := sorted((DOC / folder).glob(pattern)):
            yield partial(faq, package, pages)
    for language in TRANSLATIONS:
        if (path := DOC / f"debian/FAQ/debian-faq.{language}.txt.gz").is_file():
            yield partial(translated_faq, f"debian-faq-{language}", path)


def faq(name: str, pages: list[Path], most_chars: int) -> Corpus:
    """Real questions: each heading is asked, and its answer stands without it, so that the words of the question are no gift. Each answer is
    a document."""
    corpus = Corpus(name, has_long_answers=True)
    for page in pages:
        parts = _HEADING.split(page.read_text(encoding="utf-8", errors="replace"))
        for question, body in zip(parts[2::3], parts[3::3], strict=True):
            asked, answer = _plain(question).lstrip("0123456789. ").rstrip("¶ "), _plain(body)
            if asked.endswith("?") and len(answer) >= _LEAST_ANSWER:
                _add_answer(corpus, page.stem.partition(".")[0], asked, answer, most_chars)
    return corpus


def translated_faq(name: str, path: Path, most_chars: int) -> Corpus:
    """The same in a language that the local model was not made for."""
    corpus = Corpus(name, has_long_answers=True)
    with gzip.open(path, "rt", encoding="utf-8") as file:
        parts = _NUMBERED.split(file.read())
    for question, body in zip(parts[1::2], parts[2::2], strict=True):
        asked, answer = " ".join(question.split()), _unwrapped(body)
        if asked.endswith("?") and len(answer) >= _LEAST_ANSWER:
            _add_answer(corpus, "FAQ", asked, answer, most_chars)
    return corpus


def summaries() -> Corpus:
    """Python's functions by what they do: the first line of a docstring is asked, and the rest of it is searched."""
    return _pairs("docstrings by summary", [(first, name, rest) for name, first, rest in _docstrings()])


def names() -> Corpus:
    """Python's functions by their exact names, among others of nearly the same name."""
    told = [(f"What does {name} do?", "", f"{name}: {first}\n\n{rest}") for name, first, rest in _docstrings()]
    return _pairs("docstrings by name", told)


def _docstrings() -> list[tuple[str, str, str]]:
    """Name, first line and rest, each text once."""
    found: dict[str, tuple[str, str, str]] = {}
    for module in map(importlib.import_module, MODULES.split()):
        for name, thing in sorted(vars(module).items()):
            members = sorted(vars(thing).items()) if inspect.isclass(thing) else [("", thing)]
            for member, each in members:
                if name.startswith("_") or member.startswith("_") or not callable(each):
                    continue
                first, _, rest = (inspect.getdoc(each) or "").partition("\n\n")
                if len(rest) >= _LEAST_ANSWER and len(first) >= _LEAST_QUESTION:
                    path = ".".join(filter(None, (module.__name__, name, member)))
                    found.setdefault(rest, (path, " ".join(first.split()), _unwrapped(rest)))
    return list(found.values())


def _packages() -> list[tuple[str, str, str]]:
    """Debian's packages: what one line says of each, and what the paragraphs below say."""
    found: dict[str, tuple[str, str, str]] = {}
    for entry in PACKAGES.read_text(encoding="utf-8").split("\n\n"):
        described = re.search(r"^Description: (.*)\n((?: .*\n?)+)", entry, re.MULTILINE)
        if described and len(described[2]) >= _LEAST_ANSWER and len(described[1]) >= _LEAST_QUESTION:
            text = described[2].replace("\n .\n", "\n\n")
            found.setdefault(described[1], (described[1], "", _unwrapped(text)))
    return list({text: one for one in found.values() for text in [one[2]]}.values())


def _definitions() -> list[tuple[str, str, str]]:
    """A dictionary's terms by the first sentence that is said of them, which the passage does not hold."""
    with gzip.open(FOLDOC, "rt", encoding="utf-8", errors="replace") as file:
        entries = re.split(r"\n\n?(?=\S)", file.read())
    found = []
    for entry in entries:
        term, _, body = entry.partition("\n")
        text = re.sub(r"[{}]|<[^>]*>", "", " ".join(body.split()))
        first, _, rest = text.partition(". ")
        if len(first) >= 2 * _LEAST_QUESTION and len(rest) >= 2 * _LEAST_ANSWER:
            found.append((first[:200].strip(), term.strip(), rest))
    return found


def _examples() -> list[tuple[str, str, str]]:
    """Words by what they mean: a definition is asked, and the passage shows the word in use."""
    found = []
    for file in ("data.verb", "data.noun", "data.adj"):
        for line in (WORDNET / file).read_text(encoding="utf-8").splitlines():
            left, _, gloss = line.partition(" | ")
            used = re.findall(r'"([^"]+)"', gloss)
            meant = gloss.partition('"')[0].strip("; ")
            if not line.startswith(" ") and len(used) >= 2 and len(meant) >= _LEAST_QUESTION:
                fields = left.split()
                words = [word.replace("_", " ") for word in fields[4 : 4 + 2 * int(fields[3], 16) : 2]]
                found.append((meant, "", f"{', '.join(words)}: {'; '.join(used)}"))
    return found


def _pairs(name: str, told: list[tuple[str, str, str]], seed: int = 5) -> Corpus:
    """Of (question, heading, text) a share: each text a document, some of them asked for."""
    corpus, chance = Corpus(name), random.Random(seed)
    kept = chance.sample(told, min(len(told), MOST_PASSAGES))
    for number, (question, heading, text) in enumerate(kept):
        document = f"{name} {number}"
        corpus.documents[document] = [(heading, text[:MOST_CHARS])]
        if number < MOST_QUESTIONS:
            corpus.asked.append(Asked(question, frozenset({(document, 0)})))
    return corpus


def _add_answer(corpus: Corpus, title: str, asked: str, answer: str, most_chars: int) -> None:
    document = f"{title} {len(corpus.documents)}"
    corpus.documents[document] = [(title, each.text) for each in pieces("", markdown_blocks(answer), most_chars)]
    places = range(len(corpus.documents[document]))
    corpus.asked.append(Asked(asked, frozenset((document, place) for place in places)))


def _unwrapped(text: str) -> str:
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n") if part.strip())


def _plain(text: str) -> str:
    return _unwrapped(html.unescape(_TAG.sub("", text)))
