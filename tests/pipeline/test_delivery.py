"""What holds between a committed reply and its receipt, on channels whose receiver dedupes nothing."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest

from bot.delivery import HOLE_NOTICE, HOLE_PART, LOOKUPS, SEND_S, TRIES
from bot.errors import SendRefused, SendUncertain, StoreUnavailable
from bot.model import Address, Delivered, Message, Seq
from bot.ports import ChatRequest, Chunk, Finished, Receipt, TextDelta
from tests.clock import ManualClock
from tests.pipeline.house import Core, DraftingChannel, ListChannel, ScriptedModel, core

T = TypeVar("T")
FIVE = "one /two /three /four /five"


class Platform(ListChannel):
    """Takes parts and can be asked what it has. `loses` keeps the message and cuts the reply off; `drops` keeps nothing."""

    def __init__(self) -> None:
        super().__init__("platform")
        self.troubles: dict[str, list[Exception | str]] = {}  # a part's text -> what happens at each attempt
        self.lookups: list[Exception | None] = []  # what happens at each lookup before they work
        self.asked: list[str] = []
        self.attempts: list[str] = []

    def split(self, text: str) -> Sequence[str]:
        return text.split("/")

    async def send(self, to: Address, message: Message) -> Receipt:
        self.attempts.append(message.text)
        trouble = self.troubles.get(message.text)
        if not trouble:
            return await super().send(to, message)
        happens = trouble.pop(0)
        if isinstance(happens, Exception):
            raise happens
        if happens == "loses":
            await super().send(to, message)
        raise SendUncertain("cut off")

    async def find(self, to: Address, message: Message, attempted_at_ms: int) -> Receipt | None:
        self.asked.append(message.text)
        if self.lookups:
            failure = self.lookups.pop(0)
            if failure is not None:
                raise failure
        for number, sent in enumerate(self.sent, 1):
            if (sent.id, sent.text) == (message.id, message.text):
                return Receipt(f"found-{number}")
        return None

    def posted(self) -> list[str]:
        return [message.text for message in self.sent]


class Silent(ListChannel):
    """Cannot be asked. Every send of a text in `cut` is cut off."""

    def __init__(self, *cut: str) -> None:
        super().__init__("silent")
        self.attempts: list[str] = []
        self._cut = cut

    async def send(self, to: Address, message: Message) -> Receipt:
        self.attempts.append(message.text)
        if message.text in self._cut:
            raise SendUncertain("cut off")
        return await super().send(to, message)


async def repeat(request: ChatRequest) -> AsyncIterator[Chunk]:
    """Answers with exactly the last thing the user wrote."""
    yield TextDelta(request.messages[-1].text)
    yield Finished()


def model() -> ScriptedModel:
    return ScriptedModel(repeat)


async def spend(house: Core, seconds: int) -> None:
    """Second by second, with what each brings."""
    await house.rest()
    for _ in range(seconds):
        await house.rest(1.0)


async def states(house: Core) -> list[object]:
    return [state for (state,) in await house.all("SELECT state FROM outbox ORDER BY seq, part")]


async def test_parts_go_out_in_order_with_a_receipt_each(tmp_path: Path) -> None:
    """f13: five parts are five rows, written with the turn, sent one after the other."""
    platform = Platform()
    async with core(tmp_path / "data", model=model(), channel=platform) as house:
        await house.say(FIVE, "1")
        await house.rest()
        assert platform.posted() == ["one ", "two ", "three ", "four ", "five"]
        rows = await house.all("SELECT part, state, attempts, external_id FROM outbox ORDER BY part")
        assert rows == [(part, "sent", 1, f"out-{part + 1}") for part in range(5)]


async def test_sending_is_durable_before_the_request_leaves(tmp_path: Path) -> None:
    """Whatever ends the process during a request, the next start knows of it."""
    seen: list[tuple[object, ...]] = []
    platform = Platform()
    async with core(tmp_path / "data", model=model(), channel=platform) as house:

        async def look(message: Message) -> None:
            seen.extend(await house.all("SELECT text, state, attempted_ms > 0 FROM outbox WHERE state != 'planned'"))

        platform.on_send = look
        await house.say("one /two", "1")
        await house.rest()
    assert seen == [("one ", "sending", 1), ("one ", "sent", 1), ("two", "sending", 1)]


async def test_a_refused_part_is_sent_again_when_the_platform_said(tmp_path: Path) -> None:
    """`retry_after_s` is kept to, and what comes after it waits."""
    platform = Platform()
    platform.troubles["two "] = [SendRefused("slow down", is_retryable=True, retry_after_s=7.0)]
    async with core(tmp_path / "data", model=model(), channel=platform) as house:
        await house.say("one /two /three", "1")
        await spend(house, 6)
        assert platform.posted() == ["one "]
        await house.say("next", "2")
        await spend(house, 1)
        assert platform.posted() == ["one ", "two ", "three", "next"]
        assert platform.asked == []


async def test_a_part_that_is_always_refused_is_given_up(tmp_path: Path) -> None:
    """Once it is too old and was tried often enough, it is dead, somebody is told, and the next message goes out."""
    platform = Platform()
    platform.limits = replace(platform.limits, max_age_s=100.0)
    platform.troubles["first"] = [SendRefused("not now", is_retryable=True)] * 50
    async with core(tmp_path / "data", model=model(), channel=platform) as house:
        await house.say("first", "1")
        await spend(house, 90)
        assert platform.attempts.count("first") == TRIES
        assert await house.all("SELECT kind, count FROM incidents") == []
        await spend(house, 60)
        assert platform.attempts.count("first") == TRIES + 1
        await house.say("second", "2", chat="ada")
        await spend(house, 1)
        assert platform.posted() == ["second"]
        assert await house.all("SELECT kind, count FROM incidents") == [("undelivered", 1)]


async def test_f13_a_hole_closes_the_answer_with_one_notice(tmp_path: Path) -> None:
    """What came before it stays, what comes after it is not sent, and the person is told once."""
    platform = Platform()
    platform.troubles["three "] = [SendRefused("never", is_retryable=False)]
    async with core(tmp_path / "data", model=model(), channel=platform) as house:
        await house.say(FIVE, "1")
        await house.rest()
        await house.say("next", "2")
        await house.rest()
        assert platform.posted() == ["one ", "two ", HOLE_NOTICE, "next"]
        assert await states(house) == ["sent", "sent", "dead", "dead", "dead", "sent", "sent"]
        assert await house.all("SELECT kind, count FROM incidents") == [("undelivered", 1)]


async def test_an_answer_whose_first_part_is_refused_has_no_hole(tmp_path: Path) -> None:
    """Where nothing came before, "the rest" would be a riddle."""
    platform = Platform()
    platform.troubles["one "] = [SendRefused("never", is_retryable=False)]
    async with core(tmp_path / "data", model=model(), channel=platform) as house:
        await house.say("one /two", "1")
        await house.rest()
        assert platform.posted() == []
        assert await states(house) == ["dead", "dead"]


async def test_a_second_hole_brings_no_second_notice(tmp_path: Path) -> None:
    """f13: also when a part that was held is released and refused long after its answer was closed."""
    platform = Platform()
    platform.troubles["two "] = ["drops", SendRefused("never", is_retryable=False)]
    platform.troubles["three"] = [SendRefused("never", is_retryable=False)]
    platform.lookups = [SendUncertain("down")] * LOOKUPS
    async with core(tmp_path / "data", model=model(), channel=platform) as house:
        await house.say("one /two /three", "1")
        await spend(house, 60)
        assert platform.posted() == ["one ", HOLE_NOTICE]
        await house.store.run(
            lambda cursor: cursor.execute("UPDATE outbox SET is_held = 0, state = 'planned' WHERE is_held")
        )
        await house.delivery.recover()
        await house.say("next", "2")
        await spend(house, 60)
        assert platform.posted() == ["one ", HOLE_NOTICE, "next"]


async def test_f12_what_arrived_is_found_and_not_sent_again(tmp_path: Path) -> None:
    """The platform took it and the reply was lost: the lookup gives the receipt."""
    platform = Platform()
    platform.troubles["two "] = ["loses"]
    async with core(tmp_path / "data", model=model(), channel=platform) as house:
        await house.say("one /two /three", "1")
        await spend(house, 3)
        assert platform.posted() == ["one ", "two ", "three"]
        assert platform.asked == ["two "]
        assert await house.all("SELECT state, external_id FROM outbox WHERE part = 1") == [("sent", "found-2")]


async def test_f12_what_certainly_did_not_arrive_is_sent_once_more(tmp_path: Path) -> None:
    """Only after the platform was asked."""
    platform = Platform()
    platform.troubles["two "] = ["drops"]
    async with core(tmp_path / "data", model=model(), channel=platform) as house:
        await house.say("one /two /three", "1")
        await spend(house, 3)
        assert platform.asked == ["two "]
        assert platform.attempts == ["one ", "two ", "two ", "three"]
        assert platform.posted() == ["one ", "two ", "three"]


async def test_a_part_that_is_always_cut_off_is_given_up(tmp_path: Path) -> None:
    """A platform that swallows a message each time is not asked for ever."""
    platform = Platform()
    platform.troubles["first"] = ["drops"] * 50
    async with core(tmp_path / "data", model=model(), channel=platform) as house:
        await house.say("first", "1")
        await house.say("second", "2")
        await spend(house, 120)
        assert platform.attempts.count("first") == platform.asked.count("first") == TRIES
        assert platform.posted() == ["second"]


async def test_a_lookup_that_keeps_failing_leaves_it_to_an_operator(tmp_path: Path) -> None:
    """Five lookups, then it is held as unknown, with one incident; never sent again by itself, and later messages go on."""
    platform = Platform()
    platform.troubles["first"] = ["loses"]
    platform.lookups = [SendUncertain("down"), TimeoutError(), *[SendUncertain("down")] * 20]
    async with core(tmp_path / "data", model=model(), channel=platform) as house:
        await house.say("first", "1")
        await house.say("second", "2")
        await spend(house, 80)
        assert len(platform.asked) == LOOKUPS
        assert platform.attempts == ["first", "second"]
        assert await house.all("SELECT state, is_held FROM outbox ORDER BY seq") == [("unknown", 1), ("sent", 0)]
        assert await house.all("SELECT kind, count FROM incidents") == [("unknown delivery", 1)]


async def test_a_channel_that_cannot_be_asked_holds_what_is_unknown(tmp_path: Path) -> None:
    """Not sent again, also not after a restart; what comes after it is."""
    channel = Silent("first")
    async with core(tmp_path / "data", model=model(), channel=channel) as house:
        await house.say("first", "1")
        await house.say("second", "2")
        await spend(house, 3)
        assert channel.attempts == ["first", "second"]
    async with core(tmp_path / "data", model=model(), channel=channel) as house:
        await house.say("third", "3")
        await spend(house, 3)
        assert channel.attempts == ["first", "second", "third"]
        assert await house.all("SELECT state, is_held FROM outbox ORDER BY seq") == [
            ("unknown", 1),
            ("sent", 0),
            ("sent", 0),
        ]


@pytest.mark.parametrize("arrived", [True, False])
async def test_f12_a_send_that_the_end_interrupted_is_unknown_at_the_next_start(tmp_path: Path, arrived: bool) -> None:
    """The next process asks before it sends anything."""
    platform = Platform()
    began = asyncio.Event()

    async def hang(message: Message) -> None:
        if arrived:
            platform.sent.append(message)
        began.set()
        await asyncio.get_running_loop().create_future()

    platform.on_send = hang
    async with core(tmp_path / "data", model=model(), channel=platform) as house:
        await house.say("one /two", "1")
        await asyncio.wait_for(began.wait(), 5.0)
    platform.on_send = None
    async with core(tmp_path / "data", model=model(), channel=platform) as house:
        await spend(house, 2)
        assert platform.asked == ["one "]
        assert platform.posted() == ["one ", "two"]
        assert await states(house) == ["sent", "sent"]


async def test_f11_what_was_not_sent_yet_is_sent_at_the_next_start(tmp_path: Path) -> None:
    """Rows that nobody had begun are simply sent, in order, without asking."""
    platform = Platform()
    platform.troubles["one "] = [SendRefused("not now", is_retryable=True, retry_after_s=5.0)]
    clock = ManualClock()
    async with core(tmp_path / "data", model=model(), channel=platform, clock=clock) as house:
        await house.say("one /two", "1")
        await house.rest()
    async with core(tmp_path / "data", model=model(), channel=platform, clock=clock) as house:
        await spend(house, 5)
        assert (platform.posted(), platform.asked) == (["one ", "two"], [])


async def hang_over(tmp_path: Path, platform: Platform, clock: ManualClock, *said: str) -> None:
    """Leaves `said` unsent: the process ends while the first of it is on its way."""
    began = asyncio.Event()

    async def hang(message: Message) -> None:
        platform.sent.append(message)
        began.set()
        await asyncio.get_running_loop().create_future()

    platform.on_send = hang
    async with core(tmp_path / "data", model=model(), channel=platform, clock=clock) as house:
        for number, text in enumerate(said):
            await house.say(text, str(number))
            await asyncio.wait_for(began.wait(), 5.0)
            while await house.all("SELECT 1 FROM messages WHERE handled_ms IS NULL"):  # noqa: ASYNC110 - the store's thread works in real time
                await asyncio.sleep(0.001)
    platform.on_send = None


async def test_an_answer_that_is_too_old_is_not_sent(tmp_path: Path) -> None:
    """After hours of outage nobody gets yesterday's answer raw; an operator is told."""
    platform, clock = Platform(), ManualClock()
    await hang_over(tmp_path, platform, clock, "first", "second")
    clock.step_wall(2 * 3_600_000)
    async with core(tmp_path / "data", model=model(), channel=platform, clock=clock) as house:
        await house.say("third", "3")
        await spend(house, 2)
        assert platform.posted() == ["first", "third"]
        assert await states(house) == ["sent", "dead", "sent"]
        assert await house.all("SELECT kind FROM incidents") == [("undelivered",)]


