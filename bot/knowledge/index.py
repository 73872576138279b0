"""The search index: one SQLite file with FTS5, derived from the documents, which may be deleted at any time.

One writer and any number of read-only readers (WAL). Only the writer checkpoints. A damaged file is not repaired: the library
deletes it and builds it again; one of another version is emptied when the writer opens it, all but the embeddings, which are
known by the hash of what they stand for. Connections stay in the thread that opened them.
"""

import hashlib
import os
import sqlite3
import urllib.parse
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from bot.knowledge.fusion import Fused, Weighing, fuse
from bot.knowledge.joining import MOST_CHARS, Row, joined, parts_of
from bot.knowledge.search import TOKENIZER, Condition, WordSearch, match_expression
from bot.knowledge.vectors import Vector, Vectors, open_vectors
from bot.model import Found, Passage, PassageId, value

__all__ = [
    "DocumentSummary",
    "Edition",
    "Entry",
    "IndexReader",
    "IndexWriter",
    "Known",
    "delete_index",
    "is_damage",
    "match_expression",
]

VERSION = 3  # of the tables and of what is put into them: raise it when chunking changes, and every index is rebuilt
CANDIDATES = 50  # how many of the best by words, and by likeness, are compared with each other
_BUSY_MS = 5000

_EMBEDDINGS = """
CREATE TABLE IF NOT EXISTS embeddings (
    id INTEGER PRIMARY KEY AUTOINCREMENT, hash TEXT NOT NULL, model TEXT NOT NULL, vector BLOB NOT NULL, UNIQUE (hash, model)
);
"""
_TABLES = ("passage_words", "word_counts", "passages", "documents")
_SCHEMA = f"""
CREATE TABLE documents (
    path TEXT PRIMARY KEY, name TEXT NOT NULL, relative TEXT NOT NULL, title TEXT NOT NULL, url TEXT NOT NULL,
    modified_ns INTEGER NOT NULL, size_bytes INTEGER NOT NULL, digest TEXT NOT NULL, given TEXT NOT NULL,
    language TEXT NOT NULL, audience TEXT NOT NULL
);
CREATE TABLE passages (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL, path TEXT NOT NULL REFERENCES documents (path),
    title TEXT NOT NULL, text TEXT NOT NULL, around TEXT NOT NULL, hash TEXT NOT NULL
);
CREATE INDEX passages_by_id ON passages (id);
CREATE INDEX passages_by_path ON passages (path);
CREATE INDEX passages_by_hash ON passages (hash);
CREATE VIRTUAL TABLE passage_words USING fts5 (
    title, text, around, content = 'passages', content_rowid = 'number', tokenize = '{TOKENIZER}'
);
CREATE VIRTUAL TABLE word_counts USING fts5vocab (passage_words, 'row');
CREATE TRIGGER passage_added AFTER INSERT ON passages BEGIN
    INSERT INTO passage_words (rowid, title, text, around) VALUES (new.number, new.title, new.text, new.around);
END;
CREATE TRIGGER passage_removed AFTER DELETE ON passages BEGIN
    INSERT INTO passage_words (passage_words, rowid, title, text, around)
    VALUES ('delete', old.number, old.title, old.text, old.around);
END;
{_EMBEDDINGS}
PRAGMA user_version = {VERSION};
"""

