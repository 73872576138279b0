"""The documents hold together: links lead somewhere, files exist, examples are valid."""

import re
from pathlib import Path

import pytest

from bot.config import find_settings, load
from bot.errors import ConfigError, Problem
from tests.docs.documents import ROOT, Document, document, documents

OURS = ("bot/", "adapters/", "tests/", "docs/", "systemd/", "benchmarks/", "examples/", ".ci/")
KEYS = {
    "ANTHROPIC_API_KEY": "sk-ant-0123456789abcdef",
    "OPENAI_API_KEY": "sk-0123456789abcdef",
}  # as their owners would have set
TOKENS = {
    "slack": {"bot_token": "xoxb-{}", "app_token": "xapp-{}", "signing_secret": "{}"},
    "discord": {"token": "{}"},
    "whatsapp": {"auth_token": "{}"},
}


@pytest.mark.parametrize("page", documents(), ids=lambda page: page.name)
def test_links_lead_somewhere(page: Document) -> None:
    """Every link to a file of ours, and to a heading in it, leads there."""
    broken = []
    for link in page.links():
        if re.match(r"[a-z]+:", link):
            continue
        target, _, anchor = link.partition("#")
        path = (page.path.parent / target).resolve() if target else page.path
        if not path.exists() or (anchor and anchor not in Document(path).anchors()):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", documents(), ids=lambda page: page.name)
def test_named_files_exist(page: Document) -> None:
    """A document names no file of ours that does not exist."""
    named = [span for span in page.spans() if span.startswith(OURS) and re.fullmatch(r"[\w./-]+", span)]
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("page", documents(), ids=lambda page: page.name)
def test_examples_of_config_are_valid(page: Document, tmp_path: Path) -> None:
    """Every fenced TOML is a config that loads, but for folders that this machine does not have."""
    for number, example in enumerate(page.fences("toml")):
        file = tmp_path / f"{number}.toml"
        file.write_text(example)
        assert problems_of(file, KEYS | tokens_for(example)) == [], example


def tokens_for(example: str) -> dict[str, str]:
    """The secrets of the channels or, where there are any, of the further accounts in it, which the pages have in `.env`."""
    found = {}
    for channel, account in re.findall(r"^\[channels\.(\w+)(?:\.accounts\.(\w+))?\]$", example, re.MULTILINE):
        if not account and f"[channels.{channel}.accounts." in example:
            continue
        name = f"{channel}_ACCOUNTS_{account}" if account else channel
        for key, form in TOKENS.get(channel, {}).items():
            found[f"FRONTDESK_CHANNELS_{name}_{key}".upper()] = form.format(f"0123456789abcdef-{name}")
    return found


def problems_of(file: Path, environment: dict[str, str]) -> list[Problem]:
    try:
        load(file, environment, adapters=find_settings)
    except ConfigError as error:
        return [problem for problem in error.problems if not problem.what.startswith("does not exist: ")]
    return []


def test_the_example_config_loads() -> None:
    """The `config.toml` that comes with the source is valid as it stands."""
    load(ROOT / "config.toml", {}, adapters=find_settings)


def test_every_room_is_on_the_map() -> None:
    """Every module and package is named in the architecture, so that a newcomer finds it."""
    text = document("docs/architecture.md").text
    rooms = [path for folder in ("bot", "adapters") for path in (ROOT / folder).iterdir() if path.name[0] not in "_."]
    missing = [
        name
        for path in rooms
        if path.suffix == ".py" or (path.is_dir() and any(path.glob("*.py")))
        for name in [f"{path.relative_to(ROOT)}{'/' if path.is_dir() else ''}"]
        if f"`{name}`" not in text
    ]
    assert missing == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    """Following links from the README leads to every document."""
    seen: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = Document(waiting.pop())
        if page.path in seen:
            continue
        seen.add(page.path)
        targets = [(page.path.parent / link.partition("#")[0]).resolve() for link in page.links() if ":" not in link]
        waiting += [target for target in targets if target.suffix == ".md" and target.exists()]
    assert {page.path for page in documents()} - seen == set()
