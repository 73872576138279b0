"""The pages of a Notion workspace that are shared with an integration.

API: https://developers.notion.com/reference, version 2022-06-28, which still knows databases as one table. Three requests a second on
average; a page of an answer holds at most 100 entries.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime
from typing import Any, Final

from bot.config.knowledge_schema import Notion
from bot.knowledge.origins.asking import Api, Outside, Pace
from bot.knowledge.origins.notion_blocks import Children, plain, written
from bot.knowledge.origins.origin import Fresh, Mark, Page, Passed, Same, SourceFailed, Step
from bot.ports import Clock

API: Final = "https://api.notion.com"
VERSION: Final = "2022-06-28"
PAUSE_S: Final = 0.34
PAGE_SIZE: Final = 100
MOST_BLOCKS: Final = 20_000  # of one page
_ROUNDING_MS: Final = 120_000  # last_edited_time names the minute: an edit later in it would go unseen


class NotionOrigin:
    """Implements `Origin`. A page's key is its id. `api`: where the service answers."""

    def __init__(
        self, settings: Notion, outside: Outside, clock: Clock, secret: Callable[[str], str], api: str = API
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._secret = secret
        self._root = f"{api}/v1"
        self._api = Api("Notion", outside, Pace(clock, PAUSE_S), (api,))
        self._expected = 0

    def expected(self) -> int:
        return self._expected

    async def changes(self, kept: Mapping[str, Mark]) -> AsyncIterator[Step]:
        token = self._secret(self._settings.secret)
        if not token:
            mend = f"Set {self._settings.secret}, in .env or the environment, to the integration's token."
            raise SourceFailed("there is no token for Notion", mend, is_retryable=False)
        self._api.headers |= {"Authorization": f"Bearer {token}", "Notion-Version": VERSION}
        pages = {page["id"]: page async for page in self._pages()}
        if not pages:
            mend = "In Notion, open a page, then ... > Connections, and add the integration."
            raise SourceFailed("no page is shared with the integration", mend)
        self._expected = len(pages)
        for page in pages.values():
            yield await self._step(page, kept.get(page["id"]))
        for key in sorted(kept.keys() - pages.keys()):
            left_out = None if self._settings.databases else await self._unlisted(key)
            if left_out is not None:
                yield await self._step(left_out, kept[key])

    async def _pages(self) -> AsyncIterator[dict[str, Any]]:
        if not self._settings.databases:
            query = {"filter": {"property": "object", "value": "page"}}
            async for page in self._listed("POST", f"{self._root}/search", query):
                if _is_there(page):
                    yield page
        for database in self._settings.databases:
            async for page in self._listed("POST", f"{self._root}/databases/{database}/query", {}):
                if _is_there(page):
                    yield page

    async def _unlisted(self, key: str) -> dict[str, Any] | None:
        """A page that the search has left out, which it may do (it is indexed late); None where the page is really gone."""
        status, page = await self._api.json("GET", f"{self._root}/pages/{key}")
        if status in (400, 404):
            return None
        _check(status, page)
        return page if _is_there(page) else None

    async def _step(self, page: dict[str, Any], mark: Mark | None) -> Step:
        key, edited = str(page["id"]), str(page.get("last_edited_time", ""))
        if mark is not None and edited and mark.token == edited:
            return Same(key)
        blocks = _Blocks(self)
        try:
            text = await written(blocks, key)
        except _TooMany:
            return Passed(_title(page) or key, f"has more than {MOST_BLOCKS} blocks", key)
        url = str(page.get("public_url") or page.get("url") or "")
        token = edited if _ms(edited) < self._clock.now_ms() - _ROUNDING_MS else ""
        return Fresh(key, Page(_title(page) or "Untitled", url, f"{_facts(page)}{text}"), Mark(token=token))

    async def children(self, block: str) -> list[dict[str, Any]]:
        """All children of a block or page."""
        at = f"{self._root}/blocks/{block}/children"
        return [child async for child in self._listed("GET", at, {})]

    async def _listed(self, method: str, url: str, query: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        """Every entry of a list, page by page."""
        cursor = ""
        while True:
            paging = {"page_size": PAGE_SIZE} | ({"start_cursor": cursor} if cursor else {})
            if method == "GET":
                words = "&".join(f"{name}={value}" for name, value in paging.items())
                status, told = await self._api.json(method, f"{url}?{words}")
            else:
                status, told = await self._api.json(method, url, body=query | paging)
            _check(status, told)
            for entry in told.get("results") or []:
                if isinstance(entry, dict) and isinstance(entry.get("id"), str):
                    yield entry
            following = told.get("next_cursor") if told.get("has_more") else None
            if not following or following == cursor:
                return
            cursor = str(following)


class _TooMany(Exception):
    """The page is larger than is read."""


class _Blocks(Children):
    """The blocks of one page, counted."""

    def __init__(self, origin: NotionOrigin) -> None:
        self._origin = origin
        self._left = MOST_BLOCKS

    async def of(self, block: str) -> list[dict[str, Any]]:
        found = await self._origin.children(block)
        self._left -= len(found)
        if self._left < 0:
            raise _TooMany
        return found


def _check(status: int, told: dict[str, Any]) -> None:
    """Raises SourceFailed for a refusal. The codes: https://developers.notion.com/reference/status-codes"""
    if status < 300:
        return
    code = str(told.get("code", ""))[:60]
    mend = {
        401: "Set the source's secret to the token of the integration, from notion.so/my-integrations.",
        403: "Give the integration the capability to read content.",
        404: "Share the database with the integration, and correct `databases` of this source.",
    }.get(status, "")
    raise SourceFailed(f"Notion answered {status} {code}".strip(), mend)


def _is_there(page: dict[str, Any]) -> bool:
    return page.get("object") == "page" and not (page.get("archived") or page.get("in_trash"))


def _title(page: dict[str, Any]) -> str:
    for each in (page.get("properties") or {}).values():
        if isinstance(each, dict) and each.get("type") == "title":
            return " ".join(plain(each.get("title")).split())
    return ""


def _facts(page: dict[str, Any]) -> str:
    """What the columns of a database say of a page, a line each."""
    lines = []
    for name, each in (page.get("properties") or {}).items():
        value = _value(each) if isinstance(each, dict) else ""
        if value:
            lines.append(f"- {name}: {' '.join(value.split())}")
    return "\n".join(lines) + "\n\n" if lines else ""


def _value(given: dict[str, Any]) -> str:
    """The columns that hold text; people, relations and files are left out."""
    kind = given.get("type")
    held = given.get(str(kind))
    match kind, held:
        case "rich_text", list():
            return plain(held)
        case (("select" | "status"), {"name": str(name)}):
            return name
        case "multi_select", list():
            return ", ".join(str(each.get("name", "")) for each in held if isinstance(each, dict))
        case (("number" | "url" | "email" | "phone_number"), (int() | float() | str())):
            return str(held)
        case "date", {"start": str(start)}:
            return start
        case _:
            return ""


def _ms(time: str) -> int:
    try:
        return round(datetime.fromisoformat(time.replace("Z", "+00:00")).timestamp() * 1000)
    except ValueError:
        return 0
