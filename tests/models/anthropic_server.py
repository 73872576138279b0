"""A server that speaks the Messages API, and takes nothing that the API's documents do not allow.

https://platform.claude.com/docs/en/api/messages"""

import base64
import binascii
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from tests.models.wire import Body, ModelServer, Received, Reply, pieces

_FIELDS = {
    "model": str,
    "max_tokens": int,
    "messages": list,
    "system": str | list,
    "tools": list,
    "tool_choice": dict,
    "stream": bool,
    "thinking": dict,
    "output_config": dict,
    "metadata": dict,
    "stop_sequences": list,
    "temperature": int | float,
    "top_p": int | float,
    "top_k": int,
    "service_tier": str,
}
_BLOCKS = {
    "text": {"text"},
    "image": {"source"},
    "document": {"source", "title"},
    "tool_use": {"id", "name", "input"},
    "tool_result": {"tool_use_id", "content", "is_error"},
    "thinking": {"thinking", "signature"},
    "redacted_thinking": {"data"},
}
_OF_ROLE = {
    "user": {"text", "image", "document", "tool_result"},
    "assistant": {"text", "tool_use", "thinking", "redacted_thinking"},
}
_ID = re.compile(r"[a-zA-Z0-9_-]+")
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_IMAGES = {"image/png", "image/jpeg", "image/gif", "image/webp"}
_MOST_BASE64 = 5_242_880
_MOST_MARKS = 4
SIGNATURE = "c2lnbmF0dXJl"


class Invalid(Exception):
    """The request is not as documented."""


def require(holds: object, why: str) -> None:
    if not holds:
        raise Invalid(why)


