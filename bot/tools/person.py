"""`request_human`: puts on record that the user wants to talk to a person."""

from pydantic import BaseModel, ConfigDict, Field

from bot.tools import Output
from bot.tools.names import REQUEST_HUMAN

NOTED = (
    "The wish is on record. Tell the user plainly that the wish is noted, that you cannot say when somebody will answer, and that they "
    "may go on asking you until then. Promise nothing else."
)


class Arguments(BaseModel):
    """What the model has to give."""

    model_config = ConfigDict(extra="forbid", strict=True)

    reason: str = Field(default="", max_length=2_000, description="why, in one sentence")


class RequestHuman:
    """The built-in tool. It changes nothing by itself: the turn records the wish together with its answer."""

    name = REQUEST_HUMAN
    description = "Records that the user wants to talk to a person. Call it when the user asks for one or accepts your offer of one."
    arguments = Arguments
    is_read = True
    title = ""

    async def run(self, arguments: Arguments, first_number: int) -> Output:
        return Output(NOTED, is_person_wished=True)
