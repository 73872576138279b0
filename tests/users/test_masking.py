"""What is a card number or a secret is taken out before it is stored; what only looks like one stays."""

import random
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.accepting import cleaned
from bot.model import Address, Identity, MessageEdited
from bot.people import masking
from bot.people.masking import is_card, masked
from tests.pipeline.house import core

CARDS = [  # test numbers that the networks and payment services publish
    "4111111111111111", "4012888888881881", "4222222222222", "4242424242424242", "4000056655665556", "5555555555554444", "5105105105105100",
    "2223003122003222", "5200828282828210", "378282246310005", "371449635398431", "378734493671000", "30569309025904", "38520000023237",
    "36227206271667", "3530111333300000", "3566002020360505", "6011111111111117", "6011000990139424", "6200000000000005", "6759649826438453",
    "5018000000000009", "2200000000000004",
]  # fmt: skip


def grouped(card: str, gap: str) -> str:
    return gap.join(card[at : at + 4] for at in range(0, len(card), 4))


HIDDEN = [
    *(f"My card is {card}, please" for card in CARDS),
    *(f"Karte: {grouped(card, ' ')}" for card in CARDS if len(card) == 16),
    *(f"{grouped(card, '-')} exp 12/29 cvv 123" for card in CARDS[:6] if len(card) == 16),
    "3782 822463 10005 is my Amex",
    "4111.1111.1111.1111",
    "4111\u00a01111\u00a01111\u00a01111",
    "4111\u200b1111\u200b1111\u200b1111",
    "4111 - 1111 - 1111 - 1111",
    "4111\n1111\n1111\n1111",
    "４１１１１１１１１１１１１１１１",
    "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
    "it was booked twice (4242424242424242)",
    "4242424242424242 12 28 123",
    "order 12 with 4242 4242 4242 4242",
    "password: hunter2",
    "my password is Tr0ub4dor&3",
    "Passwort: sommer2024",
    "Mein Passwort lautet Geheim!99",
    "Kennwort = abcDEF123",
    "PWD=correcthorse",
    "login: ada password: \"s3cr3t pass\"",
    "PIN: 4711",
    "api_key=abcd1234efgh5678",
    "API key: 8f14e45fceea167a5a36dedd4bea2543",
    "client secret: Zx81-Amiga-500",
    "Authorization: Bearer abcdefghijklmnopqrstuvwxyz012345",
    "sk-proj-abcdefghijklmnopqrstuvwxyz123456",
    "sk-ant-api03-abcdefghijklmnopqrstuvwxyz",
    "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
    "AKIAIOSFODNN7EXAMPLE",
    "AIzaSyA-1234567890abcdefghijklmnopqrstu",
    "xoxb-123456789012-abcdefghijkl",
    "https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX",
    "sk_live_abcdefghij0123456789",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc-def_ghi",
    "123456789:AAEhBP0av28abcdefghijklmnopqrstuvwx",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\n-----END RSA PRIVATE KEY-----",
    "postgres://ada:pa55word@db.example.org/shop",
    "glpat-abcdefghijklmnopqrst",
    "npm_abcdefghijklmnopqrstuvwxyz0123456789",
    "whsec_abcdefghijklmnop0123",
    "SG.abcdefghijklmnopqr.stuvwxyz0123456789",
    "ya29.abcdefghijklmnopqrstuvwx",
    "MTIzNDU2Nzg5MDEyMzQ1Njc4.Gh-1Jk.abcdefghijklmnopqrstuvwxyz0123456789",
    "xapp-1-abcdefghijklmnop",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abcdefghi",
    "ASIAIOSFODNN7EXAMPLE",
    "Geheimzahl: 4711",
    "token: abcd1234efgh",
    "API-Schlüssel: abcd1234efgh",
    "Zugangscode = abcd1234",
    "CVV: 123",
    "cvc2 = 123",
    "P\u0130N: 4711",
    "p\u0131n: 4711",
    "pa\u017f\u017fword: hunter2",
]  # fmt: skip
KEPT = [
    "My order number is 4111111111111112", "Bestellung 1234567890123456", "invoice 2024-0001-2345-6789", "tracking 00340434161094042557",
    "UPS 1Z999AA10123456784", "call me at +4915112345678901", "+49 151 1234 5678 9012", "0049 30 1234567", "DE89370400440532013000",
    "DE89 3704 0044 0532 0130 00", "GB29 NWBK 6016 1331 9268 19", "IMEI 490154203237518", "ISBN 978-3-16-148410-0", "1700000000000",
    "2024-05-12 14:30:00", "12.05.2024 1234567890", "0000000000000000", "1111 1111 1111 1111", "id 9f86d081884c7d659a2feaa0c55ad015",
    "9007199254740993", "3.14159265358979323846", "-1234567890123456", "10 000 000 000 000 EUR", "192.168.100.200 10.20.30.40",
    "customer 7000000000000000", "my password is not working", "I forgot my password", "Passwort: vergessen", "Passwort vergessen, was nun?",
    "password: please reset", "How do I reset the password?", "the password is wrong", "the pin is broken off the plug", "token: what is that?",
    "Is there a secret menu?", "the key is under the mat", "The api key page shows an error", "PIN vergessen", "my pin was rejected",
    "the password field is empty", "Das Passwort ist falsch", "skateboard sk-8", "it says: bearer not found", "AKI is a dog", "eyJ is odd",
    "https://example.org/a/b?c=d", "Meet at 10:30, room 4:12", "version 4.1.1.1", "A-4111-B", "model X4111111111111111Y", "100000 200000 300000 400000",
    "Artikel 4012345678901", "EAN 4006381333931", "order #1002003004005006", "Kundennummer 5000123456789", "ticket 2023111122223333",
    "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16", "37 22 19 04 55 12 98 31", "token budget: how many tokens are left?", "secret santa is on friday",
    "password manager recommendation?", "Passwörter werden nicht gespeichert", "key: value pairs in a file?", "mailto:ada@example.org",
]  # fmt: skip


