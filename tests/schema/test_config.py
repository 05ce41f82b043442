from __future__ import annotations

import pytest

from tidegate.errors import InputError
from tidegate.schema import Field, SchemaConfig, Time
from tidegate.schema.config import MAX_VOCABULARY, row_columns

WITH_INDICATOR = Field("numeric", missing="zero", indicator=True)
BAD_FIELDS = {
    "max_size of a number": Field("numeric", max_size=3),
    "max_size 0": Field("category", max_size=0),
    "max_size beyond float32": Field("category", max_size=MAX_VOCABULARY + 1),
    "embedding of a boolean": Field("boolean", embedding_size=3),
    "embedding 0": Field("category", embedding_size=0),
    "scale of a category": Field("category", scale="none"),
    "scale of a boolean": Field("boolean", scale="minmax"),
    "constant that may be missing": Field("numeric", missing="mean", constant=True),
    "indicator of nothing": Field("numeric", indicator=True),
    "unknown kind": Field("text"),  # type: ignore[arg-type]
    "clip of a category": Field("category", clip=(0.1, 0.9)),
    "clip of a boolean": Field("boolean", clip=(0.1, 0.9)),
    "clip of nothing": Field("numeric", clip=(0.5, 0.5)),
    "clip the wrong way round": Field("numeric", clip=(0.9, 0.1)),
    "clip in per cent": Field("numeric", clip=(1.0, 99.0)),
    "clip not a number": Field("numeric", clip=(float("nan"), 0.9)),
    "clip of one side": Field("numeric", clip=(0.1,)),  # type: ignore[arg-type]
    "unknown scale": Field("numeric", scale="log"),  # type: ignore[arg-type]
    "wrong type": Field("category", max_size="many"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("field", BAD_FIELDS.values(), ids=BAD_FIELDS)
def test_options_that_do_not_go_together_name_the_field(field: Field) -> None:
    with pytest.raises(InputError) as caught:
        SchemaConfig({"fine": Field("numeric"), "speed": field})
    assert (caught.value.code, caught.value.field) == ("bad_config", "speed")
    assert caught.value.hint


@pytest.mark.parametrize(
    "time",
    [
        Time(()),
        Time(("delta", "delta")),
        Time(("delta",), utc_offset_hours=25.0),
        Time(("delta",), utc_offset_hours=float("nan")),
        Time(("month",)),  # type: ignore[arg-type]
    ],
)
def test_bad_time_features(time: Time) -> None:
    with pytest.raises(InputError) as caught:
        SchemaConfig({"speed": Field("numeric")}, time)
    assert (caught.value.code, caught.value.field) == ("bad_config", "time")


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({}, "fields"),
        ({"": Field("numeric")}, None),
        ({"a": WITH_INDICATOR, "a missing": Field("boolean")}, "a missing"),
        ({"time delta": Field("numeric")}, "time delta"),
    ],
)
def test_rows_without_columns_and_columns_of_one_name(
    fields: dict[str, Field], named: str | None
) -> None:
    with pytest.raises(InputError) as caught:
        SchemaConfig(fields, Time() if "time delta" in fields else None)
    assert (caught.value.code, caught.value.field) == ("bad_config", named)


def test_columns_are_numbers_then_times_then_indices() -> None:
    config = SchemaConfig(
        {
            "carrier": Field("category", missing="carry", indicator=True),
            "distance": Field("numeric", missing="mean", indicator=True),
            "night": Field("boolean"),
            "origin": Field("category"),
        },
        Time(("weekday", "delta", "hour")),
    )
    assert row_columns(config) == (
        "carrier missing", "distance", "distance missing", "night",
        "time weekday sin", "time weekday cos", "time delta", "time hour sin", "time hour cos",
        "carrier", "origin",
    )  # fmt: skip


def test_plain_data_becomes_a_configuration() -> None:
    members = {
        "fields": {"speed": {"kind": "numeric", "missing": "carry"}},
        "time": {"features": ["delta"], "utc_offset_hours": -5},
    }
    config = SchemaConfig.from_dict(members)
    assert config == SchemaConfig(
        {"speed": Field("numeric", missing="carry")}, Time(("delta",), utc_offset_hours=-5.0)
    )


@pytest.mark.parametrize(
    ("members", "named"),
    [
        ({"fields": {"speed": {"kind": "numeric", "mising": "carry"}}}, "speed"),
        ({"fields": {"speed": {}}}, "speed"),
        ({"fields": {"speed": "numeric"}}, "speed"),
        ({"fields": ["speed"]}, "fields"),
        ({"fields": {"speed": {"kind": "numeric"}}, "time": {"feature": ["hour"]}}, "time"),
        ({"fields": {"speed": {"kind": "numeric"}}, "times": {}}, "times"),
    ],
)
def test_bad_plain_data_names_the_field(members: dict[str, object], named: str) -> None:
    with pytest.raises(InputError) as caught:
        SchemaConfig.from_dict(members)
    assert (caught.value.code, caught.value.field) == ("bad_config", named)
