"""auth.*, team.*, users.*, bots.*, conversations.*, reactions.*: who and what there is. Each: https://docs.slack.dev/reference/methods/NAME"""

import base64
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from tests.platforms.slack import events
from tests.platforms.slack.registry import (
    TIER_2,
    TIER_3,
    TIER_4,
    UNLIMITED,
    ApiError,
    Args,
    method,
    room_of,
)
from tests.platforms.slack.world import Json, Post, Room, Workspace

HISTORY_DEFAULT, HISTORY_MOST = 100, 999
"""https://docs.slack.dev/reference/methods/conversations.history: limit, "a maximum of 999"."""
REPLIES_DEFAULT = 1000
LIST_DEFAULT, LIST_MOST = 100, 1000
HISTORY_SCOPES = {"im": "im:history", "channel": "channels:history", "group": "groups:history"}

T = TypeVar("T")


@method("api.test", UNLIMITED)
def api_test(space: Workspace, args: Args) -> Json:
    return {"args": args.values}


@method("auth.test", UNLIMITED)
def auth_test(space: Workspace, args: Args) -> Json:
    if args.is_app_token:
        return {"app_name": space.bot.name, "app_id": space.app_id}
    return {
        "url": f"https://{space.name}.slack.com/",
        "team": space.name,
        "user": space.bot.name.lower(),
        "team_id": space.id,
        "user_id": space.bot.id,
        "bot_id": space.bot.bot_id,
        "is_enterprise_install": False,
    }


@method("apps.connections.open", TIER_3, "connections:write", takes_app_token=True)
def connections_open(space: Workspace, args: Args) -> Json:
    """A URL for one connection; it is good for one use."""
    return {"url": space.new_socket_url()}


@method("team.info", TIER_3, "team:read")
def team_info(space: Workspace, args: Args) -> Json:
    return {"team": {"id": space.id, "name": space.name, "domain": space.name, "email_domain": "", "icon": {}}}


@method("users.info", TIER_4, "users:read")
def users_info(space: Workspace, args: Args) -> Json:
    person = space.people.get(args.need("user", "user_not_found"))
    if person is None:
        raise ApiError("user_not_found")
    return {"user": space.person_json(person)}


@method("bots.info", TIER_3, "users:read")
def bots_info(space: Workspace, args: Args) -> Json:
    for person in space.people.values():
        if person.bot_id and person.bot_id == args.text("bot"):
            app = space.app_id if person is space.bot else "A0OTHER"
            bot = {"id": person.bot_id, "deleted": False, "name": person.name, "app_id": app, "user_id": person.id}
            return {"bot": bot | {"updated": 1_700_000_000, "icons": {}}}
    raise ApiError("bot_not_found")


# --- conversations -------------------------------------------------------------------------------------------------


@method("conversations.info", TIER_3, "im:read", "channels:read", "groups:read")
def conversations_info(space: Workspace, args: Args) -> Json:
    return {"channel": space.room_json(room_of(space, args))}


@method("conversations.open", TIER_3, "im:write")
def conversations_open(space: Workspace, args: Args) -> Json:
    if args.text("channel"):
        room = room_of(space, args)
    else:
        person = space.people.get(args.need("users", "users_list_not_supplied"))
        if person is None or person.is_bot:
            raise ApiError("user_not_found")
        room = space.direct(person)
    return {"channel": space.room_json(room) if args.flag("return_im") else {"id": room.id}}


@method("conversations.list", TIER_2, "im:read", "channels:read", "groups:read")
def conversations_list(space: Workspace, args: Args) -> Json:
    return _listed(space, args, lambda room: room.kind == "channel" or space.bot.id in room.members)


@method("users.conversations", TIER_3, "im:read", "channels:read", "groups:read")
def users_conversations(space: Workspace, args: Args) -> Json:
    """Those that the app is in; of a person's, those that both are in and the public ones."""
    user, bot = args.text("user"), space.bot.id
    if user and user not in space.people:
        raise ApiError("user_not_found")
    return _listed(
        space,
        args,
        lambda room: (user or bot) in room.members and (room.kind == "channel" or bot in room.members),
    )


def _listed(space: Workspace, args: Args, is_shown: Callable[[Room], bool]) -> Json:
    kinds = {"public_channel": "channel", "private_channel": "group", "im": "im", "mpim": "mpim"}
    asked = [kind.strip() for kind in args.text("types", "public_channel").split(",")]
    if any(kind not in kinds for kind in asked):
        raise ApiError("invalid_types")
    wanted = {kinds[kind] for kind in asked}
    is_sparing = bool(args.flag("exclude_archived"))
    rooms = [room for room in space.rooms.values() if room.kind in wanted and not (is_sparing and room.is_archived)]
    page, cursor = paged([room for room in rooms if is_shown(room)], args, LIST_DEFAULT, LIST_MOST)
    return {"channels": [space.room_json(room) for room in page], "response_metadata": {"next_cursor": cursor}}


