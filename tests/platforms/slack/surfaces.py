"""views.* and assistant.threads.*: modals, the home tab and the Assistant view. Each: https://docs.slack.dev/reference/methods/NAME"""

import json
import secrets

from tests.platforms.slack import blockkit, events
from tests.platforms.slack.chat import checked_blocks, watch_mentions
from tests.platforms.slack.registry import TIER_4, ApiError, Args, method, room_of
from tests.platforms.slack.world import Json, Post, View, Workspace

TRIGGER_S = 3.0
"""https://docs.slack.dev/interactivity/handling-user-interaction#modal_responses: a trigger_id is good for three seconds, and once."""
VIEW_BYTES = 250_000
"""https://docs.slack.dev/reference/methods/views.open: `view_too_large`."""
PROMPTS = 4
"""https://docs.slack.dev/reference/methods/assistant.threads.setSuggestedPrompts: up to four prompts are shown."""


# --- views ---------------------------------------------------------------------------------------------------------


@method("views.open", TIER_4)
def views_open(space: Workspace, args: Args) -> Json:
    person = spend_trigger(space, args.need("trigger_id", "invalid_trigger_id"))
    view = make_view(space, person, checked_view(space, args))
    space.views[view.id] = view
    return {"view": view.body}


@method("views.push", TIER_4)
def views_push(space: Workspace, args: Args) -> Json:
    return views_open(space, args)


@method("views.update", TIER_4)
def views_update(space: Workspace, args: Args) -> Json:
    view = space.views.get(args.text("view_id")) or next(
        (
            v
            for v in space.views.values()
            if v.body.get("external_id") and v.body["external_id"] == args.text("external_id")
        ),
        None,
    )
    if view is None or not view.is_open:
        raise ApiError("not_found")
    if args.text("hash") and args.text("hash") != view.hash:
        raise ApiError("hash_conflict")
    change_view(space, view, checked_view(space, args))
    return {"view": view.body}


@method("views.publish", TIER_4)
def views_publish(space: Workspace, args: Args) -> Json:
    person = args.need("user_id", "user_not_found")
    if person not in space.people:
        raise ApiError("user_not_found")
    body = checked_view(space, args)
    if body["type"] != "home":
        raise ApiError("invalid_arguments")
    home = space.homes.get(person)
    if home is None:
        home = space.homes[person] = make_view(space, person, body)
    else:
        if args.text("hash") and args.text("hash") != home.hash:
            raise ApiError("hash_conflict")
        change_view(space, home, body)
    return {"view": home.body}


def spend_trigger(space: Workspace, trigger: str) -> str:
    """The person whose trigger it is. Raises what Slack answers to one that is unknown, spent or too old."""
    if trigger not in space.triggers:
        raise ApiError("invalid_trigger_id")
    issued, person = space.triggers[trigger]
    if trigger in space.spent_triggers:
        raise ApiError("exchanged_trigger_id")
    if space.clock.monotonic() - issued > TRIGGER_S:
        space.ledger.break_rule("a trigger_id was used after three seconds")
        raise ApiError("expired_trigger_id")
    space.spent_triggers.add(trigger)
    return person


def checked_view(space: Workspace, args: Args) -> Json:
    view = args.data("view")
    if found := blockkit.view_problems(view):
        raise ApiError("invalid_arguments", response_metadata={"messages": [f"[ERROR] {what}" for what in found]})
    if len(json.dumps(view)) > VIEW_BYTES:
        raise ApiError("view_too_large")
    body = dict(view)
    for index, block in enumerate(body["blocks"]):
        block.setdefault("block_id", f"v{index}x")
    watch_mentions(space, f"a {body['type']} view", "", body["blocks"])
    return body


def make_view(space: Workspace, person: str, body: Json) -> View:
    view = View(space.new_id("V"), person, {}, "")
    change_view(space, view, body)
    return view


