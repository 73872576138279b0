"""Models, chains and agents are right together before anything starts, and keys go only where they belong."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.config import changed_keys
from bot.errors import ConfigError, Problem
from tests.config.home import Home

KEY = "sk-ant-7fQ2mZ8kV1xTbn4LwRc9"
OTHER = "sk-proj-Yh3Nq6DsJ0pKe5UaGt2B"
CLAUDE = 'models.claude = { provider = "anthropic", model = "m", prices = { input = 3, output = 15 } }\n'
ANSWER = 'roles.answer = ["claude", "offline"]\n'
KEYS = {"ANTHROPIC_API_KEY": KEY, "OPENAI_API_KEY": OTHER}


def key_of(home: Home, model: str, text: str, environ: dict[str, str] | None = None) -> str:
    """The key that the model of that name would send; "" for none."""
    key = home.load(text, KEYS if environ is None else environ).models[model].api_key
    return key.get_secret_value() if key else ""


@pytest.mark.parametrize(
    "text",
    [
        CLAUDE + ANSWER,
        '[models]\nclaude = { provider = "anthropic", model = "m" }\n[roles]\nanswer = ["claude"]\n',
        '[models.claude]\nprovider = "anthropic"\nmodel = "m"\n[roles]\nanswer = ["claude"]\n',
    ],
)
def test_two_lines_and_a_key_connect_a_model(home: Home, text: str) -> None:
    """Inline or as tables: a model, a chain, and the provider's customary variable."""
    config = home.load(text, KEYS)
    assert config.models["claude"].model == "m"
    assert config.chain("answer")[0] == "claude"
    assert key_of(home, "claude", text) == KEY


def test_two_lines_at_the_end_of_the_file_say_where_they_belong(home: Home) -> None:
    """Below another section's header they would mean something else; the mend tells how to write them."""
    first, second = home.problems("[limits]\ntries = 2\n" + CLAUDE + ANSWER)
    assert (first.line, first.what) == (3, "stands inside another section")
    assert "[models]" in first.mend
    assert (second.line, second.key) == (4, "limits.roles")


def test_a_chain_set_above_its_own_section_is_told_with_both_lines(home: Home) -> None:
    """A dotted key and a header of the same table exclude each other."""
    (problem,) = home.problems(ANSWER + '[roles]\nanswer = ["offline"]\n')
    assert (problem.line, problem.key, problem.what) == (2, "roles", "is set twice (first on line 1)")


def test_a_models_own_key_goes_before_the_customary_one(home: Home) -> None:
    """From the file or from its own variable."""
    own = {**KEYS, "FRONTDESK_MODELS_CLAUDE_API_KEY": OTHER}
    assert key_of(home, "claude", CLAUDE + ANSWER, own) == OTHER
    text = f'[models.claude]\nprovider = "anthropic"\nmodel = "m"\napi_key = "{OTHER}"\n'
    assert key_of(home, "claude", text) == OTHER


def test_the_customary_key_comes_from_every_source(home: Home) -> None:
    """The environment before credentials before `.env`; one that is empty is none."""
    credentials = home.folder / "credentials"
    credentials.mkdir()
    home.write_dotenv(f"ANTHROPIC_API_KEY={KEY}\nUNRELATED=1\n")
    assert key_of(home, "claude", CLAUDE + ANSWER, {}) == KEY
    assert key_of(home, "claude", CLAUDE + ANSWER, {"ANTHROPIC_API_KEY": " "}) == KEY
    (credentials / "anthropic_api_key").write_text(f"{OTHER}\n")
    environ = {"CREDENTIALS_DIRECTORY": str(credentials)}
    assert key_of(home, "claude", CLAUDE + ANSWER, environ) == OTHER
    assert key_of(home, "claude", CLAUDE + ANSWER, {**environ, "ANTHROPIC_API_KEY": "k" * 20}) == "k" * 20


