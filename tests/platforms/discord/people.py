"""What people do on this Discord, and what they see."""

from tests.platforms.discord import limits
from tests.platforms.discord.files import File
from tests.platforms.discord.interactions import Interaction, Interactions
from tests.platforms.discord.limits import Json
from tests.platforms.discord.messages import Messages
from tests.platforms.discord.things import (
    PUBLIC_THREAD,
    USER_JOIN,
    Channel,
    Guild,
    Mentions,
    Message,
    User,
    guild_of,
    message_intents,
    walk,
)
from tests.platforms.discord.world import World


class People:
    """Everything returns at once: the events are on their way, and the bot may have them or not."""

    world: World
    messages: Messages
    interactions: Interactions

    def person(self, name: str) -> User:
        return self.world.user(name)

    def say(
        self,
        user: User,
        text: str,
        at: Channel | None = None,
        *,
        files: tuple[File, ...] = (),
        answers: Message | None = None,
        is_told: bool = True,
    ) -> Message:
        """Writes in a room, or directly to the bot. `is_told` False: the event is kept back, until `repeat`."""
        channel = at or self.world.direct(user)
        return self.world.write(channel, user, text, files=files, answers=answers, is_quiet=not is_told)

    def forward(self, user: User, text: str, at: Channel) -> Message:
        """Passes on a message from elsewhere, without a word of their own."""
        message = self.world.write(at, user, "", is_quiet=True)
        message.forwarded = text
        self.world.tell_created(message)
        return message

    def say_by_webhook(self, name: str, text: str, at: Channel) -> Message:
        """A program writes by a webhook: an author that is no user, with a webhook_id."""
        author = User(self.world.ids.next(), name, is_bot=True)
        return self.world.write(at, author, text, webhook_id=author.id, webhook_name=name)

    def repeat(self, message: Message) -> None:
        """Tells of a message (once more), as a resume does after an event whose number was not kept."""
        self.world.tell_created(message)

    def edit(self, message: Message, text: str) -> None:
        message.content = text
        self.world.rewrite(message, Mentions.of(text))

    def unfold(self, message: Message) -> None:
        """The update that follows when a link's preview is ready: nothing that the person wrote has changed, and no edit is dated
        (resources/message#edit-message, MESSAGE_UPDATE for embeds)."""
        message.embeds = [{"type": "link", "url": "https://example.com", "title": "A page"}]
        self.world.announce(
            "MESSAGE_UPDATE", self.world.json.message(message), message_intents(message.channel), message
        )

    def delete(self, message: Message) -> None:
        self.world.erase(message)

    def delete_many(self, *messages: Message) -> None:
        """A moderator removes them at once (events/gateway-events#message-delete-bulk)."""
        for message in messages:
            message.is_deleted = True
        channel = messages[0].channel
        data: Json = {"ids": [str(m.id) for m in messages], "channel_id": str(channel.id), **guild_of(channel)}
        self.world.announce("MESSAGE_DELETE_BULK", data, message_intents(channel), None)

    def types(self, user: User, at: Channel | None = None) -> None:
        """The person begins to write (events/gateway-events#typing-start)."""
        channel = at or self.world.direct(user)
        intents = limits.DIRECT_TYPING if channel.guild is None else limits.GUILD_TYPING
        data: Json = {"channel_id": str(channel.id), "user_id": str(user.id), "timestamp": self.world.now_ms() // 1000}
        self.world.announce("TYPING_START", data | guild_of(channel), intents, None)

    def react(self, user: User, message: Message, emoji: str) -> None:
        self.messages.react(message, user, emoji)

    def unreact(self, user: User, message: Message, emoji: str) -> None:
        self.messages.unreact(message, user, emoji)

    def press(self, user: User, message: Message, label: str) -> Interaction:
        """Presses the button with that label or emoji. KeyError where there is none."""
        return self.interactions.use_component(user, message, buttons_of(message)[label])

    def open_thread(self, user: User, at: Channel, name: str, start: Message | None = None) -> Channel:
        """The person opens a thread, from a message or without one."""
        return self.world.open_thread(at, name, user, start, PUBLIC_THREAD)

    def archive(self, thread: Channel, *, is_locked: bool = False) -> None:
        """The next message opens it again, unless it is locked too."""
        thread.is_archived, thread.is_locked = True, is_locked
        self.world.announce("THREAD_UPDATE", self.world.json.channel(thread), limits.GUILDS, None)

    def join(self, user: User, guild: Guild, at: Channel) -> Message:
        """A person joins, of which Discord itself writes a line (type 7)."""
        guild.members.append(user)
        return self.world.write(at, user, "", type_=USER_JOIN)

    def add_guild(self, name: str, *members: User) -> Guild:
        return self.world.guild(name, *members)

    def add_room(self, guild: Guild, name: str) -> Channel:
        return self.world.room(guild, name)

    def remove_bot(self, guild: Guild) -> None:
        """The bot is kicked."""
        guild.has_bot = False
        self.world.announce("GUILD_DELETE", {"id": str(guild.id)}, limits.GUILDS, None)

    def remove_room(self, channel: Channel) -> None:
        channel.is_deleted = True
        name = "THREAD_DELETE" if channel.is_thread else "CHANNEL_DELETE"
        self.world.announce(name, self.world.json.channel(channel), limits.GUILDS, None)

    # --- what the person sees ---------------------------------------------------------------------------------------

    def chat(self, channel: Channel, viewer: User) -> list[Message]:
        """What stands there now for that person, their ephemeral messages included, oldest first."""
        everything = sorted(channel.everything.values(), key=lambda m: m.id)
        return [m for m in everything if not m.is_deleted and m.only_for in (None, viewer)]

    def shown(self, channel: Channel) -> list[str]:
        """Every text that the bot's messages have shown there, in order."""
        return [
            text
            for at, message, text in self.world.shown
            if at is channel and message.author is self.world.bot and text
        ]

    def typed(self, channel: Channel) -> int:
        """How often the bot showed there that it writes."""
        return sum(at is channel for at, _ in self.messages.typing)

    def is_typing(self, channel: Channel) -> bool:
        """Whether that shows now: it does for 10 seconds, or until the bot has written (resources/channel#trigger-typing-indicator)."""
        since = max((ms for at, ms in self.messages.typing if at is channel), default=0)
        written = max((m.created_ms for m in channel.messages if m.author is self.world.bot), default=0)
        return since > written and self.world.now_ms() - since < limits.TYPING_S * 1000


def buttons_of(message: Message) -> dict[str, str]:
    """The custom_id of each button that can be pressed, by what stands on it."""
    pressable = [
        c for c in walk(message.components) if c.get("type") == 2 and "custom_id" in c and not c.get("disabled")
    ]
    return {c.get("label") or c.get("emoji", {}).get("name", ""): c["custom_id"] for c in pressable}
