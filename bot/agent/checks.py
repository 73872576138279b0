"""What an answer may not say: that something was done which no tool has done.

A language model may write "I have issued your refund" without having done anything. Such a sentence is looked for while the answer
is being written, so that it is not even shown.
"""

import re

WATCHED_CHARS = 240  # of what was written before the newest piece: longer than any claim

_DONE = (
    r"issued|refunded|cancell?ed|sent|e-?mailed|mailed|booked|scheduled|rescheduled|updated|changed|deleted|removed|closed|opened|created|"
    r"reset|processed|submitted|applied|activated|deactivated|upgraded|downgraded|ordered|placed|paid|credited|charged|approved|registered"
)
_PASSED_ON = r"transferred|forwarded|escalated|notified|informed|contacted|connected"
_GETAN = (
    r"erstattet|storniert|gekündigt|gesendet|geschickt|gebucht|geändert|aktualisiert|gelöscht|geschlossen|angelegt|erstellt|zurückgesetzt|"
    r"bestellt|bezahlt|gutgeschrieben|veranlasst|eröffnet|beauftragt"
)
_WEITERGEGEBEN = r"weitergeleitet|informiert|benachrichtigt|verbunden"
_THING = (
    r"(?:refunds?|orders?|subscriptions?|accounts?|payments?|appointments?|bookings?|reservations?|passwords?|e-?mails?|tickets?|invoices?|"
    r"address(?:es)?|plans?|deliver(?:y|ies)|money|cards?|requests?|returns?|shipments?|credits?|amount|colleagues?|team|manager|supervisor|"
    r"person|human|operator|agent|specialist|support)"
)


def _claims(done: str, getan: str) -> re.Pattern[str]:
    return re.compile(
        rf"\b(?:i|we)(?:['’]ve| have| just| already)(?: just| already| now| successfully| also| gone ahead and)* (?:{done})\b"
        rf"[^.!?\n]{{0,80}}?\b{_THING}\b"
        rf"|\byour {_THING} (?:has|have) (?:now |just |already |successfully )*been (?:{done})\b(?![^.!?\n]{{0,80}}\[\d)"
        rf"|\b(?:ich|wir) haben?\b[^.!?\n]{{0,80}}?\b(?:{getan})\b"
        rf"|\bihre? \w+ wurden? [^.!?\n]{{0,60}}?\b(?:{getan})\b(?![^.!?\n]{{0,80}}\[\d)",
        re.IGNORECASE,
    )


_ANY = _claims(f"{_DONE}|{_PASSED_ON}", f"{_GETAN}|{_WEITERGEGEBEN}")
_BUT_PASSING_ON = _claims(_DONE, _GETAN)


def find_claim(text: str, *, is_person_wished: bool) -> str:
    """The words that claim a deed, or "". `is_person_wished`: the wish for a person is on record, so saying that it was passed on is
    true."""
    match = (_BUT_PASSING_ON if is_person_wished else _ANY).search(text)
    return match[0] if match else ""


class ClaimWatch:
    """Reads an answer piece by piece and remembers the first claim."""

    __slots__ = ("_tail", "claim", "is_person_wished")

    def __init__(self, *, is_person_wished: bool) -> None:
        self.is_person_wished = is_person_wished
        self.claim = ""
        self._tail = ""

    def sees(self, piece: str) -> bool:
        """Whether there is a claim, now or before."""
        if not self.claim:
            text = self._tail + piece
            self.claim = find_claim(text, is_person_wished=self.is_person_wished)
            self._tail = text[-WATCHED_CHARS:]
        return bool(self.claim)
