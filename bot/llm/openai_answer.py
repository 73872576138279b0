"""One answer of a chat-completions server, put together from its pieces; an answer in one piece is a stream of one.

Servers differ in almost everything but the outline. What is known to differ is understood; what is not understood is left out; and nothing
is passed on as a tool call before the server has said that the answer is at its end.

Format: https://platform.openai.com/docs/api-reference/chat-streaming
"""

import json
import re
from typing import Any

from bot.errors import Fault, ModelError
from bot.llm.content import Characters, whole_characters
from bot.llm.openai_calls import Calls
from bot.ports import Chunk, Finished, Reasoning, TextDelta, ToolCall, Usage

OPEN, CLOSE = "<think>", "</think>"
REASONING_FIELDS = ("reasoning_content", "reasoning")  # DeepSeek, Kimi, GLM, vLLM; vLLM since 0.11, OpenRouter, Ollama
MOST_TOKENS = 1_000_000_000  # a larger count is no count

_REASONS = {
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "content_filter": "refusal",
    "sensitive": "refusal",  # https://docs.z.ai/api-reference/llm/chat-completion
    "safety": "refusal",
}
_BROKEN_OFF = frozenset(
    {"error", "abort", "network_error", "insufficient_system_resource"}
)  # OpenRouter, vLLM, GLM, DeepSeek
_FENCED = re.compile(r"\s*```\w*\n(.*?)\s*```\s*", re.DOTALL)


class Answer:
    """Takes the pieces in turn. `name` is the model's, for the reasoning that comes back to it; without `can_call`, calls are left out.
    With `is_json` the text is one JSON value, which comes whole at the end and without a code fence around it.

    `is_finished`: the server has said why the answer ends; only usage can follow. `size` counts the characters that came, seen or not."""

    def __init__(self, name: str, *, can_call: bool, is_json: bool) -> None:
        self.size = 0
        self.has_begun = False  # the server took the call
        self._json: list[str] | None = [] if is_json else None
        self._name = name
        self._can_call = can_call
        self._visible = Visible()
        self._thoughts: dict[str, list[str]] = {}
        self._calls = Calls()
        self._usage = Usage()
        self._reason = ""
        self._is_refused = False
        self._characters = Characters()

    @property
    def is_finished(self) -> bool:
        return bool(self._reason)

    def take(self, piece: dict[str, Any]) -> list[Chunk]:
        """What of the piece can be passed on at once."""
        chunks: list[Chunk] = []
        choices = piece.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
        delta = choice.get("delta") or choice.get("message")
        if isinstance(delta, dict) and (text := self._take(delta)):
            if self._json is None:
                chunks.append(TextDelta(text))
            else:
                self._json.append(text)
        reason = choice.get("finish_reason")
        if isinstance(reason, str) and reason:
            self._reason = reason
        said = piece.get("usage") or choice.get("usage")
        if isinstance(said, dict) and (usage := _usage(said)) != self._usage:
            self._usage = usage
            chunks.append(usage)
        return chunks

    def end(self) -> list[Chunk]:
        """The rest: what was held back, reasoning and calls, and how it ended. Raises ModelError when the answer is not whole."""
        if not self._reason:
            raise ModelError("the answer broke off before its end", Fault.UNREACHABLE)
        if self._reason in _BROKEN_OFF:
            raise ModelError(f"the server broke the answer off: {self._reason}", Fault.OVERLOADED)
        reason = "refusal" if self._is_refused else _REASONS.get(self._reason, "stop")
        rest = self._characters.feed(self._visible.rest()) + self._characters.rest()
        if self._json is not None:
            rest = _unfenced("".join(self._json) + rest)
        chunks: list[Chunk] = [TextDelta(rest)] if rest else []
        calls = self._calls.whole() if self._can_call and reason == "stop" else ()
        if not calls:
            return [*chunks, Finished(reason)]
        if thoughts := self._returned():
            chunks.append(Reasoning(self._name, json.dumps(thoughts)))
        chunks += [ToolCall(each.id, whole_characters(each.name), whole_characters(each.arguments)) for each in calls]
        return [*chunks, Finished("tools")]

    def _take(self, delta: dict[str, Any]) -> str:
        for field in REASONING_FIELDS:
            thought = delta.get(field)
            if thought and isinstance(thought, str):
                self.size += len(thought)
                self._thoughts.setdefault(field, []).append(thought)
        if calls := delta.get("tool_calls"):
            self.size += self._calls.take(calls)
        content = _text(delta.get("content"))
        text = self._visible.feed(content)
        refusal = delta.get("refusal")
        if refusal and isinstance(refusal, str):
            self._is_refused = True
            content, text = content + refusal, text + refusal
        self.size += len(content)
        return self._characters.feed(text)

    def _returned(self) -> dict[str, Any]:
        """What the server wants back with the results, under the names that it gave it."""
        said: dict[str, Any] = {field: whole_characters("".join(parts)) for field, parts in self._thoughts.items()}
        if self._visible.thought:
            said["think"] = whole_characters(self._visible.thought)
        if extras := self._calls.extras():
            said["calls"] = extras
        return said


