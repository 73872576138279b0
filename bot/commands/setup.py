"""`frontdesk setup CHANNEL`: what to click and paste on the platform, and whether it is right so far."""

import argparse
import asyncio
import importlib
import os
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel

from bot.clock import SystemClock
from bot.commands.output import say
from bot.config import Config, find_settings, installed_channels, load
from bot.errors import ConfigError
from bot.net.fetch import Fetcher
from bot.net.perimeter import Perimeter
from bot.ports import Finding

WRONG = 1


def run(arguments: argparse.Namespace) -> int:
    module = importlib.import_module(f"adapters.{arguments.channel}") if arguments.channel in guided() else None
    if module is None:
        sys.stderr.write(f"frontdesk: there is no channel to set up by that name. There is: {', '.join(guided())}\n")
        return 2
    config, problems = _config(arguments)
    settings = _settings(config, arguments.config, arguments.channel)
    public_url = config.server.public_url if config else ""
    sys.stdout.write(module.guide(settings, public_url).rstrip() + "\n")
    for problem in problems:
        say(f"config: {problem}")
    if config is None or arguments.channel not in config.channels:
        say(f"\nNot checked yet: [channels.{arguments.channel}] is not enabled, or not complete.")
        return WRONG if problems else 0
    findings = asyncio.run(_check(config, arguments.channel, settings))
    for finding in findings:
        say(
            f"{'ok   ' if finding.is_well else 'WRONG'}  {finding.what}{'' if finding.is_well else '. ' + finding.mend}"
        )
    return 0 if all(finding.is_well for finding in findings) else WRONG


def guided() -> list[str]:
    """The channels whose platform has to be set up."""
    return [name for name in installed_channels() if hasattr(importlib.import_module(f"adapters.{name}"), "guide")]


class Outlet:
    """What a check may use of the house."""

    def __init__(self, config: Config) -> None:
        self.clock = SystemClock()
        self._fetcher = Fetcher(Perimeter(config.network.allow), self.clock, config.limits.upload_bytes)
        self.fetch = self._fetcher.fetch
        self.connector = self._fetcher.connector
        self.close = self._fetcher.close


async def _check(config: Config, channel: str, settings: BaseModel) -> Sequence[Finding]:
    outlet = Outlet(config)
    try:
        found: Sequence[Finding] = await importlib.import_module(f"adapters.{channel}").check(settings, outlet)
        return found
    finally:
        await outlet.close()


def _config(arguments: argparse.Namespace) -> tuple[Config | None, list[str]]:
    try:
        return load(arguments.config, os.environ, adapters=find_settings), []
    except ConfigError as error:
        return None, [str(problem) for problem in error.problems]


def _settings(config: Config | None, file: Path, channel: str) -> BaseModel:
    """As they stand in the config; of a channel that is not complete yet, what there is of them."""
    if config is not None and channel in config.channels:
        return config.channels[channel]
    model = find_settings(channel) or BaseModel
    try:
        given = tomllib.loads(file.read_text(encoding="utf-8"))["channels"][channel]
        return model(**{**given, "enabled": False})
    except (OSError, ValueError, LookupError, TypeError):
        return model()
