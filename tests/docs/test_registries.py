"""What the program has and what the documents tell are the same: commands, routes, metrics, error codes, keys, channels."""

import argparse
import ast
import importlib
import re
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

from tests.docs.documents import ROOT, document, documents

OTHERS = {"/audio/transcriptions", "/invite"}  # routes and commands of others
ABSOLUTE = re.compile(r"/(?:srv|etc|opt|var|run|usr|bin|tmp|proc|dev)\b")  # files of the machine, not routes


def leaves(parser: argparse.ArgumentParser, words: str) -> Iterator[str]:
    """Every command as one would type it, with what it must be given."""
    groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    for group in groups:
        for name, inner in group.choices.items():
            yield from leaves(inner, f"{words} {name}")
    if not groups or parser.get_default("command"):  # a group may be a command itself
        given = [str(each.metavar) for each in parser._actions if not each.option_strings and each not in groups]
        yield " ".join([words, *given])


def commands() -> set[str]:
    from bot.commands.parser import build

    return set(leaves(build(), "frontdesk"))


def test_every_command_is_documented() -> None:
    """The table of commands holds exactly the commands that there are, with their arguments."""
    told = {row[0].strip("`") for row in document("docs/operations.md").table("command")}
    assert told == commands()


def test_documents_call_no_command_that_is_not_there() -> None:
    """Wherever a document shows a call of `frontdesk`, that command exists."""
    from bot.commands.setup import guided

    known = commands() | {"frontdesk " + word for command in commands() for word in [command.split()[1]]}
    known |= {f"frontdesk setup {channel}" for channel in guided()}
    called = set()
    for page in documents():
        code = [*page.spans(), *(line for fence in page.fences() for line in fence.splitlines())]
        called |= {
            match
            for line in code
            for match in re.findall(r"(?<![\w-] )(?<!/)\bfrontdesk [a-z][a-z-]+(?: [a-z][a-z-]*)?", line)
        }
    unknown = {
        call for call in called if not any(f"{one} ".startswith(f"{call} ") for one in known) and call not in known
    }
    assert unknown == set()


PROOFS: dict[str, dict[str, Any]] = {  # without which these channels have no routes
    "slack": {"mode": "http"},
    "whatsapp": {
        "account_sid": "AC0123",
        "auth_token": "0123",
        "from": "+14155238886",
        "public_url": "https://help.example.com",
    },
}


def routes() -> set[str]:
    """Every route of the channels, of one further account each, and of the listeners themselves."""
    from bot.config import find_settings, installed_channels
    from bot.ports import HostLimits

    host: Any = SimpleNamespace(  # the little of the Host port that building an adapter takes
        secret=lambda name: b"k" * 32, clock=SimpleNamespace(monotonic=lambda: 0.0), limits=HostLimits()
    )
    found = set(re.findall(r'Route\([\w.]+, "(/\w+)"', (ROOT / "bot/net/listeners.py").read_text()))
    assert found
    for path in (ROOT / "bot" / "console").glob("*.py"):
        found |= set(re.findall(r'Route\("\w+", "(/console[^"]*)"', path.read_text()))
    for name in installed_channels():
        module, model = importlib.import_module(f"adapters.{name}"), find_settings(name)
        assert model is not None
        settings = model(**PROOFS.get(name, {}))
        for account in ("", "NAME") if hasattr(module, "accounts") else ("",):
            found |= {route.path for route in module.create(settings, host, account).routes()}
    return found


def test_every_route_is_documented() -> None:
    """The table of routes holds exactly the routes that there are."""
    told = {
        span
        for row in document("docs/operations.md").table("route")
        for cell in row
        for span in re.findall(r"`([^`]+)`", cell)
    }
    assert {span for span in told if span.startswith("/")} == routes()


def test_documents_name_no_route_that_is_not_there() -> None:
    """A document names no route that nobody answers."""
    named = {
        match[1]
        for page in documents()
        for span in page.spans()
        if (match := re.fullmatch(r"(?:(?:GET|POST) )?(/[\w./{}-]*)", span)) and not ABSOLUTE.match(match[1])
    }
    assert named - routes() - slash_commands() - OTHERS == set()


def slash_commands() -> set[str]:
    """What people type on the platforms."""
    from adapters.discord.commands import COMMANDS
    from adapters.slack import COMMAND

    return {COMMAND, *(f"/{command['name']}" for command in COMMANDS)}


def test_every_metric_is_documented() -> None:
    """The table of metrics holds exactly the metrics that there are, with their types and labels."""
    from bot.telemetry.instruments import Counters, Gauges
    from bot.telemetry.metrics import Metrics

    there = {}
    for family in Metrics().families:
        kind = "counter" if isinstance(family, Counters) else "gauge" if isinstance(family, Gauges) else "histogram"
        name = family.name + "_total" * (kind == "counter")
        there[name] = (kind, ", ".join(f"`{label}`" for label in family.labels))
    told = {row[0].strip("`"): (row[1], row[2]) for row in document("docs/operations.md").table("metric")}
    assert told == there


