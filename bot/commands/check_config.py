"""`frontdesk check-config`: every problem at once, or a short summary; with `--peak`, whether the models can carry that much."""

import argparse
import os
from collections.abc import Iterator
from urllib.parse import urlsplit

from bot.commands.output import say
from bot.commands.peak import CALLS, INPUT_TOKENS, OUTPUT_TOKENS, Load, weigh
from bot.config import Config, find_settings
from bot.config import load as load_config
from bot.errors import ConfigError


def run(arguments: argparse.Namespace) -> int:
    try:
        config = load_config(arguments.config, os.environ, adapters=find_settings)
        _check_actions(config)
    except ConfigError as error:
        for problem in error.problems:
            say(str(problem))
        return 2
    say(f"{arguments.config} is fine")
    for line in summary(config):
        say(f"  {line}")
    return 0 if arguments.peak is None else _weigh(config, arguments)


def _check_actions(config: Config) -> None:
    """The files and functions that actions name are read, as a start would; servers are not asked. Raises ConfigError."""
    if not config.actions:
        return
    from bot.clock import SystemClock
    from bot.net.fetch import Fetcher
    from bot.net.perimeter import Perimeter
    from bot.tools.catalogue import Catalogue

    clock = SystemClock()
    Catalogue(config, Fetcher(Perimeter(config.network.allow), clock, config.limits.upload_bytes), clock)


def summary(config: Config) -> Iterator[str]:
    """What would run, in a few lines. Names no secret."""
    yield f"public    http://{_listener(config.server.host, config.server.port)}/  {config.server.public_url}".rstrip()
    yield f"private   http://{_listener(config.admin.host, config.admin.port)}/  {config.admin.public_url}".rstrip()
    yield f"channels  {', '.join(config.channels) or 'none: nobody can write. Enable one in [channels]'}"
    usual = config.chain("answer")
    yield f"answers   {' then '.join(usual)}"
    for agent in config.agents:
        if (own := config.chain("answer", agent)) != usual:
            yield f"          {' then '.join(own)} for agent {agent}"
    yield from _models(config)
    yield f"agents    {', '.join(config.agents)}"
    yield f"knowledge {', '.join(map(str, config.knowledge.paths)) or 'none'}"
    if config.actions:
        yield f"actions   {', '.join(each.name for each in config.actions)}"
    yield f"data      {config.data.path}"
    if config.network.allow is not None:
        yield f"outward   {', '.join(config.network.allow) or 'nothing but this machine'}"
    for warning in config.warnings:
        yield f"warning   {warning}"


def _models(config: Config) -> Iterator[str]:
    for name, model in config.models.items():
        if model.provider != "offline" and (roles := config.roles_of(name)):
            where = urlsplit(model.url).netloc
            yield f"model     {name}: {model.model} by {model.provider} at {where}, for {', '.join(roles)}"


def _weigh(config: Config, arguments: argparse.Namespace) -> int:
    calls, inputs, outputs = arguments.calls, arguments.input_tokens, arguments.output_tokens
    load = Load(arguments.peak, calls or CALLS, inputs or INPUT_TOKENS, outputs or OUTPUT_TOKENS)
    lines, is_carried = weigh(config, load)
    for line in lines:
        say(line)
    return 0 if is_carried else 1


def _listener(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
