"""One arithmetic: a table, micro-batches and single events give equal bits."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.errors import InputError
from tidegate.schema import Encoded, Field, Schema, SchemaConfig, Time
from tidegate.schema import encode as encode_module

Events = list[dict[str, Any]]
Session = tuple[Events, list[float]]

numbers = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(-1e3, 1e3),
    st.integers(-5, 5),
)
texts = st.sampled_from(["a", "b", "c", "", "ä", 7])
VALUES = {"numeric": numbers, "category": texts, "boolean": st.booleans()}
clocks = st.one_of(st.floats(-1e12, 1e12), st.integers(0, 2_000_000_000).map(float))


@st.composite
def fields(draw: st.DrawFn) -> Field:
    kind = draw(st.sampled_from(["numeric", "category", "boolean"]))
    missing = draw(st.sampled_from(["refuse", "carry", "mean", "zero"]))
    return Field(
        kind,  # type: ignore[arg-type]
        scale=draw(st.sampled_from(["standard", "minmax", "robust", "log1p", "none"]))
        if kind == "numeric"
        else "standard",
        missing=missing,  # type: ignore[arg-type]
        indicator=missing != "refuse" and draw(st.booleans()),
        constant=missing == "refuse" and draw(st.booleans()),
        max_size=draw(st.none() | st.integers(1, 3)) if kind == "category" else None,
        clip=draw(st.sampled_from([None, (0.0, 1.0), (0.2, 0.7), (0.0, 0.3)]))
        if kind == "numeric"
        else None,
    )


@st.composite
def configs(draw: st.DrawFn) -> SchemaConfig:
    chosen = draw(st.lists(fields(), min_size=1, max_size=6))
    features = draw(st.lists(st.sampled_from(["delta", "hour", "weekday"]), unique=True))
    time = Time(tuple(features), draw(st.floats(-24, 24))) if features else None
    return SchemaConfig({f"f{i}": field for i, field in enumerate(chosen)}, time)


@st.composite
def sessions(draw: st.DrawFn, config: SchemaConfig, min_size: int = 0) -> Session:
    length = draw(st.integers(min_size, 6))
    constants = {
        name: draw(VALUES[field.kind]) for name, field in config.fields.items() if field.constant
    }
    events = []
    for index in range(length):
        event = {}
        for name, field in config.fields.items():
            if field.constant:
                if index == 0 or draw(st.booleans()):
                    event[name] = constants[name]
            elif field.missing == "refuse" or draw(st.booleans()):
                event[name] = draw(VALUES[field.kind])
        events.append(event)
    return events, draw(st.lists(clocks, min_size=length, max_size=length))


@st.composite
def tables(draw: st.DrawFn) -> tuple[SchemaConfig, list[Session], list[Session]]:
    config = draw(configs())
    some = st.lists(sessions(config), max_size=4)
    return config, draw(some), draw(some)


def table_of(schema: Schema, streams: list[Session]) -> tuple[Any, Any, Any]:
    typed = [schema.type_event(event) for events, _ in streams for event in events]
    times = np.array([time for _, clock in streams for time in clock], dtype=np.float64)
    offsets = np.cumsum([0, *(len(events) for events, _ in streams)])
    return schema.stack(typed), times, offsets


def fitted(config: SchemaConfig, streams: list[Session]) -> Schema:
    # Typing and stacking need no statistics: a schema of no rows can do it.
    nothing: dict[str, Any] = {
        name: np.zeros(0, object if field.kind == "category" else np.float64)
        for name, field in config.fields.items()
    }
    unfitted = Schema.fit(config, nothing, np.zeros(0), np.array([0]))
    return Schema.fit(config, *table_of(unfitted, streams))


def in_lockstep(schema: Schema, streams: list[Session]) -> tuple[list[Any], Any]:
    """Encode event i of every session that has one, for each i."""
    states = schema.initial_state(len(streams))
    rows: list[list[Any]] = [[] for _ in streams]
    for step in range(max((len(events) for events, _ in streams), default=0)):
        live = [i for i, (events, _) in enumerate(streams) if step < len(events)]
        columns = schema.stack([schema.type_event(streams[i][0][step]) for i in live])
        times = np.array([streams[i][1][step] for i in live])
        encoded = schema.encode_rows(columns, times, states[live])
        assert not encoded.errors
        states[live] = encoded.states
        for place, i in enumerate(live):
            rows[i].append(encoded.rows[place])
    return [row for of_session in rows for row in of_session], states


def one_by_one(schema: Schema, stream: Session) -> tuple[list[Any], Any]:
    state, rows = schema.initial_state(1), []
    for event, time in zip(*stream, strict=True):
        columns = schema.stack([schema.type_event(event)])
        encoded = schema.encode_rows(columns, np.array([time]), state)
        assert not encoded.errors
        state = encoded.states
        rows.append(encoded.rows[0])
    return rows, state


def same_bits(left: Any, right: Any, like: Any) -> None:
    left = np.asarray(left, dtype=like.dtype).reshape(like.shape)
    assert left.tobytes() == np.ascontiguousarray(right).tobytes() == like.tobytes()


@settings(deadline=None, max_examples=150)
@given(tables(), st.data())
def test_table_batches_and_single_events_give_equal_bits(
    table: tuple[SchemaConfig, list[Session], list[Session]], data: st.DataObject
) -> None:
    config, train, streams = table
    schema = fitted(config, train)
    schema = Schema.from_dict(json.loads(json.dumps(schema.to_dict())))
    columns, times, offsets = table_of(schema, streams)

    whole = schema.encode(columns, times, offsets)
    assert np.isfinite(whole.rows).all()
    assert whole.rows.dtype == np.float32
    assert whole.states.shape == (len(streams), schema.state_size)

    batch_rows, batch_states = in_lockstep(schema, streams)
    singles = [one_by_one(schema, stream) for stream in streams]
    same_bits(batch_rows, [row for rows, _ in singles for row in rows], whole.rows)
    same_bits(batch_states, [state[0] for _, state in singles], whole.states)

    cuts = [data.draw(st.integers(0, len(events)), label="cut") for events, _ in streams]
    heads = [(e[:cut], t[:cut]) for cut, (e, t) in zip(cuts, streams, strict=True)]
    tails = [(e[cut:], t[cut:]) for cut, (e, t) in zip(cuts, streams, strict=True)]
    head = schema.encode(*table_of(schema, heads))
    tail = schema.encode(*table_of(schema, tails), head.states)
    same_bits(tail.states, whole.states, whole.states)
    joined = []
    for i in range(len(streams)):
        start = sum(cuts[:i])
        joined.extend(head.rows[start : start + cuts[i]])
        start = sum(len(events) for events, _ in tails[:i])
        joined.extend(tail.rows[start : start + len(tails[i][0])])
    same_bits(joined, whole.rows, whole.rows)


@pytest.mark.parametrize("chunk", [1, 7, 100_000])
def test_chunks_of_a_table_do_not_show(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    schema, columns, times, offsets = many_rows()
    whole = schema.encode(columns, times, offsets)
    monkeypatch.setattr(encode_module, "CHUNK", chunk)
    parts = schema.encode(columns, times, offsets)
    same_bits(parts.rows, parts.rows, whole.rows)
    same_bits(parts.states, parts.states, whole.states)


@pytest.mark.parametrize("batch", [1, 2, 3, 5, 8, 17, 64])
def test_a_row_does_not_depend_on_its_place_in_the_batch(batch: int) -> None:
    schema, columns, times, _ = many_rows()
    each = schema.encode_rows(columns, times, schema.initial_state(len(times)))
    for start in range(0, len(times) - batch, 97):
        part = slice(start, start + batch)
        few = schema.encode_rows(
            {name: column[part] for name, column in columns.items()},
            times[part],
            schema.initial_state(batch),
        )
        assert few.rows.tobytes() == each.rows[part].tobytes()


def many_rows() -> tuple[Schema, dict[str, Any], Any, Any]:
    random = np.random.default_rng(5)
    n = 3000
    speed = random.lognormal(3, 4, n) * random.choice([-1, 1], n)
    lane = random.choice(np.array(["a", "b", "c", None], dtype=object), n)
    gap = np.where(random.random(n) < 0.5, np.nan, random.normal(size=n))
    columns = {"speed": speed, "lane": lane, "gap": gap}
    config = SchemaConfig(
        {
            "speed": Field("numeric", scale="log1p"),
            "lane": Field("category", missing="carry", indicator=True),
            "gap": Field("numeric", missing="carry"),
        },
        Time(("delta", "hour", "weekday"), utc_offset_hours=-5.0),
    )
    times = 1.7e9 + np.cumsum(random.exponential(500, n))
    cuts = np.sort(random.integers(0, n, 60))
    offsets = np.concatenate([[0], cuts, [n]])
    return Schema.fit(config, columns, times, offsets), columns, times, offsets


def small(config: SchemaConfig, **values: list[Any]) -> tuple[Schema, dict[str, Any]]:
    columns = {
        name: np.array(v, object if config.fields[name].kind == "category" else np.float64)
        for name, v in values.items()
    }
    n = len(next(iter(columns.values())))
    return Schema.fit(config, columns, np.arange(n, dtype=float), np.array([0, n])), columns


def test_carry_goes_on_from_the_state_and_falls_back_to_the_mean() -> None:
    config = SchemaConfig(
        {
            "x": Field("numeric", scale="none", missing="carry", indicator=True),
            "b": Field("boolean", missing="carry"),
            "c": Field("category", missing="carry"),
        }
    )
    schema, _ = small(config, x=[1.0, 5.0], b=[1.0, 0.0], c=["u", "v"])

    def step(state: Any, event: dict[str, Any]) -> Encoded:
        return schema.encode_rows(schema.stack([schema.type_event(event)]), np.zeros(1), state)

    first = step(schema.initial_state(1), {})
    assert first.rows.tolist() == [[3.0, 1.0, 0.5, 0.0]]
    assert np.isnan(first.states).all()
    second = step(first.states, {"x": 9, "b": True, "c": "v"})
    third = step(second.states, {})
    assert third.rows.tolist() == [[9.0, 1.0, 1.0, 2.0]]
    fourth = step(third.states, {"c": "never seen"})
    assert step(fourth.states, {}).rows[0, 3] == 0.0


def test_hours_and_weekdays_are_local_and_go_round() -> None:
    config = SchemaConfig({}, Time(("hour", "weekday"), utc_offset_hours=-5.0))
    schema = Schema.fit(config, {}, np.zeros(0), np.array([0]))
    # 2013-01-07 is a Monday; 04:59:59 UTC is still Sunday, an instant before midnight, in New York.
    monday = 1_357_516_800.0
    times = np.array([monday + 5 * 3600 - 1, monday + 5 * 3600, monday + 11 * 3600])
    rows = schema.encode_rows({}, times, schema.initial_state(3)).rows
    sunday = 6 / 7 * 2 * np.pi
    expected = [[0, 1, np.sin(sunday), np.cos(sunday)], [0, 1, 0, 1], [1, 0, 0, 1]]
    np.testing.assert_allclose(rows, expected, atol=1e-4)


def test_time_that_runs_backwards_is_a_delta_of_0_and_becomes_the_last_time() -> None:
    config = SchemaConfig({}, Time(("delta",)))
    schema = Schema.fit(config, {}, np.array([0.0, 4.0]), np.array([0, 2]))
    encoded = schema.encode({}, np.array([10.0, 5.0, 9.0]), np.array([0, 3]))
    first, back, after = encoded.rows[:, 0].tolist()
    assert first == back
    assert after == schema.encode({}, np.array([0.0, 4.0]), np.array([0, 2])).rows[1, 0]
    assert encoded.states.tolist() == [[9.0]]


def constant_schema() -> Schema:
    config = SchemaConfig(
        {
            "plane": Field("category", constant=True),
            "seats": Field("numeric", constant=True),
            "x": Field("numeric", missing="carry"),
        },
        Time(("delta",)),
    )
    schema, _ = small(config, plane=["p", "q"], seats=[10.0, 20.0], x=[0.0, 1.0])
    return schema


def test_an_error_leaves_its_state_and_the_other_rows_alone() -> None:
    schema = constant_schema()
    begin = {"plane": "p", "seats": 10, "x": 1}
    batch = [begin, begin, {"plane": "p"}, begin]
    times = np.array([1.0, 2.0, 3.0, np.inf])
    encoded = schema.encode_rows(
        schema.stack([schema.type_event(event) for event in batch]), times, schema.initial_state(4)
    )
    assert {row: (e.code, e.field) for row, e in encoded.errors.items()} == {
        2: ("missing_field", "seats"),
        3: ("not_finite", "time"),
    }
    assert np.isnan(encoded.states[2:]).all()
    assert not encoded.rows[2:].any()
    alone = schema.encode_rows(
        schema.stack([schema.type_event(begin)]), times[:1], schema.initial_state(1)
    )
    assert encoded.rows[0].tobytes() == alone.rows[0].tobytes()

    changed = [{"plane": "q", "x": 5}, {"seats": 11, "x": 5}, begin, {"x": 5}]
    columns = schema.stack([schema.type_event(event) for event in changed])
    states = encoded.states[[0, 0, 0, 0]]
    before = states.copy()
    after = schema.encode_rows(columns, np.full(4, 9.0), states)
    assert {row: (e.code, e.field) for row, e in after.errors.items()} == {
        0: ("constant_changed", "plane"),
        1: ("constant_changed", "seats"),
    }
    assert after.states[:2].tobytes() == before[:2].tobytes()
    assert states.tobytes() == before.tobytes()
    # The constant goes on in the events that leave it out.
    assert after.rows[3, [0, 3]].tolist() == after.rows[2, [0, 3]].tolist()


@pytest.mark.parametrize(
    ("plane", "code", "row"),
    [
        (["p", None, "p", None, "q", "q"], "missing_field", 3),
        (["p", None, "q", "q", "q", "q"], "constant_changed", 2),
        (["p", "never seen", "p", "q", "q", "q"], "constant_changed", 1),
    ],
)
def test_a_table_names_the_first_row_that_breaks_a_constant(
    plane: list[Any], code: str, row: int
) -> None:
    schema = constant_schema()
    columns: dict[str, Any] = {
        "plane": np.array(plane, object),
        "seats": np.full(6, 10.0),
        "x": np.zeros(6),
    }
    with pytest.raises(InputError) as caught:
        schema.encode(columns, np.arange(6.0), np.array([0, 3, 6]))
    assert (caught.value.code, caught.value.field) == (code, "plane")
    assert caught.value.row == row
    assert caught.value.message.startswith(f"row {row + 1}: ")


@pytest.mark.parametrize(
    ("kind", "began", "then", "says"),
    [
        ("category", "p", "q", "'q' is not the value that the session began with, 'p',"),
        ("category", "p", "new", "'new' is not the value that the session began with, 'p',"),
        ("category", "new", "p", "'p' is not the value that the session began with, one that"),
        ("numeric", 2.5, 3.0, "3.0 is not the value that the session began with, 2.5,"),
        ("boolean", True, False, "False is not the value that the session began with, True,"),
    ],
)
def test_a_changed_constant_says_both_values(kind: Any, began: Any, then: Any, says: str) -> None:
    config = SchemaConfig({"x": Field("numeric"), "c": Field(kind, constant=True)})
    known = np.array(["p", "q"], object) if kind == "category" else np.array([0.0, 1.0])
    schema = Schema.fit(config, {"x": np.zeros(2), "c": known}, np.zeros(2), np.array([0, 1, 2]))
    state = schema.initial_state(1)
    for value in (began, then):
        event = schema.stack([schema.type_event({"x": 0, "c": value})])
        encoded = schema.encode_rows(event, np.zeros(1), state)
        state = encoded.states
    assert encoded.errors[0].message.startswith(says)
    texts = schema.stack([schema.type_event({"x": 0, "c": value}) for value in (began, then)])
    with pytest.raises(InputError) as caught:
        schema.encode(texts, np.zeros(2), np.array([0, 2]))
    assert caught.value.message.startswith(f"row 2: {says}")


def test_values_that_skipped_every_check_are_still_errors_of_their_row() -> None:
    config = SchemaConfig({"x": Field("numeric")})
    schema, _ = small(config, x=[0.0, 1.0])
    columns = {"x": np.array([np.inf, np.nan, 1.0])}
    encoded = schema.encode_rows(columns, np.zeros(3), schema.initial_state(3))
    assert {row: e.code for row, e in encoded.errors.items()} == {
        0: "not_finite",
        1: "missing_field",
    }


@pytest.mark.parametrize(
    ("columns", "times", "states", "field"),
    [
        ({}, 2, (2, 1), "x"),
        ({"x": np.zeros(3)}, 2, (2, 1), "time"),
        ({"x": np.zeros(1)}, 2, (2, 1), "time"),
        ({"x": np.zeros(2)}, 2, (1, 1), "states"),
        ({"x": np.zeros(2)}, 2, (2, 0), "states"),
    ],
)
def test_arrays_that_do_not_fit_are_named(
    columns: dict[str, Any], times: int, states: tuple[int, int], field: str
) -> None:
    schema, _ = small(SchemaConfig({"x": Field("numeric", missing="carry")}), x=[0.0, 1.0])
    with pytest.raises(InputError) as caught:
        schema.encode_rows(columns, np.zeros(times), np.zeros(states))
    assert caught.value.field == field


def test_minus_zero_in_a_table_is_the_zero_of_an_event() -> None:
    config = SchemaConfig({"x": Field("numeric", scale="none", missing="carry")})
    schema, _ = small(config, x=[1.0, 2.0])
    table = schema.encode({"x": np.array([-0.0])}, np.zeros(1), np.array([0, 1]))
    event = schema.stack([schema.type_event({"x": -0.0})])
    single = schema.encode_rows(event, np.zeros(1), schema.initial_state(1))
    same_bits(single.rows, single.rows, table.rows)
    same_bits(single.states, single.states, table.states)
