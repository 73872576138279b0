"""A secret is real, and never shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.config.placeholders import is_placeholder
from tests.config.home import SECRET, Home


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "  ",
            '""',
            "changeme",
            "CHANGE_ME",
            "change-this-now",
            "xxx",
            "XXXXXXXX",
            "sk-...",
            "sk-xxxx",
            "xoxb-xxxx",
        ),
        *(
            "your-token",
            "your_api_key_here",
            "my-secret-key",
            "sk-your-key",
            "<token>",
            "<your key>",
            "sk-<key>",
            "REPLACE_ME",
        ),
        *(
            "replace-with-yours",
            "${TOKEN}",
            "$TOKEN",
            "{{ token }}",
            "%TOKEN%",
            "todo",
            "TBD",
            "secret",
            "password",
            "token",
        ),
        *(
            "api_key",
            "placeholder",
            "insert-key-here",
            "paste your token",
            "example",
            "dummy",
            "....",
            "***",
            "token-goes-here",
        ),
    ],
)
def test_placeholders_are_recognised(text: str) -> None:
    """What examples carry in place of a secret is not a secret."""
    assert is_placeholder(text)


@given(st.binary(min_size=16, max_size=48).map(bytes.hex))
def test_random_secrets_are_accepted(text: str) -> None:
    """No generated key is taken for a placeholder."""
    assert not is_placeholder(text)
    assert not is_placeholder(f"xoxb-{text}")
    assert not is_placeholder(f"sk-{text}")


def test_a_placeholder_stops_the_start_with_its_line(home: Home) -> None:
    """A secret that nobody filled in is found in the file and in the environment."""
    text = '[channels.chat]\nenabled = true\nbot_token = "your-bot-token"\nmode = "http"\n'
    (problem,) = home.problems(text)
    assert (problem.line, problem.key) == (3, "channels.chat.bot_token")
    (problem,) = home.problems(environ={"FRONTDESK_CHANNELS_WEB_IDENTITY_SECRET": ""})
    assert "CHANNELS_WEB_IDENTITY_SECRET" in problem.key


def test_a_missing_secret_says_where_to_put_it(home: Home) -> None:
    """The variable to set is named."""
    (problem,) = home.problems('[channels.chat]\nenabled = true\nmode = "http"')
    assert problem.key == "channels.chat.bot_token"
    assert "FRONTDESK_CHANNELS_CHAT_BOT_TOKEN" in problem.mend


def test_a_channel_that_is_off_may_be_incomplete(home: Home) -> None:
    """Missing and placeholder secrets matter only where they are used; wrong keys matter always."""
    assert "chat" not in home.load('[channels.chat]\nbot_token = "changeme"').channels
    (problem,) = home.problems("[channels.chat]\nquiet_sm = 1")
    assert problem.line == 2


def test_what_keys_must_be_together_is_told_at_their_table(home: Home) -> None:
    """A channel's own rule between keys comes in its own words."""
    (problem,) = home.problems("[channels.chat]\nenabled = true\nbot_token = '1:abcdefgh'")
    assert (problem.line, problem.key, problem.what) == (1, "channels.chat", "socket mode needs app_token")
    assert problem.mend == "Set it, or use another mode."


def test_a_secret_in_the_file_is_warned_of(home: Home) -> None:
    """It works, and the warning names the variable instead of the secret."""
    config = home.load(f'[channels.web]\nidentity_secret = "{SECRET}"')
    warning = next(each for each in config.warnings if "secret" in each)
    assert "FRONTDESK_CHANNELS_WEB_IDENTITY_SECRET" in warning
    assert f"{home.file}:2" in warning
    assert SECRET not in str(config.warnings) + repr(config)
    assert not any(
        "secret" in each for each in home.load(environ={"FRONTDESK_CHANNELS_WEB_IDENTITY_SECRET": SECRET}).warnings
    )


@pytest.mark.parametrize(
    "text",
    [
        f'[server]\nport = "{SECRET}"',
        f'[log]\nlevel = "{SECRET}"',
        f'[channels.web]\nquiet_ms = "{SECRET}"',
        f'[channels.web]\nidentity_secret = ["{SECRET}"]',
        f'[channels.web]\ntoken = "{SECRET}"',
        f'[server]\npublic_url = "{SECRET}"',
        f'[server]\ntrusted_proxies = ["{SECRET}"]',
        f'[models.a]\nprovider = "{SECRET}"',
        f'[server]\nport = 1\nport = "{SECRET}"',
    ],
)
def test_no_problem_repeats_a_value(home: Home, text: str) -> None:
    """A secret that landed in the wrong place is not printed."""
    assert SECRET not in "\n".join(map(str, home.problems(text)))