_KNOWN = "SELECT path, name, modified_ns, size_bytes, digest, given FROM documents"
_LIST = """
SELECT name, documents.title, url, relative, size_bytes, count(number)
FROM documents LEFT JOIN passages USING (path) GROUP BY path ORDER BY name
"""
_FORGET_PASSAGES = "DELETE FROM passages WHERE path = :path"
_FORGET_DOCUMENT = "DELETE FROM documents WHERE path = :path"
_TOUCH = "UPDATE documents SET modified_ns = :modified_ns, size_bytes = :size_bytes WHERE path = :path"
_ADD_DOCUMENT = """
INSERT INTO documents
VALUES (:path, :name, :relative, :title, :url, :modified_ns, :size_bytes, :digest, :given, :language, :audience)
"""
_ADD_PASSAGE = """
INSERT INTO passages (id, path, title, text, around, hash) VALUES (:id, :path, :title, :text, :around, :hash)
"""
_COLUMNS = "number, id, name, passages.title, text, url, relative"
_PASSAGE = f"SELECT {_COLUMNS} FROM passages JOIN documents USING (path) WHERE id = :id AND {{only}} LIMIT 1"
_PASSAGES = f"SELECT {_COLUMNS} FROM passages JOIN documents USING (path) WHERE number IN ({{numbers}})"
_OF_DOCUMENT = f"SELECT {_COLUMNS} FROM passages JOIN documents USING (path) WHERE name = :name ORDER BY number"
_EDITIONS = """
SELECT name, digest, title, path,
       (SELECT group_concat(id, ' ') FROM (SELECT id FROM passages WHERE passages.path = documents.path ORDER BY number))
FROM documents ORDER BY name
"""
_EXTENT = """
SELECT count(*), coalesce(sum(length(passages.title) + length(text)), 0) FROM passages JOIN documents USING (path) WHERE {only}
"""
_ALL = f"SELECT {_COLUMNS} FROM passages JOIN documents USING (path) WHERE {{only}} ORDER BY path, number"
_UNDER = "path = :file{n} OR substr(path, 1, length(:folder{n})) = :folder{n}"
_MISSING = """
SELECT hash, title, text FROM passages
WHERE NOT EXISTS (SELECT 1 FROM embeddings WHERE embeddings.hash = passages.hash AND model = :model)
GROUP BY hash ORDER BY min(number) LIMIT :limit
"""
_KEEP = "INSERT INTO embeddings (hash, model, vector) VALUES (:hash, :model, :vector) ON CONFLICT DO NOTHING"
_UNUSED = "DELETE FROM embeddings WHERE model <> :model OR NOT EXISTS (SELECT 1 FROM passages WHERE passages.hash = embeddings.hash)"


@value
class Known:
    """What the index holds of one file. `given`: what was said of it from outside, see `SourceFile.given`."""

    path: str
    name: str
    modified_ns: int
    size_bytes: int
    digest: str
    given: str = ""


@value
class Entry:
    """One document with its passages, ready to be stored. `language` ("de") and `audience` ("staff") are "" where the document is for
    all. `is_talk`: the passages are turns of a conversation, which lean on those before and after them."""

    known: Known
    relative: str
    title: str
    url: str
    passages: tuple[tuple[PassageId, str, str], ...]  # id, heading path, text
    language: str = ""
    audience: str = ""
    is_talk: bool = False


@value
class DocumentSummary:
    """A line of `frontdesk knowledge list`."""

    name: str
    title: str
    url: str
    size_bytes: int
    passages: int


@value
class Edition:
    """A document as it is now. `version`: the SHA-256 of its content; `passages`: their ids, front to back."""

    document: str
    version: str
    title: str
    path: str
    passages: tuple[str, ...]


@value
class Only:
    """Which documents a search may use. `within`: files and folders; `audiences`: those documents for nobody in particular, and for these;
    `language`: those in no particular language, and in this one. Empty, None and "": all."""

    within: Sequence[Path] = ()
    audiences: Collection[str] | None = None
    language: str = ""


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the error says that the file itself is broken: only building it again helps."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def delete_index(path: Path) -> None:
    """Removes the file and what belongs to it; a stale log would be replayed into the next file of that name."""
    for suffix in ("-wal", "-shm", "-journal", ""):
        Path(f"{path}{suffix}").unlink(missing_ok=True)


def content_hash(title: str, text: str) -> str:
    """What a passage's embedding is known by."""
    return hashlib.sha256(f"{title}\0{text}".encode(errors="surrogatepass")).hexdigest()[:32]


