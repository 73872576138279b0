"""Sign-in: a password and a second factor, both right, not too often; and sessions that can be ended."""

import asyncio
import hashlib

import pyotp
import pytest

from bot.errors import Overloaded, Refused
from bot.operators import passwords, totp
from bot.operators.operator import Listed, operator_id
from bot.operators.signing_in import Session, Signing, is_csrf
from bot.store import sessions
from tests.operators.house import ADDRESS, BY, KEY, PASSWORD, WRONG, House, device


async def refused(doing: object, code: str) -> str:
    assert asyncio.iscoroutine(doing)
    with pytest.raises(Refused) as caught:
        await doing
    assert caught.value.code == code
    return caught.value.detail


dear = passwords._hasher


def test_a_hash_costs_what_rfc_9106_asks_of_little_memory() -> None:
    hasher = dear()
    assert (hasher.type.name, hasher.memory_cost, hasher.time_cost, hasher.parallelism) == ("ID", 64 * 1024, 3, 4)


def other(code: str) -> str:
    return f"{(int(code) + 1) % 1_000_000:06}"


# --- signing in ------------------------------------------------------------------------------------------------------


async def test_password_and_code_open_a_session_that_says_who_it_is(house: House) -> None:
    ada = await house.enrol("ada", "approver")
    session = await house.sign_in("ada")
    signed = await house.signing.session(session.token)
    assert signed is not None
    assert (signed.operator, signed.csrf, signed.is_elevated) == (ada, session.csrf, False)


async def test_wrong_in_any_part_is_the_same_refusal(house: House) -> None:
    await house.enrol("ada")
    await house.add("new")
    tries = [
        ("ada", WRONG, house.code("ada")),
        ("ada", PASSWORD, other(house.code("ada"))),
        ("ada", PASSWORD, ""),
        ("ada", PASSWORD, "１２３４５６"),
        ("new", "", ""),
        ("nobody", PASSWORD, house.code("ada")),
        ("", "", "\ud800"),
    ]
    words = {
        await refused(house.signing.sign_in(name, password, code, f"192.0.2.{number}"), "not_signed_in")
        for number, (name, password, code) in enumerate(tries)
    }
    assert len(words) == 1


async def test_an_unknown_name_costs_as_much_hashing_as_a_known_one(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passwords, "_hasher", dear)
    await house.enrol("ada")
    await refused(house.signing.sign_in("warm", WRONG, "", "192.0.2.1"), "not_signed_in")
    hashed: list[str] = []
    work = passwords._argon2

    def noted(password: str, hash_: str | None) -> str:
        hashed.append(str(hash_)[:30])
        return work(password, hash_)

    monkeypatch.setattr(passwords, "_argon2", noted)
    for name in ("ada", "nobody"):
        await refused(house.signing.sign_in(name, WRONG, "", "192.0.2.1"), "not_signed_in")
    assert len(hashed) == 2
    assert hashed[0] == hashed[1]
    assert hashed[0].startswith("$argon2id$v=19$m=65536,t=3,p=4")


async def test_a_password_alone_is_not_enough_until_a_second_factor_is_confirmed(house: House) -> None:
    await house.add("ada")
    code = await house.operators.invite_code("ada", by=BY)
    house.devices["ada"] = device(await house.signing.accept_invite(code, PASSWORD))
    await refused(house.sign_in("ada"), "not_signed_in")
    await house.signing.confirm_invite(code, house.code("ada"))
    assert await house.sign_in("ada")


async def test_a_code_that_was_used_is_never_taken_again(house: House) -> None:
    await house.enrol("ada")
    code = house.code("ada")
    assert await house.signing.sign_in("ada", PASSWORD, code, ADDRESS)
    await refused(house.signing.sign_in("ada", PASSWORD, code, ADDRESS), "not_signed_in")
    await house.clock.advance(30)
    await refused(house.signing.sign_in("ada", PASSWORD, code, ADDRESS), "not_signed_in")


