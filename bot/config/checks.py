"""What must hold between keys, and between the config and this machine."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from ipaddress import ip_address
from pathlib import Path as FilePath
from typing import TYPE_CHECKING

from bot.config import schema
from bot.config.lines import Path

if TYPE_CHECKING:
    from bot.config.load import Config

Finding = tuple[Path, str, str]  # the key, what is wrong, the mend
EVERYWHERE = "*"
OFFLINE = "offline"
MAIN = "main"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the checks may ask about the world around the config."""

    is_channel: Callable[[str], bool]
    channels: Callable[[], list[str]]
    has_own_paths: bool  # the owner wrote [knowledge] paths, so each must exist


def check(config: "Config", around: Surroundings) -> Iterator[Finding]:
    """Everything wrong with a config whose single keys are right."""
    yield from _listeners(config.server, config.admin)
    yield from _proxies(config.server)
    yield from _chain(config.roles.answer, config.models)
    yield from _agents(config.agents, around)
    if around.has_own_paths:
        yield from _paths(config.knowledge.paths)


def is_loopback(host: str) -> bool:
    """True when only this machine can reach a listener on `host`."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _listeners(server: schema.Server, admin: schema.Admin) -> Iterator[Finding]:
    if server.port == admin.port != 0:
        yield ("admin", "port"), "is the port of [server] too", "Give each listener a port of its own."
    if not is_loopback(admin.host):
        mend = 'Write host = "127.0.0.1" and reach it through an SSH tunnel.'
        yield ("admin", "host"), "would open the private listener, which has no sign-in, to others", mend
    is_secured = server.public_url.startswith("https://") or server.trusted_proxies or server.allow_plain_http
    if not is_loopback(server.host) and not is_secured:
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


def _chain(answer: tuple[str, ...], models: Mapping[str, schema.Model]) -> Iterator[Finding]:
    for index, name in enumerate(answer):
        if name not in models:
            yield (
                ("roles", "answer", index),
                f'names the model "{name}", which does not exist',
                _nearest(name, list(models)),
            )
        elif name in answer[:index]:
            yield ("roles", "answer", index), f'names the model "{name}" twice', "Remove one of them."


def _agents(agents: Mapping[str, schema.Agent], around: Surroundings) -> Iterator[Finding]:
    taken: dict[str, str] = {}
    for name, agent in agents.items():
        for index, channel in enumerate(agent.channels):
            at: Path = ("agents", name, "channels", index)
            if channel != EVERYWHERE and not around.is_channel(channel):
                yield at, f'names the channel "{channel}", which does not exist', _nearest(channel, around.channels())
            elif channel in taken:
                yield at, f'takes "{channel}", as agent "{taken[channel]}" does', "Leave each channel to one agent."
            elif not (name == MAIN and channel == EVERYWHERE):  # main takes what nobody else does
                taken[channel] = name


def _paths(paths: tuple[FilePath, ...]) -> Iterator[Finding]:
    for index, path in enumerate(paths):
        if not path.exists():
            yield ("knowledge", "paths", index), f"does not exist: {path}", "Create it, or correct the path."


def _nearest(name: str, known: list[str]) -> str:
    near = get_close_matches(name, known, n=1, cutoff=0.6)
    return f'Did you mean "{near[0]}"?' if near else f"There is: {', '.join(known) or 'none'}."
