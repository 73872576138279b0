"""What the house says to users about handoffs, in their language as far as it has it: English and German."""

from bot.model import Button, value

CANCEL = "handoff:cancel"
_GERMAN = frozenset(
    [
        "ich",
        "nicht",
        "und",
        "der",
        "die",
        "das",
        "ein",
        "eine",
        "ist",
        "mit",
        "bitte",
        "wie",
        "kann",
        "habe",
        "mir",
        "mich",
        "mein",
        "meine",
        "für",
        "auf",
        "den",
        "dem",
        "wir",
        "sie",
        "was",
        "warum",
        "jemand",
        "jemandem",
        "menschen",
        "mitarbeiter",
        "sprechen",
        "möchte",
        "hallo",
        "danke",
    ]
)
_ENGLISH = frozenset(
    [
        "i",
        "the",
        "and",
        "a",
        "an",
        "is",
        "with",
        "please",
        "how",
        "can",
        "have",
        "my",
        "me",
        "for",
        "on",
        "to",
        "we",
        "you",
        "what",
        "why",
        "someone",
        "somebody",
        "human",
        "person",
        "speak",
        "talk",
        "want",
        "hello",
        "thanks",
        "not",
    ]
)


@value
class Words:
    """One language. Places in braces are filled in."""

    announced: str
    place: str
    wait: str
    off_hours: str
    off_hours_unknown: str
    off_hours_again: str
    noted: str
    cancel: str
    returned: str
    timed_out: str
    left: str
    closed: str
    closed_silent: str
    contact: str
    reassured: str


ENGLISH = Words(
    announced="I am passing you on to a colleague, who can read what you wrote here.",
    place="You are number {position} in the queue.",
    wait="It should take {wait}.",
    off_hours="Our team is not there right now and will be back {opening}. Your question is noted for them; if you leave an e-mail address "
    "or a phone number, they can reach you there. Until then you can go on asking me.",
    off_hours_unknown="Our team is not there right now. Your question is noted for them; if you leave an e-mail address or a phone number, "
    "they can reach you there. Until then you can go on asking me.",
    off_hours_again="Your wish for a person is noted: our team will be back {opening}. Until then you can go on asking me.",
    noted="Your wish for a person is noted, and my colleagues can read it here. Until then you can go on asking me.",
    cancel="Go on with the assistant",
    returned="You are talking to the assistant again.",
    timed_out="I am sorry: nobody could come in time. Your question stays noted for the team; if you leave an e-mail address or a phone "
    "number, they can call you back. You are talking to the assistant again.",
    left="All right. You are talking to the assistant again.",
    closed="{name} has closed this conversation. Write again whenever you like.",
    closed_silent="I am closing this conversation, as we have not heard from you for a while. Write again whenever you like.",
    contact="Thank you, I have noted {contact} for my colleagues.",
    reassured="I have passed this on.",
)
GERMAN = Words(
    announced="Ich gebe Sie an eine Kollegin oder einen Kollegen weiter; was Sie hier geschrieben haben, ist dort zu lesen.",
    place="Sie sind an {position}. Stelle der Warteschlange.",
    wait="Es sollte {wait} dauern.",
    off_hours="Unser Team ist gerade nicht da und {opening} wieder zurück. Ihre Frage ist dort notiert; wenn Sie eine E-Mail-Adresse oder "
    "Telefonnummer hinterlassen, kann man Sie dort erreichen. Bis dahin können Sie mich weiter fragen.",
    off_hours_unknown="Unser Team ist gerade nicht da. Ihre Frage ist dort notiert; wenn Sie eine E-Mail-Adresse oder Telefonnummer "
    "hinterlassen, kann man Sie dort erreichen. Bis dahin können Sie mich weiter fragen.",
    off_hours_again="Ihr Wunsch ist notiert: Unser Team ist {opening} wieder zurück. Bis dahin können Sie mich weiter fragen.",
    noted="Ihr Wunsch ist notiert und für meine Kollegen hier zu lesen. Bis dahin können Sie mich weiter fragen.",
    cancel="Mit dem Assistenten weitermachen",
    returned="Sie sprechen wieder mit dem Assistenten.",
    timed_out="Es tut mir leid: Niemand konnte rechtzeitig kommen. Ihre Frage bleibt für das Team notiert; wenn Sie eine E-Mail-Adresse oder "
    "Telefonnummer hinterlassen, kann man sich bei Ihnen melden. Sie sprechen wieder mit dem Assistenten.",
    left="In Ordnung. Sie sprechen wieder mit dem Assistenten.",
    closed="{name} hat dieses Gespräch beendet. Schreiben Sie jederzeit wieder.",
    closed_silent="Ich beende dieses Gespräch, da wir eine Weile nichts von Ihnen gehört haben. Schreiben Sie jederzeit wieder.",
    contact="Danke, ich habe {contact} für meine Kollegen notiert.",
    reassured="Ich habe es weitergegeben.",
)


def language_of(text: str) -> str:
    """`de` or `en`: which of the two a text is more like."""
    words = text.lower().split()[:400]
    german = sum(word.strip(".,!?") in _GERMAN for word in words)
    return "de" if german > sum(word.strip(".,!?") in _ENGLISH for word in words) else "en"


def words_in(language: str) -> Words:
    return GERMAN if language == "de" else ENGLISH


def cancel_button(words: Words) -> Button:
    return Button(CANCEL, words.cancel)