async def test_a_code_of_before_the_last_used_one_is_not_taken_either(house: House) -> None:
    await house.enrol("ada")
    earlier = house.code("ada")
    await house.clock.advance(30)
    await house.signing.sign_in("ada", PASSWORD, house.code("ada"), ADDRESS)
    await refused(house.signing.sign_in("ada", PASSWORD, earlier, ADDRESS), "not_signed_in")


async def test_of_many_with_one_code_at_once_one_gets_in(house: House) -> None:
    await house.enrol("ada")
    results = await asyncio.gather(
        *(house.signing.sign_in("ada", PASSWORD, house.code("ada"), ADDRESS) for _ in range(4)), return_exceptions=True
    )
    assert [type(each) for each in results].count(Session) == 1


@pytest.mark.parametrize(("seconds", "is_taken"), [(-60, False), (-30, True), (0, True), (30, True), (60, False)])
async def test_clocks_may_differ_by_one_step(house: House, seconds: int, is_taken: bool) -> None:
    await house.enrol("ada")
    await house.clock.advance(120)
    code = house.devices["ada"].at(house.clock.now_ms() // 1000 + seconds)
    trying = house.signing.sign_in("ada", PASSWORD, code, ADDRESS)
    if is_taken:
        assert await trying
    else:
        await refused(trying, "not_signed_in")


async def test_a_password_may_be_typed_in_another_form_of_its_letters(house: House) -> None:
    await house.enrol("ada", password="Zu\u0308rich im Regen")
    assert await house.sign_in("ada", password="Z\u00fcrich im Regen")


@pytest.mark.parametrize("password", ["", "short", "x" * 11, "x" * 257])
async def test_a_password_that_is_too_short_or_too_long_is_refused_and_the_invitation_stays(
    house: House, password: str
) -> None:
    await house.add("ada")
    code = await house.operators.invite_code("ada", by=BY)
    await refused(house.signing.accept_invite(code, password), "bad_password")
    assert await house.signing.accept_invite(code, PASSWORD)


# --- too many tries --------------------------------------------------------------------------------------------------


async def test_after_five_wrong_tries_even_the_right_password_waits_and_each_wait_is_longer(house: House) -> None:
    await house.enrol("ada")
    for number in range(5):
        await refused(house.signing.sign_in("ada", WRONG, "", f"192.0.2.{number}"), "not_signed_in")
    for seconds, words in ((30, "30 seconds"), (60, "1 minute"), (120, "2 minutes"), (240, "4 minutes")):
        detail = await refused(house.signing.sign_in("ada", PASSWORD, house.code("ada"), "192.0.2.9"), "too_many_tries")
        assert words in detail
        await house.clock.advance(seconds)
        await refused(house.signing.sign_in("ada", WRONG, "", "192.0.2.9"), "not_signed_in")
    await house.clock.advance(15 * 60)
    assert await house.sign_in("ada")
    await refused(house.signing.sign_in("ada", WRONG, "", "192.0.2.9"), "not_signed_in")


async def test_a_name_that_is_not_there_is_held_off_like_one_that_is(house: House) -> None:
    for number in range(5):
        await refused(house.signing.sign_in("nobody", WRONG, "", f"192.0.2.{number}"), "not_signed_in")
    await refused(house.signing.sign_in("nobody", WRONG, "", "192.0.2.9"), "too_many_tries")


async def test_one_address_that_tries_many_names_is_held_off_and_others_are_not(house: House) -> None:
    await house.enrol("ada")
    for number in range(20):
        await refused(house.signing.sign_in(f"name{number}", WRONG, "", "198.51.100.1"), "not_signed_in")
    await refused(house.signing.sign_in("ada", PASSWORD, house.code("ada"), "198.51.100.1"), "too_many_tries")
    assert await house.sign_in("ada", address="198.51.100.2")


async def test_signing_in_oneself_does_not_buy_an_address_more_guesses(house: House) -> None:
    await house.enrol("eve")
    for number in range(20):
        if number in (7, 14):
            assert await house.sign_in("eve")
        await refused(house.signing.sign_in(f"name{number}", WRONG, "", ADDRESS), "not_signed_in")
    await refused(house.signing.sign_in("ada", WRONG, "", ADDRESS), "too_many_tries")


async def test_brute_force_of_many_at_once_gets_five_guesses(house: House) -> None:
    await house.enrol("ada")
    results = await asyncio.gather(
        *(house.signing.sign_in("ada", f"{WRONG} {number}", "", f"192.0.2.{number}") for number in range(100)),
        return_exceptions=True,
    )
    codes = [each.code for each in results if isinstance(each, Refused)]
    assert (codes.count("not_signed_in"), codes.count("too_many_tries")) == (5, 95)


async def test_more_at_once_than_can_be_hashed_are_refused_before_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passwords, "_hasher", dear)
    monkeypatch.setattr(passwords, "WAITING_MOST", 4)
    results = await asyncio.gather(
        *(house.signing.sign_in(f"name{number}", WRONG, "", f"192.0.2.{number}") for number in range(8)),
        return_exceptions=True,
    )
    assert [type(each) for each in results].count(Overloaded) == 4
    assert all(isinstance(each, Overloaded | Refused) for each in results)


