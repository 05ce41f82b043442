"""The schema in C against the schema in NumPy: equal bits, and the same errors."""

from __future__ import annotations

from math import inf
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate import core
from tidegate.core import Encoder
from tidegate.errors import InputError
from tidegate.schema import Field, Schema, SchemaConfig, Time
from tidegate.schema.encode import encode_each
from tidegate.schema.fitted import Fitted, FittedField, Statistics

FAULTS = {
    1: "not_finite",
    2: "not_finite",
    3: "missing_field",
    4: "constant_changed",
    5: "missing_field",
}
KNOWN = ("a", "ä", "", "a\0", "long text " * 30)
TEXTS = np.array([*KNOWN, "b", "a\0\0", "\N{SNOWMAN}", "7"], dtype=object)
EDGES = np.array(
    [0.0, -0.0, 1.0, -1.0, 5e-324, -5e-324, 1e-30, 1e6, 1e12, -1e150, 1.7e308, -1.7e308]
)
CLOCKS = np.array([0.0, -0.0, 1e-9, -1e-9, -1.0, 86_400.0, -86_400.0, 1.7e9, 1e18, -1e18, 1.7e308])

statistics = st.builds(
    Statistics,
    mean=st.sampled_from([0.0, -0.0, 0.5, -3.25, 1e150]),
    center=st.sampled_from([0.0, 0.1, -7.5, 1e150]),
    spread=st.sampled_from([1.0, 0.3, 1e-150, 5e-324, 1e150]),
)
bounds = st.tuples(*[st.sampled_from([0.0, -0.0, 0.5, -3.25, 10.0, 1e150, -1e150])] * 2)


@st.composite
def fitted_fields(draw: st.DrawFn, name: str) -> FittedField:
    kind = draw(st.sampled_from(["numeric", "numeric", "category", "boolean"]))
    missing = draw(st.sampled_from(["refuse", "carry", "mean", "zero"]))
    field = Field(
        kind,  # type: ignore[arg-type]
        scale=draw(st.sampled_from(["standard", "log1p", "log1p", "none"]))
        if kind == "numeric"
        else "standard",
        missing=missing,  # type: ignore[arg-type]
        indicator=missing != "refuse" and draw(st.booleans()),
        constant=missing == "refuse" and draw(st.booleans()),
    )
    if kind == "category":
        values = KNOWN[: draw(st.integers(0, len(KNOWN)))]
        return FittedField(name, field, Statistics(mean=float(bool(values)), values=values))
    if kind == "numeric" and draw(st.booleans()):
        low, high = sorted(draw(bounds))
        cut = msgspec.structs.replace(draw(statistics), bounds=(low, high))
        return FittedField(name, msgspec.structs.replace(field, clip=(0.1, 0.9)), cut)
    return FittedField(name, field, draw(statistics))


@st.composite
def schemas(draw: st.DrawFn) -> Schema:
    fields = tuple(draw(fitted_fields(f"f{i}")) for i in range(draw(st.integers(0, 6))))
    features = draw(
        st.lists(st.sampled_from(["delta", "hour", "weekday"]), unique=True, min_size=not fields)
    )
    time = Time(tuple(features), draw(st.floats(-24, 24))) if features else None
    return Schema(Fitted(fields, time, draw(statistics)))


def random_events(schema: Schema, random: np.random.Generator, n: int) -> tuple[Any, Any]:
    """Return columns and times: ordinary, extreme, missing and infinite values."""
    often = random.random() < 0.5  # otherwise few rows would be without any fault
    columns: dict[str, Any] = {}
    for name, field in schema.config.fields.items():
        gaps = random.random(n) < (0.3 if often or field.missing != "refuse" else 0.02)
        if field.kind == "category":
            columns[name] = random.choice(TEXTS[: random.integers(1, len(TEXTS) + 1)], n)
            columns[name][gaps] = None
            continue
        if field.kind == "boolean":
            column = random.integers(0, 2, n).astype(float)
        elif field.constant:
            column = random.choice(EDGES[: random.integers(1, 4)], n)
        else:
            ordinary = random.normal(size=n) * 10.0 ** random.integers(-3, 9, n)
            column = np.where(random.random(n) < 0.3, random.choice(EDGES, n), ordinary)
            infinite = random.random(n) < (0.05 if often else 0.005)
            column = np.where(infinite, random.choice([np.inf, -np.inf], n), column)
        columns[name] = np.where(gaps, np.nan, column)
    ordinary = 1.7e9 + random.normal(size=n) * 10.0 ** random.integers(-6, 9, n)
    times = np.where(random.random(n) < 0.3, random.choice(CLOCKS, n), ordinary)
    broken = random.random(n) < 0.03
    return columns, np.where(broken, random.choice([np.nan, np.inf, -np.inf], n), times)


