"""Where values come from besides the file: `.env`, systemd credentials and the environment, weakest first."""

import re
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import field
from difflib import get_close_matches
from pathlib import Path as FilePath
from typing import Any

from bot.config.lines import Lines, Path
from bot.config.shape import PREFIX, Leaf, Named, Shape, every, find, resolve, variable
from bot.errors import Problem
from bot.model import changeable, value

ENVIRONMENT = "environment"
# The variables that the providers' own SDKs read: anthropic.Anthropic and openai.OpenAI, argument `api_key`.
CUSTOMARY = {"anthropic": "ANTHROPIC_API_KEY", "openai": "OPENAI_API_KEY"}


@value
class Given:
    """One value by the name of its variable. The text may be a secret, so it stays out of the repr."""

    variable: str
    text: str = field(repr=False)
    file: str = ENVIRONMENT
    line: int = 0


@changeable
class Origins:
    """Says where a key got its value, for a problem to name."""

    file: str
    lines: Lines
    given: dict[Path, Given] = field(default_factory=dict)

    def problem(self, path: Path, what: str, mend: str) -> Problem:
        for length in range(len(path), 0, -1):
            if given := self.given.get(path[:length]):
                return Problem(given.variable, what, mend, given.file, given.line)
        return Problem(".".join(map(str, path)), what, mend, self.file, self.lines.nearest(path))


def collect(folder: FilePath, environ: Mapping[str, str]) -> tuple[list[Given], list[Problem]]:
    """All values given outside the file, weakest first, and what is wrong with their sources. Those with our prefix, and the
    customary keys of model providers."""
    dotenv, problems = _from_dotenv(folder / ".env")
    credentials, more = _from_credentials(environ.get("CREDENTIALS_DIRECTORY", ""))
    plain = [Given(name, text) for name, text in environ.items() if _is_ours(name)]
    return dotenv + credentials + plain, problems + more


def _is_ours(name: str) -> bool:
    return name.startswith(PREFIX) or name in CUSTOMARY.values()


def lay_over(raw: dict[str, Any], shape: Shape, given: list[Given], origins: Origins) -> list[Problem]:
    """Puts each value into `raw` under the key that its name means, and returns a problem for each that means none."""
    problems = []
    for each in given:
        if not each.variable.startswith(PREFIX):
            continue
        path = resolve(shape, each.variable.removeprefix(PREFIX), raw)
        if path is None:
            problems.append(_unknown(each, shape, raw))
        elif _put(raw, path, _value(each.text, find(shape, path))):
            origins.given[path] = each
    return problems


def _from_dotenv(path: FilePath) -> tuple[list[Given], list[Problem]]:
    try:
        mode = path.stat().st_mode
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return [], []
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        return [], [Problem(".env", f"cannot be read ({why})", "Correct or remove the file.", str(path))]
    if mode & stat.S_IROTH:
        return [], [Problem(".env", "can be read by every account here", f"chmod 600 {path}", str(path))]
    from dotenv import dotenv_values

    values = dotenv_values(path, interpolate=False)
    return [
        Given(name, value or "", str(path), _line_of(name, text)) for name, value in values.items() if _is_ours(name)
    ], []


def _line_of(name: str, text: str) -> int:
    found = re.search(rf"^[ \t]*(?:export[ \t]+)?{re.escape(name)}\b", text, re.MULTILINE)
    return text.count("\n", 0, found.start()) + 1 if found else 0


def _from_credentials(folder: str) -> tuple[list[Given], list[Problem]]:
    given: list[Given] = []
    problems: list[Problem] = []
    try:
        files = sorted(FilePath(folder).iterdir()) if folder else []
    except OSError as error:
        what = f"cannot be read ({error.strerror})"
        return [], [Problem("CREDENTIALS_DIRECTORY", what, "Correct LoadCredential= in the unit.", folder)]
    for file in files:
        if not _is_ours(file.name.upper()):
            continue
        try:
            given.append(Given(file.name.upper(), file.read_text("utf-8").rstrip("\r\n"), str(file)))
        except (OSError, UnicodeDecodeError):
            problems.append(
                Problem(file.name, "cannot be read as text", "Correct LoadCredential= in the unit.", str(file))
            )
    return given, problems


def _value(text: str, leaf: Shape | None) -> Any:  # a TOML value has any type
    """`text` itself where the key is text, else the TOML value that it spells, else `text`."""
    if isinstance(leaf, Leaf) and leaf.is_text:
        return text
    try:
        parsed = tomllib.loads(f"value = {text}")
    except (tomllib.TOMLDecodeError, RecursionError):
        return text
    return parsed["value"] if len(parsed) == 1 else text


def _put(raw: dict[str, Any], path: Path, value: object) -> bool:
    """False when something on the way is no table: that is a problem of its own."""
    at = raw
    for name in path[:-1]:
        at = at.setdefault(str(name), {})
        if not isinstance(at, dict):
            return False
    at[str(path[-1])] = value
    return True


def _unknown(given: Given, shape: Shape, raw: Mapping[str, Any]) -> Problem:
    names = {
        at: list(value)
        for at, value in raw.items()
        if isinstance(find(shape, (at,)), Named) and isinstance(value, dict)
    }
    every_name = [variable(path) for path, _ in every(shape, names)]
    known = [name for name in every_name if resolve(shape, name.removeprefix(PREFIX), raw) is not None]
    near = get_close_matches(given.variable, known, n=1, cutoff=0.7)
    mend = f"Did you mean {near[0]}?" if near else "Remove it; docs/configuration.md lists every key."
    return Problem(given.variable, "means no key of the config", mend, given.file, given.line)
