"""What a call of an action would send, made by the code that sends it, up to the point where it would leave."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bot.errors import ConfigError, NotSent, Problem
from bot.tools.catalogue import declared

if TYPE_CHECKING:
    from bot.config import Config
    from bot.net.calls import Answered
    from bot.tools.action import Action

KEY = "<key of the call>"


async def rehearse(config: "Config", action: "Action", arguments: Mapping[str, Any]) -> dict[str, Any]:
    """JSON to show. Secrets stand as their names. Nothing is sent, and no secret is looked up. Raises ConfigError for arguments of which no
    request can be made."""
    from bot.clock import SystemClock

    settings = next(each for each in config.actions if each.name == action.name)
    if settings.mcp or settings.python:
        return {"called": action.origin, "arguments": dict(arguments)}
    stage = _Stage()
    endpoint = declared(settings, config, stage, SystemClock(), lambda name: f"<{name}>").endpoint
    try:
        await endpoint.call(arguments, KEY, action.timeout_s)
    except NotSent as error:
        if not stage.asked:
            raise ConfigError([Problem("--arg", str(error), "Correct the arguments.")]) from error
    return stage.asked


class _Stage:
    """Stands where the fetcher does, and lets nothing out."""

    def __init__(self) -> None:
        self.asked: dict[str, Any] = {}

    async def call(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes,
        content_type: str,
        most_bytes: int,
        within_s: float,
        trusted: Sequence[str],
        is_read: bool = False,
    ) -> "Answered":
        sent = dict(headers) | ({"Content-Type": content_type} if content_type else {})
        self.asked = {"method": method, "url": url, "headers": sent, "body": _body(body)}
        raise NotSent("this is a rehearsal", is_retryable=False)


def _body(body: bytes) -> Any:  # JSON
    try:
        return json.loads(body) if body else None
    except ValueError:
        return body.decode("utf-8", "replace")
