"""Our messages to Slack: posting, putting a text in a draft's place, finding out what arrived, taking back.

Every post carries the key of (message, part) in its metadata. What may or may not have arrived is looked for under it: a post shows in
the history at once, and certainly within `SETTLE_S`.
"""

import logging
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from adapters.slack import blocks, cards
from adapters.slack.drafts import Draft, Drafts, content, threaded
from adapters.slack.events import Me, external, ms_of, split_external, ts_of
from adapters.slack.faults import GONE, MISSHAPEN, UNEDITABLE, CallFailed, as_send_error
from adapters.slack.pages import PAGE, Json, next_cursor
from bot.errors import Refused, SendRefused, SendUncertain
from bot.model import Address, Attachment, Message, MessageId, value
from bot.ports import Host, Receipt

if TYPE_CHECKING:
    from adapters.slack.api import Api

log = logging.getLogger(__name__)

SETTLE_S: Final = 30.0  # so long after a try its absence from the history proves nothing
BEFORE_MS: Final = 60_000  # two machines' clocks differ by less
MOST_PAGES: Final = 10
MOST_UPLOADED: Final = 1_000
TELLING: Final = 24  # a draft is known by its text alone from so many characters on


@value
class Sought:
    """What is looked for: by its key, by the whole text of its message, and nothing before that time. `is_draft`: perhaps only the first of
    it is there. `instead_of`: the draft that it is not."""

    key: str
    since_ms: int
    text: str
    is_draft: bool = False
    instead_of: str = ""

    def reads_like(self, text: str) -> bool:
        shown, whole = text.strip(), self.text.strip()
        return bool(shown) and (shown == whole or (self.is_draft and len(shown) >= TELLING and whole.startswith(shown)))


