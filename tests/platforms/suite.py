"""What every channel must do, as checks over a `Stage`: the same for all, in the order in which a person might meet them.

A check fails by AssertionError. It raises NotImplementedError, before anything else, where the platform has no such thing. Each leaves the
stage as it found it: the daemon runs, the channel is up, nothing is held or set to fail.
"""

import json
import re
import sqlite3
import struct
import zlib
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Final

from bot.agent.loop import WISH_NOTED
from bot.model import PERSON_BUTTON
from tests.platforms.kit import Seen
from tests.platforms.stage import KNOWN, TITLE, Stage, closing, long_blocks, long_words, opening

LOCK_S: Final = 15.0
TOO_LONG: Final = 20_000  # characters: more than `[limits] message_chars`
WORD: Final = re.compile(r"\bw\d{4}\b")
PINGS: Final = (
    "@everyone @here <!channel> <!here> <!everyone> <!subteam^S012AB3CD> <@U012AB3CD> <@!123456789012345678> <@&123456789012345678> "
    "<#C012AB3CD> <tel:+4930123456|call me> [ring](tel:+4930123456) https://canary.example.test/x"
)
HOSTILE: Final = (
    "a\x00b\x00c",
    "invoice \u202egnp.exe",
    "a\u200b\u200c\u200d\u2060\ufeffb \U000e0041\U000e0042",
    "h" + "\u0301\u0302\u0303\u0316\u0317" * 300,
    "[" * 700 + "](" * 50,
    "*_~`" * 300,
    PINGS,
)

Check = Callable[[Stage], Awaitable[None]]


