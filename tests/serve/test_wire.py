from __future__ import annotations

import contextlib
from datetime import datetime

import msgspec
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate import tables
from tidegate.errors import InputError
from tidegate.serve import wire
from tidegate.serve.operations import Answer, Event, Refused, Unread

NOW = 1_700_000_000.0


def one(body: bytes) -> Event:
    assert not wire.is_list(body)
    event = wire.read(Unread("s", body))
    if isinstance(event, Refused):
        raise event.error
    return event


def line_of(body: bytes) -> Event | Refused:
    [event], [number] = wire.parse_lines(body, 7)
    assert number == 7
    return event


def code_of(event: Event | Refused) -> str | None:
    return event.error.code if isinstance(event, Refused) else None


def test_an_event_may_be_bare() -> None:
    event = one(b' {"event": {"a": 1, "b": null}}')
    assert (event.session, event.event) == ("s", {"a": 1, "b": None})
    assert (event.seq, event.time, event.start, event.end) == (None, None, False, False)


def test_an_event_may_say_everything() -> None:
    event = one(
        b'{"session":"s","seq":3,"time":"2023-11-14T23:13:20.5+01:00","start":true,"end":true,"event":{}}'
    )
    assert (event.seq, event.time, event.start, event.end) == (3, NOW + 0.5, True, True)


@pytest.mark.parametrize(
    ("time", "seconds"),
    [
        (b"1700000000", NOW),
        (b"1700000000.25", NOW + 0.25),
        (b'"2023-11-14T22:13:20Z"', NOW),
        (b'"2023-11-14T17:13:20-05:00"', NOW),
        (b'"2023-11-14 22:13z"', NOW - 20),
        (b'"2023-11-14T22:13:20.1234569999Z"', NOW + 0.123456),
        (b"-1.5", -1.5),
        (b"null", None),
    ],
)
def test_times(time: bytes, seconds: float | None) -> None:
    assert one(b'{"event":{},"time":' + time + b"}").time == seconds


offsets = st.sampled_from(["Z", "z", "+00:00", "-00:00", "+05:30", "-11:45", "+23:59"])


@settings(max_examples=200, deadline=None)
@given(
    st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 30)),
    st.text("0123456789", max_size=9),
    st.sampled_from("Tt "),
    offsets,
)
def test_a_time_is_the_same_float_to_the_server_and_to_tables(
    time: datetime, digits: str, separator: str, offset: str
) -> None:
    text = time.strftime(f"{time.year:04}-%m-%d{separator}%H:%M:%S") + "." * bool(digits) + digits
    live = one(msgspec.json.encode({"event": {}, "time": text + offset})).time
    events = pl.DataFrame({"session": ["s"], "at": [text + offset]})
    table = tables.read(events, session="session", time="at", fields={})
    assert table.times.tolist() == [live]


