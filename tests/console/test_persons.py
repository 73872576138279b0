"""What operators see and do about one person: memory, export, erasure, and who has read what."""

import asyncio
import io
import json
import zipfile
from typing import Any

import pytest

from bot import ids
from bot.console.presence import GRACE_S, LOOK_S, Presences
from bot.operators.operator import Presence
from bot.ports import Cursor
from bot.store import memory, people
from tests.console.desk import Desk, Page
from tests.operators.house import PASSWORD

IDENTITY = "SELECT identity_id FROM conversations WHERE id = :id"


async def identity_of(desk: Desk, conversation: str) -> str:
    return str((await desk.house.store.read(IDENTITY, {"id": conversation}))[0][0])


async def remember(desk: Desk, conversation: str, value: str, *, replaces: str = "", kind: str = "plan") -> str:
    """A fact that was said in the conversation's first message."""
    identity = await identity_of(desk, conversation)
    now = desk.clock.now_ms()
    id_ = ids.derived_id("fact", conversation, value)
    first = await desk.house.store.read(
        "SELECT id FROM messages WHERE conversation_id = :id ORDER BY seq", {"id": conversation}
    )

    def unit(cursor: Cursor) -> None:
        cursor.execute(
            memory.ADD_FACT,
            {
                "id": id_,
                "identity": identity,
                "kind": kind,
                "about": "",
                "value": value,
                "confidence": 0.9,
                "message": first[0][0],
                "conversation": conversation,
                "now": now,
                "expires": now + 86_400_000,
            },
        )
        if replaces:
            cursor.execute(memory.END_FACT, {"id": replaces, "by": id_, "now": now})

    await desk.house.store.run(unit)
    return id_


async def memory_of(page: Page, conversation: str) -> Any:  # untyped JSON
    return (await page.get(f"conversations/{conversation}"))[1]["context"]["memory"]


async def test_a_fact_shows_where_it_was_said_how_long_it_holds_and_what_it_took_the_place_of(desk: Desk) -> None:
    page = await desk.signed_in("ann", "viewer")
    talk = await desk.people.talk("Mia", text="I am on the Pro plan")
    first = await remember(desk, talk, "Basic")
    await remember(desk, talk, "Pro", replaces=first)
    shown = await memory_of(page, talk)
    assert shown["is_private"] is True
    [fact] = shown["facts"]
    assert (fact["kind"], fact["value"], fact["seq"], fact["conversation"]) == ("plan", "Pro", 1, talk)
    assert fact["expires_ms"] - fact["since_ms"] == 86_400_000
    assert [each["value"] for each in fact["before"]] == ["Basic"]
    assert [each["is_here"] for each in shown["accounts"]] == [True]


async def test_the_memory_of_linked_accounts_is_one(desk: Desk) -> None:
    page = await desk.signed_in()
    web, slack = await desk.people.talk("Mia"), await desk.people.talk("Mia S", "slack")
    await remember(desk, web, "Pro")
    here, there = await identity_of(desk, web), await identity_of(desk, slack)
    await desk.house.store.run(people.link, here, there, "local:root", desk.clock.now_ms())
    shown = await memory_of(page, slack)
    assert [each["value"] for each in shown["facts"]] == ["Pro"]
    assert {each["channel"]: each["is_here"] for each in shown["accounts"]} == {"web": False, "slack": True}


async def test_nothing_personal_shows_where_others_read_along(desk: Desk) -> None:
    page = await desk.signed_in()
    talk = await desk.people.talk("Mia", "discord")
    fact = await remember(desk, talk, "Pro")
    await desk.house.store.run(lambda cursor: cursor.execute(memory.SET_SHARED, {"id": talk}))
    assert await memory_of(page, talk) == {"is_private": False, "facts": [], "episodes": [], "accounts": []}
    status, refusal = await page.post("facts/forget", {"conversation": talk, "fact": fact})
    assert (status, refusal["code"]) == (400, "not_here")


