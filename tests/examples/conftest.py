"""A shop of its own for each test, asked over its socket."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from examples.store.shop import Settings, running

TOKEN = "a-token-of-the-shop"


class Client:
    """Speaks to one shop, as whoever has its token."""

    def __init__(self, session: aiohttp.ClientSession, address: str) -> None:
        self.address = address
        self._session = session

    async def get(self, path: str) -> tuple[int, Any]:
        return await self._ask("GET", path, {})

    async def post(self, path: str, key: str = "", /, **body: object) -> tuple[int, Any]:
        return await self._ask("POST", path, {"Idempotency-Key": key} if key else {}, body)

    async def ledger(self) -> list[dict[str, Any]]:
        _, found = await self.get("/ledger")
        entries: list[dict[str, Any]] = found["entries"]
        return entries

    async def _ask(self, method: str, path: str, headers: dict[str, str], body: object = None) -> tuple[int, Any]:
        async with self._session.request(method, self.address + path, headers=headers, json=body) as answer:
            return answer.status, await answer.json()


@asynccontextmanager
async def opened(data: Path, *, has_faults: bool = False) -> AsyncIterator[Client]:
    async with running(Settings(data, TOKEN, port=0, has_faults=has_faults)) as address:
        timeout = aiohttp.ClientTimeout(total=30)
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with aiohttp.ClientSession(headers=headers, timeout=timeout) as session:
            yield Client(session, address)


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Client]:
    async with opened(tmp_path, has_faults=True) as client:
        yield client
