"""Users, guilds, channels and messages as the API shows them (https://docs.discord.com/developers/resources)."""

from typing import TYPE_CHECKING

from tests.platforms.discord.limits import EPOCH_MS, Json
from tests.platforms.discord.things import DIRECT, Channel, Guild, Message, User, guild_of, iso

if TYPE_CHECKING:
    from tests.platforms.discord.world import World

ALL_PERMISSIONS = str((1 << 50) - 1)


class Shapes:
    """The JSON of what is in a world."""

    def __init__(self, world: "World") -> None:
        self._world = world

    def message(self, message: Message, *, is_nested: bool = False) -> Json:
        author = message.author.json()
        if message.webhook_id is not None and message.interaction is None:
            author |= {"id": str(message.webhook_id), "username": message.webhook_name, "bot": True}
        data: Json = {
            "id": str(message.id),
            "channel_id": str(message.channel.id),
            "author": author,
            "content": message.content,
            "timestamp": iso(message.created_ms),
            "edited_timestamp": iso(message.edited_ms) if message.edited_ms else None,
            "tts": False,
            "mention_everyone": message.pings_everyone,
            "mentions": [user.json() for user in message.mentions],
            "mention_roles": [str(role) for role in message.mention_roles],
            "attachments": [self._world.files.json(message.channel, file) for file in message.files],
            "embeds": message.embeds,
            "components": message.components,
            "pinned": False,
            "type": message.type,
            "flags": message.flags,
        }
        if message.reactions:
            data["reactions"] = [self._reaction(emoji, users) for emoji, users in message.reactions.items()]
        if message.webhook_id is not None:
            data["webhook_id"] = str(message.webhook_id)
        if message.interaction is not None:
            data["interaction_metadata"] = message.interaction
            data["application_id"] = str(self._world.application_id)
        if message.forwarded:  # resources/message#message-snapshot-object
            data["message_snapshots"] = [{"message": {"content": message.forwarded, "type": 0, "flags": 0}}]
        if message.thread is not None:
            data["thread"] = self.channel(message.thread)
        if message.has_reference and message.answers is not None:
            data |= self._reference(message, message.answers, is_nested)
        return data

    def _reference(self, message: Message, first: Message, is_nested: bool) -> Json:
        there: Json = {"type": 0, "message_id": str(first.id), "channel_id": str(first.channel.id)}
        data: Json = {"message_reference": there | guild_of(message.channel)}
        if not is_nested:
            data["referenced_message"] = None if first.is_deleted else self.message(first, is_nested=True)
        return data

    def _reaction(self, emoji: str, users: list[User]) -> Json:
        return {
            "emoji": {"id": None, "name": emoji},
            "count": len(users),
            "count_details": {"burst": 0, "normal": len(users)},
            "me": self._world.bot in users,
            "me_burst": False,
            "burst_colors": [],
        }

    def event(self, message: Message) -> Json:
        """What an event adds to a message in a guild (events/gateway-events#message-create)."""
        guild = message.channel.guild
        if guild is None:
            return {}
        extra: Json = {"guild_id": str(guild.id)}
        if message.webhook_id is None:
            extra["member"] = self.member(guild, message.author)
        return extra

    def channel(self, channel: Channel) -> Json:
        last = max(channel.everything, default=None)
        data: Json = {
            "id": str(channel.id),
            "type": channel.type,
            "flags": 0,
            "last_message_id": None if last is None else str(last),
        }
        if channel.type == DIRECT:
            return data | {"recipients": [user.json() for user in channel.recipients]}
        data |= {"name": channel.name, "rate_limit_per_user": 0, "parent_id": None, **guild_of(channel)}
        if not channel.is_thread:
            return data | {"position": 0, "permission_overwrites": [], "nsfw": False, "topic": None}
        assert channel.parent is not None
        assert channel.owner is not None
        return data | {
            "parent_id": str(channel.parent.id),
            "owner_id": str(channel.owner.id),
            "message_count": len(channel.messages),
            "total_message_sent": len(channel.everything),
            "member_count": len(channel.members),
            "thread_metadata": {
                "archived": channel.is_archived,
                "auto_archive_duration": 1440,
                "archive_timestamp": iso(self._world.now_ms()),
                "locked": channel.is_locked,
                "create_timestamp": iso((channel.id >> 22) + EPOCH_MS),
            },
        }

    def member(self, guild: Guild, user: User) -> Json:
        roles = [str(guild.bot_role)] if user is self._world.bot else []
        return {
            "roles": roles,
            "joined_at": iso((guild.id >> 22) + EPOCH_MS),
            "deaf": False,
            "mute": False,
            "flags": 0,
            "nick": None,
            "avatar": None,
            "premium_since": None,
            "pending": False,
            "communication_disabled_until": None,
        }

    def guild(self, guild: Guild) -> Json:
        here = [c for c in self._world.channels.values() if c.guild is guild and not c.is_deleted]
        return {
            "id": str(guild.id),
            "name": guild.name,
            "owner_id": str(guild.owner.id),
            "icon": None,
            "splash": None,
            "discovery_splash": None,
            "afk_channel_id": None,
            "afk_timeout": 300,
            "verification_level": 0,
            "default_message_notifications": 1,
            "explicit_content_filter": 0,
            "roles": [_role(guild.id, "@everyone"), _role(guild.bot_role, self._world.bot.name, bot=self._world.bot)],
            "emojis": [],
            "stickers": [],
            "features": [],
            "mfa_level": 0,
            "application_id": None,
            "system_channel_id": None,
            "system_channel_flags": 0,
            "rules_channel_id": None,
            "vanity_url_code": None,
            "description": None,
            "banner": None,
            "premium_tier": 0,
            "preferred_locale": "en-US",
            "public_updates_channel_id": None,
            "nsfw_level": 0,
            "premium_progress_bar_enabled": False,
            "joined_at": iso((guild.id >> 22) + EPOCH_MS),
            "large": False,
            "unavailable": False,
            "member_count": len(guild.members),
            "members": [self.member(guild, user) | {"user": user.json()} for user in guild.members],
            "channels": [self.channel(c) for c in here if not c.is_thread],
            "threads": [self.channel(c) for c in here if c.is_thread and not c.is_archived],
            "presences": [],
            "voice_states": [],
            "stage_instances": [],
            "guild_scheduled_events": [],
            "soundboard_sounds": [],
        }


def _role(id_: int, name: str, bot: User | None = None) -> Json:
    role: Json = {
        "id": str(id_),
        "name": name,
        "color": 0,
        "colors": {"primary_color": 0, "secondary_color": None, "tertiary_color": None},
        "hoist": False,
        "icon": None,
        "unicode_emoji": None,
        "position": 0 if bot is None else 1,
        "permissions": ALL_PERMISSIONS,
        "managed": bot is not None,
        "mentionable": bot is not None,
        "flags": 0,
    }
    if bot is not None:
        role["tags"] = {"bot_id": str(bot.id)}
    return role
