"""What must hold of actions: of one by itself, of several together, and between them and the rest of the config."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from bot.config import action_schema, handoff_schema
from bot.config.action_schema import PLACE, Action, Auth, Parameter
from bot.config.keys import host_of
from bot.config.lines import Path
from bot.config.model_checks import Finding, nearest
from bot.net import perimeter
from bot.tools.names import BUILT_IN

if TYPE_CHECKING:
    from bot.config.load import Config

KEY: Final = "key"  # stands in a look-up's address for the key of the call
PART: Final = {
    "openapi": "operation",
    "mcp": "tool",
}  # what names the one thing among those that the file or server has
ONLY: Final = {  # keys that mean something for some ways alone
    "method": ("url",),
    "body": ("url",),
    "look_up": ("url", "openapi"),
    "auth": ("url", "openapi"),
    "key_header": ("url", "openapi"),
    "url": ("url", "openapi"),
    "operation": ("openapi",),
    "tool": ("mcp",),
}
BY_WAY: Final = frozenset(  # what a parameter's form is made of: only the config itself tells it
    action_schema.Form.model_fields
) - {"description"}


def check_actions(config: "Config", whole: Mapping[int, Action]) -> Iterator[Finding]:
    """Everything wrong with actions whose single keys are right, by their places in the file, and with what they stand on."""
    yield from _names(whole)
    for place, action in whole.items():
        at: Path = ("actions", place)
        yield from _way(at, action, config)
        yield from _effect(at, action)
        yield from _consent(at, action, config.operators)
        yield from _parameters(at, action)
        yield from _addresses(at, action, config)
        yield from _facts(at, action, {each.name: each for each in config.actions})
        yield from _rest(at, action, config)
    yield from _servers(config)
    yield from _people(config.operators)


def warn_of_actions(config: "Config") -> Iterator[Finding]:
    """What works, and is hardly meant."""
    for name, at in secret_names(config).items():
        if not config.secret(name):
            what = "names a secret that is set nowhere, so that no call can be made"
            yield at, what, "Put it into .env beside the config, the environment or systemd's credentials."


def secret_names(config: "Config") -> dict[str, Path]:
    """The name of every secret that actions and their servers mention, with the first key that does."""
    found: dict[str, Path] = {}
    for place, action in enumerate(config.actions):
        if action.auth is not None:
            found.setdefault(action.auth.secret, ("actions", place, "auth", "secret"))
    for name, server in config.mcp.items():
        if server.auth is not None:
            found.setdefault(server.auth.secret, ("mcp", name, "auth", "secret"))
        for variable, secret in server.env.items():
            found.setdefault(secret, ("mcp", name, "env", variable))
    return found


def _names(whole: Mapping[int, Action]) -> Iterator[Finding]:
    seen: set[str] = set()
    for place, action in whole.items():
        at: Path = ("actions", place, "name")
        if action.name in BUILT_IN:
            yield at, f'is "{action.name}", which is a tool that every agent has', "Give the action another name."
        elif action.name in seen:
            yield at, f'is "{action.name}", as another action is', "Give each action a name of its own."
        seen.add(action.name)


# --- how it is reached -----------------------------------------------------------------------------------------------


def _way(at: Path, action: Action, config: "Config") -> Iterator[Finding]:
    ways = action.ways()
    if len(ways) != 1:
        what = "says no way to it" if not ways else f"says {len(ways)} ways to it ({', '.join(ways)})"
        yield at, what, "Write one of url, openapi, mcp and python."
        return
    for key, meant in ONLY.items():
        if key in action.model_fields_set and ways[0] not in meant:
            yield (*at, key), f"means nothing for an action that is reached by {ways[0]}", "Remove it."
    part = PART.get(ways[0], "")
    if part and not getattr(action, part):
        yield (*at, part), "is missing", f"Name the {part} that it is."
    if action.is_http and action.method is None:
        yield (*at, "method"), "is missing", 'Write one such as method = "GET" or method = "POST".'
    if action.is_http and not action.description:
        yield (*at, "description"), "is missing", "Tell the model what it does and when to use it."
    if action.mcp and action.mcp not in config.mcp:
        what = f'names the MCP server "{action.mcp}", which does not exist'
        yield (*at, "mcp"), what, nearest(action.mcp, list(config.mcp))
    if action.openapi is not None and not action.openapi.is_file():
        yield (*at, "openapi"), f"does not exist: {action.openapi}", "Create it, or correct the path."


def _addresses(at: Path, action: Action, config: "Config") -> Iterator[Finding]:
    if action.is_http:
        path, _, rest = action.url.partition("?")
        for name in PLACE.findall(rest):
            what = f"has {{{name}}} behind its ?"
            yield (*at, "url"), what, "Remove it: with GET, HEAD and DELETE the parameters that are left are the query."
        yield from _places((*at, "url"), path, list(action.parameters), action.parameters)
    if action.look_up is not None:
        known = [*action.parameters, KEY]
        if action.is_http:
            yield from _places((*at, "look_up", "url"), action.look_up.url, known, action.parameters)
        yield from _reach((*at, "look_up", "url"), action.look_up.url, action.auth, config)
    if action.url:
        yield from _reach((*at, "url"), action.url, action.auth, config)


def _places(at: Path, url: str, known: list[str], parameters: Mapping[str, Parameter]) -> Iterator[Finding]:
    for name in PLACE.findall(url):
        if name not in known:
            yield at, f'has "{{{name}}}", which is no parameter', nearest(name, known)
        elif name in parameters and not parameters[name].is_required:
            yield at, f'has "{{{name}}}", which may be left out of a call', f"Remove is_required = false of {name}."


def _reach(at: Path, url: str, auth: Auth | None, config: "Config") -> Iterator[Finding]:
    host = host_of(url)
    if not perimeter.Perimeter(config.network.allow).allows_url(PLACE.sub("x", url)):
        what = f"leads to {host}, which [network] allow does not list"
        yield at, what, f'Add "{host}" to [network] allow, or change the address.'
    if auth is not None and url.startswith("http:") and not perimeter.is_private(host):
        what = "is plain http on a public host: the secret would cross the network in the clear"
        yield at, what, "Use https, or an address inside your own network."


# --- what it may do --------------------------------------------------------------------------------------------------


def _effect(at: Path, action: Action) -> Iterator[Finding]:
    if action.effect == "keyed" and (action.is_http or action.openapi is not None) and not action.key_header:
        yield (*at, "key_header"), 'is empty, but the effect is "keyed"', "Name the header that takes the key."
    if action.auth is not None and action.key_header.lower() == action.auth.header.lower():
        yield (*at, "key_header"), "is the header that carries the secret", "Name another header for the key."
    if action.effect == "checkable" and action.look_up is None and not action.python:
        what = "is missing: nobody could find out what became of a call"
        mend = 'Write look_up = { url = "https://.../refunds?key={key}" }, or effect = "naked".'
        yield (*at, "look_up"), what, mend
    if action.look_up is not None and KEY not in PLACE.findall(action.look_up.url):
        what = "has no {key}: an earlier call of the same kind would be taken for this one"
        yield (*at, "look_up", "url"), what, 'Write one such as "https://.../refunds?key={key}".'
    if action.look_up is not None and action.effect != "checkable":
        yield (*at, "look_up"), 'means nothing unless the effect is "checkable"', 'Write effect = "checkable".'
    if action.cache_s and action.effect != "read":
        yield (*at, "cache_s"), "would keep the answer of a call that has an effect", "Remove it."
    if action.is_profile and action.effect != "read":
        yield (*at, "is_profile"), "makes a call when a case starts, and this one has an effect", "Remove it."
    asked = [name for name, each in action.parameters.items() if each.is_required and not each.source]
    if action.is_profile and asked:
        yield (*at, "is_profile"), f"makes a call that nobody gives {asked[0]} for", 'Write from = "identity.id" there.'


def _consent(at: Path, action: Action, operators: handoff_schema.Operators) -> Iterator[Finding]:
    above, two = action.operator_above, action.two_operators_above
    if action.effect == "read":
        for key in ("consent", "operator_above", "two_operators_above"):
            if getattr(action, key) not in (None, "none"):
                yield (*at, key), "asks a person before something is read", 'Remove it, or correct effect = "read".'
        return
    if not _of_role(action, "amount"):
        for key in ("operator_above", "two_operators_above"):
            if getattr(action, key) is not None:
                yield (*at, key), "stands without an amount", 'Give the parameter that holds it role = "amount".'
    if two is not None and above is not None and two < above:
        yield (*at, "two_operators_above"), "is below operator_above", f"Write {above} or more."
    wanted = 2 if two is not None else 1 if above is not None or action.consent == "operator" else 0
    if len(operators.approvers()) < wanted:
        key = "two_operators_above" if two is not None else "operator_above" if above is not None else "consent"
        many = "two people" if wanted > 1 else "a person"
        mend = f'Name {many} below [[operators.people]], with role = "approver" or "admin".'
        yield (*at, key), f"asks {many} who may agree, and there {'are' if wanted > 1 else 'is'} none such", mend


def _parameters(at: Path, action: Action) -> Iterator[Finding]:
    seen: set[str] = set()
    for name, each in action.parameters.items():
        here: Path = (*at, "parameters", name)
        yield from _form(here, action, each)
        if each.role and each.role in seen:
            yield (*here, "role"), f'is "{each.role}", as that of another parameter', "Give it to one of them."
        seen.add(each.role)
        for key in ("source", "most"):
            if getattr(each, key).startswith("facts.") and not action.facts:
                shown = "from" if key == "source" else key
                yield (
                    (*here, shown),
                    "names the facts, and there are none",
                    "Write facts = and the read that finds them.",
                )
        if each.most and each.role != "amount":
            yield (*here, "most"), "is for an amount", 'Write role = "amount", or remove it.'
    if not _of_role(action, "amount"):
        for key in ("amount_per_call", "amount_per_day"):
            if getattr(action.limits, key):
                yield (
                    (*at, "limits", key),
                    "stands without an amount",
                    'Give the parameter that holds it role = "amount".',
                )


def _form(here: Path, action: Action, given: Parameter) -> Iterator[Finding]:
    if not action.is_http:
        for key in sorted(BY_WAY & given.model_fields_set):
            yield (*here, key), f"is told by the {action.ways()[0] if action.ways() else 'way'} itself", "Remove it."
        return
    if given.type is None:
        yield (*here, "type"), "is missing", 'Write one such as type = "string".'
    elif given.role == "amount" and given.type != "integer":
        yield (*here, "type"), "is no whole number, as an amount of money must be", 'Write type = "integer".'
    elif given.role in ("currency", "recipient") and given.type != "string":
        yield (*here, "type"), f"is no text, as a {given.role} must be", 'Write type = "string".'


def _of_role(action: Action, role: str) -> bool:
    return any(each.role == role for each in action.parameters.values())


def _facts(at: Path, action: Action, known: Mapping[str, Action]) -> Iterator[Finding]:
    if not action.facts:
        if action.fact_fields:
            yield (*at, "fact_fields"), "stands without facts", "Write facts = and the read that finds them."
        return
    here: Path = (*at, "facts")
    read = known.get(action.facts)
    if read is None:
        reads = [name for name, each in known.items() if each.effect == "read" and name != action.name]
        yield here, f'names the action "{action.facts}", which does not exist', nearest(action.facts, reads)
        return
    if read.effect != "read" or read.facts:
        yield here, f'names "{action.facts}", which is no plain read', 'Name an action with effect = "read".'
        return
    for name, each in read.parameters.items():
        if action.is_http and each.is_required and name not in action.parameters:
            what = f'names "{action.facts}", which needs {name}, and this action has no such parameter'
            yield here, what, f"Add the parameter {name}, or name another read."
        own = action.parameters.get(name)
        if each.source == "identity.id" and own is not None and own.source != each.source:
            what = f'is chosen by the model, and "{action.facts}" takes it from the identity'
            yield (*at, "parameters", name), what, 'Write from = "identity.id" here, too.'


def _rest(at: Path, action: Action, config: "Config") -> Iterator[Finding]:
    for index, agent in enumerate(action.agents):
        if agent not in config.agents:
            what = f'names the agent "{agent}", which does not exist'
            yield (*at, "agents", index), what, nearest(agent, list(config.agents))
    places = PLACE.findall(action.once_per)
    if action.once_per and not places:
        what = "names no parameter: the action would happen once for all people and all time"
        yield (*at, "once_per"), what, 'Write one such as "refund:{order}".'
    for name in places:
        given = action.parameters.get(name)
        if action.is_http and given is None:
            what = f'has "{{{name}}}", which is no parameter'
            yield (*at, "once_per"), what, nearest(name, list(action.parameters))
        elif given is not None and not given.is_required:
            yield (*at, "once_per"), f'has "{{{name}}}", which may be left out of a call', "Name another."


# --- what actions stand on -------------------------------------------------------------------------------------------


def _servers(config: "Config") -> Iterator[Finding]:
    for name, server in config.mcp.items():
        at: Path = ("mcp", name)
        if bool(server.command) == bool(server.url):
            what = "says both a command and a url" if server.url else "says neither a command nor a url"
            yield at, what, "Write command for a program that is started here, or url for a server that runs."
        elif server.url:
            yield from _reach((*at, "url"), server.url, server.auth, config)
            if server.env:
                yield (*at, "env"), "means nothing for a server that is not started here", "Remove it."
        elif server.auth is not None:
            yield (*at, "auth"), "means nothing for a program", "Name its secrets in env."


def _people(operators: handoff_schema.Operators) -> Iterator[Finding]:
    seen: set[str] = set()
    for index, each in enumerate(operators.people):
        if each.name in seen:
            yield ("operators", "people", index, "name"), f'is "{each.name}" again', "Give each person one entry."
        seen.add(each.name)
