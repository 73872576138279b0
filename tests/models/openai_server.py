"""A server that speaks chat completions, and takes nothing that OpenAI's documents do not allow, nor what the stricter of the compatible servers
stumble over: sides that do not alternate, contents that are empty or null, arguments that are no object. It also writes down speech: `Reply.text`
is then what is said, and `counts` with no tokens at all means that it counts seconds.

https://platform.openai.com/docs/api-reference/chat/create
https://platform.openai.com/docs/api-reference/audio/createTranscription"""

import base64
import binascii
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

from aiohttp import BodyPartReader, web

from tests.models.wire import Body, Call, ModelServer, Received, Reply, Script, pieces

_FIELDS = {
    "model": str,
    "messages": list,
    "max_tokens": int,
    "max_completion_tokens": int,
    "stream": bool,
    "stream_options": dict,
    "tools": list,
    "tool_choice": str | dict,
    "response_format": dict,
    "temperature": int | float,
    "top_p": int | float,
    "seed": int,
    "stop": str | list,
    "reasoning_effort": str,
}
_OF_ROLE = {
    "system": {"role", "content"},
    "user": {"role", "content"},
    "assistant": {"role", "content", "tool_calls"},
    "tool": {"role", "content", "tool_call_id"},
}
_SPOKEN = {"file", "model", "response_format", "language", "prompt", "temperature"}
_SOUNDS = {"flac", "mp3", "mp4", "mpeg", "mpga", "m4a", "ogg", "wav", "webm"}
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_MOST_ID_CHARS = 40
_IMAGE = re.compile(r"data:image/(?:png|jpeg|gif|webp);base64,(.+)")
_PDF = re.compile(r"data:application/pdf;base64,(.+)")
_REFUSALS = {
    "max_tokens": "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
    "max_completion_tokens": "[{'type': 'extra_forbidden', 'loc': ('body', 'max_completion_tokens'), 'msg': 'Extra inputs are not "
    "permitted', 'input': 2048}]",
    "tools": "registry.ollama.ai/library/gemma:latest does not support tools",
    "tool_choice": "Unsupported parameter: 'tool_choice'",
    "stream_options": "Validation error at #/stream_options: Extra inputs are not permitted",
}


class Invalid(Exception):
    """The request is not as documented."""