async def test_an_agent_has_a_wrong_fact_forgotten_and_every_open_page_shows_it(desk: Desk) -> None:
    page, other = await desk.signed_in("ann", "agent"), await desk.signed_in("vera", "viewer")
    talk = await desk.people.talk("Mia")
    first = await remember(desk, talk, "Basic")
    fact = await remember(desk, talk, "Pro", replaces=first)
    assert await other.connect() == 101
    await other.say("open", talk)
    await other.frame("entries")
    assert (await page.post("facts/forget", {"conversation": talk, "fact": fact}))[0] == 200
    told = await other.frame("entries", lambda frame: frame.get("context", {}).get("memory", {}).get("facts") == [])
    assert told["conversation"] == talk
    assert await desk.house.store.read("SELECT value FROM facts") == [("",), ("",)]
    identity = await identity_of(desk, talk)
    ann = await desk.house.operators.named("ann")
    assert (ann.id, "fact forgotten", identity, "plan") in await desk.house.audited()
    status, refusal = await page.post("facts/forget", {"conversation": talk, "fact": fact})
    assert (status, refusal["code"]) == (404, "no_fact")


async def test_a_fact_is_forgotten_by_nobody_without_the_right_nor_from_another_persons_conversation(
    desk: Desk,
) -> None:
    viewer, agent = await desk.signed_in("vera", "viewer"), await desk.signed_in("ann", "agent")
    talk, other = await desk.people.talk("Mia"), await desk.people.talk("Noa")
    fact = await remember(desk, talk, "Pro")
    assert (await viewer.post("facts/forget", {"conversation": talk, "fact": fact}))[0] == 403
    assert (await agent.post("facts/forget", {"conversation": other, "fact": fact}))[0] == 404
    assert [each["value"] for each in (await memory_of(agent, talk))["facts"]] == ["Pro"]


async def test_under_a_legal_hold_no_fact_is_forgotten(desk: Desk) -> None:
    page = await desk.signed_in()
    talk = await desk.people.talk("Mia")
    fact = await remember(desk, talk, "Pro")
    await hold(desk, talk)
    status, refusal = await page.post("facts/forget", {"conversation": talk, "fact": fact})
    assert (status, "court 4 B 17" in refusal["detail"]) == (400, True)


async def hold(desk: Desk, conversation: str) -> None:
    await desk.persons.answer(
        "root", "user hold", {"user": await identity_of(desk, conversation), "reason": "court 4 B 17"}
    )


# --- export and erasure ----------------------------------------------------------------------------------------------


async def test_an_admin_downloads_the_same_export_as_on_the_command_line(desk: Desk) -> None:
    page = await desk.signed_in("ada", "admin")
    talk = await desk.people.talk("Mia", text="My lamp is broken")
    await remember(desk, talk, "Pro")
    identity = await identity_of(desk, talk)
    await desk.house.store.run(_spoken, talk, identity)
    status, answer, body = await page.raw(f"/console/api/users/{identity}/export")
    assert (status, answer.headers["Content-Type"]) == (200, "application/zip")
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        assert archive.testzip() is None
        data = json.loads(archive.read("user.json"))
    assert [each["text"] for each in data["messages"] if each["author"] == "user"] == ["My lamp is broken"]
    assert [each["value"] for each in data["memory"]] == ["Pro"]
    ada = await desk.house.operators.named("ada")
    assert (ada.id, "user exported") in {each[:2] for each in await desk.house.audited()}


def _spoken(cursor: Cursor, conversation: str, identity: str) -> None:
    """What was said there is theirs."""
    who = {"conversation": conversation, "identity": identity}
    cursor.execute("UPDATE messages SET identity_id = :identity WHERE conversation_id = :conversation", who)
    cursor.execute(
        "INSERT INTO speakers (conversation_id, identity_id) VALUES (:conversation, :identity) ON CONFLICT DO NOTHING",
        who,
    )


@pytest.mark.parametrize("role", ["viewer", "agent", "approver", "auditor"])
async def test_f86_only_an_admin_sees_exports_and_erases_a_person(desk: Desk, role: str) -> None:
    page = await desk.signed_in("ann", role)
    identity = await identity_of(desk, await desk.people.talk("Mia"))
    assert (await page.get(f"users/{identity}"))[0] == 403
    assert (await page.raw(f"/console/api/users/{identity}/export"))[0] == 403
    assert (await page.post(f"users/{identity}/erase", {"reason": "r", "typed": "x"}))[0] == 403
    assert "user exported" not in {each[1] for each in await desk.house.audited()}


