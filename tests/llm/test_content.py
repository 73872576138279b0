"""What both providers make of a conversation: calls paired with results, files chosen and encoded."""

import base64
import re

from hypothesis import given
from hypothesis import strategies as st

from bot.llm.content import MOST_DATA_BYTES, MOST_FILES, MOST_TEXT_BYTES, load, notes, paired
from bot.model import Attachment, Author, BlobId
from bot.ports import ChatMessage, ToolCall, ToolResult
from tests.llm.calling import agent, blobs, user
from tests.llm.conversations import conversations


def asked(*ids: str) -> ChatMessage:
    return ChatMessage(Author.AGENT, calls=tuple(ToolCall(each, "search", "{}") for each in ids))


def answered(*ids: str) -> ChatMessage:
    return ChatMessage(Author.SYSTEM, results=tuple(ToolResult(each, f"result of {each}") for each in ids))


def test_a_sound_conversation_stays_as_it_is() -> None:
    messages = [user("Hi"), asked("a", "b"), answered("a", "b"), agent("Done.")]
    assert paired(messages) == messages


def test_results_stand_in_the_order_of_their_calls_right_after_them() -> None:
    given = paired([asked("a", "b"), answered("b"), answered("a")])
    assert given == [asked("a", "b"), answered("a", "b")]


def test_a_call_without_a_result_is_told_as_given_up() -> None:
    _, results, after = paired([asked("a", "b"), answered("a"), user("Well?")])
    first, second = results.results
    assert first.text == "result of a"
    assert second.call == "b"
    assert second.is_error
    assert after == user("Well?")


def test_a_result_without_a_call_is_kept_as_a_note() -> None:
    note, after = paired([answered("a"), user("Well?")])
    assert note.author is Author.SYSTEM
    assert "result of a" in note.text
    assert after == user("Well?")


def test_ids_that_come_twice_are_told_apart() -> None:
    first, one, second, two = paired([asked("a"), answered("a"), asked("a"), answered("a")])
    assert first.calls[0].id == one.results[0].call == "a"
    assert second.calls[0].id == two.results[0].call != "a"


def test_ids_of_another_provider_are_made_to_fit() -> None:
    first, one = paired([asked("functions.search:0"), answered("functions.search:0")], re.compile(r"\w+"))
    assert re.fullmatch(r"\w+", first.calls[0].id)
    assert one.results[0].call == first.calls[0].id
    assert one.results[0].text == "result of functions.search:0"


@given(conversations())
def test_any_conversation_becomes_pairs(messages: list[ChatMessage]) -> None:
    """Calls are answered at once and completely, ids are unique, and no text or file gets lost."""
    given = paired(messages)
    used: list[str] = []
    for n, message in enumerate(given):
        if message.calls:
            used += [call.id for call in message.calls]
            assert [result.call for result in given[n + 1].results] == [call.id for call in message.calls]
        if message.results:
            assert given[n - 1].calls
            assert not message.text
    assert len(set(used)) == len(used)
    before = [(message.text.strip(), message.attachments) for message in messages]
    after = [(message.text.strip(), message.attachments) for message in given]
    assert [each for each in before if any(each)] == [each for each in after if each in before and any(each)]


def attached(blob: str, media_type: str = "image/png", size: int = 10) -> Attachment:
    return Attachment(BlobId(blob), f"{blob}.png", media_type, size)


async def test_the_newest_files_are_chosen() -> None:
    files = {f"f{n}": bytes([n]) for n in range(8)}
    messages = [user("", attached(f"f{n}"), attached(f"f{n}")) for n in range(8)]
    loaded = await load(messages, lambda _: True, blobs(**files))
    assert sorted(each.blob for each in loaded) == [f"f{n}" for n in range(8 - MOST_FILES, 8)]
    assert base64.b64decode(loaded[attached("f7")].text) == b"\x07"


async def test_all_files_together_stay_below_what_a_request_may_hold() -> None:
    half = MOST_DATA_BYTES // 2
    messages = [user("", attached(name, size=half)) for name in ("a", "b", "c")]
    loaded = await load(messages, lambda _: True, blobs(a=b"a", b=b"b", c=b"c"))
    assert sorted(each.blob for each in loaded) == ["b", "c"]


async def test_a_file_that_is_gone_is_named() -> None:
    message = user("", attached("a"))
    loaded = await load([message], lambda _: True, blobs())
    assert loaded == {}
    assert "a.png" in notes(message, loaded)


async def test_a_large_text_is_cut_and_says_so() -> None:
    message = user("", attached("a", "text/csv"))
    loaded = await load([message], lambda _: True, blobs(a=b"x" * (MOST_TEXT_BYTES + 1)))
    text = loaded[attached("a", "text/csv")].text
    assert text.count("x") == MOST_TEXT_BYTES
    assert "left out" in text


@given(st.binary(max_size=300))
async def test_any_bytes_can_be_a_text(data: bytes) -> None:
    loaded = await load([user("", attached("a", "text/plain"))], lambda _: True, blobs(a=data))
    assert loaded[attached("a", "text/plain")].text == data.decode("utf-8", "replace")