class Outbound:
    """One account's messages to Slack. Raises CallFailed, SendRefused or SendUncertain."""

    def __init__(self, host: Host, account: str, drafts: Drafts, *, has_feedback: bool, operators: str = "") -> None:
        self._host = host
        self._account = account
        self._drafts = drafts
        self._has_feedback = has_feedback
        self._operators = operators  # the channel of the operators' room
        self._uploaded: OrderedDict[str, None] = OrderedDict()  # keys whose files are shown already

    async def send(self, api: "Api", me: Me, to: Address, message: Message) -> Receipt:
        """Posts one part, or puts it in the place of a draft. Files come before the text, whose key says that all has arrived."""
        draft = await self._drafts.close(message.id) if message.part == 0 else None
        key = blocks.key_of(self._account, message.id, message.part)
        try:
            if message.attachments and key not in self._uploaded:
                await self._share_files(api, to, message)
                self._remember(key)
            ts = await self._place(api, me, to, message, key, draft)
            self._drafts.ours.note(to, ts)
        except (CallFailed, SendUncertain) as error:
            if draft is not None:
                if not draft.ts and isinstance(error, CallFailed) and not error.is_certain:
                    draft.is_lost, draft.started_ms = True, self._host.clock.now_ms()
                self._drafts.keep(draft)
            raise
        return Receipt(self._named(to, ts))

    async def _place(self, api: "Api", me: Me, to: Address, message: Message, key: str, draft: Draft | None) -> str:
        shown = split_external(message.replaces)[1]
        if draft is not None:
            shown = draft.ts or shown or await self._find_lost(api, me, to, draft, message)
            if draft.is_streaming and await self._finish(api, to, message, key, draft):
                return shown
        return await (self._put(api, me, to, message, key, shown) if shown else self._post(api, to, message, key))

    async def _post(self, api: "Api", to: Address, message: Message, key: str) -> str:
        posted = await _told(api, "chat_postMessage", self._whole(to, message, key), **threaded(to))
        return str(posted.get("ts") or "")

    def _named(self, to: Address, ts: str) -> str:
        """Our id of a message. In the operators' room it is the ts, which is also what a card's thread goes by."""
        return ts if self._is_room(to) else external(to.chat, ts)

    def _is_room(self, to: Address) -> bool:
        return bool(self._operators) and to.chat == self._operators

    def _text(self, to: Address, message: Message) -> str:
        return cards.told(message) if self._is_room(to) else blocks.shown_text(message)

    def _whole(self, to: Address, message: Message, key: str) -> dict[str, Any]:
        text = self._text(to, message)
        if self._is_room(to):
            return content(to, text, cards.body(message, to.thread), key)
        under = blocks.extras(message, to.thread, has_feedback=self._has_feedback)
        return content(to, text, blocks.body(text) + under, key)

    # --- in a draft's place ----------------------------------------------------------------------------------------

    async def _put(self, api: "Api", me: Me, to: Address, message: Message, key: str, ts: str) -> str:
        try:
            await self._update(api, to, ts, key, self._whole(to, message, key))
        except CallFailed as failed:
            if failed.is_token or not failed.is_settled:
                raise
            posted = await self._post_anew(api, me, to, message, key, ts)
            if failed.code not in GONE:
                await self._leave(api, to, ts)
            return posted
        return ts

    async def _leave(self, api: "Api", to: Address, ts: str) -> None:
        """A draft that cannot be changed, once something else stands in its stead."""
        try:
            await self._delete(api, to, ts)
        except CallFailed as failed:
            log.info("a draft that was replaced stays: %s", failed)

    async def _post_anew(self, api: "Api", me: Me, to: Address, message: Message, key: str, ts: str) -> str:
        """The draft is gone. An earlier try may have posted in its stead already."""
        sought = Sought(key, message.at_ms - BEFORE_MS, self._text(to, message), instead_of=ts)
        try:
            found = await self._look_up(api, me, to, sought)
        except CallFailed as failed:
            if failed.is_token or not failed.is_settled:
                raise
            found = ""
        if found:
            await _told(api, "chat_update", self._whole(to, message, key), ts=found)
            return found
        return await self._post(api, to, message, key)

    async def _update(self, api: "Api", to: Address, ts: str, key: str, whole: Mapping[str, Any]) -> None:
        """A stream that a run before this one has opened may still be open, and refuses every change until it is stopped."""
        try:
            await _told(api, "chat_update", whole, ts=ts)
        except CallFailed as failed:
            if failed.code != "streaming_state_conflict":
                raise
            await self._stop(api, to, ts, key)
            await _told(api, "chat_update", whole, ts=ts)

    async def _finish(self, api: "Api", to: Address, message: Message, key: str, draft: Draft) -> bool:
        """Stops a stream. True when it shows the final text, so that nothing is left to do."""
        is_final = draft.streamed is not None and draft.streamed == message.text
        under = blocks.extras(message, to.thread, has_feedback=self._has_feedback) if is_final else []
        was_open = await self._stop(api, to, draft.ts, key, under)
        draft.is_streaming = False
        return is_final and was_open

    async def _stop(self, api: "Api", to: Address, ts: str, key: str, under: list[blocks.Block] | None = None) -> bool:
        """False where the stream had ended before, or is not stopped so."""
        try:
            await api.call("chat_stopStream", channel=to.chat, ts=ts, metadata=blocks.marked(key), blocks=under or None)
        except CallFailed as failed:
            if failed.is_token or not failed.is_settled:
                raise
            return False
        return True

    async def _find_lost(self, api: "Api", me: Me, to: Address, draft: Draft, message: Message) -> str:
        """A draft whose first post may have arrived. "" when it certainly has not."""
        if not draft.is_lost:
            return ""
        key, text = blocks.key_of(self._account, message.id, 0), blocks.shown_text(message)
        sought = Sought(key, draft.started_ms - BEFORE_MS, text, is_draft=True)
        try:
            found = await self._look_up(api, me, to, sought)
        except CallFailed as failed:
            if failed.is_token or not failed.is_settled:
                raise
            raise SendUncertain(f"could not look for the draft: {failed}") from failed
        if not found and self._host.clock.now_ms() - draft.started_ms < SETTLE_S * 1000:
            raise SendUncertain("nobody knows yet whether the draft is shown")
        return found

    async def withdraw(self, api: "Api", to: Address, message: MessageId, shown_as: str) -> None:
        """Deletes what is shown of a draft; where that is refused, a quiet line takes its place."""
        draft = await self._drafts.close(message)
        ts = draft.ts if draft is not None and draft.ts else split_external(shown_as)[1]
        if not ts:
            return
        key = blocks.key_of(self._account, message, 0)
        if await self._delete(api, to, ts):
            return
        await self._stop(api, to, ts, key)
        if not await self._delete(api, to, ts):
            quiet = content(to, blocks.WITHDRAWN, blocks.body(blocks.WITHDRAWN), key)
            await api.call("chat_update", ts=ts, **quiet)

    async def _delete(self, api: "Api", to: Address, ts: str) -> bool:
        """False where it is refused, as for a stream that is open."""
        try:
            await api.call("chat_delete", channel=to.chat, ts=ts)
        except CallFailed as failed:
            if failed.code in GONE:
                return True
            if failed.code in UNEDITABLE | {"streaming_state_conflict", "compliance_exports_prevent_deletion"}:
                return False
            raise
        return True

    # --- what arrived ----------------------------------------------------------------------------------------------

    async def find(self, api: "Api", me: Me, to: Address, message: Message, attempted_at_ms: int) -> Receipt | None:
        """Looks for a post by its key. What this run knows of its own draft needs no call. A card that was to be changed is
        simply changed again."""
        if message.replaces and self._is_room(to):
            return None
        draft = await self._drafts.settle(message.id) if message.part == 0 else None
        if draft is not None and not draft.is_lost:
            return Receipt(self._named(to, draft.ts)) if draft.ts else None
        key = blocks.key_of(self._account, message.id, message.part)
        text = self._text(to, message) if message.text else ""
        is_draft = message.part == 0 and not self._is_room(to)
        sought = Sought(key, attempted_at_ms - BEFORE_MS, text, is_draft=is_draft)
        try:
            ts = await self._look_up(api, me, to, sought)
        except CallFailed as failed:
            if failed.retry_after_s is not None:
                raise as_send_error(failed) from failed
            raise SendUncertain(f"could not look for it: {failed}") from failed
        if ts:
            return Receipt(self._named(to, ts))
        if self._host.clock.now_ms() - attempted_at_ms < SETTLE_S * 1000:
            raise SendUncertain("it may still come to light")
        return None

    async def _look_up(self, api: "Api", me: Me, to: Address, sought: "Sought") -> str:
        """The ts of the post with that key, else "". Where Slack keeps no keys, one of ours that reads the same is it. A stream gets its key
        when it is stopped: one of ours without a key is taken for it, since in a thread only one answer is written at a time."""
        arguments: dict[str, Any] = {
            "channel": to.chat,
            "oldest": ts_of(sought.since_ms),
            "limit": PAGE,
            "include_all_metadata": True,
        }
        method = "conversations_history"
        if to.thread:
            method, arguments["ts"] = "conversations_replies", to.thread
        unkeyed: list[Mapping[str, Any]] = []
        page: Json = {}
        try:
            async for page in api.pages(method, MOST_PAGES, **arguments):
                for post in page.get("messages") or ():
                    if _key(post) == sought.key and post.get("ts") != sought.instead_of:
                        return str(post.get("ts"))
                    unkeyed += [post] if _is_unkeyed(post, me, to, sought) else []
        except CallFailed as failed:
            if failed.code not in GONE | {"channel_not_found"}:
                raise
        if next_cursor(page):
            raise SendUncertain("too much was said since to look through")
        return await self._same(to, unkeyed, sought)

    async def _same(self, to: Address, unkeyed: Sequence[Mapping[str, Any]], sought: "Sought") -> str:
        """The post that must be it, of ours without a key: none that is known as another."""
        for post in unkeyed:
            is_stream = sought.is_draft and bool(to.thread)
            ts = str(post.get("ts") or "")
            is_alike = is_stream or sought.reads_like(str(post.get("text") or ""))
            if is_alike and not await self._host.has_receipt(to, self._named(to, ts)):
                return ts
        return ""

    # --- files -----------------------------------------------------------------------------------------------------

    async def _share_files(self, api: "Api", to: Address, message: Message) -> None:
        """Slack shows them when all are there: https://docs.slack.dev/reference/methods/files.completeUploadExternal"""
        uploads = [
            {"file": await self._read(message, attachment), "filename": attachment.name, "title": attachment.name}
            for attachment in message.attachments
        ]
        try:
            await api.call("files_upload_v2", channel=to.chat, thread_ts=to.thread or None, file_uploads=uploads)
        except CallFailed as failed:
            if failed.is_token or not failed.is_settled:
                raise
            log.warning("the files of a message are not shown, its text is: %s", failed)

    async def _read(self, message: Message, attachment: Attachment) -> bytes:
        try:
            _, data = await self._host.open_attachment(message.id, attachment.blob)
        except Refused as refused:
            raise SendRefused(f"a file of it is gone: {refused.detail}", is_retryable=False) from refused
        return b"".join([piece async for piece in data])

    def _remember(self, key: str) -> None:
        self._uploaded[key] = None
        if len(self._uploaded) > MOST_UPLOADED:
            self._uploaded.popitem(last=False)


