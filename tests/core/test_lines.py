"""Lines and bodies in C: they are read as the JSON library reads them."""

from __future__ import annotations

import gc
import json
import math
from random import Random
from typing import Any

import msgspec
import pytest
from fuzz import broken_bytes
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate import core, instants
from tidegate.schema import Field, SchemaConfig
from tidegate.schema.typed import TypingPlan, type_event
from tidegate.serve import wire
from tidegate.serve.operations import MOST_SEQ, Event, Unread

CONFIG = SchemaConfig(
    {
        "speed": Field("numeric"),
        "lane": Field("category", missing="carry"),
        "night": Field("boolean", missing="zero"),
        "höhe": Field("numeric", missing="mean"),
        'a"b': Field("category", missing="carry"),
    }
)
TYPING = TypingPlan.of(CONFIG)
PLAN = core.LinePlan(TYPING.specs, instants.EARLIEST, instants.LATEST, MOST_SEQ)


def read(data: bytes, count: int) -> list[tuple[Any, ...]] | None:
    """Return session, number, time, flags and typed values of each line; None: not plain."""
    return told(PLAN.read_lines(data, count))


def told(events: core.Events | None) -> list[tuple[Any, ...]] | None:
    if events is None:
        return None
    columns, seqs, times, flags = events.columns, events.seqs, events.times, events.flags
    assert list(columns) == list(CONFIG.fields)
    assert events.sessions() == [events.session(row) for row in range(len(events))]
    return [
        (
            events.session(row),
            int(seqs[row]) or None,
            None if times is None or math.isnan(times[row]) else times[row].hex(),
            0 if flags is None else int(flags[row]),
            tuple(value_of(columns[name], row) for name in columns),
        )
        for row in range(len(events))
    ]


def value_of(column: Any, row: int) -> str | None:
    if isinstance(column, tuple):
        codes, words = column
        return None if codes[row] < 0 else words[codes[row]]
    return None if math.isnan(column[row]) else column[row].hex()


def expected(data: bytes) -> list[tuple[Any, ...]]:
    """Return the same by way of objects; fails where an event is refused."""
    events, _ = wire.parse_lines(data, 1)
    assert all(isinstance(event, Event) for event in events), events
    return [row_of(event) for event in events if isinstance(event, Event)]


def row_of(event: Event) -> tuple[Any, ...]:
    return (
        event.session,
        event.seq,
        None if event.time is None else float(event.time).hex(),
        event.start | event.end << 1,
        tuple(
            value if value is None or isinstance(value, str) else float(value).hex()
            for value in type_event(TYPING, event.event)
        ),
    )


NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**70), 2**70)
TEXTS = st.text(st.characters(exclude_characters='"\\', exclude_categories=["Cs", "Cc"]))
TIMES = st.floats(instants.EARLIEST, instants.LATEST).filter(lambda time: time != 0) | st.datetimes(
    timezones=st.sampled_from([instants.UTC])
).map(lambda time: time.isoformat().replace("+00:00", "Z"))
FIELDS = st.fixed_dictionaries(
    {"speed": NUMBERS},
    optional={
        "lane": TEXTS | st.integers(0, 10**17) | st.none(),
        "night": st.booleans() | st.none(),
        "höhe": NUMBERS | st.none(),
    },
)
EVENTS = st.fixed_dictionaries(
    {"session": TEXTS.filter(lambda name: 0 < len(name.encode()) <= 512), "event": FIELDS},
    optional={
        "seq": st.integers(1, MOST_SEQ) | st.none(),
        "time": TIMES | st.none(),
        "start": st.booleans(),
        "end": st.booleans(),
    },
)


