from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tidegate.errors import InputError
from tidegate.schema import Field, Schema, SchemaConfig

CONFIG = SchemaConfig(
    {
        "speed": Field("numeric"),
        "lane": Field("category"),
        "night": Field("boolean", missing="zero"),
        "home": Field("category", constant=True),
    }
)


def good() -> dict[str, Any]:
    return {
        "speed": np.array([1.0, 2.0, 3.0]),
        "lane": np.array(["a", "b", "a"], object),
        "night": np.array([0.0, np.nan, 1.0]),
        "home": np.array(["x", None, None], object),
    }


def fit(columns: dict[str, Any]) -> Schema:
    return Schema.fit(CONFIG, columns, np.arange(3.0), np.array([0, 3]))


BAD: list[tuple[str, Any, str, str]] = [
    ("speed", np.array([1, 2, 3]), "wrong_type", "int64"),
    ("speed", np.array([1.0, 2.0, 3.0], np.float32), "wrong_type", "float32"),
    ("speed", np.array(["1", "2", "3"], object), "wrong_type", "object"),
    ("speed", [1.0, 2.0, 3.0], "wrong_type", "list"),
    ("speed", np.array([1.0, np.inf, -np.inf]), "not_finite", "row 2: inf is"),
    ("speed", np.array([1.0, 2.0, np.nan]), "missing_field", "row 3: "),
    ("speed", np.array([[1.0], [2.0], [3.0]]), "wrong_shape", "(3, 1)"),
    ("lane", np.array(["a", "b"], object), "wrong_shape", "(2,)"),
    ("lane", np.array(["a", "b", "c"]), "wrong_type", "<U1"),
    ("lane", np.array(["a", 7, 8], object), "wrong_type", "row 2: 7 is"),
    ("lane", np.array(["a", "b", np.nan], object), "wrong_type", "row 3: nan is"),
    ("lane", np.array(["a", "\ud800", "c"], object), "wrong_type", "row 2: "),
    ("lane", np.array(["a", None, None], object), "missing_field", "row 2: "),
    ("night", np.array([0.0, 1.0, 2.0]), "wrong_type", "row 3: 2.0 is"),
    ("night", np.array([True, False, True]), "wrong_type", "bool"),
    ("extra", np.array([1.0, 2.0, 3.0]), "unknown_field", "no such field"),
]


@pytest.mark.parametrize(("name", "column", "code", "said"), BAD)
def test_bad_columns_name_field_and_first_row(name: str, column: Any, code: str, said: str) -> None:
    schema = fit(good())
    for check in (schema.check_columns, fit, lambda c: encode(schema, c)):
        with pytest.raises(InputError) as caught:
            check({**good(), name: column})
        assert (caught.value.code, caught.value.field) == (code, name)
        assert said in caught.value.message
        assert caught.value.hint


def encode(schema: Schema, columns: dict[str, Any]) -> None:
    schema.encode(columns, np.arange(3.0), np.array([0, 3]))


@pytest.mark.parametrize("name", CONFIG.fields)
def test_missing_column(name: str) -> None:
    columns = good()
    del columns[name]
    with pytest.raises(InputError) as caught:
        fit(columns)
    assert (caught.value.code, caught.value.field) == ("missing_field", name)


@pytest.mark.parametrize(
    ("times", "code", "field"),
    [
        (np.array([0.0, np.nan, 2.0]), "not_finite", "time"),
        (np.array([0.0, 1.0, np.inf]), "not_finite", "time"),
        (np.array([0.0, 1.0]), "wrong_shape", "speed"),
    ],
)
def test_bad_times(times: Any, code: str, field: str) -> None:
    with pytest.raises(InputError) as caught:
        fit(good()).encode(good(), times, np.array([0, 3]))
    assert (caught.value.code, caught.value.field) == (code, field)


def test_good_columns_pass() -> None:
    schema = fit(good())
    schema.check_columns(good())
    assert schema.encode(good(), np.arange(3.0), np.array([0, 3])).rows.shape == (3, 4)
