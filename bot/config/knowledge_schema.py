"""The typed section of the config that says what the agents know: `[knowledge]`, and one `[[knowledge.sources]]` table for each `kind`."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter

from bot.config.schema import Language, Place, Seconds, Section, each_once
from bot.text import pattern

HOUR_S = 3600.0
DAY_S = 86_400.0
NAME = pattern(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
UPLOADS = "uploads"  # the folder of what people upload; no source may be named so


def _name(value: str) -> str:
    if not NAME.fullmatch(value) or value == UPLOADS:
        raise ValueError(
            f'is not a name. Write small letters, digits and "-", such as "help-center", and not "{UPLOADS}"'
        )
    return value


def _web_url(value: str) -> str:
    try:
        parts = urlsplit(value)
        is_whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_whole = False
    if not is_whole or "@" in parts.netloc or "\\" in value or min(value) <= " ":
        raise ValueError('is not a web address. Write one such as "https://help.example.com/"')
    return value


def _repository(value: str) -> str:
    is_remote = value.startswith(("https://", "http://", "ssh://")) or re.match(r"[\w.-]+@[\w.-]+:[\w./~-]+$", value)
    if not value or value.startswith("-") or min(value) <= " " or (":" in value and not is_remote):
        raise ValueError('is not a repository. Write "https://...", "git@host:path" or a folder')
    if value.startswith(("https://", "http://")):
        _web_url(value)
    return value


def _inside(value: str) -> str:
    if value.startswith("/") or ".." in value.split("/") or "\\" in value or "\0" in value:
        raise ValueError('is not a folder inside. Write one such as "docs"')
    return value.strip("/")


def _fits(pattern: str, mend: str) -> AfterValidator:
    """A text of this shape. `mend` says what to write."""

    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(f"has another shape than it should. {mend}")
        return value

    return AfterValidator(check)


WebUrl = Annotated[str, AfterValidator(_web_url)]
Inside = Annotated[str, AfterValidator(_inside)]
Count = Annotated[int, Field(ge=1, le=1_000_000_000)]
# The name of a secret, never the secret.
Secret = Annotated[
    str,
    _fits(
        r"[A-Z][A-Z0-9_]{1,63}", 'Write the name of the secret, such as "NOTION_TOKEN", and the secret itself in .env'
    ),
]
Words = tuple[Annotated[str, Field(min_length=1, max_length=500)], ...]


class _Source(Section, defer_build=True):
    """What all sources share. `audience`: who may hear it, "" for everyone. A document's own word on either goes before."""

    name: Annotated[str, AfterValidator(_name)]
    language: Language = ""
    audience: Annotated[str, Field(max_length=60)] = ""
    every_s: Annotated[float, Field(ge=60, le=31_622_400, allow_inf_nan=False)] = 6 * HOUR_S
    documents: Annotated[int, Field(ge=1, le=100_000)] = 5_000


class Folder(_Source):
    """A folder or file of this machine, read where it stands."""

    kind: Literal["folder"]
    path: Annotated[Path, Field(strict=False)]


class Website(_Source):
    """The pages below `url`. `sitemap`: where it is, if robots.txt does not say. `include`, `exclude`: beginnings of paths."""

    kind: Literal["website"]
    url: WebUrl
    sitemap: Annotated[str, AfterValidator(lambda value: value and _web_url(value))] = ""
    include: Words = ()
    exclude: Words = ()
    depth: Annotated[int, Field(ge=0, le=100)] = 6
    page_bytes: Count = 10_000_000
    total_bytes: Count = 1_000_000_000
    total_s: Seconds = HOUR_S
    pause_s: Annotated[float, Field(ge=0, le=60, allow_inf_nan=False)] = 0.5


