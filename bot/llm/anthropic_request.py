"""A request of ours as a body of the Messages API. Pure; plain dicts, so that a long history costs little.

The body is one that the API takes whatever the conversation: roles alternate, the user begins and has the last word, no text is empty, and calls
stand with their results. What is the same from call to call comes first and is marked for the prompt cache: the tools and instructions, and the
documents that stand before the conversation, and the messages up to the last: four marks at most, as many as the API takes.

Format: https://platform.claude.com/docs/en/api/messages
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bot.config.schema import Model
from bot.llm.content import Data, Loaded, is_assistant, kind, notes, paired, parts, result_text, spoken, text_file
from bot.model import Attachment
from bot.ports import ChatMessage, ChatRequest, Reasoning, ToolCall, ToolResult, ToolSpec

Body = dict[str, Any]  # JSON
Block = dict[str, Any]  # JSON

# The API caps an image at 5 MiB of base64, which is 3.75 MiB of file: https://platform.claude.com/docs/en/build-with-claude/vision
MOST_IMAGE_BYTES = 3_932_160
MOST_TITLE_CHARS = 200
THOUGHTS = ("thinking", "redacted_thinking")  # the types of the blocks that hold them
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")  # of a tool call, as the API wants it
_CACHED = {"type": "ephemeral"}
_BEGIN = "[The conversation begins here.]"
_GO_ON = "[Please go on.]"
_NO_CHOICE = {"type": "none"}
_FILES = re.compile(r"\b(?:image|document|pdf|file)s?\b|base64|media_type")
_THOUGHTS = re.compile(r"messages\.\d+.*(?:thinking|signature)")


@dataclass(frozen=True, slots=True)
class Form:
    """What of a request is sent in the API's own way; the rest is told in words, or left out."""

    files: Loaded
    has_schema: bool
    has_thoughts: bool = True

    def without(self, words: str) -> "Form | None":
        """The form without what a server's refusal names; None when it names nothing that could be left out."""
        if self.has_schema and ("output_config" in words or "output_format" in words or "json_schema" in words):
            return replace(self, has_schema=False)
        if self.has_thoughts and _THOUGHTS.search(words):
            return replace(self, has_thoughts=False)
        if self.files and _FILES.search(words):
            return replace(self, files={})
        return None

    def beyond(self, less: "Form") -> str:
        """What this form has that `less` has not, in words for operators."""
        if self.has_schema and not less.has_schema:
            return "a JSON schema"
        return "a file" if self.files and not less.files else "earlier thoughts"


def is_readable(attachment: Attachment, reads: frozenset[str]) -> bool:
    """Whether a file can be sent as data."""
    wanted = kind(attachment.media_type)
    if wanted not in reads or wanted == "audio" or not attachment.size_bytes:
        return False
    return wanted != "images" or attachment.size_bytes <= MOST_IMAGE_BYTES


def body(request: ChatRequest, settings: Model, name: str, form: Form) -> Body:
    """All but the model, its cap on tokens and whether to stream. The config's `parameters` come last and win."""
    messages = _messages(request.messages, name, form)
    asked: Body = {"messages": messages}
    if system := _system(request, form):
        asked["system"] = system
    if tools := _tools(request, settings, messages):
        asked["tools"] = tools
        if not system:
            tools[-1]["cache_control"] = _CACHED
    asked.update(settings.parameters)
    if tools and (request.has_tools_off or not settings.tools or not request.tools):
        asked["tool_choice"] = _NO_CHOICE
    if form.has_schema and request.schema is not None:
        kept = settings.parameters.get("output_config")
        wanted = {"type": "json_schema", "schema": _closed(request.schema)}
        asked["output_config"] = {**(kept if isinstance(kept, dict) else {}), "format": wanted}
    if not form.has_thoughts:
        asked.pop("thinking", None)
    return asked


# --- what comes first --------------------------------------------------------------------------------------------------


def _system(request: ChatRequest, form: Form) -> list[Block]:
    blocks: list[Block] = []
    if instructions := request.instructions.strip():
        blocks.append({"type": "text", "text": instructions, "cache_control": _CACHED})
    if request.schema is not None and not form.has_schema:
        schema = json.dumps(request.schema, ensure_ascii=False)
        text = f"Answer with one JSON value that follows this JSON Schema, and with nothing else:\n{schema}"
        blocks.append({"type": "text", "text": text})
    return blocks


def _tools(request: ChatRequest, settings: Model, messages: Sequence[Body]) -> list[Body]:
    """The tools that may be called; where none may be, still those that the messages name, because the API wants them declared."""
    if request.tools and settings.tools:
        return [_tool(tool) for tool in request.tools]
    named = {
        block["name"]: None
        for message in messages
        if isinstance(message["content"], list)
        for block in message["content"]
        if block["type"] == "tool_use"
    }
    known = {tool.name: tool for tool in request.tools}
    nothing: Body = {"type": "object"}
    return [_tool(known.get(each) or ToolSpec(each, "No longer there.", nothing)) for each in named]


