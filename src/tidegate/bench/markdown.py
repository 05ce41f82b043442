"""Results as the Markdown that the docs hold."""

from __future__ import annotations

from tidegate.bench.results import Machine, Results, Row

__all__ = ["render", "time"]


def render(results: Results) -> str:
    """Write results as a section: the machine, what it can do, a table, the crowded engine.

    Parameters
    ----------
    results : Results
        One run.

    Returns
    -------
    str
        Markdown that begins with a heading of the third level.
    """
    machine, settings = results.machine, results.settings
    lines = [
        f"### {machine.processor}",
        "",
        *_facts(machine),
        f"One thread; medians of {settings.rounds} rounds of {settings.seconds:g} s a contestant.",
        "",
        "| model | batch | tidegate in | kernel | engine | torch | ONNX Runtime "
        "| kernel: × torch | × ONNX Runtime | of the roof |",
        "| --- | --: | --- | --: | --: | --: | --: | --: | --: | --: |",
    ]
    engines = {_key(row): row for row in results.rows if row.entry == "engine"}
    lines += [_line(row, engines[_key(row)]) for row in results.rows if row.entry == "kernel"]
    crowded = [row for row in results.rows if row.times_kernel is not None]
    if crowded:
        lines += ["", "Sessions that are live in the engine, and stepped in random order:", ""]
    lines += [
        f"- {row.sessions:,} of {row.model}, {row.batch} a call, {row.precision}, {row.isa}: "
        f"{time(row.us_per_step)}, **{row.times_kernel:.2f} times** the bare kernel over "
        "contiguous states."
        for row in crowded
    ]
    return "\n".join(lines) + "\n"


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


def _facts(machine: Machine) -> list[str]:
    peaks = (
        f"{isa} {', '.join(f'{gops:,.0f} ({precision})' for precision, gops in found.items())}"
        for isa, found in machine.peak_gops.items()
    )
    reads = (f"{gbps:.0f} ({_size(size)})" for size, gbps in machine.read_gbps.items())
    versions = (f"{name} {version}" for name, version in machine.versions.items())
    return [
        f"{machine.date}, {machine.system}, {machine.architecture}, {', '.join(versions)}. "
        f"Instruction sets: {', '.join(machine.isas)}.",
        f"Measured peaks of one thread in Gop/s: {'; '.join(peaks)}. "
        f"Reading again and again, in GB/s: {', '.join(reads)}.",
    ]


def _size(size: int) -> str:
    return f"{size >> 20} MB" if size >= 1 << 20 else f"{size >> 10} kB"


def _key(row: Row) -> tuple[object, ...]:
    return row.model, row.batch, row.sessions, row.precision, row.isa


def _line(kernel: Row, engine: Row) -> str:
    cells = (
        kernel.model,
        f"{kernel.batch:,}",
        f"{kernel.precision}, {kernel.isa}",
        *(time(us) for us in (kernel.us_per_step, engine.us_per_step)),
        *(time(us) for us in (kernel.torch_us, kernel.onnxruntime_us)),
        *(f"{ratio:.2f}" for ratio in (kernel.ratio_torch, kernel.ratio_onnxruntime)),
        f"{kernel.roofline_fraction:.0%}",
    )
    return f"| {' | '.join(cells)} |"
