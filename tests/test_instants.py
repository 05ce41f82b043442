"""One instant, one float64, however it is written."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.errors import InputError
from tidegate.instants import seconds

zones = st.timezones() | st.just(UTC) | st.just(timezone(timedelta(hours=5, minutes=30)))


@given(st.datetimes(datetime(1685, 1, 1), datetime(2255, 1, 1), timezones=zones))
def test_text_and_datetime_are_as_the_standard_library_has_them(time: datetime) -> None:
    assert seconds(time) == time.timestamp()
    offset = time.utcoffset() or timedelta()
    if offset % timedelta(minutes=1) == timedelta():  # RFC 3339 writes no seconds of an offset
        assert seconds(time.isoformat()) == time.timestamp()


def test_what_names_no_zone_is_utc() -> None:
    utc = datetime(2013, 1, 31, 6, 30, tzinfo=UTC).timestamp()
    assert seconds("2013-01-31 06:30") == seconds(datetime(2013, 1, 31, 6, 30)) == utc
    assert seconds(date(2013, 1, 31)) == seconds("2013-01-31") == utc - 6.5 * 3600
    assert seconds(utc) == utc


def test_what_is_finer_than_a_microsecond_is_cut_off() -> None:
    assert seconds("1970-01-01T00:00:01.0000019999Z") == 1.000001
    assert seconds("1969-12-31T23:59:59.9999999Z") == -0.000001


@pytest.mark.parametrize(
    "value",
    ["", "soon", "2013-13-01", "2013-01-31T06:30:61Z", "2013-01-31T06", "1", "２０13-01-31",
     float("nan"), float("inf"), 1_359_613_800_000, 10**400,
     "0001-01-01T00:00:00+01:00"],
)  # fmt: skip
def test_what_is_no_instant(value: str | float) -> None:
    with pytest.raises(InputError) as caught:
        seconds(value)
    assert caught.value.code == "bad_time"
