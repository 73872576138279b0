"""Who has which conversation open, and who is typing in it. Transient: nothing of it is stored."""

from collections.abc import Callable
from typing import Final

from bot.operators.operator import Operator
from bot.ports import Clock, Timer

TYPING_S: Final = 6.0  # after the last sign of it


class Looking:
    """Counts consoles, so that an operator with two is there until both have gone. `touch(conversation)` is called at each change."""

    def __init__(self, clock: Clock, touch: Callable[[str], None]) -> None:
        self._clock = clock
        self._touch = touch
        self._open: dict[str, dict[str, tuple[str, int]]] = {}  # conversation -> operator's id -> name, consoles
        self._typing: dict[tuple[str, str], Timer] = {}  # (conversation, operator's id; "" for the user)

    def enter(self, conversation: str, operator: Operator) -> None:
        there = self._open.setdefault(conversation, {})
        there[operator.id] = operator.name, there.get(operator.id, ("", 0))[1] + 1
        self._touch(conversation)

    def leave(self, conversation: str, operator: Operator) -> None:
        there = self._open.get(conversation, {})
        name, count = there.get(operator.id, ("", 0))
        if count > 1:
            there[operator.id] = name, count - 1
            return
        there.pop(operator.id, None)
        if not there:
            self._open.pop(conversation, None)
        self._stop_typing(conversation, operator.id)
        self._touch(conversation)

    def types(self, conversation: str, who: str = "") -> None:
        """An operator, or the user where `who` is "", is typing; it passes by itself."""
        before = self._typing.pop((conversation, who), None)
        if before is not None:
            before.cancel()
        self._typing[conversation, who] = self._clock.call_later(TYPING_S, lambda: self._stop_typing(conversation, who))
        if before is None:
            self._touch(conversation)

    def names(self, conversation: str) -> list[str]:
        return sorted(name for name, _ in self._open.get(conversation, {}).values())

    def lookers(self, conversation: str) -> list[dict[str, object]]:
        return [
            {"id": id_, "name": name, "is_typing": (conversation, id_) in self._typing}
            for id_, (name, _) in sorted(self._open.get(conversation, {}).items(), key=lambda each: each[1][0])
        ]

    def is_user_typing(self, conversation: str) -> bool:
        return (conversation, "") in self._typing

    def _stop_typing(self, conversation: str, who: str) -> None:
        timer = self._typing.pop((conversation, who), None)
        if timer is not None:
            timer.cancel()
            self._touch(conversation)
