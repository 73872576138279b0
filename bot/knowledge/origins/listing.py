"""The sources that a config file lists, and one more written at its end."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bot.config.knowledge_schema import SOURCE, SOURCES, Source, placed
from bot.errors import ConfigError, Problem
from bot.whole import replace_whole

KEY = "knowledge.sources"


def read_sources(config: Path) -> tuple[Source, ...]:
    """The `[[knowledge.sources]]` of the file, paths below its folder. Raises ConfigError with every problem of theirs."""
    listed = _listed(_parsed(_read(config), config))
    problems: list[Problem] = []
    for number, each in enumerate(listed):
        problems += _problems(each, f"{KEY}[{number}]", config)
    if problems:
        raise ConfigError(problems)
    found = tuple(placed(source, config.parent) for source in SOURCES.validate_python(listed))
    names = [each.name for each in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError([Problem(KEY, f"two sources are called {twice[0]}", "Rename one of them.", str(config))])
    return found


def add_source(config: Path, given: Mapping[str, object]) -> Source:
    """Writes one more source at the end of the file, which is replaced whole. Raises ConfigError, with the file as it was."""
    text = _read(config)
    problems = _problems(dict(given), KEY, config)
    if problems:
        raise ConfigError(problems)
    source = placed(SOURCE.validate_python(given), config.parent)
    if any(each.name == source.name for each in read_sources(config)):
        raise ConfigError(
            [Problem(KEY, f"there is a source called {source.name} already", "Choose another --name.", str(config))]
        )
    lines = "".join(f"{name} = {_written(value)}\n" for name, value in given.items())
    grown = f"{text.rstrip()}\n\n[[knowledge.sources]]\n{lines}".lstrip()
    if len(_listed(_parsed(grown, config))) != len(_listed(_parsed(text, config))) + 1:
        mend = "Write [[knowledge.sources]] into it by hand."
        raise ConfigError([Problem(KEY, "cannot be added to this file", mend, str(config))])
    try:
        replace_whole(config.resolve(), grown.encode())
    except OSError as error:
        what = f"cannot be written ({error.strerror or type(error).__name__})"
        mend = "Make the file and its folder writable for the user that runs this, or write the source into it by hand."
        raise ConfigError([Problem(str(config), what, mend)]) from error
    return source


def _read(config: Path) -> str:
    try:
        return config.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        what = f"cannot be read ({getattr(error, 'strerror', None) or 'not UTF-8'})"
        raise ConfigError([Problem(str(config), what, "Name the file with --config.")]) from error


def _parsed(text: str, config: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([Problem(str(config), f"is not TOML ({error})", "Run frontdesk check-config.")]) from error


def _listed(raw: dict[str, Any]) -> list[Any]:
    knowledge = raw.get("knowledge")
    found = knowledge.get("sources", []) if isinstance(knowledge, dict) else []
    return found if isinstance(found, list) else [found]


def _problems(given: object, key: str, config: Path) -> list[Problem]:
    try:
        SOURCE.validate_python(given)
    except ValidationError as error:
        return [
            Problem(
                ".".join([key, *(str(part) for part in each["loc"][1:])]),
                each["msg"].removeprefix("Value error, "),
                "docs/configuration.md lists the keys of each kind of source.",
                str(config),
            )
            for each in error.errors(include_input=False, include_url=False)
        ]
    return []


def _written(value: object) -> str:
    """A value as TOML writes it."""
    if isinstance(value, str):
        text = value.replace("\\", "\\\\").replace('"', '\\"')
        return '"' + "".join(c if c >= " " and c != "\x7f" else f"\\u{ord(c):04x}" for c in text) + '"'
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_written, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value)
