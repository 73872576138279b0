"""What a person's message says, read from the form that Twilio posts. Pure; fields that are new or missing change nothing."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from adapters.whatsapp import PREFIX
from adapters.whatsapp.calls import Listed, RemoteMedia
from bot.model import ContactChoice, RemoteFile, value

_MOST_FILES: Final = 10  # NumMedia of the request to a messaging webhook

# https://help.twilio.com/articles/223134027, "Twilio support for opt-out keywords". YES is one of those for START only after a STOP:
# otherwise it is an answer.
_WORDS: Final = {
    **dict.fromkeys(
        ("stop", "stopall", "unsubscribe", "cancel", "end", "quit", "optout", "revoke"), ContactChoice.STOP
    ),
    **dict.fromkeys(("start", "unstop"), ContactChoice.START),
    **dict.fromkeys(("help", "info"), ContactChoice.HELP),
}
_AGAIN: Final = "yes"
_THUMBS: Final = {"👍": "up", "👎": "down"}
_VARIANTS: Final = re.compile("[\U0001f3fb-\U0001f3ff\ufe0f]")  # skin tones, and the mark for emoji
_NEWLINES: Final = re.compile(r"\s*\n\s*")


@value
class Inbound:
    """One message of a person. `button` is the label of a quick reply or list entry that was tapped. `chosen`: what Twilio itself has
    read from it as a wish about being written to."""

    sid: str
    sender: str
    to: str
    text: str
    name: str = ""
    files: tuple[RemoteFile, ...] = ()
    reply_to: str = ""
    button: str = ""
    opt_out: str = ""
    sent_at_ms: int = 0

    @property
    def number(self) -> str:
        return self.sender.removeprefix(PREFIX)

    @property
    def is_yes(self) -> bool:
        """Which after a STOP means START, and is an answer otherwise."""
        return not self.files and self.text.strip().lower() == _AGAIN

    @property
    def is_empty(self) -> bool:
        return not self.text.strip() and not self.files


def read(form: Mapping[str, str]) -> Inbound:
    """From a webhook."""
    button = form.get("ButtonText", "") or form.get("ListTitle", "")
    said = [form.get("Body", "") or button, location(form)]
    return Inbound(
        sid=form.get("MessageSid", "") or form.get("SmsMessageSid", ""),
        sender=form.get("From", ""),
        to=form.get("To", ""),
        text="\n".join(filter(None, said)),
        name=form.get("ProfileName", ""),
        files=tuple(_files(form)),
        reply_to=form.get("OriginalRepliedMessageSid", ""),
        button=button,
        opt_out=form.get("OptOutType", ""),
    )


def listed(message: Listed, media: Sequence[RemoteMedia]) -> Inbound:
    """From Twilio's list of messages."""
    files = tuple(RemoteFile(each.url, media_type=each.media_type) for each in media)
    return Inbound(message.sid, message.sender, message.to, message.body, files=files, sent_at_ms=message.sent_ms)


def location(form: Mapping[str, str]) -> str:
    """A place that was shared, as one plain line; "" for none."""
    latitude, longitude = form.get("Latitude", ""), form.get("Longitude", "")
    if not latitude or not longitude:
        return ""
    words = [_NEWLINES.sub(", ", form.get(key, "").strip()) for key in ("Label", "Address")]
    return "Location: " + ", ".join([*filter(None, words), latitude, longitude])


def contact_choice(inbound: Inbound, is_stopped: bool) -> ContactChoice | None:
    """What the whole message says about being written to."""
    for choice in ContactChoice:
        if inbound.opt_out.lower() == choice.value:
            return choice
    if inbound.is_yes and is_stopped:
        return ContactChoice.START
    return None if inbound.files else _WORDS.get(inbound.text.strip().lower())


def verdict(inbound: Inbound) -> str:
    """ "up" or "down" for a lone thumb, otherwise ""."""
    return "" if inbound.files else _THUMBS.get(_VARIANTS.sub("", inbound.text.strip()), "")


def _files(form: Mapping[str, str]) -> list[RemoteFile]:
    count = form.get("NumMedia", "0")
    places = range(min(int(count), _MOST_FILES) if count.isdecimal() else 0)
    found = [(form.get(f"MediaUrl{at}", ""), form.get(f"MediaContentType{at}", "")) for at in places]
    return [RemoteFile(url, media_type=media_type) for url, media_type in found if url]
