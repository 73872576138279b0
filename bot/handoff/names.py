"""What an operator is called where people read it."""

from bot.ports import Cursor
from bot.store.operators import operator_by_id


def shown(name: str) -> str:
    """An operator's name as users see it: `ben.miller` is Ben Miller."""
    return " ".join(part.capitalize() for part in name.replace("_", ".").replace("-", ".").split(".") if part)


def name_of(cursor: Cursor, operator: str) -> str:
    """The same by id; "" for nobody, and for one who is not there any more."""
    found = operator_by_id(cursor, operator) if operator else None
    return shown(found.name) if found is not None else ""
