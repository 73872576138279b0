"""What an erasure has done, for whoever has to show that it was done."""

from collections.abc import Mapping, Sequence
from typing import Any

from bot.model import value


@value
class Outside:
    """A copy that is not ours to delete. `what`: how many messages, or which model."""

    where: str
    what: str
    status: str


@value
class Found:
    """A string of the person that stands in the data folder still. `kind` says which, without saying it; `rows`: the columns of other
    people's rows that hold it, with how many rows, or the documents that agents search; none: it was left over."""

    kind: str
    file: str
    rows: Mapping[str, int]


@value
class Scan:
    """Every byte of the data folder, searched for `strings` strings of the person."""

    strings: int
    bytes_read: int
    found: Sequence[Found] = ()


@value
class Receipt:
    """`places`: rows that were deleted or emptied, by table. `waits`: drafts that are shown on a platform and could not be withdrawn."""

    id: str
    pseudonym: str
    at_ms: int
    places: Mapping[str, int]
    files: int
    waits: int
    outside: Sequence[Outside]
    scan: Scan | None = None

    def told(self) -> dict[str, Any]:
        """As JSON."""
        scan = self.scan
        return {
            "erasure": self.id,
            "pseudonym": self.pseudonym,
            "at_ms": self.at_ms,
            "places": dict(self.places),
            "files": self.files,
            "not_withdrawn": self.waits,
            "outside": [{"where": each.where, "what": each.what, "status": each.status} for each in self.outside],
            "scan": scan
            and {
                "strings": scan.strings,
                "bytes": scan.bytes_read,
                "found": [{"kind": each.kind, "file": each.file, "rows": dict(each.rows)} for each in scan.found],
            },
        }
