"""What an answer may not say: that something was done which no tool has done, and values that stand in no source.

A language model may write "I have issued your refund" without having done anything, or "within 14 days" without having read it. Such a
sentence is looked for while the answer is being written, so that it is not even shown.
"""

import re
from collections.abc import Sequence
from itertools import pairwise

from bot.agent.grounding import Grounds, value_start
from bot.agent.units import MONTH

_DONE = (
    r"issued|refunded|cancell?ed|sent|e-?mailed|mailed|booked|scheduled|rescheduled|updated|changed|deleted|removed|closed|opened|created|"
    r"reset|processed|submitted|applied|activated|deactivated|upgraded|downgraded|ordered|placed|paid|credited|charged|approved|registered"
)
_PASSED_ON = r"transferred|forwarded|escalated|notified|informed|contacted|connected"
_GETAN = (
    r"erstattet|storniert|gekündigt|gesendet|geschickt|gebucht|geändert|aktualisiert|gelöscht|angelegt|erstellt|zurückgesetzt|"
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
        rf"\b(?:i|we)(?:['’]ve| have| just| already)(?: just| already| now| successfully| also| gone ahead and)* (?:{done})\b(?! our\b)"
        rf"[^.!?\n]{{0,80}}?\b{_THING}\b"
        rf"|\byour {_THING} (?:has|have) (?:now |just |already |successfully )*been (?:{done})\b"
        rf"|\b(?:ich|wir) haben?\b[^.!?\n]{{0,60}}?\b(?:ihre?[nm]?|deine?[nm]?|den|die|das|eine?n?)\b[^.!?\n]{{0,60}}?\b(?:{getan})\b"
        rf"|\bihre? \w+ wurden? [^.!?\n]{{0,60}}?\b(?:{getan})\b",
        re.IGNORECASE,
    )


_ANY = _claims(f"{_DONE}|{_PASSED_ON}", f"{_GETAN}|{_WEITERGEGEBEN}")
_BUT_PASSING_ON = _claims(_DONE, _GETAN)
_SUBJECT = re.compile(r"\b(?:i|we|your|ich|wir|ihre?)(?=\W)", re.IGNORECASE)  # with one of these a claim begins
_SUBJECT_CHARS = 5
_CONDITION = re.compile(
    r"\b(?:once|after|if|when|whenever|whether|as soon as|until|unless|before|sobald|wenn|nachdem|falls|ob|bevor|bis)\b[^,;:]*$",
    re.IGNORECASE,
)
_DENIED = re.compile(r"\b(?:not|never|nothing|nicht|nichts|nie|niemals|kein\w*)\b", re.IGNORECASE)
_CITATION = re.compile(r"\[\d")
_END = re.compile(  # of a sentence, with the citation after its full stop; neither in "3. Mai" nor in "4.90"
    rf"(?:[.!?]{{1,9}}(?<!\d\.)(?<!Mio\.)(?<!Tsd\.)|(?<=\d)\.(?=\s{{1,9}}(?!(?:{MONTH})\b)[^\W\d]{{1,60}}\W))(?=[\"'”’)*_`]{{0,9}}\s{{1,9}}[^\s\[.!?])"
    r"|(?<=[^\W\d])[.!?]{1,9}(?=[A-ZÄÖÜ])|\n(?=\s{0,99}[^\s\[.!?])"
)
_MARK = re.compile(r"[.!?\n]")  # with one of these an end begins


def is_backed(claim: str, deeds: Sequence[str]) -> bool:
    """Whether one of the deeds, each told by the name and the description of its tool, is what the claim is about: its verb must stand
    there, or, for a verb that fits any deed, its thing."""
    words = _WORD.findall(claim.casefold())
    verbs = [word for word in words if _VERB.fullmatch(word)]
    tellable = [word for word in verbs if word not in _ANY_DEED] or [
        word for word in words if len(word) > 3 and word not in _ANY_DEED and not _SMALL.fullmatch(word)
    ]
    for deed in deeds:
        told = {_stem(word) for word in _WORD.findall(deed.casefold().replace("_", " "))}
        if any(_stem(word) in told for word in tellable):
            return True
    return False


def _stem(word: str) -> str:
    return _IRREGULAR.get(word, word.replace("-", ""))[:5]


def find_claim(text: str, *, is_person_wished: bool) -> str:
    """The words that claim a deed, or "". What is cited, denied, or stands under a condition claims nothing. `is_person_wished`: the wish for
    a person is on record, so saying that it was passed on is true."""
    pattern = _BUT_PASSING_ON if is_person_wished else _ANY
    return next((claim for sentence in _sentences(text) if (claim := _claim(sentence, pattern))), "")


def _claim(sentence: str, pattern: re.Pattern[str]) -> str:
    for match in pattern.finditer(sentence):
        is_free = _CONDITION.search(sentence, 0, match.start()) or _DENIED.search(match[0])
        if not is_free and not _CITATION.search(sentence, match.start()):
            return match[0]
    return ""


def _sentences(text: str) -> list[str]:
    ends = [0, *(match.end() for match in _END.finditer(text)), len(text)]
    return [text[start:end] for start, end in pairwise(ends)]