async def test_an_answer_that_grew_too_old_halfway_is_closed_with_the_notice(tmp_path: Path) -> None:
    """f13: the notice itself is never too old."""
    platform, clock = Platform(), ManualClock()
    await hang_over(tmp_path, platform, clock, "one /two /three")
    clock.step_wall(2 * 3_600_000)
    async with core(tmp_path / "data", model=model(), channel=platform, clock=clock) as house:
        await spend(house, 2)
        assert platform.posted() == ["one ", HOLE_NOTICE]
        assert await house.all(f"SELECT state FROM outbox WHERE part = {HOLE_PART}") == [("sent",)]


async def test_f54_a_clock_that_was_set_back_puts_nothing_off(tmp_path: Path) -> None:
    """What was written in a future that is no more goes out now."""
    platform, clock = Platform(), ManualClock()
    await hang_over(tmp_path, platform, clock, "first", "second")
    clock.step_wall(-3_600_000)
    async with core(tmp_path / "data", model=model(), channel=platform, clock=clock) as house:
        await spend(house, 3)
        assert platform.posted() == ["first", "second"]


async def test_a_slow_chat_delays_no_other(tmp_path: Path) -> None:
    """One receiver that hangs keeps only itself waiting; after its time it is unknown."""
    platform = Platform()

    async def hang(message: Message) -> None:
        if message.text == "slow":
            await asyncio.get_running_loop().create_future()

    platform.on_send = hang
    async with core(tmp_path / "data", model=model(), channel=platform) as house:
        await house.say("slow", "s", chat="slow")
        for number in range(30):
            await house.say(f"quick {number}", str(number), chat=f"c{number}")
        await asyncio.wait_for(_posts(platform, 30), 10.0)
        platform.on_send = None
        await house.clock.advance(SEND_S)
        await spend(house, 3)
        assert len(platform.posted()) == 31
        assert platform.asked == ["slow"]


