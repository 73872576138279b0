"""The documents below a folder of Google Drive that is shared with a service account.

API: https://developers.google.com/workspace/drive/api/reference/rest/v3 (files.list, files.export, files.get with alt=media), asked directly: the
vendor's client would go its own way out. A token for an hour is had for a signed claim:
https://developers.google.com/identity/protocols/oauth2/service-account#httprest
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

from bot.config.knowledge_schema import Drive
from bot.knowledge.blocks import as_markdown
from bot.knowledge.origins.asking import Answer, Api, Outside, Pace
from bot.knowledge.origins.origin import Fresh, Mark, Page, Passed, Same, SourceFailed, Step
from bot.knowledge.reading.parsed import Format, Unparsed, Unread
from bot.knowledge.reading.room import ReadingRoom
from bot.knowledge.sources import decode, first_headings, split_front_matter, text_of, title_from
from bot.ports import Clock

API: Final = "https://www.googleapis.com"
SCOPE: Final = "https://www.googleapis.com/auth/drive.readonly"
PAUSE_S: Final = 0.1  # far below what one user may ask: 12,000 a minute
MOST_FOLDERS: Final = 2_000
TOKEN_S: Final = 3_600
_EARLY_S: Final = 300
_FIELDS: Final = "nextPageToken,incompleteSearch,files(id,name,mimeType,modifiedTime,md5Checksum,size,webViewLink,capabilities/canDownload)"
_FOLDER: Final = "application/vnd.google-apps.folder"
# What Google's own documents are exported as: https://developers.google.com/workspace/drive/api/guides/ref-export-formats
_EXPORTED: Final = {
    "application/vnd.google-apps.document": ("text/markdown", ".md"),
    "application/vnd.google-apps.presentation": ("text/plain", ".txt"),
    "application/vnd.google-apps.spreadsheet": ("text/csv", ".csv"),
}
_READ: Final = {
    "application/pdf": ".pdf",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": ".docx",
    "text/plain": ".txt",
    "text/markdown": ".md",
    "text/x-markdown": ".md",
    "text/html": ".html",
    "text/csv": ".csv",
}
_PACKED: Final = {".pdf": Format.PDF, ".docx": Format.DOCX}
_ROWS_MOST: Final = 5_000


@dataclass(frozen=True, slots=True)
class _Key:
    """What of a service account's key file is needed."""

    email: str
    private_key: str
    key_id: str
    token_url: str


