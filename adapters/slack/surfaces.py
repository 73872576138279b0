"""What people do in Slack besides writing: buttons, verdicts, the slash command, the home tab, the Assistant view."""

import logging
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final

from adapters.slack import COMMAND, blocks
from adapters.slack.drafts import content, threaded
from adapters.slack.events import dict_of, is_direct, text_of
from adapters.slack.faults import CallFailed
from adapters.slack.forms import FORM
from adapters.slack.inbound import Inbound, plain_out
from adapters.slack.room import OperatorsRoom
from bot.errors import Refused
from bot.model import (
    Address,
    ButtonPressed,
    CaseEnded,
    FeedbackGiven,
    ForgetRequested,
    Identity,
    Message,
    MessageId,
    MessageReceived,
    PassageId,
    PersonRequested,
    Seq,
)

log = logging.getLogger(__name__)

Json = Mapping[str, Any]  # Slack's payloads are untyped JSON by nature

HELP: Final = (
    f"`{COMMAND} ask TEXT` asks me something; I answer in a direct message.\n"
    f"`{COMMAND} human` asks for a person.\n"
    f"`{COMMAND} done` ends what we are talking about.\n"
    f"`{COMMAND} forget` deletes everything that you have written to me.\n"
    "You can also simply write to me, or mention me in a channel."
)
MOST_OPENED: Final = 2_000


