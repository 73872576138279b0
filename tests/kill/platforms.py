"""Slack, Discord and Twilio over loopback, side by side, with the people who write there. They outlive the daemon.

What a person is told is read from what the platforms hold; what is said while nobody listens is kept or lost as each platform does.
"""

import asyncio
import random
import struct
import zlib
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Protocol

from bot.ports import Clock
from tests.kill.chats import is_whole, read_chat
from tests.kill.judge import Diary
from tests.kill.people import House
from tests.kill.points import Doom, Plan
from tests.platforms.discord import faults as discord_faults
from tests.platforms.discord.server import DiscordServer
from tests.platforms.discord.things import Message, User, text_of
from tests.platforms.slack.faults import POSTS, Fault
from tests.platforms.slack.server import SlackServer
from tests.platforms.slack.world import Person as SlackPerson
from tests.platforms.slack.world import Post
from tests.platforms.twilio.driver import PUBLIC_URL, WEBHOOK
from tests.platforms.twilio.ledger import ACCOUNT, NUMBER, TOKEN, Media, Record
from tests.platforms.twilio.server import TwilioServer

AHEAD = 3  # messages of one person without an answer, at most
REPEATED, WITH_FILE = 0.1, 0.1  # shares of messages
TROUBLE = 0.5  # share of lives in which a platform has trouble
RETRY_AFTER_S = 2.0
READY_S = 300.0
# Limits that a process cannot know of which has just been started, for only its predecessor was told; and events of which each try has
# met a process that was stopping, or had only just begun.
FORGIVEN = ("before the time of its Retry-After", "before a rate limit had passed", "was never acknowledged")


def picture() -> bytes:
    """A PNG of one pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0\0\0\0")) + chunk(b"IEND", b"")
    )


PICTURE = picture()


class Platform(Protocol):
    """One of them. `say` returns what `repeat` delivers once more; `told` is everything of ours that a person reads now, oldest first."""

    name: str
    doom: Doom

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def config(self) -> Mapping[str, Any]: ...

    def attach(self, port: int) -> None: ...

    async def wait_ready(self) -> None:
        """Returns once the daemon would be told of what is said."""
        ...

    def say(self, person: str, text: str, *, has_file: bool) -> object: ...

    def repeat(self, said: Any) -> None: ...

    def told(self, person: str) -> Sequence[str]: ...

    def violations(self) -> Sequence[str]: ...

    def trouble(self, chance: random.Random) -> None:
        """The next requests meet what can happen to any: a lost answer, a limit of rate, a failure."""
        ...

    async def calm(self) -> None:
        """No trouble any more, and nothing is held back."""
        ...


class Writer:
    """One person on one platform, who says words of their own."""

    def __init__(self, name: str, platform: Platform, house: House) -> None:
        self.name = name
        self.diary = Diary()
        self._platform = platform
        self._house = house

    async def live(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(self._house.chance.uniform(*self._house.pause_s))
            await self._house.talking.wait()
            self.read()
            if len(self.unanswered()) < AHEAD:
                self.say()

    def say(self) -> None:
        chance = self._house.chance
        word = f"{self.name}-{len(self.diary.sent)}"
        said = self._platform.say(self.name, word, has_file=chance.random() < WITH_FILE)
        self.diary.sent[word] = word
        if chance.random() < REPEATED:
            self._platform.repeat(said)

    def read(self) -> None:
        read_chat(self.diary, self._platform.told(self.name))

    def unanswered(self) -> set[str]:
        return set(self.diary.sent.values()) - self.diary.answered()

    def is_settled(self) -> bool:
        self.read()
        return not self.unanswered() and is_whole(self.diary)


def doomed(call: Callable[..., Any], is_it: Callable[..., bool], at: Callable[[], None]) -> Callable[..., Any]:
    """A method of a platform's server, after which the daemon may end. Any: it stands for any method."""

    def carry_out(*arguments: Any, **named: Any) -> Any:
        result = call(*arguments, **named)
        if is_it(*arguments, **named):
            at()
        return result

    return carry_out


