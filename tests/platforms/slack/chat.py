"""chat.*: posting, changing, deleting and streaming messages. Each method: https://docs.slack.dev/reference/methods/NAME"""

import re
from collections.abc import Callable

from tests.platforms.slack import blockkit, events
from tests.platforms.slack.registry import (
    POSTING,
    TIER_2,
    TIER_3,
    TIER_4,
    ApiError,
    Args,
    method,
    room_of,
    writable,
)
from tests.platforms.slack.world import Json, Post, Room, Stream, Workspace

POST_CHARS = 40_000
"""https://docs.slack.dev/reference/methods/chat.postMessage#truncating: longer text is cut."""
UPDATE_CHARS = 4_000
"""https://docs.slack.dev/reference/methods/chat.update: `msg_too_long`, "The text field cannot exceed 4,000 characters"."""
NAMED_LINK = re.compile(r"<(https?://[^>|]+\|[^>]+)>")
"""What chat.update spoils without parse=none, as its `parse` "defaults to client, unlike chat.postMessage": seen on a real workspace
(shaharia-lab/slackcli, pull request 120). https://docs.slack.dev/reference/methods/chat.update"""
MARKDOWN_CHARS = 12_000
"""https://docs.slack.dev/reference/methods/chat.appendStream: "Limit this field to 12,000 characters"."""
STREAM_S = 300.0
"""Not documented: a stream that has been open so long is closed by Slack, and then answers message_not_in_streaming_state."""
STATUSES = ("pending", "in_progress", "complete", "error")
"""https://docs.slack.dev/messaging/sending-and-scheduling-messages#text-streaming: of a task_update chunk."""


# --- posting -------------------------------------------------------------------------------------------------------


@method("chat.postMessage", POSTING, "chat:write")
def post_message(space: Workspace, args: Args) -> Json:
    room = writable(space, args)
    text, blocks = content(space, "chat.postMessage", args)
    watch_post(space, args)
    post = space.own_post(
        room.id, text, blocks=blocks, thread_ts=thread_of(space, args, room), metadata=metadata_of(args)
    )
    post.attachments = args.data("attachments") or []
    post.client_msg_id = args.text("client_msg_id")  # kept and returned; nothing documents that it dedupes
    show(space, post)
    return {"channel": room.id, "ts": post.ts, "message": space.post_json(post, has_metadata=True)}


@method("chat.postEphemeral", TIER_4, "chat:write")
def post_ephemeral(space: Workspace, args: Args) -> Json:
    room = writable(space, args)
    person = args.need("user", "user_not_in_channel")
    if person not in room.members:
        raise ApiError("user_not_in_channel")
    text, blocks = content(space, "chat.postEphemeral", args)
    post = space.own_post(room.id, text, blocks=blocks, thread_ts=args.text("thread_ts"), only_for=person)
    space.put(post)
    return {"message_ts": post.ts}


@method("chat.update", TIER_3, "chat:write")
def update(space: Workspace, args: Args) -> Json:
    room, post = own_message(space, args, "cant_update_message")
    if post.stream is not None and is_open(space, post):
        raise ApiError("streaming_state_conflict")
    if len(args.text("text")) > UPDATE_CHARS:
        raise ApiError("msg_too_long")
    text, blocks = content(space, "chat.update", args)
    before = space.post_json(post)
    if "text" in args.values and not blocks and args.text("parse") != "none":
        text = NAMED_LINK.sub(r"&lt;\1&gt;", text)
    if "text" in args.values or "markdown_text" in args.values or args.data("blocks") is not None:
        has_blocks = args.data("blocks") is not None
        post.stream = None
        post.text = text
        post.blocks = blocks if has_blocks or "text" in args.values or "markdown_text" in args.values else post.blocks
        if not has_blocks:
            post.edited_by, post.edited_ts = space.bot.id, space.new_ts()
    if "metadata" in args.values:
        post.metadata = metadata_of(args)
    space.note_shown(post)
    space.emit(*events.changed(space, post, before))
    return {"channel": room.id, "ts": post.ts, "text": post.text, "message": space.post_json(post, has_metadata=True)}


@method("chat.delete", TIER_3, "chat:write")
def delete(space: Workspace, args: Args) -> Json:
    room, post = own_message(space, args, "cant_delete_message")
    remove(space, post)
    return {"channel": room.id, "ts": post.ts}


@method("chat.getPermalink", TIER_4)
def permalink(space: Workspace, args: Args) -> Json:
    room = room_of(space, args)
    post = space.find_post(room.id, args.need("message_ts"))
    if post is None:
        raise ApiError("message_not_found")
    url = f"https://{space.name}.slack.com/archives/{room.id}/p{post.ts.replace('.', '')}"
    return {"channel": room.id, "permalink": url}


def show(space: Workspace, post: Post) -> None:
    """Puts a message of the app before people: a reply clears the status of its thread, and the app hears its own echo."""
    space.put(post)
    if post.thread_ts and space.status_of(post.room, post.thread_ts):
        space.set_status(post.room, post.thread_ts, "")
    for event in events.posted(space, post):
        space.emit(*event)


