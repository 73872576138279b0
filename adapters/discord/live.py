"""One run of one account: everything that stands while the bot is connected."""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from datetime import UTC, datetime
from typing import Final

from discord.http import Route

from adapters.admission import Gate
from adapters.discord import Account, commands
from adapters.discord.backfill import LONGEST_MS, PLACES, Backfill, news, places
from adapters.discord.calls import CallFailure, Rejected, patiently
from adapters.discord.echoes import Echoes
from adapters.discord.faults import bad_token
from adapters.discord.gateway import Gateway
from adapters.discord.inbound import Inbound, Marked
from adapters.discord.interactions import Interactions
from adapters.discord.lanes import Lanes
from adapters.discord.payloads import (
    Application,
    Channel,
    Guild,
    Interaction,
    Malformed,
    Reaction,
    Ready,
    Removed,
    Said,
    Typing,
    User,
)
from adapters.discord.posts import Posts, said
from adapters.discord.replies import Replies
from adapters.discord.rooms import Rooms
from adapters.discord.session import NAME, Session, Track, bookmark, read
from adapters.discord.wire import Bot, Frame, Wire
from bot.errors import Overloaded, StoreUnavailable
from bot.model import Address, Bookmark, MessageId
from bot.ports import ChannelState, Clock, Host

log = logging.getLogger(__name__)

GAP: Final = "gap"
"""The bookmark of a time that is not read again yet; "" where there is none."""

DESK: Final = "desk"
"""The bookmark of the server that has the operators' commands."""

_VERSION: Final = "/v10"
_VERSIONED: Final = re.compile(r"/v[0-9]+$")
"""Discord's documentation, "API Reference", API Versioning."""

_KEEP_S: Final = 10.0
_KEEP_ANYWAY_S: Final = 300.0
_KNOWN_MS: Final = 30 * 24 * 3600 * 1000  # conversations in which edits and deletions are told


