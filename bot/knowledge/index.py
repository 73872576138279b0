"""The search index: one SQLite file with FTS5, derived from the documents, which may be deleted at any time.

One writer and any number of read-only readers (WAL). Only the writer checkpoints. A file that is damaged or of another
version is not repaired: the library deletes it and builds it again. Connections stay in the thread that opened them.
"""

import math
import os
import sqlite3
import urllib.parse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from bot.knowledge.synonyms import alternatives
from bot.knowledge.words import STOP_WORDS, hinting_words, informative_words, is_near
from bot.model import Found, Passage, PassageId

VERSION = 1  # of the tables and of what is put into them: raise it when chunking changes, and every index is rebuilt
TITLE_WEIGHT = 3.0  # a word of the heading path counts this many times
CANDIDATES = 24  # how many of BM25's best are looked at for coverage
SHORTEST_SLIP = 4  # letters of a word in which one may be mistyped
MOST_SLIPS = (
    3  # unknown words of a question for which a known one is looked for: each is a walk through a part of all words
)
COMMON_PASSAGES = 4000  # a word in more passages than this does not choose passages while a rarer one can
_BUSY_MS = 5000

_SCHEMA = f"""
CREATE TABLE documents (
    path TEXT PRIMARY KEY, name TEXT NOT NULL, relative TEXT NOT NULL, title TEXT NOT NULL, url TEXT NOT NULL,
    modified_ns INTEGER NOT NULL, size_bytes INTEGER NOT NULL, digest TEXT NOT NULL
);
CREATE TABLE passages (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL, path TEXT NOT NULL REFERENCES documents (path),
    title TEXT NOT NULL, text TEXT NOT NULL
);
CREATE INDEX passages_by_id ON passages (id);
CREATE INDEX passages_by_path ON passages (path);
CREATE VIRTUAL TABLE passage_words USING fts5 (
    title, text, content = 'passages', content_rowid = 'number', tokenize = 'porter unicode61 remove_diacritics 2'
);
CREATE VIRTUAL TABLE word_counts USING fts5vocab (passage_words, 'row');
CREATE TRIGGER passage_added AFTER INSERT ON passages BEGIN
    INSERT INTO passage_words (rowid, title, text) VALUES (new.number, new.title, new.text);
END;
CREATE TRIGGER passage_removed AFTER DELETE ON passages BEGIN
    INSERT INTO passage_words (passage_words, rowid, title, text) VALUES ('delete', old.number, old.title, old.text);
END;
PRAGMA user_version = {VERSION};
"""

_KNOWN = "SELECT path, name, modified_ns, size_bytes, digest FROM documents"
_LIST = """
SELECT name, documents.title, url, relative, size_bytes, count(number)
FROM documents LEFT JOIN passages USING (path) GROUP BY path ORDER BY name
"""
_FORGET_PASSAGES = "DELETE FROM passages WHERE path = :path"
_FORGET_DOCUMENT = "DELETE FROM documents WHERE path = :path"
_TOUCH = "UPDATE documents SET modified_ns = :modified_ns, size_bytes = :size_bytes WHERE path = :path"
_ADD_DOCUMENT = (
    "INSERT INTO documents VALUES (:path, :name, :relative, :title, :url, :modified_ns, :size_bytes, :digest)"
)
_ADD_PASSAGE = "INSERT INTO passages (id, path, title, text) VALUES (:id, :path, :title, :text)"
_PASSAGE = """
SELECT id, name, passages.title, text, url, relative FROM passages JOIN documents USING (path) WHERE id = :id LIMIT 1
"""
_PASSAGE_BY_NUMBER = """
SELECT id, name, passages.title, text, url, relative FROM passages JOIN documents USING (path) WHERE number = :number
"""
_SEARCH = f"""
SELECT rowid, -rank FROM passage_words
WHERE passage_words MATCH :query AND rank MATCH 'bm25({TITLE_WEIGHT}, 1.0)' {{within}} ORDER BY rank LIMIT :limit
"""
_UNDER = "path = :file{n} OR substr(path, 1, length(:folder{n})) = :folder{n}"
_TERMS = "SELECT term FROM word_counts WHERE term >= :initial AND term < :initial || char(0x10FFFF)"
_HOLDING = "SELECT rowid FROM passage_words WHERE passage_words MATCH :query AND rowid IN ({numbers})"


