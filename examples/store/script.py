"""What the scripted model says and calls: a fixed script, decided from the user's words, and answered from what the tools gave. Pure.

It understands a handful of wishes in English and pretends nothing: what a tool did not say, it does not say either.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from examples.store.page import money

_ORDER = re.compile(r"\b(\d{4})\b")
_AMOUNT = re.compile(r"\b(\d{1,6})(?:[.,](\d{2}))?\s*(?:eur\b|euros?\b|€)", re.IGNORECASE)
_SLOT = re.compile(r"\b([a-z]{3}-\d{4})\b")
_DAY = re.compile(r"\b(mon|tue|wed|thu|fri)\w*day\b")
_PERSON = re.compile(r"\b(person|human|colleague)\b")

HELP = "I can look up your orders, refund or return them, e-mail you their details, and book a time in the workshop."
DECIDE = "Please decide about this. Nothing has been done yet."

Entry = Mapping[str, Any]  # one message of a chat-completions request


class Say(NamedTuple):
    """The answer's text."""

    text: str


class Call(NamedTuple):
    """One tool to call."""

    name: str
    arguments: dict[str, Any]


class Talk:
    """What the script knows: the user's newest words, the order that was last spoken of, and what the tools gave since."""

    def __init__(self, messages: Sequence[Entry]) -> None:
        spoken = [number for number, each in enumerate(messages) if each.get("role") == "user"]
        texts = [_text(messages[number]) for number in spoken]
        self.text = texts[-1] if texts else ""
        self.words = self.text.lower()
        self.order = next((found[-1] for text in reversed(texts) if (found := _ORDER.findall(text))), "")
        self.results = _results(messages[spoken[-1] :] if spoken else [])

    def data(self, name: str) -> dict[str, Any]:
        """What a tool gave, as JSON; empty if it gave something else."""
        return _json(self.results.get(name, ""))

    @property
    def amount(self) -> int:
        """In the smallest unit, 0 for none."""
        found = _AMOUNT.search(self.words)
        return int(found[1]) * 100 + int(found[2] or 0) if found else 0


def decide(messages: Sequence[Entry]) -> Say | Call:
    """The next step after these messages."""
    talk = Talk(messages)
    for name, told in _TOLD.items():
        if name in talk.results:
            return _outcome(talk, name, told)
    for pattern, scene in _SCENES:
        if re.search(pattern, talk.words):
            return scene(talk)
    return _asks(talk)


# --- scenes: each gives the first step that is still missing -------------------------------------------------------------


def _refunds(talk: Talk) -> Say | Call:
    step = _order_of(talk)
    if isinstance(step, Say | Call):
        return step
    if not step["refundable"]:
        return Say(f"Order {step['id']} has been refunded in full already.")
    reason = "asked for in the chat"
    amount = talk.amount or step["refundable"]
    return Call("refund_order", {"order": talk.order, "amount": amount, "reason": reason})


def _returns(talk: Talk) -> Say | Call:
    step = _order_of(talk)
    if isinstance(step, Say | Call):
        return step
    named = [each for each in step["items"] if any(word in talk.words for word in each["name"].lower().split())]
    item = (named or step["items"])[0]
    return Call("return_order", {"order": talk.order, "item": item["sku"]})


def _mails(talk: Talk) -> Say | Call:
    return Call("send_confirmation", {"order": talk.order}) if talk.order else _orders(talk)


def _books(talk: Talk) -> Say | Call:
    if "list_slots" not in talk.results:
        return Call("list_slots", {})
    slots = talk.data("list_slots").get("slots", [])
    named, day = _SLOT.search(talk.words), _DAY.search(talk.words)
    wanted = named[1] if named else day[1] if day else ""
    chosen = next((each for each in slots if wanted and each["id"].startswith(wanted)), None)
    if chosen is not None:
        return Call("book_slot", {"slot": chosen["id"]})
    free = "\n".join(f"- {each['label']}" for each in slots)
    return Say(f"These times are free:\n\n{free}\n\nWrite, for example, “book Tuesday”.")


def _notes(talk: Talk) -> Say | Call:
    return Call("add_note", {"text": talk.text[:500]})


def _looks(talk: Talk) -> Say | Call:
    step = _order_of(talk)
    if isinstance(step, Say | Call):
        return step
    items = ", ".join(f"{each['quantity']} × {each['name']}" for each in step["items"])
    total = money(step["total"], step["currency"])
    return Say(f"Order {step['id']} ({items}, {total}) is {step['status']}.")


