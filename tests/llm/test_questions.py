"""Real questions over our own documents: the measure that the answerer's thresholds were set by."""

import re
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from bot.knowledge import FolderKnowledge
from bot.model import Found
from tests.clock import ManualClock
from tests.llm.asking import ask, query_of, user

DOCS = Path(__file__).parents[2] / "docs"

ANSWERABLE = {  # question: what a right answer holds
    "How do I put the widget on my website?": "<script async",
    "How can I embed the chat widget in my page?": "<script async",
    "hi! how to embed widget in website": "<script async",
    "Which origins may connect?": "origins",
    "How do I change the colour of the widget?": "`data-color`",
    "Can I set suggested questions?": "`data-suggestions`",
    "Which languages does the widget have?": "`data-language`",
    "Is there a dark theme?": "`data-theme`",
    "How do I tell the widget which user is logged in?": "JWT",
    "What does the identity token hold?": "`aud`",
    "How long may the identity be valid?": "one hour",
    "What do I need in my Content Security Policy?": "connect-src",
    "Does the widget use cookies?": "no cookies",
    "How do I add documents to the knowledge base?": "[knowledge]",
    "Which file formats are read?": "PDF",
    "Are PDF files indexed?": "PDF",
    "How large may a document be?": "5 MB",
    "How quickly are changed documents indexed?": "within 2 seconds",
    "Can I delete index.db?": "built anew",
    "How do I search the knowledge from the command line?": "frontdesk knowledge search",
    "What happens when all models are down?": "every configured model is down",
    "How do citations work?": "A click on it opens the passage",
    "Do I need a language model?": "needs no model",
    "What does the error too_fast mean?": "messages_per_minute",
    "How long is a visitor token valid?": "year",
    "When is an ack sent?": "durably",
    "What does close code 1013 mean?": "too slowly",
    "How can a document say its title and url?": "url:",
}
UNANSWERABLE = [
    "What is the capital of France?",
    "How much does a licence cost per seat?",
    "Can I get a refund for my order?",
    "Who won the football world cup?",
    "How do I cook an egg?",
    "Is there parking near your office?",
    "Do you ship to Switzerland?",
    "How do I connect Microsoft Teams?",
    "Is there a Salesforce integration?",
    "My invoice is wrong, what should I do?",
    "Can I pay with PayPal?",
    "How do I cancel my subscription?",
    "What is the weather in Berlin tomorrow?",
    "Does the widget support video calls?",
    "Where is your office?",
    "What is the phone number of your sales team?",
]


@pytest.fixture
async def knowledge(tmp_path: Path) -> AsyncIterator[FolderKnowledge]:
    library = FolderKnowledge(tmp_path / "index.db", [DOCS], ManualClock())
    await library.sync()
    yield library
    await library.close()


async def test_what_the_documents_say_is_answered(knowledge: FolderKnowledge) -> None:
    """At least nine in ten questions that the documents answer get an answer that holds the point."""
    missed = []
    for question, point in ANSWERABLE.items():
        text, finished = await ask(knowledge, user(question))
        if not (finished.is_answered and point in text):
            missed.append(question)
    assert len(missed) <= len(ANSWERABLE) // 10, missed


async def test_what_the_documents_do_not_say_is_admitted(knowledge: FolderKnowledge) -> None:
    """At least nine in ten questions that they do not answer get a plain no and the offer of a person."""
    invented = []
    for question in UNANSWERABLE:
        _, finished = await ask(knowledge, user(question))
        assert finished.is_offering_person is not finished.is_answered
        if finished.is_answered:
            invented.append(question)
    assert len(invented) <= len(UNANSWERABLE) // 10, invented


async def test_the_first_question_of_every_newcomer_is_answered_in_full(knowledge: FolderKnowledge) -> None:
    """The whole tag, as code, with its source and what else has to be done."""
    text, finished = await ask(knowledge, user("How do I put the widget on my website?"))
    assert text.startswith("From the documentation:\n\n")
    assert "```html\n<script async" in text
    assert "</script>\n```" in text
    assert "origins = [" in text
    assert "[1]" in text
    assert finished.is_answered


def letters(text: str) -> str:
    return "".join(character for character in text if character.isalnum())


def said_sentences(text: str) -> list[str]:
    """An answer without its opening and markers, in the pieces that have to stand in a passage."""
    body = text.split(":\n\n", 1)[1]
    return [piece for piece in re.split(r" ?\[\d\](?=\s|$)|\n- |\n\n", body) if piece.strip()]


async def test_nothing_is_invented(knowledge: FolderKnowledge) -> None:
    """Every sentence of every answer stands word for word in the passage that it cites."""
    for question in ANSWERABLE:
        found = await knowledge.search(await query_of(user(question)))
        text, finished = await ask(knowledge, user(question))
        if finished.is_answered:
            assert_quoted(text, found)


def assert_quoted(text: str, found: Sequence[Found]) -> None:
    sources = [letters(one.passage.text) for one in found]
    for sentence in said_sentences(text):
        assert any(letters(sentence) in source for source in sources), sentence
    for number in re.findall(r"(?<=\s)\[(\d)\](?=\s|$)", text):
        assert 1 <= int(number) <= len(found)
