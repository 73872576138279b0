"""Commands, buttons, selects and modals: what people do with them, and how the bot answers within 3 seconds, or later within 15 minutes
(https://docs.discord.com/developers/interactions/receiving-and-responding)."""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum

from aiohttp import web

from tests.platforms.discord import forms, limits
from tests.platforms.discord.connection import Connection
from tests.platforms.discord.gateway import Gateway
from tests.platforms.discord.limits import Json
from tests.platforms.discord.messages import Messages
from tests.platforms.discord.rest import Rest
from tests.platforms.discord.shapes import ALL_PERMISSIONS
from tests.platforms.discord.things import COMMAND_ANSWER, DEFAULT, Channel, Message, User, text_of, texts_in, walk
from tests.platforms.discord.wire import Handler, Parts, answer, nothing, read_body, wake
from tests.platforms.discord.world import World

COMMAND, COMPONENT, MODAL_SUBMIT = 2, 3, 5  # interactions/receiving-and-responding#interaction-object-interaction-type


class Answer(IntEnum):
    """Kinds of a first answer (interactions/receiving-and-responding#interaction-response-object-interaction-callback-type)."""

    MESSAGE = 4
    LATER = 5
    LATER_UPDATE = 6
    UPDATE = 7
    MODAL = 9


@dataclass(eq=False)
class Interaction:
    """One thing that a person did. `state`: "waiting", "answered" or "failed" (what the person then reads is "This interaction
    failed"). `original`: the message of the first answer, or the one whose component was used. `modal`: what was opened."""

    id: int
    token: str
    type: int
    user: User
    channel: Channel
    created_ms: int
    message: Message | None = None
    state: str = "waiting"
    callback: int = 0
    original: Message | None = None
    modal: Json | None = None
    followups: list[Message] = field(default_factory=list)
    heard_by: list[Connection] = field(default_factory=list)
    done: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def is_thinking(self) -> bool:
        return self.original is not None and bool(self.original.flags & limits.LOADING)

    async def wait(self, timeout_s: float = 10.0) -> "Interaction":
        """Returns once it is answered, or has failed."""
        async with asyncio.timeout(timeout_s):
            await self.done.wait()
        return self


