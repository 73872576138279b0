"""The nearest embeddings: compared one by one, by numpy in memory, or where it is missing by sqlite-vec inside the file.

Exact, so that nothing has to be tuned or rebuilt, and quick enough for some 100,000 passages.
"""

import importlib
import importlib.util
import sqlite3
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

from bot.knowledge.search import EVERYWHERE, Condition

if TYPE_CHECKING:
    import numpy
    import numpy.typing

    Table = numpy.typing.NDArray[numpy.float32]

Vector = bytes  # little-endian floats of 32 bits, of length 1: what is stored, and what a query is compared by

WINDOWS = (64, 1024)  # how many of the nearest are looked at for passages that fulfil a condition, before all are
_IN = 500  # hashes in one statement
SLICE = 1000  # embeddings that are taken in at once: nothing else of the process runs while their bytes are joined
_NEW = "SELECT id, hash, vector FROM embeddings WHERE model = :model AND id > :seen ORDER BY id"
_ROWS = """
SELECT number, hash FROM passages JOIN documents USING (path) WHERE hash IN ({hashes}) AND ({condition})
"""
_ALLOWED = "SELECT number, hash FROM passages JOIN documents USING (path) WHERE {condition}"
_HASHES = "SELECT number, hash FROM passages WHERE number IN ({numbers})"
_NEAREST = """
SELECT number, 1 - vec_distance_cosine(vector, :vector) AS likeness
FROM embeddings JOIN passages USING (hash) JOIN documents USING (path)
WHERE model = :model AND length(vector) = length(:vector) AND ({condition}) ORDER BY likeness DESC, number LIMIT :limit
"""
_LIKENESSES = """
SELECT number, 1 - vec_distance_cosine(vector, :vector) FROM embeddings JOIN passages USING (hash)
WHERE model = :model AND length(vector) = length(:vector) AND number IN ({numbers})
"""
_TYPICAL = """
SELECT count(*), avg(1 - vec_distance_cosine(vector, :vector)) FROM embeddings
WHERE model = :model AND length(vector) = length(:vector) AND id % (1 + (SELECT count(*) FROM embeddings) / :sample) = 0
"""
SAMPLE = 1000  # embeddings that stand for all
LEAST_SAMPLE = 30  # fewer say nothing of what is typical


class Vectors(Protocol):
    """Embeddings of one model, through the reader's connection; follows what the writer adds and removes."""

    kind: str  # for an operator

    def nearest(self, vector: Vector, limit: int, only: Condition = EVERYWHERE) -> list[tuple[int, float]]:
        """Passages with their cosines, the most alike first."""
        ...

    def likenesses(self, vector: Vector, numbers: Sequence[int]) -> dict[int, float]:
        """The cosines of these passages, as far as they are embedded."""
        ...

    def typical(self, vector: Vector) -> float:
        """The mean cosine with a sample of all embeddings; 0 where there are too few to tell."""
        ...


def open_vectors(connection: sqlite3.Connection, model: str) -> Vectors:
    """numpy where it is installed, since it is some hundred times as quick; else sqlite-vec. Raises ImportError when there is neither."""
    if importlib.util.find_spec("numpy"):
        return NumpyVectors(connection, model)
    return SqliteVectors(connection, model)


class SqliteVectors:
    """Compares inside SQLite: no memory of its own. Raises ImportError where this Python loads no extensions."""

    kind = "sqlite-vec"

    def __init__(self, connection: sqlite3.Connection, model: str) -> None:
        if not hasattr(connection, "enable_load_extension"):
            raise ImportError("this Python's sqlite3 loads no extensions")
        sqlite_vec = importlib.import_module("sqlite_vec")  # ships no types
        connection.enable_load_extension(True)
        sqlite_vec.load(connection)
        connection.enable_load_extension(False)
        self._connection = connection
        self._model = model

    def nearest(self, vector: Vector, limit: int, only: Condition = EVERYWHERE) -> list[tuple[int, float]]:
        parameters = {"vector": vector, "model": self._model, "limit": limit, **only.parameters}
        return list(self._connection.execute(_NEAREST.format(condition=only.sql or "TRUE"), parameters))

    def likenesses(self, vector: Vector, numbers: Sequence[int]) -> dict[int, float]:
        sql = _LIKENESSES.format(numbers=",".join(map(str, numbers)))  # row numbers of ours
        return dict(self._connection.execute(sql, {"vector": vector, "model": self._model}))

    def typical(self, vector: Vector) -> float:
        parameters = {"vector": vector, "model": self._model, "sample": SAMPLE}
        count, mean = self._connection.execute(_TYPICAL, parameters).fetchone()
        return float(mean) if count >= LEAST_SAMPLE else 0.0


