"""Everything there is on this Discord: users, guilds, channels, messages and files. Knows no protocol: what happens is told to
`announce`, and the gateway makes events of it."""

from collections.abc import Callable, Iterable

from tests.platforms.discord.files import File, Files
from tests.platforms.discord.limits import (
    BAD_ID,
    GUILD_MESSAGES,
    GUILDS,
    HAS_THREAD,
    MISSING_ACCESS,
    UNKNOWN_CHANNEL,
    UNKNOWN_GUILD,
    UNKNOWN_MESSAGE,
    UNKNOWN_USER,
    Json,
)
from tests.platforms.discord.shapes import Shapes
from tests.platforms.discord.things import (
    DEFAULT,
    DIRECT,
    REPLY,
    TEXT,
    THREAD_CREATED,
    THREAD_STARTER,
    Channel,
    Guild,
    Mentions,
    Message,
    Snowflakes,
    User,
    guild_of,
    message_intents,
    text_of,
)

Announce = Callable[[str, Json, int, "Message | None"], None]
"""The name of an event, its data, the intents of which one is needed (0: none), and the message that it shows, if any."""


class World:
    """The people are made by `user`, the places by `guild`, `room` and `direct`. `json` shows what is in it."""

    def __init__(self, now_ms: Callable[[], int], announce: Announce) -> None:
        self.now_ms = now_ms
        self.ids = Snowflakes(now_ms)
        self.files = Files(self.ids, now_ms)
        self.json = Shapes(self)
        self.announce = announce
        self.users: dict[int, User] = {}
        self.guilds: dict[int, Guild] = {}
        self.channels: dict[int, Channel] = {}
        self.shown: list[tuple[Channel, Message, str]] = []
        self.application_id = self.ids.next()
        self.bot = self.user("Frontdesk", is_bot=True)

    # --- making things ----------------------------------------------------------------------------------------------

    def user(self, name: str, *, is_bot: bool = False) -> User:
        user = User(self.ids.next(), name, is_bot)
        self.users[user.id] = user
        return user

    def direct(self, user: User) -> Channel:
        """The chat of that person with the bot; the first call opens it."""
        if user.dm is None:
            user.dm = Channel(self.ids.next(), DIRECT, recipients=[user])
            self.channels[user.dm.id] = user.dm
        return user.dm

    def guild(self, name: str, *members: User) -> Guild:
        owner = members[0] if members else self.user(f"Owner of {name}")
        guild = Guild(self.ids.next(), name, owner, self.ids.next(), [self.bot, *members])
        self.guilds[guild.id] = guild
        self.announce("GUILD_CREATE", self.json.guild(guild), GUILDS, None)
        return guild

    def room(self, guild: Guild, name: str, type_: int = TEXT) -> Channel:
        channel = Channel(self.ids.next(), type_, name, guild)
        self.channels[channel.id] = channel
        self.announce("CHANNEL_CREATE", self.json.channel(channel), GUILDS, None)
        return channel

    def open_thread(self, parent: Channel, name: str, owner: User, start: Message | None, type_: int) -> Channel:
        """A thread from a message has that message's id (resources/channel#start-thread-from-message)."""
        thread = Channel(start.id if start else self.ids.next(), type_, name, parent.guild, parent, owner)
        thread.members.append(owner)
        self.channels[thread.id] = thread
        data = self.json.channel(thread) | {"newly_created": True}
        self.announce("THREAD_CREATE", data, GUILDS, None)
        if start is None:
            note = self.write(parent, owner, name, type_=THREAD_CREATED)
            note.thread = thread
            return thread
        start.thread = thread
        start.flags |= HAS_THREAD
        self.announce("MESSAGE_UPDATE", self.json.message(start), GUILD_MESSAGES, start)
        self.write(thread, owner, "", type_=THREAD_STARTER, answers=start)
        return thread

    # --- messages ---------------------------------------------------------------------------------------------------

    def write(
        self,
        channel: Channel,
        author: User,
        content: str,
        *,
        type_: int = DEFAULT,
        nonce: str | int | None = None,
        flags: int = 0,
        components: Iterable[Json] = (),
        embeds: Iterable[Json] = (),
        files: Iterable[File] = (),
        pinged: Mentions | None = None,
        answers: Message | None = None,
        webhook_id: int | None = None,
        webhook_name: str = "",
        interaction: Json | None = None,
        only_for: User | None = None,
        is_quiet: bool = False,
    ) -> Message:
        """`pinged`: whom the message does ping; None takes what its text says. `is_quiet`: no event tells of it yet."""
        message = Message(
            self.ids.next(), channel, author, content, self.now_ms(), REPLY if answers and type_ == DEFAULT else type_
        )
        message.nonce, message.flags = nonce, flags
        message.components, message.embeds, message.files = list(components), list(embeds), list(files)
        message.answers, message.has_reference = answers, answers is not None
        message.webhook_id, message.webhook_name = webhook_id, webhook_name
        message.interaction, message.only_for = interaction, only_for
        self._ping(message, Mentions.of(content) if pinged is None else pinged)
        for file in message.files:
            file.is_ephemeral = only_for is not None
            self.files.uploads[file.id] = (channel, file)
        channel.everything[message.id] = message
        channel.is_archived = channel.is_archived and channel.is_locked
        self.note_shown(message)
        if not is_quiet:
            self.tell_created(message)
        return message

    def tell_created(self, message: Message) -> None:
        if message.only_for is None:
            self.announce("MESSAGE_CREATE", self.json.message(message), message_intents(message.channel), message)

    def rewrite(self, message: Message, pinged: Mentions | None = None) -> None:
        """Tells of a message whose fields were changed. `pinged`: whom its new text pings; None: the text is as it was."""
        message.edited_ms = self.now_ms()
        if pinged is not None:
            message.mentions, message.mention_roles = [], []
            self._ping(message, pinged)
        self.note_shown(message)
        if message.only_for is None:
            self.announce("MESSAGE_UPDATE", self.json.message(message), message_intents(message.channel), message)

    def erase(self, message: Message) -> None:
        message.is_deleted = True
        data: Json = {"id": str(message.id), "channel_id": str(message.channel.id), **guild_of(message.channel)}
        if message.only_for is None:
            self.announce("MESSAGE_DELETE", data, message_intents(message.channel), None)

    def note_shown(self, message: Message) -> None:
        text = text_of(message)
        if not message.shown or message.shown[-1] != text:
            message.shown.append(text)
            self.shown.append((message.channel, message, text))

    def _ping(self, message: Message, whom: Mentions) -> None:
        message.mentions += [self.users[id_] for id_ in whom.users if id_ in self.users]
        message.mention_roles += list(whom.roles)
        message.pings_everyone = whom.is_everyone and message.channel.guild is not None
        if message.answers is not None and message.answers.author not in message.mentions and message.type == REPLY:
            message.mentions.append(message.answers.author)

    def mentions_bot(self, message: Message) -> bool:
        guild = message.channel.guild
        return self.bot in message.mentions or (guild is not None and guild.bot_role in message.mention_roles)

    # --- finding things, as a path of the API names them ------------------------------------------------------------

    def find_user(self, id_: str) -> User:
        user = self.users.get(_number(id_))
        if user is None:
            raise UNKNOWN_USER
        return user

    def find_guild(self, id_: str) -> Guild:
        guild = self.guilds.get(_number(id_))
        if guild is None or not guild.has_bot:
            raise UNKNOWN_GUILD
        return guild

    def find_channel(self, id_: str) -> Channel:
        """Raises what the bot is told of a place that is gone, or closed to it."""
        channel = self.channels.get(_number(id_))
        if channel is None or channel.is_deleted:
            raise UNKNOWN_CHANNEL
        if channel.guild is not None and not channel.guild.has_bot:
            raise MISSING_ACCESS
        if channel.refusal is not None:
            raise channel.refusal
        return channel

    def find_message(self, channel: str, id_: str) -> Message:
        message = self.find_channel(channel).everything.get(_number(id_))
        if message is None or message.is_deleted or message.only_for is not None:
            raise UNKNOWN_MESSAGE
        return message


def _number(id_: str) -> int:
    if not id_.isdecimal():
        raise BAD_ID
    return int(id_)
