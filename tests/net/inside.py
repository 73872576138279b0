"""Runs inside a network namespace that has nothing but loopback: `python -m tests.net.inside FOLDER [model]`.

Starts the real daemon with an empty perimeter, asks it a question as a visitor would, and prints what came of it as one line of JSON.
With `model`, the answers come from a model server on loopback.
"""

import asyncio
import fcntl
import json
import os
import socket
import struct
import sys
from pathlib import Path
from typing import Any

import aiohttp

from tests.e2e.house import Chat, Daemon
from tests.models.wire import Reply

QUESTION = "How do I put the widget on my website?"
# The requests and the flag: netdevice(7).
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 0x1
WATCH = """\
import os, sys
_file = os.open(os.environ["WATCHED"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
_outward = {"socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo", "socket.gethostbyname"}
def _watch(event, arguments):
    if event in _outward:
        where = next((each for each in arguments if isinstance(each, (tuple, str, bytes))), "")
        os.write(_file, (event + " " + repr(where) + chr(10)).encode())
sys.addaudithook(_watch)
"""


def bring_loopback_up() -> None:
    """A new namespace begins with its loopback down."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh22x", b"lo", 0)
        _, flags = struct.unpack("16sh22x", fcntl.ioctl(any_socket, SIOCGIFFLAGS, request))
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", flags | IFF_UP))


def watched(folder: Path) -> dict[str, str]:
    """The environment in which any Python process notes in `folder/watched` whatever it connects to, sends to or looks up."""
    (folder / "sitecustomize.py").write_text(WATCH)
    here = Path(__file__).parents[2]
    return {"PYTHONPATH": os.pathsep.join([str(folder), str(here)]), "WATCHED": str(folder / "watched")}


async def talk(daemon: Daemon) -> dict[str, Any]:
    """The final answer to one question, with what came before it."""
    async with aiohttp.ClientSession() as session, session.ws_connect(daemon.url + "/ws") as connection:
        chat = Chat(connection)
        await chat.hello()
        answer = await chat.say(QUESTION, "1")
    return {"text": answer["text"], "citations": len(answer.get("citations") or ())}


async def run(folder: Path, has_model: bool) -> dict[str, Any]:
    from tests.models.openai_server import OpenAIServer

    server = OpenAIServer(script=lambda _: Reply(text="The model on this machine says: one tag."))
    more = "[network]\nallow = []\n"
    if has_model:
        await server.start(0)
        more += f'[models.near]\nprovider = "openai"\nmodel = "m"\nbase_url = "{server.base_url}"\n[roles]\nanswer = ["near"]\n'
    daemon = Daemon(folder, more=more)
    try:
        await asyncio.to_thread(daemon.start, **watched(folder))
        page = await asyncio.to_thread(daemon.get, "/")
        answer = await talk(daemon)
    finally:
        status = await asyncio.to_thread(daemon.stop)
        if has_model:
            await server.close()
    return {"page": page, "status": status, "interfaces": [name for _, name in socket.if_nameindex()], **answer}


if __name__ == "__main__":
    bring_loopback_up()
    told = asyncio.run(run(Path(sys.argv[1]), "model" in sys.argv[2:]))
    print(json.dumps(told))  # noqa: T201 - the test reads it
