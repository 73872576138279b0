"""What stops the channel until a person changes something, and what to change."""

from collections.abc import Callable, Mapping
from typing import Final

from bot.errors import ChannelFault

PORTAL: Final = "https://discord.com/developers/applications"
_UPDATE: Final = "Update Frontdesk"

CONTENT: Final = (1 << 18) | (1 << 19)
"""Discord's documentation, "Application Flags": GATEWAY_MESSAGE_CONTENT, and the same for bots in few servers."""


def bad_token() -> ChannelFault:
    return ChannelFault(
        "Discord refuses the bot's token",
        f"Copy a new one from the page Bot of your application in {PORTAL}, then reload",
    )


MAY_READ: Final = f"Switch on MESSAGE CONTENT INTENT on the page Bot of your application in {PORTAL}, then reload"


def no_content() -> ChannelFault:
    return ChannelFault("Discord keeps the text of messages from the bot", MAY_READ)


CLOSED: Final[Mapping[int, Callable[[], ChannelFault]]] = {
    4004: bad_token,
    4010: lambda: ChannelFault("Discord refuses the shard that was asked for", _UPDATE),
    4011: lambda: ChannelFault("The bot is in too many servers for one connection", "Invite it to fewer servers"),
    4012: lambda: ChannelFault("Discord no longer speaks this version of its gateway", _UPDATE),
    4013: lambda: ChannelFault("Discord does not know an intent that was asked for", _UPDATE),
    4014: no_content,
}
"""By the code with which the gateway closes (Discord's documentation, "Opcodes and Status Codes")."""
