"""Whom a conversation is offered to."""

from dataclasses import replace
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from bot.handoff.assignment import Candidate, Presence, Way, choose

NAMES = st.sampled_from(["sales", "billing", "de", "fr"])
OFFERED = (Way.ROUND_ROBIN, Way.LEAST_LOADED)


def someone(name: str, load: int = 0, capacity: int = 5, last: int = 0, **more: object) -> Candidate:
    return replace(Candidate(name, capacity, load, Presence.ONLINE, last_assigned_ms=last), **more)  # type: ignore[arg-type]  # any field


SOME = st.lists(
    st.builds(
        Candidate,
        id=st.text("abcdef", min_size=1, max_size=2),
        capacity=st.integers(1, 6),
        load=st.integers(0, 7),
        presence=st.sampled_from(Presence),
        teams=st.frozensets(NAMES),
        skills=st.frozensets(NAMES),
        languages=st.frozensets(NAMES),
        last_assigned_ms=st.integers(0, 4),
        is_previous=st.booleans(),
        seen_ms=st.integers(0, 4),
    ),
    max_size=8,
    unique_by=lambda each: each.id,
)
WANTED = st.one_of(st.just(""), NAMES)
IDS = st.frozensets(st.text("abcdef", min_size=1, max_size=2), max_size=3)


@given(st.sampled_from(Way), SOME, WANTED, WANTED, WANTED, st.booleans(), IDS)
def test_never_one_who_is_full_offline_excluded_or_of_another_team(
    way: Way,
    people: list[Candidate],
    team: str,
    skill: str,
    language: str,
    is_previous_first: bool,
    exclude: frozenset[str],
) -> None:
    chosen = choose(way, people, team, skill, language, is_previous_first, exclude)
    if chosen is not None:
        assert chosen.presence is Presence.ONLINE
        assert chosen.load < chosen.capacity
        assert chosen.id not in exclude
        assert not team or team in chosen.teams
        assert not skill or skill in chosen.skills


@given(st.sampled_from(OFFERED), SOME, WANTED, WANTED, WANTED, st.booleans(), IDS)
def test_nobody_is_chosen_only_where_nobody_is_free(
    way: Way,
    people: list[Candidate],
    team: str,
    skill: str,
    language: str,
    is_previous_first: bool,
    exclude: frozenset[str],
) -> None:
    free = [
        each
        for each in people
        if each.presence is Presence.ONLINE
        and each.load < each.capacity
        and each.id not in exclude
        and team in each.teams | {""}
        and skill in each.skills | {""}
    ]
    assert (choose(way, people, team, skill, language, is_previous_first, exclude) is None) == (not free)


@given(st.sampled_from(Way), SOME, st.randoms())
def test_the_order_of_the_candidates_does_not_matter(way: Way, people: list[Candidate], random: Random) -> None:
    shuffled = random.sample(people, len(people))
    assert choose(way, people) == choose(way, shuffled)


@given(SOME)
def test_least_loaded_is_the_least_loaded_for_what_they_can_hold(people: list[Candidate]) -> None:
    chosen = choose(Way.LEAST_LOADED, people, is_previous_first=False)
    if chosen is not None:
        for each in people:
            if each.presence is Presence.ONLINE and each.load < each.capacity:
                assert chosen.load * each.capacity <= each.load * chosen.capacity


@given(st.integers(1, 6), st.integers(1, 40))
def test_round_robin_gives_everyone_the_same_number_but_one(people: int, conversations: int) -> None:
    everyone = {f"p{number}": someone(f"p{number}", capacity=1000) for number in range(people)}
    taken = dict.fromkeys(everyone, 0)
    for now_ms in range(1, conversations + 1):
        chosen = choose(Way.ROUND_ROBIN, list(everyone.values()))
        assert chosen is not None
        taken[chosen.id] += 1
        everyone[chosen.id] = replace(chosen, last_assigned_ms=now_ms, load=chosen.load + 1)
    assert max(taken.values()) - min(taken.values()) <= 1


@given(SOME)
def test_where_operators_claim_nobody_is_offered_anything(people: list[Candidate]) -> None:
    assert choose(Way.CLAIM, people) is None


def test_the_previous_operator_comes_first_even_when_busier() -> None:
    people = [someone("new"), someone("known", load=4, is_previous=True)]
    assert choose(Way.LEAST_LOADED, people) == people[1]
    assert choose(Way.LEAST_LOADED, people, is_previous_first=False) == people[0]


def test_a_previous_operator_who_is_full_or_away_does_not_hold_the_conversation_up() -> None:
    new = someone("new")
    assert choose(Way.ROUND_ROBIN, [new, someone("known", load=5, is_previous=True)]) == new
    assert choose(Way.ROUND_ROBIN, [new, someone("known", is_previous=True, presence=Presence.AWAY)]) == new


def test_who_speaks_the_language_comes_first_and_another_is_better_than_none() -> None:
    english, german = someone("a", languages=frozenset({"en"})), someone("b", load=3, languages=frozenset({"de-AT"}))
    assert choose(Way.LEAST_LOADED, [english, german], language="de") == german
    assert choose(Way.LEAST_LOADED, [english], language="de") == english


def test_the_next_after_somebody_let_an_offer_pass_is_another() -> None:
    first, second = someone("a"), someone("b")
    assert choose(Way.ROUND_ROBIN, [first, second]) == first
    assert choose(Way.ROUND_ROBIN, [first, second], exclude={"a"}) == second
    assert choose(Way.ROUND_ROBIN, [first, second], exclude={"a", "b"}) is None
