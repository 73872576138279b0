"""How large a request is, in characters, and which kinds of files it carries."""

import json
from collections.abc import Iterable

from bot.model import Attachment, Author
from bot.ports import ChatMessage, ChatRequest, ToolSpec

CHARS_A_TOKEN = 3  # fewer than the 4 that English takes, so that other languages fit too
FILE_CHARS = 5_000  # what an image is counted as: about 1,600 tokens with every provider that says so
LEAST_CHARS = 1_000  # whatever a model's context window is said to be

_KINDS = {"image": "images", "audio": "audio", "text": "text"}


def chars_of(messages: Iterable[ChatMessage]) -> int:
    """What the messages hold: texts, calls, results, thoughts, and a flat number for each file."""
    total = 0
    for message in messages:
        total += len(message.text)
        if message.calls or message.reasoning:
            total += sum(len(call.name) + len(call.arguments) for call in message.calls)
            total += sum(len(thought.data) for thought in message.reasoning)
        if message.results:
            total += sum(len(result.text) for result in message.results)
        if message.attachments:
            total += FILE_CHARS * sum(map(_is_sent, message.attachments))
    return total


def kinds_of(messages: tuple[ChatMessage, ...]) -> frozenset[str]:
    """Which kinds of files the user's newest messages carry, in the words of a model's `reads`; others can be read by none."""
    kinds: set[str] = set()
    has_begun = False
    for message in reversed(messages):
        if message.author is Author.USER:
            has_begun = True
            if message.attachments:
                kinds.update(_kind(each) for each in message.attachments if _is_sent(each))
        elif has_begun:
            break
    kinds.discard("")
    return frozenset(kinds)


def _is_sent(file: Attachment) -> bool:
    """Whether a model may get the file itself: it is here, can be read, and is not written out as text."""
    return bool(file.blob) and not (file.transcript or file.problem)


def _kind(file: Attachment) -> str:
    return "pdf" if file.media_type == "application/pdf" else _KINDS.get(file.media_type.partition("/")[0], "")


class Overhead:
    """What requests carry besides their conversation: instructions and tools. The tools are measured again only when they change."""

    def __init__(self) -> None:
        self.chars = 0
        self._tools: tuple[ToolSpec, ...] | None = None
        self._tools_chars = 0

    def learn(self, request: ChatRequest) -> bool:
        """Whether it is more than was known."""
        if request.tools is not self._tools:
            self._tools = request.tools
            self._tools_chars = sum(
                len(tool.name) + len(tool.description) + len(json.dumps(tool.parameters)) for tool in request.tools
            )
        before, self.chars = self.chars, self._tools_chars + len(request.instructions)
        return self.chars > before
