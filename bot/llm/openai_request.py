"""A request as chat-completions servers want it. Pure: the files it sends have been read before.

Only what all servers share is used: one system message at the beginning, texts of one side joined so that the sides alternate, the user
first and last, contents that are never null, results right after their calls. The stable part comes first, because servers cache by prefix.

Format: https://platform.openai.com/docs/api-reference/chat/create
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from bot.config import schema
from bot.llm import content
from bot.llm.openai_answer import REASONING_FIELDS
from bot.llm.openai_dialect import Quirk, Quirks, limit_field
from bot.model import Attachment, Author
from bot.ports import ChatMessage, ChatRequest, ToolCall, ToolResult
from bot.tools.names import SEARCH_KNOWLEDGE

MOST_QUERY_CHARS: Final = 2_000

BEGINNING: Final = "[Note of the system:] The conversation begins."
CONTINUE: Final = "[Note of the system:] Nobody has written since. Continue."
READ: Final = "I have read the documents."  # a side of its own, so that a user's first words are not a part of them
NO_CALLS: Final = "You cannot call any tool."
TOLD: Final = (
    "You cannot call any tool. What has been looked up for you stands in notes that begin with [Looked up]: answer from those, say plainly "
    "when they do not hold the answer, and put the number of the passage that a statement comes from behind it, in brackets, such as [1]."
)
_SCHEMA = "Your whole answer is one JSON value: no words around it, no code fence. It follows this JSON Schema:\n"
_CALL_ID = re.compile(r"[!-~]{1,40}")  # OpenAI refuses longer ones
_BLANK_REASONING = " "  # Kimi refuses an empty one
_ROLES = {author: "assistant" if content.is_assistant(author) else "user" for author in Author}
_AUDIO = {"audio/wav": "wav", "audio/x-wav": "wav", "audio/mpeg": "mp3", "audio/mp3": "mp3"}

Entry = dict[str, Any]  # a message as JSON


def body(
    name: str,
    settings: schema.Model,
    request: ChatRequest,
    loaded: content.Loaded,
    quirks: Quirks,
    *,
    is_openai: bool,
) -> dict[str, Any]:
    """The whole request. `name` is the model's: reasoning that another one gave is left out."""
    can_call = Quirk.NO_TOOLS not in quirks
    limit = {} if _LIMITS & settings.parameters.keys() else {limit_field(is_openai, quirks): settings.output_tokens}
    made: dict[str, Any] = {
        **settings.parameters,
        "model": settings.model,
        "messages": _messages(name, request, loaded, quirks, can_call=can_call),
        **limit,
    }
    if settings.stream:
        made["stream"] = True
        if Quirk.NO_STREAM_OPTIONS not in quirks:
            made["stream_options"] = {"include_usage": True}
    if can_call:
        made.update(_tools(request, quirks))
    if request.schema is not None and (wanted := _format(request.schema, quirks)):
        made["response_format"] = wanted
    return made


def query(request: ChatRequest) -> str:
    """What is to be looked up for a model that cannot ask for it: the user's newest words. "" when there is nothing to look up, or it has
    been."""
    messages = request.messages
    if request.has_tools_off or SEARCH_KNOWLEDGE not in {tool.name for tool in request.tools}:
        return ""
    end = next((n for n in range(len(messages), 0, -1) if messages[n - 1].author is Author.USER), 0)
    if any(message.results for message in messages[end:]):
        return ""
    start = end
    while start and messages[start - 1].author is Author.USER:
        start -= 1
    return "\n".join(filter(None, (message.text.strip() for message in messages[start:end])))[:MOST_QUERY_CHARS]


# --- fields ------------------------------------------------------------------------------------------------------------

_LIMITS = {"max_tokens", "max_completion_tokens"}


def _tools(request: ChatRequest, quirks: Quirks) -> dict[str, Any]:
    if not request.tools or (request.has_tools_off and Quirk.NO_TOOL_CHOICE in quirks):
        return {}
    tools = [
        {
            "type": "function",
            "function": {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)},
        }
        for tool in request.tools
    ]
    return {"tools": tools, "tool_choice": "none"} if request.has_tools_off else {"tools": tools}


