"""The operators' room in Slack: what operators write, press, fill in and command there, as messages to the room.

Nothing that happens there reaches the agent, and who may do what is the desk's business. The handlers promise what Inbound's do. A press, a
form and a command become the line that could also have been typed in the case's thread; told of twice they have the same id.
"""

import logging
from collections.abc import Mapping
from typing import Any, Final

from adapters.admission import Speaker
from adapters.slack import COMMAND, blocks, cards, forms
from adapters.slack.events import Said, dict_of, ms_of, read, text_of
from adapters.slack.faults import CallFailed
from adapters.slack.inbound import ANSWER_S, Inbound
from adapters.slack.wording import is_typed_as, people_in
from bot.errors import Refused
from bot.model import Address, Bookmark, Identity, MessageReceived, RemoteFile, value

log = logging.getLogger(__name__)

Json = Mapping[str, Any]  # Slack's payloads are untyped JSON by nature

_COMMANDS: Final = ("!", "/")  # how the lines begin that are commands
_MOST_NAMES: Final = 5  # of people who are mentioned; the others stand there by their ids
_ELSEWHERE: Final = "This works in the operators' channel only, on a message in a case's thread or on its card."
_NO_ROOM: Final = "No operators' channel is set up here."
_TOO_OFTEN: Final = "Too many tries. Please wait a minute."
_PASSED_ON: Final = "Your code is being checked. The answer appears in the operators' channel."
_NOT_OPENED: Final = (
    "The form could not be opened. Please press again, or write the command in the thread: !help shows all."
)


@value
class _Line:
    """What an operator said, in whichever way. `thread`: the ts of the card, "" for the room itself."""

    thread: str
    id: str
    text: str
    files: tuple[RemoteFile, ...] = ()
    at_ms: int = 0


