"""The example shop does what its answers say, once for each key, and for the customer alone."""

import asyncio
from itertools import product
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest

from examples.store import page, seed
from tests.examples.conftest import TOKEN, Client, opened

REFUND: dict[str, Any] = {"customer": "c1", "amount": 2490, "currency": "EUR", "reason": "bell too loud"}
REFUNDS = "/orders/1001/refunds"
MAIL = {"customer": "c1", "order": "1001", "email": "mira@example.com"}


async def kinds(shop: Client) -> list[str]:
    return [each["kind"] for each in await shop.ledger()]


# --- keys ----------------------------------------------------------------------------------------------------------------


async def test_the_same_key_gives_the_first_answer_back_and_one_effect(shop: Client) -> None:
    first = await shop.post(REFUNDS, "k1", **REFUND)
    assert first == (201, {"id": "refund-1", "status": "refunded", "order": "1001", "amount": 2490, "currency": "EUR"})
    assert await shop.post(REFUNDS, "k1", **REFUND) == first
    assert [(each["kind"], each["key"]) for each in await shop.ledger()] == [("refund", "k1")]


async def test_the_same_key_at_the_same_time_is_one_effect(shop: Client) -> None:
    answers = await asyncio.gather(*(shop.post(REFUNDS, "k1", **REFUND) for _ in range(20)))
    assert {status for status, _ in answers} == {201}
    assert await kinds(shop) == ["refund"]


@pytest.mark.parametrize("other", [{"amount": 2000}, {"reason": "changed my mind"}])
async def test_a_key_with_other_parameters_is_refused(shop: Client, other: dict[str, Any]) -> None:
    await shop.post(REFUNDS, "k1", **REFUND | {"amount": 100})
    status, answer = await shop.post(REFUNDS, "k1", **REFUND | {"amount": 100} | other)
    assert (status, answer["code"]) == (422, "key_reused")
    assert await kinds(shop) == ["refund"]


async def test_a_key_belongs_to_one_operation(shop: Client) -> None:
    await shop.post("/bookings", "k1", customer="c1", slot="tue-1000")
    status, answer = await shop.post(REFUNDS, "k1", **REFUND)
    assert (status, answer["code"]) == (422, "key_reused")
    assert await kinds(shop) == ["booking"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (REFUNDS, REFUND),
        ("/orders/1001/returns", {"customer": "c1", "item": "bell-brass"}),
        ("/bookings", {"customer": "c1", "slot": "tue-1000"}),
        ("/emails", MAIL),
    ],
)
async def test_what_needs_a_key_does_nothing_without_one(shop: Client, path: str, body: dict[str, Any]) -> None:
    status, answer = await shop.post(path, **body)
    assert (status, answer["code"]) == (400, "no_key")
    assert await shop.ledger() == []


async def test_keys_effects_and_the_ledger_survive_a_restart(tmp_path: Path) -> None:
    async with opened(tmp_path) as shop:
        first = await shop.post(REFUNDS, "k1", **REFUND)
        ledger = await shop.ledger()
    async with opened(tmp_path) as shop:
        assert await shop.post(REFUNDS, "k1", **REFUND) == first
        assert await shop.ledger() == ledger


# --- money ---------------------------------------------------------------------------------------------------------------


async def test_never_more_than_the_total_is_refunded(shop: Client) -> None:
    status, answer = await shop.post(REFUNDS, "k1", **REFUND | {"amount": 2491})
    assert (status, answer["code"]) == (422, "too_much")
    assert (await shop.post(REFUNDS, "k2", **REFUND | {"amount": 2000}))[0] == 201
    status, answer = await shop.post(REFUNDS, "k3", **REFUND | {"amount": 491})
    assert (status, answer["code"]) == (422, "too_much")
    assert (await shop.post(REFUNDS, "k4", **REFUND | {"amount": 490}))[0] == 201
    status, answer = await shop.post(REFUNDS, "k5", **REFUND | {"amount": 1})
    assert (status, answer["code"]) == (409, "refunded")
    assert sum(each["detail"]["amount"] for each in await shop.ledger()) == 2490


async def test_refunds_at_the_same_time_never_exceed_the_total(shop: Client) -> None:
    answers = await asyncio.gather(
        *(shop.post(REFUNDS, f"k{number}", **REFUND | {"amount": 1000}) for number in range(10))
    )
    assert sorted(status for status, _ in answers) == [201] * 2 + [422] * 8


@pytest.mark.parametrize("amount", [0, -1, 5.0, 1e9, "5", True, None])
async def test_only_a_whole_positive_amount_is_one(shop: Client, amount: object) -> None:
    status, answer = await shop.post(REFUNDS, "k1", **REFUND | {"amount": amount})
    assert (status, answer["code"]) == (400, "bad_body")
    assert await shop.ledger() == []


