"""Channels: from a platform's webhook to its acknowledgement, and a burst of a thousand questions in Slack.

The platforms are the protocol servers of the tests, in processes of their own; what signs and what connects are their own libraries.
"""

import asyncio
import json
import sqlite3
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp

from benchmarks.chats import vitals
from benchmarks.hooks import Load, SlackPosts, Source, TwilioPosts
from benchmarks.platforms import PUBLIC_URL
from benchmarks.report import Report, folder, latency
from benchmarks.servers import LOAD_CORE, Server
from tests.platforms.slack.registry import POSTING_BURST
from tests.platforms.twilio.ledger import ACCOUNT, NUMBER, TOKEN

Json = dict[str, Any]  # JSON

RATE: Final = 500.0  # webhooks a second
PEOPLE: Final = 1_000
LINES: Final = 50  # keep-alive connections
WORST_MS: Final = 100.0  # a thirtieth of what Slack waits: https://docs.slack.dev/apis/events-api; Twilio waits 15 s
LEAST_SHARE: Final = {"whatsapp": 0.3, "slack": 0.2}  # of the floor's capacity
QUIET_MS: Final = 60_000  # longer than a run: what is measured is taking in, and nothing is answered meanwhile
PATIENCE_S: Final = 60.0  # above what one post a second takes for all who ask in one channel
LOOK_S: Final = 0.25
IN_CHANNEL: Final = 30  # who mention the app in one channel at the same moment
WORST_SHARE: Final = 8.0  # of the bare bot's time, which keeps nothing
OPEN: Final = """
    SELECT (SELECT COUNT(*) FROM inbox WHERE handled_ms IS NULL AND dead_ms IS NULL)
         + (SELECT COUNT(*) FROM outbox WHERE state IN ('planned', 'sending', 'unknown'))"""

WHATSAPP: Final = """
[channels.whatsapp]
enabled = true
quiet_ms = {quiet_ms}
account_sid = "{account}"
auth_token = "{token}"
from = "{number}"
public_url = "{public_url}"
api_url = "http://127.0.0.1:{port}"
"""
SLACK: Final = """
[channels.slack]
enabled = true
quiet_ms = {quiet_ms}
mode = "{mode}"
bot_token = "{bot_token}"
app_token = "{app_token}"
signing_secret = "{signing_secret}"
api_url = "{api_url}"
"""


# --- webhooks --------------------------------------------------------------------------------------------------------


async def webhooks(report: Report, rounds: int, seconds: float) -> None:
    """Each platform's webhooks at a steady rate, then as fast as they are answered, beside the floor's."""
    with folder() as place, Server(["benchmarks.platforms", "twilio", str(place)], core=LOAD_CORE) as platform:
        config = WHATSAPP.format(
            quiet_ms=QUIET_MS,
            account=ACCOUNT,
            token=TOKEN,
            number=NUMBER,
            public_url=PUBLIC_URL,
            port=platform.port,
        )
        secrets = {"token": TOKEN, "signing_secret": "none"}
        await _hooks(report, "whatsapp", config, secrets, rounds, seconds)
    with folder() as place, _slack(place, PEOPLE):
        about = json.loads((place / "slack.json").read_text(encoding="utf-8"))
        config = SLACK.format(quiet_ms=QUIET_MS, mode="http", **about)
        secrets = {"token": "none", "signing_secret": about["signing_secret"]}
        await _hooks(report, "slack", config, secrets, rounds, seconds, about)


