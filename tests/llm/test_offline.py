"""The offline answerer: quotes, cites, admits what it does not find, and knows small talk from questions."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.llm.offline import SEARCH, Say, Search, decide
from bot.model import Attachment, Author, BlobId, Found, Passage, PassageId
from bot.ports import ChatMessage, ChatRequest, Finished, TextDelta, ToolCall, ToolResult
from tests.llm.asking import TOOL, agent, answer, chunks, query_of, say, user


def found(text: str, title: str = "Shop › Returns", coverage: float = 1.0, score: float = 5.0) -> Found:
    return Found(Passage(PassageId(title), "shop.md", title, text), score, coverage)


RETURNS = found(
    "Send unused items back within thirty days. We pay the postage within Austria. Sale items cannot be returned at all, "
    "which is the law of our shop since 1901 and will not change. Ask our staff about gift cards and everything else that "
    "you may want to know about our beautiful old shop in the centre of Vienna. The shop was founded by two brothers. It "
    "has three floors, a café on the roof, and a garden that is open to everybody from April to October."
)


async def test_a_question_is_looked_up_first() -> None:
    """One complete call of the search tool, and no text."""
    call, finished = await chunks(user("Can I return it?"))
    assert isinstance(call, ToolCall)
    assert (call.name, json.loads(call.arguments)) == (SEARCH, {"query": "Can I return it?"})
    assert finished == Finished("tools")


async def test_an_answer_quotes_and_cites() -> None:
    """It says that it quotes, gives the fitting sentences and their source, and nothing else of the passage."""
    text, finished = await answer([RETURNS], user("Who pays the postage within Austria?"))
    assert text.startswith("From the documentation:\n\nWe pay the postage within Austria.")
    assert "[1]" in text
    assert "brothers" not in text
    assert finished == Finished("stop")


async def test_citations_use_the_numbers_of_the_turn() -> None:
    """A second lookup in one turn goes on counting."""
    weak = found("Other words about postage.", "Other", coverage=0.3, score=1.0)
    text, _ = await answer([weak, RETURNS], user("Who pays the postage within Austria?"), first_number=4)
    assert "[5]" in text
    assert "[1]" not in text


async def test_an_answer_streams_in_pieces() -> None:
    """Several pieces, which together are the text; exactly one end, at the end."""
    call = ToolCall("c", SEARCH, "{}")
    result = ChatMessage(Author.SYSTEM, results=(ToolResult("c", "", found=(RETURNS,)),))
    said = await chunks(user("Who pays the postage?"), ChatMessage(Author.AGENT, calls=(call,)), result)
    assert sum(isinstance(chunk, TextDelta) for chunk in said) > 2
    assert [isinstance(chunk, Finished) for chunk in said].index(True) == len(said) - 1


async def test_code_and_lists_are_quoted_whole() -> None:
    """The block that a sentence leads to comes with it, and the marker never stands in code."""
    passage = found(
        "First make a key.\n\nThen start the server like this:\n\n```sh\nserve\n\n  --port 80\n```", "Server"
    )
    text, _ = await answer([passage], user("How do I start the server?"))
    assert "Then start the server like this: [1]\n\n```sh\nserve\n\n  --port 80\n```" in text
    text, _ = await answer([found("```sh\nserve\n\n--port 80\n```", "Start the server")], user("start server"))
    assert text.endswith("```\n[1]")


async def test_rows_of_a_table_are_quoted_as_lines() -> None:
    """Chats show no tables."""
    rows = "\n".join(f"| zone {name} | costs {n} euros |" for n, name in enumerate(["alpha", "beta", "gamma"]))
    text, _ = await answer([found(f"| zone | price |\n|---|---|\n{rows}", "Prices")], user("What does zone beta cost?"))
    assert "- zone beta: costs 1 euros [1]" in text
    assert "|" not in text


async def test_marks_in_a_document_are_not_taken_for_citations() -> None:
    """A footnote of a document would point to a wrong passage, and its local links nowhere."""
    text, _ = await answer(
        [found("Postage is free [7], see [the list](list.md).", "Postage")], user("Is postage free?")
    )
    assert "Postage is free (7), see the list. [1]" in text


@pytest.mark.parametrize("results", [[], [found("Something else about dogs.", "Dogs", coverage=0.3)]])
async def test_what_is_not_found_is_admitted(results: list[Found]) -> None:
    """Weak evidence is no answer: it says so, and offers a person."""
    text, finished = await answer(results, user("Do you sell red bicycles to Norway?"))
    assert "did not find" in text
    assert (finished.is_offering_person, finished.is_answered) == (True, False)


async def test_a_burst_is_one_question() -> None:
    """All that the person has said since our last words is looked up together."""
    messages = (user("Old question"), agent("Old answer"), user("I have"), user("a question about"), user("postage"))
    assert (await query_of(*messages)).split() == ["I", "have", "a", "question", "about", "postage"]


async def test_a_follow_up_is_understood_with_what_was_asked_before() -> None:
    """ "And to Germany?" alone says too little."""
    query = await query_of(user("What is the postage?"), agent("From the documentation: ..."), user("And to Germany?"))
    assert query == "And to Germany? What is the postage?"


async def test_a_question_that_points_back_is_understood_with_the_one_before() -> None:
    """ "How long is it?" is about what was asked; without anything before, it stands alone."""
    assert await query_of(user("How do I book a test ride?"), agent("..."), user("how long is it?")) == (
        "how long is it? How do I book a test ride?"
    )
    assert await query_of(user("Does it set cookies?")) == "Does it set cookies?"


async def test_a_follow_up_gets_its_own_answer() -> None:
    """And not only again what the question before it asked for."""
    rows = "\n".join(f"| {to} | {price} euros |" for to, price in [("Austria", 5), ("Norway", 20), ("Chile", 60)])
    passage = found(f"| to | costs |\n|---|---|\n{rows}", "Delivery")
    text, _ = await answer([passage], user("What does delivery to Austria cost?"), agent("5."), user("and to Norway?"))
    assert "Norway: 20 euros" in text


async def test_a_short_paragraph_is_quoted_whole() -> None:
    """Its sentences lean on each other."""
    long = (
        "The shop was founded by two brothers in Vienna, has three floors and a garden, and is open to everybody. " * 4
    )
    passage = found(f"**The bell is broken.** Knock at the window. Somebody will hear it.\n\n{long}", "The shop")
    text, _ = await answer([passage], user("What do I do when the bell is broken?"))
    assert "Knock at the window. Somebody will hear it. [1]" in text
    assert "brothers" not in text


async def test_two_passages_that_fit_alike_are_both_quoted() -> None:
    """Each with its own number; one that fits less is left out."""
    spring = found("Postage is free in spring.", "Spring", score=5.0)
    autumn = found("Postage is 5 euros in autumn.", "Autumn", score=4.9)
    party = found("Our postage party was fun.", "Parties", score=1.0)
    text, _ = await answer([spring, autumn, party], user("What is the postage?"))
    assert "free in spring. [1]" in text
    assert "5 euros in autumn. [2]" in text
    assert "party" not in text


async def test_a_mistyped_question_and_a_synonym_are_answered() -> None:
    """As the search understands them, so does the quoting."""
    passage = found("Your parcel comes with a carrier, who rings you a day ahead. Mind the dog.", "Delivery")
    for question in ("who brings my parcle, a carier?", "Who brings my package, a carrier?"):
        text, finished = await answer([passage], user(question))
        assert "carrier" in text
        assert finished.is_answered


async def test_a_greeting_before_a_question_is_not_looked_up() -> None:
    """Courtesy does not blur the search."""
    assert await query_of(user("Hello, good morning! What is the postage?")) == "What is the postage?"


async def test_a_long_story_is_looked_up_by_its_question() -> None:
    """What leads up to the question would drown it."""
    story = "We bought a red bicycle with many gears for our old grandmother last summer in Vienna near the big river."
    assert await query_of(user(f"{story} Who pays the postage?")) == "Who pays the postage?"


async def test_it_takes_over_in_the_middle_of_a_turn() -> None:
    """Where another model failed after a lookup, its passages are used; after other tools, it looks up itself."""
    other = ToolCall("c", "order_status", "{}")
    done = ChatMessage(Author.SYSTEM, results=(ToolResult("c", "shipped"),))
    call, _ = await chunks(user("Who pays the postage?"), ChatMessage(Author.AGENT, calls=(other,)), done)
    assert isinstance(call, ToolCall)


async def test_a_failed_search_is_not_repeated() -> None:
    """One lookup a turn: an error ends in an honest sentence, not in a loop."""
    failed = ChatMessage(Author.SYSTEM, results=(ToolResult("c", "broken", is_error=True),))
    call = ChatMessage(Author.AGENT, calls=(ToolCall("c", SEARCH, "{}"),))
    text, finished = await say(user("Who pays the postage?"), call, failed)
    assert "did not find" in text
    assert finished.is_offering_person


async def test_without_documents_it_says_so() -> None:
    """No search tool: no pretence."""
    text, finished = await say(user("Who pays the postage?"), tools=())
    assert "no documents" in text
    assert (finished.is_offering_person, finished.is_answered) == (True, False)


@pytest.mark.parametrize(
    "text",
    [
        "hi",
        "Hello!",
        "Good morning everyone",
        "Hey there 👋",
        "who are you?",
        "Are you a bot?",
        "am I talking to a human?",
        "I need help",
        "Hi, can you help me please?",
        "What can you do?",
        "",
        "   ",
        "👍",
        "???",
        "\u200b",
    ],
)
async def test_small_talk_gets_a_short_honest_reply(text: str) -> None:
    """It says what it is; nothing is looked up."""
    reply, finished = await say(user(text))
    assert "assistant" in reply
    assert len(reply) < 160
    assert finished == Finished("stop")


@pytest.mark.parametrize("text", ["thanks", "Thank you so much!", "ok thanks, bye", "great, thx"])
async def test_thanks_are_accepted(text: str) -> None:
    """Briefly."""
    assert (await say(user(text)))[0].startswith("You are welcome")


@pytest.mark.parametrize(
    "text",
    [
        "I want to talk to a person",
        "human please",
        "agent",
        "can i speak with someone",
        "connect me to a real human",
        "Let me talk to your supervisor!",
        "I need a human",
        "transfer me to an operator",
        "Talk to a person",
        "where is my order?? i want to speak to a human being NOW",
        "how do I talk to a real person?",
        "get me a human",
        "can I have a human agent please",
        "I'd like to talk to somebody from your staff",
    ],
)
async def test_the_wish_for_a_person_is_noted(text: str) -> None:
    """However it is put, it wins over every other reading, and goes on record."""
    reply, finished = await say(user(text))
    assert reply.startswith("I have noted that you would like to talk to a person.")
    assert finished.is_person_wished


@pytest.mark.parametrize(
    "text",
    [
        "Ich möchte mit einem Menschen sprechen",
        "Mensch bitte",
        "Kann ich mit einem echten Mitarbeiter reden?",
        "Bitte verbinden Sie mich mit einem Mitarbeiter",
        "ich brauche einen Menschen",
        "mit jemandem sprechen",
    ],
)
async def test_the_wish_for_a_person_is_noted_in_german(text: str) -> None:
    """In the language of the person."""
    reply, finished = await say(user(text))
    assert reply.startswith("Ich habe vermerkt")
    assert finished.is_person_wished


@pytest.mark.parametrize(
    "text",
    [
        "How can visitors talk to a person?",
        "When does an operator take over?",
        "Who is the agent in the config?",
        "I don't want to talk to a human, what is the postage?",
        "What does a person see in the console?",
        "How do I hand a conversation to an operator?",
        "Hi, what is the postage?",
        "Thanks, and what is the postage?",
    ],
)
async def test_questions_about_persons_are_questions(text: str) -> None:
    """Asking how handing over works is not a wish for it, and courtesy does not make a question small talk."""
    assert await query_of(user(text))


@pytest.mark.parametrize(
    ("text", "start"), [("Hallo!", "Hallo!"), ("Danke schön", "Gern"), ("Wer bist du?", "Ich bin ein Ass")]
)
async def test_german_small_talk_is_answered_in_german(text: str, start: str) -> None:
    """In the language of the person."""
    assert (await say(user(text)))[0].startswith(start)


async def test_yes_to_the_offer_of_a_person_is_a_wish() -> None:
    """It remembers what it has just offered."""
    offer, _ = await answer([], user("Do you sell red bicycles?"))
    reply, finished = await say(user("Do you sell red bicycles?"), agent(offer), user("yes please"))
    assert reply.startswith("I have noted")
    assert finished.is_person_wished


async def test_a_file_alone_is_not_pretended_to_be_read() -> None:
    """It says that it cannot, and offers a person."""
    file = Attachment(BlobId("b"), "bill.pdf", "application/pdf", 10)
    reply, finished = await say(ChatMessage(Author.USER, "", (file,)))
    assert "cannot read files" in reply
    assert finished.is_offering_person


@given(st.text(max_size=400), st.text(max_size=400), st.booleans())
def test_no_text_and_no_passage_makes_it_fail(question: str, passage: str, is_searched: bool) -> None:
    """Whatever people and documents say, there is a decision, and it is never empty."""
    result = ChatMessage(Author.SYSTEM, results=(ToolResult("c", "", found=(found(passage),)),))
    messages = (user(question), result) if is_searched else (user(question),)
    match decide(ChatRequest("", messages, (TOOL,))):
        case Search(query):
            assert query
        case Say(text):
            assert text


@given(st.text(max_size=400))
async def test_it_says_nothing_but_text_a_search_and_an_end(question: str) -> None:
    """It counts no tokens, keeps no thoughts and has no limits, so it speaks of none."""
    said = await chunks(user(question))
    assert {type(chunk) for chunk in said} <= {TextDelta, ToolCall, Finished}
    assert isinstance(said[-1], Finished)