async def proven(desk: Desk) -> Page:
    """An admin who has proven anew who they are."""
    await desk.house.enrol("ada", "admin")
    session = await desk.house.sign_in("ada")
    page = desk.page()
    page.token, page.csrf = session.token, session.csrf
    await desk.clock.advance(31)
    return page


async def test_an_erasure_asks_for_password_and_code_anew(desk: Desk) -> None:
    page = await proven(desk)
    identity = await identity_of(desk, await desk.people.talk("Mia"))
    typed = (await page.get(f"users/{identity}"))[1]["confirm"]
    asked = {"reason": "request 114", "typed": typed}
    status, refusal = await page.post(f"users/{identity}/erase", asked)
    assert (status, refusal["code"]) == (403, "prove")
    status, refusal = await page.post("prove", {"password": "wrong", "code": desk.house.code("ada")})
    assert (status, refusal["code"]) == (401, "not_signed_in")
    assert (await page.post("prove", {"password": PASSWORD, "code": desk.house.code("ada")}))[0] == 200
    assert (await page.post(f"users/{identity}/erase", {**asked, "typed": "erase"}))[0] == 400
    assert (await page.get(f"users/{identity}"))[0] == 200
    status, receipt = await page.post(f"users/{identity}/erase", asked)
    assert (status, receipt["places"]["identities"]) == (200, 1)
    assert receipt["scan"]["strings"] > 0
    assert (await page.get(f"users/{identity}"))[0] == 400
    ada = await desk.house.operators.named("ada")
    assert (ada.id, "user erased") in {each[:2] for each in await desk.house.audited()}


async def test_a_legal_hold_refuses_the_erasure_and_says_why(desk: Desk) -> None:
    page = await proven(desk)
    talk = await desk.people.talk("Mia")
    identity = await identity_of(desk, talk)
    await hold(desk, talk)
    shown = (await page.get(f"users/{identity}"))[1]
    assert [each["reason"] for each in shown["holds"]] == ["court 4 B 17"]
    await page.post("prove", {"password": PASSWORD, "code": desk.house.code("ada")})
    status, refusal = await page.post(f"users/{identity}/erase", {"reason": "request 114", "typed": shown["confirm"]})
    assert (status, "court 4 B 17" in refusal["detail"]) == (400, True)
    assert await desk.views.is_there(talk)


async def test_f85_no_other_site_erases_or_forgets(desk: Desk) -> None:
    page = await proven(desk)
    identity = await identity_of(desk, await desk.people.talk("Mia"))
    for path in ("prove", f"users/{identity}/erase", "facts/forget", "knowledge/upload", "knowledge/delete"):
        status, refusal = await page.post(path, {}, headers={"Origin": "https://evil.example"})
        assert (status, refusal["code"]) == (403, "bad_origin")
        status, refusal = await page.post(path, {}, headers={"X-CSRF": "forged"})
        assert (status, refusal["code"]) == (403, "bad_token")


# --- who has read what -----------------------------------------------------------------------------------------------


async def readings(desk: Desk) -> list[tuple[str, str]]:
    return [(each[0], each[2]) for each in await desk.house.audited() if each[1] == "conversation read"]


async def test_reading_a_conversation_is_on_record_once_for_each_operator_and_hour(desk: Desk) -> None:
    ann, ben = await desk.signed_in("ann"), await desk.signed_in("ben")
    talk = await desk.people.talk("Mia")
    for _ in range(3):
        await ann.get(f"conversations/{talk}")
    await ann.get(f"conversations/{talk}/entries")
    assert await ann.connect() == 101
    await ann.say("open", talk)
    await ann.frame("entries")
    await ben.get(f"conversations/{talk}")
    first = [((await desk.house.operators.named(name)).id, str(talk)) for name in ("ann", "ben")]
    assert await readings(desk) == first
    await desk.clock.advance(25 * 60)
    await ann.get("me")
    await desk.clock.advance(25 * 60)
    await ann.get("me")
    await desk.clock.advance(25 * 60)
    await ann.get(f"conversations/{talk}")
    assert await readings(desk) == [*first, first[0]]