def remove(space: Workspace, post: Post) -> None:
    """A message with replies leaves a tombstone, every other is gone.

    https://docs.slack.dev/reference/events/message/message_deleted"""
    before = space.post_json(post)
    if post.stream is not None:
        post.stream.is_open = False
    if not space.replies_to(post.room, post.ts):
        post.is_deleted = True
        space.emit(*events.deleted(space, post, before))
        return
    post.subtype, post.text, post.user = "tombstone", "This message was deleted.", "USLACKBOT"
    post.blocks, post.files, post.stream, post.bot_id, post.app_id, post.metadata = [], [], None, "", "", None
    space.emit(*events.changed(space, post, before))


# --- streaming -----------------------------------------------------------------------------------------------------


@method("chat.startStream", TIER_2, "chat:write")
def start_stream(space: Workspace, args: Args) -> Json:
    room = writable(space, args)
    if space.stream_refusal:
        raise ApiError(space.stream_refusal)
    thread = args.text("thread_ts")
    if not thread:
        space.ledger.break_rule("chat.startStream without thread_ts")
        raise ApiError(
            "invalid_arguments", response_metadata={"messages": ["[ERROR] missing required field: thread_ts"]}
        )
    if space.find_post(room.id, thread) is None:
        raise ApiError("message_not_found")
    if room.kind != "im":
        _need_recipient(space, args)
    watch_mentions(space, "chat.startStream", args.text("markdown_text"), [])
    post = space.own_post(room.id, "", thread_ts=thread, stream=Stream(space.clock.monotonic()))
    _append(space, post, args)
    show(space, post)
    return {"channel": room.id, "ts": post.ts}


def _need_recipient(space: Workspace, args: Args) -> None:
    for key in ("recipient_team_id", "recipient_user_id"):
        if not args.text(key):
            space.ledger.break_rule(f"chat.startStream into a channel without {key}")
            raise ApiError(f"missing_{key}")
    if args.text("recipient_team_id") != space.id:
        raise ApiError("team_not_found")
    if args.text("recipient_user_id") not in space.people:
        raise ApiError("user_not_found")


@method("chat.appendStream", TIER_4, "chat:write")
def append_stream(space: Workspace, args: Args) -> Json:
    room, post = _streaming(space, args)
    if not args.text("markdown_text") and not args.data("chunks"):
        raise ApiError("markdown_text_or_chunks_required")
    _append(space, post, args)
    space.note_shown(post)
    return {"channel": room.id, "ts": post.ts}


@method("chat.stopStream", TIER_2, "chat:write")
def stop_stream(space: Workspace, args: Args) -> Json:
    room, post = _streaming(space, args)
    blocks = checked_blocks(args.data("blocks", "invalid_blocks"))
    watch_mentions(space, "chat.stopStream", "", blocks)
    before = space.post_json(post)
    _append(space, post, args)
    post.blocks = blocks
    if args.data("metadata") is not None:
        post.metadata = metadata_of(args)
    if post.stream is not None:
        post.stream.is_open = False
    space.note_shown(post)
    space.emit(*events.changed(space, post, before))
    return {"channel": room.id, "ts": post.ts, "message": space.post_json(post, has_metadata=True)}


def is_open(space: Workspace, post: Post) -> bool:
    """Whether it can still be appended to."""
    stream = post.stream
    if stream is None or not stream.is_open:
        return False
    if space.clock.monotonic() - stream.opened > STREAM_S:
        stream.is_open = False
    return stream.is_open


def _streaming(space: Workspace, args: Args) -> tuple[Room, Post]:
    room, post = own_message(space, args, "message_not_owned_by_app")
    if post.stream is not None and post.stream.is_stopped_by_person:
        raise ApiError("stopped_by_user")
    if not is_open(space, post):
        raise ApiError("message_not_in_streaming_state")
    return room, post


def _append(space: Workspace, post: Post, args: Args) -> None:
    text, chunks = args.text("markdown_text"), args.data("chunks", "invalid_chunks") or []
    if text and chunks:
        raise ApiError("cannot_provide_both_markdown_text_and_chunks")
    mode = "markdown_text" if text else "chunks" if chunks else ""
    stream = post.stream
    if stream is None or not mode:
        return
    if stream.mode and stream.mode != mode:
        raise ApiError("streaming_mode_mismatch")
    for chunk in chunks:
        if not isinstance(chunk, dict) or (check := _CHUNKS.get(str(chunk.get("type")))) is None or not check(chunk):
            raise ApiError("invalid_chunks")
    if len(text) > MARKDOWN_CHARS or any(len(chunk.get("text", "")) > MARKDOWN_CHARS for chunk in chunks):
        space.ledger.break_rule(f"more than {MARKDOWN_CHARS} characters appended to a stream at once")
        raise ApiError("msg_too_long")
    stream.mode = mode
    stream.text += text
    for chunk in chunks:
        _take(stream, chunk)
    watch_mentions(space, "a stream", stream.text, stream.blocks)


