"""Actions are taken whole or refused, each problem with its key, its line and its mend."""

import re
from pathlib import Path

import pytest

from tests.config.home import Home

READ = """\
[[actions]]
name = "get_order"
description = "Looks an order up."
method = "GET"
url = "http://127.0.0.1:9100/orders/{order}"
effect = "read"
[actions.parameters]
order = { type = "string" }
customer = { type = "string", from = "identity.id" }
"""
REFUND = """\
[[actions]]
name = "refund_order"
description = "Gives money back."
method = "POST"
url = "http://127.0.0.1:9100/orders/{order}/refunds"
auth = { secret = "SHOP_TOKEN" }
effect = "keyed"
consent = "user"
operator_above = 5000
two_operators_above = 50000
limits = { amount_per_call = 100000, amount_per_day = 100000, calls_per_day = 3 }
agents = ["main"]
keep = ["id", "items.name"]
once_per = "refund:{order}"
facts = "get_order"
fact_fields = ["status", "total"]
[actions.parameters]
order = { type = "string", pattern = "^[0-9]+$", max_length = 20 }
amount = { type = "integer", role = "amount", minimum = 1, most = "facts.total" }
currency = { type = "string", from = "facts.currency", role = "currency" }
customer = { type = "string", from = "identity.id" }
email = { type = "string", from = "facts.email", role = "recipient" }
note = { type = "string", is_required = false }
lines = { type = "array", items = { type = "object", properties = { sku = { type = "string" } } } }
"""
PEOPLE = """\
[[operators.people]]
name = "ada"
role = "approver"
[[operators.people]]
name = "grace"
role = "admin"
"""
MCP = """\
[[actions]]
name = "look"
mcp = "crm"
tool = "look"
[mcp.crm]
command = ["crm-server"]
"""
WHOLE = READ + REFUND + PEOPLE


def changed(old: str, new: str, text: str = WHOLE) -> str:
    assert old in text
    return text.replace(old, new, 1)


def test_an_action_is_read_as_it_is_written(home: Home) -> None:
    """Every key arrives, with `from` and nested forms."""
    config = home.load(WHOLE)
    read, refund = config.actions
    assert (read.effect, read.ways(), refund.limits.calls_per_day) == ("read", ["url"], 3)
    assert refund.parameters["email"].source == "facts.email"
    assert refund.parameters["lines"].schema_of() == {
        "type": "array",
        "items": {
            "type": "object",
            "properties": {"sku": {"type": "string"}},
            "required": ["sku"],
            "additionalProperties": False,
        },
    }
    assert config.operators.approvers() == ["ada", "grace"]


