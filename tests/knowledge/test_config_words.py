"""What is wrong with a source is said with its key, its file and what to write."""

from pathlib import Path

import pytest

from bot.config import find_settings, load
from bot.errors import ConfigError


@pytest.mark.parametrize(
    ("kind", "key", "line", "mend"),
    [
        ("notion", "secret", 'secret = "ntn_abc"', "the name of the secret"),
        ("notion", "databases", 'databases = ["x"]', "database's address"),
        ("git", "branch", 'url = "https://example.com/a"\nbranch = "-x"', "name of a branch"),
        ("drive", "folder", 'folder = "a b c d"\nkey_file = "k"', "/folders/"),
        ("youtube", "playlist", 'playlist = "a b"', "list="),
    ],
)
def test_a_key_of_another_shape_is_told_without_a_pattern(
    tmp_path: Path, kind: str, key: str, line: str, mend: str
) -> None:
    file = tmp_path / "config.toml"
    file.write_text(f'[knowledge]\npaths = []\n[[knowledge.sources]]\nname = "one"\nkind = "{kind}"\n{line}\n')
    with pytest.raises(ConfigError) as refused:
        load(file, {}, adapters=find_settings)
    (problem,) = refused.value.problems
    assert key in problem.key
    assert problem.file == str(file)
    assert mend in str(problem)
    assert "pattern" not in str(problem)
    assert "ntn_abc" not in str(problem)
