"""What every origin of documents is: something that, given what is kept of it, says what is there now."""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Protocol

from bot.errors import FetchError
from bot.model import value


@value
class Mark:
    """What lets an origin see that a document has not changed, without reading it: validators of HTTP (RFC 9110, section 8.8) or a
    `token` of the origin's own. `links`: where a page leads."""

    etag: str = ""
    modified: str = ""
    token: str = ""
    links: tuple[str, ...] = ()


@value
class Page:
    """A document as Markdown. `language` is "" where the origin does not say, `audience` where the source's holds."""

    title: str
    url: str
    text: str
    language: str = ""
    audience: str = ""


@value
class Fresh:
    """A document that was read. `page` None: something is there, but nothing to be kept (a page that asks not to be)."""

    key: str
    page: Page | None
    mark: Mark = Mark()


@value
class Same:
    """A document that is as it was."""

    key: str


@value
class Passed:
    """Something that could not be read now. `key`: what is kept of it stays; "": nothing is kept of it any more."""

    name: str
    reason: str
    key: str = ""

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"


@value
class Unfinished:
    """There is more than was looked at: what was not seen stays."""

    reason: str


Step = Fresh | Same | Passed | Unfinished


class Origin(Protocol):
    """One source's far side. A key names the same document for ever."""

    def changes(self, kept: Mapping[str, Mark]) -> AsyncIterator[Step]:
        """Every document that is there now, each once. Ending means that all of them were told, unless `Unfinished` was among them.
        Raises SourceFailed."""
        ...

    def expected(self) -> int:
        """How many documents there will be, as far as that is known by now; 0: unknown."""
        ...


class SourceFailed(FetchError):
    """A source cannot be read now. `mend` tells the operator what to do, "" where waiting is all there is to do."""

    def __init__(self, detail: str, mend: str = "", *, is_retryable: bool = True, retry_after_s: float = 0.0) -> None:
        super().__init__(detail, is_retryable=is_retryable)
        self.mend = mend
        self.retry_after_s = retry_after_s


@value
class Progress:
    """How far a pass over one source has come. `expected` 0: nobody knows yet."""

    source: str
    done: int
    expected: int
    name: str


Watch = Callable[[Progress], None]
