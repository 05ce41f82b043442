from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from tidegate.errors import InputError
from tidegate.schema import Field, Schema, SchemaConfig, Time
from tidegate.schema.encode import LIMIT

NAN = np.nan
TRAIN = [13.0, 0.0, 2.0, 1.0]


def fit_one(field: Field, values: list[Any], offsets: list[int] | None = None) -> Schema:
    dtype = object if field.kind == "category" else np.float64
    columns = {"x": np.array(values, dtype=dtype)}
    return Schema.fit(
        SchemaConfig({"x": field}),
        columns,
        np.arange(len(values), dtype=np.float64),
        np.array(offsets or [0, len(values)]),
    )


def encode_one(schema: Schema, value: Any) -> float:
    columns = schema.stack([schema.type_event({"x": value})])
    return float(schema.encode_rows(columns, np.zeros(1), schema.initial_state(1)).rows[0, 0])


@pytest.mark.parametrize(
    ("scale", "value", "expected"),
    [
        ("standard", 7.0, (7 - 4) / np.std(TRAIN)),
        ("minmax", 13.0, 1.0),
        ("minmax", 26.0, 2.0),
        ("robust", 4.75, (4.75 - 1.5) / (4.75 - 0.75)),
        ("log1p", -2.0, (-np.log(3) - np.log1p(TRAIN).mean()) / np.log1p(TRAIN).std()),
        ("none", 7.25, 7.25),
    ],
)
def test_each_scale_is_its_formula(scale: Any, value: float, expected: float) -> None:
    schema = fit_one(Field("numeric", scale=scale), TRAIN)
    assert encode_one(schema, value) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("scale", ["standard", "minmax", "robust", "log1p", "none"])
@pytest.mark.parametrize("values", [[], [NAN, NAN], [0.1], [0.1] * 9, [1e308, -1e308, 5.0]])
def test_statistics_are_always_finite_and_rows_too(scale: Any, values: list[float]) -> None:
    schema = fit_one(Field("numeric", scale=scale, missing="mean"), values)
    for value in (None, 0, 0.1, -1e308, 1.7e308):
        assert abs(encode_one(schema, value)) <= LIMIT


@pytest.mark.parametrize("scale", ["standard", "minmax", "robust", "log1p"])
def test_one_value_over_and_over_has_spread_1(scale: Any) -> None:
    schema = fit_one(Field("numeric", scale=scale), [0.1] * 1001)
    assert encode_one(schema, 0.1) == pytest.approx(0.0, abs=1e-9)
    assert abs(encode_one(schema, 1.1)) <= 1.0


def test_small_spread_on_a_large_number_is_kept() -> None:
    schema = fit_one(Field("numeric"), [1.7e9 - 1, 1.7e9 + 1])
    assert encode_one(schema, 1.7e9 + 1) == 1.0


def test_robust_falls_back_to_the_deviation_where_the_middle_half_is_one_value() -> None:
    values = [0.0] * 9 + [10.0]
    schema = fit_one(Field("numeric", scale="robust"), values)
    assert encode_one(schema, 10.0) == pytest.approx(10 / np.std(values))


def test_missing_values_count_for_nothing() -> None:
    with_gaps = fit_one(Field("numeric", missing="mean"), [1.0, NAN, 3.0, NAN])
    without = fit_one(Field("numeric", missing="mean"), [1.0, 3.0])
    assert with_gaps.to_dict() == without.to_dict()
    assert encode_one(with_gaps, None) == 0.0


def test_mean_is_of_values_as_they_are_and_zero_is_a_raw_zero() -> None:
    values = [1.0, 100.0]
    mean = fit_one(Field("numeric", scale="log1p", missing="mean"), values)
    assert encode_one(mean, None) == encode_one(mean, 50.5) != 0.0
    zero = fit_one(Field("numeric", missing="zero"), values)
    assert encode_one(zero, None) == encode_one(zero, 0.0) != 0.0
    share = fit_one(Field("boolean", missing="mean"), [1.0, 1.0, 0.0, 1.0])
    assert encode_one(share, None) == 0.75


@pytest.mark.parametrize("scale", ["standard", "minmax", "robust", "log1p", "none"])
def test_clip_cuts_to_quantiles_of_the_training_values_before_their_statistics(scale: Any) -> None:
    values = np.random.default_rng(5).standard_cauchy(999)
    low, high = np.quantile(values, [0.01, 0.95])
    clipped = fit_one(Field("numeric", scale=scale, clip=(0.01, 0.95)), [*values, NAN][:-1])
    plain = fit_one(Field("numeric", scale=scale), list(np.clip(values, low, high)))
    for value, counts_as in [(-1e9, low), (low, low), (0.3, 0.3), (high, high), (1e308, high)]:
        assert encode_one(clipped, value) == encode_one(plain, counts_as)
    beyond = fit_one(Field("numeric", scale=scale), list(values))
    assert encode_one(beyond, 1e9) > encode_one(beyond, high)


