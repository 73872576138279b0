"""What the company knows: folders of documents, cut into passages, searched by words.

`blocks` and `html` read documents, `chunking` cuts them into passages, `sources` finds the files, `index` holds the SQL, and
`library` keeps the index in step with the folders.
"""

from bot.knowledge.index import DocumentSummary, IndexReader
from bot.knowledge.library import FolderKnowledge, SyncReport, open_index

__all__ = ["DocumentSummary", "FolderKnowledge", "IndexReader", "SyncReport", "open_index"]