@settings(max_examples=300, deadline=None)
@given(st.lists(EVENTS, min_size=1, max_size=5), st.booleans(), st.randoms(use_true_random=False))
def test_what_serialisers_write_is_plain(
    events: list[dict[str, Any]], compact: bool, random: Random
) -> None:
    """In any order of members, with and without blanks, of two libraries."""
    lines = []
    for event in events:
        members = [*event.items()]
        random.shuffle(members)
        made = msgspec.json.encode(dict(members)) if compact else dumps(dict(members))
        lines.append(made)
    data = b"\n".join(lines) + random.choice([b"\n", b"\r\n", b""])
    found = read(data, len(lines))
    assert found is not None
    assert found == expected(data)


def dumps(event: dict[str, Any]) -> bytes:
    return json.dumps(event, ensure_ascii=False).encode()


@settings(max_examples=500, deadline=None)
@given(st.lists(EVENTS, min_size=1, max_size=3), st.randoms(use_true_random=False))
def test_what_is_broken_is_read_as_the_library_reads_it_or_not_at_all(
    events: list[dict[str, Any]], random: Random
) -> None:
    data = broken_bytes(random, b"".join(dumps(event) + b"\n" for event in events))
    count = data.count(b"\n") + (not data.endswith(b"\n"))
    found = read(data, count)
    if found is not None:
        assert found == expected(data)


LINE = b'{"session":"a","seq":1,"event":{"speed":%b}}\n'


@pytest.mark.parametrize(
    "number",
    [
        *(
            b"0",
            b"-0",
            b"-0.0",
            b"1",
            b"0.1",
            b"1e5",
            b"1E+5",
            b"5e-324",
            b"1.7976931348623157e308",
        ),
        *(b"9007199254740993", b"9007199254740992.5", b"123456789012345678901234567890"),
        *(b"0.30000000000000004", b"1234.5678901234567891", b"2.2250738585072011e-308"),
        *(b"0.000000000000000000000000000001", b"100000000000000000000000", b"1e22", b"1e23"),
    ],
)
def test_numbers_are_read_to_the_bit(number: bytes) -> None:
    data = LINE % number
    found = read(data, 1)
    assert found is not None
    assert found == expected(data)


@pytest.mark.parametrize(
    "line",
    [
        *(LINE % value for value in (b"01", b"1.", b".5", b"+1", b"1e", b"1e+", b"- 1", b"NaN")),
        *(LINE % value for value in (b"Infinity", b"1e999", b"null", b"true", b'"1"', b"[1]", b"")),
        LINE[:-2] % b"1",
        (LINE % b"1") + (LINE % b"1"),
        b"\n",
        b"{}\n",
        b"[]\n",
        b'{"session":"","event":{"speed":1}}\n',
        b'{"session":"' + b"x" * 513 + b'","event":{"speed":1}}\n',
        b'{"session":"a\\n","event":{"speed":1}}\n',
        b'{"session":"a\x01","event":{"speed":1}}\n',
        b'{"session":"\xff","event":{"speed":1}}\n',
        b'{"session":"a","session":"b","event":{"speed":1}}\n',
        b'{"session":"a","event":{"speed":1,"speed":2}}\n',
        b'{"session":"a","event":{"speed":1,"other":2}}\n',
        b'{"session":"a","event":{"lane":"x"}}\n',
        b'{"session":"a","event":{"speed":1,"lane":1.5}}\n',
        b'{"session":"a","event":{"speed":1,"lane":-0}}\n',
        b'{"session":"a","event":{"speed":1,"lane":01}}\n',
        b'{"session":"a","event":{"speed":1,"night":1}}\n',
        b'{"session":"a","event":{"speed":1},"other":1}\n',
        b'{"session":"a","event":{"speed":1},}\n',
        b'{"session":"a","event":{"speed":1,}}\n',
        b'{"session":"a","event":{"speed":1}} 1\n',
        b'{"session":"a","event":{"speed":1}}\0\n',
        *(b'{"session":"a","event":{"speed":1},"seq":%b}\n' % s for s in (b"0", b"-1", b"1.0")),
        *(b'{"session":"a","event":{"speed":1},"seq":%d}\n' % s for s in (MOST_SEQ + 1, 2**64)),
        b'{"session":"a","event":{"speed":1},"start":1}\n',
        b'{"session":"a","event":{"speed":1},"time":1e13}\n',
    ],
)
def test_the_rest_is_left_to_the_library(line: bytes) -> None:
    assert read(line, 1) is None


