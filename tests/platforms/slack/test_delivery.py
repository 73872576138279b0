"""Events and interactions as Slack's own libraries receive them."""

import asyncio
import json
import logging

import aiohttp
import pytest
from aiohttp import web
from slack_sdk.errors import SlackApiError

from tests.clock import ManualClock, settle
from tests.platforms.slack.conftest import App
from tests.platforms.slack.delivery import SOCKETS, Delivered, Outcome
from tests.platforms.slack.server import Site, SlackServer
from tests.platforms.slack.world import Json, Person, Room
from tests.store.database import until

BUTTON: Json = {"type": "button", "action_id": "go", "value": "7", "text": {"type": "plain_text", "text": "Go"}}
THUMB: Json = {"text": {"type": "plain_text", "text": "Good"}, "value": "good"}
FEEDBACK: Json = {
    "type": "feedback_buttons",
    "action_id": "rated",
    "positive_button": THUMB,
    "negative_button": {"text": {"type": "plain_text", "text": "Bad"}, "value": "bad"},
}
PRESSABLE: list[Json] = [
    {"type": "section", "text": {"type": "mrkdwn", "text": "Well?"}},
    {"type": "actions", "elements": [BUTTON]},
    {"type": "context_actions", "elements": [FEEDBACK]},
]


@pytest.fixture
def anna(site: Site) -> Person:
    return site.space.add_person("Anna")


@pytest.fixture
def room(site: Site, anna: Person) -> Room:
    return site.space.direct(anna)


@pytest.fixture
async def line(site: Site, server: SlackServer) -> "Line":
    return Line(site, server)


class Line:
    """A bare Socket Mode connection, for what Slack's client hides."""

    def __init__(self, site: Site, server: SlackServer) -> None:
        self._site, self._server = site, server
        self.session = aiohttp.ClientSession()

    async def url(self) -> str:
        return str((await self._ask())["url"])

    async def refusal(self) -> str:
        return str((await self._ask())["error"])

    async def _ask(self) -> Json:
        headers = {"Authorization": f"Bearer {self._site.space.app_token}"}
        async with self.session.post(f"{self._server.api_url}apps.connections.open", headers=headers) as answer:
            body: Json = await answer.json()
            return body

    async def open(self) -> aiohttp.ClientWebSocketResponse:
        return await self.session.ws_connect(await self.url())


async def took(delivered: Delivered) -> bool:
    return delivered.outcome is Outcome.TAKEN


# --- socket mode ---------------------------------------------------------------------------------------------------


async def test_a_connection_is_greeted_and_its_url_is_good_for_one_use(line: Line, site: Site) -> None:
    async with line.session:
        url = await line.url()
        async with line.session.ws_connect(url) as ws:
            hello = await ws.receive_json()
            assert (hello["type"], hello["num_connections"]) == ("hello", 1)
            assert hello["connection_info"]["app_id"] == site.space.app_id
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await line.session.ws_connect(url)


async def test_f30_too_many_connections_are_told_and_closed(line: Line) -> None:
    async with line.session:
        opened = [await line.open() for _ in range(SOCKETS)]
        assert {(await ws.receive_json())["type"] for ws in opened} == {"hello"}
        one_more = await line.open()
        frame = await one_more.receive_json()
        assert (frame["type"], frame["reason"]) == ("disconnect", "too_many_websockets")
        assert (await one_more.receive()).type is aiohttp.WSMsgType.CLOSE


async def test_an_event_that_is_not_acknowledged_comes_again_with_its_attempt_and_reason(
    line: Line, site: Site, anna: Person, room: Room
) -> None:
    async with line.session:
        ws = await line.open()
        await ws.receive_json()
        site.people.say(anna, room, "hi")
        first, second = await ws.receive_json(), await ws.receive_json()
        assert (first["retry_attempt"], first["retry_reason"]) == (0, "")
        assert (second["retry_attempt"], second["retry_reason"]) == (1, "timeout")
        assert first["payload"]["event_id"] == second["payload"]["event_id"]
        assert first["envelope_id"] != second["envelope_id"]
        await ws.send_json({"envelope_id": second["envelope_id"]})
        parcel = site.delivery.parcels[0]
        await until(lambda: parcel.outcomes == [Outcome.MISSED, Outcome.TAKEN])
        assert site.space.ledger.violations == []
        assert len(site.space.ledger.missed) == 1


