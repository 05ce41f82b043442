"""What is timed: a cell and its sizes, and with what it is trained."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import product
from typing import Literal, cast, get_args

import msgspec

from tidegate.errors import InputError, shown
from tidegate.spec import GATES, Cell

__all__ = [
    "OPTIONS",
    "QUICK",
    "STANDARD",
    "Case",
    "Lengths",
    "Precision",
    "Variant",
    "parse",
    "parse_options",
    "variants",
]

Precision = Literal["fp32", "bf16"]
Lengths = Literal["full", "ragged"]

OPTIONS = (
    *("layer_norm", "zoneout", "recurrent_dropout", "weight_dropout", "bidirectional"),
    *("return_gates", "recompute"),
)
"""What may be asked of a layer beside its cell, in the order in which names are joined by +."""

_SIZE = r"(?P<{}>[0-9]{{1,9}})".format
_PATTERN = re.compile(
    rf"([a-z]+):{_SIZE('input_size')}-{_SIZE('hidden_size')}@{_SIZE('batch')}x{_SIZE('time')}"
)
_MOST = {"input_size": 4096, "hidden_size": 4096, "batch": 65536, "time": 65536}
_MOST_NUMBERS = 1 << 30


class Case(msgspec.Struct, frozen=True):
    """One layer over one batch.

    Parameters
    ----------
    cell : {"gru", "lstm", "rnn"}
        The kind of cell; an RNN's activation is tanh.
    batch, time : int
        Sessions, and steps of the longest.
    input_size, hidden_size : int
        Numbers of an event, and units.

    Examples
    --------
    >>> print(Case("gru", 64, 100, 16, 128))
    gru:16-128@64x100
    """

    cell: Cell
    batch: int
    time: int
    input_size: int
    hidden_size: int

    def __str__(self) -> str:
        return f"{self.cell}:{self.input_size}-{self.hidden_size}@{self.batch}x{self.time}"

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(batch, time, input_size, hidden_size)."""
        return self.batch, self.time, self.input_size, self.hidden_size


class Variant(msgspec.Struct, frozen=True):
    """With what a layer is trained.

    Parameters
    ----------
    options : str
        "plain", or some of `OPTIONS` joined by +.
    precision : {"fp32", "bf16"}
        bf16: under torch's autocast.
    lengths : {"full", "ragged"}
        Ragged: a third of the steps are real.

    Examples
    --------
    >>> str(Variant()), str(Variant("layer_norm", "bf16", "ragged"))
    ('plain', 'layer_norm bf16 ragged')
    """

    options: str = "plain"
    precision: Precision = "fp32"
    lengths: Lengths = "full"

    def __str__(self) -> str:
        usual = Variant()
        words = [self.options]
        words += [self.precision] * (self.precision != usual.precision)
        words += [self.lengths] * (self.lengths != usual.lengths)
        return " ".join(words)

    @property
    def names(self) -> tuple[str, ...]:
        """The options one by one; none of a plain layer."""
        return () if self.options == "plain" else tuple(self.options.split("+"))


def parse(text: str) -> Case:
    """Read a case as it is written on the command line.

    Parameters
    ----------
    text : str
        ``CELL:INPUT-HIDDEN@BATCHxTIME``.

    Raises
    ------
    InputError
        ``bad_case``.

    Examples
    --------
    >>> parse("lstm:16-64@32x500")
    Case(cell='lstm', batch=32, time=500, input_size=16, hidden_size=64)
    """
    match = _PATTERN.fullmatch(text)
    if match is None or match[1] not in GATES:
        raise _bad_case(text, "is not CELL:INPUT-HIDDEN@BATCHxTIME")
    sizes = {name: int(size) for name, size in match.groupdict().items()}
    for name, size in sizes.items():
        if not 1 <= size <= _MOST[name]:
            raise _bad_case(text, f"has {name} {size}, not 1 to {_MOST[name]:,}")
    case = Case(cast(Cell, match[1]), **sizes)
    if case.batch * case.time * max(case.input_size, case.hidden_size) > _MOST_NUMBERS:
        raise _bad_case(text, f"takes more than {_MOST_NUMBERS:,} numbers")
    return case


def parse_options(text: str) -> str:
    """Read options as they are written on the command line, and put them in order.

    Raises
    ------
    InputError
        ``bad_case``: an unknown name, or one twice.

    Examples
    --------
    >>> parse_options("zoneout+layer_norm"), parse_options("plain")
    ('layer_norm+zoneout', 'plain')
    """
    if text == "plain":
        return text
    names = text.split("+")
    if not {*names} <= {*OPTIONS} or len({*names}) < len(names):
        raise InputError(
            "bad_case",
            f"{shown(text)} is not some of the options, each once",
            field="--option",
            hint=f"use plain, or join some of {', '.join(OPTIONS)} by +",
        )
    return "+".join(name for name in OPTIONS if name in names)


def variants(
    case: Case,
    options: Sequence[str] = (),
    precisions: Sequence[Precision] = (),
    lengths: Sequence[Lengths] = (),
) -> list[Variant]:
    """List what is timed of a case.

    Parameters
    ----------
    case : Case
        Which GRU of middle size has the most variants.
    options, precisions, lengths : sequence of str
        What was asked for: all combinations. All of them empty: the usual ones.

    Examples
    --------
    >>> [str(each) for each in variants(parse("gru:2-2@4x3"), ["zoneout"], ["bf16"])]
    ['zoneout bf16', 'zoneout bf16 ragged']
    """
    if options or precisions or lengths:
        asked = product(
            options or ("plain", *_SINGLE),
            precisions or get_args(Precision),
            lengths or get_args(Lengths),
        )
        return list(dict.fromkeys(Variant(*each) for each in asked))
    found = [Variant(each) for each in ("plain", *_SINGLE, "recompute")]
    if case == _MOST_VARIANTS:
        found += [Variant(each) for each in ("weight_dropout", "bidirectional", *_JOINED)]
    found += [Variant(lengths="ragged")]
    if case.cell == "gru":
        found += [Variant(each, lengths="ragged") for each in _SINGLE]
    return [*found, Variant(precision="bf16"), Variant(precision="bf16", lengths="ragged")]


def _bad_case(text: str, what: str) -> InputError:
    return InputError(
        "bad_case",
        f"{shown(text)} {what}",
        field="--case",
        hint=f"write it like gru:16-64@64x100; cells are {', '.join(GATES)}",
    )


_SINGLE = ("layer_norm", "zoneout", "recurrent_dropout", "return_gates")
_JOINED = (
    *("layer_norm+zoneout", "layer_norm+recurrent_dropout"),
    *("zoneout+recurrent_dropout", "recurrent_dropout+return_gates"),
)
_SHAPES = ((64, 100, 16, 64), (64, 100, 16, 128), (32, 500, 16, 128), (64, 100, 64, 256))
_MOST_VARIANTS = Case("gru", 64, 100, 16, 128)

STANDARD: tuple[Case, ...] = tuple(
    Case(cast(Cell, cell), *shape) for cell in GATES for shape in _SHAPES
)
"""What is run unless cases are named."""

QUICK: tuple[Case, ...] = (Case("gru", 64, 100, 16, 64), Case("gru", 64, 100, 64, 256))
"""Enough to see in a minute whether a change helped."""
