"""Twilio's REST API, through its own library: the only module that imports it, so it is loaded late and in a thread.

Every call is made once, with a deadline, and to the addresses of the config alone: credentials go nowhere else. What goes wrong is
`Answered` (Twilio refused), `Unreachable` (no request left) or `Cut` (nobody knows what became of it).
"""

import base64
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import aiohttp
from twilio.base.exceptions import TwilioException  # type: ignore[import-untyped]
from twilio.http.async_http_client import AsyncTwilioHttpClient  # type: ignore[import-untyped]
from twilio.http.response import Response  # type: ignore[import-untyped]
from twilio.rest import Client  # type: ignore[import-untyped]
from yarl import URL

from adapters.whatsapp import PREFIX, Account
from adapters.whatsapp.calls import Answered, Cut, Listed, RemoteMedia, Unreachable

_TOTAL_S: Final = 20.0
_CONNECT_S: Final = 5.0
_PAGE: Final = 100  # records a page; at most 1,000 (Message resource)
# What can only happen to a request that has a connection
_ON_THE_WAY: Final = (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, aiohttp.ClientResponseError)

log = logging.getLogger(__name__)


class Api:
    """One account's calls. Made inside the running loop; `close` it."""

    def __init__(self, settings: Account, connector: aiohttp.BaseConnector) -> None:
        self._sender = settings.sender
        self._origin = settings.api_url
        self._http = _Http(settings, connector)
        self._client = Client(settings.account_sid, settings.token, http_client=self._http)
        self._account = settings.account_sid

    async def close(self) -> None:
        await self._http.close()

    async def account_status(self) -> str:
        """ "active", "suspended" or "closed"."""
        found = await _whole(self._client.api.v2010.accounts(self._account).fetch_async())
        return str(found.status)

    async def post(self, to: str, fields: Mapping[str, object]) -> tuple[str, int]:
        """Makes a message, and gives its Sid, and the error that it has already met (0: none)."""
        made = await _whole(self._client.messages.create_async(to=to, from_=self._sender, **fields))
        if not made.sid:
            raise Cut("Twilio's answer names no message")
        return str(made.sid), _number(made.error_code)

    async def sent(self, to: str, limit: int) -> Sequence[Listed]:
        """What was sent to this person, the newest first. Not filtered by date: what still waits to be sent has none."""
        found = await _whole(
            self._client.messages.list_async(to=to, from_=self._sender, limit=limit, page_size=min(limit, _PAGE))
        )
        return [each for each in map(_listed, found) if each.is_between(self._sender, to)]

    async def received(self, since_ms: int, limit: int) -> Sequence[Listed]:
        """What people wrote to us on that day and later, the newest `limit` of it, the oldest first."""
        since = datetime.fromtimestamp(since_ms / 1000, UTC)
        found = await _whole(
            self._client.messages.list_async(
                to=self._sender, date_sent_after=since, limit=limit, page_size=min(limit, _PAGE)
            )
        )
        listed = [_listed(each) for each in reversed(found) if str(each.direction or "inbound") == "inbound"]
        return [each for each in listed if each.is_between(each.sender, self._sender) and each.sender != self._sender]

    async def media(self, sid: str) -> Sequence[RemoteMedia]:
        """The files of a message."""
        found = await _whole(self._client.messages(sid).media.list_async(limit=10))
        base = f"{self._origin}/2010-04-01/Accounts/{self._account}/Messages/{sid}/Media"
        return [RemoteMedia(f"{base}/{each.sid}", str(each.content_type or "")) for each in found]

    async def typing(self, sid: str) -> None:
        await _whole(self._client.messaging.v2.typing_indicator.create_async(channel="whatsapp", message_id=sid))

    async def webhook_of(self, sender: str) -> str | None:
        """The URL that is called for messages to this number; None where Twilio lists no such sender (its sandbox is not listed)."""
        senders = await _whole(self._client.messaging.v2.channels_senders.list_async(channel="whatsapp", limit=1000))
        for each in senders:
            if str(each.sender_id).removeprefix(PREFIX) == sender.removeprefix(PREFIX):
                return str((each.webhook or {}).get("callback_url") or "")
        return None

    async def template_name(self, sid: str) -> str:
        found = await _whole(self._client.content.v1.contents(sid).fetch_async())
        return str(found.friendly_name or sid)