class NumpyVectors:
    """Holds all embeddings of the model in memory (1.5 KB each at 384 numbers) and reads only those that are new."""

    kind = "numpy"

    def __init__(self, connection: sqlite3.Connection, model: str) -> None:
        self._connection = connection
        self._model = model
        self._seen = 0
        self._places: dict[str, int] = {}  # of each hash in the table
        self._hashes: list[str] = []
        self._parts: list[Table] = []  # each longer than the next
        self._width = 0  # bytes of a vector
        self._last: tuple[Vector, Table] | None = (
            None  # the cosines of the last question, as long as nothing new is read
        )

    def nearest(self, vector: Vector, limit: int, only: Condition = EVERYWHERE) -> list[tuple[int, float]]:
        cosines = self._cosines(vector)
        if cosines is None:
            return []
        for window in WINDOWS:
            rows = self._fulfilling(self._nearest_hashes(cosines, window), only)
            if len(rows) >= limit or len(self._hashes) <= window:
                return self._ordered(rows, cosines)[:limit]
        allowed = self._connection.execute(_ALLOWED.format(condition=only.sql or "TRUE"), dict(only.parameters))
        return self._ordered(allowed, cosines)[:limit]

    def likenesses(self, vector: Vector, numbers: Sequence[int]) -> dict[int, float]:
        cosines = self._cosines(vector)
        if cosines is None or not numbers:
            return {}
        rows = self._connection.execute(_HASHES.format(numbers=",".join(map(str, numbers))))  # row numbers of ours
        return {number: float(cosines[self._places[hash_]]) for number, hash_ in rows if hash_ in self._places}

    def typical(self, vector: Vector) -> float:
        cosines = self._cosines(vector)
        if cosines is None:
            return 0.0
        sample = cosines[:: 1 + len(cosines) // SAMPLE]
        return float(sample.mean()) if len(sample) >= LEAST_SAMPLE else 0.0

    def _cosines(self, vector: Vector) -> "Table | None":
        """With each embedding. None: there are none, or they are of another length: the endpoint's model has changed."""
        import numpy

        self._read()
        if not self._parts or len(vector) != self._width:
            return None
        if self._last is None or self._last[0] != vector:
            asked = numpy.frombuffer(vector, "<f4")
            self._last = vector, numpy.concatenate([part @ asked for part in self._parts])
        return self._last[1]

    def _read(self) -> None:
        """Takes in the embeddings that came since the last call. What is there is copied only when as much has come: while a large index is
        embedded, some come before every search."""
        import numpy

        new = self._connection.execute(_NEW, {"model": self._model, "seen": self._seen})
        while rows := new.fetchmany(SLICE):
            self._take(rows)
        count, first = 0, len(self._parts)
        while first and (not count or len(self._parts[first - 1]) <= count):
            first -= 1
            count += len(self._parts[first])
        if len(self._parts) - first > 1:
            self._parts[first:] = [numpy.concatenate(self._parts[first:])]

    def _take(self, rows: Sequence[tuple[int, str, bytes]]) -> None:
        """One slice of new embeddings; those of another length than the first are passed over."""
        import numpy

        self._seen = rows[-1][0]
        self._width = self._width or len(rows[0][2])
        fitting = [(hash_, vector) for _, hash_, vector in rows if len(vector) == self._width]
        if not fitting:
            return
        more = numpy.frombuffer(b"".join(vector for _, vector in fitting), "<f4").reshape(len(fitting), -1)
        self._places.update((hash_, place) for place, (hash_, _) in enumerate(fitting, len(self._hashes)))
        self._hashes += [hash_ for hash_, _ in fitting]
        self._parts.append(more)
        self._last = None

    def _nearest_hashes(self, cosines: "Table", window: int) -> list[str]:
        import numpy

        if len(self._hashes) <= window:
            return self._hashes
        return [self._hashes[place] for place in numpy.argpartition(-cosines, window)[:window]]

    def _fulfilling(self, hashes: Sequence[str], only: Condition) -> list[tuple[int, str]]:
        """Passages with one of these hashes: none, where its documents are gone."""
        rows: list[tuple[int, str]] = []
        for start in range(0, len(hashes), _IN):
            names = [f"hash{n}" for n in range(len(hashes[start : start + _IN]))]
            sql = _ROWS.format(hashes=",".join(f":{name}" for name in names), condition=only.sql or "TRUE")
            values = dict(zip(names, hashes[start : start + _IN], strict=True))
            rows += self._connection.execute(sql, {**values, **only.parameters})
        return rows

    def _ordered(self, rows: Iterable[tuple[int, str]], cosines: "Table") -> list[tuple[int, float]]:
        known = [(number, float(cosines[self._places[hash_]])) for number, hash_ in rows if hash_ in self._places]
        return sorted(known, key=lambda one: (-one[1], one[0]))
