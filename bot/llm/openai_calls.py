"""Tool calls as chat-completions servers stream them: by index, where they count; and where they do not, by what a piece brings.

Format: https://platform.openai.com/docs/api-reference/chat-streaming
"""

import json
import uuid
from typing import Any

from bot.ports import ToolCall


class _Call:
    """A call that is being written."""

    def __init__(self, call_id: str) -> None:
        self.id = call_id
        self.name = ""
        self.arguments = ""
        self.extra: object = None


class Calls:
    """Takes the pieces in turn; knows a whole call only at the end."""

    def __init__(self) -> None:
        self._all: list[_Call] = []
        self._at: dict[int, _Call] = {}

    def take(self, pieces: object) -> int:
        """Takes what stands under `tool_calls`, whatever it is. Returns how many characters came."""
        if not isinstance(pieces, list):
            return 0
        known = [piece for piece in pieces if isinstance(piece, dict) and isinstance(piece.get("function"), dict)]
        is_uncounted = len(known) > 1 and not any(isinstance(piece.get("index"), int) for piece in known)
        return sum(self._take(piece, place if is_uncounted else None) for place, piece in enumerate(known))

    def whole(self) -> tuple[ToolCall, ...]:
        """Every call with a name, in the order in which they began, each under an id of its own."""
        named = [call for call in self._all if call.name]
        seen: set[str] = set()
        for call in named:
            if not call.id or call.id in seen:
                call.id = f"call_{uuid.uuid4().hex[:24]}"
            seen.add(call.id)
        return tuple(ToolCall(call.id, call.name, call.arguments or "{}") for call in named)

    def extras(self) -> list[object]:
        """For each whole call what its server wants back with it; empty when it is nothing. Gemini signs its calls so:
        https://ai.google.dev/gemini-api/docs/thought-signatures"""
        extras = [call.extra for call in self._all if call.name]
        return extras if any(extras) else []

    def _take(self, piece: dict[str, Any], place: int | None) -> int:
        function = piece["function"]
        call_id, name, arguments = _word(piece.get("id")), _word(function.get("name")), function.get("arguments")
        call = self._called(place if place is not None else piece.get("index"), call_id, name)
        call.id = call.id or call_id
        call.name = call.name or name
        more = arguments if isinstance(arguments, str) else json.dumps(arguments) if arguments else ""
        call.arguments += more
        call.extra = piece.get("extra_content") or call.extra
        return len(more) + len(name)

    def _called(self, index: object, call_id: str, name: str) -> _Call:
        """The call that a piece belongs to: the one at its place, unless it begins another."""
        place = index if isinstance(index, int) else -1
        call = self._at.get(place) or (self._all[-1] if place < 0 and self._all else None)
        if call is None or _is_another(call, call_id, name):
            call = _Call(call_id)
            self._all.append(call)
        self._at[place] = call
        return call


def _is_another(call: _Call, call_id: str, name: str) -> bool:
    """Whether a piece in the place of `call` begins a new one: some servers give every call the index 0, and some give no ids."""
    if call_id and call.id:
        return call_id != call.id
    return bool(name and call.name and (name != call.name or _is_object(call.arguments)))


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _word(value: object) -> str:
    return value if isinstance(value, str) else ""