def _hands_over(talk: Talk) -> Say | Call:
    if "request_human" in talk.results:
        return Say("Your wish to talk to a person is noted. I cannot say when somebody will answer; ask me meanwhile.")
    return Call("request_human", {"reason": "asked for a person"})


def _asks(talk: Talk) -> Say | Call:
    if not talk.words.strip():
        return Say(HELP)
    if "search_knowledge" not in talk.results:
        return Call("search_knowledge", {"query": talk.words[:500]})
    found = re.match(r"\[(\d+)\] [^\n]*\n(.*)", talk.results["search_knowledge"].partition("\n\n[")[0], re.DOTALL)
    return Say(f"{found[2].strip()} [{found[1]}]" if found else HELP)


# What is said of each effect. It comes first: after a consent, the newest words are only a yes.
_TOLD: Mapping[str, Callable[[dict[str, Any]], str]] = {
    "refund_order": lambda made: (
        f"{money(made['amount'], made['currency'])} of order {made['order']} have been refunded ({made['id']})."
    ),
    "return_order": lambda made: f"The return {made['id']} of order {made['order']} has begun: {made['status']}.",
    "send_confirmation": lambda made: f"The e-mail to {made['to']} is on its way.",
    "book_slot": lambda made: f"{made['label']} is booked ({made['id']}).",
    "add_note": lambda made: f"The note is there ({made['id']}).",
}
_SCENES: tuple[tuple[str, Callable[[Talk], Say | Call]], ...] = (
    (r"\b(policy|how (long|much|many)|can i|may i|do you)\b", _asks),
    (_PERSON.pattern, _hands_over),
    (r"\bnote\b", _notes),
    (r"\be-?mail\b|\bconfirmation\b", _mails),
    (r"\brefund\b|\bmoney back\b", _refunds),
    (r"\breturn\b|\bsend back\b", _returns),
    (r"\bbook\b|\bworkshop\b|\bappointment\b", _books),
    (r"\border|\bparcel\b|\btrack\b|\bwhere is\b", _looks),
)


# --- lines ---------------------------------------------------------------------------------------------------------------


def _order_of(talk: Talk) -> dict[str, Any] | Say | Call:
    """The order that is meant, or the step that leads to it."""
    if not talk.order:
        return _orders(talk)
    if "get_order" not in talk.results:
        return Call("get_order", {"order": talk.order})
    return talk.data("get_order") if "items" in talk.data("get_order") else Say(_said(talk.results["get_order"]))


def _orders(talk: Talk) -> Say | Call:
    if "list_orders" not in talk.results:
        return Call("list_orders", {})
    orders = talk.data("list_orders").get("orders")
    if orders is None:
        return Say(_said(talk.results["list_orders"]))
    lines = "\n".join(f"- {each['id']}: {money(each['total'], each['currency'])}, {each['status']}" for each in orders)
    return Say(f"Your orders:\n\n{lines}\n\nWhich one do you mean?")


def _outcome(talk: Talk, name: str, told: Callable[[dict[str, Any]], str]) -> Say:
    made = talk.data(name)
    has_happened = "status" in made and "code" not in made
    try:
        return Say(told(made) if has_happened else _said(talk.results[name]))
    except KeyError:  # the shop answered in another form than the script knows
        return Say(_said(talk.results[name]))


def _said(result: str) -> str:
    """What a tool gave that is no plain success, in its own words."""
    detail = _json(result).get("detail")
    if isinstance(detail, str):
        return f"That was not possible: {detail}"
    return DECIDE if "has to agree" in result else result


def _text(entry: Entry) -> str:
    content = entry.get("content") or ""
    if isinstance(content, str):
        return content
    return "\n".join(part.get("text", "") for part in content)


def _results(messages: Sequence[Entry]) -> dict[str, str]:
    """The newest result of each tool that was called in these messages."""
    names: dict[str, str] = {}
    results: dict[str, str] = {}
    for each in messages:
        for call in each.get("tool_calls") or ():
            names[call["id"]] = call["function"]["name"]
        if each.get("role") == "tool" and each["tool_call_id"] in names:
            results[names[each["tool_call_id"]]] = _text(each)
    return results


def _json(text: str) -> dict[str, Any]:
    """The first JSON object in a text; empty for none."""
    start = text.find("{")
    try:
        found = json.JSONDecoder().raw_decode(text, start)[0] if start >= 0 else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