async def test_who_only_sees_the_inbox_has_read_nothing(desk: Desk) -> None:
    page = await desk.signed_in()
    await desk.people.talk("Mia")
    await page.get("inbox")
    await page.get(f"conversations/{'0' * 32}")
    assert await readings(desk) == []


# --- presence --------------------------------------------------------------------------------------------------------


async def presence(desk: Desk, name: str = "ann") -> Presence:
    return (await desk.house.operators.named(name)).presence


async def gone(desk: Desk, page: Page) -> None:
    """The page's socket is closed, and the server has noticed."""
    count = desk.console.hub.count
    assert page.ws is not None
    await page.ws.close()
    other = desk.pages[0]
    await other.until(lambda: desk.console.hub.count < count)


async def test_opening_the_console_makes_an_operator_online_and_closing_the_last_page_offline_after_a_while(
    desk: Desk,
) -> None:
    page = await desk.signed_in()
    assert await presence(desk) is Presence.OFFLINE
    assert await page.connect() == 101
    assert await presence(desk) is Presence.ONLINE
    assert (await page.get("me"))[1]["operator"]["presence"] == "online"
    second = await desk.signed_in()
    await second.connect()
    await gone(desk, page)
    await desk.clock.advance(GRACE_S + 2 * LOOK_S)
    await second.get("me")
    assert await presence(desk) is Presence.ONLINE
    await gone(desk, second)
    await desk.clock.advance(GRACE_S / 2)
    assert await presence(desk) is Presence.ONLINE
    await until_presence(desk, Presence.OFFLINE)


async def until_presence(desk: Desk, wanted: Presence) -> None:
    """Lets the grace time go by, and waits for what it does."""
    for _ in range(200):
        await desk.clock.advance(LOOK_S)
        await desk.house.store.run(lambda cursor: None)
        if await presence(desk) is wanted:
            return
    raise AssertionError(f"is not {wanted}")


async def test_a_reload_changes_nothing_and_what_one_chose_stays(desk: Desk) -> None:
    page = await desk.signed_in()
    await page.connect()
    await page.post("presence", {"presence": "offline"})
    await gone(desk, page)
    again = await desk.signed_in()
    await again.connect()
    assert await presence(desk) is Presence.OFFLINE
    await again.post("presence", {"presence": "away"})
    await gone(desk, again)
    await desk.clock.advance(GRACE_S + 2 * LOOK_S)
    third = await desk.signed_in()
    await third.connect()
    assert await presence(desk) is Presence.AWAY


async def test_who_is_online_in_a_room_stays_so_without_a_page(desk: Desk) -> None:
    page = await desk.signed_in()
    await desk.house.operators.set_presence("ann", Presence.ONLINE)
    await page.connect()
    await gone(desk, page)
    for _ in range(40):
        await desk.clock.advance(LOOK_S)
        await desk.house.store.run(lambda cursor: None)
    assert await presence(desk) is Presence.ONLINE


async def test_who_had_a_page_when_the_process_ended_is_offline_a_while_after_the_next_start(desk: Desk) -> None:
    ann = await desk.house.add("ann")
    await desk.house.operators.come(ann.id)  # of an earlier run
    assert await presence(desk) is Presence.ONLINE
    running = asyncio.create_task(Presences(desk.house.operators, desk.clock).run())
    try:
        await until_presence(desk, Presence.OFFLINE)
    finally:
        running.cancel()
        await asyncio.wait([running])


async def test_a_viewer_is_never_made_online(desk: Desk) -> None:
    page = await desk.signed_in("vera", "viewer")
    await page.connect()
    assert await presence(desk, "vera") is Presence.OFFLINE


async def test_a_reply_may_be_a_file_alone(desk: Desk) -> None:
    page = await desk.signed_in()
    talk = await desk.people.talk("Mia")
    status, kept = await page.post("upload", b"\x89PNG\r\n\x1a\n" + b"0" * 100, headers={"X-Name": "lamp.png"})
    assert status == 200
    asked = {"conversation": talk, "line": "!reply", "key": "k1", "attachments": [kept["blob"]]}
    assert (await page.post("command", asked))[0] == 200
    assert [each.blob for each in desk.works.acts[0].attachments] == [kept["blob"]]