@pytest.mark.parametrize(
    ("provider", "url", "key"),
    [
        ("openai", "https://api.openai.com/v1", OTHER),
        ("anthropic", "https://API.anthropic.com", KEY),
        ("openai", "http://127.0.0.1:8000/v1", OTHER),
        ("openai", "http://localhost:8000/v1", OTHER),
        ("openai", "http://[::1]:8000/v1", OTHER),
        ("openai", "https://llm.example.com/v1", ""),
        ("openai", "https://api.anthropic.com/v1", ""),
        ("anthropic", "https://api.openai.com", ""),
        ("openai", "https://api.openai.com.example.net/v1", ""),
        ("openai", "https://notapi.openai.com/v1", ""),
        ("openai", "http://10.0.0.7:8000/v1", ""),
    ],
)
def test_a_customary_key_never_travels_to_a_foreign_host(home: Home, provider: str, url: str, key: str) -> None:
    """It is sent to its own provider and to this machine; everybody else gets a key only from the model's own `api_key`."""
    text = f'models.m = {{ provider = "{provider}", model = "m", base_url = "{url}" }}\n'
    assert key_of(home, "m", text) == key


@pytest.mark.parametrize(
    "url",
    [
        "https://api.openai.com@evil.example/v1",
        "https://evil.example\\\\@api.openai.com/v1",
        "https://user:word@api.openai.com/v1",
        "https://api.openai.com /v1",
        "https://api.openai.com/v1?key=1",
        "https://api.openai.com:99999/v1",
        "https://api.openai.com:0/v1",
        "ftp://api.openai.com/v1",
        "api.openai.com",
    ],
)
def test_an_address_that_clients_read_differently_is_refused(home: Home, url: str) -> None:
    """So the host that was checked is the host that is called."""
    text = f'models.m = {{ provider = "openai", model = "m", base_url = "{url}" }}\nroles.answer = ["m"]\n'
    (problem,) = home.problems(text, KEYS)
    assert (problem.key, problem.what) == ("models.m.base_url", "is not a web address")
    assert problem.line == 1


def test_a_model_in_a_chain_needs_its_key(home: Home) -> None:
    """At its provider; the mend names both variables. Local servers need none, nor do models that nobody calls."""
    (problem,) = home.problems(CLAUDE + ANSWER)
    assert (problem.line, problem.key, problem.what) == (1, "models.claude.api_key", "is missing")
    assert "ANTHROPIC_API_KEY" in problem.mend
    assert "FRONTDESK_MODELS_CLAUDE_API_KEY" in problem.mend
    (problem,) = home.problems(CLAUDE.replace("model =", 'base_url = "https://api.anthropic.com", model =') + ANSWER)
    assert problem.key == "models.claude.api_key"
    (problem,) = home.problems(CLAUDE + "[agents.trade.roles]\njudge = ['claude']\n")
    assert problem.key == "models.claude.api_key"
    home.load(CLAUDE)
    home.load('models.l = { provider = "openai", model = "m", base_url = "http://gpu:1/v1" }\nroles.answer = ["l"]\n')


def test_a_placeholder_key_is_refused_where_it_is_used(home: Home) -> None:
    """By the name of the variable that holds it, without repeating it."""
    (problem,) = home.problems(CLAUDE + ANSWER, {"ANTHROPIC_API_KEY": "sk-..."})
    assert (problem.file, problem.key) == ("environment", "ANTHROPIC_API_KEY")
    assert "ANTHROPIC_API_KEY" in problem.mend
    (problem,) = home.problems(CLAUDE + ANSWER, {"FRONTDESK_MODELS_CLAUDE_API_KEY": "your-key"})
    assert problem.key == "FRONTDESK_MODELS_CLAUDE_API_KEY"
    home.load(CLAUDE, {"ANTHROPIC_API_KEY": "sk-..."})


