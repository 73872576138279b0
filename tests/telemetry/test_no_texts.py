"""What people write is private: it is logged at level debug only."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
LOGGERS = {"log", "_log"}
SEEN = {"info", "warning", "error", "exception", "critical"}  # what is written with the default level


def test_no_text_of_a_message_is_logged_above_debug() -> None:
    """No log call above debug is given a message's text, or a whole message, event or request."""
    private = {"text", "message", "messages", "event", "request", "query", "body", "answer"}
    found = [
        f"{path.relative_to(ROOT)}:{call.lineno}"
        for folder in ("bot", "adapters")
        for path in (ROOT / folder).rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call) and _is_log_call(call)
        for given in [*call.args[1:], *(keyword.value for keyword in call.keywords)]
        if _named(given) & private
    ]
    assert found == []


def _is_log_call(call: ast.Call) -> bool:
    function = call.func
    return (
        isinstance(function, ast.Attribute)
        and function.attr in SEEN
        and isinstance(function.value, ast.Name)
        and function.value.id in LOGGERS
    )


def _named(given: ast.expr) -> set[str]:
    """The last names of the values that are put into the entry as they are: `x.text` gives `text`, `x.text.y` gives `y`."""
    inner = {id(node.value) for node in ast.walk(given) if isinstance(node, ast.Attribute)}
    return {
        node.attr if isinstance(node, ast.Attribute) else node.id
        for node in ast.walk(given)
        if isinstance(node, ast.Attribute | ast.Name) and id(node) not in inner
    }