def _tool(tool: ToolSpec) -> Body:
    return {"name": tool.name, "description": tool.description, "input_schema": dict(tool.parameters)}


def _closed(schema: Any) -> Any:  # JSON Schema is untyped JSON by nature
    """The schema with every object closed, as the API demands."""
    if isinstance(schema, list | tuple):
        return [_closed(each) for each in schema]
    if not isinstance(schema, Mapping):
        return schema
    closed = {key: _closed(value) for key, value in schema.items()}
    if closed.get("type") == "object" and "properties" in closed:
        closed["additionalProperties"] = False
    return closed


# --- messages ----------------------------------------------------------------------------------------------------------

_Part = str | Block  # a text, or any other block
_Said = str | list[Block]  # a lone text needs no block, and most of a long history is that


def _messages(conversation: Sequence[ChatMessage], name: str, form: Form) -> list[Body]:
    turns: list[Body] = []
    for message in paired(conversation, _ID):
        role = "assistant" if is_assistant(message.author) else "user"
        is_plain = not (message.attachments or message.calls or message.results or message.is_knowledge)
        said: _Said = spoken(message) if is_plain and not message.reasoning else _blocks(message, role, name, form)
        if not said:
            continue
        if not turns or turns[-1]["role"] != role:
            turns.append({"role": role, "content": said})
        elif _begins_with_thoughts(said):  # which must begin an assistant's turn
            turns += ({"role": "user", "content": _GO_ON}, {"role": role, "content": said})
        else:
            turns[-1]["content"] = _listed(turns[-1]["content"])
            turns[-1]["content"] += _listed(said)
    if turns and turns[0]["role"] == "assistant":
        turns.insert(0, {"role": "user", "content": _BEGIN})
    if not turns or turns[-1]["role"] == "assistant":
        turns.append({"role": "user", "content": _GO_ON})
    _mark(turns)
    return turns


def _mark(turns: Sequence[Body]) -> None:
    """The last message, up to which the next call reads from the cache, and the user's before it, up to which this one does."""
    for turn in turns[-1::-2][:2]:
        blocks = turn["content"] = _listed(turn["content"])
        blocks[-1] = {**blocks[-1], "cache_control": _CACHED}


def _listed(said: _Said) -> list[Block]:
    return [_text(said)] if isinstance(said, str) else said


def _begins_with_thoughts(said: _Said) -> bool:
    return not isinstance(said, str) and said[0]["type"] in THOUGHTS


def _blocks(message: ChatMessage, role: str, name: str, form: Form) -> _Said:
    """What a message says that is more than a text; empty when it says nothing."""
    if message.is_knowledge:
        return [{**_text(message.text), "cache_control": _CACHED}]
    parts = _assistants_parts(message) if role == "assistant" else _users_parts(message, form.files)
    thoughts = _thoughts(message.reasoning, name) if form.has_thoughts and role == "assistant" else []
    if not parts:
        return ""
    if len(parts) == 1 and isinstance(parts[0], str) and not thoughts:
        return parts[0]
    return [*thoughts, *(_text(part) if isinstance(part, str) else part for part in parts)]


def _assistants_parts(message: ChatMessage) -> list[_Part]:
    texts = (spoken(message), notes(message, {}))
    return [*filter(None, texts), *map(_call, message.calls)]


def _users_parts(message: ChatMessage, files: Loaded) -> list[_Part]:
    sent = [_file(attachment, data) for attachment, data in parts(message, files)]
    texts = (notes(message, files), spoken(message))
    return [*map(_result, message.results), *sent, *filter(None, texts)]


def _call(call: ToolCall) -> Block:
    return {"type": "tool_use", "id": call.id, "name": call.name, "input": _input(call.arguments)}


def _result(result: ToolResult) -> Block:
    block = {"type": "tool_result", "tool_use_id": result.call, "content": result_text(result)}
    return {**block, "is_error": True} if result.is_error else block


def _text(text: str) -> Block:
    return {"type": "text", "text": text}


def _file(attachment: Attachment, data: Data) -> _Part:
    wanted = kind(attachment.media_type)
    if wanted == "text":
        return text_file(attachment, data)
    source = {"type": "base64", "media_type": attachment.media_type, "data": data.text}
    if wanted == "images":
        return {"type": "image", "source": source}
    return {"type": "document", "source": source, "title": attachment.name[:MOST_TITLE_CHARS] or "file"}


def _input(arguments: str) -> Body:
    """A call's arguments as the object that the API wants, whatever the model wrote."""
    try:
        value = json.loads(arguments or "{}")
        if "\\u" in arguments:
            value = json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return {"unreadable": arguments}
    return value if isinstance(value, dict) else {"value": value}


def _thoughts(reasoning: Sequence[Reasoning], name: str) -> list[Block]:
    """The blocks as the API gave them, in their order."""
    return [block for each in reasoning if each.model == name for block in _kept(each.data)]


def _kept(data: str) -> list[Block]:
    try:
        value = json.loads(data)
    except ValueError:
        return []
    blocks = value if isinstance(value, list) else []
    return [block for block in blocks if isinstance(block, dict) and block.get("type") in THOUGHTS]
