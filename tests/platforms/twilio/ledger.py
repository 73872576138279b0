"""What Twilio knows of each message, and what the person's phone shows."""

import itertools
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime

ACCOUNT = "AC" + "0a" * 16
TOKEN = "7f" * 16
NUMBER = "whatsapp:+14155550100"
PERSON = "whatsapp:+4915550001111"
OTHER = "whatsapp:+4915550002222"

BODY_CHARS = 1_600  # error 21617
VARIABLE_CHARS = 255  # "Using variables with content templates"
TEMPLATE_CHARS = 1_024
TITLE_CHARS = 20
MEDIA_BYTES = 16 * 1024 * 1024  # "Guidance on WhatsApp media messages"
WINDOW_MS = 24 * 3600 * 1000
MEDIA_TYPES = ("image/", "audio/", "video/", "application/pdf", "application/msword", "application/vnd.", "text/vcard")

_counter = itertools.count(1)
_PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}")


def new_sid(prefix: str) -> str:
    """Two letters and 32 hexadecimal digits, never given twice."""
    return f"{prefix}{next(_counter):032x}"


@dataclass(slots=True)
class Media:
    """A file of a message."""

    data: bytes
    media_type: str
    name: str = ""
    sid: str = field(default_factory=lambda: new_sid("ME"))


@dataclass(slots=True)
class Template:
    """A content template: what may be sent outside the window once it is approved."""

    body: str
    titles: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    is_approved: bool = False
    sid: str = field(default_factory=lambda: new_sid("HX"))

    def filled(self, values: dict[str, str]) -> "Template":
        def fill(text: str) -> str:
            return _PLACEHOLDER.sub(lambda found: values.get(found[1], ""), text)

        return Template(
            fill(self.body), tuple(map(fill, self.titles)), tuple(map(fill, self.ids)), self.is_approved, self.sid
        )


@dataclass(slots=True)
class Record:
    """One Message resource."""

    sid: str
    direction: str  # inbound, outbound-api, outbound-reply
    sender: str
    to: str
    body: str
    created_ms: int
    status: str
    sent_ms: int | None = None
    media: list[Media] = field(default_factory=list)
    template: Template | None = None
    callback: str = ""
    error_code: int | None = None
    error_message: str = ""
    fault: int | None = None  # the error that it will meet
    is_shown: bool = False  # on the person's phone
    token: str = ""  # I-Twilio-Idempotency-Token of its webhook
    fields: dict[str, str] = field(default_factory=dict)  # what came with it besides the usual

    @property
    def is_ours(self) -> bool:
        return self.direction != "inbound"

    @property
    def buttons(self) -> tuple[str, ...]:
        return self.template.titles if self.template else ()

    def resource(self) -> dict[str, object]:
        """As the API answers it: dates in RFC 2822, in GMT."""
        uri = f"/2010-04-01/Accounts/{ACCOUNT}/Messages/{self.sid}"
        return {
            "account_sid": ACCOUNT,
            "api_version": "2010-04-01",
            "body": self.body,
            "date_created": date(self.created_ms),
            "date_sent": date(self.sent_ms) if self.sent_ms is not None else None,
            "date_updated": date(self.created_ms),
            "direction": self.direction,
            "error_code": self.error_code,
            "error_message": self.error_message or None,
            "from": self.sender,
            "messaging_service_sid": None,
            "num_media": str(len(self.media)),
            "num_segments": "1",
            "price": None,
            "price_unit": None,
            "sid": self.sid,
            "status": self.status,
            "subresource_uris": {"media": f"{uri}/Media.json"},
            "to": self.to,
            "uri": f"{uri}.json",
        }


def date(at_ms: int) -> str:
    return format_datetime(datetime.fromtimestamp(at_ms // 1000, UTC), usegmt=False)
