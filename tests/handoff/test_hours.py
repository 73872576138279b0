"""What business time promises, against a slow minute-by-minute count and across clock changes."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bot.errors import ConfigError
from bot.handoff.hours import ALWAYS, DAY_MINUTES, Hours, Interval, add, between, is_open, next_opening, parse
from bot.handoff.opening import opening_words

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
OFFICE = {"zone": "Europe/Berlin"} | dict.fromkeys(
    ["monday", "tuesday", "wednesday", "thursday", "friday"], ("09:00-12:30", "13:30-18:00")
)
ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "America/St_Johns",
    "Africa/Casablanca",
)


def ms(text: str, zone: str = "UTC", fold: int = 0) -> int:
    """The moment when the clocks of a zone show that time."""
    moment = datetime.fromisoformat(text).replace(tzinfo=UTC if zone == "UTC" else ZoneInfo(zone), fold=fold)
    return round(moment.timestamp() * 1000)


def berlin(text: str, fold: int = 0) -> int:
    return ms(text, "Europe/Berlin", fold)


def every_day(*intervals: str, zone: str = "Europe/Berlin", holidays: tuple[str, ...] = ()) -> Hours:
    days = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
    return parse({"zone": zone, "holidays": holidays} | dict.fromkeys(days, intervals))


@st.composite
def some_hours(draw: st.DrawFn) -> Hours:
    days = []
    for _ in range(7):
        edges = sorted(draw(st.sets(st.integers(0, DAY_MINUTES), max_size=4)))
        day = [Interval(start, end) for start, end in zip(edges[::2], edges[1::2], strict=False)]
        if day and day[-1].end == DAY_MINUTES and draw(st.booleans()):
            day[-1] = Interval(day[-1].start, DAY_MINUTES + draw(st.integers(0, day[-1].start)))
        days.append(tuple(day))
    near_changes = st.dates(date(2024, 2, 26), date(2024, 4, 10))
    return Hours(draw(st.sampled_from(ZONES)), tuple(days), frozenset(draw(st.sets(near_changes, max_size=5))))


MOMENTS = st.one_of(
    st.integers(ms("2024-02-25T00:00"), ms("2024-04-12T00:00")),
    st.integers(ms("2011-12-25T00:00"), ms("2012-01-03T00:00")),
    st.integers(ms("2024-10-20T00:00"), ms("2024-11-06T00:00")),
    st.integers(ms("1999-12-30T00:00"), ms("2040-01-01T00:00")),
)
SPANS = st.integers(0, 40 * DAY)


@given(some_hours(), MOMENTS, SPANS)
def test_time_added_is_the_time_that_lies_between(hours: Hours, start: int, business_ms: int) -> None:
    end = add(hours, start, business_ms)
    if end is not None:
        assert between(hours, start, end) == business_ms
        assert end == start or between(hours, start, end - 1) == business_ms - 1


@given(some_hours(), MOMENTS, SPANS)
def test_what_lies_between_can_be_added(hours: Hours, start: int, length: int) -> None:
    passed = between(hours, start, start + length)
    end = add(hours, start, passed)
    assert end is not None
    assert end <= start + length
    assert between(hours, end, start + length) == 0


@given(some_hours(), MOMENTS, SPANS, SPANS)
def test_business_time_adds_up_and_never_shrinks(hours: Hours, start: int, first: int, second: int) -> None:
    middle, end = start + first, start + first + second
    parts = between(hours, start, middle), between(hours, middle, end)
    assert sum(parts) == between(hours, start, end)
    assert 0 <= parts[0] <= first
    assert 0 <= parts[1] <= second


@given(some_hours(), MOMENTS)
def test_open_is_where_the_next_millisecond_counts(hours: Hours, at: int) -> None:
    assert is_open(hours, at) == (between(hours, at, at + 1) == 1)


@given(some_hours(), MOMENTS)
def test_the_next_opening_is_open_and_nothing_counts_before_it(hours: Hours, at: int) -> None:
    opening = next_opening(hours, at)
    if opening is None:
        assert between(hours, at, at + 700 * DAY) == 0
    else:
        assert opening >= at
        assert is_open(hours, opening)
        assert between(hours, at, opening) == 0


@given(some_hours(), MOMENTS)
@example(ALWAYS, ms("2024-02-29T00:00"))
def test_open_is_what_the_wall_clock_says_on_days_without_a_clock_change(hours: Hours, at: int) -> None:
    zone = UTC if hours.zone == "UTC" else ZoneInfo(hours.zone)
    moment = datetime.fromtimestamp(at / 1000, UTC).astimezone(zone)
    offsets = {(moment + timedelta(days=days)).utcoffset() for days in range(-4, 5)}
    if len(offsets) == 1:
        assert is_open(hours, at) == _on_the_wall(hours, moment)


def _on_the_wall(hours: Hours, moment: datetime) -> bool:
    """Looks the time up in the intervals of that day and of the day before."""
    minutes = moment.hour * 60 + moment.minute
    for back in (0, 1):
        day = moment.date() - timedelta(days=back)
        if day not in hours.holidays and any(
            each.start <= minutes + back * DAY_MINUTES < each.end for each in hours.days[day.weekday()]
        ):
            return True
    return False


def test_a_lunch_break_does_not_count() -> None:
    office = parse(OFFICE)
    assert between(office, berlin("2026-11-23T12:00"), berlin("2026-11-23T14:00")) == HOUR
    assert add(office, berlin("2026-11-23T12:00"), HOUR) == berlin("2026-11-23T14:00")


def test_a_weekend_and_a_holiday_do_not_count() -> None:
    office = parse(OFFICE | {"holidays": ["2026-11-23"]})
    assert add(office, berlin("2026-11-20T17:59"), 2 * MINUTE) == berlin("2026-11-24T09:01")


def test_a_night_shift_runs_on_into_a_holiday_and_none_begins_on_it() -> None:
    night = every_day("22:00-06:00", holidays=("2026-12-25",))
    assert is_open(night, berlin("2026-12-25T05:59"))
    assert not is_open(night, berlin("2026-12-25T23:00"))
    assert not is_open(night, berlin("2026-12-26T05:00"))
    assert is_open(night, berlin("2026-12-26T22:00"))


def test_at_its_end_an_interval_is_closed_and_24_00_joins_the_next_day() -> None:
    assert not is_open(parse(OFFICE), berlin("2026-11-23T12:30"))
    assert is_open(every_day("18:00-24:00", "00:00-02:00"), berlin("2026-11-24T00:00"))


def test_f54_a_day_with_a_leap_of_the_clocks_has_an_hour_less() -> None:
    assert between(every_day("00:00-24:00"), berlin("2026-03-29T00:00"), berlin("2026-03-30T00:00")) == 23 * HOUR


def test_f54_a_day_with_an_hour_twice_has_an_hour_more() -> None:
    assert between(every_day("00:00-24:00"), berlin("2026-10-25T00:00"), berlin("2026-10-26T00:00")) == 25 * HOUR


def test_f54_a_time_that_is_left_out_opens_at_the_leap() -> None:
    early = every_day("02:30-06:00")
    assert next_opening(early, berlin("2026-03-29T00:00")) == berlin("2026-03-29T03:00") == ms("2026-03-29T01:00")
    assert between(early, berlin("2026-03-29T00:00"), berlin("2026-03-29T12:00")) == 3 * HOUR


def test_f54_an_interval_that_is_left_out_altogether_is_no_opening() -> None:
    assert next_opening(every_day("02:10-02:50"), berlin("2026-03-29T00:00")) == berlin("2026-03-30T02:10")


def test_f54_a_time_shown_twice_opens_at_the_first_and_closes_at_the_last() -> None:
    opens, closes = every_day("02:30-05:00"), every_day("00:00-02:30")
    assert next_opening(opens, berlin("2026-10-25T01:00")) == berlin("2026-10-25T02:30", fold=0)
    assert is_open(closes, berlin("2026-10-25T02:29", fold=1))
    assert not is_open(closes, berlin("2026-10-25T02:30", fold=1))
    assert (
        between(every_day("00:00-02:30", "02:30-05:00"), berlin("2026-10-25T00:00"), berlin("2026-10-25T05:00"))
        == 6 * HOUR
    )


def test_f54_a_day_that_a_zone_left_out_has_no_time() -> None:
    samoa = every_day("09:00-17:00", zone="Pacific/Apia")
    start, end = ms("2011-12-29T17:00", "Pacific/Apia"), ms("2011-12-31T09:00", "Pacific/Apia")
    assert end - start == 16 * HOUR
    assert between(samoa, start, end) == 0
    assert next_opening(samoa, start) == end


def test_a_leap_day_counts() -> None:
    assert between(every_day("09:00-10:00"), berlin("2028-02-28T12:00"), berlin("2028-03-01T00:00")) == HOUR


def test_hours_that_never_open_give_up_instead_of_looking_for_ever() -> None:
    never = parse({"monday": []})
    assert next_opening(never, ms("2026-11-23T00:00")) is None
    assert add(never, ms("2026-11-23T00:00"), 1) is None
    assert add(never, ms("2026-11-23T00:00"), 0) == ms("2026-11-23T00:00")
    assert between(never, 0, ms("2026-11-23T00:00")) == 0


def test_two_years_of_business_time_are_too_many() -> None:
    assert add(ALWAYS, 0, 2 * 366 * DAY) == 2 * 366 * DAY
    assert add(ALWAYS, 0, 2 * 366 * DAY + 1) is None


def test_time_does_not_run_backwards() -> None:
    with pytest.raises(ValueError, match="backwards"):
        add(ALWAYS, 0, -1)
    assert between(ALWAYS, 10, 5) == 0


def test_hours_without_a_day_are_always_and_an_unnamed_day_is_closed() -> None:
    assert parse({}) == ALWAYS
    assert not is_open(parse({"monday": ["00:00-24:00"]}), ms("2026-11-24T12:00"))


@pytest.mark.parametrize(
    ("given_keys", "key", "mend"),
    [
        ({"zone": "Europe/Berlim"}, "hours.zone", 'such as "Europe/Berlin"'),
        ({"zone": "../../etc/passwd"}, "hours.zone", "Write an IANA name"),
        ({"zone": "Europe"}, "hours.zone", "Write an IANA name"),
        ({"zone": ""}, "hours.zone", "Write an IANA name"),
        ({"mondays": []}, "hours.mondays", "The keys are"),
        ({"monday": "09:00-17:00"}, "hours.monday", "Write it like"),
        ({"monday": ["9 to 5"]}, "hours.monday", "Write it like"),
        ({"monday": ["25:00-26:00"]}, "hours.monday", "Write it like"),
        ({"monday": ["09:70-10:00"]}, "hours.monday", "Write it like"),
        ({"monday": ["09:00-09:00"]}, "hours.monday", "Write it like"),
        ({"monday": ["09:00-12:00", "11:00-13:00"]}, "hours.monday", "Join them"),
        ({"holidays": ["25.12.2026"]}, "hours.holidays", "2026-12-25"),
        ({"holidays": "2026-12-25"}, "hours.holidays", "Write it like"),
        ({"holidays": ["2026-02-29"]}, "hours.holidays", "2026-12-25"),
    ],
)
def test_a_mistake_in_the_hours_names_its_key_and_what_to_write(
    given_keys: Mapping[str, object], key: str, mend: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(given_keys)
    [problem] = caught.value.problems
    assert problem.key == key
    assert mend in problem.mend


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        parse({"zone": "Mars", "monday": ["x", "y"], "holidays": ["z"]}, "handoff.hours", "config.toml")
    assert [problem.key for problem in caught.value.problems] == [
        "handoff.hours.zone",
        "handoff.hours.monday",
        "handoff.hours.monday",
        "handoff.hours.holidays",
    ]
    assert {problem.file for problem in caught.value.problems} == {"config.toml"}


def test_a_holiday_may_be_a_date_and_an_interval_may_have_spaces() -> None:
    written = parse({"holidays": [date(2026, 12, 25)], "monday": ["9:00 - 17:00"]})
    assert written.holidays == {date(2026, 12, 25)}
    assert written.days[0] == (Interval(540, 1020),)


@pytest.mark.parametrize(
    ("at", "english", "german"),
    [
        ("2026-11-23T08:00", "today at 9:00 (Berlin time)", "heute um 9:00 Uhr (Ortszeit Berlin)"),
        ("2026-11-23T12:45", "today at 13:30 (Berlin time)", "heute um 13:30 Uhr (Ortszeit Berlin)"),
        ("2026-11-23T19:00", "tomorrow at 9:00 (Berlin time)", "morgen um 9:00 Uhr (Ortszeit Berlin)"),
        ("2026-11-27T19:00", "on Monday at 9:00 (Berlin time)", "am Montag um 9:00 Uhr (Ortszeit Berlin)"),
        (
            "2026-12-23T19:00",
            "on Monday, 4 January 2027 at 9:00 (Berlin time)",
            "am Montag, dem 4. Januar 2027, um 9:00 Uhr (Ortszeit Berlin)",
        ),
        ("2026-11-23T10:00", "now", "jetzt"),
    ],
)
def test_the_next_opening_is_said_in_words(at: str, english: str, german: str) -> None:
    closed = [f"2026-12-{day}" for day in range(24, 32)] + [f"2027-01-0{day}" for day in range(1, 4)]
    office = parse(OFFICE | {"holidays": closed})
    assert opening_words(office, berlin(at)) == english
    assert opening_words(office, berlin(at), language="de-AT") == german


def test_the_next_opening_is_said_in_the_readers_own_time_where_it_is_known() -> None:
    office = parse(OFFICE)
    assert opening_words(office, berlin("2026-11-23T19:00"), "America/New_York") == "tomorrow at 3:00"
    assert opening_words(office, berlin("2026-11-23T19:00"), "Pacific/Auckland") == "today at 21:00"


def test_nothing_is_promised_where_it_never_opens() -> None:
    assert opening_words(parse({"monday": []}), 0) == ""