def _take(stream: Stream, chunk: Json) -> None:
    match chunk["type"]:
        case "markdown_text":
            stream.text += chunk["text"]
        case "plan_update":
            stream.plan = chunk["title"]
        case "task_update":
            task = stream.tasks.setdefault(chunk["id"], {})
            task |= {key: content for key, content in chunk.items() if key != "type"}
        case "blocks":
            stream.blocks += checked_blocks(chunk["blocks"])


_CHUNKS: dict[str, Callable[[Json], bool]] = {
    "markdown_text": lambda chunk: isinstance(chunk.get("text"), str),
    "plan_update": lambda chunk: bool(chunk.get("title")),
    "task_update": lambda chunk: bool(chunk.get("id") and chunk.get("title")) and chunk.get("status") in STATUSES,
    "blocks": lambda chunk: isinstance(chunk.get("blocks"), list),
}


# --- what is checked -----------------------------------------------------------------------------------------------


def content(space: Workspace, name: str, args: Args) -> tuple[str, list[Json]]:
    """Text and blocks of a call, as Slack takes or refuses them."""
    text, blocks = args.text("text"), args.data("blocks", "invalid_blocks_format")
    markdown = args.text("markdown_text")
    if markdown and (text or blocks):
        raise ApiError("markdown_text_conflict")
    if len(markdown) > MARKDOWN_CHARS:
        raise ApiError("msg_too_long")
    kept = checked_blocks(blocks)
    if not (text.strip() or markdown.strip() or kept or args.data("attachments")):
        raise ApiError("no_text")
    if len(text) > POST_CHARS:
        space.ledger.break_rule(f"{name}: text of {len(text)} characters is cut at {POST_CHARS}")
        text = text[:POST_CHARS]
    watch_mentions(space, name, text or markdown, kept)
    if args.flag("link_names") or args.text("parse") == "full":
        space.ledger.break_rule(f"{name}: names in the text become mentions (link_names, or parse=full)")
    return text or markdown, kept


def checked_blocks(blocks: object) -> list[Json]:
    """Each block with an id, as Slack gives them. Raises invalid_blocks, msg_blocks_too_many or msg_blocks_too_long."""
    if blocks is None:
        return []
    if found := blockkit.problems(blocks):
        raise ApiError(
            "invalid_blocks", errors=found, response_metadata={"messages": [f"[ERROR] {what}" for what in found]}
        )
    kept: list[Json] = [dict(block) for block in blocks]  # type: ignore[attr-defined]  # `problems` found that it is a list
    chars, markdown = blockkit.size(kept)
    if chars > blockkit.ALL_CHARS or markdown > blockkit.MARKDOWN_CHARS:
        raise ApiError("msg_blocks_too_long")
    for index, block in enumerate(kept):
        block.setdefault("block_id", f"b{index}x")
        for place, element in enumerate(block.get("elements") or []):
            if element.get("type") in blockkit.PRESSABLE:
                element.setdefault("action_id", f"a{index}x{place}")
    return kept


def metadata_of(args: Args) -> Json | None:
    """https://docs.slack.dev/messaging/message-metadata"""
    metadata = args.data("metadata", "invalid_metadata_format")
    if not metadata:
        return None
    if not isinstance(metadata, dict):
        raise ApiError("invalid_metadata_format")
    if not metadata.get("event_type") or not isinstance(metadata.get("event_payload"), dict):
        raise ApiError("invalid_metadata_schema")
    return metadata


def thread_of(space: Workspace, args: Args, room: Room) -> str:
    """The root of the thread that a post goes to. Naming a reply is a fault that Slack's pages warn of. Where the root is gone, Slack
    knows no error: the message goes into the room itself, and `message` in the answer has no `thread_ts` (slack-go/slack, issue 1571)."""
    thread = args.text("thread_ts")
    if not thread:
        return ""
    root = space.find_post(room.id, thread)
    if root is None:
        space.ledger.unthreaded.append(f"{room.id}:{thread}")
        return ""
    if root.thread_ts and root.thread_ts != root.ts:
        space.ledger.break_rule("thread_ts names a reply, not the root of its thread")
        return root.thread_ts
    return thread


def own_message(space: Workspace, args: Args, refusal: str) -> tuple[Room, Post]:
    """The app's own message that `channel` and `ts` name; in a direct chat by its D id, never by a person's."""
    if args.need("channel", "channel_not_found") not in space.rooms:
        raise ApiError("channel_not_found")
    room = room_of(space, args)
    post = space.find_post(room.id, args.need("ts", "message_not_found"))
    if post is None or post.only_for:
        raise ApiError("message_not_found")
    if post.user != space.bot.id:
        raise ApiError(refusal)
    return room, post


def watch_post(space: Workspace, args: Args) -> None:
    for key in ("unfurl_links", "unfurl_media"):
        if args.flag(key) is not False:
            space.ledger.break_rule(f"chat.postMessage without {key}=false")


def watch_mentions(space: Workspace, name: str, text: str, blocks: list[Json]) -> None:
    for mention in blockkit.mentions_in(text, blocks):
        space.ledger.break_rule(f"{name}: a mention that pings: {mention}")
