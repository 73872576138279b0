"""The systemd unit is closed, correct, and says what the program does."""

import os
import re
import shlex
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from bot.app import EXIT_CONFIG
from bot.config import documented_keys

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "systemd" / "frontdesk.service"
NEWER = ("RestartSteps", "RestartMaxDelaySec")  # systemd 254; older ones say that they ignore them

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed (Debian: apt-get install systemd)"
)


def settings(name: str) -> list[str]:
    return re.findall(rf"^{name}=(.*)$", UNIT.read_text(), re.MULTILINE)


def analyze(*arguments: str) -> "subprocess.CompletedProcess[str]":
    environ = os.environ | {"SYSTEMD_COLORS": "0", "SYSTEMD_PAGER": ""}
    return subprocess.run(
        ["systemd-analyze", *arguments, str(UNIT)], capture_output=True, text=True, env=environ, check=False
    )


@needs_systemd
def test_the_exposure_is_small() -> None:
    """systemd rates the service's exposure at 1.5 of 10 at most."""
    result = analyze("security", "--offline=true", "--no-pager")
    rated = re.search(r"Overall exposure level for frontdesk\.service: (\d+\.\d+)", result.stdout)
    assert rated is not None, result.stdout + result.stderr
    assert float(rated[1]) <= 1.5


@needs_systemd
def test_every_line_is_known_to_systemd() -> None:
    """The unit holds no line that systemd does not understand, but for two that only newer versions know."""
    complaints = [
        line
        for line in analyze("verify").stderr.splitlines()
        if UNIT.name in line and "is not executable" not in line and not any(name in line for name in NEWER)
    ]
    assert complaints == []


def test_it_tells_systemd_how_it_is() -> None:
    """systemd waits for READY, watches the loop, and leaves more time to stop than the program takes."""
    assert settings("Type") == ["notify"]
    assert int(settings("WatchdogSec")[0]) >= 10  # the loop's own watchdog speaks first, after 2 s
    assert int(settings("TimeoutStopSec")[0]) > float(documented_keys()["limits.drain_s"])


def test_it_is_started_again_unless_the_config_is_wrong() -> None:
    """However it ends it is started again; only a config that cannot be used is left for a person to mend."""
    assert settings("Restart") == ["always"]
    assert settings("StartLimitIntervalSec") == ["0"]
    assert settings("RestartPreventExitStatus") == [str(EXIT_CONFIG)]


def test_a_reload_sends_the_signal_that_is_documented() -> None:
    """`systemctl reload` sends SIGHUP to the main process."""
    (command,) = settings("ExecReload")
    assert shlex.split(command) == ["/bin/kill", f"-{signal.SIGHUP.name.removeprefix('SIG')}", "$MAINPID"]


def test_the_credentials_shown_mean_keys_of_the_config() -> None:
    """Each LoadCredential example names a key that exists."""
    names = re.findall(r"^#LoadCredential(?:Encrypted)?=(\w+):", UNIT.read_text(), re.MULTILINE)
    known = {"FRONTDESK_" + key.replace(".", "_").upper() for key in documented_keys()}
    assert names
    assert set(names) <= known


def test_the_data_folder_is_not_a_link() -> None:
    """DynamicUser would make the state folder a symbolic link, which the program refuses."""
    assert settings("DynamicUser") == []
    assert settings("User") == ["frontdesk"]
    assert settings("StateDirectory") == ["frontdesk"]