# --- sessions --------------------------------------------------------------------------------------------------------


async def test_a_session_ends_when_it_is_idle_for_30_minutes(house: House) -> None:
    await house.enrol("ada")
    session = await house.sign_in("ada")
    for _ in range(3):
        await house.clock.advance(29 * 60)
        assert await house.signing.session(session.token)
    await house.clock.advance(30 * 60)
    assert await house.signing.session(session.token) is None


async def test_a_page_that_stands_open_does_not_keep_a_session_from_being_idle(house: House) -> None:
    await house.enrol("ada")
    session = await house.sign_in("ada")
    for _ in range(29):
        await house.clock.advance(60)
        assert await house.signing.session(session.token, is_use=False)
    await house.clock.advance(60)
    assert await house.signing.session(session.token, is_use=False) is None


async def test_a_session_ends_after_12_hours_however_busy(house: House) -> None:
    await house.enrol("ada")
    session = await house.sign_in("ada")
    for _ in range(12 * 3 - 1):
        await house.clock.advance(20 * 60)
        assert await house.signing.session(session.token)
    await house.clock.advance(20 * 60)
    assert await house.signing.session(session.token) is None


async def test_a_stolen_old_session_is_worth_nothing_once_its_operator_is_disabled(house: House) -> None:
    await house.enrol("ada")
    stolen = await house.sign_in("ada")
    await house.operators.disable("ada", by=BY)
    assert await house.signing.session(stolen.token) is None
    await house.operators.enable("ada", by=BY)
    assert await house.signing.session(stolen.token) is None
    assert await house.sign_in("ada")


async def test_f86_a_new_role_ends_the_sessions_of_the_old_one(house: House) -> None:
    await house.enrol("ada", "admin")
    session = await house.sign_in("ada")
    await house.operators.set_role("ada", "admin", by=BY)
    assert await house.signing.session(session.token)
    await house.operators.set_role("ada", "viewer", by=BY)
    assert await house.signing.session(session.token) is None
    signed = await house.signing.session((await house.sign_in("ada")).token)
    assert signed is not None
    assert signed.operator.role == "viewer"


async def test_a_role_of_the_config_that_changes_ends_sessions_too(house: House) -> None:
    await house.enrol("ada", "admin")
    session = await house.sign_in("ada")
    await house.operators.sync([Listed("ada", "admin", ("billing",))])
    assert await house.signing.session(session.token)
    await house.operators.sync([Listed("ada", "agent")])
    assert await house.signing.session(session.token) is None


async def test_signing_out_ends_that_session_alone(house: House) -> None:
    await house.enrol("ada")
    first, second = await house.sign_in("ada"), await house.sign_in("ada")
    await house.signing.sign_out(first.token)
    await house.signing.sign_out(first.token)
    await house.signing.sign_out("no such token")
    assert await house.signing.session(first.token) is None
    assert await house.signing.session(second.token)
    assert len(await house.signing.open_sessions("ada")) == 1
    assert await house.signing.end_sessions("ada", by=BY) == 1
    assert await house.signing.session(second.token) is None


