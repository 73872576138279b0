"""A code is taken for what it is, only where nobody else reads, and nothing else is taken for one."""

from pathlib import Path

import pytest

from bot.people.linking import ELSEWHERE, HIDDEN, NO_CODE, hash_of, new_code, wish_of
from bot.store import people
from tests.pipeline.house import ListChannel, core
from tests.users.test_linking import asked, last, users


async def test_f97_a_code_that_is_written_where_others_read_links_nobody_and_is_worth_nothing_then(
    tmp_path: Path,
) -> None:
    other = ListChannel("phone")
    async with core(tmp_path / "data", other=other) as found:
        await found.say("hello", "p0", channel="phone", chat="eve")
        code = await asked(found)
        shared = "UPDATE conversations SET is_shared = 1 WHERE channel = 'phone'"
        await found.store.run(lambda cursor: cursor.execute(shared))
        await found.say(code, "p1", channel="phone", chat="eve")
        await found.rest()
        assert last(other) == ELSEWHERE
        assert len(set((await users(found)).values())) == 2
        shown = await found.all("SELECT text FROM messages WHERE text LIKE '%LINK-%' OR text LIKE '%no longer valid%'")
        assert shown == [(people.CODE_IS_OVER,)]
        await found.say(code, "p2", channel="phone", chat="mallory")
        await found.rest()
        assert last(other) == NO_CODE


@pytest.mark.parametrize(
    "text",
    [
        "The link sent back an error",
        "link test case",
        "Your link page gets stuck",
        "the link 2345 6789 is broken",
        "download link ABCDEFGH",
        "link-test-case",
        "disconnect",
        "separate",
        "Please disconnect now",
        "disconnect me",
    ],
)
def test_words_of_everyday_talk_are_no_code_and_no_wish(text: str) -> None:
    assert wish_of(text) is None


def test_every_code_is_known_however_it_is_typed() -> None:
    for _ in range(200):
        code = new_code()
        bare = code.replace("-", "")
        for typed in (code, code.lower(), code.replace("-", " "), bare, f"it is {bare.lower()}."):
            wish = wish_of(typed)
            assert wish is not None, typed
            assert wish.code_hash == hash_of(code), typed
            assert HIDDEN in wish.text
