"""What a chat-completions server does not do as OpenAI's does, learnt from its refusals.

A refused request is no failed try: it is sent again at once, without what was refused, and every later one is sent so from the start.
"""

import re
from collections.abc import Mapping
from enum import Enum
from typing import Any


class Quirk(Enum):
    """One way in which a server differs. The value says so to an operator, after the model's name."""

    NO_TOOLS = (
        "cannot call tools: the knowledge base is searched for it with the user's own words, and it has no other tool"
    )
    NO_TOOL_CHOICE = "does not know tool_choice"
    NO_STRICT = "does not follow a schema strictly"
    NO_JSON_SCHEMA = "does not follow a schema; it is told of it in words"
    NO_JSON_OBJECT = "does not know response_format"
    NO_STREAM_OPTIONS = "does not know stream_options: it may not say what its streamed answers cost"
    OTHER_LIMIT = "names the limit of an answer differently"
    NO_REASONING = "does not take its reasoning back"
    WANTS_REASONING = "wants reasoning with every answer of the past"
    NO_FILES = "did not take the files of this request"  # holds for one request: the files may be at fault


Quirks = frozenset[Quirk]

_MOST_CHARS = 2_000
_TOO_LARGE = 413
_PLAIN = frozenset({400, 422})
_ODD = frozenset({404, 413, 415, 500, 501})  # OpenRouter says 404, llama.cpp 500 and 501 where others say 400
_REFUSING = re.compile(
    r"not (?:\w+ )?(?:support|implement|allow|permit|enabled|available)|n't (?:support|allow)|unsupported|unrecogni[sz]ed"
    r"|un(?:known|expected) (?:field|key|name|param|property|argument|variant|role)|extra[_ ](?:inputs?|fields?|forbidden)"
    r"|requires|no endpoints found"
)
_MISSING = re.compile(r"missing|must (?:be passed|include|contain|have)|required")
_TOOLS = re.compile(
    r"\btools?\b(?!\s*[\[.]\s*\d)|\btool[ _-]?(?:use|choice|call(?:ing|s)?)\b|\bfunction[ _-]?call(?:ing|s)?\b"
)
_TOOL_CHOICE = re.compile(r"\btool[ _-]choice\b")
_FORMAT = re.compile(r"response_format|json[_ ]schema|json[_ ]object|json[_ ]mode|structured output|guided|grammar")
_STREAM_OPTIONS = re.compile(r"stream_options|include_usage")
_LIMIT = re.compile(r"\bmax_(?:completion_)?tokens\b")
_FILES = re.compile(
    r"image|vision|multi-?modal|audio|\bfiles?\b|file_data|pdf|content|mime|base64|unknown variant|string"
)
_REASONING = re.compile(r"\breasoning_content\b|\breasoning\b")
_ECHO = re.compile(r"['\"]?input(?:_value)?['\"]?\s*[:=].*", re.DOTALL)  # what pydantic repeats of the request
_TELLING = ("error", "detail", "message", "msg", "type", "code", "param", "loc")


def learnt(status: int, error: object, body: Mapping[str, Any], quirks: Quirks) -> Quirk | None:
    """What to do without, after a server has refused `body` (made under `quirks`) with this error. None: nothing that would help."""
    if status not in _PLAIN | _ODD:
        return None
    said = _ECHO.sub("", _words(error)).lower()
    is_refusing = _REFUSING.search(said) is not None
    is_named = is_refusing or status in _PLAIN
    meant = (
        (Quirk.NO_STREAM_OPTIONS, is_named and "stream_options" in body and _STREAM_OPTIONS.search(said)),
        (_format_quirk(body), is_named and "response_format" in body and _FORMAT.search(said)),
        (Quirk.OTHER_LIMIT, is_refusing and _LIMIT.search(said)),
        (Quirk.WANTS_REASONING, is_named and _REASONING.search(said) and _MISSING.search(said)),
        (Quirk.NO_REASONING, is_refusing and _REASONING.search(said)),
        (Quirk.NO_TOOL_CHOICE, is_refusing and "tool_choice" in body and _TOOL_CHOICE.search(said)),
        (Quirk.NO_TOOLS, is_refusing and "tools" in body and _TOOLS.search(said)),
        (Quirk.NO_FILES, _has_files(body) and (status == _TOO_LARGE or _FILES.search(said))),
    )
    return next((quirk for quirk, is_meant in meant if is_meant and quirk not in quirks), None)


def _words(error: object) -> str:
    """All that an error says in words, wherever servers put it, without what it repeats of the request."""
    if isinstance(error, list):
        return ".".join(map(_words, error))
    if isinstance(error, dict):
        return " ".join(_words(error[key]) for key in _TELLING if key in error)
    return str(error)[:_MOST_CHARS] if isinstance(error, str | int) else ""


def limit_field(is_openai: bool, quirks: Quirks) -> str:
    """What limits an answer. OpenAI's newer models refuse `max_tokens`, which is all that many other servers know."""
    return "max_completion_tokens" if is_openai != (Quirk.OTHER_LIMIT in quirks) else "max_tokens"


def _has_files(body: Mapping[str, Any]) -> bool:
    return any(isinstance(entry["content"], list) for entry in body["messages"])


def _format_quirk(body: Mapping[str, Any]) -> Quirk:
    """The next lower rung: strict schema, schema, any object, words alone."""
    asked = body.get("response_format")
    wanted = asked.get("json_schema") if isinstance(asked, dict) else None
    if not isinstance(wanted, dict):
        return Quirk.NO_JSON_OBJECT
    return Quirk.NO_STRICT if wanted.get("strict") else Quirk.NO_JSON_SCHEMA