@pytest.mark.parametrize(
    ("old", "new", "key", "what"),
    [
        ('name = "get_order"', 'name = "search_knowledge"', "name", "a tool that every agent has"),
        ('name = "get_order"', 'name = "Get Order"', "name", "must be small letters"),
        ('name = "refund_order"', 'name = "get_order"', "name", "as another action is"),
        ('url = "http://127.0.0.1:9100/orders/{order}"', "", "actions.0", "says no way to it"),
        ('method = "GET"', 'method = "GET"\npython = "a:b"', "actions.0", "says 2 ways"),
        ('method = "GET"\n', "", "method", "is missing"),
        ('description = "Gives money back."', "", "description", "is missing"),
        ("/orders/{order}/refunds", "/orders/{number}/refunds", "url", 'has "{number}"'),
        ("/orders/{order}/refunds", "/refunds?order={order}", "url", "behind its ?"),
        ("127.0.0.1:9100/orders/{order}/refunds", "{order}.example.com/", "url", "in its host"),
        ("127.0.0.1:9100/orders/{order}/refunds", "a:b@127.0.0.1/", "url", "not a web address"),
        ("/orders/{order}/refunds", "/refunds?api_key=abc123", "url", "holds a secret"),
        ("http://127.0.0.1:9100/orders/{order}/refunds", "http://shop.example.com/r", "url", "plain http"),
        ('secret = "SHOP_TOKEN"', 'secret = "shp_3f9Ab77"', "secret", "must be the name of a secret"),
        ('effect = "keyed"', 'effect = "keyed"\nkey_header = ""', "key_header", "is empty"),
        ('effect = "keyed"', 'effect = "checkable"', "look_up", "is missing"),
        ('effect = "keyed"', 'effect = "sometimes"', "effect", "must be"),
        ('effect = "keyed"', 'effect = "keyed"\ncache_s = 5', "cache_s", "has an effect"),
        ('effect = "read"', 'effect = "read"\nconsent = "user"', "consent", "before something is read"),
        ('effect = "read"', 'effect = "read"\nis_profile = true', "is_profile", "nobody gives order"),
        ('agents = ["main"]', 'agents = ["mian"]', "agents.0", '"mian", which does not exist'),
        ('facts = "get_order"', 'facts = "get_ordr"', "facts", "does not exist"),
        ('facts = "get_order"', 'facts = "refund_order"', "facts", "no plain read"),
        ('order = { type = "string" }', 'order = { type = "string" }\nx = { type = "string" }', "facts", "needs x"),
        ('customer = { type = "string", from = "identity.id" }\nemail', "email", "facts", "needs customer"),
        ('facts = "get_order"\nfact_fields = ["status", "total"]\n', "", "amount.most", "there are none"),
        ('facts = "get_order"\n', "", "fact_fields", "stands without facts"),
        ('role = "amount", minimum = 1, most = "facts.total"', "minimum = 1", "operator_above", "without an amount"),
        ('amount = { type = "integer"', 'amount = { type = "number"', "amount.type", "no whole number"),
        ('type = "string", from = "facts.currency"', 'type = "number", from = "facts.currency"', "type", "no text"),
        ('from = "facts.currency"', 'from = "session.currency"', "from", "names no source"),
        ('role = "currency"', 'role = "recipient"', "role", "as that of another"),
        ('"refund:{order}"', '"refund:{ordre}"', "once_per", 'has "{ordre}"'),
        ('"refund:{order}"', '"refund:{note}"', "once_per", "may be left out"),
        ('"refund:{order}"', '"refund"', "once_per", "names no parameter"),
        ("two_operators_above = 50000", "two_operators_above = 5", "two_operators_above", "is below"),
        ('role = "admin"', 'role = "viewer"', "two_operators_above", "two people"),
        ('name = "grace"', 'name = "ada"', "operators.people.1.name", "again"),
        ('pattern = "^[0-9]+$"', 'pattern = "["', "pattern", "not a regular expression"),
        ('pattern = "^[0-9]+$"', "minimum = 3", "parameters.order", "means nothing"),
        ('{ sku = { type = "string" } }', "{ sku = { kind = 1 } }", "parameters.lines", "inside"),
        ('keep = ["id", "items.name"]', 'keep = ["items..name"]', "keep.0", "is not a field"),
    ],
)
def test_what_is_wrong_is_told_with_its_key_and_line(home: Home, old: str, new: str, key: str, what: str) -> None:
    """Whoever wrote it finds the line and what to do."""
    problems = home.problems(changed(old, new))
    found = [each for each in problems if key in each.key and what in each.what]
    assert found, problems
    assert all(each.line and each.mend and each.file == str(home.file) for each in found)


def test_operator_consent_needs_somebody_who_may_agree(home: Home) -> None:
    """Without a person to ask, the action would wait for ever."""
    text = changed('consent = "user"\noperator_above = 5000\ntwo_operators_above = 50000', 'consent = "operator"')
    (problem,) = home.problems(text.removesuffix(PEOPLE))
    assert problem.key == "actions.1.consent"


def test_f95_the_facts_are_never_read_for_somebody_whom_the_model_chose(home: Home) -> None:
    """Where the read takes the identity, so does the action."""
    text = changed(
        'customer = { type = "string", from = "identity.id" }\nemail', 'customer = { type = "string" }\nemail'
    )
    (problem,) = home.problems(text)
    assert (problem.key, problem.mend) == ("actions.1.parameters.customer", 'Write from = "identity.id" here, too.')


def test_a_secret_in_place_of_its_name_is_refused_and_not_shown(home: Home) -> None:
    """It would be in the file, and in every copy of it."""
    problems = home.problems(changed('secret = "SHOP_TOKEN"', 'secret = "shp_3f9Ab77"'))
    assert not any("3f9Ab77" in str(each) for each in problems)