def picture() -> bytes:
    """A PNG of one red dot."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\x00\xff\x00\x00")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


# --- an ordinary day -------------------------------------------------------------------------------------------------


async def a_question_is_answered_from_the_knowledge_with_a_citation(stage: Stage) -> None:
    """What only the document says stands in the answer, and where it comes from can be seen."""
    mark = await stage.ask("How long may I take to return a bicycle?")
    last = await stage.answer(mark)
    said = _all_of(stage, mark)
    assert KNOWN in said
    assert "[1]" in said
    assert TITLE in said + " ".join(last.buttons)


async def an_answer_is_shown_while_it_is_written(stage: Stage) -> None:
    """The first half is seen before the model has said the second; the whole takes its place."""
    if not stage.platform.can_stream:
        raise NotImplementedError("nothing can be shown before it is whole")
    mark = stage.mark()
    stage.brain.hold(mark)
    await stage.platform.say(f"{mark} How are you?")
    await _until_shown(stage, mark)
    assert not stage.ours(closing(mark))
    stage.brain.let_go()
    await stage.answer(mark)


async def a_verdict_is_stored_and_the_latest_counts(stage: Stage) -> None:
    mark = await stage.ask("What do you think?")
    answer = await stage.answer(mark)
    for value in ("up", "down"):
        await stage.platform.rate(answer, value)
        await stage.until(lambda: _verdict(stage, mark), value.__eq__, what=value)


async def an_edit_after_the_answer_changes_what_is_stored(stage: Stage) -> None:
    before, after = stage.mark(), stage.mark()
    id_ = await stage.platform.say(f"{before} What is a bell?")
    await stage.answer(before)
    await stage.platform.edit(id_, f"{after} What is a basket?")
    await stage.until(lambda: _texts(stage, after), what="the new text is stored")
    assert not _texts(stage, before)
    await stage.settled()


async def an_edit_during_the_answer_is_what_is_answered(stage: Stage) -> None:
    """The answer that was being written is left; nothing of it remains."""
    before, after = stage.mark(), stage.mark()
    stage.brain.hold(before)
    id_ = await stage.platform.say(f"{before} What is a bell?")
    await stage.until(lambda: stage.brain.asked(before), what="the model is asked")
    await stage.platform.edit(id_, f"{after} What is a basket?")
    await stage.until(lambda: stage.brain.asked(after), what="the model is asked again")
    stage.brain.let_go()
    await stage.answer(after)
    assert not stage.ours(opening(before)) + stage.ours(closing(before))
    assert not _texts(stage, before)


async def what_is_deleted_is_gone_and_no_model_reads_it_again(stage: Stage) -> None:
    mark = stage.mark()
    id_ = await stage.platform.say(f"{mark} My card number is secret.")
    await stage.answer(mark)
    await stage.platform.delete(id_)
    await stage.until(lambda: _texts(stage, mark), lambda texts: not texts, what="the text is gone")
    later = await stage.ask("And now?")
    await stage.answer(later)
    assert mark not in json.dumps(stage.brain.asked(later)[-1].body)


async def a_question_that_is_deleted_during_the_answer_is_not_answered(stage: Stage) -> None:
    """Nor does anything of the answer remain."""
    mark = stage.mark()
    stage.brain.hold(mark)
    id_ = await stage.platform.say(f"{mark} Never mind.")
    await stage.until(lambda: stage.brain.asked(mark), what="the model is asked")
    await stage.platform.delete(id_)
    await stage.until(lambda: _texts(stage, mark), lambda texts: not texts, what="the text is gone")
    stage.brain.let_go()
    await stage.answer(await stage.ask("Something else."))
    await stage.until(lambda: stage.ours(opening(mark)) + stage.ours(closing(mark)), lambda found: not found)


async def a_picture_reaches_the_model(stage: Stage) -> None:
    mark = stage.mark()
    await stage.platform.say(f"{mark} What is this?", file=picture(), file_name="dot.png")
    await stage.answer(mark)
    assert '"image_url"' in json.dumps([received.body["messages"][-1] for received in stage.brain.asked(mark)])


async def a_long_answer_arrives_whole_and_in_order(stage: Stage) -> None:
    """However many parts it takes: every word once, and no code block that fits into a part is torn."""
    mark = await stage.ask("Tell me everything.")
    await stage.answer(mark, is_slow=True)
    parts = [each for each in stage.platform.seen() if each.is_ours and WORD.search(each.text)]
    assert [word for part in parts for word in WORD.findall(part.text)] == long_words()
    for block in long_blocks():
        torn = [part for part in parts if {block[0], block[-1]} & set(WORD.findall(part.text))]
        assert len(torn) == 1, f"the block that begins with {block[0]} stands in {len(torn)} parts"
    assert all(part.text.count("```") % 2 == 0 for part in parts)


async def a_person_can_be_asked_for_and_a_second_press_changes_nothing(stage: Stage) -> None:
    mark = await stage.ask("What is it that nobody knows?")
    answer = await stage.answer(mark)
    assert PERSON_BUTTON.label in answer.buttons
    noted = WISH_NOTED[:40]
    for _ in range(2):
        await stage.platform.press(answer, PERSON_BUTTON.label)
        await stage.until(lambda: [each for each in _ours(stage) if noted in each.text], what="the wish is noted")
    await stage.answer(await stage.ask("Meanwhile, what is a bell?"))
    assert len([each for each in _ours(stage) if noted in each.text]) == 1
    wanted = "SELECT is_person_wanted FROM conversations WHERE channel = :channel AND is_person_wanted = 1"
    assert stage.rows(wanted, channel=stage.platform.name) == [(1,)]
    presses = "SELECT COUNT(*) FROM inbox WHERE channel = :channel AND kind = 'press:person'"
    assert stage.rows(presses, channel=stage.platform.name) == [(1,)]


async def another_persons_chat_shows_nothing_of_the_firsts(stage: Stage) -> None:
    """Neither to the people nor to the model."""
    mine = await stage.ask("What is mine?")
    theirs = await stage.ask("What is theirs?", by_other=True)
    await stage.answer(mine)
    await stage.answer(theirs, by_other=True)
    assert not stage.ours(opening(theirs)) + stage.ours(closing(theirs))
    for word in (mine, opening(mine), closing(mine)):
        assert not any(word in each.text for each in stage.platform.seen(by_other=True))
        assert not any(word in json.dumps(received.body) for received in stage.brain.asked(theirs))


# --- events as platforms deliver them --------------------------------------------------------------------------------


async def an_event_that_comes_again_is_answered_once(stage: Stage) -> None:
    """At once, while it is answered, and afterwards."""
    mark = stage.mark()
    id_ = await stage.platform.say(f"{mark} Once is enough.")
    await stage.platform.repeat(id_)
    await stage.answer(mark)
    for _ in range(2):
        await stage.platform.repeat(id_)
    await stage.answer(await stage.ask("The next one."))
    stage.check_once(mark)
    assert len(_texts(stage, mark)) == 1


async def events_out_of_order_are_all_answered_in_the_persons_order(stage: Stage) -> None:
    """Those that one turn reads, it reads in the order of the platform's time, where that tells any."""
    marks = [stage.mark() for _ in range(3)]
    await stage.platform.say_out_of_order([f"{mark} Number {n}." for n, mark in enumerate(marks)])
    for mark in marks:
        await stage.answer(mark)
    sent = {mark: _sent_ms(stage, mark) for mark in marks}
    assert len(set(sent.values())) in (1, len(marks))
    for received in stage.brain.ledger:
        order = [sent[mark] for mark in stage.brain.marks_asked(received) if mark in sent]
        assert order == sorted(order)


