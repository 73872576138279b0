"""Whatever the order in which operators are disabled, linked and named by the config: nobody is found who should not be."""

import asyncio
import tempfile
from contextlib import suppress
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from bot.errors import Refused
from bot.operators.operator import Listed
from bot.store import audit
from tests.operators.house import BY, House, housed

NAMES = ("ada", "bob")
PERSON = ("slack", "acme", "U1")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(("link", "unlink", "disable", "enable")), st.sampled_from(NAMES)),
        st.tuples(st.just("config"), st.sets(st.sampled_from(NAMES))),
    ),
    max_size=12,
)


class Expected:
    """What the accounts are, in a few sets."""

    def __init__(self) -> None:
        self.linked = ""
        self.disabled: set[str] = set()
        self.present = set(NAMES)

    def take(self, what: str, whom: str) -> None:
        match what:
            case "link" if whom in self.present - self.disabled:
                self.linked = whom
            case "unlink" if self.linked == whom:
                self.linked = ""
            case "disable":
                self.disabled.add(whom)
            case "enable":
                self.disabled.discard(whom)

    def found(self) -> str:
        return self.linked if self.linked in self.present - self.disabled else ""


async def take(house: House, what: str, name: str) -> None:
    """What cannot be done is refused and changes nothing."""
    operators = house.operators
    with suppress(Refused):
        match what:
            case "link":
                await operators.link(await operators.link_code(name, by=BY), *PERSON, "Ada")
            case "unlink":
                await operators.unlink(name, "slack", by=BY)
            case "disable":
                await operators.disable(name, by=BY)
            case _:
                await operators.enable(name, by=BY)


async def play(steps: list[tuple[str, str | set[str]]], data: Path) -> None:
    expected = Expected()
    async with housed(data) as house:
        await house.operators.sync([Listed(name, "agent") for name in NAMES])
        for what, whom in steps:
            if isinstance(whom, set):
                expected.present = whom
                await house.operators.sync([Listed(name, "agent") for name in sorted(whom)])
            else:
                expected.take(what, whom)
                await take(house, what, whom)
            found = await house.operators.by_identity(*PERSON)
            assert (found.name if found else "") == expected.found()
        assert (await audit.examine(house.store.read)).broken is None


@settings(max_examples=40, deadline=None)
@given(STEPS)
def test_f100_in_any_order_of_events_only_a_linked_and_enabled_operator_is_found(
    steps: list[tuple[str, str | set[str]]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(play(steps, Path(folder) / "data"))
