"""Conversations of any shape, sound or not, as hypothesis draws them."""

import json

from hypothesis import strategies as st

from bot.model import Attachment, Author, BlobId
from bot.ports import ChatMessage, Reasoning, ToolCall, ToolResult

_TEXTS = st.sampled_from(["", " ", "\n\n", "Hello?", "Ä\N{WHITE SMILING FACE}", "  indented", "[1]"]) | st.text(
    max_size=20
)
_IDS = st.sampled_from(["a", "b", "toolu_1", "functions.search:0", "", "ä", "x" * 80])
_NAMES = st.sampled_from(["search_knowledge", "request_human", "bad name", "ü", "", "n" * 200])
_ARGUMENTS = st.sampled_from(["{}", "", '{"query": "x"}', "[1]", "not json", '{"a": "\\ud83d"}', "null", "[" * 50_000])
_TYPES = st.sampled_from(["image/png", "image/heic", "application/pdf", "text/plain", "audio/wav", "x/y"])
_THOUGHTS = st.sampled_from(
    [
        json.dumps([{"type": "thinking", "thinking": "t", "signature": "c2lnbmF0dXJl"}]),
        json.dumps([{"type": "redacted_thinking", "data": "ZA=="}]),
        json.dumps({"reasoning_content": "t"}),
        "[]",
        "[null]",
        '[{"type": "text", "text": "t"}]',
        "nonsense",
    ]
)
_ATTACHMENTS = st.builds(
    Attachment,
    st.sampled_from([BlobId("kept"), BlobId("gone"), BlobId("text")]),
    st.sampled_from(["a.png", "", 'od"d\n.pdf']),
    _TYPES,
    st.integers(0, 9_000_000),
)
_RESULTS = st.builds(ToolResult, _IDS, _TEXTS, st.booleans())


def _several(each: st.SearchStrategy, most: int = 3) -> st.SearchStrategy:
    return st.lists(each, max_size=most).map(tuple)


def messages() -> st.SearchStrategy[ChatMessage]:
    calls = st.builds(ToolCall, _IDS, _NAMES, _ARGUMENTS)
    reasoning = st.builds(Reasoning, st.sampled_from(["claude", "gpt", "other"]), _THOUGHTS)
    nothing: st.SearchStrategy[tuple[()]] = st.just(())
    return st.builds(
        ChatMessage,
        st.sampled_from(list(Author)),
        _TEXTS,
        nothing | _several(_ATTACHMENTS),
        nothing | _several(calls),
        nothing | _several(_RESULTS),
        nothing | _several(reasoning, 2),
    )


def conversations() -> st.SearchStrategy[list[ChatMessage]]:
    return st.lists(messages(), max_size=12)
