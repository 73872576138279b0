"""Who the operators are: accounts, the config, and which person on a platform is which of them."""

import asyncio

import pytest

from bot.errors import Refused
from bot.operators.operator import Listed, Operator, Presence, operator_id
from bot.operators.people import Operators
from bot.operators.roles import Right
from bot.store import audit
from bot.store import operators as stored
from tests.operators.house import BY, House

ADA = ("slack", "acme", "U0ADA")


async def linked(house: House, name: str, *where: str, shown: str = "Ada") -> Operator:
    channel, account, external = where
    return await house.operators.link(await house.operators.link_code(name, by=BY), channel, account, external, shown)


async def refused(doing: object, code: str) -> None:
    assert asyncio.iscoroutine(doing)
    with pytest.raises(Refused) as caught:
        await doing
    assert caught.value.code == code


# --- accounts --------------------------------------------------------------------------------------------------------


async def test_who_was_added_is_found_by_name_and_by_id(house: House) -> None:
    who = Listed("ada", "agent", ("billing",), ("refunds",), ("de", "en"), 7)
    added = await house.operators.add(who, by=BY)
    assert added == await house.operators.by_name("ada") == await house.operators.by_id(added.id)
    assert (added.role, added.teams, added.skills, added.languages) == (
        "agent",
        ("billing",),
        ("refunds",),
        ("de", "en"),
    )
    assert (added.capacity, added.presence, added.is_disabled) == (7, Presence.OFFLINE, False)
    assert await house.store.run(stored.operators) == [added]
    assert await house.operators.by_name("eve") is None


async def test_a_name_is_never_given_twice(house: House) -> None:
    await house.add("ada")
    await house.operators.disable("ada", by=BY)
    await refused(house.add("ada", "admin"), "name_taken")
    found = await house.operators.named("ada")
    assert (found.role, found.is_disabled) == ("agent", True)


async def test_two_who_add_one_name_at_once_make_one_operator(house: House) -> None:
    results = await asyncio.gather(*(house.add("ada", role) for role in ("agent", "admin")), return_exceptions=True)
    assert [type(each) for each in results] == [Operator, Refused]
    assert len(await house.operators.all()) == 1


@pytest.mark.parametrize(
    ("who", "code"),
    [
        (Listed("Ada", "agent"), "bad_name"),
        (Listed("", "agent"), "bad_name"),
        (Listed("ada\n", "agent"), "bad_name"),
        (Listed("ada", "owner"), "bad_role"),
        (Listed("ada", "agent", capacity=0), "bad_capacity"),
    ],
)
async def test_what_cannot_be_is_refused(house: House, who: Listed, code: str) -> None:
    await refused(house.operators.add(who, by=BY), code)
    assert await house.operators.all() == []


async def test_of_a_name_that_is_not_there_the_refusal_says_who_is(house: House) -> None:
    await house.add("ada")
    with pytest.raises(Refused, match=r"no operator eve \(there is: ada\)"):
        await house.operators.set_role("eve", "admin", by=BY)


async def test_the_disabled_have_no_presence_and_get_no_codes(house: House) -> None:
    await house.add("ada")
    assert (await house.operators.set_presence("ada", Presence.ONLINE)).presence is Presence.ONLINE
    disabled = await house.operators.disable("ada", by=BY)
    assert (disabled.presence, disabled.may(Right.SEE)) == (Presence.OFFLINE, False)
    await refused(house.operators.set_presence("ada", Presence.ONLINE), "disabled")
    await refused(house.operators.link_code("ada", by=BY), "disabled")
    await refused(house.operators.invite_code("ada", by=BY), "disabled")
    assert (await house.operators.enable("ada", by=BY)).may(Right.REPLY)


# --- the config ------------------------------------------------------------------------------------------------------


async def test_people_of_the_config_are_operators_and_a_second_start_changes_nothing(house: House) -> None:
    people = [Listed("ada", "approver"), Listed("bob", "agent", ("billing",))]
    await house.operators.sync(people)
    before, entries = await house.operators.all(), await house.audited()
    await Operators(house.store, house.clock).sync(people)
    assert await house.operators.all() == before
    assert await house.audited() == entries
    assert [(each.id, each.name, each.role) for each in before] == [
        (operator_id("ada"), "ada", "approver"),
        (operator_id("bob"), "bob", "agent"),
    ]


