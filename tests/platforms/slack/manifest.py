"""An app manifest, taken as Slack takes it: the app then has what the manifest names, and nothing else.

https://docs.slack.dev/reference/app-manifest"""

from tests.platforms.slack.delivery import EVENT_SCOPES
from tests.platforms.slack.server import Site
from tests.platforms.slack.world import ALL_EVENTS, ALL_SCOPES, Json

NAME_CHARS = 35
"""https://docs.slack.dev/reference/app-manifest#display: display_information.name"""
DESCRIPTION_CHARS = 140
COMMANDS = 50
SHORTCUT_CHARS = 24
KNOWN_SCOPES = ALL_SCOPES | {
    "channels:join",
    "chat:write.customize",
    "emoji:read",
    "links:read",
    "links:write",
    "mpim:read",
    "mpim:write",
    "pins:read",
    "users:write",
}
"""https://docs.slack.dev/reference/scopes: those of a bot that are near to what such an app does."""


def install(site: Site, manifest: Json) -> list[str]:
    """Sets the app up by the manifest and returns what is wrong with it (empty: Slack takes it). A request URL in it is called from now
    on instead of Socket Mode, if that is not switched on."""
    space, settings = site.space, manifest.get("settings") or {}
    features = manifest.get("features") or {}
    events = settings.get("event_subscriptions") or {}
    found = problems(manifest)
    space.scopes = set(((manifest.get("oauth_config") or {}).get("scopes") or {}).get("bot") or [])
    space.subscriptions = set(events.get("bot_events") or [])
    space.commands = {command["command"] for command in features.get("slash_commands") or []}
    space.shortcuts = {shortcut["callback_id"] for shortcut in features.get("shortcuts") or []}
    space.is_interactive = bool((settings.get("interactivity") or {}).get("is_enabled"))
    space.is_agent = "assistant_view" in features or "agent_view" in features
    home = features.get("app_home") or {}
    space.has_messages_tab = bool(home.get("messages_tab_enabled", True)) and not home.get(
        "messages_tab_read_only_enabled"
    )
    if settings.get("socket_mode_enabled"):
        site.delivery.mode = "socket"
    else:
        site.delivery.mode, site.delivery.http.url = "http", str(events.get("request_url") or "")
    return found


def problems(manifest: Json) -> list[str]:
    """Why Slack would refuse the manifest, or why the app would miss what it counts on."""
    found = []
    display = manifest.get("display_information") or {}
    features = manifest.get("features") or {}
    settings = manifest.get("settings") or {}
    scopes = set(((manifest.get("oauth_config") or {}).get("scopes") or {}).get("bot") or [])
    events = settings.get("event_subscriptions") or {}
    if not 0 < len(str(display.get("name", ""))) <= NAME_CHARS:
        found.append(f"display_information.name must have 1 to {NAME_CHARS} characters")
    if len(str(display.get("description", ""))) > DESCRIPTION_CHARS:
        found.append(f"display_information.description must have at most {DESCRIPTION_CHARS} characters")
    if scopes and not (features.get("bot_user") or {}).get("display_name"):
        found.append("bot scopes need features.bot_user.display_name")
    found += [f"unknown scope {scope}" for scope in sorted(scopes - KNOWN_SCOPES)]
    found += _event_problems(set(events.get("bot_events") or []), scopes)
    found += _command_problems(features.get("slash_commands") or [], scopes, bool(settings.get("socket_mode_enabled")))
    found += _shortcut_problems(features.get("shortcuts") or [], scopes)
    if not settings.get("socket_mode_enabled"):
        found += [
            f"settings.{key}.request_url is needed without Socket Mode"
            for key in ("event_subscriptions", "interactivity")
            if settings.get(key) and not settings[key].get("request_url")
        ]
    if "assistant_view" in features and "assistant:write" not in scopes:
        found.append("the Assistant view needs the scope assistant:write")
    return found


def _event_problems(events: set[str], scopes: set[str]) -> list[str]:
    return [f"unknown event {name}" for name in sorted(events - ALL_EVENTS)] + [
        f"the event {name} needs the scope {EVENT_SCOPES[name]}"
        for name in sorted(events)
        if name in EVENT_SCOPES and EVENT_SCOPES[name] not in scopes
    ]


def _command_problems(commands: list[Json], scopes: set[str], is_socket: bool) -> list[str]:
    found = ["slash commands need the scope commands"] if commands and "commands" not in scopes else []
    for command in commands:
        if not str(command.get("command", "")).startswith("/") or not command.get("description"):
            found.append("a slash command needs a command with a slash, and a description")
        if not is_socket and not command.get("url"):
            found.append("a slash command needs a url without Socket Mode")
    return found + ([f"no more than {COMMANDS} commands"] if len(commands) > COMMANDS else [])


def _shortcut_problems(shortcuts: list[Json], scopes: set[str]) -> list[str]:
    """https://docs.slack.dev/reference/app-manifest#features: each field of a shortcut is required."""
    found = ["shortcuts need the scope commands"] if shortcuts and "commands" not in scopes else []
    for shortcut in shortcuts:
        if shortcut.get("type") not in ("message", "global"):
            found.append("a shortcut is of the type message or global")
        if not 0 < len(str(shortcut.get("name", ""))) <= SHORTCUT_CHARS:
            found.append(f"a shortcut's name must have 1 to {SHORTCUT_CHARS} characters")
        if not shortcut.get("callback_id") or not shortcut.get("description"):
            found.append("a shortcut needs a callback_id and a description")
    return found
