"""From the config to knowledge: what is read, what makes embeddings, and who sees what."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bot.assembly import Assembly
from bot.clock import SystemClock
from bot.config import Config, find_settings, load
from bot.config.knowledge_schema import Knowledge, uploads
from bot.knowledge import opening
from bot.knowledge.embeddings import LocalEmbedder
from bot.knowledge.opening import choose_embedder, roots
from bot.model import BlobId
from bot.ports import ToolCall
from bot.telemetry.metrics import Metrics
from bot.tools.names import SEARCH_KNOWLEDGE
from tests.knowledge.outside import Site, site

CONFIG = """
[knowledge]
paths = ["docs"]
poll_s = 0.02
fusion = 0
[[knowledge.sources]]
name = "help"
kind = "website"
url = "{url}/"
audience = "partners"
pause_s = 0.0
[agents.partners]
channels = ["web"]
audiences = ["partners"]
[agents.shop]
channels = ["slack"]
knowledge = ["help", "docs/shop"]
audiences = ["partners"]
"""


async def nothing(blob: BlobId) -> bytes:
    raise FileNotFoundError(blob)


def config_in(folder: Path, url: str) -> Config:
    (folder / "docs" / "shop").mkdir(parents=True)
    (folder / "docs" / "all.md").write_text("# Discounts\n\nEveryone has a discount of one per cent.")
    (folder / "docs" / "shop" / "sale.md").write_text("# Sale\n\nThe sale has a discount of two per cent.")
    file = folder / "config.toml"
    file.write_text(CONFIG.format(url=url))
    return load(file, {}, adapters=find_settings)


@asynccontextmanager
async def assembled(config: Config, data: Path) -> AsyncIterator[Assembly]:
    """As the daemon builds and runs it."""
    assembly = Assembly(config, data / "index.db", SystemClock(), Metrics(), nothing)
    parts = [asyncio.ensure_future(part) for part in (assembly.knowledge.run(), assembly.sources.run())]
    try:
        yield assembly
    finally:
        for part in parts:
            part.cancel()
        await asyncio.wait(parts)
        await assembly.close()


async def seen(assembly: Assembly, agent: str) -> set[str]:
    """The titles that an agent finds."""
    call = ToolCall("call", SEARCH_KNOWLEDGE, '{"query": "discount"}')
    result = await assembly.agents[agent].dispatcher.run(call, 1, 20.0)
    return {each.passage.title for each in result.found}


async def until(holds: Callable[[set[str]], bool], assembly: Assembly, agent: str) -> set[str]:
    async with asyncio.timeout(20):
        while not holds(found := await seen(assembly, agent)):
            await SystemClock().sleep(0.01)
    return found


async def test_each_agent_finds_what_is_for_it_and_a_running_daemon_fetches_its_sources(tmp_path: Path) -> None:
    """A website's pages, for one audience: in answers once they are fetched, out of them once they are gone from the config's folder."""
    async with site() as made:
        put(made)
        config = config_in(tmp_path, made.url)
        (tmp_path / "data").mkdir()
        async with assembled(config, tmp_path / "data") as assembly:
            found = await until(lambda titles: "Partner prices" in titles, assembly, "partners")
            assert found == {"Partner prices", "Discounts", "Sale"}
            assert await seen(assembly, "main") == {"Discounts", "Sale"}
            assert await seen(assembly, "shop") == {"Partner prices", "Sale"}


def put(made: Site) -> None:
    made.put("/", "Partner prices", "Partners have a discount of ten per cent on everything that we sell to them.")


async def test_documents_that_are_uploaded_while_it_runs_are_found(tmp_path: Path) -> None:
    """The folder of uploads need not be there at the start."""
    file = tmp_path / "config.toml"
    file.write_text("[knowledge]\npoll_s = 0.02\nfusion = 0\n")
    config = load(file, {}, adapters=find_settings)
    (tmp_path / "data").mkdir()
    async with assembled(config, tmp_path / "data") as assembly:
        assert await seen(assembly, "main") == set()
        folder = uploads(config.data.path)
        folder.mkdir(parents=True)
        (folder / "new.md").write_text("# Uploaded\n\nA discount of five per cent.")
        assert await until(bool, assembly, "main") == {"Uploaded"}


def test_sources_are_read_before_paths_so_that_their_audience_holds(tmp_path: Path) -> None:
    """A folder for few that lies in a folder for all."""
    text = '{"paths": ["docs"], "sources": [{"name": "inner", "kind": "folder", "path": "docs/inner", "audience": "staff"}]}'
    settings = Knowledge.model_validate_json(text)
    assert [(root.path, root.audience, root.is_optional) for root in roots(settings, tmp_path)] == [
        (Path("docs/inner"), "staff", False),
        (Path("docs"), "", False),
        (uploads(tmp_path), "", True),
    ]


def test_embeddings_are_made_by_what_the_config_names_else_by_what_is_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And by nothing where there is neither, or where words alone are wanted."""
    monkeypatch.setattr(opening, "can_compare", lambda: True)
    monkeypatch.setattr(opening, "is_installed", lambda: True)

    def endpoint() -> LocalEmbedder:
        return LocalEmbedder()

    assert choose_embedder(Knowledge(), endpoint).why == "the model of [roles] embed"
    assert choose_embedder(Knowledge(), None).make is LocalEmbedder
    assert choose_embedder(Knowledge(fusion=0), None).make is None
    monkeypatch.setattr(opening, "is_installed", lambda: False)
    assert choose_embedder(Knowledge(), None).make is None
    monkeypatch.setattr(opening, "can_compare", lambda: False)
    assert "pip install" in choose_embedder(Knowledge(), endpoint).why


def test_the_start_loads_neither_knowledge_nor_sources() -> None:
    """They are loaded after ready, in a thread."""
    code = (
        "import sys, bot.assembly; print([name for name in sys.modules if name.startswith('bot.knowledge')"
        " or name in ('numpy', 'onnxruntime', 'tokenizers', 'pypdf', 'openai')])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert (run.stdout.strip(), run.stderr) == ("[]", "")
