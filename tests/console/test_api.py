"""What a page reads and asks for."""

from urllib.parse import quote

import pytest

from bot.errors import Refused
from bot.handoff.commands import Command, Kind
from bot.handoff.machine import Happening
from bot.model import Attachment, Author, BlobId
from tests.console.desk import UPLOAD_BYTES, Desk
from tests.operators.house import BY
from tests.store.test_pictures import png


async def test_me_tells_who_i_am_and_who_else_is_there(desk: Desk) -> None:
    page = await desk.signed_in("ann")
    ben = await desk.house.add("ben", "approver")
    await desk.house.add("old")
    await desk.house.operators.disable("old", by=BY)
    zoe = await desk.people.talk("Zoe")
    await desk.people.ask(zoe)
    await desk.people.move(zoe, Happening.CLAIM, ben.id, by=ben.id)
    _, me = await page.get("me")
    assert me["operator"]["name"] == "ann"
    assert me["csrf"] == page.csrf
    assert [(each["name"], each["load"]) for each in me["operators"]] == [("ann", 0), ("ben", 1)]
    assert me["hours"] == {"is_open": True, "next_opening_ms": me["now_ms"]}
    assert me["canned"] == [{"name": "hello", "text": "Hello {user}", "channels": []}]


async def test_the_inbox_and_a_conversation_are_read(desk: Desk) -> None:
    page = await desk.signed_in()
    zoe = await desk.people.talk("Zoe \u202e", text="hello")
    await desk.people.ask(zoe)
    _, inbox = await page.get("inbox?filter=waiting&q=zoe")
    assert [row["conversation"] for row in inbox["rows"]] == [zoe]
    assert (inbox["more"], inbox["next"]) == (False, "")
    _, shown = await page.get(f"conversations/{zoe}")
    assert shown["row"] == inbox["rows"][0]
    assert [entry.get("what", entry.get("text")) for entry in shown["entries"]] == ["hello", "queue"]
    assert shown["context"]["user"]["channel"] == "web"
    _, earlier = await page.get(f"conversations/{zoe}/entries?before=1")
    assert earlier == {"entries": [], "more_before": False}


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("conversations/never", 404),
        ("conversations/never/entries", 404),
        ("turns/never", 404),
        ("passages/never", 404),
        ("files/never/never", 404),
        ("inbox?filter=others", 400),
        ("inbox?before=x", 400),
        ("inbox?limit=0", 400),
        ("inbox?limit=99999999", 400),
        ("conversations/x/entries?before=-1", 400),
        ("conversations/%ED%A0%80", 404),
        ("turns/%00", 404),
    ],
)
async def test_what_there_is_not_is_said_in_a_sentence(desk: Desk, path: str, status: int) -> None:
    page = await desk.signed_in()
    found, told = await page.get(path)
    assert found == status
    assert told["detail"].endswith(".")


async def test_f58_letters_that_are_none_are_no_failure(desk: Desk) -> None:
    page = await desk.signed_in()
    assert (await page.get("inbox?q=%ED%A0%80%00%FF"))[0] == 200
    zoe = await desk.people.talk("Zoe")
    body = f'{{"conversation": "{zoe}", "line": "!note \\ud800", "key": "\\ud800", "attachments": ["\\ud800"]}}'
    assert (await page.post("command", body.encode()))[0] == 404


async def test_a_citation_opens_its_passage(desk: Desk) -> None:
    page = await desk.signed_in()
    _, found = await page.get(f"passages/{quote('docs/hours.md#1')}")
    assert (found["title"], found["text"]) == ("Opening hours", "We open at nine.")


async def test_a_command_reaches_the_desk_with_its_key_of_that_operator(desk: Desk) -> None:
    page = await desk.signed_in()
    zoe = await desk.people.talk("Zoe")
    asked = {"conversation": zoe, "line": "!reply Hello!\nYou", "key": "k1", "suggestion": "s1"}
    status, told = await page.post("command", asked)
    assert (status, told) == (200, {"text": "Done.", "warning": "", "message": "m1", "suggestion": ""})
    (act,) = desk.works.acts
    assert (act.operator, act.conversation, act.suggestion) == ("ann", zoe, "s1")
    assert act.command == Command(Kind.REPLY, "Hello!\nYou")
    assert act.key.startswith("console:operator") or "k1" in act.key


async def test_plain_text_is_a_note(desk: Desk) -> None:
    page = await desk.signed_in()
    zoe = await desk.people.talk("Zoe")
    await page.post("command", {"conversation": zoe, "line": "they sound cross", "key": "k"})
    assert desk.works.acts[0].command == Command(Kind.NOTE, "they sound cross")


async def test_two_operators_keys_never_meet(desk: Desk) -> None:
    zoe = await desk.people.talk("Zoe")
    for name in ("ann", "ben"):
        page = await desk.signed_in(name)
        await page.post("command", {"conversation": zoe, "line": "!note x", "key": "same"})
    assert len({act.key for act in desk.works.acts}) == 2


@pytest.mark.parametrize(
    "change",
    [{"line": "!nonsense"}, {"line": "!snooze"}, {"key": ""}, {"key": "k" * 101}, {"line": 7}, {"attachments": "b"}],
)
async def test_a_command_that_cannot_be_is_refused_before_the_desk(desk: Desk, change: dict[str, object]) -> None:
    page = await desk.signed_in()
    zoe = await desk.people.talk("Zoe")
    status, told = await page.post("command", {"conversation": zoe, "line": "!take", "key": "k", **change})
    assert status == 400
    assert told["detail"]
    assert desk.works.acts == []