def test_clip_counts_given_values_alone_and_cuts_what_stands_for_a_missing_one() -> None:
    values = [5.0, NAN, 6.0, 7.0, NAN, 800.0]
    for missing, stands in {"mean": 6.5, "zero": 6.0, "carry": 6.5}.items():
        field = Field("numeric", scale="none", missing=missing, clip=(1 / 3, 2 / 3))  # type: ignore[arg-type]
        schema = fit_one(field, values)
        assert [encode_one(schema, value) for value in (None, 800.0)] == [stands, 7.0]


def test_clip_of_no_values_cuts_nothing_that_counts() -> None:
    schema = fit_one(Field("numeric", scale="none", missing="mean", clip=(0.1, 0.9)), [NAN])
    assert [encode_one(schema, value) for value in (None, -7.5, 1e5)] == [0.0, -7.5, 1e5]


def test_vocabulary_is_by_frequency_then_text_and_0_is_everything_else() -> None:
    values = ["b", "a", "c", "c", None, "d"]
    schema = fit_one(Field("category", missing="mean", max_size=3), values)
    assert [encode_one(schema, text) for text in ("c", "a", "b")] == [1.0, 2.0, 3.0]
    assert [encode_one(schema, text) for text in ("d", "never seen", "")] == [0.0, 0.0, 0.0]
    assert encode_one(schema, None) == 1.0
    assert schema.categories[0].size == 4


@pytest.mark.parametrize("missing", ["carry", "zero"])
def test_category_without_an_earlier_value_is_index_0(missing: Any) -> None:
    assert encode_one(fit_one(Field("category", missing=missing), ["a", "b"]), None) == 0.0


def test_integer_categories_are_their_text() -> None:
    schema = fit_one(Field("category"), ["7", "8"])
    assert encode_one(schema, 8) == encode_one(schema, "8") == 2.0


@pytest.mark.parametrize(
    ("texts", "embedding_size", "expected"),
    [(0, None, 1), (1, None, 1), (4, None, 3), (100, None, 16), (100, 5, 5)],
)
def test_embedding_size(texts: int, embedding_size: int | None, expected: int) -> None:
    field = Field("category", embedding_size=embedding_size)
    schema = fit_one(field, [f"v{i}" for i in range(texts)])
    assert (schema.categories[0].size, schema.categories[0].embedding_size) == (texts + 1, expected)


def test_fit_sees_only_the_rows_it_is_given() -> None:
    config = SchemaConfig({"x": Field("numeric"), "c": Field("category")}, Time())
    x, c = np.array([1.0, 2.0, 3.0, 900.0]), np.array(["a", "b", "a", "later"], object)
    times = np.array([0.0, 5.0, 7.0, 9000.0])
    train = {"x": x[:3], "c": c[:3]}
    fitted = Schema.fit(config, train, times[:3], np.array([0, 3]))
    again = Schema.fit(
        config, {k: v.copy() for k, v in train.items()}, times[:3].copy(), np.array([0, 3])
    )
    assert fitted.to_dict() == again.to_dict()
    whole = Schema.fit(config, {"x": x, "c": c}, times, np.array([0, 3, 4]))
    assert fitted.to_dict() != whole.to_dict()
    rows = fitted.encode({"x": x, "c": c}, times, np.array([0, 3, 4])).rows
    assert rows[3, -1] == 0.0
    assert rows[:3, 0].mean() == pytest.approx(0.0, abs=1e-7)


def test_delta_is_standardised_within_sessions() -> None:
    config = SchemaConfig({}, Time(("delta",)))
    times = np.array([100.0, 103.0, 50.0, 60.0, 55.0])
    schema = Schema.fit(config, {}, times, np.array([0, 2, 5]))
    logs = np.log1p([0.0, 3.0, 0.0, 10.0, 0.0])
    rows = schema.encode({}, times, np.array([0, 2, 5])).rows[:, 0]
    np.testing.assert_allclose(rows, (logs - logs.mean()) / logs.std(), rtol=1e-6)