async def what_is_said_while_the_connection_is_cut_is_answered(stage: Stage) -> None:
    """F30: also what is being answered then."""
    await stage.platform.cut()
    await stage.answer(await stage.ask("Can you hear me?"), is_slow=True)
    mark = stage.mark()
    stage.brain.hold(mark)
    await stage.platform.say(f"{mark} And now?")
    await stage.until(lambda: stage.brain.asked(mark), what="the model is asked")
    await stage.platform.cut()
    stage.brain.let_go()
    await stage.answer(mark, is_slow=True)
    await stage.until_up()


async def nothing_is_acknowledged_that_is_not_stored(stage: Stage) -> None:
    """F1, F47: while the database takes nothing, the platform is not told that it has; it delivers again, and loses nothing."""
    with _locked(stage):
        mark = await stage.ask("Are you there?")
        await _until_refusing(stage)
    await stage.answer(mark, is_slow=True)
    await stage.until_up()


async def what_was_missed_while_nothing_could_be_stored_is_answered(stage: Stage) -> None:
    """F30, F47: the gap in the connection is filled also when the database takes nothing at that moment."""
    await stage.platform.cut()
    with _locked(stage):
        mark = await stage.ask("Are you there again?")
        await _until_refusing(stage)
    await stage.answer(mark, is_slow=True)
    await stage.until_up()


@contextmanager
def _locked(stage: Stage) -> Iterator[None]:
    """Somebody else holds the database."""
    other = sqlite3.connect(stage.database, isolation_level=None, timeout=10)
    try:
        other.execute("BEGIN IMMEDIATE")
        yield
    finally:
        other.close()


async def _until_refusing(stage: Stage) -> None:
    await stage.until(stage.readiness, lambda body: body["store"] != "open", LOCK_S, "the store takes nothing")


# --- hostile texts ---------------------------------------------------------------------------------------------------


async def hostile_texts_are_answered_and_ping_nobody(stage: Stage) -> None:
    """F57 to F60, F104: said by the person, and said again by the model."""
    for text in HOSTILE:
        await stage.answer(await stage.ask(f"repeat after me {text}"))
    before = len(_ours(stage))
    await stage.platform.say("🙂🙃🙂")
    await stage.until(lambda: len(_ours(stage)), lambda count: count > before, what="an answer to pictures alone")
    await stage.settled()


async def a_text_that_is_too_long_is_refused_in_plain_words(stage: Stage) -> None:
    """F57: it is neither answered nor passed over, and the next question is answered as ever, also after a million characters, which no
    platform would deliver."""
    before = {each.id for each in _ours(stage)}
    mark = await stage.ask("x" * TOO_LONG)
    told = await stage.until(
        lambda: [each for each in _ours(stage) if each.id not in before], what="a word on the long text"
    )
    assert re.search(r"\b(under|long|short)", told[0].text)
    assert not stage.brain.asked(mark)
    await stage.answer(await stage.ask("And shorter?"))
    await stage.ask("x" * 1_000_000)
    await stage.answer(await stage.ask("And now?"))


# --- a platform that fails -------------------------------------------------------------------------------------------


async def a_post_whose_answer_was_lost_is_there_once(stage: Stage) -> None:
    """F12: it is looked up, and not sent again."""
    for count, words in ((1, "Can you say that once?"), (3, "Tell me everything, once.")):
        stage.platform.lose_answers(count)
        await _answered_once(stage, words)


async def _answered_once(stage: Stage, words: str) -> None:
    known = {each.id for each in _ours(stage)}
    mark = await stage.ask(words)
    await stage.answer(mark, is_slow=True)
    new = [word for each in _ours(stage) if each.id not in known for word in WORD.findall(each.text)]
    assert new in ([], long_words())


async def a_rate_limit_is_obeyed_and_loses_nothing(stage: Stage) -> None:
    stage.platform.limit_rate(2, 1.0)
    await stage.answer(await stage.ask("Slowly, please."), is_slow=True)


async def refused_credentials_stop_this_channel_alone_and_say_what_to_mend(stage: Stage) -> None:
    """/readyz, the metrics and `frontdesk channels` name it; the web page is answered meanwhile; with the credentials it comes back."""
    platform = stage.platform
    platform.refuse_token(True)
    try:
        await stage.kill()
        await stage.launch(is_well=False)
        state = await stage.until(stage.channel_state, lambda state: state.startswith("stopped"), what="it is stopped")
        assert len(state.split()) > 5
        assert (await stage.readiness())["status"] == 200
        told = await stage.command("channels")
        assert any(platform.name in line and "stopped" in line for line in told.splitlines()), told
        assert state.partition(": ")[2][:60] in told
        metrics, _ = await stage.get("/metrics", is_private=True)
        assert re.search(rf'channel_up\{{channel="{platform.name}"\}} 0', metrics), metrics
        mark = stage.mark()
        await stage.page.say(f"{mark} Are you there?")
        await stage.until(lambda: [each for each in stage.page.seen() if closing(mark) in each.text], what="the page")
    finally:
        platform.refuse_token(False)
    await stage.kill()
    await stage.launch()
    await stage.answer(await stage.ask("And here?"))


