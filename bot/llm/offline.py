"""The answerer without a model: searches, quotes what it finds, and says plainly when it finds nothing.

It needs no key and no network, so it also stands in when every other model is down. It never invents: each sentence about
the company's matters stands word for word in a passage.
"""

import json
import re
import uuid
from collections.abc import AsyncIterator, Sequence

from bot.handoff.triggers import wants_person
from bot.knowledge.blocks import sentences
from bot.knowledge.quoting import Quote, quote
from bot.knowledge.words import informative_words, split_words
from bot.model import Author, Found, value
from bot.ports import ChatMessage, ChatRequest, Chunk, Finished, TextDelta, ToolCall

SEARCH = "search_knowledge"
MOST_QUERY_CHARS = 2000
MOST_FOCUSED_WORDS = 10  # informative words; a longer message is searched by its questions alone
MOST_FOLLOW_UP_WORDS = 7
WISH_CHARS = 2000
_WORDS_A_PIECE = 4


class OfflineModel:
    """Implements `bot.ports.ChatModel`. Pure but for the id of its one tool call; raises nothing."""

    provider = "offline"

    def __init__(self, name: str = "offline") -> None:
        self.name = name

    async def stream(self, request: ChatRequest) -> AsyncIterator[Chunk]:
        match decide(request):
            case Search(query):
                yield ToolCall(f"call_{uuid.uuid4().hex}", SEARCH, json.dumps({"query": query}, ensure_ascii=False))
                yield Finished("tools")
            case Say() as say:
                for piece in _pieces(say.text):
                    yield TextDelta(piece)
                yield Finished(
                    "stop",
                    is_offering_person=say.is_offering_person,
                    is_person_wished=say.is_person_wished,
                    is_answered=say.is_answered,
                )


@value
class Search:
    """Look it up first."""

    query: str


@value
class Say:
    """Answer now."""

    text: str
    is_offering_person: bool = False
    is_person_wished: bool = False
    is_answered: bool = True


@value
class _Phrases:
    """Everything that it says in its own words."""

    hello: str
    thanks: str
    who: str
    empty: str
    file: str
    wish: str
    opening: str
    not_found: str
    no_documents: str


_ENGLISH = _Phrases(
    hello="Hello! I am an assistant that quotes the documentation. What would you like to know?",
    thanks="You are welcome. I am here if there is anything else.",
    who="I am an assistant, not a person: I search the documentation and quote what fits. What would you like to know?",
    empty="I found no words in that. I am an assistant that quotes the documentation: what would you like to know?",
    file="I cannot read files; I am an assistant that quotes the documentation. Would you like to talk to a person?",
    wish="I have noted that you would like to talk to a person. I cannot say when somebody will answer here; until then, go on asking me.",
    opening="From the documentation:",
    not_found="I did not find an answer to that in my documents. Would you like to talk to a person?",
    no_documents="I have no documents that I could answer from. Would you like to talk to a person?",
)
_GERMAN = _Phrases(
    hello="Hallo! Ich bin ein Assistent, der aus der Dokumentation zitiert. Was möchten Sie wissen?",
    thanks="Gern geschehen. Ich bin da, wenn noch etwas ist.",
    who="Ich bin ein Assistent, kein Mensch: Ich suche in der Dokumentation und zitiere, was passt. Was möchten Sie wissen?",
    empty="Darin fand ich keine Wörter. Ich bin ein Assistent, der aus der Dokumentation zitiert: Was möchten Sie wissen?",
    file="Dateien kann ich nicht lesen; ich bin ein Assistent, der aus der Dokumentation zitiert. Möchten Sie mit einem Menschen sprechen?",
    wish="Ich habe vermerkt, dass Sie mit einem Menschen sprechen möchten. Wann jemand hier antwortet, kann ich nicht sagen; fragen Sie mich bis dahin gern weiter.",
    opening="Aus der Dokumentation:",
    not_found="Dazu habe ich in meinen Dokumenten keine Antwort gefunden. Möchten Sie mit einem Menschen sprechen?",
    no_documents="Ich habe keine Dokumente, aus denen ich antworten könnte. Möchten Sie mit einem Menschen sprechen?",
)
_OFFERS = tuple(
    text.rsplit(". ", 1)[1] for phrases in (_ENGLISH, _GERMAN) for text in (phrases.not_found, phrases.file)
)


