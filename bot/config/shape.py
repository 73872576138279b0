"""The tree of keys that a config may hold, taken from the pydantic models.

One walk of it answers four questions: is this key known, which key does `FRONTDESK_SERVER_PORT` mean, which values are
secrets, and which keys must the documentation name.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import field
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from bot.config.lines import Path
from bot.model import value

PREFIX = "FRONTDESK_"


@value
class Leaf:
    """A key with a value. `default` is None where there is none; `is_text`: its value is text, taken as it is."""

    default: Any  # whatever type the key has
    is_required: bool = False
    is_secret: bool = False
    is_text: bool = False


@value
class Table:
    """A table with known keys."""

    keys: "Mapping[str, Shape]"


@value
class Named:
    """A table whose keys are names of the owner's choice, such as `[models.NAME]`. `of` gives None for a name that
    cannot be."""

    of: "Callable[[str], Shape | None]"


@value
class Many:
    """A list of tables that are all alike, such as `[[actions]]`. No variable means a key of theirs: they have no names. `kinds`: where each
    table says by its `kind` which keys it has; `of` then holds those of all kinds."""

    of: Table
    kinds: Mapping[str, Table] = field(default_factory=dict)

    def table(self, raw: Mapping[str, Any]) -> Table:
        """The keys of one of them."""
        return self.kinds.get(str(raw.get("kind")), self.of)


Shape = Leaf | Table | Named | Many


def table_of(model: type[BaseModel]) -> Table:
    """The shape of one pydantic model; keys are the names used in the file."""
    return Table({field.alias or name: _shape_of(field) for name, field in model.model_fields.items()})


def names_of(model: type[BaseModel]) -> Named:
    """The shape of `[section.NAME]` tables that all follow `model`."""
    table = table_of(model)
    return Named(lambda name: table)


def list_of(model: type[BaseModel]) -> Many:
    """The shape of `[[section]]` tables that all follow `model`."""
    return Many(table_of(model))


def list_of_kinds(models: Iterable[type[BaseModel]]) -> Many:
    """The shape of `[[section]]` tables that follow one of these models, each by its `kind`. What a key takes, where several kinds have it, is
    what it takes in the first of them."""
    kinds = {get_args(model.model_fields["kind"].annotation)[0]: table_of(model) for model in models}
    merged: dict[str, Shape] = {}
    for table in kinds.values():
        merged = {**table.keys, **merged}
    return Many(Table(merged), kinds)


def variable(path: Path) -> str:
    """The environment variable for a key: FRONTDESK_<SECTION>_<KEY>."""
    return PREFIX + "_".join(_upper(str(part)) for part in path)


def find(shape: Shape, path: Path) -> Shape | None:
    """The shape at `path`, or None when no such key can be."""
    at: Shape | None = shape
    for part in path:
        match at:
            case Table(keys):
                at = keys.get(str(part))
            case Named(of):
                at = of(str(part))
            case Many(each) if isinstance(part, int):
                at = each
            case _:
                return None
    return at


def unknown(raw: Mapping[str, Any], shape: Shape, at: Path = ()) -> Iterator[tuple[Path, list[str]]]:
    """Every key of `raw` that the shape does not know, with the names that stand at that place."""
    for name, written in raw.items():
        inner = find(shape, (name,))
        if inner is None:
            yield (*at, name), sorted(shape.keys) if isinstance(shape, Table) else []
        elif isinstance(inner, Many):
            for index, each in enumerate(written if isinstance(written, list) else ()):
                table = each if isinstance(each, Mapping) else {}
                yield from unknown(table, inner.table(table), (*at, name, index))
        elif isinstance(written, Mapping) and not isinstance(inner, Leaf):
            yield from unknown(written, inner, (*at, name))


def leaves(raw: Mapping[str, Any], shape: Shape, at: Path = ()) -> Iterator[tuple[Path, Leaf, Any]]:
    """Every known key that `raw` gives a value, with that value."""
    for name, written in raw.items():
        match find(shape, (name,)):
            case Leaf() as leaf:
                yield (*at, name), leaf, written
            case Table() | Named() as inner if isinstance(written, Mapping):
                yield from leaves(written, inner, (*at, name))
            case _:
                pass


def resolve(shape: Shape, rest: str, raw: object) -> Path | None:
    """The key that `rest` (an environment variable without its prefix) means. Names present in `raw` are tried first."""
    match shape:
        case Leaf() | Many():
            return None
        case Table(keys):
            return _first(keys.items(), rest, raw)
        case Named(of):
            present = [str(name) for name in raw] if isinstance(raw, Mapping) else []
            tried = present + [name for name in _splits(rest) if name not in present]
            return _first([(name, inner) for name in tried if (inner := of(name)) is not None], rest, raw)


def every(shape: Shape, names: Mapping[str, list[str]], at: Path = ()) -> Iterator[tuple[Path, Leaf]]:
    """Every key there is. `names` says which names to walk in a section of named tables; others stand as NAME."""
    match shape:
        case Leaf():
            yield at, shape
        case Table(keys):
            for name, inner in keys.items():
                yield from every(inner, names, (*at, name))
        case Named(of):
            for name in names.get(".".join(map(str, at)), ["NAME"]):
                if (inner_shape := of(name)) is not None:
                    yield from every(inner_shape, names, (*at, name))
        case Many(of=each):
            yield from every(each, names, at)


def _first(choices: Iterable[tuple[str, Shape]], rest: str, raw: object) -> Path | None:
    for name, inner in choices:
        upper = _upper(name)
        if rest == upper and isinstance(inner, Leaf):
            return (name,)
        below = raw.get(name) if isinstance(raw, Mapping) else None
        if rest.startswith(upper + "_") and (path := resolve(inner, rest[len(upper) + 1 :], below)):
            return (name, *path)
    return None


def _splits(rest: str) -> list[str]:
    """Every name that `rest` could begin with, shortest first: WEB_IDENTITY_SECRET gives web, web_identity."""
    words = rest.split("_")
    return ["_".join(words[:count]).lower() for count in range(1, len(words))]


def _upper(name: str) -> str:
    return re.sub(r"\W", "_", name).upper()


def _shape_of(field: FieldInfo) -> Shape:
    annotation = _without_none(field.annotation)
    table = _tables_of(annotation)
    return _leaf_of(field, annotation) if table is None else table


def _tables_of(annotation: Any) -> Shape | None:  # an annotation is any object
    """The shape of what holds tables."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return table_of(annotation)
    if get_origin(annotation) is dict:
        inner = get_args(annotation)[1]
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            return names_of(inner)
    if get_origin(annotation) is tuple:
        inner = get_args(annotation)[0]
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            return list_of(inner)
        if get_origin(inner) is Annotated and getattr(get_args(inner)[1], "discriminator", "") == "kind":
            return list_of_kinds(get_args(get_args(inner)[0]))
    return None


def _leaf_of(field: FieldInfo, annotation: Any) -> Leaf:  # an annotation is any object
    default = None if field.is_required() else field.get_default(call_default_factory=True, validated_data={})
    return Leaf(
        default=None if default is PydanticUndefined else default,
        is_required=field.is_required(),
        is_secret=annotation is SecretStr,
        is_text=annotation in (str, SecretStr) or get_origin(annotation) is Literal,
    )


def _without_none(annotation: Any) -> Any:  # an annotation is any object
    if get_origin(annotation) is None or type(None) not in get_args(annotation):
        return annotation
    others = [each for each in get_args(annotation) if each is not type(None)]
    return others[0] if len(others) == 1 else Union[tuple(others)]  # noqa: UP007  # built at run time