async def _whole(call: Any) -> Any:  # the library is not typed
    """What the call gave. An answer that cannot be read says nothing about what was done."""
    try:
        return await call
    except (TwilioException, ValueError, KeyError, TypeError) as error:
        raise Cut(f"Twilio's answer cannot be read ({type(error).__name__})") from error


def _listed(message: Any) -> Listed:  # the library is not typed
    created = message.date_created or message.date_sent
    sent = message.date_sent or created
    return Listed(
        sid=str(message.sid),
        sender=str(message.from_ or ""),
        to=str(message.to or ""),
        body=str(message.body or ""),
        created_ms=round(created.timestamp() * 1000) if created else 0,
        sent_ms=round(sent.timestamp() * 1000) if sent else 0,
        media=_number(message.num_media),
    )


def _number(raw: object) -> int:
    """0 for what is none."""
    text = str(raw)
    return int(text) if text.isascii() and text.isdecimal() else 0


class _Http(AsyncTwilioHttpClient):  # type: ignore[misc]  # the library is not typed
    """The library's client, on our connections, to the configured addresses, and without a log of what is sent."""

    def __init__(self, settings: Account, connector: aiohttp.BaseConnector) -> None:
        super().__init__(pool_connections=False, logger=log)
        timeout = aiohttp.ClientTimeout(total=_TOTAL_S, connect=_CONNECT_S)
        self.session = aiohttp.ClientSession(connector=connector, timeout=timeout)
        self._bases = {product: _base(settings, product) for product in ("api", "messaging", "content")}

    async def request(
        self,
        method: str,
        url: str,
        params: Mapping[str, object] | None = None,
        data: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout: float | None = None,
        allow_redirects: bool = False,
    ) -> Response:
        """One request. Raises Answered for all that is no success."""
        query = urlencode(dict(params or {}), doseq=True)
        target = self._place(url) + (f"{'&' if '?' in url else '?'}{query}" if query else "")
        try:
            async with self.session.request(
                method,
                URL(target, encoded=True),
                data=urlencode(dict(data), doseq=True).encode() if data else None,
                headers=dict(_headers(headers, auth)),
                allow_redirects=False,
            ) as answer:
                text = await answer.text(errors="replace")
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise Unreachable(f"Twilio cannot be reached ({type(error).__name__})") from error
        except (*_ON_THE_WAY, TimeoutError, OSError) as error:
            raise Cut(f"the connection to Twilio broke ({type(error).__name__})") from error
        except aiohttp.ClientError as error:  # the connector lets nothing out to there
            raise Unreachable(f"Twilio may not be spoken to: {error}") from error
        if answer.status >= 300:
            raise _answered(answer.status, text, answer.headers.get("Retry-After", ""))
        return Response(answer.status, text, dict(answer.headers))

    def _place(self, url: str) -> str:
        for product, base in self._bases.items():
            official = f"https://{product}.twilio.com"
            if url == official or url.startswith(f"{official}/"):
                return base + url.removeprefix(official)
        origins = {urlsplit(base)[:2] for base in self._bases.values()}
        if urlsplit(url)[:2] in origins:  # a further page, as the server itself named it
            return url
        raise Unreachable("Twilio named an address that is not in the config")


def _base(settings: Account, product: str) -> str:
    """Where a product's API lies: beside `api_url` where that is one of Twilio's own hosts, otherwise there."""
    if product == "messaging" and settings.messaging_url:
        return settings.messaging_url
    parts = urlsplit(settings.api_url)
    if parts.netloc.startswith("api.") and parts.netloc.endswith(".twilio.com"):
        return parts._replace(netloc=product + parts.netloc.removeprefix("api")).geturl()
    return settings.api_url


def _headers(headers: Mapping[str, str] | None, auth: tuple[str, str] | None) -> Iterator[tuple[str, str]]:
    yield from (headers or {}).items()
    if auth is not None:
        yield "Authorization", "Basic " + base64.b64encode(":".join(auth).encode()).decode()


def _answered(status: int, text: str, retry_after: str) -> Answered:
    try:
        body = json.loads(text)
    except ValueError:
        body = None
    found = body if isinstance(body, dict) else {}
    code, message = found.get("code"), found.get("message") or found.get("title") or ""
    return Answered(
        status,
        code if isinstance(code, int) else 0,
        str(message)[:300],
        float(retry_after) if retry_after.replace(".", "", 1).isdecimal() else None,
    )