@pytest.mark.parametrize(
    "instant",
    [
        *("2023-11-14T22:13:20Z", "2023-11-14T22:13:20.5+01:00", "2024-02-29T00:00:00-23:59"),
        *("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "1969-12-31T23:59:59.999999Z"),
        *("2000-02-29T23:59:59.1234567Z", "1900-03-01T00:00:00Z", "1583-10-10T10:10:10.000001Z"),
    ],
)
def test_instants_are_read_to_the_bit(instant: str) -> None:
    line = b'{"session":"a","event":{"speed":1},"time":"%b"}\n' % instant.encode()
    found = read(line, 1)
    assert found is not None
    assert found == expected(line)


@pytest.mark.parametrize(
    "instant",
    [
        *("2023-02-29T00:00:00Z", "1900-02-29T00:00:00Z", "2023-13-01T00:00:00Z", "now", ""),
        *("2023-00-01T00:00:00Z", "2023-01-00T00:00:00Z", "2023-01-32T00:00:00Z"),
        *("2023-01-01T24:00:00Z", "2023-01-01T00:60:00Z", "2023-01-01T00:00:60Z"),
        *("2023-01-01T00:00:00", "2023-01-01T00:00:00.Z", "2023-01-01T00:00:00+24:00"),
        *("2023-01-01T00:00:00+0100", "0001-01-01T00:00:00+01:00", "0000-01-01T00:00:00Z"),
        *("2023-01-01T00:00:00ZZ", "2023-01-01T00:00:00+01:60", "2023-1-01T00:00:00.00Z"),
    ],
)
def test_what_is_no_instant_is_left_to_the_library(instant: str) -> None:
    line = b'{"session":"a","event":{"speed":1},"time":"%b"}\n' % instant.encode()
    assert read(line, 1) is None


def test_names_are_told_apart_to_their_end() -> None:
    plan = core.LinePlan([("a", "numeric", True), ("a\0b", "numeric", False)], 0.0, 1.0, 1)
    found = plan.read_lines(b'{"session":"s","event":{"a":1}}', 1)
    assert found is not None
    assert {name: column.tolist()[0] == 1.0 for name, column in found.columns.items()} == {
        "a": True,
        "a\0b": False,
    }


def test_a_name_may_occur_once() -> None:
    with pytest.raises(ValueError, match="a name occurs twice"):
        core.LinePlan([("a", "numeric", True), ("a", "numeric", True)], 0.0, 1.0, 1)


def test_what_was_read_may_not_be_written() -> None:
    events = PLAN.read_lines(b'{"session":"s","seq":1,"event":{"speed":1,"lane":"x"}}', 1)
    assert events is not None
    lane, _ = events.columns["lane"]
    for array in (lane, events.columns["speed"], events.seqs):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


def test_a_kind_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match="a kind is not numeric, boolean or category"):
        core.LinePlan([("speed", "text", True)], 0.0, 1.0, 1)


# Bodies

BODIES = st.lists(
    st.tuples(EVENTS, st.sampled_from(["path", "both", "body"]), st.booleans()),
    min_size=1,
    max_size=4,
)


@settings(max_examples=200, deadline=None)
@given(BODIES)
def test_bodies_are_read_as_the_library_reads_them(
    drawn: list[tuple[dict[str, Any], str, bool]],
) -> None:
    """With the session in the path, in the body, or in both; on one line, or on many."""
    bodies, sessions = [], []
    for event, where, spread in drawn:
        members = {k: v for k, v in event.items() if k != "session" or where != "path"}
        bodies.append(json.dumps(members, ensure_ascii=False, indent=2 * spread or None).encode())
        sessions.append("" if where == "body" else event["session"])
    found = told(PLAN.read_bodies(bodies, sessions))
    assert found is not None
    assert found == [row for event, _, _ in drawn for row in expected(dumps(event))]