@pytest.mark.parametrize("key", ["two words of a key", "newline\nin-a-key-1234", "schlüssel-1234567890"])
def test_a_key_that_no_header_can_carry_is_refused(home: Home, key: str) -> None:
    """A key copied with something around it is told at the start, and never shown."""
    (problem,) = home.problems(CLAUDE + ANSWER, {"ANTHROPIC_API_KEY": key})
    assert problem.key == "ANTHROPIC_API_KEY"
    assert key not in str(problem)


def test_every_secret_is_known_to_the_redaction(home: Home) -> None:
    """Of models, used or not, and of channels; and none of them stands in the config's own text."""
    secret = "w" * 40
    text = f"{CLAUDE}models.idle = {{ provider = 'openai', model = 'm', api_key = '{OTHER}' }}\n{ANSWER}"
    config = home.load(text, {"ANTHROPIC_API_KEY": KEY, "FRONTDESK_CHANNELS_WEB_IDENTITY_SECRET": secret})
    assert set(config.secrets()) == {KEY, OTHER, secret}
    assert not any(each in repr(config) + str(config.warnings) for each in (KEY, OTHER, secret))
    assert any("FRONTDESK_MODELS_IDLE_API_KEY" in warning for warning in config.warnings)


@pytest.mark.parametrize(
    ("text", "line", "key", "what", "mend"),
    [
        ('models.a = { provider = "openai" }\n', 1, "models.a.model", "is missing", "its provider knows it"),
        ('[models.a]\nmodel = "m"\n', 1, "models.a.provider", 'is "offline"', '"anthropic"'),
        ('[models.offline]\nprovider = "openai"\nmodel = "m"\n', 2, "models.offline.provider", "", "another name"),
        ('roles.answer = ["ofline"]', 1, "roles.answer.0", "does not exist", 'Did you mean "offline"?'),
        ('roles.answer = ["offline", "offline"]', 1, "roles.answer.1", "twice", "Remove"),
        ('roles.judge = ["offline"]', 1, "roles.judge.0", "can only answer", "leave the chain empty"),
        ('roles.embed = ["x"]', 1, "roles.embed.0", "does not exist", "offline"),
        ('[agents.a.roles]\nanswer = ["of"]', 2, "agents.a.roles.answer.0", "does not exist", ""),
        ("[agents.a]\nroles.background = ['offline']", 2, "agents.a.roles.background.0", "can only answer", ""),
        ("[agents.a.roles]\nanswer = []", 2, "agents.a.roles.answer", "is empty", ""),
        ('[agents.a]\ntools = ["serch_knowledge"]', 2, "agents.a.tools.0", "not exist", '"search_knowledge"?'),
        ('[agents.a]\ntools = ["request_human", "request_human"]', 2, "agents.a.tools.1", "twice", ""),
        ("[agents.a]\nknowledge = []", 2, "agents.a.knowledge", "is empty", ""),
        ("[agents.a]\nknowledge = 3", 2, "agents.a.knowledge", "must be true or false, or a list", ""),
        ("[agents.a]\nknowledge = ['docs/none']", 2, "agents.a.knowledge.0", "does not exist", "Create it"),
        ("[agents.a]\nknowledge = ['docs/../secret']", 2, "agents.a.knowledge.0", "outside", "below one"),
        ("[agents.a]\nknowledge = ['docsx']", 2, "agents.a.knowledge.0", "outside", "below one"),
        ("[network]\nallow = ['a b']", 2, "network.allow.0", "is not a host", "10.0.0.0/8"),
        ("[network]\nallow = ['https://a.example']", 2, "network.allow.0", "is not a host", ""),
        ("[limits]\nturn_steps = 0", 2, "limits.turn_steps", "smaller than 2", ""),
        ("[limits]\ncost_per_day = -1", 2, "limits.cost_per_day", "smaller than 0", ""),
    ],
)
def test_what_does_not_hold_together_is_told_at_its_line(
    home: Home, text: str, line: int, key: str, what: str, mend: str
) -> None:
    """One problem, its key, and what to do."""
    (home.folder / "docs").mkdir()
    (problem,) = home.problems(text)
    assert (problem.line, problem.key) == (line, key)
    assert what in problem.what
    assert mend in problem.mend


