"""One WhatsApp number as the house sees it."""

import asyncio
import base64
import importlib
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode, urlsplit

from adapters.whatsapp import Account, path
from adapters.whatsapp.calls import WINDOW_CLOSED, Answered, Cut, Listed, RemoteMedia, Unreachable, send_error
from adapters.whatsapp.files import Files
from adapters.whatsapp.inbound import listed
from adapters.whatsapp.letters import CHARS, Letter, letters, parts
from adapters.whatsapp.memory import Key, Memory, Offer
from adapters.whatsapp.reading import CHANNEL, Reading
from adapters.whatsapp.signatures import Signatures
from adapters.whatsapp.webhooks import Webhooks
from bot.errors import (
    ChannelFault,
    FetchError,
    Overloaded,
    SendRefused,
    SendUncertain,
    StoreUnavailable,
    WindowClosed,
)
from bot.model import Address, Bookmark, Message
from bot.ports import ChannelState, Fetched, Host, Limits, Receipt, Route

if TYPE_CHECKING:
    from adapters.whatsapp.api import Api

FILE_BYTES: Final = 16 * 1024 * 1024  # "Guidance on WhatsApp media messages"
WINDOW_S: Final = 24 * 3600.0  # error 63016
SETTLE_S: Final = 45.0  # a status callback that proves a message has come by then, or was lost
CHECK_S: Final = 300.0  # between two looks at the account and at what was missed
REFUSED_S: Final = 600.0  # credentials refused for so long do not come back by themselves
_CLOCKS_MS: Final = 60_000  # Twilio's clock and ours may differ by so much
_MARGIN_MS: Final = 120_000
_LONGEST_GAP_MS: Final = 7 * 24 * 3600 * 1000
_MOST_MISSED: Final = 500
_MOST_LISTED: Final = 200
_TYPING_S: Final = 20.0  # WhatsApp shows it for 25 s
_TYPING_CALL_S: Final = 5.0
_WAITS_S: Final = (1.0, 2.0, 5.0, 15.0, 30.0, 60.0)
_STARTING_S: Final = 1.0
_OFFICIAL: Final = "https://api.twilio.com"  # how Twilio names files, whatever stands for it
_ENDED: Final = frozenset({"suspended", "closed"})  # "Account statuses" of the Account resource
_SWEPT: Final = "swept"  # the bookmark of the time up to which no message was missed

log = logging.getLogger(__name__)


