"""What the sockets and the uploads share."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from adapters.web.origins import Origins
from adapters.web.presence import Presence
from adapters.web.visitors import Credentials
from bot.model import Blob, BlobId, Identity, value
from bot.ports import Host, HostLimits


@value
class Room:
    """The house, the caps, who may come in and who is here."""

    host: Host
    limits: HostLimits
    origins: Origins
    credentials: Credentials
    presence: Presence


@asynccontextmanager
async def opened(host: Host, blob: BlobId, reader: Identity) -> AsyncIterator[tuple[Blob, AsyncIterator[bytes]]]:
    """A blob and its bytes, closed at the end even when they were not read. Raises Refused("no_blob")."""
    file, data = await host.open_blob(blob, reader)
    try:
        yield file, data
    finally:
        close = getattr(data, "aclose", None)  # generators have it, plain iterators need not
        if close is not None:
            await close()
