"""What has to be done before a turn can read its messages: files are fetched, and voice messages written down.

Promise: what is done stays done, so that a turn which runs again neither fetches nor pays twice.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field

from bot.agent.tries import Attempt
from bot.files import Files
from bot.hearing import Hearing, Listener, is_prepared
from bot.model import Conversation, Message, MessageId, TurnId, changeable

__all__ = ["Prepared", "Preparing", "is_prepared"]


@changeable
class Prepared:
    """The messages that have changed by it, what was paid for it (on record already), and the plain answer to a turn that holds nothing
    but voice messages which nobody can listen to."""

    messages: Mapping[MessageId, Message] = field(default_factory=dict)
    attempts: Sequence[Attempt] = ()
    answer: str = ""


class Preparing:
    """`models_of`: the names of the models that an agent asks, in order."""

    def __init__(self, files: Files, hearing: Hearing, models_of: Callable[[str], Sequence[str]]) -> None:
        self._files = files
        self._hearing = hearing
        self._models_of = models_of

    async def prepare(
        self,
        conversation: Conversation,
        messages: Sequence[Message],
        turn: TurnId,
        *,
        is_last_try: bool,
        is_listening: bool,
    ) -> Prepared:
        """Raises FetchError or ModelError when another try may help; StoreUnavailable or Overloaded when something could not be kept."""
        if all(map(is_prepared, messages)):
            return Prepared()
        changed = await self._files.fetch_missing(conversation.address, messages, is_last_try=is_last_try)
        if not is_listening:
            return Prepared(changed)
        models = tuple(self._models_of(conversation.agent))
        listener = Listener(conversation.agent, models, turn, conversation.id, conversation.identity)
        fetched = [changed.get(message.id, message) for message in messages]
        heard = await self._hearing.listen(fetched, listener, is_last_try=is_last_try)
        return Prepared({**changed, **heard.messages}, heard.attempts, heard.answer)