class OperatorsRoom:
    """One account's room; `channel` is "" where there is none."""

    def __init__(self, inbound: Inbound, channel: str) -> None:
        self._in = inbound
        self._channel = channel

    def is_here(self, channel: str) -> bool:
        return bool(channel) and channel == self._channel

    async def take_event(self, body: Json) -> None:
        """Only what somebody writes: edits, deletions and reactions change nothing in the room."""
        event, team = dict_of(body, "event"), self._in.team_of(body)
        if team is None or text_of(event, "type") not in ("message", "app_mention"):
            return
        found = read(event, self._in.me, team)
        if isinstance(found, Said):
            await self.take_said(found, self._in.bookmark(found.ts))

    async def take_said(self, found: Said, bookmark: Bookmark | None = None, *, is_late: bool = False) -> None:
        """What somebody wrote. Programs and we ourselves are not heard, nor is what holds no words of the writer, as a message that was
        only forwarded. `is_late`: found in the history."""
        if found.is_own or found.is_bot or not found.person:
            return
        began = self._in.host.clock.monotonic()
        who = await self._in.introduced(found.person, people_in(found.text)[:_MOST_NAMES])
        text = self._typed(found)
        if who is not None and (text or found.files):
            line = _Line(found.thread, found.external_id, text, found.files, ms_of(found.ts))
            await self._tell(who, line, began, bookmark, is_late=is_late)

    def _typed(self, found: Said) -> str:
        """A command is only what was typed as one: what Slack shows in place of a link or a name is none."""
        text = self._in.plain_of(found)
        if text.lstrip().startswith(_COMMANDS) and not is_typed_as(found.text, _COMMANDS, self._in.me.user):
            return f"> {text}"
        return text

    # --- presses and forms -----------------------------------------------------------------------------------------

    async def take_press(self, body: Json, action: Json, person: str) -> None:
        """A button of a card, or of a message in a case's thread."""
        choice, thread = cards.choice_of(action), _thread_of(body)
        trigger = text_of(body, "trigger_id")
        if not choice or not thread:
            return
        if choice in forms.FORMS:
            self._in.spawn(self._open_form, trigger, choice, thread, person)
            return
        pressed = trigger or f"{person}:{text_of(action, 'action_ts')}"
        await self._hear(person, _Line(thread, f"press:{pressed}", f"!{choice}"))

    async def take_form(self, view: Json, person: str) -> None:
        """A form of ours that was submitted: once, however often it is told."""
        found = forms.filled(view)
        if found is None or not found.line or not self.is_here(found.channel):
            return
        await self._hear(person, _Line(found.thread, f"form:{text_of(view, 'id')}", found.line))

    async def take_shortcut(self, body: Json, person: str) -> None:
        """The shortcut in a message's menu."""
        if text_of(body, "callback_id") != forms.REPLY:
            return
        trigger, message = text_of(body, "trigger_id"), dict_of(body, "message")
        thread = text_of(message, "thread_ts") or text_of(message, "ts")
        if self.is_here(text_of(dict_of(body, "channel"), "id")) and thread:
            self._in.spawn(self._open_form, trigger, "reply", thread, person)
        else:
            self._in.spawn(self._show, trigger, blocks.notice_view(_ELSEWHERE))

    async def _open_form(self, trigger: str, kind: str, thread: str, person: str) -> None:
        """https://docs.slack.dev/surfaces/modals: within three seconds of the press."""
        try:
            await self._show(trigger, forms.form(kind, self._channel, thread))
        except CallFailed as failed:
            log.info("an operator's form could not be shown: %s", failed)
            await self._in.whisper(self._at(thread), person, _NOT_OPENED)

    async def _show(self, trigger: str, view: blocks.Block) -> None:
        await self._in.api.call("views_open", trigger_id=trigger, view=view)

    # --- the slash command -----------------------------------------------------------------------------------------

    async def take_command(self, body: Json) -> str | None:
        """What the person is told, "" for nothing; None where it is no operator's command. Raises Refused."""
        person, channel = text_of(body, "user_id"), text_of(body, "channel_id")
        word, _, rest = text_of(body, "text").strip().partition(" ")
        word = word.lower().lstrip("!/")
        is_here = self.is_here(channel)
        if not is_here and word != "link":
            return None
        if not self._channel:
            return _NO_ROOM
        if not is_here and not self._is_within_pace(body, person):
            return _TOO_OFTEN
        line = f"!{word or 'help'} {rest.strip()}".strip()
        began = self._in.host.clock.monotonic()
        who = await self._in.introduced(person)
        if who is not None:
            await self._receive(who, _Line("", f"command:{text_of(body, 'trigger_id')}", line), began)
        return "" if is_here else _PASSED_ON

    def _is_within_pace(self, body: Json, person: str) -> bool:
        """Codes are tried no more often than messages are written, wherever that is."""
        return self._in.gate.paces(Speaker(person, text_of(body, "team_id"), COMMAND))

    # --- to the house ----------------------------------------------------------------------------------------------

    async def _hear(self, person: str, line: _Line) -> None:
        began = self._in.host.clock.monotonic()
        who = await self._in.introduced(person)
        if who is not None:
            await self._tell(who, line, began)

    async def _tell(
        self, who: Identity, line: _Line, began: float, bookmark: Bookmark | None = None, *, is_late: bool = False
    ) -> None:
        """Whose words are not taken is told so, unless they are old."""
        try:
            await self._receive(who, line, began, bookmark)
        except Refused as refused:
            if not is_late:
                self._in.spawn(self._in.whisper, self._at(line.thread), who.external_id, refused.detail)

    async def _receive(self, who: Identity, line: _Line, began: float, bookmark: Bookmark | None = None) -> None:
        event = MessageReceived(who, self._at(line.thread), line.id, line.text, sent_at_ms=line.at_ms, files=line.files)
        left_s = max(0.5, ANSWER_S - (self._in.host.clock.monotonic() - began))
        await self._in.receive(event, bookmark, within_s=left_s)

    def _at(self, thread: str) -> Address:
        return self._in.address(self._channel, thread)


def _thread_of(body: Json) -> str:
    """The root of the thread in which something was pressed: the card, or what carries the button."""
    container, message = dict_of(body, "container"), dict_of(body, "message")
    told = (text_of(container, "thread_ts"), text_of(message, "thread_ts"), text_of(container, "message_ts"))
    return next(filter(None, told), text_of(message, "ts"))