@pytest.mark.parametrize("text", HIDDEN)
def test_f108_a_card_number_or_a_secret_is_taken_out(text: str) -> None:
    safe = masked(text)
    assert safe != text
    assert masked(safe) == safe
    digits = "".join(filter(str.isdigit, text))
    card = next((each for each in CARDS if each in digits), "")
    assert not card or card not in "".join(filter(str.isdigit, safe))


@pytest.mark.parametrize("text", KEPT)
def test_what_only_looks_like_one_stays(text: str) -> None:
    assert masked(text) == text


def test_the_table_is_long_enough() -> None:
    assert len(set(HIDDEN)) + len(set(KEPT)) >= 120
    assert min(len(HIDDEN), len(KEPT)) >= 50


def test_the_last_four_digits_stay() -> None:
    assert masked("4111 1111 1111 1234".replace("1234", "1111")) == "[card number removed, ends in 1111]"


def test_one_in_ten_numbers_of_a_cards_look_is_masked_by_chance_and_none_of_another_look() -> None:
    """Counted over 20,000 numbers each: what is lost when a shop's order numbers look like cards."""
    drawn = random.Random(7)
    alike = sum(is_card("4" + "".join(drawn.choices("0123456789", k=15))) for _ in range(20_000))
    other = sum(is_card("1" + "".join(drawn.choices("0123456789", k=15))) for _ in range(20_000))
    assert 1_800 < alike < 2_200
    assert other == 0


def test_the_hash_of_what_came_is_not_kept_of_a_text_with_a_card_number() -> None:
    """Sixteen digits of which the last four are known could be found by trying."""
    assert cleaned("4111111111111111\r\n") == ("[card number removed, ends in 1111]\n", "")
    assert cleaned("a\r\nb")[1] != ""


async def test_f107_no_card_number_reaches_a_byte_of_the_data_folder_or_a_model(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    async with core(folder) as found:
        await found.say("My card is 4242 4242 4242 4242", "m1")
        await found.rest()
        at, who = Address("list", "", "ada"), Identity("list", "", "ada")
        await found.intake.receive(
            MessageEdited(who, at, "m1", "No: 4242424242424242, password: hunter2", 1_900_000_000_000)
        )
        await found.intake.receive(MessageEdited(who, at, "early", "4242424242424242", 1_900_000_000_000))
        await found.rest()
        asked = " ".join(entry.text for request in found.model.requests for entry in request.messages)
        assert "4242 4242" not in asked
        written = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert b"4242 4242 4242" not in written
    assert b"42424242424242" not in written
    assert b"hunter2" not in written


@given(
    st.lists(
        st.sampled_from(HIDDEN + KEPT).flatmap(
            lambda text: st.sampled_from([text, text.upper(), text.lower(), text[4:]])
        )
    )
)
def test_what_is_told_at_a_glance_to_hold_no_secret_holds_none(texts: list[str]) -> None:
    text = "/".join(texts)
    quickly = masked(text)
    with pytest.MonkeyPatch.context() as patches:
        patches.setattr(masking, "has_one_of", lambda words, lower: True)
        patches.setattr(masking, "_may_hold_card", lambda text: True)
        assert masked(text) == quickly


@given(st.text(max_size=300))
def test_masking_ends_and_changes_nothing_twice(text: str) -> None:
    assert masked(masked(text)) == masked(text)


@pytest.mark.parametrize(
    "part",
    [
        "4-",
        "1 ",
        "4222-",
        "52 ",
        "password ",
        "a:b@",
        "0",
        "A",
        "MMMM.",
        "-----BEGIN PRIVATE KEY-----",
        "4111 1111 1111 1112 ",
    ],
)
def test_no_text_keeps_the_process_busy(part: str) -> None:
    """The longest message that is taken, made of what is looked at most closely; generous, for a busy machine."""
    text = (part * 16_000)[:16_000]
    started = time.thread_time()
    masked(text)
    assert time.thread_time() - started < 0.5