class Slack:
    """Half of the people write beside threads, where answers are posted and edited, half in the Assistant view, where they are streamed."""

    name = "slack"

    def __init__(self, clock: Clock, people: Sequence[str], *, mode: str) -> None:
        self.doom = Doom(Plan(""))
        self.server = SlackServer(clock)
        self.site = self.server.add_workspace("acme")
        self.site.pace.is_on = False  # no app is started so often
        self.site.delivery.mode = mode
        self._mode = mode
        space: Any = self.site.space  # Any: its methods are replaced
        self._people: dict[str, SlackPerson] = {name: space.add_person(name) for name in people}
        self._threads: dict[str, str] = {}
        space.put = doomed(space.put, self._is_ours, lambda: self.doom.at("slack took it"))
        space.note_shown = doomed(space.note_shown, self._is_changed, lambda: self.doom.at("slack changed it"))

    def _is_ours(self, post: Post) -> bool:
        return post.app_id == self.site.space.app_id and post.subtype != "assistant_app_thread"

    def _is_changed(self, post: Post) -> bool:
        return self._is_ours(post) and len(post.shown) > 1

    async def start(self) -> None:
        await self.server.start()

    async def stop(self) -> None:
        await self.server.stop()

    def config(self) -> Mapping[str, Any]:
        space = self.site.space
        secrets = {"app_token": space.app_token} if self._mode == "socket" else {"signing_secret": space.signing_secret}
        own = {"enabled": True, "mode": self._mode, "bot_token": space.bot_token, "api_url": self.server.api_url}
        return own | secrets

    def attach(self, port: int) -> None:
        self.site.delivery.http.url = f"http://127.0.0.1:{port}/webhooks/slack"

    async def wait_ready(self) -> None:
        if self._mode == "socket":
            await self.site.delivery.sockets.wait_open()

    def say(self, person: str, text: str, *, has_file: bool) -> Post:
        who, people = self._people[person], self.site.people
        file = people.add_file(who, "picture.png", PICTURE) if has_file else None
        return people.say(who, self.site.space.direct(who), text, thread=self._thread(person), file=file)

    def _thread(self, person: str) -> str:
        if int(person[1:]) % 2 and person not in self._threads:
            self._threads[person] = self.site.people.open_assistant(self._people[person])
        return self._threads.get(person, "")

    def repeat(self, said: Post) -> None:
        self.site.people.repeat(said)

    def told(self, person: str) -> Sequence[str]:
        room = self.site.space.direct(self._people[person])
        return [post.text_shown() for post in self.site.space.all_posts(room.id) if self._is_answer(post)]

    def _is_answer(self, post: Post) -> bool:
        """The greeting of a thread in the Assistant view is none."""
        return self._is_ours(post) and not post.text_shown().startswith("Hi! Ask me anything")

    def violations(self) -> Sequence[str]:
        return self.site.space.ledger.violations

    def trouble(self, chance: random.Random) -> None:
        kind = chance.choice(("lost", "limited", "broken"))
        self.site.faults.set(Fault(kind, 1, POSTS | {"chat.update"}, seconds=RETRY_AFTER_S))

    async def calm(self) -> None:
        self.site.faults.clear()
        self.site.delivery.retry_now()


class Discord:
    """Direct messages."""

    name = "discord"

    def __init__(self, clock: Clock, people: Sequence[str]) -> None:
        self.doom = Doom(Plan(""))
        self.server = DiscordServer(now_ms=clock.now_ms)
        self.server.gateway.max_concurrency = 1_000  # no bot is started so often
        self._people: dict[str, User] = {name: self.server.person(name) for name in people}
        world: Any = self.server.world  # Any: its methods are replaced
        world.tell_created = doomed(world.tell_created, self._is_ours, lambda: self.doom.at("discord took it"))
        world.rewrite = doomed(world.rewrite, self._is_ours, lambda: self.doom.at("discord changed it"))

    def _is_ours(self, message: Message, *_: object) -> bool:
        return message.author is self.server.world.bot

    async def start(self) -> None:
        await self.server.start()

    async def stop(self) -> None:
        await self.server.stop()

    def config(self) -> Mapping[str, Any]:
        return {
            "enabled": True,
            "token": self.server.token,
            "api_url": self.server.api_url,
            "gateway_url": self.server.gateway_url,
            "cdn_url": self.server.world.files.address,
        }

    def attach(self, port: int) -> None:
        """The bot connects by itself."""

    async def wait_ready(self) -> None:
        await self.server.gateway.wait_live(READY_S)

    def say(self, person: str, text: str, *, has_file: bool) -> Message:
        files = (self.server.world.files.upload("picture.png", PICTURE),) if has_file else ()
        return self.server.say(self._people[person], text, files=files)

    def repeat(self, said: Message) -> None:
        self.server.repeat(said)

    def told(self, person: str) -> Sequence[str]:
        who = self._people[person]
        return [text_of(each) for each in self.server.chat(self.server.world.direct(who), who) if self._is_ours(each)]

    def violations(self) -> Sequence[str]:
        return self.server.violations

    def trouble(self, chance: random.Random) -> None:
        kind = chance.choice((discord_faults.POST, discord_faults.EDIT))
        match chance.choice(("lost", "limited", "failed", "request")):
            case "lost":
                self.server.lose_answers(1, kind)
            case "limited":
                self.server.limit_rate(1, RETRY_AFTER_S, kind)
            case "failed":
                self.server.fail(1, kind=kind)
            case _:
                self.server.lose_requests(1, kind)

    async def calm(self) -> None:
        self.server.faults.clear()


