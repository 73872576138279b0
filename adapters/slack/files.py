"""Files that people send: Slack keeps them, and gives them to whoever shows the bot's token."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import urlsplit

from bot.errors import FetchError, Refused
from bot.ports import Fetched, Host

_PAGES: Final = (".html", ".htm")
_NO_RIGHT: Final = "I cannot open files here: this workspace has not given me the right to read them (files:read)."
_ELSEWHERE: Final = "This file is kept outside of Slack, where I cannot read it."


def is_slacks(url: str, api_url: str) -> bool:
    """Whether a URL is the platform's own, so that the token may be shown there: at the API's host, or below it (files.slack.com)."""
    target, api = urlsplit(url), urlsplit(api_url)
    host, base = target.hostname or "", api.hostname or ""
    is_safe = target.scheme == "https" or target.scheme == api.scheme
    return is_safe and bool(base) and (host == base or host.endswith(f".{base}"))


@asynccontextmanager
async def opened(host: Host, url: str, token: str, api_url: str) -> AsyncIterator[Fetched]:
    """Reads one file. Raises FetchError, or Refused where Slack shows a sign-in page instead: the scope is missing."""
    if not is_slacks(url, api_url):
        raise Refused("unreadable", _ELSEWHERE)
    trusted = (api_url, url) if urlsplit(url).hostname == urlsplit(api_url).hostname else (api_url,)
    async with host.fetch(url, {"Authorization": f"Bearer {token}"}, trusted=trusted) as fetched:
        is_page = fetched.media_type.partition(";")[0].strip().lower() == "text/html"
        if is_page and not urlsplit(url).path.lower().endswith(_PAGES):
            raise Refused("unreadable", _NO_RIGHT)
        yield fetched


def url_in(info: Mapping[str, Any]) -> str:
    """Where files.info says the file is. Raises FetchError."""
    file = info.get("file")
    url = file.get("url_private") if isinstance(file, Mapping) else None
    if not isinstance(url, str) or not url:
        raise FetchError("Slack says nothing of where the file is", is_retryable=False)
    return url
