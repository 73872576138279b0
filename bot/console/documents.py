"""What the agents know, for the console: the documents by source, what a question finds, and documents uploaded, downloaded and deleted."""

import asyncio
import logging
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from aiohttp import web

from bot.config.knowledge_schema import UPLOADS, uploads
from bot.console import shelf
from bot.console.asking import fields, named, told
from bot.console.room import Room
from bot.console.shelf import Given, Held, Listing, Source
from bot.errors import DataError, Refused
from bot.handoff.views_rows import Json
from bot.knowledge.library import FolderKnowledge
from bot.knowledge.reading.room import ReadingRoom
from bot.knowledge.sources import MOST_PACKED_BYTES
from bot.knowledge.words import informative_words
from bot.model import Found
from bot.store import audit
from bot.store.sessions import Signed
from bot.text import clean

log = logging.getLogger(__name__)

TRANSFER_S: Final = 300.0
READY_S: Final = 0.5
FOUND_MOST: Final = 5
QUESTION_CHARS: Final = 500
AUDIENCE_CHARS: Final = 60
_LANGUAGE: Final = re.compile(r"(?:[a-z]{2,3})?")
_CHUNK_BYTES: Final = 65_536


class Documents:
    """Answers what `bot.console.knowledge` routes here. Imported by the first who asks: it brings all that reads documents."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._reading = ReadingRoom()
        self._writing = asyncio.Lock()

    async def close(self) -> None:
        """Ends the child that reads. Safe to repeat."""
        await asyncio.to_thread(self._reading.close)

    # --- looking -----------------------------------------------------------------------------------------------------

    async def listed(self, signed: Signed, request: web.Request) -> web.StreamResponse:
        settings, library = self._room.settings(), await self._ready()
        held = await asyncio.to_thread(shelf.listing, settings.knowledge, self._room.data)
        known = {each.name: each for each in await library.list_documents()} if library is not None else {}
        documents = []
        for each in held.files:
            indexed = known.get(each.name)
            told_of = (
                {"title": indexed.title, "passages": indexed.passages} if indexed else {"title": "", "passages": 0}
            )
            documents.append({**_document(each, held), **told_of, "is_searchable": indexed is not None})
        return told(
            {
                "is_ready": library is not None,
                "sources": [_source(each, held, number) for number, each in enumerate(held.sources)],
                "documents": documents,
                "passed_over": list(held.passed_over),
                "audiences": list(settings.audiences),
                "most_bytes": MOST_PACKED_BYTES,
            }
        )

    async def why(self, signed: Signed, request: web.Request) -> web.StreamResponse:
        question = clean(request.query.get("q", "")[:QUESTION_CHARS]).strip()
        if not question:
            raise Refused("bad_request", "Write a question.")
        words = list(dict.fromkeys(informative_words(question)))
        library = await self._ready()
        if library is None:
            raise Refused("not_now", "The documents are being read for the first time. Try again in a moment.")
        try:
            found = await library.search(question, FOUND_MOST, audiences=None)
        except DataError as error:
            log.warning("the documents could not be searched: %s", error)
            raise Refused("not_now", "The search index cannot be read just now. It is being built anew.") from error
        return told({"words": words, "found": [_found(each, words) for each in found]})

    async def given(self, signed: Signed, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        path = await asyncio.to_thread(shelf.original, self._folder, name)
        data = await asyncio.to_thread(path.read_bytes)
        return web.Response(body=data, content_type="application/octet-stream", headers=named(shelf.shown(name)))

    # --- changing ----------------------------------------------------------------------------------------------------

    async def taken(self, signed: Signed, request: web.Request) -> web.StreamResponse:
        """A document and what the headers say of it: `X-Name`, `X-Language`, `X-Audience`, `X-Replace: 1`."""
        given = _given(request)
        async with self._room.clock.timeout(TRANSFER_S):
            data = await _body(request)
        ready = await asyncio.to_thread(shelf.examined, given, data, self._reading)
        is_replacing = request.headers.get("X-Replace") == "1"
        async with self._writing:
            was_there = await asyncio.to_thread(shelf.taken, self._folder, ready.name)
            if not is_replacing and was_there:
                raise Refused("exists", f"There is a document {shelf.shown(ready.name)} already.")
            action = "document replaced" if was_there else "document uploaded"
            await self._record(signed, action, was_there or ready.name)
            kept = await asyncio.to_thread(shelf.keep, self._folder, ready, is_replacing=is_replacing)
        await self._sync()
        return told({"name": kept, "shown": shelf.shown(kept)})

    async def deleted(self, signed: Signed, request: web.Request) -> web.StreamResponse:
        name = (await fields(request, "name"))["name"]
        async with self._writing:
            await asyncio.to_thread(shelf.original, self._folder, name)
            await self._record(signed, "document deleted", name)
            await asyncio.to_thread(shelf.delete, self._folder, name)
        await self._sync()
        return told({"ok": True})

    async def _record(self, signed: Signed, action: str, name: str) -> None:
        """Before it is done: what is not on record does not happen."""
        await self._room.store.run(audit.append, signed.operator.id, action, name, self._room.clock.now_ms())

    async def _sync(self) -> None:
        """At once, not at the next round. While everything is read for the first time, that pass finds it."""
        library = await self._ready()
        if library is None:
            return
        try:
            await library.sync()
        except DataError as error:
            log.warning("the search index follows the upload later: %s", error)

    async def _ready(self) -> FolderKnowledge | None:
        """None while everything is read for the first time."""
        try:
            async with self._room.clock.timeout(READY_S):
                library = await self._room.library.loaded()
        except TimeoutError:
            return None
        return library if library.ready.is_set() else None

    @property
    def _folder(self) -> Path:
        return uploads(self._room.data)


def _given(request: web.Request) -> Given:
    name, language, audience = (
        clean(unquote(request.headers.get(header, "")[:1000], errors="replace")).strip()
        for header in ("X-Name", "X-Language", "X-Audience")
    )
    if not _LANGUAGE.fullmatch(language):
        raise Refused("bad_request", "A language is two or three small letters, such as de.")
    if len(audience) > AUDIENCE_CHARS or not audience.isprintable():
        raise Refused("bad_request", f"An audience is one line of at most {AUDIENCE_CHARS} letters.")
    return Given(name, language, audience)


async def _body(request: web.Request) -> bytes:
    data = bytearray()
    async for chunk in request.content.iter_chunked(_CHUNK_BYTES):
        data += chunk
        if len(data) > MOST_PACKED_BYTES:
            raise Refused("too_large", f"This file is too large: {MOST_PACKED_BYTES // 2**20} MB at most.")
    return bytes(data)


def _source(each: Source, held: Listing, number: int) -> Json:
    state = asdict(each.state) if each.state is not None else None
    count = sum(1 for file in held.files if file.source == number)
    names = {"name": each.name, "kind": each.kind, "language": each.language, "audience": each.audience}
    return {**names, "documents": count, "state": state}


def _document(each: Held, held: Listing) -> Json:
    source = held.sources[each.source] if each.source >= 0 else None
    is_upload = source is not None and source.kind == UPLOADS and each.name.count("/") == 1
    return {
        "name": each.name,
        "shown": shelf.shown(each.name.partition("/")[2] or each.name) if is_upload else each.name,
        "file": each.name.partition("/")[2] if is_upload else "",
        "source": source.name if source is not None else "",
        "size_bytes": each.size_bytes,
        "modified_ms": each.modified_ms,
    }


def _found(each: Found, words: Sequence[str]) -> Json:
    low = f"{each.passage.title} {each.passage.text}".lower()
    return {
        **asdict(each.passage),
        "score": each.score,
        "coverage": each.coverage,
        "likeness": each.likeness,
        "holds": [word for word in words if word in low],
        "lacks": [word for word in words if word not in low],
    }