async def _posts(platform: Platform, count: int) -> None:
    while len(platform.sent) < count:  # noqa: ASYNC110 - the store's thread works in real time
        await asyncio.sleep(0.002)


async def test_an_adapter_that_breaks_counts_as_uncertain(tmp_path: Path) -> None:
    """A bug in one adapter stops neither its other chats nor the daemon, and doubles nothing."""
    platform = Platform()
    platform.troubles["first"] = [KeyError("a bug")]
    platform.lookups = [ValueError("another bug"), None]
    async with core(tmp_path / "data", model=model(), channel=platform) as house:
        await house.say("first", "1")
        await house.say("other", "2", chat="bob")
        await spend(house, 5)
        assert sorted(platform.posted()) == ["first", "other"]
        assert platform.asked == ["first", "first"]


async def test_an_adapter_that_breaks_does_not_fail_the_turn(tmp_path: Path) -> None:
    """On a channel that acknowledges, the answer is committed and waits for the receiver."""
    channel = DraftingChannel()

    async def breaks(message: Message) -> None:
        raise KeyError("a bug")

    channel.on_send = breaks
    async with core(tmp_path / "data", model=model(), channel=channel) as house:
        await house.say("hello", "1")
        await spend(house, 2)
        assert [text for _, text in channel.drafts] == ["hello"]
        assert await house.all("SELECT text FROM messages WHERE author = 'agent'") == [("hello",)]
        assert await house.all("SELECT attempts, error FROM messages WHERE author = 'user'") == [(0, "")]


