"""The `frontdesk` command as a person meets it: run as a program, read on a terminal."""

import asyncio
import json
import os
import pty
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bot import __version__
from bot.__main__ import main
from bot.commands.parser import WELCOME, build
from bot.errors import FrontdeskError
from bot.net.control import ControlServer, socket_path
from tests.commands.folder import TURN, fill

ROOT = Path(__file__).parents[2]
UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u200b-\u200f]")


def run(arguments: Sequence[object], folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """The program as a shell runs it."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("FRONTDESK_")}
    command = [sys.executable, "-m", "bot", *map(str, arguments)]
    environ["PYTHONPATH"] = str(ROOT)
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=60)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return fill(tmp_path)


def test_without_arguments_the_five_first_commands_are_shown() -> None:
    """A newcomer sees what to do, not a usage error."""
    done = run([])
    assert (done.returncode, done.stdout, done.stderr) == (0, WELCOME, "")
    assert len(re.findall(r"^  frontdesk ", WELCOME, re.MULTILINE)) == 5


def test_help_tells_a_stranger_what_to_do_next() -> None:
    """It names every command, the first steps and the exit codes."""
    done = run(["--help"])
    assert done.returncode == 0
    assert "what to do next" in done.stdout
    for word in ("serve", "check-config", "status", "trace", "knowledge", "outbox", "salvage", "exit codes"):
        assert word in done.stdout


def test_the_version_is_shown() -> None:
    """One line, for scripts and reports."""
    assert run(["--version"]).stdout == f"frontdesk {__version__}\n"


@pytest.mark.parametrize("arguments", [[], ["--help"], ["--version"], ["serve", "--help"]])
def test_help_is_fast(arguments: list[str]) -> None:
    """Nothing heavy is imported for help and version."""
    code = (
        "import sys\nfrom bot.__main__ import main\n"
        f"try: main({arguments!r})\nexcept SystemExit: pass\n"
        "heavy = {'aiohttp', 'pydantic', 'rich', 'asyncio', 'sqlite3'} & set(sys.modules)\n"
        "sys.exit(', '.join(heavy) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["trace"], ["turns", "--limit", "0"], ["turns", "--limit", "x"], ["outbox"]]
)
def test_wrong_usage_ends_with_2(arguments: list[str]) -> None:
    """A mistyped command changes nothing and says what is right."""
    done = run(arguments)
    assert done.returncode == 2
    assert "usage: frontdesk" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_shipped_config_is_fine() -> None:
    """`check-config` says so, with what would run."""
    done = run(["check-config"])
    assert done.returncode == 0
    assert done.stdout.startswith("config.toml is fine\n")
    assert "channels  web" in done.stdout


def test_every_problem_is_one_line(tmp_path: Path) -> None:
    """file:line: key: what is wrong. What to do. And the exit status 2."""
    (tmp_path / "config.toml").write_text('[server]\nprot = 1\n[log]\nlevel = "loud"\n')
    done = run(["check-config"], tmp_path)
    assert done.returncode == 2
    assert done.stdout.splitlines() == [
        'config.toml:2: server.prot: is not a key of this section. Did you mean "port"?',
        'config.toml:4: log.level: must be "debug", "info", "warning" or "error". Write one of these.',
    ]


def test_a_missing_config_says_what_to_do(tmp_path: Path) -> None:
    """Started in the wrong folder, it says so without a traceback."""
    done = run(["status"], tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "frontdesk: config.toml: config: there is no such file. "
        "Run this in the folder that holds config.toml, or name the file with --config.\n"
    )


@pytest.mark.parametrize(
    "command", [["status"], ["turns"], ["trace", "last"], ["incidents"], ["outbox", "list"], ["outbox", "release"]]
)
def test_before_the_first_start_it_says_how_to_start(tmp_path: Path, command: list[str]) -> None:
    """Without a daemon and without data, each command ends with 3 and names the command to run."""
    (tmp_path / "config.toml").write_text("")
    done = run(command, tmp_path)
    assert done.returncode == 3
    assert "frontdesk serve" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_database_that_is_none_is_a_plain_error(config: Path) -> None:
    """A damaged file ends with 4, in one line."""
    (config.parent / "kept" / "frontdesk.db").write_bytes(b"not a database at all" * 100)
    done = run(["turns", "--config", config])
    assert done.returncode == 4
    assert "frontdesk salvage" in done.stderr
    assert done.stderr.count("\n") == 1


def test_reading_commands_work_without_a_daemon(config: Path) -> None:
    """What is stored can be looked at while nothing runs, and is not changed by looking."""
    database = config.parent / "kept" / "frontdesk.db"
    before = database.read_bytes()
    status = run(["status", "--config", config, "--json"])
    assert status.returncode == 3
    found = json.loads(status.stdout)
    assert (found["is_running"], found["waiting_in"], found["held_out"], found["incidents"]) == (False, 1, 1, 1)
    (turn,) = json.loads(run(["turns", "--config", config, "--json"]).stdout)
    assert (turn["turn"], turn["outcome"], turn["channel"]) == (TURN, "answered", "web")
    (held,) = json.loads(run(["outbox", "list", "--config", config, "--json"]).stdout)
    assert (held["message"], held["is_held"], held["text"]) == ("m2", True, "We open at nine [1].")
    (incident,) = json.loads(run(["incidents", "--config", config, "--json"]).stdout)
    assert incident["kind"] == "dead letter"
    assert database.read_bytes() == before


def test_status_says_what_waits(config: Path) -> None:
    """In words, with the command that shows more."""
    done = run(["status", "--config", config])
    assert "not running" in done.stdout
    assert "waiting: 1 to answer, 0 to send" in done.stdout
    assert "held: 1 to send. See: frontdesk outbox list" in done.stdout
    assert "a person is wanted in 1 conversation(s)" in done.stdout


@pytest.mark.parametrize("turn", ["last", TURN, TURN[:13]])
def test_a_turn_is_found_by_its_id_or_its_beginning(config: Path, turn: str) -> None:
    """Nobody has to copy 36 characters."""
    found = json.loads(run(["trace", turn, "--config", config, "--json"]).stdout)
    assert found["turn"] == TURN
    assert [message["message"] for message in found["messages"]] == ["m1"]
    assert found["reply"]["text"] == "We open at nine [1]."
    assert found["passages"][0]["score"] == 1.25


def test_a_turn_that_is_not_there_is_a_plain_error(config: Path) -> None:
    """The command that lists turns is named."""
    done = run(["trace", "0000", "--config", config])
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == 'frontdesk: there is no turn "0000". frontdesk turns lists the latest\n'


def test_a_trace_reads_from_top_to_bottom(config: Path) -> None:
    """Header, messages read, passages with scores, answer, timeline, in this order."""
    text = run(["trace", "last", "--config", config]).stdout
    told = [
        "answered by main in 50 ms",
        "model offline",
        "Read",
        "second line",
        "Found",
        "1.250",
        "Said",
        "We open",
        "Timeline",
    ]
    places = [text.index(word) for word in told]
    assert places == sorted(places)
    assert re.search(r"\+12 ms  first word", text)
    assert "part 1 is held" in text


@pytest.mark.parametrize("command", [["trace", "last"], ["turns"], ["incidents"], ["outbox", "list"], ["status"]])
def test_what_people_wrote_cannot_reach_the_terminal(config: Path, command: list[str]) -> None:
    """No escape, direction mark or invisible character is printed as itself, as text or as JSON."""
    for arguments in ([*command, "--config", config], [*command, "--config", config, "--json"]):
        assert UNSAFE.findall(run(arguments).stdout) == []


def test_hostile_text_is_written_out(config: Path) -> None:
    """What is hidden or would act on the terminal is seen instead; markup stays text."""
    shown = run(["trace", "last", "--config", config]).stdout
    assert "Hello ‹U+001B›[31m‹U+202E›dlrow‹U+0007› [bold]x[/bold]" in shown


def on_terminal(arguments: Sequence[object]) -> str:
    """What the program writes when its output is a terminal."""
    mine, theirs = pty.openpty()
    environ = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "PYTHONPATH": str(ROOT)}
    environ.pop("NO_COLOR", None)
    process = subprocess.Popen(
        [sys.executable, "-m", "bot", *map(str, arguments)], cwd=ROOT, env=environ, stdout=theirs
    )
    os.close(theirs)
    pieces = []
    try:
        while piece := os.read(mine, 65_536):
            pieces.append(piece)
    except OSError:
        pass  # Linux's word for the end of a terminal
    finally:
        os.close(mine)
        process.wait(timeout=30)
    return b"".join(pieces).decode()


def test_colour_only_on_a_terminal(config: Path) -> None:
    """A terminal gets colours and tables, a pipe gets neither; the words are the same."""
    shown = on_terminal(["trace", "last", "--config", config])
    assert "\x1b[1m" in shown
    assert "‹U+001B›[31m" in re.sub(r"\x1b\[[0-9;]*m", "", shown)
    piped = run(["turns", "--config", config]).stdout
    assert piped.splitlines()[0] == "turn\tstarted\ttook\tchannel\tagent\toutcome"
    assert "\x1b" not in piped


def test_a_reader_who_leaves_is_no_error(config: Path) -> None:
    """`frontdesk turns | head -0` ends quietly."""
    command = f"{sys.executable} -m bot turns --config {config} | true"
    done = subprocess.run(["/bin/sh", "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""


@contextmanager
def daemon(data: Path, answers: dict[str, object]) -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """Something that answers on the control socket, and remembers what it was asked."""
    asked: list[tuple[str, dict[str, Any]]] = []
    ready = threading.Event()

    async def handle(account: str, command: str, arguments: dict[str, Any]) -> object:
        asked.append((command, arguments))
        if command not in answers:
            raise FrontdeskError("no such command")
        return answers[command]

    async def serve() -> None:
        server = ControlServer(socket_path(data, {}), handle)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(server.run())
            await server.ready.wait()
            stops.append((asyncio.get_running_loop(), task))
            ready.set()

    stops: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[None]]] = []
    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(10)
    try:
        yield asked
    finally:
        loop, task = stops[0]
        loop.call_soon_threadsafe(task.cancel)
        thread.join(10)


def test_a_running_daemon_is_asked(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Reports come from it, with what only it knows; held messages are released by it."""
    status = {"version": "1.2", "pid": 7, "uptime_s": 7300.0, "channels": {"web": "up"}, "waiting_in": 4}
    answers: dict[str, object] = {"status": status, "turns": [], "outbox release": 3, "outbox discard": 1}
    with daemon(config.parent / "kept", answers) as asked:
        assert main(["status", "--config", str(config)]) == 0
        assert main(["turns", "--limit", "7", "--config", str(config)]) == 0
        assert main(["outbox", "release", "--config", str(config)]) == 0
        assert main(["outbox", "discard", "--config", str(config)]) == 0
        assert main(["trace", "last", "--config", str(config)]) == 1
    assert asked == [
        ("status", {}),
        ("turns", {"limit": 7}),
        ("outbox release", {}),
        ("outbox discard", {}),
        ("trace", {"turn": "last"}),
    ]
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "Frontdesk 1.2 is running for 2 h (process 7)",
        "  channel web: up",
        "  waiting: 4 to answer, 0 to send",
        "  incidents: 0. conversations: 0",
        "No turns yet. Write to the agent; then frontdesk trace last shows what it did.",
        "3 held message(s) will be sent now.",
        "1 held message(s) will never be sent.",
    ]
    assert err == "frontdesk: no such command\n"