_WORD = re.compile(r"[^\W\d_][\w-]*")
_VERB = re.compile(rf"{_DONE}|{_PASSED_ON}|{_GETAN}|{_WEITERGEGEBEN}")
_ANY_DEED = frozenset(
    [
        "issued",
        "updated",
        "changed",
        "created",
        "processed",
        "submitted",
        "applied",
        "placed",
        "registered",
        "geändert",
        "aktualisiert",
        "angelegt",
        "erstellt",
        "veranlasst",
    ]
)
_SMALL = re.compile(
    "i've|have|been|just|already|successfully|your|their|this|that|with|wurde|wurden|habe|haben|ihre|ihren|eine|einen"
)
_IRREGULAR = {
    "sent": "send",
    "paid": "pay",
    "reset": "reset",
    "mailed": "email",
    "emailed": "email",
    "gesendet": "send",
    "geschickt": "send",
    "gebucht": "book",
    "erstattet": "refund",
    "storniert": "cancel",
    "gekündigt": "cancel",
    "bestellt": "order",
    "bezahlt": "pay",
}


class ClaimWatch:
    """Reads an answer piece by piece, and holds back a sentence that looks like a claim until it is whole and can be judged; with `grounds`,
    also the rest of a sentence from where a value may begin."""

    __slots__ = (
        "_deeds",
        "_grounds",
        "_held",
        "_is_holding",
        "_judged",
        "_pattern",
        "_sentence",
        "_sought",
        "_subject",
        "_subject_sought",
        "_table",
        "claim",
        "is_unsourced",
    )

    def __init__(self, *, is_person_wished: bool, deeds: Sequence[str] = (), grounds: Grounds | None = None) -> None:
        self.claim = ""
        self.is_unsourced = False  # a value has no source
        self._deeds = deeds
        self._grounds = grounds
        self._pattern = _BUT_PASSING_ON if is_person_wished else _ANY
        self._judged: list[str] = []  # the sentences before, which say of what a value is
        self._table: list[str] = []  # its head, which says of what the numbers are, and the last rows
        self._sentence = ""  # the last one as far as it has come
        self._held = ""  # what of it is not shown yet
        self._begin()

    def _begin(self) -> None:
        """Another sentence."""
        self._is_holding = False
        self._sought = 0  # before this no end of the sentence is to be found
        self._subject = -1  # where a claim may begin; -1: nowhere
        self._subject_sought = 0

    @property
    def is_stopped(self) -> bool:
        """Whether nothing of the answer may be shown any more."""
        return bool(self.claim) or self.is_unsourced

    def take(self, piece: str) -> str:
        """What may be shown now. Nothing more once it is stopped."""
        if self.is_stopped:
            return ""
        self._sentence += piece
        self._held += piece
        while end := self._end():
            if self._judge(self._sentence[:end]):
                return ""
            self._sentence = self._sentence[end:]
            self._begin()
        at = max(0, len(self._held) - len(self._sentence) + self._free_chars())
        shown, self._held = self._held[:at], self._held[at:]
        return shown

    def rest(self) -> str:
        """At the end of the answer: what was held and may be shown after all."""
        if self.is_stopped or self._judge(self._sentence):
            return ""
        shown, self._held = self._held, ""
        return shown

    def _end(self) -> int:
        """Where the sentence ends; 0 as long as it does not."""
        mark = _MARK.search(self._sentence, self._sought)
        if mark is None:
            self._sought = len(self._sentence)
            return 0
        end = _END.search(self._sentence, mark.start())
        self._sought = max(mark.start(), len(self._sentence) - _END_CHARS)
        return end.end() if end is not None else 0

    def _is_claiming(self) -> bool:
        """As far as the sentence has come."""
        if self._subject < 0:
            subject = _SUBJECT.search(self._sentence, self._subject_sought)
            if subject is None:
                self._subject_sought = max(0, len(self._sentence) - _SUBJECT_CHARS)
                return False
            self._subject = subject.start()
        return self._pattern.search(self._sentence, self._subject) is not None

    def _free_chars(self) -> int:
        """How much of the unfinished sentence may be seen. What has become longer than sentences are is not looked at before its end."""
        if len(self._sentence) > _SENTENCE_CHARS:
            return 0
        self._is_holding = self._is_holding or self._is_claiming()
        if self._is_holding:
            return 0
        return len(self._sentence) if self._grounds is None else value_start(self._sentence)

    def _judge(self, sentence: str) -> bool:
        claim = _claim(sentence, self._pattern)
        self.claim = "" if claim and is_backed(claim, self._deeds) else claim
        if self._grounds is not None:
            if sentence.lstrip().startswith("|"):
                self._table = [*self._table[:1], *self._table[1:][-_SENTENCES_BEFORE:], sentence]
            else:
                self._judged = [*self._judged, *self._table, sentence][-_SENTENCES_BEFORE - 1 :]
                self._table = []
            self.is_unsourced = bool(self._grounds.missing("".join([*self._judged, *self._table])))
        return self.is_stopped


_SENTENCES_BEFORE = 3
_SENTENCE_CHARS = 500  # reading a sentence anew with every piece costs the square of its length
_END_CHARS = 160  # an end of a sentence and what has to follow it
