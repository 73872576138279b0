"""A model on loopback that outlives the daemon: thinks, asks for searches, answers at a small pace, and keeps a ledger of what it was asked.

Speaks either provider's protocol. What it does with a turn follows from the first word of the turn, so that a rerun is told the same.
"""

import asyncio
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from aiohttp import web

from tests.kill.judge import answer_to, words_in
from tests.kill.points import Doom, Plan
from tests.models.anthropic_server import AnthropicServer
from tests.models.openai_server import OpenAIServer
from tests.models.wire import Body, Call, Counts, ModelServer, Received, Reply

PROVIDERS = ("openai", "anthropic")
MODEL = "brain"  # its name in the config
PACE_S = 0.002  # between two events of a stream
INPUT = (
    1000  # tokens of the first request; each further one reports one more, and so is known again wherever it was booked
)
KEY = "life-"  # and the number of the life: so each request says which daemon sent it
STORIES = (
    (),
    (1,),
    (2,),
    (),
    (1, 1),
)  # how many searches a turn makes in each of its steps, by the number in its first word
QUESTION, FACT = "How long can I return a bike?", "within thirty days"
DOCUMENTS = {
    "returns.md": f"# Returns\n\nYou can return a bike {FACT} after it was delivered. The frame must be whole.\n",
    "delivery.md": "# Delivery\n\nWe deliver to your door in three days, on weekdays only.\n",
    "workshop.md": "# Workshop\n\nThe workshop opens at nine. Bring your bike before noon.\n",
}
PREAMBLE = "Let me look that up. "
# Everything that is easily bent on its way to disk and back.
THOUGHT = "  <think> \"Zwölf\" \\Boxkämpfer\\ \t\u2028 said: 🚲 {'a': \\n} </think> & so on [2] "
PRICES = {"input": 3.0, "output": 15.0, "cache_read": 0.3, "cache_write": 3.75}

_NUMBER = re.compile(r"^\[(\d+)\] ", re.MULTILINE)


def story(word: str) -> Sequence[int]:
    """The searches of a turn whose first word it is."""
    return STORIES[int(word.rpartition("-")[2]) % len(STORIES)]


def right(words: Sequence[str]) -> str:
    """The one right answer to a burst: it cites what was found, where the turn has searched."""
    return answer_to(words, " [1]" if story(words[0]) else "")


