"""Our messages to Slack: posting, putting a text in a draft's place, finding out what arrived, taking back.

Every post carries the key of (message, part) in its metadata. What may or may not have arrived is looked for under it: a post shows in
the history at once, and certainly within `SETTLE_S`.
"""

from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from adapters.slack import blocks
from adapters.slack.drafts import Draft, Drafts, content, threaded
from adapters.slack.events import Me, external, ms_of, split_external, ts_of
from adapters.slack.faults import GONE, UNEDITABLE, CallFailed
from adapters.slack.pages import PAGE, Json, next_cursor
from bot.errors import Refused, SendRefused, SendUncertain
from bot.model import Address, Attachment, Message, MessageId
from bot.ports import Host, Receipt

if TYPE_CHECKING:
    from adapters.slack.api import Api

SETTLE_S: Final = 30.0  # so long after a try its absence from the history proves nothing
BEFORE_MS: Final = 60_000  # two machines' clocks differ by less
MOST_PAGES: Final = 10
MOST_UPLOADED: Final = 1_000
_ENDED: Final = {"message_not_in_streaming_state", "stopped_by_user"}


class Outbound:
    """One account's messages to Slack. Raises CallFailed, SendRefused or SendUncertain."""

    def __init__(self, host: Host, account: str, drafts: Drafts, *, has_feedback: bool) -> None:
        self._host = host
        self._account = account
        self._drafts = drafts
        self._has_feedback = has_feedback
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
        except (CallFailed, SendUncertain):
            if draft is not None:
                self._drafts.keep(draft)
            raise
        return Receipt(external(to.chat, ts))

    async def _place(self, api: "Api", me: Me, to: Address, message: Message, key: str, draft: Draft | None) -> str:
        shown = split_external(message.replaces)[1]
        if draft is not None:
            shown = draft.ts or shown or await self._find_lost(api, me, to, draft, key)
            if draft.is_streaming and await self._finish(api, to, message, key, draft):
                return shown
        return await (self._put(api, me, to, message, key, shown) if shown else self._post(api, to, message, key))

    async def _post(self, api: "Api", to: Address, message: Message, key: str) -> str:
        posted = await api.call("chat_postMessage", **self._whole(to, message, key), **threaded(to))
        return str(posted.get("ts") or "")

    def _whole(self, to: Address, message: Message, key: str) -> dict[str, Any]:
        text = blocks.shown_text(message)
        under = blocks.extras(message, to.thread, has_feedback=self._has_feedback)
        return content(to, text, blocks.body(text) + under, key)

    # --- in a draft's place ----------------------------------------------------------------------------------------

    async def _put(self, api: "Api", me: Me, to: Address, message: Message, key: str, ts: str) -> str:
        try:
            await self._update(api, to, ts, key, self._whole(to, message, key))
        except CallFailed as failed:
            if failed.code not in GONE | UNEDITABLE:
                raise
            if failed.code in UNEDITABLE:
                await self._delete(api, to, ts)
            return await self._post_anew(api, me, to, message, key, ts)
        return ts

    async def _post_anew(self, api: "Api", me: Me, to: Address, message: Message, key: str, ts: str) -> str:
        """The draft is gone. An earlier try may have posted in its stead already."""
        found = await self._look_up(api, me, to, key, message.at_ms - BEFORE_MS, has_streams=False)
        if found and found != ts:
            await api.call("chat_update", ts=found, **self._whole(to, message, key))
            return found
        return await self._post(api, to, message, key)

    async def _update(self, api: "Api", to: Address, ts: str, key: str, whole: Mapping[str, Any]) -> None:
        """A stream that a run before this one has opened may still be open, and refuses every change until it is stopped."""
        try:
            await api.call("chat_update", ts=ts, **whole)
        except CallFailed as failed:
            if failed.code != "streaming_state_conflict":
                raise
            await self._stop(api, to, ts, key)
            await api.call("chat_update", ts=ts, **whole)

    async def _finish(self, api: "Api", to: Address, message: Message, key: str, draft: Draft) -> bool:
        """Stops a stream. True when it shows the final text, so that nothing is left to do."""
        is_final = draft.streamed is not None and draft.streamed == message.text
        under = blocks.extras(message, to.thread, has_feedback=self._has_feedback) if is_final else []
        was_open = await self._stop(api, to, draft.ts, key, under)
        draft.is_streaming = False
        return is_final and was_open

    async def _stop(self, api: "Api", to: Address, ts: str, key: str, under: list[blocks.Block] | None = None) -> bool:
        """False where the stream had ended before."""
        try:
            await api.call("chat_stopStream", channel=to.chat, ts=ts, metadata=blocks.marked(key), blocks=under or None)
        except CallFailed as failed:
            if failed.code not in _ENDED:
                raise
            return False
        return True

    async def _find_lost(self, api: "Api", me: Me, to: Address, draft: Draft, key: str) -> str:
        """A draft whose first post may have arrived. "" when it certainly has not."""
        if not draft.is_lost:
            return ""
        found = await self._look_up(api, me, to, key, draft.started_ms - BEFORE_MS, has_streams=True)
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
        """Looks for a post by its key."""
        key = blocks.key_of(self._account, message.id, message.part)
        try:
            ts = await self._look_up(api, me, to, key, attempted_at_ms - BEFORE_MS, has_streams=message.part == 0)
        except CallFailed as failed:
            raise SendUncertain(f"could not look for it: {failed}") from failed
        if ts:
            return Receipt(external(to.chat, ts))
        if self._host.clock.now_ms() - attempted_at_ms < SETTLE_S * 1000:
            raise SendUncertain("it may still come to light")
        return None

    async def _look_up(self, api: "Api", me: Me, to: Address, key: str, since_ms: int, *, has_streams: bool) -> str:
        """The ts of the post with that key, else "". A stream gets its key when it is stopped: with `has_streams` one of ours without a
        key is taken for it, since in a thread only one answer is written at a time."""
        arguments: dict[str, Any] = {
            "channel": to.chat,
            "oldest": ts_of(since_ms),
            "limit": PAGE,
            "include_all_metadata": True,
        }
        method = "conversations_history"
        if to.thread:
            method, arguments["ts"] = "conversations_replies", to.thread
        unkeyed = ""
        page: Json = {}
        try:
            async for page in api.pages(method, MOST_PAGES, **arguments):
                for post in page.get("messages") or ():
                    if _key(post) == key:
                        return str(post.get("ts"))
                    if not unkeyed and _is_stream(post, me, to, since_ms):
                        unkeyed = str(post.get("ts"))
        except CallFailed as failed:
            if failed.code not in GONE | {"channel_not_found"}:
                raise
        if next_cursor(page):
            raise SendUncertain("too much was said since to look through")
        return unkeyed if has_streams and to.thread else ""

    # --- files -----------------------------------------------------------------------------------------------------

    async def _share_files(self, api: "Api", to: Address, message: Message) -> None:
        """Slack shows them when all are there: https://docs.slack.dev/reference/methods/files.completeUploadExternal"""
        uploads = [
            {"file": await self._read(message, attachment), "filename": attachment.name, "title": attachment.name}
            for attachment in message.attachments
        ]
        await api.call("files_upload_v2", channel=to.chat, thread_ts=to.thread or None, file_uploads=uploads)

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


def _is_stream(post: Mapping[str, Any], me: Me, to: Address, since_ms: int) -> bool:
    ts = str(post.get("ts") or "")
    is_ours = post.get("user") == me.user or (bool(me.bot) and post.get("bot_id") == me.bot)
    is_plain = not post.get("metadata") and not post.get("subtype") and not post.get("files")
    return is_ours and is_plain and ts != to.thread and ms_of(ts) >= since_ms
