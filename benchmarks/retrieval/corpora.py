"""What is searched and what is asked: our own documents, and what is made of our own sentences. `installed` has texts of other people."""

import random
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bot.knowledge.blocks import markdown_blocks
from bot.knowledge.chunking import MOST_CHARS, pieces

HERE = Path(__file__).parent
DOCS = HERE.parents[1] / "docs"
TURNS = 900  # of each conversation
SESSION = 15  # turns that make one passage where whole sessions are searched


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, the passages that answer it as (document, number of its passage), and where it is looked for ("": everywhere)."""

    text: str
    answers: frozenset[tuple[str, int]]
    within: str = ""


@dataclass(slots=True)
class Corpus:
    """Documents as passages of heading path and text, and questions. `outside`: questions that nothing answers. `has_long_answers`: the passages
    that answer are parts of one answer; otherwise each is the whole of it."""

    name: str
    documents: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)
    is_talk: bool = False
    has_long_answers: bool = False


def own() -> Iterator[Corpus]:
    yield documents()
    yield conversations()
    yield sessions()
    yield visits()
    yield codes()


def documents(most_chars: int = MOST_CHARS) -> Corpus:
    """Our own, cut as the daemon cuts them. Raises ValueError where a question's answer is not in them any more; one that smaller passages
    cut in two has no answer."""
    corpus = Corpus("own documents")
    for path in sorted(DOCS.rglob("*.md")):
        blocks = markdown_blocks(path.read_text(encoding="utf-8"))
        title = next((block.text for block in blocks if block.level == 1), path.stem)
        cut = pieces(title, blocks, most_chars)
        corpus.documents[str(path.relative_to(DOCS))] = [(piece.title, piece.text) for piece in cut]
    written = tomllib.loads((HERE / "docs.toml").read_text(encoding="utf-8"))
    for document, questions in written["questions"].items():
        for question, holds in questions:
            places = [n for n, (_, text) in enumerate(corpus.documents[document]) if holds in text]
            if not places and most_chars >= MOST_CHARS:
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


def visits(customers: int = 3, seed: int = 13) -> Corpus:
    """Of what `sessions` tells, each turn is a passage: the question names the thing and the place that only one turn holds together."""
    corpus = Corpus("own visits", is_talk=True)
    written = tomllib.loads((HERE / "talks.toml").read_text(encoding="utf-8"))
    told, chance = written["visits"], random.Random(seed)
    for customer in range(customers):
        name = f"visit {customer}"
        pairs = [(thing, place) for thing in written["filler"]["thing"] for place in told["place"]]
        turns: list[tuple[str, str]] = []
        for number, (thing, place) in enumerate(chance.sample(pairs, 120)):
            words = {"thing": thing, "place": place, "friend": chance.choice(told["friend"])}
            kind = chance.randrange(len(told["turns"]))
            if number % 4 == 0:
                asked = told["asks"][kind].format(**words)
                corpus.asked.append(Asked(asked, frozenset({(name, len(turns))}), name))
            turns.append(_said(">" + told["turns"][kind].format(**words), len(turns)))
            turns += [_small_talk(written["filler"], chance, len(turns) + n) for n in range(2)]
        corpus.documents[name] = turns
    return corpus


def codes(count: int = 300, seed: int = 17) -> Corpus:
    """A list of error codes, told in nearly the same sentences: nothing but the code itself finds its entry, and other entries mention it."""
    corpus, chance = Corpus("error codes"), random.Random(seed)
    written = tomllib.loads((HERE / "talks.toml").read_text(encoding="utf-8"))["codes"]
    names = chance.sample([f"{letter}-{number}" for letter in "EFHW" for number in range(1000, 1400)], count)
    for place, name in enumerate(names):
        words = {each: chance.choice(written[each]) for each in ("part", "state", "mend")}
        text = chance.choice(written["texts"]).format(code=name, other=chance.choice(names), **words)
        corpus.documents[name] = [("Error codes", text)]
        if place % 3 == 0:
            asked = chance.choice(written["asks"]).format(code=name, **words)
            corpus.asked.append(Asked(asked, frozenset({(name, 0)})))
    return corpus
