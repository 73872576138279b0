"""`frontdesk check-config`: every problem at once, or a short summary."""

import argparse
import os
from collections.abc import Iterator

from bot.commands.output import say
from bot.config import Config, find_settings, load
from bot.errors import ConfigError


def run(arguments: argparse.Namespace) -> int:
    try:
        config = load(arguments.config, os.environ, adapters=find_settings)
    except ConfigError as error:
        for problem in error.problems:
            say(str(problem))
        return 2
    say(f"{arguments.config} is fine")
    for line in summary(config):
        say(f"  {line}")
    return 0


def summary(config: Config) -> Iterator[str]:
    """What would run, in a few lines. Names no secret."""
    yield f"public    http://{_listener(config.server.host, config.server.port)}/  {config.server.public_url}".rstrip()
    yield f"private   http://{_listener(config.admin.host, config.admin.port)}/  {config.admin.public_url}".rstrip()
    yield f"channels  {', '.join(config.channels) or 'none: nobody can write. Enable one in [channels]'}"
    yield f"answers   {' then '.join(config.roles.answer)}"
    yield f"agents    {', '.join(config.agents)}"
    yield f"knowledge {', '.join(map(str, config.knowledge.paths)) or 'none'}"
    yield f"data      {config.data.path}"
    for warning in config.warnings:
        yield f"warning   {warning}"


def _listener(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
