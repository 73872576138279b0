"""Slack for the suite of all adapters: the chat is the person's direct messages with the app."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from tests.platforms.kit import Seen
from tests.platforms.slack import blockkit
from tests.platforms.slack.faults import POSTS, Fault
from tests.platforms.slack.server import SlackServer
from tests.platforms.slack.world import Person, Post

UP, DOWN = "+1", "-1"
NOT_SAID = ("assistant_app_thread", "tombstone")
PATH = "/webhooks/slack"
TYPED_S = 0.002  # nobody writes two messages in one millisecond


class SlackPlatform:
    """A driver of `tests.platforms.kit.Platform`. `mode`: how events come, by Socket Mode or to the request URL. With `in_assistant`
    everything is said in one thread of the Assistant view, where answers can be streamed natively, and else beside threads.

    A verdict is given by the feedback buttons under the app's message where it has them, else by a reaction; these buttons are not among
    `Seen.buttons`. What is not acknowledged is repeated after the times of `retries_s`, which are shorter than Slack's own; without
    `is_paced` nothing is limited but what a fault limits, for checks that would only wait. `server` and
    `site` are there for what only Slack has."""

    name = "slack"
    can_edit = True
    can_stream = True

    def __init__(
        self,
        mode: str = "socket",
        *,
        in_assistant: bool = False,
        retries_s: Sequence[float] = (0.0, 1.0, 5.0),
        is_paced: bool = True,
    ) -> None:
        self.mode = mode
        self.server = SlackServer(retries_s=retries_s)
        self.site = self.server.add_workspace("acme")
        self.site.delivery.mode = mode
        self.site.pace.is_on = is_paced
        self._in_assistant = in_assistant
        self._threads: dict[str, str] = {}
        self.person: Person = self.site.space.add_person("Anna")
        self.other: Person = self.site.space.add_person("Ben")

    async def start(self) -> None:
        await self.server.start()

    async def stop(self) -> None:
        await self.server.stop()

    def config(self) -> Mapping[str, Any]:
        space = self.site.space
        secret = {"app_token": space.app_token} if self.mode == "socket" else {"signing_secret": space.signing_secret}
        return {
            "enabled": True,
            "mode": self.mode,
            "bot_token": space.bot_token,
            "api_url": self.server.api_url,
        } | secret

    def attach(self, public_port: int) -> None:
        self.site.delivery.http.url = f"http://127.0.0.1:{public_port}{PATH}"

    async def wait_ready(self) -> None:
        if self.mode == "socket":
            await self.site.delivery.sockets.wait_open()

    # --- what people do ---------------------------------------------------------------------------------------------

    async def say(self, text: str, *, file: bytes | None = None, file_name: str = "", by_other: bool = False) -> str:
        sent = None
        who = self.other if by_other else self.person
        if file is not None:
            sent = self.site.people.add_file(who, file_name or "file", file)
        room = self.site.space.direct(who)
        return self.site.people.say(who, room, text, thread=self._thread(who), file=sent).ts

    async def edit(self, id_: str, text: str) -> None:
        self.site.people.edit(self._post(id_), text)

    async def delete(self, id_: str) -> None:
        self.site.people.delete(self._post(id_))

    async def press(self, seen: Seen, label: str) -> None:
        post = self._post(seen.id)
        await self.site.people.press(self._reader_of(post), post, label)

    async def rate(self, seen: Seen, value: str) -> None:
        post = self._post(seen.id)
        if any(element["type"] == "feedback_buttons" for _, element in blockkit.elements_of(post.all_blocks())):
            await self.site.people.rate(self._reader_of(post), post, value)
        else:
            self.site.people.react(self._reader_of(post), post, UP if value == "up" else DOWN)

    async def repeat(self, id_: str) -> None:
        self.site.people.repeat(self._post(id_))

    async def say_out_of_order(self, texts: Sequence[str]) -> Sequence[str]:
        people, room = self.site.people, self.site.space.direct(self.person)
        posts = []
        for text in texts:
            posts.append(people.write(self.person, room, text, thread=self._thread(self.person)))
            await asyncio.sleep(TYPED_S)
        for post in reversed(posts):
            people.announce(post)
        return [post.ts for post in posts]

    # --- what there is to see ---------------------------------------------------------------------------------------

    def seen(self, *, by_other: bool = False) -> Sequence[Seen]:
        """Threads and what only this person sees are in it, each message at its own time."""
        who = self.other if by_other else self.person
        posts = self.site.space.posts[self.site.space.direct(who).id]
        return [
            self._as_seen(post)
            for _, post in sorted(posts.items())
            if not post.is_deleted and post.only_for in ("", who.id) and post.subtype not in NOT_SAID
        ]

    def _as_seen(self, post: Post) -> Seen:
        return Seen(
            id=post.ts,
            is_ours=post.user == self.site.space.bot.id,
            text=post.text_shown(),
            buttons=tuple(blockkit.labels_of(post.all_blocks())),
            files=tuple(file.name for file in post.files),
            is_edited=bool(post.edited_ts),
        )

    def was_shown(self) -> Sequence[str]:
        room = self.site.space.direct(self.person).id
        return [text for at, _, text in self.site.space.ledger.shown if at == room]

    def violations(self) -> Sequence[str]:
        return list(self.site.space.ledger.violations)

    # --- faults -----------------------------------------------------------------------------------------------------

    def lose_answers(self, count: int) -> None:
        self.site.faults.set(Fault("lost", count, POSTS))

    def limit_rate(self, count: int, seconds: float) -> None:
        """Slack tells whole seconds, and at least one."""
        self.site.faults.set(Fault("limited", count, POSTS, seconds=seconds))

    def refuse_token(self, is_refused: bool) -> None:
        self.site.faults.token_error = "invalid_auth" if is_refused else ""

    async def cut(self) -> None:
        """What is said while no connection is open is lost to the app, unless it asks for it: Slack promises nothing else."""
        self.site.delivery.sockets.cut()

    # --- whom and what ----------------------------------------------------------------------------------------------

    def _thread(self, who: Person) -> str:
        if not self._in_assistant:
            return ""
        if who.id not in self._threads:
            self._threads[who.id] = self.site.people.open_assistant(who)
        return self._threads[who.id]

    def _post(self, id_: str) -> Post:
        for room in self.site.space.posts.values():
            if id_ in room:
                return room[id_]
        raise LookupError(f"no message {id_}")

    def _reader_of(self, post: Post) -> Person:
        return self.site.space.people[self.site.space.rooms[post.room].person]
