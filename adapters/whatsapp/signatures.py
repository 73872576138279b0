"""Who may call: Twilio's signature on its requests, and ours on the URLs of files that go out.

Twilio signs the URL that it has called, which is the public one of the config: it is never made up from a request's headers. A request
without a time cannot be told from its own repetition; that is what the message's Sid is for.
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
import importlib
import json
from collections.abc import Callable
from typing import Final
from urllib.parse import parse_qsl

from aiohttp import web
from multidict import MultiDict

from adapters.whatsapp import Account
from bot.model import BlobId, MessageId

HEADER: Final = "X-Twilio-Signature"
BODY_BYTES: Final = 256 * 1024  # far above 4,096 characters, which is what WhatsApp carries, in their longest encoding
_FIELDS: Final = 500
FILE_S: Final = 3600  # how long Twilio may take to fetch a file
LINK_S: Final = 86_400  # how long a person may take who is sent a link to one

Validate = Callable[[str, MultiDict[str], str], bool]


class Signatures:
    """Checks each request against the token as it is now."""

    def __init__(self, settings: Account) -> None:
        self._settings = settings
        self._validate: Validate | None = None

    async def form(self, request: web.Request, path: str) -> MultiDict[str]:
        """What was posted to `path`, by Twilio. Raises HTTPForbidden, HTTPRequestEntityTooLarge or HTTPBadRequest."""
        signature = request.headers.get(HEADER, "")
        if not signature or not self._settings.token or not self._settings.public_url:
            raise web.HTTPForbidden
        form = _parsed(await _body(request))
        url = self._settings.public_url + path
        if query := request.raw_path.partition("?")[2]:
            url = f"{url}?{query}"
        sid = self._settings.account_sid
        validate = self._validate = self._validate or await _load(self._settings.token)
        if not validate(url, form, signature) or form.get("AccountSid", sid) != sid:
            raise web.HTTPForbidden
        return form


async def _load(token: str) -> Validate:
    library = await asyncio.to_thread(importlib.import_module, "twilio.request_validator")
    validate: Validate = library.RequestValidator(token).validate
    return validate


async def _body(request: web.Request) -> bytes:
    if (request.content_length or 0) > BODY_BYTES:
        raise web.HTTPRequestEntityTooLarge(BODY_BYTES, request.content_length or 0)
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > BODY_BYTES:
            raise web.HTTPRequestEntityTooLarge(BODY_BYTES, len(body))
    return bytes(body)


def _parsed(body: bytes) -> MultiDict[str]:
    try:
        pairs = parse_qsl(
            body.decode(errors="replace"), keep_blank_values=True, errors="replace", max_num_fields=_FIELDS
        )
    except ValueError as error:
        raise web.HTTPBadRequest from error
    return MultiDict(pairs)


class FileTokens:
    """Names a file in a URL that nobody can guess, for a while."""

    def __init__(self, key: bytes, account: str) -> None:
        self._key = key
        self._account = account

    def make(self, message: MessageId, blob: BlobId, now_ms: int, lasts_s: int = FILE_S) -> str:
        content = json.dumps([self._account, message, blob, now_ms // 1000 + lasts_s]).encode()
        return _encoded(content) + "." + _encoded(self._mac(content))

    def read(self, token: str, now_ms: int) -> tuple[MessageId, BlobId] | None:
        """None for one that is not ours, or too old."""
        content, _, mac = token.partition(".")
        try:
            named, given = _decoded(content), _decoded(mac)
        except (ValueError, binascii.Error):
            return None
        if not hmac.compare_digest(given, self._mac(named)):
            return None
        account, message, blob, until_s = json.loads(named)
        if account != self._account or now_ms // 1000 > until_s:
            return None
        return MessageId(message), BlobId(blob)

    def _mac(self, content: bytes) -> bytes:
        return hmac.new(self._key, content, hashlib.sha256).digest()


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    return base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
