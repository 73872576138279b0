"""The chat socket as docs/protocol.md describes it."""

import json
from pathlib import Path

import pytest

from adapters.web import frames
from bot.errors import Overloaded, Refused, StoreUnavailable
from bot.model import (
    Author,
    Button,
    ButtonPressed,
    CaseEnded,
    CaseId,
    Citation,
    Delivered,
    FeedbackGiven,
    Message,
    MessageId,
    MessageReceived,
    PassageId,
    Seq,
    TypingSeen,
    Visibility,
)
from bot.ports import HostLimits
from tests.clock import ManualClock
from tests.web.desk import SCHEMA, running

PROTOCOL = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text()


async def test_a_message_is_answered_with_ack_deltas_and_the_final_message() -> None:
    """The whole way of one turn, in order, over one socket."""
    async with running() as desk:
        page = await desk.visitor()
        assert page.welcome["conversation"] == ""
        assert page.welcome["history"] == []
        assert await page.say("Hello?") == {"type": "ack", "id": "a1", "message": f"m-{page.at.chat}-1", "seq": 1}
        await desk.adapter.typing(page.at)
        await desk.adapter.draft(page.at, MessageId("r1"), "Good ")
        await desk.adapter.draft(page.at, MessageId("r1"), "day")
        await desk.adapter.send(page.at, Message(MessageId("r1"), Seq(2), Author.AGENT, "Good day", 5))
        assert [(await page.next())["type"] for _ in range(3)] == ["typing", "delta", "delta"]
        assert await page.next() == {
            "type": "message", "id": "r1", "seq": 2, "author": "agent", "text": "Good day", "at_ms": 5,
        }  # fmt: skip
        await page.send("received", seq=2)
        await page.say("Thanks", "a2")
        assert Delivered(page.at, Seq(2)) in desk.host.events


async def test_the_event_carries_who_where_and_when() -> None:
    """The host learns the identity, the address, an id to dedupe by, and the time inside the client's id."""
    clock = ManualClock()
    async with running(clock=clock) as desk:
        page = await desk.visitor()
        ms = clock.now_ms() - 5000
        digits = f"{ms:012x}"
        await page.say("Hi", f"{digits[:8]}-{digits[8:]}-7abc-8abc-0123456789ab")
        await page.say("Ho", "00000000-0000-7abc-8abc-0123456789ab")
        first, second = (event for event in desk.host.events if isinstance(event, MessageReceived))
        assert (first.sender.external_id, first.at, first.sent_at_ms) == (page.at.chat, page.at, ms)
        assert first.external_id.startswith(page.at.chat + ":")
        assert second.sent_at_ms == 0  # 1970 is not plausible
        assert not first.sender.verified


async def test_the_same_id_gives_the_same_ack_and_no_second_message() -> None:
    """What a client sends again is stored once."""
    async with running() as desk:
        page = await desk.visitor()
        assert await page.say("Once") == await page.say("Once")
        assert len((await desk.host.history(page.at, Seq(0))).messages) == 1


async def test_everything_optional_of_a_message_reaches_the_page() -> None:
    """Citations, buttons, names and feedback travel, notes and operators' ids do not."""
    async with running() as desk:
        page = await desk.visitor()
        cited = Citation(1, PassageId("p1"), 'A "guide"', "https://x.test")
        message = Message(
            MessageId("r1"), Seq(1), Author.OPERATOR, "\u2028</script>", 7, name="Ada", citations=(cited,),
            buttons=(Button("yes", "Yes, please"),), feedback="up",
        )  # fmt: skip
        await desk.adapter.send(page.at, message)
        frame = await page.next("message")
        assert frame["citations"] == [{"number": 1, "id": "p1", "title": 'A "guide"', "url": "https://x.test"}]
        assert frame["buttons"] == [{"id": "yes", "label": "Yes, please"}]
        assert (frame["name"], frame["feedback"], frame["text"]) == ("Ada", "up", "\u2028</script>")
        with pytest.raises(Exception, match="note"):
            await desk.adapter.send(
                page.at, Message(MessageId("n"), Seq(2), Author.OPERATOR, "psst", 7, visibility=Visibility.NOTE)
            )