async def test_an_event_that_is_never_acknowledged_is_a_violation(
    line: Line, site: Site, anna: Person, room: Room
) -> None:
    async with line.session:
        ws = await line.open()
        site.people.say(anna, room, "hi")
        await until(lambda: len(site.space.ledger.missed) == 2)
        site.delivery.retry_now()
        await until(lambda: site.space.ledger.violations != [])
        assert site.space.ledger.violations == ["message.im was never acknowledged"]
        await ws.close()


async def test_bolt_takes_events_over_several_connections_and_hears_its_own_echo(
    app: App, site: Site, anna: Person, room: Room
) -> None:
    await app.connect(2)
    site.people.say(anna, room, "one")
    await app.bolt.client.chat_postMessage(channel=room.id, text="echo", unfurl_links=False, unfurl_media=False)
    await until(lambda: len(app.events("message")) == 2)
    said, echo = sorted(app.events("message"), key=lambda event: str(event["ts"]))
    assert (said["user"], said["text"], said["channel_type"]) == (anna.id, "one", "im")
    assert (echo["bot_id"], echo["user"]) == (site.space.bot.bot_id, site.space.bot.id)
    await until(lambda: all(parcel.outcomes == [Outcome.TAKEN] for parcel in site.delivery.parcels))
    assert site.space.ledger.violations == []


async def test_f30_a_refresh_moves_the_client_to_a_new_connection(
    app: App, site: Site, anna: Person, room: Room
) -> None:
    await app.connect()
    await site.delivery.sockets.say_goodbye("refresh_requested")
    await site.delivery.sockets.wait_open()
    assert site.delivery.sockets.opened == 2
    site.people.say(anna, room, "after")
    await until(lambda: [event["text"] for event in app.events("message")] == ["after"])


async def test_f30_a_connection_that_is_cut_is_opened_anew(app: App, site: Site, anna: Person, room: Room) -> None:
    await app.connect()
    site.delivery.sockets.cut()
    site.people.say(anna, room, "lost")
    await site.delivery.sockets.wait_open()
    site.people.say(anna, room, "after")
    await until(lambda: [event["text"] for event in app.events("message")] == ["after"])
    assert site.space.ledger.lost == ["message.im: nobody was there"]


async def test_f30_a_disabled_link_takes_no_new_connection(line: Line, site: Site) -> None:
    async with line.session:
        ws = await line.open()
        await ws.receive_json()
        await site.delivery.sockets.say_goodbye("link_disabled")
        assert (await ws.receive_json())["reason"] == "link_disabled"
        assert (await ws.receive()).type is aiohttp.WSMsgType.CLOSE
        assert await line.refusal() == "socket_mode_not_enabled"


async def test_a_silent_line_answers_no_ping_and_brings_nothing(
    line: Line, site: Site, anna: Person, room: Room
) -> None:
    async with line.session:
        ws = await line.session.ws_connect(await line.url(), autoping=False)
        await ws.receive_json()
        await ws.ping(b"x")
        assert (await ws.receive()).type is aiohttp.WSMsgType.PONG
        site.delivery.sockets.is_silent = True
        await ws.ping(b"y")
        site.people.say(anna, room, "hi")
        with pytest.raises(TimeoutError):
            await ws.receive(timeout=0.2)


async def test_f28_a_mention_and_its_message_are_two_events_of_one_message(app: App, site: Site, anna: Person) -> None:
    general = site.space.add_channel("general", anna)
    await app.connect()
    post = site.people.mention(anna, general, "help")
    await until(lambda: len(app.got) == 2)
    (mention,), (message,) = app.events("app_mention"), app.events("message")
    assert (mention["channel"], mention["ts"]) == (message["channel"], message["ts"]) == (general.id, post.ts)
    assert app.got[0]["event_id"] != app.got[1]["event_id"]


async def test_f27_bots_come_with_and_without_their_marks(app: App, site: Site, anna: Person) -> None:
    general = site.space.add_channel("general", anna)
    await app.connect()
    site.people.say(site.space.add_person("Robot", is_bot=True), general, "with a user")
    site.people.webhook_says(general, "without")
    await until(lambda: len(app.got) == 2)
    events = {event["text"]: event for event in app.events("message")}
    assert events["with a user"]["bot_id"]
    assert "subtype" not in events["with a user"]
    assert events["without"]["subtype"] == "bot_message"
    assert "user" not in events["without"]


