"""Files and their signed URLs (https://docs.discord.com/developers/reference#signed-attachment-cdn-urls)."""

import hashlib
import hmac
import mimetypes
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from tests.platforms.discord.limits import FILE_URL_S, NOT_FOUND, Json


class Place(Protocol):
    """Where a file was sent."""

    id: int


class Ids(Protocol):
    def next(self) -> int: ...


@dataclass(eq=False, slots=True)
class File:
    id: int
    name: str
    data: bytes
    media_type: str
    description: str | None = None
    is_ephemeral: bool = False


class Files:
    """All that was ever sent. `address` is the base of their URLs."""

    def __init__(self, ids: Ids, now_ms: Callable[[], int]) -> None:
        self._ids = ids
        self._now_ms = now_ms
        self._key = b"signs file URLs"
        self.address = ""
        self.uploads: dict[int, tuple[Place, File]] = {}

    def upload(self, name: str, data: bytes, media_type: str = "", description: str | None = None) -> File:
        guessed = media_type or mimetypes.guess_type(name)[0] or "application/octet-stream"
        return File(self._ids.next(), name, data, guessed, description)

    def json(self, channel: Place, file: File) -> Json:
        url = self.url(channel, file)
        data: Json = {
            "id": str(file.id),
            "filename": file.name,
            "size": len(file.data),
            "url": url,
            "proxy_url": url,
            "content_type": file.media_type,
        }
        if file.description is not None:
            data["description"] = file.description
        if file.is_ephemeral:
            data["ephemeral"] = True
        return data

    def url(self, channel: Place, file: File) -> str:
        """Signed, with the hours of issue and of expiry as hexadecimal seconds (reference#signed-attachment-cdn-urls)."""
        issued = self._now_ms() // 1000
        path = f"/attachments/{channel.id}/{file.id}/{file.name}"
        expires = f"{issued + round(FILE_URL_S):x}"
        return f"{self.address}{path}?ex={expires}&is={issued:x}&hm={self._sign(path, expires)}&"

    def open(self, channel_id: int, file_id: int, name: str, expires: str, signature: str) -> File:
        path = f"/attachments/{channel_id}/{file_id}/{name}"
        if file_id not in self.uploads or not hmac.compare_digest(signature, self._sign(path, expires)):
            raise NOT_FOUND
        if int(expires, 16) * 1000 <= self._now_ms():
            raise NOT_FOUND
        return self.uploads[file_id][1]

    def _sign(self, path: str, expires: str) -> str:
        return hmac.new(self._key, f"{path}?{expires}".encode(), hashlib.sha256).hexdigest()
