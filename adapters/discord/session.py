"""Where we stand with the gateway: the session to resume, and up to which event everything is stored."""

import json
from collections import OrderedDict

from bot.model import Bookmark, value

NAME = "session"


@value
class Session:
    """`seq`: every event up to it is handled. `at_ms`: up to then nothing was missed. "" as id: there is no session."""

    id: str = ""
    url: str = ""
    seq: int = 0
    at_ms: int = 0


def read(text: str) -> Session:
    """What a bookmark says; none where it cannot be read."""
    try:
        raw = json.loads(text)
        return Session(str(raw["id"]), str(raw["url"]), int(raw["seq"]), int(raw["at_ms"]))
    except (ValueError, KeyError, TypeError):
        return Session()


class Track:
    """The events of one session that are under way. The bookmark never claims an event before all that came before it are handled."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._seq = session.seq
        self._open: OrderedDict[int, _Event] = OrderedDict()  # in the order of arrival

    @property
    def seq(self) -> int:
        return self._seq

    def arrived(self, seq: int, now_ms: int) -> None:
        self._open.setdefault(seq, _Event(now_ms))

    def handled(self, seq: int) -> None:
        if seq in self._open:
            self._open[seq].is_handled = True
        while self._open and next(iter(self._open.values())).is_handled:
            self._seq, _ = self._open.popitem(last=False)

    def stand(self, heard_ms: int, with_: int | None = None) -> Session:
        """Where it stands, or will stand once the event `with_` is handled too. `heard_ms`: when the gateway was last heard."""
        seq, at_ms = self._seq, heard_ms
        for number, event in self._open.items():
            if not event.is_handled and number != with_:
                at_ms = min(at_ms, event.at_ms)
                break
            seq = number
        return Session(self._session.id, self._session.url, seq, at_ms)


class _Event:
    __slots__ = ("at_ms", "is_handled")

    def __init__(self, at_ms: int) -> None:
        self.at_ms = at_ms
        self.is_handled = False


def bookmark(session: Session) -> Bookmark:
    whole = {"id": session.id, "url": session.url, "seq": session.seq, "at_ms": session.at_ms}
    return Bookmark(NAME, json.dumps(whole))
