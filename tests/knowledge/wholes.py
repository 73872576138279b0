"""An agent as the config builds it, over real documents and a model server on loopback."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bot.agent.context import Past
from bot.agent.journal import Journal
from bot.agent.loop import Answer, Asked
from bot.agent.tries import Attempt
from bot.assembly import Assembly
from bot.clock import SystemClock
from bot.config import find_settings, load
from bot.model import Author, BlobId, Message, MessageId, Seq
from bot.telemetry.metrics import Metrics
from tests.loop.test_loop import Page
from tests.models.anthropic_server import AnthropicServer
from tests.models.openai_server import OpenAIServer

DOCS: Mapping[str, str] = {
    "returns.md": "# Returns\n\nShoes are returned within thirty days.",
    "shipping.md": "# Shipping\n\nWe ship to Austria.\n\n## Price\n\nShipping costs 5 euros.",
    "staff.md": "---\naudience: staff\n---\n# Discounts\n\nStaff buy at half the price.",
    "de.md": "---\nlanguage: de\n---\n# Rückgabe\n\nSchuhe nehmen wir dreißig Tage lang zurück.",
}


async def no_file(blob: BlobId) -> bytes:
    raise FileNotFoundError(blob)


@dataclass
class House:
    """`past` is what was said before, oldest first."""

    assembly: Assembly
    docs: Path
    past: list[Message] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    answer: Answer = field(default_factory=Answer)  # the last one

    async def ask(self, text: str, *, agent: str = "main", payer: str = "", journal: Journal | None = None) -> Answer:
        """One turn, which is history for the next one."""
        asked = self._said(Author.USER, text)
        self.attempts = []
        turn = Asked("c", Past(self.past), lambda: (asked,), Page(), payer=payer, attempts=self.attempts)
        turn.journal, turn.is_again = journal, journal is not None
        answer = self.answer = await self.assembly.agents[agent].answer(turn)
        self.past += [asked, self._said(Author.AGENT, answer.text, 1)]
        return answer

    async def write(self, name: str, text: str) -> None:
        """A document changes, and the index follows."""
        (self.docs / name).write_text(text, encoding="utf-8")
        await self.follow()

    async def follow(self) -> None:
        await (await self.assembly.knowledge.loaded()).sync()

    def _said(self, author: Author, text: str, more: int = 0) -> Message:
        number = len(self.past) + 1 + more
        return Message(MessageId(f"m{number}"), Seq(number), author, text, number)


@asynccontextmanager
async def housed(
    folder: Path,
    server: AnthropicServer | OpenAIServer,
    *,
    knowledge: str = "",
    more: str = "",
    model: str = "",
    roles: str = "",
    docs: Mapping[str, str] = DOCS,
) -> AsyncIterator[House]:
    """The texts go into their tables of the config; `more` follows them."""
    there = folder / "docs"
    there.mkdir()
    for name, text in docs.items():
        (there / name).write_text(text, encoding="utf-8")
    is_anthropic = isinstance(server, AnthropicServer)
    url = server.url if isinstance(server, AnthropicServer) else server.base_url
    lines: Sequence[str] = (
        f'[knowledge]\npaths = ["docs"]\nfusion = 0.0\n{knowledge}',
        f'[models.brain]\nprovider = "{"anthropic" if is_anthropic else "openai"}"\nmodel = "m"\nbase_url = "{url}"\napi_key = "k7Hq2-vX9_bR4tW8mLzPc5"\n{model}',
        f'[roles]\nanswer = ["brain"]\n{roles}',
        more,
    )
    (folder / "config.toml").write_text("\n".join(lines), encoding="utf-8")
    config = load(folder / "config.toml", dict(os.environ), adapters=find_settings)
    assembly = Assembly(config, folder / "index.db", SystemClock(), Metrics(), no_file)
    running = asyncio.ensure_future(assembly.knowledge.run())
    try:
        await assembly.warm()
        yield House(assembly, there)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await assembly.close()
