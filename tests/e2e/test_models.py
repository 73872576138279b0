"""A real model in the path, as far as anybody can tell: `frontdesk serve`, the providers' own SDKs, servers that speak their protocols."""

import asyncio
import json
import struct
import subprocess
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from playwright.async_api import Page, expect

from tests.e2e.house import Chat, Daemon
from tests.e2e.test_newcomer import QUESTION, ask
from tests.models.anthropic_server import AnthropicServer
from tests.models.openai_server import OpenAIServer
from tests.models.wire import Call, Counts, ModelServer, Received, Reply

MODELS = """
[models.claude]
provider = "anthropic"
model = "claude-test"
base_url = "{claude}"
prices = {{ input = 3, output = 15 }}
[models.gpt]
provider = "openai"
model = "gpt-test"
base_url = "{gpt}"
reads = ["text", "images"]
[roles]
answer = [{chain}]
"""
SEARCHED = Call("search_knowledge", json.dumps({"query": "widget script tag website"}))


def answers(asked: Received) -> Reply:
    """Searches first, then answers from what it found."""
    if "tool_result" in str(asked.body["messages"][-1]) or asked.body["messages"][-1]["role"] == "tool":
        return Reply("Paste the script tag into your page [1]. That is all.", chunks=8, counts=Counts(900, 20))
    return Reply("", calls=(SEARCHED,), counts=Counts(400, 30))


@pytest.fixture
async def servers() -> AsyncIterator[tuple[AnthropicServer, OpenAIServer]]:
    """Both providers, on loopback."""
    async with AnthropicServer(answers) as claude, OpenAIServer(answers) as gpt:
        yield claude, gpt


def serve(folder: Path, claude: AnthropicServer, gpt: OpenAIServer, *chain: str) -> Daemon:
    named = ", ".join(f'"{name}"' for name in chain)
    daemon = Daemon(folder, more=MODELS.format(claude=claude.url, gpt=gpt.base_url, chain=named))
    daemon.start(FRONTDESK_MODELS_CLAUDE_API_KEY=claude.key, FRONTDESK_MODELS_GPT_API_KEY="sk-of-the-test-0123456789")
    return daemon


@pytest.mark.parametrize("name", ["claude", "gpt"])
async def test_the_page_is_answered_by_a_model_with_citations(
    page: Page, tmp_path: Path, servers: tuple[AnthropicServer, OpenAIServer], name: str
) -> None:
    """Two lines of config and a key: the model searches our documents, its answer streams, and [1] opens the passage."""
    daemon = serve(tmp_path, *servers, name)
    try:
        await page.goto(daemon.url)
        await ask(page, QUESTION)
        answer = page.locator(".rows .agent .body").last
        await expect(answer).to_contain_text("Paste the script tag into your page", timeout=20_000)
        await answer.get_by_role("button").first.click()
        await expect(page.get_by_role("dialog").last).to_contain_text("widget")
        told = json.loads((await command(daemon, "trace", "last", "--json")).stdout)
        assert [(each["model"], each["outcome"]) for each in told["attempts"]] == [(name, "tools"), (name, "answered")]
        assert [each["state"] for each in told["tool_calls"]] == ["succeeded"]
        assert sum(each["cost_micros"] for each in told["attempts"]) == (4_650 if name == "claude" else 0)
        assert "Paste the script tag" in (await command(daemon, "trace", "last")).stdout
    finally:
        daemon.kill()


async def test_f34_when_the_first_model_fails_the_next_answers_and_the_trace_says_why(
    tmp_path: Path, servers: tuple[AnthropicServer, OpenAIServer]
) -> None:
    """Overloaded, then gone: the second model answers, and the page sees one answer."""
    claude, gpt = servers
    claude.script = lambda asked: Reply(status=529, error="overloaded_error")
    daemon = serve(tmp_path, claude, gpt, "claude", "gpt")
    try:
        async with connected(daemon) as chat:
            answer = await chat.say(QUESTION, "1")
        assert "Paste the script tag" in answer["text"]
        told = json.loads((await command(daemon, "trace", "last", "--json")).stdout)
        assert [(each["model"], each["outcome"]) for each in told["attempts"]][:3] == [
            ("claude", "overloaded"),
            ("claude", "overloaded"),
            ("gpt", "tools"),
        ]
        assert "overloaded" in (await command(daemon, "models")).stdout
    finally:
        daemon.kill()


async def test_f46_when_every_model_is_gone_the_page_is_quoted_from_the_documents(
    tmp_path: Path, servers: tuple[AnthropicServer, OpenAIServer]
) -> None:
    """Nobody listens where the models were."""
    claude, gpt = servers
    daemon = serve(tmp_path, claude, gpt, "claude", "gpt")
    await claude.close()
    await gpt.close()
    try:
        async with connected(daemon) as chat:
            answer = await chat.say(QUESTION, "1")
        assert answer["text"].startswith("My usual way of answering does not work")
        assert "/widget.js" in answer["text"]
        assert answer["citations"]
    finally:
        daemon.kill()


