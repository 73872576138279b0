"""A config is taken whole or refused with every problem at once."""

import os
from pathlib import Path

import pytest

from bot.config import changed_keys, data_folder, find_settings, installed_channels, load
from bot.errors import ConfigError
from tests.config.home import ROOT, Home, channels


def test_an_empty_file_is_a_whole_config(home: Home) -> None:
    """Nothing needs to be set: the web channel is on, the offline model answers, both listeners are local."""
    config = home.load()
    assert (config.server.host, config.server.port) == ("127.0.0.1", 8080)
    assert (config.admin.host, config.admin.port) == ("127.0.0.1", 8081)
    assert list(config.channels) == ["web"]
    assert config.roles.answer == ("offline",)
    assert config.models["offline"].provider == "offline"
    assert config.agents["main"].name == "main"
    assert config.data.path == home.folder / "data"


def test_the_shipped_file_says_what_the_defaults_are(tmp_path: Path) -> None:
    """`config.toml` loads as it stands, and each line that is commented out shows the true default."""
    shipped = load(ROOT / "config.toml", {}, adapters=find_settings)
    lines = (ROOT / "config.toml").read_text().splitlines()
    everything = tmp_path / "config.toml"
    everything.write_text(
        "\n".join(line[1:] if line[:1] == "#" and line[1:2] not in ("", " ") else line for line in lines)
    )
    (tmp_path / "docs").mkdir()
    assert changed_keys(shipped, load(everything, {}, adapters=find_settings)) == ["data.path", "knowledge.paths"]
    assert not shipped.warnings


def test_the_shipped_example_of_secrets_names_real_keys(home: Home) -> None:
    """Each variable of `.env.example` means a key."""
    text = (ROOT / ".env.example").read_text()
    variables = [line[1:].partition("=")[0] for line in text.splitlines() if line.startswith("#FRONTDESK_")]
    assert variables
    secret = "a-secret-of-more-than-thirty-two-bytes"
    home.load(environ={name: "https://a.example" if name.endswith("_URL") else secret for name in variables})


def test_all_problems_come_at_once_in_the_order_of_the_file(home: Home) -> None:
    """One run tells everything that is wrong, each with its own line."""
    problems = home.problems("""\
[servr]
[server]
port = "8080"
prot = 1
trusted_proxies = ["10.0.0.0/8", "zz"]
[admin]
host = "0.0.0.0"
[log]
level = "loud"
[roles]
answer = ["ofline"]
[models.large]
provider = "elsewhere"
[agents.main]
channels = ["wab"]
[knowledge]
paths = ["nowhere"]
poll_s = 0
[channels.wbe]
enabled = true
[channels.web]
quiet_ms = "soon"
[limits]
tries = 2.5
turn_s = nan
burst_s = 1979-05-27
""")
    assert [(problem.line, problem.key) for problem in problems] == [
        (1, "servr"),
        (3, "server.port"),
        (4, "server.prot"),
        (5, "server.trusted_proxies.1"),
        (7, "admin.host"),
        (9, "log.level"),
        (11, "roles.answer.0"),
        (13, "models.large.provider"),
        (15, "agents.main.channels.0"),
        (17, "knowledge.paths.0"),
        (18, "knowledge.poll_s"),
        (19, "channels.wbe"),
        (22, "channels.web.quiet_ms"),
        (24, "limits.tries"),
        (25, "limits.turn_s"),
        (26, "limits.burst_s"),
    ]
    assert {problem.file for problem in problems} == {str(home.file)}
    assert all(problem.what and problem.mend and "\n" not in str(problem) for problem in problems)


@pytest.mark.parametrize(
    ("text", "mend"),
    [
        ("[serverr]", 'Did you mean "server"?'),
        ("[server]\nhots = 1", 'Did you mean "host"?'),
        ("[server]\nPort = 1", 'Did you mean "port"?'),
        ("[channels.wep]", 'Did you mean "web"?'),
        ('[roles]\nanswer = ["offlin"]', 'Did you mean "offline"?'),
        ("[log]\ncolour = 1", "Remove it. Known here: level."),
        ("[server]\nport = true", "For example: port = 8080"),
        ("[server]\nport = 70000", "Write 65535 or less."),
        ("[limits]\ntries = 0", "Write 1 or more."),
        ("[roles]\nanswer = []", 'For example: answer = ["offline"]'),
    ],
)
def test_a_problem_says_how_to_mend_it(home: Home, text: str, mend: str) -> None:
    """The nearest known name, an example of the right kind, or the bound."""
    assert [problem.mend for problem in home.problems(text)] == [mend]


@pytest.mark.parametrize(
    ("text", "line", "key", "what"),
    [
        ("a = nope\n", 1, "syntax", "Invalid value"),
        ("[server]\nport = 1\n\nport = 2\n", 4, "server.port", "set twice (first on line 2)"),
        ("[log]\n[server]\n[log]\n", 3, "log", "set twice (first on line 1)"),
        ("[server]\nhost = 'x\n", 2, "syntax", "Expected"),
        ('[server]\nhost = "x', 2, "syntax", ""),
    ],
)
def test_what_is_not_toml_is_refused_with_its_line(home: Home, text: str, line: int, key: str, what: str) -> None:
    """A mistake of syntax and a key set twice are told with their lines."""
    (problem,) = home.problems(text)
    assert (problem.line, problem.key) == (line, key)
    assert what in problem.what


