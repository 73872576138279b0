"""Of a conversation with others, a person is given nothing that may be about the others."""

import json
from pathlib import Path

from bot.ids import conversation_id
from bot.people.exporting import exported
from bot.ports import Cursor
from bot.store import people
from tests.pipeline.house import core
from tests.users.test_shared import ROOM, say


async def test_an_export_of_a_shared_conversation_holds_no_note_contact_or_trace_of_another(tmp_path: Path) -> None:
    async with core(tmp_path / "data") as found:
        await say(found, "adalovelace", "my invoice is wrong", "1")
        await say(found, "evelyn", "call me on 0171 quetzal", "2")
        await found.store.run(_written_of_evelyn, conversation_id(ROOM))
        user = (await found.store.run(people.find, "list:adalovelace"))[0].user
        data = (await found.store.run(exported, user, 7)).data
    assert "my invoice is wrong" in [each["text"] for each in data["messages"]]
    assert any(each["author"] == "agent" for each in data["messages"])
    own_words = [each for each in data["messages"] if each["author"] == "user"]
    assert [each["text"] for each in own_words] == ["my invoice is wrong"]
    assert [each for each in data["messages"] if each["visibility"] == "note"] == []
    assert "zanzibar" not in json.dumps(data, ensure_ascii=False)
    assert [each["id"] for each in data["cases"]] != []


def _written_of_evelyn(cursor: Cursor, conversation: str) -> None:
    values = {"id": conversation}
    case = cursor.fetch("SELECT case_id FROM conversations WHERE id = :id", values)[0][0]
    at = {**values, "case": case}
    for sql in (
        "INSERT INTO messages (id, conversation_id, seq, case_id, author, visibility, text, created_ms) "
        "VALUES ('note', :id, 50, :case, 'operator', 'note', 'evelyn zanzibar owes us', 1)",
        "INSERT INTO handoffs (id, conversation_id, case_id, stage, origin, first_seq, asked_ms, changed_ms, contact, brief) "
        "VALUES ('h', :id, :case, 'queued', 'asked', 1, 1, 1, 'zanzibar@example.org', 'of zanzibar')",
        "INSERT INTO tags (case_id, tag) VALUES (:case, 'zanzibar')",
        "UPDATE cases SET summary = 'evelyn zanzibar' WHERE id = :case",
        'UPDATE turns SET trace = \'{"calls": ["zanzibar"]}\' WHERE conversation_id = :id',
    ):
        used = {name: each for name, each in at.items() if f":{name}" in sql}
        cursor.execute(sql, used)
