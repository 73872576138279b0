"""Logs are whole, carry their ids, and never hold anybody up."""

import asyncio
import json
import logging
import os
import pty
import threading
import time
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.telemetry.logs import _clean, bound, configure
from tests.telemetry.conftest import Pipe

log = logging.getLogger("bot.intake")


def test_one_json_object_a_line(pipe: Pipe) -> None:
    """Every entry is one JSON object on one line with time, level, logger and message, and its own fields."""
    setup = configure("info", stream=pipe.stream)
    log.info("stored %d messages", 2, extra={"channel": "web", "took_s": 0.5, "first": None})
    log.warning("two\nlines")
    setup.close()
    first, second = pipe.entries()
    assert first.pop("time").endswith("+00:00")
    assert first == {
        "level": "info",
        "logger": "bot.intake",
        "message": "stored 2 messages",
        "channel": "web",
        "took_s": 0.5,
        "first": None,
    }
    assert second["message"] == "two\nlines"


async def test_entries_carry_the_conversation_and_the_turn(pipe: Pipe) -> None:
    """Entries of conversations handled side by side carry their own ids, and none once they are over."""
    setup = configure("info", stream=pipe.stream)

    async def handle(conversation: str) -> None:
        with bound(conversation=conversation):
            await asyncio.sleep(0)
            with bound(turn=f"turn of {conversation}"):
                await asyncio.sleep(0)
                log.info("done")
            log.info("after")

    await asyncio.gather(handle("a"), handle("b"))
    log.info("outside")
    setup.close()
    ids = [(e["message"], e.get("conversation"), e.get("turn")) for e in pipe.entries()]
    for conversation in ("a", "b"):
        assert ("done", conversation, f"turn of {conversation}") in ids
        assert ("after", conversation, None) in ids
    assert ids[-1] == ("outside", None, None)


def test_an_exception_is_part_of_its_entry(pipe: Pipe) -> None:
    """A traceback stays within its entry's line, with secrets hidden; a very long one keeps its end."""
    setup = configure("info", ["hunter2hunter2"], stream=pipe.stream)
    try:
        raise ValueError("x" * 20_000 + " password was hunter2hunter2")
    except ValueError:
        log.exception("failed")
    setup.close()
    (entry,) = pipe.entries()
    assert entry["exception"].endswith("password was [redacted]")
    assert len(entry["exception"]) < 17_000


def test_levels_below_the_chosen_one_are_silent(pipe: Pipe) -> None:
    """With level info nothing of level debug is written."""
    setup = configure("info", stream=pipe.stream)
    log.debug("text of a message")
    log.info("kept")
    setup.close()
    assert [entry["message"] for entry in pipe.entries()] == ["kept"]


def test_requests_are_not_logged(pipe: Pipe) -> None:
    """The HTTP server's access log, whose URLs may hold secrets, is off at every level."""
    setup = configure("debug", stream=pipe.stream)
    logging.getLogger("aiohttp.access").info("GET /ws?token=abcdefgh")
    setup.close()
    assert pipe.rest() == ""


def test_a_terminal_gets_readable_lines() -> None:
    """On a terminal an entry is a readable line, and a message cannot pass for a second entry."""
    master, slave = pty.openpty()
    with os.fdopen(slave, "w") as terminal:
        setup = configure("info", stream=terminal)
        log.info("hello\nERROR   forged", extra={"channel": "web"})
        setup.close()
        text = os.read(master, 1000).decode()
    os.close(master)
    assert text[:14].count(":") == 2
    assert text[13:].strip() == "INFO     hello\\nERROR   forged channel=web (bot.intake)"