def test_documents_name_no_metric_that_is_not_there() -> None:
    """A metric in a sentence or an example exists."""
    from bot.telemetry.metrics import Metrics

    shown = Metrics().render()[0].decode()
    named = {name for page in documents() for name in re.findall(r"\bfrontdesk_[a-z_]+", page.text)}
    assert {name for name in named if name not in shown} == set()


def codes_in_source() -> set[str]:
    """Error codes that the source gives to `Refused`, to error frames and to error answers."""
    codes = set()
    for folder in ("bot", "adapters"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            codes |= set(_codes(ast.parse(path.read_text())))
    return codes


def _codes(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and "Refused" in map(ast.unparse, node.bases):
            yield from (code for call in ast.walk(node) if _name(call) == "__init__" for code in _first_text(call))
        elif _name(node) in {"Refused", "error", "_refusal", "_closed"}:
            yield from _first_text(node)


def _name(node: ast.AST) -> str:
    """The last name of what a call calls."""
    return ast.unparse(node.func).rpartition(".")[2] if isinstance(node, ast.Call) else ""


def _first_text(node: ast.AST) -> list[str]:
    texts = [
        arg.value for arg in cast(ast.Call, node).args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)
    ]
    return [text for text in texts[:1] if re.fullmatch(r"[a-z]+(_[a-z]+)*", text)]


def told_codes() -> set[str]:
    """Those of the protocol's table, where a row may explain several."""
    return {code for row in document("docs/protocol.md").table("code") for code in re.findall(r"`(\w+)`", row[0])}


def test_every_error_code_is_documented() -> None:
    """A client meets no error code that the protocol does not explain."""
    told = told_codes()
    assert codes_in_source() - told == set()


def test_documented_error_codes_exist() -> None:
    """The protocol explains no error code that is never sent."""
    source = "".join(path.read_text() for folder in ("bot", "adapters") for path in (ROOT / folder).rglob("*.py"))
    told = told_codes()
    assert {code for code in told if f'"{code}"' not in source} == set()


def test_every_key_is_documented() -> None:
    """The configuration names every key, and no key that does not exist."""
    from bot.config import documented_keys

    keys = set(documented_keys())
    text = document("docs/configuration.md").text
    assert {key for key in keys if f"`{key.rpartition('.')[2]}`" not in text and f"`{key}`" not in text} == set()


def test_documents_name_no_key_that_is_not_there() -> None:
    """Where a document names a key as `[section] key`, it exists."""
    from bot.config import documented_keys

    keys = {_general(key) for key in documented_keys()}
    named = {
        f"{section}.{key}" for page in documents() for section, key in re.findall(r"`\[([\w.]+)\] (\w+)`", page.text)
    }
    assert {key for key in named if _general(key) not in keys} == set()


def _general(key: str) -> str:
    """A key under a name of the user's choice, as the list of keys has it."""
    return re.sub(r"^(models|agents)\.\w+\.", r"\1.NAME.", key)


def test_every_channel_is_documented() -> None:
    """Each channel that is installed has a section in the configuration, and a page where its platform has to be set up."""
    from bot.commands.setup import guided
    from bot.config import installed_channels

    text = document("docs/configuration.md").text
    assert [name for name in installed_channels() if f"[channels.{name}]" not in text] == []
    assert [name for name in guided() if not (ROOT / f"docs/channels/{name}.md").exists()] == []


def test_slacks_page_names_the_scopes_and_events_of_the_manifest() -> None:
    """An app that is made by hand from the page is the one that the manifest makes."""
    from adapters.slack.manifest import EVENTS, SCOPES

    page = document("docs/channels/slack.md")
    scopes = {span for row in page.table("scope") for span in re.findall(r"`([^`]+)`", row[0])}
    listed = page.text[page.text.index("Bot events:") :].partition("\n\n")[0].partition("Interactivity")[0]
    assert scopes == set(SCOPES)
    assert set(re.findall(r"`([^`]+)`", listed)) == set(EVENTS)


def test_discords_page_names_the_commands_and_permissions_that_the_bot_asks_for() -> None:
    from adapters.discord.commands import COMMANDS
    from adapters.discord.setup import invite

    page = document("docs/channels/discord.md")
    assert {row[0].strip("`") for row in page.table("command")} == {f"/{command['name']}" for command in COMMANDS}
    assert invite("APPLICATION_ID") in page.text


def test_whatsapps_page_names_the_words_that_are_wishes() -> None:
    """Which words stop the messages to a person is no surprise to the operator."""
    from adapters.whatsapp.inbound import _AGAIN, _WORDS

    rows = document("docs/channels/whatsapp.md").table("what the person writes")
    told = {word for row in rows for word in re.findall(r"`(\w+)`", row[0])}
    assert told == {*_WORDS, _AGAIN}
