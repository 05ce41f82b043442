"""Models that answer with something else than their outputs."""

from __future__ import annotations

from msgspec.structs import replace

from tidegate.spec import LayerSpec, ModelSpec, SurprisePart

READOUTS = ("skip", "top", "top_of_many", "top_with_skip", "surprise", "surprise_of_many")


def with_readout(spec: ModelSpec, readout: str) -> ModelSpec:
    """Change what a model of two columns of numbers or more answers with."""
    first, second, *_ = spec.number_columns
    if not readout.startswith("surprise"):
        few, many = replace(spec, output_size=5), replace(spec, output_size=300)
        return {
            "skip": lambda: replace(few, skip=True),
            "top": lambda: replace(few, readout="top", top=3),
            "top_of_many": lambda: replace(many, readout="top", top=4),
            "top_with_skip": lambda: replace(many, readout="top", top=4, skip=True),
        }[readout]()
    parts = [SurprisePart("gaussian", first, 0), SurprisePart("gaussian", second, 1, missing=first)]
    begin = 3  # the two share an output
    for category in spec.categories:
        size = category.size
        parts.append(SurprisePart("categorical", category.column, begin, size, missing=second))
        begin += size
    size = begin if readout == "surprise" else begin + 20
    *below, last = spec.layers
    layers = (*below, replace(last, residual=False, bidirectional=False))
    return replace(spec, layers=layers, output_size=size, readout="surprise", parts=tuple(parts))


def mark_missing(spec: ModelSpec, rows):  # type: ignore[no-untyped-def]
    """Write 1 into some of the columns that say what is missing, where there are any."""
    for part in spec.parts:
        if part.missing is not None:
            rows[::3, part.missing] = 1.0
    return rows


EVERY = {
    "gru": (LayerSpec("gru", 12),),
    "stack": (
        LayerSpec("gru", 16, reset_after=False),
        LayerSpec("lstm", 9, learned_initial_state=True, zoneout=0.1, peephole=True),
    ),
    "rnn": (LayerSpec("lstm", 6), LayerSpec("rnn", 20, learned_initial_state=True)),
}
"""Layers whose last has each kind of state: whole panels or not, learned, kept in part."""