class AnthropicServer(ModelServer):
    """As `ModelServer`. `unknown` are the fields of a body that it does not know, as a compatible server may not."""

    path: ClassVar[str] = "/v1/messages"
    error_name: ClassVar[str] = "error"
    ping: ClassVar[bytes] = b'event: ping\ndata: {"type":"ping"}\n\n'
    key = "test-key-0123456789"
    unknown: frozenset[str] = frozenset()

    def refusal(self, body: Body, headers: Mapping[str, str]) -> str:
        try:
            require(headers.get("anthropic-version"), "anthropic-version: header is required")
            self._fields(body)
            check_messages(body)
            check_tools(body)
            require(_marks(body) <= _MOST_MARKS, "A maximum of 4 blocks with cache_control may be provided.")
        except Invalid as error:
            return str(error)
        return ""

    def _fields(self, body: Body) -> None:
        for name in ("model", "max_tokens", "messages"):
            require(name in body, f"{name}: Field required")
        for name, value in body.items():
            require(name in _FIELDS and name not in self.unknown, f"{name}: Extra inputs are not permitted")
            require(isinstance(value, _FIELDS[name]), f"{name}: Input has the wrong type")
        require(body["max_tokens"] >= 1, "max_tokens: must be at least 1")

    def failure(self, kind: str, message: str) -> Body:
        return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}

    def whole(self, reply: Reply, asked: Received) -> Body:
        content: list[Body] = [{"type": "thinking", **_thought(reply)}] if reply.reasoning else []
        content += [{"type": "text", "text": reply.text}] if reply.text else []
        for n, call in enumerate(reply.calls):
            content.append({"type": "tool_use", "id": call.id or _id(self, n), "name": call.name})
            content[-1]["input"] = json.loads(call.arguments or "{}")
        message = self._message(reply, asked, content)
        return {**message, "stop_reason": _reason(reply), "usage": _usage(reply, reply.counts.output)}

    def events(self, reply: Reply, asked: Received) -> Sequence[tuple[str, Body | str]]:
        started = {**self._message(reply, asked, []), "usage": _usage(reply, 1)}
        events: list[Body] = [{"type": "message_start", "message": started}, {"type": "ping"}]
        blocks = list(self._blocks(reply))
        for index, (block, deltas) in enumerate(blocks):
            events.append({"type": "content_block_start", "index": index, "content_block": block})
            events.extend({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas)
            events.append({"type": "content_block_stop", "index": index})
        delta = {"stop_reason": _reason(reply), "stop_sequence": None}
        events.append({"type": "message_delta", "delta": delta, "usage": {"output_tokens": reply.counts.output}})
        events.append({"type": "message_stop"})
        return [(event["type"], event) for event in events]

    def _blocks(self, reply: Reply) -> Iterable[tuple[Body, list[Body]]]:
        if reply.reasoning:
            thoughts: list[Body] = [
                {"type": "thinking_delta", "thinking": piece} for piece in pieces(reply.reasoning, reply.chunks)
            ]
            thoughts.append({"type": "signature_delta", "signature": SIGNATURE})
            yield {"type": "thinking", "thinking": "", "signature": ""}, thoughts
        if reply.text:
            deltas = [{"type": "text_delta", "text": piece} for piece in pieces(reply.text, reply.chunks)]
            yield {"type": "text", "text": ""}, deltas
        for n, call in enumerate(reply.calls):
            block = {"type": "tool_use", "id": call.id or _id(self, n), "name": call.name, "input": {}}
            arguments = ["", *pieces(call.arguments, reply.chunks)]
            yield block, [{"type": "input_json_delta", "partial_json": piece} for piece in arguments]

    def _message(self, reply: Reply, asked: Received, content: list[Body]) -> Body:
        return {
            "id": f"msg_{len(self.ledger)}",
            "type": "message",
            "role": "assistant",
            "model": asked.body["model"],
            "content": content,
            "stop_reason": None,
            "stop_sequence": None,
        }


def _thought(reply: Reply) -> Body:
    return {"thinking": reply.reasoning, "signature": SIGNATURE}


def _id(server: ModelServer, n: int) -> str:
    return f"toolu_{len(server.ledger)}_{n}"


def _reason(reply: Reply) -> str:
    return reply.finish or ("tool_use" if reply.calls else "end_turn")


def _usage(reply: Reply, output: int) -> Body:
    counts = reply.counts
    return {
        "input_tokens": counts.input,
        "output_tokens": output,
        "cache_read_input_tokens": counts.cache_read,
        "cache_creation_input_tokens": counts.cache_write,
    }


# --- what the API demands ----------------------------------------------------------------------------------------------


def check_messages(body: Body) -> None:
    messages = body["messages"]
    require(messages, "messages: at least one message is required")
    require(messages[0]["role"] == "user", "messages: first message must use the user role")
    require(messages[-1]["role"] == "user", "This model does not support assistant message prefill.")
    used: set[str] = set()
    open_calls: list[str] = []
    for n, message in enumerate(messages):
        require(set(message) == {"role", "content"}, f"messages.{n}: Extra inputs are not permitted")
        require(message["role"] in _OF_ROLE, f"messages.{n}.role: Input should be 'user' or 'assistant'")
        require(n == 0 or message["role"] != messages[n - 1]["role"], "messages: roles must alternate")
        blocks = _content(message["content"], n)
        for at, block in enumerate(blocks):
            _check_block(block, message["role"], f"messages.{n}.content.{at}")
        _check_results(blocks, open_calls, n)
        open_calls = [block["id"] for block in blocks if block["type"] == "tool_use"]
        require(not used & set(open_calls), "messages: `tool_use` ids must be unique")
        require(len(set(open_calls)) == len(open_calls), "messages: `tool_use` ids must be unique")
        used |= set(open_calls)
        _check_thoughts(blocks, n)
    require(not open_calls, "messages: `tool_use` ids were found without `tool_result` blocks")


def _content(content: Any, n: int) -> list[Body]:
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    require(isinstance(content, list) and content, f"messages.{n}.content: content must be non-empty")
    return list(content)


def _check_block(block: Body, role: str, at: str) -> None:
    kind = block.get("type", "")
    require(kind in _OF_ROLE[role], f"{at}: Input tag '{kind}' is not allowed for {role}")
    extra = set(block) - _BLOCKS[kind] - {"type", "cache_control"}
    require(not extra, f"{at}: Extra inputs are not permitted: {extra}")
    if "cache_control" in block:
        require(kind not in ("thinking", "redacted_thinking"), f"{at}: cache_control is not allowed here")
        require(block["cache_control"] == {"type": "ephemeral"}, f"{at}.cache_control: wrong")
    match kind:
        case "text":
            require(
                isinstance(block["text"], str) and block["text"].strip(), f"{at}: text must contain non-whitespace text"
            )
        case "image" | "document":
            _check_source(block, kind, at)
        case "tool_use":
            require(_ID.fullmatch(block["id"]), f"{at}.id: String should match pattern '^[a-zA-Z0-9_-]+$'")
            require(_NAME.fullmatch(block["name"]), f"{at}.name: String should match the pattern")
            require(isinstance(block["input"], dict), f"{at}.input: Input should be a valid dictionary")
        case "tool_result":
            require(isinstance(block["content"], str) and block["content"].strip(), f"{at}.content: must not be empty")
            require(isinstance(block.get("is_error", False), bool), f"{at}.is_error: Input should be a boolean")
        case "thinking":
            require(block.get("signature"), f"{at}.signature: Field required")
            require(block["signature"] == SIGNATURE, f"{at}: Invalid `signature` in `thinking` block")


def _check_source(block: Body, kind: str, at: str) -> None:
    source = block["source"]
    require(set(source) == {"type", "media_type", "data"}, f"{at}.{kind}.source: wrong fields")
    require(source["type"] == "base64", f"{at}.{kind}.source: wrong type")
    wanted = _IMAGES if kind == "image" else {"application/pdf"}
    require(source["media_type"] in wanted, f"{at}.{kind}.source.base64.media_type: Input should be one of {wanted}")
    try:
        base64.b64decode(source["data"], validate=True)
    except binascii.Error:
        raise Invalid(f"{at}.{kind}.source.base64: invalid base64 data") from None
    require(source["data"], f"{at}.{kind}.source.base64.data: {kind} cannot be empty")
    is_small = kind != "image" or len(source["data"]) <= _MOST_BASE64
    require(is_small, f"{at}.image.source.base64: image exceeds 5 MB maximum")


def _check_results(blocks: Sequence[Body], open_calls: Sequence[str], n: int) -> None:
    results = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
    missing = set(open_calls) - set(results)
    require(not missing, f"messages.{n}: `tool_use` ids were found without `tool_result` blocks immediately after")
    require(set(results) <= set(open_calls), f"messages.{n}: unexpected `tool_use_id` found in `tool_result` blocks")
    require(len(set(results)) == len(results), f"messages.{n}: each tool_use must have a single result")
    first = [block["type"] for block in blocks[: len(results)]]
    require(first == ["tool_result"] * len(results), f"messages.{n}: `tool_result` blocks must come first")


def _check_thoughts(blocks: Sequence[Body], n: int) -> None:
    kinds = ["thinking" in block["type"] for block in blocks]
    require(kinds == sorted(kinds, reverse=True), f"messages.{n}: thinking blocks must come first")


def check_tools(body: Body) -> None:
    tools = body.get("tools", [])
    for n, tool in enumerate(tools):
        require(set(tool) <= {"name", "description", "input_schema", "cache_control"}, f"tools.{n}: Extra inputs")
        require(_NAME.fullmatch(tool["name"]), f"tools.{n}.name: String should match the pattern")
        require(tool["input_schema"].get("type") == "object", f"tools.{n}.input_schema.type: Field required")
    names = {tool["name"] for tool in tools}
    require(len(names) == len(tools), "tools: Tool names must be unique.")
    require("tool_choice" not in body or tools, "tool_choice: may only be specified while providing tools")
    kinds = {block["type"] for message in body["messages"] for block in _content(message["content"], 0)}
    has_calls = bool(kinds & {"tool_use", "tool_result"})
    require(tools or not has_calls, "Requests which include `tool_use` or `tool_result` blocks must define tools")


def _marks(value: Any) -> int:
    """How many blocks are marked for the cache."""
    if isinstance(value, list):
        return sum(map(_marks, value))
    if isinstance(value, dict):
        return ("cache_control" in value) + sum(map(_marks, value.values()))
    return 0
