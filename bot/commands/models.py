"""`frontdesk models`: which models there are, how they fare today, and one call of one of them."""

import argparse
import os
import sqlite3
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from bot.commands.output import lasting, one_line, say, show_json, show_table, when
from bot.commands.reach import BUSY_S, DATABASE, ask, data_folder
from bot.errors import ConfigError, DataError, Fault
from bot.net.control import NotRunning, call, find_socket

if TYPE_CHECKING:
    from bot.config import Config

Row = Mapping[str, Any]  # JSON, as the daemon gives it
TRY_S = 300.0  # a local model may have to be loaded first
COLUMNS = ("name", "model", "roles", "reach", "circuit", "limits", "now", "today", "spent")
MENDS = {
    Fault.RATE_LIMITED: "Wait a little; state the provider's limits in [models.NAME.limits] so that calls queue here instead.",
    Fault.OVERLOADED: "The provider has too much to do or an outage. Try again later, and put a second model into the chain.",
    Fault.UNREACHABLE: "Check base_url, the network from this machine, and that the model's server runs.",
    Fault.SILENT: "The server took the call and said too little in time. Raise first_token_s or idle_s, or look at the server.",
    Fault.MALFORMED: "The server does not answer as its provider's protocol says. Check provider and base_url.",
    Fault.KEY: "Check the model's key: it may be revoked, of another account, or not allowed this model.",
    Fault.BALANCE: "Top up the account at the provider, or raise its spending limit.",
    Fault.NOT_FOUND: "Check the model's name as its provider spells it, and base_url.",
    Fault.TOO_LONG: "The text is longer than the model's context window. Set context_tokens to what the model really has.",
    Fault.REJECTED: "The server refused the request, or [network] allow does not list its host. Check parameters, tools and stream.",
    Fault.CAPPED: "A limit of [limits] ended the call. Raise it if it is too low.",
}


def run_list(arguments: argparse.Namespace) -> int:
    config, problem = _config(arguments)
    try:
        found = ask(arguments.config, "models")
        rows = [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []
        is_running = True
    except NotRunning:
        if config is None:
            raise problem or ConfigError([]) from None
        rows, is_running = _rows(config), False
    rows = [{**each, "roles": _roles(each, config)} for each in rows]
    if arguments.json:
        show_json({"is_running": is_running, "models": rows})
        return 0
    if not is_running:
        say("Frontdesk is not running: this is what the config says, and what was spent today.")
    show_table(COLUMNS, [_cells(each) for each in rows], "No models.")
    return 0


def run_try(arguments: argparse.Namespace) -> int:
    asked = {"name": arguments.name, "text": " ".join(arguments.text)}
    answer = call(find_socket(data_folder(arguments.config), os.environ), "models try", asked, TRY_S)
    found: dict[str, Any] = answer if isinstance(answer, dict) else {}  # JSON
    is_answered = found.get("outcome") in ("answered", "tools")
    if arguments.json:
        show_json(found)
        return 0 if is_answered else 1
    for line in str(found.get("text", "")).splitlines():
        say(line)
    say(_measured(found))
    if not is_answered:
        sys.stderr.write(f"frontdesk: {one_line(_failed(arguments.name, found))}\n")
    return 0 if is_answered else 1


def _config(arguments: argparse.Namespace) -> "tuple[Config | None, ConfigError | None]":
    """The config, or what is wrong with it: a running daemon may have been given keys that this shell lacks."""
    from bot.config import find_settings, load

    try:
        return load(arguments.config, os.environ, adapters=find_settings), None
    except ConfigError as error:
        return None, error


def _rows(config: "Config") -> list[dict[str, Any]]:
    """What the config says of each model, and today's spend from the database."""
    spent = _spent(config)
    nothing = {
        "calls_today": 0,
        "failed_today": 0,
        "input_tokens_today": 0,
        "output_tokens_today": 0,
        "cost_micros_today": 0,
    }
    return [
        {
            "name": name,
            "provider": model.provider,
            "model": model.model,
            "circuit": "-",
            "requests_per_minute": model.limits.requests_per_minute,
            "tokens_per_minute": model.limits.tokens_per_minute,
            "calls_at_once": 0 if model.provider == "offline" else model.limits.calls_at_once,
            **nothing,
            **spent.get(name, {}),
        }
        for name, model in config.models.items()
    ]


def _spent(config: "Config") -> dict[str, dict[str, int]]:
    """By model: what the table `spend` says of this UTC day. Nothing where there is no database, or one from before that table."""
    path = config.data.path / DATABASE
    if not path.is_file():
        return {}
    sql = """
        SELECT model, SUM(calls) AS calls_today, SUM(failed) AS failed_today, SUM(input_tokens) AS input_tokens_today,
               SUM(output_tokens) AS output_tokens_today, SUM(cost_micros) AS cost_micros_today
        FROM spend WHERE day = :day GROUP BY model"""
    today = datetime.now(UTC).strftime("%Y-%m-%d")
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_S)) as database:
            database.row_factory = sqlite3.Row
            if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'spend'").fetchone():
                return {}
            rows = [dict(row) for row in database.execute(sql, {"day": today})]
    except sqlite3.Error as error:
        raise DataError(
            f"{path} cannot be read ({error}). Check its rights; if it is damaged: frontdesk salvage FOLDER."
        ) from error
    return {row.pop("model"): row for row in rows}