# --- the end of the process ------------------------------------------------------------------------------------------


async def an_answer_that_the_end_of_the_process_cut_off_arrives_once_and_whole(stage: Stage) -> None:
    """F5, F12: SIGKILL in the middle of it, with its first half shown where that can be; nothing half remains."""
    mark = stage.mark()
    stage.brain.hold(mark)
    await stage.platform.say(f"{mark} Tell me slowly.")
    if stage.platform.can_stream:
        await _until_shown(stage, mark)
    else:
        await stage.until(lambda: stage.brain.asked(mark), what="the model is asked")
    await stage.kill()
    stage.brain.let_go()
    await stage.launch()
    await stage.answer(mark, is_slow=True)


async def what_is_said_while_nothing_runs_is_answered_after_the_start(stage: Stage) -> None:
    """F1: kept by the platform, or asked for, where anything was said before."""
    await stage.answer(await stage.ask("How are you?"))
    await stage.kill()
    mark = await stage.ask("Is anybody there?")
    await stage.launch()
    await stage.answer(mark, is_slow=True)


CHECKS: Final[dict[str, Check]] = {
    check.__name__: check
    for check in (
        a_question_is_answered_from_the_knowledge_with_a_citation,
        an_answer_is_shown_while_it_is_written,
        a_verdict_is_stored_and_the_latest_counts,
        an_edit_after_the_answer_changes_what_is_stored,
        an_edit_during_the_answer_is_what_is_answered,
        what_is_deleted_is_gone_and_no_model_reads_it_again,
        a_question_that_is_deleted_during_the_answer_is_not_answered,
        a_picture_reaches_the_model,
        a_long_answer_arrives_whole_and_in_order,
        a_person_can_be_asked_for_and_a_second_press_changes_nothing,
        another_persons_chat_shows_nothing_of_the_firsts,
        an_event_that_comes_again_is_answered_once,
        events_out_of_order_are_all_answered_in_the_persons_order,
        what_is_said_while_the_connection_is_cut_is_answered,
        nothing_is_acknowledged_that_is_not_stored,
        what_was_missed_while_nothing_could_be_stored_is_answered,
        hostile_texts_are_answered_and_ping_nobody,
        a_text_that_is_too_long_is_refused_in_plain_words,
        a_post_whose_answer_was_lost_is_there_once,
        a_rate_limit_is_obeyed_and_loses_nothing,
        an_answer_that_the_end_of_the_process_cut_off_arrives_once_and_whole,
        what_is_said_while_nothing_runs_is_answered_after_the_start,
        refused_credentials_stop_this_channel_alone_and_say_what_to_mend,
    )
}


async def perform(stage: Stage, check: Check) -> None:
    """One check, and what holds after every one: no rule of the platform has been broken since the last look."""
    await stage.launch()
    try:
        await check(stage)
    finally:
        stage.brain.let_go()
        broken = stage.new_violations()
    assert broken == []


# --- looking -------------------------------------------------------------------------------------------------------


def _ours(stage: Stage) -> list[Seen]:
    return [each for each in stage.platform.seen() if each.is_ours]


def _all_of(stage: Stage, mark: str) -> str:
    """Everything that the bot has shown from the beginning of this answer on."""
    ours = _ours(stage)
    first = next(n for n, each in enumerate(ours) if opening(mark) in each.text)
    return "\n".join(each.text for each in ours[first:])


async def _until_shown(stage: Stage, mark: str) -> None:
    await stage.until(
        lambda: [text for text in stage.platform.was_shown() if opening(mark) in text], what="the first half is shown"
    )


def _texts(stage: Stage, mark: str) -> list[str]:
    """What the person has said, as it is stored, where this mark stands in it."""
    sql = "SELECT text FROM messages WHERE author = 'user' AND text LIKE :text"
    return [text for (text,) in stage.rows(sql, text=f"%{mark} %")]


def _verdict(stage: Stage, mark: str) -> str:
    """On the answer to this question."""
    sql = "SELECT feedback FROM messages WHERE author = 'agent' AND text LIKE :text"
    return str(stage.rows(sql, text=f"%{closing(mark)}%")[0][0])


def _sent_ms(stage: Stage, mark: str) -> int:
    sql = "SELECT sent_ms FROM messages WHERE author = 'user' AND text LIKE :text"
    return int(stage.rows(sql, text=f"%{mark} %")[0][0])
