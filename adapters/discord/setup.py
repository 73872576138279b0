"""How a bot is made on Discord's side, and whether it has been made so."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from adapters.discord.faults import CONTENT, PORTAL
from bot.ports import Finding, Host

if TYPE_CHECKING:
    from adapters.discord import Account
    from adapters.discord.wire import Wire

PERMISSIONS: Final = (1 << 10) | (1 << 11) | (1 << 14) | (1 << 15) | (1 << 16) | (1 << 35) | (1 << 38)
"""View channels, send messages, embed links (which the cards of operators need), attach files, read the history, create public threads, send messages in threads (Discord's documentation,
"Permissions")."""

_INVITE: Final = (
    "https://discord.com/oauth2/authorize?client_id={id}&scope=bot+applications.commands&permissions={permissions}"
)


def guide(settings: "Account") -> str:
    threads = "A question in a channel is answered in a thread of its own." if settings.threads else ""
    return f"""\
1. Open {PORTAL} and click New Application. Its name is what people see.
2. On the page Bot click Reset Token and copy the token. Keep it as FRONTDESK_CHANNELS_DISCORD_TOKEN in the environment
   or in .env, or as token in [channels.discord]; never in a repository.
3. On the same page, under Privileged Gateway Intents, switch on MESSAGE CONTENT INTENT. The other two stay off.
4. On the page General Information copy the Application ID, put it into this address, open it and choose your server:
   {invite("APPLICATION_ID")}
   The permissions ({PERMISSIONS}) are: view channels, send messages, send messages in threads, create public threads,
   embed links, attach files, read message history.
5. Leave Interactions Endpoint URL empty: commands and buttons come through the same connection as messages.
6. Set enabled = true in [channels.discord] and reload. Nothing of yours has to be reachable from outside.
7. For operators in Discord: make a private text channel, add them and the bot to it (Edit Channel > Permissions),
   right-click it, choose Copy Channel ID (Settings > Advanced > Developer Mode), and write it as operators_channel in
   [channels.discord].

People write to the bot directly, mention it in a channel, or use /ask, /human, /done and /forget. {threads}"""


def invite(application: str) -> str:
    return _INVITE.format(id=application, permissions=PERMISSIONS)


async def check(settings: "Account", name: str, host: Host) -> Sequence[Finding]:
    """What is well with one bot. Raises nothing: what cannot be asked is a finding."""
    from adapters.discord.calls import CallFailure
    from adapters.discord.wire import Wire

    bot = f"{name}: " if name else ""
    token = settings.token.get_secret_value() if settings.token else ""
    wire = Wire(settings.api_url, token, host.connector(), host.clock, lambda: None)
    try:
        return await _findings(wire, bot, settings.operators_channel)
    except CallFailure as failure:
        return [Finding(f"{bot}Discord answers", False, f"It could not be asked: {failure}. Try again later")]
    finally:
        await wire.close()


async def _findings(wire: "Wire", bot: str, operators: str) -> Sequence[Finding]:
    from adapters.discord.calls import Rejected
    from adapters.discord.payloads import Application

    taken = f"{bot}Discord takes the token"
    try:
        application = Application.model_validate(await wire.application_info())
    except Rejected as rejected:
        if rejected.status != 401:
            raise
        return [Finding(taken, False, f"Copy a new one from the page Bot of your application in {PORTAL}")]
    servers = await wire.get_guilds(1, with_counts=False)
    page = f"{PORTAL}/{application.id}/bot"
    may_read = bool(application.flags & CONTENT)
    return [
        Finding(taken, True),
        _finding(f"{bot}the bot may read what is written", may_read, f"Switch on MESSAGE CONTENT INTENT at {page}"),
        _finding(f"{bot}the bot is in a server", bool(servers), f"Invite it: {invite(application.id)}"),
        *([await _desk(wire, bot, operators)] if operators else []),
    ]


async def _desk(wire: "Wire", bot: str, operators: str) -> Finding:
    from adapters.discord.calls import Rejected
    from adapters.discord.payloads import TEXTS, Channel

    what = f"{bot}the operators' channel is there"
    try:
        channel = Channel.model_validate(await wire.get_channel(operators))
    except Rejected:
        return Finding(
            what, False, "Add the bot to the channel (Edit Channel > Permissions), or mend operators_channel"
        )
    return _finding(what, channel.type in TEXTS, "operators_channel must be the id of a text channel")


def _finding(what: str, is_well: bool, mend: str) -> Finding:
    return Finding(what, is_well, "" if is_well else mend)