async def _hooks(
    report: Report,
    channel: str,
    config: str,
    secrets: Json,
    rounds: int,
    seconds: float,
    about: Json | None = None,
) -> None:
    def source() -> Source:
        return TwilioPosts(ACCOUNT, TOKEN, NUMBER, PEOPLE) if about is None else SlackPosts(about)

    with folder() as place:
        with _daemon(place, config) as server:
            await up(server.port, channel)
            load = await _loaded(server, source(), LINES)
            await vitals(server, place)
            await load.at_rate(RATE, seconds)
            lag_ms = (await vitals(server, place)).get("lag_p99_ms", 0.0)
            load.close()
        _stored(report, f"{channel}: {RATE:.0f} webhooks/s", place, load)
    latency(report, f"{channel}: {RATE:.0f} webhooks/s, to the acknowledgement", load.result, WORST_MS)
    report.add("  loop lag, p99", lag_ms, "ms")
    rates: dict[str, list[float]] = {"floor": [], "frontdesk": []}
    cpu: dict[str, list[float]] = {"floor": [], "frontdesk": []}
    for _ in range(rounds):
        for name in rates:
            with folder() as place:
                (place / "secrets.json").write_text(json.dumps(secrets), encoding="utf-8")
                role = ["benchmarks.platforms", "floor", str(place)]
                with Server(role) if name == "floor" else _daemon(place, config) as server:
                    if name != "floor":
                        await up(server.port, channel)
                    before, load = server.cpu_s(), await _loaded(server, source(), LINES)
                    await load.as_fast_as_answered(seconds / 2)
                    cpu[name].append((server.cpu_s() - before) / max(1, len(load.acknowledged)) * 1e6)
                    load.close()
                rates[name].append(load.result.rate)
                if name != "floor":
                    _stored(report, f"{channel}: at capacity", place, load)
    for name, values in rates.items():
        report.add(f"{channel}: {name}, webhooks over {LINES} connections", statistics.median(values), "1/s")
        report.add(f"{channel}: {name}, CPU", statistics.median(cpu[name]), "us")
    ratio = statistics.median(mine / least for mine, least in zip(rates["frontdesk"], rates["floor"], strict=True))
    least = LEAST_SHARE[channel]
    report.add(f"{channel}: capacity / floor", ratio, "", f"at least {least}", is_met=ratio >= least)


async def _loaded(server: Server, source: Source, lines: int) -> Load:
    load = Load(source)
    await load.connect(server.port, lines)
    return load


def _stored(report: Report, what: str, place: Path, load: Load) -> None:
    """After the process was killed: what it has acknowledged is in its database, each message once."""
    rows = query(place, "SELECT external_id, COUNT(*) FROM messages WHERE author = 'user' GROUP BY external_id")
    stored = dict(rows)
    kept = sum(stored.get(each, 0) == 1 for each in load.acknowledged)
    report.add(f"{what}: stored once", kept, "", f"all {len(load.acknowledged)}", is_met=kept == len(load.acknowledged))
    missing = load.asked - len(load.acknowledged)
    report.add("  not acknowledged", missing, "", "0", is_met=missing == 0)


# --- a burst in Slack ------------------------------------------------------------------------------------------------


@dataclass
class Burst:
    """What a burst came to. `took_s`: until the last call, when everyone was answered and nothing was left to do; `is_over` False where
    that took too long."""

    seen: Json
    took_s: float
    is_over: bool

    @property
    def limited(self) -> int:
        return sum(self.seen["limited"].values())


async def slack_burst(report: Report, count: int) -> None:
    """Everyone writes to the app at the same moment: each in a chat of their own; then some of them in one channel.

    In chats of their own Slack's limit, one message a second in each, holds nobody back: the floor is a bare bot on the same libraries,
    against the same server. In one channel that limit is the floor; whoever streams into threads may be faster."""
    what, bare_s = f"{count} questions in Slack", await _bare(count)
    report.add(f"{what}: a bare bot, all answered after", bare_s, "s")
    burst = await _burst(count)
    _tell(report, what, burst, count)
    ratio = burst.took_s / bare_s
    report.add(
        f"{what}: time / bare bot's",
        ratio,
        "",
        f"at most {WORST_SHARE:g}",
        is_met=burst.is_over and ratio <= WORST_SHARE,
    )
    what, burst = f"{IN_CHANNEL} mentions in one channel", await _burst(IN_CHANNEL, in_channel=True)
    _tell(report, what, burst, IN_CHANNEL)
    ratio = burst.took_s / (IN_CHANNEL - POSTING_BURST)
    report.add(f"{what}: time / one post a second", ratio, "", "at most 1.5", is_met=burst.is_over and ratio <= 1.5)


