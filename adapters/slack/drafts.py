"""Answers while they are written: streamed in threads, elsewhere posted and edited.

A stream is Slack's own way (chat.startStream and its sisters), which needs a thread; where it is refused, and in plain direct messages, the
draft is posted once and edited in place. One task a draft shows what has come since its last step, so a slow platform delays nobody,
and steps are paced so that all drafts together stay within the rate limits. The final text does not depend on any of it: it takes the
place of whatever is shown.
"""

import asyncio
import logging
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from adapters.rendering import SLACK, render
from adapters.slack import blocks
from adapters.slack.events import external
from adapters.slack.faults import CallFailed
from adapters.slack.pace import Budget
from bot.errors import FrontdeskError
from bot.model import Address, DraftPosted, MessageId, value
from bot.ports import Host, Progress, ProgressState

if TYPE_CHECKING:
    from adapters.slack.api import Api

log = logging.getLogger(__name__)

STEP_S: Final = 1.0  # between two steps of one draft: https://docs.slack.dev/apis/web-api/rate-limits, one message a second and channel
EDITS_PER_MINUTE: Final = 50  # chat.update is Tier 3, chat.appendStream Tier 4, for the whole workspace
APPENDS_PER_MINUTE: Final = 100
BEGUN_PER_MINUTE: Final = 10.0  # streams; Tier 2 allows 20, as many may be begun at once
REFUSED_S: Final = 600.0  # how long a refused stream is not asked for again
MOST_DRAFTS: Final = 10_000  # most of them are never begun, and only remembered to be so
MOST_OURS: Final = 5_000
_TASK_CHARS: Final = 250  # a chunk's title: https://docs.slack.dev/reference/methods/chat.appendStream allows 256
_ENDED: Final = {"message_not_in_streaming_state", "stopped_by_user"}  # a stream that Slack or the person has ended
_STATES: Final = {
    ProgressState.RUNNING: "in_progress",
    ProgressState.DONE: "complete",
    ProgressState.FAILED: "error",
}
_ESCAPES: Final = str.maketrans({"&": "&amp;", "<": "&lt;"})


@value
class Recipient:
    """Who asked: Slack wants to know for whom a stream in a channel is."""

    person: str
    team: str


@dataclass(slots=True)
class Draft:
    """One answer that is being written. `busy` is held during every call for it; who holds it after `is_closed` is set owns what is shown.
    `streamed`: the text that the stream shows, None where that is another than what was written. `is_torn`: nobody knows what the stream
    holds. `is_lost`: the first post may or may not have arrived."""

    to: Address
    message: MessageId
    text: str = ""
    steps: dict[str, Progress] = field(default_factory=dict)
    ts: str = ""
    is_streaming: bool = False
    is_editing: bool = False
    is_torn: bool = False
    is_lost: bool = False
    is_closed: bool = False
    started_ms: int = 0
    streamed: str | None = ""
    sent: int = 0  # characters of `text` that are shown
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    busy: asyncio.Lock = field(default_factory=asyncio.Lock)
    worker: asyncio.Task[None] | None = None

    def is_over(self) -> bool:
        """Whether nothing more is to be shown of it."""
        return self.is_closed or self.is_lost


@dataclass(frozen=True, slots=True)
class Piece:
    """What has come since the last step: how Slack is told, and up to where in the text."""

    chunks: list[dict[str, Any]]
    steps: tuple[Progress, ...]
    end: int


class Ours:
    """Where our newest messages stand, as far as this process knows: Slack does not name the thread of a message that somebody reacts to or
    that is gone."""

    def __init__(self) -> None:
        self._threads: OrderedDict[str, str] = OrderedDict()

    def note(self, to: Address, ts: str) -> None:
        self._threads[external(to.chat, ts)] = to.thread
        if len(self._threads) > MOST_OURS:
            self._threads.popitem(last=False)

    def thread_of(self, external_id: str) -> str | None:
        """None for what is not known as ours."""
        return self._threads.get(external_id)