class WhatsAppAdapter:
    """Adapter, Typing, Splits, Reconciles, OpensFiles and SendsTemplates for one number."""

    name = CHANNEL

    def __init__(self, settings: Account, host: Host, account: str = "") -> None:
        missing = settings.missing()
        if missing:
            raise ChannelFault(
                "Twilio could not be told from a stranger", f"Set {', '.join(missing)} in [channels.whatsapp]"
            )
        self.account = account
        self.limits = Limits(text_chars=CHARS, attachment_bytes=FILE_BYTES, max_age_s=WINDOW_S, window_s=WINDOW_S)
        self._settings = settings
        self._host = host
        self._memory = Memory()
        self._reading = Reading(settings, account, host, self._memory)
        self._files = Files(settings, host, account)
        self._webhooks = Webhooks(Signatures(settings), settings, host, account, self._reading, self._memory)
        self._api: Api | None = None
        self._is_in_doubt = asyncio.Event()  # a call was refused for its credentials
        self._doubted: Answered | None = None  # how, where none was taken since
        self._is_told = False  # that the account cannot be asked for
        self._is_behind = False  # what was missed could not be taken up the last time

    def routes(self) -> Sequence[Route]:
        return [*self._webhooks.routes(), *self._files.routes()]

    # --- life ------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        self._host.report(ChannelState.CONNECTING, "asking Twilio for the account")
        library = await asyncio.to_thread(importlib.import_module, "adapters.whatsapp.api")
        api: Api = library.Api(self._settings, self._host.connector())
        try:
            self._api = api
            await self._confirm(api, is_starting=True)
            while True:
                await self._catch_up(api)
                await self._pause()
                await self._confirm(api)
        finally:
            self._api = None
            await api.close()

    async def _pause(self) -> None:
        try:
            async with self._host.clock.timeout(CHECK_S):
                await self._is_in_doubt.wait()
        except TimeoutError:
            pass

    async def _confirm(self, api: "Api", *, is_starting: bool = False) -> None:
        """Returns once Twilio takes the credentials. Raises ChannelFault where a person has to change something. Where the account cannot
        be asked for, what became of messages tells."""
        since, tries = self._host.clock.monotonic(), 0
        while True:
            self._is_in_doubt.clear()
            try:
                status = await api.account_status()
            except (Answered, Unreachable, Cut) as failure:
                error = self._weighed(failure)
                if error is None:
                    self._host.report(ChannelState.UP)
                    return
                _stop_for(error, is_starting or self._host.clock.monotonic() - since >= REFUSED_S)
                self._host.report(ChannelState.CONNECTING, str(error))
                await self._host.clock.sleep(_WAITS_S[min(tries, len(_WAITS_S) - 1)])
                tries += 1
                continue
            if status in _ENDED:
                raise ChannelFault(f"the Twilio account is {status}", "Open it again in Twilio's console")
            self._host.report(ChannelState.UP)
            return

    def _weighed(self, failure: Answered | Unreachable | Cut) -> Answered | Unreachable | Cut | None:
        """What stands in the way; None where only the account is not told of, and no message was refused for the credentials."""
        if not isinstance(failure, Answered) or not failure.is_untold:
            return failure
        if not self._is_told:
            log.info("Twilio does not tell of the account (%s): messages will show whether it takes them", failure)
            self._is_told = True
        return self._doubted

    # --- what was missed -------------------------------------------------------------------------------------------

    async def _catch_up(self, api: "Api") -> None:
        """Takes what people wrote while nobody listened, the oldest first. What is known already is not taken twice."""
        began_ms = self._host.clock.now_ms()
        try:
            since_ms = await self._missed_since(began_ms)
            if since_ms:
                missed = await api.received(since_ms, _MOST_MISSED)
                if len(missed) == _MOST_MISSED:
                    log.warning("more messages were missed than are looked at; the oldest are not answered")
                for each in sorted(missed, key=lambda message: message.sent_ms):
                    if each.sent_ms >= since_ms:
                        await self._take_missed(api, each)
            await self._host.keep(Bookmark(_SWEPT, str(began_ms)))
            self._is_behind = False
        except (Answered, Unreachable, Cut, StoreUnavailable, Overloaded) as error:
            level = logging.DEBUG if self._is_behind else logging.WARNING
            log.log(level, "what was missed could not be taken up yet: %s", error)
            self._is_behind = True

    async def _missed_since(self, now_ms: int) -> int:
        """0 on a number that has never been listened to: what was written to it before is nobody's to answer."""
        swept = (await self._host.bookmarks()).get(_SWEPT, "")
        known_ms = int(swept) if swept.isdecimal() else 0
        if not known_ms:
            recent = await self._host.recent(now_ms - _LONGEST_GAP_MS, 1)
            known_ms = recent[0].heard_ms if recent else 0
        return max(known_ms - _MARGIN_MS, now_ms - _LONGEST_GAP_MS) if known_ms else 0

    async def _take_missed(self, api: "Api", message: Listed) -> None:
        if await self._reading.is_known(message.sid):
            return
        await self._reading.take(listed(message, await self._media(api, message)), is_paced=False)

    async def _media(self, api: "Api", message: Listed) -> Sequence[RemoteMedia]:
        """What was said is answered without its files where Twilio does not tell of them."""
        try:
            return await api.media(message.sid) if message.media else ()
        except Answered as error:
            if not error.is_untold:
                raise
            log.warning("the files of message %s are not known: %s", message.sid, error)
            return ()

    # --- sending ---------------------------------------------------------------------------------------------------

    def split(self, text: str) -> Sequence[str]:
        return parts(text)

    async def send(self, to: Address, message: Message) -> Receipt:
        api = self._ready()
        key = (message.id, message.part)
        series = letters(message, self._settings)
        if not series:
            raise SendRefused("there is nothing in the message", is_retryable=False)
        self._memory.offers.drop(to.chat)  # until this one has arrived, the history says what can be chosen
        sid = ""
        for index, letter in enumerate(series):
            sid = self._memory.letters.sid(key, index)
            if not sid:
                sid = await self._post(api, to, letter, self._fields(message, letter, index, len(series)))
                self._memory.letters.note(key, index, sid)
        self._memory.offers.set(to.chat, Offer(message.id, message.buttons, message.at_ms))
        return Receipt(sid)

    def _fields(self, message: Message, letter: Letter, index: int, count: int) -> dict[str, object]:
        named = {"message": message.id, "part": message.part, "letter": index, "letters": count}
        callback = f"{self._settings.public_url}{path(self.account)}/status?{urlencode(named)}"
        return {"status_callback": callback, **self._content(message, letter)}

    def _content(self, message: Message, letter: Letter) -> dict[str, object]:
        if letter.template:
            return {"content_sid": letter.template, "content_variables": letter.variables}
        if letter.blob and letter.body:
            return {"body": f"{letter.body}{self._files.link(message.id, letter.blob)}"}
        if letter.blob:
            return {"media_url": [self._files.url(message.id, letter.blob)]}
        return {"body": letter.body}

    async def _post(self, api: "Api", to: Address, letter: Letter, fields: dict[str, object]) -> str:
        try:
            sid, error_code = await api.post(to.chat, fields)
        except (Answered, Unreachable, Cut) as error:
            self._doubt(error)
            raise send_error(error) from error
        self._doubted = None
        if error_code in WINDOW_CLOSED:
            raise WindowClosed(f"Twilio's error {error_code}")
        return sid

    def _doubt(self, error: Exception) -> None:
        if isinstance(error, Answered) and error.is_about_credentials:
            self._host.report(ChannelState.CONNECTING, str(error))
            self._doubted = error
            self._is_in_doubt.set()

    def _ready(self) -> "Api":
        if self._api is None:
            raise SendRefused("not connected to Twilio yet", is_retryable=True, retry_after_s=_STARTING_S)
        return self._api

    def has_template(self) -> bool:
        return bool(self._settings.window_template)

    async def send_template(self, to: Address, message: Message) -> Receipt:
        """Without a status callback: that it arrived says nothing of the message that waits."""
        fields: dict[str, object] = {"content_sid": self._settings.window_template}
        return Receipt(await self._post(self._ready(), to, Letter(template=self._settings.window_template), fields))

    async def find(self, to: Address, message: Message, attempted_at_ms: int) -> Receipt | None:
        """Proven by a status callback, which carries our key; otherwise looked for in Twilio's list once that is sure to have come."""
        key = (message.id, message.part)
        series = letters(message, self._settings)
        last = len(series) - 1
        if not self._memory.letters.sid(key, last):
            if self._host.clock.now_ms() - attempted_at_ms < SETTLE_S * 1000:
                raise SendUncertain("Twilio may still tell by itself whether it took the message")
            await self._look(to, key, series, attempted_at_ms - _CLOCKS_MS)
        sid = self._memory.letters.sid(key, last)
        return Receipt(sid) if sid else None

    async def _look(self, to: Address, key: Key, series: Sequence[Letter], since_ms: int) -> None:
        try:
            sent = await self._ready().sent(to.chat, _MOST_LISTED)
        except (Answered, Unreachable, Cut) as error:
            self._doubt(error)
            raise SendUncertain(str(error)) from error
        except SendRefused as error:
            raise SendUncertain(str(error)) from error
        known = self._memory.letters
        free = [each for each in sent if not 0 < each.created_ms < since_ms and known.key(each.sid) is None]
        free.sort(key=lambda each: each.created_ms)
        for index, letter in enumerate(series):
            if known.sid(key, index):
                continue
            match = await self._unclaimed(to, letter, free)
            if match is None:
                return
            free.remove(match)
            known.note(key, index, match.sid)

    async def _unclaimed(self, to: Address, letter: Letter, free: Sequence[Listed]) -> Listed | None:
        """The first that reads so and is not a part that was sent before."""
        for each in free:
            if letter.is_shown_as(each.body, each.media) and not await self._host.has_receipt(to, each.sid):
                return each
        return None

    # --- the rest --------------------------------------------------------------------------------------------------

    async def typing(self, to: Address) -> None:
        """Best effort: WhatsApp shows it for 25 s below a message of the person."""
        sid, now = self._memory.heard.get(to.chat), self._host.clock.monotonic()
        shown = self._memory.typed.get(to.chat)
        if self._api is None or sid is None or (shown and shown[0] == sid and now - shown[1] < _TYPING_S):
            return
        self._memory.typed.set(to.chat, (sid, now))
        try:
            async with self._host.clock.timeout(_TYPING_CALL_S):
                await self._api.typing(sid)
        except (Answered, Unreachable, Cut, TimeoutError) as error:
            log.debug("typing is not shown: %s", error)

    def open_file(self, source: str) -> AbstractAsyncContextManager[Fetched]:
        return self._open_file(source)

    @asynccontextmanager
    async def _open_file(self, source: str) -> AsyncIterator[Fetched]:
        """Twilio sends the reader on to its media store, which is not to see the credentials."""
        settings = self._settings
        if source.startswith(f"{_OFFICIAL}/"):
            source = settings.api_url + source.removeprefix(_OFFICIAL)
        headers = {}
        if urlsplit(source)[:2] == urlsplit(settings.api_url)[:2]:
            pair = f"{settings.account_sid}:{settings.token}".encode()
            headers["Authorization"] = "Basic " + base64.b64encode(pair).decode()
        trusted = (settings.api_url, settings.media_url)
        async with self._host.fetch(source, headers, trusted=trusted) as fetched:
            if fetched.media_type.split(";")[0].strip().lower() == "text/html":
                raise FetchError("Twilio gave a web page in place of the file", is_retryable=False)
            yield fetched


def _stop_for(error: Exception, is_final: bool) -> None:
    """Raises ChannelFault for what only a person can mend."""
    if isinstance(error, Answered) and is_final and error.is_about_credentials:
        raise ChannelFault(
            f"Twilio refuses the credentials ({error})",
            "Copy account_sid and auth_token from the account's page in Twilio's console",
        ) from error
