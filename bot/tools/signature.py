"""What a Python function takes: told as JSON Schema, and made out of JSON."""

import inspect
import json
import re
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any, get_type_hints

from pydantic import BaseModel, PydanticSchemaGenerationError, PydanticUserError, TypeAdapter, ValidationError
from pydantic_core import to_jsonable_python

from bot.tools.action import Arguments, Parameter

KEY = "idempotency_key"  # a parameter of this name is given the key, and is not shown
SAID_CHARS = 2_000  # of what is wrong

Target = Callable[..., Any]

_SECTION = re.compile(
    r"(args|arguments|parameters|params|returns?|raises|yields?|examples?|notes?)\s*:?\s*(-{3,})?", re.I
)
_ENTRY = re.compile(r"(?P<indent>[ \t]*)\*{0,2}(?P<name>\w+)\s*(?:\([^)]*\))?\s*:\s*(?P<text>.*)")


class Inputs:
    """What a function takes: as JSON Schema, and as values of its types."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.name = called(target)
        self.is_async = inspect.iscoroutinefunction(target)
        signature, hints = _read(target)
        self.has_key = KEY in signature.parameters
        taken = {name: each for name, each in signature.parameters.items() if name != KEY}
        for each in taken.values():
            _check(self.name, each, hints)
        self.description, told = _documented(inspect.getdoc(target) or "")
        only = next(iter(taken), "") if len(taken) == 1 else ""
        self._model = only if only and _is_model(hints[only]) else ""
        self._adapters = {name: _adapter(self.name, name, hints[name]) for name in taken}
        if self._model:
            self.parameters, self.given = _of_model(self._adapters[self._model], hints[self._model])
        else:
            self.parameters, self.given = _of_each(self.name, self._adapters, taken, told)
        self.names = frozenset(each.name for each in self.parameters)

    def typed(self, arguments: Arguments, key: str) -> dict[str, Any]:
        """The arguments as the function wants them; what is absent is left to its defaults. Raises ValueError."""
        given = (
            {self._model: self._value(self._model, dict(arguments))}
            if self._model
            else {name: self._value(name, value) for name, value in arguments.items()}
        )
        return given | ({KEY: key} if self.has_key else {})

    def _value(self, name: str, value: object) -> Any:
        if name not in self._adapters:
            raise ValueError(f"it takes no {name}")
        try:
            return self._adapters[name].validate_json(json.dumps(value), strict=True)
        except ValidationError as error:
            raise ValueError(faults(error, "" if self._model else name)) from error


def called(target: object) -> str:
    name = getattr(target, "__qualname__", "") or getattr(target, "__name__", "") or type(target).__name__
    return name if inspect.ismodule(target) else f"{getattr(target, '__module__', '')}:{name}"


def faults(error: ValidationError, name: str) -> str:
    """What is wrong, without the values."""
    found = error.errors(include_url=False, include_context=False, include_input=False)[:5]
    where = ((".".join(map(str, ([name] if name else []) + [*each["loc"]])), each["msg"]) for each in found)
    return "; ".join(f"{place or 'value'}: {message}" for place, message in where)[:SAID_CHARS]


def _read(target: Target) -> tuple[inspect.Signature, dict[str, Any]]:
    try:
        function = target if inspect.isroutine(target) else type(target).__call__
        return inspect.signature(target), get_type_hints(function, include_extras=True)
    except (NameError, TypeError, ValueError) as error:
        raise ValueError(f"the types of {called(target)} cannot be read: {error}") from error


def _check(function: str, each: inspect.Parameter, hints: Mapping[str, Any]) -> None:
    if each.kind not in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY):
        raise ValueError(f"{function} takes {each}, which cannot be given by name")
    if each.name not in hints:
        raise ValueError(f"the parameter {each.name} of {function} has no type")


def _adapter(function: str, name: str, hint: Any) -> TypeAdapter[Any]:
    try:
        adapter = TypeAdapter(hint)
        adapter.json_schema()
    except (PydanticSchemaGenerationError, PydanticUserError) as error:
        raise ValueError(f"the parameter {name} of {function} has a type that JSON cannot carry") from error
    return adapter


def _of_each(
    function: str,
    adapters: Mapping[str, TypeAdapter[Any]],
    taken: Mapping[str, inspect.Parameter],
    told: Mapping[str, str],
) -> tuple[tuple[Parameter, ...], dict[str, Any]]:
    """One parameter for each of the function's."""
    schemas, definitions = TypeAdapter.json_schemas([(name, "validation", each) for name, each in adapters.items()])
    made = []
    for name, each in taken.items():
        schema = dict(schemas[name, "validation"])
        title = str(schema.pop("title", ""))
        if told.get(name):
            schema.setdefault("description", told[name])
        has_default = each.default is not inspect.Parameter.empty
        if has_default:
            schema |= _default(each.default)
        made.append(Parameter(name, schema, is_required=not has_default, title="" if "$ref" in schema else title))
    return tuple(made), definitions.get("$defs", {})


def _of_model(adapter: TypeAdapter[Any], model: type[BaseModel]) -> tuple[tuple[Parameter, ...], dict[str, Any]]:
    """One parameter for each field of a model."""
    whole = adapter.json_schema()
    given = whole.pop("$defs", {})
    if "$ref" in whole:
        whole = given[whole["$ref"].rpartition("/")[2]]
    titles = {(each.alias or name): each.title or "" for name, each in model.model_fields.items()}
    required = whole.get("required", ())
    made = tuple(
        Parameter(
            name,
            {key: value for key, value in schema.items() if key != "title"},
            is_required=name in required,
            title=titles.get(name, ""),
        )
        for name, schema in whole.get("properties", {}).items()
    )
    return made, given


def _default(value: object) -> dict[str, Any]:
    """What a schema says of a default; nothing if JSON cannot."""
    try:
        return {"default": to_jsonable_python(value)}
    except ValueError:
        return {}


def _documented(text: str) -> tuple[str, dict[str, str]]:
    """A docstring without its sections, and what its section of arguments says of each."""
    lines = text.splitlines()
    heads = [at for at, line in enumerate(lines) if _SECTION.fullmatch(line.strip()) and not line.startswith(" ")]
    description = "\n".join(lines[: heads[0]] if heads else lines).strip()
    told: dict[str, str] = {}
    for start, end in pairwise([*heads, len(lines)]):
        if lines[start].strip().lower().startswith(("arg", "param")):
            told |= _entries(lines[start + 1 : end])
    return description, told


def _entries(lines: list[str]) -> dict[str, str]:
    told: dict[str, str] = {}
    name, depth = "", 0
    for line in lines:
        entry = _ENTRY.fullmatch(line)
        if entry is not None and (not name or len(entry["indent"]) <= depth):
            name, depth = entry["name"], len(entry["indent"])
            told[name] = entry["text"].strip()
        elif name:
            told[name] = f"{told[name]} {line.strip()}".strip()
    return told


def _is_model(hint: object) -> bool:
    return inspect.isclass(hint) and issubclass(hint, BaseModel)
