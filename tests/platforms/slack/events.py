"""Events as the Events API describes them, handed to whoever delivers them.

https://docs.slack.dev/reference/events"""

from collections.abc import Callable

from tests.platforms.slack.world import Json, Post, Workspace

Emit = Callable[[Json, str], None]  # the event, and the name it is subscribed to by


def message_name(space: Workspace, room: str) -> str:
    """The subscription that messages of a room belong to."""
    return {"im": "message.im", "channel": "message.channels", "group": "message.groups"}[space.rooms[room].kind]


def in_room(space: Workspace, post: Post) -> Json:
    return {"channel": post.room, "channel_type": space.rooms[post.room].channel_type}


def posted(space: Workspace, post: Post) -> list[tuple[Json, str]]:
    """A new message: the event of the room, and its twin where the app is mentioned in a channel."""
    body = space.post_json(post)
    body.pop("reply_count", None)
    event = body | in_room(space, post) | {"event_ts": post.ts}
    if (post.room, post.thread_ts) in space.assistant_threads and post.user != space.bot.id:
        event["assistant_thread"] = {"action_token": f"{post.ts}.token"}
    twins = [(event, message_name(space, post.room))]
    if space.rooms[post.room].kind != "im" and f"<@{space.bot.id}>" in post.text and post.user != space.bot.id:
        mention = {key: content for key, content in event.items() if key not in ("subtype", "channel_type")}
        twins.append((mention | {"type": "app_mention"}, "app_mention"))
    return twins


def changed(space: Workspace, post: Post, before: Json) -> tuple[Json, str]:
    """message_changed: for edits by people, unfurled links, titles of threads and the app's own updates alike."""
    ts = space.new_ts()
    event = {
        "type": "message",
        "subtype": "message_changed",
        "hidden": True,
        "message": space.post_json(post),
        "previous_message": before,
        "ts": ts,
        "event_ts": ts,
    }
    return event | in_room(space, post), message_name(space, post.room)


def deleted(space: Workspace, post: Post, before: Json) -> tuple[Json, str]:
    ts = space.new_ts()
    event = {
        "type": "message",
        "subtype": "message_deleted",
        "hidden": True,
        "deleted_ts": post.ts,
        "previous_message": before,
        "ts": ts,
        "event_ts": ts,
    }
    return event | in_room(space, post), message_name(space, post.room)


def reacted(space: Workspace, post: Post, person: str, name: str, *, is_added: bool) -> tuple[Json, str]:
    kind = "reaction_added" if is_added else "reaction_removed"
    event = {
        "type": kind,
        "user": person,
        "reaction": name,
        "item_user": post.user,
        "item": {"type": "message", "channel": post.room, "ts": post.ts},
        "event_ts": space.new_ts(),
    }
    return event, kind


def assistant_thread(
    space: Workspace, kind: str, person: str, room: str, thread: str, context: Json
) -> tuple[Json, str]:
    """`kind`: assistant_thread_started or assistant_thread_context_changed."""
    event = {
        "type": kind,
        "assistant_thread": {"user_id": person, "context": context, "channel_id": room, "thread_ts": thread},
        "event_ts": space.new_ts(),
    }
    return event, kind


def home_opened(space: Workspace, person: str, room: str, tab: str) -> tuple[Json, str]:
    event: Json = {"type": "app_home_opened", "user": person, "channel": room, "tab": tab, "event_ts": space.new_ts()}
    if tab == "home" and person in space.homes:
        event["view"] = space.homes[person].body
    return event, "app_home_opened"