async def test_edits_previews_and_deletions_carry_what_was_before(
    app: App, site: Site, anna: Person, room: Room
) -> None:
    await app.connect()
    post = site.people.say(anna, room, "one")
    site.people.edit(post, "two")
    site.people.unfurl(post)
    site.people.delete(post)
    await until(lambda: len(app.got) == 4)
    events = sorted(app.events("message"), key=lambda event: str(event["event_ts"]))
    _, edited, preview, deleted = events
    assert (edited["previous_message"]["text"], edited["message"]["text"]) == ("one", "two")
    assert edited["message"]["edited"]["user"] == anna.id
    assert preview["previous_message"]["text"] == preview["message"]["text"] == "two"
    assert (deleted["subtype"], deleted["deleted_ts"], deleted["channel"]) == ("message_deleted", post.ts, room.id)


async def test_f21_a_repeat_has_the_same_event_id(app: App, site: Site, anna: Person, room: Room) -> None:
    await app.connect()
    post = site.people.say(anna, room, "one")
    await until(lambda: len(app.got) == 1)
    site.people.repeat(post)
    await until(lambda: len(app.got) == 2)
    assert app.got[0]["event_id"] == app.got[1]["event_id"]


async def test_events_need_a_subscription_a_scope_and_a_place_in_the_room(
    app: App, site: Site, anna: Person, room: Room
) -> None:
    outside = site.space.add_channel("outside", anna, has_bot=False)
    await app.connect()
    site.people.say(anna, outside, "not there")
    site.space.subscriptions.discard("message.im")
    site.people.say(anna, room, "not subscribed")
    site.space.subscriptions.add("message.im")
    site.space.scopes.discard("im:history")
    site.people.say(anna, room, "not allowed")
    site.space.scopes.add("im:history")
    site.people.say(anna, room, "seen")
    await until(lambda: app.got != [])
    assert [event["text"] for event in app.events("message")] == ["seen"]


async def test_the_assistant_view_the_home_tab_and_reactions_are_told(
    app: App, site: Site, anna: Person, room: Room
) -> None:
    await app.connect()
    thread = site.people.open_assistant(anna, {"channel_id": "C1"})
    asked = site.people.say(anna, room, "hi", thread=thread)
    site.people.change_context(anna, thread, {"channel_id": "C2"})
    site.people.open_home(anna)
    site.people.react(anna, asked, "+1")
    await until(lambda: len(app.got) == 5)
    (started,), (said,), (home,) = (app.events(k) for k in ("assistant_thread_started", "message", "app_home_opened"))
    assert (started["assistant_thread"]["thread_ts"], said["thread_ts"]) == (thread, thread)
    assert (home["user"], home["tab"]) == (anna.id, "home")
    assert app.events("reaction_added")[0]["item"]["ts"] == asked.ts


async def test_an_app_that_is_taken_out_is_told_and_refused(app: App, server: SlackServer, site: Site) -> None:
    await app.connect()
    server.uninstall(site)
    await until(lambda: len(app.got) == 2)
    assert {body["event"]["type"] for body in app.got} == {"tokens_revoked", "app_uninstalled"}
    with pytest.raises(SlackApiError, match="account_inactive"):
        await app.bolt.client.auth_test()