@settings(max_examples=500, deadline=None)
@given(EVENTS, st.booleans(), st.randoms(use_true_random=False))
def test_a_broken_body_is_read_as_the_library_reads_it_or_not_at_all(
    event: dict[str, Any], named: bool, random: Random
) -> None:
    body = broken_bytes(random, json.dumps(event, ensure_ascii=False, indent=1).encode())
    session = event["session"] if named else ""
    found = told(PLAN.read_bodies([body], [session]))
    if found is not None:
        read = wire.read(Unread(session, body))
        assert isinstance(read, Event)
        assert found == [row_of(read)]


@pytest.mark.parametrize(
    ("body", "session"),
    [
        (b'{"event":{"speed":1}}', ""),
        (b'{"session":"b","event":{"speed":1}}', "a"),
        (b'{"session":"","event":{"speed":1}}', "a"),
        (b'{"event":{"speed":1}}{}', "a"),
        (b'{"event":{"speed":1}', "a"),
        (b'[{"event":{"speed":1}}]', "a"),
        (b"", "a"),
        (b'{"event":{"speed":1}}', 'a"b'),
        (b'{"event":{"speed":1}}', "a\\b"),
        (b'{"event":{"speed":1}}', "a\nb"),
        (b'{"event":{"speed":1}}', "a\0b"),
        (b'{"event":{"speed":1}}', "\ud800"),
        (b'{"event":{"speed":1}}', "x" * 513),
        (b'{"event":{"lane":"a\nb","speed":1}}', "a"),
    ],
)
def test_other_bodies_are_left_to_the_library(body: bytes, session: str) -> None:
    good = b'{"event":{"speed":1}}'
    assert PLAN.read_bodies([good, body], ["a", session]) is None
    assert PLAN.read_bodies([body, good], [session, "a"]) is None


def test_bodies_and_sessions_have_to_fit() -> None:
    with pytest.raises(ValueError, match="sessions: not one for each body"):
        PLAN.read_bodies([b"{}"], [])
    with pytest.raises(TypeError, match="bodies: not bytes"):
        PLAN.read_bodies(["{}"], [""])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="sessions: not str"):
        PLAN.read_bodies([b"{}"], [b""])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="most_seq"):
        core.LinePlan([], 0.0, 1.0, 2**63 - 1)
    events = PLAN.read_bodies([b'{"event":{"speed":1}}'], ["a"])
    assert events is not None
    with pytest.raises(IndexError):
        events.session(1)


def test_events_keep_what_they_point_into() -> None:
    bodies = [b'{"event":{"speed":1,"lane":"%d"}}' % i for i in range(100)]
    events = PLAN.read_bodies(bodies, ["a"] * 100)
    assert events is not None
    bodies.clear()
    gc.collect()
    assert events.columns["lane"][1] == [str(i) for i in range(100)]


# Cutting


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from([b"", b" \t\r", b"a", b"0123456789", b"\0"]), max_size=8),
    st.booleans(),
    st.integers(1, 4),
    st.integers(0, 12),
)
def test_lines_are_cut(lines: list[bytes], ended: bool, most: int, size: int) -> None:
    data = b"\n".join(lines) + b"\n" * ended
    whole = data.split(b"\n")[:-1]
    begin = line = 0
    while line < len(whole):
        end, count, filled, too_long = core.cut_lines(data, begin, most, size)
        taken = whole[line : line + count]
        assert data[begin:end] == b"".join(each + b"\n" for each in taken)
        assert filled == sum(not (each == b"" or each.isspace()) for each in taken)
        assert all(len(each) <= size for each in taken)
        line += count
        assert too_long == (count < most and line < len(whole) and len(whole[line]) > size)
        if too_long:
            return
        assert count == min(most, len(whole) - (line - count))
        begin = end
