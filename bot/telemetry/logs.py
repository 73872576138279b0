"""Logs: one JSON object a line on stderr, readable lines when stderr is a terminal.

Whoever logs never waits: entries go through a bounded queue to one thread that writes. When the reader of stderr is slow,
debug entries are dropped first, then info, then the rest; what was dropped is counted and said. Secrets are hidden and
terminal escapes removed where entries are written, so no caller can forget to. Message texts are logged at debug only.
"""

import json
import logging
import os
import queue
import select
import sys
import threading
import time
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TextIO

from bot.model import value
from bot.telemetry.redaction import Redactor
from bot.text import pattern

CAPACITY = 4096  # entries waiting to be written
MESSAGE_CHARS = 8_000
FIELD_CHARS = 16_000
EXCEPTION_CHARS = 16_000
GATHER_S = 0.01  # how long an entry waits for others, so that the writer wakes seldom
BATCH_BYTES = 65_536  # what a pipe holds by default on Linux (pipe(7))

_conversation: ContextVar[str] = ContextVar("conversation", default="")
_turn: ContextVar[str] = ContextVar("turn", default="")

_log = logging.getLogger(__name__)
_STANDARD_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_ESCAPES = pattern(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])?"  # ECMA-48: CSI, strings, the rest
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]"  # other control and text direction characters
)

Field = str | int | float | bool | None
_PLAIN = (int, float, type(None))  # bool is an int


def bind(conversation: str, turn: str) -> None:
    """Everything that this task logs from now on carries these ids."""
    _conversation.set(conversation)
    _turn.set(turn)


@contextmanager
def bound(*, conversation: str = "", turn: str = "") -> Iterator[None]:
    """Everything logged inside, by this task and those it starts, carries these ids."""
    conversation_token = _conversation.set(conversation or _conversation.get())
    turn_token = _turn.set(turn or _turn.get())
    try:
        yield
    finally:
        _turn.reset(turn_token)
        _conversation.reset(conversation_token)


@value
class Entry:
    """One log entry as it was when it was logged."""

    at_s: float
    level: int
    logger: str
    message: str
    fields: dict[str, Field]
    exception: str = ""


