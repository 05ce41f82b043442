"""What a run should reach, and what it did."""

from __future__ import annotations

from collections.abc import Iterator

from tidegate.bench.goals import Goal
from tidegate.bench.training.results import Row, TrainResults

__all__ = ["check"]

_TIMES_TORCH_GRU = {
    (64, 100, 16, 64): 2.5,
    (64, 100, 16, 128): 2.0,
    (32, 500, 16, 128): 2.2,
    (64, 100, 64, 256): 1.3,
}
"""By batch, time, input and hidden size: a plain GRU in fp32."""

_BF16 = (64, 100, 64, 256)
_TIMES_TORCH_LSTM = 1.25
_OPTIONS = ("layer_norm", "zoneout", "recurrent_dropout", "return_gates")
_MOST_OPTION, _MOST_RAGGED, _MOST_RECOMPUTED = 1.3, 0.5, 0.5


def check(results: TrainResults) -> list[Goal]:
    """Compare results with the goals.

    Parameters
    ----------
    results : TrainResults
        One run. Of what it did not measure there is no goal.
    """
    rows = [row for row in results.rows if row.case.shape in _TIMES_TORCH_GRU]
    of_rows = [goal for row in rows for goal in (*_speed(row), *_options(row), *_memory(row))]
    return [*of_rows, *_recomputed(rows)]


def _speed(row: Row) -> Iterator[Goal]:
    """Compare plain layers over full sessions with torch's."""
    if (row.options, row.lengths) != ("plain", "full"):
        return
    if row.precision == "bf16":
        if row.cell == "gru" and row.case.shape == _BF16:
            yield _least(row, "GRU", 2.5 if row.isa == "amx" else 2.0)
    elif row.cell == "gru":
        yield _least(row, "GRU", _TIMES_TORCH_GRU[row.case.shape])
        yield _least(row, "LSTM", _TIMES_TORCH_LSTM)
    else:
        yield _least(row, row.cell.upper(), 1.0)


def _options(row: Row) -> Iterator[Goal]:
    """Compare a GRU's options with the plain one, and ragged sessions with padded ones."""
    if row.precision != "fp32":
        return
    if row.cell == "gru" and row.lengths == "full" and row.options in _OPTIONS:
        name = f"{_name(row)}: beside plain"
        yield _most(name, row.ratio_plain, _MOST_OPTION, "×")
    if row.options == "plain" and row.padded_ms is not None:
        name = f"{_name(row)}: beside padded"
        yield _most(name, row.step_ms / row.padded_ms, _MOST_RAGGED, "×")


def _memory(row: Row) -> Iterator[Goal]:
    """Compare what a plain layer keeps with what torch's keeps."""
    if (row.options, row.precision, row.lengths) == ("plain", "fp32", "full"):
        most = getattr(row, f"torch_{row.cell}_kept_mb")
        name = f"{_name(row)}: kept for the backward pass, beside torch.nn.{row.cell.upper()}"
        yield _most(name, row.kept_mb, most, "MB")


def _recomputed(rows: list[Row]) -> Iterator[Goal]:
    """Compare what is kept with `recompute` with what is kept without."""
    plain = {row.case: row for row in rows if str(row.variant) == "plain"}
    for row in rows:
        if str(row.variant) == "recompute" and row.case in plain:
            # Rounded: of inputs, both keep some bytes.
            kept = round(row.kept_mb / plain[row.case].kept_mb, 2)
            yield _most(f"{_name(row)}: kept, beside plain", kept, _MOST_RECOMPUTED, "×")


def _name(row: Row) -> str:
    return f"{row.case}, {row.variant}"


def _least(row: Row, peer: str, least: float) -> Goal:
    ratio = getattr(row, f"ratio_torch_{peer.lower()}")
    name = f"{_name(row)}: beside torch.nn.{peer}"
    return Goal(name, f"≥ {least:g} ×", f"{ratio:.2f} ×", ratio >= least)


def _most(case: str, value: float, most: float, unit: str) -> Goal:
    return Goal(case, f"≤ {most:g} {unit}", f"{value:.3g} {unit}", value <= most)