async def test_the_other_frames_become_their_events() -> None:
    """press, feedback, typing, end and passage."""
    async with running() as desk:
        page = await desk.visitor()
        await page.send("press", message="r1", button="yes")
        await page.send("feedback", message="r1", value="up")
        await page.send("feedback", case="c1", value="down")
        await page.send("typing")
        await page.send("end")
        await page.send("passage", id="p1")
        assert await page.next("passage") == {
            "type": "passage", "id": "p1", "title": "Guide", "text": "Read <this> first.", "url": "https://x.test/g",
        }  # fmt: skip
        press, up, down, typing, end = desk.host.events
        assert isinstance(press, ButtonPressed)
        assert (press.external_id, press.message, press.button) == ("press:r1:yes", "r1", "yes")
        assert isinstance(up, FeedbackGiven)
        assert (up.message, up.case, up.value) == ("r1", None, "up")
        assert isinstance(down, FeedbackGiven)
        assert (down.message, down.case, down.value) == (None, "c1", "down")
        assert typing == TypingSeen(page.at)
        assert isinstance(end, CaseEnded)


async def test_what_the_house_tells_reaches_the_page() -> None:
    """withdraw, case, owner and queue; an operator's id becomes the word operator."""
    async with running() as desk:
        page = await desk.visitor()
        await desk.adapter.draft(page.at, MessageId("r1"), "Hm")
        await desk.adapter.withdraw(page.at, MessageId("r1"))
        await desk.adapter.case_ended(page.at, CaseId("c1"))
        await desk.adapter.owner_changed(page.at, "op-7", "Ada")
        await desk.adapter.queued(page.at, 2, 90)
        assert (await page.next("delta"))["text"] == "Hm"
        assert await page.next() == {"type": "withdraw", "message": "r1"}
        assert await page.next() == {"type": "case", "id": "c1", "state": "ended"}
        assert await page.next() == {"type": "owner", "owner": "operator", "name": "Ada"}
        assert await page.next() == {"type": "queue", "position": 2, "wait_s": 90}


async def test_nobody_there_is_no_failure() -> None:
    """Everything the house says may be said to a visitor who has left."""
    async with running() as desk:
        page = await desk.visitor()
        at = page.at
        await page.ws.close()
        await desk.adapter.send(at, Message(MessageId("r1"), Seq(1), Author.AGENT, "Gone?", 7))
        for telling in (desk.adapter.draft(at, MessageId("r"), "x"), desk.adapter.withdraw(at, MessageId("r"))):
            await telling
        await desk.adapter.typing(at)
        await desk.adapter.case_ended(at, CaseId("c1"))


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (Overloaded("too much", 2.5), "busy"),
        (StoreUnavailable("disk full"), "busy"),
        (Refused("no_blob", "This file is gone."), "no_blob"),
    ],
)
async def test_a_refused_message_names_its_id_and_leaves_the_socket_open(failure: Exception, code: str) -> None:
    """Nothing was stored, the client knows which message it was, and the next one goes through."""
    async with running() as desk:
        page = await desk.visitor()
        desk.host.failure = failure
        await page.send("message", id="a1", text="Hi")
        error = await page.error(code)
        assert error["id"] == "a1"
        assert ("retry_after_s" in error) == (code == "busy")
        assert "disk" not in error["detail"]
        assert (await page.say("Hi"))["seq"] == 1


async def test_too_long_and_empty_are_refused_before_the_host_sees_them() -> None:
    """The caps of the protocol, with the id of the message they answer."""
    async with running(HostLimits(message_chars=10)) as desk:
        page = await desk.visitor()
        for text, code in (("x" * 11, "too_long"), ("", "empty"), (" \n", "empty")):
            await page.send("message", id="a1", text=text)
            assert (await page.error(code))["id"] == "a1"
        assert desk.host.events == []
        assert (await page.say("x" * 10))["seq"] == 1