async def test_what_the_desk_refuses_is_told_as_it_says(desk: Desk) -> None:
    page = await desk.signed_in()
    zoe = await desk.people.talk("Zoe")
    desk.works.refusal = Refused("taken", "Ben has this conversation.")
    status, told = await page.post("command", {"conversation": zoe, "line": "!take", "key": "k"})
    assert (status, told) == (400, {"code": "taken", "detail": "Ben has this conversation."})


@pytest.mark.parametrize("role", ["viewer", "auditor"])
async def test_who_only_sees_changes_nothing(desk: Desk, role: str) -> None:
    page = await desk.signed_in("vic", role)
    zoe = await desk.people.talk("Zoe")
    assert (await page.get(f"conversations/{zoe}"))[0] == 200
    for line in (
        "!take",
        "!reply x",
        "!note x",
        "a note",
        "!block",
        "!approve c1",
        "!happened q1",
        "!suggest",
        "!tag x",
    ):
        status, told = await page.post("command", {"conversation": zoe, "line": line, "key": line})
        assert (status, told["code"]) == (403, "not_allowed"), line
    assert (await page.post("upload", png(2, 2)))[0] == 403
    assert desk.works.acts == []


async def test_only_who_may_decide_decides(desk: Desk) -> None:
    zoe = await desk.people.talk("Zoe")
    for name, role, expected in (("ann", "agent", 403), ("app", "approver", 200)):
        page = await desk.signed_in(name, role)
        asked = {"conversation": zoe, "line": "!approve c1 fine by me", "key": "k"}
        assert (await page.post("command", asked))[0] == expected
    assert [act.command for act in desk.works.acts] == [Command(Kind.APPROVE, "fine by me", "c1")]


async def test_a_proposal_that_is_not_wanted_is_dropped(desk: Desk) -> None:
    page = await desk.signed_in()
    zoe = await desk.people.talk("Zoe")
    asked = {"conversation": zoe, "line": "!suggest drop", "key": "k", "suggestion": "s1"}
    assert (await page.post("command", asked))[0] == 200
    assert (desk.works.dropped, desk.works.acts) == (["s1"], [])


async def test_presence_is_set_and_shown(desk: Desk) -> None:
    page = await desk.signed_in()
    assert (await page.post("presence", {"presence": "online"}))[1]["operator"]["presence"] == "online"
    assert (await page.get("me"))[1]["operators"][0]["presence"] == "online"
    assert (await page.post("presence", {"presence": "asleep"}))[0] == 400


# --- files -----------------------------------------------------------------------------------------------------------


async def test_a_file_goes_with_a_reply_and_only_its_own_operator_can_send_it(desk: Desk) -> None:
    page, other = await desk.signed_in("ann"), await desk.signed_in("ben")
    zoe = await desk.people.talk("Zoe")
    name = {"X-Name": quote("../Rechnung \u202e.png")}
    _, blob = await page.post("upload", png(3, 3), headers=name)
    assert blob["media_type"] == "image/png"
    assert "/" not in blob["name"]
    asked = {"conversation": zoe, "line": "!reply here", "key": "k", "attachments": [blob["blob"]]}
    assert (await other.post("command", asked))[0] == 404
    assert (await page.post("command", asked))[0] == 200
    (act,) = desk.works.acts
    assert [(each.blob, each.media_type) for each in act.attachments] == [(blob["blob"], "image/png")]


@pytest.mark.parametrize(("body", "status"), [(b"<svg/>" * 99, 415), (b"", 400), (b"x" * (UPLOAD_BYTES + 1), 413)])
async def test_a_file_that_cannot_be_is_refused(desk: Desk, body: bytes, status: int) -> None:
    page = await desk.signed_in()
    assert (await page.post("upload", body))[0] == status


async def test_f64_a_file_is_given_only_with_its_message_and_never_as_something_to_run(desk: Desk) -> None:
    page = await desk.signed_in()
    _, picture = await page.post("upload", png(3, 3), headers={"X-Name": quote('a";\r\nX: 1.html')})
    _, paper = await page.post("upload", b"%PDF-1.7 " + b"x" * 400)
    zoe, max_ = await desk.people.talk("Zoe"), await desk.people.talk("Max")
    files = tuple(Attachment(BlobId(each["blob"]), each["name"], each["media_type"], 1) for each in (picture, paper))
    message = await desk.people.say(zoe, "", Author.OPERATOR, attachments=files)
    elsewhere = await desk.people.say(max_, "hi")
    for blob, how in ((picture, "inline"), (paper, "attachment")):
        status, answer, body = await page.raw(f"/console/api/files/{message}/{blob['blob']}")
        assert status == 200
        assert len(body) == blob["size_bytes"]
        assert answer.headers["Content-Disposition"].startswith(f"{how}; filename*=UTF-8''")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in answer.headers["Content-Security-Policy"]
        assert "X" not in answer.headers
    assert (await page.raw(f"/console/api/files/{elsewhere}/{picture['blob']}"))[0] == 404
