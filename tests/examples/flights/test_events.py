"""From flights to events: the right instants, and nothing before it was known."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

KNOWN_LATER = ["outcome", "delay"]  # labels are no fields of the event


def at(events: pl.DataFrame, kind: str) -> list[str]:
    times = events.filter(pl.col("kind") == kind)["time"]
    return [time.strftime("%m-%d %H:%M") for time in times]


def test_a_flight_is_three_events_each_when_it_is_known(make_flight, make_events):
    events = make_events([make_flight((7, 4), 1200, 1500, dep_delay=30, arr_delay=20)])
    assert events["kind"].to_list() == ["scheduled", "departed", "landed"]
    # New York is UTC-4 in July.
    assert [f"{t:%H:%M}" for t in events["time"]] == ["15:00", "16:30", "19:20"]
    assert events["dep_delay"].to_list() == [None, 30.0, None]
    assert events["arr_delay"].to_list() == [None, None, 20.0]
    assert events["outcome"].to_list() == ["late", None, None]
    assert events["session"].unique().to_list() == ["JFK/AA/2013-07-04"]
    assert events["seq"].to_list() == [1, 2, 3]
    assert events["duration"].to_list() == [180.0] * 3


@pytest.mark.parametrize(
    ("arr_delay", "outcome"), [(15, "on_time"), (16, "late"), (-20, "on_time")]
)
def test_late_is_more_than_fifteen_minutes(make_flight, make_events, arr_delay, outcome):
    events = make_events([make_flight((7, 4), 1200, 1500, arr_delay=arr_delay)])
    assert events["outcome"][0] == outcome


def test_a_cancelled_flight_is_scheduled_and_no_more(make_flight, make_events):
    events = make_events([make_flight((7, 4), 1200, 1500, dep_delay=None, arr_delay=None)])
    assert events["kind"].to_list() == ["scheduled"]
    assert events["outcome"].to_list() == [None]


def test_a_diverted_flight_departs_and_never_lands(make_flight, make_events):
    events = make_events([make_flight((7, 4), 1200, 1500, arr_delay=None)])
    assert events["kind"].to_list() == ["scheduled", "departed"]
    assert events["outcome"].to_list() == [None, None]


def test_the_sessions_day_is_that_of_the_schedule(make_flight, make_events):
    late_night = make_flight((7, 4), 2350, 300, dep_delay=40, arr_delay=90)
    events = make_events([late_night])
    assert events["day"].unique().to_list() == [date(2013, 7, 4)]
    assert at(events, "departed") == ["07-05 04:30"]  # 00:30 of the fifth in New York
    assert at(events, "landed") == ["07-05 08:30"]


@pytest.mark.parametrize(
    ("dest", "arrival_due", "landed"),
    [
        ("MIA", 1500, "20:00"),  # UTC-5
        ("ORD", 1400, "20:00"),  # UTC-6
        ("LAX", 1200, "20:00"),  # UTC-8
        ("SJU", 1600, "20:00"),  # no zone in airports.csv: Atlantic, UTC-4
        ("STT", 1600, "20:00"),
        ("BQN", 1600, "20:00"),
        ("PSE", 1600, "20:00"),
    ],
)
def test_arrival_is_in_the_destinations_zone(make_flight, make_events, dest, arrival_due, landed):
    events = make_events([make_flight((1, 15), 1000, arrival_due, dest=dest)])
    assert at(events, "landed") == [f"01-15 {landed}"]
    assert events["duration"][0] == 300.0


def test_puerto_rico_has_no_summer_time(make_flight, make_events):
    events = make_events([make_flight((7, 15), 1000, 1400, dest="SJU")])
    assert events["duration"][0] == 240.0


@pytest.mark.parametrize(
    ("day", "arrival_due", "landed", "minutes"),
    [
        ((3, 9), 330, "03-10 07:30", 210.0),  # the hour from 2 to 3 does not happen
        ((11, 2), 330, "11-03 08:30", 330.0),  # the hour from 1 to 2 happens twice
        ((11, 2), 130, "11-03 05:30", 150.0),  # its first half past one
    ],
)
def test_clocks_change_during_the_flight(
    make_flight, make_events, day, arrival_due, landed, minutes
):
    events = make_events([make_flight(day, 2300, arrival_due)])
    assert at(events, "landed") == [landed]
    assert events["duration"][0] == minutes


def test_a_question_does_not_know_of_its_own_minute(make_flight, make_events):
    asked_at_1100 = make_flight((7, 4), 1200, 1500, number=9)
    departs_at_1100 = make_flight((7, 4), 1100, 1400, number=5)
    lands_at_1100 = make_flight((7, 4), 900, 1100, number=2)
    events = make_events([lands_at_1100, departs_at_1100, asked_at_1100])
    at_1100 = events.filter(pl.col("time") == datetime(2013, 7, 4, 15, tzinfo=UTC))
    assert at_1100["kind"].to_list() == ["scheduled", "departed", "landed"]
    assert at_1100["flight"].to_list() == [9, 5, 2]


def test_ties_do_not_depend_on_the_order_of_the_file(make_flight, make_events):
    rows = [
        make_flight((7, 4), 1200, 1500, number=number, dest=dest)
        for number, dest in [(3, "MIA"), (1, "ORD"), (2, "MIA"), (1, "LAX")]
    ]
    events = make_events(rows)
    assert events.equals(make_events(rows[::-1]))
    asked = events.filter(pl.col("kind") == "scheduled")
    assert asked.select("flight", "dest").rows() == [
        (1, "LAX"),
        (1, "ORD"),
        (2, "MIA"),
        (3, "MIA"),
    ]


@pytest.mark.parametrize(
    ("due", "rain"),
    [
        (1159, 0.1),  # asked at 14:59 UTC: the hour from 14 is not over; that from 13 is
        (1200, 0.2),  # asked at 15:00 UTC: the hour from 14 has just ended
        (1259, 0.2),
        (1300, 0.3),
    ],
)
def test_weather_is_of_the_last_full_hour(make_flight, make_weather, make_events, due, rain):
    weather = [
        make_weather(f"2013-07-04T{hour}:00:00Z", rain=amount)
        for hour, amount in [(13, 0.1), (14, 0.2), (15, 0.3), (16, 0.4)]
    ]
    events = make_events([make_flight((7, 4), due, 1800)], weather)
    assert events["rain"][0] == rain


def test_weather_of_another_airport_or_long_ago_is_none(make_flight, make_weather, make_events):
    weather = [
        make_weather("2013-07-04T14:00:00Z", rain=0.5, origin="LGA"),
        make_weather("2013-07-04T02:00:00Z", rain=0.5),
    ]
    events = make_events([make_flight((7, 4), 1200, 1500)], weather)
    assert events["rain"][0] is None


TIMES = st.integers(0, 23 * 60 + 59).map(lambda minute: minute // 60 * 100 + minute % 60)
DELAYS = st.none() | st.integers(-40, 600)


@st.composite
def days(draw):
    """Some flights of a day, an instant in it, and another way the rest of the day could go."""
    flights, otherwise = [], []
    for number in range(draw(st.integers(1, 6))):
        departs = draw(DELAYS)
        lands = None if departs is None else draw(DELAYS)
        flights.append((draw(TIMES), draw(TIMES), departs, lands, number))
        otherwise.append((draw(DELAYS), draw(DELAYS)))
    return flights, otherwise, draw(st.integers(0, 30 * 60))


@settings(max_examples=60, deadline=None)
@given(days())
def test_no_event_knows_the_future(make_flight, make_weather, make_events, day):
    """Let everything after an instant go otherwise: what was known until then stays as it was."""
    rows, otherwise, minute = day
    instant = datetime(2013, 7, 4, 4, tzinfo=UTC) + timedelta(minutes=minute)
    flights = [
        make_flight((7, 4), due, arrival, departs, lands, number=number)
        for due, arrival, departs, lands, number in rows
    ]
    first_hour = datetime(2013, 7, 4, 2, tzinfo=UTC)
    hours = [first_hour + timedelta(hours=h) for h in range(60)]

    def weather(after: float):
        return [
            make_weather(
                f"{hour:%Y-%m-%dT%H:%M:%SZ}",
                rain=0.01 * k if hour + timedelta(hours=1) <= instant else after + k,
            )
            for k, hour in enumerate(hours)
        ]

    events = make_events(flights, weather(after=0.0))
    changed = [dict(row) for row in flights]
    for k, (departs, lands) in enumerate(otherwise):
        happened = dict(
            events.filter(pl.col("flight") == k, pl.col("time") <= instant)
            .select("kind", "time")
            .rows()
        )
        # What has not happened yet may go otherwise, but not before the instant.
        if "departed" not in happened:
            changed[k]["dep_delay"] = _not_before(instant, flights[k], departs)
        if "landed" not in happened:
            changed[k]["arr_delay"] = None if lands is None else 3000 + lands
    other = make_events(changed, weather(after=7.0))
    known = pl.col("time") <= instant
    assert other.filter(known).drop(KNOWN_LATER).equals(events.filter(known).drop(KNOWN_LATER))


def _not_before(instant: datetime, flight: dict[str, int], delay: int | None) -> int | None:
    """Return a departure delay that ends after an instant."""
    if delay is None:
        return None
    due = datetime(2013, 7, 4, flight["hour"], flight["minute"], tzinfo=UTC) + timedelta(hours=4)
    minutes = int((instant - due).total_seconds() // 60)
    return max(delay, minutes + 1 + abs(delay))