class Live:
    """Built and run once. `posts`, `rooms` and `wire` stand from `run`'s log-in on (`is_ready`)."""

    def __init__(
        self, settings: Account, host: Host, account: str, echoes: Echoes, wire: Wire, me: str, app: str
    ) -> None:
        self._host = host
        self._clock = host.clock
        self._settings = settings
        self._application = app
        self.wire = wire
        self.tasks = asyncio.TaskGroup()
        self.rooms = Rooms(
            wire, host.clock, me, account, has_threads=settings.threads, operators=settings.operators_channel
        )
        self.posts = Posts(host, wire, self.rooms, echoes, has_feedback=settings.feedback)
        gate = Gate(settings.allow, host.clock, host.limits.messages_per_minute)
        places_ = Gate(settings.allow.model_copy(update={"people": []}), host.clock, host.limits.messages_per_minute)
        self._inbound = Inbound(host, account, wire, self.rooms, self.posts, echoes, gate, places_, self.spawn)
        self._replies = Replies(wire, app)
        self._interactions = Interactions(host, account, self._replies, wire, self.rooms, gate, self._inbound)
        self._backfill = Backfill(host.clock, wire, self.rooms, self._inbound)
        self._lanes = Lanes(self.tasks)
        self._track = Track(Session())
        self._gap_ms = 0
        self._desk_server = ""
        self._unread: set[str] = set()  # what is still to be read again after a gap
        self.gateway: Gateway | None = None

    def spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None] | None:
        """A task of this run; None, and nothing is done, where the run has not begun or is ending."""
        try:
            return self.tasks.create_task(work)
        except RuntimeError:
            work.close()
            return None

    async def run(self, refused: asyncio.Event, first: Sequence[Coroutine[None, None, None]]) -> None:
        """Until cancelled; `first` is done at the start. Raises ChannelFault, alone or in a group."""
        known = await self._host.bookmarks()
        session = read(known.get(NAME, "")) if self.rooms.me else Session()  # a new one tells who we are
        self._track = Track(session)
        self._gap_ms = _number(known.get(GAP, ""))
        self._desk_server = known.get(DESK, "")
        recent = await self._host.recent(self._clock.now_ms() - _KNOWN_MS, 1_000)
        self._inbound.remember(one.at for one in reversed(recent))
        bot = Bot(self.wire)
        self.gateway = Gateway(self._host, bot, self.wire, self._settings.gateway_url, session, self._take, self._began)
        async with self.tasks:
            for work in first:
                self.spawn(work)
            self.spawn(_fail_when(refused))
            if self._application:
                self._begin(self._application)
            self.spawn(self._keep_often())
            if self._gap_ms and session.id:  # the process ended before everything was read
                await self._fill(())
            await self.gateway.run()

    # --- for the house ---------------------------------------------------------------------------------------------

    async def remove(self, to: Address, message: MessageId, shown: str) -> None:
        """Takes a draft away. Best effort."""
        try:
            await self.posts.remove(to, message, shown)
        except CallFailure as failure:
            log.warning("a draft could not be taken away: %s", failure)

    async def type(self, to: Address) -> None:
        try:
            place = await self.rooms.place(to)
            await self.wire.send_typing(place.channel)
        except CallFailure as failure:
            log.debug("typing is not shown: %s", failure)

    async def file_url(self, source: str) -> str:
        """Where a file can be read now. Raises CallFailure."""
        channel, message, file = source.split("/")
        try:
            one = said(await self.wire.get_message(channel, message))
        except Rejected as rejected:
            url = self._inbound.url_of(source)
            if not rejected.is_absent or not url:
                raise
            return url
        for attachment in one.attachments:
            if attachment.id == file:
                return attachment.url
        raise Rejected(404, 0, "the message no longer has that file")

    # --- events ----------------------------------------------------------------------------------------------------

    async def _take(self, frame: Frame) -> None:
        track, seq = self._track, frame.seq
        if seq is None:
            return
        track.arrived(seq, self._clock.now_ms())
        try:
            job = self._job(frame, lambda: self._marked(track, seq))
            if job is None:
                await self._learn(frame)
        except Malformed as error:
            log.warning("an event of type %s cannot be read: %s", frame.type, error.errors(include_input=False)[:3])
            job = None
        if job is None:
            track.handled(seq)
            return
        lane, work = job
        await self._lanes.put(lane, lambda: _done(frame.type, work, lambda: track.handled(seq)))

    def _job(self, frame: Frame, marked: Marked) -> "tuple[str, Callable[[], Awaitable[None]]] | None":
        """The lane of an event and what is to be done with it; None for what only changes what is known of channels."""
        match frame.type:
            case "MESSAGE_CREATE" | "MESSAGE_UPDATE":
                one = self._said(frame)
                take = self._inbound.message if frame.type == "MESSAGE_CREATE" else self._inbound.edited
                return one.channel_id, lambda: take(one, marked)
            case "MESSAGE_DELETE" | "MESSAGE_DELETE_BULK":
                removed = Removed.model_validate(frame.data)
                return removed.channel_id, lambda: self._inbound.removed(removed, marked)
            case "MESSAGE_REACTION_ADD":
                reaction = Reaction.model_validate(frame.data)
                return reaction.channel_id, lambda: self._inbound.reacted(reaction, marked)
            case "TYPING_START":
                typing = Typing.model_validate(frame.data)
                return typing.channel_id, lambda: self._inbound.typing(typing)
            case "INTERACTION_CREATE":
                asked = Interaction.model_validate(frame.data)
                begun = self.tasks.create_task(self._interactions.begin(asked))
                return asked.room_id, lambda: self._interactions.take(asked, begun, marked)
        return None

    def _said(self, frame: Frame) -> Said:
        """A message, or its new text: where no time of the edit is told, it is now."""
        one = Said.model_validate(frame.data)
        if frame.type == "MESSAGE_UPDATE" and one.content is not None and "edited_timestamp" not in frame.data:
            now = datetime.fromtimestamp(self._clock.now_ms() / 1000, UTC)
            return one.model_copy(update={"edited_timestamp": now.isoformat()})
        return one

    async def _learn(self, frame: Frame) -> None:
        match frame.type:
            case "GUILD_CREATE":
                guild = Guild.model_validate(frame.data)
                self.rooms.learn_guild(guild)
                await self._fill_guild(guild)
            case "CHANNEL_CREATE" | "CHANNEL_UPDATE" | "THREAD_CREATE" | "THREAD_UPDATE":
                self.rooms.learn([Channel.model_validate(frame.data)])
            case "CHANNEL_DELETE" | "THREAD_DELETE":
                self.rooms.forget(Channel.model_validate(frame.data).id)

    def _marked(self, track: Track, seq: int) -> Bookmark | None:
        """The bookmark that goes with an event; none of a session that is over."""
        if track is not self._track or self.gateway is None:
            return None
        return bookmark(track.stand(self.gateway.heard_ms, seq))

    async def _keep_often(self) -> None:
        """Events that the house has no row for move the bookmark too."""
        kept, kept_at = self._track.seq, self._clock.monotonic()
        while True:
            await self._clock.sleep(_KEEP_S)
            stand = self._track.stand(self.gateway.heard_ms if self.gateway else 0)
            is_due = self._clock.monotonic() - kept_at >= _KEEP_ANYWAY_S
            if stand.id and (stand.seq != kept or is_due) and await self._kept(bookmark(stand)):
                kept, kept_at = stand.seq, self._clock.monotonic()

    async def _kept(self, mark: Bookmark) -> bool:
        try:
            await self._host.keep(mark)
        except (StoreUnavailable, Overloaded) as failure:
            log.info("a bookmark is kept later: %s", failure)
            return False
        return True

    # --- gaps ------------------------------------------------------------------------------------------------------

    async def _began(self, session: Session, ready: Ready) -> None:
        """A new session knows nothing of what was said before it."""
        self._introduced(ready)
        old = self._track.stand(self.gateway.heard_ms if self.gateway else 0)
        self._track = Track(session)
        if not old.id:
            return
        ends = [ms for ms in (self._gap_ms, old.at_ms) if ms]
        self._gap_ms = max(min(ends, default=0), self._clock.now_ms() - LONGEST_MS)
        while not await self._kept(Bookmark(GAP, str(self._gap_ms))):
            await self._clock.sleep(1.0)
        await self._fill([guild.id for guild in ready.guilds])

    def _introduced(self, ready: Ready) -> None:
        """Who we are, where nobody told before."""
        if ready.user is not None:
            self.rooms.me = ready.user.id
        if ready.application is not None and not self._application:
            self._begin(ready.application.id)

    def _begin(self, application: str) -> None:
        self._application = self._replies.application = application
        self.spawn(commands.sync(self._clock, self.wire, application))
        self.spawn(self._sync_desk(application))

    async def _sync_desk(self, application: str) -> None:
        before = self._desk_server
        server = await commands.sync_desk(self._clock, self.wire, application, self.rooms, before)
        if before != server and await self._kept(Bookmark(DESK, server)):
            self._desk_server = server

    async def _fill(self, guilds: Collection[str]) -> None:
        """Puts the reading of every place before what comes from there now."""
        self._unread = {f"guild {id_}" for id_ in guilds}
        recent = places(await self._host.recent(self._gap_ms - LONGEST_MS, PLACES))
        for channel in filter(None, [self.rooms.operators, *recent]):
            await self._read_again(channel)
        await self._close_gap("")

    async def _fill_guild(self, guild: Guild) -> None:
        if f"guild {guild.id}" in self._unread and not guild.unavailable:
            for channel in news(guild, self._gap_ms, self.rooms.operators):
                await self._read_again(channel)
            await self._close_gap(f"guild {guild.id}")

    async def _read_again(self, channel: str) -> None:
        if channel in self._unread:
            return
        self._unread.add(channel)
        since_ms = self._gap_ms

        async def work() -> None:
            if await self._backfill.read(channel, since_ms):
                await self._close_gap(channel)

        await self._lanes.put(channel, lambda: _done("what was missed", work, lambda: None))

    async def _close_gap(self, read_: str) -> None:
        self._unread.discard(read_)
        if self._gap_ms and not self._unread and await self._kept(Bookmark(GAP, "")):
            self._gap_ms = 0


