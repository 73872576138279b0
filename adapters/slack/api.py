"""Slack's Web API as the adapter calls it: through Slack's own client, one try a call, and every failure a CallFailed.

Whoever calls decides whether to try again, because only the house knows what has been sent.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakValueDictionary

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web.async_client import AsyncWebClient

from adapters.slack.faults import CallFailed, answered
from adapters.slack.pace import POST, Queues
from adapters.slack.pages import Json, next_cursor

if TYPE_CHECKING:
    from slack_sdk.web.async_slack_response import AsyncSlackResponse

SDK_LOG: Final = logging.getLogger(
    "adapters.slack.sdk"
)  # whole payloads, and URLs with tickets in them: it says nothing
SDK_LOG.setLevel(logging.CRITICAL)
SDK_LOG.propagate = False

_PATH: Final = "/api/"  # https://docs.slack.dev/apis/web-api/
CALL_S: Final = 15  # longest wait for one call: below the house's own limit for a send


class Api:
    """One account's calls. Owns its connections: `close` ends them. Keeps to rate limits that Slack has told: until they have passed, a
    call of that method fails at once. `on_refused` hears of a refused bot token, and by which method."""

    def __init__(
        self,
        token: str,
        api_url: str,
        connector: aiohttp.BaseConnector,
        now: Callable[[], float],
        on_refused: Callable[[str, CallFailed], None] = lambda _method, _failed: None,
        *,
        timeout_s: float = CALL_S,
    ) -> None:
        self._session = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=timeout_s))
        self.client = _Client(
            token, base_url=api_url, timeout=int(timeout_s), session=self._session, retry_handlers=[], logger=SDK_LOG
        )
        self._other_url = "" if api_url.endswith(_PATH) else api_url + _PATH.removeprefix("/")
        self._now = now
        self._on_refused = on_refused
        self._queues = Queues()
        self._posting: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()  # channel -> one post at a time

    async def close(self) -> None:
        await self._session.close()

    def look_elsewhere(self) -> None:
        """No method was found there: Slack's stand below /api/."""
        if self._other_url:
            self.client.base_url, self._other_url = self._other_url, self.client.base_url

    async def call(self, method: str, **arguments: object) -> Json:
        """What Slack answers to `method` (a name of the client's, such as "chat_postMessage"). Raises CallFailed."""
        return (await self.answer(method, **arguments))[0]

    async def answer(self, method: str, **arguments: object) -> tuple[Json, Mapping[str, str]]:
        """The same with the headers of the answer."""
        if method != POST:
            return await self._answer(method, "", arguments)
        channel = str(arguments.get("channel") or "")
        async with self._posting.setdefault(channel, asyncio.Lock()):
            return await self._answer(method, channel, arguments)

    async def _answer(
        self, method: str, channel: str, arguments: Mapping[str, object]
    ) -> tuple[Json, Mapping[str, str]]:
        left_s = self._queues.wait_s(method, channel, self._now())
        if left_s > 0:
            raise CallFailed("ratelimited", "Slack's rate limit", is_certain=True, retry_after_s=left_s)
        try:
            response: AsyncSlackResponse = await getattr(self.client, method)(**arguments)
        except SlackApiError as error:
            failed = _refusal(error)
            if failed.retry_after_s is not None:
                self._queues.limited(method, channel, self._now() + failed.retry_after_s)
            if failed.is_token and "app_token" not in arguments:
                self._on_refused(method, failed)
            raise failed from error
        except aiohttp.ClientConnectorError as error:
            raise CallFailed("", f"no connection to Slack: {error}", is_certain=True) from error
        except (aiohttp.ClientError, SlackClientError, TimeoutError, OSError) as error:
            raise CallFailed("", f"{type(error).__name__}: {error}", is_certain=False) from error
        except (AttributeError, ValueError) as error:  # Slack's client stumbles over an answer that is no JSON object
            raise CallFailed("", "Slack's answer could not be read", is_certain=False) from error
        if not isinstance(response.data, dict):
            raise CallFailed("", "Slack's answer could not be read", is_certain=False)
        return response.data, response.headers

    async def pages(self, method: str, most: int, **arguments: object) -> AsyncIterator[Json]:
        """At most `most` pages of a list. Raises CallFailed."""
        cursor = None
        for _ in range(most):
            page = await self.call(method, cursor=cursor, **arguments)
            yield page
            cursor = next_cursor(page)
            if not cursor:
                return


class _Client(AsyncWebClient):
    """Slack's client stumbles over an answer that is no JSON object before it looks at its status."""

    async def _request(self, **call: Any) -> dict[str, Any]:  # the client's own arguments
        answer = await super()._request(**call)
        return answer if isinstance(answer["data"], dict) else {**answer, "data": {}}


def _refusal(error: SlackApiError) -> CallFailed:
    response = error.response
    data = getattr(response, "data", None)
    status = getattr(response, "status_code", 0) or getattr(response, "status", 0)
    headers = getattr(response, "headers", None) or {}
    said = data if isinstance(data, dict) else {}
    return answered(str(said.get("error") or ""), status, _seconds(headers), str(said.get("needed") or ""))


def _seconds(headers: Mapping[str, str]) -> float | None:
    """https://docs.slack.dev/apis/web-api/rate-limits: Retry-After in seconds."""
    text = headers.get("Retry-After") or headers.get("retry-after") or ""
    return float(text) if text.replace(".", "", 1).isdigit() else None
