"""What a sync says of a daemon that runs beside it is true of a source that the daemon does not know yet, too."""

import argparse
from pathlib import Path

import pytest

from bot.commands import sources
from bot.store.folder import Lock


def test_beside_a_daemon_it_is_told_that_a_new_source_needs_a_restart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    docs, data = tmp_path / "docs", tmp_path / "data"
    docs.mkdir()
    data.mkdir(mode=0o700)
    (docs / "returns.md").write_text("# Returns\n\nWithin thirty days.\n", encoding="utf-8")
    config = tmp_path / "config.toml"
    source = f'[[knowledge.sources]]\nname = "more"\nkind = "folder"\npath = "{docs}"\n'
    config.write_text(f'[data]\npath = "{data}"\n[knowledge]\npaths = []\n{source}', encoding="utf-8")
    daemon = Lock(data)
    daemon.take()
    try:
        sources.run_sync(argparse.Namespace(config=config, names=[], dry_run=False, json=False))
    finally:
        daemon.release()
    assert "added since it started needs a restart" in capsys.readouterr().out
