"""German questions over German documents, as people type them: compared with what the offline answerer quotes."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.knowledge import FolderKnowledge
from tests.clock import ManualClock
from tests.llm.asking import agent, ask, user

DOCUMENTS = {
    "rueckgabe.md": "# Rückgabe und Umtausch\n\n## Rückgabefrist\n\nSie können Ihre Bestellung innerhalb von 30 Tagen zurückgeben.\n\n"
    "## Rücksendekosten\n\nAus Österreich kostet das Rücksendeetikett 4,90 Euro.\n",
    "versand.md": "# Versand\n\nStandardversand dauert drei Werktage.\n\nEine Packstation kann als Lieferadresse angegeben werden, "
    "wir liefern dorthin.\n",
    "werkstatt.md": "# Werkstatt\n\n## Öffnungszeiten\n\nMontags bis freitags von 9 bis 18 Uhr.\n",
    "gutscheine.md": "# Geschenkgutscheine\n\nGutscheine gelten drei Jahre ab Kaufdatum.\n",
    "ersatz.md": "# Ersatzteile\n\nErsatzteile liefern wir zehn Jahre lang nach.\n",
}
ANSWERABLE = {  # question: what a right answer holds
    "Wie lange gibt es Ersatzteile?": "zehn Jahre",
    "Wie lange gilt ein Geschenkgutschein?": "drei Jahre",
    "Kann ich an eine Packstation liefern lassen?": "Lieferadresse",
    "Rückgabefrist?": "30 Tagen",
    "rueckgabefrist": "30 Tagen",
    "was kostet das ruecksendeetikett aus oesterreich": "4,90",
    "oeffnungszeiten": "18 Uhr",
    "offnungszeiten der werkstatt": "18 Uhr",
}
UNANSWERABLE = (
    "Wie lange dauert eine Reparatur?",
    "Wer ist der Bundeskanzler?",
    "Wie viel kostet die Versicherung?",
    "Wie oft fährt der Bus nach Köln?",
    "Kann ich mein Fahrrad versichern lassen?",
)


@pytest.fixture
async def knowledge(tmp_path: Path) -> AsyncIterator[FolderKnowledge]:
    docs = tmp_path / "docs"
    docs.mkdir()
    for name, text in DOCUMENTS.items():
        (docs / name).write_text(text, encoding="utf-8")
    library = FolderKnowledge(tmp_path / "index.db", [docs], ManualClock())
    await library.sync()
    yield library
    await library.close()


@pytest.mark.parametrize(("question", "point"), ANSWERABLE.items())
async def test_a_german_question_is_answered_however_its_umlauts_are_spelled(
    knowledge: FolderKnowledge, question: str, point: str
) -> None:
    text, finished = await ask(knowledge, user(question))
    assert finished.is_answered
    assert point in text


@pytest.mark.parametrize("question", UNANSWERABLE)
async def test_what_the_documents_do_not_say_is_not_answered_in_german(
    knowledge: FolderKnowledge, question: str
) -> None:
    text, finished = await ask(knowledge, user(question))
    assert not finished.is_answered, text


async def test_a_question_of_one_word_is_answered_in_the_language_of_what_is_quoted(knowledge: FolderKnowledge) -> None:
    text, _ = await ask(knowledge, user("Rückgabefrist?"))
    assert text.startswith("Aus der Dokumentation:")


async def test_a_question_of_one_word_is_answered_in_the_language_of_the_conversation(
    knowledge: FolderKnowledge,
) -> None:
    text, finished = await ask(
        knowledge, user("Wie lange gibt es Ersatzteile?"), agent("Zehn Jahre."), user("Zahnarzt")
    )
    assert not finished.is_answered
    assert text.startswith("Dazu habe ich")
