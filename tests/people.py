"""Operators by name and role, where no accounts are wanted."""

from collections.abc import Mapping

from bot.operators.operator import Operator, operator_id


class People:
    """What `bot.deciding` asks of accounts."""

    def __init__(self, roles: Mapping[str, str]) -> None:
        self._people = {name: Operator(operator_id(name), name, role) for name, role in roles.items()}

    async def by_name(self, name: str) -> Operator | None:
        return self._people.get(name)

    async def all(self) -> list[Operator]:
        return list(self._people.values())
