"""`search_knowledge`: the passages that fit a question, numbered so that an answer can cite them."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from bot.model import Found
from bot.ports import Knowledge
from bot.tools import Output
from bot.tools.names import SEARCH_KNOWLEDGE

PASSAGES = 5
CANDIDATES = 20  # where a model puts them in order before the best are given
NOTHING = "Nothing in the knowledge base fits this question."
FAR = "None of these passages is close to the question in meaning. If they do not answer it, say that you did not find it."
# Of our own questions (benchmarks/retrieval/docs.toml) 17 % of those with an answer and 90 % of those without lie below it.
CLOSE = 0.3
MOST_WORDS = 0.8  # a passage that holds this share of the question's words is close all the same


class Arguments(BaseModel):
    """What the model has to give."""

    model_config = ConfigDict(extra="forbid", strict=True)

    query: str = Field(min_length=1, max_length=20_000, description="what to look for, in the user's words")


class SearchKnowledge:
    """The built-in search tool over the `Knowledge` port. `within`: the files and folders that this agent knows (none: all); `most`: passages
    that it gives."""

    name = SEARCH_KNOWLEDGE
    description = "Searches the company's documents. Cite a passage as [n] with its number."
    arguments = Arguments
    is_read = True
    title = "Searching the documents"

    def __init__(self, knowledge: Knowledge, within: Sequence[Path] = (), most: int = PASSAGES) -> None:
        self._knowledge = knowledge
        self._within = within
        self._most = most

    async def run(self, arguments: Arguments, first_number: int) -> Output:
        found = tuple(await self._knowledge.search(arguments.query, self._most, self._within))
        return Output(as_text(found, first_number), found)


def as_text(found: Sequence[Found], first_number: int) -> str:
    """The passages as a model reads them."""
    if not found:
        return NOTHING
    passages = [f"[{number}] {one.passage.title}\n{one.passage.text}" for number, one in enumerate(found, first_number)]
    return "\n\n".join([*([FAR] if _is_far(found) else []), *passages])


def _is_far(found: Sequence[Found]) -> bool:
    """Whether embeddings say that the question is about something else. Without them, nobody knows."""
    near = max((one.likeness for one in found if one.likeness is not None), default=CLOSE)
    return near < CLOSE and max(one.coverage for one in found) < MOST_WORDS