def test_a_file_that_cannot_be_read_is_a_problem(home: Home) -> None:
    """No file, a folder, bytes that are not text: one sentence each."""
    for path, what in [(home.folder / "none.toml", "no such file"), (home.folder, "cannot be read")]:
        with pytest.raises(ConfigError, match=what):
            load(path, {}, adapters=channels)
    home.file.write_bytes(b"\xff\xfe[")
    with pytest.raises(ConfigError, match="UTF-8"):
        load(home.file, {}, adapters=channels)
    home.file.write_bytes(b"\xef\xbb\xbf[log]\r\nlevel = 'debug'\r\n")
    assert load(home.file, {}, adapters=channels).log.level == "debug"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "help.example.com"])
def test_a_public_bind_without_tls_is_refused(home: Home, host: str) -> None:
    """A listener that others reach needs TLS in front of it, or the owner's word that it does not."""
    (problem,) = home.problems(f'[server]\nhost = "{host}"')
    assert (problem.line, problem.key, problem.what) == (2, "server.host", "is a public bind without TLS")
    home.problems(f'[server]\nhost = "{host}"\npublic_url = "http://a.example"')
    home.load(f'[server]\nhost = "{host}"\npublic_url = "https://a.example"')
    home.load(f'[server]\nhost = "{host}"\ntrusted_proxies = ["10.0.0.0/8"]')
    home.load(f'[server]\nhost = "{host}"\nallow_plain_http = true')


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_a_local_bind_needs_nothing(home: Home, host: str) -> None:
    """Loopback addresses are open to this machine only."""
    assert home.load(f'[server]\nhost = "{host}"\n[admin]\nhost = "{host}"').server.host == host


def test_the_private_listener_stays_local(home: Home) -> None:
    """It has no sign-in, so no key opens it to others."""
    (problem,) = home.problems('[admin]\nhost = "0.0.0.0"\n')
    assert (problem.line, problem.key) == (2, "admin.host")


def test_listeners_have_ports_of_their_own(home: Home) -> None:
    """The same port twice is refused; "any free port" twice is not the same."""
    (problem,) = home.problems("[admin]\nport = 8080\n")
    assert (problem.line, problem.key) == (2, "admin.port")
    home.load("[server]\nport = 0\n[admin]\nport = 0\n")


def test_trusting_everybody_is_refused(home: Home) -> None:
    """A proxy network of /0 would let anyone claim any address."""
    (problem,) = home.problems('[server]\ntrusted_proxies = ["0.0.0.0/0"]')
    assert "whole internet" in problem.what


def test_agents_share_no_channel(home: Home) -> None:
    """Two agents that take the same channel are refused; main takes what nobody else does."""
    (problem,) = home.problems('[agents.a]\nchannels = ["web"]\n[agents.b]\nchannels = ["web"]')
    assert (problem.line, problem.key) == (4, "agents.b.channels.0")
    config = home.load('[agents.main]\n[agents.a]\nchannels = ["chat"]\n[agents.b]')
    assert [config.agent_for(name) for name in ("chat", "web")] == ["a", "b"]
    assert home.load().agent_for("web") == "main"


def test_paths_are_relative_to_the_file(home: Home) -> None:
    """Wherever the program is started, the same folders are meant."""
    (home.folder / "texts").mkdir()
    config = home.load('[data]\npath = "state"\n[knowledge]\npaths = ["texts"]')
    assert config.data.path == home.folder / "state"
    assert config.knowledge.paths == (home.folder / "texts",)


def test_without_the_default_folder_there_is_a_warning(home: Home) -> None:
    """Only a path that the owner wrote must exist."""
    config = home.load()
    assert config.knowledge.paths == ()
    assert any("No knowledge" in warning for warning in config.warnings)


def test_the_data_folder_is_known_while_other_keys_are_wrong(home: Home) -> None:
    """A backup must not wait for a correct config."""
    home.file.write_text('[data]\npath = "kept"\n[server]\nport = "x"\n[nonsense]\n')
    assert data_folder(home.file, {}) == home.folder / "kept"
    assert data_folder(home.file, {"FRONTDESK_DATA_PATH": "/var/kept"}) == Path("/var/kept")
    home.file.write_text("[data]\npath = 3")
    with pytest.raises(ConfigError):
        data_folder(home.file, {})


def test_changes_are_named_without_their_values(home: Home) -> None:
    """A reload can say which keys differ, secrets included, and shows none of them."""
    old = home.load(f"[channels.web]\nidentity_secret = '{'o' * 40}'")
    new = home.load(f"[log]\nlevel = 'debug'\n[channels.web]\nidentity_secret = '{'n' * 40}'\n[agents.b]\n")
    assert changed_keys(old, new) == ["log.level", "agents.b", "channels.web.identity_secret"]
    assert changed_keys(old, old) == []


def test_channels_are_found_by_name() -> None:
    """A channel is whatever adapter module brings settings; nothing else is taken for one."""
    assert "web" in installed_channels()
    for name in ("none", "rendering", "../web", "web.frames", "", "__init__"):
        assert find_settings(name) is None


def test_the_config_never_reads_the_process_environment(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what is passed in counts."""
    monkeypatch.setitem(os.environ, "FRONTDESK_SERVER_PORT", "9")
    assert home.load().server.port == 8080
