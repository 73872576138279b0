"""What people do in a workspace: everything here reaches the app as an event or an interaction."""

import mimetypes
import re
from typing import Any

from tests.platforms.slack import blockkit, events
from tests.platforms.slack.chat import remove
from tests.platforms.slack.delivery import Delivered, Delivery, Outcome, Parcel
from tests.platforms.slack.surfaces import change_view
from tests.platforms.slack.world import File, Json, Person, Post, Room, View, Workspace

ADDRESS = re.compile(r"https?://[^\s<>&]+(?:&amp;[^\s<>&]+)*")
MENTION = re.compile(r"&lt;([@#][A-Z0-9]+(?:\|[^&\s]*)?|!(?:here|channel|everyone))&gt;")


class People:
    """Hands of the people in one workspace. What is said is on the platform at once; whether the app has it, its answers show."""

    def __init__(self, space: Workspace, delivery: Delivery) -> None:
        self._space, self._delivery = space, delivery
        self._last = Parcel("interactive", {}, "")

    # --- messages --------------------------------------------------------------------------------------------------

    def say(self, person: Person, room: Room, text: str, *, thread: str = "", file: File | None = None) -> Post:
        """Writes, and lets the app know."""
        post = self.write(person, room, text, thread=thread, file=file)
        self.announce(post)
        return post

    def write(self, person: Person, room: Room, text: str, *, thread: str = "", file: File | None = None) -> Post:
        """Writes; nobody is told of it yet."""
        space = self._space
        post = Post(
            room.id, space.new_ts(), person.id, typed(text), thread_ts=thread, client_msg_id=space.new_client_id()
        )
        post.blocks = rich_text(text)
        if person.bot_id:
            post.bot_id, post.app_id, post.client_msg_id = person.bot_id, "A0OTHER", ""
        if file is not None:
            post.files, post.subtype = [file], "file_share"
        return space.put(post)

    def announce(self, post: Post) -> None:
        for event in events.posted(self._space, post):
            self._space.emit(*event)

    def mention(self, person: Person, room: Room, text: str, *, thread: str = "") -> Post:
        """Writes in a channel with the app's name before the text: an app_mention and its twin."""
        return self.say(person, room, f"<@{self._space.bot.id}> {text}", thread=thread)

    def forward(self, person: Person, post: Post, room: Room, text: str = "", *, thread: str = "") -> Post:
        """Shares a message in another place, with a few words or none: what was shared hangs below them as an attachment.

        https://docs.slack.dev/reference/events/message: `attachments` with `is_share`"""
        shared = self.write(person, room, text, thread=thread)
        shared.blocks = shared.blocks if text else []
        shared.attachments = [
            {
                "is_share": True,
                "is_msg_unfurl": True,
                "channel_id": post.room,
                "ts": post.ts,
                "author_id": post.user,
                "text": post.text,
                "fallback": post.text,
                "message_blocks": [{"channel": post.room, "ts": post.ts, "message": {"blocks": post.blocks}}],
            }
        ]
        self.announce(shared)
        return shared

    def webhook_says(self, room: Room, text: str, *, thread: str = "") -> Post:
        """An incoming webhook or an old integration: subtype bot_message, and no user at all."""
        post = Post(
            room.id, self._space.new_ts(), "", text, thread_ts=thread, bot_id="B0WEBHOOK", subtype="bot_message"
        )
        self._space.put(post)
        self.announce(post)
        return post

    def edit(self, post: Post, text: str) -> None:
        before = self._space.post_json(post)
        post.text, post.blocks = typed(text), rich_text(text)
        post.edited_by, post.edited_ts = post.user, self._space.new_ts()
        self._space.note_shown(post)
        self._space.emit(*events.changed(self._space, post, before))

    def unfurl(self, post: Post, url: str = "https://example.com/") -> None:
        """A link in the message gets its preview: a message_changed that changes no text."""
        before = self._space.post_json(post)
        post.attachments = [{"from_url": url, "title": "Example", "fallback": "Example"}]
        self._space.emit(*events.changed(self._space, post, before))

    def delete(self, post: Post) -> None:
        remove(self._space, post)

    def add_file(self, person: Person, name: str, data: bytes) -> File:
        """A file that the person is about to send."""
        media_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
        file = File(self._space.new_id("F"), name, len(data), person.id, media_type, data=data, is_uploaded=True)
        self._space.files[file.id] = file
        return file

    def react(self, person: Person, post: Post, name: str, *, is_added: bool = True) -> None:
        users = post.reactions.setdefault(name, [])
        if is_added and person.id not in users:
            users.append(person.id)
        if not is_added and person.id in users:
            users.remove(person.id)
        self._space.emit(*events.reacted(self._space, post, person.id, name, is_added=is_added))

    def stop_stream(self, post: Post) -> None:
        """Presses "stop" while an answer is written: appends are refused with `stopped_by_user` from now on."""
        if post.stream is not None:
            post.stream.is_stopped_by_person, post.stream.is_open = True, False

    # --- assistant and home ----------------------------------------------------------------------------------------

    def open_assistant(self, person: Person, context: Json | None = None) -> str:
        """Opens a new thread in the Assistant view. Returns its root."""
        space = self._space
        room = space.direct(person)
        root = space.own_post(room.id, "New Assistant Thread", subtype="assistant_app_thread")
        root.thread_ts = root.ts
        space.posts[room.id][root.ts] = root
        space.assistant_threads.add((room.id, root.ts))
        given = {"team_id": space.id, "enterprise_id": None} | (context or {})
        space.emit(*events.assistant_thread(space, "assistant_thread_started", person.id, room.id, root.ts, given))
        return root.ts

    def change_context(self, person: Person, thread: str, context: Json) -> None:
        """Looks at another channel while the thread is open."""
        space = self._space
        room = space.direct(person)
        space.emit(
            *events.assistant_thread(space, "assistant_thread_context_changed", person.id, room.id, thread, context)
        )

    def open_home(self, person: Person, tab: str = "home") -> None:
        """Opens the app's page on its "home" or "messages" tab."""
        space = self._space
        space.emit(*events.home_opened(space, person.id, space.direct(person).id, tab))

    # --- interactions ----------------------------------------------------------------------------------------------

    async def command(self, person: Person, room: Room, command: str, text: str = "") -> Delivered:
        """Types a slash command; the answer of the acknowledgement is shown to the person alone, or to all."""
        space = self._space
        if command not in space.commands:
            space.ledger.break_rule(f"{command} is not a command of the app")
            return Delivered(Outcome.NOBODY, "dispatch_unknown_error")
        payload = {
            "token": space.verification_token,
            "team_id": space.id,
            "team_domain": space.name,
            "channel_id": room.id,
            "channel_name": "directmessage" if room.kind == "im" else room.name,
            "user_id": person.id,
            "user_name": person.name.lower(),
            "command": command,
            "text": text,
            "api_app_id": space.app_id,
            "is_enterprise_install": "false",
            "response_url": space.new_response_url(room.id, person.id, None),
            "trigger_id": space.new_trigger(person.id),
        }
        delivered = await self._delivery.deliver(Parcel("slash_commands", payload, f"command {command}"))
        self._show_answer(person, room, delivered)
        return delivered

    def _show_answer(self, person: Person, room: Room, delivered: Delivered) -> None:
        answer = {"text": delivered.answer} if isinstance(delivered.answer, str) else delivered.answer
        if not isinstance(answer, dict) or not (answer.get("text") or answer.get("blocks")):
            return
        only_for = "" if answer.get("response_type") == "in_channel" else person.id
        blocks = answer.get("blocks") or []
        self._space.put(self._space.own_post(room.id, str(answer.get("text") or ""), blocks=blocks, only_for=only_for))

    async def press(self, person: Person, post: Post, label: str) -> Delivered:
        """Presses the button, or chooses the option, that is labelled so. Raises LookupError where there is none."""
        for block, element in blockkit.elements_of(post.all_blocks()):
            action = pressed(element, label)
            if action is not None:
                return await self.act(person, post, block, action)
        raise LookupError(f"no button {label!r} among {blockkit.labels_of(post.all_blocks())}")

    async def rate(self, person: Person, post: Post, value: str) -> Delivered:
        """Presses a thumb of the feedback buttons: "up" or "down". Raises LookupError where there are none."""
        for block, element in blockkit.elements_of(post.all_blocks()):
            if element["type"] == "feedback_buttons":
                button = element["positive_button" if value == "up" else "negative_button"]
                action = {"type": "feedback_buttons", "value": button.get("value", ""), "text": button["text"]}
                return await self.act(person, post, block, action | {"action_id": element["action_id"]})
        raise LookupError("no feedback buttons")

    async def act(self, person: Person, post: Post, block: Json, action: Json) -> Delivered:
        """https://docs.slack.dev/reference/interaction-payloads/block_actions-payload"""
        space = self._space
        room = space.rooms[post.room]
        container: Json = {
            "type": "message",
            "message_ts": post.ts,
            "channel_id": room.id,
            "is_ephemeral": bool(post.only_for),
        }
        if post.thread_ts:
            container["thread_ts"] = post.thread_ts
        action = action | {"block_id": block.get("block_id", ""), "action_ts": space.new_ts()}
        name = "directmessage" if room.kind == "im" else room.name
        payload = self._interaction("block_actions", person) | {
            "container": container,
            "trigger_id": space.new_trigger(person.id),
            "channel": {"id": room.id, "name": name},
            "message": space.post_json(post),
            "state": {"values": {}},
            "response_url": space.new_response_url(room.id, person.id, post, post.thread_ts),
            "actions": [action],
        }
        return await self._interact(payload)

    async def press_in_view(self, person: Person, view: View, label: str) -> Delivered:
        """Presses a button of a modal or of the home tab."""
        space = self._space
        for block, element in blockkit.elements_of(view.body["blocks"]):
            action = pressed(element, label)
            if action is None:
                continue
            action |= {"block_id": block.get("block_id", ""), "action_ts": space.new_ts()}
            payload = self._interaction("block_actions", person) | {
                "container": {"type": "view", "view_id": view.id},
                "trigger_id": space.new_trigger(person.id),
                "view": view.body,
                "actions": [action],
            }
            return await self._interact(payload)
        raise LookupError(f"no button {label!r}")

    async def submit(self, view: View, values: Json | None = None) -> Delivered:
        """Submits a modal; `values` is its state, block id -> action id -> value. What the app answers happens to the view.

        https://docs.slack.dev/reference/interaction-payloads/view-interactions-payload"""
        space = self._space
        body = view.body | {"state": {"values": values or {}}}
        payload = self._interaction("view_submission", space.people[view.person]) | {
            "trigger_id": space.new_trigger(view.person),
            "view": body,
            "response_urls": [],
        }
        delivered = await self._interact(payload)
        if delivered.outcome is Outcome.TAKEN:
            self._after_submit(view, delivered.answer if isinstance(delivered.answer, dict) else {})
        return delivered

    def _after_submit(self, view: View, answer: dict[str, Any]) -> None:  # Any: JSON
        match answer.get("response_action"):
            case "errors":
                view.errors = dict(answer["errors"])
            case "update" | "push":
                change_view(self._space, view, answer["view"])
            case _:
                view.is_open = False

    async def close_view(self, view: View) -> None:
        view.is_open = False
        if view.body.get("notify_on_close"):
            payload = self._interaction("view_closed", self._space.people[view.person]) | {
                "view": view.body,
                "is_cleared": False,
            }
            await self._interact(payload)

    async def shortcut(self, person: Person, post: Post, callback_id: str) -> Delivered:
        """A message shortcut. https://docs.slack.dev/reference/interaction-payloads/shortcuts-interaction-payload"""
        space = self._space
        if callback_id not in space.shortcuts:
            space.ledger.break_rule(f"{callback_id} is not a shortcut of the app")
            return Delivered(Outcome.NOBODY, "no such shortcut")
        room = space.rooms[post.room]
        payload = self._interaction("message_action", person) | {
            "callback_id": callback_id,
            "trigger_id": space.new_trigger(person.id),
            "action_ts": space.new_ts(),
            "message_ts": post.ts,
            "message": space.post_json(post),
            "channel": {"id": room.id, "name": room.name},
            "response_url": space.new_response_url(room.id, person.id, post),
        }
        return await self._interact(payload)

    async def repeat_last(self) -> Delivered:
        """The last interaction reaches the app once more, as over a connection that is tried again."""
        return await self._delivery.deliver(self._last)

    async def _interact(self, payload: Json) -> Delivered:
        """Without interactivity switched on, the person sees an error and the app nothing."""
        if not self._space.is_interactive:
            self._space.ledger.break_rule("the app shows something to press, and has interactivity switched off")
            return Delivered(Outcome.NOBODY, "interactivity_disabled")
        self._last = Parcel("interactive", payload, str(payload["type"]))
        return await self._delivery.deliver(self._last)

    def _interaction(self, kind: str, person: Person) -> Json:
        space = self._space
        name = person.name.lower()
        return {
            "type": kind,
            "user": {"id": person.id, "username": name, "name": name, "team_id": space.id},
            "api_app_id": space.app_id,
            "token": space.verification_token,
            "team": {"id": space.id, "domain": space.name},
            "enterprise": None,
            "is_enterprise_install": False,
        }

    # --- what the platform does ------------------------------------------------------------------------------------

    def repeat(self, post: Post) -> None:
        """Delivers the events of that message once more, under the same event ids, as after an acknowledgement that was lost."""
        for parcel in list(self._delivery.parcels):
            event = parcel.payload["event"]
            if event.get("ts") == post.ts and event.get("channel") == post.room:
                parcel.attempts = max(1, parcel.attempts)
                self._delivery.spawn(self._delivery.deliver(parcel, "timeout"))


def pressed(element: Json, label: str) -> Json | None:
    """The action that a press of that label sends; None where the element has no such label."""
    if element["type"] == "button" and element["text"]["text"] == label:
        keys = ("type", "action_id", "text", "value", "style")
        return {key: element[key] for key in keys if key in element}
    for option in element.get("options") or []:
        if option["text"]["text"] == label:
            return {"type": element["type"], "action_id": element.get("action_id", ""), "selected_option": option}
    return None


def typed(text: str) -> str:
    """What Slack makes of typed text: three characters are escaped and addresses become links; mentions written as <@U...> are kept.

    https://docs.slack.dev/messaging/formatting-message-text#escaping"""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return MENTION.sub(r"<\1>", ADDRESS.sub(r"<\g<0>>", escaped))


def rich_text(text: str) -> list[Json]:
    """What Slack's own editor makes of typed text."""
    section = {"type": "rich_text_section", "elements": [{"type": "text", "text": text}]}
    return [{"type": "rich_text", "block_id": "typed", "elements": [section]}]