@pytest.mark.parametrize("name", ["model", "messages", "tools", "stream", "system"])
def test_parameters_cannot_replace_what_a_request_is_made_of(home: Home, name: str) -> None:
    """Any other parameter goes through as it is."""
    text = "[models.a]\nprovider = 'openai'\nmodel = 'm'\n[models.a.parameters]\ntemperature = 0.2\n"
    assert home.load(text).models["a"].parameters == {"temperature": 0.2}
    (problem,) = home.problems(f"{text}{name} = 1\n")
    assert (problem.line, problem.key) == (6, f"models.a.parameters.{name}")


@pytest.mark.parametrize("value", ["nan", "inf", "1979-05-27", "[[07:32:00]]", "{ a = { b = -inf } }"])
def test_parameters_can_be_sent(home: Home, value: str) -> None:
    """What JSON has no place for is refused before it is sent to anybody."""
    (problem,) = home.problems(f"[models.a]\nprovider = 'openai'\nmodel = 'm'\nparameters = {{ t = {value} }}\n")
    assert (problem.line, problem.key) == (4, "models.a.parameters")


def test_a_wrong_model_is_told_once(home: Home) -> None:
    """What follows from a wrong key is not told as a second problem."""
    (problem,) = home.problems("[models.a]\nprovider = 'opanai'\nmodel = 'm'\n[roles]\njudge = ['a']\n")
    assert problem.key == "models.a.provider"


def test_what_follows_the_offline_answerer_is_warned_of(home: Home) -> None:
    """It never fails, so nothing behind it is ever asked."""
    text = f"{CLAUDE}models.other = {{ provider = 'openai', model = 'm', base_url = 'http://127.0.0.1:1' }}\n"
    (warning,) = home.load(f"{text}roles.answer = ['claude', 'offline', 'other']", KEYS).warnings[:1]
    assert f"{home.file}:3: roles.answer.2" in warning
    assert "never asked" in warning
    warnings = home.load(f"{text}roles.answer = ['claude', 'other', 'offline']", KEYS).warnings
    assert not any("never asked" in warning for warning in warnings)


def test_a_model_that_costs_nothing_is_warned_of(home: Home) -> None:
    """Budgets cannot see what has no price; local servers and switched-off budgets need none."""

    def is_warned(text: str) -> bool:
        return any("prices" in warning for warning in home.load(text, KEYS).warnings)

    free = 'models.m = { provider = "openai", model = "m"%s }\nroles.answer = ["m"]\n'
    assert is_warned(free % "")
    assert is_warned(free % ', base_url = "https://llm.example.com/v1"')
    assert not is_warned(free % ', base_url = "http://127.0.0.1:1/v1"')
    assert not is_warned(free % ', base_url = "http://10.1.2.3:1/v1"')
    assert not is_warned(free % "" + "limits = { turn_cost = 0, person_cost_per_day = 0, cost_per_day = 0 }\n")
    assert not is_warned(free % ", prices = { output = 1 }")
    assert not is_warned(CLAUDE + ANSWER)


