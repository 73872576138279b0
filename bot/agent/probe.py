"""One call of one model, to see whether and how it answers: `frontdesk models try`."""

from contextlib import aclosing
from dataclasses import field
from typing import Any

from bot.agent.router import Attempt, Began, Router
from bot.model import Author, changeable
from bot.ports import ChatMessage, ChatRequest, Clock, TextDelta

INSTRUCTIONS = "Answer briefly."


@changeable
class Tried:
    """What came of it; `attempts` are to be put on record like those of a turn."""

    text: str = ""
    attempts: list[Attempt] = field(default_factory=list)

    def told(self, name: str) -> dict[str, Any]:
        """JSON for the command: the last call of the model itself."""
        attempt = next((each for each in reversed(self.attempts) if each.model == name), Attempt(name, "passed over"))
        return {
            "text": self.text if attempt.outcome in ("answered", "tools") else "",
            "outcome": attempt.outcome,
            "why": attempt.why,
            "waited_ms": attempt.waited_ms,
            "first_ms": attempt.first_ms,
            "total_ms": attempt.total_ms,
            "input_tokens": attempt.usage.input_tokens,
            "output_tokens": attempt.usage.output_tokens,
            "cache_read_tokens": attempt.usage.cache_read_tokens,
            "cost_micros": attempt.cost_micros,
        }


async def try_model(router: Router, name: str, text: str, clock: Clock, seconds: float) -> Tried:
    """Asks the model alone: when it fails, nobody answers for it."""
    tried = Tried()
    request = ChatRequest(INSTRUCTIONS, (ChatMessage(Author.USER, text),))
    chunks = router.chain([name]).stream(
        lambda chars: request, tried.attempts, deadline=clock.monotonic() + seconds, payer=""
    )
    async with aclosing(chunks):
        async for chunk in chunks:
            match chunk:
                case TextDelta(piece):
                    tried.text += piece
                case Began(is_last_resort=True):
                    break
                case Began():
                    tried.text = ""
    return tried