@pytest.mark.parametrize("offsets", [[0], [1, 2], [0, 3], [0, 2, 1, 2], [[0, 2]]])
def test_offsets_that_do_not_cut_the_rows(offsets: list[Any]) -> None:
    with pytest.raises(InputError) as caught:
        fit_one(Field("numeric"), [1.0, 2.0], offsets)
    assert (caught.value.code, caught.value.field) == ("wrong_shape", "offsets")


def full_schema() -> Schema:
    config = SchemaConfig(
        {
            "z": Field("numeric", scale="log1p", missing="carry", indicator=True),
            "a": Field("category", constant=True, max_size=2),
            "m": Field("boolean", missing="mean"),
            "c": Field("numeric", clip=(0.1, 0.9)),
        },
        Time(("hour", "delta"), utc_offset_hours=5.5),
    )
    columns = {
        "z": np.array([0.1, 1 / 3, NAN, 1e-17]),
        "a": np.array(["ä", "ä", "b", "\N{GRINNING FACE}"], object),
        "m": np.array([0.0, 1.0, NAN, 1.0]),
        "c": np.array([0.1, 1 / 3, 7.0, 1e9]),
    }
    return Schema.fit(config, columns, np.array([0.1, 0.7, 3.0, 9.0]), np.array([0, 2, 4]))


def test_json_keeps_every_bit_whatever_the_writer_does_with_keys() -> None:
    schema = full_schema()
    for sort_keys in (False, True):
        text = json.dumps(schema.to_dict(), sort_keys=sort_keys)
        again = Schema.from_dict(json.loads(text))
        assert again.to_dict() == schema.to_dict()
        assert json.dumps(again.to_dict()) == json.dumps(schema.to_dict())
        assert again.config == schema.config
        assert again.names == schema.names == ("z", "a", "m", "c")
        assert again.columns == schema.columns
        assert again.categories == schema.categories


def test_what_no_field_asks_for_is_not_written_and_old_schemas_stay_as_they_are() -> None:
    members = full_schema().to_dict()
    assert [("clip" in f["config"], "bounds" in f["statistics"]) for f in members["fields"]] == [
        *[(False, False)] * 3,
        (True, True),
    ]
    del members["fields"][3]  # as a version wrote it that knew nothing of clip
    assert Schema.from_dict(members).to_dict() == members


def damaged() -> dict[str, Any]:
    """Each case: a change to the plain data that has to be refused."""

    def field(index: int, member: str, option: str, value: Any) -> Any:
        return lambda d: d["fields"][index][member].__setitem__(option, value)

    return {
        "unknown member": lambda d: d.__setitem__("extra", 1),
        "missing member": lambda d: d.pop("delta"),
        "missing time": lambda d: d.pop("time"),
        "missing option": lambda d: d["fields"][0]["config"].pop("scale"),
        "missing statistic": lambda d: d["fields"][0]["statistics"].pop("center"),
        "unknown statistic": field(0, "statistics", "median", 1.0),
        "no number": field(0, "statistics", "mean", None),
        "spread 0": field(0, "statistics", "spread", 0.0),
        "not finite": field(0, "statistics", "mean", float("nan")),
        "no bounds of a field with clip": lambda d: d["fields"][3]["statistics"].pop("bounds"),
        "bounds of a field without clip": field(0, "statistics", "bounds", [0.0, 1.0]),
        "bounds of the time": lambda d: d["delta"].__setitem__("bounds", [0.0, 1.0]),
        "bounds the wrong way round": field(3, "statistics", "bounds", [1.0, 0.0]),
        "bounds that are not finite": field(3, "statistics", "bounds", [0.0, float("inf")]),
        "values of a number": field(0, "statistics", "values", ["a"]),
        "a value twice": field(1, "statistics", "values", ["a", "a"]),
        "unknown kind": field(0, "config", "kind", "text"),
        "a name twice": lambda d: d["fields"].append(d["fields"][0]),
        "options that do not go together": field(2, "config", "constant", True),
    }


@pytest.mark.parametrize("case", damaged())
def test_damaged_plain_data_is_refused(case: str) -> None:
    members = full_schema().to_dict()
    damaged()[case](members)
    with pytest.raises(InputError) as caught:
        Schema.from_dict(members)
    assert caught.value.code in {"bad_schema", "bad_config"}
    assert caught.value.field
    assert caught.value.hint


@pytest.mark.parametrize("members", [None, [], "schema", 3])
def test_what_is_no_object_is_refused(members: object) -> None:
    with pytest.raises(InputError, match="bad_schema"):
        Schema.from_dict(members)
