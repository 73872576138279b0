"""Slack's framework between the wire and the adapter: takes requests apart and answers in Slack's form.

Every request is acknowledged only after its handler has returned: the event is stored by then. A handler that could not store it leaves
it unacknowledged, and Slack sends it again.
"""

import asyncio
import json
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from aiohttp import web
from slack_bolt.async_app import AsyncAck, AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_bolt.response import BoltResponse
from slack_sdk.signature import Clock as SignatureClock
from slack_sdk.signature import SignatureVerifier
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse
from slack_sdk.web.async_client import AsyncWebClient

from adapters.slack.events import Me
from bot.errors import Overloaded, StoreUnavailable
from bot.ports import Clock

log = logging.getLogger(__name__)

Json = Mapping[str, Any]  # Slack's payloads are untyped JSON by nature
Handler = Callable[[Json], Awaitable[str]]  # returns what the person is told with the acknowledgement, "" for nothing

_ANY: Final = re.compile(r".*", re.DOTALL)
_NOT_STORED: Final = 503
_BODY_BYTES: Final = 1_048_576  # far above what Slack sends


class Bolt:
    """One account's AsyncApp with our three handlers."""

    def __init__(
        self, client: AsyncWebClient, me: Me, sdk_log: logging.Logger, event: Handler, action: Handler, command: Handler
    ) -> None:
        token = client.token

        async def authorize() -> AuthorizeResult:
            return AuthorizeResult(
                enterprise_id=me.enterprise or None,
                team_id=me.team,
                bot_user_id=me.user,
                bot_id=me.bot,
                bot_token=token,
            )

        self._app = AsyncApp(
            name="frontdesk",
            logger=sdk_log,
            client=AsyncWebClient(
                None, base_url=client.base_url, session=client.session, retry_handlers=[], logger=sdk_log
            ),
            authorize=authorize,
            process_before_response=True,
            request_verification_enabled=False,  # done in `serve`, before anything is read
            ssl_check_enabled=False,
            ignoring_self_events_enabled=False,  # the gate does it, for every kind of event
            attaching_function_token_enabled=False,
            attaching_conversation_kwargs_enabled=False,
        )
        self._app.event(_ANY)(_listener(event))
        self._app.command(_ANY)(_listener(command))
        for kind in (self._app.action, self._app.view, self._app.shortcut):
            kind(_ANY)(_listener(action))

    async def answer(self, request: SocketModeRequest) -> SocketModeResponse | None:
        """The acknowledgement of an envelope, None when it is not to be acknowledged."""
        response = await self._app.async_dispatch(AsyncBoltRequest(mode="socket_mode", body=request.payload))
        if response.status != 200:
            return None
        payload = json.loads(response.body) if response.body.startswith("{") else None
        return SocketModeResponse(request.envelope_id, payload)

    async def serve(self, request: web.Request, secret: str, clock: Clock) -> web.Response:
        """A webhook. 401 unless Slack has signed it within five minutes."""
        raw = await request.read()
        if len(raw) > _BODY_BYTES or not is_signed(raw, request.headers, secret, clock):
            return web.json_response({"error": "invalid signature"}, status=401)
        text = raw.decode("utf-8", "replace")
        bolted = AsyncBoltRequest(body=text, query=request.query_string, headers=dict(request.headers))
        response = await self._app.async_dispatch(bolted)
        kind = "application/json" if response.body.startswith("{") else "text/plain"
        return web.Response(status=response.status, text=response.body, content_type=kind)


class _Clock(SignatureClock):
    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def now(self) -> float:
        return self._clock.now_ms() / 1000


def is_signed(raw: bytes, headers: Mapping[str, str], secret: str, clock: Clock) -> bool:
    """Whether Slack has signed exactly these bytes, not more than five minutes ago.

    https://docs.slack.dev/authentication/verifying-requests-from-slack"""
    timestamp, signature = headers.get("X-Slack-Request-Timestamp", ""), headers.get("X-Slack-Signature", "")
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12 and signature.isascii()):
        return False
    try:
        return SignatureVerifier(secret, _Clock(clock)).is_valid(raw, timestamp, signature)
    except UnicodeDecodeError:  # Slack signs UTF-8 only
        return False


def _listener(handle: Handler) -> Callable[[Json, AsyncAck], Awaitable[BoltResponse | None]]:
    async def listen(body: Json, ack: AsyncAck) -> BoltResponse | None:
        try:
            told = await handle(body)
        except (StoreUnavailable, Overloaded, TimeoutError) as error:
            log.warning("an event could not be stored in time, Slack sends it again: %s", error or "too slow")
            return BoltResponse(status=_NOT_STORED)
        except asyncio.CancelledError:
            raise
        except Exception:  # the boundary of one event: what is wrong with it stops nothing else
            log.exception("an event of Slack could not be handled")
            return BoltResponse(status=500)
        await (ack(text=told, response_type="ephemeral") if told else ack())
        return None

    return listen
