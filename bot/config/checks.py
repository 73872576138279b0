"""What must hold between keys, and between the config and this machine."""

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TYPE_CHECKING

from bot.config import schema
from bot.config.action_checks import check_actions
from bot.config.action_schema import Action
from bot.config.handoff_checks import check_handoff
from bot.config.knowledge_checks import check_knowledge
from bot.config.lines import Path
from bot.config.model_checks import OFFLINE, Finding, check_models, nearest
from bot.model import value
from bot.net import perimeter
from bot.tools import names

if TYPE_CHECKING:
    from bot.config.load import Config

__all__ = ["EVERYWHERE", "MAIN", "OFFLINE", "Surroundings", "check"]

EVERYWHERE = "*"
MAIN = "main"


@value
class Surroundings:
    """What the checks may ask about the world around the config."""

    is_channel: Callable[[str], bool]
    channels: Callable[[], list[str]]
    has_own_paths: bool  # the owner wrote [knowledge] paths, so each must exist
    broken_models: Collection[str]  # some of their keys are wrong
    whole_actions: Mapping[int, Action]  # none of their single keys is wrong; by their places in the file


def check(config: "Config", around: Surroundings) -> Iterator[Finding]:
    """Everything wrong with a config whose single keys are right."""
    yield from _listeners(config.server, config.admin)
    yield from _proxies(config.server)
    yield from check_models(config, around.broken_models)
    yield from _agents(config.agents, around)
    yield from _abilities(config.agents)
    yield from check_actions(config, around.whole_actions)
    yield from check_handoff(config)
    yield from check_knowledge(config, has_own_paths=around.has_own_paths)
    yield from _retention(config.retention, around)


def _listeners(server: schema.Server, admin: schema.Admin) -> Iterator[Finding]:
    if server.port == admin.port != 0:
        yield ("admin", "port"), "is the port of [server] too", "Give each listener a port of its own."
    if not perimeter.is_loopback(admin.host):
        mend = 'Write host = "127.0.0.1" and reach it through an SSH tunnel.'
        yield ("admin", "host"), "would open the private listener to others, and its metrics have no sign-in", mend
    is_secured = server.public_url.startswith("https://") or server.trusted_proxies or server.allow_plain_http
    if not perimeter.is_loopback(server.host) and not is_secured:
        mend = (
            "Put a TLS proxy before it and set public_url to its https:// address or trusted_proxies to its network; "
            "or accept plain HTTP with allow_plain_http = true."
        )
        yield ("server", "host"), "is a public bind without TLS", mend


def _proxies(server: schema.Server) -> Iterator[Finding]:
    for index, network in enumerate(server.trusted_proxies):
        if network.prefixlen == 0:
            what = "trusts the whole internet to say where a request came from"
            yield ("server", "trusted_proxies", index), what, "Name the proxy's own address."


def _agents(agents: Mapping[str, schema.Agent], around: Surroundings) -> Iterator[Finding]:
    taken: dict[str, str] = {}
    for name, agent in agents.items():
        for index, channel in enumerate(agent.channels):
            at: Path = ("agents", name, "channels", index)
            if channel != EVERYWHERE and not around.is_channel(channel.partition(".")[0]):
                yield at, f'names the channel "{channel}", which does not exist', nearest(channel, around.channels())
            elif channel in taken:
                yield at, f'takes "{channel}", as agent "{taken[channel]}" does', "Leave each channel to one agent."
            elif not (name == MAIN and channel == EVERYWHERE):  # main takes what nobody else does
                taken[channel] = name


def _abilities(agents: Mapping[str, schema.Agent]) -> Iterator[Finding]:
    for name, agent in agents.items():
        for index, tool in enumerate(agent.tools):
            at: Path = ("agents", name, "tools", index)
            if tool not in names.BUILT_IN:
                yield at, f'names the tool "{tool}", which does not exist', nearest(tool, names.BUILT_IN)
            elif tool in agent.tools[:index]:
                yield at, f'names the tool "{tool}" twice', "Remove one of them."


def _retention(retention: schema.Retention, around: Surroundings) -> Iterator[Finding]:
    """Days are counted by channel, for all its accounts alike."""
    for name in retention.channels:
        at: Path = ("retention", "channels", name)
        if not around.is_channel(name):
            yield at, f'names the channel "{name}", which does not exist', nearest(name, around.channels())