def require(holds: object, why: str) -> None:
    if not holds:
        raise Invalid(why)


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a compatible server differs from OpenAI's.

    `refuses`: fields of a body. `formats`: the kinds of response_format that it knows; "strict" is one of them. `reasoning`: the field of
    its reasoning; "think" leaves it in the text, in tags. `calls`: "pieces", or "whole" in one piece. `indexes`: "all", "zero" for every
    call, or "none"."""

    refuses: frozenset[str] = frozenset({"max_tokens"})
    formats: frozenset[str] = frozenset({"strict", "json_schema", "json_object"})
    reads: frozenset[str] = frozenset({"image_url", "file", "input_audio"})
    reasoning: str = "reasoning_content"
    takes_reasoning: bool = True
    wants_reasoning: bool = False
    has_usage: bool = True
    has_ids: bool = True
    has_done: bool = True
    calls: str = "pieces"
    indexes: str = "all"


OWN = Dialect()
SIMPLE = Dialect(refuses=frozenset({"max_completion_tokens"}))


class OpenAIServer(ModelServer):
    """As `ModelServer`, in one dialect."""

    path: ClassVar[str] = "/v1/chat/completions"
    more_paths: ClassVar[tuple[str, ...]] = ("/v1/audio/transcriptions",)

    def __init__(self, script: Script | None = None, dialect: Dialect = SIMPLE) -> None:
        super().__init__(script)
        self.dialect = dialect

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"

    # --- requests

    async def read(self, request: web.Request) -> Body:
        """Of a form each field, and the file as `{"name", "type", "data"}`."""
        if request.content_type != "multipart/form-data":
            return await super().read(request)
        body: Body = {}
        async for part in await request.multipart():
            assert isinstance(part, BodyPartReader)
            assert part.name is not None
            assert part.name not in body, "a field that comes twice"
            data = bytes(await part.read())
            if part.filename is None:
                body[part.name] = data.decode()
            else:
                body[part.name] = {"name": part.filename, "type": part.headers["Content-Type"], "data": data}
        return body

    def refusal(self, body: Body, headers: Mapping[str, str]) -> str:
        try:
            require(headers.get("Authorization", "").startswith("Bearer "), "You didn't provide an API key.")
            if "messages" not in body and headers.get("Content-Type", "").startswith("multipart/form-data; boundary="):
                check_speech(body)
                return ""
            self._fields(body)
            check_messages(body, self.dialect)
            check_tools(body)
            self._format(body)
        except Invalid as error:
            return str(error)
        return ""

    def _fields(self, body: Body) -> None:
        for name in ("model", "messages"):
            require(name in body, f"you must provide a {name} parameter")
        for name, value in body.items():
            require(name in _FIELDS, f"Unrecognized request argument supplied: {name}")
            require(name not in self.dialect.refuses, _REFUSALS.get(name, f"Unsupported parameter: '{name}'"))
            require(isinstance(value, _FIELDS[name]), f"Invalid type for '{name}'")
        require(not {"max_tokens", "max_completion_tokens"} <= body.keys(), "Setting both limits is not allowed")
        require("stream_options" not in body or body.get("stream"), "'stream_options' is only allowed with stream")

    def _format(self, body: Body) -> None:
        asked = body.get("response_format")
        if asked is None:
            return
        kind = asked["type"]
        require(kind in self.dialect.formats, f"'response_format.type' {kind} is unavailable")
        if kind == "json_object":
            said = json.dumps(body["messages"]).lower()
            require("json" in said, "'messages' must contain the word 'json' to use 'response_format' of json_object")
            return
        wanted = asked["json_schema"]
        require(set(wanted) <= {"name", "schema", "strict", "description"}, "Unknown parameter in json_schema")
        require(_NAME.fullmatch(wanted["name"]), "response_format.json_schema.name does not match the pattern")
        if wanted.get("strict"):
            require("strict" in self.dialect.formats, "response_format: strict is not supported")
            require(_is_strict(wanted["schema"]), "Invalid schema for response_format 'answer'")

    # --- answers

    def failure(self, kind: str, message: str) -> Body:
        return {"error": {"message": message, "type": kind, "param": None, "code": None}}

    def whole(self, reply: Reply, asked: Received) -> Body:
        if "file" in asked.body:
            return (
                {"text": reply.text, "usage": _usage_of_speech(reply)}
                if self.dialect.has_usage
                else {"text": reply.text}
            )
        message: Body = {"role": "assistant", "content": self._text(reply), "refusal": None}
        if reply.reasoning and self.dialect.reasoning != "think":
            message[self.dialect.reasoning] = reply.reasoning
        if reply.calls:
            message["tool_calls"] = [self._call(call, n) for n, call in enumerate(reply.calls)]
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _reason(reply)}
        answer = {**self._head(asked, "chat.completion"), "choices": [choice]}
        return {**answer, "usage": _usage(reply)} if self.dialect.has_usage else answer

    def events(self, reply: Reply, asked: Received) -> Sequence[tuple[str, Body | str]]:
        head = self._head(asked, "chat.completion.chunk")
        has_usage = asked.body.get("stream_options", {}).get("include_usage") and self.dialect.has_usage
        deltas = [{"role": "assistant", "content": "", "refusal": None}, *self._deltas(reply), {}]
        events: list[tuple[str, Body | str]] = []
        for n, delta in enumerate(deltas):
            reason = _reason(reply) if n == len(deltas) - 1 else None
            choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
            events.append(("", {**head, "choices": [choice], **({"usage": None} if has_usage else {})}))
        if has_usage:
            events.append(("", {**head, "choices": [], "usage": _usage(reply)}))
        return [*events, ("", "[DONE]")] if self.dialect.has_done else events

    def _deltas(self, reply: Reply) -> Iterator[Body]:
        if reply.reasoning and self.dialect.reasoning != "think":
            for piece in pieces(reply.reasoning, reply.chunks):
                yield {self.dialect.reasoning: piece}
        for piece in pieces(self._text(reply), reply.chunks):
            yield {"content": piece}
        for n, call in enumerate(reply.calls):
            whole = self._call(call, n)
            place = {"all": {"index": n}, "zero": {"index": 0}, "none": {}}[self.dialect.indexes]
            if self.dialect.calls == "whole":
                yield {"tool_calls": [{**place, **whole}]}
                continue
            arguments = whole["function"].pop("arguments")
            yield {"tool_calls": [{**place, **whole, "function": {**whole["function"], "arguments": ""}}]}
            for piece in pieces(arguments, reply.chunks):
                yield {"tool_calls": [{**place, "function": {"arguments": piece}}]}

    def _text(self, reply: Reply) -> str:
        is_aloud = reply.reasoning and self.dialect.reasoning == "think"
        return f"<think>\n{reply.reasoning}\n</think>\n\n{reply.text}" if is_aloud else reply.text

    def _call(self, call: Call, n: int) -> Body:
        made: Body = {"type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        return {"id": call.id or f"call_{len(self.ledger)}_{n}", **made} if self.dialect.has_ids else made

    def _head(self, asked: Received, kind: str) -> Body:
        name = f"chatcmpl-{len(self.ledger)}"
        return {"id": name, "object": kind, "created": 1_700_000_000, "model": asked.body["model"]}


def _reason(reply: Reply) -> str:
    return reply.finish or ("tool_calls" if reply.calls else "stop")


def _usage(reply: Reply) -> Body:
    counts = reply.counts
    prompt = counts.input + counts.cache_read
    return {
        "prompt_tokens": prompt,
        "completion_tokens": counts.output,
        "total_tokens": prompt + counts.output,
        "prompt_tokens_details": {"cached_tokens": counts.cache_read, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }


def _usage_of_speech(reply: Reply) -> Body:
    counts = reply.counts
    if not counts.input:
        return {"type": "duration", "seconds": 12}
    total = counts.input + counts.output
    details = {"audio_tokens": counts.input, "text_tokens": 0}
    return {
        "type": "tokens",
        "input_tokens": counts.input,
        "output_tokens": counts.output,
        "total_tokens": total,
        "input_token_details": details,
    }


def _is_strict(node: Any) -> bool:
    if isinstance(node, list):
        return all(map(_is_strict, node))
    if not isinstance(node, dict):
        return True
    if node.get("type") == "object" and (
        node.get("additionalProperties") is not False or set(node["required"]) != set(node["properties"])
    ):
        return False
    return all(map(_is_strict, node.values()))


# --- what a request must look like -------------------------------------------------------------------------------------


def check_speech(body: Body) -> None:
    for name in ("file", "model"):
        require(body.get(name), f"you must provide a {name} parameter")
    extra = set(body) - _SPOKEN
    require(not extra, f"Unrecognized request argument supplied: {next(iter(extra), '')}")
    file = body["file"]
    require(isinstance(file, dict), "file: expected a file")
    ending = file["name"].rpartition(".")[2]
    require(ending in _SOUNDS, f"Invalid file format. Supported formats: {sorted(_SOUNDS)}")
    require(file["data"], "The audio file is empty.")
    require(body.get("response_format", "json") == "json", "response_format is not compatible with model")


def check_messages(body: Body, dialect: Dialect) -> None:
    messages = body["messages"]
    require(messages, "[] is too short - 'messages'")
    waiting: list[str] = []
    for n, message in enumerate(messages):
        role = message.get("role")
        require(role in _OF_ROLE, f"Invalid value for messages[{n}].role")
        _check_fields(message, n, dialect)
        require(role != "system" or n == 0, "System message must be at the beginning.")
        if role == "tool":
            require(message["tool_call_id"] in waiting, "messages with role 'tool' must follow 'tool_calls'")
            waiting.remove(message["tool_call_id"])
        else:
            require(not waiting, f"'tool_calls' must be followed by tool messages: {waiting}")
        _check_content(message, n, dialect)
        waiting = waiting or [call["id"] for call in _calls(message, n)]
    require(not waiting, f"'tool_calls' must be followed by tool messages: {waiting}")
    _check_order([message["role"] for message in messages if message["role"] != "system"])


def _check_order(roles: Sequence[str]) -> None:
    require(roles and roles[0] == "user", "The conversation must begin with a user message")
    require(roles[-1] in ("user", "tool"), "The last message must be the user's or a tool's")
    for before, role in pairwise(roles):
        require(role == "tool" or role != before, "Conversation roles must alternate user/assistant/user/assistant")


def _check_fields(message: Body, n: int, dialect: Dialect) -> None:
    allowed = set(_OF_ROLE[message["role"]])
    if message["role"] == "assistant":
        allowed |= {dialect.reasoning} if dialect.takes_reasoning else set()
        if dialect.wants_reasoning:
            thought = message.get("reasoning_content")
            require(thought, f"thinking is enabled but reasoning_content is missing in assistant message at index {n}")
    extra = set(message) - allowed
    require(not extra, f"Unknown parameter: 'messages[{n}].{next(iter(extra), '')}'.")


def _check_content(message: Body, n: int, dialect: Dialect) -> None:
    content = message["content"]
    if isinstance(content, list):
        require(message["role"] == "user", f"Invalid type for 'messages[{n}].content': expected a string")
        require(content, f"messages[{n}].content is empty")
        for part in content:
            _check_part(part, f"messages[{n}].content", dialect)
        return
    require(isinstance(content, str), f"invalid message content type in messages[{n}]")
    require(content.strip() or message.get("tool_calls"), f"messages[{n}].content must not be empty")


def _check_part(part: Body, at: str, dialect: Dialect) -> None:
    kind = part["type"]
    require(kind == "text" or kind in dialect.reads, f"{at}: unknown variant `{kind}`, expected `text`")
    require(set(part) == {"type", kind}, f"{at}: Unknown parameter")
    match kind:
        case "text":
            require(part["text"].strip(), f"{at}: text content must be non-empty")
        case "image_url":
            _check_data(_IMAGE.fullmatch(part["image_url"]["url"]), at)
        case "file":
            require(part["file"]["filename"], f"{at}.file.filename is missing")
            _check_data(_PDF.fullmatch(part["file"]["file_data"]), at)
        case "input_audio":
            require(part["input_audio"]["format"] in ("wav", "mp3"), f"{at}.input_audio.format is wrong")
            _check_data(re.fullmatch("(.+)", part["input_audio"]["data"]), at)


def _check_data(match: re.Match[str] | None, at: str) -> None:
    require(match, f"{at}: expected a base64-encoded data URL")
    try:
        base64.b64decode(match[1] if match else "", validate=True)
    except binascii.Error:
        raise Invalid(f"{at}: invalid base64") from None


def _calls(message: Body, n: int) -> Iterable[Body]:
    calls = message.get("tool_calls", [])
    require("tool_calls" not in message or calls, f"[] is too short - 'messages.{n}.tool_calls'")
    for call in calls:
        at = f"messages[{n}].tool_calls"
        require(set(call) <= {"id", "type", "function", "extra_content"}, f"{at}: Unknown parameter")
        require(call["type"] == "function", f"{at}.type: wrong")
        require(0 < len(call["id"]) <= _MOST_ID_CHARS, f"{at}.id: string too long")
        require(set(call["function"]) == {"name", "arguments"}, f"{at}.function: Unknown parameter")
        require(_NAME.fullmatch(call["function"]["name"]), f"{at}.function.name: does not match the pattern")
        try:
            arguments = json.loads(call["function"]["arguments"])
        except ValueError:
            raise Invalid(f"{at}.function.arguments: cannot be parsed") from None
        require(isinstance(arguments, dict), f"{at}.function.arguments: must be an object")
    require(len({call["id"] for call in calls}) == len(calls), f"messages[{n}]: duplicate tool call ids")
    return list(calls)


def check_tools(body: Body) -> None:
    tools = body.get("tools")
    require(tools is None or tools, "[] is too short - 'tools'")
    require(tools or "tool_choice" not in body, "'tool_choice' is only allowed when 'tools' are specified")
    for n, tool in enumerate(tools or ()):
        require(set(tool) == {"type", "function"} and tool["type"] == "function", f"tools[{n}]: wrong")
        function = tool["function"]
        require(set(function) <= {"name", "description", "parameters", "strict"}, f"tools[{n}].function: wrong")
        require(_NAME.fullmatch(function["name"]), f"tools[{n}].function.name: does not match the pattern")
        require(function["parameters"].get("type") == "object", f"tools[{n}].function.parameters: wrong")