def change_view(space: Workspace, view: View, body: Json) -> None:
    view.hash = f"{space.new_ts()}.{secrets.token_hex(4)}"
    given: Json = {
        "id": view.id,
        "team_id": space.id,
        "app_id": space.app_id,
        "bot_id": space.bot.bot_id,
        "hash": view.hash,
        "root_view_id": view.id,
        "previous_view_id": None,
        "state": {"values": {}},
    }
    defaults: Json = {
        "private_metadata": "",
        "callback_id": "",
        "external_id": "",
        "clear_on_close": False,
        "notify_on_close": False,
    }
    view.body = defaults | body | given


# --- assistant -----------------------------------------------------------------------------------------------------


def thread_at(space: Workspace, args: Args) -> tuple[str, Post]:
    """The room and the root of the thread that is named. Raises not_agent_app where the app has no Assistant view."""
    if not space.is_agent:
        raise ApiError("not_agent_app")
    room = room_of(space, args, "channel_id")
    root = space.find_post(room.id, args.need("thread_ts", "missing_thread_ts"))
    if root is None:
        raise ApiError("invalid_thread_ts")
    return room.id, root


@method("assistant.threads.setStatus", TIER_4, "assistant:write", "chat:write")
def set_status(space: Workspace, args: Args) -> Json:
    """The line "NAME is ..." under a thread; it goes with the next message of the app there, or with an empty status."""
    room, root = thread_at(space, args)
    space.set_status(room, root.ts, args.text("status"))
    return {}


@method("assistant.threads.setTitle", TIER_4, "assistant:write")
def set_title(space: Workspace, args: Args) -> Json:
    """Changes the root of the thread, which the app hears as a message_changed of the subtype assistant_app_thread.

    https://docs.slack.dev/reference/events/message/assistant_app_thread"""
    room, root = thread_at(space, args)
    before = space.post_json(root)
    space.ledger.titles[f"{room}:{root.ts}"] = root.text = args.need("title")
    root.edited_by, root.edited_ts = space.bot.id, space.new_ts()
    space.emit(*events.changed(space, root, before))
    return {}


@method("assistant.threads.setSuggestedPrompts", TIER_4, "assistant:write")
def set_suggested_prompts(space: Workspace, args: Args) -> Json:
    room, root = thread_at(space, args)
    prompts = args.data("prompts")
    if not isinstance(prompts, list) or not all(
        isinstance(p, dict) and p.get("title") and p.get("message") for p in prompts
    ):
        raise ApiError("invalid_arguments")
    if len(prompts) > PROMPTS:
        space.ledger.break_rule(f"more than {PROMPTS} suggested prompts")
        raise ApiError("invalid_arguments")
    space.ledger.prompts[f"{room}:{root.ts}"] = prompts
    return {}


def answer_at_url(space: Workspace, key: str, body: Json) -> int:
    """A message sent to a response_url: the HTTP status.

    https://docs.slack.dev/interactivity/handling-user-interaction#message_responses"""
    there = space.response_urls.get(key)
    if there is None or there.uses >= 5 or space.clock.monotonic() - there.issued > 1800:
        space.ledger.break_rule("a response_url was used too often or too late")
        return 404
    there.uses += 1
    if body.get("delete_original") and there.post is not None:
        there.post.is_deleted = True
        return 200
    try:
        blocks = checked_blocks(body.get("blocks"))
    except ApiError:
        return 400
    text = str(body.get("text", ""))
    watch_mentions(space, "response_url", text, blocks)
    if body.get("replace_original") and there.post is not None:
        there.post.text, there.post.blocks, there.post.stream = text, blocks, None
        space.note_shown(there.post)
        return 200
    only_for = "" if body.get("response_type") == "in_channel" else there.person
    thread = str(body.get("thread_ts", "")) or there.thread
    space.put(space.own_post(there.room, text, blocks=blocks, thread_ts=thread, only_for=only_for))
    return 200
