"""What is said in videos of YouTube: their captions, those that people wrote before those that a machine heard.

The captions API of YouTube (captions.download) answers only a video's owner, so captions are asked for as YouTube's own player asks: its
`player` interface names the tracks, and a track is read as JSON. That interface is not public, and YouTube turns machines in data centres
away now and then; then what was kept stays. Playlists are listed by the YouTube Data API v3 (playlistItems.list), with a key.
"""

import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import parse_qs, urlencode, urlsplit

from bot.config.knowledge_schema import Youtube
from bot.knowledge.origins.asking import Api, Outside, Pace
from bot.knowledge.origins.origin import Fresh, Mark, Page, Passed, SourceFailed, Step
from bot.ports import Clock

SITE: Final = "https://www.youtube.com"
API: Final = "https://www.googleapis.com"
PAUSE_S: Final = 1.5
# A client of YouTube's own whose tracks can be read without a token of the player.
_CLIENT: Final = {"client": {"clientName": "ANDROID", "clientVersion": "20.10.38", "hl": "en"}}
_AGENT: Final = "com.google.android.youtube/20.10.38 (Linux; U; Android 14)"
_ID: Final = re.compile(r"[\w-]{11}")
_PARAGRAPH_MS: Final = 45_000
_LONGEST_MS: Final = 90_000
MOST_PAGES: Final = 100


class YoutubeOrigin:
    """Implements `Origin`. A document's key is its video's id. `site` and `api`: where the service answers."""

    def __init__(
        self,
        settings: Youtube,
        outside: Outside,
        clock: Clock,
        secret: Callable[[str], str],
        site: str = SITE,
        api: str = API,
    ) -> None:
        self._settings = settings
        self._secret = secret
        self._site = site
        self._list_url = f"{api}/youtube/v3/playlistItems"
        pace = Pace(clock, PAUSE_S)
        self._player = Api("YouTube", outside, pace, (site,), {"User-Agent": _AGENT})
        self._data = Api("YouTube", outside, pace, (api,))
        self._expected = 0

    def expected(self) -> int:
        return self._expected

    async def changes(self, kept: Mapping[str, Mark]) -> AsyncIterator[Step]:
        videos: dict[str, None] = {}
        for each in self._settings.videos:
            if found := video_id(each):
                videos[found] = None
            else:
                yield Passed(each, "is no video: write its address or its id of 11 letters")
        if self._settings.playlist:
            videos.update(dict.fromkeys([video async for video in self._listed()]))
        self._expected = len(videos)
        for video in videos:
            if (step := await self._step(video)) is not None:
                yield step

    async def _listed(self) -> AsyncIterator[str]:
        key = self._secret(self._settings.secret)
        if not key:
            mend = f"Set {self._settings.secret} to a key of the YouTube Data API, or list `videos`."
            raise SourceFailed("there is no key for the YouTube Data API", mend, is_retryable=False)
        asked = {"part": "contentDetails", "playlistId": self._settings.playlist, "maxResults": "50", "key": key}
        token = ""
        for _ in range(MOST_PAGES):
            query = urlencode(asked | ({"pageToken": token} if token else {}))
            status, told = await self._data.json("GET", f"{self._list_url}?{query}")
            if status >= 300:
                mend = "Check the key, that the YouTube Data API is enabled for it, and `playlist` of this source."
                raise SourceFailed(f"the YouTube Data API answered {status}", mend)
            for item in told.get("items") or []:
                found = str((item.get("contentDetails") or {}).get("videoId", ""))
                if _ID.fullmatch(found):
                    yield found
            token = str(told.get("nextPageToken") or "")
            if not token:
                return

    async def _step(self, video: str) -> Step | None:
        body = {"context": _CLIENT, "videoId": video}
        status, told = await self._player.json("POST", f"{self._site}/youtubei/v1/player?prettyPrint=false", body=body)
        if status >= 300:
            raise SourceFailed(f"YouTube answered {status}", "Wait: YouTube turns this machine away for now.")
        refusal = _refusal(told)
        if refusal == "gone":
            return None
        if refusal:
            return Passed(video, refusal, video)
        details = told.get("videoDetails") or {}
        track = self._track(told)
        if track is None:
            return Passed(str(details.get("title") or video), "has no captions in the wanted languages")
        answer = await self._player.json("GET", f"{track['baseUrl'].replace('&fmt=srv3', '')}&fmt=json3")
        paragraphs = list(_paragraphs(answer[1].get("events") or []))
        title = str(details.get("title") or video)
        if not paragraphs:
            return Passed(title, "YouTube gave no captions for it now", video)
        language = str(track.get("languageCode", "")).split("-")[0].lower()
        url = f"https://www.youtube.com/watch?v={video}"
        return Fresh(video, Page(title, url, "\n\n".join(paragraphs), language), Mark())

    def _track(self, told: dict[str, Any]) -> dict[str, Any] | None:
        """The best track: of the first language that there is, by a person rather than by a machine."""
        listed = (told.get("captions") or {}).get("playerCaptionsTracklistRenderer") or {}
        tracks = [
            each
            for each in listed.get("captionTracks") or []
            if str(each.get("baseUrl", "")).startswith(f"{self._site}/")
        ]
        wanted = self._settings.languages or ("",)

        def rank(track: dict[str, Any]) -> tuple[int, bool]:
            code = str(track.get("languageCode", "")).lower()
            fits = [n for n, each in enumerate(wanted) if not each or code.split("-")[0] == each.lower()]
            return (fits[0] if fits else len(wanted), track.get("kind") == "asr")

        best = min(tracks, key=rank, default=None)
        return best if best is not None and rank(best)[0] < len(wanted) else None


