"""What a run leaves: a row for each way to train a layer, beside its peers in the same run."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from tidegate.bench.results import Machine, Settings, read, save
from tidegate.bench.training.cases import Case, Lengths, Precision, Variant
from tidegate.spec import Cell

__all__ = ["Row", "Timing", "TrainResults", "load", "save"]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A layer of tidegate, trained one way, beside its peers in the same run.

    Parameters
    ----------
    cell, batch, time, input_size, hidden_size
        The case.
    path : {"fused", "composed"}
        Which way the layer took.
    options : str
        "plain", or names joined by +.
    precision : {"fp32", "bf16"}
        Of the layer's products. The peers compute in fp32.
    lengths : {"full", "ragged"}
        Of the sessions. The peers take the whole padded tensor.
    isa : str
        The instruction set of the core.
    forward_ms, step_ms : float
        Median milliseconds: of the forward pass, and of it with the backward pass.
    torch_gru_ms, torch_lstm_ms, torch_rnn_ms : float
        A step of `torch.nn.GRU`, `LSTM` and `RNN` of the same sizes and directions.
    ratio_torch_gru, ratio_torch_lstm, ratio_torch_rnn : float
        Theirs divided by `step_ms`.
    loop_ms : float
        A step of a Python loop over cells, with the options, in fp32, over the padded tensor.
    ratio_loop : float
        It divided by `step_ms`.
    ratio_plain : float
        `step_ms` divided by that of the plain layer, of the same precision and lengths.
    padded_ms : float, optional
        Of a ragged row: `step_ms` of the same over full lengths.
    kept_mb : float
        What the forward pass leaves in memory until the backward pass, its output included, in
        1e6 bytes.
    torch_gru_kept_mb, torch_lstm_kept_mb, torch_rnn_kept_mb : float
        Likewise.
    """

    cell: Cell
    path: Literal["fused", "composed"]
    options: str
    precision: Precision
    lengths: Lengths
    isa: str
    batch: int
    time: int
    input_size: int
    hidden_size: int
    forward_ms: float
    step_ms: float
    torch_gru_ms: float
    torch_lstm_ms: float
    torch_rnn_ms: float
    loop_ms: float
    ratio_torch_gru: float
    ratio_torch_lstm: float
    ratio_torch_rnn: float
    ratio_loop: float
    ratio_plain: float
    padded_ms: float | None
    kept_mb: float
    torch_gru_kept_mb: float
    torch_lstm_kept_mb: float
    torch_rnn_kept_mb: float

    @property
    def case(self) -> Case:
        """What was trained."""
        return Case(self.cell, self.batch, self.time, self.input_size, self.hidden_size)

    @property
    def variant(self) -> Variant:
        """How."""
        return Variant(self.options, self.precision, self.lengths)


class Timing(msgspec.Struct, frozen=True):
    """Milliseconds of one contestant in one case.

    Parameters
    ----------
    case, contestant : str
        Who: a layer of tidegate by its variant, a layer of torch, a loop.
    forward_ms, step_ms : float
        Medians of rounds.
    first_quartile_ms, third_quartile_ms : float
        Of the step.
    kept_mb : float
        As in a `Row`.
    """

    case: str
    contestant: str
    forward_ms: float
    step_ms: float
    first_quartile_ms: float
    third_quartile_ms: float
    kept_mb: float


class TrainResults(msgspec.Struct, frozen=True, tag_field="bench", tag="train"):
    """A whole run."""

    machine: Machine
    settings: Settings
    rows: list[Row]
    timings: list[Timing]


def load(path: Path) -> TrainResults:
    """Read results that `save` wrote.

    Raises
    ------
    InputError
        ``bad_results``: the file is missing or is not one of these.
    """
    return read(path, TrainResults, "train")
