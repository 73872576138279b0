"""What people write on Discord, as the house reads it. Pure."""

import re
from collections.abc import Set as AbstractSet
from typing import Final

from adapters.discord.payloads import Interaction, Member, Said, User
from adapters.discord.rooms import Room
from bot.model import Heard, Identity, RemoteFile

_EMOJI: Final = re.compile(r"<a?(:[A-Za-z0-9_]{1,32}:)[0-9]{1,25}>")
_TONES: Final = re.compile("[\U0001f3fb-\U0001f3ff\ufe0f]")
_THUMBS: Final = {"👍": "up", "👎": "down"}
_MENTION: Final = re.compile(r"<@[!&]?([0-9]{1,25})>")
"""Discord's documentation, "Message Formatting"."""


def identity(account: str, user: User, member: Member | None) -> Identity:
    name = (member.nick if member else "") or user.global_name or user.username
    return Identity("discord", account, user.id, name, verified=True)


def text_of(said: Said, me: str, roles: AbstractSet[str]) -> str:
    """The text without the mention that addressed us, other people by their names; what was forwarded with it, too."""
    names = {user.id: user.global_name or user.username for user in said.mentions}

    def shown(found: re.Match[str]) -> str:
        id_ = found[1]
        if id_ == me or id_ in roles:
            return ""
        return f"@{names[id_]}" if names.get(id_) else found[0]

    written = [said.content or "", *(snapshot.message.content for snapshot in said.message_snapshots)]
    text = _MENTION.sub(shown, "\n".join(filter(None, written)))
    return _EMOJI.sub(lambda found: found[1], text).strip()


def is_addressed(said: Said, room: Room, me: str, roles: AbstractSet[str]) -> bool:
    """Whether a message is meant for us: in direct messages always; elsewhere when it mentions us; within the thread that we began for
    a question unless it mentions somebody else."""
    if room.is_direct or _is_mentioned(said, me) or roles & set(said.mention_roles):
        return True
    is_for_others = said.mentions or said.mention_roles or said.mention_everyone
    return room.is_thread and room.owner == me and not is_for_others


def _is_mentioned(said: Said, me: str) -> bool:
    """Where whom it mentions is not told, the text tells."""
    if "mentions" not in said.model_fields_set:
        return any(found[1] == me for found in _MENTION.finditer(said.content or ""))
    return any(user.id == me for user in said.mentions)


def files_of(said: Said, most: int) -> tuple[RemoteFile, ...]:
    return tuple(
        RemoteFile(f"{said.channel_id}/{said.id}/{file.id}", file.filename, file.content_type, file.size)
        for file in said.attachments[:most]
    )


def heard(account: str, said: Said, me: str, roles: AbstractSet[str]) -> Heard | None:
    """What a person said before we were addressed; None for what programs wrote, and what has no text."""
    user = said.author
    if user is None or user.bot or said.webhook_id:
        return None
    text = text_of(said, me, roles)
    return Heard(identity(account, user, said.member), said.id, text, said.sent_ms) if text else None


def verdict(emoji: str) -> str:
    """ "up" or "down" for a thumb of any colour, "" for everything else."""
    return _THUMBS.get(_TONES.sub("", emoji), "")


def option(interaction: Interaction, name: str) -> str:
    return next((str(option.value) for option in interaction.data.options if option.name == name), "")
