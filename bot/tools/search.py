"""`search_knowledge`: the passages that fit a question, numbered so that an answer can cite them."""

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bot.model import Found
from bot.ports import Knowledge, ToolCall, ToolResult, ToolSpec

PASSAGES = 5
NOTHING = "Nothing in the knowledge base fits this question."


class Arguments(BaseModel):
    """What the model has to give."""

    model_config = ConfigDict(extra="forbid", strict=True)

    query: str = Field(min_length=1, max_length=20_000)


class SearchKnowledge:
    """The built-in search tool over the `Knowledge` port."""

    spec = ToolSpec(
        "search_knowledge",
        "Searches the company's documents. Cite a passage as [n] with its number.",
        {
            "type": "object",
            "properties": {"query": {"type": "string", "description": "what to look for, in the user's words"}},
            "required": ["query"],
            "additionalProperties": False,
        },
    )

    def __init__(self, knowledge: Knowledge) -> None:
        self._knowledge = knowledge

    async def call(self, call: ToolCall, first_number: int) -> ToolResult:
        try:
            arguments = Arguments.model_validate_json(call.arguments)
        except ValidationError as error:
            return ToolResult(
                call.id, f"Unusable arguments: {error.error_count()} problems. Give one string, query.", is_error=True
            )
        found = tuple(await self._knowledge.search(arguments.query, PASSAGES))
        return ToolResult(call.id, as_text(found, first_number), found=found, first_number=first_number)


def as_text(found: tuple[Found, ...], first_number: int) -> str:
    """The passages as a model reads them."""
    if not found:
        return NOTHING
    return "\n\n".join(
        f"[{number}] {one.passage.title}\n{one.passage.text}" for number, one in enumerate(found, first_number)
    )
