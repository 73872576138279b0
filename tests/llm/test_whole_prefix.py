"""A small knowledge base stands whole at the beginning of what real SDKs send, the same from turn to turn."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from bot.knowledge import index
from tests.knowledge.wholes import DOCS, House, housed
from tests.models.anthropic_server import AnthropicServer
from tests.models.openai_server import OpenAIServer
from tests.models.wire import Call, Counts, Reply

Server = AnthropicServer | OpenAIServer
ANSWER = Reply("Shoes go back within thirty days [1].")


@pytest.fixture(params=[AnthropicServer, OpenAIServer])
def kind(request: pytest.FixtureRequest) -> type[Server]:
    chosen: type[Server] = request.param
    return chosen


def prefix(body: Mapping[str, Any]) -> str:
    """Everything up to the end of the knowledge, as it goes over the wire."""
    sent = json.dumps({key: body.get(key) for key in ("tools", "system", "messages")}, ensure_ascii=False)
    before, mark, _ = sent.partition("What follows is the conversation.")
    assert mark, "no knowledge was sent"
    return before


def tools(body: Mapping[str, Any]) -> set[str]:
    return {tool["function"]["name"] if "function" in tool else tool["name"] for tool in body.get("tools", ())}


async def three_turns(house: House, server: Server) -> list[str]:
    server.replies.extend([ANSWER, ANSWER, ANSWER])
    for text in ("When are shoes returned?", "And hats?", "Where do you ship?"):
        await house.ask(text)
        await house.write("staff.md", f"---\naudience: staff\n---\n# Discounts\n\nFor another audience: {text}")
    assert not [each.refusal for each in server.ledger if each.refusal]
    return [prefix(each.body) for each in server.ledger]


async def test_the_prefix_is_the_same_to_the_byte_from_turn_to_turn(tmp_path: Path, kind: type[Server]) -> None:
    """Although the index was read anew between them; only so does a provider find it in its cache."""
    async with kind() as server, housed(tmp_path, server) as house:
        sent = await three_turns(house, server)
    assert len(sent) == 3
    assert len(set(sent)) == 1
    assert "Shoes are returned within thirty days." in sent[0]


async def test_an_order_by_chance_is_caught_by_that(
    tmp_path: Path, kind: type[Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test above is blind otherwise."""
    monkeypatch.setattr(index, "_ALL", index._ALL.replace("ORDER BY path, number", "ORDER BY random()"))
    docs = {f"{n}.md": f"# Number {n}\n\nDocument number {n}." for n in range(50)}
    async with kind() as server, housed(tmp_path, server, docs=docs) as house:
        sent = await three_turns(house, server)
    assert len(set(sent)) == 3


async def test_anthropic_is_told_to_cache_up_to_the_end_of_the_knowledge(tmp_path: Path) -> None:
    """The mark stands on the knowledge itself, as data in the user's turn, and the four marks that the API takes are not exceeded."""
    async with AnthropicServer() as server, housed(tmp_path, server) as house:
        await three_turns(house, server)
    for each in server.ledger:
        first = each.body["messages"][0]
        assert first["role"] == "user"
        assert first["content"][0]["cache_control"] == {"type": "ephemeral"}
        assert first["content"][0]["text"].startswith("<documents ")
        assert "Shoes are returned" not in json.dumps(each.body["system"])
        assert each.status == 200


async def test_openai_gets_it_before_the_conversation_and_not_from_the_system(tmp_path: Path) -> None:
    """What stands in documents has no more authority than what a user writes."""
    async with OpenAIServer() as server, housed(tmp_path, server) as house:
        await three_turns(house, server)
    system, first, _, said, *_ = server.ledger[-1].body["messages"]
    assert (system["role"], first["role"]) == ("system", "user")
    assert first["content"].startswith("<documents ")
    assert said == {"role": "user", "content": "When are shoes returned?"}
    assert "Shoes are returned" not in system["content"]


