"""Results in words: the Markdown that the docs hold, and its parts."""

from __future__ import annotations

import itertools

from tidegate.bench.goals import section
from tidegate.bench.markdown import lines
from tidegate.bench.training.goals import check
from tidegate.bench.training.results import Row, TrainResults

__all__ = ["facts", "number", "render", "table"]

_HEADER = (
    *("layer", "options", "lengths", "in", "path"),
    *("forward, ms", "step, ms", "torch GRU, ms", "torch LSTM, ms", "loop, ms"),
    *("× torch GRU", "× torch LSTM", "× loop", "of plain", "of padded"),
    *("kept, MB", "torch keeps, MB"),
)


def render(results: TrainResults) -> str:
    """Write results as a section: the machine, the goals, and every row.

    Returns
    -------
    str
        Markdown that begins with a heading of the third level.
    """
    parts = [f"### {results.machine.processor}, {results.machine.cores} cores", ""]
    parts += [*facts(results), "", *section(check(results))]
    return "\n".join([*parts, *lines(table(results), _HEADER[:5]), ""])


def facts(results: TrainResults) -> list[str]:
    """Say what machine it was, and how was measured."""
    machine, settings = results.machine, results.settings
    isas = ", ".join(dict.fromkeys(row.isa for row in results.rows))
    threads = f"{settings.threads} thread{'s' if settings.threads > 1 else ''}"
    return [
        f"{machine.when} Instruction set: {isas}.",
        f"{threads} each; medians of {settings.rounds} rounds of {settings.seconds:g} s.",
    ]


def table(results: TrainResults) -> list[list[str]]:
    """Return the table: a header, then a row for each case and variant."""
    rows = itertools.chain.from_iterable(
        (_cells(row, str(row.case) if place == 0 else "") for place, row in enumerate(rows))
        for _, rows in itertools.groupby(results.rows, key=lambda row: row.case)
    )
    return [list(_HEADER), *rows]


def number(value: float) -> str:
    """Write a number with three digits.

    Examples
    --------
    >>> number(0.8612), number(12.04), number(3071.0)
    ('0.861', '12.0', '3,071')
    """
    places = 3 if value < 1 else 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:,.{places}f}"


def _cells(row: Row, case: str) -> list[str]:
    times = (row.forward_ms, row.step_ms, row.torch_gru_ms, row.torch_lstm_ms, row.loop_ms)
    ratios = (row.ratio_torch_gru, row.ratio_torch_lstm, row.ratio_loop, row.ratio_plain)
    padded = "" if row.padded_ms is None else f"{row.step_ms / row.padded_ms:.2f}"
    kept = (row.kept_mb, getattr(row, f"torch_{row.cell}_kept_mb"))
    return [
        *(case, row.options, row.lengths, row.precision, row.path),
        *map(number, times),
        *(f"{ratio:.2f}" for ratio in ratios),
        padded,
        *map(number, kept),
    ]
