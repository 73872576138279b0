"""Typed answers: asks for JSON that follows a pydantic model, and reads it out of whatever a model writes around it."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from bot.model import Author
from bot.ports import ChatMessage, ChatRequest
from bot.text import pattern

F = TypeVar("F", bound=BaseModel)

ANSWER_CHARS = 1_000_000
_PLACES_MOST = 20  # where a value may begin: enough for prose around it, few enough for a text made of brackets
_THOUGHT = pattern(r"<think(?:ing)?>.*?</think(?:ing)?>", re.DOTALL | re.IGNORECASE)
_OPENING = pattern(r"[{\[]")
_decode = json.JSONDecoder().raw_decode


class Form(Generic[F]):
    """One request for one value. A model whose answer does not fit is told why, once."""

    def __init__(self, request: ChatRequest, kind: type[F]) -> None:
        self.value: F | None = None
        self._kind = kind
        self._request = replace(request, schema=schema_of(kind))
        self._answer = ""
        self._why = ""
        self._has_sent_back = False

    def make(self, chars: int) -> ChatRequest:
        """The request; of its size only the caller decides. After an answer that did not fit it also holds that and the reason."""
        if not self._has_sent_back:
            return self._request
        told = f"That cannot be used: {self._why} Answer with one JSON value that follows the schema, and with nothing else."
        more = (ChatMessage(Author.AGENT, self._answer), ChatMessage(Author.USER, told))
        return replace(self._request, messages=(*self._request.messages, *more))

    def accept(self, text: str) -> str:
        """Why the text is no answer, or "" and `value` is there."""
        try:
            self.value = read(text, self._kind)
        except ValueError as error:
            self._answer, self._why = text, str(error)
            return self._why
        return ""

    def send_back(self) -> bool:
        """Whether the same model is to be asked again."""
        is_first, self._has_sent_back = not self._has_sent_back, True
        return is_first

    def begin_anew(self) -> None:
        """Another model is asked: it need not know of what came before."""
        self._has_sent_back = False


@lru_cache(maxsize=64)
def schema_of(kind: type[BaseModel]) -> dict[str, Any]:
    """JSON Schema, made once for each model. Not to be changed."""
    return kind.model_json_schema()


def read(text: str, kind: type[F]) -> F:
    """The first value in the text that fits. Raises ValueError that says what is wrong in words that may be shown to a model."""
    if len(text) > ANSWER_CHARS:
        raise ValueError("it is too long.")
    why = "it holds no JSON."
    for candidate in _candidates(_THOUGHT.sub("", text).strip()):
        try:
            return kind.model_validate_json(candidate)
        except ValidationError as error:
            why = _told(error) if why.startswith("it holds no") or not _is_syntax(error) else why
    raise ValueError(why)


def _candidates(text: str) -> Iterator[str]:
    """The text itself, then every JSON object or array in it, from the left."""
    yield text
    end = 0
    for place, opening in enumerate(_OPENING.finditer(text)):
        if place >= _PLACES_MOST:
            return
        start = opening.start()
        if start < end:
            continue  # within a value that did not fit
        try:
            _, end = _decode(text, start)
        except (ValueError, RecursionError):
            continue
        yield text[start:end]


def _is_syntax(error: ValidationError) -> bool:
    return any(each["type"] == "json_invalid" for each in error.errors(include_url=False, include_input=False))


def _told(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_context=False, include_input=False)[:5]
    return "; ".join(f"{'.'.join(map(str, each['loc'])) or 'value'}: {each['msg']}" for each in found) + "."