class Interactions:
    """`all` are those there have been. `answer_s` is the deadline of the first answer, `token_s` that of the others."""

    def __init__(
        self, world: World, gateway: Gateway, rest: Rest, messages: Messages, violate: Callable[[str], None]
    ) -> None:
        self._world = world
        self._gateway = gateway
        self._rest = rest
        self._messages = messages
        self._violate = violate
        self.answer_s = limits.ANSWER_S
        self.token_s = limits.TOKEN_S
        self.all: list[Interaction] = []
        self._deadlines: list[asyncio.TimerHandle] = []

    def routes(self) -> list[tuple[str, str, Handler]]:
        webhook = "/webhooks/{application}/{token}"
        return [
            ("POST", "/interactions/{interaction}/{token}/callback", self._callback),
            ("POST", webhook, self._follow_up),
            ("GET", webhook + "/messages/{message}", self._get),
            ("PATCH", webhook + "/messages/{message}", self._edit),
            ("DELETE", webhook + "/messages/{message}", self._delete),
        ]

    def stop(self) -> None:
        for deadline in self._deadlines:
            deadline.cancel()

    # --- what people do ---------------------------------------------------------------------------------------------

    def run_command(self, user: User, channel: Channel, name: str, **options: str) -> Interaction:
        """Types a slash command, which must have been registered for everywhere or for this guild: KeyError otherwise."""
        scopes = [0] if channel.guild is None else [0, channel.guild.id]
        known = {c["name"]: c for scope in scopes for c in self._rest.commands.get(scope, []) if c["type"] == 1}
        command = known[name]
        data: Json = {"id": command["id"], "name": name, "type": 1}
        data["options"] = [{"name": key, "type": 3, "value": text} for key, text in options.items()]
        return self._begin(COMMAND, user, channel, data, None)

    def use_component(self, user: User, message: Message, custom_id: str, *values: str) -> Interaction:
        """Presses a button, or chooses the values of a select. Raises KeyError for one that the message does not have, or that is
        disabled."""
        component = {c["custom_id"]: c for c in walk(message.components) if "custom_id" in c}[custom_id]
        if component.get("disabled"):
            raise KeyError(custom_id)
        data: Json = {"custom_id": custom_id, "component_type": component["type"], "id": component.get("id", 1)}
        if component["type"] in forms.SELECTS:
            data["values"] = list(values)
        return self._begin(COMPONENT, user, message.channel, data, message)

    def submit(self, opened: Interaction, **texts: str) -> Interaction:
        """Sends off the modal that this interaction opened, with a text for each input by its custom_id: in rows, or under the labels that it
        was made with."""
        assert opened.modal is not None
        fields = [{"type": forms.INPUT, "custom_id": key, "value": text} for key, text in texts.items()]
        has_labels = any(part.get("type") == forms.LABEL for part in opened.modal["components"])
        inputs: list[Json] = [
            {"type": forms.LABEL, "component": field} if has_labels else {"type": forms.ROW, "components": [field]}
            for field in fields
        ]
        data: Json = {"custom_id": opened.modal["custom_id"], "components": inputs}
        return self._begin(MODAL_SUBMIT, opened.user, opened.channel, data, opened.message)

    def _begin(self, type_: int, user: User, channel: Channel, data: Json, message: Message | None) -> Interaction:
        made = Interaction(
            self._world.ids.next(), secrets.token_urlsafe(32), type_, user, channel, self._world.now_ms(), message
        )
        made.heard_by = self._gateway.live
        self.all.append(made)
        if self._rest.interactions_url is None:
            self._world.announce("INTERACTION_CREATE", self._json(made, data), 0, None)
        self._deadlines.append(asyncio.get_running_loop().call_later(self.answer_s, self._expire, made))
        return made

    def _expire(self, late: Interaction) -> None:
        """A bot that was not connected, or lost its connection meanwhile, has broken no rule."""
        if late.state != "waiting":
            return
        late.state = "failed"
        late.done.set()
        if any(not connection.is_ended for connection in late.heard_by):
            self._violate(f"an interaction was not answered in {self.answer_s:.0f} s")

    def _json(self, made: Interaction, data: Json) -> Json:
        guild = made.channel.guild
        event: Json = {
            "id": str(made.id),
            "application_id": str(self._world.application_id),
            "type": made.type,
            "data": data,
            "channel_id": str(made.channel.id),
            "channel": self._world.json.channel(made.channel) | {"permissions": ALL_PERMISSIONS},
            "token": made.token,
            "version": 1,
            "app_permissions": ALL_PERMISSIONS,
            "locale": "en-US",
            "entitlements": [],
            "authorizing_integration_owners": {"0": "0" if guild is None else str(guild.id)},
            "context": 1 if guild is None else 0,
            "attachment_size_limit": limits.FILE_BYTES,
        }
        if guild is None:
            event["user"] = made.user.json()
        else:
            member = self._world.json.member(guild, made.user)
            event["member"] = member | {"user": made.user.json(), "permissions": ALL_PERMISSIONS}
            event["guild_id"] = str(guild.id)
            event["guild"] = {"id": str(guild.id), "locale": "en-US", "features": []}
            event["guild_locale"] = "en-US"
        if made.message is not None:
            event["message"] = self._world.json.message(made.message)
        return event

    # --- the first answer -------------------------------------------------------------------------------------------

    async def _callback(self, request: web.Request) -> web.Response:
        made = next((i for i in self.all if str(i.id) == request.match_info["interaction"]), None)
        body, parts = await read_body(request)
        if made is None or made.token != request.match_info["token"] or made.state == "failed":
            raise limits.UNKNOWN_INTERACTION
        if made.state == "answered":
            raise limits.ALREADY_ANSWERED
        kind, data = int(body.get("type") or 0), body.get("data") or {}
        if kind in (Answer.LATER_UPDATE, Answer.UPDATE) and made.message is None:
            raise limits.bad_form("type", "INTERACTION_TYPE_INVALID", "Only components can update their message")
        await self._answer(made, kind, data, parts)
        made.state, made.callback = "answered", kind
        made.done.set()
        await wake(self._messages.changed)
        if request.query.get("with_response") in ("true", "1", "True"):
            return answer(self._callback_json(made))
        return nothing()

    async def _answer(self, made: Interaction, kind: int, data: Json, parts: Parts) -> None:
        match kind:
            case Answer.MESSAGE:
                forms.check_message(data, has_files=bool(parts))
                made.original = self._write(made, data, parts, COMMAND_ANSWER if made.type == COMMAND else DEFAULT)
            case Answer.LATER:
                flags = limits.LOADING | int(data.get("flags") or 0) & limits.EPHEMERAL
                made.original = self._write(
                    made, {"flags": flags}, {}, COMMAND_ANSWER if made.type == COMMAND else DEFAULT
                )
            case Answer.LATER_UPDATE:
                made.original = made.message
            case Answer.UPDATE:
                assert made.message is not None
                made.original = made.message
                self._messages.change(made.message, data, parts)
            case Answer.MODAL:
                forms.check_modal(data)
                made.modal = data
            case _:
                raise limits.bad_form("type", "BASE_TYPE_CHOICES", "Value must be one of {1, 4, 5, 6, 7, 8, 9, 12}.")

    def _write(self, made: Interaction, data: Json, parts: Parts, type_: int) -> Message:
        text = forms.clean(data.get("content"))
        kept = limits.SUPPRESS_EMBEDS | limits.EPHEMERAL | limits.LOADING | limits.COMPONENTS_V2
        flags = int(data.get("flags") or 0) & kept
        message = self._world.write(
            made.channel,
            self._world.bot,
            text,
            type_=type_,
            flags=flags,
            components=data.get("components") or [],
            embeds=data.get("embeds") or [],
            files=self._messages.take_files(data, parts),
            pinged=forms.pinged(text, data.get("allowed_mentions")),
            webhook_id=self._world.application_id,
            interaction={
                "id": str(made.id),
                "type": made.type,
                "user": made.user.json(),
                "authorizing_integration_owners": {},
            },
            only_for=made.user if flags & limits.EPHEMERAL else None,
        )
        self._messages.judge(data, message)
        return message

    def _callback_json(self, made: Interaction) -> Json:
        told: Json = {"id": str(made.id), "type": made.type}
        if made.original is None:
            return {"interaction": told}
        told |= {
            "response_message_id": str(made.original.id),
            "response_message_loading": made.is_thinking,
            "response_message_ephemeral": made.original.only_for is not None,
        }
        resource = {"type": made.callback, "message": self._world.json.message(made.original)}
        return {"interaction": told, "resource": resource}

    # --- later ones -------------------------------------------------------------------------------------------------

    async def _follow_up(self, request: web.Request) -> web.Response:
        made = self._by_token(request)
        body, parts = await read_body(request)
        forms.check_message(body, has_files=bool(parts))
        if made.is_thinking:
            assert made.original is not None
            message = self._fill(made.original, body, parts)
        else:
            message = self._write(made, body, parts, DEFAULT)
            made.followups.append(message)
        await wake(self._messages.changed)
        return answer(self._world.json.message(message))

    def _fill(self, message: Message, body: Json, parts: Parts) -> Message:
        """Turns "thinking" into what was thought; whether it is ephemeral was settled before."""
        message.flags &= ~limits.LOADING
        self._messages.change(message, body, parts)
        return message

    async def _get(self, request: web.Request) -> web.Response:
        return answer(self._world.json.message(self._find(request)))

    async def _edit(self, request: web.Request) -> web.Response:
        message = self._find(request)
        body, parts = await read_body(request)
        self._fill(message, body, parts)
        await wake(self._messages.changed)
        return answer(self._world.json.message(message))

    async def _delete(self, request: web.Request) -> web.Response:
        self._world.erase(self._find(request))
        return nothing()

    def _by_token(self, request: web.Request) -> Interaction:
        made = next((i for i in self.all if i.token == request.match_info["token"]), None)
        if (
            made is None
            or made.state != "answered"
            or request.match_info["application"] != str(self._world.application_id)
        ):
            raise limits.UNKNOWN_WEBHOOK
        if self._world.now_ms() - made.created_ms > self.token_s * 1000:
            raise limits.BAD_TOKEN
        return made

    def _find(self, request: web.Request) -> Message:
        made, id_ = self._by_token(request), request.match_info["message"]
        ours = [made.original] if id_ == "@original" else [made.original, *made.followups]
        found = next((m for m in ours if m is not None and (id_ == "@original" or str(m.id) == id_)), None)
        if found is None or found.is_deleted:
            raise limits.UNKNOWN_MESSAGE
        return found


def said(made: Interaction) -> list[str]:
    """What the person reads as the answer, the modal's texts included."""
    texts = [text_of(m) for m in [made.original, *made.followups] if m is not None and m is not made.message]
    if made.modal is not None:
        inputs = [str(c.get("value", "")) for c in walk(made.modal["components"]) if c.get("type") == forms.INPUT]
        texts += [made.modal["title"], *[t for t in inputs if t], *texts_in(made.modal["components"])]
    return texts