def decide(request: ChatRequest) -> Search | Say:
    """What to do with a request, from nothing but the request."""
    asked = _Asked.from_messages(request.messages)
    results = [result for message in request.messages[asked.end :] for result in message.results]
    if not results and (reply := _small_talk(asked)) is not None:
        return reply
    phrases = _phrases(asked.text, asked.before)
    numbered = [(result.first_number + place, one) for result in results for place, one in enumerate(result.found)]
    if numbered:
        return _answer(asked, numbered)
    if SEARCH in {call.name for message in request.messages[asked.end :] for call in message.calls} and results:
        return Say(phrases.not_found, is_offering_person=True, is_answered=False)
    if SEARCH in {tool.name for tool in request.tools}:
        return Search(asked.query)
    return Say(phrases.no_documents, is_offering_person=True, is_answered=False)


@value
class _Asked:
    """The last run of the user's messages: a burst is one question. `end` is the place after it."""

    text: str
    before: str  # what the user said before that
    reply_to: str  # what the agent said before that
    has_files: bool
    end: int

    @classmethod
    def from_messages(cls, messages: Sequence[ChatMessage]) -> "_Asked":
        end = next((n for n in range(len(messages), 0, -1) if messages[n - 1].author is Author.USER), 0)
        start = end
        while start and messages[start - 1].author is Author.USER:
            start -= 1
        run, earlier = messages[start:end], messages[:start]
        return cls(
            text="\n".join(message.text for message in run if message.text.strip()),
            before=_last_text(earlier, Author.USER),
            reply_to=_last_text(earlier, Author.AGENT),
            has_files=any(message.attachments for message in run),
            end=end,
        )

    @property
    def query(self) -> str:
        """What to look for; "and on Slack?" is understood with the question before it."""
        text = _focus(_LEADING_GREETING.sub("", self.text))
        is_follow_up = bool(self.before) and _is_follow_up(text)
        return (f"{text} {self.before}" if is_follow_up else text or self.text)[:MOST_QUERY_CHARS]


# --- what a message wants, by its words (split_words of it, joined by spaces) -----------------------------------------

_GREETINGS = frozenset(
    split_words("""
    hello hi hey hiya howdy greetings good morning afternoon evening day there all everyone team dear
    hallo moin servus grüezi guten tag morgen abend zusammen
    """)
)
_THANKS = frozenset(
    split_words("""
    thanks thank you thx ty cheers great perfect awesome very much so a lot many ok okay cool nice super good for the your help bye goodbye
    danke vielen dank dankeschön schön sehr lieben besten prima tschüss für die ihre deine hilfe
    """)
)
_THANKING = frozenset(
    {"thanks", "thank", "thx", "ty", "cheers", "danke", "dank", "dankeschön", "bye", "goodbye", "tschüss"}
)
_YES = frozenset({"yes", "yeah", "yep", "sure", "ok", "okay", "please", "do", "ja", "gerne", "gern", "bitte", "klar"})
_GERMAN_WORDS = frozenset(
    split_words("""
    ich du sie wir ihr mich mir ist sind und oder der die das den dem ein eine einen einem einer nicht kein keine wie wo
    wann warum wer welche kann können möchte brauche für mit auf bitte danke dank hallo moin servus guten tag mensch
    menschen mitarbeiter gibt es mein meine bist was
    """)
)
_ENGLISH_WORDS = frozenset(
    split_words("""
    i you we they me is are and or the a an not no how where when why who which can could want need for with on please
    thanks hello to person human agent there my what do does it die was
    """)
)
_LEADING_GREETING = re.compile(
    r"^\W*(?:(?:hello|hi|hey|hiya|hallo|moin|servus|good (?:morning|afternoon|evening|day)|guten (?:tag|morgen|abend))\b\W*)+",
    re.IGNORECASE,
)
_OPENER = re.compile(
    r"(?:please )?(?:help|help me|i need (?:some |your )?help|(?:can|could) you (?:please )?help(?: me)?|i have an? (?:quick )?question|"
    r"hilfe|ich brauche (?:mal )?hilfe|können sie mir helfen|kannst du mir helfen|ich habe (?:mal )?eine frage)(?: please| bitte)?$"
)
_FOLLOW_UP = re.compile(r"(?:and|or|but|what about|how about|und|oder|aber|was ist mit|wie ist es)\b")
_REFERRING = frozenset(split_words("it its they them their that this those these es sie das diese dieser dafür davon"))
_IDENTITY = re.compile(
    r"(?:who|what) (?:are|r) (?:you|u)$|are you (?:an? |real|human|ai\b|there a)|am i (?:talking|speaking|chatting) (?:to|with) an? |"
    r"what can you do$|what is your name$|what s your name$|"
    r"(?:wer|was) (?:bist du|sind sie)$|(?:bist du|sind sie) (?:ein|eine|echt|real)\b|was (?:kannst du|können sie)$|"
    r"(?:spreche|rede|schreibe) ich (?:hier )?mit (?:einem|einer)\b"
)