async def test_a_receipt_waits_for_a_busy_disk(tmp_path: Path) -> None:
    """What was certainly sent does not become unknown because it could not be written down at once."""
    channel = Silent()
    async with core(tmp_path / "data", model=model(), channel=channel) as house:
        real, refusals = house.store.run, [1, 1, 1]

        async def busy(unit: Callable[..., T], *args: object) -> T:
            if unit.__name__ == "sent" and refusals:
                refusals.pop()
                raise StoreUnavailable("the disk is full")
            return await real(unit, *args)

        setattr(house.store, "run", busy)  # noqa: B010 - mypy forbids the assignment
        await house.say("first", "1")
        await asyncio.wait_for(_sent(house), 10.0)
        assert channel.attempts == ["first"]
        assert await house.all("SELECT state, is_held FROM outbox") == [("sent", 0)]


async def _sent(house: Core) -> None:
    while await states(house) != ["sent"]:
        await house.clock.advance(0.5)
        await asyncio.sleep(0.002)


async def test_receipts_wait_for_a_full_disk(tmp_path: Path) -> None:
    """Those that cannot be written down now stop nothing, and go with the next."""
    channel = DraftingChannel()
    async with core(tmp_path / "data", model=model(), channel=channel) as house:
        for number, chat in enumerate(("ada", "bob")):
            await house.say("hello", str(number), chat=chat)
        await house.rest()
        real = house.store.run

        async def full(unit: Callable[..., T], *args: object) -> T:
            raise StoreUnavailable("the disk is full")

        await house.intake.receive(Delivered(Address("page", "", "ada"), Seq(2)))
        setattr(house.store, "run", full)  # noqa: B010 - mypy forbids the assignment
        await house.intake.flush_receipts()
        setattr(house.store, "run", real)  # noqa: B010
        await house.intake.receive(Delivered(Address("page", "", "bob"), Seq(2)))
        await house.intake.flush_receipts()
        assert await house.all("SELECT delivered_seq FROM conversations") == [(2,), (2,)]


async def test_a_platform_that_hangs_delays_no_other_platform(tmp_path: Path) -> None:
    """Each channel sends in a lane of its own, however full another's is."""
    gate = asyncio.Event()

    async def hang(message: Message) -> None:
        await gate.wait()

    stuck, quick = ListChannel("stuck"), ListChannel("quick")
    stuck.on_send = hang
    async with core(tmp_path / "data", channel=stuck, other=quick, sends_at_once=1) as house:
        await house.say("one", "1", chat="a")
        await house.say("two", "2", chat="b")
        await house.say("three", "3", chat="c", channel="quick")
        for _ in range(2000):
            await asyncio.sleep(0.001)
            if quick.sent:
                break
        assert [message.text for message in quick.sent] == ["You said: three"]
        assert stuck.sent == []
        gate.set()
        await house.rest()
        assert [message.text for message in stuck.sent] == ["You said: one", "You said: two"]
