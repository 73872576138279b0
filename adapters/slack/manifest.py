"""How the app is made at Slack, and whether it was made so.

The manifest asks for exactly what the code uses: https://docs.slack.dev/reference/app-manifest
"""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from adapters.slack import COMMAND, Account, Settings, accounts, secret_of
from adapters.slack.events import dict_of
from adapters.slack.faults import CallFailed, as_channel_fault
from adapters.slack.forms import REPLY
from adapters.slack.pages import Json
from bot.ports import Finding, Host

if TYPE_CHECKING:
    from adapters.slack.api import Api

SCOPES: Final[Mapping[str, str]] = {
    "app_mentions:read": "hears when it is mentioned",
    "assistant:write": "opens threads of the Assistant view: prompts, titles, the status line",
    "channels:history": "reads the thread in which it is mentioned, and edits and deletions",
    "channels:read": "finds its channels after a gap",
    "chat:write": "answers",
    "commands": f"takes {COMMAND}",
    "files:read": "reads files that people send it",
    "files:write": "sends files",
    "groups:history": "the same in private channels",
    "groups:read": "the same in private channels",
    "im:history": "reads direct messages to it",
    "im:read": "finds its direct chats after a gap",
    "im:write": f"opens a direct chat for {COMMAND} ask",
    "mpim:history": "the same in chats of several people",
    "mpim:read": "the same in chats of several people",
    "reactions:read": "takes thumbs up and down as verdicts",
    "users:read": "knows people's names",
}
EVENTS: Final = (
    "app_home_opened",
    "app_mention",
    "app_uninstalled",
    "assistant_thread_context_changed",
    "assistant_thread_started",
    "message.channels",
    "message.groups",
    "message.im",
    "message.mpim",
    "reaction_added",
    "tokens_revoked",
)
_REPLY: Final[Mapping[str, str]] = {
    "name": "Reply to user",
    "type": "message",
    "callback_id": REPLY,
    "description": "For operators: write to the user of this case",
}
_PATH: Final = "/webhooks/slack"


def manifest(account: Account, url: str) -> dict[str, Any]:
    """The app's manifest. `url`: where Slack calls us, in http mode."""
    is_socket = account.mode == "socket"
    command: dict[str, Any] = {
        "command": COMMAND,
        "description": "Ask, or ask for a person",
        "usage_hint": "help | ask TEXT | human | done | forget" + " | link CODE" * bool(account.operators_channel),
        "should_escape": False,
    }
    interactivity: dict[str, Any] = {"is_enabled": True}
    subscriptions: dict[str, Any] = {"bot_events": list(EVENTS)}
    if not is_socket:
        command["url"] = interactivity["request_url"] = subscriptions["request_url"] = url
    prompts = [{"title": prompt[:75], "message": prompt} for prompt in account.prompts]
    return {
        "display_information": {
            "name": "Frontdesk",
            "description": "Answers from your documents and hands over to people",
        },
        "features": {
            "app_home": {
                "home_tab_enabled": True,
                "messages_tab_enabled": True,
                "messages_tab_read_only_enabled": False,
            },
            "assistant_view": {"assistant_description": "Answers from your documents", "suggested_prompts": prompts},
            "bot_user": {"display_name": "Frontdesk", "always_online": True},
            "slash_commands": [command],
            **({"shortcuts": [_REPLY]} if account.operators_channel else {}),
        },
        "oauth_config": {"scopes": {"bot": list(SCOPES)}},
        "settings": {
            "event_subscriptions": subscriptions,
            "interactivity": interactivity,
            "org_deploy_enabled": False,
            "socket_mode_enabled": is_socket,
            "token_rotation_enabled": False,
        },
    }


def guide(settings: Settings, public_url: str) -> str:
    """The steps, with a manifest for each account."""
    found = accounts(settings) or {"": settings}
    return "\n\n".join(_steps(name, account, public_url) for name, account in found.items())


