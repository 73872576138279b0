"""The shop as a process: it says when it is ready, ends when told, and keeps its word when it is killed."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from tests.examples.conftest import TOKEN, Client

ROOT = Path(__file__).parents[2]
MANY = 12  # refunds asked for at once


@asynccontextmanager
async def process(data: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, Client]]:
    started = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "examples.store.shop", "--port", "0", "--data", str(data)),
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env=os.environ | {"SHOP_TOKEN": TOKEN},
    )
    assert started.stdout is not None
    try:
        line = (await started.stdout.readline()).decode()
        address = line.partition("ready: ")[2].strip().rstrip("/")
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=30)) as session:
            yield started, Client(session, address)
    finally:
        if started.returncode is None:
            started.kill()
        await started.communicate()


async def refund(shop: Client, key: str) -> int:
    status, _ = await shop.post("/orders/1004/refunds", key, customer="c1", amount=100, currency="EUR")
    return status


async def test_it_ends_when_it_is_told_to(tmp_path: Path) -> None:
    async with process(tmp_path) as (running, shop):
        assert (await shop.get("/slots"))[0] == 200
        running.send_signal(signal.SIGTERM)
        async with asyncio.timeout(20):
            assert await running.wait() == 0


def test_it_does_not_start_without_a_token(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "examples.store.shop", "--port", "0", "--data", str(tmp_path)]
    environ = {name: value for name, value in os.environ.items() if name != "SHOP_TOKEN"}
    ended = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2
    assert "SHOP_TOKEN" in ended.stderr


async def test_f7_killed_at_any_moment_a_repeated_key_is_still_one_effect(tmp_path: Path) -> None:
    keys = [f"k{number}" for number in range(MANY)]
    for round_ in range(3):
        async with process(tmp_path) as (running, shop):
            asking = [asyncio.ensure_future(refund(shop, key)) for key in keys]
            done, _ = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
            assert {each.result() for each in done} == {201}, round_
            running.kill()
            await asyncio.gather(*asking, return_exceptions=True)
    async with process(tmp_path) as (_, shop):
        assert [await refund(shop, key) for key in keys] == [201] * MANY
        entries = await shop.ledger()
        assert sorted(each["key"] for each in entries) == sorted(keys)
        _, order = await shop.get("/orders/1004?customer=c1")
        assert order["refunded"] == 100 * MANY