@dataclass(frozen=True, slots=True)
class Known:
    """What the index holds of one file."""

    path: str
    name: str
    modified_ns: int
    size_bytes: int
    digest: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One document with its passages, ready to be stored."""

    known: Known
    relative: str
    title: str
    url: str
    passages: tuple[tuple[PassageId, str, str], ...]  # id, heading path, text


@dataclass(frozen=True, slots=True)
class DocumentSummary:
    """A line of `frontdesk knowledge list`."""

    name: str
    title: str
    url: str
    size_bytes: int
    passages: int


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the error says that the file itself is broken: only building it again helps."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def delete_index(path: Path) -> None:
    """Removes the file and what belongs to it; a stale log would be replayed into the next file of that name."""
    for suffix in ("-wal", "-shm", "-journal", ""):
        Path(f"{path}{suffix}").unlink(missing_ok=True)


def match_expression(words: Iterable[str]) -> str:
    """An FTS5 expression that any of the words satisfies. Every string is a valid expression: quotes are doubled, and what
    cannot be stored as text (NUL, lone surrogates) is left out."""
    return " OR ".join(map(_quoted, words))


def _quoted(word: str) -> str:
    text = word.replace("\0", "").encode(errors="ignore").decode()
    return '"' + text.replace('"', '""') + '"'


class IndexWriter:
    """The only connection that changes the index."""

    def __init__(self, path: Path) -> None:
        """Opens the index, making an empty one where there is none. Raises sqlite3.DatabaseError."""
        is_new = not path.exists()
        if is_new:
            delete_index(path)
        self._connection = sqlite3.connect(path, isolation_level=None)
        try:
            self._connection.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")
            if is_new:
                self._connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")
            self.is_current = _version(self._connection) == VERSION
        except BaseException:
            self._connection.close()
            raise
        self._path = path
        self._inode = path.stat().st_ino

    def is_in_place(self) -> bool:
        """False once somebody has deleted or replaced the file under us."""
        try:
            return self._path.stat().st_ino == self._inode
        except FileNotFoundError:
            return False

    def is_sound(self) -> bool:
        """Whether the file holds together, checked from end to end."""
        try:
            (verdict,) = self._connection.execute("PRAGMA quick_check(1)").fetchone()
            self._connection.execute("INSERT INTO passage_words (passage_words, rank) VALUES ('integrity-check', 0)")
        except sqlite3.DatabaseError as error:
            return not is_damage(error)
        return bool(verdict == "ok")

    def known(self) -> dict[str, Known]:
        """What is indexed, by path."""
        return {row[0]: Known(*row) for row in self._connection.execute(_KNOWN)}

    def apply(self, removed: Sequence[str], touched: Sequence[Known], entries: Sequence[Entry]) -> None:
        """One transaction: forgets `removed` paths, notes new times of `touched` files, and replaces `entries`. Repeatable."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            for path in [*removed, *(entry.known.path for entry in entries)]:
                self._connection.execute(_FORGET_PASSAGES, {"path": path})
                self._connection.execute(_FORGET_DOCUMENT, {"path": path})
            for known in touched:
                self._connection.execute(_TOUCH, _columns(known))
            for entry in entries:
                self._add(entry)
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def close(self) -> None:
        self._connection.close()

    def _add(self, entry: Entry) -> None:
        row = _columns(entry.known) | {"relative": entry.relative, "title": entry.title, "url": entry.url}
        self._connection.execute(_ADD_DOCUMENT, row)
        passages = [
            {"id": i, "path": entry.known.path, "title": title, "text": text} for i, title, text in entry.passages
        ]
        self._connection.executemany(_ADD_PASSAGE, passages)