def _key(post: Mapping[str, Any]) -> str:
    metadata = post.get("metadata") or {}
    return str((metadata.get("event_payload") or {}).get("key") or "")


def _is_unkeyed(post: Mapping[str, Any], me: Me, to: Address, sought: Sought) -> bool:
    ts = str(post.get("ts") or "")
    is_ours = post.get("user") == me.user or (bool(me.bot) and post.get("bot_id") == me.bot)
    is_plain = not post.get("metadata") and not post.get("subtype") and not post.get("files")
    return is_ours and is_plain and ts not in (to.thread, sought.instead_of) and ms_of(ts) >= sought.since_ms


async def _told(api: "Api", method: str, whole: Mapping[str, Any], **more: object) -> Json:
    """Posts or changes a message; ever more plainly where Slack does not take it as it is."""
    *first, last = _ever_plainer(whole)
    for arguments in first:
        try:
            return await api.call(method, **arguments, **more)
        except CallFailed as failed:
            if failed.code not in MISSHAPEN:
                raise
            log.warning("Slack does not take a message as it is (%s); it is told more plainly", failed)
    return await api.call(method, **last, **more)


def _ever_plainer(whole: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    bare = {key: given for key, given in whole.items() if key != "metadata"} | {"blocks": []}
    without_thumbs = [block for block in whole["blocks"] if block["type"] != blocks.THUMBS]
    less = [{**whole, "blocks": without_thumbs}] if len(without_thumbs) < len(whole["blocks"]) else []
    return [whole, *less, bare]
