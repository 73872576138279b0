"""What one message, or one part of it, becomes on WhatsApp: usually one letter, a request to Twilio.

More than one where it has files (WhatsApp carries one a message, without a text that is sure to be shown), or where what stands under it
does not fit. The text comes last: once it is there, all of it is.
"""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Final

from adapters.rendering import WHATSAPP, numbered, render, sources, split
from adapters.whatsapp import Account
from bot.model import Attachment, BlobId, Button, Message, value

CHARS: Final = 1_600  # error 21617
_VARIABLE_CHARS: Final = 255  # "Using variables with content templates"
_TITLE_CHARS: Final = 20  # twilio/quick-reply
_UNFIT: Final = re.compile(r"[\n\r\t]| {5}")  # error 63013: not in a variable


@value
class Letter:
    """One request: a text, a file of ours, or a filled template (`variables` as JSON). A file with a `body` is one that WhatsApp does not
    carry: behind the body stands a link to it."""

    body: str = ""
    blob: BlobId = BlobId("")
    template: str = ""
    variables: str = ""

    def is_shown_as(self, body: str, media: int) -> bool:
        """Whether a message that Twilio lists may be this."""
        if self.blob and not self.body:
            return media > 0
        if self.blob:
            return media == 0 and body.startswith(self.body)
        if self.template:
            return media == 0 and next(iter(json.loads(self.variables).values()), "") in body
        return media == 0 and body.strip() == self.body.strip()


def measure(text: str) -> int:
    """How long a text is once it is rendered, as the first part or as a further one, in UTF-16 units: no count is higher."""
    return max(units(render(text, WHATSAPP, part=number)) for number in (0, 1))


def units(text: str) -> int:
    return len(text.encode("utf-16-le", errors="surrogatepass")) // 2


def parts(text: str) -> Sequence[str]:
    """The text in pieces that fit into a message each."""
    return split(text, CHARS, measure)


def letters(message: Message, settings: Account) -> Sequence[Letter]:
    """In the order in which they are sent; none for a message without anything in it."""
    return [*map(_file, filter(_is_kept, message.attachments)), *_texts(message, settings)]


def _texts(message: Message, settings: Account) -> Iterator[Letter]:
    rendered = (render(piece, WHATSAPP, part=at) for at, piece in enumerate(parts(message.text), message.part))
    pieces = [piece.strip() for piece in rendered if piece.strip()]
    under = [sources(message.citations, WHATSAPP, CHARS)]
    template = _quick_reply(message.buttons, settings)
    if message.buttons and not template:
        under.append(render(numbered(message.buttons), WHATSAPP))
    bodies = _joined(pieces, [each for each in under if each])
    if not template:
        yield from (Letter(body=body) for body in bodies)
        return
    is_inside = bool(bodies) and len(bodies[-1]) <= _VARIABLE_CHARS and not _UNFIT.search(bodies[-1])
    prompt = bodies.pop() if is_inside else settings.buttons_prompt
    yield from (Letter(body=body) for body in bodies)
    values = [prompt, *(button.label for button in message.buttons)]
    yield Letter(template=template, variables=json.dumps({str(at): each for at, each in enumerate(values, 1)}))


def _joined(pieces: Sequence[str], under: Sequence[str]) -> list[str]:
    """The pieces, with what stands under them in the last one where it fits."""
    bodies = list(pieces)
    for block in under:
        if bodies and units(f"{bodies[-1]}\n\n{block}") <= CHARS:
            bodies[-1] = f"{bodies[-1]}\n\n{block}"
        else:
            bodies += [piece.strip() for piece in split(block, CHARS, units) if piece.strip()]
    return bodies


def _quick_reply(buttons: Sequence[Button], settings: Account) -> str:
    """The template that can show these buttons, "" for none. A code is typed, never tapped."""
    labels = {button.label for button in buttons}
    is_fit = (
        len(labels) == len(buttons)
        and not any(button.code for button in buttons)
        and all(0 < len(label) <= _TITLE_CHARS for label in labels)
    )
    fits = is_fit and not any(map(_UNFIT.search, labels))
    return settings.buttons_template.get(str(len(buttons)), "") if fits else ""


def is_carried(media_type: str) -> bool:
    """Whether WhatsApp shows such a file; of the documents that Twilio lists, PDF alone is ever kept here ("Guidance on WhatsApp media messages").
    Whether it takes each picture and each sound is for its answer to tell."""
    return media_type.startswith(("image/", "audio/", "video/")) or media_type == "application/pdf"


def _is_kept(attachment: Attachment) -> bool:
    return bool(attachment.blob) and not attachment.problem


def _file(attachment: Attachment) -> Letter:
    return Letter(blob=attachment.blob, body="" if is_carried(attachment.media_type) else f"{attachment.name}: ")
