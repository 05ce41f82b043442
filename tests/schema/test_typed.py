from __future__ import annotations

import struct
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.core import type_columns
from tidegate.errors import InputError
from tidegate.schema import Field, Schema, SchemaConfig
from tidegate.schema.typed import TypingPlan


@pytest.fixture(scope="module")
def schema() -> Schema:
    config = SchemaConfig(
        {
            "speed": Field("numeric"),
            "lane": Field("category", missing="carry"),
            "night": Field("boolean", missing="zero"),
            "home": Field("category", constant=True),
        }
    )
    columns: dict[str, Any] = {
        "speed": np.array([1.0, 2.0]),
        "lane": np.array(["a", "b"], object),
        "night": np.array([0.0, 1.0]),
        "home": np.array(["x", None], object),
    }
    return Schema.fit(config, columns, np.zeros(2), np.array([0, 2]))


def test_values_are_canonical_and_in_schema_order(schema: Schema) -> None:
    typed = schema.type_event({"night": True, "home": 7, "lane": "a", "speed": 3})
    assert typed == (3.0, "a", True, "7")
    assert [type(value) for value in typed] == [float, str, bool, str]


def test_null_absent_and_missing_are_one(schema: Schema) -> None:
    expected = (1.5, None, None, None)
    assert schema.type_event({"speed": 1.5}) == expected
    assert schema.type_event({"speed": 1.5, "lane": None, "night": None, "home": None}) == expected


def test_numpy_scalars_that_are_python_numbers_or_text_pass(schema: Schema) -> None:
    typed = schema.type_event({"speed": np.float64(2.5), "lane": np.str_("a")})
    assert [type(value) for value in typed[:2]] == [float, str]


@pytest.mark.parametrize(
    ("event", "code", "field"),
    [
        ({}, "missing_field", "speed"),
        ({"speed": None}, "missing_field", "speed"),
        ({"speed": True}, "wrong_type", "speed"),
        ({"speed": "12"}, "wrong_type", "speed"),
        ({"speed": Decimal(1)}, "wrong_type", "speed"),
        ({"speed": [1.0]}, "wrong_type", "speed"),
        ({"speed": {"value": 1.0}}, "wrong_type", "speed"),
        ({"speed": float("nan")}, "not_finite", "speed"),
        ({"speed": float("-inf")}, "not_finite", "speed"),
        ({"speed": 10**400}, "not_finite", "speed"),
        ({"speed": 10**5000}, "not_finite", "speed"),
        ({"speed": 1, "lane": 1.0}, "wrong_type", "lane"),
        ({"speed": 1, "lane": False}, "wrong_type", "lane"),
        ({"speed": 1, "lane": 10**5000}, "wrong_type", "lane"),
        ({"speed": 1, "lane": "\ud800"}, "wrong_type", "lane"),
        ({"speed": 1, "night": 1}, "wrong_type", "night"),
        ({"speed": 1, "night": "true"}, "wrong_type", "night"),
        ({"speed": 1, "spede": 2}, "unknown_field", "spede"),
        ({"speed": 1, 7: 2}, "unknown_field", "7"),
        (["speed"], "wrong_type", "event"),
        (None, "wrong_type", "event"),
    ],
)
def test_bad_values_are_named(schema: Schema, event: Any, code: str, field: str) -> None:
    with pytest.raises(InputError) as caught:
        schema.type_event(event)
    assert (caught.value.code, caught.value.field) == (code, field)
    assert caught.value.hint
    assert len(str(caught.value)) < 400


def test_unknown_field_lists_close_and_known_ones(schema: Schema) -> None:
    with pytest.raises(InputError) as caught:
        schema.type_event({"sped": 1.0})
    assert "did you mean 'speed'?" in caught.value.hint
    assert "speed, lane, night, home" in caught.value.hint


def test_messages_stay_short(schema: Schema) -> None:
    with pytest.raises(InputError) as caught:
        schema.type_event({"x" * 10_000: 1, "speed": 1})
    assert len(str(caught.value)) < 400


def test_stack_makes_columns(schema: Schema) -> None:
    columns = schema.stack([(1.0, "a", True, None), (2.0, None, None, "x")])
    assert list(columns) == ["speed", "lane", "night", "home"]
    np.testing.assert_array_equal(columns["speed"], np.array([1.0, 2.0]), strict=True)
    np.testing.assert_array_equal(columns["night"], np.array([1.0, np.nan]), strict=True)
    assert columns["lane"].tolist() == ["a", None]
    schema.check_columns(columns)


def test_stack_of_nothing_is_empty_columns(schema: Schema) -> None:
    columns = schema.stack([])
    schema.check_columns(columns)
    encoded = schema.encode_rows(columns, np.zeros(0), schema.initial_state(0))
    assert encoded.rows.shape == (0, schema.width)


