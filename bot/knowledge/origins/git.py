"""The documents in a folder of a Git repository, read from its objects: nothing is ever checked out, so no link, filter or hook of the
repository comes to life.

Git itself goes outside, as a child process that asks nobody for a password, speaks only https, ssh and the file system, and is ended when it
takes too long or writes too much.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final
from urllib.parse import quote, urlsplit

from bot.config.knowledge_schema import Git
from bot.knowledge.blocks import as_markdown
from bot.knowledge.origins.origin import Fresh, Mark, Page, Passed, Same, SourceFailed, Step
from bot.knowledge.reading.parsed import Unparsed, Unread
from bot.knowledge.reading.room import ReadingRoom
from bot.knowledge.sources import (
    HTML,
    MARKDOWN,
    MOST_BYTES,
    MOST_PACKED_BYTES,
    PACKED,
    TEXT,
    decode,
    first_headings,
    split_front_matter,
    text_of,
    title_from,
)
from bot.ports import Clock

_ENV: Final = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "true",
    "SSH_ASKPASS": "true",
    "GIT_SSH_COMMAND": "ssh -o BatchMode=yes -o ConnectTimeout=20",
    "GIT_ALLOW_PROTOCOL": "https:http:ssh:file",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_LFS_SKIP_SMUDGE": "1",
    "LC_ALL": "C.UTF-8",
}
_SAFE: Final = (
    "-c",
    "core.hooksPath=/dev/null",
    "-c",
    "protocol.ext.allow=never",
    "-c",
    "core.fsmonitor=false",
    "-c",
    "http.followRedirects=false",
)
_BLOCK_BYTES: Final = 512  # of `ulimit -f`: POSIX
_LIST_BYTES: Final = 64 * 1024 * 1024
# Where the large hosts show a file: their own pages' addresses.
_PAGES: Final = {"github.com": "blob", "gitlab.com": "-/blob", "codeberg.org": "src/branch", "bitbucket.org": "src"}


@dataclass(frozen=True, slots=True)
class _Blob:
    """A file of the repository: `path` within the source's folder."""

    path: str
    id: str
    size_bytes: int


class GitOrigin:
    """Implements `Origin`. `cache`: where the repository's objects are kept between passes. `allows_url` is the perimeter's word."""

    def __init__(
        self, settings: Git, cache: Path, room: ReadingRoom, clock: Clock, allows_url: Callable[[str], bool]
    ) -> None:
        self._settings = settings
        self._cache = cache
        self._room = room
        self._clock = clock
        self._allows_url = allows_url
        self._expected = 0

    def expected(self) -> int:
        return self._expected

    async def changes(self, kept: Mapping[str, Mark]) -> AsyncIterator[Step]:
        branch = await self._fetch()
        blobs = await self._list()
        self._expected = len(blobs)
        if not blobs:
            where = self._settings.path or "the repository"
            raise SourceFailed(f"there are no documents in {where}", "Correct `path` or `branch` of this source.")
        for blob in blobs:
            mark = kept.get(blob.path)
            if mark is not None and mark.token == blob.id:
                yield Same(blob.path)
                continue
            yield await self._read(blob, branch)

    # --- the repository ------------------------------------------------------------------------------------------------

    async def _fetch(self) -> str:
        """Brings the newest commit here; says its branch."""
        url = self._settings.url
        if (at := _destination(url)) and not self._allows_url(at):
            raise SourceFailed(f"{url} is outside [network] allow", "Add its host there.", is_retryable=False)
        if not (self._cache / "HEAD").exists():
            self._cache.parent.mkdir(parents=True, exist_ok=True)
            await self._git("init", "--quiet", "--bare", str(self._cache), here=False)
        wanted = self._settings.branch or "HEAD"
        await self._git("fetch", "--quiet", "--depth=1", "--no-tags", "--force", "--", url, f"+{wanted}:refs/frontdesk")
        return self._settings.branch or "HEAD"

    async def _list(self) -> list[_Blob]:
        at = f"refs/frontdesk:{self._settings.path}" if self._settings.path else "refs/frontdesk^{tree}"
        try:
            listed = await self._git("ls-tree", "-r", "-z", "--long", at)
        except SourceFailed as error:
            mend = "Correct `path` of this source."
            raise SourceFailed(f"the repository has no folder {self._settings.path}", mend) from error
        found = [blob for line in listed.split(b"\0") if (blob := _blob(line)) is not None]
        return sorted(found, key=lambda blob: blob.path)

    async def _read(self, blob: _Blob, branch: str) -> Step:
        most = MOST_PACKED_BYTES if blob.path.lower().endswith(tuple(PACKED)) else MOST_BYTES
        if blob.size_bytes > most:
            return Passed(blob.path, f"larger than {most // 1024 // 1024} MB")
        data = await self._git("cat-file", "blob", blob.id)
        try:
            page = await asyncio.to_thread(self._page, blob.path, data, branch)
        except Unparsed as error:
            return Passed(blob.path, str(error), blob.path if isinstance(error, Unread) else "")
        return Fresh(blob.path, page, Mark(token=blob.id))

    def _page(self, path: str, data: bytes, branch: str) -> Page:
        """Blocking. Raises Unparsed."""
        url, kind = self._url(path, branch), PACKED.get(PurePosixPath(path).suffix.lower())
        if kind is not None:
            parsed = self._room.read(kind, data)
            title = next(first_headings(parsed.blocks), "") or parsed.title or title_from(path)
            return Page(title, url, as_markdown(parsed.blocks), parsed.language)
        text = decode(data)
        if text is None:
            raise Unparsed("is not UTF-8 text")
        given, body = split_front_matter(text)
        own_title, blocks = text_of(path, body)
        title = given.get("title") or next(first_headings(blocks), "") or own_title or title_from(path)
        is_markdown = path.lower().endswith(MARKDOWN)
        language = given.get("language") or given.get("lang", "")
        own_url = given.get("url", "")
        url = own_url if own_url.startswith(("https://", "http://")) else url
        return Page(title, url, body if is_markdown else as_markdown(blocks), language, given.get("audience", ""))

    def _url(self, path: str, branch: str) -> str:
        if self._settings.pages:
            return f"{self._settings.pages.rstrip('/')}/{quote(path)}"
        parts = urlsplit(self._settings.url)
        shown = _PAGES.get(parts.hostname or "")
        if parts.scheme != "https" or shown is None:
            return ""
        inner = f"{self._settings.path}/{path}" if self._settings.path else path
        return f"{self._settings.url.removesuffix('/').removesuffix('.git')}/{shown}/{branch}/{quote(inner)}"

    async def _git(self, *words: str, here: bool = True) -> bytes:
        """What git says. Raises SourceFailed."""
        where = ("--git-dir", str(self._cache)) if here else ()
        limit = str(self._settings.total_bytes // _BLOCK_BYTES + 1)
        process = await asyncio.create_subprocess_exec(
            *("/bin/sh", "-c", 'ulimit -f "$0"; exec "$@"', limit, "git", *_SAFE, *where, *words),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**_inherited(), **_ENV},
            start_new_session=True,
        )
        try:
            async with self._clock.timeout(self._settings.total_s):
                out, said = await process.communicate()
        except TimeoutError as error:
            mend = "Raise `total_s` of this source."
            raise SourceFailed(f"git took longer than {self._settings.total_s:g} s", mend) from error
        finally:
            if process.returncode is None:
                _end(process.pid)
                await process.wait()
        if process.returncode or len(out) > max(_LIST_BYTES, MOST_PACKED_BYTES):
            raise SourceFailed(*_meaning(process.returncode or 0, said.decode(errors="replace")))
        return out


