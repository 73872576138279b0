"""The processes of the channels' benchmarks: the daemon with a channel, the platforms, and the floors beside them.

`python -m benchmarks.platforms ROLE FOLDER` prints its port when it is ready and serves until it is ended. What one has to know of
another lies in FOLDER as JSON or TOML. The platforms are driven over that port: `POST /burst`, `GET /seen`.
"""

import argparse
import asyncio
import json
import signal
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from aiohttp import web
from multidict import MultiDict

from benchmarks.daemon import CONFIG, TimedModel, Vitals
from benchmarks.floor import Writer

if TYPE_CHECKING:
    from tests.platforms.slack.delivery import Parcel
    from tests.platforms.slack.server import Site, SlackServer
    from tests.platforms.slack.world import Person, Post, Room

PUBLIC_URL = "https://desk.example.test"
PATHS = {"whatsapp": "/webhooks/whatsapp", "slack": "/webhooks/slack"}
HISTORY = 200
LIMITED = ("ratelimited", "rate_limited")
FIRST = (
    "chat.postMessage",
    "chat.startStream",
)  # what puts an answer before the person; this model's comes in one piece


async def listen(routes: Mapping[tuple[str, str], Callable[[web.Request], Awaitable[web.StreamResponse]]]) -> int:
    app = web.Application(client_max_size=1 << 24)
    for (method, path), handler in routes.items():
        app.router.add_route(method, path, handler)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=4096)
    await site.start()
    port: int = runner.addresses[0][1]
    return port


async def forever(port: int) -> None:
    print(port, flush=True)
    await asyncio.get_running_loop().create_future()


# --- the daemon ------------------------------------------------------------------------------------------------------


async def daemon(given: argparse.Namespace) -> None:
    """Frontdesk with the channel of FOLDER/channel.toml."""
    from bot.app import App
    from bot.config import find_settings, load

    config = given.folder / "config.toml"
    base = CONFIG.format(data=given.folder / "data", quiet_ms=0, port=0, history=HISTORY)
    config.write_text(base + (given.folder / "channel.toml").read_text(encoding="utf-8"), encoding="utf-8")
    app = App(load(config, {}, adapters=find_settings), models={"offline": TimedModel(given.model_s)})
    vitals = Vitals(given.folder / "vitals.json")
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, vitals.write)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(app.run())
        sampling = tasks.create_task(vitals.sample())
        await app.ready.wait()
        print(app.port, flush=True)
        await running
        sampling.cancel()


# --- the platforms ---------------------------------------------------------------------------------------------------


async def twilio(_: argparse.Namespace) -> None:
    from tests.platforms.twilio.server import TwilioServer

    server = TwilioServer()
    await server.start()
    await forever(int(server.api_url.rpartition(":")[2]))


@dataclass
class Crowd:
    """A workspace in which many people write to the app at the same moment: each in a chat of their own, or all in one channel."""

    server: "SlackServer"
    site: "Site"
    people: "list[tuple[Person, Room]]" = field(default_factory=list)
    channel: "Room | None" = None
    began: float = 0.0
    asked: dict[str, tuple[str, str]] = field(default_factory=dict)  # the question -> its room and ts
    acks_ms: list[float] = field(default_factory=list)

    def gather(self, count: int) -> None:
        space = self.site.space
        self.people = [(person, space.direct(person)) for person in (space.add_person(f"P{n}") for n in range(count))]
        self.channel = space.add_channel("incident", *(person for person, _ in self.people))

    async def burst(self, request: web.Request) -> web.Response:
        """`count` people ask, each in a chat of their own or, `in_channel`, all in one."""
        wish = await request.json()
        mention = f"<@{self.site.space.bot.id}> " if wish["in_channel"] else ""
        posts = []
        for number, (person, room) in enumerate(self.people[: wish["count"]]):
            place = self.channel if wish["in_channel"] and self.channel is not None else room
            post = self.site.people.write(person, place, f"{mention}question {number}.")
            self.asked[f"question {number}."] = (place.id, post.ts)
            posts.append(post)
        self.began = self.server.clock.monotonic()
        for post in posts:
            self._announce(post)
        return web.json_response({"asked": len(posts)})

    def _announce(self, post: "Post") -> None:
        from tests.platforms.slack import events

        for event, name in events.posted(self.site.space, post):
            self.site.delivery.spawn(self._deliver(self.site.delivery.parcel_of(event, name)))

    async def _deliver(self, parcel: "Parcel") -> None:
        started = time.perf_counter()
        delivered = await self.site.delivery.deliver(parcel)
        if delivered.outcome.value == "taken":
            self.acks_ms.append((time.perf_counter() - started) * 1000)

    async def seen(self, _: web.Request) -> web.Response:
        """What the people see, and how the app has behaved."""
        ledger = self.site.space.ledger
        answers = [self._answers(question, *place) for question, place in self.asked.items()]
        shown_s = self._shown_s()
        limited: dict[str, int] = {}
        for call in ledger.calls:
            if call.error in LIMITED:
                limited[call.method] = limited.get(call.method, 0) + 1
        return web.json_response(
            {
                "once": sum(count == 1 for count in answers),
                "last_s": max((call.at for call in ledger.calls if not call.error), default=self.began) - self.began,
                "shown_s": max(shown_s, default=0.0),
                "shown_p50_s": statistics.median(shown_s or [0.0]),
                "calls": len(ledger.calls),
                "limited": limited,
                "violations": list(ledger.violations),
                "missed": len(ledger.missed),
                "acks_ms": self.acks_ms,
            }
        )

    def _shown_s(self) -> list[float]:
        """When the first word of each answer stood there, in seconds from the burst."""
        first: dict[tuple[str, str], float] = {}
        for call in self.site.space.ledger.calls:
            if call.method in FIRST and not call.error:
                first.setdefault((str(call.args["channel"]), str(call.args.get("thread_ts") or "")), call.at)
        return [at - self.began for at in first.values()]

    def _answers(self, question: str, room: str, root: str) -> int:
        """How many messages of the app there are that answer it, in its chat or in the thread under it."""
        space = self.site.space
        is_direct = space.rooms[room].kind == "im"
        return sum(
            question in post.text_shown()
            for post in space.all_posts(room)
            if post.user == space.bot.id and (is_direct or post.thread_ts == root)
        )


