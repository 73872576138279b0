"""Providers that fail in three calls of ten, in every way there is, enforce their limits, and keep books.

Their protocols are those of the tests' model servers. Their time is the clock's: thinking, silence, the minutes of their limits, and
the half hour in which nothing of them works.
"""

import asyncio
import json
import random
import re
from abc import abstractmethod
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum

from aiohttp import web

from bot.ports import Clock, Usage
from tests.agent.providers import Bucket, FixedMinute, Meter, SlidingMinute
from tests.models.anthropic_server import AnthropicServer
from tests.models.openai_server import OpenAIServer
from tests.models.wire import Body, Call, Counts, ModelServer, Received, Reply

FAILING = 0.3  # of the calls
SETTLE_S = 0.05  # between the last bytes of a stream and its cut: what a client could read, it has read
CHARS_A_TOKEN = 4
COUNTINGS: tuple[type[FixedMinute] | type[SlidingMinute] | type[Bucket], ...] = (FixedMinute, SlidingMinute, Bucket)
LOOPS_EVERY = 40  # one conversation in so many is answered by a model that never ends
QUERY = '{"query": "How long does shipping take?"}'
THOUGHT = "The customer wants to know this, so it is looked at from all sides before anything is said."


class Mood(StrEnum):
    """What a provider makes of one request."""

    ANSWER = "answer"
    SEARCH = "search"
    LOOP = "endless tool loop"
    # --- faults, dealt
    WISHED = "429 with retry-after"
    UNWISHED = "429 without"
    BROKEN = "500"
    OVERLOADED = "529"
    ERROR_EVENT = "error event in a stream"
    CUT = "cut at a random byte"
    MUTE = "silence after the headers"
    HUSHED = "silence in the middle"
    MALFORMED = "malformed JSON"
    EMPTY = "empty answer"
    UNKNOWN_TOOL = "unknown tool or bad arguments"
    # --- faults, earned
    DOWN = "wholly down"
    WINDOW = "429 of its own limits"
    INVALID = "400"


FAULTS = tuple(Mood)[3:14]
REFUSALS = {Mood.WISHED: 429, Mood.UNWISHED: 429, Mood.BROKEN: 500, Mood.OVERLOADED: 529}

_MARK = re.compile(r"\bq(\d+)x\d+\b")
_KINDS = {429: "rate_limit_error", 500: "api_error", 503: "overloaded_error", 529: "overloaded_error"}


@dataclass(slots=True)
class Entry:
    """One request, as the provider has it in its books. Times are the clock's. `usage` is what it told the client, `is_good` whether
    the client was given a whole answer."""

    at: float
    running: int = 0  # with this one
    mood: Mood = Mood.INVALID
    question: int = -1  # the conversation's number
    has_reasoning: bool = False
    usage: Usage = field(default_factory=Usage)
    is_good: bool = False
    ended: float = 0.0


@dataclass(slots=True)
class _Told:
    """What the events that have gone out say."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    text: str = ""
    hears_calls: bool = True
    has_calls: bool = False
    has_ended: bool = False
    is_ruined: bool = False

    def usage(self) -> Usage:
        return Usage(self.input, self.output, self.cache_read, self.cache_write)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request asks, read out of its messages: the marks of the newest questions, and the calls made since."""

    marks: tuple[str, ...]
    number: int
    steps: int
    may_call: bool


@dataclass(frozen=True, slots=True)
class Limits:
    """A minute's worth."""

    requests: int
    tokens: int