class IndexWriter:
    """The only connection that changes the index."""

    def __init__(self, path: Path) -> None:
        """Opens the index, making an empty one where there is none, and emptying one of another version. Raises
        sqlite3.DatabaseError."""
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
            elif 0 < _version(self._connection) < VERSION:
                self._start_anew()
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

    def is_empty(self) -> bool:
        """Whether there is no passage at all."""
        return not self._connection.execute("SELECT 1 FROM passages LIMIT 1").fetchall()

    def missing(self, model: str, limit: int) -> list[tuple[str, str]]:
        """Passages that this model has not embedded yet: hash and text, oldest first."""
        rows = self._connection.execute(_MISSING, {"model": model, "limit": limit})
        return [(hash_, f"{title}\n{text}") for hash_, title, text in rows]

    def keep(self, model: str, vectors: Sequence[tuple[str, bytes]]) -> None:
        """Stores embeddings by hash, as little-endian floats of 32 bits. Safe to repeat; what is there stays."""
        rows = [{"hash": hash_, "model": model, "vector": vector} for hash_, vector in vectors]
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.executemany(_KEEP, rows)
        self._connection.execute("COMMIT")

    def forget_unused(self, model: str) -> int:
        """Deletes embeddings of other models and of passages that are gone. Returns how many."""
        return self._connection.execute(_UNUSED, {"model": model}).rowcount

    def close(self) -> None:
        self._connection.close()

    def _start_anew(self) -> None:
        drops = " ".join(f"DROP TABLE IF EXISTS {table};" for table in _TABLES)
        self._connection.executescript(f"BEGIN IMMEDIATE; {drops} {_SCHEMA} COMMIT;")

    def _add(self, entry: Entry) -> None:
        row = _columns(entry.known) | {"relative": entry.relative, "title": entry.title, "url": entry.url}
        self._connection.execute(_ADD_DOCUMENT, {**row, "language": entry.language, "audience": entry.audience})
        self._connection.executemany(_ADD_PASSAGE, list(_passage_rows(entry)))


class IndexReader:
    """A read-only view. Sees each transaction of the writer whole, or not at all. `model`: whose embeddings are searched; "": none."""

    def __init__(self, path: Path, base_url: str = "", model: str = "", weighing: Weighing | None = None) -> None:
        """Raises sqlite3.DatabaseError when the file is missing or not an index of this version."""
        self._connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
        self._base_url = base_url.rstrip("/")
        self._weighing = weighing or Weighing()
        self._model = model
        self._vectors: Vectors | None = None
        self._words = WordSearch(self._connection)
        try:
            self._connection.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
            if _version(self._connection) != VERSION:
                raise sqlite3.DatabaseError("the index is of another version")
        except BaseException:
            self.close()
            raise

    def search(
        self,
        query: str,
        limit: int,
        within: Sequence[Path] = (),
        *,
        vector: Vector | None = None,
        audiences: Collection[str] | None = None,
        language: str = "",
        most_chars: int = MOST_CHARS,
    ) -> list[Found]:
        """The best passages first, those that follow each other under one heading as one, no text twice, and no more than `most_chars` in
        all. Empty when nothing fits. `vector`: the query as `model` embeds it; without, words alone decide. The rest: see `Only`."""
        if limit < 1:
            return []
        self._connection.execute("BEGIN")  # one snapshot for all that follows
        try:
            ranked = self._ranked(query, vector, limit, _condition(Only(within, audiences, language)))
            rows = self._rows([each.number for each in ranked])
        finally:
            self._connection.execute("ROLLBACK")
        kept = joined([(rows[each.number], each) for each in ranked], limit, most_chars)
        return [Found(self._passage(row), each.score, each.coverage, each.likeness) for row, each in kept]

    def ranked(self, query: str, limit: int, vector: Vector | None = None, only: Only | None = None) -> list[Fused]:
        """The rows behind `search`, with what speaks for each; nothing joined or left out."""
        self._connection.execute("BEGIN")
        try:
            return self._ranked(query, vector, limit, _condition(only or Only()))[:limit]
        finally:
            self._connection.execute("ROLLBACK")

    def passage(self, passage: PassageId, only: Only | None = None) -> Passage | None:
        """The passage, or the joined one, as long as the documents that count hold it."""
        if "\0" in passage or not passage.isascii():
            return None
        condition = _condition(only or Only())
        rows = [row for part in parts_of(passage) if (row := self._row(part, condition)) is not None]
        return self._passage(Row.of(rows)) if rows and len(rows) == len(parts_of(passage)) else None

    def extent(self, only: Only) -> tuple[int, int]:
        """How many passages count, and how many characters they have."""
        condition = _condition(only)
        sql = _EXTENT.format(only=condition.sql or "1")
        passages, chars = self._connection.execute(sql, condition.parameters).fetchone()
        return int(passages), int(chars)

    def every(self, only: Only) -> list[Passage]:
        """All passages that count, document by document, each in its own order."""
        condition = _condition(only)
        rows = self._connection.execute(_ALL.format(only=condition.sql or "1"), condition.parameters)
        return [self._passage(Row(*row)) for row in rows]

    def documents(self) -> list[DocumentSummary]:
        rows = self._connection.execute(_LIST)
        return [
            DocumentSummary(name, title, self._url(url, rel), size, count)
            for name, title, url, rel, size, count in rows
        ]

    def editions(self) -> list[Edition]:
        """Every document with its version, by name."""
        rows = self._connection.execute(_EDITIONS)
        return [
            Edition(name, digest, title, path, tuple((ids or "").split())) for name, digest, title, path, ids in rows
        ]

    def passages_of(self, document: str) -> list[Passage]:
        """All of one document, front to back."""
        return [self._passage(Row(*row)) for row in self._connection.execute(_OF_DOCUMENT, {"name": document})]

    def likeness(self) -> str:
        """What compares embeddings, in words for an operator; "" where none are searched."""
        return self._opened_vectors().kind if self._model else ""

    def close(self) -> None:
        self._connection.close()
        self._words.close()

    def _ranked(self, query: str, vector: Vector | None, limit: int, only: Condition) -> list[Fused]:
        question = self._words.question(query)
        near: dict[int, float] = {}
        if vector is not None and self._model:
            near = dict(self._opened_vectors().nearest(vector, CANDIDATES, only))
        most = max(limit, CANDIDATES) if near else limit  # words alone look no further than `WordSearch` has to
        hits = [] if question is None else self._words.best(question, most, only, near.keys())
        if vector is None or not self._model:
            return fuse(hits, near, self._weighing)
        near |= self._opened_vectors().likenesses(vector, [hit.number for hit in hits if hit.number not in near])
        return fuse(hits, near, self._weighing, self._opened_vectors().typical(vector))

    def _opened_vectors(self) -> Vectors:
        if self._vectors is None:
            self._vectors = open_vectors(self._connection, self._model)
        return self._vectors

    def _rows(self, numbers: Sequence[int]) -> dict[int, Row]:
        sql = _PASSAGES.format(numbers=",".join(map(str, numbers)))  # row numbers of ours
        return {row[0]: Row(*row) for row in self._connection.execute(sql)}

    def _row(self, id_: str, only: Condition) -> Row | None:
        sql = _PASSAGE.format(only=only.sql or "1")
        row = self._connection.execute(sql, {"id": id_, **only.parameters}).fetchone()
        return None if row is None else Row(*row)

    def _passage(self, row: Row) -> Passage:
        return Passage(PassageId(row.id), row.document, row.title, row.text, self._url(row.url, row.relative))

    def _url(self, own: str, relative: str) -> str:
        return own or (f"{self._base_url}/{urllib.parse.quote(relative)}" if self._base_url else "")