def test_an_mcp_action_stands_on_a_server_and_adds_rules_only(home: Home) -> None:
    """The server tells its tool's parameters itself."""
    assert home.load(MCP).actions[0].ways() == ["mcp"]
    (unknown,) = home.problems(changed('mcp = "crm"', 'mcp = "cmr"', MCP))
    assert unknown.mend == 'Did you mean "crm"?'
    (typed,) = home.problems(changed('tool = "look"', 'tool = "look"\nparameters = { id = { type = "string" } }', MCP))
    assert "is told by the mcp itself" in typed.what
    (unnamed,) = home.problems(changed('tool = "look"\n', "", MCP))
    assert unnamed.key == "actions.0.tool"
    (both,) = home.problems(MCP + 'url = "http://127.0.0.1:9/mcp"\n')
    assert "both a command and a url" in both.what


def test_an_openapi_file_must_exist_beside_the_config(home: Home) -> None:
    """Its path is taken from the folder of the config."""
    text = '[[actions]]\nname = "refund"\nopenapi = "shop.yaml"\noperation = "refundOrder"\n'
    (problem,) = home.problems(text)
    assert "does not exist" in problem.what
    (home.folder / "shop.yaml").write_text("openapi: 3.0.3")
    assert home.load(text).actions[0].openapi == home.folder / "shop.yaml"


def test_an_address_outside_the_perimeter_is_refused(home: Home) -> None:
    """What [network] does not list is not called."""
    text = '[network]\nallow = ["api.example.com"]\n' + READ.replace("http://127.0.0.1:9100", "https://b.example.com")
    (problem,) = home.problems(text)
    assert problem.key == "actions.0.url"
    assert "[network] allow" in problem.what


def test_an_unknown_key_of_an_action_is_told_with_its_own_line(home: Home) -> None:
    """The second action's mistake is not looked for in the first."""
    (problem,) = home.problems(changed("once_per =", "onec_per =", READ + REFUND + PEOPLE))
    assert (problem.key, problem.mend) == ("actions.1.onec_per", 'Did you mean "once_per"?')
    assert home.file.read_text().splitlines()[problem.line - 1].startswith("onec_per")


def test_a_broken_action_hides_no_problem_of_another(home: Home) -> None:
    """All problems come at once, each at its own place."""
    text = changed('name = "get_order"', 'name = "get_order"\ntries = "two"')
    text = changed('agents = ["main"]', 'agents = ["mian"]', text)
    assert [each.key for each in home.problems(text)] == ["actions.0.tries", "actions.1.agents.0"]


def test_a_secret_is_looked_up_for_every_use(home: Home, tmp_path: Path) -> None:
    """The environment goes before credentials, these before .env; a new value holds at once; no log may show it."""
    home.write_dotenv("SHOP_TOKEN=first-of-all-3f9A\n")
    config = home.load(WHOLE)
    assert config.secret("SHOP_TOKEN") == "first-of-all-3f9A"
    assert "first-of-all-3f9A" in config.secrets()
    assert "first-of-all-3f9A" not in repr(config)
    home.write_dotenv("SHOP_TOKEN=second-7Bx\n")
    assert config.secret("SHOP_TOKEN") == "second-7Bx"
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "shop_token").write_text("third-9Qr\n")
    environ = {"CREDENTIALS_DIRECTORY": str(credentials)}
    assert home.load(WHOLE, environ).secret("SHOP_TOKEN") == "third-9Qr"
    assert home.load(WHOLE, {**environ, "SHOP_TOKEN": "fourth"}).secret("SHOP_TOKEN") == "fourth"


def test_a_secret_that_is_set_nowhere_is_warned_of(home: Home) -> None:
    """The start is not stopped by it; the call would be."""
    (warning,) = [each for each in home.load(WHOLE).warnings if "secret" in each]
    assert re.search(r":\d+: actions\.1\.auth\.secret: names a secret that is set nowhere", warning)
    assert not any("secret" in each for each in home.load(WHOLE, {"SHOP_TOKEN": "here"}).warnings)


def test_a_key_that_is_missing_is_not_looked_for_in_the_environment(home: Home) -> None:
    """A list's tables have no names that a variable could mean."""
    (problem,) = home.problems(changed('name = "get_order"\n', "", READ))
    assert (problem.key, problem.mend) == ("actions.0.name", "Set it here.")
    (unknown,) = home.problems(environ={"FRONTDESK_ACTIONS_NAME": "x"})
    assert unknown.what == "means no key of the config"
    assert "ACTIONS" not in unknown.mend