class Visible:
    """The text without the thoughts that some models leave in it, in `<think>` tags at its beginning, wherever the pieces are cut."""

    def __init__(self) -> None:
        self.thought = ""
        self._held = ""
        self._take = self._begin

    def feed(self, text: str) -> str:
        """What of the text a user may see."""
        return self._take(text) if text else ""

    def rest(self) -> str:
        """What was held back because it might have become a tag. A thought without an end stays a thought."""
        held, self._held = self._held, ""
        if self._take == self._think:
            self.thought, held = held, ""
        return held

    def _begin(self, text: str) -> str:
        self._held += text
        start = self._held.lstrip()
        if OPEN.startswith(start):
            return ""
        text, self._held = self._held, ""
        if start.startswith(OPEN):
            self._take = self._think
            return self._think(start[len(OPEN) :])
        self._take = self._pass
        return text

    def _think(self, text: str) -> str:
        searched = max(0, len(self._held) - len(CLOSE))
        self._held += text
        end = self._held.find(CLOSE, searched)
        if end < 0:
            return ""
        self.thought, text = self._held[:end], self._held[end + len(CLOSE) :]
        self._held, self._take = "", self._skip_blanks
        return self._skip_blanks(text)

    def _skip_blanks(self, text: str) -> str:
        text = text.lstrip()
        if text:
            self._take = self._pass
        return text

    def _pass(self, text: str) -> str:
        return text


def _unfenced(text: str) -> str:
    fenced = _FENCED.fullmatch(text)
    return fenced[1] if fenced else text


def _text(content: object) -> str:
    """Most servers send a string; Mistral's send a list of parts."""
    if isinstance(content, list):
        texts = [part.get("text") for part in content if isinstance(part, dict)]
        return "".join(text for text in texts if isinstance(text, str))
    return content if isinstance(content, str) else ""


def _usage(said: dict[str, Any]) -> Usage:
    """`prompt_tokens` count those read from the cache too. DeepSeek and Kimi name these in places of their own."""
    details = said.get("prompt_tokens_details")
    named = (
        details.get("cached_tokens") if isinstance(details, dict) else None,
        said.get("prompt_cache_hit_tokens"),  # https://api-docs.deepseek.com/guides/kv_cache
        said.get("cached_tokens"),  # https://platform.moonshot.ai/docs/api/chat
    )
    prompt = _count(said.get("prompt_tokens"))
    cached = min(prompt, max(map(_count, named)))
    return Usage(prompt - cached, _count(said.get("completion_tokens")), cached)


def _count(value: object) -> int:
    return min(max(0, value), MOST_TOKENS) if isinstance(value, int) else 0