async def test_another_currency_is_refused(shop: Client) -> None:
    status, answer = await shop.post(REFUNDS, "k1", **REFUND | {"currency": "USD"})
    assert (status, answer["code"]) == (422, "bad_currency")


async def test_an_order_tells_what_is_left_to_refund(shop: Client) -> None:
    await shop.post(REFUNDS, "k1", **REFUND | {"amount": 490})
    _, order = await shop.get("/orders/1001?customer=c1")
    assert (order["total"], order["refunded"], order["refundable"]) == (2490, 490, 2000)


async def test_a_refund_can_be_looked_up_by_its_key_alone(shop: Client) -> None:
    assert await shop.get("/refunds?key=k1") == (200, [])
    await shop.post(REFUNDS, "k1", **REFUND)
    status, found = await shop.get("/refunds?key=k1")
    assert status == 200
    assert [(each["order"], each["amount"], each["currency"]) for each in found] == [("1001", 2490, "EUR")]


# --- whose it is ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("customer", "order"), list(product(seed.CUSTOMERS, seed.ORDERS)))
async def test_f95_somebody_elses_order_does_not_exist(
    shop: Client, customer: seed.Customer, order: seed.Order
) -> None:
    is_own = order.customer == customer.id
    status, answer = await shop.get(f"/orders/{order.id}?customer={customer.id}")
    assert status == (200 if is_own else 404)
    assert is_own or answer == (await shop.get(f"/orders/9999?customer={customer.id}"))[1]
    body = {"customer": customer.id, "amount": 1, "currency": order.currency}
    status, _ = await shop.post(f"/orders/{order.id}/refunds", "k1", **body)
    assert status == (201 if is_own else 404)
    assert len(await shop.ledger()) == is_own


async def test_a_list_holds_only_ones_own_orders(shop: Client) -> None:
    _, found = await shop.get("/orders?customer=c2")
    assert [each["id"] for each in found["orders"]] == ["2001", "2002"]


@pytest.mark.parametrize("token", ["", "Bearer", f"Bearer {TOKEN}x", "Bearer ü", f"Bearer {TOKEN[:-1]}", TOKEN])
@pytest.mark.parametrize("path", ["/me?customer=c1", "/orders?customer=c1", "/ledger", "/slots", "/refunds?key=k"])
async def test_nothing_is_told_without_the_token(shop: Client, path: str, token: str) -> None:
    async with aiohttp.ClientSession() as session:
        headers = {"Authorization": token} if token else {}
        async with session.get(shop.address + path, headers=headers) as answer:
            assert answer.status == 401
            assert (await answer.json())["code"] == "bad_token"


# --- the other effects ---------------------------------------------------------------------------------------------------


async def test_a_time_is_booked_once(shop: Client) -> None:
    booked = await shop.post("/bookings", "k1", customer="c1", slot="tue-1000")
    assert booked == (201, {"id": "booking-1", "status": "booked", "slot": "tue-1000", "label": "Tuesday 10:00"})
    status, answer = await shop.post("/bookings", "k2", customer="c2", slot="tue-1000")
    assert (status, answer["code"]) == (409, "taken")
    _, found = await shop.get("/slots")
    assert "tue-1000" not in [each["id"] for each in found["slots"]]
    assert len(found["slots"]) == len(seed.SLOTS) - 1


async def test_only_what_was_delivered_can_be_returned_and_only_once(shop: Client) -> None:
    status, answer = await shop.post("/orders/1003/returns", "k1", customer="c1", item="lock-chain")
    assert (status, answer["code"]) == (409, "not_delivered")
    assert (await shop.post("/orders/1001/returns", "k2", customer="c1", item="bell-brass"))[0] == 201
    status, answer = await shop.post("/orders/1001/returns", "k3", customer="c1", item="bell-brass")
    assert (status, answer["code"]) == (409, "returned")
    status, answer = await shop.post("/orders/1001/returns", "k4", customer="c1", item="lock-chain")
    assert (status, answer["code"]) == (422, "no_item")
    assert await kinds(shop) == ["return"]


async def test_a_note_has_no_key_so_each_call_adds_one(shop: Client) -> None:
    for _ in range(2):
        await shop.post("/customers/c1/notes", "k1", text="asked about bells")
    assert [(each["kind"], each["key"]) for each in await shop.ledger()] == [("note", ""), ("note", "")]


