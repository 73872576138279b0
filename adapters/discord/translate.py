"""What people write on Discord, as the house reads it. Pure."""

import re
from collections.abc import Set as AbstractSet
from typing import Final

from adapters.discord.components import messages_of
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
    forwarded = [snapshot.message.content for snapshot in said.message_snapshots]
    return _named("\n".join(filter(None, [said.content or "", *forwarded])), said, me, roles)


def line_of(said: Said, me: str, roles: AbstractSet[str]) -> str:
    """The same of an operator. What they only pass on is marked as a quotation, so that it never reads as a command of theirs."""
    forwarded = "\n".join(snapshot.message.content for snapshot in said.message_snapshots)
    quoted = "\n".join(f"> {line}" for line in _named(forwarded, said, me, roles).splitlines())
    return "\n".join(filter(None, [_named(said.content or "", said, me, roles), quoted]))


def _named(written: str, said: Said, me: str, roles: AbstractSet[str]) -> str:
    names = {user.id: user.global_name or user.username for user in said.mentions}

    def shown(found: re.Match[str]) -> str:
        id_ = found[1]
        if id_ == me or id_ in roles:
            return ""
        return f"@{names[id_]}" if names.get(id_) else found[0]

    text = _MENTION.sub(shown, written)
    return _EMOJI.sub(lambda found: found[1], text).strip()


def card_of(said: Said, me: str) -> str:
    """The card in the operators' channel which a message there answers, itself or by what stands under it; "" for none."""
    answered = said.referenced_message
    if answered is None or answered.author is None or answered.author.id != me:
        return ""
    if messages_of(answered.components):
        return root(answered)
    return answered.message_reference.message_id if answered.message_reference is not None else ""


def root(ours: Said) -> str:
    """The card that a message of ours in the operators' channel is, or is about."""
    about = ours.message_reference
    return about.message_id if about is not None and about.message_id != "0" else ours.id


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
