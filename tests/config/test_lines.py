"""Every key has a line, whatever the file looks like."""

import tomllib
from collections.abc import Iterator
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from bot.config.lines import Path, scan

TEXT = '''\
# top
title = "a # b"   # comment

[server]
host = 'x[y'
"quoted key" = 1
a.b."c.d" = [
  1, # one ]
  "two ]",
]
multi = """
[not.a.table]
key = 1
"""
inline = { p = 1, q = { r = 2 } }

[[people]]
name = "one"
[people.phone]
home = 1
[[people]]
name = \'\'\'two\'\'\'
'''


def test_keys_are_found_where_they_stand() -> None:
    """Tables, arrays of tables, dotted and quoted keys each have their own line."""
    lines = scan(TEXT)
    assert lines.of == {
        ("title",): 2,
        ("server",): 4,
        ("server", "host"): 5,
        ("server", "quoted key"): 6,
        ("server", "a"): 7,
        ("server", "a", "b"): 7,
        ("server", "a", "b", "c.d"): 7,
        ("server", "multi"): 11,
        ("server", "inline"): 15,
        ("people",): 17,
        ("people", 0): 17,
        ("people", 0, "name"): 18,
        ("people", 0, "phone"): 19,
        ("people", 0, "phone", "home"): 20,
        ("people", 1): 21,
        ("people", 1, "name"): 22,
    }
    assert lines.repeats == []


def test_a_key_inside_an_inline_table_has_the_line_of_the_key_that_holds_it() -> None:
    """The nearest line that is known is given, and 0 when none is."""
    lines = scan(TEXT)
    assert lines.nearest(("server", "inline", "q", "r")) == 15
    assert lines.nearest(("elsewhere",)) == 0


@given(st.text(alphabet="ab.=[]{}\"'#\n \\1,", max_size=80))
@example('a = """')
@example("[[[")
def test_any_text_is_scanned(text: str) -> None:
    """Scanning never raises and never hangs; every line lies within the text."""
    assert all(1 <= line <= text.count("\n") + 1 for line in scan(text).of.values())


names = st.one_of(st.from_regex(r"[A-Za-z0-9_-]{1,8}", fullmatch=True), st.sampled_from(['"x y"', "'a.b'", '"t\\tq"']))
values = st.sampled_from(["1", '"s"', "'l'", "[1, [2], {a = 3}]", '"""\n[x]\ny = 1\n"""', "{ a = 1 }", "true # end"])
statements = st.one_of(
    st.builds(lambda keys, value: f"{'.'.join(keys)} = {value}", st.lists(names, min_size=1, max_size=3), values),
    st.builds(lambda keys: f"[{'.'.join(keys)}]", st.lists(names, min_size=1, max_size=3)),
    st.builds(lambda keys: f"[[{'.'.join(keys)}]]", st.lists(names, min_size=1, max_size=2)),
    st.just("# [comment]\n"),
)


@given(st.lists(statements, max_size=8))
def test_every_key_that_the_parser_reads_has_a_line(parts: list[str]) -> None:
    """For any file that TOML accepts, no key is missed, and none is called repeated."""
    text = "\n".join(parts)
    try:
        parsed = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    lines = scan(text)
    assert lines.repeats == []
    assert {path for path in paths(parsed) if not any(path[: len(held)] == held for held in inline(text))} <= set(
        lines.of
    )


def paths(value: Any, at: Path = ()) -> Iterator[Path]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if is_array_of_tables(value) else ()
    for name, inner in items:
        yield (*at, name)
        yield from paths(inner, (*at, name))


def is_array_of_tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(each, dict) for each in value)


def inline(text: str) -> Iterator[Path]:
    """Places inside inline values, which have no lines of their own."""
    return ((*path, "a") for path in scan(text).of)
