"""The process that parses what strangers wrote: `python -m bot.knowledge.reading.child`.

It reads a line of JSON and as many bytes as that says, answers with one line, and so on until its input ends. Before the first byte it
gives up what it does not need: memory beyond `MEMORY_BYTES`, processor time beyond `CPU_S` a document, writing files, and, where the system
lets it, the network.
"""

import ctypes
import json
import resource
import sys
from collections.abc import Callable
from importlib import import_module
from typing import IO, Final

from bot.knowledge.reading.parsed import Format, Parsed, Unparsed, Unread

MEMORY_BYTES: Final = 768 * 1024 * 1024
CPU_S: Final = 20
MOST_BYTES: Final = 128 * 1024 * 1024
# linux/sched.h
_NEW_USER, _NEW_NET = 0x10000000, 0x40000000
_READERS: Final = {
    Format.PDF: ("bot.knowledge.reading.pdf", "documents"),
    Format.DOCX: ("bot.knowledge.reading.docx", "documents"),
    Format.PAGE: ("bot.knowledge.reading.page", ""),
    Format.SITEMAP: ("bot.knowledge.reading.sitemap", "web"),
}


def main() -> None:
    give_up_network()
    limit_all()
    serve(sys.stdin.buffer, sys.stdout.buffer)


def serve(into: IO[bytes], out: IO[bytes]) -> None:
    """Answers until the input ends."""
    while line := into.readline(100_000):
        asked = json.loads(line)
        size = int(asked["size"])
        limit_time()
        answer = _answer(Format(asked["format"]), into.read(min(size, MOST_BYTES)), str(asked["url"]))
        out.write(answer.encode() + b"\n")
        out.flush()


def limit_all() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))


def limit_time() -> None:
    """From now on, CPU_S; what earlier documents took does not count."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + CPU_S, hard))


def give_up_network() -> bool:
    """Whether this process is now in a network of its own, without any way out."""
    try:
        unshare = ctypes.CDLL(None, use_errno=True).unshare
    except (OSError, AttributeError):
        return False
    return bool(unshare(_NEW_NET) == 0 or unshare(_NEW_USER | _NEW_NET) == 0)


def _answer(kind: Format, data: bytes, url: str) -> str:
    try:
        return _reader(kind)(data, url).to_json()
    except Unread as error:
        return json.dumps({"unread": str(error)})
    except Unparsed as error:
        return _refusal(str(error))
    except MemoryError:
        return _refusal("took too much memory to read")
    except RecursionError:
        return _refusal("is nested too deeply to be read")
    except Exception as error:  # noqa: BLE001 - parsers of hostile bytes raise anything; the reason goes to the report
        return _refusal(f"could not be read: it is damaged ({type(error).__name__})")


def _reader(kind: Format) -> Callable[[bytes, str], Parsed]:
    module, extra = _READERS[kind]
    try:
        read: Callable[[bytes, str], Parsed] = import_module(module).read
    except ImportError as error:
        raise Unread(f"cannot be read yet: run pip install 'frontdesk[{extra}]' and start again") from error
    return read


def _refusal(reason: str) -> str:
    return json.dumps({"reason": reason})


if __name__ == "__main__":
    main()
