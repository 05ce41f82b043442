"""What a model answers with: which readouts there are, and which make no model."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tidegate.errors import InputError
from tidegate.spec import CategoryInput, LayerSpec, ModelSpec, SurprisePart

LAYERS = (LayerSpec("gru", 4), LayerSpec("lstm", 3))
CATEGORIES = (CategoryInput(2, 6, 2),)
PARTS = (
    SurprisePart("gaussian", 0, 0, missing=3),
    SurprisePart("categorical", 2, 2, 6),
    SurprisePart("categorical", 1, 8, 2, missing=3),
)


def spec_of(outputs: int = 10, layers: tuple[LayerSpec, ...] = LAYERS, **more: Any) -> ModelSpec:
    return ModelSpec(4, layers, outputs, CATEGORIES, **more)


def test_how_many_numbers_an_event_is_answered_with() -> None:
    assert spec_of().answer_size == spec_of(skip=True).answer_size == 10
    assert spec_of(readout="top", top=3).answer_size == 6
    assert spec_of(readout="surprise", parts=PARTS).answer_size == 4


def test_a_skip_is_a_matrix_of_the_rows_numbers() -> None:
    shapes = spec_of(skip=True).weight_shapes()
    assert shapes.pop("head.skip") == (10, 3)
    assert shapes == spec_of().weight_shapes()


def test_every_readout_travels_as_json() -> None:
    for more in ({"skip": True}, {"readout": "top", "top": 3}, {"readout": "surprise"}):
        given: dict[str, Any] = {
            **more,
            "parts": PARTS if more.get("readout") == "surprise" else (),
        }
        spec = spec_of(**given)
        assert msgspec.json.decode(msgspec.json.encode(spec), type=ModelSpec) == spec


def part(**changed: Any) -> dict[str, Any]:
    return {"readout": "surprise", "parts": (msgspec.structs.replace(PARTS[0], **changed),)}


def index(**changed: Any) -> dict[str, Any]:
    return {"readout": "surprise", "parts": (msgspec.structs.replace(PARTS[1], **changed),)}


@pytest.mark.parametrize(
    ("field", "changed"),
    [
        ("top", {"top": 3}),
        ("top", {"readout": "top"}),
        ("top", {"readout": "top", "top": 11}),
        ("top", {"readout": "top", "top": -1}),
        ("output_size", {"readout": "top", "top": 1, "outputs": (1 << 24) + 1}),
        ("parts", {"parts": PARTS}),
        ("parts", {"readout": "surprise"}),
        ("skip", {"readout": "surprise", "parts": PARTS, "skip": True}),
        ("parts.0.column", part(column=2)),
        ("parts.0.column", part(column=4)),
        ("parts.0.column", part(column=-1)),
        ("parts.0.missing", part(missing=2)),
        ("parts.0.missing", part(missing=9)),
        ("parts.0.size", part(size=3)),
        ("parts.0.output", part(output=9)),
        ("parts.0.output", part(output=-1)),
        ("parts.0.size", index(size=5)),
        ("parts.0.size", index(column=1, size=0)),
        ("parts.0.output", index(output=5)),
    ],
)
def test_what_is_no_readout_is_refused(field: str, changed: dict[str, Any]) -> None:
    with pytest.raises(InputError) as caught:
        spec_of(**changed)
    assert (caught.value.code, caught.value.field) == ("bad_spec", field)


def test_a_row_without_numbers_has_none_to_skip_with() -> None:
    with pytest.raises(InputError) as caught:
        ModelSpec(1, LAYERS, 2, (CategoryInput(0, 3, 2),), skip=True)
    assert (caught.value.code, caught.value.field) == ("bad_spec", "skip")


@pytest.mark.parametrize(
    ("field", "layers"),
    [
        ("layers.1.residual", (LayerSpec("gru", 4), LayerSpec("gru", 4, residual=True))),
        ("layers.0.bidirectional", (LayerSpec("gru", 4, bidirectional=True), LayerSpec("gru", 4))),
        ("layers.1.bidirectional", (LayerSpec("gru", 4), LayerSpec("gru", 4, bidirectional=True))),
    ],
)
def test_a_surprise_is_of_the_state_alone(field: str, layers: tuple[LayerSpec, ...]) -> None:
    spec_of(layers=layers)
    with pytest.raises(InputError) as caught:
        spec_of(layers=layers, readout="surprise", parts=PARTS)
    assert (caught.value.code, caught.value.field) == ("bad_spec", field)


def test_below_the_last_layer_residual_is_no_matter() -> None:
    layers = (LayerSpec("gru", 4), LayerSpec("gru", 4, residual=True), LayerSpec("gru", 4))
    assert spec_of(layers=layers, readout="surprise", parts=PARTS).streams