def _passage_rows(entry: Entry) -> Iterator[dict[str, str]]:
    texts = ["", *(text for _, _, text in entry.passages), ""]
    for place, (id_, title, text) in enumerate(entry.passages, 1):
        around = f"{texts[place - 1]}\n{texts[place + 1]}" if entry.is_talk else ""
        hash_ = content_hash(title, text)
        yield {"id": id_, "path": entry.known.path, "title": title, "text": text, "around": around, "hash": hash_}


def _condition(only: Only) -> Condition:
    """As SQL over the rows of `passages`, whose columns the condition may name."""
    tests, parameters = [], {}
    if only.within:
        roots = [os.path.abspath(path) for path in only.within]
        parameters = {f"file{n}": root for n, root in enumerate(roots)}
        parameters |= {f"folder{n}": f"{root}/" for n, root in enumerate(roots)}
        tests.append(" OR ".join(_UNDER.format(n=n) for n in range(len(roots))))
    if only.audiences is not None:
        named = {f"audience{n}": audience for n, audience in enumerate(sorted(only.audiences))}
        parameters |= named
        tests.append(f"audience IN ('', {', '.join(f':{name}' for name in named)})" if named else "audience = ''")
    if only.language:
        parameters["language"] = only.language
        tests.append("language IN ('', :language)")
    return Condition(" AND ".join(f"({test})" for test in tests), parameters)


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
        "given": known.given,
    }
