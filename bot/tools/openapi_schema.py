"""The schemas of an OpenAPI file as plain JSON Schema: references written out, objects closed, what only answers hold left out."""

from collections.abc import Mapping
from typing import Any, Final, cast
from urllib.parse import unquote

NODES_MOST: Final = 20_000
Schema = Mapping[str, Any]

_LISTS: Final = frozenset({"allOf", "anyOf", "oneOf"})
_MAPS: Final = frozenset({"properties", "patternProperties"})
_NOTES: Final = frozenset({"title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly"})
_KEPT: Final = frozenset(
    {
        *("type", "enum", "const", "title", "description", "default", "required", "pattern", "multipleOf"),
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength", "maxLength"),
        *("minItems", "maxItems", "uniqueItems", "minProperties", "maxProperties"),
    }
)
_DROPPED: Final = frozenset(
    {
        *("example", "examples", "xml", "externalDocs", "discriminator", "deprecated", "nullable", "format"),
        *("readOnly", "writeOnly", "$comment", "$schema", "$defs", "additionalProperties", "unevaluatedProperties"),
    }
)
_FORMATS: Final = frozenset({"date", "date-time", "email", "uri", "uuid"})
# https://spec.openapis.org/registry/format/
_RANGES: Final = {"int32": 2**31, "int64": 2**63}


class Document:
    """A whole file. `is_old`: it is of version 3.0, whose schemas are a dialect of their own. What is in it is never changed."""

    def __init__(self, whole: Schema, *, is_old: bool) -> None:
        self.whole = whole
        self._is_old = is_old

    def resolved(self, value: Any) -> Schema:  # any JSON value
        """The object itself, or the one that it refers to. Raises ValueError, as everything here."""
        seen: list[str] = []
        while isinstance(value, Mapping) and isinstance(value.get("$ref"), str):
            if value["$ref"] in seen:
                raise ValueError(f"refers to {value['$ref']} in a circle. Write out what is meant")
            seen.append(value["$ref"])
            value = self._target(value["$ref"])
        if not isinstance(value, Mapping):
            raise ValueError("has something else where an object belongs. Correct it there")  # noqa: TRY004
        return value

    def closed(self, schema: Any) -> dict[str, Any]:  # any JSON value
        """As JSON Schema that takes no field which is not declared."""
        return _Closing(self, is_old=self._is_old).made(schema, ())

    def _target(self, reference: str) -> Any:  # any JSON value
        """RFC 6901, within the file."""
        if not reference.startswith("#/"):
            raise ValueError(f"refers to {reference[:200]}, outside the file. Put it into the file")
        found: Any = self.whole
        for step in reference[2:].split("/"):
            name = unquote(step).replace("~1", "/").replace("~0", "~")
            if not (isinstance(found, Mapping) and name in found):
                raise ValueError(f"refers to {reference[:200]}, which is not there. Correct it")
            found = found[name]
        return found


class _Closing:
    """One schema being made. `trail`: the references that led to where it is."""

    def __init__(self, document: Document, *, is_old: bool) -> None:
        self._document = document
        self._is_old = is_old
        self._left = NODES_MOST

    def made(self, schema: Any, trail: tuple[str, ...], *, is_part: bool = False) -> dict[str, Any]:
        """`is_part`: it only says something of a value of which another schema says more, which closes it."""
        self._left -= 1
        if self._left < 0:
            raise ValueError("has a schema that is too large to be written out. Reach it by python = instead")
        schema, trail = self._followed({} if schema is True else schema, trail)
        found: dict[str, Any] = {}
        for key, value in schema.items():
            if key not in _DROPPED and not str(key).startswith("x-"):
                found |= self._keyword(str(key), value, trail)
        self._leave_answers_out(found, schema)
        self._close(found, schema, trail, is_part=is_part)
        return _translated(found, schema, is_old=self._is_old)

    def _followed(self, schema: Any, trail: tuple[str, ...]) -> tuple[Schema, tuple[str, ...]]:
        while isinstance(schema, Mapping) and "$ref" in schema:
            reference = str(schema["$ref"])
            if reference in trail:
                raise ValueError(f"refers to {reference[:200]} in a circle. Reach it by python = instead")
            others = {} if self._is_old else {key: value for key, value in schema.items() if key != "$ref"}
            if set(others) - _NOTES:
                return {"allOf": [{"$ref": reference}, others]}, trail
            trail = (*trail, reference)
            schema = {**self._document.resolved({"$ref": reference}), **others}
        if not isinstance(schema, Mapping):
            raise ValueError("has something else where a schema belongs. Correct it there")  # noqa: TRY004
        return schema, trail

    def _keyword(self, key: str, value: Any, trail: tuple[str, ...]) -> dict[str, Any]:
        if key in _MAPS:
            given = {name: each for name, each in value.items() if not self._is_answers(each)}
            return {key: {str(name): self.made(each, trail) for name, each in given.items()}}
        if key in _LISTS:
            return {key: [self.made(each, trail, is_part=True) for each in value]}
        if key == "prefixItems":
            return {key: [self.made(each, trail) for each in value]}
        if key == "items":
            return {key: False if value is False else self.made(value, trail)}
        if key not in _KEPT:
            raise ValueError(f"has {key} in a schema, which cannot be kept. Reach it by python = instead")
        return {key: value}

    def _is_answers(self, schema: Any) -> bool:
        """Whether only answers hold it."""
        found = schema
        if isinstance(schema, Mapping) and "$ref" in schema:
            found = self._document.resolved(schema)
            found = found if self._is_old else {**found, **schema}
        return isinstance(found, Mapping) and found.get("readOnly") is True

    def _leave_answers_out(self, found: dict[str, Any], schema: Schema) -> None:
        gone = set(schema.get("properties", ())) - set(found.get("properties", ()))
        if gone and "required" in found:
            found["required"] = [each for each in found["required"] if each not in gone]

    def _close(self, found: dict[str, Any], schema: Schema, trail: tuple[str, ...], *, is_part: bool) -> None:
        others = schema.get("additionalProperties")
        if isinstance(others, Mapping) and others:
            found["additionalProperties"] = self.made(others, trail)
        elif others is False:
            found["additionalProperties"] = False
        elif not is_part and not _LISTS.isdisjoint(found):
            found["unevaluatedProperties"] = False
        elif not is_part and _may_be_object(found):
            found["additionalProperties"] = False


def _may_be_object(schema: Schema) -> bool:
    kinds = schema.get("type")
    if kinds is None:
        return "enum" not in schema and "const" not in schema
    return kinds == "object" or (isinstance(kinds, list) and "object" in kinds)


def _translated(found: dict[str, Any], schema: Schema, *, is_old: bool) -> dict[str, Any]:
    """What is said in OpenAPI's own way."""
    kind = schema.get("format")
    if kind == "binary" or "contentMediaType" in schema:
        raise ValueError("takes a file, which cannot be sent. Reach it by python = instead")
    if kind in _FORMATS:
        found["format"] = kind
    if kind in _RANGES and found.get("type") == "integer":
        found.setdefault("minimum", -_RANGES[cast(str, kind)])
        found.setdefault("maximum", _RANGES[cast(str, kind)] - 1)
    if is_old:
        _bounds(found)
        if schema.get("nullable") is True and isinstance(found.get("type"), str):
            found["type"] = [found["type"], "null"]
    return found


def _bounds(found: dict[str, Any]) -> None:
    """3.0 says with true or false whether a bound is excluded."""
    for bound, excluded in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        flag = found.get(excluded)
        if isinstance(flag, bool):
            del found[excluded]
            if flag and bound in found:
                found[excluded] = found.pop(bound)