async def _done(what: str, work: Callable[[], Awaitable[None]], handled: Callable[[], None]) -> None:
    """The boundary of one event: what Discord sent wrongly, or does not tell, is logged and stops nothing else."""
    try:
        await work()
    except Malformed as error:
        log.warning("%s cannot be read: %s", what, error.errors(include_input=False)[:3])
    except CallFailure as failure:
        log.warning("%s could not be handled: %s", what, failure)
    handled()


async def _fail_when(refused: asyncio.Event) -> None:
    await refused.wait()
    raise bad_token()


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else 0


async def logged_in(settings: Account, host: Host, account: str, echoes: Echoes, refused: asyncio.Event) -> Live:
    """Asks who we are. Raises ChannelFault for a token that Discord refuses, CallFailure when nobody answers. What is only not told, the
    gateway tells."""
    if settings.token is None:
        raise bad_token()
    token = settings.token.get_secret_value()
    wire = Wire(settings.api_url, token, host.connector(), host.clock, refused.set)
    host.report(ChannelState.CONNECTING)
    try:
        me = await _found(wire, host.clock, settings.api_url)
        app = await _application(wire, host.clock)
    except BaseException as error:
        await wire.close()
        if isinstance(error, Rejected) and error.status == 401:
            raise bad_token() from error
        raise
    return Live(settings, host, account, echoes, wire, me, app)


async def _found(wire: Wire, clock: Clock, api_url: str) -> str:
    """Our user id, and by the way where the API lies: Discord's is below a path that names its version. "" where that is not told."""
    for address in _addresses(api_url):
        wire.api_url = address
        try:
            raw = await patiently(clock, lambda: wire.request(Route("GET", "/users/@me")))
        except Rejected as rejected:
            if not rejected.is_absent:
                raise
        else:
            return User.model_validate(raw).id
    wire.api_url = api_url
    return ""


def _addresses(api_url: str) -> Sequence[str]:
    if _VERSIONED.search(api_url):
        return [api_url]
    if api_url.endswith("/api"):
        return [f"{api_url}{_VERSION}", api_url]
    return [api_url, f"{api_url}/api{_VERSION}"]


async def _application(wire: Wire, clock: Clock) -> str:
    try:
        return Application.model_validate(await patiently(clock, wire.application_info)).id
    except Rejected as rejected:
        if rejected.status == 401:
            raise
        log.info("the application could not be asked for: %s", rejected)
        return ""
