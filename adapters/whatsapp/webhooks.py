"""Twilio's requests: a message has come in, and what became of one that went out. Answered only after the commit: with 503 Twilio repeats
it, as often as the webhook's connection overrides say."""

import logging
from collections.abc import Mapping, Sequence
from typing import Final
from xml.sax.saxutils import escape

from aiohttp import hdrs, web

from adapters.whatsapp import Account, path
from adapters.whatsapp.calls import WINDOW_CLOSED
from adapters.whatsapp.inbound import read
from adapters.whatsapp.memory import Key, Memory
from adapters.whatsapp.reading import Reading
from adapters.whatsapp.signatures import Signatures
from bot.errors import Overloaded, Refused, StoreUnavailable
from bot.model import DeliveryReported, DeliveryStatus, MessageId
from bot.ports import Host, Route

log = logging.getLogger(__name__)

# "Message status values" of the Message resource: whatever is named there exists, so it is sent for us
_STATUS: Final = {
    **dict.fromkeys(("accepted", "scheduled", "queued", "sending", "sent"), DeliveryStatus.SENT),
    "delivered": DeliveryStatus.DELIVERED,
    "read": DeliveryStatus.READ,
    **dict.fromkeys(("failed", "undelivered", "canceled"), DeliveryStatus.FAILED),
}
_MOST: Final = 100_000  # parts or letters: more is no number of ours


class Webhooks:
    """One account's two URLs."""

    def __init__(
        self,
        signatures: Signatures,
        settings: Account,
        host: Host,
        account: str,
        reading: Reading,
        memory: Memory,
    ) -> None:
        self._signatures = signatures
        self._settings = settings
        self._host = host
        self._path = path(account)
        self._reading = reading
        self._memory = memory

    def routes(self) -> Sequence[Route]:
        return [
            Route(hdrs.METH_POST, self._path, self._take),
            Route(hdrs.METH_POST, f"{self._path}/status", self._note),
        ]

    async def _take(self, request: web.Request) -> web.StreamResponse:
        form = await self._signatures.form(request, self._path)
        inbound = read(form)
        if inbound.to != self._settings.sender:
            log.warning("a message for another number than `from` has come to %s", self._path)
            raise web.HTTPForbidden
        try:
            return _twiml(await self._reading.take(inbound))
        except (StoreUnavailable, Overloaded) as error:
            return _later(error)

    async def _note(self, request: web.Request) -> web.StreamResponse:
        form = await self._signatures.form(request, f"{self._path}/status")
        report = self._report(request.query, form)
        if report is not None:
            try:
                await self._host.receive(report)
            except Refused as refused:
                log.info("a status callback is about nothing that is known: %s", refused.code)
            except (StoreUnavailable, Overloaded) as error:
                return _later(error)
        return web.Response(status=204)

    def _report(self, named: Mapping[str, str], form: Mapping[str, str]) -> DeliveryReported | None:
        """What a callback says of a part; None where it is about nothing of ours, or about a letter that the part does not end with."""
        message, sid = MessageId(named.get("message", "")), form.get("MessageSid", "") or form.get("SmsSid", "")
        status = _STATUS.get(form.get("MessageStatus", "") or form.get("SmsStatus", ""))
        part, letter, count = (_number(named.get(key, "")) for key in ("part", "letter", "letters"))
        if not message or not sid or status is None or part is None or letter is None or count is None:
            return None
        external_id = self._learn((message, part), letter, count - 1, sid, status)
        if not external_id:
            return None
        code, said = form.get("ErrorCode", ""), form.get("ErrorMessage", "")[:300]
        return DeliveryReported(
            self._reading.address(form.get("To", "")),
            message,
            part,
            external_id,
            status,
            detail=f"Twilio's error {code}{': ' if said else ''}{said}" if code else "",
            is_window_closed=code.isdecimal() and int(code) in WINDOW_CLOSED,
        )

    def _learn(self, key: Key, letter: int, last: int, sid: str, status: DeliveryStatus) -> str:
        """Notes what Twilio has. Returns the Sid that the part goes by, where its state may change by this: by its last letter, and by
        any that could not be delivered, unless that was an earlier try of it."""
        known = self._memory.letters
        current = known.sid(key, letter)
        if status is not DeliveryStatus.FAILED:
            known.note(key, letter, sid)
            return sid if letter == last else ""
        known.fail(key, letter, sid)
        if letter == last:
            return sid
        return (known.sid(key, last) or sid) if current in ("", sid) else ""


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 7 and int(text) < _MOST else None


def _twiml(text: str) -> web.Response:
    said = f"<Message>{escape(text)}</Message>" if text else ""
    body = f'<?xml version="1.0" encoding="UTF-8"?><Response>{said}</Response>'
    return web.Response(text=body, content_type="text/xml")


def _later(error: StoreUnavailable | Overloaded) -> web.Response:
    wait_s = error.retry_after_s if isinstance(error, Overloaded) else 1.0
    return web.Response(status=503, headers={hdrs.RETRY_AFTER: str(max(1, round(wait_s)))})
