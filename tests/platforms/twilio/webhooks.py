"""Twilio calling us: signed, with a deadline, and repeated as the URL's connection overrides say."""

import asyncio
import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit, urlunsplit

import aiohttp

DEADLINE_S = 15.0  # in all, repeats included
RETRIES = 1  # the default of `rc`
POLICY = "ct"  # the default of `rp`: connections that were not made


@dataclass(frozen=True, slots=True)
class Reply:
    """How a call ended. `status` 0: it was not answered."""

    status: int
    body: str = ""
    media_type: str = ""
    fault: str = ""  # "ct" not connected, "rt" too slow, "4xx", "5xx"; "" it went well


def signature(token: str, url: str, fields: Mapping[str, str]) -> str:
    """The base64 HMAC-SHA1 of the URL and the sorted fields, as "Secure webhooks" describes it."""
    text = url + "".join(name + fields[name] for name in sorted(fields))
    return base64.b64encode(hmac.new(token.encode(), text.encode(), hashlib.sha1).digest()).decode()


class Caller:
    """Calls webhooks. A public URL may lead to another place, as through a proxy or a tunnel: `routes` maps its origin to where the
    connection really goes, while the signature stays over the public URL."""

    def __init__(self, violate: Callable[[str], None]) -> None:
        self.token = ""
        self.routes: dict[str, str] = {}
        self.statuses: list[tuple[str, int]] = []  # each answer: path and status
        self._violate = violate
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        self._session = aiohttp.ClientSession()

    async def stop(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def post(self, url: str, fields: Mapping[str, str], token: str) -> Reply:
        """One webhook with its repeats."""
        target, _, fragment = url.partition("#")
        overrides = dict(parse_qsl(fragment))
        tries = 1 + min(int(overrides.get("rc", RETRIES)), 5)
        policy = set(overrides.get("rp", POLICY).split(","))
        reply = Reply(0, fault="ct")
        loop = asyncio.get_running_loop()
        end = loop.time() + min(float(overrides.get("tt", DEADLINE_S * 1000)) / 1000, DEADLINE_S)
        for attempt in range(tries):
            if attempt:
                await asyncio.sleep(min(0.05 * 2**attempt, max(0.0, end - loop.time())))
            reply = await self._try(target, fields, token, end - loop.time())
            if not reply.fault or not ({"all", reply.fault} & policy) or loop.time() >= end:
                break
        return reply

    async def _try(self, url: str, fields: Mapping[str, str], token: str, left_s: float) -> Reply:
        headers = {
            "X-Twilio-Signature": signature(self.token, url, fields),
            "I-Twilio-Idempotency-Token": token,
            "User-Agent": "TwilioProxy/1.1",
            "Accept": "*/*",
        }
        try:
            async with (
                asyncio.timeout(left_s),
                self._open().post(self.place(url), data=dict(fields), headers=headers, allow_redirects=False) as answer,
            ):
                body = await answer.text()
        except TimeoutError:
            self._violate(f"{urlsplit(url).path} did not answer within {DEADLINE_S:g} s")
            return Reply(0, fault="rt")
        except aiohttp.ClientError:
            return Reply(0, fault="ct")
        self.statuses.append((urlsplit(url).path, answer.status))
        fault = "" if answer.status < 400 else "4xx" if answer.status < 500 else "5xx"
        return Reply(answer.status, body, answer.content_type, fault)

    async def fetch(self, url: str) -> tuple[int, str, bytes]:
        """Status, type and content of what lies there: a file that goes out. Asks for its head first, as Twilio does."""
        try:
            async with asyncio.timeout(DEADLINE_S):
                async with self._open().head(self.place(url), allow_redirects=False) as head:
                    if head.status != 200:
                        return head.status, "", b""
                async with self._open().get(self.place(url)) as answer:
                    return answer.status, answer.content_type, await answer.read()
        except (TimeoutError, aiohttp.ClientError):
            return 0, "", b""

    def place(self, url: str) -> str:
        """Where the connection goes."""
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        to = self.routes.get(origin)
        return url if to is None else urlunsplit((*urlsplit(to)[:2], parts.path, parts.query, ""))

    def _open(self) -> aiohttp.ClientSession:
        assert self._session is not None
        return self._session