async def test_unknown_things_are_named_by_their_codes() -> None:
    """no_passage and no_message come from the host and leave the socket open."""
    async with running() as desk:
        page = await desk.visitor()
        await page.send("passage", id="nope")
        await page.error("no_passage")
        desk.host.failure = Refused("no_message", "There is no such message.")
        await page.send("press", message="nope", button="x")
        await page.error("no_message")
        assert (await page.say("still here"))["seq"] == 1


async def test_a_message_rate_is_per_visitor_and_recovers() -> None:
    """The cap binds all pages of a visitor together and says when to come back; other visitors are not held up."""
    clock = ManualClock()
    async with running(HostLimits(messages_per_minute=2), clock) as desk:
        page = await desk.visitor()
        second = await desk.visitor(token=page.welcome["token"])
        await page.say("1", "a1")
        await second.next("message")
        await second.say("2", "a2")
        await page.next("message")
        await page.send("message", id="a3", text="3")
        error = await page.error("too_fast")
        assert (error["id"], 0 < error["retry_after_s"] <= 31) == ("a3", True)
        stranger = await desk.visitor()
        assert (await stranger.say("Hi"))["seq"] == 1
        await clock.advance(error["retry_after_s"])
        assert (await page.say("3", "a3"))["seq"] == 3


async def test_hello_comes_first() -> None:
    """Any other frame ends the socket with 4400."""
    async with running() as desk:
        page = await desk.page()
        await page.send("message", id="a1", text="Hi")
        await page.error("hello_first")
        assert await page.close_code() == 4400


async def test_silence_is_no_hello() -> None:
    """A socket that says nothing is closed after hello_s, pings or not."""
    clock = ManualClock()
    async with running(clock=clock) as desk:
        page = await desk.page(autoping=False)
        await page.ws.ping()
        await page.ws.receive(timeout=10)  # the pong: the server waits for hello now
        await clock.advance(10)
        await page.error("hello_first")
        assert await page.close_code() == 4400


async def test_another_version_is_refused() -> None:
    """bad_version, 4400."""
    async with running() as desk:
        page = await desk.page()
        await page.send("hello", version=2)
        await page.error("bad_version")
        assert await page.close_code() == 4400


BAD = [
    "",
    "nonsense",
    "[]",
    "1",
    '"hello"',
    "null",
    "{}",
    '{"type":"typing"}{"type":"typing"}',
    '{"type":"typing"},',
    '\u00a0{"type":"typing"}',
    '{"type":1}',
    '{"type":["message"]}',
    '{"type":"nonsense"}',
    '{"type":"welcome"}',
    '{"type":"message"}',
    '{"type":"message","id":"a","text":1}',
    '{"type":"message","id":"","text":"x"}',
    '{"type":"message","id":"a b","text":"x"}',
    '{"type":"message","id":"a","text":"x","role":"operator"}',
    '{"type":"message","id":"a","text":"x","attachments":"b1"}',
    '{"type":"message","id":"a","text":"x","attachments":[1]}',
    '{"type":"message","id":"' + "a" * 65 + '","text":"x"}',
    '{"type":"received","seq":"1"}',
    '{"type":"received","seq":-1}',
    '{"type":"received","seq":true}',
    '{"type":"received","seq":1.5}',
    '{"type":"received","seq":9007199254740992}',
    '{"type":"received","seq":' + "9" * 5000 + "}",
    '{"type":"received","seq":NaN}',
    '{"type":"feedback","value":"up"}',
    '{"type":"feedback","value":"sideways","message":"m"}',
    '{"type":"feedback","value":"up","message":"m","case":"c"}',
    '{"type":"hello","version":1}',
    "[" * 100_000,
    '{"type":"message","id":"a","text":' + '{"a":' * 20_000,
]