class Git(_Source):
    """The documents in `path` of a repository, at the end of `branch` ("": its main one). `pages`: the web address below which people read
    them; a guess is made for the large hosts."""

    kind: Literal["git"]
    url: Annotated[str, AfterValidator(_repository)]
    branch: Annotated[
        str, _fits(r"(?:[A-Za-z0-9_][A-Za-z0-9_./-]{0,199})?", 'Write the name of a branch, such as "main"')
    ] = ""
    path: Inside = ""
    pages: Annotated[str, AfterValidator(lambda value: value and _web_url(value))] = ""
    total_bytes: Count = 500_000_000
    total_s: Seconds = 600.0


class Notion(_Source):
    """The pages that are shared with an integration, or only those of `databases`. `secret` names the integration's token."""

    kind: Literal["notion"]
    secret: Secret = "NOTION_TOKEN"  # noqa: S105 - a name
    databases: tuple[
        Annotated[
            str, _fits(r"[0-9a-fA-F-]{32,36}", "Write the 32 digits and letters at the end of the database's address")
        ],
        ...,
    ] = ()


class Drive(_Source):
    """The files below `folder`, which is shared with a service account. `key_file`: its key, as Google gives it out."""

    kind: Literal["drive"]
    folder: Annotated[str, _fits(r"[\w-]{5,200}", "Write what follows /folders/ in the folder's address")]
    key_file: Annotated[Path, Field(strict=False)]
    file_bytes: Count = 50_000_000


class Youtube(_Source):
    """What is said in videos. `videos`: their ids or addresses. `playlist`: its id; that needs a key of the YouTube Data API, which `secret`
    names. `languages`: which captions, best first ("": any)."""

    kind: Literal["youtube"]
    videos: Words = ()
    playlist: Annotated[str, _fits(r"[\w-]{0,64}", "Write what follows list= in the playlist's address")] = ""
    secret: Secret = "YOUTUBE_API_KEY"  # noqa: S105 - a name
    languages: Words = ()
    every_s: Annotated[float, Field(ge=60, le=31_622_400, allow_inf_nan=False)] = 7 * DAY_S


Source = Annotated[Folder | Website | Git | Notion | Drive | Youtube, Field(discriminator="kind")]
SOURCE: TypeAdapter[Source] = TypeAdapter(Source, config=ConfigDict(defer_build=True))
SOURCES: TypeAdapter[tuple[Source, ...]] = TypeAdapter(tuple[Source, ...], config=ConfigDict(defer_build=True))


class Knowledge(Section):
    """What the agents know: files and folders, and sources. `fusion`: how much likeness in meaning counts beside words, 0 to 1; 0: words
    alone. `mode`: whether all that an agent knows stands in each request to its models ("whole"), is searched ("search"), or the one where it
    is at most `whole_tokens`, as we count them, and the other where it is more. `rerank_s`: how long the models of [roles] rerank may take for
    one search."""

    paths: Annotated[tuple[Place, ...], AfterValidator(each_once)] = (Path("docs"),)
    poll_s: Seconds = 2.0
    fusion: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.75
    mode: Literal["auto", "search", "whole"] = "auto"
    whole_tokens: Count = 8_000
    rerank_s: Seconds = 2.0
    sources: tuple[Source, ...] = ()


def placed(source: Source, folder: Path) -> Source:
    """The same with its paths below `folder`, where the config file stands."""
    match source:
        case Folder(path=path):
            return source.model_copy(update={"path": folder / path.expanduser()})
        case Drive(key_file=path):
            return source.model_copy(update={"key_file": folder / path.expanduser()})
        case _:
            return source


def source_secrets(sources: Iterable[Source]) -> list[str]:
    """The names of the secrets that they need."""
    return [each.secret for each in sources if isinstance(each, Notion | Youtube)]


def place_of(source: Source, data: Path) -> Path:
    """Where the library finds a source's documents."""
    return source.path if isinstance(source, Folder) else data / "knowledge" / source.name


def uploads(data: Path) -> Path:
    """Where uploaded documents lie; whatever stands there is known like any other folder's files."""
    return data / "knowledge" / UPLOADS