@dataclass(frozen=True, slots=True)
class Said:
    """One message of a request, whatever the protocol. Calls are (id, arguments), results (id, text)."""

    role: str
    text: str
    calls: tuple[tuple[str, str], ...] = ()
    results: tuple[tuple[str, str], ...] = ()
    thought: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request. `turn` is the first word of what is to be answered, `step` counts the messages with calls that lie behind it,
    `serial` is its place in the ledger."""

    serial: int
    life: int
    turn: str
    step: int
    counts: Counts
    received: Received


@dataclass(frozen=True, slots=True)
class _Made:
    """A call as the brain has made it, with what it thought before."""

    life: int
    arguments: str
    thought: str


class Brain:
    """The model's far end. `complaints` are what no request may say; `continued` counts requests of a life that took up the steps of
    an earlier one; `doom` ends the daemon when a request has come."""

    def __init__(self, provider: str) -> None:
        self.provider = provider
        self.asked: list[Asked] = []
        self.complaints: list[str] = []
        self.continued = 0
        self.doom = Doom(Plan(""))
        self._made: dict[str, _Made] = {}
        self._results: dict[str, str] = {}
        self._server: ModelServer = (_OpenAI if provider == "openai" else _Anthropic)(self._reply)

    @property
    def base_url(self) -> str:
        return f"{self._server.url}/v1" if self.provider == "openai" else self._server.url

    async def open(self) -> None:
        await self._server.start()

    async def close(self) -> None:
        await self._server.close()
        for received in self._server.ledger:
            if received.refusal:
                self.complaints.append(f"the server refused a request: {received.refusal}")

    # --- one request -----------------------------------------------------------------------------------------------

    def _reply(self, received: Received) -> Reply:
        said = _last_turn((_from_openai if self.provider == "openai" else _from_anthropic)(received.body))
        words = [word for each in said if each.role == "user" for word in words_in(each.text)]
        if not words:
            self.complaints.append(f"a request asks nothing: {said}")
            return Reply()
        steps = [each for each in said if each.calls]
        asked = self._note(received, words[0], len(steps))
        self._check_steps(steps, asked)
        self._check_results([result for each in said for result in each.results], steps)
        self.doom.at("model asked again" if steps else "model asked")
        searches = story(words[0])
        if len(steps) < len(searches):
            return self._search(asked, searches[len(steps)])
        return Reply(right(words), chunks=6, counts=asked.counts)

    def _note(self, received: Received, turn: str, step: int) -> Asked:
        serial = len(self.asked)
        cache_write = serial % 3 if self.provider == "anthropic" else 0
        counts = Counts(INPUT + serial, 10 + serial % 7, cache_read=serial % 5, cache_write=cache_write)
        headers = received.headers
        key = headers.get("x-api-key") or headers["Authorization"].removeprefix("Bearer ")
        asked = Asked(serial, int(key.removeprefix(KEY)), turn, step, counts, received)
        self.asked.append(asked)
        return asked

    def _search(self, asked: Asked, count: int) -> Reply:
        thought = f"{asked.serial}{THOUGHT}"
        calls = []
        for n in range(count):
            query = f"{QUESTION} ({asked.turn} {asked.step} {n})"
            arguments = json.dumps({"query": query}, indent=n or None)
            calls.append(Call("search_knowledge", arguments, f"call_{asked.serial}_{n}"))
            self._made[calls[-1].id] = _Made(asked.life, arguments, thought)
        text = PREAMBLE if asked.serial % 2 else ""
        return Reply(text, chunks=4, calls=tuple(calls), reasoning=thought, counts=asked.counts)

    def _check_steps(self, steps: Sequence[Said], asked: Asked) -> None:
        """What the model said comes back as it said it, byte for byte."""
        for step in steps:
            for id_, arguments in step.calls:
                made = self._made.get(id_)
                if made is None:
                    self.complaints.append(f"{asked.turn}: a call came back that was never made: {id_}")
                elif made.thought != step.thought:
                    self.complaints.append(f"{asked.turn}: {step.thought!r} came back in place of {made.thought!r}")
                elif not self._is_same(arguments, made.arguments):
                    self.complaints.append(f"{asked.turn}: {arguments!r} came back in place of {made.arguments!r}")
        last = self._made.get(steps[-1].calls[-1][0]) if steps else None
        self.continued += last is not None and last.life < asked.life

    def _is_same(self, arguments: str, made: str) -> bool:
        if self.provider == "openai":
            return arguments == made
        same: bool = json.loads(arguments) == json.loads(made)  # this protocol carries them as a value
        return same

    def _check_results(self, results: Sequence[tuple[str, str]], steps: Sequence[Said]) -> None:
        """Each call has its result, the passages are numbered on from result to result, and what was told once stays so."""
        if [id_ for id_, _ in results] != [id_ for step in steps for id_, _ in step.calls]:
            self.complaints.append(f"these results stand beside other calls: {results}")
        for id_, text in results:
            if self._results.setdefault(id_, text) != text:
                self.complaints.append(f"the result of {id_} has changed from {self._results[id_]!r} to {text!r}")
            if FACT not in text:
                self.complaints.append(f"the search {id_} did not find the passage: {text!r}")
        numbers = [int(number) for _, text in results for number in _NUMBER.findall(text)]
        if numbers != list(range(1, len(numbers) + 1)):
            self.complaints.append(f"the passages are numbered {numbers}")


# --- the two protocols -------------------------------------------------------------------------------------------------


class _Paced(ModelServer):
    """Streams event by event. A client that is gone is nothing unusual here."""

    async def _stream(self, request: web.Request, reply: Reply, asked: Received) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        try:
            await response.prepare(request)
            for frame in self.frames(reply, asked):
                await asyncio.sleep(PACE_S)
                await response.write(frame)
            asked.is_whole = True
            await response.write_eof()
        except ConnectionError:
            pass
        return response


class _OpenAI(_Paced, OpenAIServer):
    pass


class _Anthropic(_Paced, AnthropicServer):
    pass


def _last_turn(said: Sequence[Said]) -> Sequence[Said]:
    """What comes after the last answer."""
    answers = [place for place, each in enumerate(said, 1) if each.role == "assistant" and not each.calls]
    return said[answers[-1] if answers else 0 :]


def _from_openai(body: Body) -> list[Said]:
    return [
        Said(
            each["role"],
            "" if each["role"] == "tool" else each["content"],
            tuple((call["id"], call["function"]["arguments"]) for call in each.get("tool_calls", ())),
            ((each["tool_call_id"], each["content"]),) if each["role"] == "tool" else (),
            each.get("reasoning_content", ""),
        )
        for each in body["messages"]
        if each["role"] != "system"
    ]


def _from_anthropic(body: Body) -> list[Said]:
    return [_from_blocks(each["role"], each["content"]) for each in body["messages"]]


def _from_blocks(role: str, content: str | list[Body]) -> Said:
    if isinstance(content, str):
        return Said(role, content)
    return Said(
        role,
        "\n".join(block["text"] for block in content if block["type"] == "text"),
        tuple((block["id"], json.dumps(block["input"])) for block in content if block["type"] == "tool_use"),
        tuple((block["tool_use_id"], block["content"]) for block in content if block["type"] == "tool_result"),
        "".join(block["thinking"] for block in content if block["type"] == "thinking"),
    )