def test_a_slow_reader_holds_nobody_up(pipe: Pipe) -> None:
    """With nobody reading stderr, logging returns at once, memory is bounded, and every lost entry is counted and said.

    Debug entries are lost before info, and info before warnings."""
    setup = configure("debug", stream=pipe.stream, capacity=200)
    log.info("y" * 7000)
    started = time.monotonic()
    for _ in range(2000):
        log.debug("x" * 1000)
    debug_lost = setup.dropped
    for _ in range(40):
        log.info("i")
    info_lost = setup.dropped - debug_lost
    for _ in range(40):
        log.warning("w")
    assert time.monotonic() - started < 2
    assert debug_lost > 1500
    assert info_lost == 0
    lost = setup.dropped

    written = _read_until_closed(pipe, setup.close)
    levels = [json.loads(line)["level"] for line in written.splitlines()]
    assert levels.count("info") == 41
    assert levels.count("debug") == 2000 - lost
    said = [json.loads(line) for line in written.splitlines() if "dropped" in line]
    assert said[-1]["dropped"] == lost
    assert levels.count("warning") == 40 + len(said)


def _read_until_closed(pipe: Pipe, close: object) -> str:
    assert callable(close)
    parts: list[bytes] = []

    def read() -> None:
        while part := pipe.take(65536):
            parts.append(part)

    reader = threading.Thread(target=read)
    reader.start()
    close()
    pipe.stream.close()
    reader.join()
    return b"".join(parts).decode()


def test_info_gives_way_to_warnings(pipe: Pipe) -> None:
    """When the queue is nearly full, info entries are dropped and warnings still find room."""
    setup = configure("info", stream=pipe.stream, capacity=100)
    for _ in range(40):  # more than a pipe holds, so that the writer stands still
        log.info("x" * 7000)
    for _ in range(200):
        log.info("i")
    lost = setup.dropped
    assert lost > 0
    for _ in range(20):
        log.warning("w")
    assert setup.dropped == lost
    assert _read_until_closed(pipe, setup.close).count('"warning"') >= 20


def test_a_reader_that_never_comes_does_not_hold_up_the_end(pipe: Pipe) -> None:
    """Closing gives up after its time when nobody reads."""
    setup = configure("info", stream=pipe.stream)
    for _ in range(40):
        log.info("x" * 7000)
    started = time.monotonic()
    setup.close(close_s=0.05)
    assert time.monotonic() - started < 1
    _read_until_closed(pipe, lambda: None)


def test_a_broken_stderr_hurts_nobody(pipe: Pipe) -> None:
    """When the log's reader is gone, entries are counted as lost and the program goes on."""
    setup = configure("info", stream=pipe.stream)
    pipe.break_it()
    log.info("lost")
    setup.close()
    assert setup.dropped == 1
    pipe.stream.close()


def test_arguments_that_do_not_fit_hurt_nobody(pipe: Pipe) -> None:
    """A log call with the wrong arguments still leaves its entry and raises nothing."""
    setup = configure("info", stream=pipe.stream)
    log.info("%d messages", "many")
    setup.close()
    assert pipe.entries()[0]["message"] == "(badly formatted) %d messages"


def test_warnings_are_logged(pipe: Pipe) -> None:
    """Python's own warnings go the same way as everything else."""
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        setup = configure("info", stream=pipe.stream)
        warnings.warn("old thing", UserWarning, stacklevel=1)
        setup.close()
    assert "old thing" in pipe.entries()[0]["message"]


def test_closing_gives_logging_back() -> None:
    """After close the root logger is as it was, and a second close does nothing."""
    root = logging.getLogger()
    before = (root.level, root.handlers[:])
    pipe = Pipe()
    setup = configure("debug", stream=pipe.stream)
    setup.close()
    setup.close()
    assert (root.level, root.handlers) == before
    assert pipe.rest() == ""


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("a\x00b\rc\x9bd", "abcd"),
        ("user\u202etxt.exe", "usertxt.exe"),
        ("tab\tand\nline stay", "tab\tand\nline stay"),
        ("\x1b", ""),
    ],
)
def test_terminal_escapes_are_removed(raw: str, clean: str) -> None:
    """Nothing logged can move a cursor, set a title or turn text around on the reader's terminal."""
    assert _clean(raw) == clean


@given(st.text(alphabet=st.sampled_from("\x1b[]PX^_\\0;mé a\x07\x9b\u202e\n")))
def test_no_escape_survives(raw: str) -> None:
    """Whatever is logged, no control character but tab and line end is written."""
    assert all(c in "\n\t" or (c >= " " and not "\x7f" <= c <= "\x9f") for c in _clean(raw))
