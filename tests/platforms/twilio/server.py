"""Twilio's side: the REST API, the media store on an origin of its own, and the chats of the people who write.

What it refuses, and with which code, is what Twilio documents. `violations` names every rule that a caller has broken.
"""

import asyncio
import base64
import json
import re
from collections.abc import Coroutine
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode, urlsplit
from xml.etree import ElementTree

from aiohttp import web

from bot.clock import SystemClock
from bot.ports import Clock
from tests.platforms.twilio.ledger import (
    ACCOUNT,
    BODY_CHARS,
    MEDIA_BYTES,
    MEDIA_TYPES,
    NUMBER,
    TEMPLATE_CHARS,
    TITLE_CHARS,
    TOKEN,
    VARIABLE_CHARS,
    WINDOW_MS,
    Media,
    Record,
    Template,
    new_sid,
)
from tests.platforms.twilio.webhooks import Caller, Reply

_BASE = f"/2010-04-01/Accounts/{ACCOUNT}"
_ADDRESS = re.compile(r"whatsapp:\+\d{6,15}")


class Refusal(Exception):
    """An error answer of the API, in its documented form."""

    def __init__(self, status: int, code: int, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.retry_after_s = status, code, message, retry_after_s

    def response(self) -> web.Response:
        body = {
            "code": self.code,
            "message": self.message,
            "more_info": f"https://www.twilio.com/docs/errors/{self.code}",
            "status": self.status,
        }
        headers = {} if self.retry_after_s is None else {"Retry-After": f"{self.retry_after_s:g}"}
        return web.json_response(body, status=self.status, headers=headers)


class TwilioServer:
    """Start it, give `webhook` the URL of Frontdesk, and write as a person with `write`."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock: Clock = clock or SystemClock()
        self.webhook = ""  # "A message comes in", with connection overrides after "#"
        self.fallback = ""
        self.messages: list[Record] = []
        self.templates: dict[str, Template] = {}
        self.typings: list[str] = []
        self.violations: list[str] = []
        self.lost: list[str] = []  # messages whose webhook nobody took
        self.requests: list[tuple[str, str]] = []
        # how the platform behaves
        self.is_reading = True  # the people open what they get
        self.is_window_refused_at_once = False  # 63016 as the answer, not by a callback
        self.callbacks = "in order"  # "backwards", "twice" or "held"
        self.is_account_active = True
        self.page_size = 50
        # faults
        self.lost_answers = 0
        self.rate_limited = 0
        self.retry_after_s: float | None = 1.0
        self.failures = 0  # the next so many posts answer 500 and do nothing
        self.silences = 0  # the next so many posts are carried out and never answered
        self.is_token_refused = False
        self.stopped: set[str] = set()  # people that Twilio itself has blocked after STOP
        self._token = TOKEN
        self._caller = Caller(self.violations.append)
        self._tasks: set[asyncio.Task[None]] = set()
        self._held: list[tuple[Record, str, int | None]] = []
        self._runners: list[web.AppRunner] = []
        self._silence = asyncio.Event()
        self.api_url = ""
        self.media_url = ""

    # --- life ------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        self._caller.token = self._token
        await self._caller.start()
        api = web.Application(client_max_size=1024 * 1024)
        api.router.add_get(f"{_BASE}.json", self._guarded(self._account))
        api.router.add_post(f"{_BASE}/Messages.json", self._guarded(self._create))
        api.router.add_get(f"{_BASE}/Messages.json", self._guarded(self._list))
        api.router.add_get(f"{_BASE}/Messages/{{sid:\\w+}}.json", self._guarded(self._fetch))
        api.router.add_delete(f"{_BASE}/Messages/{{sid:\\w+}}.json", self._guarded(self._delete))
        api.router.add_get(f"{_BASE}/Messages/{{sid:\\w+}}/Media.json", self._guarded(self._list_media))
        api.router.add_get(f"{_BASE}/Messages/{{sid:\\w+}}/Media/{{media:\\w+}}", self._guarded(self._redirect))
        api.router.add_post("/v2/Indicators/Typing.json", self._guarded(self._typing))
        api.router.add_get("/v2/Channels/Senders", self._guarded(self._senders))
        api.router.add_get("/v1/Content/{sid:\\w+}", self._guarded(self._content))
        self.api_url = await self._serve(api)
        store = web.Application()
        store.router.add_get("/{sid:\\w+}", self._give)
        self.media_url = await self._serve(store)

    async def stop(self) -> None:
        self._silence.set()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for runner in self._runners:
            await runner.cleanup()
        await self._caller.stop()

    async def settle(self) -> None:
        """Returns once every webhook that is under way has ended."""
        while self._tasks:
            await asyncio.gather(*self._tasks)

    def lead(self, public_url: str, to: str) -> None:
        """Connections to the origin of `public_url` go to `to`, as a proxy in front of Frontdesk would make them."""
        parts = urlsplit(public_url)
        self._caller.routes[f"{parts.scheme}://{parts.netloc}"] = to

    @property
    def webhook_statuses(self) -> list[tuple[str, int]]:
        return self._caller.statuses

    def rotate_token(self, token: str) -> None:
        """Webhooks are signed with the new one from now on, and the API takes no other."""
        self._token = self._caller.token = token

    async def _serve(self, app: web.Application) -> str:
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self._runners.append(runner)
        host, port = runner.addresses[0][:2]
        return f"http://{host}:{port}"

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- what people do --------------------------------------------------------------------------------------------

    def write(
        self,
        person: str,
        text: str = "",
        *,
        media: Media | None = None,
        reply_to: str = "",
        button: tuple[str, str] | None = None,
        fields: dict[str, str] | None = None,
        is_delivered: bool = True,
    ) -> Record:
        """A message of a person; `button` is (text, payload) of a quick reply. Its webhook is under way when this returns."""
        now = self.clock.now_ms()
        record = Record(
            sid=new_sid("MM" if media else "SM"),
            direction="inbound",
            sender=person,
            to=NUMBER,
            body=button[0] if button else text,
            created_ms=now,
            sent_ms=now,
            status="received",
            media=[media] if media else [],
            is_shown=True,
            token=new_sid("ID"),
            fields={} if fields is None else dict(fields),
        )
        kind = "interactive" if button else media.media_type.split("/")[0] if media else "text"
        record.fields.setdefault("MessageType", kind)
        if reply_to:
            record.fields |= {"OriginalRepliedMessageSid": reply_to, "OriginalRepliedMessageSender": NUMBER}
        if button:
            record.fields |= {"ButtonText": button[0], "ButtonPayload": button[1]}
        self.messages.append(record)
        if is_delivered:
            self.deliver(record)
        return record

    def deliver(self, record: Record) -> None:
        """The webhook of a person's message, for the first time or once more."""
        self._begin(self._deliver(record))

    def form(self, record: Record) -> dict[str, str]:
        """What the webhook of an inbound message carries."""
        number = record.sender.removeprefix("whatsapp:")
        form = {
            "SmsMessageSid": record.sid,
            "SmsSid": record.sid,
            "MessageSid": record.sid,
            "AccountSid": ACCOUNT,
            "From": record.sender,
            "To": record.to,
            "Body": record.body,
            "ProfileName": f"Person {number[-4:]}",
            "WaId": number.removeprefix("+"),
            "SmsStatus": "received",
            "NumMedia": str(len(record.media)),
            "NumSegments": "1",
            "ReferralNumMedia": "0",
            "ApiVersion": "2010-04-01",
            "ChannelMetadata": json.dumps({"type": "whatsapp", "data": {"context": {}}}),
        }
        for index, media in enumerate(record.media):
            form[f"MediaUrl{index}"] = f"{self.api_url}{_BASE}/Messages/{record.sid}/Media/{media.sid}"
            form[f"MediaContentType{index}"] = media.media_type
        return form | record.fields

    async def _deliver(self, record: Record) -> None:
        reply = Reply(0, fault="ct")
        for url in filter(None, (self.webhook, self.fallback)):
            reply = await self._caller.post(url, self.form(record), record.token)
            if not reply.fault:
                break
        if reply.fault:
            self.lost.append(record.sid)
            return
        if reply.media_type in ("text/xml", "application/xml") and reply.body:
            for message in ElementTree.fromstring(reply.body).iter("Message"):
                self._say(record.sender, "".join(message.itertext()).strip())

    def _say(self, person: str, text: str) -> None:
        now = self.clock.now_ms()
        record = Record(
            new_sid("SM"), "outbound-reply", NUMBER, person, text, now, "delivered", sent_ms=now, is_shown=True
        )
        self.messages.append(record)

    def last_heard_ms(self, person: str) -> int | None:
        heard = [each.created_ms for each in self.messages if not each.is_ours and each.sender == person]
        return max(heard, default=None)

    # --- the API ---------------------------------------------------------------------------------------------------

    def _guarded(self, handle: Any) -> Any:
        async def guarded(request: web.Request) -> web.StreamResponse:
            self.requests.append((request.method, request.path))
            try:
                self._authenticate(request)
                response: web.StreamResponse = await handle(request)
            except Refusal as refusal:
                return refusal.response()
            return response

        return guarded

    def _authenticate(self, request: web.Request) -> None:
        wanted = "Basic " + base64.b64encode(f"{ACCOUNT}:{self._token}".encode()).decode()
        given = request.headers.get("Authorization", "")
        if not given:
            self.violations.append(f"{request.method} {request.path} without credentials")
        if given != wanted or self.is_token_refused:
            raise Refusal(401, 20003, "Authenticate")

    async def _account(self, _: web.Request) -> web.Response:
        status = "active" if self.is_account_active else "suspended"
        return web.json_response({"sid": ACCOUNT, "status": status, "friendly_name": "Frontdesk", "type": "Full"})

    async def _create(self, request: web.Request) -> web.StreamResponse:
        if self.rate_limited:
            self.rate_limited -= 1
            raise Refusal(429, 20429, "Too Many Requests", self.retry_after_s)
        if self.failures:
            self.failures -= 1
            raise Refusal(500, 20500, "An internal server error has occurred")
        form = await request.post()
        record = self._accept(
            {name: str(form[name]) for name in form}, [str(each) for each in form.getall("MediaUrl", [])]
        )
        self.messages.append(record)
        self._begin(self._send(record, [str(each) for each in form.getall("MediaUrl", [])]))
        if self.lost_answers:
            self.lost_answers -= 1
            assert request.transport is not None
            request.transport.abort()
        elif self.silences:
            self.silences -= 1
            await self._silence.wait()
        return web.json_response(record.resource(), status=HTTPStatus.CREATED)

    def _accept(self, form: dict[str, str], media: list[str]) -> Record:
        to, sender, body = form.get("To", ""), form.get("From", ""), form.get("Body", "")
        self._check(form, media)
        template = self._template(form)
        is_free = template is None or not template.is_approved
        error = None
        heard = self.last_heard_ms(to)
        if is_free and (heard is None or self.clock.now_ms() - heard >= WINDOW_MS):
            self.violations.append(f"free text for {to} outside the window")
            if self.is_window_refused_at_once:
                raise Refusal(400, 63016, "Failed to send freeform message because you are outside the allowed window")
            error = 63016
        return Record(
            sid=new_sid("MM" if media else "SM"),
            direction="outbound-api",
            sender=sender,
            to=to,
            body=template.body if template else body,
            created_ms=self.clock.now_ms(),
            status="queued",
            template=template,
            callback=form.get("StatusCallback", ""),
            fault=error,
        )

    def _check(self, form: dict[str, str], media: list[str]) -> None:
        to, sender, body = form.get("To", ""), form.get("From", ""), form.get("Body", "")
        callback = form.get("StatusCallback", "")
        if not _ADDRESS.fullmatch(to):
            raise Refusal(400, 21211, f"The 'To' number {to} is not a valid phone number.")
        if sender != NUMBER:
            raise Refusal(400, 63007, "Twilio could not find a Channel with the specified From address")
        if to in self.stopped:
            raise Refusal(400, 21610, "Attempt to send to unsubscribed recipient")
        if not body and not media and "ContentSid" not in form:
            raise Refusal(400, 21619, "A text message body or media urls must be specified.")
        if len(body.encode("utf-16-le")) // 2 > BODY_CHARS:
            self.violations.append(f"a body of {len(body)} characters")
            raise Refusal(400, 21617, "The concatenated message body exceeds the 1600 character limit")
        if len(media) > 1:
            self.violations.append("more than one file in a WhatsApp message")
            raise Refusal(400, 21623, "Number of media files exceeds allowed limit")
        if callback and (urlsplit(callback).scheme not in ("http", "https") or not urlsplit(callback).netloc):
            raise Refusal(400, 21609, "The 'StatusCallback' URL is not a valid URL.")
        if callback and not self._is_ours(callback):
            self.violations.append(f"a status callback to {callback}, which is not ours")

    def _is_ours(self, url: str) -> bool:
        return not self.webhook or urlsplit(url)[:2] == urlsplit(self.webhook)[:2]

    def _template(self, form: dict[str, str]) -> Template | None:
        sid = form.get("ContentSid", "")
        if not sid:
            return None
        template = self.templates.get(sid)
        if template is None:
            raise Refusal(400, 21655, "The ContentSid Parameter is Invalid")
        try:
            values = json.loads(form.get("ContentVariables", "{}"))
        except ValueError:
            values = None
        if not isinstance(values, dict) or not all(isinstance(each, str) and each for each in values.values()):
            raise Refusal(400, 21656, "The ContentVariables Parameter is invalid")
        if any(len(each) > VARIABLE_CHARS for each in values.values()):
            self.violations.append("a content variable that is too long")
        filled = template.filled(values)
        if len(filled.body) > TEMPLATE_CHARS or any(len(title) > TITLE_CHARS for title in filled.titles):
            self.violations.append("a template that is too long when filled")
        return filled

    async def _list(self, request: web.Request) -> web.Response:
        query = request.query
        found = [each for each in self.messages if _fits(each, query)]
        found.sort(key=lambda each: (each.sent_ms or each.created_ms, each.sid), reverse=True)
        size = min(int(query.get("PageSize", self.page_size)), 1000)
        page = int(query.get("Page", 0))
        shown = found[page * size : (page + 1) * size]
        base = f"{_BASE}/Messages.json"

        def uri(number: int) -> str:
            return f"{base}?{urlencode({**query, 'Page': number, 'PageSize': size})}"

        return web.json_response(
            {
                "messages": [each.resource() for each in shown],
                "first_page_uri": uri(0),
                "next_page_uri": uri(page + 1) if len(found) > (page + 1) * size else None,
                "previous_page_uri": uri(page - 1) if page else None,
                "page": page,
                "page_size": size,
                "start": page * size,
                "end": page * size + len(shown) - 1,
                "uri": uri(page),
            }
        )

    def message(self, sid: str) -> Record:
        """Raises KeyError for one that there is not."""
        for record in self.messages:
            if record.sid == sid:
                return record
        raise KeyError(sid)

    def _asked(self, request: web.Request) -> Record:
        try:
            return self.message(request.match_info["sid"])
        except KeyError:
            raise Refusal(404, 20404, "The requested resource was not found") from None

    async def _fetch(self, request: web.Request) -> web.Response:
        return web.json_response(self._asked(request).resource())

    async def _delete(self, request: web.Request) -> web.Response:
        self.messages.remove(self._asked(request))
        return web.Response(status=HTTPStatus.NO_CONTENT)

    async def _list_media(self, request: web.Request) -> web.Response:
        record = self._asked(request)
        entries = [
            {
                "sid": media.sid,
                "account_sid": ACCOUNT,
                "parent_sid": record.sid,
                "content_type": media.media_type,
                "date_created": record.resource()["date_created"],
                "date_updated": record.resource()["date_created"],
                "uri": f"{_BASE}/Messages/{record.sid}/Media/{media.sid}.json",
            }
            for media in record.media
        ]
        page = {
            "first_page_uri": "",
            "next_page_uri": None,
            "page": 0,
            "page_size": 50,
            "start": 0,
            "end": 0,
            "uri": "",
        }
        return web.json_response({"media_list": entries, **page})

    async def _redirect(self, request: web.Request) -> web.Response:
        record = self._asked(request)
        for media in record.media:
            if media.sid == request.match_info["media"]:
                return web.Response(status=307, headers={"Location": f"{self.media_url}/{media.sid}"})
        raise Refusal(404, 20404, "The requested resource was not found")

    async def _give(self, request: web.Request) -> web.Response:
        if "Authorization" in request.headers:
            self.violations.append("credentials reached another origin")
        for record in self.messages:
            for media in record.media:
                if media.sid == request.match_info["sid"]:
                    return web.Response(body=media.data, content_type=media.media_type)
        raise web.HTTPNotFound

    async def _typing(self, request: web.Request) -> web.Response:
        form = await request.post()
        sid = str(form.get("messageId", ""))
        try:
            record = self.message(sid)
        except KeyError:
            record = None
        if record is None or record.is_ours or form.get("channel") != "whatsapp":
            self.violations.append(f"a typing indicator for {sid!r}, which no person has written")
            raise Refusal(400, 20001, "Invalid messageId")
        self.typings.append(sid)
        return web.json_response({"success": True})

    async def _senders(self, request: web.Request) -> web.Response:
        sender = {
            "sid": "XE" + "1" * 32,
            "sender_id": NUMBER,
            "status": "ONLINE",
            "webhook": {"callback_url": self.webhook, "callback_method": "POST", "fallback_url": self.fallback},
            "url": f"{self.api_url}/v2/Channels/Senders/XE1",
        }
        meta = {"page": 0, "page_size": 50, "first_page_url": "", "previous_page_url": None, "key": "senders"}
        return web.json_response({"senders": [sender], "meta": {**meta, "next_page_url": None, "url": ""}})

    async def _content(self, request: web.Request) -> web.Response:
        template = self.templates.get(request.match_info["sid"])
        if template is None:
            raise Refusal(404, 20404, "The requested resource was not found")
        return web.json_response({"sid": template.sid, "types": {"twilio/text": {"body": template.body}}})

    # --- delivery --------------------------------------------------------------------------------------------------

    async def _send(self, record: Record, urls: list[str]) -> None:
        for url in urls:
            await self._load(record, url)
        if record.fault is not None:
            record.error_code = record.fault
            record.status = "undelivered" if record.error_code == 63016 else "failed"
            await self._tell(record, [record.status])
            return
        record.sent_ms = self.clock.now_ms()
        record.is_shown = True
        statuses = ["sent", "delivered", *(["read"] if self.is_reading else [])]
        record.status = statuses[-1]
        await self._tell(record, statuses)

    async def _load(self, record: Record, url: str) -> None:
        status, media_type, data = await self._caller.fetch(url)
        if status != 200:
            record.fault, record.error_message = 63019, "Media failed to download"
        elif not media_type.startswith(MEDIA_TYPES):
            record.fault, record.error_message = 12300, "Invalid Content-Type"
        elif len(data) > MEDIA_BYTES:
            self.violations.append("a file that is too large")
            record.fault, record.error_message = 11751, "Media exceeds messaging provider size limit"
        else:
            record.media.append(Media(data, media_type))

    async def _tell(self, record: Record, statuses: list[str]) -> None:
        if not record.callback:
            return
        if self.callbacks == "held":
            self._held += [(record, status, record.error_code) for status in statuses]
            return
        order = statuses[::-1] if self.callbacks == "backwards" else statuses
        for status in order * (2 if self.callbacks == "twice" else 1):
            await self.call_back(record, status, record.error_code)

    async def release_callbacks(self) -> None:
        """Sends those that were held, and holds no more."""
        self.callbacks = "in order"
        held, self._held = self._held, []
        for record, status, error in held:
            await self.call_back(record, status, error)

    async def call_back(self, record: Record, status: str, error: int | None = None) -> None:
        """One status callback of an outbound message."""
        form = {
            "MessageSid": record.sid,
            "SmsSid": record.sid,
            "MessageStatus": status,
            "SmsStatus": status,
            "AccountSid": ACCOUNT,
            "From": record.sender,
            "To": record.to,
            "ApiVersion": "2010-04-01",
            "ChannelPrefix": "whatsapp",
            "ChannelToAddress": record.to,
            "ChannelInstallSid": "XE" + "1" * 32,
        }
        if status == "read":
            form["EventType"] = "READ"
        if error is not None and status in ("failed", "undelivered"):
            form |= {"ErrorCode": str(error), "ErrorMessage": record.error_message or "It was not delivered"}
        await self._caller.post(record.callback, form, new_sid("ID"))


def _fits(record: Record, query: Any) -> bool:  # a MultiDict
    if query.get("To", record.to) != record.to or query.get("From", record.sender) != record.sender:
        return False
    sent = record.sent_ms if record.sent_ms is not None else record.created_ms
    day = datetime.fromtimestamp(sent / 1000, UTC).strftime("%Y-%m-%d")
    since, until, on = query.get("DateSent>", ""), query.get("DateSent<", ""), query.get("DateSent", "")
    return (not since or day >= since[:10]) and (not until or day <= until[:10]) and (not on or day == on[:10])
