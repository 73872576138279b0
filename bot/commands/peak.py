"""`frontdesk check-config --peak`: can each answer chain carry so many turns, by what is stated of its models?

Nothing is measured and nobody is asked: the limits of the config are set against assumptions, which the output names.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from math import ceil

from bot.config import Config
from bot.config.schema import Model

CALLS = 2  # calls of a model in one turn: one that searches, one that answers
INPUT_TOKENS = 3_000  # of one call: instructions, conversation, passages
OUTPUT_TOKENS = 300  # of one call
CALL_S = 4.0  # how long one call lasts
USABLE = 0.95  # of a stated limit: some room stays free, since providers count their minutes differently


@dataclass(frozen=True, slots=True)
class Load:
    """What is to be carried: turns a minute, and what one turn asks of a model. `input_tokens` and `output_tokens` are of one call."""

    turns: float
    calls: int = CALLS
    input_tokens: int = INPUT_TOKENS
    output_tokens: int = OUTPUT_TOKENS

    @property
    def calls_at_once(self) -> float:
        """By Little's law: calls begun a second, times how long each lasts."""
        return self.turns / 60 * self.calls * CALL_S

    @property
    def turns_at_once(self) -> float:
        """The same for turns, which last as long as their calls."""
        return self.turns / 60 * (self.calls * CALL_S)


@dataclass(frozen=True, slots=True)
class Carries:
    """What one model can carry, in turns a minute. `most` is its lowest limit, our own `calls_at_once` among them; `is_stated`: its
    provider's limits are known, so that it carries that much indeed."""

    name: str
    limits: tuple[str, ...]
    most: float
    is_stated: bool


def weigh(config: Config, load: Load) -> tuple[list[str], bool]:
    """The lines to show, and whether every chain can carry the load as far as is known."""
    lines = [
        f"peak      {_number(load.turns)} turns a minute (a plain number means turns a minute)",
        f"assumed   {load.calls:g} calls a turn, {_number(load.input_tokens)} input and {_number(load.output_tokens)} output tokens"
        f" a call, {CALL_S:g} s a call,"
        f" {USABLE:.0%} of a stated limit in use; change with --calls, --input-tokens, --output-tokens",
        f"at once   {ceil(load.calls_at_once):,} calls of models, {ceil(load.turns_at_once):,} turns",
    ]
    is_carried = True
    if len(config.agents) > 1:
        lines.append("agents    each is judged as if the whole peak came to it")
    for chain, agents in _chains(config).items():
        lines.append(f"agent{'s' * (len(agents) > 1)} {', '.join(agents)}: {' then '.join(chain)}")
        told, is_enough = _weigh_chain(
            [(name, config.models[name]) for name in chain], load, config.limits.cost_per_day
        )
        lines += [f"  {line}" for line in told]
        is_carried &= is_enough
    at_once = config.limits.turns_at_once
    if load.turns_at_once > at_once:
        lines.append(
            f"[limits] turns_at_once is {_number(at_once)}: too few. Set it to {2 * ceil(load.turns_at_once):,} or more."
        )
        is_carried = False
    return lines, is_carried


def carries(name: str, model: Model, load: Load) -> Carries:
    """What a model's limits carry, each with its words."""
    limits, tokens = model.limits, load.input_tokens + load.output_tokens
    stated = [
        (limits.requests_per_minute, "requests a minute", load.calls),
        (limits.tokens_per_minute, "tokens a minute", load.calls * tokens),
    ]
    known = [(f"{_number(limit)} {unit}", limit * USABLE / each) for limit, unit, each in stated if limit]
    at_once = (f"{_number(limits.calls_at_once)} calls at once", limits.calls_at_once * 60 / (load.calls * CALL_S))
    words = tuple(f"{what} carry {_number(turns)}" for what, turns in [*known, at_once])
    return Carries(name, words, min(turns for _, turns in [*known, at_once]), bool(known))


def _chains(config: Config) -> dict[tuple[str, ...], list[str]]:
    """Each answer chain with the agents that use it."""
    chains: dict[tuple[str, ...], list[str]] = {}
    for agent in config.agents:
        chains.setdefault(config.chain("answer", agent), []).append(agent)
    return chains


def _weigh_chain(chain: Sequence[tuple[str, Model]], load: Load, budget: float) -> tuple[list[str], bool]:
    reached = list(takewhile(lambda each: each[1].provider != "offline", chain))
    if not reached:
        return ["the offline answerer has no limits and carries what this machine carries"], True
    found = [carries(name, model, load) for name, model in reached]
    verdict, is_enough = _verdict(found, load)
    return [*_model_lines(found), *_cost(*reached[0], load, budget), verdict], is_enough


def _cost(name: str, model: Model, load: Load, budget: float) -> Iterator[str]:
    """What an hour of the peak costs with the first model of a chain, in the currency of its prices."""
    prices = model.prices
    call = (load.input_tokens * prices.input + load.output_tokens * prices.output) / 1_000_000
    hour = call * load.calls * load.turns * 60
    if hour > 0:
        until = f"; [limits] cost_per_day = {budget:g} lasts {budget / hour:,.1f} hours of it" if budget else ""
        yield f"an hour of the peak costs about {hour:,.2f} with {name}, caches aside{until}"


def _model_lines(reached: Sequence[Carries]) -> Iterator[str]:
    for each in reached:
        unknown = "" if each.is_stated else "its provider's limits are not stated (unknown); "
        yield f"{each.name}: {unknown}{', '.join(each.limits)} turns a minute"


def _verdict(reached: Sequence[Carries], load: Load) -> tuple[str, bool]:
    """Models that state limits answer together: what one cannot take goes to the next."""
    unknown = [each.name for each in reached if not each.is_stated]
    known = sum(each.most for each in reached if each.is_stated)
    possible = sum(each.most for each in reached)
    wanted = _number(load.turns)
    mend = "Raise the limits at the provider and in the config, or add a model to the chain."
    if known >= load.turns:
        return f"It carries the peak: {wanted} turns a minute of the {_number(known)} that it can.", True
    if possible < load.turns:
        rest = "What is beyond that waits, and then the offline answerer quotes."
        return f"It cannot carry the peak: {_number(possible)} of {wanted} turns a minute at most. {rest} {mend}", False
    names = ", ".join(unknown)
    if len(unknown) == len(reached):
        return f"Unknown: state the limits of {names} in [models.{unknown[0]}.limits] to find out.", True
    rest = f"whether {names} can carry the rest is unknown. State the limits in [models.{unknown[0]}.limits]."
    return f"What is stated carries {_number(known)} of {wanted} turns a minute; {rest}", False


def _number(value: float) -> str:
    """Rounded down, so that nothing is promised that is not there; small numbers keep a digit."""
    tenths = int(value * 10 + 1e-6)
    return f"{tenths // 10:,}" if value >= 10 or tenths % 10 == 0 else f"{tenths / 10:,.1f}"
