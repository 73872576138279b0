"""The shop's page, with the widget on it: logged in as whichever demo customer is chosen.

Anybody may choose: a real shop signs the identity only of who has signed in.
"""

import time
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from examples.store.books import Fields

_IDENTITY_S = 3000  # the widget takes at most an hour
_WITHOUT_CENTS = frozenset({"JPY"})  # ISO 4217: currencies whose smallest unit is the whole
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>The Bicycle Shop</title>
<link rel="icon" href="data:,">
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 44rem; margin: 2rem auto; padding: 0 1rem; color: #1f2937; }}
nav a {{ margin-right: 1rem; }} nav a[aria-current] {{ font-weight: 700; color: inherit; text-decoration: none; }}
table {{ border-collapse: collapse; width: 100%; }}
th, td {{ text-align: left; padding: .5rem .75rem .5rem 0; border-bottom: 1px solid #e5e7eb; vertical-align: top; }}
</style>
</head>
<body>
<h1>The Bicycle Shop</h1>
<nav aria-label="Signed in as">{people}</nav>
<p>Signed in as <strong>{name}</strong>. Ask in the chat about an order, for a refund, or for a time in the workshop.</p>
<table>
<thead><tr><th>Order</th><th>What</th><th>Status</th><th>Total</th><th>Refunded</th></tr></thead>
<tbody>{orders}</tbody>
</table>
{widget}
</body>
</html>
"""


class Host(NamedTuple):
    """Where the widget comes from, and the secret that vouches for its visitor. Both empty: no widget."""

    address: str
    identity_secret: str


def render(host: Host, customer: Fields, customers: Sequence[Fields], orders: Sequence[Fields]) -> str:
    """The whole page as HTML."""
    people = "".join(_person(each, is_chosen=each["id"] == customer["id"]) for each in customers)
    rows = "".join(map(_order, orders))
    widget = _widget(host, customer) if host.address and host.identity_secret else ""
    return _PAGE.format(people=people, name=escape(customer["name"]), orders=rows, widget=widget)


def money(amount: int, currency: str) -> str:
    """For people: "24.90 EUR"."""
    return f"{amount} {currency}" if currency in _WITHOUT_CENTS else f"{amount // 100}.{amount % 100:02} {currency}"


def sign(secret: str, customer: Fields) -> str:
    """The identity that the widget shows to Frontdesk: docs/widget.md."""
    import jwt  # `jwt` loads a large library of algorithms: only where an identity is signed

    claims = {"aud": "frontdesk", "sub": customer["id"], "name": customer["name"], "exp": time.time() + _IDENTITY_S}
    return jwt.encode(claims, secret, algorithm="HS256")


def _person(customer: Fields, *, is_chosen: bool) -> str:
    mark = ' aria-current="page"' if is_chosen else ""
    return f'<a href="/?customer={escape(customer["id"])}"{mark}>{escape(customer["name"])}</a>'


def _order(order: Fields) -> str:
    items = "<br>".join(f"{each['quantity']} × {escape(each['name'])}" for each in order["items"])
    amounts = [money(order[name], order["currency"]) for name in ("total", "refunded")]
    cells = [order["id"], items, order["status"], *amounts]
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _widget(host: Host, customer: Fields) -> str:
    suggestions = "Where is my order 1003?|Please refund order 1001|Book a time in the workshop"
    return (
        f'<script async src="{escape(host.address)}/widget.js" data-name="The Bicycle Shop" data-color="#166534" '
        f'data-greeting="Hello {escape(customer["name"])}! What can I do for you?" '
        f'data-suggestions="{suggestions}" data-identity="{sign(host.identity_secret, customer)}"></script>'
    )
