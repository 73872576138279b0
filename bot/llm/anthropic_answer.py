"""An answer of the Messages API, put together from its events, or taken whole.

Promise: text goes out as it comes; calls and thoughts only once the API has said why the answer ended, so that nothing half is ever done.

Format: https://platform.claude.com/docs/en/build-with-claude/streaming
"""

import json
from typing import Any

from bot.errors import Fault, ModelError
from bot.llm.anthropic_request import THOUGHTS
from bot.llm.content import Characters, whole_characters
from bot.llm.faults import ErrorInAnswer
from bot.ports import Chunk, Finished, Reasoning, TextDelta, ToolCall, Usage

_REASONS = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "refusal",
}  # all others end an answer as it should end
_DELTAS = {"thinking_delta": "thinking", "signature_delta": "signature"}  # where a delta of a thinking block belongs


class Answer:
    """Takes events in their order. `name` is the model's, for its thoughts. Whatever it raises, the answer is no good."""

    def __init__(self, name: str) -> None:
        self.has_begun = False  # the server took the call
        self.tokens = 0  # events that bring something of the answer itself
        self.is_over = False  # the API has said its last word
        self._name = name
        self._reason = ""
        self._blocks: dict[int, dict[str, Any]] = {}  # JSON, as it came
        self._inputs: dict[int, list[str]] = {}
        self._characters = Characters()
        self._ended: set[int] = set()
        self._usage: dict[str, int] = {}

    @property
    def is_finished(self) -> bool:
        """The API has said why the answer ended: all of it is here."""
        return bool(self._reason)

    def take(self, event: Any) -> list[Chunk]:
        """What can be passed on at once. Raises ErrorInAnswer for an error event, and anything for an event that is none."""
        match event["type"]:
            case "content_block_delta":
                return self._delta(event["index"], event["delta"])
            case "content_block_start":
                return self._start(event["index"], event["content_block"])
            case "content_block_stop":
                self._ended.add(event["index"])
            case "message_start":
                return self._count(event["message"].get("usage"))
            case "message_delta":
                self._reason = event["delta"].get("stop_reason") or self._reason
                return self._count(event.get("usage"))
            case "message_stop":
                self.is_over = True
            case "error":
                raise ErrorInAnswer(event)
        return []

    def take_whole(self, message: Any) -> list[Chunk]:
        """As `take`, for a message that comes in one piece."""
        if message["type"] == "error":
            raise ErrorInAnswer(message)
        chunks = self._count(message.get("usage"))
        for index, block in enumerate(message["content"]):
            chunks.extend(self._start(index, block))
            self._ended.add(index)
        self._reason = message.get("stop_reason") or ""
        if not self._reason:
            raise ModelError("the answer does not say why it ended", Fault.MALFORMED)
        self.is_over = True
        return chunks

    def end(self) -> list[Chunk]:
        """Thoughts, calls and the end, of an answer that is finished."""
        reason = _REASONS.get(self._reason, "stop")
        rest: list[Chunk] = [TextDelta(half)] if (half := self._characters.rest()) else []
        calls = [] if reason != "stop" else self._calls()
        if not calls:
            return [*rest, Finished(reason)]
        thoughts = [block for _, block in sorted(self._blocks.items()) if block["type"] in THOUGHTS]
        reasoning: list[Chunk] = [Reasoning(self._name, _json(thoughts))] if thoughts else []
        return [*rest, *reasoning, *calls, Finished("tools")]

    def _start(self, index: int, block: dict[str, Any]) -> list[Chunk]:
        self.tokens += 1
        self._blocks[index] = dict(block)
        if block["type"] == "tool_use":
            self._inputs[index] = []
        return self._said(block["text"]) if block["type"] == "text" else []

    def _delta(self, index: int, delta: dict[str, Any]) -> list[Chunk]:
        self.tokens += 1
        block = self._blocks[index]
        kind = delta["type"]
        if kind == "text_delta":
            return self._said(delta["text"])
        if kind == "input_json_delta":
            self._inputs[index].append(_text(delta["partial_json"]))
        elif kind in _DELTAS:
            place = _DELTAS[kind]
            block[place] = block.get(place, "") + _text(delta[place])
        return []

    def _said(self, piece: object) -> list[Chunk]:
        text = self._characters.feed(_text(piece))
        return [TextDelta(text)] if text else []

    def _count(self, usage: Any) -> list[Chunk]:
        if not isinstance(usage, dict):
            return []
        self._usage.update({key: value for key, value in usage.items() if isinstance(value, int)})
        return [
            Usage(
                input_tokens=self._usage.get("input_tokens", 0),
                output_tokens=self._usage.get("output_tokens", 0),
                cache_read_tokens=self._usage.get("cache_read_input_tokens", 0),
                cache_write_tokens=self._usage.get("cache_creation_input_tokens", 0),
            )
        ]

    def _calls(self) -> list[ToolCall]:
        return [
            ToolCall(whole_characters(str(block["id"])), whole_characters(str(block["name"])), self._arguments(index))
            for index, block in sorted(self._blocks.items())
            if block["type"] == "tool_use" and index in self._ended
        ]

    def _arguments(self, index: int) -> str:
        """As the model wrote them; a server that does not stream them gives them as a value."""
        written = "".join(self._inputs[index])
        return whole_characters(written) or _json(self._blocks[index].get("input") or {})


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("a piece of text is none")
    return value


def _json(value: object) -> str:
    return whole_characters(json.dumps(value, ensure_ascii=False))
