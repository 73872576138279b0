"""Figures with a model in the path: a local model server, the providers' real SDKs, and floors that make the same call.

The model server runs on the load's core. `floor-sdk` commits, calls the model through the same SDK and connections, streams, commits and
replies; `floor-raw` does so with nothing but aiohttp.
"""

import statistics
import time

from benchmarks import chats
from benchmarks.load import ask, closed_loop
from benchmarks.report import Report, folder
from benchmarks.servers import LOAD_CORE, Server
from benchmarks.wire import Socket

PROVIDERS = ("anthropic", "openai")
SOCKETS = 100
CHUNKS = 20
LEAST = 0.7  # of floor-sdk
MODEL_MS = 50
ADDED_MS = 60
RESIDENT_MB = 400
HISTORY = 200
HISTORY_MOST = 1.5
WORDS, WORDS_A_SECOND = 200, 50


async def throughput(report: Report, rounds: int, seconds: float) -> None:
    """Both SDKs, streaming and not, each in turn with its floor. The floor's call holds one message, so the daemon's keeps as little of the
    past: what a history costs is `history`'s to say."""
    for is_whole in (False, True):
        way = "not streaming" if is_whole else f"{CHUNKS} chunks"
        flags = ["--whole"] if is_whole else []
        rates: dict[str, list[float]] = {}
        cpu: dict[str, list[float]] = {}
        for _ in range(rounds):
            with Server(["benchmarks.model", "--chunks", str(CHUNKS)], core=LOAD_CORE) as model:
                url = f"http://127.0.0.1:{model.port}"
                runs = {"floor-raw": ["benchmarks.floor", "--model", "raw"]}
                for provider in PROVIDERS:
                    runs[f"floor-sdk {provider}"] = ["benchmarks.floor", "--model", provider]
                    runs[provider] = ["benchmarks.daemon", "--provider", provider, "--history", "1"]
                for name, command in runs.items():
                    rate, spent = await one_run(
                        [*command, "--url", url, *flags], seconds, says_hello="floor" not in name
                    )
                    rates.setdefault(name, []).append(rate)
                    cpu.setdefault(name, []).append(spent)
        for name, values in rates.items():
            report.add(f"{name}, {way}: rate, {SOCKETS} sockets", statistics.median(values), "1/s")
            report.add(f"{name}, {way}: CPU", statistics.median(cpu[name]), "us")
        for provider in PROVIDERS:
            pairs = zip(rates[provider], rates[f"floor-sdk {provider}"], strict=True)
            ratio = statistics.median(mine / floor for mine, floor in pairs)
            report.add(f"{provider}, {way}: turns / floor-sdk", ratio, "", f"at least {LEAST}", is_met=ratio >= LEAST)


async def one_run(
    command: list[str], seconds: float, *, says_hello: bool, sockets: int = SOCKETS
) -> tuple[float, float]:
    """Turns a second and CPU a turn in microseconds."""
    with folder() as place, Server([command[0], str(place), *command[1:]]) as server:
        await warm(server, says_hello=says_hello)
        before = server.cpu_s()
        result = await closed_loop(server.port, sockets, seconds, until=b"message", says_hello=says_hello)
        return result.rate, (server.cpu_s() - before) / (result.rate * (result.seconds + 1.0)) * 1e6


async def warm(server: Server, *, says_hello: bool) -> None:
    """The first question waits for the SDK's import, which belongs to no turn."""
    ledger = chats.Ledger(b"message")
    [socket] = await ledger.open(server.port, 1, says_hello=says_hello)
    await answered(ledger, socket)
    chats.close([socket])


async def history(report: Report) -> None:
    """CPU of a turn whose conversation has 200 messages, against one that keeps a single one."""
    with Server(["benchmarks.model", "--chunks", "1"], core=LOAD_CORE) as model:
        for provider in PROVIDERS:
            url = f"http://127.0.0.1:{model.port}"
            command = ["benchmarks.daemon", "--provider", provider, "--url", url, "--whole", "--history"]
            spent = {most: await grown(command, most) for most in (1, HISTORY)}
            ratio = spent[HISTORY] / spent[1]
            report.add(f"{provider}: CPU with 1 message of history", spent[1], "us")
            report.add(f"{provider}: CPU with {HISTORY}", spent[HISTORY], "us")
            report.add("  ratio", ratio, "", f"at most {HISTORY_MOST}", is_met=ratio <= HISTORY_MOST)