def _steps(name: str, account: Account, public_url: str) -> str:
    where = f"[channels.slack.accounts.{name}]" if name else "[channels.slack]"
    url = f"{public_url.rstrip('/')}{_PATH}{'/' + name if name else ''}"
    shown = json.dumps(manifest(account, url), indent=2)
    steps = [
        "Open https://api.slack.com/apps?new_app=1, choose “From a manifest” and your workspace, and paste:",
        f"Under “Install App”, install it, and put the Bot User OAuth Token (xoxb-…) into bot_token of {where}.",
    ]
    if account.mode == "socket":
        steps.append(
            "Under “Basic Information”, “App-Level Tokens”, make a token with the scope connections:write, "
            f"and put it (xapp-…) into app_token of {where}."
        )
    else:
        steps.append(f"Under “Basic Information”, copy the Signing Secret into signing_secret of {where}.")
        steps.append(f"Start Frontdesk, so that {url} answers, and press “Retry” under “Event Subscriptions”.")
    steps.append("Invite the app to the channels in which it may be asked: /invite @Frontdesk")
    if account.operators_channel:
        steps.append(f"Invite it to the operators' channel ({account.operators_channel}) too: /invite @Frontdesk")
    lines = [f"{number}. {step}" for number, step in enumerate(steps, 1)]
    return "\n\n".join([f"Slack, {where}:", lines[0], shown, *lines[1:]])


# --- checking ------------------------------------------------------------------------------------------------------


async def check(settings: Settings, host: Host) -> list[Finding]:
    """What Slack says of each account. Never raises for Slack."""
    found: list[Finding] = []
    for name, account in accounts(settings).items():
        found += await _check_account(name, account, host)
    return found


async def _check_account(name: str, account: Account, host: Host) -> list[Finding]:
    from adapters.slack.api import Api

    where = f"slack.{name}" if name else "slack"
    api = Api(secret_of(account.bot_token), account.api_url, host.connector(), host.clock.monotonic)
    try:
        return [
            *await _check_bot(api, where),
            *await _check_socket(api, account, where),
            *await _check_room(api, account, where),
        ]
    finally:
        await api.close()


async def _check_bot(api: "Api", where: str) -> list[Finding]:
    try:
        said, headers = await api.answer("auth_test")
    except CallFailed as failed:
        return [_failed(f"{where}: the bot token", failed, f"bot_token of {where}")]
    found = [Finding(f"{where}: the bot token is of {said.get('team')}, as {said.get('user')}", is_well=True)]
    given = {scope.strip() for scope in headers.get("x-oauth-scopes", "").split(",") if scope.strip()}
    missing = [scope for scope in SCOPES if scope not in given]
    if given and missing:
        mend = f"Add {', '.join(missing)} under OAuth & Permissions, and install the app again."
        found.append(Finding(f"{where}: its scopes", is_well=False, mend=mend))
    elif given:
        found.append(Finding(f"{where}: its scopes", is_well=True))
    return [*found, *_kind_of(said, where)]


def _kind_of(said: Json, where: str) -> list[Finding]:
    if said.get("bot_id"):
        return []
    mend = "Use the Bot User OAuth Token (xoxb-…), not a person's."
    return [Finding(f"{where}: the token is a bot's", is_well=False, mend=mend)]


async def _check_socket(api: "Api", account: Account, where: str) -> Sequence[Finding]:
    if account.mode != "socket":
        return ()
    try:
        await api.call("apps_connections_open", app_token=secret_of(account.app_token))
    except CallFailed as failed:
        return (_failed(f"{where}: Socket Mode", failed, f"app_token of {where}"),)
    return (Finding(f"{where}: Socket Mode", is_well=True),)


async def _check_room(api: "Api", account: Account, where: str) -> Sequence[Finding]:
    """The operators' channel, where there is one: the app is in it, and nobody of another workspace is."""
    if not account.operators_channel:
        return ()
    what = f"{where}: the operators' channel"
    try:
        channel = dict_of(await api.call("conversations_info", channel=account.operators_channel), "channel")
    except CallFailed as failed:
        if failed.code != "channel_not_found":
            return (_failed(what, failed, f"bot_token of {where}"),)
        channel = {}
    if channel.get("is_member") is not True:
        mend = f"There is no channel {account.operators_channel}, or the app is not in it: /invite @Frontdesk there."
        return (Finding(what, is_well=False, mend=mend),)
    if channel.get("is_ext_shared") is True:
        mend = "People of other workspaces read what users write: choose a channel that is not shared."
        return (Finding(what, is_well=False, mend=mend),)
    return (Finding(what, is_well=True),)


def _failed(what: str, failed: CallFailed, key: str) -> Finding:
    if failed.code == "not_allowed_token_type":
        mend = "bot_token begins with xoxb-, app_token with xapp-: they may have been swapped."
    elif failed.is_settled:
        fault = as_channel_fault(failed, key)
        mend = f"{fault.detail}. {fault.mend}."
    else:
        mend = f"Slack could not be asked: {failed}."
    return Finding(what, is_well=False, mend=mend)
