"""Compares what people were promised and saw with what the database and the ledger hold.

Every text that a person sends is one word of its own (`v3-17`), so each answer says which messages it answers.
"""

import re
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from tests.kill.ledger import Post

_WORD = re.compile(r"\b[dsuvw]\d+-\d+\b")
_FILLER = (
    "It is kept, it is answered once, and it stands where it belongs: after what came before it, whatever happens."
)


def words_in(text: str) -> list[str]:
    return _WORD.findall(text)


def answer_to(words: Sequence[str], cited: str = "") -> str:
    """The one right answer to a burst; long enough for several parts."""
    return f"You said {' and '.join(words)}{cited}. {_FILLER}"


@dataclass(frozen=True, slots=True)
class Seen:
    """One final message as a person has it."""

    seq: int
    message: str
    text: str


@dataclass(slots=True)
class Diary:
    """What one person did and saw. `complaints` are (kind, sentence) pairs: "doubled", "disordered" or "other"."""

    sent: dict[str, str] = field(default_factory=dict)  # own id -> word, in the order of sending
    acknowledged: dict[str, tuple[str, int]] = field(default_factory=dict)  # own id -> (message, seq)
    seen: list[Seen] = field(default_factory=list)  # answers in the order in which a person reads them
    complaints: list[tuple[str, str]] = field(default_factory=list)

    def complain(self, kind: str, sentence: str) -> None:
        self.complaints.append((kind, sentence))

    def answered(self) -> set[str]:
        return {word for seen in self.seen for word in _WORD.findall(seen.text)}

    def promised(self) -> set[str]:
        """The words of every message that was acknowledged."""
        return {self.sent[id_] for id_ in self.acknowledged}


@dataclass(slots=True)
class Verdict:
    """What is wrong, by kind; nothing is wrong when all are empty."""

    acknowledged: int = 0
    lost: set[str] = field(default_factory=set)
    doubled: set[str] = field(default_factory=set)
    disordered: set[str] = field(default_factory=set)
    other: set[str] = field(default_factory=set)

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.doubled or self.disordered or self.other)

    def take(self, other: "Verdict") -> None:
        self.acknowledged += other.acknowledged
        self.lost |= other.lost
        self.doubled |= other.doubled
        self.disordered |= other.disordered
        self.other |= other.other

    def add(self, kind: str, sentence: str) -> None:
        {"lost": self.lost, "doubled": self.doubled, "disordered": self.disordered}.get(kind, self.other).add(sentence)

    def lines(self) -> list[str]:
        kinds = {"lost": self.lost, "doubled": self.doubled, "out of order": self.disordered, "other": self.other}
        return [f"{kind}: {what}" for kind, whats in kinds.items() for what in sorted(whats)]


Right = Callable[[Sequence[str]], str]


def judge(diaries: Iterable[Diary], database: Path | None, right: Right = answer_to) -> Verdict:
    """Everything that people and, when given, the database say. `right` gives the one right answer to a burst."""
    verdict = Verdict()
    people = list(diaries)
    for diary in people:
        verdict.acknowledged += len(diary.acknowledged)
        for kind, sentence in diary.complaints:
            verdict.add(kind, sentence)
        judge_answers(diary, verdict, right)
    if database is not None:
        judge_database(people, database, verdict)
    return verdict


def judge_answers(diary: Diary, verdict: Verdict, right: Right = answer_to) -> None:
    """Every acknowledged message is answered exactly once, in the order of sending, by the right text."""
    answered = [word for seen in diary.seen for word in _WORD.findall(seen.text)]
    counts = Counter(answered)
    verdict.lost |= {f"{word} was acknowledged and never answered" for word in diary.promised() - counts.keys()}
    verdict.doubled |= {f"{word} was answered {count} times" for word, count in counts.items() if count > 1}
    verdict.other |= {f"{word} was answered and never sent" for word in counts.keys() - set(diary.sent.values())}
    place = {word: number for number, word in enumerate(diary.sent.values())}
    order = [place.get(word, -1) for word in dict.fromkeys(answered)]
    for one, next_ in pairwise(order):
        if next_ < one:
            verdict.disordered.add(f"an answer to message {next_} of {answered[0]}'s sender came after one to {one}")
    for seen in diary.seen:
        words = _WORD.findall(seen.text)
        if not words or seen.text != right(words):
            verdict.other.add(f"the answer to {words} is not whole: {seen.text[:60]!r}…")


