"""A comparison as a table."""

from __future__ import annotations

from statistics import mean, stdev

from tidegate.train.compare.study import Comparison, Entry

__all__ = ["rows"]


def rows(found: Comparison) -> tuple[list[str], list[list[str]]]:
    """Return the names of the columns, and a row a contestant and baseline, best first."""
    head = [
        "model",
        f"{found.watch} {'↑' if found.higher else '↓'}",
        "parameters",
        "of layers",
        "learning rate",
        "training",
        "step",
        "bundle",
        "a session",
    ]
    sign = -1 if found.higher else 1
    ranked = sorted(found.entries, key=lambda each: sign * mean(each.values(found.watch)))
    body = [_row(found, entry) for entry in ranked]
    for name, trial in found.simple.items():
        value = trial.test.get(found.watch)
        shown = "" if value is None else f"{value:.4f}"
        body.append([name, shown, *[""] * (len(head) - 2)])
    return head, body


def _row(found: Comparison, entry: Entry) -> list[str]:
    values = entry.values(found.watch)
    spread = f" ± {stdev(values):.4f}" if len(values) > 1 else ""
    size, step = entry.cost("bundle_bytes"), entry.cost("step_us")
    state = entry.cost("state_floats")
    return [
        entry.name,
        f"{mean(values):.4f}{spread}",
        f"{entry.parameters:,}",
        f"{entry.body:,}",
        f"{entry.learning_rate:.2g}",
        f"{entry.seconds:.1f} s",
        "" if step is None else f"{step:.1f} µs",
        "" if size is None else f"{size / 1000:.0f} kB",
        "" if state is None else f"{state:.0f} floats",
    ]