async def test_the_role_of_the_config_wins(house: House) -> None:
    await house.operators.sync([Listed("ada", "agent")])
    await refused(house.operators.set_role("ada", "admin", by=BY), "of_config")
    await house.operators.sync([Listed("ada", "viewer")])
    assert (await house.operators.named("ada")).role == "viewer"


async def test_who_is_removed_from_the_config_is_out_and_comes_back_with_it(house: House) -> None:
    await house.add("eve", "admin")
    await house.operators.sync([Listed("ada", "agent"), Listed("eve", "admin")])
    await linked(house, "ada", *ADA)
    await house.operators.sync([])
    assert [(each.name, each.is_disabled) for each in await house.operators.all()] == [("ada", True), ("eve", False)]
    assert await house.operators.by_identity(*ADA) is None
    await refused(house.operators.enable("ada", by=BY), "of_config")
    await house.operators.sync([Listed("ada", "agent")])
    assert (await house.operators.named("ada")).is_disabled is False
    assert await house.operators.by_identity(*ADA) is not None


async def test_a_restart_does_not_enable_whom_an_admin_has_disabled(house: House) -> None:
    await house.operators.sync([Listed("ada", "agent")])
    await house.operators.disable("ada", by=BY)
    for people in ([Listed("ada", "agent")], [], [Listed("ada", "admin")]):
        await house.operators.sync(people)
        assert (await house.operators.named("ada")).is_disabled


# --- links -----------------------------------------------------------------------------------------------------------


async def test_whoever_writes_the_code_is_the_operator_from_then_on(house: House) -> None:
    added = await house.add("ada")
    assert await house.operators.by_identity(*ADA) is None
    assert await linked(house, "ada", *ADA) == added
    assert await house.operators.by_identity(*ADA) == added
    assert await house.store.run(stored.operator_of_identity, *ADA) == added
    assert await house.operators.by_identity("slack", "other", "U0ADA") is None
    assert await house.operators.by_identity("discord", "acme", "U0ADA") is None


async def test_f100_a_platform_account_that_takes_an_operators_name_is_nobody(house: House) -> None:
    await house.add("ada", "admin")
    await linked(house, "ada", *ADA, shown="Ada")
    for name in ("Ada", "ada", "U0ADA ", operator_id("ada")):
        assert await house.operators.by_identity("slack", "acme", name) is None


async def test_f100_renaming_the_platform_account_changes_nothing(house: House) -> None:
    added = await house.add("ada")
    await linked(house, "ada", *ADA, shown="Ada")
    await house.add("eve", "admin")
    await linked(house, "eve", "slack", "acme", "U0EVE", shown="Ada")
    assert await house.operators.by_identity(*ADA) == added
    await linked(house, "ada", *ADA, shown="Eve")
    assert await house.operators.by_identity(*ADA) == added


async def test_a_code_can_be_written_as_people_write(house: House) -> None:
    added = await house.add("ada")
    code = await house.operators.link_code("ada", by=BY)
    assert await house.operators.link(f" {code.lower().replace('-', ' ')}\n", *ADA, "Ada") == added


async def test_a_code_works_once(house: House) -> None:
    await house.add("ada")
    code = await house.operators.link_code("ada", by=BY)
    await house.operators.link(code, *ADA, "Ada")
    await refused(house.operators.link(code, "slack", "acme", "U0EVE", "Eve"), "no_code")
    assert await house.operators.by_identity("slack", "acme", "U0EVE") is None


async def test_f109_of_many_who_use_one_code_at_once_one_is_linked(house: House) -> None:
    await house.add("ada")
    code = await house.operators.link_code("ada", by=BY)
    results = await asyncio.gather(
        *(house.operators.link(code, "slack", "acme", f"U{number}", "") for number in range(20)),
        return_exceptions=True,
    )
    assert [type(each) for each in results].count(Operator) == 1
    assert len(await house.operators.links()) == 1


async def test_a_code_lasts_ten_minutes_and_only_the_latest_is_valid(house: House) -> None:
    await house.add("ada")
    first = await house.operators.link_code("ada", by=BY)
    second = await house.operators.link_code("ada", by=BY)
    await refused(house.operators.link(first, *ADA, "Ada"), "no_code")
    await house.clock.advance(601)
    await refused(house.operators.link(second, *ADA, "Ada"), "no_code")