class LogSetup:
    """The running log sink. `close()` writes what waits, for at most `close_s`, and gives logging back as it was."""

    def __init__(self, level: int, redactor: Redactor, stream: TextIO, capacity: int) -> None:
        self.redactor = redactor
        self._sink = _Sink(capacity)
        self._render = _render_text if stream.isatty() else _render_json
        self._stream = stream  # held, so that its descriptor stays open
        self._fd = stream.fileno()
        self._is_drained = False
        root = logging.getLogger()
        self._before = (root.level, root.handlers[:])
        root.handlers[:] = [self._sink]
        root.setLevel(level)
        logging.getLogger("aiohttp.access").setLevel(
            logging.WARNING
        )  # requests are counted, not logged: URLs may hold secrets
        logging.captureWarnings(True)
        self._thread = threading.Thread(target=self._write_all, name="log writer", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """Entries lost so far because the reader of the log was too slow, or gone."""
        return self._sink.dropped

    def set_secrets(self, secrets: Iterable[str]) -> None:
        """Hides these values from now on. Those hidden earlier stay hidden."""
        self.redactor.add(secrets)

    def close(self, close_s: float = 2.0) -> None:
        if not self._sink.is_open:
            return
        root = logging.getLogger()
        logging.captureWarnings(False)
        level, root.handlers[:] = self._before
        root.setLevel(level)
        self._sink.is_open = False
        self._sink.entries.put(None)
        self._thread.join(close_s)

    def _write_all(self) -> None:
        """The writer's thread: what waits goes out together, up to a pipe's size at once."""
        said = 0
        while not self._is_drained and (batch := self._next_batch()):
            dropped = self._sink.dropped
            if dropped > said:
                batch += self._line(_drops(dropped))
            if _write(self._fd, batch):
                said = dropped
            else:
                self._sink.dropped += batch.count(b"\n")

    def _next_batch(self) -> bytearray:
        """Waits for an entry and takes what else is there. Empty once the sink is closed and everything is written."""
        batch = bytearray()
        entry = self._sink.entries.get()
        if self._sink.is_open:
            time.sleep(GATHER_S)
        while entry is not None:
            batch += self._line(entry)
            if len(batch) >= BATCH_BYTES or self._sink.entries.empty():
                return batch
            entry = self._sink.entries.get()
        self._is_drained = True
        return batch

    def _line(self, entry: Entry) -> bytes:
        return (self._render(entry, self.redactor) + "\n").encode(errors="backslashreplace")


def configure(
    level: str | int, redact: Iterable[str] = (), *, stream: TextIO | None = None, capacity: int = CAPACITY
) -> LogSetup:
    """Sends all logging of level ("debug", "info", ...) and above to stderr, with the values in `redact` hidden."""
    number = level if isinstance(level, int) else logging.getLevelNamesMapping()[level.upper()]
    return LogSetup(number, Redactor(redact), stream or sys.stderr, capacity)


class _Sink(logging.Handler):
    """Puts entries into the queue, unless it is full for their level."""

    def __init__(self, capacity: int) -> None:
        super().__init__()
        self.entries: queue.SimpleQueue[Entry | None] = queue.SimpleQueue()
        self.is_open = True
        self.dropped = 0
        self._room = {logging.DEBUG: capacity // 2, logging.INFO: capacity * 3 // 4}
        self._capacity = capacity

    def emit(self, record: logging.LogRecord) -> None:
        if self.entries.qsize() >= self._room.get(record.levelno, self._capacity):
            self.dropped += 1
            return
        self.entries.put(_entry(record))


def _entry(record: logging.LogRecord) -> Entry:
    fields: dict[str, Field] = {
        name: value if isinstance(value, _PLAIN) else str(value)[:FIELD_CHARS]
        for name, value in vars(record).items()
        if name not in _STANDARD_FIELDS
    }
    for name, variable in (("conversation", _conversation), ("turn", _turn)):
        if value := variable.get():
            fields.setdefault(name, value)
    return Entry(
        record.created, record.levelno, record.name, _message(record)[:MESSAGE_CHARS], fields, _exception(record)
    )


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError, LookupError, AttributeError):  # arguments that do not fit must not hurt the caller
        return f"(badly formatted) {record.msg}"


def _exception(record: logging.LogRecord) -> str:
    if not record.exc_info or record.exc_info[0] is None:
        return ""
    text = "".join(traceback.format_exception(*record.exc_info)).rstrip()
    return text if len(text) <= EXCEPTION_CHARS else "…" + text[-EXCEPTION_CHARS:]  # its end says what happened


def _drops(count: int) -> Entry:
    fields: dict[str, Field] = {"dropped": count}
    return Entry(datetime.now(UTC).timestamp(), logging.WARNING, _log.name, "log entries were dropped", fields)


def _clean(text: str) -> str:
    return _ESCAPES.sub("", text)


def _cleaned(entry: Entry, redact: Redactor) -> dict[str, Field]:
    """The entry's fields without secrets and escapes. Cleaned first, so that an escape cannot split a secret in two."""
    return {
        name: redact.field(name, _clean(value)) if isinstance(value, str) else value
        for name, value in entry.fields.items()
    }


def _render_json(entry: Entry, redact: Redactor) -> str:
    line: dict[str, Field] = {
        "time": _time(entry),
        "level": logging.getLevelName(entry.level).lower(),
        "logger": entry.logger,
        "message": redact(_clean(entry.message)),
    }
    for name, field in _cleaned(entry, redact).items():
        line.setdefault(name, field)
    if entry.exception:
        line["exception"] = redact(_clean(entry.exception))
    return json.dumps(line, ensure_ascii=False)


def _render_text(entry: Entry, redact: Redactor) -> str:
    parts = [
        _time(entry)[11:-6],
        f"{logging.getLevelName(entry.level):<8}",
        _on_one_line(redact(_clean(entry.message))),
        *(f"{name}={_on_one_line(str(value))}" for name, value in _cleaned(entry, redact).items()),
        f"({entry.logger})",
    ]
    text = " ".join(parts)
    return f"{text}\n{redact(_clean(entry.exception))}" if entry.exception else text


def _on_one_line(text: str) -> str:
    """So that nothing logged can pass for an entry of its own."""
    return text.replace("\n", "\\n")


def _time(entry: Entry) -> str:
    return datetime.fromtimestamp(entry.at_s, UTC).isoformat(timespec="milliseconds")


def _write(fd: int, data: bytearray) -> bool:
    """Writes all of it; false when the log's reader is gone or its disk is full."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:  # somebody we share stderr with made it non-blocking
            select.select([], [fd], [])
        except OSError:
            return False
    return True
