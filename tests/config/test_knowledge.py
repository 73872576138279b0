"""`[knowledge]` and its sources: what is accepted, and what is said of what is not."""

from pathlib import Path

import pytest

from bot.config.knowledge_schema import Folder, Website, uploads
from tests.config.home import Home

SITE = '[[knowledge.sources]]\nname = "help"\nkind = "website"\nurl = "https://help.example.com/"\n'


def test_paths_of_sources_are_relative_to_the_file(home: Home) -> None:
    (home.folder / "inner").mkdir()
    config = home.load('[[knowledge.sources]]\nname = "inner"\nkind = "folder"\npath = "inner"\naudience = "staff"\n')
    (source,) = config.knowledge.sources
    assert isinstance(source, Folder)
    assert (source.path, source.audience) == (home.folder / "inner", "staff")


def test_an_agent_may_know_sources_by_name_beside_paths(home: Home) -> None:
    (home.folder / "docs" / "trade").mkdir(parents=True)
    text = SITE + '[agents.b]\nknowledge = ["help", "uploads", "docs/trade"]\naudiences = ["staff"]\nlanguage = "de"\n'
    agent = home.load(text).agents["b"]
    data = home.folder / "data"
    assert agent.knowledge == (data / "knowledge" / "help", uploads(data), home.folder / "docs" / "trade")
    assert (agent.audiences, agent.language) == (("staff",), "de")


@pytest.mark.parametrize(
    ("text", "key", "what"),
    [
        (SITE.replace("website", "web"), "knowledge.sources.0.kind", 'must be "folder", "website", "git"'),
        (SITE.replace('kind = "website"\n', ""), "knowledge.sources.0.kind", "is missing"),
        (SITE.replace("https", "ftp"), "knowledge.sources.0.url", "is not a web address"),
        (SITE + "dept = 2\n", "knowledge.sources.0.dept", "is not a key of this section"),
        (SITE + 'branch = "main"\n', "knowledge.sources.0.branch", "is not a key of this section"),
        (SITE + "depth = 101\n", "knowledge.sources.0.depth", "is larger than 100"),
        (SITE + SITE, "knowledge.sources.1.name", "as that of another source"),
        (SITE + "[network]\nallow = []\n", "knowledge.sources.0.url", "which [network] allow does not list"),
        (
            '[[knowledge.sources]]\nname = "x"\nkind = "folder"\npath = "no"\n',
            "knowledge.sources.0.path",
            "does not exist",
        ),
        ('[[knowledge.sources]]\nname = "x"\nkind = "youtube"\n', "knowledge.sources.0.videos", "is missing"),
        (
            '[[knowledge.sources]]\nname = "x"\nkind = "drive"\nfolder = "abcdef"\nkey_file = "no"\n',
            "knowledge.sources.0.key_file",
            "does not exist",
        ),
        ("[knowledge]\nsources = 3\n", "knowledge.sources", "must be a list"),
        ("[knowledge]\nfusion = 1.5\n", "knowledge.fusion", "is larger than 1"),
        ('[agents.main]\nlanguage = "german"\n', "agents.main.language", "is not a language"),
        ('[agents.main]\nknowledge = ["nowhere"]\n', "agents.main.knowledge.0", "is outside [knowledge] paths"),
        ("[agents.main.roles]\nembed = []\n", "agents.main.roles.embed", "all share the knowledge"),
    ],
)
def test_what_is_wrong_is_named_with_its_key_and_its_mend(home: Home, text: str, key: str, what: str) -> None:
    (problem,) = home.problems(text)
    assert problem.key == key
    assert what in problem.what
    assert problem.mend
    assert problem.line > 0


def test_secrets_that_sources_name_are_kept_out_of_the_log(home: Home) -> None:
    home.write_dotenv("NOTION_TOKEN=ntn_0123456789\n")
    config = home.load('[[knowledge.sources]]\nname = "wiki"\nkind = "notion"\n')
    assert "ntn_0123456789" in config.secrets()


def test_a_source_alone_is_knowledge_enough(home: Home) -> None:
    config = home.load(SITE)
    assert not any("No knowledge" in warning for warning in config.warnings)
    (source,) = config.knowledge.sources
    assert isinstance(source, Website)
    assert config.knowledge.paths == ()
    assert Path("data") not in config.knowledge.paths