def test_every_command_can_be_loaded() -> None:
    """Each command of the parser names a function that exists."""
    from importlib import import_module

    def runs(parser: Any) -> Iterator[str]:  # argparse keeps its parts to itself
        if (command := parser._defaults.get("command")) is not None:
            yield command
        for action in parser._actions:
            for inner in (action.choices or {}).values() if isinstance(action.choices, dict) else ():
                yield from runs(inner)

    found = list(runs(build()))
    assert {each for each in found if found.count(each) > 1} == {
        "handoff:run_act"
    }  # which carries out all that operators do
    assert len(set(found)) > 14
    for command in found:
        module, _, function = command.partition(":")
        assert callable(getattr(import_module(f"bot.commands.{module}"), function))


def test_a_command_that_is_built_alone_is_as_it_is_among_all() -> None:
    """Its arguments, help and errors do not depend on how much of the parser was built, and no command is forgotten."""

    def parsers(parser: Any) -> Iterator[tuple[str, Any]]:  # argparse keeps its parts to itself
        for action in parser._actions:
            yield from action.choices.items() if isinstance(action.choices, dict) else ()

    def helps(parser: Any) -> Iterator[str]:
        yield parser.format_help()
        for _, inner in parsers(parser):
            yield from helps(inner)

    everything = dict(parsers(build()))
    for name, among_all in everything.items():
        alone = dict(parsers(build([name, "--help"])))
        assert list(helps(alone[name])) == list(helps(among_all)), name
        assert len(alone) <= 4
    assert (
        dict(parsers(build(["no-such-command"]))).keys() == dict(parsers(build(["--help"]))).keys() == everything.keys()
    )