def _tell(report: Report, what: str, burst: Burst, count: int) -> None:
    seen = burst.seen
    acks = sorted(seen["acks_ms"])
    worst_ms = acks[len(acks) * 99 // 100] if acks else float("inf")
    report.add(f"{what}: acknowledged, p99", worst_ms, "ms", "at most 3000", is_met=worst_ms <= 3000)
    report.add("  not acknowledged within 3 s", seen["missed"], "", "0", is_met=seen["missed"] == 0)
    report.add("  answered once", seen["once"], "", f"{count}", is_met=seen["once"] == count)
    report.add("  answer shown after, p50", seen["shown_p50_s"], "s")
    report.add("  answer shown after, last", seen["shown_s"], "s")
    report.add("  all settled after", burst.took_s, "s", f"within {PATIENCE_S:.0f}", is_met=burst.is_over)
    report.add("  calls of the Web API", seen["calls"], "")
    report.add("  429 received", burst.limited, "")
    for method, times in sorted(seen["limited"].items()):
        report.add(f"    {method}", times, "")
    rules = sorted(set(seen["violations"]))
    report.add("  rules broken", len(seen["violations"]), "", "0", is_met=not rules)
    for rule in rules[:5]:
        print(f"    {rule}")


async def _burst(count: int, *, in_channel: bool = False) -> Burst:
    with folder() as place, _slack(place, count) as platform:
        about = json.loads((place / "slack.json").read_text(encoding="utf-8"))
        with _daemon(place, SLACK.format(quiet_ms=0, mode="socket", **about)) as server:
            await up(server.port, "slack")
            started = time.perf_counter()
            await call(platform.port, "POST", "/burst", {"count": count, "in_channel": in_channel})
            while True:
                await asyncio.sleep(LOOK_S)
                seen = await call(platform.port, "GET", "/seen")
                if seen["once"] == count and query(place, OPEN)[0][0] == 0:
                    return Burst(seen, float(seen["last_s"]), is_over=True)
                if time.perf_counter() - started > PATIENCE_S:
                    return Burst(seen, PATIENCE_S, is_over=False)


async def _bare(count: int) -> float:
    """Seconds in which the bare bot answers the same burst: what the platform's server and Slack's libraries take."""
    with folder() as place, _slack(place, count) as platform, Server(["benchmarks.platforms", "bare", str(place)]):
        await call(platform.port, "POST", "/burst", {"count": count, "in_channel": False})
        deadline = time.perf_counter() + PATIENCE_S
        while time.perf_counter() < deadline:
            await asyncio.sleep(LOOK_S)
            seen = await call(platform.port, "GET", "/seen")
            if seen["once"] == count:
                return float(seen["shown_s"])
        raise RuntimeError(f"the bare bot answered {seen['once']} of {count}")


# --- what both need --------------------------------------------------------------------------------------------------


def _slack(place: Path, people: int) -> Server:
    return Server(["benchmarks.platforms", "slack", str(place), "--people", str(people)], core=LOAD_CORE)


def _daemon(place: Path, config: str) -> Server:
    (place / "channel.toml").write_text(config, encoding="utf-8")
    return Server(["benchmarks.platforms", "daemon", str(place)])


async def up(port: int, channel: str) -> None:
    """Returns once the channel is up."""
    deadline = time.perf_counter() + 30
    state = ""
    while not state.startswith("up"):
        if time.perf_counter() > deadline:
            raise RuntimeError(f"{channel} is {state}")
        await asyncio.sleep(0.05)
        state = str((await call(port, "GET", "/readyz"))["channels"].get(channel, ""))


async def call(port: int, method: str, path: str, body: Json | None = None) -> Json:
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, f"http://127.0.0.1:{port}{path}", json=body) as response,
    ):
        answer: Json = await response.json()
        return answer


def query(place: Path, sql: str) -> list[tuple[Any, ...]]:  # a row's columns are the statement's
    connection = sqlite3.connect(f"file:{place / 'data' / 'frontdesk.db'}?mode=ro", uri=True, timeout=10)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()