def test_a_time_without_an_offset_says_so() -> None:
    with pytest.raises(InputError, match="'2023-11-14T22:13:20' names no offset from UTC"):
        one(b'{"event":{},"time":"2023-11-14T22:13:20"}')


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        (b"", "bad_json", None),
        (b"{", "bad_json", None),
        (b'{"event":{}} x', "bad_json", None),
        (b'{"event":{"a":NaN}', "bad_json", None),
        (b'{"event":{"a":"\xff"}}', "bad_json", None),
        (b'{"event":{"a":"\\ud800"}}', "bad_json", None),
        (b'{"event":{"a":' + b"[" * 100_000, "bad_json", None),
        (b'"event"', "not_an_object", None),
        (b"12", "not_an_object", None),
        (b"null", "not_an_object", None),
        (b"{}", "missing_member", "event"),
        (b'{"event":{},"sequence":1}', "unknown_member", "sequence"),
        (b'{"event":[]}', "wrong_type", "event"),
        (b'{"event":{"a":NaN}}', "not_finite", "a"),
        (b'{"event":{"a":1,"b":Infinity}}', "not_finite", "b"),
        (b'{"event":{"a":[{"deep":-Infinity}]}}', "not_finite", "a"),
        (b'{"event":{"a":1e999}}', "not_finite", "a"),
        (b'{"event":{"\\ud800":NaN}}', "not_finite", "?"),
        (b'{"event":NaN}', "not_finite", "event"),
        (b'{"event":{},"time":NaN}', "not_finite", "time"),
        (b'{"event":{},"seq":"1"}', "wrong_type", "seq"),
        (b'{"event":{},"seq":0}', "wrong_type", "seq"),
        (b'{"event":{},"seq":1.5}', "wrong_type", "seq"),
        (b'{"event":{},"seq":true}', "wrong_type", "seq"),
        (b'{"event":{},"seq":99999999999999999999}', "wrong_type", "seq"),
        (b'{"event":{},"seq":9223372036854775807}', "wrong_type", "seq"),
        (b'{"event":{},"time":"yesterday"}', "wrong_type", "time"),
        (b'{"event":{},"time":"2023-11-14T22:13:20"}', "wrong_type", "time"),
        (b'{"event":{},"time":"2023-02-30T22:13:20Z"}', "wrong_type", "time"),
        (b'{"event":{},"time":"0001-01-01T00:00:00+01:00"}', "wrong_type", "time"),
        (b'{"event":{},"time":1700000000000}', "wrong_type", "time"),
        (b'{"event":{},"time":true}', "wrong_type", "time"),
        (b'{"event":{},"start":1}', "wrong_type", "start"),
        (b'{"event":{},"end":"yes"}', "wrong_type", "end"),
        (b'{"event":{},"session":7}', "wrong_type", "session"),
        (b'{"event":{},"session":"other"}', "wrong_session", "session"),
    ],
)
def test_a_bad_event_is_refused_by_name(body: bytes, code: str, field: str | None) -> None:
    with pytest.raises(InputError) as refused:
        one(body)
    assert (refused.value.code, refused.value.field) == (code, field)
    assert refused.value.hint
    # The same event in a list spoils only its own place, and in a line only its own line.
    if body and code != "bad_json":
        events = wire.read_list(b'[{"event":{}},' + body + b"]", "s")
        assert [code_of(event) for event in events] == [None, code]
    if body and code != "wrong_session":
        assert code_of(line_of(body)) == code


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
def test_a_number_that_is_not_finite_is_named_and_fails_alone(number: str) -> None:
    bad = f'{{"session":"s","event":{{"a":"NaN, [","b":{number}}}}}'
    body = f'[ {{"event":{{"a":"1e999 ]"}}}} ,{bad}, 7,\n{{"event":{{}}}}] '
    events = wire.read_list(body.encode(), "s")
    first, second, *rest = events
    assert [code_of(event) for event in rest] == ["not_an_object", None]
    assert isinstance(first, Event)
    assert first.event == {"a": "1e999 ]"}
    assert isinstance(second, Refused)
    error = second.error
    assert (error.code, error.field) == ("not_finite", "b")
    assert error.message == f"{number} is not a finite number"
    line = line_of(bad.encode())
    assert isinstance(line, Refused)
    assert (line.session, line.error.to_dict()) == ("s", error.to_dict())


@pytest.mark.parametrize(
    "body", [b"[NaN", b"[NaN,]", b"[,NaN]", b"[NaN] x", b"[NaN 1]", b"[NaN,", b'["\xff",NaN]']
)
def test_a_list_that_is_none_is_refused_whole(body: bytes) -> None:
    with pytest.raises(InputError) as refused:
        wire.read_list(body, "s")
    assert refused.value.code == "bad_json"


def test_a_list_may_be_empty() -> None:
    assert wire.is_list(b"\n[]")
    assert wire.read_list(b"\n[]", "s") == []


def test_a_frame_names_the_session_of_each_event() -> None:
    assert wire.read(Unread("", b'{"session":"a","event":{}}')).session == "a"
    events = wire.read_list(b'[{"session":"a","event":{}},{"event":{}},{"session":"b"}]', "")
    assert [(event.session, code_of(event)) for event in events] == [
        ("a", None),
        ("", "missing_member"),
        ("b", "missing_member"),
    ]


@pytest.mark.parametrize("session", ["a/b", "a%2Fb", "\U0001f30a", "x" * 512, "\u00e9" * 256, " "])
def test_ids_that_are_taken(session: str) -> None:
    assert wire.check_session(session) is None


@pytest.mark.parametrize("session", ["", "x" * 513, "\u00e9" * 257, "x" * 10_240, "\ud800"])
def test_ids_that_are_refused(session: str) -> None:
    error = wire.check_session(session)
    assert error is not None
    assert (error.code, error.field) == ("bad_session_id", "session")
    assert len(str(error)) < 200