@method("conversations.members", TIER_4, "im:read", "channels:read", "groups:read")
def conversations_members(space: Workspace, args: Args) -> Json:
    page, cursor = paged(sorted(room_of(space, args).members), args, LIST_DEFAULT, LIST_MOST)
    return {"members": list(page), "response_metadata": {"next_cursor": cursor}}


@method("conversations.history", TIER_3, "im:history", "channels:history", "groups:history")
def conversations_history(space: Workspace, args: Args) -> Json:
    """Messages that are no replies, the newest first."""
    room = _readable(space, args)
    posts = [post for post in space.all_posts(room.id) if not post.thread_ts or post.thread_ts == post.ts]
    found = [post for post in reversed(posts) if _is_within(post, args)]
    page, cursor = paged(found, args, HISTORY_DEFAULT, HISTORY_MOST)
    return _messages(space, page, cursor, args) | {"pin_count": 0}


@method("conversations.replies", TIER_3, "im:history", "channels:history", "groups:history")
def conversations_replies(space: Workspace, args: Args) -> Json:
    """The root of the thread and then its replies, the oldest first."""
    room = _readable(space, args)
    named = space.find_post(room.id, args.need("ts", "thread_not_found"))
    if named is None:
        raise ApiError("thread_not_found")
    root = space.posts[room.id].get(named.thread_ts or named.ts, named)
    replies = [post for post in space.replies_to(room.id, root.ts) if _is_within(post, args)]
    page, cursor = paged([root, *replies], args, REPLIES_DEFAULT, REPLIES_DEFAULT)
    return _messages(space, page, cursor, args)


def _readable(space: Workspace, args: Args) -> Room:
    room = room_of(space, args)
    if space.bot.id not in room.members:
        raise ApiError("not_in_channel" if room.kind == "channel" else "channel_not_found")
    scope = HISTORY_SCOPES[room.kind]
    if scope not in space.scopes:
        raise ApiError("missing_scope", needed=scope, provided=",".join(sorted(space.scopes)))
    return room


def _is_within(post: Post, args: Args) -> bool:
    at, is_inclusive = number(post.ts), bool(args.flag("inclusive"))
    oldest, latest = number(args.text("oldest", "0")), number(args.text("latest", "inf"))
    return oldest <= at <= latest if is_inclusive else oldest < at < latest


def number(ts: str) -> float:
    try:
        return float(ts)
    except ValueError:
        raise ApiError("invalid_ts_oldest") from None


def _messages(space: Workspace, page: Sequence[Post], cursor: str, args: Args) -> Json:
    has_metadata = bool(args.flag("include_all_metadata"))
    return {
        "messages": [space.post_json(post, has_metadata=has_metadata) for post in page],
        "has_more": bool(cursor),
        "response_metadata": {"next_cursor": cursor},
    }


def paged(items: Sequence[T], args: Args, default: int, most: int) -> tuple[Sequence[T], str]:
    """One page, and the cursor of the next ("" at the end). https://docs.slack.dev/apis/web-api/pagination"""
    limit = args.number("limit", default)
    if limit < 1:
        raise ApiError("invalid_limit")
    limit = min(limit, most)
    start = 0
    if cursor := args.text("cursor"):
        try:
            start = int(base64.b64decode(cursor, validate=True).decode().removeprefix("next:"))
        except (ValueError, UnicodeDecodeError):
            raise ApiError("invalid_cursor") from None
    end = start + limit
    return items[start:end], base64.b64encode(f"next:{end}".encode()).decode() if end < len(items) else ""


# --- reactions -----------------------------------------------------------------------------------------------------


def _reacted(space: Workspace, args: Args) -> tuple[Post, str]:
    room = room_of(space, args)
    post = space.find_post(room.id, args.need("timestamp", "no_item_specified"))
    if post is None:
        raise ApiError("message_not_found")
    return post, args.need("name", "invalid_name").strip(":")


@method("reactions.add", TIER_3, "reactions:write")
def reactions_add(space: Workspace, args: Args) -> Json:
    post, name = _reacted(space, args)
    if space.bot.id in post.reactions.setdefault(name, []):
        raise ApiError("already_reacted")
    post.reactions[name].append(space.bot.id)
    space.emit(*events.reacted(space, post, space.bot.id, name, is_added=True))
    return {}


@method("reactions.remove", TIER_2, "reactions:write")
def reactions_remove(space: Workspace, args: Args) -> Json:
    post, name = _reacted(space, args)
    if space.bot.id not in post.reactions.get(name, []):
        raise ApiError("no_reaction")
    post.reactions[name].remove(space.bot.id)
    space.emit(*events.reacted(space, post, space.bot.id, name, is_added=False))
    return {}


@method("reactions.get", TIER_3, "reactions:read")
def reactions_get(space: Workspace, args: Args) -> Json:
    room = room_of(space, args)
    post = space.find_post(room.id, args.need("timestamp", "no_item_specified"))
    if post is None:
        raise ApiError("message_not_found")
    body: dict[str, Any] = {"type": "message", "channel": room.id, "message": space.post_json(post)}  # Any: JSON
    return body
