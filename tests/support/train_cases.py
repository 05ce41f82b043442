"""Sequences of training for replay.c: weights, noise, and what this machine makes of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tidegate import _core

GATES = {"gru": 3, "gru_before": 3, "lstm": 4, "rnn_tanh": 1, "rnn_relu": 1}
SIZES = (1, 15, 16, 17, 33, 64, 65)
"""Hidden units: whole vectors and panels, and one more or less."""

LENGTHS = (4, 0, 1, 3, 3, 2, 4)  # sessions in tiles of 4, 2 and 1
MANY = tuple(range(4)) * 18  # some groups of sessions
UNTOUCHED = 7.0  # in rows of no session
RESULTS = ("y", "h_end", "c_end", "d", "dh", "dc", "sums")


@dataclass
class Sequence:
    """The arrays of a call, by their names in native/train.h."""

    cell: str
    precision: str
    hidden_size: int
    rows: int
    arrays: dict[str, Any]
    flags: dict[str, bool]
    rates: tuple[float, float]
    layout: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.layout = _core.sequence_layout(self.cell, self.flags["norm"])

    @property
    def vectors(self) -> dict[str, int]:
        """Columns of each of the vectors that the core takes as one, in their order."""
        gates, sizes = GATES[self.cell], {"bias": self.layout[3]}
        if self.flags["norm"]:
            sizes |= {"gain_input": gates, "gain": gates}
            if self.cell == "lstm":
                sizes |= {"cell_gain": 1, "cell_shift": 1}
        return sizes | ({"peephole": 3} if self.flags["peephole"] else {})

    def played(self, threads: int = 1) -> dict[str, np.ndarray]:
        """Return the results of a forward and a backward pass on the set in use."""
        size, sessions = self.hidden_size, len(self.arrays["lengths"])
        _, kept, d, *_ = self.layout
        whole = self.arrays | {
            "vectors": np.concatenate([self.arrays[name] for name in self.vectors])
        }
        for name in ("h_end", "c_end", "dh", "dc"):
            whole[name] = np.empty((sessions, size), np.float32)
        whole["y"] = np.full((self.rows, size), UNTOUCHED, np.float32)
        whole["kept"] = np.empty((self.rows, kept * size), np.float32)
        whole["moments"] = np.empty((self.rows, 6), np.float32)
        wide = np.float32 if self.precision == "fp32" else np.uint16
        whole["d"] = rounded(np.full((self.rows, d * size), UNTOUCHED, np.float32), wide)
        whole["sums"] = np.empty_like(whole["vectors"])
        given = {name: array.ctypes.data for name, array in whole.items()}
        given |= {"hidden_size": size, "sessions": sessions, "rows": self.rows, **self.flags}
        given |= dict(zip(("keep_rate", "keep_cell_rate"), self.rates, strict=True))
        _core.sequence_forward(self.cell, self.precision, threads, given)
        _core.sequence_backward(self.cell, self.precision, threads, given)
        lacking = () if self.cell == "lstm" else ("c_end", "dc")
        return {name: whole[name] for name in RESULTS if name not in lacking}


def rounded(x: np.ndarray, dtype: type) -> np.ndarray:
    """Return the numbers as they are, or as bf16: to nearest, ties to even."""
    if dtype is np.float32:
        return x
    bits = x.view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)


def sequence_of(
    cell: str,
    precision: str,
    hidden_size: int,
    *,
    lengths: tuple[int, ...] = LENGTHS,
    drawn: bool = False,
    rates: tuple[float, float] = (0.0, 0.0),
    gradients: tuple[str, ...] = ("dy", "dh_end", "dc_end"),
    **flags: bool,
) -> Sequence:
    """Draw a layer and sessions for it."""
    rng = np.random.default_rng([hidden_size, len(lengths), GATES[cell]])

    def normal(*shape: int, scale: float = 1.0) -> np.ndarray:
        return (rng.standard_normal(shape) * scale).astype(np.float32)

    size, gates, sessions = hidden_size, GATES[cell], len(lengths)
    flags = {name: flags.get(name, False) for name in ("norm", "peephole", "reverse")}
    # A row of no session lies before, between and behind them.
    steps = np.array(lengths, np.int64)
    offsets, rows = np.cumsum(steps + 1) - steps, int(steps.sum()) + sessions + 1
    real = np.zeros(rows, bool)
    for first, length in zip(offsets, lengths, strict=True):
        real[first : first + length] = True

    def of_rows(x: np.ndarray) -> np.ndarray:
        x[~real] = np.nan
        return x

    arrays: dict[str, Any] = {
        "lengths": steps,
        "offsets": offsets,
        "weight": normal(gates * size, size, scale=size**-0.5),
        "h": rng.uniform(-0.9, 0.9, (sessions, size)).astype(np.float32),
    }
    a = of_rows(normal(rows, gates * size))
    arrays["a"] = rounded(a, np.float32 if precision == "fp32" else np.uint16)
    if cell == "lstm":
        arrays["c"] = normal(sessions, size)
    if drawn:
        names = ("keep", "keep_cell") if cell == "lstm" else ("keep",)
        for name in names:
            arrays[name] = of_rows((rng.random((rows, size)) < 0.3).astype(np.float32))
        arrays["mask"] = ((rng.random((sessions, size)) < 0.7) / 0.7).astype(np.float32)
    for name in gradients:
        if name == "dy":
            arrays["dy"] = of_rows(normal(rows, size))
        elif name != "dc_end" or cell == "lstm":
            arrays[name] = normal(sessions, size)
    made = Sequence(cell, precision, size, rows, arrays, flags, rates)
    for name, columns in made.vectors.items():
        arrays[name] = normal(columns * size, scale=0.3) + np.float32("gain" in name)
    return made


def sequences() -> Iterator[tuple[str, Sequence]]:
    """Return each case and its name."""
    for cell in GATES:
        options: dict[str, dict[str, Any]] = {
            "plain": {},
            "norm": {"norm": True},
            "rate": {"rates": (0.2, 0.3)},
            "drawn": {"drawn": True, "reverse": True},
            "all": {"norm": True, "drawn": True, "reverse": True},
            "no gradients": {"gradients": ()},
        }
        if cell == "lstm":
            options["peephole"] = {"peephole": True}
            options["all"]["peephole"] = True
        for precision in ("fp32", "bf16"):
            for option, chosen in options.items():
                for size in SIZES:
                    name = f"{precision} training {cell} {option} {size}"
                    yield name, sequence_of(cell, precision, size, **chosen)
            for name, lengths in {
                "many": MANY,
                "one": (3,),
                "empty": (0, 0, 0),
                "none": (),
            }.items():
                yield (
                    f"{precision} training {cell} {name}",
                    sequence_of(cell, precision, 18, lengths=lengths, **options["all"]),
                )