@pytest.mark.parametrize(
    ("url", "allow", "is_inside"),
    [
        ("", [], False),
        ("", ["api.openai.com"], True),
        ("", ["api.openai.com:443"], True),
        ("", ["api.openai.com:80"], False),
        ("http://127.0.0.1:8000/v1", [], True),
        ("http://localhost:8000/v1", [], True),
        ("http://10.0.0.5:8000/v1", ["10.0.0.0/8"], True),
        ("http://10.0.0.5:8000/v1", ["192.168.0.0/16"], False),
        ("https://a.llm.example.com/v1", ["*.example.com"], True),
        ("https://example.com/v1", ["*.example.com"], False),
    ],
)
def test_a_model_outside_the_perimeter_is_refused(home: Home, url: str, allow: list[str], is_inside: bool) -> None:
    """The problem stands at the model and names `[network] allow`; a model that nobody calls may be anywhere."""
    model = f'models.m = {{ provider = "openai", model = "m", base_url = "{url}" }}\nnetwork.allow = {allow}\n'
    home.load(model, KEYS)
    used = model + 'roles.answer = ["m"]\n'
    if is_inside:
        home.load(used, KEYS)
        return
    (problem,) = home.problems(used, KEYS)
    assert problem.key == "models.m.base_url"
    assert "[network] allow" in problem.what + problem.mend


@pytest.mark.parametrize(
    ("url", "has_key", "is_refused", "is_warned"),
    [
        ("http://llm.example.com/v1", True, True, False),
        ("http://203.0.113.9/v1", True, False, False),  # set aside for documents: routed nowhere
        ("http://8.8.8.8/v1", True, True, False),
        ("http://8.8.8.8/v1", False, False, True),
        ("http://10.0.0.5/v1", True, False, False),
        ("http://gpu-box:8000/v1", True, False, False),
        ("http://llm.internal/v1", True, False, False),
        ("https://llm.example.com/v1", True, False, False),
    ],
)
def test_a_key_is_not_sent_in_the_clear(home: Home, url: str, has_key: bool, is_refused: bool, is_warned: bool) -> None:
    """Plain http to the public internet is refused with a key and warned of without one; inside one's own network it is allowed."""
    text = f'models.m = {{ provider = "openai", model = "m", base_url = "{url}", prices.input = 1 }}\nroles.answer = ["m"]\n'
    environ = {"FRONTDESK_MODELS_M_API_KEY": OTHER} if has_key else {}
    if is_refused:
        (problem,) = home.problems(text, environ)
        assert (problem.line, problem.key) == (1, "models.m.base_url")
        return
    assert any("in the clear" in warning for warning in home.load(text, environ).warnings) == is_warned


def test_an_agents_knowledge_is_relative_to_the_file(home: Home) -> None:
    """The same place is meant as in `[knowledge] paths`, or one below it."""
    (home.folder / "docs" / "trade").mkdir(parents=True)
    config = home.load('[agents.trade]\nknowledge = ["docs/trade"]\n[agents.main]\nknowledge = ["./docs"]\n')
    assert config.agents["trade"].knowledge == (home.folder / "docs" / "trade",)
    assert config.agents["main"].knowledge == config.knowledge.paths == (home.folder / "docs",)


def test_an_agents_chain_stands_in_for_the_general_one(home: Home) -> None:
    """Only in the roles that it names; an empty chain is a chain."""
    text = CLAUDE + (
        "roles.answer = ['claude', 'offline']\nroles.judge = ['claude']\n[agents.a.roles]\nanswer = ['offline']\njudge = []\n"
    )
    config = home.load(text, KEYS)
    assert (config.chain("answer"), config.chain("answer", "a")) == (("claude", "offline"), ("offline",))
    assert (config.chain("judge", "main"), config.chain("judge", "a")) == (("claude",), ())
    assert config.roles_of("claude") == ["answer", "judge"]
    assert config.roles_of("nobody") == []


