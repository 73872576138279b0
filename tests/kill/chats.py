"""What people in a chat were told: answers, put together again from the messages that carry them.

Every word that a person says begins with the letter of its channel (`s` Slack, `d` Discord, `w` WhatsApp, `v` the web), and some answers
are longer than one message there.
"""

from collections.abc import Iterable, Sequence

from tests.kill.judge import Diary, Seen, answer_to

LINES = {"s": 110, "d": 62, "w": 58}  # so many fill more than one message of the channel
LONG_EVERY = 4
BEGINNING, END = "You said ", "whatever happens."


def right(words: Sequence[str]) -> str:
    """The one right answer to a burst."""
    text = answer_to(words)
    if not is_long(words[0]):
        return text
    lines = (f"Line {number} stands in its place." for number in range(1, LINES[words[0][0]] + 1))
    return f"{text[: -len(END)]}{' '.join(lines)} {END}"


def is_long(word: str) -> bool:
    return word[0] in LINES and int(word.rpartition("-")[2]) % LONG_EVERY == LONG_EVERY - 1


def answers_in(texts: Iterable[str]) -> list[Seen]:
    """Each answer with what stands between its beginning and the next, in the order of reading. White space is nothing."""
    found: list[list[str]] = []
    for text in (" ".join(text.split()) for text in texts):
        if text.startswith(BEGINNING) or not found:
            found.append([])
        found[-1].append(text)
    return [Seen(place, "", " ".join(pieces)) for place, pieces in enumerate(found)]


def read_chat(diary: Diary, texts: Sequence[str]) -> None:
    """What a person reads now."""
    diary.seen = answers_in(texts)


def is_whole(diary: Diary) -> bool:
    """Whether every answer that was begun has its end."""
    return all(seen.text.endswith(END) for seen in diary.seen)