@pytest.mark.parametrize("text", BAD)
async def test_bad_frames_are_answered_and_forgiven(text: str) -> None:
    """Whatever text comes, the answer is bad_frame and the socket lives."""
    async with running() as desk:
        page = await desk.visitor()
        await page.ws.send_str(text)
        await page.error("bad_frame")
        assert (await page.say("Hi"))["seq"] == 1


async def test_space_around_a_frame_means_nothing() -> None:
    async with running() as desk:
        page = await desk.visitor()
        await page.ws.send_str(' \r\n\t{"type": "message", "id": "a", "text": " Hi "}\n')
        assert (await page.next("ack"))["id"] == "a"


async def test_ten_bad_frames_end_the_socket() -> None:
    """Binary frames count too."""
    async with running() as desk:
        page = await desk.visitor()
        for _ in range(9):
            await page.ws.send_str("{}")
            await page.error("bad_frame")
        await page.ws.send_bytes(b"\x00")
        await page.error("bad_frame")
        assert await page.close_code() == 1008


async def test_what_cannot_be_stored_is_replaced() -> None:
    """NUL and halves of surrogate pairs, which only JSON's escapes can bring, become replacement characters."""
    async with running() as desk:
        page = await desk.visitor()
        await page.ws.send_str('{"type":"message","id":"a1","text":"a\\u0000b\\ud800c \\ud83d\\ude00 \ufeff"}')
        await page.next("ack")
        event = desk.host.events[0]
        assert isinstance(event, MessageReceived)
        assert event.text == "a\ufffdb\ufffdc \U0001f600 \ufeff"


async def test_too_many_pages_of_one_visitor() -> None:
    """One above the cap is told so and closed with 1013; the others stay."""
    async with running(HostLimits(connections_per_visitor=2)) as desk:
        first = await desk.visitor()
        token = first.welcome["token"]
        second = await desk.visitor(token=token)
        third = await desk.page()
        await third.send("hello", version=1, token=token)
        await third.error("busy")
        assert await third.close_code() == 1013
        await second.ws.close()
        await desk.visitor(token=token)
        assert (await first.say("Hi"))["seq"] == 1


async def test_stopping_closes_with_1001_and_refuses_newcomers() -> None:
    """Pages learn at once that they should come back, and nobody is let in meanwhile."""
    async with running() as desk:
        page = await desk.visitor()
        desk.run.cancel()
        assert await page.close_code() == 1001
        async with desk.http.get("/ws") as answer:
            assert answer.status == 503


def test_schema_table_and_document_name_the_same_frames_and_codes() -> None:
    """The three descriptions of the protocol cannot drift apart."""
    by_kind = {
        schema["properties"]["type"]["const"]: schema
        for name, schema in SCHEMA["$defs"].items()
        if {"$ref": f"#/$defs/{name}"} in SCHEMA["$defs"]["client"]["oneOf"]
    }
    assert by_kind.keys() == frames.FROM_CLIENT.keys()
    for kind, fields in frames.FROM_CLIENT.items():
        assert by_kind[kind]["properties"].keys() - {"type"} == fields.keys()
        required = {name for name, (_, is_required) in fields.items() if is_required}
        assert set(by_kind[kind]["required"]) - {"type"} == required
        assert f"| `{kind}` |" in PROTOCOL
    for reference in SCHEMA["$defs"]["server"]["oneOf"]:
        schema = SCHEMA["$defs"][reference["$ref"].rpartition("/")[2]]
        assert f"| `{schema['properties']['type']['const']}` |" in PROTOCOL
    for code in SCHEMA["$defs"]["error"]["properties"]["code"]["enum"]:
        assert f"| `{code}` |" in PROTOCOL


@pytest.mark.parametrize("text", BAD)
def test_the_schema_refuses_what_the_server_refuses(text: str) -> None:
    """The schema is as strict as the code."""
    from tests.web.desk import _VALIDATORS

    try:
        frame = json.loads(text)
    except (ValueError, RecursionError):
        return
    is_late_hello = isinstance(frame, dict) and frame.get("type") == "hello"
    assert _VALIDATORS["client"].is_valid(frame) == is_late_hello
