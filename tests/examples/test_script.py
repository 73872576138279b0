"""The scripted model decides from words and tool results alone, and claims nothing that a tool did not say."""

import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest

from examples.store.model import serving
from examples.store.script import DECIDE, Call, Say, decide

ORDER = {
    "id": "1001",
    "status": "delivered",
    "total": 2490,
    "refundable": 2000,
    "currency": "EUR",
    "items": [
        {"sku": "bell-brass", "name": "Brass bell", "quantity": 1},
        {"sku": "tube-28", "name": "Inner tube", "quantity": 2},
    ],
}
SLOTS = {"slots": [{"id": "tue-1000", "label": "Tuesday 10:00"}, {"id": "wed-0900", "label": "Wednesday 09:00"}]}
REFUNDED = {"id": "refund-1", "status": "refunded", "order": "1001", "amount": 2490, "currency": "EUR"}


def talk(words: str, *results: tuple[str, Any]) -> list[dict[str, Any]]:
    """A request's messages: the user's words, then calls with what they gave."""
    made: list[dict[str, Any]] = [{"role": "system", "content": "You serve."}, {"role": "user", "content": words}]
    for number, (name, given) in enumerate(results):
        call = {"id": f"c{number}", "type": "function", "function": {"name": name, "arguments": "{}"}}
        made.append({"role": "assistant", "content": "", "tool_calls": [call]})
        text = given if isinstance(given, str) else json.dumps(given)
        made.append({"role": "tool", "tool_call_id": f"c{number}", "content": text})
    return made


@pytest.mark.parametrize(
    ("words", "results", "step"),
    [
        ("Where is my order 1003?", [], Call("get_order", {"order": "1003"})),
        ("Where is my parcel?", [], Call("list_orders", {})),
        ("Please refund order 1001", [], Call("get_order", {"order": "1001"})),
        (
            "Return the tube of order 1001",
            [("get_order", ORDER)],
            Call("return_order", {"order": "1001", "item": "tube-28"}),
        ),
        ("Book a time in the workshop", [], Call("list_slots", {})),
        ("Book Wednesday", [("list_slots", SLOTS)], Call("book_slot", {"slot": "wed-0900"})),
        ("E-mail me order 1001", [], Call("send_confirmation", {"order": "1001"})),
        ("Leave a note that I am tall", [], Call("add_note", {"text": "Leave a note that I am tall"})),
        ("I want a person", [], Call("request_human", {"reason": "asked for a person"})),
        ("How long does shipping take?", [], Call("search_knowledge", {"query": "how long does shipping take?"})),
    ],
)
def test_a_wish_leads_to_its_next_call(words: str, results: list[tuple[str, Any]], step: Call) -> None:
    assert decide(talk(words, *results)) == step


@pytest.mark.parametrize(
    ("words", "amount"), [("refund 1001", 2000), ("refund 5 euros of 1001", 500), ("refund 5.50 EUR of 1001", 550)]
)
def test_a_refund_is_of_the_amount_that_was_named_else_of_what_is_left(words: str, amount: int) -> None:
    step = decide(talk(words, ("get_order", ORDER)))
    assert isinstance(step, Call)
    assert step.arguments["amount"] == amount


def test_an_order_is_told_as_the_tool_told_it() -> None:
    step = decide(talk("Where is order 1001?", ("get_order", ORDER)))
    assert step == Say("Order 1001 (1 × Brass bell, 2 × Inner tube, 24.90 EUR) is delivered.")


def test_an_effect_is_told_after_the_yes_that_it_waited_for() -> None:
    step = decide(talk("Yes, do it", ("refund_order", REFUNDED)))
    assert step == Say("24.90 EUR of order 1001 have been refunded (refund-1).")


@pytest.mark.parametrize(
    "result",
    [
        'It was refused and not done: {"code": "refunded", "detail": "This order has been refunded in full."}',
        "It is not certain whether this was done.",
        "The person has to agree first.",
        "{",
        '{"status": "refunded"}',
    ],
)
def test_what_no_tool_confirmed_is_not_claimed(result: str) -> None:
    step = decide(talk("Refund order 1001", ("get_order", ORDER), ("refund_order", result)))
    assert isinstance(step, Say)
    assert "have been refunded" not in step.text


def test_a_call_that_waits_for_consent_is_not_made_again() -> None:
    waits = "The person is shown exactly what would be done and has to agree first."
    assert decide(talk("Refund order 1001", ("get_order", ORDER), ("refund_order", waits))) == Say(DECIDE)


def test_an_order_that_is_not_theirs_is_refused_in_the_shops_words() -> None:
    step = decide(talk("Refund order 2001", ("get_order", '{"code": "no_order", "detail": "There is no such order."}')))
    assert step == Say("That was not possible: There is no such order.")


@pytest.fixture
async def client() -> AsyncIterator[openai.AsyncOpenAI]:
    async with serving(0) as base_url, openai.AsyncOpenAI(api_key="none", base_url=base_url, max_retries=0) as made:
        yield made


@pytest.mark.parametrize("is_streamed", [True, False])
async def test_the_sdk_reads_its_texts_and_calls(client: openai.AsyncOpenAI, is_streamed: bool) -> None:
    for messages, said in [
        (talk("Where is order 1001?", ("get_order", ORDER)), True),
        (talk("Refund order 1001"), False),
    ]:
        text, calls = await _asked(client, messages, is_streamed=is_streamed)
        assert text == ("Order 1001 (1 × Brass bell, 2 × Inner tube, 24.90 EUR) is delivered." if said else "")
        assert calls == ([] if said else [("get_order", '{"order": "1001"}')])


async def _asked(client: openai.AsyncOpenAI, messages: Any, *, is_streamed: bool) -> tuple[str, list[tuple[str, str]]]:
    if not is_streamed:
        whole = await client.chat.completions.create(model="script", messages=messages)
        message = whole.choices[0].message
        made = [each.function for each in message.tool_calls or () if each.type == "function"]
        return message.content or "", [(each.name, each.arguments) for each in made]
    text, calls = "", []
    stream = await client.chat.completions.create(model="script", messages=messages, stream=True)
    async for chunk in stream:
        for choice in chunk.choices:
            text += choice.delta.content or ""
            functions = [each.function for each in choice.delta.tool_calls or ()]
            calls += [(each.name or "", each.arguments or "") for each in functions if each]
    return text, calls