async def test_a_picture_reaches_the_model_that_can_see_it(
    tmp_path: Path, servers: tuple[AnthropicServer, OpenAIServer]
) -> None:
    """Uploaded on the page, kept as a file, sent as data; the trace names the model."""
    claude, gpt = servers
    seen: list[str] = []

    def looks(asked: Received) -> Reply:
        seen.append(str(asked.body["messages"][-1]["content"]))
        return Reply("A red dot.")

    claude.script = looks
    daemon = serve(tmp_path, claude, gpt, "claude")
    try:
        async with connected(daemon) as chat:
            blob = await upload(daemon, chat, picture())
            await chat.socket.send_json({"type": "message", "id": "1", "text": "What is this?", "attachments": [blob]})
            answer = await chat.until("message")
        assert answer["text"] == "A red dot."
        assert "'type': 'image'" in seen[0]
        assert "image/png" in seen[0]
    finally:
        daemon.kill()


async def test_a_new_key_is_used_after_a_reload(tmp_path: Path, servers: tuple[AnthropicServer, OpenAIServer]) -> None:
    """A key that is refused makes an incident; the right one in .env and SIGHUP mend it without a restart."""
    claude, gpt = servers

    def guarded(asked: Received) -> Reply:
        is_right = asked.headers.get("Authorization") == f"Bearer {claude.key}"
        return answers(asked) if is_right else Reply(status=401, error="authentication_error")

    claude.script = guarded
    daemon = serve_with_env_file(tmp_path, claude, gpt, "sk-revoked-0123456789")
    try:
        async with connected(daemon) as chat:
            assert "does not work at the moment" in (await chat.say(QUESTION, "1"))["text"]
            assert "key refused" in (await command(daemon, "incidents")).stdout
            (tmp_path / ".env").write_text(f"FRONTDESK_MODELS_CLAUDE_API_KEY={claude.key}\n", encoding="utf-8")
            await asyncio.to_thread(daemon.reload)
            assert "Paste the script tag" in (await chat.say(QUESTION, "2"))["text"]
        assert claude.key not in (tmp_path / "log").read_text(encoding="utf-8")
    finally:
        daemon.kill()


async def test_models_are_listed_and_tried_on_the_command_line(
    tmp_path: Path, servers: tuple[AnthropicServer, OpenAIServer]
) -> None:
    """Reachability, circuit and spend; one call with its timing."""
    claude, gpt = servers
    daemon = serve(tmp_path, claude, gpt, "claude", "gpt")
    try:
        claude.script = lambda asked: Reply("Hello from here.")
        tried = await command(daemon, "models", "try", "claude", "hello")
        assert tried.returncode == 0, tried.stderr
        assert "Hello from here." in tried.stdout
        assert "25 tokens in, 15 out" in tried.stdout
        listed = json.loads((await command(daemon, "models", "--json")).stdout)["models"]
        rows = {each["name"]: each for each in listed}
        assert (rows["claude"]["calls_today"], rows["claude"]["input_tokens_today"]) == (1, 25)
        assert (rows["claude"]["reach"], rows["gpt"]["reach"]) == ("yes", "yes")
        assert (await command(daemon, "models", "try", "nobody", "hello")).returncode == 1
    finally:
        daemon.kill()


# --- what these tests need ---------------------------------------------------------------------------------------------


class connected:  # noqa: N801 - reads as the sentence it stands in
    """A visitor who has said hello."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon

    async def __aenter__(self) -> Chat:
        self._session = aiohttp.ClientSession()
        socket = await self._session.ws_connect(f"{self._daemon.url}/ws", origin=self._daemon.url)
        chat = Chat(socket)
        await chat.hello()
        return chat

    async def __aexit__(self, *error: object) -> None:
        await self._session.close()


def serve_with_env_file(folder: Path, claude: ModelServer, gpt: OpenAIServer, key: str) -> Daemon:
    path = folder / ".env"
    path.touch(0o600)
    path.write_text(f"FRONTDESK_MODELS_CLAUDE_API_KEY={key}\n", encoding="utf-8")
    daemon = Daemon(folder, more=MODELS.format(claude=claude.url, gpt=gpt.base_url, chain='"claude"'))
    daemon.start()
    return daemon


async def command(daemon: Daemon, *words: str) -> "subprocess.CompletedProcess[str]":
    """In a thread: the servers of this test answer on this loop."""
    return await asyncio.to_thread(daemon.command, *words)


async def upload(daemon: Daemon, chat: Chat, data: bytes) -> str:
    async with aiohttp.ClientSession() as session:
        headers = {"Authorization": f"Bearer {chat.token}", "Origin": daemon.url, "X-File-Name": "dot.png"}
        async with session.post(f"{daemon.url}/upload", data=data, headers=headers) as response:
            kept = await response.json()
            assert response.status in (200, 201), kept
            return str(kept["id"])


def picture() -> bytes:
    """One red pixel as PNG."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    body = zlib.compress(b"\x00\xff\x00\x00")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
