"""Slack's events as what they say, without a decision and without I/O. Everything in a payload may be missing or of another kind.

https://docs.slack.dev/reference/events/message: the subtypes; https://docs.slack.dev/reference/objects/file-object: files.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from adapters.slack.wording import mentions
from bot.model import Address, RemoteFile, value

Json = Mapping[str, Any]  # Slack's payloads are untyped JSON by nature

_SAYING: Final = {"", "file_share", "thread_broadcast", "me_message"}  # subtypes of what a person says
_DIRECT: Final = {"im", "app_home"}
_TOMBSTONE: Final = "tombstone"  # stands in the place of a deleted message that has replies
_SLACKBOT: Final = "USLACKBOT"


@value
class Me:
    """The bot, as auth.test tells it."""

    user: str
    bot: str
    team: str
    enterprise: str = ""


@value
class Said:
    """One message of somebody. `thread`: the ts of the thread's root, "" outside of one. `is_addressed`: directly, or by a mention."""

    person: str
    team: str
    channel: str
    ts: str
    thread: str
    text: str
    is_direct: bool
    is_bot: bool
    is_own: bool
    is_addressed: bool
    files: tuple[RemoteFile, ...] = ()
    edited_ts: str = ""

    @property
    def external_id(self) -> str:
        return external(self.channel, self.ts)


@value
class Changed:
    """A message with other text than before. `was_addressed`: also before, as far as Slack tells."""

    now: Said
    was_addressed: bool


@value
class Deleted:
    """A message that is gone. Who had written it, and what, is not always told."""

    was: Said
    deleted_ts: str


def external(channel: str, ts: str) -> str:
    """Our id of a message: the same whichever way it is told of."""
    return f"{channel}:{ts}"


def split_external(external_id: str) -> tuple[str, str]:
    """Channel and ts; in the operators' room a message goes by its ts alone."""
    channel, _, ts = external_id.rpartition(":")
    return channel, ts


def ms_of(ts: str) -> int:
    """A ts is seconds and microseconds of UTC. 0 for what is none."""
    seconds, _, rest = ts.partition(".")
    return (
        int(seconds) * 1000 + int(rest[:3].ljust(3, "0") or 0)
        if ts.isascii() and ts.replace(".", "", 1).isdigit()
        else 0
    )


def ts_of(ms: int) -> str:
    return f"{ms // 1000}.{ms % 1000:03d}000"


def is_direct(channel: str, channel_type: str = "") -> bool:
    """A chat with one person. In a chat with several the bot is a guest, as in a channel."""
    return channel_type in _DIRECT if channel_type else channel.startswith("D")


def address(account: str, said: Said) -> Address:
    """Where the answer goes: a channel's answers stay in the thread, a direct message's where it was written."""
    return Address("slack", account, said.channel, said.thread if said.is_direct else said.thread or said.ts)


def read(event: Json, me: Me, team: str) -> Said | Changed | Deleted | None:
    """What a `message` or `app_mention` event says; None for what nobody said (joins, topics, pins ...)."""
    subtype = text_of(event, "subtype")
    channel, channel_type = text_of(event, "channel"), text_of(event, "channel_type")
    if subtype == "message_changed":
        return _changed(event, me, team)
    if subtype == "message_deleted":
        before = dict_of(event, "previous_message")
        was = said(
            {**before, "ts": text_of(event, "deleted_ts") or text_of(before, "ts")}, me, team, channel, channel_type
        )
        return Deleted(was, text_of(event, "event_ts") or text_of(event, "ts")) if was.ts else None
    if subtype not in _SAYING or not channel or not text_of(event, "ts"):
        return None
    return said(event, me, team, channel, channel_type)


def _changed(event: Json, me: Me, team: str) -> Changed | Deleted | None:
    """None where only its frame has changed: a preview came, a reply was counted."""
    channel, channel_type = text_of(event, "channel"), text_of(event, "channel_type")
    after, before = dict_of(event, "message"), dict_of(event, "previous_message")
    at = text_of(event, "event_ts") or text_of(event, "ts")
    if text_of(after, "subtype") == _TOMBSTONE:
        was = said({**before, "ts": text_of(after, "ts")}, me, team, channel, channel_type)
        return Deleted(was, at) if was.ts else None
    if text_of(after, "subtype") not in _SAYING or not text_of(after, "ts"):
        return None
    is_same = text_of(after, "text") == text_of(before, "text") if before else not dict_of(after, "edited")
    if is_same:
        return None
    now = said(
        {**after, "edited": {"ts": text_of(dict_of(after, "edited"), "ts") or at}}, me, team, channel, channel_type
    )
    return Changed(now, is_direct(channel, channel_type) or mentions(text_of(before, "text"), me.user))


def said(message: Json, me: Me, team: str, channel: str, channel_type: str = "") -> Said:
    """One message, from an event or from a channel's history."""
    person, bot = text_of(message, "user"), text_of(message, "bot_id")
    ts, thread, text = text_of(message, "ts"), text_of(message, "thread_ts"), text_of(message, "text")
    directly = is_direct(channel, channel_type)
    return Said(
        person=person,
        team=text_of(message, "user_team") or text_of(message, "team") or team,
        channel=channel,
        ts=ts,
        thread="" if thread == ts else thread,
        text=text,
        is_direct=directly,
        is_bot=bool(bot) or person == _SLACKBOT,
        is_own=person == me.user or (bool(bot) and bot == me.bot),
        is_addressed=directly or text_of(message, "type") == "app_mention" or mentions(text, me.user),
        files=tuple(_files(message.get("files"))),
        edited_ts=text_of(dict_of(message, "edited"), "ts"),
    )


def _files(files: object) -> list[RemoteFile]:
    """Files of Slack's own; a link to a file elsewhere is none, and stands in the text where the person put it."""
    if not isinstance(files, Sequence) or isinstance(files, str):
        return []
    return [
        RemoteFile(
            text_of(file, "url_private") or text_of(file, "url_private_download") or f"file:{text_of(file, 'id')}",
            text_of(file, "name") or text_of(file, "title"),
            text_of(file, "mimetype"),
            _number(file, "size"),
        )
        for file in files
        if isinstance(file, Mapping)
        and text_of(file, "id")
        and text_of(file, "mode") not in ("tombstone", "hidden_by_limit", "external")
        and file.get("is_external") is not True
    ]


def text_of(payload: Json, key: str) -> str:
    """What stands there if it is text, else ""."""
    found = payload.get(key)
    return found if isinstance(found, str) else ""


def _number(payload: Json, key: str) -> int:
    found = payload.get(key)
    return found if isinstance(found, int) else 0


def dict_of(payload: Json, key: str) -> Json:
    """What stands there if it is an object, else an empty one."""
    found = payload.get(key)
    return found if isinstance(found, Mapping) else {}
