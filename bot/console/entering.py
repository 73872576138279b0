"""Signing in and out, and taking up an invitation."""

from collections.abc import Callable, Sequence
from typing import Final
from urllib.parse import parse_qs, urlsplit

from aiohttp import web

from bot.console.admission import address_of, admit, check_origin, dismiss, signed_in, token_of
from bot.console.asking import fields, of_anyone, told
from bot.console.room import Room
from bot.errors import Refused
from bot.handoff.views_rows import Json
from bot.operators.operator import Operator
from bot.operators.roles import RIGHTS, Role
from bot.ports import Route

PASSWORD_CHARS: Final = 1_000


def me(operator: Operator) -> Json:
    """The one who asks, with what they may do."""
    rights = sorted(RIGHTS[Role(operator.role)]) if operator.role in RIGHTS else []
    return {
        "id": operator.id,
        "name": operator.name,
        "role": operator.role,
        "presence": operator.presence.value,
        "teams": list(operator.teams),
        "rights": rights,
    }


class Entering:
    """`sign_out(token)`: told at once to the sockets of that session."""

    def __init__(self, room: Room, sign_out: Callable[[str], None]) -> None:
        self._room = room
        self._sign_out = sign_out

    def routes(self) -> Sequence[Route]:
        return [
            Route("POST", "/console/api/sign-in", of_anyone(self._enter)),
            Route("POST", "/console/api/accept-invite", of_anyone(self._accept)),
            Route("POST", "/console/api/confirm", of_anyone(self._confirm)),
            Route("POST", "/console/api/sign-out", of_anyone(self._leave)),
        ]

    async def _enter(self, request: web.Request) -> web.StreamResponse:
        check_origin(self._room, request)
        asked = await fields(request, "name", "password", "code")
        signing = self._room.signing
        name, address = asked["name"].strip().lower(), address_of(request)
        session = await signing.sign_in(name, _password(asked), asked["code"].strip(), address)
        signed = await signing.session(session.token)
        if signed is None:
            raise Refused("signed_out", "This account has just been shut.")
        answer = told({"operator": me(signed.operator), "csrf": session.csrf})
        admit(self._room, answer, session)
        return answer

    async def _leave(self, request: web.Request) -> web.StreamResponse:
        await signed_in(self._room, request)
        token = token_of(request)
        await self._room.signing.sign_out(token)
        self._sign_out(token)
        answer = told({"ok": True})
        dismiss(self._room, answer)
        return answer

    async def _accept(self, request: web.Request) -> web.StreamResponse:
        check_origin(self._room, request)
        asked = await fields(request, "code", "password")
        uri = await self._room.signing.accept_invite(asked["code"], _password(asked))
        return told({"otpauth": uri, "secret": parse_qs(urlsplit(uri).query).get("secret", [""])[0]})

    async def _confirm(self, request: web.Request) -> web.StreamResponse:
        check_origin(self._room, request)
        asked = await fields(request, "code", "totp")
        operator = await self._room.signing.confirm_invite(asked["code"], asked["totp"].strip())
        return told({"ok": True, "name": operator.name})


def _password(asked: Json) -> str:
    password = str(asked["password"])
    if len(password) > PASSWORD_CHARS:
        raise Refused("bad_request", f"A password has at most {PASSWORD_CHARS} letters.")
    return password