@pytest.mark.parametrize("what", ["password", "second factor"])
async def test_a_new_password_or_second_factor_ends_every_session(house: House, what: str) -> None:
    await house.enrol("ada")
    session = await house.sign_in("ada")
    if what == "password":
        await house.signing.set_password("ada", "another long password", by=BY)
        assert await house.signing.session(session.token) is None
        await refused(house.sign_in("ada"), "not_signed_in")
        assert await house.sign_in("ada", password="another long password")
        return
    secret, uri = await house.signing.new_totp("ada")
    assert await house.sign_in("ada")
    house.devices["ada"] = device(uri)
    assert house.devices["ada"].secret == secret
    await refused(house.signing.confirm_totp("ada", other(house.code("ada")), by=BY), "wrong_code")
    await house.signing.confirm_totp("ada", house.code("ada"), by=BY)
    assert await house.signing.session(session.token) is None
    assert await house.sign_in("ada")


@pytest.mark.parametrize("what", ["password", "second factor", "disabled"])
async def test_what_changes_while_a_password_is_being_checked_lets_nobody_in(
    house: House, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    await house.enrol("ada")
    judge = house.signing._passwords.is_right

    async def meanwhile(password: str, hash_: str) -> bool:
        is_right = await judge(password, hash_)
        if what == "password":
            await house.signing.set_password("ada", "another long password", by=BY)
        elif what == "disabled":
            await house.operators.disable("ada", by=BY)
        else:
            new = device((await house.signing.new_totp("ada"))[1]).at(house.clock.now_ms() // 1000 - 30)
            await house.signing.confirm_totp("ada", new, by=BY)
        return is_right

    monkeypatch.setattr(house.signing._passwords, "is_right", meanwhile)
    await refused(house.sign_in("ada"), "not_signed_in")


async def test_who_proves_anew_who_they_are_is_elevated_for_ten_minutes(house: House) -> None:
    await house.enrol("ada", "admin")
    session = await house.sign_in("ada")
    await house.clock.advance(31)
    await refused(house.signing.elevate(session.token, WRONG, house.code("ada"), ADDRESS), "not_signed_in")
    signed = await house.signing.session(session.token)
    assert signed is not None
    assert not signed.is_elevated
    assert (await house.signing.elevate(session.token, PASSWORD, house.code("ada"), ADDRESS)).is_elevated
    await house.clock.advance(601)
    signed = await house.signing.session(session.token)
    assert signed is not None
    assert not signed.is_elevated
    await house.signing.sign_out(session.token)
    await refused(house.signing.elevate(session.token, PASSWORD, house.code("ada"), ADDRESS), "signed_out")


async def test_a_proof_of_one_operator_elevates_no_session_of_another(house: House) -> None:
    await house.enrol("ada", "admin")
    bob = await house.enrol("bob")
    session = await house.sign_in("ada")
    rows = await house.store.read(sessions.CREDENTIALS, {"name": "bob"})
    step = house.clock.now_ms() // totp.STEP_MS + 5
    hash_ = hashlib.sha256(session.token.encode()).hexdigest()
    checked = sessions.credentials_of(rows)
    assert checked.id == bob.id
    assert not await house.store.run(sessions.elevate, checked, step, hash_, house.clock.now_ms())
    signed = await house.signing.session(session.token)
    assert signed is not None
    assert not signed.is_elevated


async def test_f81_each_session_has_a_token_of_its_own_against_forged_requests(house: House) -> None:
    await house.enrol("ada")
    first, second = await house.sign_in("ada"), await house.sign_in("ada")
    signed = await house.signing.session(first.token)
    assert signed is not None
    assert is_csrf(signed, first.csrf)
    for wrong in (second.csrf, "", first.token, "\ud800", "é"):
        assert not is_csrf(signed, wrong)


# --- invitations -----------------------------------------------------------------------------------------------------


async def test_an_invitation_is_used_up_by_the_first_right_code(house: House) -> None:
    await house.add("ada", "admin")
    code = await house.operators.invite_code("ada", by=BY)
    mine = device(await house.signing.accept_invite(code, PASSWORD))
    await refused(house.signing.confirm_invite(code, other(mine.at(house.clock.now_ms() // 1000))), "wrong_code")
    confirmed = await house.signing.confirm_invite(code, mine.at(house.clock.now_ms() // 1000))
    assert confirmed.name == "ada"
    await refused(house.signing.accept_invite(code, WRONG), "no_code")
    await refused(house.signing.confirm_invite(code, mine.at(house.clock.now_ms() // 1000)), "no_code")


async def test_of_two_who_use_one_invitation_only_the_last_password_and_device_belong_together(house: House) -> None:
    await house.add("ada", "admin")
    code = await house.operators.invite_code("ada", by=BY)
    first = device(await house.signing.accept_invite(code, WRONG))
    second = device(await house.signing.accept_invite(code, PASSWORD))
    await refused(house.signing.confirm_invite(code, first.at(house.clock.now_ms() // 1000)), "wrong_code")
    await house.signing.confirm_invite(code, second.at(house.clock.now_ms() // 1000))
    house.devices["ada"] = second
    await refused(house.sign_in("ada", password=WRONG), "not_signed_in")
    assert await house.sign_in("ada")


async def test_of_two_who_confirm_at_once_one_is_told_so(house: House) -> None:
    await house.add("ada")
    code = await house.operators.invite_code("ada", by=BY)
    mine = device(await house.signing.accept_invite(code, PASSWORD)).at(house.clock.now_ms() // 1000)
    results = await asyncio.gather(
        *(house.signing.confirm_invite(code, mine) for _ in range(2)), return_exceptions=True
    )
    assert [type(each) for each in results].count(Refused) == 1


async def test_an_invitation_lasts_a_day(house: House) -> None:
    await house.add("ada")
    code = await house.operators.invite_code("ada", by=BY)
    await house.clock.advance(24 * 3600 + 1)
    await refused(house.signing.accept_invite(code, PASSWORD), "no_code")


# --- what is kept ----------------------------------------------------------------------------------------------------


async def test_no_password_secret_or_token_is_kept_in_the_database(house: House) -> None:
    await house.enrol("ada")
    session = await house.sign_in("ada")
    await house.store.close()
    kept = b"".join(path.read_bytes() for path in house.data.rglob("*") if path.is_file())
    for secret in (PASSWORD, house.devices["ada"].secret, session.token):
        assert secret.encode() not in kept
    assert session.csrf.encode() in kept  # what is kept is seen by this test
    assert session.token not in repr(session)


async def test_a_copy_of_the_database_makes_no_codes_without_the_key(house: House) -> None:
    await house.enrol("ada")
    thief = Signing(house.store, house.clock, b"x" * 32)
    await refused(thief.sign_in("ada", PASSWORD, house.code("ada"), ADDRESS), "not_signed_in")
    assert await Signing(house.store, house.clock, KEY).sign_in("ada", PASSWORD, house.code("ada"), ADDRESS)


async def test_sign_ins_and_refusals_stand_in_the_audit(house: House) -> None:
    await house.enrol("ada")
    await house.sign_in("ada")
    await refused(house.signing.sign_in("ada", WRONG, "", ADDRESS), "not_signed_in")
    await refused(house.signing.sign_in("Ada Lovelace", WRONG, "", ADDRESS), "not_signed_in")
    ada = operator_id("ada")
    assert [(actor, action) for actor, action, *_ in (await house.audited())[-3:]] == [
        (ada, "sign in"),
        (ada, "sign in refused"),
        ("unknown", "sign in refused"),
    ]


def test_an_authenticator_reads_the_address(house: House) -> None:
    found = device(totp.uri(totp.secret(KEY, "o1", "seed"), "ada"))
    assert (found.name, found.issuer, found.digits, found.interval) == ("ada", "Frontdesk", 6, 30)
    assert len(found.secret) == len(pyotp.random_base32())
