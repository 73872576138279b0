"""People who asked what no document answers, as rows of a real database."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bot import ids
from bot.agent.router import Chain
from bot.gaps.gaps import Gaps
from bot.model import Author, ConversationId
from bot.ports import ChatRequest, Cursor
from bot.store import records
from tests.console.people import People, case_of
from tests.memory.house import chain
from tests.operators.house import House, housed
from tests.pipeline.house import ScriptedModel

SEARCHED = json.dumps({"calls": [{"name": "search_knowledge"}]}, separators=(",", ":"))
BY = "local:root"


class Asking:
    """The house, its gaps, and ways to ask."""

    def __init__(self, house: House, chains: dict[str, Chain]) -> None:
        self.house = house
        self.store = house.store
        self.people = People(house.store, house.clock.now_ms() - 3_600_000)
        self.gaps = Gaps(house.store, house.clock, chains, house.data)

    async def unanswered(self, name: str, text: str, *, searched: bool = True) -> ConversationId:
        """A question to which the agent found nothing."""
        talk = await self.people.talk(name, text=text)
        turn = ids.new_id(self.people.now_ms)
        await self.store.run(_end_turn, talk, turn, self.people.now_ms, SEARCHED if searched else "{}")
        await self.people.say(talk, "I did not find an answer to that.", Author.AGENT, turn=turn)
        return talk

    async def rate(self, conversation: str, feedback: str) -> None:
        """Of the agent's newest message."""
        await self.store.run(_rate, conversation, feedback)

    async def corrected(self, conversation: str, outcome: str) -> None:
        """A suggestion was made for what was asked there, and ended so."""
        await self.store.run(_suggest, conversation, outcome, self.people.now_ms)

    async def listed(self, *, is_all: bool = False) -> list[dict[str, Any]]:
        return await self.gaps.listed(is_all=is_all)


@asynccontextmanager
async def asking(data: Path, model: ScriptedModel | None = None) -> AsyncIterator[Asking]:
    """With a background model, if one is given."""
    async with housed(data) as house:
        chains = {"main": chain(model, house.clock)} if model is not None else {}
        yield Asking(house, chains)


def text_of(request: ChatRequest) -> str:
    return "\n".join(each.text for each in request.messages)


def _end_turn(cursor: Cursor, conversation: str, turn: str, now_ms: int, trace: str) -> None:
    values = {"id": turn, "conversation": conversation, "case": case_of(conversation), "agent": "main"}
    cursor.execute(
        records.ADD_TURN, {**values, "outcome": "unanswered", "started": now_ms, "ended": now_ms, "trace": trace}
    )
    cursor.execute(
        "UPDATE messages SET turn_id = :turn WHERE conversation_id = :conversation AND author = 'user'",
        {"turn": turn, "conversation": conversation},
    )


def _rate(cursor: Cursor, conversation: str, feedback: str) -> None:
    cursor.execute(
        """UPDATE messages SET feedback = :feedback WHERE author = 'agent' AND id = (
               SELECT id FROM messages WHERE conversation_id = :conversation AND author = 'agent' ORDER BY seq DESC LIMIT 1)""",
        {"conversation": conversation, "feedback": feedback},
    )


def _suggest(cursor: Cursor, conversation: str, outcome: str, now_ms: int) -> None:
    cursor.execute(
        """INSERT INTO suggestions (id, conversation_id, seq, operator, text, outcome, sent, created_ms, ended_ms)
           VALUES (:id, :conversation, 1, 'ann', 'Ten.', :outcome, 'Twelve.', :now, :now)""",
        {
            "id": ids.derived_id("s", conversation, outcome),
            "conversation": conversation,
            "outcome": outcome,
            "now": now_ms,
        },
    )