def _format(wanted: Mapping[str, Any], quirks: Quirks) -> dict[str, Any] | None:
    """The highest rung that the server is not known to refuse. Only an object can be asked for so."""
    if wanted.get("type") != "object":
        return None
    if Quirk.NO_JSON_SCHEMA not in quirks:
        is_strict = Quirk.NO_STRICT not in quirks and _is_strict(wanted)
        return {"type": "json_schema", "json_schema": {"name": "answer", "schema": dict(wanted), "strict": is_strict}}
    return None if Quirk.NO_JSON_OBJECT in quirks else {"type": "json_object"}


def _is_strict(node: object) -> bool:
    """Whether every object in a schema names all its properties and requires them, as strict schemas must:
    https://platform.openai.com/docs/guides/structured-outputs"""
    if isinstance(node, list):
        return all(map(_is_strict, node))
    if not isinstance(node, dict):
        return True
    if node.get("type") == "object":
        properties = node.get("properties", {})
        if node.get("additionalProperties") is not False or set(node.get("required", ())) != set(properties):
            return False
    return all(map(_is_strict, node.values()))


# --- messages ----------------------------------------------------------------------------------------------------------


def _messages(
    name: str, request: ChatRequest, loaded: content.Loaded, quirks: Quirks, *, can_call: bool
) -> list[Entry]:
    messages: Sequence[ChatMessage] = content.paired(request.messages, _CALL_ID)
    entries: list[Entry] = []
    for message in messages if can_call else _told(messages):
        if message.is_knowledge:
            entries.append({"role": "user", "content": message.text})
            entries.append({"role": "assistant", "content": READ})
        elif message.results:
            entries.extend(map(_result, message.results))
        elif message.calls or message.attachments:
            _add(entries, _entry(name, message, loaded, quirks))
        else:
            _add(entries, {"role": _ROLES[message.author], "content": content.spoken(message)})
    if not entries or entries[0]["role"] != "user":
        entries.insert(0, {"role": "user", "content": BEGINNING})
    if entries[-1]["role"] == "assistant":
        entries.append({"role": "user", "content": CONTINUE})
    if Quirk.WANTS_REASONING in quirks:
        for entry in entries:
            if entry["role"] == "assistant":
                entry.setdefault("reasoning_content", _BLANK_REASONING)
    system = _system(request, quirks, can_call=can_call)
    return [{"role": "system", "content": system}, *entries] if system else entries


def _system(request: ChatRequest, quirks: Quirks, *, can_call: bool) -> str:
    has_knowledge = any(message.is_knowledge for message in request.messages[:1])
    told = "" if can_call or not request.tools else NO_CALLS if has_knowledge else TOLD
    wanted = request.schema
    is_asked_for = wanted is None or (_format(wanted, quirks) or {}).get("type") == "json_schema"
    form = "" if wanted is None or is_asked_for else _SCHEMA + json.dumps(dict(wanted), ensure_ascii=False)
    return _joined(request.instructions.strip(), told, form)


def _entry(name: str, message: ChatMessage, loaded: content.Loaded, quirks: Quirks) -> Entry:
    """One side's text with its files or calls. Only the user's files can be sent as data."""
    if _ROLES[message.author] == "user":
        return {"role": "user", "content": _user_content(message, loaded)}
    text = _joined(content.spoken(message), content.notes(message, {}))
    if not message.calls:
        return {"role": "assistant", "content": text}
    returned = _returned(name, message, quirks)
    thought, extras = returned.pop("think", ""), returned.pop("calls", ())
    entry: Entry = {"role": "assistant", "content": f"{thought}{text}", **returned}
    entry["tool_calls"] = [_call(call) for call in message.calls]
    for call, extra in zip(entry["tool_calls"], extras, strict=False):
        if isinstance(extra, dict):
            call["extra_content"] = extra
    return entry