class Drafts:
    """All drafts of one account. What is known of them outlives a run of the adapter; their tasks do not."""

    def __init__(self, host: Host, account: str) -> None:
        self.ours = Ours()
        self._host = host
        self._account = account
        self._drafts: OrderedDict[MessageId, Draft] = OrderedDict()
        self._recipients: OrderedDict[Address, Recipient] = OrderedDict()
        self._api: Api | None = None
        self._tasks: asyncio.TaskGroup | None = None
        self._streams_from = 0.0
        self._steps_from = 0.0  # a rate limit that holds for all
        self._edits = Budget(EDITS_PER_MINUTE / 2, EDITS_PER_MINUTE / 2)
        self._starts = Budget(BEGUN_PER_MINUTE, BEGUN_PER_MINUTE)

    def begin(self, api: "Api", tasks: asyncio.TaskGroup) -> None:
        """A run begins."""
        self._api, self._tasks, self._streams_from, self._steps_from = api, tasks, 0.0, 0.0

    def end(self) -> None:
        """The run is over: nothing more is shown."""
        self._api = self._tasks = None
        for draft in self._drafts.values():
            if draft.worker is not None:
                draft.worker.cancel()
            draft.worker = None

    def asked_by(self, at: Address, recipient: Recipient) -> None:
        """Who spoke last at an address."""
        self._recipients[at] = recipient
        self._recipients.move_to_end(at)
        if len(self._recipients) > MOST_DRAFTS:
            self._recipients.popitem(last=False)

    def add(self, to: Address, message: MessageId, text: str) -> None:
        """The next piece of a draft. Never waits."""
        draft = self._of(to, message)
        if draft is not None:
            draft.text += text
            draft.changed.set()

    def step(self, to: Address, message: MessageId, step: Progress) -> bool:
        """A step as a card of the stream. False where there can be none: then nothing is shown, which is remembered, so that nobody has to
        look for it before the answer is posted."""
        draft = self._drafts.get(message)
        if draft is None and self._tasks is not None:
            self._make_room()
            draft = self._drafts[message] = Draft(to, message)
        is_begun = draft is not None and draft.worker is not None
        if draft is None or (draft.is_editing if is_begun else not self._may_stream(to)):
            return False
        draft = self._of(to, message)
        if draft is not None:
            draft.steps[step.id] = step
            draft.changed.set()
        return draft is not None

    async def close(self, message: MessageId) -> Draft | None:
        """Ends a draft: waits for the call that is under way and forgets it. What is shown belongs to the caller from now on."""
        draft = self._drafts.get(message)
        if draft is None:
            return None
        draft.is_closed = True
        async with draft.busy:
            if draft.worker is not None:
                draft.worker.cancel()
            self._drafts.pop(message, None)
        return draft

    async def settle(self, message: MessageId) -> Draft | None:
        """Ends a draft like `close`, and remembers it for the send that follows."""
        draft = await self.close(message)
        if draft is not None:
            self.keep(draft)
        return draft

    def keep(self, draft: Draft) -> None:
        """Remembers a draft again whose fate is still unknown."""
        self._drafts[draft.message] = draft

    # --- showing ---------------------------------------------------------------------------------------------------

    def _of(self, to: Address, message: MessageId) -> Draft | None:
        draft = self._drafts.get(message)
        if draft is None:
            if self._tasks is None:
                return None
            self._make_room()
            draft = self._drafts[message] = Draft(to, message)
        if draft.is_closed or self._tasks is None:
            return None
        if draft.worker is None and not draft.is_lost and self._may_begin(draft):
            draft.worker = self._tasks.create_task(self._show(draft))
        return draft

    def _may_begin(self, draft: Draft) -> bool:
        """What is begun has to be ended by one more call of a kind that is counted for the whole workspace: it is begun only where the
        minute has one left for that, as a stream or else as a post that is edited. Asked again with each piece; an answer that never
        begins is posted whole."""
        now = self._host.clock.monotonic()
        if draft.ts or (self._may_stream(draft.to) and not draft.is_editing and self._starts.take(now)):
            return True
        draft.is_editing = self._edits.take(now)
        return draft.is_editing

    def _make_room(self) -> None:
        """The oldest draft is left as it is shown; its answer comes all the same."""
        while len(self._drafts) >= MOST_DRAFTS:
            _, oldest = self._drafts.popitem(last=False)
            if oldest.worker is not None:
                oldest.worker.cancel()

    async def _show(self, draft: Draft) -> None:
        while not draft.is_over():
            await draft.changed.wait()
            draft.changed.clear()
            async with draft.busy:
                if draft.is_over() or self._api is None:
                    return
                try:
                    await self._take_step(self._api, draft)
                except CallFailed as failed:
                    self._failed(draft, failed)
            await self._host.clock.sleep(self._pause_s(draft))

    def _pause_s(self, draft: Draft) -> float:
        """All drafts share the workspace's limits."""
        per_minute = APPENDS_PER_MINUTE if draft.is_streaming else EDITS_PER_MINUTE
        fair_s = 60 * len(self._drafts) / per_minute
        return max(STEP_S, fair_s, self._steps_from - self._host.clock.monotonic())

    def _failed(self, draft: Draft, failed: CallFailed) -> None:
        """A draft is a courtesy: what could not be shown comes with the final text."""
        draft.changed.set()
        if failed.retry_after_s is not None:
            self._steps_from = self._host.clock.monotonic() + failed.retry_after_s
        elif not failed.is_certain:
            draft.is_torn, draft.streamed = draft.is_streaming, None
            draft.is_lost = not draft.ts
        elif failed.code in _ENDED:
            draft.is_streaming, draft.is_editing, draft.streamed = False, True, None
        else:
            draft.is_closed = True
            log.info("a draft could not be shown: %s", failed)

    async def _take_step(self, api: "Api", draft: Draft) -> None:
        if draft.is_streaming:
            await self._append(api, draft)
        elif draft.ts:
            await self._edit(api, draft)
        elif self._may_stream(draft.to) and not draft.is_editing:
            await self._start(api, draft)
        elif draft.text.strip():
            await self._post(api, draft)

    def _may_stream(self, to: Address) -> bool:
        is_known = to.chat.startswith("D") or to in self._recipients
        return bool(to.thread) and is_known and self._host.clock.monotonic() >= self._streams_from

    async def _start(self, api: "Api", draft: Draft) -> None:
        piece = _next(draft)
        if not piece.chunks:
            return
        draft.started_ms = self._host.clock.now_ms()
        recipient = self._recipients.get(draft.to)
        whom = {"recipient_user_id": recipient.person, "recipient_team_id": recipient.team} if recipient else {}
        try:
            started = await api.call(
                "chat_startStream", channel=draft.to.chat, thread_ts=draft.to.thread, chunks=piece.chunks, **whom
            )
        except CallFailed as failed:
            if failed.retry_after_s is not None or not failed.is_certain:
                raise
            log.info("streaming is refused (%s); answers are posted and edited for a while", failed)
            self._streams_from = self._host.clock.monotonic() + REFUSED_S
            draft.is_editing, draft.streamed = True, None
            draft.changed.set()
            return
        draft.is_streaming = True
        _take(draft, piece)
        await self._posted(draft, str(started.get("ts") or ""))

    async def _append(self, api: "Api", draft: Draft) -> None:
        piece = _next(draft)
        if piece.chunks and not draft.is_torn:
            await api.call("chat_appendStream", channel=draft.to.chat, ts=draft.ts, chunks=piece.chunks)
            _take(draft, piece)

    async def _post(self, api: "Api", draft: Draft) -> None:
        draft.is_editing, draft.started_ms = True, self._host.clock.now_ms()
        sent = len(draft.text)
        text = render(blocks.first_part(draft.text), SLACK)
        key = blocks.key_of(self._account, draft.message, 0)
        posted = await api.call(
            "chat_postMessage", **content(draft.to, text, blocks.body(text), key), **threaded(draft.to)
        )
        draft.sent = sent
        await self._posted(draft, str(posted.get("ts") or ""))

    async def _edit(self, api: "Api", draft: Draft) -> None:
        if draft.sent >= blocks.TEXT_CHARS or draft.sent == len(draft.text):
            return
        if not self._edits.take(self._host.clock.monotonic()):
            draft.changed.set()
            return
        sent = len(draft.text)
        text = render(blocks.first_part(draft.text), SLACK)
        key = blocks.key_of(self._account, draft.message, 0)
        await api.call("chat_update", ts=draft.ts, **content(draft.to, text, blocks.body(text), key))
        draft.sent = sent

    async def _posted(self, draft: Draft, ts: str) -> None:
        if not ts:
            draft.is_lost = True
            return
        draft.ts = ts
        self.ours.note(draft.to, ts)
        try:
            await self._host.receive(DraftPosted(draft.to, draft.message, external(draft.to.chat, ts)))
        except FrontdeskError as error:
            log.info("a shown draft could not be recorded; it is looked up when needed: %s", error)