async def test_citations_lead_to_the_passages_and_nothing_is_searched(tmp_path: Path, kind: type[Server]) -> None:
    """The search is not even offered; one call of the model is the whole turn."""
    async with kind() as server, housed(tmp_path, server) as house:
        server.replies.append(Reply("Shipping is 5 euros [3], to Austria [2, 99]."))
        answer = await house.ask("What does shipping cost?")
        titles = {each.number: each.title for each in answer.citations}
        opened = await house.assembly.knowledge.passage(answer.citations[-1].passage)
    assert answer.is_answered
    assert len(server.ledger) == 1
    assert "search_knowledge" not in tools(server.ledger[0].body)
    sent = prefix(server.ledger[0].body)
    assert all(f"[{number}] {title}" in sent for number, title in titles.items())
    assert set(titles) == {2, 3}
    assert opened is not None
    assert answer.whole is not None


async def test_an_answer_without_a_citation_is_none_and_a_greeting_is_no_question(
    tmp_path: Path, kind: type[Server]
) -> None:
    """As after a search that gave nothing: a person is offered. Nobody is offered for a hello, a word of theirs, or a question back."""
    said = {
        "Do you sell boats?": ("I did not find that. Would you like to talk to a person?", False),
        "Hello!": ("Hello! What can I do for you?", True),
        "It is the order of Monday": ("Thank you, I have noted that.", True),
        "Can you help me with my order?": ("Which order is it?", True),
    }
    async with kind() as server, housed(tmp_path, server) as house:
        server.replies.extend(Reply(reply) for reply, _ in said.values())
        answers = [await house.ask(text) for text in said]
    assert [each.is_answered for each in answers] == [is_answered for _, is_answered in said.values()]
    assert [len(each.buttons) for each in answers] == [not is_answered for _, is_answered in said.values()]


async def test_audiences_and_languages_are_obeyed(tmp_path: Path, kind: type[Server]) -> None:
    """Each agent's prefix holds what its search could find, and no more."""
    more = '[agents.desk]\nchannels = []\naudiences = ["staff"]\nlanguage = "en"\n'
    async with kind() as server, housed(tmp_path, server, more=more) as house:
        await house.ask("When?")
        await house.ask("When?", agent="desk")
    main, desk = (prefix(each.body) for each in server.ledger)
    assert ("half the price" in main, "dreißig Tage" in main) == (False, True)
    assert ("half the price" in desk, "dreißig Tage" in desk) == (True, False)


async def test_a_changed_document_is_there_from_the_next_turn_on_and_never_within_one(
    tmp_path: Path, kind: type[Server]
) -> None:
    """A turn's numbers are those of its beginning."""
    async with kind() as server, housed(tmp_path, server) as house:
        server.replies.extend([Reply("", calls=(Call("request_human", "{}"),)), ANSWER, ANSWER])
        tool = house.assembly.agents["main"].dispatcher._tools["request_human"]
        run = tool.run

        async def changed(arguments: Any, first_number: int) -> Any:
            await house.write("a_first.md", "# Hats\n\nHats are returned within ten days.")
            return await run(arguments, first_number)

        tool.run = changed  # type: ignore[method-assign]  # the document changes in the middle of the turn
        answer = await house.ask("A person please, and when are shoes returned?")
        await house.ask("And now?")
        title = answer.citations[0].title
    first, second, third = (prefix(each.body) for each in server.ledger)
    assert first == second
    assert "within ten days" not in second
    assert "within ten days" in third
    assert f"[1] {title}" in first
    assert "[1] Hats" in third


async def test_what_is_too_much_is_searched_and_the_log_says_what_to_do(
    tmp_path: Path, kind: type[Server], caplog: pytest.LogCaptureFixture
) -> None:
    """`mode = "whole"` on more than a window holds breaks nothing."""
    docs = {**DOCS, "long.md": "# Long\n\n" + "Many words about boots. " * 300}
    small = "context_tokens = 2_000\noutput_tokens = 500"
    async with kind() as server, housed(tmp_path, server, knowledge='mode = "whole"', model=small, docs=docs) as house:
        server.replies.extend([Reply("", calls=(Call("search_knowledge", '{"query": "shoes returned"}'),)), ANSWER])
        answer = await house.ask("When are shoes returned?")
    assert answer.is_answered
    assert answer.whole is None
    assert "search_knowledge" in tools(server.ledger[0].body)
    [told] = [each.getMessage() for each in caplog.records if "mode" in each.getMessage()]
    assert "context_tokens" in told
    assert "agents.main" in told