async def grown(command: list[str], most: int) -> float:
    """CPU of a turn in microseconds, once each of ten conversations is as long as it may get."""
    sockets, turns = 10, 300
    with folder() as place, Server([command[0], str(place), *command[1:], str(most)]) as server:
        await warm(server, says_hello=True)
        ledger = chats.Ledger(b"message")
        opened = await ledger.open(server.port, sockets)
        for _ in range(HISTORY // 2 + 5):
            for socket in opened:
                ask(socket)
                ledger.waiting[socket] = socket.sent_at
            await chats.until_empty(ledger)
        before = server.cpu_s()
        for _ in range(turns):
            for socket in opened:
                ask(socket)
                ledger.waiting[socket] = socket.sent_at
            await chats.until_empty(ledger)
        spent = (server.cpu_s() - before) / (turns * sockets) * 1e6
        chats.close(opened)
        return spent


async def many_chats(report: Report, count: int, seconds: float) -> None:
    """Open chats against a model that takes its time; what is beyond that time is ours."""
    with Server(
        ["benchmarks.model", "--chunks", str(CHUNKS), "--wait-s", str(MODEL_MS / 1000)], core=LOAD_CORE
    ) as model:
        url = f"http://127.0.0.1:{model.port}"
        for provider in PROVIDERS:
            command = ["benchmarks.daemon", "--provider", provider, "--url", url, "--sample"]
            with folder() as place, Server([command[0], str(place), *command[1:]]) as server:
                await warm(server, says_hello=True)
                seen = await chats.many(server, place, count, 500, seconds)
            added = seen.turns.percentile(0.99) - MODEL_MS
            is_bound = provider == "anthropic"
            target = f"at most {ADDED_MS}" if is_bound else ""
            what = f"{provider}: 500 turns/s over {count} chats, {MODEL_MS} ms model"
            report.add(f"{what}, added p50", seen.turns.percentile(0.5) - MODEL_MS, "ms")
            report.add(f"{what}, added p99", added, "ms", target, is_met=added <= ADDED_MS if is_bound else None)
            report.add("  answered", seen.turns.done, "", f"of {seen.asked}", is_met=seen.turns.done == seen.asked)
            report.add("  loop lag, p99", seen.lag_p99_ms, "ms")
            is_small = seen.resident_mb <= RESIDENT_MB
            report.add("  resident", seen.resident_mb, "MB", f"at most {RESIDENT_MB}", is_met=is_small)


async def first_visible(report: Report) -> None:
    """How soon a person reads the beginning of a long answer."""
    pace = str(1 / WORDS_A_SECOND)
    with Server(["benchmarks.model", "--chunks", str(WORDS), "--pace-s", pace], core=LOAD_CORE) as model:
        for provider in PROVIDERS:
            url = f"http://127.0.0.1:{model.port}"
            with (
                folder() as place,
                Server(["benchmarks.daemon", str(place), "--provider", provider, "--url", url]) as server,
            ):
                await warm(server, says_hello=True)
                delta, whole = chats.Ledger(b"delta"), chats.Ledger(b"message")
                [watching] = await delta.open(server.port, 1)
                ask(watching)
                delta.waiting[watching] = watching.sent_at
                await chats.until_empty(delta)
                [waiting] = await whole.open(server.port, 1)
                await answered(whole, waiting)
                chats.close([watching, waiting])
            first, last = delta.result.percentile(0.5), whole.result.percentile(0.5)
            report.add(f"{provider}: {WORDS} tokens at {WORDS_A_SECOND}/s: first text", first, "ms")
            report.add(f"{provider}: the whole answer", last, "ms")
            report.add("  first / whole", first / last, "", "at most 0.5", is_met=first / last <= 0.5)


async def answered(ledger: chats.Ledger, socket: Socket) -> None:
    ask(socket)
    ledger.waiting[socket] = time.perf_counter()
    await chats.until_empty(ledger)