def judge_database(people: Sequence[Diary], database: Path, verdict: Verdict) -> None:
    """Nothing is left over, and the database tells the same story as the people."""
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        for problem in _leftovers(connection):
            verdict.other.add(problem)
        kept = Counter(text for (text,) in connection.execute("SELECT text FROM messages WHERE author = 'user'"))
        promised = {word for diary in people for word in diary.promised()}
        verdict.lost |= {f"{word} was acknowledged and is not in the database" for word in promised - kept.keys()}
        verdict.doubled |= {f"{word} is in the database {count} times" for word, count in kept.items() if count > 1}
        told = {row for diary in people for row in ((seen.message, seen.seq, seen.text) for seen in diary.seen)}
        answers = set(connection.execute("SELECT id, seq, text FROM messages WHERE author != 'user'"))
        verdict.lost |= {f"the answer {row[2][:40]!r} was never seen" for row in answers - told}
        verdict.other |= {f"the answer {row[2][:40]!r} is not in the database" for row in told - answers}
    finally:
        connection.close()


def _leftovers(connection: sqlite3.Connection) -> Iterable[str]:
    checks = {
        "the database is damaged": "SELECT 1 FROM pragma_integrity_check WHERE integrity_check != 'ok'",
        "a message is unhandled": "SELECT text FROM messages WHERE handled_ms IS NULL",
        "a message is a dead letter": "SELECT text FROM messages WHERE dead_ms IS NOT NULL",
        "an outbox row is not sent": "SELECT message_id, part, state, is_held, error FROM outbox WHERE state != 'sent'",
        "an answer has no outbox row": """SELECT m.text FROM messages m JOIN conversations c ON c.id = m.conversation_id
            WHERE m.author != 'user' AND c.channel = 'ledger' AND m.id NOT IN (SELECT message_id FROM outbox)""",
        "a receipt is missing": """SELECT c.id FROM conversations c WHERE c.channel = 'web' AND c.delivered_seq <
            (SELECT max(seq) FROM messages WHERE conversation_id = c.id AND author != 'user')""",
        "a seq is missing": """SELECT c.id FROM conversations c JOIN messages m ON m.conversation_id = c.id
            GROUP BY c.id HAVING count(*) != max(m.seq) OR min(m.seq) != 1""",
        "an incident": "SELECT kind, detail FROM incidents",
        "a turn ended otherwise than with an answer": "SELECT id, outcome FROM turns WHERE outcome != 'answered'",
        "a step is open": "SELECT reply_id, step FROM steps WHERE ended_ms IS NULL",
        "a tool call has no outcome": "SELECT call_id, state FROM tool_calls WHERE state != 'succeeded'",
    }
    for problem, query in checks.items():
        for row in connection.execute(query + " LIMIT 5"):
            yield f"{problem}: {row}"


def read_posts(diary: Diary, posts: Sequence[Post]) -> None:
    """What a person on the ledger reads: the parts of each message, put together in the order of arrival."""
    for (_, text), count in Counter((post.message, post.text) for post in posts).items():
        if count > 1:
            diary.complain("doubled", f"a part was posted {count} times: {text!r}")
    parts: dict[str, list[Post]] = {}
    for post in dict.fromkeys(posts):
        parts.setdefault(post.message, []).append(post)
    for one, next_ in pairwise(posts):
        if next_.seq < one.seq:
            diary.complain("disordered", f"a part of seq {next_.seq} came after one of {one.seq}: {next_.text!r}")
    diary.seen = [Seen(each[0].seq, message, "".join(post.text for post in each)) for message, each in parts.items()]