async def test_an_invitation_links_nobody_and_a_link_code_invites_nobody(house: House) -> None:
    await house.add("ada")
    invite, link = await house.operators.invite_code("ada", by=BY), await house.operators.link_code("ada", by=BY)
    await refused(house.operators.link(invite, *ADA, "Ada"), "no_code")
    await refused(house.signing.accept_invite(link, "a password that is long"), "no_code")


async def test_the_codes_of_the_disabled_are_worth_nothing(house: House) -> None:
    await house.add("ada")
    code = await house.operators.link_code("ada", by=BY)
    await house.operators.disable("ada", by=BY)
    await refused(house.operators.link(code, *ADA, "Ada"), "no_code")
    await house.operators.enable("ada", by=BY)
    await refused(house.operators.link(code, *ADA, "Ada"), "no_code")


async def test_after_five_wrong_codes_even_the_right_one_waits_ten_minutes(house: House) -> None:
    await house.add("ada")
    for _ in range(5):
        await refused(house.operators.link("AAAA-AAAA", *ADA, "Ada"), "no_code")
    code = await house.operators.link_code("ada", by=BY)
    with pytest.raises(Refused, match="10 minutes"):
        await house.operators.link(code, *ADA, "Ada")
    await house.clock.advance(599)
    await refused(house.operators.link(code, *ADA, "Ada"), "too_many_tries")
    await house.clock.advance(2)
    code = await house.operators.link_code("ada", by=BY)
    assert (await house.operators.link(code, *ADA, "Ada")).name == "ada"


async def test_guesses_at_once_are_no_more_than_guesses_in_turn(house: House) -> None:
    await house.add("ada")
    results = await asyncio.gather(
        *(house.operators.link(f"AAAA-A{number:03}", *ADA, "Ada") for number in range(200)), return_exceptions=True
    )
    codes = [each.code for each in results if isinstance(each, Refused)]
    assert (codes.count("no_code"), codes.count("too_many_tries")) == (5, 195)


async def test_one_who_guesses_holds_up_nobody_else(house: House) -> None:
    await house.add("ada")
    for _ in range(6):
        with pytest.raises(Refused):
            await house.operators.link("AAAA-AAAA", "slack", "acme", "U0EVE", "Eve")
    assert (await linked(house, "ada", *ADA)).name == "ada"


async def test_an_unlinked_person_is_nobody_at_once_and_stays_known_elsewhere(house: House) -> None:
    added = await house.add("ada")
    await linked(house, "ada", *ADA)
    await linked(house, "ada", "discord", "", "77")
    assert await house.operators.unlink("ada", "slack", by=BY) == 1
    assert await house.operators.by_identity(*ADA) is None
    assert await house.operators.by_identity("discord", "", "77") == added
    assert await house.operators.unlink("ada", "slack", by=BY) == 0


# --- what is kept ----------------------------------------------------------------------------------------------------


async def test_no_code_is_kept_anywhere(house: House) -> None:
    await house.add("ada")
    codes = [await house.operators.link_code("ada", by=BY), await house.operators.invite_code("ada", by=BY)]
    await house.store.close()
    kept = b"".join(path.read_bytes() for path in house.data.rglob("*") if path.is_file())
    for code in codes:
        assert code.encode() not in kept
        assert code.replace("-", "").encode() not in kept


async def test_every_change_stands_in_the_audit_by_ids_and_without_names(house: House) -> None:
    ada = operator_id("ada")
    await house.add("ada")
    await linked(house, "ada", *ADA, shown="Ada Lovelace")
    await house.operators.set_role("ada", "approver", by=BY)
    await house.operators.disable("ada", by=BY)
    await house.operators.disable("ada", by=BY)
    await house.operators.enable("ada", by=BY)
    await house.operators.unlink("ada", "slack", by=BY)
    entries = await house.audited()
    assert [(actor, action) for actor, action, *_ in entries] == [
        (BY, "operator added"),
        (BY, "operator link code"),
        (ada, "operator linked"),
        (BY, "operator role"),
        (BY, "operator disabled"),
        (BY, "operator enabled"),
        (BY, "operator unlinked"),
    ]
    assert not [each for each in entries if "Lovelace" in str(each) or "U0ADA" in str(each)]
    assert (await audit.examine(house.store.read)).broken is None
