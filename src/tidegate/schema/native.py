"""The layout of a fitted schema, given to the C core (native/encode.h says what each part is)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from tidegate.core import Encoder

if TYPE_CHECKING:
    from tidegate._core import FieldSpec
    from tidegate.schema.layout import Layout

__all__ = ["encoder_of"]


def encoder_of(layout: Layout) -> Encoder:
    """Return the C encoder of a schema; it takes copies of everything."""
    time = dict(layout.time_columns)
    delta = (time["delta"], layout.delta.center, layout.delta.spread) if "delta" in time else None
    return Encoder(
        _fields(layout),
        delta,
        time.get("hour"),
        time.get("weekday"),
        layout.utc_offset_hours,
        list(layout.positions),
    )


def _fields(layout: Layout) -> list[FieldSpec]:
    indicator = dict(zip(layout.indicated.tolist(), layout.indicator_columns.tolist(), strict=True))
    slot = {field: index for index, field in enumerate(layout.remembered.tolist())}
    required, constants = set(layout.required.tolist()), set(layout.constants.tolist())
    logged = set(layout.logged.tolist())
    bounds = dict(zip(layout.clipped.tolist(), layout.bounds[:, :, 0].T.tolist(), strict=True))
    specs: list[FieldSpec] = []
    for index, field in enumerate(layout.fields):
        is_number = index < layout.numbers
        low, high = bounds.get(index, (-math.inf, math.inf))
        specs.append(
            (
                field.name,
                int(layout.value_columns[index]),
                indicator.get(index),
                slot.get(index),
                index in required,
                index in constants,
                index in logged,
                float(layout.fill[index, 0]),
                low,
                high,
                float(layout.center[index, 0]) if is_number else 0.0,
                float(layout.spread[index, 0]) if is_number else 1.0,
                None if is_number else field.statistics.values,
            )
        )
    return specs
