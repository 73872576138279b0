"""What the company knows: folders of documents, cut into passages, searched by words and by meaning.

`origins` brings documents from elsewhere into folders. `sources` finds the files, `blocks`, `html` and `reading` read them, `chunking` cuts
them into passages. `indexing` compares folders and index, `index` holds the SQL, `search`, `vectors` and `fusion` rank, `embeddings` and
`meaning` make and keep vectors; `library` holds it all in step, `opening` builds it from the config.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from bot.knowledge.index import DocumentSummary, IndexReader
    from bot.knowledge.indexing import SyncReport
    from bot.knowledge.library import FolderKnowledge, open_index

__all__ = ["DocumentSummary", "FolderKnowledge", "IndexReader", "SyncReport", "open_index"]

_PLACES: Final = {
    "DocumentSummary": "index",
    "IndexReader": "index",
    "SyncReport": "indexing",
    "FolderKnowledge": "library",
    "open_index": "library",
}


def __getattr__(name: str) -> Any:  # of whatever kind it is
    """Imported when it is first asked for: who wants a list of stop words loads no index."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"bot.knowledge.{_PLACES[name]}"), name)