def test_variables_reach_nested_tables(home: Home) -> None:
    """Limits, prices, parameters, the perimeter and an agent's chain may come from the environment."""
    config = home.load(
        CLAUDE + ANSWER + "[agents.sales]\n",
        {
            **KEYS,
            "FRONTDESK_MODELS_CLAUDE_LIMITS_REQUESTS_PER_MINUTE": "50",
            "FRONTDESK_MODELS_CLAUDE_PRICES_CACHE_READ": "0.3",
            "FRONTDESK_MODELS_CLAUDE_PARAMETERS": "{ temperature = 0.1 }",
            "FRONTDESK_MODELS_SPARE_PROVIDER": "openai",
            "FRONTDESK_MODELS_SPARE_MODEL": "012",
            "FRONTDESK_NETWORK_ALLOW": '["api.anthropic.com"]',
            "FRONTDESK_AGENTS_SALES_ROLES_ANSWER": '["offline"]',
        },
    )
    claude = config.models["claude"]
    assert (claude.limits.requests_per_minute, claude.prices.cache_read, claude.prices.input) == (50, 0.3, 3)
    assert claude.parameters == {"temperature": 0.1}
    assert (config.models["spare"].provider, config.models["spare"].model) == ("openai", "012")
    assert config.network.allow == ("api.anthropic.com",)
    assert config.chain("answer", "sales") == ("offline",)
    assert home.load(environ={"FRONTDESK_NETWORK_ALLOW": "[]"}).network.allow == ()


def test_a_new_key_is_a_named_change(home: Home) -> None:
    """A reload says that a model's key differs, and shows neither."""
    old, new = home.load(CLAUDE, KEYS), home.load(CLAUDE, {"ANTHROPIC_API_KEY": OTHER})
    assert changed_keys(old, new) == ["models.claude.api_key"]


def test_the_data_folder_is_found_whatever_the_models_are(home: Home) -> None:
    """Commands that need only the folder work while a key is missing."""
    from bot.config import data_folder

    home.file.write_text(CLAUDE + ANSWER)
    assert data_folder(home.file, {"ANTHROPIC_API_KEY": "sk-..."}) == home.folder / "data"


def toml(value: object) -> str:
    """A JSON value as TOML would have it inline."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml(each)}" for key, each in value.items()) + "}"
    return "[" + ", ".join(map(toml, value)) + "]" if isinstance(value, list) else json.dumps(value)


LETTERS = st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_characters="\x7f")
WORDS = st.sampled_from(
    ["openai", "anthropic", "offline", "m", "", "docs", "https://[", "http://a", "search_knowledge"]
)
VALUES = st.recursive(
    st.one_of(WORDS, st.text(LETTERS, max_size=8), st.integers(-5, 10**7), st.booleans()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=5,
)
MODEL_KEYS = ("provider", "model", "base_url", "api_key", "prices", "limits", "parameters", "reads", "output_tokens")
SECTIONS = st.fixed_dictionaries(
    {
        "models": VALUES | st.dictionaries(WORDS, VALUES | st.dictionaries(st.sampled_from(MODEL_KEYS), VALUES)),
        "roles": VALUES | st.dictionaries(st.sampled_from(["answer", "judge", "embed"]), VALUES),
        "agents": st.dictionaries(
            WORDS, VALUES | st.dictionaries(st.sampled_from(["tools", "knowledge", "roles", "channels"]), VALUES)
        ),
        "network": VALUES | st.fixed_dictionaries({"allow": VALUES}),
    }
)


@given(SECTIONS)
def test_whatever_is_written_is_a_config_or_a_list_of_problems(
    tmp_path_factory: pytest.TempPathFactory, sections: dict[str, object]
) -> None:
    """Values of any type in any place never end the check with anything else, and every problem is one plain line."""
    home = Home(tmp_path_factory.mktemp("home"))
    problems: list[Problem] = []
    try:
        home.load("".join(f"{name} = {toml(value)}\n" for name, value in sections.items()), KEYS)
    except ConfigError as error:
        problems = error.problems
    assert all(problem.what and problem.mend and problem.key != "syntax" for problem in problems)


def test_the_address_that_is_checked_is_the_one_that_is_called() -> None:
    """Without a base_url, the perimeter and the key rules judge the very address that the clients use."""
    from bot.config.schema import PROVIDER_URLS
    from bot.llm import clients

    assert PROVIDER_URLS == {"anthropic": clients.ANTHROPIC_URL, "openai": clients.OPENAI_URL}