async def test_a_model_that_refuses_it_as_too_long_is_asked_again_to_search(
    tmp_path: Path, kind: type[Server], caplog: pytest.LogCaptureFixture
) -> None:
    """In the same turn, and from then on: its window is smaller than the config says."""
    status = 400
    message = "prompt is too long: 9000 tokens > 8000 maximum"
    too_long = Reply(status=status, error="invalid_request_error", message=message)
    search = Reply("", calls=(Call("search_knowledge", '{"query": "shoes returned"}'),))
    async with kind() as server, housed(tmp_path, server) as house:
        server.replies.extend([too_long, search, ANSWER, ANSWER])
        answer = await house.ask("When are shoes returned?")
        await house.ask("And hats?")
    assert answer.citations[0].title == "Returns"
    assert answer.whole is None
    assert "search_knowledge" in tools(server.ledger[-1].body)
    assert "context_tokens" in caplog.text


async def test_the_offline_answerer_goes_on_searching(tmp_path: Path, kind: type[Server]) -> None:
    """As the last resort of a turn that had begun with everything, its numbers begin at 1."""
    async with kind() as server, housed(tmp_path, server) as house:
        server.script = lambda asked: Reply(status=401, error="authentication_error", message="invalid key")
        answer = await house.ask("Within how many days are shoes returned?")
    assert answer.is_last_resort
    assert "[1]" in answer.text
    assert answer.citations[0].title == "Returns"
    assert answer.whole is None


async def test_a_search_that_is_called_all_the_same_finds_everything_above(tmp_path: Path, kind: type[Server]) -> None:
    """A model that makes the call up is told so, and its numbers stay those of the prefix."""
    async with kind() as server, housed(tmp_path, server) as house:
        server.replies.extend([Reply("", calls=(Call("search_knowledge", '{"query": "shoes"}'),)), ANSWER])
        answer = await house.ask("When are shoes returned?")
    assert "nothing to search" in json.dumps(server.ledger[1].body)
    assert len(answer.citations) == 1


async def test_a_server_without_tools_reads_it_whole_and_is_told_of_no_look_up(tmp_path: Path) -> None:
    """Nothing is looked up for it where all stands there."""
    async with OpenAIServer() as server, housed(tmp_path, server, model="tools = false") as house:
        server.replies.append(ANSWER)
        answer = await house.ask("When are shoes returned?")
    [asked] = server.ledger
    assert answer.citations
    assert "You cannot call any tool." in asked.body["messages"][0]["content"]
    assert "Looked up" not in json.dumps(asked.body)


async def test_search_is_what_mode_search_means(tmp_path: Path, kind: type[Server]) -> None:
    """However little there is."""
    async with kind() as server, housed(tmp_path, server, knowledge='mode = "search"') as house:
        await house.ask("When are shoes returned?")
    assert "search_knowledge" in tools(server.ledger[0].body)
    assert "Shoes are returned" not in json.dumps(server.ledger[0].body)


async def test_what_the_cache_gave_is_on_the_turns_account(tmp_path: Path) -> None:
    """Read from it and written to it, apart from what was paid in full."""
    prices = "prices = { input = 3.0, output = 15.0, cache_read = 0.3, cache_write = 3.75 }"
    async with AnthropicServer() as server, housed(tmp_path, server, model=prices) as house:
        server.replies.extend([Reply("Thirty days [1].", counts=Counts(20, 10, cache_read=4_000, cache_write=100))])
        await house.ask("When are shoes returned?")
    [attempt] = house.attempts
    assert (attempt.usage.cache_read_tokens, attempt.usage.cache_write_tokens) == (4_000, 100)
    assert attempt.cost_micros == round(20 * 3 + 10 * 15 + 4_000 * 0.3 + 100 * 3.75)
