"""`make bench`: every figure beside the floor that was taken in the same run, the two interleaved.

The server is held to one core and the load to the other. Ratios are what counts; absolute numbers belong to the machine of the day.
"""

import argparse
import asyncio
import json
import os
import platform
import signal
import sqlite3
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import acting, channels, chats, handoff, models, restart
from benchmarks.load import closed_loop
from benchmarks.report import Report, folder, latency
from benchmarks.servers import Server, pin_load

SOCKETS = 100


async def throughput(report: Report, rounds: int, seconds: float) -> None:
    """Floor, accepting and whole turns in turn, so that the machine's moods fall on all three."""
    rates: dict[str, list[float]] = {"floor": [], "accept": [], "turns": []}
    cpu: dict[str, list[float]] = {"floor": [], "accept": [], "turns": []}
    lag = 0.0
    for _ in range(rounds):
        for name, command, until in (
            ("floor", ["benchmarks.floor"], b"message"),
            ("accept", ["benchmarks.daemon", "--quiet-ms", "60000"], b"ack"),
            ("turns", ["benchmarks.daemon", "--sample"], b"message"),
        ):
            with folder() as place, Server([command[0], str(place), *command[1:]]) as server:
                before = server.cpu_s()
                result = await closed_loop(server.port, SOCKETS, seconds, until=until, says_hello=name != "floor")
                rates[name].append(result.rate)
                cpu[name].append((server.cpu_s() - before) / (result.rate * (result.seconds + 1.0)) * 1e6)
                if name == "turns":
                    lag = max(lag, (await chats.vitals(server, place)).get("lag_p99_ms", 0.0))
    for name, values in rates.items():
        report.add(f"{name}: rate, {SOCKETS} sockets", statistics.median(values), "1/s")
        report.add(f"{name}: CPU", statistics.median(cpu[name]), "us")
    for name, least in (("accept", 0.5), ("turns", 0.35)):
        ratio = statistics.median(mine / floor for mine, floor in zip(rates[name], rates["floor"], strict=True))
        report.add(f"{name} / floor-store", ratio, "", f"at least {least}", is_met=ratio >= least)
    report.add("loop lag at saturation, p99", lag, "ms", "at most 20", is_met=lag <= 20)


async def start_up(report: Report, rounds: int) -> None:
    """From the process's start to its being ready, floor and `frontdesk serve` with the config as shipped."""
    floor, daemon, resident = [], [], []
    for _ in range(rounds):
        with folder() as place, Server(["benchmarks.floor", str(place)]) as server:
            floor.append(server.ready_s)
        with folder() as place:
            seconds, kilobytes = await restart.serve_default(place)
            daemon.append(seconds)
            resident.append(kilobytes / 1024)
    ratio = statistics.median(mine / theirs for mine, theirs in zip(daemon, floor, strict=True))
    report.add("floor: ready after", statistics.median(floor), "s")
    report.add("frontdesk serve: ready after", statistics.median(daemon), "s")
    report.add("start / floor's start", ratio, "", "at most 2", is_met=ratio <= 2)
    size = statistics.median(resident)
    report.add("resident, default config, documents indexed", size, "MB", "at most 80", is_met=size <= 80)


def disk(report: Report) -> float:
    """The disk's own part: one small SQLite commit at FULL. Returns the median in ms."""
    with folder() as place:
        connection = sqlite3.connect(place / "disk.db", isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("CREATE TABLE t (x TEXT)")
        spent = []
        for _ in range(200):
            started = time.perf_counter()
            connection.execute("INSERT INTO t VALUES ('x')")
            spent.append((time.perf_counter() - started) * 1000)
        connection.close()
    report.add("one commit with its fsync, p50", statistics.median(spent), "ms")
    return statistics.median(spent)


async def first_token(report: Report, fsync_ms: float) -> None:
    with folder() as place, Server(["benchmarks.daemon", str(place)]) as server:
        result = await chats.first_delta(server.port, 200)
    added = result.percentile(0.5) - fsync_ms
    report.add("message to first delta, idle, p50", result.percentile(0.5), "ms")
    report.add("  on top of the disk's fsync", added, "ms", "under 10", is_met=added < 10)


async def many_chats(report: Report, count: int, seconds: float) -> None:
    with folder() as place, Server(["benchmarks.floor", str(place)]) as server:
        floor_kb = await chats.idle_kb(server, count, says_hello=False)
    with folder() as place, Server(["benchmarks.daemon", str(place), "--sample"]) as server:
        seen = await chats.many(server, place, count, 500, seconds)
    report.add(f"floor: one idle socket of {count}", floor_kb, "KB")
    report.add(f"one idle chat of {count}", seen.idle_kb, "KB", "at most 27", is_met=seen.idle_kb <= 27)
    latency(report, f"500 turns/s over {count} chats: whole turn", seen.turns, 30)
    report.add("  answered", seen.turns.done, "", f"of {seen.asked}", is_met=seen.turns.done == seen.asked)
    report.add("  loop lag, p99", seen.lag_p99_ms, "ms", "at most 20", is_met=seen.lag_p99_ms <= 20)
    report.add("  resident", seen.resident_mb, "MB")


async def burst(report: Report) -> None:
    with folder() as place, Server(["benchmarks.daemon", str(place)]) as server:
        acks = await chats.burst(server.port, 500, 500, 10.0)
    latency(report, "500 messages/s: to the acknowledgement", acks, 250)


async def killed(report: Report) -> None:
    with folder() as place:
        seen = await restart.kill_in_flight(place, 20)
    report.add("kill -9 with 20 turns in flight: kept", seen.kept, "", "20", is_met=seen.kept == 20)
    report.add("  answered once", seen.answered_once, "", "20", is_met=seen.answered_once == 20)
    report.add("  answered within, of ready", seen.seconds, "s", "at most 3", is_met=seen.seconds <= 3)


async def main(given: argparse.Namespace) -> int:
    pin_load()
    report = Report()
    print(
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    )
    parts: dict[str, Callable[[], Any]] = {
        "throughput": lambda: throughput(report, given.rounds, given.seconds),
        "start": lambda: start_up(report, given.rounds),
        "first": lambda: first_token(report, disk(report)),
        "burst": lambda: burst(report),
        "chats": lambda: many_chats(report, given.chats, given.seconds * 5),
        "kill": lambda: killed(report),
        "models": lambda: models.throughput(report, given.rounds, given.seconds),
        "history": lambda: models.history(report),
        "model-chats": lambda: models.many_chats(report, given.chats, given.seconds * 5),
        "visible": lambda: models.first_visible(report),
        "webhooks": lambda: channels.webhooks(report, given.rounds, given.seconds),
        "slack-burst": lambda: channels.slack_burst(report, given.people),
        "actions": lambda: acting.calls(report, given.rounds),
        "handoff": lambda: handoff.watched(report, given.seconds * 5),
    }
    for name, part in parts.items():
        if not given.only or name in given.only:
            await part()
    if given.json:
        given.json.write_text(json.dumps(report.rows, indent=1), encoding="utf-8")
    missed = [row["what"] for row in report.rows if row["met"] is False]
    print(f"missed: {', '.join(missed)}" if missed else "every target met")
    return 1 if missed else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--chats", type=int, default=10_000)
    parser.add_argument("--people", type=int, default=1_000, help="who write in Slack at the same moment")
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--json", type=Path)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(asyncio.run(main(parser.parse_args())))
