"""The `frontdesk` command: picks the command's module, runs it, and turns our errors into one line and an exit code."""

import importlib
import os
import sys
from collections.abc import Sequence

from bot.commands.parser import WELCOME, build
from bot.errors import ConfigError, DataError, FrontdeskError

FAILED = 1
BAD_CONFIG = 2
NOT_RUNNING = 3
BAD_DATA = 4
INTERRUPTED = 130  # what a shell reports for Ctrl-C


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command. The exit codes are documented in docs/configuration.md."""
    words = sys.argv[1:] if argv is None else argv
    arguments = build(words).parse_args(words)
    if arguments.command is None:
        print(WELCOME, end="")
        return 0
    module, _, function = arguments.command.partition(":")
    try:
        status = int(getattr(importlib.import_module(f"bot.commands.{module}"), function)(arguments))
        sys.stdout.flush()
    except FrontdeskError as error:
        return _explain(error)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output has left, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    return status


def _explain(error: FrontdeskError) -> int:
    from bot.commands.output import one_line
    from bot.net.control import NotRunning

    for line in [str(problem) for problem in error.problems] if isinstance(error, ConfigError) else [str(error)]:
        print(f"frontdesk: {one_line(line)}", file=sys.stderr)
    match error:
        case ConfigError():
            return BAD_CONFIG
        case NotRunning():
            return NOT_RUNNING
        case DataError():
            return BAD_DATA
        case _:
            return FAILED


if __name__ == "__main__":
    sys.exit(main())
