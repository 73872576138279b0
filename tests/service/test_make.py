"""`make` says what it needs, and `make test` runs everything."""

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def make(*arguments: str, path: Path | None = None) -> "subprocess.CompletedProcess[str]":
    environ = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    if path is not None:
        environ["PATH"] = f"{path}:{environ['PATH']}"
    return subprocess.run(
        ["make", "--no-print-directory", *arguments], cwd=ROOT, env=environ, capture_output=True, text=True, check=False
    )


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_an_old_python_is_named(tmp_path: Path) -> None:
    """With a Python that is too old, `make run` says which is needed and makes nothing."""
    old = script(tmp_path / "python3", '[ "$1" = --version ] && echo Python 3.9.2; exit 1')
    result = make("run", f"PYTHON={old}", f"VENV={tmp_path / 'venv'}")
    assert result.returncode != 0
    assert "Frontdesk needs Python 3.11 or newer" in result.stdout
    assert "Python 3.9.2" in result.stdout
    assert not (tmp_path / "venv").exists()


def test_run_starts_the_daemon_with_the_config(tmp_path: Path) -> None:
    """`make run` in a prepared environment installs nothing and runs `frontdesk serve` with the config."""
    venv = tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)
    script(venv / "bin" / "python", "echo installing")
    script(venv / "bin" / "frontdesk", 'echo frontdesk "$@"')
    (venv / ".installed").touch()
    result = make("run", f"VENV={venv}", "CONFIG=other.toml")
    assert (result.returncode, result.stdout) == (0, "frontdesk serve --config other.toml\n")


def test_every_check_runs_and_a_failure_is_named_last(tmp_path: Path) -> None:
    """`make test` runs all checks even when one fails, the tests last, and then fails and says what failed."""
    venv = tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)
    for name in ("python", "ruff", "lint-imports", "pytest"):
        script(venv / "bin" / name, "exit 0")
    script(venv / "bin" / "mypy", "echo wrong type; exit 1")
    (venv / ".installed-test").touch()
    script(tmp_path / "apt-get", "exit 1")  # installs nothing, and that is no failure
    result = make("test", f"VENV={venv}", path=tmp_path)
    lines = [line for line in result.stdout.splitlines() if not line.startswith(("Installing", "Could not"))]
    assert result.returncode != 0
    assert [line.split()[0] for line in lines] == [
        "ruff",
        "ruff",
        "mypy",
        "wrong",
        "lint-imports",
        "pytest",
        "pytest",
        "Failed:",
    ]
    assert lines[-1] == "Failed: mypy"


def test_the_build_server_runs_the_same() -> None:
    """`.ci/run` can be executed and runs `make test`."""
    run = ROOT / ".ci" / "run"
    assert run.stat().st_mode & stat.S_IXUSR
    assert run.read_text().splitlines()[-1] == "exec make test"
