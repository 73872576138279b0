"""The shop's mail server takes each mail once, as it was written."""

import asyncio
import smtplib

import pytest

from examples.store import mail

MIRA = "mira@example.com"


async def test_a_mail_arrives_as_it_was_written() -> None:
    taken: list[tuple[str, str, str]] = []
    text = ".\n..\n. a line that begins with a dot\nGrüße aus Köln\n"
    async with mail.sink(lambda *each: taken.append(each)) as port:
        await mail.send(port, "k1", MIRA, "Your order", text)
        await mail.send(port, "k2", MIRA, "Your order", "Hello\n")
    assert taken == [("k1", MIRA, text), ("k2", MIRA, "Hello\n")]


async def test_a_mail_that_is_broken_off_was_never_sent() -> None:
    taken: list[tuple[str, str, str]] = []
    async with mail.sink(lambda *each: taken.append(each)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(
            b"HELO me\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\nSubject: half\r\n\r\nhel"
        )
        await writer.drain()
        while not (await reader.readline()).startswith(b"354"):
            pass
        writer.close()
        await writer.wait_closed()
        await mail.send(port, "k1", MIRA, "whole", "whole\n")
    assert [key for key, _, _ in taken] == ["k1"]


async def test_a_mail_without_a_recipient_is_refused() -> None:
    async with mail.sink(lambda *_: pytest.fail("taken")) as port:

        def talk() -> int:
            with smtplib.SMTP("127.0.0.1", port, "localhost", timeout=10) as client:
                client.ehlo()
                client.mail("a@example.com")
                return client.docmd("DATA")[0]

        assert await asyncio.to_thread(talk) == 503


async def test_where_no_server_is_the_sender_is_told() -> None:
    async with mail.sink(lambda *_: None) as port:
        pass
    with pytest.raises(OSError, match="refused"):
        await mail.send(port, "k1", MIRA, "Your order", "Hello\n")
