"""What must hold of `[knowledge]`, of its sources, and of what each agent knows of them."""

from collections.abc import Iterator
from os.path import normpath
from pathlib import Path as FilePath
from typing import TYPE_CHECKING

from bot.config.knowledge_schema import Drive, Folder, Git, Source, Website, Youtube, place_of, uploads
from bot.config.lines import Path
from bot.config.model_checks import Finding
from bot.net.perimeter import Perimeter

if TYPE_CHECKING:
    from bot.config.load import Config

_MISSING = "Create it, or correct the path."


def check_knowledge(config: "Config", *, has_own_paths: bool) -> Iterator[Finding]:
    """Everything wrong with it. `has_own_paths`: the owner wrote [knowledge] paths, so each must exist."""
    for index, path in enumerate(config.knowledge.paths if has_own_paths else ()):
        if not path.exists():
            yield ("knowledge", "paths", index), f"does not exist: {path}", _MISSING
    names: list[str] = []
    outward = Perimeter(config.network.allow)
    for index, source in enumerate(config.knowledge.sources):
        at: Path = ("knowledge", "sources", index)
        if source.name in names:
            yield (*at, "name"), f'is "{source.name}", as that of another source', "Give each source a name of its own."
        names.append(source.name)
        yield from _source(at, source, outward)
    if len(config.roles.embed) > 1:
        what = "names more than one model, but meanings are compared only within one"
        yield ("roles", "embed", 1), what, "Leave one."
    for name, agent in config.agents.items():
        if agent.roles.embed is not None:
            what = "is set for one agent, but all share the knowledge"
            yield ("agents", name, "roles", "embed"), what, "Set [roles] embed instead."
        yield from _known(config, name)


def _source(at: Path, source: Source, outward: Perimeter) -> Iterator[Finding]:
    match source:
        case Folder(path=path) if not path.exists():
            yield (*at, "path"), f"does not exist: {path}", _MISSING
        case Drive(key_file=path) if not path.is_file():
            yield (
                (*at, "key_file"),
                f"does not exist: {path}",
                "Save the service account's key there, as Google gives it.",
            )
        case Youtube(videos=(), playlist=""):
            yield (*at, "videos"), "is missing", "Name videos, or a playlist."
        case Website(url=url) | Git(url=url) if url.startswith("http") and not outward.allows_url(url):
            what = f"leads to {url}, which [network] allow does not list"
            yield (*at, "url"), what, "Add its host to [network] allow, or remove the source."
        case _:
            pass


def _known(config: "Config", name: str) -> Iterator[Finding]:
    """What an agent names lies within what there is."""
    known, data = config.agents[name].knowledge, config.data.path
    places = {place_of(each, data) for each in config.knowledge.sources} | {uploads(data)}
    for index, path in enumerate(known if isinstance(known, tuple) else ()):
        at: Path = ("agents", name, "knowledge", index)
        if path in places:
            continue
        if not any(
            FilePath(normpath(path)).is_relative_to(normpath(each)) for each in (*config.knowledge.paths, *places)
        ):
            yield at, "is outside [knowledge] paths", "Name one of these, a folder or file below one, or a source."
        elif not path.exists():
            yield at, f"does not exist: {path}", _MISSING
