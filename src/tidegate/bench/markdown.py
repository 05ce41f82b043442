"""Results in words: the Markdown that the docs hold, and its parts."""

from __future__ import annotations

from collections.abc import Sequence

from tidegate.bench.results import Results, Row

__all__ = ["crowds", "facts", "lines", "render", "table", "time"]

_WORDS = ("model", "tidegate in")
_HEADER = (
    *("model", "batch", "tidegate in"),
    *("kernel", "engine", "torch", "ONNX Runtime"),
    *("kernel: × torch", "× ONNX Runtime", "of the roof"),
)


def render(results: Results) -> str:
    """Write results as a section: the machine, a table, the engine with many sessions.

    Parameters
    ----------
    results : Results
        One run.

    Returns
    -------
    str
        Markdown that begins with a heading of the third level.
    """
    parts = [f"### {results.machine.processor}", "", *facts(results), ""]
    parts += [*lines(table(results), _WORDS), ""]
    return "\n".join([*parts, *(f"- {line}" for line in crowds(results)), ""])


def lines(cells: Sequence[Sequence[str]], words: Sequence[str]) -> list[str]:
    """Write a table, its header first, as Markdown; columns that are no `words` are numbers."""
    header, *rows = cells
    aligned = ["---" if name in words else "--:" for name in header]
    return [f"| {' | '.join(line)} |" for line in (header, aligned, *rows)]


def facts(results: Results) -> list[str]:
    """Say what machine it was, what it can do at most, and how was measured."""
    machine, settings = results.machine, results.settings
    peaks = (
        f"{isa} {', '.join(f'{gops:,.0f} ({precision})' for precision, gops in found.items())}"
        for isa, found in machine.peak_gops.items()
    )
    reads = (f"{gbps:.0f} ({_size(size)})" for size, gbps in machine.read_gbps.items())
    return [
        f"{machine.when} Instruction sets that run here: {', '.join(machine.isas)}.",
        f"Measured peaks of one thread in Gop/s: {'; '.join(peaks)}. "
        f"Reading again and again, in GB/s: {', '.join(reads)}.",
        f"One thread each; medians of {settings.rounds} rounds of {settings.seconds:g} s.",
    ]


def table(results: Results) -> list[list[str]]:
    """Return the table: a header, then a row for each case, precision and instruction set."""
    engines = {_key(row): row for row in results.rows if row.entry == "engine"}
    rows = [
        [
            row.model,
            f"{row.batch:,}",
            f"{row.precision}, {row.isa}",
            time(row.us_per_step),
            time(engines[_key(row)].us_per_step),
            time(row.torch_us),
            time(row.onnxruntime_us),
            f"{row.ratio_torch:.2f}",
            f"{row.ratio_onnxruntime:.2f}",
            f"{row.roofline_fraction:.0%}",
        ]
        for row in results.rows
        if row.entry == "kernel"
    ]
    return [list(_HEADER), *rows]


def crowds(results: Results) -> list[str]:
    """Say how long the engine takes with many live sessions, a line each."""
    return [
        f"{row.sessions:,} live sessions of {row.model}, {row.batch:,} of them a call in random "
        f"order, {row.precision}, {row.isa}: the engine takes {time(row.us_per_step)}, "
        f"{row.times_kernel:.2f} times as long as the kernel over contiguous states."
        for row in results.rows
        if row.times_kernel is not None
    ]


def time(us: float) -> str:
    """Write microseconds with three digits, in a unit that suits.

    Examples
    --------
    >>> time(0.8612), time(12.04), time(3071.0)
    ('0.861 µs', '12.0 µs', '3.07 ms')
    """
    if us >= 1000:
        return f"{_three(us / 1000)} ms"
    return f"{_three(us)} µs"


def _three(value: float) -> str:
    return f"{value:.{3 if value < 1 else 2 if value < 10 else 1 if value < 100 else 0}f}"


def _size(size: int) -> str:
    return f"{size >> 20} MB" if size >= 1 << 20 else f"{size >> 10} kB"


def _key(row: Row) -> tuple[object, ...]:
    return row.model, row.batch, row.sessions, row.precision, row.isa