class DriveOrigin:
    """Implements `Origin`. A document's key is its file's id. `api`: where the service answers."""

    def __init__(self, settings: Drive, outside: Outside, room: ReadingRoom, clock: Clock, api: str = API) -> None:
        self._settings = settings
        self._outside = outside
        self._room = room
        self._clock = clock
        self._files = f"{api}/drive/v3/files"
        self._api = Api("Google Drive", outside, Pace(clock, PAUSE_S), (api,))
        self._token_end = 0.0
        self._expected = 0

    def expected(self) -> int:
        return self._expected

    async def changes(self, kept: Mapping[str, Mark]) -> AsyncIterator[Step]:
        self._expected = 0
        status, told = await self._json(
            f"{self._files}/{self._settings.folder}?supportsAllDrives=true&fields=id,mimeType"
        )
        if status == 404 or (status < 300 and told.get("mimeType") != _FOLDER):
            mend = "Share the folder with the service account's address, and correct `folder` of this source."
            raise SourceFailed("there is no such folder, or it is not shared with the service account", mend)
        _check(status)
        folders, seen = [self._settings.folder], {self._settings.folder}
        while folders:
            async for file in self._inside(folders.pop()):
                key = str(file["id"])
                if key in seen:
                    continue
                seen.add(key)
                if file.get("mimeType") != _FOLDER:
                    self._expected += 1
                    yield await self._step(file, kept.get(key))
                elif len(seen) < MOST_FOLDERS * 100 and len(folders) < MOST_FOLDERS:
                    folders.append(key)

    async def _inside(self, folder: str) -> AsyncIterator[dict[str, Any]]:
        """Everything directly in a folder, page by page."""
        asked = {
            "q": f"'{folder}' in parents and trashed = false",
            "fields": _FIELDS,
            "pageSize": "1000",
            "orderBy": "name",
            "supportsAllDrives": "true",
            "includeItemsFromAllDrives": "true",
        }
        token = ""
        while True:
            status, told = await self._json(
                f"{self._files}?{urlencode(asked | ({'pageToken': token} if token else {}))}"
            )
            _check(status)
            if told.get("incompleteSearch"):
                raise SourceFailed("Google Drive could not list all files")
            for file in told.get("files") or []:
                if isinstance(file, dict) and isinstance(file.get("id"), str):
                    yield file
            token = str(told.get("nextPageToken") or "")
            if not token:
                return

    async def _step(self, file: dict[str, Any], mark: Mark | None) -> Step:
        key, name, kind = str(file["id"]), str(file.get("name") or "Untitled"), str(file.get("mimeType"))
        token = f"{file.get('modifiedTime', '')} {file.get('md5Checksum', '')} {name}"
        if mark is not None and mark.token == token:
            return Same(key)
        if kind not in _EXPORTED and kind not in _READ:
            return Passed(name, f"is {kind}, which is not read")
        if (file.get("capabilities") or {}).get("canDownload") is False:
            return Passed(name, "may not be downloaded: its owner has forbidden it")
        suffix = _EXPORTED[kind][1] if kind in _EXPORTED else _READ[kind]
        answer = await self._data(key, kind)
        if answer.status == 404:
            return Passed(name, "was removed while the folder was read")
        if answer.status == 403 and b"exportSizeLimitExceeded" in answer.data:
            return Passed(name, "is larger than the 10 MB that Google exports")
        _check(answer.status)
        if answer.is_cut:
            return Passed(name, f"larger than {self._settings.file_bytes} bytes")
        try:
            page = await asyncio.to_thread(self._page, name, suffix, str(file.get("webViewLink") or ""), answer.data)
        except Unparsed as error:
            return Passed(name, str(error), key if isinstance(error, Unread) else "")
        return Fresh(key, page, Mark(token=token))

    async def _data(self, key: str, kind: str) -> Answer:
        await self._sign_in()
        at = f"{self._files}/{key}"
        if kind in _EXPORTED:
            url = f"{at}/export?mimeType={quote(_EXPORTED[kind][0], safe='')}"
        else:
            url = f"{at}?alt=media&supportsAllDrives=true"
        return await self._api.ask("GET", url, most_bytes=self._settings.file_bytes)

    def _page(self, name: str, suffix: str, url: str, data: bytes) -> Page:
        """Blocking. Raises Unparsed."""
        if suffix in _PACKED:
            parsed = self._room.read(_PACKED[suffix], data)
            title = next(first_headings(parsed.blocks), "") or parsed.title or title_from(name)
            return Page(title, url, as_markdown(parsed.blocks), parsed.language)
        text = decode(data)
        if text is None:
            raise Unparsed("is not UTF-8 text")
        if suffix == ".csv":
            return Page(title_from(name), url, _rows(text))
        given, body = split_front_matter(text)
        own_title, blocks = text_of(f"x{suffix}", body)
        title = given.get("title") or next(first_headings(blocks), "") or own_title or title_from(name)
        written = body if suffix == ".md" else as_markdown(blocks)
        return Page(title, url, written, given.get("language", ""), given.get("audience", ""))

    # --- signing in ----------------------------------------------------------------------------------------------------

    async def _json(self, url: str) -> tuple[int, dict[str, Any]]:
        await self._sign_in()
        return await self._api.json("GET", url)

    async def _sign_in(self) -> None:
        """Has a token that holds for some minutes more."""
        if self._clock.monotonic() < self._token_end:
            return
        key = _key(await asyncio.to_thread(_read, self._settings.key_file), self._settings.key_file)
        claim = _claim(key, self._clock.now_ms() // 1000)
        form = urlencode({"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": claim}).encode()
        tokens = Api("Google", self._outside, Pace(self._clock, 0), (key.token_url,))
        status, told = await tokens.json("POST", key.token_url, form=form)
        if status >= 300 or not isinstance(told.get("access_token"), str):
            reason = str(told.get("error") or status)[:60]
            mend = "Make a new key of the service account, enable the Drive API in its project, and check this machine's clock."
            raise SourceFailed(f"Google refused the service account ({reason})", mend)
        self._api.headers["Authorization"] = f"Bearer {told['access_token']}"
        lasts_s = float(told.get("expires_in") or TOKEN_S)
        self._token_end = self._clock.monotonic() + max(60.0, lasts_s - _EARLY_S)


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        mend = "Put the key file of the service account there, readable by Frontdesk alone."
        raise SourceFailed(f"{path} cannot be read", mend, is_retryable=False) from error


def _key(text: str, path: Path) -> _Key:
    try:
        held = json.loads(text)
        return _Key(held["client_email"], held["private_key"], held.get("private_key_id", ""), held["token_uri"])
    except (ValueError, KeyError, TypeError) as error:
        mend = "In the Google Cloud console: IAM > Service accounts > Keys > Add key > JSON."
        raise SourceFailed(f"{path} is not the key of a service account", mend, is_retryable=False) from error


def _claim(key: _Key, now_s: int) -> str:
    try:
        import jwt

        return jwt.encode(
            {"iss": key.email, "scope": SCOPE, "aud": key.token_url, "iat": now_s, "exp": now_s + TOKEN_S},
            key.private_key,
            algorithm="RS256",
            headers={"kid": key.key_id},
        )
    except NotImplementedError as error:  # what the library says where there is no cryptography
        raise SourceFailed(
            "Google Drive needs more than is installed", "Run: pip install 'frontdesk[drive]'"
        ) from error
    except (ValueError, TypeError, jwt.PyJWTError) as error:
        raise SourceFailed("the service account's key is damaged", "Make a new one.", is_retryable=False) from error


def _check(status: int) -> None:
    """Raises SourceFailed for a refusal."""
    if status >= 300:
        mend = {
            401: "Make a new key of the service account.",
            403: "Enable the Drive API in the service account's project, and share the folder with its address.",
        }.get(status, "")
        raise SourceFailed(f"Google Drive answered {status}", mend)


def _rows(text: str) -> str:
    """A sheet as a Markdown table."""
    import csv
    from itertools import islice

    lines: list[str] = []
    for row in islice(csv.reader(text.splitlines()), _ROWS_MOST):
        cells = [" ".join(cell.split()).replace("|", "\\|") for cell in row]
        if any(cells):
            lines.append(f"| {' | '.join(cells)} |")
            if len(lines) == 1:
                lines.append("|" + "---|" * len(cells))
    return "\n".join(lines)