def test_lines_keep_their_numbers() -> None:
    events, numbers = wire.parse_lines(b'{"session":"a","event":{}}\r\n\n  \n{"b":2}', 5)
    assert [(event.session, number) for event, number in zip(events, numbers, strict=True)] == [
        ("a", 5),
        ("", 8),
    ]


def test_a_refused_line_still_names_its_session() -> None:
    named, unnamed, huge, half = (
        line_of(line)
        for line in (
            b'{"session":"s","event":{},"seq":-1}',
            b'{"event":{}}',
            b'{"session":"' + b"x" * 513 + b'","event":{}}',
            b'{"session":"\\ud800","event":{}}',
        )
    )
    assert isinstance(named, Refused)
    assert (named.session, named.error.field) == ("s", "seq")
    # An id that none can have is nobody's: nothing of the request fails after it.
    assert [(event.session, code_of(event)) for event in (unnamed, huge, half)] == [
        ("", "missing_member"),
        ("", "bad_session_id"),
        ("", "bad_json"),
    ]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(["good", "bad", "blank", "nameless"]), max_size=8), st.booleans())
def test_lines_are_parsed_together_as_they_are_alone(kinds: list[str], ends: bool) -> None:
    texts = {
        "good": b'{"session":"s","seq":1,"event":{"a":1}}',
        "bad": b'{"session":"s","event":7}',
        "blank": b" ",
        "nameless": b'{"event":{}}',
    }
    lines = [texts[kind] for kind in kinds]
    events, numbers = wire.parse_lines(b"\n".join(lines) + b"\n" * ends, 1)
    expected = [(i, line) for i, line in enumerate(lines, start=1) if line != b" "]
    assert numbers == [number for number, _ in expected]
    alone = [line_of(line) for _, line in expected]
    assert [(e.session, code_of(e)) for e in events] == [(e.session, code_of(e)) for e in alone]


def answer(**members: bool) -> Answer:
    return Answer("s", 2, NOW, "v1", {"value": 0.5}, **members)


def test_answers_say_no_more_than_they_must() -> None:
    assert wire.encode_result(answer()) == (
        b'{"session":"s","seq":2,"time":1700000000.0,"model_version":"v1","answer":{"value":0.5}}'
    )
    assert b'"duplicate":true' in wire.encode_result(answer(duplicate=True))
    assert b'"session_reset":true' in wire.encode_result(answer(session_reset=True))


def test_errors_stand_where_answers_would() -> None:
    error = InputError("missing_field", "it is missing", field="speed", hint="send it")
    told = {
        "code": "missing_field",
        "message": "it is missing",
        "field": "speed",
        "hint": "send it",
    }
    assert msgspec.json.decode(wire.encode_items([answer(), error]))[1] == {"error": told}
    second = wire.encode_lines([answer(), error], [1, 5]).splitlines()[1]
    assert msgspec.json.decode(second) == {"error": told, "line": 5}


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_no_bytes_surprise_the_parsers(body: bytes) -> None:
    events, numbers = wire.parse_lines(body, 1)
    assert len(events) == len(numbers) <= body.count(b"\n") + 1
    with contextlib.suppress(InputError):
        wire.read_list(body, "s")
    wire.read(Unread("s", body))
    wire.read(Unread("", body))


def test_a_list_of_too_many_events_is_refused_before_it_is_parsed():
    body = b"[" + b'{"event":{}},' * wire.MOST_EVENTS + b'{"event":{}}]'
    with pytest.raises(InputError) as caught:
        wire.read_list(body, "s")
    assert caught.value.code == "too_many_events"


def test_a_long_event_is_refused_without_a_search_for_the_number() -> None:
    event = b'{"session": "s", "event": {"a": [' + b"1.5," * 20_000 + b"NaN]}}"
    refused = wire.read(Unread("", event))
    assert isinstance(refused, Refused)
    assert (refused.session, refused.error.code) == ("s", "bad_json")


@pytest.mark.parametrize("member", [b"NaN", b"1", b"{}"])
def test_a_list_of_too_many_is_not_split_to_its_end(member: bytes) -> None:
    with pytest.raises(InputError, match="more than 100,000 events"):
        wire.read_list(b"[" + (member + b",") * 100_000 + member + b"]", "")
    with pytest.raises(InputError, match="malformed"):
        wire.read_list(b"[" + (member + b",") * 100_000, "")