def _roles(row: Row, config: "Config | None") -> list[str]:
    if isinstance(row.get("roles"), list):
        return [str(role) for role in row["roles"]]
    return config.roles_of(str(row.get("name"))) if config else []


def _cells(row: Row) -> tuple[object, ...]:
    """One row of the table; its lines within a cell become one in a pipe."""
    return (
        row.get("name", ""),
        f"{row.get('provider', '')}\n{row.get('model') or ''}".strip(),
        ",\n".join(row["roles"]) or "-",
        _reach(row),
        _circuit(row),
        ",\n".join(_limits(row)) or "-",
        _now(row),
        ",\n".join(_today(row)),
        money(_count(row, "cost_micros_today")),
    )


def _reach(row: Row) -> str:
    took = row.get("reach_ms")
    words = {True: "yes", False: "no", None: "-"}
    reach = row.get("reach")
    told = words[reach] if reach is None or isinstance(reach, bool) else str(reach)
    return f"{told} ({lasting(took)})" if isinstance(took, int | float) and took > 0 else told


def _circuit(row: Row) -> str:
    circuit, until, fault = str(row.get("circuit") or "-"), when(row.get("circuit_until_ms")), row.get("circuit_fault")
    if circuit in ("-", "closed"):
        return circuit
    return f"{circuit}{f' ({fault})' if fault else ''}{f' until {until}' if until != '-' else ''}"


def _limits(row: Row) -> Iterator[str]:
    units = (("requests_per_minute", "calls/min"), ("tokens_per_minute", "tokens/min"), ("calls_at_once", "at once"))
    for name, unit in units:
        if limit := _count(row, name):
            yield f"{short(limit)} {unit}"


def _now(row: Row) -> str:
    waiting = _count(row, "waiting")
    return f"{_count(row, 'calls_now')}" + (f",\n{waiting} waiting" if waiting else "")


def _today(row: Row) -> Iterator[str]:
    yield f"{short(_count(row, 'calls_today'))} calls"
    if failed := _count(row, "failed_today"):
        yield f"{short(failed)} failed"
    if tokens := _count(row, "input_tokens_today") + _count(row, "output_tokens_today"):
        yield f"{short(tokens)} tokens"
    if (last := row.get("last_outcome")) and last != "answered":
        yield f"last: {last}"


def _count(row: Row, name: str) -> int:
    value = row.get(name)
    return int(value) if isinstance(value, int | float) else 0


def short(number: int) -> str:
    """A number at a glance: 950, 80k, 1.23M."""
    for size, letter in ((1_000_000, "M"), (1_000, "k")):
        if number >= size:
            value = number / size
            digits = 0 if value >= 100 else 1 if value >= 10 else 2
            text = f"{value:,.{digits}f}"
            return (text.rstrip("0").rstrip(".") if digits else text) + letter
    return str(number)


def money(micros: int) -> str:
    """Millionths of the config's currency, with as many digits as are worth reading."""
    return (
        f"{micros / 1_000_000:,.2f}" if micros >= 1_000_000 or micros == 0 else f"{micros / 1_000_000:.6f}".rstrip("0")
    )


def _measured(found: Row) -> str:
    first = found.get("first_ms")
    word = f"first text after {lasting(first)}, " if isinstance(first, int | float) else ""
    cached = _count(found, "cache_read_tokens")
    tokens = f"{_count(found, 'input_tokens'):,} tokens in{f' and {cached:,} from its cache' if cached else ''}"
    return (
        f"queued {lasting(found.get('waited_ms') or 0)}, {word}{lasting(found.get('total_ms') or 0)} in all; "
        f"{tokens}, {_count(found, 'output_tokens'):,} out; cost {money(_count(found, 'cost_micros'))}"
    )


def _failed(name: str, found: Row) -> str:
    outcome, why = str(found.get("outcome", "no outcome")), str(found.get("why", "")).strip().rstrip(".")
    mend = MENDS.get(Fault(outcome), "") if outcome in set(Fault) else "The daemon's log may say more."
    return f"{name}: {outcome}{f' ({why})' if why else ''}. {mend.replace('NAME', name)}"
