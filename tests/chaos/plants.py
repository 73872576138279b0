"""Bugs to plant, to see that each is caught: ways in which a daemon could go wrong that nobody would notice by one conversation."""

from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractContextManager, aclosing
from typing import Any, cast
from unittest.mock import patch

from bot.agent.circuit import Circuit
from bot.agent.context import Past
from bot.agent.limiter import Lease, Limiter
from bot.agent.router import Attempt, Chain, Make
from bot.agent.spending import Spending
from bot.assembly import Assembly
from bot.channels import Channel
from bot.config import Config
from bot.delivery import Delivery
from bot.errors import ModelError
from bot.model import Conversation, Message
from bot.ports import ChatMessage, ChatModel, ChatRequest, Chunk, Cursor, Receipt
from bot.store.steps import add_spend

Plant = Callable[[], AbstractContextManager[object]]
LOST_EVERY = 20  # replies
LATE_S = 60.0


class _Retrying:
    """A model that tries again by itself, unseen by those who count."""

    def __init__(self, model: ChatModel) -> None:
        self.name = model.name
        self._model = model

    async def stream(self, request: ChatRequest) -> AsyncIterator[Chunk]:
        try:
            async for chunk in self._once(request):
                yield chunk
        except ModelError:
            async for chunk in self._once(request):
                yield chunk

    async def _once(self, request: ChatRequest) -> AsyncIterator[Chunk]:
        async with aclosing(
            cast(Any, self._model.stream(request))
        ) as chunks:  # the port asks for less than a generator
            async for chunk in chunks:
                yield chunk


def retries_are_counted_in_two_places() -> AbstractContextManager[object]:
    make = Assembly._models

    def models(self: Assembly, config: Config) -> dict[str, ChatModel]:
        return {name: each if name == "offline" else _Retrying(each) for name, each in make(self, config).items()}

    return patch.object(Assembly, "_models", models)


def answers_are_delivered_twice() -> AbstractContextManager[object]:
    hand_over = Delivery._hand_over

    async def twice(
        self: Delivery, channel: Channel, conversation: Conversation, message: Message, role: str = ""
    ) -> Receipt:
        await hand_over(self, channel, conversation, message, role)
        return await hand_over(self, channel, conversation, message, role)

    return patch.object(Delivery, "_hand_over", twice)


def some_answers_are_never_sent() -> AbstractContextManager[object]:
    planned = Delivery.planned
    count = 0

    async def sometimes(self: Delivery, conversation: Conversation, message: Message) -> None:
        nonlocal count
        count += 1
        if count % LOST_EVERY:
            await planned(self, conversation, message)

    return patch.object(Delivery, "planned", sometimes)


def failed_calls_cost_nothing() -> AbstractContextManager[object]:
    def only_good(cursor: Cursor, payer: str, attempts: Sequence[Attempt]) -> None:
        add_spend(cursor, payer, [each for each in attempts if not each.has_failed])

    return patch("bot.store.steps.add_spend", only_good)


def memory_forgets_what_was_spent() -> AbstractContextManager[object]:
    return patch.object(Spending, "add", lambda self, *given, **more: None)


def no_limit_is_known() -> AbstractContextManager[object]:
    return patch.object(Limiter, "at_once", lambda self, chars: self._grant(self._clock.monotonic(), chars))


def the_latest_is_served_first() -> AbstractContextManager[object]:
    wait = Limiter.wait

    async def first(self: Limiter, conversation: str, chars: int, most_s: float) -> Lease | None:
        self._queues = {conversation: deque(), **self._queues}
        return await wait(self, conversation, chars, most_s)

    return patch.object(Limiter, "wait", first)


def open_circuits_are_asked() -> AbstractContextManager[object]:
    return patch.object(Circuit, "is_shut", lambda self: False)


def the_outage_is_told_each_time() -> AbstractContextManager[object]:
    def nothing(self: Past, budget_chars: int) -> Sequence[ChatMessage]:
        return ()

    return patch.object(Past, "within", nothing)


def deadlines_are_forgotten() -> AbstractContextManager[object]:
    stream = Chain.stream

    def later(self: Chain, make: Make, attempts: list[Attempt], *, deadline: float, payer: str) -> Any:  # as there
        return stream(self, make, attempts, deadline=deadline + LATE_S, payer=payer)

    return patch.object(Chain, "stream", later)


PLANTS: dict[str, Plant] = {
    each.__name__.replace("_", "-"): each
    for each in (
        retries_are_counted_in_two_places,
        answers_are_delivered_twice,
        some_answers_are_never_sent,
        failed_calls_cost_nothing,
        memory_forgets_what_was_spent,
        no_limit_is_known,
        the_latest_is_served_first,
        open_circuits_are_asked,
        the_outage_is_told_each_time,
        deadlines_are_forgotten,
    )
}