class Provider(ModelServer):
    """A model server with moods. `down` is the time in which nothing works."""

    counts_cached = True
    drops_calls = False

    def __init__(self, clock: Clock, dice: random.Random, limits: Limits, down: tuple[float, float]) -> None:
        super().__init__()
        self.entries: list[Entry] = []
        self.invalid: list[str] = []  # why requests were not acceptable
        self.down = down
        self.parked = 0  # requests that wait for the clock, or for their client to go
        self._clock = clock
        self._dice = dice
        kind = dice.choice(COUNTINGS)
        self.counting = kind.__name__
        phase = dice.uniform(0, 60)
        self._requests: Meter = kind(limits.requests, phase)
        self._tokens: Meter = kind(limits.tokens, phase)

    @abstractmethod
    def asked(self, body: Body) -> Asked: ...

    @abstractmethod
    def tell(self, told: _Told, event: Body) -> None:
        """Notes what one event says."""

    async def start(self, port: int = 0) -> None:
        """A request ends when its client goes."""
        app = web.Application(client_max_size=64_000_000)
        app.router.add_post(self.path, self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port, backlog=1024).start()
        self.port = self._runner.addresses[0][1]

    # --- one request -------------------------------------------------------------------------------------------------

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        received = Received(json.loads(await request.read()), request.headers.copy())
        self.ledger.append(received)
        self.open += 1
        entry = Entry(self._clock.monotonic(), self.open)
        self.entries.append(entry)
        try:
            return await self._serve(request, received, entry)
        finally:
            self.open -= 1
            entry.ended = self._clock.monotonic()
            received.body, received.headers = {}, {}  # thousands of them would fill the memory

    async def _serve(self, request: web.Request, received: Received, entry: Entry) -> web.StreamResponse:
        received.refusal = self.refusal(received.body, received.headers)
        if received.refusal:
            self.invalid.append(received.refusal)
            return await self._refuse(request, 400, received.refusal)
        asked = self.asked(received.body)
        entry.question = asked.number
        if self.down[0] <= entry.at < self.down[1]:
            entry.mood = Mood.DOWN
            return await self._be_down(request, entry.at)
        counts = self._counts(request, asked)
        read = counts.input + counts.cache_write + counts.cache_read * self.counts_cached
        if not self._let_in(entry.at, read):
            entry.mood = Mood.WINDOW
            return await self._refuse(request, 429, "Too many requests or tokens in this minute.")
        entry.mood = self._mood(asked)
        if entry.mood in REFUSALS:
            await self._pause(0.02, 0.4)
            wish = {"retry-after": str(self._dice.choice([1, 1, 2, 3]))} if entry.mood is Mood.WISHED else {}
            return await self._refuse(request, REFUSALS[entry.mood], "The server says no.", wish)
        self._tokens.add(entry.at, read)
        return await self._speak(request, received, entry, self._said(asked, entry.mood, counts), asked)

    def _let_in(self, now: float, tokens: int) -> bool:
        if not (self._requests.has_room(now, 1) and self._tokens.has_room(now, tokens)):
            return False
        self._requests.add(now, 1)
        return True

    def _mood(self, asked: Asked) -> Mood:
        """Told not to call any tool, it obeys, but for some that never do."""
        if self._dice.random() < FAILING:
            fault = self._dice.choice(FAULTS)
            return fault if asked.may_call or fault is not Mood.UNKNOWN_TOOL else Mood.EMPTY
        if asked.number % LOOPS_EVERY == 7 and (asked.may_call or asked.number % 2):
            return Mood.LOOP
        return Mood.SEARCH if asked.number % 3 == 0 and not asked.steps and asked.may_call else Mood.ANSWER

    def _counts(self, request: web.Request, asked: Asked) -> Counts:
        read = round((request.content_length or 0) / CHARS_A_TOKEN * self._dice.uniform(0.9, 1.1))
        cached = read // 2 if asked.steps else 0
        written = read // 5 if self._dice.random() < 0.3 and not self.counts_cached else 0
        return Counts(read - cached - written, self._dice.randint(20, 200), cached, written)

    async def _refuse(
        self, request: web.Request, status: int, why: str, headers: Mapping[str, str] | None = None
    ) -> web.StreamResponse:
        body = self.failure(_KINDS.get(status, "invalid_request_error"), why)
        return web.json_response(body, status=status, headers=headers)

    async def _be_down(self, request: web.Request, now: float) -> web.StreamResponse:
        """A third of the time the connection breaks, a third it refuses, a third it is silent."""
        match int(3 * (now - self.down[0]) / (self.down[1] - self.down[0])):
            case 0:
                return await self._break(request)
            case 1:
                await self._pause(0.02, 0.4)
                return await self._refuse(request, self._dice.choice([503, 529]), "We are down.")
            case _:
                return await self._wait_for_ever()

    # --- what it says --------------------------------------------------------------------------------------------------

    def _said(self, asked: Asked, mood: Mood, counts: Counts) -> Reply:
        thought = THOUGHT if self._dice.random() < 0.3 else ""
        reply = Reply("", reasoning=thought, counts=counts)
        match mood:
            case Mood.EMPTY:
                return replace(reply, text=self._dice.choice(["", " \n"]))
            case Mood.UNKNOWN_TOOL:
                call = self._dice.choice([Call("delete_everything"), Call("search_knowledge", '{"quarry": 1}')])
                return replace(reply, calls=(call,))
            case Mood.LOOP:
                number = 0 if self._is_dull(asked) else asked.steps
                return replace(reply, calls=(Call("search_knowledge", json.dumps({"query": f"parcel {number}"})),))
            case Mood.SEARCH:
                return replace(reply, text="Let me look.", calls=(Call("search_knowledge", QUERY),))
            case _:
                cited = " [1]" if asked.steps else ""
                return replace(reply, text=f"You asked {', '.join(asked.marks)}: this is all there is to say{cited}.")

    def _is_dull(self, asked: Asked) -> bool:
        """Looks for the same again and again."""
        return asked.number % (2 * LOOPS_EVERY) == 7

    async def _speak(
        self, request: web.Request, received: Received, entry: Entry, reply: Reply, asked: Asked
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await self._pause(0.1, 1.0)
        await response.prepare(request)
        if entry.mood is Mood.MUTE:
            return await self._wait_for_ever()
        await self._pause(0.1, 1.5)
        frames = self.frames(self._spoilt(entry.mood, reply, received), received)
        told = _Told(hears_calls=asked.may_call or not self.drops_calls)
        entry.has_reasoning = bool(reply.reasoning)
        if entry.mood is Mood.CUT:
            return await self._cut_off(request, response, frames, told, entry)
        pause = self._dice.randint(1, len(frames))
        most = self._dice.randrange(1, len(frames)) if entry.mood is Mood.HUSHED else len(frames)
        for part in (frames[: min(pause, most)], frames[pause:most]):
            if part:
                await response.write(b"".join(part))
                self._note(told, part, entry)
                await self._pause(0.1, 1.0)
        if entry.mood is Mood.HUSHED:
            return await self._wait_for_ever()
        self._tokens.add(self._clock.monotonic(), reply.counts.output)
        await response.write_eof()
        return response

    def _spoilt(self, mood: Mood, reply: Reply, received: Received) -> Reply:
        """With an error event, or broken JSON, somewhere in the stream."""
        if mood not in (Mood.ERROR_EVENT, Mood.MALFORMED):
            return reply
        events = self.events(reply, received)
        spot = self._dice.choice([n for n, (name, data) in enumerate(events) if name != "ping" and data != "[DONE]"])
        if mood is Mood.MALFORMED:
            return replace(reply, broken_event=spot)
        return replace(reply, error_event=spot, error="overloaded_error", message="Overloaded")

    async def _cut_off(
        self, request: web.Request, response: web.StreamResponse, frames: Sequence[bytes], told: _Told, entry: Entry
    ) -> web.StreamResponse:
        whole = b"".join(frames)
        end = self._dice.randrange(len(whole))
        if end:
            await response.write(whole[:end])
        size, count = 0, 0
        for frame in frames:
            size += len(frame)
            count += size <= end
        self._note(told, frames[:count], entry)
        await self._pause(SETTLE_S, SETTLE_S)
        if self._dice.random() < 0.3:
            await response.write_eof()
            return response
        return await self._break(request)

    def _note(self, told: _Told, frames: Sequence[bytes], entry: Entry) -> None:
        """Enters what the client has been told by whole events. After the first that is none it hears nothing."""
        for data in _data(frames):
            if told.is_ruined:
                break
            try:
                self.tell(told, json.loads(data))
            except ValueError:
                told.is_ruined = True
        entry.usage = told.usage()
        entry.is_good = told.has_ended and (bool(told.text.strip()) or (told.has_calls and told.hears_calls))

    # --- waiting -------------------------------------------------------------------------------------------------------

    async def _pause(self, least: float, most: float) -> None:
        with self._parked():
            await self._clock.sleep(self._dice.uniform(least, most))

    async def _wait_for_ever(self) -> web.StreamResponse:
        with self._parked():
            await asyncio.get_running_loop().create_future()
        raise AssertionError("nobody ends this but the client, by going")

    async def _break(self, request: web.Request) -> web.StreamResponse:
        if request.transport is not None:
            request.transport.close()
        await asyncio.get_running_loop().create_future()
        raise AssertionError("the connection is closed")

    @contextmanager
    def _parked(self) -> Iterator[None]:
        self.parked += 1
        try:
            yield
        finally:
            self.parked -= 1


class Claude(Provider, AnthropicServer):
    """Counts what it reads from its cache towards no limit."""

    counts_cached = False

    @property
    def base_url(self) -> str:
        return self.url

    def asked(self, body: Body) -> Asked:
        texts: list[str] = []
        steps = 0
        for message in reversed(body["messages"]):
            content = message["content"]
            blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
            if message["role"] == "user":
                texts += [block["text"] for block in blocks if block["type"] == "text"]
            elif any(block["type"] == "tool_use" for block in blocks):
                steps += 1
            else:
                break
        return _asked(texts, steps, may_call=body.get("tool_choice", {}).get("type") != "none")

    def tell(self, told: _Told, event: Body) -> None:
        match event["type"]:
            case "message_start":
                usage = event["message"]["usage"]
                told.input, told.output = usage["input_tokens"], usage["output_tokens"]
                told.cache_read = usage["cache_read_input_tokens"]
                told.cache_write = usage["cache_creation_input_tokens"]
            case "content_block_delta":
                told.text += event["delta"].get("text", "")
            case "message_delta":
                told.output = event["usage"]["output_tokens"]
                told.has_ended = True
                told.has_calls = event["delta"]["stop_reason"] == "tool_use"
            case "error":
                told.is_ruined = True


class Gpt(Provider, OpenAIServer):
    """Counts every token towards its limit. A call that it makes though it may not is left out by those who read it."""

    drops_calls = True

    def asked(self, body: Body) -> Asked:
        texts: list[str] = []
        steps = 0
        for message in reversed(body["messages"]):
            content = message["content"]
            if message["role"] == "user":
                texts += [content] if isinstance(content, str) else [each.get("text", "") for each in content]
            elif message["role"] == "assistant":
                if not message.get("tool_calls"):
                    break
                steps += 1
        return _asked(texts, steps, may_call=body.get("tool_choice") != "none")

    def tell(self, told: _Told, event: Body) -> None:
        if "error" in event:
            told.is_ruined = True
            return
        for choice in event["choices"]:
            told.text += choice["delta"].get("content") or ""
            told.has_ended |= choice["finish_reason"] is not None
            told.has_calls |= choice["finish_reason"] == "tool_calls"
        if usage := event.get("usage"):
            told.cache_read = usage["prompt_tokens_details"]["cached_tokens"]
            told.input = usage["prompt_tokens"] - told.cache_read
            told.output = usage["completion_tokens"]


def _asked(texts: Sequence[str], steps: int, *, may_call: bool) -> Asked:
    found = [match for text in reversed(texts) for match in _MARK.finditer(text)]
    number = int(found[-1][1]) if found else -1
    return Asked(tuple(match[0] for match in found), number, steps, may_call)


def _data(frames: Sequence[bytes]) -> Iterator[bytes]:
    """What the events say, without those that say nothing."""
    for frame in frames:
        name, data = b"", b""
        for line in frame.splitlines():
            if line.startswith(b"event:"):
                name = line[6:].strip()
            elif line.startswith(b"data:"):
                data = line[5:].strip()
        if name != b"ping" and data != b"[DONE]":
            yield data


@asynccontextmanager
async def serving(*servers: Provider) -> AsyncIterator[None]:
    started: list[Provider] = []
    try:
        for server in servers:
            await server.start()
            started.append(server)
        yield
    finally:
        for server in started:
            await server.close()
