"""The REST API, version 10, around the messages: the bot itself, its commands, guilds, channels, fresh URLs of files
(https://docs.discord.com/developers/resources/application and its neighbours)."""

import asyncio
import re

from aiohttp import web

from tests.platforms.discord import forms, limits
from tests.platforms.discord.gateway import Gateway
from tests.platforms.discord.limits import Json
from tests.platforms.discord.things import Channel
from tests.platforms.discord.wire import Handler, answer, nothing, read_body, wake
from tests.platforms.discord.world import World


class Rest:
    """`commands` are the registered ones: those of everywhere under 0, those of one guild under its id. `interactions_url` is the address
    to which an app may have its interactions sent: none come by the gateway then."""

    def __init__(self, world: World, gateway: Gateway, changed: asyncio.Condition) -> None:
        self._world = world
        self._gateway = gateway
        self.changed = changed
        self.interactions_url: str | None = None
        self.commands: dict[int, list[Json]] = {}

    def routes(self) -> list[tuple[str, str, Handler]]:
        commands = "/applications/{application}/commands"
        return [
            ("GET", "/gateway", self._get_gateway),
            ("GET", "/gateway/bot", self._get_gateway),
            ("GET", "/users/@me", self._get_me),
            ("GET", "/users/@me/guilds", self._get_guilds),
            ("POST", "/users/@me/channels", self._open_direct),
            ("GET", "/users/{user}", self._get_user),
            ("GET", "/oauth2/applications/@me", self._get_application),
            ("GET", "/applications/@me", self._get_application),
            ("GET", commands, self._get_commands),
            ("PUT", commands, self._put_commands),
            ("POST", commands, self._add_command),
            ("DELETE", commands + "/{command}", self._delete_command),
            ("GET", "/applications/{application}/guilds/{guild}/commands", self._get_commands),
            ("PUT", "/applications/{application}/guilds/{guild}/commands", self._put_commands),
            ("GET", "/guilds/{guild}", self._get_guild),
            ("GET", "/guilds/{guild}/channels", self._get_guild_channels),
            ("GET", "/guilds/{guild}/threads/active", self._get_threads),
            ("GET", "/guilds/{guild}/members/{user}", self._get_member),
            ("GET", "/channels/{channel}", self._get_channel),
            ("PATCH", "/channels/{channel}", self._change_channel),
            ("POST", "/attachments/refresh-urls", self._refresh_urls),
        ]

    # --- the bot and its app ----------------------------------------------------------------------------------------

    async def _get_gateway(self, _: web.Request) -> web.Response:
        left = limits.IDENTIFIES_A_DAY - len(self._gateway.identifies)
        start = {
            "total": limits.IDENTIFIES_A_DAY,
            "remaining": max(left, 0),
            "reset_after": 86_400_000,
            "max_concurrency": self._gateway.max_concurrency,
        }
        return answer({"url": self._gateway.url, "shards": 1, "session_start_limit": start})

    async def _get_me(self, _: web.Request) -> web.Response:
        return answer(self._world.bot.json() | {"verified": True, "mfa_enabled": True, "locale": "en-US", "flags": 0})

    async def _get_guilds(self, _: web.Request) -> web.Response:
        guilds = [guild for guild in self._world.guilds.values() if guild.has_bot]
        return answer(
            [{"id": str(g.id), "name": g.name, "icon": None, "owner": False, "permissions": "0"} for g in guilds]
        )

    async def _get_user(self, request: web.Request) -> web.Response:
        return answer(self._world.find_user(request.match_info["user"]).json())

    async def _get_application(self, _: web.Request) -> web.Response:
        owner = next(user for user in self._world.users.values())
        return answer(
            {
                "id": str(self._world.application_id),
                "name": self._world.bot.name,
                "icon": None,
                "description": "",
                "bot_public": True,
                "bot_require_code_grant": False,
                "verify_key": "0" * 64,
                "owner": owner.json(),
                "team": None,
                "summary": "",
                "flags": self._gateway.application_flags,
                "bot": self._world.bot.json(),
                "interactions_endpoint_url": self.interactions_url,
                "approximate_guild_count": len(self._world.guilds),
            }
        )

    async def _open_direct(self, request: web.Request) -> web.Response:
        body, _ = await read_body(request)
        return answer(
            self._world.json.channel(self._world.direct(self._world.find_user(str(body.get("recipient_id")))))
        )

    # --- commands ---------------------------------------------------------------------------------------------------

    async def _get_commands(self, request: web.Request) -> web.Response:
        return answer(self.commands.get(self._command_scope(request), []))

    async def _put_commands(self, request: web.Request) -> web.Response:
        body, _ = await read_body(request)
        scope, wanted = self._command_scope(request), list(body.get("items", []))
        forms.check_commands(wanted)
        self.commands[scope] = [self._command(scope, command) for command in wanted]
        await wake(self.changed)
        return answer(self.commands[scope])

    async def _add_command(self, request: web.Request) -> web.Response:
        body, _ = await read_body(request)
        scope = self._command_scope(request)
        forms.check_commands([body])
        others = [command for command in self.commands.get(scope, []) if command["name"] != body["name"]]
        made = self._command(scope, body)
        self.commands[scope] = [*others, made]
        return answer(made, 201)

    async def _delete_command(self, request: web.Request) -> web.Response:
        scope = self._command_scope(request)
        kept = [c for c in self.commands.get(scope, []) if c["id"] != request.match_info["command"]]
        if len(kept) == len(self.commands.get(scope, [])):
            raise limits.UNKNOWN_COMMAND
        self.commands[scope] = kept
        return nothing()

    def _command_scope(self, request: web.Request) -> int:
        """0 for the commands of every guild and of direct messages."""
        if request.match_info["application"] != str(self._world.application_id):
            raise limits.MISSING_ACCESS
        return int(request.match_info.get("guild", 0))

    def _command(self, scope: int, body: Json) -> Json:
        known = next((c["id"] for c in self.commands.get(scope, []) if c["name"] == body["name"]), None)
        fixed: Json = {
            "id": known or str(self._world.ids.next()),
            "application_id": str(self._world.application_id),
            "version": str(self._world.ids.next()),
            "default_member_permissions": None,
            "type": 1,
            "description": "",
            "options": [],
            "nsfw": False,
        }
        if scope:
            fixed["guild_id"] = str(scope)
        return fixed | body

    # --- guilds and channels ----------------------------------------------------------------------------------------

    async def _get_guild(self, request: web.Request) -> web.Response:
        return answer(self._world.json.guild(self._world.find_guild(request.match_info["guild"])))

    async def _get_guild_channels(self, request: web.Request) -> web.Response:
        return answer([self._world.json.channel(channel) for channel in self._here(request) if not channel.is_thread])

    async def _get_threads(self, request: web.Request) -> web.Response:
        threads = [channel for channel in self._here(request) if channel.is_thread and not channel.is_archived]
        return answer({"threads": [self._world.json.channel(thread) for thread in threads], "members": []})

    def _here(self, request: web.Request) -> list[Channel]:
        guild = self._world.find_guild(request.match_info["guild"])
        return [c for c in self._world.channels.values() if c.guild is guild and not c.is_deleted]

    async def _get_member(self, request: web.Request) -> web.Response:
        guild = self._world.find_guild(request.match_info["guild"])
        user = self._world.find_user(request.match_info["user"])
        if user not in guild.members:
            raise limits.UNKNOWN_MEMBER
        return answer(self._world.json.member(guild, user) | {"user": user.json()})

    async def _get_channel(self, request: web.Request) -> web.Response:
        return answer(self._world.json.channel(self._world.find_channel(request.match_info["channel"])))

    async def _change_channel(self, request: web.Request) -> web.Response:
        """resources/channel#modify-channel, of threads: a locked one only moderators open again."""
        thread = self._world.find_channel(request.match_info["channel"])
        body, _ = await read_body(request)
        if not thread.is_thread or set(body) != {"archived"} or thread.is_locked:
            raise limits.MISSING_PERMISSIONS
        thread.is_archived = bool(body["archived"])
        self._world.announce("THREAD_UPDATE", self._world.json.channel(thread), limits.GUILDS, None)
        await wake(self.changed)
        return answer(self._world.json.channel(thread))

    # --- files ------------------------------------------------------------------------------------------------------

    async def _refresh_urls(self, request: web.Request) -> web.Response:
        body, _ = await read_body(request)
        refreshed = []
        for url in body.get("attachment_urls", []):
            found = re.search(r"/attachments/\d+/(\d+)/", url)
            if found and int(found.group(1)) in self._world.files.uploads:
                channel, file = self._world.files.uploads[int(found.group(1))]
                refreshed.append({"original": url, "refreshed": self._world.files.url(channel, file)})
        return answer({"refreshed_urls": refreshed})