def check_equal(schema: Schema, columns: Any, times: Any, states: Any) -> Any:
    """Encode with both, compare, and return the states after."""
    before = states.copy()
    wanted = encode_each(schema._layout, columns, times, states)

    rows, after = np.full(wanted.rows.shape, 7, np.float32), states.copy()
    failures = schema.encoder.encode(columns, times, after, rows)
    assert rows.tobytes() == wanted.rows.tobytes()
    assert after.tobytes() == wanted.states.tobytes()
    names = [field.name for field in schema._layout.fields]
    faults = {
        row: (FAULTS[fault], "time" if fault == 1 else names[field])
        for row, fault, field in failures
    }
    assert faults == {row: (error.code, error.field) for row, error in wanted.errors.items()}

    encoded = schema.encode_rows(columns, times, states)
    assert states.tobytes() == before.tobytes()
    assert encoded.rows.tobytes() == wanted.rows.tobytes()
    assert encoded.states.tobytes() == wanted.states.tobytes()
    assert {row: str(error) for row, error in encoded.errors.items()} == {
        row: str(error) for row, error in wanted.errors.items()
    }
    return after


@settings(deadline=None, max_examples=150)
@given(schemas(), st.integers(0, 2**32 - 1))
def test_c_and_numpy_give_equal_bits_and_the_same_errors(schema: Schema, seed: int) -> None:
    random = np.random.default_rng(seed)
    states = schema.initial_state(40)
    for _ in range(4):
        columns, times = random_events(schema, random, len(states))
        states = check_equal(schema, columns, times, states)


def schema_of(config: SchemaConfig, **values: Any) -> Schema:
    columns = {
        name: np.array(v, object if config.fields[name].kind == "category" else np.float64)
        for name, v in values.items()
    }
    n = len(next(iter(columns.values())))
    return Schema.fit(config, columns, np.arange(n, dtype=float), np.array([0, n]))


def test_ordinary_events_of_a_year_are_equal_to_the_bit() -> None:
    random = np.random.default_rng(3)
    n = 20_000
    config = SchemaConfig(
        {"x": Field("numeric", scale="log1p"), "y": Field("numeric", missing="carry")},
        Time(("delta", "hour", "weekday"), utc_offset_hours=5.5),
    )
    columns = {"x": random.lognormal(2, 3, n), "y": random.normal(size=n)}
    times = 1.7e9 + random.uniform(0, 3.2e7, n)
    schema = Schema.fit(config, columns, times, np.array([0, n]))
    states = np.column_stack([random.normal(size=n), times - random.exponential(1e4, n)])
    check_equal(schema, columns, times, states)


def test_every_text_finds_its_index_and_no_other() -> None:
    random = np.random.default_rng(4)
    texts = (
        [str(i) for i in range(3000)]
        + ["é" * i for i in range(40)]
        + ["\0" * i for i in range(1, 40)]
    )
    schema = schema_of(SchemaConfig({"c": Field("category", missing="zero")}), c=texts)
    values = schema._fitted.fields[0].statistics.values
    assert sorted(values) == sorted(texts)
    strange = [f"{text}\0" for text in texts[:3040]] + [str(i) for i in range(3000, 9000)]
    strange.remove("\0")
    asked = np.array([*values, *strange, None], dtype=object)
    order = random.permutation(len(asked))
    rows = schema.encode_rows(
        {"c": asked[order]}, np.zeros(len(asked)), schema.initial_state(len(asked))
    ).rows
    wanted = np.concatenate([np.arange(1, len(values) + 1), np.zeros(len(strange) + 1)])
    assert rows[:, 0].tolist() == wanted[order].tolist()


def test_arrays_of_any_stride_and_alignment_are_read() -> None:
    config = SchemaConfig({"x": Field("numeric", scale="none"), "c": Field("category")})
    schema = schema_of(config, x=[0.0, 1.0], c=["a", "b"])
    times, states = np.zeros(3), schema.initial_state(3)
    texts = np.array(["a", "z", "b", "z", "a"], object)[::2]
    packed = np.zeros(3, dtype=[("flag", "i1"), ("x", "f8")])
    packed["x"] = [1, 2, 3]
    for numbers in (np.arange(1.0, 7.0)[:3], np.arange(3.0, 0.0, -1.0)[::-1], packed["x"]):
        rows = schema.encode_rows({"x": numbers, "c": texts}, times, states).rows
        assert rows.tolist() == [[1, 1], [2, 2], [3, 1]]


