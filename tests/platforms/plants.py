"""Adapters with a defect, to see that the suite finds it: `python -m tests.platforms.plants NAME serve --config FILE`.

Each defect is put around whatever adapter runs, at its ports, so that it is the same on every platform; the web channel is spared."""

import asyncio
import dataclasses
import itertools
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final
from unittest.mock import patch
from uuid import uuid4

from pydantic import BaseModel

from bot.__main__ import main
from bot.app import App
from bot.errors import FrontdeskError, SendRefused
from bot.host import Door
from bot.model import Accepted, Address, Bookmark, Event, Message, MessageId, MessageReceived
from bot.ports import Adapter, Receipt

SPARED: Final = "web"

Receive = Callable[[Event, Bookmark | None], Awaitable[Accepted]]
Send = Callable[[Address, Message], Awaitable[Receipt]]
Around = Callable[[Receive], Receive]
Plant = Callable[[], None]


def it_acknowledges_before_it_is_stored() -> None:
    running: set[asyncio.Task[None]] = set()

    def around(receive: Receive) -> Receive:
        async def later(event: Event, bookmark: Bookmark | None) -> None:
            with suppress(FrontdeskError):
                await receive(event, bookmark)

        async def at_once(event: Event, bookmark: Bookmark | None = None) -> Accepted:
            task = asyncio.create_task(later(event, bookmark))
            running.add(task)
            task.add_done_callback(running.discard)
            return Accepted()

        return at_once

    _receiving(around)


def it_gives_each_delivery_an_id_of_its_own() -> None:
    def around(receive: Receive) -> Receive:
        async def anew(event: Event, bookmark: Bookmark | None = None) -> Accepted:
            if isinstance(event, MessageReceived):
                event = dataclasses.replace(event, external_id=f"{event.external_id}-{uuid4().hex}")
            return await receive(event, bookmark)

        return anew

    _receiving(around)


def it_forgets_files() -> None:
    def around(receive: Receive) -> Receive:
        async def bare(event: Event, bookmark: Bookmark | None = None) -> Accepted:
            if isinstance(event, MessageReceived):
                event = dataclasses.replace(event, files=(), attachments=())
            return await receive(event, bookmark)

        return bare

    _receiving(around)


def it_sends_without_a_key_and_never_looks_anything_up() -> None:
    def around(send: Send) -> Send:
        async def keyless(to: Address, message: Message) -> Receipt:
            return await send(to, dataclasses.replace(message, id=MessageId(uuid4().hex)))

        return keyless

    async def nothing(to: Address, message: Message, attempted_at_ms: int) -> Receipt | None:
        return None

    _sending(around, find=nothing)


def it_takes_a_refusal_for_a_receipt() -> None:
    def around(send: Send) -> Send:
        async def careless(to: Address, message: Message) -> Receipt:
            try:
                return await send(to, message)
            except SendRefused:
                return Receipt()

        return careless

    _sending(around)


def it_shows_everybody_what_it_says_to_one() -> None:
    known: list[Address] = []
    numbers = itertools.count()

    def around(send: Send) -> Send:
        async def everywhere(to: Address, message: Message) -> Receipt:
            known.extend([to] if to not in known else [])
            for each in known:
                if each != to:
                    await send(
                        each, dataclasses.replace(message, id=MessageId(f"{message.id}-{next(numbers)}"), replaces="")
                    )
            return await send(to, message)

        return everywhere

    _sending(around)


def it_says_each_part_backwards() -> None:
    def around(send: Send) -> Send:
        async def backwards(to: Address, message: Message) -> Receipt:
            return await send(to, dataclasses.replace(message, text=" ".join(reversed(message.text.split(" ")))))

        return backwards

    _sending(around)


def it_posts_anew_beside_its_draft() -> None:
    def around(send: Send) -> Send:
        async def anew(to: Address, message: Message) -> Receipt:
            return await send(to, dataclasses.replace(message, replaces="", id=MessageId(uuid4().hex)))

        return anew

    _sending(around)


PLANTS: Final[dict[str, Plant]] = {
    plant.__name__: plant
    for plant in (
        it_acknowledges_before_it_is_stored,
        it_gives_each_delivery_an_id_of_its_own,
        it_forgets_files,
        it_sends_without_a_key_and_never_looks_anything_up,
        it_takes_a_refusal_for_a_receipt,
        it_shows_everybody_what_it_says_to_one,
        it_says_each_part_backwards,
        it_posts_anew_beside_its_draft,
    )
}


def _receiving(around: Around) -> None:
    """Puts something around `Host.receive` of every account."""
    door_of = App._load_adapter

    def load(self: App, channel: str, account: str, settings: BaseModel) -> Adapter:
        if channel == SPARED:
            return door_of(self, channel, account, settings)
        make = self.house.door

        def door(name: str, of: str) -> Door:
            made = make(name, of)
            made.receive = around(made.receive)  # type: ignore[method-assign, assignment]  # a defect
            return made

        with patch.object(self.house, "door", door):
            return door_of(self, channel, account, settings)

    patch.object(App, "_load_adapter", load).start()


def _sending(around: Callable[[Send], Send], **others: Any) -> None:  # Any: whatever method of an adapter
    """Puts something around `Adapter.send` of every account, and other methods in the place of those named."""
    load_whole = App._load_adapter

    def load(self: App, channel: str, account: str, settings: BaseModel) -> Adapter:
        adapter = load_whole(self, channel, account, settings)
        if channel != SPARED:
            adapter.send = around(adapter.send)  # type: ignore[method-assign, assignment]  # a defect
            for name, method in others.items():
                setattr(adapter, name, method)
        return adapter

    patch.object(App, "_load_adapter", load).start()


if __name__ == "__main__":
    PLANTS[sys.argv.pop(1)]()
    sys.exit(main())