async def test_f30_a_client_leaves_a_connection_that_went_dead(
    app: App, site: Site, anna: Person, room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    await app.connect()
    site.delivery.sockets.hush()
    await site.delivery.sockets.wait_open()
    site.people.say(anna, room, "hi")
    await until(lambda: len(app.got) == 1)
    assert site.delivery.sockets.opened >= 2


# --- interactions --------------------------------------------------------------------------------------------------


async def test_buttons_and_feedback_reach_the_app_with_their_message(
    app: App, site: Site, anna: Person, room: Room
) -> None:
    await app.connect()
    post = site.space.put(site.space.own_post(room.id, "Well?", blocks=PRESSABLE))
    assert await took(await site.people.press(anna, post, "Go"))
    assert await took(await site.people.rate(anna, post, "down"))
    pressed, rated = [body for body in app.got if body["type"] == "block_actions"]
    assert (pressed["actions"][0]["value"], pressed["user"]["id"], pressed["container"]["message_ts"]) == (
        "7",
        anna.id,
        post.ts,
    )
    assert (rated["actions"][0]["type"], rated["actions"][0]["value"]) == ("feedback_buttons", "bad")
    with pytest.raises(LookupError):
        await site.people.press(anna, post, "Stop")


async def test_a_press_that_is_not_acknowledged_is_a_violation(
    app: App, site: Site, anna: Person, room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    await app.connect()
    app.is_slow = True
    post = site.space.put(site.space.own_post(room.id, "Well?", blocks=PRESSABLE))
    assert (await site.people.press(anna, post, "Go")).outcome is Outcome.MISSED
    assert site.space.ledger.violations == ["block_actions was not acknowledged in time: timeout"]


async def test_a_response_url_is_answered_for_the_person_alone(app: App, site: Site, anna: Person, room: Room) -> None:
    await app.connect()
    post = site.space.put(site.space.own_post(room.id, "Well?", blocks=PRESSABLE))
    await site.people.press(anna, post, "Go")
    url = app.got[0]["response_url"]
    async with aiohttp.ClientSession() as session:
        async with session.post(url, json={"text": "Just for you", "response_type": "ephemeral"}) as answer:
            assert answer.status == 200
        async with session.post(url, json={"text": "Gone", "replace_original": True}) as answer:
            assert answer.status == 200
    assert [shown.text for shown in site.space.posts[room.id].values() if shown.only_for == anna.id] == ["Just for you"]
    assert post.text_shown() == "Gone"


async def test_a_command_is_answered_with_the_acknowledgement(app: App, site: Site, anna: Person, room: Room) -> None:
    await app.connect()
    app.answer = {"text": "Help is here"}
    assert await took(await site.people.command(anna, room, "/frontdesk", "help"))
    assert (app.got[0]["command"], app.got[0]["text"], app.got[0]["channel_id"]) == ("/frontdesk", "help", room.id)
    (shown,) = site.space.posts[room.id].values()
    assert (shown.text, shown.only_for) == ("Help is here", anna.id)


async def test_a_modal_is_submitted_and_the_answer_happens_to_it(app: App, site: Site, anna: Person) -> None:
    await app.connect()
    body = {"type": "modal", "callback_id": "c", "title": {"type": "plain_text", "text": "T"}, "blocks": []}
    opened = await app.bolt.client.views_open(trigger_id=site.space.new_trigger(anna.id), view=body)
    view = site.space.views[opened["view"]["id"]]
    app.answer = {"response_action": "errors", "errors": {"b": "too short"}}
    await site.people.submit(view, {"b": {"a": {"type": "plain_text_input", "value": "x"}}})
    assert (view.is_open, view.errors) == (True, {"b": "too short"})
    app.answer = None
    await site.people.submit(view)
    assert not view.is_open
    assert [got["type"] for got in app.got] == ["view_submission"] * 2


# --- http ----------------------------------------------------------------------------------------------------------


async def test_signed_requests_are_taken_by_bolt(app: App, site: Site, anna: Person, room: Room) -> None:
    runner = await app.listen()
    assert await site.delivery.http.verify()
    site.people.say(anna, room, "hi")
    await until(lambda: len(app.events("message")) == 1)
    post = site.space.put(site.space.own_post(room.id, "Well?", blocks=PRESSABLE))
    app.answer = {"text": "ok"}
    assert await took(await site.people.press(anna, post, "Go"))
    assert await took(await site.people.command(anna, room, "/frontdesk", "help"))
    assert [body.get("type") or body["command"] for body in app.got] == [
        "event_callback",
        "block_actions",
        "/frontdesk",
    ]
    await runner.cleanup()


async def test_f74_f75_requests_with_a_false_or_old_signature_are_made_for_the_app_to_refuse(
    app: App, site: Site, server: SlackServer
) -> None:
    runner = await app.listen()
    http, body = site.delivery.http, json.dumps({"type": "url_verification", "challenge": "x"}).encode()
    old = http.signed(body, at_ms=server.clock.now_ms() - 6 * 60_000)
    foreign = http.signed(body, secret="not this one")
    for headers in (old, foreign):
        assert (await http.post(body, "application/json", headers)).outcome is Outcome.MISSED
    assert await took(await http.post(body, "application/json"))
    await runner.cleanup()


class Endpoint:
    """A request URL that answers as it is told."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, dict[str, str]]] = []
        self.got: list[tuple[dict[str, str], Json]] = []

    async def take(self, request: web.Request) -> web.Response:
        headers = {key.lower(): content for key, content in request.headers.items()}
        self.got.append((headers, await request.json()))
        status, extra = self.answers.pop(0)
        return web.Response(status=status, headers=extra)


async def test_retries_come_at_once_after_a_minute_and_after_five_with_their_number_and_reason() -> None:
    clock, endpoint = ManualClock(), Endpoint()
    endpoint.answers += [(503, {}), (503, {}), (503, {}), (200, {})]
    async with SlackServer(clock) as server:
        site = server.add_workspace()
        runner = await serve(endpoint, site)
        anna = site.space.add_person("Anna")
        site.people.say(anna, site.space.direct(anna), "hi")
        await until(lambda: len(endpoint.got) == 2)
        for pause_s, count in ((60, 3), (300, 4)):
            await settled_at(site, clock, pause_s - 1, count - 1)
            assert len(endpoint.got) == count - 1
            await clock.advance(1)
            await until(lambda count=count: len(endpoint.got) == count)  # type: ignore[misc]
        numbers = [headers.get("x-slack-retry-num") for headers, _ in endpoint.got]
        assert numbers == [None, "1", "2", "3"]
        assert endpoint.got[1][0]["x-slack-retry-reason"] == "http_error"
        assert len({body["event_id"] for _, body in endpoint.got}) == 1
        assert site.space.ledger.violations == []
        await runner.cleanup()


async def settled_at(site: Site, clock: ManualClock, seconds: float, tries: int) -> None:
    """Moves on once the answer to the latest try has been taken in."""
    await until(lambda: len(site.delivery.parcels[0].outcomes) == tries)
    await settle()
    await clock.advance(seconds)


async def test_an_event_for_an_app_that_is_down_comes_when_it_is_up_again() -> None:
    endpoint = Endpoint()
    endpoint.answers = [(200, {})]
    async with SlackServer(retries_s=(0.0, 60.0)) as server:
        site = server.add_workspace()
        runner = await serve(Endpoint(), site)
        await runner.cleanup()
        anna = site.space.add_person("Anna")
        site.people.say(anna, site.space.direct(anna), "hi")
        await until(lambda: site.delivery.parcels[0].outcomes == [Outcome.NOBODY] * 2)
        runner = await serve(endpoint, site)
        site.delivery.retry_now()
        await until(lambda: len(endpoint.got) == 1)
        assert endpoint.got[0][0]["x-slack-retry-reason"] == "connection_failed"
        await runner.cleanup()


async def test_no_retry_is_made_where_the_app_asks_for_none() -> None:
    endpoint = Endpoint()
    endpoint.answers = [(500, {"X-Slack-No-Retry": "1"})]
    async with SlackServer(retries_s=(0.0, 0.0)) as server:
        site = server.add_workspace()
        runner = await serve(endpoint, site)
        anna = site.space.add_person("Anna")
        site.people.say(anna, site.space.direct(anna), "hi")
        await until(lambda: site.delivery.parcels[0].outcomes != [])
        await asyncio.sleep(0)
        assert site.delivery.parcels[0].outcomes == [Outcome.FINAL]
        assert len(endpoint.got) == 1
        await runner.cleanup()


async def serve(endpoint: Endpoint, site: Site) -> web.AppRunner:
    app = web.Application()
    app.router.add_post("/slack", endpoint.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    site.delivery.mode = "http"
    site.delivery.http.url = f"http://127.0.0.1:{runner.addresses[0][1]}/slack"
    return runner


async def test_a_trigger_is_too_old_after_three_seconds() -> None:
    clock = ManualClock()
    async with SlackServer(clock) as server:
        site = server.add_workspace()
        anna = site.space.add_person("Anna")
        trigger = site.space.new_trigger(anna.id)
        await clock.advance(3.1)
        headers = {"Authorization": f"Bearer {site.space.bot_token}"}
        view = {"type": "modal", "title": {"type": "plain_text", "text": "T"}, "blocks": []}
        async with aiohttp.ClientSession() as session:
            call = session.post(
                f"{server.api_url}views.open", json={"trigger_id": trigger, "view": view}, headers=headers
            )
            async with call as answer:
                assert (await answer.json())["error"] == "expired_trigger_id"
        assert site.space.ledger.violations == ["a trigger_id was used after three seconds"]
