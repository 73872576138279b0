"""`frontdesk outbox`: what waits to be sent; and what becomes of messages held after a restore."""

import argparse

from bot.commands.output import cut, say, show_json, show_table, when
from bot.commands.reach import ask, report


def run_list(arguments: argparse.Namespace) -> int:
    value, _ = report(arguments.config, "outbox", {"limit": arguments.limit})
    if arguments.json:
        show_json(value)
        return 0
    rows = [
        (
            f"{each['message']}/{each['part']}",
            each["channel"],
            "held" if each["is_held"] else each["state"],
            each["attempts"],
            when(each["due_ms"]),
            each["error"] or "-",
            cut(each["text"] or ""),
        )
        for each in (value if isinstance(value, list) else [])
    ]
    show_table(("message/part", "channel", "state", "tries", "due", "why", "text"), rows, "Nothing waits to be sent.")
    return 0


def run_release(arguments: argparse.Namespace) -> int:
    say(f"{ask(arguments.config, 'outbox release')} held message(s) will be sent now.")
    return 0


def run_discard(arguments: argparse.Namespace) -> int:
    say(f"{ask(arguments.config, 'outbox discard')} held message(s) will never be sent.")
    return 0