def _next(draft: Draft) -> Piece:
    """https://docs.slack.dev/reference/methods/chat.startStream: its chunks."""
    steps = tuple(draft.steps.values())
    chunks: list[dict[str, Any]] = [
        {
            "type": "task_update",
            "id": step.id,
            "title": step.title.translate(_ESCAPES)[:_TASK_CHARS],
            "status": _STATES[step.state],
        }
        for step in steps
    ]
    end = min(len(draft.text), blocks.TEXT_CHARS)
    if end > draft.sent:
        safe = safe_piece(draft.text[draft.sent : end], draft.text[: draft.sent])
        chunks.append({"type": "markdown_text", "text": safe})
    return Piece(chunks, steps, end)


def _take(draft: Draft, piece: Piece) -> None:
    """A piece has arrived. More may have been added since it was made."""
    for step in piece.steps:
        if draft.steps.get(step.id) is step:
            del draft.steps[step.id]
    shown = draft.text[: piece.end]
    draft.sent = piece.end
    draft.streamed = shown if safe_piece(shown, "") == shown else None


def safe_piece(text: str, before: str) -> str:
    """A piece of Markdown that can mention nobody and fetch no picture, whatever the pieces around it are."""
    safe = text.translate(_ESCAPES).replace("![", "!\\[")
    return "\\" + safe if before.endswith("!") and safe.startswith("[") else safe


def content(to: Address, text: str, body: list[dict[str, Any]], key: str) -> dict[str, Any]:
    """What posting and editing have in common. Slack makes no links, names or previews of its own from it."""
    return {
        "channel": to.chat,
        "text": text,
        "blocks": body,
        "metadata": blocks.marked(key),
        "parse": "none",
        "link_names": False,
    }


def threaded(to: Address) -> dict[str, Any]:
    """What only posting has."""
    return {"thread_ts": to.thread or None, "unfurl_links": False, "unfurl_media": False}