def _call(call: ToolCall) -> Entry:
    """Servers that put calls into a template parse their arguments, and fail where they are not an object."""
    return {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments if _is_object(call.arguments) else "{}"},
    }


def _result(result: ToolResult) -> Entry:
    text = content.result_text(result)
    return {"role": "tool", "tool_call_id": result.call, "content": f"Error: {text}" if result.is_error else text}


def _returned(name: str, message: ChatMessage, quirks: Quirks) -> dict[str, Any]:
    """The fields of an answer with calls that the server wants back as it gave them."""
    for reasoning in message.reasoning:
        if reasoning.model == name and Quirk.NO_REASONING not in quirks:
            return dict(_fields(reasoning.data))
    return {}


def _fields(data: str) -> Iterator[tuple[str, Any]]:
    try:
        said = json.loads(data)
    except (ValueError, RecursionError):
        return
    if not isinstance(said, dict):
        return
    for field in REASONING_FIELDS:
        if isinstance(said.get(field), str):
            yield field, said[field]
    if isinstance(said.get("think"), str):
        yield "think", f"<think>{said['think']}</think>\n\n"
    if isinstance(said.get("calls"), list):
        yield "calls", said["calls"]


def _user_content(message: ChatMessage, loaded: content.Loaded) -> str | list[Entry]:
    """A plain string where there are no files: many servers know nothing else."""
    text = content.spoken(message)
    files: list[Entry] = []
    for attachment, data in content.parts(message, loaded):
        if content.kind(attachment.media_type) == "text":
            text = _joined(text, content.text_file(attachment, data))
        else:
            files.append(_part(attachment, data.text))
    text = _joined(text, content.notes(message, loaded))
    if not files:
        return text
    return [{"type": "text", "text": text}, *files] if text else files


def _part(attachment: Attachment, data: str) -> Entry:
    media_type = attachment.media_type
    if media_type in _AUDIO:
        return {"type": "input_audio", "input_audio": {"data": data, "format": _AUDIO[media_type]}}
    url = f"data:{media_type};base64,{data}"
    if media_type == "application/pdf":
        return {"type": "file", "file": {"filename": attachment.name or "file.pdf", "file_data": url}}
    return {"type": "image_url", "image_url": {"url": url}}


def _add(entries: list[Entry], entry: Entry) -> None:
    """Appends it, or joins it to the last: two texts of one side are one message. Nothing is said by an empty one."""
    if not entry["content"] and "tool_calls" not in entry:
        return
    last = entries[-1] if entries else None
    if last is None or last["role"] != entry["role"]:
        entries.append(entry)
        return
    entry["content"] = _both(last["content"], entry["content"])
    entries[-1] = entry


def _both(one: str | list[Entry], other: str | list[Entry]) -> str | list[Entry]:
    if isinstance(one, str) and isinstance(other, str):
        return _joined(one, other)
    return [*_parts(one), *_parts(other)]


def _parts(value: str | list[Entry]) -> Iterable[Entry]:
    return value if isinstance(value, list) else ({"type": "text", "text": value},)


def _told(messages: Iterable[ChatMessage]) -> Iterator[ChatMessage]:
    """Calls and results in words, for a server that knows neither."""
    calls: tuple[ToolCall, ...] = ()
    for message in messages:
        if message.calls:
            calls = message.calls
            yield ChatMessage(Author.AGENT, message.text, message.attachments)
        elif message.results:
            pairs = zip(calls, message.results, strict=True)
            yield ChatMessage(Author.USER, "\n\n".join(_tale(call, result) for call, result in pairs))
        else:
            yield message


def _tale(call: ToolCall, result: ToolResult) -> str:
    if call.name == SEARCH_KNOWLEDGE:
        return f"[Looked up] {content.result_text(result)}"
    return f"[The tool {call.name} was called with {call.arguments}. It said:] {content.result_text(result)}"


def _joined(*texts: str) -> str:
    return "\n\n".join(filter(None, texts))


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False
