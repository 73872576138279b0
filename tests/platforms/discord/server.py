"""The server: one bot on one Discord, over loopback. What the bot did wrong stands in `violations`."""

import asyncio
import re
import time
from collections import deque
from collections.abc import Callable
from http import HTTPStatus

from aiohttp import web

from tests.platforms.discord import faults, limits
from tests.platforms.discord.faults import Fault, Faults, Throttle, Verdict
from tests.platforms.discord.gateway import Gateway
from tests.platforms.discord.interactions import Interactions
from tests.platforms.discord.limits import Denied, Json
from tests.platforms.discord.messages import Messages
from tests.platforms.discord.people import People
from tests.platforms.discord.rest import Rest
from tests.platforms.discord.things import Message
from tests.platforms.discord.wire import Handler, answer
from tests.platforms.discord.world import World

TOKEN = "bot-token.for.tests"

_INTERACTION = re.compile(r"/api/v10/(interactions|webhooks)/")
_VIA = "1.1 google"  # a 429 of Discord itself, and not of the network before it, carries a Via header


class DiscordServer(People):
    """Between `start` and `stop` it listens on `api_url` and `gateway_url`. `now_ms` is its wall time; `skip` moves that on. The
    settings of `gateway`, `messages`, `interactions` and `throttle` may be changed at any time."""

    def __init__(self, token: str = TOKEN, now_ms: Callable[[], int] | None = None) -> None:
        self.token = token
        self.violations: list[str] = []
        self.requests: list[tuple[str, str]] = []
        self.changed = asyncio.Condition()
        self.faults = Faults()
        self.throttle = Throttle()
        self._now_ms = now_ms or _real_now_ms
        self._skipped_ms = 0
        self._accepts_token = True
        self._invalid: deque[float] = deque(maxlen=limits.INVALID_REQUESTS)
        self.file_answer = "file"
        self.world = World(self.now_ms, self._announce)
        self.gateway = Gateway(self.world, self._current_token, self.violations.append)
        self.rest = Rest(self.world, self.gateway, self.changed)
        self.messages = Messages(self.world, self.gateway, self.violations.append, self.changed)
        self.interactions = Interactions(self.world, self.gateway, self.rest, self.messages, self.violations.append)
        self._runner: web.AppRunner | None = None
        self.port = 0

    @property
    def api_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api/v10"

    @property
    def gateway_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/gateway"

    async def start(self) -> None:
        app = web.Application(middlewares=[self._guard], client_max_size=64 * 1024 * 1024)
        for method, path, handler in [*self.rest.routes(), *self.messages.routes(), *self.interactions.routes()]:
            app.router.add_route(method, "/api/v10" + path, handler)
        app.router.add_get("/gateway", self.gateway.serve)
        app.router.add_get("/gateway/", self.gateway.serve)
        app.router.add_get("/attachments/{channel}/{file}/{name}", self._file)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        self.world.files.address = f"http://127.0.0.1:{self.port}"
        self.gateway.url = self.gateway_url

    async def stop(self) -> None:
        self.faults.clear()
        self.interactions.stop()
        for connection in list(self.gateway.connections):
            connection.abort()
        if self._runner is not None:
            await self._runner.cleanup()

    async def until(self, is_so: Callable[[], bool], timeout_s: float = 10.0) -> None:
        """Returns once it is so; looked at after everything that the bot does. Raises TimeoutError."""
        async with asyncio.timeout(timeout_s), self.changed:
            await self.changed.wait_for(is_so)

    def now_ms(self) -> int:
        return self._now_ms() + self._skipped_ms

    def skip(self, seconds: float) -> None:
        """Wall time goes on by so much: URLs and tokens expire, nonces are forgotten."""
        self._skipped_ms += round(seconds * 1000)

    def _announce(self, name: str, data: Json, intents: int, message: Message | None) -> None:
        self.gateway.announce(name, data, intents, message)

    # --- what goes wrong --------------------------------------------------------------------------------------------

    def lose_answers(self, count: int, kind: str = faults.POST) -> Fault:
        return self.faults.add(Fault("lose answer", kind, count))

    def lose_requests(self, count: int, kind: str = faults.POST) -> Fault:
        return self.faults.add(Fault("lose request", kind, count))

    def fail(self, count: int, status: int = 503, kind: str = faults.POST, *, is_done: bool = False) -> Fault:
        return self.faults.add(Fault("fail", kind, count, status=status, is_done=is_done))

    def limit_rate(self, count: int, seconds: float, kind: str = faults.POST, *, is_global: bool = False) -> Fault:
        return self.faults.add(Fault("limit", kind, count, seconds=seconds, is_global=is_global))

    def slow(self, count: int, seconds: float, kind: str = faults.POST) -> Fault:
        return self.faults.add(Fault("slow", kind, count, seconds=seconds))

    def hold(self, kind: str = faults.POST, count: int = 1) -> Fault:
        """Keeps requests unanswered until `release`; `reached` is set when one is kept."""
        return self.faults.add(Fault("hold", kind, count))

    def refuse_token(self, *, is_refused: bool = True) -> None:
        """A token that is reset ends the sessions made with it."""
        self._accepts_token = not is_refused
        if is_refused:
            self.gateway.revoke()

    def _current_token(self) -> str:
        return self.token if self._accepts_token else ""

    # --- requests ---------------------------------------------------------------------------------------------------

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if not request.path.startswith("/api/"):
            return await handler(request)
        resource = request.match_info.route.resource
        template = "" if resource is None else resource.canonical.removeprefix("/api/v10")
        self.requests.append((request.method, request.path))
        verdict = self._ask(request, template)
        response = await self._respond(request, handler, template, verdict)
        response.headers.update(verdict.headers)
        if response.status in (401, 403, 429) and response.headers.get("X-RateLimit-Scope") != "shared":
            self._count_invalid()
        return response

    async def _respond(
        self, request: web.Request, handler: Handler, template: str, verdict: Verdict
    ) -> web.StreamResponse:
        is_interaction = bool(_INTERACTION.match(request.path))
        if not is_interaction and not self._is_authorized(request):
            return answer(limits.UNAUTHORIZED.body, 401)
        if verdict.retry_after_s is not None:
            return self._too_many(verdict)
        kind = faults.kind_of(request.method, template)
        fault = self.faults.take(kind, "lose request", "lose answer", "fail", "hold", "slow")
        if fault is None:
            return await self._answered(request, handler)
        return await self._strike(fault, request, handler)

    async def _strike(self, fault: Fault, request: web.Request, handler: Handler) -> web.StreamResponse:
        if fault.what == "hold":
            fault.reached.set()
            await fault.released.wait()
            return await self._answered(request, handler)
        if fault.what == "slow":
            await asyncio.sleep(fault.seconds)
            return await self._answered(request, handler)
        response = None
        if fault.what == "lose answer" or fault.is_done:
            response = await self._answered(request, handler)
        fault.reached.set()
        if fault.what == "fail":
            return web.Response(status=fault.status, text=HTTPStatus(fault.status).phrase)
        if request.transport is not None:
            request.transport.abort()
        return response or web.Response(status=502)

    def _ask(self, request: web.Request, template: str) -> Verdict:
        route = f"{request.method} {template}"
        major = (
            request.match_info.get("channel")
            or request.match_info.get("guild")
            or request.match_info.get("token")
            or ""
        )
        kind = faults.kind_of(request.method, template)
        verdict = self.throttle.ask(kind, route, major, is_exempt=bool(_INTERACTION.match(request.path)))
        if verdict.is_early:
            self.violations.append(f"{route} again {verdict.retry_after_s:.2f} s before a rate limit had passed")
        if verdict.retry_after_s is None and (limit := self.faults.take(kind, "limit")):
            return self.throttle.refuse(route, major, limit.seconds, is_global=limit.is_global)
        return verdict

    def _too_many(self, verdict: Verdict) -> web.Response:
        response = answer(verdict.body, 429)
        response.headers["Via"] = _VIA
        response.headers["Retry-After"] = str(int((verdict.retry_after_s or 0.0) + 0.999))
        response.headers["X-RateLimit-Scope"] = "global" if verdict.is_global else "user"
        if verdict.is_global:
            response.headers["X-RateLimit-Global"] = "true"
        return response

    def _is_authorized(self, request: web.Request) -> bool:
        given = request.headers.get("Authorization", "")
        return self._accepts_token and given == f"Bot {self.token}"

    def _count_invalid(self) -> None:
        now = asyncio.get_running_loop().time()
        if len(self._invalid) == limits.INVALID_REQUESTS and now - self._invalid[0] < limits.INVALID_REQUESTS_S:
            self.violations.append(
                f"{limits.INVALID_REQUESTS} invalid requests in 10 minutes: Discord bans the address"
            )
        self._invalid.append(now)

    async def _answered(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except Denied as denied:
            if denied.body["code"] in limits.OWN_FAULTS:
                self.violations.append(f"{request.method} {request.path} is refused: {denied.body}")
            return answer(denied.body, denied.status)
        except web.HTTPNotFound:
            return answer(limits.NOT_FOUND.body, 404)
        except web.HTTPMethodNotAllowed:
            return answer({"message": "405: Method Not Allowed", "code": 0}, 405)

    async def _file(self, request: web.Request) -> web.StreamResponse:
        """`file_answer`: "file", "gone" (404) or "page" (a web page instead)."""
        if self.file_answer == "page":
            return web.Response(text="<!doctype html><title>Sign in</title>", content_type="text/html")
        path = request.match_info
        try:
            if self.file_answer == "gone":
                raise limits.NOT_FOUND
            ids = int(path["channel"]), int(path["file"])
            file = self.world.files.open(*ids, path["name"], request.query.get("ex", "0"), request.query.get("hm", ""))
        except Denied as denied:
            return web.Response(text="This content is no longer available.", status=denied.status)
        return web.Response(body=file.data, content_type=file.media_type)


def _real_now_ms() -> int:
    return time.time_ns() // 1_000_000