class Surfaces:
    """One account's surfaces. The handlers promise what Inbound's do."""

    def __init__(self, inbound: Inbound, operators: OperatorsRoom, greeting: str, prompts: list[str]) -> None:
        self._in = inbound
        self._operators = operators
        self._greeting = greeting
        self._prompts = prompts
        self._greeted: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._directs: OrderedDict[str, str] = OrderedDict()  # person -> their direct chat

    async def take_event(self, body: Json) -> str:
        """Events of surfaces; everything else goes on to Inbound, but for what happens in the operators' room."""
        event = dict_of(body, "event")
        kind, team = text_of(event, "type"), text_of(body, "team_id") or self._in.me.team
        if self._operators.is_here(text_of(event, "channel") or text_of(dict_of(event, "item"), "channel")):
            await self._operators.take_event(body)
        elif kind == "assistant_thread_started":
            self._greet(dict_of(event, "assistant_thread"), team)
        elif kind == "app_home_opened" and text_of(event, "tab") == "home":
            person = text_of(event, "user")
            if self._in.admits(person, team):
                self._in.spawn(self._show_home, person)
        else:
            return await self._in.take(body)
        return ""

    # --- interactions ----------------------------------------------------------------------------------------------

    async def take_action(self, body: Json) -> str:
        """https://docs.slack.dev/reference/interaction-payloads/block_actions-payload"""
        person = text_of(dict_of(body, "user"), "id")
        channel = text_of(dict_of(body, "channel"), "id") or text_of(dict_of(body, "container"), "channel_id")
        if await self._is_operators(body, person, channel):
            return ""
        teams = (text_of(dict_of(body, "user"), "team_id"), text_of(dict_of(body, "team"), "id"))
        team = next(filter(None, teams), self._in.me.team)
        if not self._in.admits(person, team, channel, directly=not channel or is_direct(channel)):
            return ""
        if text_of(body, "type") == "view_submission":
            await self._take_choice(dict_of(body, "view"), person, team)
        for action in body.get("actions") or ():
            if isinstance(action, Mapping):
                await self._take_one(body, action, person, channel)
        return ""

    async def _is_operators(self, body: Json, person: str, channel: str) -> bool:
        """Takes what belongs to the operators' room."""
        kind, view = text_of(body, "type"), dict_of(body, "view")
        if kind == "message_action":
            await self._operators.take_shortcut(body, person)
        elif kind == "view_submission" and text_of(view, "callback_id") == FORM:
            await self._operators.take_form(view, person)
        elif self._operators.is_here(channel):
            for action in body.get("actions") or ():
                if isinstance(action, Mapping) and text_of(action, "action_id") == blocks.PASSAGE:
                    await self._take_one(body, action, person, channel)
                elif isinstance(action, Mapping):
                    await self._operators.take_press(body, action, person)
        else:
            return False
        return True

    async def _take_choice(self, view: Json, person: str, team: str) -> None:
        """A choice that was made in a modal is a press of that button."""
        found = blocks.chosen(view)
        if found is None or text_of(view, "callback_id") != blocks.CHOOSE:
            return
        asked, index = found
        if not self._in.admits(person, team, asked.choice, directly=is_direct(asked.choice)):
            return
        message = await self._message(self._in.address(asked.choice, asked.thread), asked.message)
        if message is not None and index < len(message.buttons):
            choice = blocks.Pressed(asked.message, asked.thread, message.buttons[index].id)
            await self._take_press(blocks.PRESS, person, asked.choice, choice)

    async def _message(self, at: Address, id_: MessageId) -> Message | None:
        found = await self._in.host.history(at, Seq(0))
        return next((message for message in found.messages if message.id == id_), None)

    async def _show_choices(self, trigger: str, channel: str, pressed: blocks.Pressed) -> None:
        message = await self._message(self._in.address(channel, pressed.thread), pressed.message)
        if message is None:
            return
        try:
            view = blocks.choice_view(message, channel, pressed.thread)
            await self._in.api.call("views_open", trigger_id=trigger, view=view)
        except CallFailed as failed:
            log.info("choices could not be shown: %s", failed)

    async def _take_one(self, body: Json, action: Json, person: str, channel: str) -> None:
        kind = text_of(action, "action_id").partition(":")[0]
        if kind == blocks.PASSAGE:
            passage = PassageId(text_of(dict_of(action, "selected_option"), "value"))
            self._in.spawn(self._show_passage, text_of(body, "trigger_id"), passage)
        elif kind == blocks.FORGET:
            await self._forget(person)
            self._in.spawn(self._show_home, person)
        elif kind in (blocks.PRESS, blocks.FEEDBACK, blocks.CHOOSE):
            pressed = blocks.pressed(text_of(action, "value"))
            if pressed is None or not channel:
                return
            if kind == blocks.CHOOSE:
                self._in.spawn(self._show_choices, text_of(body, "trigger_id"), channel, pressed)
            else:
                await self._take_press(kind, person, channel, pressed)

    async def _take_press(self, kind: str, person: str, channel: str, pressed: blocks.Pressed) -> None:
        who, at = self._in.identity(person), self._in.address(channel, pressed.thread)
        if kind == blocks.FEEDBACK:
            event: FeedbackGiven | ButtonPressed = FeedbackGiven(who, at, pressed.choice, message=pressed.message)
        else:
            id_ = f"press:{pressed.message}:{pressed.choice}"  # a button of a message counts once, whoever presses it
            event = ButtonPressed(who, at, id_, pressed.message, pressed.choice)
        try:
            await self._in.receive(event)
        except Refused as refused:
            self._in.spawn(self._in.whisper, at, person, refused.detail)

    async def _show_passage(self, trigger: str, passage: PassageId) -> None:
        try:
            view = blocks.passage_view(await self._in.host.passage(passage))
        except Refused as refused:
            view = blocks.notice_view(refused.detail)
        try:
            await self._in.api.call("views_open", trigger_id=trigger, view=view)
        except CallFailed as failed:
            log.info("a passage could not be shown: %s", failed)

    # --- the slash command -----------------------------------------------------------------------------------------

    async def take_command(self, body: Json) -> str:
        """https://docs.slack.dev/interactivity/implementing-slash-commands"""
        person, team = text_of(body, "user_id"), text_of(body, "team_id") or self._in.me.team
        try:
            told = await self._operators.take_command(body)
            if told is not None:
                return told
            if not self._in.admits(person, team):
                return "I am not open to you here."
            word, _, rest = text_of(body, "text").strip().partition(" ")
            return plain_out(await self._obey(word.lower(), rest.strip(), person, text_of(body, "trigger_id")))
        except Refused as refused:
            return plain_out(refused.detail)
        except CallFailed as failed:
            log.warning("a direct chat could not be opened: %s", failed)
            return "I cannot write to you directly just now. Please try again in a moment."

    async def _obey(self, word: str, rest: str, person: str, trigger: str) -> str:
        who = self._in.identity(person)
        if word == "ask" and rest:
            at = self._in.address(await self._direct(person))
            await self._in.receive(MessageReceived(who, at, f"command:{trigger}", rest))
            return "I will answer you in a direct message."
        if word == "human":
            await self._in.receive(PersonRequested(who, await self._place(who, person), f"command:{trigger}"))
            return "I have asked for a person."
        if word == "done":
            await self._in.receive(CaseEnded(who, await self._place(who, person)))
            return "Done. Write to me whenever there is something else."
        if word == "forget":
            await self._forget(person)
            return "I am forgetting what you have written to me."
        return HELP

    async def _forget(self, person: str) -> None:
        who = self._in.identity(person)
        await self._in.receive(ForgetRequested(who, await self._place(who, person)))

    async def _place(self, who: Identity, person: str) -> Address:
        """Where the person and the agent talk: their newest open case, else the direct chat."""
        cases = await self._in.host.cases(who, 1)
        if cases and not cases[0].ended_ms:
            return cases[0].at
        return self._in.address(await self._direct(person))

    async def _direct(self, person: str) -> str:
        if person not in self._directs:
            opened = await self._in.api.call("conversations_open", users=person)
            direct = text_of(dict_of(opened, "channel"), "id")
            if not direct:
                raise CallFailed("", "Slack names no direct chat", is_certain=False)
            self._directs[person] = direct
            if len(self._directs) > MOST_OPENED:
                self._directs.popitem(last=False)
        return self._directs[person]

    # --- the home tab and the Assistant view -----------------------------------------------------------------------

    async def _show_home(self, person: str) -> None:
        cases = await self._in.host.cases(self._in.identity(person))
        try:
            await self._in.api.call("views_publish", user_id=person, view=blocks.home_view(cases, self._greeting))
        except CallFailed as failed:
            log.info("the home tab could not be shown: %s", failed)

    def _greet(self, thread: Json, team: str) -> None:
        """Once a thread, however often Slack tells of it."""
        channel, ts = text_of(thread, "channel_id"), text_of(thread, "thread_ts")
        place = (channel, ts)
        if not ts or place in self._greeted or not self._in.admits(text_of(thread, "user_id"), team, channel):
            return
        self._greeted[place] = None
        if len(self._greeted) > MOST_OPENED:
            self._greeted.popitem(last=False)
        self._in.spawn(self._open_thread, self._in.address(channel, ts))

    async def _open_thread(self, at: Address) -> None:
        text = plain_out(self._greeting)
        key = blocks.key_of(self._in.account, MessageId(f"greeting {at.chat} {at.thread}"), 0)
        try:
            if text:
                await self._in.api.call("chat_postMessage", **content(at, text, blocks.body(text), key), **threaded(at))
            if self._prompts:
                prompts = [{"title": prompt[:75], "message": prompt} for prompt in self._prompts]
                await self._in.api.call(
                    "assistant_threads_setSuggestedPrompts", channel_id=at.chat, thread_ts=at.thread, prompts=prompts
                )
        except CallFailed as failed:
            log.info("a thread of the Assistant view could not be opened: %s", failed)