class WhatsApp:
    """People who write to one number."""

    name = "whatsapp"

    def __init__(self, clock: Clock, people: Sequence[str]) -> None:
        self.doom = Doom(Plan(""))
        self.server = TwilioServer(clock)
        self._numbers = {name: f"whatsapp:+49155500{number:05d}" for number, name in enumerate(people)}
        server: Any = self.server  # Any: its methods are replaced
        self._send, self._call_back = server._send, server.call_back
        server._send, server.call_back = self._doomed_send, self._doomed_call_back

    def _doomed_send(self, record: Record, urls: list[str]) -> Coroutine[Any, Any, None]:
        """Called when the message is made, before it is answered."""
        self.doom.at("whatsapp took it")
        sending: Coroutine[Any, Any, None] = self._send(record, urls)
        return sending

    async def _doomed_call_back(self, record: Record, status: str, error: int | None = None) -> None:
        self.doom.at("whatsapp calls back")
        await self._call_back(record, status, error)

    async def start(self) -> None:
        await self.server.start()
        self.server.webhook = WEBHOOK

    async def stop(self) -> None:
        await self.server.stop()

    def config(self) -> Mapping[str, Any]:
        return {
            "enabled": True,
            "account_sid": ACCOUNT,
            "auth_token": TOKEN,
            "from": NUMBER,
            "public_url": PUBLIC_URL,
            "api_url": self.server.api_url,
            "media_url": self.server.media_url,
        }

    def attach(self, port: int) -> None:
        self.server.lead(PUBLIC_URL, f"http://127.0.0.1:{port}")

    async def wait_ready(self) -> None:
        """Webhooks need no connection."""

    def say(self, person: str, text: str, *, has_file: bool) -> Record:
        media = Media(PICTURE, "image/png", "picture.png") if has_file else None
        return self.server.write(self._numbers[person], text, media=media)

    def repeat(self, said: Record) -> None:
        self.server.deliver(said)

    def told(self, person: str) -> Sequence[str]:
        number = self._numbers[person]
        return [each.body for each in self.server.messages if each.is_ours and each.is_shown and each.to == number]

    def violations(self) -> Sequence[str]:
        return self.server.violations

    def trouble(self, chance: random.Random) -> None:
        self.server.callbacks = chance.choice(("in order", "backwards", "twice"))
        match chance.choice(("lost", "limited", "failed", "callbacks")):
            case "lost":
                self.server.lost_answers = 1
            case "limited":
                self.server.rate_limited, self.server.retry_after_s = 1, RETRY_AFTER_S
            case "failed":
                self.server.failures = 1
            case _:
                self.server.callbacks = "held"

    async def calm(self) -> None:
        self.server.lost_answers = self.server.rate_limited = self.server.failures = 0
        await self.server.release_callbacks()


def violations_of(platform: Platform) -> list[str]:
    """Every rule that was broken, but those that a process which is killed cannot keep."""
    return [
        f"{platform.name}: {text}"
        for text in platform.violations()
        if not any(forgiven in text for forgiven in FORGIVEN)
    ]
