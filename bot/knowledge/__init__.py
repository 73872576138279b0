"""What the company knows: folders of documents, cut into passages, searched by words and by meaning.

`origins` brings documents from elsewhere into folders. `sources` finds the files, `blocks`, `html` and `reading` read them, `chunking` cuts
them into passages. `indexing` compares folders and index, `index` holds the SQL, `search`, `vectors` and `fusion` rank, `embeddings` and
`meaning` make and keep vectors; `library` holds it all in step, `opening` builds it from the config.
"""

from bot.knowledge.index import DocumentSummary, IndexReader
from bot.knowledge.indexing import SyncReport
from bot.knowledge.library import FolderKnowledge, open_index

__all__ = ["DocumentSummary", "FolderKnowledge", "IndexReader", "SyncReport", "open_index"]