@pytest.mark.parametrize(
    ("columns", "code", "field"),
    [
        ({"x": np.zeros(2)}, "missing_field", "c"),
        ({"x": np.zeros(2, np.float32)}, "wrong_type", "x"),
        ({"x": np.zeros(2, ">f8")}, "wrong_type", "x"),
        ({"x": np.zeros(2, object)}, "wrong_type", "x"),
        ({"x": [0.0, 1.0]}, "wrong_type", "x"),
        ({"x": np.zeros((2, 1))}, "wrong_shape", "x"),
        ({"x": np.zeros(3)}, "wrong_shape", "c"),
        ({"c": np.array(["a", 1], object)}, "wrong_type", "c"),
        ({"c": np.array(["a", b"a"], object)}, "wrong_type", "c"),
        ({"c": np.array(["a", "\ud800"], object)}, "wrong_type", "c"),
        ({"c": np.array(["a", "b"])}, "wrong_type", "c"),
    ],
)
def test_columns_of_another_type_are_typed_errors(
    columns: dict[str, Any], code: str, field: str
) -> None:
    config = SchemaConfig({"x": Field("numeric"), "c": Field("category")})
    schema = schema_of(config, x=[0.0, 1.0], c=["a", "b"])
    whole = {"x": np.zeros(2), "c": np.array(["a", "b"], object), **columns}
    if code == "missing_field":
        del whole["c"]
    states = schema.initial_state(2)
    with pytest.raises(InputError) as caught:
        schema.encode_rows(whole, np.zeros(2), states)
    assert (caught.value.code, caught.value.field) == (code, field)
    rows = np.zeros((2, 2), np.float32)
    with pytest.raises(ValueError, match=f"^{field if code != 'wrong_shape' else 'x'}: "):
        schema.encoder.encode(whole, np.zeros(2), states, rows)


def test_outputs_of_another_shape_are_refused() -> None:
    schema = schema_of(SchemaConfig({"x": Field("numeric", missing="carry")}), x=[0.0, 1.0])
    columns, times = {"x": np.zeros(2)}, np.zeros(2)
    rows, states = np.zeros((2, 1), np.float32), np.zeros((2, 1))
    assert (schema.encoder.width, schema.encoder.state_size) == (1, 1)
    for bad in (rows[:1], np.zeros((2, 2), np.float32)):
        with pytest.raises(ValueError, match="rows: "):
            schema.encoder.encode(columns, times, states, bad)
    for short in (states[:1], np.zeros((2, 2))):
        with pytest.raises(ValueError, match="states: "):
            schema.encoder.encode(columns, times, short, rows)
    with pytest.raises(TypeError):  # a copy would be written, and lost
        schema.encoder.encode(columns, times, states.astype(np.float32), rows)


def spec(
    column: int = 0, indicator: int | None = None, slot: int | None = None, constant: bool = False
) -> Any:
    return ("x", column, indicator, slot, False, constant, False, 0.0, -inf, inf, 0.0, 1.0, None)


@pytest.mark.parametrize(
    ("fields", "hour", "says"),
    [
        ([spec(column=1)], None, "columns: "),
        ([spec(), spec()], None, "columns: "),
        ([spec(indicator=0)], None, "columns: "),
        ([spec()], 0, "columns: "),
        ([spec()], 2, "columns: "),
        ([spec()], 2**64 - 1, "columns: "),
        ([spec(slot=1)], None, "slots: "),
        ([spec(slot=0), spec(column=1, slot=0)], None, "slots: "),
        ([spec(constant=True)], None, "x: is constant"),
    ],
)
def test_an_encoder_whose_places_do_not_fit_is_refused(
    fields: list[Any], hour: int | None, says: str
) -> None:
    with pytest.raises(ValueError, match=f"^{says}"):
        Encoder(fields, None, hour, None, 0.0)


def test_a_vocabulary_that_is_not_unicode_is_a_damaged_schema() -> None:
    statistics = Statistics(values=("a", "\ud800"))
    with pytest.raises(InputError) as caught:
        Fitted((FittedField("c", Field("category"), statistics),), None, Statistics())
    assert (caught.value.code, caught.value.field) == ("bad_schema", "c")


def test_times_and_numbers_may_lie_anywhere() -> None:
    """A sanitizer sees a read that is not aligned; what is written has to be."""

    def shifted(array: np.ndarray) -> np.ndarray:
        return np.frombuffer(bytearray(b"\0" + array.tobytes()), np.uint8)[1:].view(array.dtype)

    encoder = Encoder([], (0, 0.0, 1.0), None, None, 0.0)
    times, states = np.array([5.0, 9.0]), np.array([[1.0], [2.0]])
    rows = np.zeros((2, 1), np.float32)
    expected = np.zeros((2, 1), np.float32)
    encoder.encode({}, times, states.copy(), expected)
    encoder.encode({}, shifted(times), states.copy(), rows)
    np.testing.assert_array_equal(rows, expected)
    np.testing.assert_array_equal(core.log1p(shifted(times)), core.log1p(times))
    with pytest.raises(ValueError, match="states: is not aligned"):
        encoder.encode({}, times, shifted(states).reshape(2, 1), rows)
    with pytest.raises(ValueError, match="rows: is not aligned"):
        encoder.encode({}, times, states, shifted(rows).reshape(2, 1))
