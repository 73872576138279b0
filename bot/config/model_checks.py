"""What must hold of models, of the chains that name them, and of the way to them."""

from collections.abc import Collection, Iterator, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, get_args

from bot.config import schema
from bot.config.keys import host_of, is_own_host
from bot.config.lines import Path
from bot.config.shape import variable
from bot.config.sources import CUSTOMARY
from bot.net import perimeter

if TYPE_CHECKING:
    from bot.config.load import Config

Finding = tuple[Path, str, str]  # the key, what is wrong, the mend
OFFLINE = "offline"
# What a request is made of: a parameter of that name would replace what the agent says and expects.
RESERVED = ("model", "messages", "system", "tools", "stream")


def check_models(config: "Config", broken: Collection[str]) -> Iterator[Finding]:
    """Everything wrong with the chains and models. Of a `broken` model some keys are wrong, so nothing is concluded from the others."""
    yield from _chains(config, broken)
    outward = perimeter.Perimeter(config.network.allow)
    for name, model in config.models.items():
        if name not in broken:
            yield from _itself(name, model)
            if OFFLINE not in (model.provider, name) and config.roles_of(name):
                yield from _key(name, model)
                yield from _way(name, model, outward)


def warn_of_models(config: "Config") -> Iterator[Finding]:
    """What works, and is hardly meant."""
    for at, _, names in chains(config):
        offline = [index for index, name in enumerate(names) if _is_offline(config, name)]
        for index in range(offline[0] + 1 if offline else len(names), len(names)):
            what = f'names "{names[index]}" after "{names[offline[0]]}", which never fails: it is never asked'
            yield (*at, index), what, "Put the offline answerer last, or remove what follows it."
    limits = config.limits
    has_budget = bool(limits.turn_cost or limits.person_cost_per_day or limits.cost_per_day)
    for name, model in config.models.items():
        if model.provider == OFFLINE or not config.roles_of(name):
            continue
        is_public = not perimeter.is_private(host_of(model.url))
        if has_budget and is_public and not any(model.prices.model_dump().values()):
            what = "are all 0, so that the budgets of [limits] cannot see what it costs"
            yield (
                ("models", name, "prices"),
                what,
                "Write what a million tokens cost: prices = { input = .., output = .. }.",
            )
        if is_public and model.api_key is None and model.url.startswith("http:"):
            what = "is plain http on a public host: what people write crosses the network in the clear"
            yield ("models", name, "base_url"), what, "Use https, or an address inside your own network."


def chains(config: "Config") -> Iterator[tuple[Path, schema.Role, tuple[str, ...]]]:
    """Every chain that the owner could write, with the key where it stands."""
    for role in get_args(schema.Role):
        yield ("roles", role), role, getattr(config.roles, role)
    for name, agent in config.agents.items():
        for role in get_args(schema.Role):
            own = getattr(agent.roles, role)
            if own is not None:
                yield ("agents", name, "roles", role), role, own


def nearest(name: str, known: Sequence[str]) -> str:
    """The mend for a name that is not `known`."""
    near = get_close_matches(name, known, n=1, cutoff=0.6)
    return f'Did you mean "{near[0]}"?' if near else f"There is: {', '.join(known) or 'none'}."


def _chains(config: "Config", broken: Collection[str]) -> Iterator[Finding]:
    for at, role, names in chains(config):
        for index, name in enumerate(names):
            here: Path = (*at, index)
            if name not in config.models:
                yield here, f'names the model "{name}", which does not exist', nearest(name, list(config.models))
            elif name in names[:index]:
                yield here, f'names the model "{name}" twice', "Remove one of them."
            elif role != "answer" and name not in broken and _is_offline(config, name):
                what = f'names "{name}", the offline answerer, which can only answer'
                yield here, what, "Name another model, or leave the chain empty: the work is then not done by a model."


def _itself(name: str, model: schema.Model) -> Iterator[Finding]:
    at: Path = ("models", name)
    if model.provider == OFFLINE:
        if model.model or model.base_url or model.api_key is not None:
            what = 'is "offline", which has no model, base_url or api_key'
            yield (*at, "provider"), what, 'Write "anthropic", or "openai" for whatever speaks chat completions.'
        return
    if name == OFFLINE:
        what = f'is "{model.provider}", but this name is the offline answerer\'s'
        yield (*at, "provider"), what, "Give the model another name, and name it in [roles]."
    if not model.model.strip():
        yield (*at, "model"), "is missing", "Write the name by which its provider knows it."
    if model.output_tokens >= model.context_tokens:
        what = "leaves no room in context_tokens for what the model reads"
        yield (*at, "output_tokens"), what, f"Write less than {model.context_tokens}."
    for reserved in RESERVED:
        if reserved in model.parameters:
            what = "would replace what Frontdesk itself sends"
            yield (*at, "parameters", reserved), what, "Remove it. docs/configuration.md lists what cannot stand here."


def _key(name: str, model: schema.Model) -> Iterator[Finding]:
    if model.api_key is None and is_own_host(model.provider, model.url):
        at: Path = ("models", name, "api_key")
        mend = f"Set {CUSTOMARY[model.provider]} in .env or in the environment, or {variable(at)} for this model alone."
        yield at, "is missing", mend


def _way(name: str, model: schema.Model, outward: perimeter.Perimeter) -> Iterator[Finding]:
    at: Path = ("models", name, "base_url")
    host = host_of(model.url)
    if not outward.allows_url(model.url):
        yield (
            at,
            f"leads to {host}, which [network] allow does not list",
            f'Add "{host}" to [network] allow, or change base_url.',
        )
    if model.url.startswith("http:") and model.api_key is not None and not perimeter.is_private(host):
        mend = "Use https, or an address inside your own network."
        yield at, "is plain http on a public host: the key would cross the network in the clear", mend


def _is_offline(config: "Config", name: str) -> bool:
    return name in config.models and config.models[name].provider == OFFLINE
