"""What every request of the page has in common: who asks, what its body holds, and how a refusal is told."""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from urllib.parse import quote

from aiohttp import hdrs, web

from bot.commands.reports import NoSuchReport
from bot.console.admission import signed_in
from bot.console.frames import encoded
from bot.console.room import Room
from bot.errors import Refused
from bot.operators.operator import Operator
from bot.operators.roles import Right, denied
from bot.store.people import NotDone
from bot.store.sessions import Signed
from bot.text import clean

BODY_BYTES: Final = 65_536
_STATUS: Final = {
    "signed_out": 401,
    "not_signed_in": 401,
    "bad_origin": 403,
    "bad_token": 403,
    "not_allowed": 403,
    "no_conversation": 404,
    "no_report": 404,
    "no_blob": 404,
    "no_passage": 404,
    "no_fact": 404,
    "no_document": 404,
    "prove": 403,
    "exists": 409,
    "too_large": 413,
    "bad_type": 415,
    "too_many_tries": 429,
}  # any other refusal is 400
DATA: Final[Mapping[str, str]] = {
    hdrs.CACHE_CONTROL: "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox; default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
}

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
Asked = Callable[[Signed, web.Request], Awaitable[web.StreamResponse]]


def of_anyone(answer: Answer) -> Answer:
    """A handler whose refusals are told in a sentence."""

    async def answered(request: web.Request) -> web.StreamResponse:
        try:
            return await answer(request)
        except Refused as refusal:
            return _refusal(refusal)
        except NoSuchReport as missing:
            return _refusal(Refused("no_report", f"{missing}."))
        except NotDone as why:
            return _refusal(Refused("not_done", f"That was not done: {why}."))

    return answered


def of_operator(room: Room, answer: Asked, right: Right = Right.SEE) -> Answer:
    """The same, for whoever is signed in and has the right."""

    async def answered(request: web.Request) -> web.StreamResponse:
        signed = await signed_in(room, request)
        require(signed.operator, right)
        return await answer(signed, request)

    return of_anyone(answered)


def require(operator: Operator, right: Right) -> None:
    """Denied by default. Raises Refused("not_allowed")."""
    if not operator.may(right):
        raise denied(right)


def told(value: object, status: int = 200) -> web.Response:
    body = encoded(value)
    return web.Response(body=body, status=status, content_type="application/json", charset="utf-8", headers=DATA)


def named(name: str, how: str = "attachment") -> dict[str, str]:
    """The headers of a file of that name. `how`: inline, where the page shows it."""
    return {**DATA, hdrs.CONTENT_DISPOSITION: f"{how}; filename*=UTF-8''{quote(name, safe='')}"}


async def fields(request: web.Request, *names: str) -> dict[str, Any]:
    """The JSON object of a request. `names` are texts that it must have. Raises Refused."""
    body = await body_of(request)
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not all(isinstance(found.get(name), str) for name in names):
        raise Refused("bad_request", f"This request has to say: {', '.join(names)}.")
    return {name: clean(value) if isinstance(value, str) else value for name, value in found.items()}


async def body_of(request: web.Request) -> bytes:
    """Raises Refused("too_large")."""
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > BODY_BYTES:
            raise Refused("too_large", "That is too long.")
    return bytes(body)


def _refusal(refusal: Refused) -> web.Response:
    return told({"code": refusal.code, "detail": refusal.detail}, _STATUS.get(refusal.code, 400))
