"""From Slack to the house: every event passes the gate, becomes an event of ours, and is stored before Slack hears that it was taken.

The handlers return what the person is told with the acknowledgement, and raise StoreUnavailable, Overloaded or TimeoutError where the
event is not to be acknowledged. What is only a courtesy (a greeting, a view) is done afterwards, in a task.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar

from adapters.admission import Gate, Speaker
from adapters.slack.api import Api
from adapters.slack.drafts import Drafts, Recipient
from adapters.slack.events import (
    Changed,
    Deleted,
    Me,
    Said,
    address,
    dict_of,
    external,
    is_direct,
    ms_of,
    read,
    said,
    text_of,
)
from adapters.slack.faults import CallFailed
from adapters.slack.pages import PAGE
from adapters.slack.people import People
from adapters.slack.wording import people_in, plain
from bot.errors import Refused
from bot.model import (
    Accepted,
    Address,
    Bookmark,
    Event,
    FeedbackGiven,
    Heard,
    Identity,
    MessageDeleted,
    MessageEdited,
    MessageReceived,
    Seq,
)
from bot.ports import Host

log = logging.getLogger(__name__)

V = TypeVar("V")
Json = Mapping[str, Any]  # Slack's payloads are untyped JSON by nature

ANSWER_S: Final = 2.5  # Slack waits 3 s: https://docs.slack.dev/apis/events-api#responding-to-events
LOOK_S: Final = 1.5  # of them, at most, for names and for what was said before
MOST_BEFORE: Final = 50
BEFORE_PAGES: Final = 5
MOST_SEEN: Final = 2_000
SEEN: Final = "seen"  # the bookmark: the newest ts that was stored, in ms
_MARK_EVERY_MS: Final = 10_000
_SOMEBODY: Final = "U0"  # nobody's id
Spawn = Callable[..., None]  # work and its arguments
_VERDICTS: Final = {"+1": "up", "thumbsup": "up", "-1": "down", "thumbsdown": "down"}
_TOLD: Final = {
    "too_long",
    "empty",
    "too_many_files",
    "bad_type",
    "too_large",
}  # refusals that the writer can do something about


class Inbound:
    """One account's events. `spawn` runs what may take its time; `gone` hears that the app was removed."""

    def __init__(
        self,
        host: Host,
        account: str,
        gate: Gate,
        drafts: Drafts,
        api: Api,
        me: Me,
        spawn: Spawn,
        gone: Callable[[str], None],
    ) -> None:
        self.host = host
        self.account = account
        self.gate = gate
        self.api = api
        self.me = me
        self.people = People(host.clock)
        self.spawn = spawn
        self._drafts = drafts
        self._gone = gone
        self._heard: OrderedDict[str, Said] = OrderedDict()  # what was taken, by its id
        self._changes: OrderedDict[str, tuple[str, int]] = (
            OrderedDict()
        )  # the last of each message: its ts, and our time of it
        self._seen: OrderedDict[str, None] = OrderedDict()  # messages that were counted by the gate
        self._marked_ms = 0

    # --- what the surfaces share -----------------------------------------------------------------------------------

    def admits(self, person: str, team: str, channel: str = "", *, directly: bool = True, is_bot: bool = False) -> bool:
        """The gate, for whatever somebody does."""
        return self.gate.admits(self._speaker(person, team, channel, directly, is_bot))

    def identity(self, person: str) -> Identity:
        return Identity("slack", self.account, person, self.people.known(person).name, verified=True)

    async def introduced(self, person: str, mentioned: Sequence[str] = ()) -> Identity | None:
        """Who that is, with a name if Slack tells it quickly; None for a program. So are the names of those who are mentioned learned."""
        try:
            async with self.host.clock.timeout(LOOK_S):
                await self.people.learn(self.api, [person, *mentioned])
        except TimeoutError:
            log.info("Slack is slow: somebody is taken without a name")
        return None if self.people.known(person).is_bot else self.identity(person)

    def address(self, channel: str, thread: str = "") -> Address:
        return Address("slack", self.account, channel, thread)

    async def receive(self, event: Event, bookmark: Bookmark | None = None, *, within_s: float = ANSWER_S) -> Accepted:
        """Stores an event in time. Raises TimeoutError."""
        async with self.host.clock.timeout(within_s):
            return await self.host.receive(event, bookmark)

    def _speaker(self, person: str, team: str, channel: str, directly: bool, is_bot: bool) -> Speaker:
        is_known_bot = is_bot or self.people.known(person).is_bot
        return Speaker(person, team, channel, directly, is_known_bot, is_own=person == self.me.user)

    # --- events ----------------------------------------------------------------------------------------------------

    async def take(self, body: Json) -> str:
        """One request of the Events API."""
        event, team = dict_of(body, "event"), self.team_of(body)
        if team is None:
            return ""
        kind = text_of(event, "type")
        if kind in ("message", "app_mention"):
            await self._take_message(event, team)
        elif kind == "reaction_added":
            await self._take_reaction(event, team)
        elif kind in ("app_uninstalled", "tokens_revoked") and _is_for_us(event, self.me):
            self._gone(kind)
        return ""

    def team_of(self, body: Json) -> str | None:
        """The workspace an event is of, "" where that is not told; None for one that is not for this account.

        https://docs.slack.dev/apis/events-api#authorizations: in shared channels only `authorizations` names ours."""
        teams = [text_of(each, "team_id") for each in body.get("authorizations") or () if isinstance(each, Mapping)]
        is_ours = not self.me.team or not any(teams) or self.me.team in teams
        return (text_of(body, "team_id") or self.me.team) if is_ours else None

    async def _take_message(self, event: Json, team: str) -> None:
        match read(event, self.me, team):
            case Said() as said_:
                if said_.is_addressed:
                    await self.take_said(said_)
            case Changed(now=now, was_addressed=was_addressed):
                await self._take_changed(now, was_addressed)
            case Deleted(was=was, deleted_ts=deleted_ts):
                await self._take_deleted(was, deleted_ts)

    async def take_said(self, found: Said, *, is_late: bool = False) -> bool:
        """A message to the agent. `is_late`: found in the history, so it does not count as being written now. Whether the house had it
        before."""
        began = self.host.clock.monotonic()
        if not self._admits(found):
            return False
        if not is_late and found.external_id not in self._seen and not self._is_within_pace(found):
            log.info("somebody writes more often than is answered")
            return False
        before = await self._look_around(found)
        if not self._admits(found):  # the name came with the news that it is a program's
            return False
        at = address(self.account, found)
        event = MessageReceived(
            self.identity(found.person),
            at,
            found.external_id,
            self.plain_of(found),
            sent_at_ms=ms_of(found.ts),
            files=found.files,
            before=before,
            is_shared=not found.is_direct,
        )
        self._drafts.asked_by(at, Recipient(found.person, found.team))
        left_s = max(0.5, ANSWER_S - (self.host.clock.monotonic() - began))
        try:
            accepted = await self.receive(event, self.bookmark(found.ts), within_s=left_s)
        except Refused as refused:
            if refused.code in _TOLD and not is_late:
                self.spawn(self.whisper, at, found.person, refused.detail)
            return False
        _keep(self._heard, found.external_id, found)
        if found.is_direct and at.thread and accepted.seq == 1 and not accepted.is_duplicate:
            self.spawn(self._title, at, event.text)
        return accepted.is_duplicate

    def _is_within_pace(self, found: Said) -> bool:
        _keep(self._seen, found.external_id, None)
        return self.gate.paces(self._speaker(found.person, found.team, found.channel, found.is_direct, found.is_bot))

    def _admits(self, found: Said) -> bool:
        is_admitted = self.admits(
            found.person, found.team, found.channel, directly=found.is_direct, is_bot=found.is_bot or found.is_own
        )
        return is_admitted and not found.is_own

    def plain_of(self, found: Said) -> str:
        """Its text as people see it."""
        names = {person: self.people.known(person).name for person in people_in(found.text)}
        return plain(found.text, names, without=self.me.user)

    async def _look_around(self, found: Said) -> tuple[Heard, ...]:
        """Names, and what was said in the thread before a mention: as much as comes in time."""
        heard: list[Said] = []
        try:
            async with self.host.clock.timeout(LOOK_S):
                await self.people.learn(self.api, [found.person])
                if found.thread and not found.is_direct:
                    heard = await self._before(found)
                await self.people.learn(self.api, people_in(found.text)[:5])
                await self.people.learn(self.api, list(dict.fromkeys(each.person for each in heard)))
        except TimeoutError:
            log.info("Slack is slow: a message is taken without names, or without what was said before it")
        return tuple(
            Heard(self.identity(each.person), each.external_id, self.plain_of(each), ms_of(each.ts))
            for each in heard
            if self._admits(each)
        )

    async def _before(self, found: Said) -> list[Said]:
        heard: list[Said] = []
        try:
            async for page in self.api.pages(
                "conversations_replies",
                BEFORE_PAGES,
                channel=found.channel,
                ts=found.thread,
                latest=found.ts,
                limit=PAGE,
            ):
                heard += [
                    each
                    for each in said_in(page, self.me, self.me.team, found.channel)
                    if each.ts != found.ts and ms_of(each.ts) <= ms_of(found.ts) and each.text
                ]
        except CallFailed as failed:
            log.info("what was said before in a thread could not be read: %s", failed)
        return heard[-MOST_BEFORE:]

    def bookmark(self, ts: str) -> Bookmark | None:
        """Where to begin after a gap. Now and then is enough: what is fetched twice is known."""
        now_ms = ms_of(ts)
        if now_ms - self._marked_ms < _MARK_EVERY_MS:
            return None
        self._marked_ms = now_ms
        return Bookmark(SEEN, str(now_ms))

    async def _take_changed(self, now: Said, was_addressed: bool) -> None:
        if not self._admits(now):
            return
        if now.is_addressed and not was_addressed and not await self.take_said(now):
            return  # only now it speaks to the agent
        at = address(self.account, now)
        if not (now.is_addressed or was_addressed or await self._is_known(at)):
            return
        text, edited_ms = self.plain_of(now), self._changed_ms(now, now.edited_ts)
        event = MessageEdited(self.identity(now.person), at, now.external_id, text, edited_ms)
        try:
            await self.receive(event)
        except Refused as refused:
            log.info("an edit was refused: %s", refused.code)

    async def _take_deleted(self, was: Said, deleted_ts: str) -> None:
        if self._drafts.ours.thread_of(was.external_id) is not None:
            return
        if not was.person:
            was = self._heard.get(was.external_id, was)
        at = address(self.account, was)
        if not self._admits_leaving(was) or not (was.is_addressed or await self._is_known(at)):
            return
        deleted_ms = self._changed_ms(was, deleted_ts)
        try:
            await self.receive(MessageDeleted(self.identity(was.person), at, was.external_id, deleted_ms))
        except Refused as refused:
            log.info("a deletion was refused: %s", refused.code)

    def _changed_ms(self, found: Said, ts: str) -> int:
        """When a message was changed. A change that is later than the last by less than a millisecond is later all the same."""
        changed_ms = ms_of(ts) or self.host.clock.now_ms()
        last_ts, last_ms = self._changes.get(found.external_id, ("", 0))
        if ts > last_ts:
            changed_ms = max(changed_ms, last_ms + 1)
            _keep(self._changes, found.external_id, (ts, changed_ms))
        return changed_ms

    def _admits_leaving(self, was: Said) -> bool:
        """Where Slack does not tell whose it was, only the place counts."""
        return self._admits(was if was.person else replace(was, person=_SOMEBODY))

    async def take_edit(self, found: Said) -> None:
        """An edit that was found in the history."""
        await self._take_changed(found, was_addressed=found.is_addressed)

    async def _is_known(self, at: Address) -> bool:
        """Whether the house has a conversation there: what was said before a mention belongs to it too."""
        async with self.host.clock.timeout(ANSWER_S / 2):
            return (await self.host.history(at, Seq(0), 1)).conversation is not None

    # --- reactions -------------------------------------------------------------------------------------------------

    async def _take_reaction(self, event: Json, team: str) -> None:
        """A thumb on one of our messages is a verdict."""
        item, person = dict_of(event, "item"), text_of(event, "user")
        verdict = _VERDICTS.get(text_of(event, "reaction").partition("::")[0])
        channel, ts = text_of(item, "channel"), text_of(item, "ts")
        if verdict is None or not ts or text_of(event, "item_user") not in ("", self.me.user):
            return  # Slack leaves out who wrote what no user has written
        if not self.admits(person, team, channel, directly=is_direct(channel)):
            return
        at = self.address(channel, await self._thread_of(channel, ts))
        try:
            await self.receive(FeedbackGiven(self.identity(person), at, verdict, external_id=external(channel, ts)))
        except Refused as refused:
            log.info("a reaction was refused: %s", refused.code)

    async def _thread_of(self, channel: str, ts: str) -> str:
        """The thread of a message; a reaction does not name it."""
        known = self._drafts.ours.thread_of(external(channel, ts))
        if known is not None:
            return known
        try:
            async with self.host.clock.timeout(LOOK_S):
                page = await self.api.call(
                    "conversations_replies", channel=channel, ts=ts, limit=1, latest=ts, inclusive=True
                )
        except (CallFailed, TimeoutError):
            return ""
        first: object = next(iter(page.get("messages") or ()), None)
        root = text_of(first, "thread_ts") if isinstance(first, Mapping) else ""
        return "" if root == ts and is_direct(channel) else root

    # --- courtesies ------------------------------------------------------------------------------------------------

    async def whisper(self, at: Address, person: str, text: str) -> None:
        """Tells one person something that only they see."""
        try:
            await self._whispered(at, person, plain_out(text))
        except CallFailed as failed:
            log.info("a person could not be told why their message was not taken: %s", failed)

    async def _whispered(self, at: Address, person: str, text: str) -> None:
        where = {"channel": at.chat, "thread_ts": at.thread or None}
        try:
            await self.api.call("chat_postEphemeral", user=person, text=text, **where)
        except CallFailed as failed:
            if not failed.is_absent or not is_direct(at.chat):
                raise
            await self.api.call("chat_postMessage", text=text, **where)  # nobody else is there to see it

    async def _title(self, at: Address, text: str) -> None:
        title = " ".join(text.split())[:80]
        if not title:
            return
        try:
            await self.api.call("assistant_threads_setTitle", channel_id=at.chat, thread_ts=at.thread, title=title)
        except CallFailed as failed:
            log.debug("not a thread of the Assistant view: %s", failed)


def _keep(table: OrderedDict[str, V], key: str, item: V) -> None:
    table[key] = item
    if len(table) > MOST_SEEN:
        table.popitem(last=False)


def said_in(page: Json, me: Me, team: str, channel: str) -> Sequence[Said]:
    """What people said in a page of a history."""
    return [
        said(each, me, team, channel)
        for each in page.get("messages") or ()
        if isinstance(each, Mapping)
        and text_of(each, "ts")
        and text_of(each, "subtype") in ("", "file_share", "thread_broadcast")
    ]


def plain_out(text: str) -> str:
    """A sentence without any notation of Slack's."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _is_for_us(event: Json, me: Me) -> bool:
    tokens = dict_of(event, "tokens")
    return text_of(event, "type") == "app_uninstalled" or me.user in (tokens.get("bot") or ())