def video_id(text: str) -> str:
    """The id in a video's address, or the id itself; "" where there is none."""
    if _ID.fullmatch(text):
        return text
    try:
        parts = urlsplit(text)
    except ValueError:
        return ""
    host = (parts.hostname or "").removeprefix("www.").removeprefix("m.")
    if host == "youtu.be":
        found = parts.path.strip("/")
    elif host in ("youtube.com", "youtube-nocookie.com"):
        named = re.match(r"/(?:shorts|embed|live|v)/([\w-]{11})", parts.path)
        found = named[1] if named else parse_qs(parts.query).get("v", [""])[0]
    else:
        found = ""
    return found if _ID.fullmatch(found) else ""


def _refusal(told: dict[str, Any]) -> str:
    """Why a video cannot be played: "gone" for good, "" not at all. Raises SourceFailed where it is us who are turned away."""
    held = told.get("playabilityStatus") or {}
    status, reason = str(held.get("status", "")), str(held.get("reason", ""))[:120]
    if status in ("OK", ""):
        return ""
    if "bot" in reason.lower():
        raise SourceFailed("YouTube takes this machine for a bot", "Wait, or run the sync from another network.")
    if status == "ERROR":
        return "gone"
    return f"cannot be watched by everybody ({reason or status})"


def _paragraphs(events: list[Any]) -> Iterator[str]:
    """What is said, in paragraphs of most of a minute that end with a sentence where they can, each with its time in front."""
    words, began = "", 0
    for event in events:
        if not isinstance(event, dict):
            continue
        said = "".join(str(seg.get("utf8") or "") for seg in event.get("segs") or [] if isinstance(seg, dict)).strip()
        at = int(event.get("tStartMs") or 0)
        if words and (at - began > _LONGEST_MS or (at - began > _PARAGRAPH_MS and words[-1] in ".!?")):
            yield f"({_time(began)}) {words}"
            words = ""
        if said:
            began = began if words else at
            words = f"{words} {' '.join(said.split())}".strip()
    if words:
        yield f"({_time(began)}) {words}"


def _time(ms: int) -> str:
    minutes, seconds = divmod(ms // 1000, 60)
    return f"{minutes}:{seconds:02d}"
