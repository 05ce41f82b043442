"""What is timed: a cell, its sizes, and how many sessions step in one call."""

from __future__ import annotations

import re
from typing import cast

import msgspec

from tidegate.errors import InputError, shown
from tidegate.spec import GATES, Cell, LayerSpec, ModelSpec

__all__ = ["QUICK", "STANDARD", "Case", "parse"]

_SIZE = r"(?P<{}>[0-9]{{1,9}})".format
_PATTERN = re.compile(
    rf"([a-z]+):{_SIZE('input_size')}-{_SIZE('hidden_size')}(?:x{_SIZE('layers')})?"
    rf"@{_SIZE('batch')}(?:/{_SIZE('sessions')})?"
)
_MOST = {"input_size": 4096, "hidden_size": 4096, "layers": 16, "batch": 65536, "sessions": 10**8}


class Case(msgspec.Struct, frozen=True):
    """One shape of a step.

    Parameters
    ----------
    cell : {"gru", "lstm", "rnn"}
        The kind of cell; an RNN's activation is tanh.
    input_size, hidden_size, layers : int
        The model.
    batch : int
        Sessions that one call steps.
    sessions : int
        Sessions that the engine keeps meanwhile; each call takes a batch of them in random order.
        0: only those of the batch.

    Examples
    --------
    >>> case = Case("gru", 16, 64, batch=256)
    >>> print(case, case.spec.state_size)
    gru:16-64@256 64
    """

    cell: Cell
    input_size: int
    hidden_size: int
    layers: int = 1
    batch: int = 1
    sessions: int = 0

    def __str__(self) -> str:
        layers = f"x{self.layers}" if self.layers > 1 else ""
        sessions = f"/{self.sessions}" if self.sessions else ""
        return f"{self.cell}:{self.input_size}-{self.hidden_size}{layers}@{self.batch}{sessions}"

    @property
    def spec(self) -> ModelSpec:
        """The model: numbers in, one output."""
        layers = (LayerSpec(self.cell, self.hidden_size),) * self.layers
        return ModelSpec(self.input_size, layers, 1)


def parse(text: str) -> Case:
    """Read a case as it is written on the command line.

    Parameters
    ----------
    text : str
        ``CELL:INPUT-HIDDEN[xLAYERS]@BATCH[/SESSIONS]``.

    Raises
    ------
    InputError
        ``bad_case``.

    Examples
    --------
    >>> parse("lstm:64-128x2@256")
    Case(cell='lstm', input_size=64, hidden_size=128, layers=2, batch=256, sessions=0)
    >>> parse("gru:16-64@256/1000000").sessions
    1000000
    """
    match = _PATTERN.fullmatch(text)
    if match is None or match[1] not in GATES:
        raise _bad_case(text, "is not CELL:INPUT-HIDDEN[xLAYERS]@BATCH[/SESSIONS]")
    sizes = {name: int(size) for name, size in match.groupdict().items() if size is not None}
    for name, size in sizes.items():
        if not 1 <= size <= _MOST[name]:
            raise _bad_case(text, f"has {name} {size}, not 1 to {_MOST[name]:,}")
    if sizes.get("sessions", sizes["batch"]) < sizes["batch"]:
        raise _bad_case(text, "takes a larger batch than it has sessions")
    return Case(cast(Cell, match[1]), **sizes)


def _bad_case(text: str, what: str) -> InputError:
    return InputError(
        "bad_case",
        f"{shown(text)} {what}",
        field="--case",
        hint="write it like gru:16-64@256, lstm:64-128x2@1 or gru:16-64@256/1000000; "
        f"cells are {', '.join(GATES)}",
    )


_SHAPES = ((16, 64), (32, 64), (64, 128), (64, 256), (128, 256))
_BATCHES = (1, 64, 256, 1024)

STANDARD: tuple[Case, ...] = (
    *(Case("gru", *shape, batch=batch) for batch in _BATCHES for shape in _SHAPES),
    *(Case("gru", 64, 64, layers=2, batch=batch) for batch in (1, 256)),
    *(
        Case(cell, *shape, batch=batch)
        for cell in ("lstm", "rnn")
        for batch in (1, 256)
        for shape in ((16, 64), (64, 256))
    ),
    Case("gru", 16, 64, batch=256, sessions=1_000_000),
)
"""What is run unless cases are named; one session at a time first."""

QUICK: tuple[Case, ...] = (
    Case("gru", 16, 64),
    Case("gru", 64, 256),
    Case("gru", 16, 64, batch=256),
    Case("gru", 64, 256, batch=256),
    Case("gru", 16, 64, batch=256, sessions=10_000),
)
"""Enough to see in half a minute whether a change helped."""