def test_payload_hash_is_pinned(schema: Schema) -> None:
    # Stored in every session's record: a change would turn each retry into a conflict.
    typed = schema.type_event({"speed": 5, "lane": "a", "night": True, "home": "ö"})
    assert schema.payload_hash(typed, 1_700_000_000.5) == 7_225_840_828_337_144_480
    assert schema.payload_hash(typed, None) == 13_529_002_409_538_450_000
    texts = [xxhash.xxh64_intdigest(text.encode()) for text in ("a", "ö")]
    by_hand = struct.pack("<dQdQQ", 5.0, texts[0], 1.0, texts[1], 0x7FF8_0000_0000_0000)
    assert schema.payload_hash(typed, None) == xxhash.xxh64_intdigest(by_hand)


def test_payload_hash_is_equal_for_equal_values(schema: Schema) -> None:
    def hash_of(event: dict[str, object], time: float | None = None) -> int:
        return schema.payload_hash(schema.type_event(event), time)

    assert hash_of({"speed": 5}) == hash_of({"speed": 5.0}) == hash_of({"lane": None, "speed": 5})
    assert hash_of({"speed": 0.0}) == hash_of({"speed": -0.0}) == hash_of({"speed": -0})
    assert hash_of({"speed": 5, "lane": 7}) == hash_of({"lane": "7", "speed": 5})
    assert hash_of({"speed": 5}, 3) == hash_of({"speed": 5}, 3.0)
    assert hash_of({"speed": 5}, -0.0) == hash_of({"speed": 5}, 0.0)


def test_payload_hash_differs_where_anything_differs(schema: Schema) -> None:
    events: list[dict[str, object]] = [
        {"speed": 5.0},
        {"speed": np.nextafter(5.0, 6.0).item()},
        {"speed": 5.0, "lane": ""},
        {"speed": 5.0, "lane": "a"},
        {"speed": 5.0, "home": "a"},
        {"speed": 5.0, "lane": "ab"},
        {"speed": 5.0, "lane": "a", "home": "b"},
        {"speed": 5.0, "night": False},
        {"speed": 5.0, "night": True},
        {"speed": 0.0},
        {"speed": 1.0},
    ]
    hashes = {
        schema.payload_hash(schema.type_event(event), time)
        for event in events
        for time in (None, 0.0, 1.0)
    }
    assert len(hashes) == 3 * len(events)
    assert all(0 <= value < 2**64 for value in hashes)


VALUES = st.sampled_from(
    [
        *(None, True, False, 0, -0.0, 1.5, 7, -3, 10**400, 10**5000, float("nan"), float("inf")),
        *("a", "", "ö", "\ud800", b"a", [], {}, Decimal(1), np.float64(2.5), np.str_("b")),
        *(np.bool_(True), np.float32(1.5), 2**63, 1e308, "long " * 20),
    ]
)
KEYS = st.sampled_from(["speed", "lane", "night", "home", "Speed", 7, None])
PLAIN = st.fixed_dictionaries(
    {"speed": st.floats(-5, 5) | st.integers(-9, 9)},
    optional={
        "lane": st.sampled_from(["a", "b", 7, None]),
        "night": st.sampled_from([True, False, None]),
        "home": st.sampled_from(["x", None]),
    },
)
EVENTS = (
    PLAIN
    | st.dictionaries(KEYS, VALUES)
    | PLAIN.map(MappingProxyType)
    | st.sampled_from([None, 7, [], "speed"])
)


@settings(max_examples=400, deadline=None)
@given(events=st.lists(EVENTS, max_size=6))
def test_many_events_are_typed_as_one_is(schema: Schema, events: list[Any]) -> None:
    columns, errors = schema.type_events(events)
    typed = [typed_or_refused(schema, event) for event in events]
    refused = {row: one for row, one in enumerate(typed) if isinstance(one, InputError)}
    assert {row: str(error) for row, error in errors.items()} == {
        row: str(error) for row, error in refused.items()
    }
    expected = schema.stack([(None,) * 4 if isinstance(one, InputError) else one for one in typed])
    assert list(columns) == list(expected)
    for name, column in columns.items():
        np.testing.assert_array_equal(column, expected[name], strict=True)
        if column.dtype == np.float64:  # -0.0 is 0.0
            assert column.tobytes() == expected[name].tobytes()


@settings(max_examples=200, deadline=None)
@given(events=st.lists(PLAIN | st.dictionaries(KEYS, VALUES), max_size=6))
def test_the_core_finds_exactly_what_is_wrong_with_plain_values(
    schema: Schema, events: list[Any]
) -> None:
    """What it leaves to Python is wrong, but for NumPy's own scalars."""
    plan = TypingPlan.of(schema.config)
    _, bad = type_columns(plan.bulk, events)
    for row, event in enumerate(events):
        is_numpy = any(isinstance(value, np.generic) for value in event.values())
        is_wrong = isinstance(typed_or_refused(schema, event), InputError)
        assert (row in bad) == (is_wrong or is_numpy)


def typed_or_refused(schema: Schema, event: Any) -> Any:
    try:
        return schema.type_event(event)
    except InputError as error:
        return error


def test_typed_events_of_nothing_are_empty_columns(schema: Schema) -> None:
    columns, errors = schema.type_events([])
    assert errors == {}
    schema.check_columns(columns)
