"""What one operator is told of one thing that happened in a conversation, and how it reads."""

from typing import Final

from bot.model import value

WROTE, REPLIED, NAMED = "wrote", "replied", "named"
HAPPENED: Final = {
    "claim": "{who} has taken it.",
    "release": "{who} has given it back to the queue.",
    "cancel": "The user no longer wants to wait: the agent has it again.",
    "queue_timeout": "Nobody came in time: the agent has it again.",
    "operator_silent": "No word for too long: it is back in the queue.",
    "resolve": "{who} has resolved it.",
}  # by what the log of handoffs calls it; the threads of operators' rooms say it in the same words
_SAYS: Final = {
    **HAPPENED,
    WROTE: "The user has written.",
    REPLIED: "{who} has replied.",
    NAMED: "{who} names you in a note.",
    "queue": "A person is asked for.",
    "open": "A person is asked for.",
    "hand_on": "{who} has offered it to somebody else.",
    "return": "{who} has returned it to the agent.",
    "user_silent": "The user said nothing more: it is closed.",
    "user_left": "The user has ended it.",
}


@value
class Notice:
    """`number` counts within the conversation; `what`: of the words above."""

    conversation: str
    number: int
    operator: str
    cause: str  # the message or the line of the log
    case: str
    what: str
    who: str  # the operator's name as people read it
    at_ms: int  # when it was told

    @property
    def text(self) -> str:
        """As a sentence."""
        return _SAYS[self.what].format(who=self.who or "Somebody")
