"""A store with operators in it, and people who sign in."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pyotp

from bot.operators.operator import Listed, Operator
from bot.operators.people import Operators
from bot.operators.signing_in import Session, Signing
from bot.store.sqlite import SqliteStore
from tests.clock import ManualClock
from tests.store.database import opened

KEY = b"k" * 32
BY = "local:root"
PASSWORD = "correct horse battery"
WRONG = "wrong horse battery"
ADDRESS = "192.0.2.7"


class House:
    """Operators and sign-in over one real database file."""

    def __init__(self, store: SqliteStore, data: Path) -> None:
        self.store = store
        self.data = data
        self.clock = ManualClock()
        self.operators = Operators(store, self.clock)
        self.signing = Signing(store, self.clock, KEY)
        self.devices: dict[str, pyotp.TOTP] = {}

    async def add(self, name: str, role: str = "agent") -> Operator:
        return await self.operators.add(Listed(name, role), by=BY)

    async def enrol(self, name: str, role: str = "agent", password: str = PASSWORD) -> Operator:
        """Invited, with a password and a device."""
        added = await self.add(name, role)
        code = await self.operators.invite_code(name, by=BY)
        self.devices[name] = device(await self.signing.accept_invite(code, password))
        await self.signing.confirm_invite(code, self.code(name))
        await self.clock.advance(31)  # the code of this time step is used
        return added

    def code(self, name: str) -> str:
        """What the device shows now."""
        return self.devices[name].at(self.clock.now_ms() // 1000)

    async def sign_in(self, name: str, password: str = PASSWORD, address: str = ADDRESS) -> Session:
        await self.clock.advance(31)
        return await self.signing.sign_in(name, password, self.code(name), address)

    async def audited(self) -> list[tuple[str, str, str, str]]:
        rows = await self.store.read("SELECT actor, action, subject, detail FROM audit ORDER BY number")
        return [(row[0], row[1], row[2], row[3]) for row in rows]


def device(uri: str) -> pyotp.TOTP:
    """An authenticator that has read the QR code."""
    found = pyotp.parse_uri(uri)
    assert isinstance(found, pyotp.TOTP)
    return found


@asynccontextmanager
async def housed(data: Path) -> AsyncIterator[House]:
    async with opened(data) as store:
        yield House(store, data)
