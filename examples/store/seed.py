"""What the shop begins with: the same in every run. Amounts are in the smallest unit of their currency."""

from typing import NamedTuple


class Customer(NamedTuple):
    """Somebody who buys here."""

    id: str
    name: str
    email: str


class Item(NamedTuple):
    """Some of one article in an order. `price` is for one."""

    order_id: str
    sku: str
    name: str
    quantity: int
    price: int


class Order(NamedTuple):
    """What was bought together. Its total is that of its items."""

    id: str
    customer: str
    status: str
    currency: str
    placed: str


class Slot(NamedTuple):
    """A time in the workshop that can be booked once."""

    id: str
    label: str


CUSTOMERS = (
    Customer("c1", "Mira Sand", "mira@example.com"),
    Customer("c2", "Jonas Weber", "jonas@example.com"),
    Customer("c3", "Aiko Tanaka", "aiko@example.com"),
)
ORDERS = (
    Order("1001", "c1", "delivered", "EUR", "2026-03-02"),
    Order("1002", "c1", "delivered", "EUR", "2026-03-09"),
    Order("1003", "c1", "shipped", "EUR", "2026-03-16"),
    Order("1004", "c1", "delivered", "EUR", "2026-02-20"),
    Order("2001", "c2", "delivered", "EUR", "2026-03-05"),
    Order("2002", "c2", "packed", "EUR", "2026-03-18"),
    Order("3001", "c3", "delivered", "JPY", "2026-03-07"),
)
ITEMS = (
    Item("1001", "bell-brass", "Brass bell", 1, 1490),
    Item("1001", "tube-28", "Inner tube 28 inch", 2, 500),
    Item("1002", "saddle-wool", "Wool felt saddle", 1, 18900),
    Item("1003", "lock-chain", "Chain lock", 1, 7900),
    Item("1004", "wheel-dynamo", "Wheel pair with hub dynamo", 1, 74900),
    Item("2001", "helmet-m", "Helmet, size M", 1, 5990),
    Item("2002", "light-rear", "Rear light", 1, 2290),
    Item("3001", "bag-canvas", "Canvas handlebar bag", 1, 4800),
)
SLOTS = (
    Slot("tue-1000", "Tuesday 10:00"),
    Slot("tue-1430", "Tuesday 14:30"),
    Slot("wed-0900", "Wednesday 09:00"),
    Slot("fri-1600", "Friday 16:00"),
)
