"""Reads whose answer is told whole, whatever its status: with the validators that let a reader ask again politely.

The same way out as every other read: the fetcher's sessions, its perimeter, its checks of addresses, its rule on redirects.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import aiohttp
from yarl import URL

from bot.errors import FetchError
from bot.model import value
from bot.net.calls import check_headers, whole
from bot.net.fetch import REDIRECTS, REDIRECTS_MOST, Fetcher, failure_of, origins_of, parsed, target_of

WITHIN_S: Final = 60.0
LONGEST_WAIT_S: Final = 86_400.0  # that a server's Retry-After is believed
DATE_WAIT_S: Final = 60.0  # where it names a date instead of seconds


@value
class Answer:
    """A whole answer, whatever its status. `url` is where it came from in the end; `is_cut`: there was more."""

    status: int
    url: str
    media_type: str
    data: bytes
    is_cut: bool = False
    etag: str = ""
    modified: str = ""
    retry_after_s: float = 0.0


class Asker(Fetcher):
    """The fetcher with answers that hold a status and validators. One for whoever asks; close it."""

    async def ask(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes = b"",
        most_bytes: int,
        trusted: Sequence[str] = (),
    ) -> Answer:
        """Any whole answer, at most `most_bytes` of it. Redirects are followed for GET alone. Raises FetchError for what gave no answer."""
        at = parsed(url)
        try:
            check_headers(headers)
            async with self._clock.timeout(WITHIN_S):
                return await self._asked(method, at, dict(headers), body, most_bytes, origins_of(trusted))
        except FetchError:
            raise
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise failure_of(error, at) from error

    async def _asked(
        self, method: str, at: URL, headers: dict[str, str], body: bytes, most_bytes: int, named: frozenset[URL]
    ) -> Answer:
        for _ in range(REDIRECTS_MOST + 1):
            async with self.session_for(at, named).request(
                method, at, headers=headers, data=body or None, allow_redirects=False
            ) as response:
                if response.status not in REDIRECTS or method != "GET":
                    return await _answer(response, at, most_bytes)
                target = target_of(response, at)
            headers = headers if target.origin() == at.origin() else {}
            at = target
        raise FetchError(f"{at.origin()}: more than {REDIRECTS_MOST} redirects", is_retryable=False)


async def _answer(response: aiohttp.ClientResponse, at: URL, most_bytes: int) -> Answer:
    got, said = await whole(response, most_bytes), response.headers
    return Answer(
        got.status,
        str(at),
        got.media_type,
        got.data,
        got.is_cut,
        said.get("ETag", ""),
        said.get("Last-Modified", ""),
        _seconds(said.get("Retry-After", "")),
    )


def _seconds(wait: str) -> float:
    """Retry-After, RFC 9110, section 10.2.3."""
    if wait.isdecimal() and len(wait) < 9:
        return min(float(wait), LONGEST_WAIT_S)
    return DATE_WAIT_S if wait else 0.0