async def test_an_email_reaches_the_mail_server_and_can_be_looked_up(shop: Client) -> None:
    assert (await shop.get("/emails?key=k1"))[0] == 404
    assert (await shop.post("/emails", "k1", **MAIL))[0] == 201
    assert await shop.get("/emails?key=k1") == (200, {"id": "mail-1", "status": "sent", "to": "mira@example.com"})
    assert [(each["kind"], each["key"], each["customer"]) for each in await shop.ledger()] == [("email", "k1", "c1")]


async def test_an_email_asked_for_twice_is_sent_twice_whatever_its_key(shop: Client) -> None:
    for _ in range(2):
        await shop.post("/emails", "k1", **MAIL)
    assert await kinds(shop) == ["email", "email"]


@pytest.mark.parametrize(
    "address", ["jonas@example.com", "mira@example.com, jonas@example.com", "mira@example.com\r\n"]
)
async def test_an_email_goes_to_the_customers_own_address_alone(shop: Client, address: str) -> None:
    status, answer = await shop.post("/emails", "k1", **MAIL | {"email": address})
    assert (status, answer["code"]) == (422, "not_theirs")
    assert await shop.ledger() == []


async def test_the_ledger_tells_when_and_for_whom(shop: Client) -> None:
    await shop.post("/bookings", "k1", customer="c3", slot="fri-1600")
    (entry,) = await shop.ledger()
    assert entry["customer"] == "c3"
    assert entry["at_ms"] > 1_700_000_000_000
    assert entry["detail"]["slot"] == "fri-1600"


# --- faults --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["drop_reply", "cut"])
async def test_f7_an_answer_is_lost_after_the_effect_and_the_key_finds_it(shop: Client, kind: str) -> None:
    await shop.post("/faults", path=REFUNDS, kind=kind)
    with pytest.raises(aiohttp.ClientError):
        await shop.post(REFUNDS, "k1", **REFUND)
    assert await kinds(shop) == ["refund"]
    assert (await shop.post(REFUNDS, "k1", **REFUND))[0] == 201
    assert await kinds(shop) == ["refund"]


async def test_a_server_error_can_come_after_the_effect(shop: Client) -> None:
    await shop.post("/faults", path="/customers/c1/notes", kind="500_after")
    assert (await shop.post("/customers/c1/notes", text="hello"))[0] == 500
    assert await kinds(shop) == ["note"]


async def test_a_busy_shop_does_nothing_as_often_as_was_ordered(shop: Client) -> None:
    await shop.post("/faults", path=REFUNDS, kind="refuse", count=2)
    assert [(await shop.post(REFUNDS, "k1", **REFUND))[0] for _ in range(3)] == [503, 503, 201]
    assert await kinds(shop) == ["refund"]


async def test_a_slow_answer_comes_after_the_effect_and_does_not_hold_up_the_end(tmp_path: Path) -> None:
    async with opened(tmp_path, has_faults=True) as shop:
        await shop.post("/faults", path=REFUNDS, kind="slow", seconds=600)
        waiting = asyncio.ensure_future(shop.post(REFUNDS, "k1", **REFUND))
        async with asyncio.timeout(10):
            while await kinds(shop) != ["refund"]:
                assert not waiting.done()
        assert not waiting.done()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


async def test_a_fault_can_be_for_one_method(shop: Client) -> None:
    await shop.post("/faults", path="/emails", method="GET", kind="refuse")
    assert (await shop.post("/emails", "k1", **MAIL))[0] == 201
    assert (await shop.get("/emails?key=k1"))[0] == 503


async def test_no_fault_can_be_ordered_unless_it_was_asked_for(tmp_path: Path) -> None:
    async with opened(tmp_path) as shop:
        assert (await shop.post("/faults", path=REFUNDS, kind="refuse"))[0] == 404
        assert (await shop.post(REFUNDS, "k1", **REFUND))[0] == 201


# --- the page ------------------------------------------------------------------------------------------------------------


def test_the_page_signs_the_chosen_customer_and_shows_no_secret() -> None:
    secret = "a secret that is long enough for a signature"
    customer = seed.CUSTOMERS[1]._asdict() | {"name": "<b>Jonas</b>"}
    text = page.render(page.Host("http://127.0.0.1:8080", secret), customer, [customer], [])
    assert "<b>" not in text
    assert secret not in text
    token = text.partition('data-identity="')[2].partition('"')[0]
    claims = jwt.decode(token, secret, ["HS256"], audience="frontdesk")
    assert (claims["sub"], claims["name"]) == ("c2", "<b>Jonas</b>")


@pytest.mark.parametrize(
    ("amount", "currency", "text"), [(5, "EUR", "0.05 EUR"), (189_000, "EUR", "1890.00 EUR"), (4800, "JPY", "4800 JPY")]
)
def test_money_is_written_as_its_currency_is(amount: int, currency: str, text: str) -> None:
    assert page.money(amount, currency) == text
