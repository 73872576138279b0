"""The connections to model servers: one session and one pool for the process, and one SDK client for each server and key.

Promises: no SDK is imported on the loop's thread, nor before somebody asks for it; no connection is opened to, and no name looked up of, a
host outside the perimeter; no SDK retries, waits or follows a redirect by itself.
"""

import asyncio
import importlib
import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal
from weakref import WeakValueDictionary

import aiohttp
from aiohttp.client import ClientTimeout

from bot.config.schema import PROVIDER_URLS
from bot.llm.room import Room
from bot.net.connector import GuardedConnector
from bot.net.perimeter import Perimeter

if TYPE_CHECKING:
    import anthropic
    import httpx2
    import openai

Provider = Literal["anthropic", "openai"]

ANTHROPIC_URL, OPENAI_URL = PROVIDER_URLS["anthropic"], PROVIDER_URLS["openai"]
_NO_KEY = "none"  # a server that needs no key is sent this one, lest the SDK take one from the environment
_NO_TIMEOUT = ClientTimeout(total=None, sock_connect=None)


class Clients:
    """Gives SDK clients. One for the process; everything is made on first use, inside the running loop."""

    def __init__(self, perimeter: Perimeter) -> None:
        self.room = Room()
        self._perimeter = perimeter
        self._http: httpx2.AsyncClient | None = None
        self._loading: dict[Provider, asyncio.Future[None]] = {}
        self._anthropic: WeakValueDictionary[tuple[str, str], anthropic.AsyncAnthropic] = WeakValueDictionary()
        self._openai: WeakValueDictionary[tuple[str, str], openai.AsyncOpenAI] = WeakValueDictionary()

    async def warm(self, providers: Iterable[str]) -> None:
        """Imports the SDKs of these providers in a thread; others are none of its business."""
        for provider in sorted({"anthropic", "openai"} & set(providers)):
            await self._load("anthropic" if provider == "anthropic" else "openai")

    async def anthropic(self, base_url: str, key: str) -> "anthropic.AsyncAnthropic":
        """The client for this server ("": the provider's own) and key. It lives as long as somebody holds it, so a key that has changed
        leaves nothing behind."""
        await self._load("anthropic")
        client = self._anthropic.get((base_url, key))
        if client is None:
            from anthropic import AsyncAnthropic

            client = AsyncAnthropic(
                api_key=key or _NO_KEY,
                base_url=base_url or ANTHROPIC_URL,
                timeout=None,
                max_retries=0,
                http_client=self._client(),
            )
            client._custom_headers = {}  # what the environment adds is meant for the provider, not for any base_url
            self._anthropic[base_url, key] = client
        return client

    async def openai(self, base_url: str, key: str) -> "openai.AsyncOpenAI":
        """As `anthropic`."""
        await self._load("openai")
        client = self._openai.get((base_url, key))
        if client is None:
            from openai import AsyncOpenAI

            client = AsyncOpenAI(
                api_key=key or _NO_KEY,
                base_url=base_url or OPENAI_URL,
                timeout=None,
                max_retries=0,
                http_client=self._client(),
            )
            client._custom_headers = {}
            client.organization = client.project = None
            self._openai[base_url, key] = client
        return client

    async def close(self) -> None:
        """Closes every connection. Safe to repeat."""
        http, self._http = self._http, None
        self._anthropic.clear()
        self._openai.clear()
        if http is not None:
            await http.aclose()

    async def _load(self, provider: Provider) -> None:
        """One import, however many wait for it, and whoever of them is cancelled."""
        if provider not in self._loading:
            self._loading[provider] = asyncio.get_running_loop().run_in_executor(None, _import, provider)
        await asyncio.shield(self._loading[provider])

    def _client(self) -> "httpx2.AsyncClient":
        if self._http is None:
            import httpx2

            from bot.llm.transport import SessionTransport

            session = aiohttp.ClientSession(
                connector=GuardedConnector(self._perimeter),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                timeout=_NO_TIMEOUT,
                trust_env=False,
            )
            self._http = httpx2.AsyncClient(
                transport=SessionTransport(session), timeout=None, follow_redirects=False, trust_env=False
            )
        return self._http


def _import(provider: Provider) -> None:
    """The SDK with all that its first call would import. Its own log would hold prompts, and a line for each call."""
    for name in (provider, "httpx2"):
        logging.getLogger(name).setLevel(logging.WARNING)
    importlib.import_module("bot.llm.transport")
    importlib.import_module("anthropic.resources.messages" if provider == "anthropic" else "openai.resources.chat")
