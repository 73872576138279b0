"""WhatsApp as the suite for all adapters drives it: two people and one number, reached through a public URL that is not Frontdesk's own
address, as behind a proxy or a tunnel."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from bot.ports import Clock
from tests.platforms.kit import Seen
from tests.platforms.twilio.ledger import ACCOUNT, NUMBER, OTHER, PERSON, TOKEN, Media, Record
from tests.platforms.twilio.server import TwilioServer

PUBLIC_URL: Final = "https://desk.example.test"
WEBHOOK: Final = f"{PUBLIC_URL}/webhooks/whatsapp#rc=5&rp=all"
_THUMBS: Final = {"up": "👍", "down": "👎"}
_CHOICE: Final = re.compile(r"^\W*(\d{1,2})[.)]\W+(.*?)\W*$", re.MULTILINE)
_TYPES: Final = {
    b"%PDF": "application/pdf",
    b"\x89PNG": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF8": "image/gif",
}


class TwilioPlatform:
    """`server` is there for what only this platform has: the window, templates, callbacks."""

    name = "whatsapp"
    can_edit = False
    can_stream = False

    def __init__(self, clock: Clock | None = None) -> None:
        self.server = TwilioServer(clock)

    async def start(self) -> None:
        await self.server.start()
        self.server.webhook = WEBHOOK

    async def stop(self) -> None:
        await self.server.stop()

    def config(self) -> Mapping[str, Any]:
        return {
            "enabled": True,
            "quiet_ms": 50,
            "account_sid": ACCOUNT,
            "auth_token": TOKEN,
            "from": NUMBER,
            "public_url": PUBLIC_URL,
            "api_url": self.server.api_url,
            "media_url": self.server.media_url,
        }

    def attach(self, public_port: int) -> None:
        self.server.lead(PUBLIC_URL, f"http://127.0.0.1:{public_port}")

    async def wait_ready(self) -> None:
        """At once: webhooks need no connection."""

    async def say(self, text: str, *, file: bytes | None = None, file_name: str = "", by_other: bool = False) -> str:
        media = Media(file, _media_type(file), file_name) if file is not None else None
        return self.server.write(_chat(by_other), text, media=media).sid

    async def edit(self, id_: str, text: str) -> None:
        raise NotImplementedError("Twilio tells nothing of edits")

    async def delete(self, id_: str) -> None:
        raise NotImplementedError("Twilio tells nothing of deletions")

    async def press(self, seen: Seen, label: str) -> None:
        record = self.server.message(seen.id)
        if label in record.buttons:
            assert record.template is not None
            ids = dict(zip(record.template.titles, record.template.ids, strict=False))
            self.server.write(record.to, button=(label, ids.get(label, label)), reply_to=seen.id)
            return
        numbers = {found[2]: found[1] for found in _CHOICE.finditer(seen.text)}
        self.server.write(record.to, numbers[label])

    async def rate(self, seen: Seen, value: str) -> None:
        self.server.write(self.server.message(seen.id).to, _THUMBS[value], reply_to=seen.id)

    async def repeat(self, id_: str) -> None:
        self.server.deliver(self.server.message(id_))

    async def say_out_of_order(self, texts: Sequence[str]) -> Sequence[str]:
        records = [self.server.write(PERSON, text, is_delivered=False) for text in texts]
        for record in reversed(records):
            self.server.deliver(record)
        return [record.sid for record in records]

    def seen(self, *, by_other: bool = False) -> Sequence[Seen]:
        chat = _chat(by_other)
        return [_seen(each) for each in self.server.messages if each.is_shown and chat in (each.sender, each.to)]

    def was_shown(self) -> Sequence[str]:
        return [each.text for each in self.seen() if each.is_ours]

    def violations(self) -> Sequence[str]:
        return list(self.server.violations)

    # --- faults ----------------------------------------------------------------------------------------------------

    def lose_answers(self, count: int) -> None:
        self.server.lost_answers = count

    def limit_rate(self, count: int, seconds: float) -> None:
        self.server.rate_limited, self.server.retry_after_s = count, seconds

    def refuse_token(self, is_refused: bool) -> None:
        self.server.is_token_refused = is_refused

    async def cut(self) -> None:
        """There is no connection on which events come."""


def _chat(by_other: bool) -> str:
    return OTHER if by_other else PERSON


def _media_type(data: bytes) -> str:
    return next((name for begin, name in _TYPES.items() if data.startswith(begin)), "text/plain")


def _seen(record: Record) -> Seen:
    listed = tuple(found[2] for found in _CHOICE.finditer(record.body)) if record.is_ours else ()
    files = tuple(media.name or media.media_type for media in record.media)
    return Seen(record.sid, record.is_ours, record.body, record.buttons or listed, files)
