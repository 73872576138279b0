"""Search by words: BM25 over the passages, corrected by how much of the question a passage holds. Lives in the reader's thread."""

import math
import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from bot.knowledge.synonyms import alternatives
from bot.knowledge.words import STOP_WORDS, hinting_words, informative_words, is_near
from bot.model import value

TOKENIZER = "porter unicode61 remove_diacritics 2"
TITLE_WEIGHT = 3.0  # a word of the heading path counts this many times
AROUND_WEIGHT = 0.3  # a word of the turns before and after, in a conversation
CANDIDATES = (
    24  # how many of BM25's best are looked at for coverage: more change none of the first ten (benchmarks/retrieval)
)
SHORTEST_SLIP = 4  # letters of a word in which one may be mistyped
MOST_SLIPS = (
    3  # unknown words of a question for which a known one is looked for: each is a walk through a part of all words
)
FEW_PASSAGES = 300  # matches of a word that are walked through as quickly as one passage is looked up
COMMON_PASSAGES = 4000  # a word in more passages than this does not choose passages while a rarer one can

_SEARCH = f"""
SELECT rowid, -rank FROM passage_words
WHERE passage_words MATCH :query AND rank MATCH 'bm25({TITLE_WEIGHT}, 1.0, {AROUND_WEIGHT})' {{only}} ORDER BY rank LIMIT :limit
"""
_ONLY = "AND rowid IN (SELECT number FROM passages JOIN documents USING (path) WHERE {condition})"
_TERMS = "SELECT term FROM word_counts WHERE term >= :initial AND term < :initial || char(0x10FFFF)"
_WALKED = "SELECT rowid FROM passage_words WHERE passage_words MATCH :query AND +rowid IN ({numbers})"  # one walk over the matches
_HOLDING = "SELECT rowid FROM passage_words WHERE passage_words MATCH :query AND rowid IN ({numbers})"
# `+rowid` makes it one walk over the matches; looked up one by one, each would count all of them again for its rank
_SCORES = f"""
SELECT rowid, -rank FROM passage_words
WHERE passage_words MATCH :query AND rank MATCH 'bm25({TITLE_WEIGHT}, 1.0, {AROUND_WEIGHT})' AND +rowid IN ({{numbers}})
"""


@value
class Hit:
    """A passage by its row number. `score` is higher for better, `coverage` the share of the question's words that it holds."""

    number: int
    score: float
    coverage: float


@value
class Condition:
    """What a passage must fulfil: SQL over the columns of `passages` and `documents`, with its parameters. "": nothing."""

    sql: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)


def match_expression(words: Iterable[str]) -> str:
    """An FTS5 expression that any of the words satisfies. Every string is a valid expression: quotes are doubled, and what
    cannot be stored as text (NUL, lone surrogates) is left out."""
    return " OR ".join(map(_quoted, words))


def _quoted(word: str) -> str:
    text = word.replace("\0", "").encode(errors="ignore").decode()
    return '"' + text.replace('"', '""') + '"'


EVERYWHERE = Condition()