def _is_follow_up(text: str) -> bool:
    """Whether a question says too little by itself: "and on Slack?", "how long is it?"."""
    words = split_words(text)
    if len(words) <= 5 and _FOLLOW_UP.match(" ".join(words)):
        return True
    return len(words) <= MOST_FOLLOW_UP_WORDS and not _REFERRING.isdisjoint(words) and len(informative_words(text)) <= 2


def _focus(text: str) -> str:
    """What a long message asks: its sentences with a question mark, where it has any."""
    questions = [one for one in sentences(text) if "?" in one[-3:]]
    return " ".join(questions) if questions and len(informative_words(text)) > MOST_FOCUSED_WORDS else text


def _small_talk(asked: _Asked) -> Say | None:
    """A reply that needs no document, or None for a question."""
    phrases, words = _phrases(asked.text, asked.before), split_words(asked.text)
    said = " ".join(words)
    if not words:
        return Say(phrases.file, is_offering_person=True, is_answered=False) if asked.has_files else Say(phrases.empty)
    if wants_person(asked.text[:WISH_CHARS]) or (set(words) <= _YES and asked.reply_to.strip().endswith(_OFFERS)):
        return Say(_phrases(asked.text, asked.reply_to).wish, is_person_wished=True)
    if len(words) <= 12 and _IDENTITY.search(said):
        return Say(phrases.who)
    if set(words) <= _GREETINGS or _OPENER.match(" ".join(split_words(_LEADING_GREETING.sub("", asked.text)))):
        return Say(phrases.hello)
    if set(words) <= _THANKS | _GREETINGS and _THANKING & set(words):
        return Say(phrases.thanks)
    return None


def _phrases(*texts: str) -> _Phrases:
    """In the language of the first text that shows one: a question of one word is in that of the conversation."""
    for text in texts:
        words = split_words(text)
        german, english = (sum(word in known for word in words) for known in (_GERMAN_WORDS, _ENGLISH_WORDS))
        if german != english:
            return _GERMAN if german > english else _ENGLISH
    return _ENGLISH


# --- the answer --------------------------------------------------------------------------------------------------------


def _answer(asked: _Asked, numbered: Sequence[tuple[int, Found]]) -> Say:
    quotes = quote(asked.query, [found for _, found in numbered])
    phrases = _phrases(asked.text, asked.before, *(one.text for one in quotes))
    if not quotes:
        return Say(phrases.not_found, is_offering_person=True, is_answered=False)
    return Say("\n\n".join([phrases.opening, *(_cited(one, numbered[one.found][0]) for one in quotes)]))


def _cited(one: Quote, number: int) -> str:
    """The marker stands after the words; never within a code block, where it would be taken for code."""
    if one.lead:
        return f"{one.lead} [{number}]\n\n{one.text}"
    return f"{one.text}\n[{number}]" if one.text.rstrip().endswith(("```", "~~~")) else f"{one.text} [{number}]"


def _pieces(text: str) -> list[str]:
    """The text a few words at a time; joined, they are the text."""
    words = re.findall(r"\s*\S+", text)
    return ["".join(words[at : at + _WORDS_A_PIECE]) for at in range(0, len(words), _WORDS_A_PIECE)]


def _last_text(messages: Sequence[ChatMessage], author: Author) -> str:
    return next((message.text for message in reversed(messages) if message.author is author and message.text), "")
