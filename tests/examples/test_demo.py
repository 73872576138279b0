"""The shop and its Frontdesk together, as `make demo` runs them: real processes and sockets, the scripted model."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from examples.store import demo, page, seed, walkthrough
from examples.store.walkthrough import Visit


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[demo.House]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FRONTDESK_")}
    async with demo.opened(tmp_path, demo.SCRIPT, kept, has_faults=True) as opened:
        yield opened


async def kinds(house: demo.House) -> list[str]:
    return [each["kind"] for each in await walkthrough.ledger(house.shop, house.token)]


def visiting(house: demo.House, number: int = 0) -> AbstractAsyncContextManager[Visit]:
    identity = page.sign(house.identity_secret, seed.CUSTOMERS[number]._asdict())
    return walkthrough.visiting(house.frontdesk, identity)


async def test_the_visit_shows_one_refund_and_one_booking_after_their_yes(house: demo.House) -> None:
    lines: list[str] = []
    await demo.show(house, lines.append)
    entries = await walkthrough.ledger(house.shop, house.token)
    assert [(each["kind"], each["customer"]) for each in entries] == [("refund", "c1"), ("booking", "c1")]
    assert entries[0]["detail"]["amount"] == 2490
    assert all(each["key"] for each in entries)
    told = "\n".join(lines)
    assert "Order 1003 (1 × Chain lock, 79.00 EUR) is shipped." in told
    assert "24.90 EUR of order 1001 have been refunded (refund-1)." in told
    assert "Tuesday 10:00 is booked (booking-1)." in told


async def test_nothing_happens_before_the_yes(house: demo.House) -> None:
    async with visiting(house) as visit:
        frame = await walkthrough.ask(visit, lambda _: None, "Please refund order 1001")
        assert [each["id"].startswith("consent:") for each in frame["buttons"]] == [True, True]
        assert "24.90 EUR" in frame["text"]
        assert await kinds(house) == []


async def test_f95_another_customers_order_is_not_told_nor_refunded(house: demo.House) -> None:
    async with visiting(house, 1) as visit:
        for words in ("Where is my order 1001?", "Please refund order 1001"):
            frame = await walkthrough.ask(visit, lambda _: None, words)
            assert "no such order" in frame["text"]
            assert not frame.get("buttons")
    assert await kinds(house) == []


async def spoil(house: demo.House, **fault: object) -> None:
    headers = {"Authorization": f"Bearer {house.token}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(f"{house.shop}/faults", json=fault) as answer,
    ):
        assert answer.status == 201


@pytest.mark.parametrize("kind", ["drop_reply", "500_after", "cut", "refuse"])
async def test_f7_a_refund_whose_answer_is_lost_happens_once_and_is_told(house: demo.House, kind: str) -> None:
    await spoil(house, path="/orders/1001/refunds", kind=kind)
    async with visiting(house) as visit:
        frame = await walkthrough.agree(visit, lambda _: None, "Please refund order 1001")
    assert frame["text"] == "24.90 EUR of order 1001 have been refunded (refund-1)."
    assert await kinds(house) == ["refund"]


@pytest.mark.parametrize("kind", ["drop_reply", "500_after"])
async def test_f7_an_email_whose_answer_is_lost_is_looked_up_and_not_sent_again(house: demo.House, kind: str) -> None:
    await spoil(house, path="/emails", method="POST", kind=kind)
    async with visiting(house) as visit:
        frame = await walkthrough.agree(visit, lambda _: None, "E-mail me the details of order 1001")
    assert frame["text"] == "The e-mail to mira@example.com is on its way."
    assert await kinds(house) == ["email"]


def waiting(house: demo.House, what: str) -> list[dict[str, Any]]:
    """What waits for operators: "consent" or "queue"."""
    listed: list[dict[str, Any]] = json.loads(frontdesk(house, what, "list", "--json"))
    return listed


def frontdesk(house: demo.House, *command: str) -> str:
    """What a command of Frontdesk's printed."""
    words = [sys.executable, "-m", "bot", *command, "--config", str(house.config)]
    ended = subprocess.run(words, cwd=demo.ROOT, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


async def test_f7_a_note_whose_answer_is_lost_is_never_written_twice(house: demo.House) -> None:
    await spoil(house, path="/customers/c1/notes", kind="drop_reply", count=5)
    async with visiting(house) as visit:
        await walkthrough.ask(visit, lambda _: None, "Leave a note that I prefer calls after six")
        assert await kinds(house) == []
        (asked,) = await asyncio.to_thread(waiting, house, "consent")
        await asyncio.to_thread(frontdesk, house, "consent", "approve", asked["consent"], "--as", "ada")
        frame = await visit.heard()
    assert "The note is there" not in frame["text"]
    assert await kinds(house) == ["note"]
    assert [each["kind"] for each in await asyncio.to_thread(waiting, house, "queue")] == ["unknown"]


@pytest.mark.parametrize(("order", "people"), [("1002", ["ada"]), ("1004", ["ada", "grace"])])
async def test_a_larger_refund_happens_after_the_yes_of_as_many_colleagues_as_it_needs(
    house: demo.House, order: str, people: list[str]
) -> None:
    async with visiting(house) as visit:
        frame = await walkthrough.agree(visit, lambda _: None, f"Please refund order {order}")
        assert "colleague" in frame["text"]
        for name in people:
            assert await kinds(house) == []
            asked, *_ = await asyncio.to_thread(waiting, house, "consent")
            await asyncio.to_thread(frontdesk, house, "consent", "approve", asked["consent"], "--as", name)
        frame = await visit.heard()
    assert f"of order {order} have been refunded" in frame["text"]
    assert await kinds(house) == ["refund"]


async def test_a_call_from_the_command_line_is_made_and_entered(house: demo.House) -> None:
    """For the person who is named: a read, and an effect with the yes of whoever gives the command."""
    read = await asyncio.to_thread(
        frontdesk, house, "action", "call", "get_order", "--arg", "order=1001", "--as-person", "c1"
    )
    assert "delivered" in read
    words = ("refund_order", "--arg", "order=1001", "--arg", "amount=100", "--as-person", "c1", "--yes")
    await asyncio.to_thread(frontdesk, house, "action", "call", *words)
    assert await kinds(house) == ["refund"]
    entered = await asyncio.to_thread(frontdesk, house, "audit", "--json")
    assert [each["action"] for each in json.loads(entered)][:1] == ["refund_order"]


async def test_the_page_shows_the_widget_of_this_house(house: demo.House) -> None:
    async with aiohttp.ClientSession() as session, session.get(f"{house.shop}/?customer=c2") as answer:
        text = await answer.text()
    assert f'src="{house.frontdesk}/widget.js"' in text
    async with aiohttp.ClientSession() as session, session.get(f"{house.frontdesk}/widget.js") as answer:
        assert answer.status == 200
    identity = text.partition('data-identity="')[2].partition('"')[0]
    headers = {"Origin": house.shop}
    async with aiohttp.ClientSession(headers=headers) as session, session.ws_connect(f"{house.frontdesk}/ws") as socket:
        await socket.send_json({"type": "hello", "version": 1, "identity": identity})
        assert (await socket.receive_json())["type"] == "welcome"


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({}, "script"),
        ({"OPENAI_API_KEY": "k"}, "gpt"),
        ({"ANTHROPIC_API_KEY": "k"}, "claude"),
        ({"OPENAI_API_KEY": ""}, "script"),
    ],
)
def test_the_model_that_there_is_a_key_for_answers(environ: dict[str, str], name: str) -> None:
    assert demo.answering(environ) == name
