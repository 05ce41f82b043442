"""Instants: from dates and text to unix seconds.

The server and the tables read times here, so that what is scored offline is what was live.
Everything goes through whole microseconds (what is finer is cut off) and one division, so that a
time read from text, from a frame of any resolution, or by the server is the same float64 to the
bit. (From 1685 to 2255, where float64 counts every microsecond.)
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

from tidegate.errors import InputError, shown

__all__ = ["EARLIEST", "LATEST", "MICROSECONDS", "TIME_HINT", "microseconds", "parse", "seconds"]

MICROSECONDS = 1e6
EARLIEST, LATEST = -62_135_596_800.0, 253_402_300_799.0
"""Years 1 to 9999. The limit also catches milliseconds given for seconds."""

TIME_HINT = "give RFC 3339 text such as 2013-01-31T06:15:00Z, a datetime, or unix seconds"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# RFC 3339, and what databases and frames write: a space for the T, no zone, no seconds, no time.
_FORM = re.compile(
    r"\d{4}-\d\d-\d\d(?:[Tt ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:[Zz]|[+-]\d\d:?\d\d)?)?", re.ASCII
)


def seconds(value: float | str | date) -> float:
    """Return an instant as unix seconds, to the microsecond.

    Parameters
    ----------
    value : float, str, date or datetime
        Unix seconds; RFC 3339 text; a datetime; or a date, which means its midnight. Without a
        zone, UTC is meant.

    Raises
    ------
    InputError
        ``bad_time``: no instant of the years 1 to 9999.

    Examples
    --------
    >>> seconds("2013-01-31T06:15:00.5Z"), seconds("2013-01-31 01:15:00.5-05:00")
    (1359612900.5, 1359612900.5)
    >>> seconds(date(1970, 1, 2))
    86400.0
    """
    instant = parse(value) if isinstance(value, str) else value
    found = microseconds(instant) / MICROSECONDS if isinstance(instant, date) else instant
    if found is not None and EARLIEST <= found <= LATEST:  # NaN is not
        return float(found)
    raise InputError("bad_time", f"{shown(value)} is not an instant", field="time", hint=TIME_HINT)


def parse(text: str) -> datetime | None:
    """Return the datetime that a text names, naive where it names no zone; None if it is none."""
    if _FORM.fullmatch(text) is None:
        return None
    try:
        return datetime.fromisoformat(text.upper())
    except ValueError:  # the 30th of February
        return None


def microseconds(value: date) -> int:
    """Return the microseconds from 1970 to a date or datetime; without a zone, UTC is meant."""
    if not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)
    if value.tzinfo is None:
        value = value.replace(tzinfo=UTC)
    return (value - _EPOCH) // _MICROSECOND