class WordSearch:
    """Finds passages by the words of a question, through the reader's connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._stemmer = _Stemmer()
        self._seen_version = -1
        self._counts: dict[str, int] = {}
        self._passages = 0
        self._terms: dict[str, list[str]] = {}

    def question(self, query: str) -> "Question | None":
        """What is to be looked for. None: the query says nothing, or nothing that the documents say."""
        words = self._stemmer.distinct(informative_words(query))
        asked = self._asked(words) if words else []
        chosen = choose_words({each: each.passages for each in asked})
        if not chosen:
            return None
        weights = {each: _weight(self._passages, each.passages) for each in asked}
        hints = map(_quoted, self._hints(hinting_words(query)))
        return Question(" OR ".join([*(each.expression for each in chosen), *hints]), weights)

    def best(
        self, question: "Question", limit: int, only: Condition = EVERYWHERE, also: Collection[int] = ()
    ) -> list[Hit]:
        """The best passages first; `also` are weighed by the same measure, and left out where they hold nothing of the question."""
        parameters = {"query": question.expression, "limit": max(limit, CANDIDATES), **only.parameters}
        under = _ONLY.format(condition=only.sql) if only.sql else ""
        ranks: dict[int, float] = dict(self._connection.execute(_SEARCH.format(only=under), parameters))
        others = set(also) - ranks.keys()
        if others:
            sql = _SCORES.format(numbers=",".join(map(str, others)))  # numbers are row numbers of ours
            ranks |= dict(self._connection.execute(sql, {"query": question.expression}))
        return self._hits(question, ranks)

    def close(self) -> None:
        self._stemmer.close()

    def _hits(self, question: "Question", ranks: Mapping[int, float]) -> list[Hit]:
        holding = {each: self._holding(each, ranks) for each in question.weights if each.passages}
        total = sum(question.weights.values())
        hits = []
        for number, rank in ranks.items():
            held = sum(question.weights[each] for each, numbers in holding.items() if number in numbers)
            if held:
                hits.append(Hit(number, rank * (0.25 + 0.75 * held / total), min(1.0, held / total)))
        return sorted(hits, key=lambda hit: (-hit.score, hit.number))

    def _hints(self, words: Sequence[str]) -> list[str]:
        """Those of the words that help to choose."""
        terms = self._stemmer.distinct(words)
        counts = self._count(terms.values())
        return [word for word, term in terms.items() if 0 < counts[term] <= COMMON_PASSAGES]

    def _asked(self, words: dict[str, str]) -> "list[_Asked]":
        """The words of a question as they are looked for: with words that say the same, or, where the documents know none of them,
        with the word that was meant."""
        others = {word: sorted(alternatives(word)) for word in words}
        terms = self._stemmer.distinct([one for each in others.values() for one in each])
        counts = self._count([*words.values(), *terms.values()])
        asked, slips = [], 0
        for word, term in words.items():
            known = [one for one in others[word] if counts.get(terms.get(one, ""), 0)]
            count = max([counts[term], *(counts[terms[one]] for one in known)])
            if count:
                asked.append(_Asked(match_expression([word, *known]), count))
            elif not any(is_near(word, one) for one in STOP_WORDS if len(one) > 3):
                slips += 1
                asked.append(self._meant(word, term) if slips <= MOST_SLIPS else _Asked(match_expression([word]), 0))
        return asked

    def _meant(self, word: str, term: str) -> "_Asked":
        """A word that no document knows, as the known one that lies a slip of the keyboard away, if there is one."""
        if len(term) < SHORTEST_SLIP or word.isdecimal():
            return _Asked(match_expression([word]), 0)
        near = [one for one in self._terms_with(term[0]) if is_near(term, one)]
        if not near:
            return _Asked(match_expression([word]), 0)
        counts = self._count(near)
        meant = max(near, key=lambda one: (counts[one], one))
        return _Asked(f"{match_expression([meant])}*", counts[meant])

    def _terms_with(self, initial: str) -> list[str]:
        """All terms that begin with a letter; remembered until the index changes, because the walk is long."""
        if initial not in self._terms:
            self._terms[initial] = [one for (one,) in self._connection.execute(_TERMS, {"initial": initial})]
        return self._terms[initial]

    def _holding(self, asked: "_Asked", numbers: Collection[int]) -> set[int]:
        """Those of the passages that hold the word: looked up one by one, unless the word stands in few passages anyway."""
        is_short = asked.passages <= FEW_PASSAGES * len(numbers)
        sql = (_WALKED if is_short else _HOLDING).format(numbers=",".join(map(str, numbers)))  # row numbers of ours
        return {number for (number,) in self._connection.execute(sql, {"query": asked.expression})}

    def _count(self, terms: Iterable[str]) -> dict[str, int]:
        """In how many passages each term stands; remembered until the index changes."""
        (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        if version != self._seen_version or len(self._counts) > 10_000:
            (self._passages,) = self._connection.execute("SELECT count(*) FROM passages").fetchone()
            self._counts, self._terms, self._seen_version = {}, {}, version
        for term in terms:
            if term not in self._counts:
                row = self._connection.execute("SELECT doc FROM word_counts WHERE term = ?", (term,)).fetchone()
                self._counts[term] = row[0] if row else 0
        return self._counts


@dataclass(frozen=True, slots=True, order=True)
class _Asked:
    """A word of a question: what it is looked for by, and in how many passages that stands."""

    expression: str
    passages: int


@value
class Question:
    """A question as the index is asked it: the expression that chooses passages, and what each of its words weighs."""

    expression: str
    weights: Mapping[_Asked, float]


W = TypeVar("W", str, _Asked)


def choose_words(counts: dict[W, int]) -> list[W]:
    """The words that choose passages: those that occur, without the very common ones where rarer ones are left. Keeps a search
    over many passages short; left-out words still count for coverage."""
    present = sorted((count, word) for word, count in counts.items() if count)
    rare = [word for count, word in present if count <= COMMON_PASSAGES]
    return rare or [word for _, word in present[:2]]


class _Stemmer:
    """Gives the terms that the index makes of words, by asking the same tokenizer."""

    def __init__(self) -> None:
        self._connection = sqlite3.connect(":memory:", isolation_level=None)
        self._connection.execute(f"CREATE VIRTUAL TABLE words USING fts5 (word, tokenize = '{TOKENIZER}')")
        self._connection.execute("CREATE VIRTUAL TABLE terms USING fts5vocab (words, 'instance')")

    def distinct(self, words: Sequence[str]) -> dict[str, str]:
        """Each word with its term; of several words with one term, only the first. Words without a term are left out."""
        self._connection.execute("BEGIN")
        self._connection.executemany("INSERT INTO words (rowid, word) VALUES (?, ?)", enumerate(words))
        terms = dict(self._connection.execute("SELECT doc, term FROM terms ORDER BY doc, offset DESC"))
        self._connection.execute("ROLLBACK")
        firsts: dict[str, str] = {}
        for number, word in enumerate(words):
            if number in terms:
                firsts.setdefault(terms[number], word)
        return {word: term for term, word in firsts.items()}

    def close(self) -> None:
        self._connection.close()


def _weight(passages: int, holding: int) -> float:
    """Inverse document frequency as in BM25, never negative: how much a word says."""
    return math.log(1 + (passages - holding + 0.5) / (holding + 0.5))