class IndexReader:
    """A read-only view. Sees each transaction of the writer whole, or not at all."""

    def __init__(self, path: Path, base_url: str = "") -> None:
        """Raises sqlite3.DatabaseError when the file is missing or not an index of this version."""
        self._connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
        self._base_url = base_url.rstrip("/")
        self._stemmer = _Stemmer()
        self._seen_version = -1
        self._counts: dict[str, int] = {}
        self._passages = 0
        self._terms: dict[str, list[str]] = {}
        try:
            self._connection.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
            if _version(self._connection) != VERSION:
                raise sqlite3.DatabaseError("the index is of another version")
        except BaseException:
            self.close()
            raise

    def search(self, query: str, limit: int, within: Sequence[Path] = ()) -> list[Found]:
        """The best passages first. Empty when the query says nothing, or nothing that the documents say. `within`: only of these files
        and folders (none: all)."""
        words = self._stemmer.distinct(informative_words(query))
        if not words or limit < 1:
            return []
        self._connection.execute("BEGIN")  # one snapshot for all that follows
        try:
            return self._search(words, hinting_words(query), limit, within)
        finally:
            self._connection.execute("ROLLBACK")

    def passage(self, passage: PassageId) -> Passage | None:
        if "\0" in passage or not passage.isascii():
            return None
        row = self._connection.execute(_PASSAGE, {"id": passage}).fetchone()
        return None if row is None else self._passage(row)

    def documents(self) -> list[DocumentSummary]:
        rows = self._connection.execute(_LIST)
        return [
            DocumentSummary(name, title, self._url(url, rel), size, count)
            for name, title, url, rel, size, count in rows
        ]

    def close(self) -> None:
        self._connection.close()
        self._stemmer.close()

    def _search(self, words: dict[str, str], hints: Sequence[str], limit: int, within: Sequence[Path]) -> list[Found]:
        asked = self._asked(words)
        weights = {each: _weight(self._passages, each.passages) for each in asked}
        chosen = choose_words({each: each.passages for each in asked})
        if not chosen:
            return []
        condition, places = _only(within)
        expression = " OR ".join([*(each.expression for each in chosen), *map(_quoted, self._hints(hints))])
        parameters = {"query": expression, "limit": max(limit, CANDIDATES), **places}
        ranks: dict[int, float] = dict(self._connection.execute(_SEARCH.format(within=condition), parameters))
        holding = {each: self._holding(each, ranks) for each in asked if each.passages}
        total = sum(weights.values())
        found = []
        for number, rank in ranks.items():
            held = sum(weights[each] for each, numbers in holding.items() if number in numbers)
            if held:
                found.append((rank * (0.25 + 0.75 * held / total), held / total, number))
        found.sort(key=lambda entry: (-entry[0], entry[2]))
        return [self._found(*entry) for entry in found[:limit]]

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

    def _holding(self, asked: "_Asked", numbers: Iterable[int]) -> set[int]:
        sql = _HOLDING.format(numbers=",".join(map(str, numbers)))  # numbers are row numbers of ours
        return {number for (number,) in self._connection.execute(sql, {"query": asked.expression})}

    def _found(self, score: float, coverage: float, number: int) -> Found:
        row = self._connection.execute(_PASSAGE_BY_NUMBER, {"number": number}).fetchone()
        return Found(self._passage(row), score, min(1.0, coverage))

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

    def _passage(self, row: tuple[str, str, str, str, str, str]) -> Passage:
        passage, document, title, text, url, relative = row
        return Passage(PassageId(passage), document, title, text, self._url(url, relative))

    def _url(self, own: str, relative: str) -> str:
        return own or (f"{self._base_url}/{urllib.parse.quote(relative)}" if self._base_url else "")


def _only(within: Sequence[Path]) -> tuple[str, dict[str, str]]:
    """The condition that keeps a search to some files and folders, with its parameters."""
    if not within:
        return "", {}
    roots = [os.path.abspath(path) for path in within]
    places = {f"file{n}": root for n, root in enumerate(roots)} | {
        f"folder{n}": f"{root}/" for n, root in enumerate(roots)
    }
    under = " OR ".join(_UNDER.format(n=n) for n in range(len(roots)))
    return f"AND rowid IN (SELECT number FROM passages WHERE {under})", places


@dataclass(frozen=True, slots=True, order=True)
class _Asked:
    """A word of a question: what it is looked for by, and in how many passages that stands."""

    expression: str
    passages: int


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
        self._connection.execute(
            "CREATE VIRTUAL TABLE words USING fts5 (word, tokenize = 'porter unicode61 remove_diacritics 2')"
        )
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


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def _columns(known: Known) -> dict[str, str | int]:
    return {
        "path": known.path,
        "name": known.name,
        "modified_ns": known.modified_ns,
        "size_bytes": known.size_bytes,
        "digest": known.digest,
    }
