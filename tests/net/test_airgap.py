"""On a machine without a network the whole of it works, and nothing is tried outwards."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.net.inside import watched

ROOT = Path(__file__).parents[2]
NAMESPACE = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--net"]
NEAR = re.compile(r"^socket\.\w+ (\('(127\.[\d.]+|::1|localhost)', |'(127\.[\d.]+|::1|localhost)'|'/|b'\\x00|'')")


def can_make_namespaces() -> bool:
    try:
        return subprocess.run([*NAMESPACE, "true"], capture_output=True, timeout=30).returncode == 0
    except OSError:
        return False


pytestmark = pytest.mark.skipif(
    not can_make_namespaces(), reason="this account may not make network namespaces (unshare --net): run it as root"
)


def without_a_network(*command: str, environ: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """A program in a namespace of its own, where only loopback exists."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FRONTDESK_")}
    return subprocess.run(
        [*NAMESPACE, sys.executable, *command],
        cwd=ROOT,
        env=kept | (environ or {}),
        capture_output=True,
        text=True,
        timeout=120,
    )


def outward(folder: Path) -> list[str]:
    """What the watched processes tried beyond this machine."""
    file = folder / "watched"
    return [line for line in file.read_text().splitlines() if not NEAR.match(line)] if file.exists() else []


def house(folder: Path, *options: str) -> dict[str, Any]:
    done = without_a_network("-m", "tests.net.inside", str(folder), *options)
    log = folder / "log"
    assert done.returncode == 0, done.stderr + (log.read_text() if log.exists() else "")
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def test_the_watch_notes_what_leaves(tmp_path: Path) -> None:
    """A connection, a datagram and a look-up are each seen, so that seeing none means something."""
    code = (
        "import contextlib, socket\n"
        "def tried(call):\n"
        "    with contextlib.suppress(OSError): call()\n"
        "tcp, udp = socket.socket(), socket.socket(type=socket.SOCK_DGRAM)\n"
        "tried(lambda: tcp.connect(('192.0.2.1', 443)))\n"
        "tried(lambda: udp.sendto(b'', ('192.0.2.2', 53)))\n"
        "tried(lambda: socket.getaddrinfo('api.example', 443))\n"
        "tried(lambda: tcp.connect(('127.0.0.1', 9)))\n"
        "tcp.close(), udp.close()\n"
    )
    done = without_a_network("-c", code, environ=watched(tmp_path))
    assert done.returncode == 0, done.stderr
    seen = outward(tmp_path)
    assert [line.split(",")[0] for line in seen] == [
        "socket.connect ('192.0.2.1'",
        "socket.sendto ('192.0.2.2'",
        "socket.getaddrinfo 'api.example'",
    ]


def test_without_a_network_the_desk_answers(tmp_path: Path) -> None:
    """It starts, serves its page, answers from the documents over the chat socket, and stops cleanly; no name is looked up."""
    told = house(tmp_path)
    assert told["interfaces"] == ["lo"]
    assert "widget.js" in told["page"]
    assert told["citations"] >= 1
    assert "<script" in told["text"]
    assert told["status"] == 0
    assert (tmp_path / "watched").exists()
    assert outward(tmp_path) == []


def test_a_model_on_this_machine_answers_inside_the_strictest_perimeter(tmp_path: Path) -> None:
    """`allow = []` does not mean loopback: a local model server is called, and nothing else."""
    told = house(tmp_path, "model")
    assert "The model on this machine says: one tag." in told["text"]
    assert told["status"] == 0
    assert outward(tmp_path) == []
