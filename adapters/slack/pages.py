"""Slack's lists come in pages: https://docs.slack.dev/apis/web-api/pagination"""

from collections.abc import Mapping
from typing import Any, Final

Json = Mapping[str, Any]  # Slack's payloads are untyped JSON by nature

PAGE: Final = 200  # entries a page, as Slack recommends at most


def next_cursor(page: Json) -> str:
    """Where the next page begins; "" after the last."""
    found = page.get("response_metadata")
    cursor = found.get("next_cursor") if isinstance(found, Mapping) else None
    return cursor if isinstance(cursor, str) else ""
