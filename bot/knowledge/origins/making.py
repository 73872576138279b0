"""From a source's settings to its origin. Origins are imported when the first source of their kind is made."""

from collections.abc import Callable
from pathlib import Path
from typing import assert_never

from bot.config.knowledge_schema import Drive, Folder, Git, Notion, Source, Website, Youtube
from bot.knowledge.origins.asking import Outside
from bot.knowledge.origins.origin import Origin
from bot.knowledge.reading.room import ReadingRoom
from bot.model import value
from bot.ports import Clock


@value
class Surroundings:
    """What sources need of the house: the way out, the perimeter's word on an address, and secrets by name."""

    data: Path
    clock: Clock
    outside: Outside
    allows_url: Callable[[str], bool]
    secret: Callable[[str], str]


def make_origin(source: Source, around: Surroundings, room: ReadingRoom) -> Origin:
    """Raises ValueError for a folder, which has no far side."""
    match source:
        case Website():
            from bot.knowledge.origins.website import WebsiteOrigin

            return WebsiteOrigin(source, around.outside, room, around.clock)
        case Git():
            from bot.knowledge.origins.git import GitOrigin

            cache = around.data / "knowledge" / ".git" / source.name
            return GitOrigin(source, cache, room, around.clock, around.allows_url)
        case Notion():
            from bot.knowledge.origins.notion import NotionOrigin

            return NotionOrigin(source, around.outside, around.clock, around.secret)
        case Drive():
            from bot.knowledge.origins.drive import DriveOrigin

            return DriveOrigin(source, around.outside, room, around.clock)
        case Youtube():
            from bot.knowledge.origins.youtube import YoutubeOrigin

            return YoutubeOrigin(source, around.outside, around.clock, around.secret)
        case Folder():
            raise ValueError(f"the folder {source.name} is read where it stands")
        case _:
            assert_never(source)
