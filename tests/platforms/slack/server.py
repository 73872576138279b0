"""Slack over loopback: the Web API, Socket Mode, files, and the workspaces behind them."""

import contextlib
import json
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from bot.clock import SystemClock
from bot.ports import Clock
from tests.platforms.slack import chat, rooms, surfaces, uploads
from tests.platforms.slack.delivery import ACKNOWLEDGE_S, RETRIES_S, Delivery
from tests.platforms.slack.faults import Faults
from tests.platforms.slack.people import People
from tests.platforms.slack.registry import METHODS, ApiError, Args, Method, Pace
from tests.platforms.slack.world import Call, Json, Workspace

MODULES = (chat, rooms, surfaces, uploads)
"""What registers the methods."""
UPLOAD_BYTES = 64 * 1024 * 1024


class Site:
    """One workspace with everything around it: what is there (`space`), what people do (`people`), how the app hears of it (`delivery`),
    how fast it may call (`pace`), and what goes wrong (`faults`)."""

    def __init__(self, space: Workspace, delivery: Delivery, clock: Clock) -> None:
        self.space = space
        self.delivery = delivery
        self.people = People(space, delivery)
        self.pace = Pace(clock)
        self.faults = Faults()


class SlackServer:
    """All workspaces on one port of 127.0.0.1. `clock` moves deadlines, retries and limits; wall time is signed into requests."""

    def __init__(
        self, clock: Clock | None = None, *, ack_s: float = ACKNOWLEDGE_S, retries_s: Sequence[float] = RETRIES_S
    ) -> None:
        self.clock: Clock = clock or SystemClock()
        self._ack_s, self._retries_s = ack_s, retries_s
        self.sites: list[Site] = []
        self._runner: web.AppRunner | None = None
        self.port = 0

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def api_url(self) -> str:
        """For `base_url` of a client: it ends with a slash."""
        return f"{self.base_url}/api/"

    async def start(self) -> None:
        app = web.Application(client_max_size=UPLOAD_BYTES)
        app.router.add_route("*", "/api/{method}", self._call)
        app.router.add_get("/link/", self._socket)
        app.router.add_post("/upload/v1/{ticket}", self._upload)
        app.router.add_get("/files-pri/{ticket}/{name:.*}", self._download)
        app.router.add_post("/actions/{team}/{key}", self._respond)
        self._runner = web.AppRunner(app, shutdown_timeout=0.5, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        for site in self.sites:
            site.delivery.sockets.cut()
            await site.delivery.close()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def __aenter__(self) -> "SlackServer":
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def add_workspace(self, name: str = "acme") -> Site:
        """A workspace with the app installed: its tokens, secret and ids are in `space`."""
        space = Workspace(name, self.clock, lambda: self.base_url)
        delivery = Delivery(space, self.clock, ack_s=self._ack_s, retries_s=self._retries_s)
        space.emit = delivery.emit
        space.new_socket_url = lambda: (
            f"ws://127.0.0.1:{self.port}/link/?ticket={delivery.sockets.new_ticket()}&app_id={space.app_id}"
        )
        site = Site(space, delivery, self.clock)
        self.sites.append(site)
        return site

    def uninstall(self, site: Site) -> None:
        """Someone takes the app out of the workspace: its tokens are refused, and it is told so."""
        space = site.space
        tokens: Json = {
            "type": "tokens_revoked",
            "tokens": {"oauth": [], "bot": [space.bot.id]},
            "event_ts": space.new_ts(),
        }
        space.emit(tokens, "tokens_revoked")
        space.emit({"type": "app_uninstalled", "event_ts": space.new_ts()}, "app_uninstalled")
        site.faults.token_error = "account_inactive"

    # --- the Web API -----------------------------------------------------------------------------------------------

    async def _call(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["method"]
        values = await arguments(request)
        token = request.headers.get("Authorization", "").removeprefix("Bearer ") or str(values.pop("token", ""))
        site, error = self._authenticate(token, name)
        if site is None:
            return refusal(ApiError(error))
        args = Args(values, is_app_token=token == site.space.app_token)
        call = Call(name, values, self.clock.monotonic(), error)
        site.space.ledger.calls.append(call)
        if error:
            return refusal(ApiError(error))
        if (early := self._refused_early(site, call, args)) is not None:
            return early
        answer = self._carry_out(site, call, args)
        return await self._answer(request, site, name, answer)

    def _authenticate(self, token: str, name: str) -> tuple[Site | None, str]:
        """The workspace that the token is of, and why Slack refuses it all the same."""
        if not token:
            return None, "not_authed"
        for site in self.sites:
            if token not in (site.space.bot_token, site.space.app_token):
                continue
            if site.faults.token_error:
                return site, site.faults.token_error
            found = METHODS.get(name)
            is_app_token = token == site.space.app_token
            if found is not None and found.takes_app_token != is_app_token and name != "auth.test":
                return site, "not_allowed_token_type"
            return site, ""
        return None, "invalid_auth"

    def _refused_early(self, site: Site, call: Call, args: Args) -> web.Response | None:
        """An answer before anything is carried out: limits and the server's own failures."""
        name, room = call.method, args.text("channel")
        if (fault := site.faults.take("failed", name)) is not None:
            call.error = f"http {fault.status}"
            return web.Response(status=fault.status, text="upstream connect error", content_type="text/html")
        is_early = site.pace.is_early(name, room)
        if is_early:
            site.space.ledger.break_rule(f"{name} was called again before the time of its Retry-After")
        wait_s = self._wait_s(site, call, room)
        if wait_s <= 0 and not is_early:
            return None
        call.error = "rate_limited" if name.startswith("chat.") else "ratelimited"
        wait_s = max(1, wait_s)
        if not is_early:
            site.pace.refused(name, room, wait_s)
        return web.json_response({"ok": False, "error": call.error}, status=429, headers={"Retry-After": f"{wait_s:g}"})

    def _wait_s(self, site: Site, call: Call, room: str) -> float:
        if (fault := site.faults.take("limited", call.method)) is not None:
            return max(1.0, float(round(fault.seconds)))
        found = METHODS.get(call.method)
        return site.pace.wait_s(call.method, found.tier, room) if found is not None else 0.0

    def _carry_out(self, site: Site, call: Call, args: Args) -> web.Response:
        found = METHODS.get(call.method)
        try:
            if found is None:
                site.space.ledger.break_rule(f"{call.method} is not known here")
                raise ApiError("unknown_method")
            if (fault := site.faults.take("refused", call.method)) is not None:
                raise ApiError(fault.error)
            self._check_scopes(site.space, found)
            if found.takes_app_token and site.delivery.sockets.is_disabled:
                raise ApiError("socket_mode_not_enabled")
            body = {"ok": True} | found.handler(site.space, args)
        except ApiError as error:
            call.error = error.code
            return refusal(error, site.space, found)
        return web.json_response(body, headers=scope_headers(site.space, found))

    @staticmethod
    def _check_scopes(space: Workspace, found: Method) -> None:
        given = space.app_scopes if found.takes_app_token else space.scopes
        if found.scopes and not found.scopes & given:
            raise ApiError("missing_scope", needed=",".join(sorted(found.scopes)), provided=",".join(sorted(given)))

    async def _answer(self, request: web.Request, site: Site, name: str, answer: web.Response) -> web.StreamResponse:
        """Hands over the answer, unless a fault keeps it."""
        if (slow := site.faults.take("slow", name)) is not None:
            await self.clock.sleep(slow.seconds)
        if site.faults.take("lost", name) is not None:
            if request.transport is not None:
                request.transport.abort()
            return answer
        if site.faults.take("broken", name) is not None:
            whole = answer.text or ""
            return web.Response(text=whole[: len(whole) // 2], content_type="application/json")
        return answer

    # --- sockets, files, response URLs -----------------------------------------------------------------------------

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        for site in self.sites:
            if site.space.app_id == request.query.get("app_id"):
                return await site.delivery.sockets.serve(request)
        return web.Response(status=404)

    def _site_of(self, team: str) -> Site | None:
        return next((site for site in self.sites if site.space.id == team), None)

    async def _upload(self, request: web.Request) -> web.Response:
        """Takes the raw bytes, or a form with one file. https://docs.slack.dev/messaging/working-with-files#uploading_files"""
        team, _, key = request.match_info["ticket"].partition("-")
        site = self._site_of(team)
        file = site.space.files.get(key) if site else None
        if site is None or file is None:
            return web.Response(status=404)
        if request.content_type.startswith("multipart/"):
            form = await request.post()
            data = b"".join(part.file.read() for part in form.values() if isinstance(part, web.FileField))
        else:
            data = await request.read()
        if len(data) != file.size:
            site.space.ledger.break_rule(f"an upload of {len(data)} bytes that was announced with {file.size}")
        file.data, file.size, file.is_uploaded = data, len(data), True
        return web.Response(text=f"OK - {len(data)}")

    async def _download(self, request: web.Request) -> web.StreamResponse:
        """The file, to a token that may read it; to everyone else a page to sign in."""
        team, _, key = request.match_info["ticket"].partition("-")
        site = self._site_of(team)
        file = site.space.files.get(key) if site else None
        if site is None or file is None:
            return web.Response(status=404)
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if token != site.space.bot_token or site.faults.token_error or "files:read" not in site.space.scopes:
            return web.Response(text=uploads.SIGN_IN, content_type="text/html")
        return web.Response(body=file.data, content_type=file.media_type)

    async def _respond(self, request: web.Request) -> web.Response:
        site = self._site_of(request.match_info["team"])
        if site is None:
            return web.Response(status=404)
        body = await arguments(request)
        status = surfaces.answer_at_url(site.space, request.match_info["key"], body)
        return web.Response(status=status, text="ok" if status == 200 else "expired_url")


async def arguments(request: web.Request) -> Json:
    """Arguments from the query, a form or JSON, whichever are there."""
    values: Json = dict(request.query)
    if request.content_type == "application/json":
        with contextlib.suppress(ValueError):
            body: Any = json.loads(await request.read() or b"{}")  # Any: JSON
            if isinstance(body, dict):
                values |= body
    elif request.can_read_body:
        values |= {key: content for key, content in (await request.post()).items() if isinstance(content, str)}
    return values


def scope_headers(space: Workspace, found: Method | None) -> dict[str, str]:
    """https://docs.slack.dev/authentication/installing-with-oauth: what the token may do, and what this method asks for."""
    wanted = ",".join(sorted(found.scopes)) if found else ""
    return {"x-oauth-scopes": ",".join(sorted(space.scopes)), "x-accepted-oauth-scopes": wanted}


def refusal(error: ApiError, space: Workspace | None = None, found: Method | None = None) -> web.Response:
    headers = scope_headers(space, found) if space is not None else {}
    return web.json_response({"ok": False, "error": error.code} | error.more, headers=headers)
