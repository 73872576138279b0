"""Values also come from the environment, systemd credentials and `.env`, in this order."""

from pathlib import Path

import pytest

from tests.config.home import SECRET, Home


def test_the_stronger_source_wins(home: Home) -> None:
    """Environment before credentials before `.env` before the file."""
    credentials = home.folder / "credentials"
    credentials.mkdir()
    text = "[server]\nport = 1001\n"
    assert home.load(text).server.port == 1001
    home.write_dotenv("FRONTDESK_SERVER_PORT=1002\nOTHER=1\n")
    assert home.load(text).server.port == 1002
    (credentials / "frontdesk_server_port").write_text("1003\n")
    (credentials / "other").write_text("1")
    environ = {"CREDENTIALS_DIRECTORY": str(credentials)}
    assert home.load(text, environ).server.port == 1003
    assert home.load(text, {**environ, "FRONTDESK_SERVER_PORT": "1004"}).server.port == 1004


@pytest.mark.parametrize(
    ("name", "value", "section", "key", "wanted"),
    [
        ("SERVER_PUBLIC_URL", "https://a.example/", "server", "public_url", "https://a.example"),
        ("SERVER_ALLOW_PLAIN_HTTP", "true", "server", "allow_plain_http", True),
        ("LIMITS_RETRY_S", "[0.5, 2]", "limits", "retry_s", (0.5, 2)),
        ("LIMITS_TURN_S", "1.5", "limits", "turn_s", 1.5),
        ("ROLES_ANSWER", '["offline"]', "roles", "answer", ("offline",)),
        ("LOG_LEVEL", "debug", "log", "level", "debug"),
        ("DATA_PATH", "/var/lib/f", "data", "path", Path("/var/lib/f")),
    ],
)
def test_values_are_typed(home: Home, name: str, value: str, section: str, key: str, wanted: object) -> None:
    """Text is taken as it is, everything else is read as TOML."""
    config = home.load(environ={f"FRONTDESK_{name}": value})
    assert getattr(getattr(config, section), key) == wanted


def test_a_variable_finds_its_key_below_a_name(home: Home) -> None:
    """Names of the owner's choice may hold underscores and dashes; names in the file are tried first."""
    config = home.load(
        "[agents.front-desk]\nchannels = ['chat']\n[agents.front]\nchannels = ['web']\n",
        {
            "FRONTDESK_AGENTS_FRONT_DESK_NAME": "Ada",
            "FRONTDESK_AGENTS_MAIN_INSTRUCTIONS": "12",
            "FRONTDESK_CHANNELS_WEB_IDENTITY_SECRET": SECRET,
        },
    )
    assert config.agents["front-desk"].name == "Ada"
    assert config.agents["main"].instructions == "12"
    assert SECRET not in repr(config)
    assert getattr(config.channels["web"], "identity_secret").get_secret_value() == SECRET  # noqa: B009


def test_a_variable_that_means_nothing_is_a_problem(home: Home) -> None:
    """A misspelt variable would otherwise silently change nothing."""
    (problem,) = home.problems(environ={"FRONTDESK_SERVER_PROT": "1", "PATH": "/bin"})
    assert (problem.file, problem.key, problem.mend) == (
        "environment",
        "FRONTDESK_SERVER_PROT",
        "Did you mean FRONTDESK_SERVER_PORT?",
    )


def test_a_wrong_value_is_told_by_its_variable(home: Home) -> None:
    """Where a value came from outside the file, the problem names the source, not a line of the file."""
    path = home.write_dotenv("# secrets\nFRONTDESK_ADMIN_PORT=no\n")
    text = "[server]\nport = 1\n[admin]\nport = 2\n"
    first, second = home.problems(text, {"FRONTDESK_SERVER_PORT": "x"})
    assert (first.file, first.line, first.key) == (str(path), 2, "FRONTDESK_ADMIN_PORT")
    assert (second.file, second.line, second.key) == ("environment", 0, "FRONTDESK_SERVER_PORT")


def test_a_value_cannot_smuggle_keys_in(home: Home) -> None:
    """A newline in a value is part of the value."""
    assert home.problems(environ={"FRONTDESK_SERVER_PORT": "1\nhost = '0.0.0.0'"})[0].key == "FRONTDESK_SERVER_PORT"


@pytest.mark.parametrize("mode", [0o644, 0o604])
def test_a_dotenv_that_everyone_can_read_is_refused(home: Home, mode: int) -> None:
    """Secrets that every account can read are no secrets; the mend is the command to type."""
    path = home.write_dotenv("FRONTDESK_SERVER_PORT=1\n", mode)
    (problem,) = home.problems()
    assert problem.mend == f"chmod 600 {path}"


def test_sources_that_cannot_be_read_are_problems(home: Home) -> None:
    """A missing credentials folder and a `.env` of bytes are told, never skipped."""
    (home.folder / ".env").write_bytes(b"\xff")
    problems = home.problems(environ={"CREDENTIALS_DIRECTORY": str(home.folder / "none")})
    assert {problem.key for problem in problems} == {".env", "CREDENTIALS_DIRECTORY"}


def test_a_dotenv_expands_nothing(home: Home) -> None:
    """A dollar sign in a secret stays a dollar sign."""
    home.write_dotenv(f"FRONTDESK_CHANNELS_WEB_IDENTITY_SECRET='{SECRET}$HOME${{PATH}}'\n")
    settings = home.load().channels["web"]
    assert getattr(settings, "identity_secret").get_secret_value() == f"{SECRET}$HOME${{PATH}}"  # noqa: B009
