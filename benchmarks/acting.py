"""What a call of an action costs, beside the bare request that it makes."""

import json
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp

from benchmarks.report import Report, folder
from benchmarks.servers import Server, pin_load
from bot.clock import SystemClock
from bot.config import find_settings, load
from bot.net.fetch import Fetcher
from bot.net.perimeter import Perimeter
from bot.store.folder import prepare
from bot.store.sqlite import SqliteStore
from bot.tools import Caller
from bot.tools.acting import Acting
from bot.tools.catalogue import Catalogue

CALLS = 1_000
WARM_UP = 100
CONFIG = """
[data]
path = "data"
[[actions]]
name = "get_order"
description = "Reads an order."
method = "GET"
url = "http://127.0.0.1:{port}/orders/{{order}}"
effect = "read"
[actions.parameters]
order = {{ type = "string" }}
[[actions]]
name = "refund_order"
description = "Gives money back."
method = "POST"
url = "http://127.0.0.1:{port}/orders/{{order}}/refunds"
effect = "keyed"
consent = "none"
[actions.parameters]
order = {{ type = "string" }}
amount = {{ type = "integer", role = "amount" }}
"""


async def calls(report: Report, rounds: int) -> None:
    """Bare requests, reads and effects in turn, one after another."""
    taken: dict[str, list[float]] = {"bare": [], "read": [], "effect": []}
    cpu: dict[str, list[float]] = {"bare": [], "read": [], "effect": []}
    pin_load()
    with folder() as place, Server(["benchmarks.target"]) as server:
        (place / "config.toml").write_text(CONFIG.format(port=server.port), encoding="utf-8")
        config = load(place / "config.toml", {}, adapters=find_settings)
        clock = SystemClock()
        fetcher = Fetcher(Perimeter(None), clock, 1_000_000)
        catalogue = Catalogue(config, fetcher, clock)
        await catalogue.open()
        prepare(place / "data")
        store = await SqliteStore.open(place / "data")
        acting = Acting(store, clock, catalogue, lambda: b"k" * 32)
        try:
            async with aiohttp.ClientSession() as session:
                ways = {
                    "bare": lambda number: _bare(session, server.port, number),
                    "read": lambda number: _act(acting, catalogue, "get_order", number),
                    "effect": lambda number: _act(acting, catalogue, "refund_order", number),
                }
                for turn in range(rounds):
                    for name, way in ways.items():
                        p50, used = await _measured(way, turn * (CALLS + WARM_UP))
                        taken[name].append(p50)
                        cpu[name].append(used)
        finally:
            await store.close()
            await fetcher.close()
            await catalogue.close()
    bare_ms, bare_us = statistics.median(taken["bare"]), statistics.median(cpu["bare"])
    report.add("bare request: p50", bare_ms, "ms")
    report.add("bare request: CPU", bare_us, "us")
    for name, what in (("read", "read, with its row in the ledger"), ("effect", "effect, entered, begun and settled")):
        report.add(f"{what}: added p50", statistics.median(taken[name]) - bare_ms, "ms")
        report.add(f"{what}: added CPU", statistics.median(cpu[name]) - bare_us, "us")


async def _measured(way: Callable[[int], Awaitable[None]], first: int) -> tuple[float, float]:
    """The median in milliseconds, and the CPU of one call in microseconds, all threads."""
    for number in range(first, first + WARM_UP):
        await way(number)
    taken, before = [], time.process_time()
    for number in range(first + WARM_UP, first + WARM_UP + CALLS):
        began = time.perf_counter()
        await way(number)
        taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken), (time.process_time() - before) / CALLS * 1e6


async def _bare(session: aiohttp.ClientSession, port: int, number: int) -> None:
    body = {"order": str(number), "amount": 100}
    async with session.post(f"http://127.0.0.1:{port}/orders/{number}/refunds", json=body) as response:
        await response.json()


async def _act(acting: Acting, catalogue: Catalogue, name: str, number: int) -> None:
    action = catalogue.get(name)
    assert action is not None
    arguments: dict[str, Any] = {"order": str(number)}
    if name == "refund_order":
        arguments["amount"] = 100
    once = f"{name}-{number}"
    caller = Caller("", once, "bench", once, once, "main")
    output = await acting.run(action, once, json.dumps(arguments), caller, 10.0)
    if output.is_error:
        raise RuntimeError(output.text)
