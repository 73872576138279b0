"""What an action is: a tool that reaches outside, and everything that is declared of it.

However it is reached (an HTTP endpoint, an operation of an OpenAPI file, a tool of an MCP server, a Python function), it is one `Action` with one
`Endpoint`, and passes one way: `bot.tools.acting`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import field
from enum import StrEnum
from typing import Any, Protocol

from bot.model import value

Arguments = Mapping[str, Any]  # JSON by nature


class Effect(StrEnum):
    """What a call leaves behind, and what may be done when nobody knows whether it was carried out."""

    READ = "read"  # nothing: it may be made again
    KEYED = "keyed"  # once for each key: it may be made again with the same key
    CHECKABLE = "checkable"  # it can be looked up
    NAKED = "naked"  # only a person can find out


class Consent(StrEnum):
    """Who must agree before a call is made."""

    NONE = "none"
    USER = "user"
    OPERATOR = "operator"


class Source(StrEnum):
    """Where the value of a parameter comes from. What does not come from the model is absent from the schema that it is shown."""

    MODEL = "model"
    IDENTITY = "identity"  # the id of the person who asks, as their channel or the host page vouches for it
    FACTS = "facts"  # a field of the facts that were looked up for this call


class Role(StrEnum):
    """What a parameter decides, where that wants care."""

    PLAIN = ""
    AMOUNT = "amount"  # money, in the smallest unit of its currency
    CURRENCY = "currency"  # of the amount, ISO 4217
    RECIPIENT = "recipient"  # who gets something: never taken from text that somebody else wrote


@value
class Parameter:
    """One argument. `source_field`: which field of the identity or of the facts gives it ("" for its own name). `most_field`: a field of
    the facts that an amount may not exceed. `schema`: its JSON Schema."""

    name: str
    schema: Mapping[str, Any]
    is_required: bool = True
    title: str = ""
    source: Source = Source.MODEL
    source_field: str = ""
    role: Role = Role.PLAIN
    most_field: str = ""


@value
class Allowance:
    """How much of it may happen. 0: no such limit. Amounts in the smallest unit."""

    amount_per_call: int = 0
    amount_per_day: int = 0  # for one person
    calls_per_day: int = 0  # for one person
    two_operators_above: int | None = None
    operator_above: int | None = None


@value
class Reply:
    """What an endpoint said. `is_refused`: it certainly did nothing; unless `is_vague`: it failed, and may have done something before. `data` is
    JSON."""

    data: Any
    is_refused: bool = False
    is_vague: bool = False


class Endpoint(Protocol):
    """What carries an action out. A call is made once: whether to make it again is decided by the caller alone.

    Both raise `NotSent` when certainly nothing has happened, and `Uncertain` when nobody knows."""

    async def call(self, arguments: Arguments, key: str, within_s: float) -> Reply:
        """`key` belongs to the logical action, and is the same in every try. `arguments` have passed the schema."""
        ...

    async def look_up(self, arguments: Arguments, key: str, within_s: float) -> Reply | None:
        """What became of an earlier call with this key; None if it certainly never happened."""
        ...


@value
class Action:
    """Everything declared of one action. `once_per`: a template over arguments, such as "refund:{order}": a second intent for the same is
    stopped; "": the same call with the same arguments happens once in a case. `facts`: the read that is made before consent is asked and
    again before the call, with the arguments of the same names; a difference in `fact_fields` voids the consent. `keep`: the fields of
    the answer that the model is shown, as paths such as "items.name"; none: all. `version` changes with anything that is declared."""

    name: str
    title: str
    description: str
    parameters: tuple[Parameter, ...]
    endpoint: Endpoint
    effect: Effect = Effect.NAKED
    consent: Consent = Consent.USER
    allowance: Allowance = Allowance()
    agents: tuple[str, ...] = ("main",)
    keep: tuple[str, ...] = ()
    cache_s: float = 0.0
    timeout_s: float = 20.0
    tries: int = 2
    once_per: str = ""
    facts: str = ""
    fact_fields: tuple[str, ...] = ()
    is_profile: bool = False  # a read that is made when a case starts
    origin: str = ""  # how it is reached, for people: "GET https://shop.example.com/orders/{order}"
    version: str = ""
    given: Mapping[str, Any] = field(default_factory=dict)  # schemas that parameters refer to (`$defs`)

    @property
    def is_read(self) -> bool:
        return self.effect is Effect.READ

    def of_role(self, role: Role) -> Parameter | None:
        return next((each for each in self.parameters if each.role is role), None)

    def schema(self, sources: Sequence[Source] = tuple(Source)) -> dict[str, Any]:
        """JSON Schema of the arguments that come from these sources: closed, whatever was imported."""
        chosen = [each for each in self.parameters if each.source in sources]
        made: dict[str, Any] = {
            "type": "object",
            "properties": {each.name: dict(each.schema) for each in chosen},
            "required": [each.name for each in chosen if each.is_required],
            "additionalProperties": False,
        }
        if self.given:
            made["$defs"] = dict(self.given)
        return made


@value
class Declared:
    """What the way to an action tells by itself, before the config adds its rules. `effect` is a guess at most: None where nothing is
    known."""

    description: str
    parameters: tuple[Parameter, ...]
    endpoint: Endpoint
    given: Mapping[str, Any] = field(default_factory=dict)
    origin: str = ""
    effect: Effect | None = None