async def slack(given: argparse.Namespace) -> None:
    from tests.platforms.slack.server import SlackServer

    server = SlackServer()
    await server.start()
    crowd = Crowd(server, server.add_workspace("bench"))
    crowd.gather(given.people)
    space = crowd.site.space
    about = {
        "api_url": server.api_url,
        "bot_token": space.bot_token,
        "app_token": space.app_token,
        "signing_secret": space.signing_secret,
        "team": space.id,
        "app": space.app_id,
        "bot": space.bot.id,
        "people": [(person.id, room.id) for person, room in crowd.people],
    }
    (given.folder / "slack.json").write_text(json.dumps(about), encoding="utf-8")
    await forever(await listen({("POST", "/burst"): crowd.burst, ("GET", "/seen"): crowd.seen}))


# --- the floors ------------------------------------------------------------------------------------------------------


async def floor(given: argparse.Namespace) -> None:
    """A bare server for both webhooks: the check of the signature with the platform's own library, one group-committed insert of the
    event, the acknowledgement."""
    from slack_sdk.signature import SignatureVerifier
    from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]

    secrets = json.loads((given.folder / "secrets.json").read_text(encoding="utf-8"))
    validator, verifier = RequestValidator(secrets["token"]), SignatureVerifier(secrets["signing_secret"])
    writer = Writer(given.folder / "floor.db")

    async def take_whatsapp(request: web.Request) -> web.Response:
        form = MultiDict(parse_qsl((await request.read()).decode(), keep_blank_values=True))
        if not validator.validate(PUBLIC_URL + PATHS["whatsapp"], form, request.headers["X-Twilio-Signature"]):
            return web.Response(status=403)
        await writer.insert(1, form["Body"])
        return web.Response(text="<Response></Response>", content_type="text/xml")

    async def take_slack(request: web.Request) -> web.Response:
        raw, headers = await request.read(), request.headers
        if not verifier.is_valid(raw, headers["X-Slack-Request-Timestamp"], headers["X-Slack-Signature"]):
            return web.Response(status=401)
        await writer.insert(1, json.loads(raw)["event"]["text"])
        return web.Response(text="")

    routes = {("POST", PATHS["whatsapp"]): take_whatsapp, ("POST", PATHS["slack"]): take_slack}
    await forever(await listen(routes))


async def bare(given: argparse.Namespace) -> None:
    """A bare bot on Slack's own libraries: acknowledges what comes by Socket Mode and answers it, each with one call, and keeps
    nothing. Its port serves nothing."""
    from slack_sdk.socket_mode.aiohttp import SocketModeClient
    from slack_sdk.socket_mode.async_client import AsyncBaseSocketModeClient
    from slack_sdk.socket_mode.request import SocketModeRequest
    from slack_sdk.socket_mode.response import SocketModeResponse
    from slack_sdk.web.async_client import AsyncWebClient

    about = json.loads((given.folder / "slack.json").read_text(encoding="utf-8"))
    web_client = AsyncWebClient(about["bot_token"], base_url=about["api_url"])
    client = SocketModeClient(about["app_token"], web_client=web_client)

    async def answer(_: AsyncBaseSocketModeClient, request: SocketModeRequest) -> None:
        await client.send_socket_mode_response(SocketModeResponse(request.envelope_id))
        event = request.payload["event"]
        if event["type"] == "message" and event.get("user") != about["bot"]:
            await web_client.chat_postMessage(
                channel=event["channel"], text=f"You said: {event['text']}", unfurl_links=False, unfurl_media=False
            )

    client.socket_mode_request_listeners.append(answer)
    await client.connect()  # type: ignore[no-untyped-call]  # Slack's client has no types there
    await forever(1)


ROLES = {"daemon": daemon, "twilio": twilio, "slack": slack, "floor": floor, "bare": bare}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("role", choices=ROLES)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--people", type=int, default=0)
    parser.add_argument("--model-s", type=float, default=0.0)
    given = parser.parse_args()
    asyncio.run(ROLES[given.role](given))
