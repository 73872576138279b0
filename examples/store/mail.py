"""The shop's mail: a client, and the mail server on this machine that takes everything and sends nothing on.

Only what RFC 5321 needs for one message after another; the sink counts a mail as sent before it says 250.
"""

import asyncio
import smtplib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage

KEY_HEADER = "X-Shop-Key"
SENDER = "shop@example.com"
_SEND_S = 10.0
_COMMAND_BYTES = 2_000
_MAIL_BYTES = 1_000_000

Receive = Callable[[str, str, str], None]


@asynccontextmanager
async def sink(receive: Receive) -> AsyncIterator[int]:
    """Runs a mail server on a free port of this machine and gives the port. `receive(key, recipient, content)` for every mail."""
    talks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = asyncio.current_task()
        assert talk is not None  # noqa: S101  a callback of a server runs in a task
        talks.add(talk)
        try:
            await _Talk(reader, writer, receive).run()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            writer.transport.abort()
        finally:
            talks.discard(talk)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=_MAIL_BYTES)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for talk in list(talks):
            talk.cancel()
        await asyncio.gather(*talks, return_exceptions=True)


async def send(port: int, key: str, recipient: str, subject: str, text: str) -> None:
    """Hands one mail to the server on `port`. Raises OSError; then it may have been taken or not."""
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"], mail[KEY_HEADER] = SENDER, recipient, subject, key
    mail.set_content(text)
    await asyncio.to_thread(_hand_over, port, mail)


def _hand_over(port: int, mail: EmailMessage) -> None:
    with smtplib.SMTP("127.0.0.1", port, "localhost", timeout=_SEND_S) as client:
        client.send_message(mail)


class _Talk:
    """One connection to the sink."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, receive: Receive) -> None:
        self._reader, self._writer, self._receive = reader, writer, receive
        self._recipient = ""

    async def run(self) -> None:
        await self._say("220 shop")
        while line := await self._reader.readline():
            command = line[:_COMMAND_BYTES].decode("ascii", "replace").strip()
            await self._say(await self._answer(command))
            if command.upper() == "QUIT":
                return

    async def _answer(self, command: str) -> str:
        match command.partition(" ")[0].upper():
            case "QUIT":
                return "221 bye"
            case "RCPT":
                self._recipient = command.partition(":")[2].strip().partition(" ")[0].strip("<>")
                return "250 ok"
            case "DATA" if self._recipient:
                return await self._take()
            case "DATA":
                return "503 no recipient"
            case "EHLO" | "HELO" | "MAIL" | "RSET" | "NOOP":
                return "250 ok"
            case _:
                return "502 not known here"

    async def _take(self) -> str:
        await self._say("354 go on")
        raw = await self._reader.readuntil(b"\r\n.\r\n")
        lines = raw.removesuffix(b".\r\n").split(b"\r\n")
        mail = message_from_bytes(b"\n".join(line.removeprefix(b".") for line in lines), policy=policy.default)
        body = mail.get_body()
        self._receive(str(mail[KEY_HEADER] or ""), self._recipient, body.get_content() if body else "")
        self._recipient = ""
        return "250 taken"

    async def _say(self, line: str) -> None:
        self._writer.write(f"{line}\r\n".encode())
        await self._writer.drain()