def _destination(url: str) -> str:
    """Where git will connect to, as the perimeter reads addresses; "" for a folder of this machine."""
    if "://" not in url:
        host, colon, _ = url.partition(":")
        return f"https://{host.rpartition('@')[2]}:22" if colon else ""
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 22)
    return f"https://{parts.hostname}:{port}"


def _inherited() -> dict[str, str]:
    return {name: os.environ[name] for name in ("PATH", "HOME", "SSH_AUTH_SOCK", "TMPDIR") if name in os.environ}


def _end(pid: int) -> None:
    try:
        os.killpg(pid, 9)
    except ProcessLookupError:
        return


def _blob(line: bytes) -> _Blob | None:
    """`MODE TYPE ID SIZE\\tPATH`; only regular files that are documents, whose names are text and not hidden."""
    head, tab, raw = line.partition(b"\t")
    fields = head.split()
    if not tab or len(fields) != 4 or fields[0] not in (b"100644", b"100755") or not fields[3].isdigit():
        return None
    try:
        path = raw.decode()
    except UnicodeDecodeError:
        return None
    if not path.lower().endswith((*MARKDOWN, *HTML, *TEXT, *PACKED)) or any(p.startswith(".") for p in path.split("/")):
        return None
    return _Blob(path, fields[2].decode(), int(fields[3]))


def _meaning(code: int, said: str) -> tuple[str, str]:
    """What git's failure means, and the mend. Its words may hold an address with a token, so only known ones are repeated."""
    low = said.lower()
    for words, detail, mend in _FAILURES:
        if any(word in low for word in words):
            return detail, mend
    if code in (-25, 153):
        return "the repository is larger than `total_bytes`", "Raise `total_bytes` of this source."
    return f"git failed with code {code}", "Run `git ls-remote` with the source's url as the user that runs Frontdesk."


_FAILURES: Final[Sequence[tuple[tuple[str, ...], str, str]]] = (
    (
        (
            "could not read username",
            "authentication failed",
            "permission denied",
            "terminal prompts disabled",
            "401",
            "403",
        ),
        "git was refused: the repository wants a login",
        "Give the user that runs Frontdesk an SSH key with read access, and use the git@ address.",
    ),
    (
        ("couldn't find remote ref", "could not find remote ref"),
        "the repository has no such branch",
        "Correct `branch` of this source.",
    ),
    (
        ("repository not found", "not found", "does not appear to be a git repository", "does not exist"),
        "there is no such repository, or it may not be seen",
        "Correct `url` of this source, or give access.",
    ),
    (
        ("could not resolve host", "connection", "timed out", "network is unreachable"),
        "git could not reach the repository's host",
        "Check the network from this machine.",
    ),
    (
        ("file size limit exceeded", "file too large", "signal 25"),
        "the repository is larger than `total_bytes`",
        "Raise it for this source.",
    ),
    (("no space left",), "the disk is full", "Free space in the data folder."),
)
